/* SPDX-License-Identifier: MIT
 * Products with binary32 activations for x86: a group's eight rows dequantised, then lane = row.
 * Included once by each instruction set's file. */
#ifndef KERNELS_X86_F32_H
#define KERNELS_X86_F32_H

#include "kernels/x86_q8.h"

/* Eight rows of a group as binary32, out[c * 8 + r]; the values of kern_unpack_row. */
INLINE void values_quantised(enum qtype type, float *out, const struct group *g, size_t nb)
{
    int off = type == QTYPE_Q4_0 ? 8 : type == QTYPE_Q5_0 ? 16 : type == QTYPE_Q6_K ? 32
            : type == QTYPE_Q3_K ? 4 : 0;
    for (size_t b = 0; b < nb; b++) {
        __m256i u[8];
        struct scales k = load_scales(type, g->s, b);
        load_quants(type, g->q + b * q_bytes_of(type), g->h + b * h_bytes_of(type), u);
        for (int v = 0; v < 8; v++) {
            __m256 s = k.s, m = k.m;
            if (has_sub(type))
                s = _mm256_mul_ps(s, _mm256_cvtepi32_ps(_mm256_srai_epi32(k.sub[v / 4], 16)));
            if (type == QTYPE_Q2_K) {
                __m256i f = _mm256_srli_epi32(_mm256_slli_epi32(k.pair, v < 4 ? 16 : 0), 16);
                m = _mm256_mul_ps(m, _mm256_cvtepi32_ps(f));
            }
            for (int j = 0; j < 4; j++) {
                __m256i q = _mm256_srai_epi32(_mm256_slli_epi32(u[v], 24 - 8 * j), 24);
                q = _mm256_sub_epi32(q, _mm256_set1_epi32(off));
                __m256 x = _mm256_mul_ps(s, _mm256_cvtepi32_ps(q));
                if (has_m(type) || type == QTYPE_Q2_K)
                    x = _mm256_add_ps(x, m);
                _mm256_storeu_ps(out + (b * 32 + (size_t)(4 * v + j)) * 8, x);
            }
        }
    }
}

static void group_values(float *out, const struct kern_matrix *w, const struct pack_layout *l,
                         size_t gi)
{
    const uint8_t *at = w->data + gi * w->group_bytes;
    struct group g = {at, at + l->h_off, at + l->s_off};
    size_t nb = w->n_cols / KERN_BLOCK;
#define VALUES(TYPE) case QTYPE_##TYPE: values_quantised(QTYPE_##TYPE, out, &g, nb); break;
    switch (w->type) {
    X86_EACH_TYPE(VALUES)
    case QTYPE_F16:
        for (size_t c = 0; c < w->n_cols; c++)
            _mm256_storeu_ps(out + 8 * c, load_f16(at + 16 * c));
        break;
    default:                               /* BF16 */
        for (size_t c = 0; c < w->n_cols; c++) {
            __m256i h = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(at + 16 * c)));
            _mm256_storeu_ps(out + 8 * c, _mm256_castsi256_ps(_mm256_slli_epi32(h, 16)));
        }
    }
#undef VALUES
}

/* C[t][0..8) = sum over k ascending of A[t][k] * B[k][0..8), fused. */
INLINE void tile_f32(int T, float *y, size_t ldy, const float *b, const float *x, size_t ldx,
                     size_t n, __m256i rows)
{
    __m256 acc[8];
    for (int t = 0; t < T; t++)
        acc[t] = _mm256_setzero_ps();
    for (size_t c = 0; c < n; c++) {
        __m256 v = _mm256_loadu_ps(b + 8 * c);
        for (int t = 0; t < T; t++)
            acc[t] = _mm256_fmadd_ps(v, _mm256_set1_ps(x[(size_t)t * ldx + c]), acc[t]);
    }
    for (int t = 0; t < T; t++)
        _mm256_maskstore_ps(y + (size_t)t * ldy, rows, BROKEN(acc[t]));
}

static void matmul_f32(float *y, size_t ldy, const struct kern_matrix *w, const float *x,
                       size_t ldx, size_t n_tokens, size_t group0, size_t group1, void *scratch)
{
    struct pack_layout l = pack_layout(w->type, w->n_cols);
    for (size_t gi = group0; gi < group1; gi++) {
        const float *b = (const float *)(w->data + gi * w->group_bytes);
        if (w->type != QTYPE_F32) {
            group_values(scratch, w, &l, gi);
            b = scratch;
        }
        size_t row = gi * KERN_ROWS, left = w->n_rows - row, n = w->n_cols, t = 0;
        __m256i rows = lane_mask(0, left < KERN_ROWS ? (int)left : KERN_ROWS);
        for (; t + 8 <= n_tokens; t += 8)
            tile_f32(8, y + t * ldy + row, ldy, b, x + t * ldx, ldx, n, rows);
        for (; t + 4 <= n_tokens; t += 4)
            tile_f32(4, y + t * ldy + row, ldy, b, x + t * ldx, ldx, n, rows);
        for (; t < n_tokens; t++)
            tile_f32(1, y + t * ldy + row, ldy, b, x + t * ldx, ldx, n, rows);
    }
}

#endif
