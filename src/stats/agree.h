/* SPDX-License-Identifier: MIT
 * How far outputs of one prompt agree: classes, agreement rates, first divergence, survival. */
#ifndef STATS_AGREE_H
#define STATS_AGREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "stats/interval.h"

/* An output that has no answer to compare (parsing failed): it agrees with nothing, not even
 * with another one like it. */
#define STAT_NO_CLASS UINT32_MAX

struct stat_bytes { const void *data; size_t len; };

/* Equal byte strings get one class, numbered 0, 1, ... by first appearance; an item with
 * data == NULL gets STAT_NO_CLASS (an empty text needs a non-NULL pointer). cls[n] is written.
 * Returns -1 when memory is short. */
int stat_classes(uint32_t *cls, const struct stat_bytes *items, size_t n, struct idem_err *err);

/* The outputs of one prompt under one setting. */
struct stat_agree {
    size_t n;              /* outputs */
    size_t n_distinct;     /* classes; each STAT_NO_CLASS counts as one of its own */
    uint32_t modal;        /* class with most outputs, ties to the lowest; STAT_NO_CLASS: none has one */
    size_t n_modal;        /* its outputs */
    double modal_share;    /* n_modal / n; NaN for n = 0 */
    double pairwise;       /* share of the n (n-1) / 2 pairs that are equal; NaN for n < 2 */
    bool all_same;         /* n >= 1 and n_distinct = 1 (a sole STAT_NO_CLASS: false) */
};
int stat_agree(struct stat_agree *out, const uint32_t *cls, size_t n, struct idem_err *err);

/* Total agreement rate over prompts: the share of prompts all of whose outputs are in one class.
 * TARr when classes are raw outputs, TARa when they are parsed answers.
 * Atil et al. 2024, arXiv:2408.04667. Prompt i has cls[start[i] .. start[i+1]); start has
 * n_prompts + 1 entries, ascending. A prompt with fewer than two outputs says nothing about
 * agreement and is left out of n. */
struct stat_tar {
    size_t n_same, n;
    double rate;                  /* n_same / n; NaN for n = 0 */
    struct stat_interval wilson;  /* at the confidence asked for */
};
int stat_tar(struct stat_tar *out, const uint32_t *cls, const size_t *start, size_t n_prompts,
             double confidence, struct idem_err *err);

/* The first index at which the sequences differ; the shorter length if one begins the other;
 * SIZE_MAX if they are equal. */
size_t stat_divergence(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b);

/* Survival of "still identical". For output i of n: parted[i] true: its token with number time[i]
 * (counted from 1, that is, stat_divergence + 1) is the first that differs from the reference;
 * false: time[i] tokens were compared and all are equal (it ended: censored). s(t) estimates the
 * probability that the first t tokens are identical.
 * Product-limit estimate (Kaplan & Meier 1958, J. Am. Stat. Assoc. 53:457), an event at t before
 * a censoring at t; interval from Greenwood's variance on the log(-log) scale (Kalbfleisch &
 * Prentice 2002, §1.4), NaN where s is 0 or 1: fit for many events. beta_low, beta_high: the beta
 * product interval (Fay, Brittain & Proschan 2013, Biostatistics 14:723, by their method of
 * moments), which holds for small n, for s = 0 and for s = 1, and is Clopper & Pearson's where
 * nothing is censored before t; a censoring at t is taken to be after t. Both take outputs as
 * independent: feed one output per prompt, or read them as too narrow. */
struct stat_survival {
    uint64_t t;
    size_t n_risk, n_parted, n_censored;   /* at risk just before t; at t */
    double s, low, high;                   /* just after t */
    double beta_low, beta_high;
};
/* points has room for n; one point per distinct time, ascending; *n_points of them. */
int stat_survival(struct stat_survival *points, size_t *n_points, const uint64_t *time,
                  const bool *parted, size_t n, double confidence, struct idem_err *err);

#endif
