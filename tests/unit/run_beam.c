/* SPDX-License-Identifier: MIT
 * Beam search against transformers on a tiny model (tools/oracle/make_beam.py), in every host
 * state, in experiments, and on a backend in closed form. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "run/run.h"
#include "run_fake.h"

#define MODEL "tests/data/beam/beam.gguf"
#define SEARCHES "tests/data/beam/beam.txt"

enum { IDS_MAX = 64, BEAMS_MAX = 8 };

struct search {
    struct rec_settings set;
    int32_t prompt[IDS_MAX];
    size_t n_prompt, n;
    struct found { double score; int32_t ids[IDS_MAX]; size_t n; } found[BEAMS_MAX];
};

static struct backend *open_model(void)
{
    struct idem_err err = {0};
    struct backend_local_options o = {.threads = 1, .f32 = true};
    struct backend *b = backend_local_open(MODEL, &o, &err);
    if (!b)
        fail_msg("%s", err.msg);
    return b;
}

static size_t parse_ids(const char *text, int32_t *ids)
{
    size_t n = 0;
    for (char *end; *text; text = *end ? end + 1 : end) {
        assert_true(n < IDS_MAX);
        ids[n++] = (int32_t)strtol(text, &end, 10);
        assert_true(end != text);
    }
    return n;
}

static void parse_search(char *line, struct search *s)
{
    char *f[11 + BEAMS_MAX], *save;
    size_t n = 0;
    memset(s, 0, sizeof *s);
    for (char *w = strtok_r(line, " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
        assert_true(n < sizeof f / sizeof f[0]);
        f[n++] = w;
    }
    assert_true(n > 11);
    rec_settings_default(&s->set, REC_SAMPLER_HF);
    s->set.num_beams = (uint32_t)strtoul(f[0], NULL, 10);
    s->set.length_penalty = strtod(f[1], NULL);
    s->set.early_stopping = !strcmp(f[2], "never") ? REC_EARLY_STOPPING_NEVER
                          : !strcmp(f[2], "true") ? REC_EARLY_STOPPING_TRUE
                                                  : REC_EARLY_STOPPING_FALSE;
    s->set.num_return_sequences = (uint32_t)strtoul(f[3], NULL, 10);
    s->set.max_new_tokens = (uint32_t)strtoul(f[4], NULL, 10);
    s->set.min_new_tokens = (uint32_t)strtoul(f[5], NULL, 10);
    s->set.repetition_penalty = strtod(f[6], NULL);
    s->set.no_repeat_ngram_size = (uint32_t)strtoul(f[7], NULL, 10);
    s->n_prompt = parse_ids(f[9], s->prompt);
    s->n = strtoul(f[10], NULL, 10);
    assert_int_equal(n, 11 + s->n);
    assert_int_equal(s->n, s->set.num_return_sequences);
    for (size_t i = 0; i < s->n; i++) {
        char *ids;
        s->found[i].score = strtod(f[11 + i], &ids);
        assert_int_equal(*ids, ':');
        s->found[i].n = parse_ids(ids + 1, s->found[i].ids);
    }
}

/* The score is what the header says it is: from the tokens themselves. */
static void check_score(const struct rec_settings *set, const struct rec_output *o)
{
    float sum = 0;
    for (size_t i = 0; i < o->n_tokens; i++)
        sum = o->tokens[i].logprob_processed + sum;
    double want = (double)sum / pow((double)o->n_tokens, set->length_penalty);
    assert_true(fabs(want - (double)o->score) <= 1e-6 * fabs(want));
}

static void check_outputs(const struct search *s, const struct rec_output *out, size_t line)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct found *f = &s->found[i];
        if (out[i].n_tokens != f->n)
            fail_msg("search %zu, sequence %zu has %zu tokens, not %zu", line, i, out[i].n_tokens, f->n);
        for (size_t k = 0; k < f->n; k++)
            if (out[i].tokens[k].id != f->ids[k])
                fail_msg("search %zu, sequence %zu, token %zu is %d, not %d", line, i, k,
                         out[i].tokens[k].id, f->ids[k]);
        if (fabs((double)out[i].score - f->score) > 1e-4 * fabs(f->score))
            fail_msg("search %zu, sequence %zu has score %.9g, not %.9g", line, i,
                     (double)out[i].score, f->score);
        check_score(&s->set, &out[i]);
    }
}

typedef void (*search_fn)(struct backend *b, const struct search *s, size_t line);

static size_t each_search(struct backend *b, size_t every, search_fn fn)
{
    FILE *f = fopen(SEARCHES, "r");
    char line[4096];
    size_t n = 0;
    assert_non_null(f);
    for (; fgets(line, sizeof line, f); n++) {
        struct search s;
        assert_non_null(strchr(line, '\n'));
        if (n % every)
            continue;
        parse_search(line, &s);
        fn(b, &s, n);
    }
    fclose(f);
    return n;
}

static void run_one(struct backend *b, const struct search *s, const struct rec_host *host,
                    struct rec_output *out)
{
    struct idem_err err = {0};
    struct run_request r = {.prompt = s->prompt, .n_prompt = s->n_prompt, .settings = s->set,
                            .n_top = 3};
    if (host)
        r.host = *host;
    if (run_generate(b, &r, NULL, NULL, NULL, out, &err))
        fail_msg("%s", err.msg);
}

static void against_transformers(struct backend *b, const struct search *s, size_t line)
{
    struct rec_output out[BEAMS_MAX];
    run_one(b, s, NULL, out);
    check_outputs(s, out, line);
    for (size_t i = 0; i < s->n; i++)
        rec_output_release(&out[i]);
}

static void test_transformers(void **state)
{
    (void)state;
    struct backend *b = open_model();
    assert_true(each_search(b, 1, against_transformers) >= 200);
    b->ops->close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
