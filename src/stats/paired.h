/* SPDX-License-Identifier: MIT
 * Paired tests of two settings over the same prompts, and the correction for families of them. */
#ifndef STATS_PAIRED_H
#define STATS_PAIRED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* d[n]: one difference (B minus A) per prompt. All p-values are two-sided. Differences that are
 * exactly 0 are dropped (and counted); with none left p is 1. NaN or infinity is an error. */

/* Exact binomial test of n_plus against 1/2 (Conover 1999, §3.4). With differences of 0/1
 * outcomes this is McNemar's exact test. */
struct stat_sign { size_t n_plus, n_minus, n_zero; double p; };
int stat_sign_test(struct stat_sign *out, const double *d, size_t n, struct idem_err *err);

/* Signed ranks (Wilcoxon 1945, Biometrics Bull. 1:80), ties get mean ranks. Up to
 * STAT_WILCOXON_EXACT differences p is exact: the distribution of the rank sum over all 2^n signs
 * given the ranks, ties included (Hollander & Wolfe 1999, §3.1). Beyond: normal approximation
 * with the variance corrected for ties and a continuity correction of 1/2; exact is then false,
 * and whoever prints p says so. */
#define STAT_WILCOXON_EXACT 100
struct stat_wilcoxon {
    double w_plus, w_minus;   /* rank sums of the positive and of the negative differences */
    size_t n_used, n_zero;
    bool exact;
    double p;
};
int stat_wilcoxon(struct stat_wilcoxon *out, const double *d, size_t n, struct idem_err *err);

/* Holm's step-down adjustment of m p-values (Holm 1979, Scand. J. Stat. 6:65): adjusted[i] belongs
 * to p[i], at most 1, and adjusted[i] <= alpha rejects with the family's error held at alpha.
 * NaN entries (no test) are no members of the family and stay NaN. May be the same array. */
int stat_holm(double *adjusted, const double *p, size_t m, struct idem_err *err);

#endif
