/* SPDX-License-Identifier: MIT
 * What the comparisons of kernels share: inputs, outputs with guards, the first difference. */
#ifndef KERNELS_CHECK_IMPL_H
#define KERNELS_CHECK_IMPL_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"
#include "kernels/noise.h"

enum { GUARD = 16 };                       /* floats before and after each output */

struct check {
    const struct kern_ops *ref, *var;
    const struct kern_noise_ops *noise;    /* variant, in kern_check_noise */
    uint64_t rng;
    uint64_t n_cases;
    bool ok;
    char detail[256];                      /* the first difference */
};

static inline uint64_t next(struct check *c)      /* splitmix64 (Steele et al. 2014) */
{
    uint64_t z = (c->rng += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline size_t below(struct check *c, size_t n)
{
    return (size_t)(next(c) % n);
}

/* Kinds of input: ordinary, wide range, tiny (subnormal), equal magnitudes, sparse. */
enum { N_KINDS = 5 };
static inline float value(struct check *c, int kind)
{
    uint64_t u = next(c);
    float f = (float)(int64_t)(u >> 40) * 0x1p-23f - 1.0f;     /* [-1, 1) */
    switch (kind) {
    case 0: return 2 * f;
    case 1: return f * half_bits_f32((uint32_t)(107 + (u & 31)) << 23);   /* 2^-20 .. 2^11 */
    case 2: return f * 0x1p-130f;
    case 3: return u & 1 ? 1.0f : -1.0f;
    default: return u % 7 ? (u & 8 ? 0.0f : -0.0f) : f;
    }
}

static inline float *floats(struct check *c, size_t n, int kind)
{
    float *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; x && i < n; i++)
        x[i] = value(c, kind);
    return x;
}

/* An output with guards, both copies filled alike. */
static inline float *output(size_t n)
{
    float *y = malloc((n + 2 * GUARD) * sizeof *y);
    for (size_t i = 0; y && i < n + 2 * GUARD; i++)
        y[i] = -12345.0f;
    return y ? y + GUARD : NULL;
}

static inline void output_free(float *y)
{
    if (y)
        free(y - GUARD);
}

static inline void differ(struct check *c, const char *what, size_t i, uint32_t a, uint32_t b)
{
    if (c->ok)
        snprintf(c->detail, sizeof c->detail, "%s: word %zu is %08x, the reference has %08x", what,
                 i, b, a);
    c->ok = false;
}

static inline void compare(struct check *c, const char *what, const void *a, const void *b, size_t n_words)
{
    c->n_cases++;
    if (memcmp(a, b, n_words * 4) == 0)
        return;
    for (size_t i = 0; i < n_words; i++) {
        uint32_t x, y;
        memcpy(&x, (const uint8_t *)a + 4 * i, 4);
        memcpy(&y, (const uint8_t *)b + 4 * i, 4);
        if (x != y) {
            differ(c, what, i, x, y);
            return;
        }
    }
}

static inline void compare_guarded(struct check *c, const char *what, const float *a, const float *b, size_t n)
{
    compare(c, what, a - GUARD, b - GUARD, n + 2 * GUARD);
}

static inline bool out_of_memory(struct check *c)
{
    c->ok = false;
    snprintf(c->detail, sizeof c->detail, "not enough memory for the check");
    return true;
}

static const enum qtype TYPES[] = {
    QTYPE_F32, QTYPE_F16, QTYPE_BF16, QTYPE_Q4_0, QTYPE_Q4_1, QTYPE_Q5_0, QTYPE_Q5_1, QTYPE_Q8_0,
    QTYPE_Q2_K, QTYPE_Q3_K, QTYPE_Q4_K, QTYPE_Q5_K, QTYPE_Q6_K, QTYPE_IQ4_NL, QTYPE_IQ4_XS,
};

/* Where d, and m or dmin, are in a block of the type in the file; 0, 0 if there is no m. */
static inline void scale_offsets(enum qtype type, size_t *d, size_t *m)
{
    *d = type == QTYPE_Q6_K ? 208 : type == QTYPE_Q3_K ? 108 : type == QTYPE_Q2_K ? 80 : 0;
    bool has_m = type == QTYPE_Q4_1 || type == QTYPE_Q5_1 || type == QTYPE_Q2_K ||
                 type == QTYPE_Q4_K || type == QTYPE_Q5_K;
    *m = has_m ? *d + 2 : 0;
}

/* Random bytes, or all bits equal (the largest integers of either sign), with finite scales. */
static inline uint8_t *file_rows(struct check *c, enum qtype type, size_t n_rows, size_t n_cols, bool extreme)
{
    const struct qtype_info *info = qtype_info(type);
    size_t n_blocks = n_rows * (n_cols / info->block_elems), size = info->block_bytes;
    uint8_t *rows = malloc(n_blocks * size);
    size_t d_at, m_at;
    scale_offsets(type, &d_at, &m_at);
    for (size_t b = 0; rows && b < n_blocks; b++) {
        uint8_t *p = rows + b * size;
        for (size_t i = 0; i < size; i++)
            p[i] = extreme ? (b % 3 == 2 ? 0 : 0xFF) : (uint8_t)next(c);
        uint16_t d = half_f32_to_f16(value(c, extreme ? 3 : 1)), m = half_f32_to_f16(value(c, 1));
        float f = value(c, 1);
        uint16_t bf = (uint16_t)(half_f32_bits(f) >> 16);
        if (type == QTYPE_F32)
            memcpy(p, &f, 4);
        else if (type == QTYPE_BF16)
            memcpy(p, &bf, 2);
        else
            memcpy(p + d_at, &d, 2);
        if (m_at)
            memcpy(p + m_at, &m, 2);
        if (type == QTYPE_Q8_0 && extreme)
            memset(p + 2, b % 2 ? 0x80 : 0x7F, 32);
    }
    return rows;
}

#endif
