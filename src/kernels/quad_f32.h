/* SPDX-License-Identifier: MIT
 * Products with binary32 activations, four lanes: a group of eight rows is dequantised, then lane =
 * row. Included once by each instruction set's file. */
#ifndef KERNELS_QUAD_F32_H
#define KERNELS_QUAD_F32_H

#include "kernels/quad_q8.h"

/* ---- weights as binary32: the values of kern_unpack_row ------------------------------------------ */

/* Eight rows of block b of 32 columns: out[c * 8 + r]. */
INLINE void values_block(enum qtype type, float *out, const struct group *g, size_t b)
{
    for (size_t i = 0; i < 2; i++) {
        b16 u[8];
        struct scales k = load_scales(type, g->s, b, i);
        load_quants(type, g, b, i, u);
        for (int v = 0; v < 8; v++) {
            f4 s = has_sub(type) ? k.s * float4(k.sub[v / 4]) : k.s;
            f4 m = type == QTYPE_Q2_K ? k.m * float4(k.msub[v / 4]) : k.m;
            for (int j = 0; j < 4; j++) {
                i4 q = ((i4)((u4)u[v] << (24 - 8 * j)) >> 24) - offset_of(type);
                f4 x = s * float4(q);
                if (has_m(type) || type == QTYPE_Q2_K)
                    x = x + m;
                store4(out + (4 * v + j) * 8 + 4 * (int)i, x);
            }
        }
    }
}

/* Every column of a group; F32 has them already. */
INLINE const float *values_group(enum qtype type, float *out, const struct group *g, size_t n)
{
    if (type == QTYPE_F32)
        return (const float *)(const void *)g->q;
    if (type == QTYPE_F16) {
        for (size_t i = 0; i < 2 * n; i++)
            store4(out + 4 * i, load4_f16(g->q + 8 * i));
    } else if (type == QTYPE_BF16) {
        for (size_t i = 0; i < 8 * n; i++) {
            uint16_t h;
            __builtin_memcpy(&h, g->q + 2 * i, 2);
            out[i] = half_bf16_to_f32(h);
        }
    } else {
        for (size_t b = 0; b < n / KERN_BLOCK; b++)
            values_block(type, out + b * KERN_BLOCK * KERN_ROWS, g, b);
    }
    return out;
}

/* ---- products ------------------------------------------------------------------------------------- */

/* y[t][0..8) = sum over k ascending of x[t][k] * b[k][0..8), fused. */
INLINE void tile_f32(int T, float *y, size_t ldy, const float *b, const float *x, size_t ldx, size_t n,
                     size_t n_rows)
{
    f4 acc[4][2];
    for (int t = 0; t < T; t++)
        acc[t][0] = acc[t][1] = set4(0);
    for (size_t c = 0; c < n; c++) {
        f4 lo = load4(b + 8 * c), hi = load4(b + 8 * c + 4);
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) {
            f4 v = set4(x[(size_t)t * ldx + c]);
            acc[t][0] = fma4(lo, v, acc[t][0]);
            acc[t][1] = fma4(hi, v, acc[t][1]);
        }
    }
    for (int t = 0; t < T; t++)
        store_rows(y + (size_t)t * ldy, n_rows, acc[t][0], acc[t][1]);
}

static __attribute__((noinline)) void tokens_f32(float *y, size_t ldy, const float *b, const float *x,
                                                 size_t ldx, size_t n, size_t n_rows, size_t n_tokens)
{
    size_t t = 0;
    for (; t + 4 <= n_tokens; t += 4)
        tile_f32(4, y + t * ldy, ldy, b, x + t * ldx, ldx, n, n_rows);
    for (; t < n_tokens; t++)
        tile_f32(1, y + t * ldy, ldy, b, x + t * ldx, ldx, n, n_rows);
}

static void matmul_f32(float *y, size_t ldy, const struct kern_matrix *w, const float *x,
                       size_t ldx, size_t n_tokens, size_t group0, size_t group1, void *scratch)
{
    struct pack_layout l = pack_layout(w->type, w->n_cols);
    for (size_t gi = group0; gi < group1; gi++) {
        const struct group g = group_at(w, &l, gi);
        const float *b = NULL;
#define QUAD_VALUES_CASE(TYPE)                                                                   \
        case QTYPE_##TYPE:                                                                       \
            b = values_group(QTYPE_##TYPE, scratch, &g, w->n_cols);                              \
            break;
        switch (w->type) {
        EACH_TYPE(QUAD_VALUES_CASE)
        QUAD_VALUES_CASE(F32)
        QUAD_VALUES_CASE(F16)
        QUAD_VALUES_CASE(BF16)
        default: return;
        }
#undef QUAD_VALUES_CASE
        tokens_f32(y + gi * KERN_ROWS, ldy, b, x, ldx, w->n_cols, w->n_rows - gi * KERN_ROWS, n_tokens);
    }
}

#endif
