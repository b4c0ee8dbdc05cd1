/* SPDX-License-Identifier: MIT
 * The kernels for AArch64 with the dot product of bytes (FEAT_DotProd). */
#include "kernels/kernels.h"

#if defined(__aarch64__) && defined(__linux__)

#include <asm/hwcap.h>
#include <sys/auxv.h>

#include "kernels/quad_f32.h"
#include "kernels/quad_q8.h"
#include "kernels/quad_vector.h"

/* ---- limits ------------------------------------------------------------------------------------ */

enum { CHAINS = 16 };                       /* enough to hide the latency of either */

static uint64_t peak_i8(uint64_t n)
{
    int32x4_t acc[CHAINS];
    int8x16_t x = vdupq_n_s8(1);
    for (int k = 0; k < CHAINS; k++)
        acc[k] = vdupq_n_s32(0);
    for (uint64_t i = 0; i < n; i++)
#pragma GCC unroll 16
        for (int k = 0; k < CHAINS; k++) {
            acc[k] = vdotq_s32(acc[k], x, x);
            __asm__ volatile("" : "+w"(acc[k]));
        }
    return n * CHAINS * 16 * 2;
}

static uint64_t peak_f32(uint64_t n)
{
    f4 acc[CHAINS], x = set4(0.5f);
    for (int k = 0; k < CHAINS; k++)
        acc[k] = x;
    for (uint64_t i = 0; i < n; i++)
#pragma GCC unroll 16
        for (int k = 0; k < CHAINS; k++) {
            acc[k] = fma4(acc[k], x, x);
            __asm__ volatile("" : "+w"(acc[k]));
        }
    return n * CHAINS * 4 * 2;
}

const struct kern_ops *kern_ops_neon(void)
{
    static const struct kern_ops ops = {
        .name = "neon", .quantize = quantize, .matmul_q8 = matmul_q8, .matmul_f32 = matmul_f32,
        .rmsnorm = rmsnorm, .layernorm = layernorm, .silu_mul = silu_mul, .gelu_mul = gelu_mul,
        .gelu = gelu, .softcap = softcap, .add = add, .scale = scale, .rope = rope,
        .kv_store = kv_store, .attn_block = attn_block, .attn_finish = attn_finish,
        .all_finite = all_finite, .logstats = logstats, .peak_i8 = peak_i8, .peak_f32 = peak_f32,
    };
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? &ops : NULL;
}

#else

const struct kern_ops *kern_ops_neon(void)
{
    return NULL;
}

#endif
