/* SPDX-License-Identifier: MIT
 * From the tensors of a checkpoint to those of the file: names, shapes, types, order, data. */
#ifndef CONVERT_TENSORS_H
#define CONVERT_TENSORS_H

#include "convert/checkpoint.h"
#include "convert/recipe.h"
#include "gguf/gguf_write.h"

struct out_tensor {
    char name[64];
    const struct safetensors *file;      /* NULL: the values are here */
    const struct st_tensor *src;
    const float *values;                 /* [cols] of a generated tensor */
    enum recipe_op op;
    uint64_t rows, cols;                 /* of a vector: rows is 1 */
    uint64_t per_head;                   /* rows of a head, for the permutations */
    bool vector;
    enum qtype type;
};

struct tensors {
    struct out_tensor *items;            /* [n], in the order of the file */
    size_t n;
    uint64_t n_params;
    struct arena arena;                  /* generated values */
};

/* Maps every tensor of the checkpoint by the recipe and checks its shape. One that the recipe
 * does not know, that must not be there, or that is missing is an error. `type` is that of
 * matrices; vectors, norms and learned positions are F32, rows that Q8_0's blocks do not divide F16. */
int tensors_plan(struct tensors *ts, const struct hfconf *c, struct checkpoint *ck, enum qtype type,
                 struct idem_err *err);
void tensors_release(struct tensors *ts);
int tensors_declare(const struct tensors *ts, struct gguf_writer *w, struct idem_err *err);

/* Converts and writes all of them, a few megabytes at a time. progress (may be NULL) hears how many
 * bytes of the checkpoint are done, and returns false to stop. */
typedef bool (*tensors_progress)(void *ctx, uint64_t done, uint64_t total);
int tensors_write(const struct tensors *ts, struct gguf_writer *w, tensors_progress progress, void *ctx,
                  struct idem_err *err);

/* tensors_rope.c: adds rope_freqs, rope_factors_long and rope_factors_short where there are any. */
int tensors_add_rope(struct tensors *ts, const struct hfconf *c, struct idem_err *err);

#endif
