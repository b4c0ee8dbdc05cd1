/* SPDX-License-Identifier: MIT
 * What one running beam offers: its processed log-probabilities, behind what it has so far. */
#include <math.h>

#include "sample/beam.h"
#include "sample/sampler.h"

/* Noise is at most this (sample/noise.c). */
#define NOISE_MAX 36.75

/* Logits to log-probabilities. */
static void normalise(float *x, size_t n, double logsumexp)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((double)x[i] - logsumexp);
}

static void keep_best(const struct sampler *s, const struct beam_offer *o, const struct noise *z,
                      const float *x, struct beam_candidate *list, size_t *n)
{
    for (size_t i = 0; i < s->n_alive; i++) {
        int32_t id = s->alive[i];
        float sum = s->score[id] + o->sum;
        double rank = (double)sum;
        if (z && *n == o->max && rank + NOISE_MAX < list[*n - 1].rank)
            continue;
        if (z)
            rank += noise_gumbel(noise_bits(z, id));
        beam_keep(list, n, o->max, &(struct beam_candidate){
            .rank = rank, .sum = sum, .logprob = x[id], .logprob_processed = s->score[id],
            .beam = o->beam, .token = id});
    }
}

int beam_offer(struct sampler *s, const struct rec_settings *set, const struct beam_offer *o,
               float *x, struct rec_token *raw, struct beam_candidate *list, size_t *n,
               struct idem_err *err)
{
    struct process_input in = {
        .scores = x, .context = o->context, .n_context = o->n_context, .n_output = o->n_output,
        .min_keep = s->n_ends > 1 ? s->n_ends + 1 : 2,
    };
    struct noise z = {0};
    bool sampled = process_sampling(set), changed;
    if (sample_check_input(x, s->max_vocab, o->context, o->n_context, err) != 0)
        return -1;
    sample_raw(s, x, o->stats, o->n_top, raw);
    normalise(x, s->max_vocab, o->stats->logsumexp);
    if (process_run(s, set, &in, &changed, err) != 0 || (sampled && noise_init(&z, &o->key, err) != 0))
        return -1;
    z.beam = o->beam;
    for (size_t i = 0; i < raw->n_top; i++) {
        struct rec_top *t = &raw->top[i];
        t->logprob_processed = sample_survives(s, t->id) ? s->score[t->id] : NAN;
    }
    keep_best(s, o, sampled ? &z : NULL, x, list, n);
    return 0;
}
