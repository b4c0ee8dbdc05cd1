/* SPDX-License-Identifier: MIT
 * Forward passes with added noise (docs/noise.md): what ops.c does when a row of the pass belongs to
 * a sequence with noise. Rows without it take the normal kernels and have the normal bits. */
#ifndef ENGINE_NOISE_H
#define ENGINE_NOISE_H

#include "engine/ops.h"
#include "kernels/noise.h"

enum { NOISE_ROWS = 32 };         /* rows of one product with orders of their own at once */

/* What passes with noise need beside the rest; made when the first sequence with noise is decoded. */
struct pass_noise {
    const struct arith_noise **of;   /* [rows of the pass]; NULL: this row has none */
    const struct kern_noise_ops *k;
    uint32_t n_norms;             /* of this pass so far: their number names their sums */
    uint32_t *steps;              /* [OPS_MAX_LINEAR][NOISE_ROWS][most terms of a sum] */
    size_t n_terms;
    uint8_t *scratch;             /* [n_threads][scratch_bytes] */
    size_t scratch_bytes;
};

/* NULL without memory. `of` stays the caller's to set. */
struct pass_noise *noise_open(const struct idem_model *m, unsigned n_threads, struct idem_err *err);
void noise_close(struct pass_noise *z);

/* ops_norm and ops_norm_parts of a pass with noise. */
void noise_norm(struct pass *p, float *y, const float *x, const float *w, const float *b, size_t per_row,
                size_t n_cols);
/* ops_output_norm for one row of such a pass. */
void noise_output_norm(struct pass *p, size_t row, float *y, const float *x);
/* ops_linear_rows of such a pass. rows[n]: which row of the pass each of x is; NULL: x's own. */
void noise_linear(struct pass *p, const size_t *rows, size_t n, const float *x,
                  const struct ops_linear *out, size_t n_out);
/* All blocks of KV head kvh for the n queries a of one row with noise. */
void noise_attention(struct pass *p, uint32_t il, size_t row, const struct kv_seq *seq, size_t kvh,
                     struct kern_attn *a, size_t n, unsigned thread);

/* For messages: " with the noise 'f16' …" where the row has some, else "". */
const char *noise_hint(const struct pass *p, size_t row, char out[160]);

#endif
