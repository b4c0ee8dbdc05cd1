/* SPDX-License-Identifier: MIT
 * exp, log, pow, sin, cos and tanh in binary64 from +, -, *, /, fma and integer operations.
 *
 * Every line below is one rounding of IEEE-754 binary64, to nearest even, in the order written;
 * nothing is contracted or reassociated, so the bits are those of the text and not of the
 * compiler. docs/numerics-detmath.md says the same in words. All coefficients are quotients of
 * integers that binary64 holds exactly (Taylor and Lambert), rounded once; the split constants
 * (ln 2, 2/pi, pi/2) and the thresholds come from tools/make_detmath_table.py --constants. */
#include "base/detmath.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "detmath.c defines bits: build it without -ffast-math"
#endif
#if FLT_EVAL_METHOD != 0
#error "detmath.c needs binary64 arithmetic without excess precision (SSE2, not x87)"
#endif

/* Adding and subtracting this rounds |x| < 2^51 to the nearest integer, ties to even. */
#define ROUNDER 0x1.8p52

/* ln 2 = LN2_HI + LN2_LO. LN2_HI has 40 significant bits, so k * LN2_HI is exact for every
 * exponent k. */
#define LN2_HI 0x1.62e42fefa2p-1
#define LN2_LO 0x1.9ef35793c7673p-41
#define INV_LN2 0x1.71547652b82fep+0

#define EXP_MAX 0x1.62e42fefa39efp+9     /* the largest x with e^x < 2^1024 */
#define EXP_MIN -0x1.6232bdd7abcd2p+9    /* the least x with e^x >= 2^-1022 */

/* pi/2 = PIO2_1 + PIO2_2 + PIO2_3, each the nearest double to what is left. */
#define PIO2_1 0x1.921fb54442d18p+0
#define PIO2_2 0x1.1a62633145c07p-54
#define PIO2_3 -0x1.f1976b7ed8fbcp-110
#define TWO_OVER_PI 0x1.45f306dc9c883p-1

static uint64_t bits_of(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static double from_bits(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Horner's rule, each step one product and one sum; c[0] is the leading coefficient. */
static double horner(double z, const double *c, int n)
{
    double p = c[0];
    for (int i = 1; i < n; i++)
        p = p * z + c[i];
    return p;
}

/* e^x = 2^k e^r, r = x - k ln 2, |r| <= 0.3466; e^r = 1 + (r + r^2 P(r)), P from Taylor's
 * series up to r^14 / 14!, c. P is summed in pairs, which is faster than Horner's chain; this is the
 * one function that runs once per token of a vocabulary. Sets t and e of type T, double or a vector:
 * k is in the low bits of t, e = e^r. */
static const double exp_c[] = {   /* 1/2! ... 1/14! */
    1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0, 1.0 / 40320.0,
    1.0 / 362880.0, 1.0 / 3628800.0, 1.0 / 39916800.0, 1.0 / 479001600.0,
    1.0 / 6227020800.0, 1.0 / 87178291200.0
};
#define EXP_OF(T, x, t, e, c)                                                                    \
    do {                                                                                         \
        t = x * INV_LN2 + ROUNDER;                                                               \
        T k = t - ROUNDER;                                                                       \
        T r = (x - k * LN2_HI) - k * LN2_LO;                                                     \
        T r2 = r * r, r4 = r2 * r2, r8 = r4 * r4;                                                \
        T p0 = (c[0] + c[1] * r) + (c[2] + c[3] * r) * r2;                                       \
        T p1 = (c[4] + c[5] * r) + (c[6] + c[7] * r) * r2;                                       \
        T p2 = ((c[8] + c[9] * r) + (c[10] + c[11] * r) * r2) + c[12] * r4;                      \
        T p = (p0 + p1 * r4) + p2 * r8;                                                          \
        e = 1.0 + (r + r2 * p);                                                                  \
    } while (0)

double det_exp(double x)
{
    double t, e;
    if (!(x <= EXP_MAX))
        return x > EXP_MAX ? INFINITY : x;
    if (x < EXP_MIN)
        return 0.0;
    EXP_OF(double, x, t, e, exp_c);
    return from_bits(bits_of(e) + (bits_of(t) << 52));
}

/* Four at a time: the operations of det_exp in each lane. */
typedef double lanes __attribute__((vector_size(32)));
typedef uint64_t lane_bits __attribute__((vector_size(32)));
#define INLINE static inline __attribute__((always_inline))

INLINE void exp_lanes(double *y)
{
    lanes x, t, e;
    lane_bits bits;
    memcpy(&x, y, sizeof x);
    EXP_OF(lanes, x, t, e, exp_c);
    bits = ((lane_bits)e + ((lane_bits)t << 52)) & ~(lane_bits)(x < EXP_MIN);
    memcpy(y, &bits, sizeof bits);
}

INLINE void exp_many(double *x, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        if (x[i] <= EXP_MAX && x[i + 1] <= EXP_MAX && x[i + 2] <= EXP_MAX && x[i + 3] <= EXP_MAX)
            exp_lanes(x + i);
        else
            for (size_t j = i; j < i + 4; j++)
                x[j] = det_exp(x[j]);
    }
    for (; i < n; i++)
        x[i] = det_exp(x[i]);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void exp_many_avx2(double *x, size_t n)
{
    exp_many(x, n);
}
#endif

void det_exp_many(double *x, size_t n)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) {
        exp_many_avx2(x, n);
        return;
    }
#endif
    exp_many(x, n);
}

