/* SPDX-License-Identifier: MIT
 * The fused multiply-add of sse41.h against fmaf of the C library, by all 32 bits: random numbers,
 * and those made to be hard, which is close to or exactly in the middle between two numbers, near the
 * ends of the range, or with a difference that cancels.
 * usage: isa_fma N SEED */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/half.h"
#include "kernels/quad.h"

static uint64_t rng;

static uint64_t next(void)                  /* splitmix64 */
{
    uint64_t z = rng += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static float from_bits(uint64_t u)          /* finite */
{
    float f = half_bits_f32((uint32_t)u);
    return isfinite(f) ? f : half_bits_f32((uint32_t)u & 0xBFFFFFFFu);
}

/* A number of at most `bits` bits with a binary exponent from lo to hi. */
static float few_bits(unsigned bits, int lo, int hi)
{
    uint64_t u = next();
    float f = (float)(1 + (u >> 8) % ((1u << bits) - 1));
    return ldexpf(u & 1 ? f : -f, lo + (int)((u >> 40) % (uint64_t)(hi - lo + 1)));
}

enum { N_KINDS = 9 };

static void hard(unsigned kind, float *a, float *b, float *c)
{
    uint64_t u = next(), v = next();
    *a = from_bits(u);
    *b = from_bits(u >> 32);
    *c = from_bits(v);
    switch (kind) {
    case 1:                                 /* like what products are made of */
        *a = few_bits(24, -34, -14);
        *b = few_bits(24, -34, -14);
        *c = few_bits(24, -40, -8);
        break;
    case 2:                                 /* the sum cancels */
        *a = few_bits(24, -60, 0);
        *b = few_bits(24, -60, 0);
        *c = from_bits(half_f32_bits(-(*a * *b)) + (v >> 32) % 5 - 2);
        break;
    case 3: {                               /* half a unit of c, or so little less that s is in the middle */
        int e = (int)(v % 254), half = (e > 1 ? e : 1) - 127 - 24, less = (int)(u % 4);
        *c = half_bits_f32((uint32_t)((v >> 32) & 0x807FFFFFu) | (uint32_t)e << 23);
        if (v >> 31 & 1)                    /* many of them subnormal */
            half = -150, *c = half_bits_f32((uint32_t)(v >> 32) & 0x807FFFFFu);
        *a = ldexpf(1.0f + (float)less * 0x1p-23f, half / 2);
        *b = ldexpf(1.0f - (float)less * 0x1p-23f, half - half / 2);
        *a = u & 8 ? *a : -*a;
        break;
    }
    case 4:                                 /* the same, more exactly: few bits far apart */
        *a = few_bits(3, -8, 8);
        *b = few_bits(1 + (unsigned)(u % 23), -60, 8);
        *c = few_bits(24, -40, 30);
        break;
    case 5:                                 /* subnormal, or nearly */
        *a = few_bits(24, -110, -60);
        *b = few_bits(24, -100, -62);
        *c = v & 1 ? from_bits((v >> 32) & 0x80FFFFFFu) : few_bits(24, -149, -140);
        break;
    case 6:                                 /* overflow, or nearly */
        *a = few_bits(24, 30, 42);
        *b = few_bits(24, 30, 42);
        *c = from_bits((v >> 32) | 0x7E000000u);
        break;
    case 7:                                 /* zeros, ones, exact results */
        *a = few_bits(4, -2, 2) * (float)(u % 3);
        *b = few_bits(4, -2, 2) * (float)(u / 3 % 3);
        *c = v % 4 ? few_bits(8, -4, 4) : v % 8 ? -0.0f : 0.0f;
        break;
    case 8:                                 /* infinities */
        *(u % 3 == 0 ? a : u % 3 == 1 ? b : c) = v & 1 ? INFINITY : -INFINITY;
        break;
    default:
        break;
    }
}

static int compare(const char *name, f4 got, const float *a, const float *b, const float *c)
{
    for (int i = 0; i < 4; i++) {
        float want = fmaf(a[i], b[i], c[i]), have = got[i];
        bool nan = isnan(want) && isnan(have);
        if (!nan && half_f32_bits(want) != half_f32_bits(have)) {
            printf("%s(%a, %a, %a) is %a, fmaf %a\n", name, (double)a[i], (double)b[i], (double)c[i],
                   (double)have, (double)want);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t n = argc == 3 ? strtoull(argv[1], NULL, 10) : 0, bad = 0;
    if (n == 0)
        return fprintf(stderr, "usage: %s N SEED\n", argv[0]), 2;
    rng = strtoull(argv[2], NULL, 10);
    kern_thread_init();
    for (uint64_t k = 0; k < n / 4 && bad < 10; k++) {
        float a[4], b[4], c[4];
        for (unsigned i = 0; i < 4; i++)    /* lanes of all kinds side by side */
            hard((unsigned)((k + i * (k / N_KINDS % 2)) % N_KINDS), &a[i], &b[i], &c[i]);
        bad += (uint64_t)compare("fma4", fma4(load4(a), load4(b), load4(c)), a, b, c);
        bad += (uint64_t)compare("fma4_odd", fma4_odd(load4(a), load4(b), load4(c)), a, b, c);
    }
    printf("fma: %llu sums of %u kinds, %llu different\n", (unsigned long long)n, (unsigned)N_KINDS,
           (unsigned long long)bad);
    return bad != 0;
}
