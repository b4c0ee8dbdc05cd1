/* SPDX-License-Identifier: MIT
 * The kernels for CPUs with AVX2, FMA and F16C. */
#include "kernels/kernels.h"

#if defined(__x86_64__)

#include <cpuid.h>

#include "kernels/x86_f32.h"
#include "kernels/x86_q8.h"
#include "kernels/x86_vector.h"

const struct kern_ops *kern_ops_avx2(void)
{
    static const struct kern_ops ops = {
        .name = "avx2", .quantize = quantize, .matmul_q8 = matmul_q8, .matmul_f32 = matmul_f32,
        .rmsnorm = rmsnorm, .layernorm = layernorm, .silu_mul = silu_mul, .gelu_mul = gelu_mul,
        .gelu = gelu, .softcap = softcap, .add = add, .scale = scale, .rope = rope,
        .kv_store = kv_store, .attn_block = attn_block, .attn_finish = attn_finish,
        .all_finite = all_finite, .logstats = logstats,
    };
    unsigned a, b, c, d;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 29)))   /* F16C */
        return NULL;
    return &ops;
}

#endif
