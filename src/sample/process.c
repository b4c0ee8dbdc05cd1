/* SPDX-License-Identifier: MIT
 * The processors, in the order of Hugging Face's generate(): repetition_penalty, (presence_penalty,
 * frequency_penalty: vLLM's), no_repeat_ngram_size, min_new_tokens; with do_sample also
 * temperature, top_k, top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff.
 *
 * Penalty and temperature are binary32 operations on binary32 scores with the setting rounded to
 * binary32, as torch does them, so that scores tie here exactly where they tie there. */
#include <math.h>
#include <string.h>

#include "sample/sampler.h"

/* Each distinct token of the context once: s < 0 ? s * penalty : s / penalty. Ids that the
 * vocabulary lacks cannot come out and are passed over. */
static int penalise(struct sampler *s, float penalty, const int32_t *context, size_t n_context,
                    struct idem_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n_context; i++) {
        uint32_t id = (uint32_t)context[i];
        if (id >= s->max_vocab || s->seen[id])
            continue;
        s->seen[id] = 1;
        float x = s->score[id];
        float y = x < 0.0f ? x * penalty : x / penalty;
        if (isfinite(x) && !isfinite(y) && rc == 0)
            rc = err_set(err, IDEM_ERR_NUMERIC, "repetition_penalty %g takes the score %g of token "
                         "%u beyond the range of binary32; use a value nearer to 1",
                         (double)penalty, (double)x, id);
        s->score[id] = y;
    }
    for (size_t i = 0; i < n_context; i++)
        if ((uint32_t)context[i] < s->max_vocab)
            s->seen[context[i]] = 0;
    return rc;
}

/* Each distinct token of the output: s - count * frequency, then - presence. */
static void penalise_output(struct sampler *s, float frequency, float presence,
                            const int32_t *output, size_t n_output)
{
    for (size_t i = 0; i < n_output; i++)
        if ((uint32_t)output[i] < s->max_vocab)
            s->weight[output[i]] = 0;
    for (size_t i = 0; i < n_output; i++)
        if ((uint32_t)output[i] < s->max_vocab)
            s->weight[output[i]]++;
    for (size_t i = 0; i < n_output; i++) {
        uint32_t id = (uint32_t)output[i];
        if (id >= s->max_vocab || s->weight[id] == 0)
            continue;
        float taken = (float)s->weight[id] * frequency;
        s->score[id] = s->score[id] - taken - presence;
        s->weight[id] = 0;
    }
}

/* Marks in seen every token that followed an earlier occurrence of the last n - 1 tokens. */
static void mark_repeats(struct sampler *s, size_t n, const int32_t *context, size_t n_context,
                         uint8_t mark)
{
    if (n_context < n)
        return;
    const int32_t *last = context + (n_context - (n - 1));
    for (size_t i = 0; i + n <= n_context; i++) {
        uint32_t id = (uint32_t)context[i + n - 1];
        if (id < s->max_vocab && memcmp(context + i, last, (n - 1) * sizeof *last) == 0)
            s->seen[id] = mark;
    }
}

static int ban_repeats(struct sampler *s, size_t n, const int32_t *context, size_t n_context,
                       struct idem_err *err)
{
    mark_repeats(s, n, context, n_context, 1);
    select_seen(s, false);
    mark_repeats(s, n, context, n_context, 0);   /* those that had been removed before */
    if (s->n_alive == 0)
        return err_set(err, IDEM_ERR_USAGE, "no_repeat_ngram_size %zu forbids all %zu tokens after "
                       "%zu tokens of context; use a larger size, or 0 for none", n, s->max_vocab,
                       n_context);
    return 0;
}

