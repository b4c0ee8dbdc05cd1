/* SPDX-License-Identifier: MIT
 * The processors that remove tokens by their probability, in Hugging Face's meaning.
 * Source: transformers 5.23 generation/logits_process.py.
 *
 * Each keeps at least min_keep tokens (1; more in a beam search that samples). Probabilities are
 * binary64 here (binary32 there). */
#include <math.h>

#include "base/detmath.h"
#include "sample/sampler.h"

#define WEIGHT_ONE 0x1p44

int32_t select_best(const struct sampler *s)
{
    return rank_best(s->score, s->alive, s->n_alive);
}

size_t select_exps(const struct sampler *s, size_t at, double base, double e[SELECT_EXPS])
{
    size_t n = s->n_alive - at < SELECT_EXPS ? s->n_alive - at : SELECT_EXPS;
    for (size_t j = 0; j < n; j++)
        e[j] = (double)s->score[s->alive[at + j]] - base;
    det_exp_many(e, n);
    return n;
}

/* The survivor with the k-th largest score, ties to the lowest id; 1 <= k <= n_alive. */
static int32_t kth_best(struct sampler *s, size_t k)
{
    if (k == 1)
        return select_best(s);
    float *packed = (float *)(void *)s->weight;   /* not in use yet; large enough */
    for (size_t i = 0; i < s->n_alive; i++)
        packed[i] = s->score[s->alive[i]];
    rank_top(s->heap, k, packed, s->n_alive);
    return s->alive[rank_id(s->heap[k - 1])];
}

void select_seen(struct sampler *s, bool keep)
{
    size_t m = 0;
    for (size_t i = 0; i < s->n_alive; i++) {
        int32_t id = s->alive[i];
        if ((s->seen[id] != 0) == keep)
            s->alive[m++] = id;
        s->seen[id] = 0;
    }
    s->n_alive = m;
}

uint64_t select_weigh(struct sampler *s)
{
    double max = (double)s->score[select_best(s)], e[SELECT_EXPS];
    uint64_t total = 0;
    for (size_t i = 0, n; (n = select_exps(s, i, max, e)) > 0; i += n)
        for (size_t j = 0; j < n; j++) {
            uint64_t weight = (uint64_t)(int64_t)(e[j] * WEIGHT_ONE);   /* signed: one instruction */
            s->weight[s->alive[i + j]] = weight;
            total += weight;
        }
    return total;
}

/* Entropy of the survivors in nats, and the log of the sum of e^score. */
static double entropy_of(const struct sampler *s, double *logsumexp)
{
    double max = (double)s->score[select_best(s)], sum = 0.0, dot = 0.0, e[SELECT_EXPS];
    for (size_t i = 0, n; (n = select_exps(s, i, max, e)) > 0; i += n)
        for (size_t j = 0; j < n; j++) {
            sum += e[j];
            dot += e[j] * ((double)s->score[s->alive[i + j]] - max);
        }
    *logsumexp = max + det_log(sum);
    return det_log(sum) - dot / sum;
}

void select_rank(struct sampler *s)
{
    for (size_t i = 0; i < s->n_alive; i++)
        s->heap[i] = rank_key(s->score[s->alive[i]], s->alive[i]);
    rank_heapify(s->heap, s->n_alive);
}

/* |information - entropy| of a score, rounded to binary32, so that what is equal but for rounding
 * ties. */
static float distance(float score, double lse, double entropy)
{
    return (float)fabs(lse - (double)score - entropy);
}

double select_rank_typical(struct sampler *s, double *logsumexp)
{
    double entropy = entropy_of(s, logsumexp);
    for (size_t i = 0; i < s->n_alive; i++) {
        int32_t id = s->alive[i];
        s->heap[i] = rank_key(-distance(s->score[id], *logsumexp, entropy), id);
    }
    rank_heapify(s->heap, s->n_alive);
    return entropy;
}

void select_exactly(struct sampler *s, size_t k)
{
    if (k >= s->n_alive)
        return;
    size_t n = s->n_alive;
    select_rank(s);
    for (; k > 0; k--) {
        s->seen[rank_id(s->heap[0])] = 1;
        rank_pop(s->heap, n--);
    }
    select_seen(s, true);
}

