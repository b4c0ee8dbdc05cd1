/* SPDX-License-Identifier: MIT
 * The processors, in the order of Hugging Face's generate(): repetition_penalty,
 * no_repeat_ngram_size; with do_sample also temperature, top_k, top_p, min_p.
 *
 * Penalty and temperature are binary32 operations on binary32 scores with the setting rounded to
 * binary32, as torch does them, so that scores tie here exactly where they tie there. Probabilities
 * are binary64 here (binary32 there). */
#include <math.h>
#include <string.h>

#include "base/detmath.h"
#include "sample/sampler.h"

#define WEIGHT_ONE 0x1p44

/* Each distinct token of the context once: s < 0 ? s * penalty : s / penalty. Ids that the
 * vocabulary lacks cannot come out and are passed over. */
static int penalise(struct sampler *s, float penalty, size_t n_vocab, const int32_t *context,
                    size_t n_context, struct idem_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n_context; i++) {
        uint32_t id = (uint32_t)context[i];
        if (id >= n_vocab || s->seen[id])
            continue;
        s->seen[id] = 1;
        float x = s->score[id];
        float y = x < 0.0f ? x * penalty : x / penalty;
        if (!isfinite(y) && rc == 0)
            rc = err_set(err, IDEM_ERR_NUMERIC, "repetition_penalty %g takes the score %g of token "
                         "%u beyond the range of binary32; use a value nearer to 1",
                         (double)penalty, (double)x, id);
        s->score[id] = y;
    }
    for (size_t i = 0; i < n_context; i++)
        if ((uint32_t)context[i] < n_vocab)
            s->seen[context[i]] = 0;
    return rc;
}

/* Marks in seen every token that followed an earlier occurrence of the last n - 1 tokens. */
static void mark_repeats(struct sampler *s, size_t n, size_t n_vocab, const int32_t *context,
                         size_t n_context, uint8_t mark)
{
    if (n_context < n)
        return;
    const int32_t *last = context + (n_context - (n - 1));
    for (size_t i = 0; i + n <= n_context; i++) {
        uint32_t id = (uint32_t)context[i + n - 1];
        if (id < n_vocab && memcmp(context + i, last, (n - 1) * sizeof *last) == 0)
            s->seen[id] = mark;
    }
}

static int ban_repeats(struct sampler *s, size_t n, size_t n_vocab, const int32_t *context,
                       size_t n_context, struct idem_err *err)
{
    size_t m = 0;
    mark_repeats(s, n, n_vocab, context, n_context, 1);
    for (size_t i = 0; i < s->n_alive; i++)
        if (!s->seen[s->alive[i]])
            s->alive[m++] = s->alive[i];
    mark_repeats(s, n, n_vocab, context, n_context, 0);
    s->n_alive = m;
    if (m == 0)
        return err_set(err, IDEM_ERR_USAGE, "no_repeat_ngram_size %zu forbids all %zu tokens after "
                       "%zu tokens of context; use a larger size, or 0 for none", n, n_vocab,
                       n_context);
    return 0;
}

static int heat(struct sampler *s, double temperature, struct idem_err *err)
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

/* Removes scores below the k-th largest; what ties with it stays. */
static void keep_top_k(struct sampler *s, size_t k)
{
    if (k >= s->n_alive)
        return;
    float *packed = (float *)(void *)s->weight;   /* not in use yet; large enough */
    for (size_t i = 0; i < s->n_alive; i++)
        packed[i] = s->score[s->alive[i]];
    rank_top(s->heap, k, packed, s->n_alive);
    float least = packed[rank_id(s->heap[k - 1])];
    size_t m = 0;
    for (size_t i = 0; i < s->n_alive; i++)
        if (s->score[s->alive[i]] >= least)
            s->alive[m++] = s->alive[i];
    s->n_alive = m;
}

static float best_score(const struct sampler *s)
{
    float best = s->score[s->alive[0]];
    for (size_t i = 1; i < s->n_alive; i++)
        if (s->score[s->alive[i]] > best)
            best = s->score[s->alive[i]];
    return best;
}

/* From the least score up, among equals from the highest id down, removes tokens while the running
 * sum of probabilities is at most 1 - top_p; the best one stays always.
 * A probability is the integer floor(2^44 e^(s - max)), so sums are exact and no order of addition
 * exists. From the best down that reads: keep a token while it and all below it weigh more than
 * (1 - top_p) of the whole. */
static void keep_top_p(struct sampler *s, double top_p)
{
    double max = (double)best_score(s);
    uint64_t total = 0;
    size_t n = 0;
    for (size_t i = 0; i < s->n_alive; i++) {
        int32_t id = s->alive[i];
        uint64_t w = (uint64_t)(det_exp((double)s->score[id] - max) * WEIGHT_ONE);
        s->weight[id] = w;
        total += w;
        if (w > 0)
            s->heap[n++] = rank_key(s->score[id], id);
    }
    uint64_t limit = (uint64_t)((1.0 - top_p) * (double)total), left = total;
    rank_heapify(s->heap, n);
    for (bool first = true; n > 0 && (first || left > limit); first = false) {
        int32_t id = rank_id(s->heap[0]);
        left -= s->weight[id];
        s->seen[id] = 1;
        rank_pop(s->heap, n--);
    }
    size_t m = 0;
    for (size_t i = 0; i < s->n_alive; i++) {
        int32_t id = s->alive[i];
        if (s->seen[id])
            s->alive[m++] = id;
        s->seen[id] = 0;
    }
    s->n_alive = m;
}

/* Removes what has less than min_p of the best one's probability. */
static void keep_min_p(struct sampler *s, double min_p)
{
    double max = (double)best_score(s);
    size_t m = 0;
    for (size_t i = 0; i < s->n_alive; i++)
        if (!(det_exp((double)s->score[s->alive[i]] - max) < min_p))
            s->alive[m++] = s->alive[i];
    s->n_alive = m;
}

int process_run(struct sampler *s, const struct rec_settings *set, bool sampled,
                const float *logits, size_t n_vocab, const int32_t *context, size_t n_context,
                bool *changed, struct idem_err *err)
{
    memcpy(s->score, logits, n_vocab * sizeof *logits);
    for (size_t i = 0; i < n_vocab; i++)
        s->alive[i] = (int32_t)i;
    s->n_alive = n_vocab;
    *changed = set->repetition_penalty != 1.0 || set->no_repeat_ngram_size != 0;
    if (set->repetition_penalty != 1.0 &&
        penalise(s, (float)set->repetition_penalty, n_vocab, context, n_context, err) != 0)
        return -1;
    if (set->no_repeat_ngram_size != 0 &&
        ban_repeats(s, set->no_repeat_ngram_size, n_vocab, context, n_context, err) != 0)
        return -1;
    if (!sampled)
        return 0;
    if (set->temperature != 1.0 && heat(s, set->temperature, err) != 0)
        return -1;
    if (set->top_k != 0)
        keep_top_k(s, set->top_k);
    if (set->top_p < 1.0)
        keep_top_p(s, set->top_p);
    if (set->min_p > 0.0)
        keep_min_p(s, set->min_p);
    *changed |= set->temperature != 1.0 || s->n_alive < n_vocab;
    return 0;
}