/* log x as the return value plus *lo, together some three bits more exact than binary64 holds.
 * x positive and finite.
 *
 * x = 2^k m with sqrt(1/2) <= m < sqrt(2); f = m - 1 (exact), s = f / (2 + f), h = f^2 / 2.
 * log m = 2 atanh s = 2s + s R with R = 2 s^2 / 3 + 2 s^4 / 5 + ..., and 2s = f - s f,
 * s f = h - s h, so log m = f - (h - s (h + R)): the leading term is exact. */
static double log_parts(double x, double *lo)
{
    static const double c[] = {   /* 2/23 ... 2/3 */
        2.0 / 23.0, 2.0 / 21.0, 2.0 / 19.0, 2.0 / 17.0, 2.0 / 15.0, 2.0 / 13.0, 2.0 / 11.0,
        2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0
    };
    int k = 0;
    if (x < DBL_MIN) {
        x *= 0x1p54;
        k = -54;
    }
    uint64_t u = bits_of(x);
    k += (int)(u >> 52) - 1023;
    double m = from_bits((u & 0xFFFFFFFFFFFFFull) | 0x3FF0000000000000ull);
    if (m >= 0x1.6a09e667f3bcdp+0) {   /* sqrt(2) */
        m *= 0.5;
        k++;
    }
    double f = m - 1.0;
    double s = f / (2.0 + f);
    double z = s * s;
    double r = z * horner(z, c, 11);
    double h = (0.5 * f) * f;
    double h_lo = fma(0.5 * f, f, -h);         /* (f * f) / 2 - h, exactly */
    double a = f - h;
    double tail = (((f - a) - h) - h_lo) + s * (h + r);
    double kd = (double)k;
    double big = kd * LN2_HI;                  /* exact */
    double sum = big + a;
    tail = ((big - sum) + a) + (tail + kd * LN2_LO);
    double hi = sum + tail;
    *lo = (sum - hi) + tail;
    return hi;
}

double det_log(double x)
{
    if (x != x)
        return x;
    if (x < 0.0)
        return NAN;
    if (x == 0.0)
        return -INFINITY;
    if (x == INFINITY)
        return x;
    double lo;
    return log_parts(x, &lo);
}

/* u = 1 + x rounded, c = (1 + x) - u exactly; log(1 + x) = log u + c / u up to c^2 / 2u^2. */
double det_log1p(double x)
{
    if (x != x || x == INFINITY)
        return x;
    if (x < -1.0)
        return NAN;
    if (x == -1.0)
        return -INFINITY;
    if (x > -0x1p-54 && x < 0x1p-54)
        return x;
    double u = 1.0 + x;
    double v = u - x;                          /* two-sum: exact for either order of size */
    double c = (1.0 - v) + (x - (u - v));
    double lo, hi = log_parts(u, &lo);
    return hi + (lo + c / u);
}

/* x^y = e^(y log x), the exponent carried as t + t_lo. */
double det_pow(double x, double y)
{
    if (x != x || y != y || x <= 0.0 || x == INFINITY)
        return NAN;
    if (y == 0.0 || x == 1.0)
        return 1.0;
    double lo, hi = log_parts(x, &lo);
    double t = y * hi;
    if (!(t > -745.0 && t < 745.0))
        return det_exp(t);
    double t_lo = fma(y, hi, -t) + y * lo;
    double e = det_exp(t);
    if (e == INFINITY)
        return e;
    return e + e * t_lo;
}

