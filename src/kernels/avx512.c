/* SPDX-License-Identifier: MIT
 * The kernels for CPUs with AVX-512 and its VNNI: two groups of eight rows side by side, and one
 * instruction for the dot of four bytes. The integers are exact either way, so the bits are those
 * of avx2.c. */
#include "kernels/kernels.h"

#if defined(__x86_64__)

#include "kernels/peak.h"
#define F32_GROUPS 4      /* 24 sums in 32 registers */
#include "kernels/x86_f32.h"
#include "kernels/x86_q8.h"
#include "kernels/x86_vector.h"

#define VEC __m512
#define VEC_N 16
#define vec_zero _mm512_setzero_ps
#define vec_set1 _mm512_set1_ps
#define vec_load _mm512_loadu_ps
#define vec_load_f16(p) _mm512_cvtph_ps(load256(p))
#define vec_store _mm512_storeu_ps
#define vec_fma _mm512_fmadd_ps
#define vec_mul _mm512_mul_ps
#define vec_add _mm512_add_ps
#define VEC_BROKEN BROKEN16
#define ATTN_TILES ATTN_TILE(8, 2) ATTN_TILE(4, 2) ATTN_TILE(2, 4) ATTN_TILE(1, 4)
#define ATTN_MAX_T 8
#define ATTN_CONVERT_FROM 9
#include "kernels/attn_template.h"

/* The scales of one block for 16 rows, as struct scales; sub in 32 bits. */
struct scales16 { __m512 s, m; __m512i sub[2], pair; };

INLINE __m512i join(__m256i a, __m256i b)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}

INLINE __m512 join_ps(__m256 a, __m256 b)
{
    return _mm512_castsi512_ps(join(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}

INLINE struct scales16 load_scales16(enum qtype type, const struct group g[2], size_t b)
{
    struct scales p = load_scales(type, g[0].s, b), q = load_scales(type, g[1].s, b);
    struct scales16 k = {.s = join_ps(p.s, q.s), .m = join_ps(p.m, q.m),
                         .pair = join(p.pair, q.pair)};
    for (int i = 0; i < 2; i++)
        k.sub[i] = _mm512_srai_epi32(join(p.sub[i], q.sub[i]), 16);
    return k;
}

/* The 32 columns of 16 rows as load_quants gives them, but always unsigned: signed ones + 128. */
INLINE void load_quants16(enum qtype type, const struct group g[2], size_t b, __m512i u[8])
{
    __m256i p[8], q[8];
    size_t at = b * q_bytes_of(type), high = b * h_bytes_of(type);
    load_quants(type, g[0].q + at, g[0].h + high, p);
    load_quants(type, g[1].q + at, g[1].h + high, q);
    for (int v = 0; v < 8; v++) {
        u[v] = join(p[v], q[v]);
        if (is_signed(type))
            u[v] = _mm512_xor_si512(u[v], _mm512_set1_epi8((char)0x80));
    }
}

INLINE __m512i dot_sums16(const struct scales16 *k, const struct kern_q8 *a)
{
    int32_t both;
    __builtin_memcpy(&both, a->sum16, 4);
    return _mm512_madd_epi16(k->pair, _mm512_set1_epi32(both));
}

/* Exact integer dot of one block for 16 rows. dpbusd adds four products of an unsigned and a
 * signed byte in 32 bits; none of its sums here leaves them. */
INLINE __m512i dot_block16(enum qtype type, const __m512i u[8], const struct scales16 *k,
                           const struct kern_q8 *a)
{
    __m512i half[2];
    for (int i = 0; i < 2; i++) {
        half[i] = _mm512_setzero_si512();
        for (int v = 4 * i; v < 4 * i + 4; v++) {
            int32_t quad;
            __builtin_memcpy(&quad, a->q + 4 * v, 4);
            half[i] = _mm512_dpbusd_epi32(half[i], u[v], _mm512_set1_epi32(quad));
        }
        if (has_sub(type))
            half[i] = _mm512_mullo_epi32(half[i], k->sub[i]);
    }
    __m512i sum = _mm512_add_epi32(half[0], half[1]);
    if (type == QTYPE_Q3_K || type == QTYPE_Q6_K)
        sum = _mm512_sub_epi32(sum, _mm512_slli_epi32(dot_sums16(k, a), type == QTYPE_Q3_K ? 2 : 5));
    const unsigned shift = type == QTYPE_Q4_0 ? 3 : type == QTYPE_Q5_0 ? 4 : is_signed(type) ? 7 : 0;
    if (shift)
        sum = _mm512_sub_epi32(sum, _mm512_slli_epi32(_mm512_set1_epi32(a->sum), shift));
    return sum;
}

/* Sixteen rows against T tokens. */
INLINE void tile_q8(enum qtype type, int T, float *y, size_t ldy, const struct group g[2], size_t nb,
                    const struct kern_q8 *x, size_t n_rows, struct ahead next)
{
    __mmask16 rows = (__mmask16)((1u << n_rows) - 1);
    __m512 acc[8];
    for (int t = 0; t < T; t++)
        acc[t] = _mm512_setzero_ps();
    for (size_t b = 0; b < nb; b++) {
        __m512i u[8];
        struct scales16 k = load_scales16(type, g, b);
        prefetch(next, b);
        load_quants16(type, g, b, u);
#pragma GCC unroll 8
        for (int t = 0; t < T; t++) {
            const struct kern_q8 *a = &x[(size_t)t * nb + b];
            __m512 isum = _mm512_cvtepi32_ps(dot_block16(type, u, &k, a));
            acc[t] = _mm512_fmadd_ps(isum, _mm512_mul_ps(k.s, _mm512_set1_ps(a->d)), acc[t]);
            if (has_m(type))
                acc[t] = _mm512_fmadd_ps(k.m, _mm512_set1_ps(a->ds), acc[t]);
            if (type == QTYPE_Q2_K)
                acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot_sums16(&k, a)),
                                         _mm512_mul_ps(k.m, _mm512_set1_ps(a->d)), acc[t]);
        }
    }
    for (int t = 0; t < T; t++)
        _mm512_mask_storeu_ps(y + (size_t)t * ldy, rows, BROKEN16(acc[t]));
}

#define MATMUL_GROUPS 2
#define MATMUL_TOKENS 8
#define MATMUL_TILES TILE(8) TILE(4) TILE(1)
#include "kernels/matmul_template.h"

INLINE __m512i peak_step_i8(__m512i a, __m512i x)
{
    return _mm512_dpbusd_epi32(a, x, x);
}

INLINE __m512 peak_step_f32(__m512 a, __m512 x)
{
    return _mm512_fmadd_ps(a, x, x);
}

KERN_PEAK(peak_i8, 12, __m512i, "v", _mm512_set1_epi8(1), peak_step_i8, 2 * 64)
KERN_PEAK(peak_f32, 12, __m512, "v", _mm512_set1_ps(0.5f), peak_step_f32, 2 * 16)

const struct kern_ops *kern_ops_avx512(void)
{
    static const struct kern_ops ops = KERN_OPS("avx512");
    if (!kern_ops_avx2() || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512vnni"))
        return NULL;
    return &ops;
}

#endif
