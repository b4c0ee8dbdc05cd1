/* SPDX-License-Identifier: MIT
 * The kernels of ref.c with AVX2, FMA and F16C: the same operations in the same order, eight
 * at a time. In matrix products a lane is an output row, in attention a position or a
 * dimension, so no lane ever meets another except in the written-out folds. */
#include "kernels/kernels.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#include "base/half.h"
#include "kernels/pack.h"
#include "kernels/ref.h"

#define INLINE static inline __attribute__((always_inline))

/* A build that must fail every comparison, to show that they can. */
#ifdef IDEM_TEST_BREAK_KERNEL
#define BROKEN(x) _mm256_mul_ps(x, _mm256_set1_ps(0x1.000002p0f))
#else
#define BROKEN(x) (x)
#endif

INLINE __m256i load256(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

INLINE __m256 load_f16(const void *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

/* ((0+4)+(2+6)) + ((1+5)+(3+7)) */
INLINE float fold8(__m256 v)
{
    __m128 a = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
}

INLINE double fold8d(__m256d lo, __m256d hi)
{
    __m256d a = _mm256_add_pd(lo, hi);
    __m128d b = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(b, _mm_unpackhi_pd(b, b)));
}

/* Lanes [from, to) of eight, as a mask. */
INLINE __m256i lane_mask(int from, int to)
{
    __m256i i = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(from), i),
                               _mm256_cmpgt_epi32(_mm256_set1_epi32(to), i));
}

INLINE __m256 exp8(__m256 x)
{
    __m256 magic = _mm256_set1_ps(REF_MAGIC);
    __m256 t = _mm256_fmadd_ps(x, _mm256_set1_ps(REF_LOG2E), magic);
    __m256 n = _mm256_sub_ps(t, magic);
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-REF_LN2_HI), x);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-REF_LN2_LO), r);
    __m256 p = _mm256_set1_ps(1.0f / 5040.0f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p),
                                             _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
    p = _mm256_andnot_ps(_mm256_cmp_ps(x, _mm256_set1_ps(REF_EXP_LO), _CMP_LT_OQ), p);
    return _mm256_blendv_ps(p, _mm256_set1_ps(INFINITY),
                            _mm256_cmp_ps(x, _mm256_set1_ps(REF_EXP_HI), _CMP_GT_OQ));
}

/* ---- quantised weights ------------------------------------------------------------------------ */

/* Where the areas of one group are, and how far block b is into them. */
struct group { const uint8_t *q, *h, *s; };

/* The scales of one block for 8 rows: value = integer * s + m. sub: Q6_K's integer scales of
 * columns 0..15 and 16..31, as pairs of 16 bits in each lane. */
struct scales { __m256 s, m; __m256i sub[2]; };

INLINE bool has_m(enum qtype type)
{
    return type == QTYPE_Q4_1 || type == QTYPE_Q5_1 || type == QTYPE_Q4_K || type == QTYPE_Q5_K;
}

INLINE int h_bytes_of(enum qtype type)
{
    return type == QTYPE_Q6_K ? 64
         : type == QTYPE_Q5_0 || type == QTYPE_Q5_1 || type == QTYPE_Q5_K ? 32 : 0;
}

INLINE struct scales load_scales(enum qtype type, const uint8_t *s, size_t b)
{
    struct scales k;
    k.m = _mm256_setzero_ps();
    k.sub[0] = k.sub[1] = _mm256_set1_epi16(1);
    if (type == QTYPE_Q4_K || type == QTYPE_Q5_K) {
        s += b / 8 * 160;
        const uint8_t *sc = s + 32 + 16 * (b % 8);
        __m128i c = _mm_loadu_si128((const __m128i *)sc);
        __m256 sf = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(c));
        __m256 mf = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(c, c)));
        k.s = _mm256_mul_ps(load_f16(s), sf);
        k.m = _mm256_xor_ps(_mm256_mul_ps(load_f16(s + 16), mf), _mm256_set1_ps(-0.0f));
    } else if (type == QTYPE_Q6_K) {
        s += b / 8 * 144;
        const uint8_t *sc = s + 16 + 16 * (b % 8);
        k.s = load_f16(s);
        for (int i = 0; i < 2; i++) {
            __m256i c = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(sc + 8 * i)));
            k.sub[i] = _mm256_blend_epi16(c, _mm256_slli_epi32(c, 16), 0xAA);
        }
    } else if (has_m(type)) {
        k.s = load_f16(s + 32 * b);
        k.m = load_f16(s + 32 * b + 16);
    } else {
        k.s = load_f16(s + 16 * b);
    }
    return k;
}

