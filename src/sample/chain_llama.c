/* SPDX-License-Identifier: MIT
 * llama.cpp's default chain: penalties, top_k, typical_p, top_p, min_p, temperature.
 * Source: llama.cpp src/llama-sampler.cpp and common/sampling.cpp (unslothai d32676d77); Ollama
 * (fb3076099) drives llama-server, so its chain is the same. What is off by default there and has
 * no name here (dry, top_n_sigma, xtc, mirostat, dynamic temperature) is not in it.
 *
 * Penalties and temperature are binary32 operations, settings are rounded to binary32, as there.
 * Probabilities are binary64 or exact integers here (binary32 there), and where their sort leaves
 * open which of several equal scores stays, the lowest ids stay. */
#include <math.h>

#include "base/detmath.h"
#include "sample/sampler.h"

enum { WINDOW = 64 };            /* penalty_last_n */

/* Each distinct token of the last 64 (prompt included), with its count there:
 * s <= 0 ? s * repetition : s / repetition, then - (count * frequency + presence). */
static int penalise(struct sampler *s, const struct rec_settings *set, const int32_t *context,
                    size_t n_context, struct idem_err *err)
{
    float theta = (float)set->repetition_penalty, frequency = (float)set->frequency_penalty;
    size_t n = n_context < WINDOW ? n_context : WINDOW;
    const int32_t *last = context + (n_context - n);
    for (size_t i = 0; i < n; i++) {
        size_t count = 0, before = 0;
        for (size_t k = 0; k < n; k++) {
            count += last[k] == last[i];
            before += k < i && last[k] == last[i];
        }
        if (before || (uint32_t)last[i] >= s->max_vocab)
            continue;
        float x = s->score[last[i]], y = x <= 0.0f ? x * theta : x / theta;
        y -= (float)count * frequency + (float)set->presence_penalty;
        if (isfinite(x) && !isfinite(y))
            return err_set(err, IDEM_ERR_NUMERIC, "the penalties take the score %g of token %d "
                           "beyond the range of binary32; use values nearer to 1 and 0", (double)x,
                           last[i]);
        s->score[last[i]] = y;
    }
    return 0;
}

/* In order of the ranks in heap, tokens up to and with the one at which the sum of probabilities
 * is at least (or, strictly, more than) p. */
static void keep_share(struct sampler *s, double p, bool strictly)
{
    double limit = p * (double)select_weigh(s);
    size_t n = s->n_alive;
    uint64_t sum = 0;
    for (bool reached = false; n > 0 && !reached;) {
        int32_t id = rank_id(s->heap[0]);
        sum += s->weight[id];
        reached = strictly ? (double)sum > limit : (double)sum >= limit;
        s->seen[id] = 1;
        rank_pop(s->heap, n--);
    }
    select_seen(s, true);
}

static void keep_typical(struct sampler *s, float p)
{
    double lse;
    (void)select_rank_typical(s, &lse);
    keep_share(s, (double)p, true);
}

static void keep_top_p(struct sampler *s, float p)
{
    select_rank(s);
    keep_share(s, (double)p, false);
}

/* Scores of at least the best one's + log(min_p). */
static void keep_min_p(struct sampler *s, float p)
{
    select_from(s, s->score[select_best(s)] + (float)det_log((double)p));
}

int chain_llama_run(struct sampler *s, const struct rec_settings *set,
                    const struct process_input *in, struct idem_err *err)
{
    if ((set->repetition_penalty != 1.0 || set->frequency_penalty != 0.0 ||
         set->presence_penalty != 0.0) &&
        penalise(s, set, in->context, in->n_context, err) != 0)
        return -1;
    if (set->top_k != 0)
        select_exactly(s, set->top_k);
    if ((float)set->typical_p < 1.0f)
        keep_typical(s, (float)set->typical_p);
    if ((float)set->top_p < 1.0f)
        keep_top_p(s, (float)set->top_p);
    if ((float)set->min_p > 0.0f)
        keep_min_p(s, (float)set->min_p);
    if (process_sampling(set))
        return process_heat(s, set->temperature, err);
    select_exactly(s, 1);        /* temperature 0 leaves the best one alone */
    return 0;
}
