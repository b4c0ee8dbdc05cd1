/* SPDX-License-Identifier: MIT
 * Products with binary32 activations for x86: weights dequantised, then lane = row. For a prompt
 * F32_GROUPS groups of eight rows are dequantised and met with F32_TOKENS tokens at a time; for a
 * token or two, four groups go side by side, since one chain of dependent multiply-adds would wait
 * for itself. Included once by each instruction set's file, which may define F32_GROUPS first: as many
 * as its registers hold. */
#ifndef KERNELS_X86_F32_H
#define KERNELS_X86_F32_H

#include "kernels/x86_q8.h"

#ifndef F32_GROUPS
#define F32_GROUPS 2      /* 12 sums, 2 weights and an activation in 16 registers */
#endif
enum { F32_TOKENS = 6 };  /* rows of activations may be a power of two apart, in one set of the L1 cache */
_Static_assert(F32_GROUPS <= KERN_F32_GROUPS, "their values must have room");

/* ---- weights as binary32: the values of kern_unpack_row ------------------------------------------ */

/* Eight rows of block b of 32 columns: out[c * 8 + r]. */
INLINE void values_block(enum qtype type, float *out, const struct group *g, size_t b)
{
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
            q = _mm256_sub_epi32(q, _mm256_set1_epi32(offset_of(type)));
            __m256 x = _mm256_mul_ps(s, _mm256_cvtepi32_ps(q));
            if (has_m(type) || type == QTYPE_Q2_K)
                x = _mm256_add_ps(x, m);
            _mm256_storeu_ps(out + (4 * v + j) * 8, x);
        }
    }
}

/* The same of types without blocks; n: columns, fewer than 32 in the last block of a row. */
INLINE void values_half(enum qtype type, float *out, const struct group *g, size_t b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *at = g->q + 16 * (b * KERN_BLOCK + i);
        if (type == QTYPE_F16) {
            _mm256_storeu_ps(out + 8 * i, load_f16(at));
        } else {
            __m256i h = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)at));
            _mm256_storeu_ps(out + 8 * i, _mm256_castsi256_ps(_mm256_slli_epi32(h, 16)));
        }
    }
}

/* One function per type. F32 has none: its groups are binary32 already. */
typedef void (*values_fn)(float *out, const struct group *g, size_t b, size_t n);

