/* SPDX-License-Identifier: MIT
 * Products of quantised matrices and activations for x86, eight rows at a time: a lane is an output
 * row, so no lane ever meets another. Included once by each instruction set's file: with VNNI the
 * dot of four columns is one instruction, without it three. */
#ifndef KERNELS_X86_Q8_H
#define KERNELS_X86_Q8_H

#include <math.h>

#include "base/half.h"
#include "kernels/pack.h"
#include "kernels/x86.h"

#ifdef __AVX512VNNI__
enum { X86_VNNI = 1 };
#else
enum { X86_VNNI = 0 };
#endif

/* ---- quantised weights ------------------------------------------------------------------------ */

/* Where the areas of one group are, and how far block b is into them. */
struct group { const uint8_t *q, *h, *s; };

/* The scales of one block for 8 rows: value = integer * s + m. Types with scales of 16 columns:
 * sub[i] has that of columns 16i..16i+15 twice in each lane, 16 bits each; pair those of both
 * halves, for Q3_K and Q6_K the scales again, for Q2_K the factors of m. */
struct scales { __m256 s, m; __m256i sub[2], pair; };

INLINE bool has_sub(enum qtype type)
{
    return type == QTYPE_Q2_K || type == QTYPE_Q3_K || type == QTYPE_Q6_K;
}

INLINE bool is_signed(enum qtype type)
{
    return type == QTYPE_Q8_0 || type == QTYPE_IQ4_NL || type == QTYPE_IQ4_XS;
}

INLINE bool has_m(enum qtype type)
{
    return type == QTYPE_Q4_1 || type == QTYPE_Q5_1 || type == QTYPE_Q4_K || type == QTYPE_Q5_K;
}

INLINE size_t q_bytes_of(enum qtype type)
{
    return type == QTYPE_Q8_0 ? 256 : type == QTYPE_Q2_K || type == QTYPE_Q3_K ? 64 : 128;
}

INLINE size_t h_bytes_of(enum qtype type)
{
    return type == QTYPE_Q6_K ? 64
         : type == QTYPE_Q5_0 || type == QTYPE_Q5_1 || type == QTYPE_Q5_K || type == QTYPE_Q3_K
         ? 32 : 0;
}

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
    long long both;
    __builtin_memcpy(&both, a->sum16, 8);  /* they fit in 16 bits */
    __m256i low = _mm256_set1_epi32(0x05040100);
    return _mm256_madd_epi16(k->pair, _mm256_shuffle_epi8(_mm256_set1_epi64x(both), low));
}

#ifdef __AVX512VNNI__
/* sum + the dots of four unsigned and four signed bytes in each lane, exact. */
INLINE __m256i dot4(__m256i sum, __m256i u, __m256i x)
{
    return _mm256_dpbusd_epi32(sum, u, x);
}

/* Exact integer dot of one block for 8 rows. Signed quants come as q + 128. */
INLINE __m256i dot_block(enum qtype type, const __m256i u[8], const struct scales *k,
                         const struct kern_q8 *a)
{
    __m256i half[2];
    for (int i = 0; i < 2; i++) {
        half[i] = _mm256_setzero_si256();
        for (int v = 4 * i; v < 4 * i + 4; v++) {
            int32_t quad;
            __builtin_memcpy(&quad, a->q + 4 * v, 4);
            half[i] = dot4(half[i], u[v], _mm256_set1_epi32(quad));
        }
    }
    if (has_sub(type)) {
        for (int i = 0; i < 2; i++)
            half[i] = _mm256_mullo_epi32(half[i], _mm256_srai_epi32(k->sub[i], 16));
    }
    __m256i sum = _mm256_add_epi32(half[0], half[1]);
    if (type == QTYPE_Q3_K || type == QTYPE_Q6_K)
        sum = _mm256_sub_epi32(sum, _mm256_slli_epi32(dot_sums(k, a), type == QTYPE_Q3_K ? 2 : 5));
    int shift = type == QTYPE_Q4_0 ? 3 : type == QTYPE_Q5_0 ? 4 : is_signed(type) ? 7 : 0;
    if (shift) {
        __m256i off = _mm256_set1_epi32((a->sum16[0] + a->sum16[1]) * (1 << shift));
        sum = _mm256_sub_epi32(sum, off);
    }
    return sum;
}
#else
/* Exact integer dot of one block for 8 rows. maddubs adds two products in 16 bits without
 * saturating: 2- to 4-bit sums stay below 32768 over eight of them, 5-bit over four, 6-bit over
 * two. */
