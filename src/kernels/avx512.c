/* SPDX-License-Identifier: MIT
 * The kernels for CPUs with AVX-512 and its VNNI, on vectors of 256 bits: those of avx2.c with twice
 * the registers, and with one instruction for the dot of four bytes. The integers are exact either
 * way, so the bits are the same. */
#include "kernels/kernels.h"

#if defined(__x86_64__)

#include "kernels/x86_f32.h"
#include "kernels/x86_q8.h"
#include "kernels/x86_vector.h"

const struct kern_ops *kern_ops_avx512(void)
{
    static const struct kern_ops ops = {
        .name = "avx512", .quantize = quantize, .matmul_q8 = matmul_q8, .matmul_f32 = matmul_f32,
        .rmsnorm = rmsnorm, .layernorm = layernorm, .silu_mul = silu_mul, .gelu_mul = gelu_mul,
        .gelu = gelu, .softcap = softcap, .add = add, .scale = scale, .rope = rope,
        .kv_store = kv_store, .attn_block = attn_block, .attn_finish = attn_finish,
        .all_finite = all_finite, .logstats = logstats,
    };
    if (!kern_ops_avx2() || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512vnni"))
        return NULL;
    return &ops;
}

#endif