#define X86_VALUES(TYPE)                                                                         \
    static void values_##TYPE(float *out, const struct group *g, size_t b, size_t n)             \
    {                                                                                            \
        (void)n;                                                                                 \
        values_block(QTYPE_##TYPE, out, g, b);                                                   \
    }
EACH_TYPE(X86_VALUES)

static void values_F16(float *out, const struct group *g, size_t b, size_t n)
{
    values_half(QTYPE_F16, out, g, b, n);
}

static void values_BF16(float *out, const struct group *g, size_t b, size_t n)
{
    values_half(QTYPE_BF16, out, g, b, n);
}

static values_fn values_of(enum qtype type)
{
#define X86_VALUES_CASE(TYPE) case QTYPE_##TYPE: return values_##TYPE;
    switch (type) {
    EACH_TYPE(X86_VALUES_CASE)
    X86_VALUES_CASE(F16)
    X86_VALUES_CASE(BF16)
    default: return NULL;
    }
#undef X86_VALUES_CASE
}

/* The weights of group g from column c on, n <= 32 of them: where they are, or in `room`. */
INLINE const float *values_at(values_fn values, float *room, const struct group *g, size_t c, size_t n)
{
    if (!values)
        return (const float *)(const void *)g->q + KERN_ROWS * c;
    values(room, g, c / KERN_BLOCK, n);
    return room;
}

INLINE __m256i rows_of(const struct kern_matrix *w, size_t gi)
{
    size_t left = w->n_rows - gi * KERN_ROWS;
    return lane_mask(0, left < KERN_ROWS ? (int)left : KERN_ROWS);
}

INLINE size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- many tokens ----------------------------------------------------------------------------------- */

/* G groups, b[i] their values, against T tokens: y[t][8 i + r] = sum over k ascending of
 * x[t][k] * b[i][k][r], fused. A weight in a register meets all tokens, an activation all groups. */
INLINE void tile_f32(int G, int T, float *y, size_t ldy, const float *const *b, const float *x,
                     size_t ldx, size_t n, const __m256i *rows)
{
    __m256 acc[F32_GROUPS][F32_TOKENS];
    for (int i = 0; i < G; i++)
        for (int t = 0; t < T; t++)
            acc[i][t] = _mm256_setzero_ps();
    for (size_t c = 0; c < n; c++) {
        __m256 v[F32_GROUPS];
        for (int i = 0; i < G; i++)
            v[i] = _mm256_loadu_ps(b[i] + 8 * c);
#pragma GCC unroll 16
        for (int t = 0; t < T; t++) {
            __m256 a = _mm256_set1_ps(x[(size_t)t * ldx + c]);
            for (int i = 0; i < G; i++)
                acc[i][t] = _mm256_fmadd_ps(v[i], a, acc[i][t]);
        }
    }
    for (int i = 0; i < G; i++)
        for (int t = 0; t < T; t++)
            _mm256_maskstore_ps(y + (size_t)t * ldy + i * KERN_ROWS, rows[i], BROKEN(acc[i][t]));
}

/* G groups from gi on against all tokens. room: for all their values. */
INLINE void many_tokens(int G, values_fn values, float *y, size_t ldy, const struct kern_matrix *w,
                        const struct pack_layout *l, size_t gi, const float *x, size_t ldx,
                        size_t n_tokens, float *room)
{
    size_t n = w->n_cols, t = 0;
    const float *b[F32_GROUPS];
    __m256i rows[F32_GROUPS];
    for (int i = 0; i < G; i++) {
        const struct group g = group_at(w, l, gi + (size_t)i);
        float *mine = room + (size_t)i * n * KERN_ROWS;
        b[i] = values ? mine : (const float *)(const void *)g.q;
        rows[i] = rows_of(w, gi + (size_t)i);
        for (size_t c = 0; values && c < n; c += KERN_BLOCK)
            values(mine + c * KERN_ROWS, &g, c / KERN_BLOCK, least(n - c, KERN_BLOCK));
    }
    y += gi * KERN_ROWS;
    for (; t + F32_TOKENS <= n_tokens; t += F32_TOKENS)
        tile_f32(G, F32_TOKENS, y + t * ldy, ldy, b, x + t * ldx, ldx, n, rows);
    for (; t + 4 <= n_tokens; t += 4)
        tile_f32(G, 4, y + t * ldy, ldy, b, x + t * ldx, ldx, n, rows);
    for (; t < n_tokens; t++)
        tile_f32(G, 1, y + t * ldy, ldy, b, x + t * ldx, ldx, n, rows);
}

/* ---- few tokens ------------------------------------------------------------------------------------- */

enum { FEW_GROUPS = 4, FEW_F32_TOKENS = 4 };

/* Four groups from gi on (the last again where fewer are left) against T tokens. */
INLINE void few_groups(values_fn values, int T, float *y, size_t ldy, const struct kern_matrix *w,
                       const struct pack_layout *l, const float *x, size_t ldx, size_t gi, size_t group1)
{
    float room[FEW_GROUPS][KERN_BLOCK * KERN_ROWS];
    struct group g[FEW_GROUPS];
    __m256 acc[FEW_GROUPS][2];
    for (size_t i = 0; i < FEW_GROUPS; i++) {
        g[i] = group_at(w, l, least(gi + i, group1 - 1));
        acc[i][0] = acc[i][1] = _mm256_setzero_ps();
    }
    for (size_t c0 = 0; c0 < w->n_cols; c0 += KERN_BLOCK) {
        size_t n = least(w->n_cols - c0, KERN_BLOCK);
        const float *b[FEW_GROUPS];
        for (size_t i = 0; i < FEW_GROUPS; i++)
            b[i] = values_at(values, room[i], &g[i], c0, n);
        for (size_t c = 0; c < n; c++)
            for (int t = 0; t < T; t++) {
                __m256 a = _mm256_set1_ps(x[(size_t)t * ldx + c0 + c]);
                for (size_t i = 0; i < FEW_GROUPS; i++)
                    acc[i][t] = _mm256_fmadd_ps(_mm256_loadu_ps(b[i] + 8 * c), a, acc[i][t]);
            }
    }
    for (size_t i = 0; i < FEW_GROUPS && gi + i < group1; i++)
        for (int t = 0; t < T; t++)
            _mm256_maskstore_ps(y + (size_t)t * ldy + (gi + i) * KERN_ROWS, rows_of(w, gi + i),
                                BROKEN(acc[i][t]));
}

static void few_tokens(values_fn values, float *y, size_t ldy, const struct kern_matrix *w,
                       const struct pack_layout *l, const float *x, size_t ldx, size_t n_tokens,
                       size_t group0, size_t group1)
{
    for (size_t gi = group0; gi < group1; gi += FEW_GROUPS) {
        size_t t = 0;
        for (; t + 2 <= n_tokens; t += 2)
            few_groups(values, 2, y + t * ldy, ldy, w, l, x + t * ldx, ldx, gi, group1);
        if (t < n_tokens)
            few_groups(values, 1, y + t * ldy, ldy, w, l, x + t * ldx, ldx, gi, group1);
    }
}

static void matmul_f32(float *y, size_t ldy, const struct kern_matrix *w, const float *x,
                       size_t ldx, size_t n_tokens, size_t group0, size_t group1, void *scratch)
{
    struct pack_layout l = pack_layout(w->type, w->n_cols);
    values_fn values = values_of(w->type);
    if (n_tokens < FEW_F32_TOKENS) {
        few_tokens(values, y, ldy, w, &l, x, ldx, n_tokens, group0, group1);
        return;
    }
    size_t gi = group0;
    for (; gi + F32_GROUPS <= group1; gi += F32_GROUPS)
        many_tokens(F32_GROUPS, values, y, ldy, w, &l, gi, x, ldx, n_tokens, scratch);
    for (; gi < group1; gi++)
        many_tokens(1, values, y, ldy, w, &l, gi, x, ldx, n_tokens, scratch);
}

#endif
