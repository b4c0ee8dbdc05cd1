/* SPDX-License-Identifier: MIT
 * The contract of the arithmetic. ref.c is the definition; every other variant equals it by
 * memcmp on all inputs without NaN. docs/numerics.md explains each order of operations. */
#ifndef KERNELS_H
#define KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/qtype.h"

enum {
    KERN_ROWS = 8,        /* rows interleaved in one group of a packed matrix */
    KERN_BLOCK = 32,      /* columns per activation block */
    KERN_F32_GROUPS = 4,  /* groups whose values the scratch of matmul_f32 holds at least */
    KERN_KV = 64          /* positions per KV block, aligned at absolute positions */
};

/* ---- weights -------------------------------------------------------------------------- */

/* A packed matrix W[n_rows][n_cols]: groups of 8 rows, interleaved (pack.h has the layouts);
 * missing rows of the last group are zero. Immutable after packing. */
struct kern_matrix {
    enum qtype type;      /* as in the file; the packed values are exactly those of the file */
    size_t n_rows, n_cols;
    size_t group_bytes;   /* bytes of one group */
    uint8_t *data;        /* 64-byte aligned, n_groups * group_bytes */
    uint64_t stream;      /* kern_stream of its name, for added noise (noise.h); else not looked at */
};

static inline size_t kern_n_groups(const struct kern_matrix *w)
{
    return (w->n_rows + KERN_ROWS - 1) / KERN_ROWS;
}

/* True for the types that can be packed and multiplied. */
bool kern_type_supported(enum qtype type);
/* True if q8 mode quantises activations for this type; else they stay binary32. */
bool kern_type_is_quantised(enum qtype type);

/* Sets type, sizes, group_bytes; data stays NULL. n_cols must be a multiple of the type's
 * block. Returns total bytes (n_groups * group_bytes), or 0 if type or shape cannot be packed. */
size_t kern_matrix_init(struct kern_matrix *w, enum qtype type, size_t n_rows, size_t n_cols);
/* Packs groups [group0, group1) into w->data. rows: the whole tensor as in the file (row-major).
 * Threads may pack different groups at once. */
void kern_pack(const struct kern_matrix *w, const uint8_t *rows, size_t group0, size_t group1);
/* out[n_cols] = row `row` dequantised, each value rounded once. */
void kern_unpack_row(const struct kern_matrix *w, size_t row, float *out);

/* ---- activations ------------------------------------------------------------------------ */

/* 32 activations in q8 mode. q = rne(x * (127/amax)), d = amax/127 (both 0 if amax = 0). */
struct kern_q8 {
    int8_t q[KERN_BLOCK];
    float d;
    float ds;             /* d * (float)sum */
    int32_t sum;          /* of q */
    int16_t sum16[2];     /* of q[0..15] and q[16..31] */
};

/* ---- the table of operations ---------------------------------------------------------------- */

struct kern_logstats {
    float max;
    int32_t argmax;       /* lowest index of max */
    double sum;           /* sum of exp(x - max) */
    double wsum;          /* sum of exp(x - max) * (x - max) */
};

/* One attention query's running state: softmax maximum, sum, and output o[v_dim]. */
struct kern_attn {
    const float *q;       /* [k_dim], scaled by the attention scale already */
    float *o;             /* [v_dim] */
    float m, l;           /* l == 0: nothing folded yet */
    uint32_t j0, j1;      /* valid positions of this block: j0 <= j < j1 <= 64; empty: skipped */
};

/* The planes of a KV block: K[k_dim][64] (dimension-major), V[64][v_dim]. */
struct kern_attn_shape {
    size_t k_dim, v_dim;
    float softcap;        /* scores are softcap * tanh(score / softcap); 0: as they are */
    bool f16;             /* elements are binary16 (rne), else binary32 */
};

struct kern_ops {
    const char *name;     /* "ref", "sse41", "avx2", "avx512", "neon" */

    /* y[n / 32] from x[n]; n a multiple of 32. */
    void (*quantize)(struct kern_q8 *y, const float *x, size_t n);

    /* y[t * ldy + r] = dot(W[r], x[t]) for rows of groups [group0, group1) (rows >= n_rows are
     * not written) and t < n_tokens. q8: x is [n_tokens][n_cols / 32], quantised types only.
     * f32: x is [n_tokens] rows of n_cols floats, ldx floats apart; any supported type.
     * scratch: kern_scratch_bytes(n_cols) bytes, 64-byte aligned, one per thread. */
    void (*matmul_q8)(float *y, size_t ldy, const struct kern_matrix *w, const struct kern_q8 *x,
                      size_t n_tokens, size_t group0, size_t group1);
    void (*matmul_f32)(float *y, size_t ldy, const struct kern_matrix *w, const float *x,
                       size_t ldx, size_t n_tokens, size_t group0, size_t group1, void *scratch);

    /* r = 1 / sqrt(S / n + eps), y[i] = (x[i] * r) * w[i]; S: sum of squares in 8 lanes, fma,
     * folded ((0+4)+(2+6)) + ((1+5)+(3+7)). y may be x. */
    void (*rmsnorm)(float *y, const float *x, const float *w, size_t n, float eps);

