/* SPDX-License-Identifier: MIT
 * Paired tests of two settings over the same prompts, and the correction for families of them. */
#ifndef STATS_PAIRED_H
#define STATS_PAIRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* Benjamini & Hochberg's step-up adjustment (1995, J. R. Stat. Soc. B 57:289): rejecting all
 * adjusted[i] <= q holds the expected share of false rejections at q, for independent tests (and
 * positively dependent ones: Benjamini & Yekutieli 2001). NaN as above. May be the same array. */
int stat_benjamini_hochberg(double *adjusted, const double *p, size_t m, struct idem_err *err);

/* McNemar's test of paired 0/1 outcomes (McNemar 1947, Psychometrika 12:153): n_plus prompts went
 * from 0 to 1, n_minus from 1 to 0; those that stayed do not enter. exact: twice the binomial tail,
 * at most 1, never above its size and often far below. mid_p: the same less the probability of the
 * table itself, near its size (Fagerland, Lydersen & Laake 2013, BMC Med. Res. Methodol. 13:91).
 * One trial per prompt: with repeats compare their means by stat_permute. */
struct stat_mcnemar { double exact, mid_p; };
struct stat_mcnemar stat_mcnemar(size_t n_plus, size_t n_minus);

/* Permutation test, paired by prompt: under the null hypothesis the two settings are exchangeable
 * within a prompt, so that each difference has either sign (Fisher 1935; Pitman 1937). The
 * statistic is |sum of d|. d[i]: difference of the two means of prompt i, so that repeats stay
 * within their prompt. Up to STAT_PERMUTE_EXACT non-zero differences all signs are enumerated;
 * beyond, n_samples of them are drawn, and p = (hits + 1) / (n_samples + 1) (Phipson & Smyth 2010,
 * Stat. Appl. Genet. Mol. Biol. 9:39), which holds its size. Zeros stay in n and have no sign.
 * Sums within 1e-9 of the sum of |d| of the observed one count as ties. No difference: p = 1. */
#define STAT_PERMUTE_EXACT 20
struct stat_permute { double mean, p; size_t n, n_zero; bool exact; };
int stat_permute(struct stat_permute *out, const double *d, size_t n, uint64_t seed,
                 uint32_t n_samples, struct idem_err *err);

#endif
