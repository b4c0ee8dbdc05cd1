/* SPDX-License-Identifier: MIT
 * Quantised matrices and activations, four lanes: a lane is an output row, so no lane ever meets
 * another; a group of eight rows is two halves. Included once by each instruction set's file. */
#ifndef KERNELS_QUAD_Q8_H
#define KERNELS_QUAD_Q8_H

#include <math.h>

#include "base/half.h"
#include "kernels/quad.h"

/* ---- quantised weights ------------------------------------------------------------------------ */

/* The scales of one block for four rows: value = integer * s + m. Types with scales of 16 columns:
 * sub[i] is that of columns 16i..16i+15; msub the same for m. */
struct scales { f4 s, m; i4 sub[2], msub[2]; };

INLINE i4 load4_i8(const uint8_t *p)
{
    return (i4)((u4)load4_u8(p) << 24) >> 24;
}

/* Of rows 4 i to 4 i + 3. */
INLINE struct scales load_scales(enum qtype type, const uint8_t *s, size_t b, size_t i)
{
    struct scales k = {.m = set4(0), .sub = {set4_i(1), set4_i(1)}, .msub = {set4_i(1), set4_i(1)}};
    size_t j = b % 8;
    if (type == QTYPE_Q4_K || type == QTYPE_Q5_K) {
        s += b / 8 * 160;
        const uint8_t *sc = s + 32 + 16 * j + 4 * i;
        k.s = load4_f16(s + 8 * i) * float4(load4_u8(sc));
        k.m = negate4(load4_f16(s + 16 + 8 * i) * float4(load4_u8(sc + 8)));
    } else if (type == QTYPE_Q3_K || type == QTYPE_Q6_K) {
        s += b / 8 * 144;
        k.s = load4_f16(s + 8 * i);
        for (size_t n = 0; n < 2; n++)
            k.sub[n] = load4_i8(s + 16 + 16 * j + 8 * n + 4 * i);
    } else if (type == QTYPE_Q2_K) {
        s += b / 8 * 160;
        k.s = load4_f16(s + 8 * i);
        k.m = negate4(load4_f16(s + 16 + 8 * i));
        for (size_t n = 0; n < 2; n++) {
            i4 x = load4_u8(s + 32 + 16 * j + 8 * n + 4 * i);
            k.sub[n] = x & 15;
            k.msub[n] = x >> 4;
        }
    } else if (type == QTYPE_IQ4_XS) {
        s += b / 8 * 80;
        k.s = load4_f16(s + 8 * i) * float4(load4_i8(s + 16 + 8 * j + 4 * i));
    } else if (has_m(type)) {
        k.s = load4_f16(s + 32 * b + 8 * i);
        k.m = load4_f16(s + 32 * b + 16 + 8 * i);
    } else {
        k.s = load4_f16(s + 16 * b + 8 * i);
    }
    return k;
}

/* The 32 columns of rows 4 i to 4 i + 3 as bytes: u[v] has columns 4v..4v+3 of a row in its lane.
 * Unsigned, offset not subtracted; Q8_0 and IQ4: signed. */
INLINE void load_quants(enum qtype type, const struct group *g, size_t b, size_t i, b16 u[8])
{
    const uint8_t *q = g->q + b * q_bytes_of(type) + 16 * i, *h = g->h + b * h_bytes_of(type) + 16 * i;
    for (int v = 0; v < 8; v++) {
        if (type == QTYPE_Q8_0)
            u[v] = load16_u8(q + 32 * v);
        else if (q_bytes_of(type) == 64)
            u[v] = (load16_u8(q + 32 * (v / 4)) >> (uint8_t)(2 * (v % 4))) & 3;
        else if (v < 4)
            u[v] = load16_u8(q + 32 * v) & 15;
        else
            u[v] = load16_u8(q + 32 * (v - 4)) >> 4;
        if (type == QTYPE_IQ4_NL || type == QTYPE_IQ4_XS)
            u[v] = lookup16(load16_u8((const uint8_t *)PACK_IQ4), u[v]);
        else if (h_bytes_of(type) == 32)
            u[v] |= ((load16_u8(h) >> (uint8_t)v) & 1) << (uint8_t)(type == QTYPE_Q3_K ? 2 : 4);
        else if (h_bytes_of(type) == 64)
            u[v] |= ((load16_u8(h + 32 * (v / 4)) >> (uint8_t)(2 * (v % 4))) & 3) << 4;
    }
}

/* k times the block's sums of 16 activations each. */
INLINE i4 dot_sums(const i4 k[2], const struct kern_q8 *a)
{
    return k[0] * a->sum16[0] + k[1] * a->sum16[1];
}