/* The 32 columns of 8 rows as bytes: u[v] has columns 4v..4v+3 of row r in lane r. Unsigned,
 * offset not subtracted; Q8_0: signed. */
INLINE void load_quants(enum qtype type, const uint8_t *q, const uint8_t *h, __m256i u[8])
{
    const __m256i low = _mm256_set1_epi8(15), bit5 = _mm256_set1_epi8(16);
    if (type == QTYPE_Q8_0) {
        for (int v = 0; v < 8; v++)
            u[v] = load256(q + 32 * v);
        return;
    }
    for (int v = 0; v < 4; v++) {
        __m256i x = load256(q + 32 * v);
        u[v] = _mm256_and_si256(x, low);
        u[v + 4] = _mm256_and_si256(_mm256_srli_epi16(x, 4), low);
    }
    if (h_bytes_of(type) == 32) {
        __m256i x = load256(h);
        for (int v = 0; v < 8; v++) {
            __m256i at4 = v <= 4 ? _mm256_slli_epi32(x, 4 - v) : _mm256_srli_epi32(x, v - 4);
            u[v] = _mm256_or_si256(u[v], _mm256_and_si256(at4, bit5));
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

/* Exact integer dot of one block for 8 rows. maddubs adds two products in 16 bits without
 * saturating: 4-bit sums stay below 32768 over eight of them, 5-bit over four, 6-bit over two. */
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
    if (type == QTYPE_Q8_0) {
        sum = _mm256_setzero_si256();
        for (int v = 0; v < 8; v++) {
            __m256i p = _mm256_maddubs_epi16(_mm256_sign_epi8(u[v], u[v]),
                                             _mm256_sign_epi8(x[v], u[v]));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(p, ones));
        }
        return sum;
    }
    if (type == QTYPE_Q6_K) {
        sum = _mm256_setzero_si256();
        for (int i = 0; i < 2; i++) {
            const __m256i *w = u + 4 * i, *y = x + 4 * i;
            __m256i p = _mm256_add_epi16(_mm256_maddubs_epi16(w[0], y[0]),
                                         _mm256_maddubs_epi16(w[1], y[1]));
            __m256i r = _mm256_add_epi16(_mm256_maddubs_epi16(w[2], y[2]),
                                         _mm256_maddubs_epi16(w[3], y[3]));
            /* (sum - 32 * sum16) * sub, each pair of 16 bits by itself */
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(p, k->sub[i]));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(r, k->sub[i]));
            __m256i off = _mm256_slli_epi32(_mm256_set1_epi32(a->sum16[i]), 5);
            sum = _mm256_sub_epi32(sum, _mm256_mullo_epi32(off, _mm256_srai_epi32(k->sub[i], 16)));
        }
        return sum;
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
    int q_bytes = type == QTYPE_Q8_0 ? 256 : 128, h_bytes = h_bytes_of(type);
    for (int t = 0; t < T; t++)
        acc[t] = _mm256_setzero_ps();
    for (size_t b = 0; b < nb; b++) {
        __m256i u[8];
        struct scales k = load_scales(type, g->s, b);
        if (next)
            prefetch(next, share, b);
        load_quants(type, g->q + b * (size_t)q_bytes, g->h + b * (size_t)h_bytes, u);
        for (int t = 0; t < T; t++) {
            const struct kern_q8 *a = &x[(size_t)t * nb + b];
            __m256 isum = _mm256_cvtepi32_ps(dot_block(type, u, &k, a));
            acc[t] = _mm256_fmadd_ps(isum, _mm256_mul_ps(k.s, _mm256_set1_ps(a->d)), acc[t]);
            if (has_m(type))
                acc[t] = _mm256_fmadd_ps(k.m, _mm256_set1_ps(a->ds), acc[t]);
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
    size_t nb = w->n_cols / KERN_BLOCK, step = TOKENS_KEPT_BYTES / (nb * sizeof *x) / 4 * 4;
    size_t share = l.group_bytes / nb + 1;
    if (step < 4)
        step = 4;
    for (size_t t0 = 0; t0 < n_tokens; t0 += step) {
        size_t t1 = n_tokens - t0 < step ? n_tokens : t0 + step;
        for (size_t gi = group0; gi < group1; gi++) {
            const uint8_t *at = w->data + gi * l.group_bytes;
            struct group g = {at, at + l.h_off, at + l.s_off};
            size_t row = gi * KERN_ROWS, left = w->n_rows - row, t = t0;
            __m256i rows = lane_mask(0, left < KERN_ROWS ? (int)left : KERN_ROWS);
            bool more = n_tokens <= FEW_TOKENS && left > KERN_ROWS;
            const uint8_t *next = more ? at + l.group_bytes : NULL;
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
MATMUL_Q8(Q4_K)
MATMUL_Q8(Q5_K)
MATMUL_Q8(Q6_K)

static void matmul_q8(float *y, size_t ldy, const struct kern_matrix *w, const struct kern_q8 *x,
                      size_t n_tokens, size_t group0, size_t group1)
{
    switch (w->type) {
    case QTYPE_Q4_0: matmul_Q4_0(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q4_1: matmul_Q4_1(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q5_0: matmul_Q5_0(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q5_1: matmul_Q5_1(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q8_0: matmul_Q8_0(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q4_K: matmul_Q4_K(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q5_K: matmul_Q5_K(y, ldy, w, x, n_tokens, group0, group1); break;
    case QTYPE_Q6_K: matmul_Q6_K(y, ldy, w, x, n_tokens, group0, group1); break;
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

/* ---- binary32 products ------------------------------------------------------------------------ */

/* Eight rows of a group as binary32, out[c * 8 + r]; the values of kern_unpack_row. */
INLINE void values_quantised(enum qtype type, float *out, const struct group *g, size_t nb)
{
    size_t q_bytes = type == QTYPE_Q8_0 ? 256 : 128, h_bytes = (size_t)h_bytes_of(type);
    int off = type == QTYPE_Q4_0 ? 8 : type == QTYPE_Q5_0 ? 16 : type == QTYPE_Q6_K ? 32 : 0;
    for (size_t b = 0; b < nb; b++) {
        __m256i u[8];
        struct scales k = load_scales(type, g->s, b);
        load_quants(type, g->q + b * q_bytes, g->h + b * h_bytes, u);
        for (int v = 0; v < 8; v++) {
            __m256 s = k.s;
            if (type == QTYPE_Q6_K)
                s = _mm256_mul_ps(s, _mm256_cvtepi32_ps(_mm256_srai_epi32(k.sub[v / 4], 16)));
            for (int j = 0; j < 4; j++) {
                __m256i q = _mm256_srai_epi32(_mm256_slli_epi32(u[v], 24 - 8 * j), 24);
                q = _mm256_sub_epi32(q, _mm256_set1_epi32(off));
                __m256 x = _mm256_mul_ps(s, _mm256_cvtepi32_ps(q));
                if (has_m(type))
                    x = _mm256_add_ps(x, k.m);
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
    switch (w->type) {
    case QTYPE_Q4_0: values_quantised(QTYPE_Q4_0, out, &g, nb); break;
    case QTYPE_Q4_1: values_quantised(QTYPE_Q4_1, out, &g, nb); break;
    case QTYPE_Q5_0: values_quantised(QTYPE_Q5_0, out, &g, nb); break;
    case QTYPE_Q5_1: values_quantised(QTYPE_Q5_1, out, &g, nb); break;
    case QTYPE_Q8_0: values_quantised(QTYPE_Q8_0, out, &g, nb); break;
    case QTYPE_Q4_K: values_quantised(QTYPE_Q4_K, out, &g, nb); break;
    case QTYPE_Q5_K: values_quantised(QTYPE_Q5_K, out, &g, nb); break;
    case QTYPE_Q6_K: values_quantised(QTYPE_Q6_K, out, &g, nb); break;
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

/* ---- one vector ------------------------------------------------------------------------------ */

static void rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
    __m256 s = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i);
        s = _mm256_fmadd_ps(v, v, s);
    }
    if (i < n) {
        __m256 v = _mm256_maskload_ps(x + i, lane_mask(0, (int)(n - i)));
        s = _mm256_fmadd_ps(v, v, s);
    }
    float r = 1.0f / sqrtf(fold8(s) / (float)n + eps);
    for (i = 0; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i),
                                                            _mm256_set1_ps(r)),
                                              _mm256_loadu_ps(w + i)));
    for (; i < n; i++)
        y[i] = (x[i] * r) * w[i];
}

static void layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps)
{
    __m256 s = _mm256_setzero_ps(), q = _mm256_setzero_ps();
    __m256i tail = lane_mask(0, (int)(n % 8));
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        s = _mm256_add_ps(s, _mm256_loadu_ps(x + i));
    if (i < n)
        s = _mm256_add_ps(s, _mm256_maskload_ps(x + i, tail));
    float mean = fold8(s) / (float)n;
    __m256 mean8 = _mm256_set1_ps(mean);
    for (i = 0; i + 8 <= n; i += 8) {
        __m256 d = _mm256_sub_ps(_mm256_loadu_ps(x + i), mean8);
        q = _mm256_fmadd_ps(d, d, q);
    }
    if (i < n) {
        __m256 d = _mm256_sub_ps(_mm256_maskload_ps(x + i, tail), mean8);
        d = _mm256_and_ps(d, _mm256_castsi256_ps(tail));
        q = _mm256_fmadd_ps(d, d, q);
    }
    float r = 1.0f / sqrtf(fold8(q) / (float)n + eps);
    __m256 r8 = _mm256_set1_ps(r);
    for (i = 0; i + 8 <= n; i += 8) {
        __m256 d = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), mean8), r8);
        _mm256_storeu_ps(y + i, _mm256_fmadd_ps(d, _mm256_loadu_ps(w + i), _mm256_loadu_ps(b + i)));
    }
    for (; i < n; i++)
        y[i] = fmaf((x[i] - mean) * r, w[i], b[i]);
}

INLINE __m256 silu8(__m256 x)
{
    __m256 e = exp8(_mm256_xor_ps(x, _mm256_set1_ps(-0.0f)));
    return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
}

INLINE __m256 gelu8(__m256 x)
{
    __m256 c = _mm256_fmadd_ps(_mm256_set1_ps(REF_GELU_B), _mm256_mul_ps(x, x),
                               _mm256_set1_ps(REF_GELU_A));
    __m256 e = exp8(_mm256_xor_ps(_mm256_mul_ps(x, c), _mm256_set1_ps(-0.0f)));
    return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
}

static void silu_mul(float *y, const float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(silu8(_mm256_loadu_ps(gate + i)),
                                              _mm256_loadu_ps(up + i)));
    for (; i < n; i++)
        y[i] = ref_silu(gate[i]) * up[i];
}

static void gelu_mul(float *y, const float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(gelu8(_mm256_loadu_ps(gate + i)),
                                              _mm256_loadu_ps(up + i)));
    for (; i < n; i++)
        y[i] = ref_gelu(gate[i]) * up[i];
}

static void gelu(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, gelu8(_mm256_loadu_ps(x + i)));
    for (; i < n; i++)
        y[i] = ref_gelu(x[i]);
}

static void softcap(float *y, const float *x, float c, size_t n)
{
    __m256 c8 = _mm256_set1_ps(c), one = _mm256_set1_ps(1.0f), two = _mm256_set1_ps(2.0f);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 e = exp8(_mm256_mul_ps(two, _mm256_div_ps(_mm256_loadu_ps(x + i), c8)));
        __m256 t = _mm256_sub_ps(one, _mm256_div_ps(two, _mm256_add_ps(e, one)));
        _mm256_storeu_ps(y + i, _mm256_mul_ps(c8, t));
    }
    for (; i < n; i++)
        y[i] = ref_softcap(x[i], c);
}

static void add(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i)));
    for (; i < n; i++)
        y[i] = y[i] + x[i];
}

static void scale(float *y, const float *x, float c, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(c)));
    for (; i < n; i++)
        y[i] = x[i] * c;
}

