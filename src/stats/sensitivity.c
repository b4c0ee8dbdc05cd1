/* SPDX-License-Identifier: MIT
 * Std@Acc, Div_Index, Avg_Std@top1_prob, POSIX, PSS, spreads. */
#include "stats/sensitivity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stats/stats_impl.h"

double stat_std(const double *score, size_t n)
{
    if (n < 2)
        return NAN;
    return sqrt(stat_squares(score, n, stat_mean(score, n)) / (double)(n - 1));
}

size_t stat_div_index(const struct stat_tokens *seq, size_t k)
{
    if (k == 0)
        return SIZE_MAX;
    for (size_t t = 0;; t++) {
        size_t n_ended = 0;
        for (size_t s = 0; s < k; s++)
            n_ended += t >= seq[s].n;
        if (n_ended)
            return n_ended == k ? SIZE_MAX : t;
        for (size_t s = 1; s < k; s++)
            if (seq[s].ids[t] != seq[0].ids[t])
                return t;
    }
}

double stat_std_top1(const double *p, size_t k, size_t stride, size_t n_positions)
{
    if (k < 2 || n_positions == 0)
        return NAN;
    double sum = 0.0;
    for (size_t t = 0; t < n_positions; t++) {
        double first = p[t], m = 0.0, squares = 0.0;
        for (size_t s = 0; s < k; s++)
            m += p[s * stride + t] - first;
        m = first + m / (double)k;
        for (size_t s = 0; s < k; s++)
            squares += (p[s * stride + t] - m) * (p[s * stride + t] - m);
        sum += sqrt(squares / (double)(k - 1));
    }
    return sum / (double)n_positions;
}

int stat_posix(double *psi, const double *logprob, const uint32_t *n_tokens, size_t n,
               struct idem_err *err)
{
    *psi = NAN;
    double sum = 0.0;
    for (size_t j = 0; j < n; j++) {
        double own = logprob[j * n + j];
        if (n_tokens[j] == 0)
            return err_set(err, IDEM_ERR_USAGE, "response %zu has no tokens; POSIX divides by "
                           "their number, leave it out", j);
        for (size_t i = 0; i < n; i++) {
            double other = logprob[i * n + j];
            if (!(other <= 0.0) || !isfinite(own))
                return err_set(err, IDEM_ERR_NUMERIC, "log P(response %zu | wording %zu) is %g",
                               j, i, other <= 0.0 ? own : other);
            sum += fabs(other - own) / (double)n_tokens[j];
        }
    }
    if (n >= 2)
        *psi = sum / ((double)n * (double)(n - 1));
    return 0;
}

/* Sorted, the gap between neighbours i and i + 1 counts in (i + 1) (n - 1 - i) pairs. */
int stat_pss(double *s, const double *score, size_t n, struct idem_err *err)
{
    *s = NAN;
    for (size_t i = 0; i < n; i++)
        if (!(score[i] >= 0.0 && score[i] <= 1.0))
            return err_set(err, IDEM_ERR_NUMERIC, "score %zu is %g, not between 0 and 1", i,
                           score[i]);
    if (n < 2)
        return 0;
    double *v = calloc(n, sizeof *v);
    if (!v)
        return err_memory(err, "prompt sensitivity", n * sizeof *v);
    memcpy(v, score, n * sizeof *v);
    qsort(v, n, sizeof *v, stat_by_double);
    double sum = 0.0;
    for (size_t i = 0; i + 1 < n; i++)
        sum += (v[i + 1] - v[i]) * ((double)(i + 1) * (double)(n - 1 - i));
    free(v);
    *s = sum / (0.5 * (double)n * (double)(n - 1));
    return 0;
}

double stat_range(const double *score, size_t n)
{
    if (n == 0)
        return NAN;
    double low = score[0], high = score[0];
    for (size_t i = 0; i < n; i++) {
        if (score[i] != score[i])
            return NAN;
        low = score[i] < low ? score[i] : low;
        high = score[i] > high ? score[i] : high;
    }
    return high - low;
}

double stat_all_right(uint32_t right, uint32_t n, uint32_t k)
{
    if (k > n || right > n)
        return NAN;
    if (k > right)
        return 0.0;
    double p = 1.0;
    for (uint32_t i = 0; i < k; i++)
        p *= (double)(right - i) / (double)(n - i);
    return p;
}

int stat_worst_best(struct stat_worst_best *out, const uint32_t *n_right, const uint32_t *n_trials,
                    size_t n_prompts, uint32_t k, struct idem_err *err)
{
    *out = (struct stat_worst_best){NAN, NAN, NAN, 0};
    if (k == 0)
        return err_set(err, IDEM_ERR_USAGE, "worst of 0 trials: k must be at least 1");
    double worst = 0.0, best = 0.0;
    for (size_t i = 0; i < n_prompts; i++) {
        if (n_right[i] > n_trials[i])
            return err_set(err, IDEM_ERR_USAGE, "prompt %zu has %u right of %u trials", i,
                           n_right[i], n_trials[i]);
        if (n_trials[i] < k)
            continue;
        worst += stat_all_right(n_right[i], n_trials[i], k);
        best += 1.0 - stat_all_right(n_trials[i] - n_right[i], n_trials[i], k);
        out->n_used++;
    }
    if (out->n_used) {
        out->worst = worst / (double)out->n_used;
        out->best = best / (double)out->n_used;
        out->spread = out->best - out->worst;
    }
    return 0;
}
