/* SPDX-License-Identifier: MIT
 * Elementary functions in binary64 that give the same bits everywhere: only +, -, *, /, sqrt,
 * fma and integer operations. Nothing between the weights and a stored number calls libm. */
#ifndef BASE_DETMATH_H
#define BASE_DETMATH_H

#include <stddef.h>

/* Each within 2 ulp of the true value over the stated range (tests/unit/base_detmath.c). */
double det_exp(double x);            /* all x; overflow to +inf, underflow to +0 (no subnormal results below 2^-1022 needed: flushes to 0) */
void det_exp_many(double *x, size_t n);   /* x[i] = det_exp(x[i]), the same bits, several at a time */
double det_log(double x);            /* x > 0 (subnormals too); log(0) = -inf; x < 0 = NaN */
double det_log1p(double x);          /* x > -1 */
double det_pow(double x, double y);  /* x > 0, |y log x| < 700; within 4 ulp times max(1, |y log x|) */
double det_sin(double x);            /* |x| <= 2^27 */
double det_cos(double x);            /* |x| <= 2^27 */
double det_tanh(double x);           /* all x */

#endif
