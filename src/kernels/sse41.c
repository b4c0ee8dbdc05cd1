/* SPDX-License-Identifier: MIT
 * The kernels for x86 without AVX2: SSE4.1, and a fused multiply-add made of binary64 (sse41.h). */
#include "kernels/kernels.h"

#if defined(__x86_64__)

#include "kernels/quad_f32.h"
#include "kernels/quad_q8.h"
#include "kernels/quad_vector.h"

/* ---- limits ------------------------------------------------------------------------------------ */

enum { CHAINS_I8 = 8, CHAINS_F32 = 4 };     /* as many as hide the latency and stay in registers */

static uint64_t peak_i8(uint64_t n)
{
    __m128i acc[CHAINS_I8], u = _mm_set1_epi8(3), x = _mm_set1_epi8(1);
    for (int k = 0; k < CHAINS_I8; k++)
        acc[k] = _mm_setzero_si128();
    for (uint64_t i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int k = 0; k < CHAINS_I8; k++) {
            acc[k] = _mm_add_epi16(acc[k], _mm_maddubs_epi16(u, x));
            __asm__ volatile("" : "+x"(acc[k]), "+x"(x));
        }
    return n * CHAINS_I8 * 16 * 2;
}

static uint64_t peak_f32(uint64_t n)
{
    f4 acc[CHAINS_F32], x = set4(0.5f);
    for (int k = 0; k < CHAINS_F32; k++)
        acc[k] = x;
    for (uint64_t i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int k = 0; k < CHAINS_F32; k++) {
            acc[k] = fma4(acc[k], x, x);
            __asm__ volatile("" : "+x"(acc[k]), "+x"(x));
        }
    return n * CHAINS_F32 * 4 * 2;
}

const struct kern_ops *kern_ops_sse41(void)
{
    static const struct kern_ops ops = {
        .name = "sse41", .quantize = quantize, .matmul_q8 = matmul_q8, .matmul_f32 = matmul_f32,
        .rmsnorm = rmsnorm, .layernorm = layernorm, .silu_mul = silu_mul, .gelu_mul = gelu_mul,
        .gelu = gelu, .softcap = softcap, .add = add, .scale = scale, .rope = rope,
        .kv_store = kv_store, .attn_block = attn_block, .attn_finish = attn_finish,
        .all_finite = all_finite, .logstats = logstats, .peak_i8 = peak_i8, .peak_f32 = peak_f32,
    };
    return __builtin_cpu_supports("sse4.1") ? &ops : NULL;
}

#else

const struct kern_ops *kern_ops_sse41(void)
{
    return NULL;
}

#endif
