/* SPDX-License-Identifier: MIT
 * binary16 and bfloat16 to and from binary32, by integers only: exact one way, round to
 * nearest even the other (IEEE 754-2019 §4.3.1). Equal to F16C and FCVT bit for bit on
 * every non-NaN input. */
#ifndef BASE_HALF_H
#define BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_bits_f32(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint32_t half_f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float half_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exp = (h >> 10) & 0x1Fu, man = h & 0x3FFu;
    if (exp == 31)
        return half_bits_f32(sign | 0x7F800000u | (man << 13));
    if (exp != 0)
        return half_bits_f32(sign | ((exp + 112u) << 23) | (man << 13));
    /* zero or subnormal: man * 2^-24 is exact in binary32 */
    float f = (float)man * 0x1p-24f;
    return half_bits_f32(sign | half_f32_bits(f));
}

static inline uint16_t half_f32_to_f16(float f)
{
    uint32_t u = half_f32_bits(f), sign = (u >> 16) & 0x8000u, a = u & 0x7FFFFFFFu;
    if (a > 0x7F800000u)
        return (uint16_t)(sign | 0x7E00u);                 /* NaN, quiet */
    if (a >= 0x477FF000u)
        return (uint16_t)(sign | 0x7C00u);                 /* rounds to infinity */
    if (a >= 0x38800000u) {                                /* normal */
        uint32_t r = a - 0x38000000u;
        r += 0xFFFu + ((r >> 13) & 1u);
        return (uint16_t)(sign | (r >> 13));
    }
    if (a <= 0x33000000u)
        return (uint16_t)sign;                             /* at most half the least subnormal */
    uint32_t shift = 126u - (a >> 23);                     /* 14..24 */
    uint32_t man = (a & 0x7FFFFFu) | 0x800000u;
    uint32_t r = man >> shift, rest = man & ((1u << shift) - 1u), half = 1u << (shift - 1u);
    if (rest > half || (rest == half && (r & 1u)))
        r++;
    return (uint16_t)(sign | r);
}

static inline float half_bf16_to_f32(uint16_t h)
{
    return half_bits_f32((uint32_t)h << 16);
}

#endif
