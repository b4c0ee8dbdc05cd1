/* SPDX-License-Identifier: MIT
 * Forward passes with added noise: an order for every sum of every row, and the kernels that take it. */
#include "engine/noise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t round64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

struct pass_noise *noise_open(const struct idem_model *m, unsigned n_threads, struct idem_err *err)
{
    struct pass_noise *z = calloc(1, sizeof *z);
    size_t cols = model_max_cols(m), attn = (m->hp.head_dim + KERN_KV) * sizeof(uint32_t);
    size_t matmul = kern_noise_scratch_bytes(cols);
    if (!z) {
        err_memory(err, "added noise", sizeof *z);
        return NULL;
    }
    z->k = kern_noise_ops(m->k);
    z->n_terms = cols > m->hp.n_embd ? cols : m->hp.n_embd;
    /* the order of a norm or of attention is in the scratch, never together with a product */
    size_t norm = z->n_terms * sizeof(uint32_t);
    z->scratch_bytes = round64(matmul > attn ? matmul : attn);
    z->scratch_bytes = z->scratch_bytes > norm ? z->scratch_bytes : round64(norm);
    size_t n_steps = (size_t)OPS_MAX_LINEAR * NOISE_ROWS * z->n_terms;
    z->steps = malloc(n_steps * sizeof *z->steps);
    z->scratch = aligned_alloc(64, z->scratch_bytes * n_threads);
    if (!z->steps || !z->scratch) {
        noise_close(z);
        err_memory(err, "added noise", n_steps * sizeof *z->steps + z->scratch_bytes * n_threads);
        return NULL;
    }
    return z;
}

void noise_close(struct pass_noise *z)
{
    if (!z)
        return;
    free(z->steps);
    free(z->scratch);
    free(z);
}

static uint64_t stream(const char *name, uint32_t number)
{
    return kern_stream(name, strlen(name)) + number;
}

static void *scratch_of(const struct pass *p, unsigned thread)
{
    return p->noise->scratch + thread * p->noise->scratch_bytes;
}

const char *noise_hint(const struct pass *p, size_t row, char out[160])
{
    char name[ARITH_NOISE_TEXT];
    out[0] = '\0';
    if (p->noise && p->noise->of[row]) {
        arith_noise_text(p->noise->of[row], name);
        snprintf(out, 160, " (with the added noise '%s': f16 ends at 65504; "
                 "take another noise)", name);
    }
    return out;
}

/* ---- norms ----------------------------------------------------------------------------------- */

struct norms {
    struct pass *p;
    float *y;
    const float *x, *w, *b;
    size_t per_row, n_cols;
    uint64_t stream;
};

static void norm_one(const struct norms *j, size_t row, float *y, const float *x, uint32_t *steps)
{
    const struct pass *p = j->p;
    const struct arith_noise *z = p->noise->of[row];
    float eps = p->m->hp.eps;
    struct kern_order o;
    bool plain = !z || z->order == ARITH_ORDER_PLAIN;
    if (!plain)
        kern_order_fill(&o, steps, j->n_cols, z, j->stream, p->pos[row], 1);
    for (size_t i = 0; i < j->per_row; i++, y += j->n_cols, x += j->n_cols) {
        if (plain && j->b)
            p->k->layernorm(y, x, j->w, j->b, j->n_cols, eps);
        else if (plain)
            p->k->rmsnorm(y, x, j->w, j->n_cols, eps);
        else if (j->b)
            kern_noise_layernorm(y, x, j->w, j->b, j->n_cols, eps, &o);
        else
            kern_noise_rmsnorm(y, x, j->w, j->n_cols, eps, &o);
    }
}

static void norm_item(void *arg, size_t row, unsigned thread)
{
    const struct norms *j = arg;
    size_t at = row * j->per_row * j->n_cols;
    norm_one(j, row, j->y + at, j->x + at, scratch_of(j->p, thread));
}

void noise_norm(struct pass *p, float *y, const float *x, const float *w, const float *b, size_t per_row,
                size_t n_cols)
{
    struct norms j = {p, y, x, w, b, per_row, n_cols, stream("norm", p->noise->n_norms++)};
    pool_run(p->pool, norm_item, &j, p->n);
}

/* Its number is the next one for every row of the pass. */
void noise_output_norm(struct pass *p, size_t row, float *y, const float *x)
{
    const struct idem_model *m = p->m;
    size_t n = m->hp.n_embd;
    struct norms j = {p, y, x, m->output_norm, m->output_norm_b, 1, n, stream("norm", p->noise->n_norms)};
    norm_one(&j, row, y, x, scratch_of(p, 0));
    if (m->hp.out_scale != 1.0f)
        m->k->scale(y, y, m->hp.out_scale, n);
}

/* ---- matrix products --------------------------------------------------------------------------- */

struct products {
    struct pass *p;
    const size_t *rows;          /* [n] rows of the pass, or NULL: row0 on */
    size_t row0, n;
    const float *x;              /* [n][n_cols] */
    const struct ops_linear *out;
    size_t n_out, per_item;      /* groups of all matrices, one after the other */
    struct kern_order order[OPS_MAX_LINEAR][NOISE_ROWS];
};

static size_t row_of(const struct products *j, size_t i)
{
    return j->rows ? j->rows[i] : j->row0 + i;
}

static bool uses_q8(const struct pass *p, const struct kern_matrix *w)
{
    return !p->m->f32 && kern_type_is_quantised(w->type);
}

