/* SPDX-License-Identifier: MIT
 * What four lanes need of SSE4.1 (quad.h), first of all a fused multiply-add, which it has not.
 *
 * The product p of two binary32 numbers has at most 48 bits and an exponent far inside that of
 * binary64: p is exact there. The sum s = p + c is rounded to 53 bits, and then again to the 24 of
 * binary32. Two roundings can differ from one only if s is exactly in the middle between two
 * neighbours in binary32: if it is not, the exact sum is on the same side of every such middle as s,
 * since middles are binary64 numbers themselves and rounding is monotonic.
 *
 * fma4 looks for those: in the normal range of binary32 a middle is what has 1 and then 28 zeros in
 * the last 29 of 53 bits; below 2^-126 they are elsewhere, so all of that range is in doubt, except 0,
 * which s is only if the exact sum is 0 (all terms are multiples of 2^-298, which binary64 holds).
 * Few are, and they go through fma4_odd.
 *
 * fma4_odd rounds the sum to odd: of the two binary64 numbers around an inexact sum it takes the
 * one whose last bit is 1. That bit then says to the second rounding that there is something left,
 * and on which side, and since 53 >= 24 + 2 the result is that of one rounding (Boldo and Melquiond,
 * "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008); with
 * fewer bits than 24, as subnormals have, all the more. The rest that says so is that of Knuth's
 * TwoSum, exact here since nothing over- or underflows. tests/isa/isa_fma.c compares both with fmaf. */
#ifndef KERNELS_SSE41_H
#define KERNELS_SSE41_H

#include <smmintrin.h>

#include "kernels/quad.h"

INLINE d2 low2(f4 x) { return (d2)_mm_cvtps_pd((__m128)x); }
INLINE d2 high2(f4 x) { return (d2)_mm_cvtps_pd(_mm_movehl_ps((__m128)x, (__m128)x)); }

INLINE f4 narrow4(d2 lo, d2 hi)
{
    return (f4)_mm_movelh_ps(_mm_cvtpd_ps((__m128d)lo), _mm_cvtpd_ps((__m128d)hi));
}

/* p + c, rounded to odd. */
INLINE d2 sum_to_odd(d2 p, d2 c)
{
    d2 s = p + c, t = s - p, rest = (p - (s - t)) + (c - t);
    l2 even = ((l2)s & 1) - 1, inexact = (l2)(rest > 0) | (l2)(rest < 0);   /* not if it is NaN */
    l2 step = 1 - (((l2)s ^ (l2)rest) >> 63 << 1);          /* +1 away from zero, -1 towards it */
    return (d2)((l2)s + (step & even & inexact));
}

static __attribute__((noinline, cold)) f4 fma4_odd(f4 a, f4 b, f4 c)
{
    return narrow4(sum_to_odd(low2(a) * low2(b), low2(c)), sum_to_odd(high2(a) * high2(b), high2(c)));
}

INLINE f4 fma4(f4 a, f4 b, f4 c)
{
    d2 s0 = low2(a) * low2(b) + low2(c), s1 = high2(a) * high2(b) + high2(c);
    u4 low = (u4)_mm_shuffle_ps((__m128)s0, (__m128)s1, _MM_SHUFFLE(2, 0, 2, 0));
    u4 high = (u4)_mm_shuffle_ps((__m128)s0, (__m128)s1, _MM_SHUFFLE(3, 1, 3, 1));
    i4 middle = (low << 3) == 0x80000000u;
    /* 0 < 2 |high| < 2 * 0x38100000, the upper half of 2^-126; compared as signed numbers */
    i4 small = (i4)((high << 1) + 0x7FFFFFFFu) < set4_i(0x701FFFFF - 0x7FFFFFFF - 1);
    __m128i doubt = (__m128i)(middle | small);
    if (__builtin_expect(!_mm_testz_si128(doubt, doubt), 0))
        return fma4_odd(a, b, c);
    return narrow4(s0, s1);
}

INLINE i4 round4(f4 x) { return (i4)_mm_cvtps_epi32((__m128)x); }

