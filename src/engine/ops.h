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

    float *x;                     /* [n][n_embd] residual stream */
    float *h;                     /* [n][n_embd] normed input, and output of a branch */
    float *q, *a;                 /* [n][n_head][head_dim] queries, attention's output */
    float *key, *val;             /* [n][n_head_kv][head_dim] */
    float *gate, *up;             /* [n][n_ff] */
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

/* y[n][n_cols] = rmsnorm(x[n][n_cols]) * w, eps of the model; y may be x. Also for heads:
 * n_cols = head_dim and per_row vectors in each row. */
void ops_rmsnorm(struct pass *p, float *y, const float *x, const float *w, size_t per_row,
                 size_t n_cols);

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
void ops_add(struct pass *p, const float *h);   /* x = x + h[n][n_embd] */

/* An error naming layer il, sequence position and token if x is not finite. */
int ops_check(struct pass *p, uint32_t il, struct idem_err *err);

#endif
