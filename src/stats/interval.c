/* SPDX-License-Identifier: MIT
 * Intervals of a share; the normal and the beta distribution, in det_* arithmetic. */
#include "stats/interval.h"

#include <math.h>
#include <stdbool.h>

#include "base/detmath.h"

#define INV_SQRT_2PI 0.3989422804014327
#define HALF_LOG_2PI 0.9189385332046727

/* log Gamma(x), x > 0: Stirling's series (DLMF 5.11.1) from 16 on, the recurrence below. */
double stat_log_gamma(double x)
{
    double product = 1.0;
    while (x < 16.0) {
        product *= x;
        x += 1.0;
    }
    double y = 1.0 / (x * x);
    double series = (1.0 / 12.0 - y * (1.0 / 360.0 - y * (1.0 / 1260.0 - y * (1.0 / 1680.0 -
                     y * (1.0 / 1188.0 - y * (691.0 / 360360.0)))))) / x;
    return ((x - 0.5) * det_log(x) - x) + HALF_LOG_2PI + series - det_log(product);
}

/* The continued fraction of DLMF 8.17.22 by the modified Lentz method (Thompson & Barnett 1986);
 * converges fast for x below (a + 1) / (a + b + 2). */
static double beta_fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double c = 1.0, d = 1.0 - (a + b) * x / (a + 1.0);
    d = 1.0 / (d == 0.0 ? tiny : d);
    double f = d;
    for (int m = 1; m < 100000; m++) {
        double k = (double)m, step = 1.0;
        double term[2] = {
            k * (b - k) * x / ((a + 2.0 * k - 1.0) * (a + 2.0 * k)),
            -(a + k) * (a + b + k) * x / ((a + 2.0 * k) * (a + 2.0 * k + 1.0)),
        };
        for (int i = 0; i < 2; i++) {
            d = 1.0 + term[i] * d;
            c = 1.0 + term[i] / c;
            d = 1.0 / (d == 0.0 ? tiny : d);
            c = c == 0.0 ? tiny : c;
            step = c * d;
            f *= step;
        }
        if (step > 1.0 - 0x1p-52 && step < 1.0 + 0x1p-51)
            break;
    }
    return f;
}

double stat_beta_cdf(double x, double a, double b)
{
    if (!(a > 0.0 && b > 0.0 && x >= 0.0 && x <= 1.0))
        return NAN;
    if (x == 0.0 || x == 1.0)
        return x;
    bool swap = x > (a + 1.0) / (a + b + 2.0);   /* I_x(a, b) = 1 - I_(1-x)(b, a) */
    double log_front = (stat_log_gamma(a + b) - stat_log_gamma(a) - stat_log_gamma(b)) + a * det_log(x) +
                       b * det_log1p(-x);
    double v = swap ? det_exp(log_front) * beta_fraction(1.0 - x, b, a) / b
                    : det_exp(log_front) * beta_fraction(x, a, b) / a;
    return swap ? 1.0 - v : v;
}

/* Bisection until no double lies between: slow beside Newton's method, but it cannot fail. */
double stat_beta_quantile(double p, double a, double b)
{
    if (!(p >= 0.0 && p <= 1.0 && a > 0.0 && b > 0.0))
        return NAN;
    if (p == 0.0 || p == 1.0)
        return p;
    double low = 0.0, high = 1.0;
    for (int i = 0; i < 200; i++) {
        double mid = 0.5 * (low + high);
        if (mid == low || mid == high)
            break;
        if (stat_beta_cdf(mid, a, b) < p)
            low = mid;
        else
            high = mid;
    }
    return 0.5 * (low + high);
}

/* Below -2 Laplace's continued fraction of the tail (DLMF 7.9.1), else the series 7.6.2. */
double stat_normal_cdf(double z)
{
    if (z != z)
        return z;
    double a = z < 0.0 ? -z : z;
    if (a > 39.0)
        return z < 0.0 ? 0.0 : 1.0;
    double density = INV_SQRT_2PI * det_exp(-0.5 * a * a);
    if (a > 2.0) {
        double f = a;
        for (int k = 200; k >= 1; k--)
            f = a + (double)k / f;
        return z < 0.0 ? density / f : 1.0 - density / f;
    }
    double term = a, sum = a;
    for (int k = 1; term > sum * 0x1p-60; k++) {
        term *= a * a / (2.0 * (double)k + 1.0);
        sum += term;
    }
    return z < 0.0 ? 0.5 - density * sum : 0.5 + density * sum;
}