void select_from(struct sampler *s, float least)
{
    size_t m = 0;
    for (size_t i = 0; i < s->n_alive; i++)
        if (s->score[s->alive[i]] >= least)
            s->alive[m++] = s->alive[i];
    s->n_alive = m;
}

/* Removes scores below the k-th largest; what ties with it stays. */
void select_top_k(struct sampler *s, size_t k, size_t min_keep)
{
    if (k < min_keep)
        k = min_keep;
    if (k >= s->n_alive)
        return;
    select_from(s, s->score[kth_best(s, k)]);
}

/* From the least score up, among equals from the highest id down, removes tokens while the running
 * sum of probabilities is at most 1 - top_p; the best min_keep stay always.
 * A probability is an integer (select_weigh), so sums are exact and no order of addition exists.
 * From the best down that reads: keep a token while it and all below it weigh more than
 * (1 - top_p) of the whole. */
void select_top_p(struct sampler *s, double top_p, size_t min_keep)
{
    uint64_t total = select_weigh(s), left = total;
    uint64_t limit = (uint64_t)((1.0 - top_p) * (double)total);
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < s->n_alive; i++)
        if (s->weight[s->alive[i]] > 0 || min_keep > 1)
            s->heap[n++] = rank_key(s->score[s->alive[i]], s->alive[i]);
    rank_heapify(s->heap, n);
    for (; n > 0 && (kept < min_keep || left > limit); kept++) {
        int32_t id = rank_id(s->heap[0]);
        left -= s->weight[id];
        s->seen[id] = 1;
        rank_pop(s->heap, n--);
    }
    select_seen(s, true);
}

/* Removes the survivors that have less than p in probability times e^base, but not the best
 * min_keep, nor, with ties, what equals the last of them. */
static void remove_below(struct sampler *s, double base, double p, size_t min_keep, bool ties)
{
    int32_t last = kth_best(s, min_keep < s->n_alive ? min_keep : s->n_alive);
    float least = s->score[last];
    size_t m = 0;
    for (size_t i = 0; i < s->n_alive; i++) {
        int32_t id = s->alive[i];
        float x = s->score[id];
        if (x > least || (x == least && (ties || id <= last)) ||
            !(det_exp((double)x - base) < p))
            s->alive[m++] = id;
    }
    s->n_alive = m;
}

/* Removes what has less than min_p of the best one's probability. */
void select_min_p(struct sampler *s, double min_p, size_t min_keep)
{
    remove_below(s, (double)s->score[select_best(s)], min_p, min_keep, false);
}

/* Removes probabilities below epsilon. */
void select_epsilon(struct sampler *s, double epsilon, size_t min_keep)
{
    double lse;
    (void)entropy_of(s, &lse);
    remove_below(s, lse, epsilon, min_keep, true);
}

/* The same with min(epsilon, sqrt(epsilon) e^-entropy). */
void select_eta(struct sampler *s, double epsilon, size_t min_keep)
{
    double lse, entropy = entropy_of(s, &lse);
    double eta = sqrt(epsilon) * det_exp(-entropy);
    remove_below(s, lse, eta < epsilon ? eta : epsilon, min_keep, true);
}

/* In order of distance, the tokens before the mass is reached and the one that reaches it; and
 * all whose distance is no larger than that one's. */
void select_typical(struct sampler *s, double mass, size_t min_keep)
{
    double lse, entropy = select_rank_typical(s, &lse);
    double limit = mass * (double)select_weigh(s);
    size_t n = s->n_alive, kept = 0;
    uint64_t sum = 0;
    float last = 0;
    for (bool reached = false; n > 0 && (!reached || kept < min_keep); kept++) {
        int32_t id = rank_id(s->heap[0]);
        if (!reached)
            last = distance(s->score[id], lse, entropy);
        sum += s->weight[id];
        reached = reached || !((double)sum < limit);
        s->seen[id] = 1;
        rank_pop(s->heap, n--);
    }
    for (size_t i = 0; i < s->n_alive; i++)
        if (distance(s->score[s->alive[i]], lse, entropy) <= last)
            s->seen[s->alive[i]] = 1;
    select_seen(s, true);
}