static void rope(float *x, size_t n_heads, size_t head_dim, size_t n_rot, const float *cos_t,
                 const float *sin_t, bool neox)
{
    if (!neox || n_rot % 16 != 0) {
        kern_ops_ref()->rope(x, n_heads, head_dim, n_rot, cos_t, sin_t, neox);
        return;
    }
    for (size_t h = 0; h < n_heads; h++, x += head_dim) {
        for (size_t i = 0; i < n_rot / 2; i += 8) {
            float *pa = x + i, *pb = x + i + n_rot / 2;
            __m256 a = _mm256_loadu_ps(pa), b = _mm256_loadu_ps(pb);
            __m256 c = _mm256_loadu_ps(cos_t + i), s = _mm256_loadu_ps(sin_t + i);
            _mm256_storeu_ps(pa, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
            _mm256_storeu_ps(pb, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
        }
    }
}

static bool all_finite(const float *x, size_t n)
{
    const __m256i abs_mask = _mm256_set1_epi32(0x7FFFFFFF);
    const __m256i top = _mm256_set1_epi32(0x7F7FFFFF);
    __m256i bad = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i v = _mm256_and_si256(load256(x + i), abs_mask);
        bad = _mm256_or_si256(bad, _mm256_cmpgt_epi32(v, top));
    }
    for (; i < n; i++)
        if ((half_f32_bits(x[i]) & 0x7FFFFFFFu) > 0x7F7FFFFFu)
            return false;
    return _mm256_testz_si256(bad, bad);
}

/* The largest value and its lowest index; -inf and 0 if nothing is larger than -inf. */
static size_t argmax(const float *x, size_t n, float *max)
{
    __m256 m = _mm256_set1_ps(-INFINITY);
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        m = _mm256_max_ps(_mm256_loadu_ps(x + i), m);
    float lanes[8], best = -INFINITY;
    _mm256_storeu_ps(lanes, m);
    for (int k = 0; k < 8; k++)
        best = lanes[k] > best ? lanes[k] : best;
    for (; i < n; i++)
        best = x[i] > best ? x[i] : best;
    *max = best;
    for (i = 0; i + 8 <= n; i += 8) {
        int hit = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(best),
                                                   _CMP_EQ_OQ));
        if (hit)
            return i + (size_t)__builtin_ctz((unsigned)hit);
    }
    for (; i < n; i++)
        if (x[i] == best)
            return i;
    return 0;
}

