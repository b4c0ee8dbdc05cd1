/* SPDX-License-Identifier: MIT
 * One step of decoding: raw statistics, processors, choice. */
#include "sample/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/detmath.h"
#include "base/half.h"
#include "sample/sampler.h"

int sample_check(const struct rec_settings *s, struct idem_err *err)
{
    return rec_settings_check(s, err);
}

struct sampler *sample_open(size_t n_vocab, struct idem_err *err)
{
    if (n_vocab < 1 || n_vocab > SAMPLER_MAX_VOCAB) {
        err_set(err, IDEM_ERR_LIMIT, "a vocabulary of %zu tokens; the sampler takes 1 to %zu",
                n_vocab, SAMPLER_MAX_VOCAB);
        return NULL;
    }
    struct sampler *s = calloc(1, sizeof *s);
    if (s) {
        s->max_vocab = n_vocab;
        s->score = calloc(n_vocab, sizeof *s->score);
        s->alive = calloc(n_vocab, sizeof *s->alive);
        s->heap = calloc(n_vocab, sizeof *s->heap);
        s->weight = calloc(n_vocab, sizeof *s->weight);
        s->seen = calloc(n_vocab, sizeof *s->seen);
    }
    if (!s || !s->score || !s->alive || !s->heap || !s->weight || !s->seen) {
        sample_close(s);
        err_memory(err, "the sampler", n_vocab * 25);
        return NULL;
    }
    return s;
}

void sample_close(struct sampler *s)
{
    if (!s)
        return;
    free(s->score);
    free(s->alive);
    free(s->heap);
    free(s->weight);
    free(s->seen);
    free(s->ends);
    free(s);
}

int sample_ends(struct sampler *s, const int32_t *ids, size_t n, struct idem_err *err)
{
    int32_t *ends = calloc(n + 1, sizeof *ends);
    if (!ends)
        return err_memory(err, "the ends of text", n * sizeof *ends);
    free(s->ends);
    s->ends = ends;
    s->n_ends = 0;
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= 0 && (size_t)ids[i] < s->max_vocab)
            s->ends[s->n_ends++] = ids[i];
    return 0;
}

int sample_check_input(const float *logits, size_t n_vocab, const int32_t *context,
                       size_t n_context, struct idem_err *err)
{
    for (size_t i = 0; i < n_vocab; i++)
        if ((half_f32_bits(logits[i]) & 0x7F800000u) == 0x7F800000u)
            return err_set(err, IDEM_ERR_NUMERIC, "the logit of token %zu is %g; no token can be "
                           "chosen from such a result", i, (double)logits[i]);
    for (size_t i = 0; i < n_context; i++)
        if (context[i] < 0)
            return err_set(err, IDEM_ERR_USAGE, "token %zu of the context has the id %d; ids are "
                           "not negative", i, context[i]);
    return 0;
}

void sample_raw(struct sampler *s, const float *logits, const struct sample_stats *stats,
                size_t n_top, struct rec_token *out)
{
    size_t n_vocab = s->max_vocab;
    if (n_top > n_vocab)
        n_top = n_vocab;
    size_t k = n_top < 2 ? 2 : n_top;
    if (k > n_vocab)
        k = n_vocab;
    rank_top(s->heap, k, logits, n_vocab);
    out->id = rank_id(s->heap[0]);
    out->margin = k < 2 ? INFINITY
                        : (float)((double)logits[out->id] - (double)logits[rank_id(s->heap[1])]);
    out->entropy = (float)stats->entropy;
    out->n_top = (uint32_t)n_top;
    double mass = 0.0;
    for (size_t i = 0; i < n_top; i++) {
        int32_t id = rank_id(s->heap[i]);
        double lp = (double)logits[id] - stats->logsumexp;
        out->top[i] = (struct rec_top){.id = id, .logprob = (float)lp};
        mass += det_exp(lp);
    }
    double tail = n_top == n_vocab ? 0.0 : 1.0 - mass;
    out->tail_mass = tail > 0.0 ? (float)tail : 0.0f;
}

/* log of the sum of e^score over the survivors, added in ascending order of id. */
static double survivors_logsumexp(const struct sampler *s, float max)
{
    double sum = 0.0, e[SELECT_EXPS];
    for (size_t i = 0, n; (n = select_exps(s, i, (double)max, e)) > 0; i += n)
        for (size_t j = 0; j < n; j++)
            sum += e[j];
    return (double)max + det_log(sum);
}

bool sample_survives(const struct sampler *s, int32_t id)
{
    size_t lo = 0, hi = s->n_alive;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->alive[mid] < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n_alive && s->alive[lo] == id;
}

static float processed_logprob(const struct sampler *s, int32_t id, double lse)
{
    return sample_survives(s, id) ? (float)((double)s->score[id] - lse) : NAN;
}

/* Greedy of Hugging Face's with nothing that touches a score. */
static bool plain(const struct rec_settings *set, size_t n_output)
{
    return set->sampler == REC_SAMPLER_HF && !process_sampling(set) &&
           set->repetition_penalty == 1.0 && set->presence_penalty == 0.0 &&
           set->frequency_penalty == 0.0 && set->no_repeat_ngram_size == 0 &&
           set->min_new_tokens <= n_output;
}

int sample_step(struct sampler *s, const struct rec_settings *set, const float *logits,
                const struct sample_stats *stats, const int32_t *context, size_t n_context,
                const struct sample_key *key, size_t n_top, struct rec_token *out,
                struct idem_err *err)
{
    struct process_input in = {
        .scores = logits, .context = context, .n_context = n_context, .min_keep = 1,
        .n_output = key->position < n_context ? key->position : n_context,
    };
    bool changed;
    if (set->num_beams > 1)
        return err_set(err, IDEM_ERR_USAGE, "num_beams is %u, but one step of sampling has one "
                       "beam", set->num_beams);
    if (sample_check_input(logits, s->max_vocab, context, n_context, err) != 0)
        return -1;
    sample_raw(s, logits, stats, n_top, out);
    if (plain(set, key->position)) {
        out->logprob = (float)((double)logits[out->id] - stats->logsumexp);
        out->logprob_processed = out->logprob;
        for (size_t i = 0; i < out->n_top; i++)
            out->top[i].logprob_processed = out->top[i].logprob;
        return 0;
    }
    if (process_run(s, set, &in, &changed, err) != 0)
        return -1;
    int32_t best = select_best(s);
    double lse = changed ? survivors_logsumexp(s, s->score[best]) : stats->logsumexp;
    out->id = best;
    if (process_sampling(set)) {
        struct noise z;
        if (noise_init(&z, key, err) != 0)
            return -1;
        out->id = noise_draw(&z, s->score, s->alive, s->n_alive);
    }
    out->logprob = (float)((double)logits[out->id] - stats->logsumexp);
    out->logprob_processed = processed_logprob(s, out->id, lse);
    for (size_t i = 0; i < out->n_top; i++)
        out->top[i].logprob_processed = processed_logprob(s, out->top[i].id, lse);
    return 0;
}
