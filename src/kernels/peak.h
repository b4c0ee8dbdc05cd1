/* SPDX-License-Identifier: MIT
 * kern_ops.peak_*: what an instruction set can do at most. */
#ifndef KERNELS_PEAK_H
#define KERNELS_PEAK_H

#include <stdint.h>

/* Defines NAME(n): n rounds of N (4, 8 or 12) chains of a = STEP(a, x), of their own, which hide the
 * latency of one; OPS: what a step does. Each chain is a variable, so that it stays in a register
 * (REG: its kind in inline assembly); x is hidden from the compiler at each step, lest a product of
 * constants be computed once. */
#define KERN_PEAK(NAME, N, TYPE, REG, X, STEP, OPS)                                              \
    static uint64_t NAME(uint64_t n)                                                             \
    {                                                                                            \
        TYPE x = X, a0 = x, a1 = x, a2 = x, a3 = x, a4 = x, a5 = x, a6 = x, a7 = x, a8 = x,      \
             a9 = x, a10 = x, a11 = x;                                                           \
        for (uint64_t i = 0; i < n; i++) {                                                       \
            KERN_PEAK_4(REG, STEP, a0, a1, a2, a3)                                               \
            if ((N) > 4) {                                                                       \
                KERN_PEAK_4(REG, STEP, a4, a5, a6, a7)                                           \
            }                                                                                    \
            if ((N) > 8) {                                                                       \
                KERN_PEAK_4(REG, STEP, a8, a9, a10, a11)                                         \
            }                                                                                    \
        }                                                                                        \
        return n * (N) * (OPS);                                                                  \
    }
#define KERN_PEAK_4(REG, STEP, A, B, C, D)                                                       \
    KERN_PEAK_1(REG, STEP, A) KERN_PEAK_1(REG, STEP, B) KERN_PEAK_1(REG, STEP, C)                \
    KERN_PEAK_1(REG, STEP, D)
#define KERN_PEAK_1(REG, STEP, A)                                                                \
    A = STEP(A, x);                                                                              \
    __asm__ volatile("" : "+" REG(A), "+" REG(x));

#endif
