/* SPDX-License-Identifier: MIT
 * Quantised matrices and activations for x86, eight rows at a time: a lane is an output row, so no
 * lane ever meets another. Included once by each instruction set's file. */
#ifndef KERNELS_X86_Q8_H
#define KERNELS_X86_Q8_H

#include <math.h>

#include "base/half.h"
#include "kernels/x86.h"

/* ---- quantised weights ------------------------------------------------------------------------ */

/* The scales of one block for 8 rows: value = integer * s + m. Types with scales of 16 columns:
 * sub[i] has that of columns 16i..16i+15 twice in each lane, 16 bits each; pair those of both
 * halves, for Q3_K and Q6_K the scales again, for Q2_K the factors of m. */
struct scales { __m256 s, m; __m256i sub[2], pair; };

/* 16-bit lo and hi in each lane. */
INLINE __m256i pair16(__m256i lo, __m256i hi)
{
    return _mm256_blend_epi16(lo, _mm256_slli_epi32(hi, 16), 0xAA);
}

INLINE struct scales load_scales(enum qtype type, const uint8_t *s, size_t b)
{
    struct scales k;
    k.m = _mm256_setzero_ps();
    k.sub[0] = k.sub[1] = k.pair = _mm256_set1_epi16(1);
    if (type == QTYPE_Q4_K || type == QTYPE_Q5_K) {
        s += b / 8 * 160;
        const uint8_t *sc = s + 32 + 16 * (b % 8);
        __m128i c = _mm_loadu_si128((const __m128i *)sc);
        __m256 sf = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(c));
        __m256 mf = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(c, c)));
        k.s = _mm256_mul_ps(load_f16(s), sf);
        k.m = _mm256_xor_ps(_mm256_mul_ps(load_f16(s + 16), mf), _mm256_set1_ps(-0.0f));
    } else if (type == QTYPE_Q3_K || type == QTYPE_Q6_K) {
        s += b / 8 * 144;
        __m128i c = _mm_loadu_si128((const __m128i *)(s + 16 + 16 * (b % 8)));
        __m256i c0 = _mm256_cvtepi8_epi32(c), c1 = _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(c, c));
        k.s = load_f16(s);
        k.sub[0] = pair16(c0, c0);
        k.sub[1] = pair16(c1, c1);
        k.pair = pair16(c0, c1);
    } else if (type == QTYPE_Q2_K) {
        s += b / 8 * 160;
        __m128i x = _mm_loadu_si128((const __m128i *)(s + 32 + 16 * (b % 8)));
        __m128i c = _mm_and_si128(x, _mm_set1_epi8(15));
        __m128i m = _mm_and_si128(_mm_srli_epi16(x, 4), _mm_set1_epi8(15));
        __m256i c0 = _mm256_cvtepu8_epi32(c), c1 = _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(c, c));
        k.s = load_f16(s);
        k.m = _mm256_xor_ps(load_f16(s + 16), _mm256_set1_ps(-0.0f));
        k.sub[0] = pair16(c0, c0);
        k.sub[1] = pair16(c1, c1);
        k.pair = pair16(_mm256_cvtepu8_epi32(m), _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(m, m)));
    } else if (type == QTYPE_IQ4_XS) {
        s += b / 8 * 80;
        __m128i c = _mm_loadl_epi64((const __m128i *)(s + 16 + 8 * (b % 8)));
        k.s = _mm256_mul_ps(load_f16(s), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(c)));
    } else if (has_m(type)) {
        k.s = load_f16(s + 32 * b);
        k.m = load_f16(s + 32 * b + 16);
    } else {
        k.s = load_f16(s + 16 * b);
    }
    return k;
}

/* Four quads of columns of 8 rows from two bits each, bits 2i and 2i+1 of every byte of x. */
INLINE void two_bits(__m256i x, __m256i u[4])
{
    const __m256i low = _mm256_set1_epi8(3);
    for (int i = 0; i < 4; i++)
        u[i] = _mm256_and_si256(_mm256_srli_epi16(x, 2 * i), low);
}

/* The 32 columns of 8 rows as bytes: u[v] has columns 4v..4v+3 of row r in lane r. Unsigned,
 * offset not subtracted; Q8_0 and IQ4: signed. */