INLINE __m256i dot_block(enum qtype type, const __m256i u[8], const struct scales *k,
                         const struct kern_q8 *a)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i x[8], sum;
    for (int v = 0; v < 8; v++) {
        int32_t quad;
        __builtin_memcpy(&quad, a->q + 4 * v, 4);
        x[v] = _mm256_set1_epi32(quad);
    }
    if (is_signed(type)) {
        sum = _mm256_setzero_si256();
        for (int v = 0; v < 8; v++) {
            __m256i p = _mm256_maddubs_epi16(_mm256_sign_epi8(u[v], u[v]),
                                             _mm256_sign_epi8(x[v], u[v]));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(p, ones));
        }
        return sum;
    }
    if (has_sub(type)) {
        sum = _mm256_setzero_si256();
        for (int i = 0; i < 2; i++) {
            const __m256i *w = u + 4 * i, *y = x + 4 * i;
            __m256i p = _mm256_add_epi16(_mm256_maddubs_epi16(w[0], y[0]),
                                         _mm256_maddubs_epi16(w[1], y[1]));
            __m256i r = _mm256_add_epi16(_mm256_maddubs_epi16(w[2], y[2]),
                                         _mm256_maddubs_epi16(w[3], y[3]));
            if (type == QTYPE_Q6_K)
                sum = _mm256_add_epi32(sum, _mm256_madd_epi16(r, k->sub[i]));
            else
                p = _mm256_add_epi16(p, r);
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(p, k->sub[i]));
        }
        if (type == QTYPE_Q2_K)
            return sum;
        __m256i off = _mm256_slli_epi32(dot_sums(k, a), type == QTYPE_Q3_K ? 2 : 5);
        return _mm256_sub_epi32(sum, off);
    }
    __m256i p = _mm256_maddubs_epi16(u[0], x[0]), r = _mm256_maddubs_epi16(u[4], x[4]);
    for (int v = 1; v < 4; v++) {
        p = _mm256_add_epi16(p, _mm256_maddubs_epi16(u[v], x[v]));
        r = _mm256_add_epi16(r, _mm256_maddubs_epi16(u[v + 4], x[v + 4]));
    }
    if (h_bytes_of(type))
        sum = _mm256_add_epi32(_mm256_madd_epi16(p, ones), _mm256_madd_epi16(r, ones));
    else
        sum = _mm256_madd_epi16(_mm256_add_epi16(p, r), ones);
    if (type == QTYPE_Q4_0 || type == QTYPE_Q5_0) {
        __m256i off = _mm256_set1_epi32(a->sum16[0] + a->sum16[1]);
        sum = _mm256_sub_epi32(sum, _mm256_slli_epi32(off, type == QTYPE_Q4_0 ? 3 : 4));
    }
    return sum;
}
#endif

/* Asks for block b's share of the next group's bytes. The areas of a group are short streams,
 * too short for the hardware to run ahead of: decoding is bound by memory, and this makes it
 * about twice as fast. No value is read, so no bit depends on it. */
INLINE void prefetch(const uint8_t *next, size_t share, size_t b)
{
    for (size_t i = b * share; i < (b + 1) * share; i += 64)
        _mm_prefetch((const char *)next + i, _MM_HINT_T0);
}

/* Eight rows against T tokens. next: the group to ask for meanwhile, or NULL. */
INLINE void tile_q8(enum qtype type, int T, float *y, size_t ldy, const struct group *g, size_t nb,
                    const struct kern_q8 *x, __m256i rows, const uint8_t *next, size_t share)
{
    __m256 acc[8];
    for (int t = 0; t < T; t++)
        acc[t] = _mm256_setzero_ps();
    for (size_t b = 0; b < nb; b++) {
        __m256i u[8];
        struct scales k = load_scales(type, g->s, b);
        if (next)
            prefetch(next, share, b);
        load_quants(type, g->q + b * q_bytes_of(type), g->h + b * h_bytes_of(type), u);
        if (X86_VNNI && is_signed(type))
            for (int v = 0; v < 8; v++)
                u[v] = _mm256_xor_si256(u[v], _mm256_set1_epi8((char)0x80));
        for (int t = 0; t < T; t++) {
            const struct kern_q8 *a = &x[(size_t)t * nb + b];
            __m256 isum = _mm256_cvtepi32_ps(dot_block(type, u, &k, a));
            acc[t] = _mm256_fmadd_ps(isum, _mm256_mul_ps(k.s, _mm256_set1_ps(a->d)), acc[t]);
            if (has_m(type))
                acc[t] = _mm256_fmadd_ps(k.m, _mm256_set1_ps(a->ds), acc[t]);
            if (type == QTYPE_Q2_K)
                acc[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot_sums(&k, a)),
                                         _mm256_mul_ps(k.m, _mm256_set1_ps(a->d)), acc[t]);
        }
    }
    for (int t = 0; t < T; t++)
        _mm256_maskstore_ps(y + (size_t)t * ldy, rows, BROKEN(acc[t]));
}

