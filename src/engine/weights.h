/* SPDX-License-Identifier: MIT
 * From a GGUF file to packed weights: first every key and tensor is declared and checked, then
 * all matrices are packed at once. Every error names the key or tensor and its byte offset. */
#ifndef ENGINE_WEIGHTS_H
#define ENGINE_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/model.h"
#include "engine/pool.h"
#include "gguf/gguf.h"

struct weights {
    const struct gguf *g;
    const char *arch;             /* prefix of the keys */
    struct arena *arena;          /* of the model: vectors go there */
    struct weights_job *jobs;     /* matrices to pack */
    size_t n_jobs, cap_jobs;
    const struct gguf_tensor **used;
    size_t n_used, cap_used;
};

void weights_release(struct weights *w);

/* The key "<arch>.<name>": absent and not required leaves *out as it is. low..high inclusive. */
int weights_u32(struct weights *w, const char *name, bool required, uint32_t low, uint32_t high,
                uint32_t *out, struct idem_err *err);
int weights_f32(struct weights *w, const char *name, bool required, float low, float high,
                float *out, struct idem_err *err);
/* 1 / factor of linear rope scaling into *scale (1 if there is none); other kinds are refused,
 * LongRoPE too unless allow_long. */
int weights_rope_scaling(struct weights *w, bool allow_long, double *scale, struct idem_err *err);
/* An error that names the key "<arch>.<name>". Returns -1. */
int weights_err_key(struct weights *w, const char *name, struct idem_err *err, const char *msg);

/* A tensor's name is printf style and always ends up in the error. */
#define WEIGHTS_NAME(fmt_index) __attribute__((format(printf, fmt_index, fmt_index + 1)))

/* The matrix W[n_rows][n_cols]. */
int weights_matrix(struct weights *w, struct kern_matrix *out, size_t n_rows, size_t n_cols,
                   struct idem_err *err, const char *fmt, ...) WEIGHTS_NAME(6);
/* Rows [row0, row0 + n_rows) of a matrix of n_rows_all rows. */
int weights_rows(struct weights *w, struct kern_matrix *out, size_t n_rows_all, size_t row0,
                 size_t n_rows, size_t n_cols, struct idem_err *err, const char *fmt, ...)
    WEIGHTS_NAME(8);
/* n floats in the model's arena, from F32, F16 or BF16; *out = NULL if absent and not required. */
int weights_vector(struct weights *w, float **out, size_t n, bool required, struct idem_err *err,
                   const char *fmt, ...) WEIGHTS_NAME(6);
bool weights_has(const struct weights *w, const char *fmt, ...) WEIGHTS_NAME(2);

/* blk.il.<name>.weight [n_embd] and, for a LayerNorm, its bias. */
int weights_norm(struct weights *w, struct idem_model *m, float **weight, float **bias,
                 const char *name, uint32_t il, struct idem_err *err);
/* What nearly all architectures have: attn_norm, q, k, v (or fused attn_qkv), attn_output, all
 * with optional biases. */
int weights_attention(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err);
/* ffn_norm, ffn_gate and what weights_mlp reads. */
int weights_ffn(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err);
/* ffn_up, ffn_down with optional biases: a feed-forward layer without a gate. */
int weights_mlp(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err);
/* attn_q_norm, attn_k_norm [head_dim]. */
int weights_head_norms(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err);

/* Every tensor of the file has been declared; else an error naming the first that was not. */
int weights_check_all_used(struct weights *w, struct idem_err *err);

/* Fills info.ops_per_token, ops_per_logits and bytes_per_token from what was declared. */
void weights_count(const struct weights *w, struct idem_model *m);

/* Bytes that weights_pack will need. */
size_t weights_packed_bytes(const struct weights *w);
/* Packs all declared matrices into one mapping (*packed, *n_bytes; munmap frees it), dropping
 * the file's pages as it goes, so that file and packed weights are never both in memory. */
int weights_pack(struct weights *w, struct pool *pool, uint8_t **packed, size_t *n_bytes,
                 struct idem_err *err);

#endif