INLINE void load_quants(enum qtype type, const uint8_t *q, const uint8_t *h, __m256i u[8])
{
    const __m256i low = _mm256_set1_epi8(15);
    if (type == QTYPE_Q8_0) {
        for (int v = 0; v < 8; v++)
            u[v] = load256(q + 32 * v);
        return;
    }
    if (q_bytes_of(type) == 64) {
        two_bits(load256(q), u);
        two_bits(load256(q + 32), u + 4);
    } else {
        for (int v = 0; v < 4; v++) {
            __m256i x = load256(q + 32 * v);
            u[v] = _mm256_and_si256(x, low);
            u[v + 4] = _mm256_and_si256(_mm256_srli_epi16(x, 4), low);
        }
    }
    if (is_signed(type)) {
        const __m256i t = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)PACK_IQ4));
        for (int v = 0; v < 8; v++)
            u[v] = _mm256_shuffle_epi8(t, u[v]);
    } else if (h_bytes_of(type) == 32) {
        const int at = type == QTYPE_Q3_K ? 2 : 4;
        const __m256i bit = _mm256_set1_epi8((char)(1 << at));
        __m256i x = load256(h);
        for (int v = 0; v < 8; v++) {
            __m256i moved = v <= at ? _mm256_slli_epi32(x, at - v) : _mm256_srli_epi32(x, v - at);
            u[v] = _mm256_or_si256(u[v], _mm256_and_si256(moved, bit));
        }
    } else if (h_bytes_of(type) == 64) {
        const __m256i bits = _mm256_set1_epi8(48);
        for (int v = 0; v < 8; v++) {
            __m256i x = load256(h + 32 * (v / 4));
            int at = 2 * (v % 4);
            __m256i at4 = at <= 4 ? _mm256_slli_epi32(x, 4 - at) : _mm256_srli_epi32(x, at - 4);
            u[v] = _mm256_or_si256(u[v], _mm256_and_si256(at4, bits));
        }
    }
}

/* pair times the block's sums of 16 activations: lane = pair.lo * sum16[0] + pair.hi * sum16[1]. */
INLINE __m256i dot_sums(const struct scales *k, const struct kern_q8 *a)
{
    int32_t both;
    __builtin_memcpy(&both, a->sum16, 4);
    return _mm256_madd_epi16(k->pair, _mm256_set1_epi32(both));
}

static void quantize(struct kern_q8 *y, const float *x, size_t n)
{
    const __m256i abs_mask = _mm256_set1_epi32(0x7FFFFFFF);
    for (size_t b = 0; b < n / KERN_BLOCK; b++, x += KERN_BLOCK) {
        __m256 v[4];
        __m256i m = _mm256_setzero_si256();
        for (int i = 0; i < 4; i++) {
            v[i] = _mm256_loadu_ps(x + 8 * i);
            m = _mm256_max_epi32(m, _mm256_and_si256(_mm256_castps_si256(v[i]), abs_mask));
        }
        /* magnitudes order like their bits, NaN above infinity */
        __m128i h = _mm_max_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
        h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0x4E));
        h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0xB1));
        uint32_t bits = (uint32_t)_mm_cvtsi128_si32(h);
        float amax = half_bits_f32(bits);
        if (bits >= 0x7F800000u) {
            y[b] = (struct kern_q8){.d = NAN, .ds = NAN};
            continue;
        }
        float id = amax >= 0x1p-120f ? 127.0f / amax : 0.0f;
        __m256i q[4], s[2];
        for (int i = 0; i < 4; i++)
            q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], _mm256_set1_ps(id)));
        for (int i = 0; i < 2; i++)
            s[i] = _mm256_add_epi32(q[2 * i], q[2 * i + 1]);
        __m256i p = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]),
                                       _mm256_packs_epi32(q[2], q[3]));
        p = _mm256_permutevar8x32_epi32(p, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        _mm256_storeu_si256((__m256i *)y[b].q, p);
        for (int i = 0; i < 2; i++) {
            __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s[i]),
                                      _mm256_extracti128_si256(s[i], 1));
            t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4E));
            t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0xB1));
            y[b].sum16[i] = (int16_t)_mm_cvtsi128_si32(t);
        }
        y[b].sum = y[b].sum16[0] + y[b].sum16[1];
        y[b].d = amax >= 0x1p-120f ? amax / 127.0f : 0.0f;
        y[b].ds = y[b].d * (float)y[b].sum;
    }
}

#endif
