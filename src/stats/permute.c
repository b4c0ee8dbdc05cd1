/* SPDX-License-Identifier: MIT
 * McNemar's test and the permutation test of paired differences. */
#include <math.h>
#include <stdlib.h>

#include "stats/interval.h"
#include "stats/paired.h"
#include "stats/rng.h"
#include "stats/stats_impl.h"

/* P(X <= k), X binomial with n fair coins. */
static double half_cdf(double k, double n)
{
    return k < 0.0 ? 0.0 : k >= n ? 1.0 : stat_beta_cdf(0.5, n - k, k + 1.0);
}

struct stat_mcnemar stat_mcnemar(size_t n_plus, size_t n_minus)
{
    double n = (double)n_plus + (double)n_minus;
    double less = (double)(n_plus < n_minus ? n_plus : n_minus);
    double at_most = half_cdf(less, n), below = half_cdf(less - 1.0, n);
    struct stat_mcnemar m = {2.0 * at_most, at_most + below};
    if (n_plus == n_minus)   /* half of all is on either side of the table, less half of its own */
        return (struct stat_mcnemar){1.0, 1.0};
    m.exact = m.exact < 1.0 ? m.exact : 1.0;
    return m;
}

/* Sign patterns with |sum| >= least, of all 2^m: Gray code, so that one sign changes at a time. */
static double enumerate(const double *d, size_t m, double least)
{
    double sum = 0.0, hits = 0.0;
    bool minus[STAT_PERMUTE_EXACT] = {false};
    for (size_t i = 0; i < m; i++)
        sum += d[i];
    for (uint32_t g = 1;; g++) {
        hits += fabs(sum) >= least;
        if (g == (uint32_t)1 << m)
            break;
        size_t bit = 0;
        while (!(g >> bit & 1))
            bit++;
        sum += minus[bit] ? 2.0 * d[bit] : -2.0 * d[bit];
        minus[bit] = !minus[bit];
    }
    return hits / (double)((uint32_t)1 << m);
}

static double sample(const double *d, size_t m, double least, uint64_t seed, uint32_t n_samples)
{
    struct stat_rng rng;
    stat_rng_init(&rng, seed);
    double hits = 0.0;
    for (uint32_t s = 0; s < n_samples; s++) {
        double sum = 0.0;
        uint32_t signs = 0;
        for (size_t i = 0; i < m; i++, signs >>= 1) {
            if (i % 16 == 0)
                signs = stat_rng_below(&rng, 65536);
            sum += signs & 1 ? -d[i] : d[i];
        }
        hits += fabs(sum) >= least;
    }
    return (hits + 1.0) / ((double)n_samples + 1.0);
}

int stat_permute(struct stat_permute *out, const double *d, size_t n, uint64_t seed,
                 uint32_t n_samples, struct idem_err *err)
{
    *out = (struct stat_permute){.mean = NAN, .p = NAN, .n = n};
    if (stat_check_finite(d, n, "difference", err) != 0)
        return -1;
    double *v = calloc(n ? n : 1, sizeof *v);
    if (!v)
        return err_memory(err, "the permutation test", n * sizeof *v);
    size_t m = 0;
    double sum = 0.0, sizes = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (d[i] == 0.0)
            continue;
        v[m++] = d[i];
        sum += d[i];
        sizes += fabs(d[i]);
    }
    int rc = 0;
    double least = fabs(sum) - 1e-9 * sizes;
    out->n_zero = n - m;
    out->mean = n ? sum / (double)n : NAN;
    out->exact = m <= STAT_PERMUTE_EXACT;
    if (out->exact)
        out->p = enumerate(v, m, least);
    else if (n_samples < 100)
        rc = err_set(err, IDEM_ERR_USAGE, "%u sign patterns are too few for a p-value; take at "
                     "least 100", n_samples);
    else
        out->p = sample(v, m, least, seed, n_samples);
    free(v);
    return rc;
}
