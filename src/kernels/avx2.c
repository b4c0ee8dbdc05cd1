/* SPDX-License-Identifier: MIT
 * The kernels for CPUs with AVX2, FMA and F16C. */
#include "kernels/kernels.h"

#if defined(__x86_64__)

#include <cpuid.h>

#include "kernels/peak.h"
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
#define ATTN_MAX_T 4
#define ATTN_CONVERT_FROM 9
#include "kernels/attn_template.h"

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

/* Eight rows against T tokens. */
INLINE void tile_q8(enum qtype type, int T, float *y, size_t ldy, const struct group *g, size_t nb,
                    const struct kern_q8 *x, size_t n_rows, struct ahead next)
{
    __m256i rows = lane_mask(0, (int)n_rows);
    __m256 acc[8];
    for (int t = 0; t < T; t++)
        acc[t] = _mm256_setzero_ps();
    for (size_t b = 0; b < nb; b++) {
        __m256i u[8];
        struct scales k = load_scales(type, g->s, b);
        prefetch(next, b);
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

#define MATMUL_GROUPS 1
#define MATMUL_TOKENS 8
#define MATMUL_TILES TILE(8) TILE(4) TILE(2) TILE(1)
#include "kernels/matmul_template.h"

#include "kernels/x86_noise_template.h"

INLINE __m256i peak_step_i8(__m256i a, __m256i x)
{
    return _mm256_add_epi16(a, _mm256_maddubs_epi16(x, x));
}

INLINE __m256 peak_step_f32(__m256 a, __m256 x)
{
    return _mm256_fmadd_ps(a, x, x);
}

KERN_PEAK(peak_i8, 12, __m256i, "x", _mm256_set1_epi8(1), peak_step_i8, 2 * 32)
KERN_PEAK(peak_f32, 12, __m256, "x", _mm256_set1_ps(0.5f), peak_step_f32, 2 * 8)

const struct kern_ops *kern_ops_avx2(void)
{
    static const struct kern_ops ops = KERN_OPS("avx2");
    unsigned a, b, c, d;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 29)))   /* F16C */
        return NULL;
    return &ops;
}

#endif
