/* SPDX-License-Identifier: MIT
 * The kernels for CPUs with AVX2, FMA and F16C. */
#include "kernels/kernels.h"

#if defined(__x86_64__)

#include <cpuid.h>

#include "kernels/x86_f32.h"
#include "kernels/x86_q8.h"
#include "kernels/x86_vector.h"

#define VEC __m256
#define VEC_N 8
#define vec_zero _mm256_setzero_ps
#define vec_set1 _mm256_set1_ps
#define vec_load _mm256_loadu_ps
#define vec_load_f16 load_f16
#define vec_store _mm256_storeu_ps
#define vec_fma _mm256_fmadd_ps
#define vec_mul _mm256_mul_ps
#define vec_add _mm256_add_ps
#define VEC_BROKEN BROKEN
#define ATTN_TILES ATTN_TILE(4, 2) ATTN_TILE(1, 4)
#include "kernels/x86_attn_template.h"

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
        __m256i off = _mm256_set1_epi32(a->sum);
        sum = _mm256_sub_epi32(sum, _mm256_slli_epi32(off, type == QTYPE_Q4_0 ? 3 : 4));
    }
    return sum;
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

X86_EACH_TYPE(X86_MATMUL)

static void matmul_q8(float *y, size_t ldy, const struct kern_matrix *w, const struct kern_q8 *x,
                      size_t n_tokens, size_t group0, size_t group1)
{
    switch (w->type) {
    X86_EACH_TYPE(X86_MATMUL_CASE)
    default: break;
    }
}

/* ---- limits ------------------------------------------------------------------------------------ */

/* Twelve chains of their own hide the latency of either; each in a variable, so that it stays in a
 * register. */
#define EACH_CHAIN(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
enum { CHAINS = 12 };

static uint64_t peak_i8(uint64_t n)
{
    const __m256i x = _mm256_set1_epi8(1);
    __m256i u = _mm256_set1_epi8(3);           /* hidden from the compiler: a product of constants */
#define START(k) __m256i a##k = u;
#define STEP(k) a##k = _mm256_add_epi16(a##k, _mm256_maddubs_epi16(u, x)); __asm__ volatile("" : "+x"(a##k), "+x"(u));
    EACH_CHAIN(START)
    for (uint64_t i = 0; i < n; i++) {
        EACH_CHAIN(STEP)
    }
#undef START
#undef STEP
    return n * CHAINS * 32 * 2;
}

static uint64_t peak_f32(uint64_t n)
{
    const __m256 x = _mm256_set1_ps(0.5f);
#define START(k) __m256 a##k = x;
#define STEP(k) a##k = _mm256_fmadd_ps(a##k, x, x); __asm__ volatile("" : "+x"(a##k));
    EACH_CHAIN(START)
    for (uint64_t i = 0; i < n; i++) {
        EACH_CHAIN(STEP)
    }
#undef START
#undef STEP
    return n * CHAINS * 8 * 2;
}

const struct kern_ops *kern_ops_avx2(void)
{
    static const struct kern_ops ops = {
        .name = "avx2", .quantize = quantize, .matmul_q8 = matmul_q8, .matmul_f32 = matmul_f32,
        .rmsnorm = rmsnorm, .layernorm = layernorm, .silu_mul = silu_mul, .gelu_mul = gelu_mul,
        .gelu = gelu, .softcap = softcap, .add = add, .scale = scale, .rope = rope,
        .kv_store = kv_store, .attn_block = attn_block, .attn_finish = attn_finish,
        .all_finite = all_finite, .logstats = logstats, .peak_i8 = peak_i8, .peak_f32 = peak_f32,
    };
    unsigned a, b, c, d;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 29)))   /* F16C */
        return NULL;
    return &ops;
}

#endif