/* Exact, as half_f16_to_f32. */
INLINE f4 load4_f16(const void *p)
{
    i4 h = (i4)_mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)p));
    i4 sign = (i4)((u4)h << 16) & INT32_MIN, em = h & 0x7FFF, at = em << 13;
    f4 normal = (f4)(at + (112 << 23)), tiny = float4(em) * 0x1p-24f;
    f4 x = select4(em < 0x400, tiny, normal);
    x = select4(em > 0x7BFF, (f4)(at | 0x7F800000), x);
    return (f4)((i4)x | sign);
}

INLINE i4 load4_u8(const uint8_t *p)
{
    int32_t x;
    __builtin_memcpy(&x, p, 4);
    return (i4)_mm_cvtepu8_epi32(_mm_cvtsi32_si128(x));
}

INLINE b16 lookup16(b16 table, b16 i) { return (b16)_mm_shuffle_epi8((__m128i)table, (__m128i)i); }

/* The activations of a block, each four columns in every lane. */
struct spread { __m128i x[8]; };

INLINE struct spread spread(const struct kern_q8 *a)
{
    __m128i p = _mm_loadu_si128((const __m128i *)a->q), q = _mm_loadu_si128((const __m128i *)(a->q + 16));
    return (struct spread){{
        _mm_shuffle_epi32(p, 0x00), _mm_shuffle_epi32(p, 0x55), _mm_shuffle_epi32(p, 0xAA),
        _mm_shuffle_epi32(p, 0xFF), _mm_shuffle_epi32(q, 0x00), _mm_shuffle_epi32(q, 0x55),
        _mm_shuffle_epi32(q, 0xAA), _mm_shuffle_epi32(q, 0xFF)}};
}

INLINE __m128i madd8(b16 u, __m128i x) { return _mm_maddubs_epi16((__m128i)u, x); }

/* 16 columns of unsigned bytes below 64; maddubs adds two products in 16 bits, where those of
 * 6 bits have room for two of them and those of fewer for all four. */
INLINE i4 dot16(bool six, const b16 u[4], const __m128i x[4], __m128i by)
{
    __m128i p = _mm_add_epi16(madd8(u[0], x[0]), madd8(u[1], x[1]));
    __m128i r = _mm_add_epi16(madd8(u[2], x[2]), madd8(u[3], x[3]));
    if (six)
        return (i4)_mm_add_epi32(_mm_madd_epi16(p, by), _mm_madd_epi16(r, by));
    return (i4)_mm_madd_epi16(_mm_add_epi16(p, r), by);
}

/* A number of 16 bits twice in each lane. */
INLINE __m128i twice(i4 x) { return (__m128i)((x & 0xFFFF) | (i4)((u4)x << 16)); }

/* The signed bytes of four rows with the block: |u| times x with the sign of u, 2 * 128 * 127 at most. */
INLINE i4 dot32_signed(const b16 u[8], const struct spread *a)
{
    i4 sum = set4_i(0);
    for (int v = 0; v < 8; v++) {
        __m128i w = (__m128i)u[v], p = _mm_maddubs_epi16(_mm_abs_epi8(w), _mm_sign_epi8(a->x[v], w));
        sum += (i4)_mm_madd_epi16(p, _mm_set1_epi16(1));
    }
    return sum;
}

/* sub[0] times the dot of columns 0..15 and sub[1] times that of 16..31; six: of 6-bit numbers. */
INLINE i4 dot32_sub(bool six, const b16 u[8], const struct spread *a, const i4 sub[2])
{
    return dot16(six, u, a->x, twice(sub[0])) + dot16(six, u + 4, a->x + 4, twice(sub[1]));
}

/* The unsigned bytes, below 32. */
INLINE i4 dot32(const b16 u[8], const struct spread *a)
{
    const __m128i ones = _mm_set1_epi16(1);
    return dot16(false, u, a->x, ones) + dot16(false, u + 4, a->x + 4, ones);
}

#endif
