/* SPDX-License-Identifier: MIT
 * Scalar functions of the definition that other kernel files use for their tails. */
#ifndef KERNELS_REF_H
#define KERNELS_REF_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "idem's bits are defined without -ffast-math"
#endif

/* exp in binary32 (docs/numerics.md, exp32). 0 below -87.3, +inf above 88.3. */
#define REF_EXP_LO (-87.3f)
#define REF_EXP_HI 88.3f
#define REF_LOG2E 0x1.715476p+0f
#define REF_LN2_HI 0x1.62e4p-1f            /* 15 bits: n * hi is exact for |n| <= 128 */
#define REF_LN2_LO 0x1.7f7d1cp-20f         /* ln 2 - hi, rounded */
#define REF_MAGIC 0x1.8p+23f               /* adding it rounds to an integer */

static inline float ref_exp(float x)
{
    if (x < REF_EXP_LO)
        return 0.0f;
    if (x > REF_EXP_HI)
        return INFINITY;
    float t = fmaf(x, REF_LOG2E, REF_MAGIC);
    float n = t - REF_MAGIC;
    float r = fmaf(n, -REF_LN2_LO, fmaf(n, -REF_LN2_HI, x));
    float p = 1.0f / 5040.0f;              /* Taylor: |r| <= 0.35, r^8/8! < 6e-9 */
    p = fmaf(p, r, 1.0f / 720.0f);
    p = fmaf(p, r, 1.0f / 120.0f);
    p = fmaf(p, r, 1.0f / 24.0f);
    p = fmaf(p, r, 1.0f / 6.0f);
    p = fmaf(p, r, 0.5f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    uint32_t u, k;
    memcpy(&u, &p, 4);
    memcpy(&k, &t, 4);
    u += k << 23;                          /* the low bits of t are n: p * 2^n */
    memcpy(&p, &u, 4);
    return p;
}

/* x / (1 + exp(-x)) */
static inline float ref_silu(float x)
{
    return x / (1.0f + ref_exp(-x));
}

/* The tanh form of GELU: x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3). */
#define REF_GELU_A 0x1.988454p+0f          /* 2 sqrt(2/pi) */
#define REF_GELU_B 0x1.2444f2p-4f          /* 2 sqrt(2/pi) * 0.044715 */
static inline float ref_gelu(float x)
{
    float u2 = x * fmaf(REF_GELU_B, x * x, REF_GELU_A);
    return x / (1.0f + ref_exp(-u2));
}

/* tanh as 1 - 2 / (exp(2x) + 1), and what soft caps do with it. */
static inline float ref_softcap(float x, float c)
{
    return c * (1.0f - 2.0f / (ref_exp(2.0f * (x / c)) + 1.0f));
}

/* The fold of eight lanes, everywhere the same. */
static inline float ref_fold8(const float s[8])
{
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static inline double ref_fold8d(const double s[8])
{
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

#endif