double stat_normal_quantile(double p)
{
    if (!(p > 0.0 && p < 1.0))
        return NAN;
    if (p == 0.5)
        return 0.0;
    if (p > 0.5)
        return -stat_normal_quantile(1.0 - p);
    double low = -39.0, high = 0.0;
    for (int i = 0; i < 200; i++) {
        double mid = 0.5 * (low + high);
        if (mid == low || mid == high)
            break;
        if (stat_normal_cdf(mid) < p)
            low = mid;
        else
            high = mid;
    }
    return 0.5 * (low + high);
}

double stat_t_cdf(double t, double df)
{
    if (!(df > 0.0) || t != t)
        return NAN;
    if (isinf(t))
        return t < 0.0 ? 0.0 : 1.0;
    double square = t * t;   /* the tail is I_(df / (df + t^2))(df / 2, 1 / 2) / 2 */
    double tail = square < 1.0 ? 0.5 * (1.0 - stat_beta_cdf(square / (df + square), 0.5, 0.5 * df))
                              : 0.5 * stat_beta_cdf(df / (df + square), 0.5 * df, 0.5);
    return t < 0.0 ? tail : 1.0 - tail;
}

double stat_t_quantile(double p, double df)
{
    if (!(p > 0.0 && p < 1.0 && df > 0.0))
        return NAN;
    if (p > 0.5)
        return -stat_t_quantile(1.0 - p, df);
    if (p > 0.25) {          /* by the beta variable that is small here */
        double y = stat_beta_quantile(1.0 - 2.0 * p, 0.5, 0.5 * df);
        return -sqrt(df * y / (1.0 - y));
    }
    double x = stat_beta_quantile(2.0 * p, 0.5 * df, 0.5);
    return -sqrt(df * (1.0 - x) / x);
}

static bool valid(uint64_t k, uint64_t n, double confidence)
{
    return k <= n && confidence > 0.0 && confidence < 1.0;
}

struct stat_interval stat_wilson(uint64_t k, uint64_t n, double confidence)
{
    if (!valid(k, n, confidence))
        return (struct stat_interval){NAN, NAN};
    if (n == 0)
        return (struct stat_interval){0.0, 1.0};
    double m = (double)n, p = (double)k / m, q = (double)(n - k) / m;
    double z = -stat_normal_quantile(0.5 * (1.0 - confidence)), z2 = z * z;
    double centre = (p + z2 / (2.0 * m)) / (1.0 + z2 / m);
    double half = z / (1.0 + z2 / m) * sqrt(p * q / m + z2 / (4.0 * m * m));
    return (struct stat_interval){k == 0 ? 0.0 : centre - half, k == n ? 1.0 : centre + half};
}

struct stat_interval stat_clopper_pearson(uint64_t k, uint64_t n, double confidence)
{
    if (!valid(k, n, confidence))
        return (struct stat_interval){NAN, NAN};
    double tail = 0.5 * (1.0 - confidence), a = (double)k, b = (double)(n - k);
    return (struct stat_interval){
        k == 0 ? 0.0 : stat_beta_quantile(tail, a, b + 1.0),
        k == n ? 1.0 : stat_beta_quantile(1.0 - tail, a + 1.0, b),
    };
}

double stat_all_of_n_low(uint64_t n, double confidence)
{
    if (!valid(n, n, confidence))
        return NAN;
    return n == 0 ? 0.0 : det_exp(det_log(1.0 - confidence) / (double)n);
}

struct stat_interval stat_all_equal(double c, uint64_t n, double least, double most,
                                    double confidence)
{
    if (!valid(n, n, confidence) || !(c >= least && c <= most))
        return (struct stat_interval){NAN, NAN};
    double q = 1.0 - stat_all_of_n_low(n, 0.5 + 0.5 * confidence);
    return (struct stat_interval){c - q * (c - least), c + q * (most - c)};
}
