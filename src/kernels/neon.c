/* SPDX-License-Identifier: MIT
 * The kernels for AArch64 with the dot product of bytes (FEAT_DotProd). */
#include "kernels/kernels.h"

#if defined(__aarch64__) && defined(__linux__)

#include <asm/hwcap.h>
#include <sys/auxv.h>

#include "kernels/peak.h"
#include "kernels/quad_f32.h"
#include "kernels/quad_q8.h"
#include "kernels/quad_vector.h"

INLINE int32x4_t peak_step_i8(int32x4_t a, int32x4_t x)
{
    return vdotq_s32(a, (int8x16_t)x, (int8x16_t)x);
}

INLINE f4 peak_step_f32(f4 a, f4 x)
{
    return fma4(a, x, x);
}

KERN_PEAK(peak_i8, 12, int32x4_t, "w", (int32x4_t)vdupq_n_s8(1), peak_step_i8, 2 * 16)
KERN_PEAK(peak_f32, 12, f4, "w", set4(0.5f), peak_step_f32, 2 * 4)

const struct kern_ops *kern_ops_neon(void)
{
    static const struct kern_ops ops = KERN_OPS("neon");
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? &ops : NULL;
}

#else

const struct kern_ops *kern_ops_neon(void)
{
    return NULL;
}

#endif
