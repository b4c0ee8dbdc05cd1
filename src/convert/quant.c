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

void quant_load(enum st_dtype dtype, const uint8_t *src, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        if (dtype == ST_F16) {
            out[i] = half_f16_to_f32(u16(src + 2 * i));
        } else if (dtype == ST_BF16) {
            out[i] = half_bf16_to_f32(u16(src + 2 * i));
        } else {
            const uint8_t *p = src + 4 * i;
            out[i] = half_bits_f32((uint32_t)u16(p) | (uint32_t)u16(p + 2) << 16);
        }
    }
}

static bool is_finite(float f)
{
    return (half_f32_bits(f) & 0x7F800000u) != 0x7F800000u;
}

size_t quant_finite(const float *x, size_t n)
{
    size_t i = 0;
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

size_t quant_store(enum qtype type, const float *x, size_t n, uint8_t *out, size_t *lost)
{
    *lost = n;
    uint8_t *p = out;
    if (type == QTYPE_Q8_0) {
        for (size_t i = 0; i < n; i += BLOCK, p += 2 + BLOCK)
            if (!store_block(x + i, p) && *lost == n)
                *lost = i;
        return (size_t)(p - out);
    }
    for (size_t i = 0; i < n; i++) {
        if (type == QTYPE_F32) {
            uint32_t u = half_f32_bits(x[i]);
            put16(p, (uint16_t)u);
            put16(p + 2, (uint16_t)(u >> 16));
            p += 4;
            continue;
        }
        uint16_t h = type == QTYPE_F16 ? half_f32_to_f16(x[i]) : to_bf16(x[i]);
        uint16_t exponent = type == QTYPE_F16 ? 0x7C00u : 0x7F80u;
        if ((h & exponent) == exponent && *lost == n)
            *lost = i;
        put16(p, h);
        p += 2;
    }
    return (size_t)(p - out);
}
