/* SPDX-License-Identifier: MIT
 * The operations of which every architecture's forward pass is written: each works on all rows
 * (tokens, of any sequences) of one pass, split over the pool; no split changes a bit. */
#ifndef ENGINE_OPS_H
#define ENGINE_OPS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/kv.h"
#include "engine/model.h"
#include "engine/pool.h"

/* Rows [row0, row0 + n_rows) of a pass belong to one sequence, at positions pos0, pos0 + 1, … */
struct pass_span {
    struct kv_seq *seq;           /* blocks up to pos0 + n_rows are there */
    size_t row0, n_rows, pos0;
};

/* Queries of one attention work item: tokens [row0, row0 + n_rows) of one span. */
struct pass_tile {
    const struct pass_span *span;
    size_t row0, n_rows;
};

struct pass_noise;                /* noise.h */

/* One forward pass: n rows, all buffers row-major [n][...]. */
struct pass {
    const struct idem_model *m;
    const struct kern_ops *k;
    struct pool *pool;
    struct kv *kv;

    size_t n;                     /* rows */
    int32_t *tokens;              /* [n] */
    uint32_t *pos;                /* [n] absolute positions */
    const struct kv_seq **seq;    /* [n] */
    struct pass_span *spans;
    size_t n_spans;
    struct pass_tile *tiles;
    size_t n_tiles;
    struct pass_noise *noise;     /* NULL: no row has added noise */

    float *x;                     /* [n][n_embd] residual stream */
    float *h;                     /* [n][n_embd] normed input, and output of a branch */
    float *q, *a;                 /* [n][n_head][head_dim] queries, [n_head][v_dim] attention's output */
    float *key, *val;             /* [n][n_head_kv][head_dim], [n][n_head_kv][v_dim] */
    float *gate, *up;             /* [n][n_ff] */
    float *q_a, *kv_a, *k_rope, *kv_b;   /* of struct mla: [n][rows of the matrix], else empty */
    float *cos[MODEL_N_ROPES], *sin[MODEL_N_ROPES];   /* [n][n_rot / 2] */
    struct kern_q8 *xq;           /* [n][max_cols / 32] quantised input of a matrix product */

    uint8_t *scratch;             /* [n_threads][scratch_bytes] */
    size_t scratch_bytes;
};

enum { OPS_TILE_QUERIES = 64 };   /* of one attention work item, at most */

/* Bytes of scratch per thread, a multiple of 64. */
size_t ops_scratch_bytes(const struct idem_model *m);
/* Fills tiles and the tables of cosines and sines from spans and pos. */
void ops_prepare(struct pass *p);

/* x = embedding of tokens, times hp.embd_scale. */
void ops_embed(struct pass *p);

/* x = x + learned embedding of the positions. */
void ops_embed_positions(struct pass *p);

/* fn(arg, row) for all rows of the pass, each about n_floats of work, split over the pool. */
typedef void (*ops_row_fn)(void *arg, size_t row);
void ops_for_rows(struct pass *p, size_t n_floats, ops_row_fn fn, void *arg);

/* y[n][n_embd] = norm(x[n][n_embd]): LayerNorm if there is a bias b, else RMSNorm; eps of the
 * model; y may be x. */
void ops_norm(struct pass *p, float *y, const float *x, const float *w, const float *b);
/* RMSNorm of parts of rows: per_row vectors of n_cols in each (heads, latents). */
void ops_norm_parts(struct pass *p, float *y, const float *x, const float *w, size_t per_row,
                    size_t n_cols);
/* The norm before the output matrix, and hp.out_scale, for one row. */
void ops_output_norm(const struct idem_model *m, float *y, const float *x);

/* out[i].y[n][W.n_rows] = W x + bias, for up to three matrices with the same input x[n][n_cols]. */
struct ops_linear { const struct kern_matrix *w; const float *bias; float *y; };
enum { OPS_MAX_LINEAR = 3 };
void ops_linear(struct pass *p, const float *x, const struct ops_linear *out, size_t n_out);
/* The same for n rows of any origin (the output matrix). */
void ops_linear_rows(struct pass *p, size_t n, const float *x, const struct ops_linear *out,
                     size_t n_out);

/* Rotates q and key, scales q by hp.attn_scale, and stores key and val into the cache. */
void ops_rope_store(struct pass *p, uint32_t il);
/* a = attention of q over the cache of layer il: causal, within the layer's window. */
void ops_attention(struct pass *p, uint32_t il);

void ops_silu_mul(struct pass *p);              /* gate = silu(gate) * up */
void ops_gelu_mul(struct pass *p);              /* gate = gelu_tanh(gate) * up */
void ops_gelu(struct pass *p);                  /* gate = gelu_tanh(gate) */
void ops_add(struct pass *p, float *h);         /* x = x + h[n][n_embd] * hp.residual_scale */

/* The two branches that most layers are made of, in sublayer.c. h = Wo attention(Wq h, Wk h, Wv h),
 * queries and keys normed per head where the layer has weights for it. */
void ops_self_attention(struct pass *p, uint32_t il);
/* h = down(act(gate h) * up h); act: ops_silu_mul or ops_gelu_mul. */
void ops_ffn_gated(struct pass *p, uint32_t il, void (*act)(struct pass *p));

/* An error naming layer il, sequence position and token if x is not finite. */
int ops_check(struct pass *p, uint32_t il, struct idem_err *err);

#endif
