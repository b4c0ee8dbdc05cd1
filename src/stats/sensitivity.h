/* SPDX-License-Identifier: MIT
 * Published measures of how far results move between runs, settings or wordings of a prompt. */
#ifndef STATS_SENSITIVITY_H
#define STATS_SENSITIVITY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* ---- After Yuan et al. 2025, "Understanding and Mitigating Numerical Sources of Nondeterminism in
 * LLM Inference", arXiv:2506.09501, section 3. That section could not be consulted while this was
 * written, and the published code has no such computation: the three definitions are what their
 * names were understood to mean. Unconfirmed above all: the divisor n - 1, that positions end
 * before Div_Index, and that positions are averaged within a prompt first. */

/* Std@Acc: sample standard deviation (divisor n - 1) of the accuracies (or any other score) that n
 * runtime configurations reach on one task. NaN for n < 2, or when a score is NaN. */
double stat_std(const double *score, size_t n);

/* Div_Index of one prompt: the first position at which the token sequences of the k configurations
 * are not all the same, that is, the number of tokens that all have in common at the start. An
 * output that ends is the end of what is common. SIZE_MAX: all k are equal (k = 0 and 1 too); a
 * mean of indices leaves those out or treats them as censored (stat_survival). */
struct stat_tokens { const int32_t *ids; size_t n; };
size_t stat_div_index(const struct stat_tokens *seq, size_t k);

/* Avg_Std@top1_prob of one prompt: at each position before Div_Index the sample standard deviation
 * over k configurations of the probability that the model gave to the token that all of them chose;
 * then the mean over those positions. p[s * stride + t]: probability under configuration s at
 * position t < n_positions. NaN for k < 2 or n_positions = 0. The measure of a data set is the
 * mean over its prompts (stat_boot_mean gives it with an interval). */
double stat_std_top1(const double *p, size_t k, size_t stride, size_t n_positions);

/* ---- Prompt wording -------------------------------------------------------------------------- */

/* Prompt sensitivity psi of n wordings with one intent (Chatterjee et al. 2024, "POSIX", Findings
 * of EMNLP, arXiv:2410.02185, definition 3):
 *     psi = 1 / (n (n - 1)) * sum over i, j of | log P(y_j | x_i) - log P(y_j | x_j) | / L_j
 * logprob[i * n + j] = log P(y_j | x_i) in nats, y_j the response to wording j, L_j = n_tokens[j]
 * its tokens. (The authors' program divides by max_new_tokens in place of L_j; this follows the
 * paper.) POSIX of a data set is the mean of psi over its prompts. NaN for n < 2. An error: a
 * log-probability above 0 or NaN, minus infinity on the diagonal, a response without tokens.
 * Minus infinity elsewhere (the model cannot say this) gives infinity. */
int stat_posix(double *psi, const double *logprob, const uint32_t *n_tokens, size_t n,
               struct idem_err *err);

/* S of one prompt (Zhuo et al. 2024, "ProSA", Findings of EMNLP, arXiv:2410.12405): the mean of
 * |Y(p_i) - Y(p_j)| over all pairs of its n wordings, Y the correctness or a score in [0, 1]. PSS
 * of a data set is the mean of S over its prompts. NaN for n < 2. A score that is NaN, or outside
 * [0, 1], is an error. */
int stat_pss(double *s, const double *score, size_t n, struct idem_err *err);

/* Performance spread: highest minus lowest of n accuracies, e.g. over formats (Sclar et al. 2024,
 * arXiv:2310.11324). NaN for n = 0. It grows with n: compare at equal n only. */
double stat_range(const double *score, size_t n);

/* ---- Worst and best of k --------------------------------------------------------------------- */

/* The probability that k trials drawn without replacement from n, of which right are right, are
 * all right: C(right, k) / C(n, k). The unbiased estimate of p^k ("pass^k", Yao et al. 2024,
 * arXiv:2406.12045); at least one right ("pass@k", Chen et al. 2021, arXiv:2107.03374) is
 * 1 - stat_all_right(n - right, n, k). NaN for k > n or right > n; 1 for k = 0. */
double stat_all_right(uint32_t right, uint32_t n, uint32_t k);

/* Over prompts: worst is the expected share of prompts that are right in every one of k trials,
 * best in at least one, spread = best - worst. With k = n for every prompt these are the worst and
 * the best possible accuracy of Atil et al. 2024 (arXiv:2408.04667). Prompt i has n_right[i] of
 * n_trials[i]; prompts with fewer than k trials are left out (n_used counts the others; none: NaN).
 * An error: more right than trials, k = 0. */
struct stat_worst_best { double worst, best, spread; size_t n_used; };
int stat_worst_best(struct stat_worst_best *out, const uint32_t *n_right, const uint32_t *n_trials,
                    size_t n_prompts, uint32_t k, struct idem_err *err);

#endif