    /* mean = S / n, r = 1 / sqrt(Q / n + eps), y[i] = fma((x[i] - mean) * r, w[i], b[i]); S: sum of
     * x, Q: of (x - mean)^2 by fma, both in 8 lanes folded as above. y may be x. */
    void (*layernorm)(float *y, const float *x, const float *w, const float *b, size_t n, float eps);

    /* y[i] = silu(gate[i]) * up[i], silu(x) = x / (1 + exp(-x)).  y may be gate. */
    void (*silu_mul)(float *y, const float *gate, const float *up, size_t n);
    /* y[i] = gelu_tanh(gate[i]) * up[i]. y may be gate. */
    void (*gelu_mul)(float *y, const float *gate, const float *up, size_t n);
    /* y[i] = gelu_tanh(x[i]). y may be x. */
    void (*gelu)(float *y, const float *x, size_t n);
    /* y[i] = c * tanh(x[i] / c), tanh(x) = 1 - 2 / (exp(2 x) + 1). y may be x. c > 0. */
    void (*softcap)(float *y, const float *x, float c, size_t n);
    /* y[i] = y[i] + x[i] */
    void (*add)(float *y, const float *x, size_t n);
    /* y[i] = x[i] * c */
    void (*scale)(float *y, const float *x, float c, size_t n);

    /* Rotates head vectors in place: x is [n_heads][head_dim]; cos, sin: [n_rot / 2] of this
     * position. neox: pairs (i, i + n_rot/2), else (2i, 2i+1); a' = a c - b s, b' = b c + a s,
     * as fma(a, c, -(b*s)) and fma(b, c, a*s). Dimensions >= n_rot pass. */
    void (*rope)(float *x, size_t n_heads, size_t head_dim, size_t n_rot, const float *cos,
                 const float *sin, bool neox);

    /* Stores one position into a KV block: k[d * 64 + j] = key[d], v[j * v_dim + d] = value[d]. */
    void (*kv_store)(void *k, void *v, const struct kern_attn_shape *sh, const float *key,
                     const float *value, size_t j);
    /* Folds one KV block of one kv head into n queries. s_j: fma over d ascending, then the soft
     * cap if there is one; the block's max, exp, 8-lane sum, o: fma over j ascending from 0; then
     * the fold of docs/numerics.md. scratch: kern_attn_scratch_bytes() bytes, 64-byte aligned. */
    void (*attn_block)(struct kern_attn *a, size_t n, const void *k, const void *v,
                       const struct kern_attn_shape *sh, void *scratch);
    /* o[d] = o[d] / l */
    void (*attn_finish)(struct kern_attn *a, size_t n, size_t v_dim);

    /* True if all are finite. */
    bool (*all_finite)(const float *x, size_t n);
    void (*logstats)(const float *x, size_t n, struct kern_logstats *out);

    /* n rounds of the multiply-adds that products are made of, on registers alone: what this
     * instruction set can do at most. Return the operations done (a multiply or an add is one). */
    uint64_t (*peak_i8)(uint64_t n);
    uint64_t (*peak_f32)(uint64_t n);
};

/* The table of a file that defines all of them under their own names. */
#define KERN_OPS(NAME)                                                                           \
    {                                                                                            \
        .name = NAME, .quantize = quantize, .matmul_q8 = matmul_q8, .matmul_f32 = matmul_f32,    \
        .rmsnorm = rmsnorm, .layernorm = layernorm, .silu_mul = silu_mul, .gelu_mul = gelu_mul,  \
        .gelu = gelu, .softcap = softcap, .add = add, .scale = scale, .rope = rope,              \
        .kv_store = kv_store, .attn_block = attn_block, .attn_finish = attn_finish,              \
        .all_finite = all_finite, .logstats = logstats, .peak_i8 = peak_i8, .peak_f32 = peak_f32 \
    }

size_t kern_scratch_bytes(size_t n_cols);
size_t kern_attn_scratch_bytes(size_t k_dim, size_t v_dim);

/* NULL where this build or this CPU does not have it. */
const struct kern_ops *kern_ops_ref(void);
const struct kern_ops *kern_ops_sse41(void);
const struct kern_ops *kern_ops_avx2(void);     /* with FMA and F16C */
const struct kern_ops *kern_ops_avx512(void);   /* with VNNI */
const struct kern_ops *kern_ops_neon(void);     /* with the dot product of bytes */
/* By name ("auto", "ref", "sse41", "avx2", "avx512", "neon"); an error lists what this CPU has. */
const struct kern_ops *kern_select(const char *name, struct idem_err *err);

/* Sets the floating-point environment of this thread: round to nearest, no flushing. Every
 * thread that calls a kernel calls this first. */
void kern_thread_init(void);

/* Every variant against ref, by memcmp; see idem_selftest. */
typedef void (*kern_check_fn)(void *ctx, const char *kernel, const char *variant,
                              uint64_t n_cases, bool ok, const char *detail);
int kern_check(uint64_t seed, const struct kern_ops *variant, kern_check_fn report, void *ctx);

#endif