static void logstats(const float *x, size_t n, struct kern_logstats *out)
{
    float max;
    size_t best = argmax(x, n, &max), i = 0;
    __m256d s0 = _mm256_setzero_pd(), s1 = s0, w0 = s0, w1 = s0;
    for (; i < n; i += 8) {
        /* A short tail is padded with -inf, whose exp is +0; its d is made 0 for the product. */
        __m256i valid = lane_mask(0, n - i < 8 ? (int)(n - i) : 8);
        __m256 v = _mm256_maskload_ps(x + i, valid);
        __m256 d = _mm256_and_ps(_mm256_sub_ps(v, _mm256_set1_ps(max)), _mm256_castsi256_ps(valid));
        __m256 e = _mm256_and_ps(exp8(d), _mm256_castsi256_ps(valid));
        __m256d e0 = _mm256_cvtps_pd(_mm256_castps256_ps128(e));
        __m256d e1 = _mm256_cvtps_pd(_mm256_extractf128_ps(e, 1));
        s0 = _mm256_add_pd(s0, e0);
        s1 = _mm256_add_pd(s1, e1);
        w0 = _mm256_fmadd_pd(e0, _mm256_cvtps_pd(_mm256_castps256_ps128(d)), w0);
        w1 = _mm256_fmadd_pd(e1, _mm256_cvtps_pd(_mm256_extractf128_ps(d, 1)), w1);
    }
    out->max = max;
    out->argmax = (int32_t)best;
    out->sum = fold8d(s0, s1);
    out->wsum = fold8d(w0, w1);
}

