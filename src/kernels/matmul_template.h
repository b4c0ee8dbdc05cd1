/* SPDX-License-Identifier: MIT
 * matmul_q8 out of tiles. Included once by an instruction set's file, which first defines
 *
 *   tile_q8(type, T, y, ldy, g, nb, x, n_rows, next)
 *       MATMUL_GROUPS groups g[] of rows, of which n_rows are stored, against T tokens; next: what to
 *       prefetch() meanwhile
 *   MATMUL_GROUPS, MATMUL_TILES   such as TILE(4) TILE(1), the largest first: MATMUL_TOKENS */
#ifndef KERNELS_MATMUL_TEMPLATE_H
#define KERNELS_MATMUL_TEMPLATE_H

#include "kernels/simd.h"

enum { TOKENS_KEPT_BYTES = 192 * 1024 };   /* of activations that should stay in the L2 cache */

/* Where too few groups are left for a tile, its first one stands in for the others, whose rows are
 * not stored. */
INLINE void matmul_type(enum qtype type, float *y, size_t ldy, const struct kern_matrix *w,
                        const struct kern_q8 *x, size_t n_tokens, size_t group0, size_t group1)
{
    struct pack_layout l = pack_layout(type, w->n_cols);
    size_t nb = w->n_cols / KERN_BLOCK, set_bytes = MATMUL_GROUPS * l.group_bytes;
    size_t step = TOKENS_KEPT_BYTES / (nb * sizeof *x) / MATMUL_TOKENS * MATMUL_TOKENS;
    if (step < MATMUL_TOKENS)
        step = MATMUL_TOKENS;
    for (size_t t0 = 0; t0 < n_tokens; t0 += step) {
        size_t t1 = n_tokens - t0 < step ? n_tokens : t0 + step;
        for (size_t gi = group0; gi < group1; gi += MATMUL_GROUPS) {
            struct group g[MATMUL_GROUPS];
            size_t row = gi * KERN_ROWS, left = w->n_rows - row, t = t0;
            size_t n = group1 - gi < MATMUL_GROUPS ? group1 - gi : MATMUL_GROUPS;
            for (size_t i = 0; i < MATMUL_GROUPS; i++)
                g[i] = group_at(w, &l, i < n ? gi + i : gi);
            n = left < n * KERN_ROWS ? left : n * KERN_ROWS;
            bool more = left >= 2 * MATMUL_GROUPS * KERN_ROWS;
            struct ahead next = ahead_of(more ? g[0].q + set_bytes : NULL, set_bytes, nb);
#define TILE(T)                                                                                  \
            for (; t + (T) <= t1; t += (T), next.at = NULL)                                      \
                tile_q8(type, T, y + t * ldy + row, ldy, g, nb, x + t * nb, n, next);
            MATMUL_TILES
#undef TILE
        }
    }
}

#define MATMUL_FUNCTION(TYPE)                                                                    \
    static void matmul_##TYPE(float *y, size_t ldy, const struct kern_matrix *w,                 \
                              const struct kern_q8 *x, size_t n_tokens, size_t group0,           \
                              size_t group1)                                                     \
    {                                                                                            \
        matmul_type(QTYPE_##TYPE, y, ldy, w, x, n_tokens, group0, group1);                       \
    }
EACH_TYPE(MATMUL_FUNCTION)

static void matmul_q8(float *y, size_t ldy, const struct kern_matrix *w, const struct kern_q8 *x,
                      size_t n_tokens, size_t group0, size_t group1)
{
#define MATMUL_CASE(TYPE)                                                                        \
    case QTYPE_##TYPE:                                                                           \
        matmul_##TYPE(y, ldy, w, x, n_tokens, group0, group1);                                   \
        break;
    switch (w->type) {
    EACH_TYPE(MATMUL_CASE)
    default: break;
    }
#undef MATMUL_CASE
}

#endif
