/* SPDX-License-Identifier: MIT
 * The sampler as a filter, for comparison with other programs: tools/oracle_sample.py (transformers)
 * and tests/peers/sampler_llama.py (llama-server) run it.
 *
 * Standard input, per case: one line of JSON {"settings": {…}, "n": tokens of the vocabulary,
 * "context": [id, …], "n_output": of these, "ends": [id, …], "min_keep": k}, then n scores
 * (binary32, this machine's byte order; -inf: removed before). Standard output, per case: the number
 * of survivors (uint32), then the id (int32) and the score (binary32) of each, ids ascending; or
 * 0xFFFFFFFF, the length of a message, and the message. */
#include <stdio.h>
#include <stdlib.h>

#include "sample/sampler.h"
#include "unit/sample_json.h"

static void refuse(const char *message)
{
    uint32_t head[2] = {UINT32_MAX, (uint32_t)strlen(message)};
    fwrite(head, sizeof head, 1, stdout);
    fwrite(message, 1, head[1], stdout);
}

static int32_t *ints(struct json_object *o, const char *key, size_t *n)
{
    struct json_object *list = NULL;
    json_object_object_get_ex(o, key, &list);
    *n = list ? json_object_array_length(list) : 0;
    int32_t *ids = calloc(*n + 1, sizeof *ids);
    for (size_t i = 0; ids && i < *n; i++)
        ids[i] = json_object_get_int(json_object_array_get_idx(list, i));
    return ids;
}

static size_t number(struct json_object *o, const char *key, size_t otherwise)
{
    struct json_object *v = NULL;
    return json_object_object_get_ex(o, key, &v) ? (size_t)json_object_get_int64(v) : otherwise;
}

/* Returns -1 at the end of the input. */
static int one_case(const char *line)
{
    struct json_object *o = json_tokener_parse(line), *so = NULL;
    struct idem_err err = {0};
    struct rec_settings set;
    size_t n = o ? number(o, "n", 0) : 0, n_ends = 0;
    struct process_input in = {.n_output = o ? number(o, "n_output", 0) : 0,
                               .min_keep = o ? number(o, "min_keep", 1) : 1};
    float *scores = n ? malloc(n * sizeof *scores) : NULL;
    if (!scores || fread(scores, sizeof *scores, n, stdin) != n) {
        free(scores);
        json_object_put(o);
        return -1;
    }
    int32_t *context = ints(o, "context", &in.n_context), *ends = ints(o, "ends", &n_ends);
    struct sampler *s = sample_open(n, &err);
    bool changed, known = json_object_object_get_ex(o, "settings", &so) &&
                          sample_json_settings(so, &set);
    in.scores = scores;
    in.context = context;
    if (!known) {
        refuse("a key of settings is not known");
    } else if (!s || sample_check(&set, &err) || sample_ends(s, ends, n_ends, &err) ||
               process_run(s, &set, &in, &changed, &err)) {
        refuse(err.msg);
    } else {
        uint32_t n_alive = (uint32_t)s->n_alive;
        fwrite(&n_alive, sizeof n_alive, 1, stdout);
        for (size_t i = 0; i < s->n_alive; i++) {
            fwrite(&s->alive[i], sizeof s->alive[i], 1, stdout);
            fwrite(&s->score[s->alive[i]], sizeof(float), 1, stdout);
        }
    }
    fflush(stdout);
    sample_close(s);
    free(scores);
    free(context);
    free(ends);
    json_object_put(o);
    return 0;
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    int rc = 0;
    while (rc == 0 && getline(&line, &cap, stdin) > 0)
        rc = one_case(line);
    free(line);
    return rc ? 1 : 0;
}