/* No end of text yet. */
static int ban_ends(struct sampler *s, uint32_t min_new_tokens, struct idem_err *err)
{
    for (size_t i = 0; i < s->n_ends; i++)
        s->seen[s->ends[i]] = 1;
    select_seen(s, false);
    for (size_t i = 0; i < s->n_ends; i++)
        s->seen[s->ends[i]] = 0;
    if (s->n_alive == 0)
        return err_set(err, IDEM_ERR_USAGE, "min_new_tokens %u forbids the end of text, and no "
                       "other token is left; lower it", min_new_tokens);
    return 0;
}

int process_heat(struct sampler *s, double temperature, struct idem_err *err)
{
    float t = (float)temperature;
    for (size_t i = 0; i < s->n_alive; i++) {
        float *x = &s->score[s->alive[i]];
        float y = *x / t;
        if (!isfinite(y))
            return err_set(err, IDEM_ERR_NUMERIC, "temperature %g takes the score %g of token %d "
                           "beyond the range of binary32; use 0 for greedy decoding", temperature,
                           (double)*x, s->alive[i]);
        *x = y;
    }
    return 0;
}

static int process_start(struct sampler *s, const float *scores, struct idem_err *err)
{
    size_t n = 0;
    memcpy(s->score, scores, s->max_vocab * sizeof *scores);
    for (size_t i = 0; i < s->max_vocab; i++)
        if (scores[i] > -INFINITY)
            s->alive[n++] = (int32_t)i;
    s->n_alive = n;
    return n ? 0 : err_set(err, IDEM_ERR_NUMERIC, "all %zu scores are -inf", s->max_vocab);
}

/* What sampling adds. */
static int process_sampled(struct sampler *s, const struct rec_settings *set, size_t min_keep,
                           struct idem_err *err)
{
    if (set->temperature != 1.0 && process_heat(s, set->temperature, err) != 0)
        return -1;
    if (set->top_k != 0)
        select_top_k(s, set->top_k, min_keep);
    if (set->top_p < 1.0)
        select_top_p(s, set->top_p, min_keep);
    if (set->min_p > 0.0)
        select_min_p(s, set->min_p, min_keep);
    if (set->typical_p < 1.0)
        select_typical(s, set->typical_p, min_keep);
    if (set->epsilon_cutoff > 0.0)
        select_epsilon(s, set->epsilon_cutoff, min_keep);
    if (set->eta_cutoff > 0.0)
        select_eta(s, set->eta_cutoff, min_keep);
    return 0;
}

/* Hugging Face's order. */
static int process_hf(struct sampler *s, const struct rec_settings *set,
                      const struct process_input *in, struct idem_err *err)
{
    const int32_t *context = in->context;
    size_t n = in->n_context;
    if (set->repetition_penalty != 1.0 &&
        penalise(s, (float)set->repetition_penalty, context, n, err) != 0)
        return -1;
    if (set->presence_penalty != 0.0 || set->frequency_penalty != 0.0)
        penalise_output(s, (float)set->frequency_penalty, (float)set->presence_penalty,
                        context + (n - in->n_output), in->n_output);
    if (set->no_repeat_ngram_size != 0 &&
        ban_repeats(s, set->no_repeat_ngram_size, context, n, err) != 0)
        return -1;
    if (in->n_output < set->min_new_tokens && ban_ends(s, set->min_new_tokens, err) != 0)
        return -1;
    return process_sampling(set) ? process_sampled(s, set, in->min_keep, err) : 0;
}

bool process_sampling(const struct rec_settings *set)
{
    return set->do_sample && set->temperature > 0.0;
}

int process_run(struct sampler *s, const struct rec_settings *set, const struct process_input *in,
                bool *changed, struct idem_err *err)
{
    if (process_start(s, in->scores, err) != 0)
        return -1;
    int rc = set->sampler == REC_SAMPLER_HF ? process_hf(s, set, in, err)
                                            : chain_llama_run(s, set, in, err);
    *changed = set->repetition_penalty != 1.0 || set->presence_penalty != 0.0 ||
               set->frequency_penalty != 0.0 || s->n_alive < s->max_vocab ||
               (process_sampling(set) && set->temperature != 1.0);
    return rc;
}
