/* SPDX-License-Identifier: MIT
 * Conversion of elements, by integers and by single operations that round to nearest even. */
#include "convert/quant.h"

#include <math.h>

#include "base/half.h"

enum { BLOCK = 32 };

static uint16_t u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

/* One loop per type: the compiler makes vectors of them. */
void quant_load(enum st_dtype dtype, const uint8_t *src, size_t n, float *out)
{
    if (dtype == ST_F16) {
        for (size_t i = 0; i < n; i++)
            out[i] = half_f16_to_f32(u16(src + 2 * i));
    } else if (dtype == ST_BF16) {
        for (size_t i = 0; i < n; i++)
            out[i] = half_bf16_to_f32(u16(src + 2 * i));
    } else {
        for (size_t i = 0; i < n; i++)
            out[i] = half_bits_f32((uint32_t)u16(src + 4 * i) | (uint32_t)u16(src + 4 * i + 2) << 16);
    }
}

static bool is_finite(float f)
{
    return (half_f32_bits(f) & 0x7F800000u) != 0x7F800000u;
}

size_t quant_finite(const float *x, size_t n)
{
    enum { STEP = 256 };
    size_t i = 0;
    for (; i + STEP <= n; i += STEP) {       /* without a branch inside */
        unsigned odd = 0;
        for (size_t k = 0; k < STEP; k++)
            odd |= !is_finite(x[i + k]);
        if (odd)
            break;
    }
    while (i < n && is_finite(x[i]))
        i++;
    return i;
}

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

/* To nearest even; the largest finite values round to infinity. */
static uint16_t to_bf16(float f)
{
    uint32_t u = half_f32_bits(f);
    return (uint16_t)((u + 0x7FFFu + (u >> 16 & 1u)) >> 16);
}

static bool store_block(const float *x, uint8_t *out)
{
    float max = 0;
    for (int i = 0; i < BLOCK; i++)
        max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
    float d = max / 127, inverse = d == 0 ? 0 : 1 / d;
    inverse = is_finite(inverse) ? inverse : 0;    /* d rounds to 0 too */
    uint16_t scale = half_f32_to_f16(d);
    put16(out, scale);
    for (int i = 0; i < BLOCK; i++) {
        float a = fabsf(x[i] * inverse), whole = floorf(a), q = whole + floorf(2 * (a - whole));
        out[2 + i] = (uint8_t)(int8_t)(x[i] < 0 ? -q : q);
    }
    return (scale & 0x7C00u) != 0x7C00u;
}

/* The first of n halves whose exponent has all bits. */
static size_t first_infinite(const uint8_t *p, size_t n, uint16_t exponent)
{
    size_t i = 0;
    while (i < n && (u16(p + 2 * i) & exponent) != exponent)
        i++;
    return i;
}

size_t quant_store(enum qtype type, const float *x, size_t n, uint8_t *out, size_t *lost)
{
    *lost = n;
    if (type == QTYPE_Q8_0) {
        uint8_t *p = out;
        for (size_t i = 0; i < n; i += BLOCK, p += 2 + BLOCK)
            if (!store_block(x + i, p) && *lost == n)
                *lost = i;
        return (size_t)(p - out);
    }
    if (type == QTYPE_F32) {
        for (size_t i = 0; i < n; i++) {
            uint32_t u = half_f32_bits(x[i]);
            put16(out + 4 * i, (uint16_t)u);
            put16(out + 4 * i + 2, (uint16_t)(u >> 16));
        }
        return 4 * n;
    }
    if (type == QTYPE_F16) {
        for (size_t i = 0; i < n; i++)
            put16(out + 2 * i, half_f32_to_f16(x[i]));
    } else {
        for (size_t i = 0; i < n; i++)
            put16(out + 2 * i, to_bf16(x[i]));
    }
    *lost = first_infinite(out, n, type == QTYPE_F16 ? 0x7C00u : 0x7F80u);
    return 2 * n;
}
