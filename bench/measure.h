/* SPDX-License-Identifier: MIT
 * What the programs of this folder share: the clock, numbers to compute with, medians. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* x[n] in [-1, 1), the same in every program. */
static inline void fill_floats(float *x, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) * 0x1p-23f - 1.0f;
    }
}

static inline double mean_abs(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += fabs((double)x[i]);
    return sum / (double)n;
}

static inline int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, by_value);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* Runs a product until `seconds` are over, at least three times, after one that warms up. Prints a
 * JSON object: the median seconds, operations per second, and the mean of |y|, by which two programs
 * can be seen to have computed the same. */
static inline void measure_product(void (*run)(void *), void *arg, double ops, double seconds,
                                   const float *y, size_t n, const char *how)
{
    enum { MAX_RUNS = 10000 };
    static double s[MAX_RUNS];
    size_t runs = 0;
    run(arg);
    for (double end = now_s() + seconds; runs < MAX_RUNS && (runs < 3 || now_s() < end); runs++) {
        double start = now_s();
        run(arg);
        s[runs] = now_s() - start;
    }
    double m = median(s, runs);
    printf("{\"how\": \"%s\", \"runs\": %zu, \"seconds\": %.6g, \"ops_s\": %.6g, \"mean_abs\": %.6g}\n", how,
           runs, m, ops / m, mean_abs(y, n));
}

#endif
