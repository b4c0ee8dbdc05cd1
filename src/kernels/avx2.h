/* SPDX-License-Identifier: MIT
 * What the AVX2 files share: loads, masks, and the names that each gives the table. Only files
 * that are compiled with -mavx2 -mfma -mf16c may include this. */
#ifndef KERNELS_AVX2_H
#define KERNELS_AVX2_H

#include "kernels/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

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

/* Lanes [from, to) of eight, as a mask. */
INLINE __m256i lane_mask(int from, int to)
{
    __m256i i = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(from), i),
                               _mm256_cmpgt_epi32(_mm256_set1_epi32(to), i));
}

/* avx2_matmul.c: kern_ops.quantize, matmul_q8 and matmul_f32. */
void kern_avx2_quantize(struct kern_q8 *y, const float *x, size_t n);
void kern_avx2_matmul_q8(float *y, size_t ldy, const struct kern_matrix *w, const struct kern_q8 *x,
                         size_t n_tokens, size_t group0, size_t group1);
void kern_avx2_matmul_f32(float *y, size_t ldy, const struct kern_matrix *w, const float *x,
                          size_t ldx, size_t n_tokens, size_t group0, size_t group1, void *scratch);

#endif
#endif
