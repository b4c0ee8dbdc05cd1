/* SPDX-License-Identifier: MIT
 * Sums in another order, or with a narrower accumulator: the noise that an experimenter adds on
 * purpose (docs/noise.md; docs/numerics.md defines it). ref_noise.c is the definition; a faster
 * variant equals it by memcmp. Without noise nothing of this is called: the tables of kernels.h
 * have no entry for it on purpose, so that no instruction set's file knows of it unless it has a
 * faster variant. */
#ifndef KERNELS_NOISE_H
#define KERNELS_NOISE_H

#include "base/arith_noise.h"
#include "kernels/kernels.h"

/* The order of a sum of n terms: steps[i] is the term that is taken i-th, with KERN_STEP_END where
 * a part ends with it (the last step always ends one). A part starts at +0; parts are added up as
 * they come, or by a tree, which adds two neighbours of the same size as soon as both are there,
 * and what is left over at the end from the last to the first. */
#define KERN_STEP_END 0x80000000u

struct kern_order {
    const uint32_t *steps;       /* [n] */
    size_t n;
    bool tree;
    enum arith_round round;      /* of the sum after every step and after every addition of parts */
};

enum { KERN_SUM_LEVELS = 33 };    /* parts that can wait for their neighbours in a tree */

/* Fills o and steps[n], 1 <= n < 2^31. The orders of shuffle are a function of the seed, the stream
 * (which sum it is) and the position of the token. columns: of a matrix in one term, else 1. */
void kern_order_fill(struct kern_order *o, uint32_t *steps, size_t n, const struct arith_noise *z,
                     uint64_t stream, uint64_t pos, size_t columns);

/* The name of a sum as a number: FNV-1a of the text (64 bits). A matrix has that of its tensor's name. */
uint64_t kern_stream(const char *name, size_t len);

/* The norms of kernels.h with their sums in an order o of n terms, without the eight lanes; sums of
 * norms stay binary32: o->round is not looked at. Of one row, and too short to pay for variants. */
void kern_noise_rmsnorm(float *y, const float *x, const float *w, size_t n, float eps,
                        const struct kern_order *o);
void kern_noise_layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps,
                          const struct kern_order *o);

/* The softmax sum of a block: terms p[i] in the order o, in binary32. */
float kern_noise_softmax_sum(const float *p, const struct kern_order *o);

/* How attention adds up: the scores over the dimensions, the outputs and the softmax over the
 * positions of a block. With plain = true the softmax has its eight lanes, as always. */
struct kern_attn_order {
    struct kern_order scores;    /* of k_dim terms */
    struct kern_order outputs;   /* of j1 - j0 terms, counted from j0 */
    bool plain;
};

struct kern_noise_ops {
    /* As in kernels.h, token t's sums in the order o[t]: of n_cols / 32 terms in q8, of n_cols in
     * f32. scratch: kern_noise_scratch_bytes(n_cols) bytes, 64-byte aligned, one per thread. */
    void (*matmul_q8)(float *y, size_t ldy, const struct kern_matrix *w, const struct kern_q8 *x,
                      size_t n_tokens, size_t group0, size_t group1, const struct kern_order *o,
                      void *scratch);
    void (*matmul_f32)(float *y, size_t ldy, const struct kern_matrix *w, const float *x, size_t ldx,
                       size_t n_tokens, size_t group0, size_t group1, const struct kern_order *o,
                       void *scratch);
    /* One KV block for n queries of one token, which all have the same j0 < j1. */
    void (*attn_block)(struct kern_attn *a, size_t n, const void *k, const void *v,
                       const struct kern_attn_shape *sh, const struct kern_attn_order *o);
};

size_t kern_noise_scratch_bytes(size_t n_cols);

/* The table that goes with the kernels k. */
const struct kern_noise_ops *kern_noise_ops(const struct kern_ops *k);
const struct kern_noise_ops *kern_noise_ref(void);
const struct kern_noise_ops *kern_noise_avx2(void);      /* where kern_ops_avx2() is not NULL */

/* The part of kern_check that is about noise. name: of the variant, for the report. */
int kern_check_noise(uint64_t seed, const struct kern_noise_ops *variant, const char *name,
                     kern_check_fn report, void *ctx);

#endif