/* r + *lo = x - n pi/2 with n the nearest integer to x * 2/pi; returns n mod 4.
 * The first step is exact: x and n * PIO2_1 are multiples of 2^-53 where n is not 0, and their
 * difference is below 1. */
static unsigned reduce(double x, double *r, double *lo)
{
    double n = (x * TWO_OVER_PI + ROUNDER) - ROUNDER;
    double a = fma(-n, PIO2_1, x);
    double p = n * PIO2_2;
    double p_lo = fma(n, PIO2_2, -p);
    double d = a - p;                          /* two-sum of a and -p */
    double v = d - a;
    double err = (a - (d - v)) - (p + v);
    double tail = (err - p_lo) - n * PIO2_3;
    *r = d + tail;
    *lo = (d - *r) + tail;
    return (unsigned)((int64_t)n & 3);
}

/* sin(r + lo), |r| <= 0.786: Taylor up to r^19 / 19!, sin(r + lo) = sin r + lo cos r. */
static double sin_kernel(double r, double lo)
{
    static const double c[] = {   /* -1/19! ... -1/3! */
        -1.0 / 121645100408832000.0, 1.0 / 355687428096000.0, -1.0 / 1307674368000.0,
        1.0 / 6227020800.0, -1.0 / 39916800.0, 1.0 / 362880.0, -1.0 / 5040.0, 1.0 / 120.0,
        -1.0 / 6.0
    };
    double z = r * r;
    double p = horner(z, c, 9);
    return r + ((z * r) * p + lo * (1.0 - 0.5 * z));
}

/* cos(r + lo), |r| <= 0.786: Taylor up to r^18 / 18!; 1 - z/2 is carried with its error. */
static double cos_kernel(double r, double lo)
{
    static const double c[] = {   /* -1/18! ... 1/4! */
        -1.0 / 6402373705728000.0, 1.0 / 20922789888000.0, -1.0 / 87178291200.0,
        1.0 / 479001600.0, -1.0 / 3628800.0, 1.0 / 40320.0, -1.0 / 720.0, 1.0 / 24.0
    };
    double z = r * r;
    double h = 0.5 * z;
    double w = 1.0 - h;
    double p = horner(z, c, 8);
    return w + (((1.0 - w) - h) + ((z * z) * p - r * lo));
}

double det_sin(double x)
{
    if (!(x >= -0x1p27 && x <= 0x1p27))
        return NAN;
    if (x > -0x1p-27 && x < 0x1p-27)
        return x;
    double r, lo;
    unsigned q = reduce(x, &r, &lo);
    double y = q & 1u ? cos_kernel(r, lo) : sin_kernel(r, lo);
    return q & 2u ? -y : y;
}

double det_cos(double x)
{
    if (!(x >= -0x1p27 && x <= 0x1p27))
        return NAN;
    double r, lo;
    unsigned q = reduce(x, &r, &lo);
    double y = q & 1u ? sin_kernel(r, lo) : cos_kernel(r, lo);
    return q == 1u || q == 2u ? -y : y;
}

/* Below 1: Lambert's continued fraction x/(1 + z/(3 + z/(5 + ...))), z = x^2, cut after 21 and
 * written as x - x A(z)/D(z), whose coefficients are integers. From 1 on: 1 - 2/(e^2x + 1). */
double det_tanh(double x)
{
    static const double a[] = {   /* A: z^5 ... z^1 */
        65.0, 42900.0, 6891885.0, 349188840.0, 4583103525.0
    };
    static const double d[] = {   /* D: z^5 ... z^0 */
        66.0, 45045.0, 7567560.0, 413513100.0, 6547290750.0, 13749310575.0
    };
    double t = x < 0.0 ? -x : x;
    if (x != x || t < 0x1p-27)
        return x;
    if (t < 1.0) {
        double z = t * t;
        double num = z * horner(z, a, 5), den = horner(z, d, 6);
        t = t - t * (num / den);
    } else if (t < 20.0) {
        t = 1.0 - 2.0 / (det_exp(2.0 * t) + 1.0);
    } else {
        t = 1.0;
    }
    return x < 0.0 ? -t : t;
}
