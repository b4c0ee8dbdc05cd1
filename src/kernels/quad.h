/* SPDX-License-Identifier: MIT
 * Vectors of four lanes for instruction sets without wider ones. What compilers can say for any of
 * them is said with their vector types here and in quad_q8.h, quad_f32.h, quad_vector.h; the few
 * operations that they cannot are in sse41.h and neon.h, under the same names. Included once by
 * each instruction set's file.
 *
 *   fma4(a, b, c)         fused multiply-add
 *   round4(x)              to integers, nearest even
 *   load4_f16(p)           four binary16 numbers
 *   load4_u8(p)            four bytes as integers
 *   lookup16(t, i)         t[i] of bytes, i < 16
 *   spread(a), dot32(...)  the dot of 32 bytes with those of a block of activations, quad_q8.h */
#ifndef KERNELS_QUAD_H
#define KERNELS_QUAD_H

#include "kernels/simd.h"

/* A build that must fail every comparison, to show that they can. */
#ifdef IDEM_TEST_BREAK_KERNEL
#define BROKEN4(x) ((x) * 0x1.000002p0f)
#else
#define BROKEN4(x) (x)
#endif

typedef float f4 __attribute__((vector_size(16)));
typedef int32_t i4 __attribute__((vector_size(16)));
typedef uint32_t u4 __attribute__((vector_size(16)));
typedef uint8_t b16 __attribute__((vector_size(16)));
typedef double d2 __attribute__((vector_size(16)));
typedef uint64_t l2 __attribute__((vector_size(16)));

INLINE f4 set4(float x) { return (f4){x, x, x, x}; }
INLINE i4 set4_i(int32_t x) { return (i4){x, x, x, x}; }

INLINE f4 load4(const float *p)
{
    f4 v;
    __builtin_memcpy(&v, p, 16);
    return v;
}

INLINE b16 load16_u8(const uint8_t *p)
{
    b16 v;
    __builtin_memcpy(&v, p, 16);
    return v;
}

INLINE void store4(float *p, f4 v) { __builtin_memcpy(p, &v, 16); }

/* Per lane, a where mask is all ones, b where it is zero. */
INLINE f4 select4(i4 mask, f4 a, f4 b)
{
    return (f4)((mask & (i4)a) | (~mask & (i4)b));
}

INLINE bool any4(i4 mask)
{
    l2 m = (l2)mask;
    return (m[0] | m[1]) != 0;
}

INLINE f4 float4(i4 x) { return __builtin_convertvector(x, f4); }

INLINE f4 negate4(f4 x) { return (f4)((u4)x ^ 0x80000000u); }

#if defined(__x86_64__)
#include "kernels/sse41.h"
#elif defined(__aarch64__)
#include "kernels/neon.h"
#endif

#endif