/* ---- attention -------------------------------------------------------------------------------- */

static void kv_store(void *k, void *v, const struct kern_attn_shape *sh, const float *key,
                     const float *value, size_t j)
{
    if (!sh->f16 || sh->k_dim % 8 != 0 || sh->v_dim % 8 != 0) {
        kern_ops_ref()->kv_store(k, v, sh, key, value, j);
        return;
    }
    uint16_t *kh = k, *vh = v, lane[8];
    for (size_t d = 0; d < sh->k_dim; d += 8) {
        __m128i x = _mm256_cvtps_ph(_mm256_loadu_ps(key + d), _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128((__m128i *)lane, x);
        for (size_t i = 0; i < 8; i++)
            kh[(d + i) * KERN_KV + j] = lane[i];
    }
    for (size_t d = 0; d < sh->v_dim; d += 8)
        _mm_storeu_si128((__m128i *)(vh + j * sh->v_dim + d),
                         _mm256_cvtps_ph(_mm256_loadu_ps(value + d), _MM_FROUND_TO_NEAREST_INT));
}

INLINE __m256 load_kv(const void *p, bool f16, size_t i)
{
    return f16 ? load_f16((const uint16_t *)p + i) : _mm256_loadu_ps((const float *)p + i);
}

/* s[t][64] for T queries: lane = position, chunks of 16 positions that some query needs. */
INLINE void scores(int T, float *s, const struct kern_attn *a, const void *k, bool f16,
                   size_t k_dim, size_t j0, size_t j1)
{
    for (size_t j = j0 / 16 * 16; j < j1; j += 16) {
        __m256 acc[4][2];
        for (int t = 0; t < T; t++)
            acc[t][0] = acc[t][1] = _mm256_setzero_ps();
        for (size_t d = 0; d < k_dim; d++) {
            __m256 k0 = load_kv(k, f16, d * KERN_KV + j), k1 = load_kv(k, f16, d * KERN_KV + j + 8);
            for (int t = 0; t < T; t++) {
                __m256 q = _mm256_set1_ps(a[t].q[d]);
                acc[t][0] = _mm256_fmadd_ps(q, k0, acc[t][0]);
                acc[t][1] = _mm256_fmadd_ps(q, k1, acc[t][1]);
            }
        }
        for (int t = 0; t < T; t++) {
            _mm256_storeu_ps(s + t * KERN_KV + j, acc[t][0]);
            _mm256_storeu_ps(s + t * KERN_KV + j + 8, acc[t][1]);
        }
    }
}

/* Softmax of one query's block: s becomes p, 0 outside [j0, j1). */
INLINE void softmax_block(float *s, uint32_t j0, uint32_t j1, float *max, float *sum)
{
    __m256 v[8], m = _mm256_set1_ps(-INFINITY), l = _mm256_setzero_ps();
    for (int i = 0; i < 8; i++) {
        __m256 valid = _mm256_castsi256_ps(lane_mask((int)j0 - 8 * i, (int)j1 - 8 * i));
        v[i] = _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), _mm256_loadu_ps(s + 8 * i), valid);
        m = _mm256_max_ps(v[i], m);
    }
    float lanes[8], top = -INFINITY;
    _mm256_storeu_ps(lanes, m);
    for (int i = 0; i < 8; i++)
        top = lanes[i] > top ? lanes[i] : top;
    for (int i = 0; i < 8; i++) {
        __m256 p = exp8(_mm256_sub_ps(v[i], _mm256_set1_ps(top)));
        _mm256_storeu_ps(s + 8 * i, p);
        l = _mm256_add_ps(l, p);
    }
    *max = top;
    *sum = fold8(l);
}

