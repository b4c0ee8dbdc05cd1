/* SPDX-License-Identifier: MIT
 * What the kernels for x86 share: loads and masks. Only files that are compiled with -mavx2 -mfma
 * -mf16c, or more, may include this. */
#ifndef KERNELS_X86_H
#define KERNELS_X86_H

#include <immintrin.h>

#include "kernels/simd.h"

/* A build that must fail every comparison, to show that they can. */
#ifdef IDEM_TEST_BREAK_KERNEL
#define BROKEN(x) _mm256_mul_ps(x, _mm256_set1_ps(0x1.000002p0f))
#define BROKEN16(x) _mm512_mul_ps(x, _mm512_set1_ps(0x1.000002p0f))
#else
#define BROKEN(x) (x)
#define BROKEN16(x) (x)
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

#endif