enum {
    TOKENS_KEPT_BYTES = 192 * 1024,        /* of activations that should stay in the L2 cache */
    FEW_TOKENS = 8                         /* so few that waiting for weights is most of the work */
};

INLINE void matmul_type(enum qtype type, float *y, size_t ldy, const struct kern_matrix *w,
                        const struct kern_q8 *x, size_t n_tokens, size_t group0, size_t group1)
{
    struct pack_layout l = pack_layout(type, w->n_cols);
    size_t nb = w->n_cols / KERN_BLOCK, step = TOKENS_KEPT_BYTES / (nb * sizeof *x) / 8 * 8;
    size_t share = l.group_bytes / nb + 1;
    if (step < 8)
        step = 8;
    for (size_t t0 = 0; t0 < n_tokens; t0 += step) {
        size_t t1 = n_tokens - t0 < step ? n_tokens : t0 + step;
        for (size_t gi = group0; gi < group1; gi++) {
            const uint8_t *at = w->data + gi * l.group_bytes;
            struct group g = {at, at + l.h_off, at + l.s_off};
            size_t row = gi * KERN_ROWS, left = w->n_rows - row, t = t0;
            __m256i rows = lane_mask(0, left < KERN_ROWS ? (int)left : KERN_ROWS);
            bool more = n_tokens <= FEW_TOKENS && left > KERN_ROWS;
            const uint8_t *next = more ? at + l.group_bytes : NULL;
            for (; t + 8 <= t1; t += 8)
                tile_q8(type, 8, y + t * ldy + row, ldy, &g, nb, x + t * nb, rows, next, share);
            for (; t + 4 <= t1; t += 4)
                tile_q8(type, 4, y + t * ldy + row, ldy, &g, nb, x + t * nb, rows, next, share);
            for (; t + 2 <= t1; t += 2)
                tile_q8(type, 2, y + t * ldy + row, ldy, &g, nb, x + t * nb, rows, next, share);
            for (; t < t1; t++)
                tile_q8(type, 1, y + t * ldy + row, ldy, &g, nb, x + t * nb, rows, next, share);
        }
    }
}

/* One function per type, so that each is compiled with its type known. */
#define MATMUL_Q8(TYPE)                                                                          \
    static void matmul_##TYPE(float *y, size_t ldy, const struct kern_matrix *w,                 \
                              const struct kern_q8 *x, size_t n_tokens, size_t group0,           \
                              size_t group1)                                                     \
    {                                                                                            \
        matmul_type(QTYPE_##TYPE, y, ldy, w, x, n_tokens, group0, group1);                       \
    }
MATMUL_Q8(Q4_0)
MATMUL_Q8(Q4_1)
MATMUL_Q8(Q5_0)
MATMUL_Q8(Q5_1)
MATMUL_Q8(Q8_0)
MATMUL_Q8(Q2_K)
MATMUL_Q8(Q3_K)
MATMUL_Q8(Q4_K)
MATMUL_Q8(Q5_K)
MATMUL_Q8(Q6_K)
MATMUL_Q8(IQ4_NL)
MATMUL_Q8(IQ4_XS)

static void matmul_q8(float *y, size_t ldy, const struct kern_matrix *w, const struct kern_q8 *x,
                      size_t n_tokens, size_t group0, size_t group1)
{
    switch (w->type) {
    case QTYPE_Q4_0: matmul_Q4_0(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q4_1: matmul_Q4_1(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q5_0: matmul_Q5_0(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q5_1: matmul_Q5_1(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q8_0: matmul_Q8_0(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q2_K: matmul_Q2_K(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q3_K: matmul_Q3_K(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q4_K: matmul_Q4_K(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q5_K: matmul_Q5_K(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q6_K: matmul_Q6_K(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_IQ4_NL: matmul_IQ4_NL(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_IQ4_XS: matmul_IQ4_XS(y, ldy, w, x, n_tokens, group0, group1); break;
    default: break;
    }
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
            y[b].sum16[i] = _mm_cvtsi128_si32(t);
        }
        y[b].d = amax >= 0x1p-120f ? amax / 127.0f : 0.0f;
        y[b].ds = y[b].d * (float)(y[b].sum16[0] + y[b].sum16[1]);
    }
}

#endif