/* The block's outputs of T queries, folded into what they have: lane = dimension. */
INLINE void outputs(int T, const float *s, struct kern_attn *a, const float old[4],
                    const float new[4], const void *v, bool f16, size_t v_dim, size_t j0,
                    size_t j1, const bool first[4])
{
    for (size_t d = 0; d < v_dim; d += 16) {
        __m256 acc[4][2];
        for (int t = 0; t < T; t++)
            acc[t][0] = acc[t][1] = _mm256_setzero_ps();
        for (size_t j = j0; j < j1; j++) {
            __m256 v0 = load_kv(v, f16, j * v_dim + d), v1 = load_kv(v, f16, j * v_dim + d + 8);
            for (int t = 0; t < T; t++) {
                __m256 p = _mm256_set1_ps(s[t * KERN_KV + (int)j]);
                acc[t][0] = _mm256_fmadd_ps(p, v0, acc[t][0]);
                acc[t][1] = _mm256_fmadd_ps(p, v1, acc[t][1]);
            }
        }
        for (int t = 0; t < T; t++) {
            for (int i = 0; i < 2; i++) {
                float *o = a[t].o + d + 8 * (size_t)i;
                __m256 x = _mm256_add_ps(acc[t][i], _mm256_setzero_ps());
                if (!first[t])
                    x = _mm256_fmadd_ps(_mm256_loadu_ps(o), _mm256_set1_ps(old[t]),
                                        _mm256_mul_ps(x, _mm256_set1_ps(new[t])));
                _mm256_storeu_ps(o, BROKEN(x));
            }
        }
    }
}

