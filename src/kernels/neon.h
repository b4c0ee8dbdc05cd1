/* SPDX-License-Identifier: MIT
 * What four lanes need of AArch64 with the dot product of bytes (quad.h). Everything here is exact
 * or rounded once, as its name in quad.h says; FPCR is as kern_thread_init has set it. */
#ifndef KERNELS_NEON_H
#define KERNELS_NEON_H

#include <arm_neon.h>

#include "kernels/quad.h"

INLINE f4 fma4(f4 a, f4 b, f4 c)
{
    return (f4)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}

INLINE i4 round4(f4 x) { return (i4)vcvtnq_s32_f32((float32x4_t)x); }

INLINE f4 load4_f16(const void *p)
{
    uint16x4_t h;
    __builtin_memcpy(&h, p, 8);
    return (f4)vcvt_f32_f16(vreinterpret_f16_u16(h));
}

INLINE i4 load4_u8(const uint8_t *p)
{
    uint32_t x;
    __builtin_memcpy(&x, p, 4);
    return (i4)vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(x)))));
}

INLINE b16 lookup16(b16 table, b16 i) { return (b16)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)i); }

/* The activations of a block. */
struct spread { int8x16_t x[2]; };

INLINE struct spread spread(const struct kern_q8 *a)
{
    return (struct spread){{vld1q_s8(a->q), vld1q_s8(a->q + 16)}};
}

/* 16 columns, those of a vector one after another in a lane. */
INLINE i4 dot16(const b16 u[4], int8x16_t x, i4 sum)
{
    int32x4_t s = (int32x4_t)sum;
    s = vdotq_laneq_s32(s, (int8x16_t)u[0], x, 0);
    s = vdotq_laneq_s32(s, (int8x16_t)u[1], x, 1);
    s = vdotq_laneq_s32(s, (int8x16_t)u[2], x, 2);
    s = vdotq_laneq_s32(s, (int8x16_t)u[3], x, 3);
    return (i4)s;
}

INLINE i4 dot32_signed(const b16 u[8], const struct spread *a)
{
    return dot16(u + 4, a->x[1], dot16(u, a->x[0], set4_i(0)));
}

/* Bytes below 128 are the same number with and without a sign. */
INLINE i4 dot32(const b16 u[8], const struct spread *a)
{
    return dot32_signed(u, a);
}

INLINE i4 dot32_sub(bool six, const b16 u[8], const struct spread *a, const i4 sub[2])
{
    (void)six;
    return dot16(u, a->x[0], set4_i(0)) * sub[0] + dot16(u + 4, a->x[1], set4_i(0)) * sub[1];
}

#endif
