/* SPDX-License-Identifier: MIT
 * Edit distance between token sequences. */
#ifndef STATS_EDIT_H
#define STATS_EDIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Levenshtein distance: the least number of insertions, deletions and substitutions of one token
 * that turn a into b (Levenshtein 1966, Sov. Phys. Dokl. 10:707). Bit-parallel over blocks of 64
 * tokens (Myers 1999, J. ACM 46:395; blocks after Hyyro 2003, Nordic J. Comput. 10:29), so
 * n_a * n_b / 64 steps: two outputs of 100,000 tokens take about a second. Either may be empty.
 * Returns -1 when memory is short. */
int stat_edit_distance(size_t *out, const int32_t *a, size_t n_a, const int32_t *b, size_t n_b,
                       struct idem_err *err);

/* The distance over the longer length, in [0, 1]: 0 for equal sequences (two empty ones too), 1
 * when no token stays. */
int stat_edit_share(double *out, const int32_t *a, size_t n_a, const int32_t *b, size_t n_b,
                    struct idem_err *err);

#endif