INLINE void attn_tile(int T, struct kern_attn *a, const void *k, const void *v,
                      const struct kern_attn_shape *sh, bool f16)
{
    float s[4 * KERN_KV], old[4], new[4];
    bool first[4];
    size_t j0 = KERN_KV, j1 = 0;
    for (int t = 0; t < T; t++) {
        j0 = a[t].j0 < j0 ? a[t].j0 : j0;
        j1 = a[t].j1 > j1 ? a[t].j1 : j1;
    }
    scores(T, s, a, k, f16, sh->k_dim, j0, j1);
    for (int t = 0; sh->softcap != 0 && t < T; t++)
        softcap(s + t * KERN_KV + a[t].j0, s + t * KERN_KV + a[t].j0, sh->softcap,
                a[t].j1 - a[t].j0);
    for (int t = 0; t < T; t++) {
        float max, sum;
        softmax_block(s + t * KERN_KV, a[t].j0, a[t].j1, &max, &sum);
        first[t] = a[t].l == 0;
        float m = first[t] || max > a[t].m ? max : a[t].m;
        old[t] = first[t] ? 0 : ref_exp(a[t].m - m);
        new[t] = first[t] ? 1 : ref_exp(max - m);
        a[t].l = first[t] ? sum : fmaf(a[t].l, old[t], sum * new[t]);
        a[t].m = m;
    }
    outputs(T, s, a, old, new, v, f16, sh->v_dim, j0, j1, first);
}

static void attn_block(struct kern_attn *a, size_t n, const void *k, const void *v,
                       const struct kern_attn_shape *sh, void *scratch)
{
    bool f16 = sh->f16;
    if (sh->v_dim % 16 != 0) {
        kern_ops_ref()->attn_block(a, n, k, v, sh, scratch);
        return;
    }
    if (f16 && n > 8) {                    /* many queries: convert the block once */
        float *k32 = scratch, *v32 = k32 + sh->k_dim * KERN_KV;
        for (size_t i = 0; i < sh->k_dim * KERN_KV; i += 8)
            _mm256_storeu_ps(k32 + i, load_f16((const uint16_t *)k + i));
        for (size_t i = 0; i < sh->v_dim * KERN_KV; i += 8)
            _mm256_storeu_ps(v32 + i, load_f16((const uint16_t *)v + i));
        k = k32;
        v = v32;
        f16 = false;
    }
    for (size_t i = 0; i < n;) {
        size_t run = 0;                    /* queries in a row that see something of this block */
        while (run < 4 && i + run < n && a[i + run].j0 < a[i + run].j1)
            run++;
        if (run == 4 && f16)
            attn_tile(4, a + i, k, v, sh, true);
        else if (run == 4)
            attn_tile(4, a + i, k, v, sh, false);
        else if (run > 0) {
            run = 1;
            if (f16)
                attn_tile(1, a + i, k, v, sh, true);
            else
                attn_tile(1, a + i, k, v, sh, false);
        }
        i += run ? run : 1;
    }
}

static void attn_finish(struct kern_attn *a, size_t n, size_t v_dim)
{
    for (size_t i = 0; i < n; i++) {
        size_t d = 0;
        for (; d + 8 <= v_dim; d += 8)
            _mm256_storeu_ps(a[i].o + d, _mm256_div_ps(_mm256_loadu_ps(a[i].o + d),
                                                       _mm256_set1_ps(a[i].l)));
        for (; d < v_dim; d++)
            a[i].o[d] = a[i].o[d] / a[i].l;
    }
}

const struct kern_ops *kern_ops_avx2(void)
{
    static const struct kern_ops ops = {
        .name = "avx2", .quantize = quantize, .matmul_q8 = matmul_q8, .matmul_f32 = matmul_f32,
        .rmsnorm = rmsnorm, .layernorm = layernorm, .silu_mul = silu_mul, .gelu_mul = gelu_mul,
        .gelu = gelu, .softcap = softcap, .add = add,
        .scale = scale, .rope = rope, .kv_store = kv_store, .attn_block = attn_block,
        .attn_finish = attn_finish, .all_finite = all_finite, .logstats = logstats,
    };
    unsigned a, b, c, d;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 29)))   /* F16C */
        return NULL;
    return &ops;
}

#endif