/* The orders of one row, and its quantised input. */
static void prepare_item(void *arg, size_t i, unsigned thread)
{
    struct products *j = arg;
    struct pass *p = j->p;
    size_t row = row_of(j, i), n_cols = j->out[0].w->n_cols, nb = n_cols / KERN_BLOCK;
    bool q8 = false;
    (void)thread;
    for (size_t k = 0; k < j->n_out; k++) {
        const struct kern_matrix *w = j->out[k].w;
        bool quantised = uses_q8(p, w);
        q8 |= quantised;
        kern_order_fill(&j->order[k][i], p->noise->steps + (k * NOISE_ROWS + i) * p->noise->n_terms,
                        quantised ? nb : n_cols, p->noise->of[row], w->stream, p->pos[row],
                        quantised ? KERN_BLOCK : 1);
    }
    if (q8)
        p->k->quantize(p->xq + i * nb, j->x + i * n_cols, n_cols);
}

static void product(const struct products *j, size_t k, size_t g0, size_t g1, unsigned thread)
{
    struct pass *p = j->p;
    const struct ops_linear *o = &j->out[k];
    const struct kern_matrix *w = o->w;
    size_t r0 = g0 * KERN_ROWS, r1 = g1 * KERN_ROWS < w->n_rows ? g1 * KERN_ROWS : w->n_rows;
    if (uses_q8(p, w))
        p->noise->k->matmul_q8(o->y, w->n_rows, w, p->xq, j->n, g0, g1, j->order[k],
                               scratch_of(p, thread));
    else
        p->noise->k->matmul_f32(o->y, w->n_rows, w, j->x, w->n_cols, j->n, g0, g1, j->order[k],
                                scratch_of(p, thread));
    for (size_t t = 0; o->bias && t < j->n; t++)
        p->k->add(o->y + t * w->n_rows + r0, o->bias + r0, r1 - r0);
}

static void product_item(void *arg, size_t item, unsigned thread)
{
    const struct products *j = arg;
    size_t from = item * j->per_item, to = from + j->per_item, base = 0;
    for (size_t k = 0; k < j->n_out; k++) {
        size_t n = kern_n_groups(j->out[k].w), g0 = from > base ? from - base : 0;
        size_t g1 = to > base ? to - base : 0;
        g1 = g1 < n ? g1 : n;
        if (g0 < g1)
            product(j, k, g0, g1, thread);
        base += n;
    }
}

static void products_run(struct products *j)
{
    enum { ITEMS = 8, UNIT = 4 };    /* items per thread; groups that f32 takes side by side */
    struct pool *pool = j->p->pool;
    size_t n_groups = 0, n_items = ITEMS * (size_t)pool_n_threads(pool);
    for (size_t k = 0; k < j->n_out; k++)
        n_groups += kern_n_groups(j->out[k].w);
    j->per_item = (n_groups / n_items + UNIT) / UNIT * UNIT;
    pool_run(pool, prepare_item, j, j->n);
    pool_run(pool, product_item, j, (n_groups + j->per_item - 1) / j->per_item);
}

/* Runs of rows with noise, and of rows without. */
void noise_linear(struct pass *p, const size_t *rows, size_t n, const float *x,
                  const struct ops_linear *out, size_t n_out)
{
    size_t n_cols = out[0].w->n_cols, end;
    for (size_t at = 0; at < n; at = end) {
        struct ops_linear here[OPS_MAX_LINEAR];
        const struct arith_noise **of = p->noise->of;
        bool noisy = of[rows ? rows[at] : at] != NULL;
        for (end = at + 1; end < n && (of[rows ? rows[end] : end] != NULL) == noisy; end++)
            if (noisy && end - at == NOISE_ROWS)
                break;
        for (size_t k = 0; k < n_out; k++) {
            here[k] = out[k];
            here[k].y += at * out[k].w->n_rows;
        }
        if (noisy) {
            struct products j = {.p = p, .rows = rows ? rows + at : NULL, .row0 = at, .n = end - at,
                                 .x = x + at * n_cols, .out = here, .n_out = n_out};
            products_run(&j);
        } else {
            ops_linear_rows(p, end - at, x + at * n_cols, here, n_out);
        }
    }
}

/* ---- attention ------------------------------------------------------------------------------------ */

void noise_attention(struct pass *p, uint32_t il, size_t row, const struct kv_seq *seq, size_t kvh,
                     struct kern_attn *a, size_t n, unsigned thread)
{
    const struct arith_noise *z = p->noise->of[row];
    uint32_t window = p->m->layers[il].window, pos = p->pos[row];
    uint32_t low = window && pos + 1 > window ? pos + 1 - window : 0;
    size_t k_dim = p->m->hp.head_dim, n_last = 0;
    uint32_t *steps = scratch_of(p, thread);
    struct kern_attn_order o = {.plain = z->order == ARITH_ORDER_PLAIN};
    kern_order_fill(&o.scores, steps, k_dim, z, stream("attention.scores", il), pos, 1);
    for (uint32_t b = low / KERN_KV; b <= pos / KERN_KV; b++) {
        uint32_t base = b * KERN_KV;
        uint32_t j0 = low > base ? low - base : 0, j1 = pos - base < KERN_KV ? pos - base + 1 : KERN_KV;
        if (j1 - j0 != n_last)       /* the same for all full blocks */
            kern_order_fill(&o.outputs, steps + k_dim, j1 - j0, z, stream("attention.outputs", il), pos, 1);
        n_last = j1 - j0;
        for (size_t i = 0; i < n; i++) {
            a[i].j0 = j0;
            a[i].j1 = j1;
        }
        const uint8_t *k = kv_plane(p->kv, seq, b, il, kvh);
        p->noise->k->attn_block(a, n, k, k + p->kv->k_bytes, &p->kv->shape, &o);
    }
}
