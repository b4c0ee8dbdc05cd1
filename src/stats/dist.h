/* SPDX-License-Identifier: MIT
 * Entropy, margin and divergences of next-token distributions of which only the top is known, and
 * semantic entropy over answers. */
#ifndef STATS_DIST_H
#define STATS_DIST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "stats/interval.h"

/* What is known of a distribution over n_vocab tokens: n tokens with their log-probabilities (nats),
 * in any order, ids distinct and below n_vocab, the most probable tokens of all; n = n_vocab: all of
 * it. tail: the mass of the others; NaN: 1 minus the sum of the known ones, not below 0. 0: no other
 * token can come (a cut by top-k). Every unknown token has at most the least known probability.
 *
 * Results are intervals [low, high] that hold whatever the unknown part is; low = high (up to the
 * rounding of the sums) when nothing is unknown. Errors (-1): n = 0, a log-probability above 1e-4
 * or NaN, a sum above 1 + 1e-3, a doubled id, a tail that is not in [0, 1], does not fit the sum
 * within 1e-3, or is more than the unknown tokens can hold. */
struct stat_dist {
    const int32_t *ids;
    const double *logprob;
    size_t n, n_vocab;
    double tail;
};

/* Shannon entropy in nats. low: the tail's mass on as few tokens as the least known probability
 * allows; high: spread evenly over all unknown tokens. */
int stat_entropy(struct stat_interval *out, const struct stat_dist *d, struct idem_err *err);

/* Best minus second best log-probability, nats. With n >= 2 exact. With n = 1 the second lies
 * between the even spread of the tail and all that it can hold. n_vocab = 1: infinite. */
int stat_margin(struct stat_interval *out, const struct stat_dist *d, struct idem_err *err);

/* Kullback-Leibler divergence KL(p || q) in nats. low: the tokens that either side does not know
 * are lumped into one (no lumping can raise a divergence: the data processing inequality; Cover &
 * Thomas 2006, 2.8). high: infinite as soon as p may have mass where q is unknown, since q may be 0
 * there; else the greatest value over all tails of p, which is attained (a convex function, at a
 * corner: the tail's mass on the tokens that q holds least probable). */
int stat_kl(struct stat_interval *out, const struct stat_dist *p, const struct stat_dist *q,
            struct idem_err *err);

/* Jensen-Shannon divergence in nats, in [0, ln 2] (Lin 1991, IEEE Trans. Inf. Theory 37:145).
 * low: lumped as above; high: what only one side knows, and both tails, taken as disjoint. */
int stat_js(struct stat_interval *out, const struct stat_dist *p, const struct stat_dist *q,
            struct idem_err *err);

/* Entropy of the classes of n answers, nats (Farquhar, Kossen, Kuhn & Gal 2024, Nature 630:625;
 * classes are answers that mean the same, here: that parse to the same).
 *
 * discrete: -sum of f ln f, f the share of answers in a class (their "discrete semantic entropy").
 * With few answers it is too low, by about (classes - 1) / (2 n): miller_madow adds that (Miller
 * 1955). weighted: f is the class's share of the sum of exp(logprob); logprob (nats) of each
 * sequence, whole or per token as the caller has it. The paper sums over distinct sequences: pass
 * one of each; with logprob NULL weighted is NaN. A class STAT_NO_CLASS (no answer) is a class of
 * its own each time. n = 0: NaN. A log-probability that is NaN or above 0, or none above minus
 * infinity, is an error. */
struct stat_semantic { double discrete, miller_madow, weighted; size_t n_classes; };
int stat_semantic_entropy(struct stat_semantic *out, const uint32_t *cls, const double *logprob,
                          size_t n, struct idem_err *err);

#endif
