/* SPDX-License-Identifier: MIT
 * The kernels for x86 without AVX2: SSE4.1, and a fused multiply-add made of binary64 (sse41.h). */
#include "kernels/kernels.h"

#if defined(__x86_64__)

#include "kernels/peak.h"
#include "kernels/quad_f32.h"
#include "kernels/quad_q8.h"
#include "kernels/quad_vector.h"

INLINE __m128i peak_step_i8(__m128i a, __m128i x)
{
    return _mm_add_epi16(a, _mm_maddubs_epi16(x, x));
}

INLINE f4 peak_step_f32(f4 a, f4 x)
{
    return fma4(a, x, x);
}

/* As many chains as hide the latency and leave room in 16 registers. */
KERN_PEAK(peak_i8, 8, __m128i, "x", _mm_set1_epi8(1), peak_step_i8, 2 * 16)
KERN_PEAK(peak_f32, 4, f4, "x", set4(0.5f), peak_step_f32, 2 * 4)

const struct kern_ops *kern_ops_sse41(void)
{
    static const struct kern_ops ops = KERN_OPS("sse41");
    return __builtin_cpu_supports("sse4.1") ? &ops : NULL;
}

#else

const struct kern_ops *kern_ops_sse41(void)
{
    return NULL;
}

#endif
