/* SPDX-License-Identifier: MIT
 * The data of the tensors: read from the mapped shards, turned, rounded, written, a chunk of rows
 * at a time, so that memory does not grow with the checkpoint. */
#include <stdlib.h>

#include "convert/quant.h"
#include "convert/tensors.h"

enum { CHUNK = 1 << 20 };   /* elements */

struct chunk {
    float *x;
    uint8_t *bytes;
    size_t cap;              /* elements */
};

static size_t elem_bytes(enum st_dtype d)
{
    return d == ST_F32 ? 4 : 2;
}

/* The row of the checkpoint that becomes row r: (half, pair) of a head becomes (pair, half). */
static uint64_t source_row(const struct out_tensor *o, uint64_t r)
{
    if (!o->per_head)
        return r;
    uint64_t head = r / o->per_head, i = r % o->per_head;
    return head * o->per_head + (i % 2) * (o->per_head / 2) + i / 2;
}

/* Rows [from, from + n) of the result as binary32. */
static void load(const struct out_tensor *o, uint64_t from, uint64_t n, float *x)
{
    const struct st_tensor *s = o->src;
    size_t size = elem_bytes(s->dtype);
    if (o->vector) {
        for (uint64_t i = 0; i < o->cols; i++)
            quant_load(s->dtype, s->data + source_row(o, i) * size, 1, x + i);
    } else if (o->op == OP_TRANSPOSE) {
        for (uint64_t col = 0; col < o->cols; col++)
            for (uint64_t r = 0; r < n; r++)
                quant_load(s->dtype, s->data + (col * o->rows + from + r) * size, 1, x + r * o->cols + col);
    } else if (o->per_head) {
        for (uint64_t r = 0; r < n; r++)
            quant_load(s->dtype, s->data + source_row(o, from + r) * o->cols * size, o->cols, x + r * o->cols);
    } else {
        quant_load(s->dtype, s->data + from * o->cols * size, n * o->cols, x);
    }
    for (uint64_t i = 0; o->op == OP_ADD_ONE && i < n * o->cols; i++)
        x[i] += 1.0f;
}

static int bad_element(const struct out_tensor *o, uint64_t i, const char *what, struct idem_err *err)
{
    safetensors_err(o->file, o->src, err, "element %llu of '%s' %s", (unsigned long long)i, o->name, what);
    if (err)
        err->code = IDEM_ERR_NUMERIC;
    return -1;
}

static int write_rows(const struct out_tensor *o, struct gguf_writer *w, struct chunk *k, uint64_t from,
                      uint64_t rows, struct idem_err *err)
{
    size_t n = (size_t)(rows * o->cols), lost;
    load(o, from, rows, k->x);
    size_t bad = quant_finite(k->x, n);
    if (bad < n)
        return bad_element(o, from * o->cols + bad, "is not a finite number", err);
    size_t len = quant_store(o->type, k->x, n, k->bytes, &lost);
    if (lost < n)
        return bad_element(o, from * o->cols + lost, o->type == QTYPE_BF16 ? "is too large for BF16: use --type f32"
                           : "is too large for F16: use --type bf16 or f32", err);
    return gguf_write(w, k->bytes, len, err);
}

static int reserve(struct chunk *k, size_t n, struct idem_err *err)
{
    if (n <= k->cap)
        return 0;
    free(k->x);
    free(k->bytes);
    k->cap = 0;
    k->x = malloc(n * sizeof *k->x);
    k->bytes = malloc(n * sizeof(float));
    if (!k->x || !k->bytes)
        return err_memory(err, "a chunk of a tensor", n * 2 * sizeof *k->x);
    k->cap = n;
    return 0;
}

struct report { tensors_progress fn; void *ctx; uint64_t done, total; };

static int advance(struct report *r, uint64_t n, struct idem_err *err)
{
    r->done += n;
    if (r->fn && !r->fn(r->ctx, r->done, r->total))
        return err_set(err, IDEM_ERR_INTERRUPTED, "interrupted; nothing was written");
    return 0;
}

static int write_one(const struct out_tensor *o, struct gguf_writer *w, struct chunk *k, struct report *report,
                     struct idem_err *err)
{
    if (!o->file)   /* F32, generated; little-endian by quant_store */
        return reserve(k, (size_t)o->cols, err) != 0 ? -1
               : gguf_write(w, k->bytes, quant_store(o->type, o->values, (size_t)o->cols, k->bytes, &(size_t){0}), err);
    uint64_t step = o->cols < CHUNK ? CHUNK / o->cols : 1;
    if (reserve(k, (size_t)(step * o->cols), err) != 0)
        return -1;
    bool in_order = o->op == OP_COPY || o->op == OP_ADD_ONE;
    for (uint64_t from = 0; from < o->rows; from += step) {
        uint64_t n = o->rows - from < step ? o->rows - from : step, size = elem_bytes(o->src->dtype);
        if (write_rows(o, w, k, from, n, err) != 0 || advance(report, n * o->cols * size, err) != 0)
            return -1;
        if (in_order)
            safetensors_drop(o->file, o->src->offset + from * o->cols * size, n * o->cols * size);
    }
    if (!in_order)
        safetensors_drop(o->file, o->src->offset, o->src->n_bytes);
    return 0;
}

int tensors_write(const struct tensors *ts, struct gguf_writer *w, tensors_progress progress, void *ctx,
                  struct idem_err *err)
{
    struct chunk k = {0};
    struct report report = {progress, ctx, 0, 0};
    for (size_t i = 0; i < ts->n; i++)
        report.total += ts->items[i].file ? ts->items[i].src->n_bytes : 0;
    int rc = 0;
    for (size_t i = 0; i < ts->n && rc == 0; i++)
        rc = write_one(&ts->items[i], w, &k, &report, err);
    free(k.x);
    free(k.bytes);
    return rc;
}