/* Exact integer dot of one block for four rows. */
INLINE i4 dot_block(enum qtype type, const b16 u[8], const struct scales *k, const struct spread *x,
                    const struct kern_q8 *a)
{
    if (is_signed(type))
        return dot32_signed(u, x);
    if (has_sub(type)) {
        i4 sum = dot32_sub(type == QTYPE_Q6_K, u, x, k->sub);
        return offset_of(type) ? sum - dot_sums(k->sub, a) * offset_of(type) : sum;
    }
    return dot32(u, x) - offset_of(type) * a->sum;
}

/* ---- products ------------------------------------------------------------------------------------ */

/* The first n of eight rows. */
INLINE void store_rows(float *y, size_t n, f4 lo, f4 hi)
{
    lo = BROKEN4(lo);
    hi = BROKEN4(hi);
    if (n >= KERN_ROWS) {
        store4(y, lo);
        store4(y + 4, hi);
    } else {
        float rows[KERN_ROWS];
        store4(rows, lo);
        store4(rows + 4, hi);
        __builtin_memcpy(y, rows, n * sizeof *y);
    }
}

/* Eight rows against T tokens. */
INLINE void tile_q8(enum qtype type, int T, float *y, size_t ldy, const struct group *g, size_t nb,
                    const struct kern_q8 *x, size_t n_rows, struct ahead next)
{
    f4 acc[4][2];
    for (int t = 0; t < T; t++)
        acc[t][0] = acc[t][1] = set4(0);
    for (size_t b = 0; b < nb; b++) {
        b16 u[2][8];
        struct scales k[2];
        prefetch(next, b);
#pragma GCC unroll 2
        for (size_t i = 0; i < 2; i++) {
            k[i] = load_scales(type, g->s, b, i);
            load_quants(type, g, b, i, u[i]);
        }
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) {
            const struct kern_q8 *a = &x[(size_t)t * nb + b];
            struct spread s = spread(a);
#pragma GCC unroll 2
            for (int i = 0; i < 2; i++) {
                f4 isum = float4(dot_block(type, u[i], &k[i], &s, a));
                acc[t][i] = fma4(isum, k[i].s * a->d, acc[t][i]);
                if (has_m(type))
                    acc[t][i] = fma4(k[i].m, set4(a->ds), acc[t][i]);
                if (type == QTYPE_Q2_K)
                    acc[t][i] = fma4(float4(dot_sums(k[i].msub, a)), k[i].m * a->d, acc[t][i]);
            }
        }
    }
    for (int t = 0; t < T; t++)
        store_rows(y + (size_t)t * ldy, n_rows, acc[t][0], acc[t][1]);
}

#define MATMUL_GROUPS 1
#define MATMUL_TOKENS 4
#define MATMUL_TILES TILE(4) TILE(1)
#include "kernels/matmul_template.h"

/* ---- activations ----------------------------------------------------------------------------------- */

INLINE i4 max4_i(i4 a, i4 b)
{
    i4 more = a > b;
    return (more & a) | (~more & b);
}

static void quantize(struct kern_q8 *y, const float *x, size_t n)
{
    for (size_t b = 0; b < n / KERN_BLOCK; b++, x += KERN_BLOCK) {
        f4 v[8];
        i4 m = set4_i(0);
        for (int i = 0; i < 8; i++) {
            v[i] = load4(x + 4 * i);
            m = max4_i(m, (i4)v[i] & INT32_MAX);
        }
        /* magnitudes order like their bits, NaN above infinity */
        int32_t bits = 0;
        for (int i = 0; i < 4; i++)
            bits = m[i] > bits ? m[i] : bits;
        if (bits >= 0x7F800000) {
            y[b] = (struct kern_q8){.d = NAN, .ds = NAN};
            continue;
        }
        float amax = half_bits_f32((uint32_t)bits);
        float id = amax >= 0x1p-120f ? 127.0f / amax : 0.0f;
        int32_t q[KERN_BLOCK], sum[2] = {0};
        for (int i = 0; i < 8; i++) {
            i4 r = round4(v[i] * id);
            __builtin_memcpy(q + 4 * i, &r, 16);
        }
        for (int i = 0; i < KERN_BLOCK; i++) {
            y[b].q[i] = (int8_t)q[i];
            sum[i / 16] += q[i];
        }
        y[b].sum16[0] = (int16_t)sum[0];
        y[b].sum16[1] = (int16_t)sum[1];
        y[b].sum = sum[0] + sum[1];
        y[b].d = amax >= 0x1p-120f ? amax / 127.0f : 0.0f;
        y[b].ds = y[b].d * (float)y[b].sum;
    }
}

#endif
