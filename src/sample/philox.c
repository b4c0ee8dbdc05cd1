/* SPDX-License-Identifier: MIT
 * Philox4x32-10 (Salmon et al. 2011) for eight counters in a row: what Random123 gives for each, by
 * AVX2 where there is one. */
#include <Random123/philox.h>

#include "sample/sampler.h"

static void one_by_one(const struct noise *z, uint32_t first, uint32_t word[4][NOISE_PAIRS])
{
    philox4x32_key_t k = {{(uint32_t)z->key, (uint32_t)(z->key >> 32)}};
    for (uint32_t i = 0; i < NOISE_PAIRS; i++) {
        philox4x32_ctr_t c = {{first + i, z->position, z->sample, z->beam}};
        c = philox4x32(c, k);
        for (int w = 0; w < 4; w++)
            word[w][i] = c.v[w];
    }
}

#ifdef __x86_64__
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

/* The two halves of the 64-bit products of m with eight words. */
AVX2 static inline void multiply(__m256i x, uint32_t m, __m256i *high, __m256i *low)
{
    __m256i k = _mm256_set1_epi32((int)m);
    __m256i even = _mm256_mul_epu32(x, k), odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), k);
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
    *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}

AVX2 static void all_at_once(const struct noise *z, uint32_t first, uint32_t word[4][NOISE_PAIRS])
{
    uint32_t k0 = (uint32_t)z->key, k1 = (uint32_t)(z->key >> 32);
    __m256i c0 = _mm256_add_epi32(_mm256_set1_epi32((int)first),
                                  _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    __m256i c1 = _mm256_set1_epi32((int)z->position), c2 = _mm256_set1_epi32((int)z->sample);
    __m256i c3 = _mm256_set1_epi32((int)z->beam);
    for (int round = 0; round < 10; round++) {
        __m256i high0, low0, high2, low2;
        multiply(c0, PHILOX_M4x32_0, &high0, &low0);
        multiply(c2, PHILOX_M4x32_1, &high2, &low2);
        c0 = _mm256_xor_si256(_mm256_xor_si256(high2, c1), _mm256_set1_epi32((int)k0));
        c2 = _mm256_xor_si256(_mm256_xor_si256(high0, c3), _mm256_set1_epi32((int)k1));
        c1 = low2;
        c3 = low0;
        k0 += PHILOX_W32_0;
        k1 += PHILOX_W32_1;
    }
    _mm256_storeu_si256((__m256i *)(void *)word[0], c0);
    _mm256_storeu_si256((__m256i *)(void *)word[1], c1);
    _mm256_storeu_si256((__m256i *)(void *)word[2], c2);
    _mm256_storeu_si256((__m256i *)(void *)word[3], c3);
}
#endif

void noise_words(const struct noise *z, uint32_t first, uint32_t word[4][NOISE_PAIRS])
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) {
        all_at_once(z, first, word);
        return;
    }
#endif
    one_by_one(z, first, word);
}
