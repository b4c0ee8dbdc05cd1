/* SPDX-License-Identifier: MIT
 * The operations of the forward passes: what to compute on which row, group of weights or head,
 * and how to split it over threads. The arithmetic itself is in src/kernels. */
#include "engine/ops.h"

#include <string.h>

#include "base/detmath.h"
#include "engine/noise.h"

/* ---- row by row --------------------------------------------------------------------------- */

/* Below this many floats a job is not worth waking other threads. */
enum { MIN_FLOATS_PER_ITEM = 8192 };

struct rows {
    ops_row_fn fn;
    void *arg;
    size_t n, per_item;
};

static void rows_item(void *arg, size_t item, unsigned thread)
{
    (void)thread;
    const struct rows *r = arg;
    size_t end = (item + 1) * r->per_item;
    for (size_t i = item * r->per_item; i < end && i < r->n; i++)
        r->fn(r->arg, i);
}

/* fn(arg, row) for n rows of n_floats each. */
static void for_rows(struct pool *pool, size_t n, size_t n_floats, ops_row_fn fn, void *arg)
{
    struct rows r = {.fn = fn, .arg = arg, .n = n};
    r.per_item = MIN_FLOATS_PER_ITEM / (n_floats + 1) + 1;
    pool_run(pool, rows_item, &r, (n + r.per_item - 1) / r.per_item);
}

void ops_for_rows(struct pass *p, size_t n_floats, ops_row_fn fn, void *arg)
{
    for_rows(p->pool, p->n, n_floats, fn, arg);
}

/* ---- preparing a pass ------------------------------------------------------------------------ */

static size_t group_size(const struct idem_model *m)
{
    return m->hp.n_head / m->hp.n_head_kv;
}

static size_t tile_tokens(const struct idem_model *m)
{
    size_t n = OPS_TILE_QUERIES / group_size(m);
    return n ? n : 1;
}

static size_t round64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

size_t ops_scratch_bytes(const struct idem_model *m)
{
    size_t matmul = kern_scratch_bytes(model_max_cols(m));
    size_t attn = round64(OPS_TILE_QUERIES * sizeof(struct kern_attn)) +
                  kern_attn_scratch_bytes(m->hp.head_dim, m->hp.v_dim);
    return round64(matmul > attn ? matmul : attn);
}

static void rope_row(void *arg, size_t row)
{
    const struct pass *p = arg;
    size_t n = p->m->hp.n_rot / 2;
    double pos = (double)p->pos[row];
    for (size_t r = 0; r < MODEL_N_ROPES; r++) {
        const struct rope *rope = &p->m->rope[r];
        float *c = p->cos[r] + row * n, *s = p->sin[r] + row * n;
        for (size_t i = 0; rope->freq && i < n; i++) {
            double angle = pos * rope->freq[i];
            if (rope->factor)
                angle /= (double)rope->factor[i];
            angle *= rope->scale;
            c[i] = (float)(det_cos(angle) * rope->mscale);
            s[i] = (float)(det_sin(angle) * rope->mscale);
        }
    }
}

void ops_prepare(struct pass *p)
{
    size_t per = tile_tokens(p->m);
    p->n_tiles = 0;
    for (size_t i = 0; i < p->n_spans; i++) {
        const struct pass_span *s = &p->spans[i];
        for (size_t r = 0; r < s->n_rows; r += per) {
            size_t n = s->n_rows - r < per ? s->n_rows - r : per;
            p->tiles[p->n_tiles++] = (struct pass_tile){s, s->row0 + r, n};
        }
    }
    /* a sine costs about as much as twenty floats elsewhere */
    for_rows(p->pool, p->n, (size_t)p->m->hp.n_rot * 20, rope_row, p);
}

static void embed_row(void *arg, size_t row)
{
    const struct pass *p = arg;
    const struct hparams *hp = &p->m->hp;
    float *x = p->x + row * hp->n_embd;
    kern_unpack_row(&p->m->embd, (size_t)p->tokens[row], x);
    if (hp->embd_scale != 1.0f)
        p->k->scale(x, x, hp->embd_scale, hp->n_embd);
}

void ops_embed(struct pass *p)
{
    for_rows(p->pool, p->n, (size_t)p->m->hp.n_embd * 4, embed_row, p);
}

static void embed_position(void *arg, size_t row)
{
    const struct pass *p = arg;
    size_t n = p->m->hp.n_embd;
    float *x = p->x + row * n, *e = p->h + row * n;
    kern_unpack_row(&p->m->pos_embd, p->pos[row], e);
    p->k->add(x, e, n);
}

void ops_embed_positions(struct pass *p)
{
    for_rows(p->pool, p->n, (size_t)p->m->hp.n_embd * 4, embed_position, p);
}

/* ---- vectors ------------------------------------------------------------------------------------ */

struct norm {
    const struct pass *p;
    float *y;
    const float *x, *w, *b;
    size_t per_row, n_cols;
};

static void norm_row(void *arg, size_t row)
{
    const struct norm *j = arg;
    const struct kern_ops *k = j->p->k;
    float eps = j->p->m->hp.eps;
    for (size_t i = row * j->per_row; i < (row + 1) * j->per_row; i++) {
        float *y = j->y + i * j->n_cols;
        const float *x = j->x + i * j->n_cols;
        if (j->b)
            k->layernorm(y, x, j->w, j->b, j->n_cols, eps);
        else
            k->rmsnorm(y, x, j->w, j->n_cols, eps);
    }
}

void ops_norm(struct pass *p, float *y, const float *x, const float *w, const float *b)
{
    if (p->noise) {
        noise_norm(p, y, x, w, b, 1, p->m->hp.n_embd);
        return;
    }
    struct norm j = {p, y, x, w, b, 1, p->m->hp.n_embd};
    for_rows(p->pool, p->n, j.n_cols, norm_row, &j);
}

void ops_norm_parts(struct pass *p, float *y, const float *x, const float *w, size_t per_row,
                    size_t n_cols)
{
    if (p->noise) {
        noise_norm(p, y, x, w, NULL, per_row, n_cols);
        return;
    }
    struct norm j = {p, y, x, w, NULL, per_row, n_cols};
    for_rows(p->pool, p->n, per_row * n_cols, norm_row, &j);
}

void ops_output_norm(const struct idem_model *m, float *y, const float *x)
{
    size_t n = m->hp.n_embd;
    if (m->output_norm_b)
        m->k->layernorm(y, x, m->output_norm, m->output_norm_b, n, m->hp.eps);
    else
        m->k->rmsnorm(y, x, m->output_norm, n, m->hp.eps);
    if (m->hp.out_scale != 1.0f)
        m->k->scale(y, y, m->hp.out_scale, n);
}

static void silu_row(void *arg, size_t row)
{
    const struct pass *p = arg;
    size_t n = p->m->hp.n_ff;
    p->k->silu_mul(p->gate + row * n, p->gate + row * n, p->up + row * n, n);
}

void ops_silu_mul(struct pass *p)
{
    for_rows(p->pool, p->n, (size_t)p->m->hp.n_ff * 2, silu_row, p);
}

static void gelu_row(void *arg, size_t row)
{
    const struct pass *p = arg;
    size_t n = p->m->hp.n_ff;
    p->k->gelu_mul(p->gate + row * n, p->gate + row * n, p->up + row * n, n);
}

void ops_gelu_mul(struct pass *p)
{
    for_rows(p->pool, p->n, (size_t)p->m->hp.n_ff * 2, gelu_row, p);
}

static void gelu_alone_row(void *arg, size_t row)
{
    const struct pass *p = arg;
    size_t n = p->m->hp.n_ff;
    p->k->gelu(p->gate + row * n, p->gate + row * n, n);
}

void ops_gelu(struct pass *p)
{
    for_rows(p->pool, p->n, (size_t)p->m->hp.n_ff * 2, gelu_alone_row, p);
}

struct add {
    const struct pass *p;
    float *h;
};

static void add_row(void *arg, size_t row)
{
    const struct add *j = arg;
    const struct hparams *hp = &j->p->m->hp;
    float *h = j->h + row * hp->n_embd;
    if (hp->residual_scale != 1.0f)
        j->p->k->scale(h, h, hp->residual_scale, hp->n_embd);
    j->p->k->add(j->p->x + row * hp->n_embd, h, hp->n_embd);
}

void ops_add(struct pass *p, float *h)
{
    struct add j = {p, h};
    for_rows(p->pool, p->n, p->m->hp.n_embd, add_row, &j);
}

struct check {
    const struct pass *p;
    _Atomic size_t first_bad;     /* lowest row that is not finite, or n */
};

static void check_row(void *arg, size_t row)
{
    struct check *j = arg;
    size_t n = j->p->m->hp.n_embd;
    if (j->p->k->all_finite(j->p->x + row * n, n))
        return;
    size_t seen = atomic_load(&j->first_bad);
    while (row < seen && !atomic_compare_exchange_weak(&j->first_bad, &seen, row))
        ;
}

int ops_check(struct pass *p, uint32_t il, struct idem_err *err)
{
    struct check j = {.p = p, .first_bad = p->n};
    for_rows(p->pool, p->n, p->m->hp.n_embd, check_row, &j);
    size_t row = atomic_load(&j.first_bad);
    if (row == p->n)
        return 0;
    char hint[160];
    return err_set(err, IDEM_ERR_NUMERIC,
                   "%s: layer %u (of %u, from 0) gives NaN or infinity at position %u, token id "
                   "%d; the model's weights are damaged or outside the range of binary32%s",
                   p->m->info.path, il, p->m->hp.n_layer, p->pos[row], p->tokens[row],
                   noise_hint(p, row, hint));
}

/* ---- matrix products ------------------------------------------------------------------------------ */

/* Rows of activations that a product in f32 mode goes over together: they stay in the L2 cache,
 * and there are enough of them to pay for dequantising the weights. */
enum { F32_TILE_BYTES = 512 * 1024, F32_MIN_TILE = 36 };

struct linear {
    struct pass *p;
    size_t n;                       /* rows of activations */
    const float *x;
    const struct ops_linear *out;
    size_t n_out, per_item;         /* groups of all matrices, one after the other */
};

static bool uses_q8(const struct pass *p, const struct kern_matrix *w)
{
    return !p->m->f32 && kern_type_is_quantised(w->type);
}

static void linear_f32(const struct linear *j, const struct ops_linear *o, size_t g0, size_t g1,
                       void *scratch)
{
    const struct kern_matrix *w = o->w;
    size_t tile = F32_TILE_BYTES / (w->n_cols * sizeof(float));
    tile = tile < F32_MIN_TILE ? F32_MIN_TILE : tile / 6 * 6;   /* kernels take six at a time */
    for (size_t t = 0; t < j->n; t += tile)
        j->p->k->matmul_f32(o->y + t * w->n_rows, w->n_rows, w, j->x + t * w->n_cols, w->n_cols,
                            j->n - t < tile ? j->n - t : tile, g0, g1, scratch);
}

static void linear_part(const struct linear *j, const struct ops_linear *o, size_t g0, size_t g1,
                        unsigned thread)
{
    const struct kern_matrix *w = o->w;
    struct pass *p = j->p;
    if (uses_q8(p, w))
        p->k->matmul_q8(o->y, w->n_rows, w, p->xq, j->n, g0, g1);
    else
        linear_f32(j, o, g0, g1, p->scratch + thread * p->scratch_bytes);
    if (!o->bias)
        return;
    size_t r0 = g0 * KERN_ROWS, r1 = g1 * KERN_ROWS < w->n_rows ? g1 * KERN_ROWS : w->n_rows;
    for (size_t t = 0; t < j->n; t++)
        p->k->add(o->y + t * w->n_rows + r0, o->bias + r0, r1 - r0);
}

static void linear_item(void *arg, size_t item, unsigned thread)
{
    const struct linear *j = arg;
    size_t from = item * j->per_item, to = from + j->per_item, base = 0;
    for (size_t i = 0; i < j->n_out; i++) {
        size_t n = kern_n_groups(j->out[i].w);
        size_t g0 = from > base ? from - base : 0, g1 = to > base ? to - base : 0;
        if (g1 > n)
            g1 = n;
        if (g0 < g1)
            linear_part(j, &j->out[i], g0, g1, thread);
        base += n;
    }
}

struct quant {
    const struct pass *p;
    const float *x;
    size_t n_cols;
};

static void quant_row(void *arg, size_t row)
{
    const struct quant *j = arg;
    j->p->k->quantize(j->p->xq + row * (j->n_cols / KERN_BLOCK), j->x + row * j->n_cols,
                      j->n_cols);
}

void ops_linear_rows(struct pass *p, size_t n, const float *x, const struct ops_linear *out,
                     size_t n_out)
{
    struct linear j = {.p = p, .n = n, .x = x, .out = out, .n_out = n_out};
    size_t n_groups = 0, n_threads = pool_n_threads(p->pool), n_cols = out[0].w->n_cols;
    bool q8 = false;
    for (size_t i = 0; i < n_out; i++) {
        n_groups += kern_n_groups(out[i].w);
        q8 = q8 || uses_q8(p, out[i].w);
    }
    if (q8) {
        struct quant q = {p, x, n_cols};
        for_rows(p->pool, n, n_cols, quant_row, &q);
    }
    size_t n_items = n_threads * (n < 16 ? 4 : 8);   /* short jobs cannot pay for many */
    j.per_item = ((n_groups + n_items - 1) / n_items + 1) & ~(size_t)1;   /* wide kernels take pairs */
    pool_run(p->pool, linear_item, &j, (n_groups + j.per_item - 1) / j.per_item);
}

void ops_linear(struct pass *p, const float *x, const struct ops_linear *out, size_t n_out)
{
    if (p->noise)
        noise_linear(p, NULL, p->n, x, out, n_out);
    else
        ops_linear_rows(p, p->n, x, out, n_out);
}

/* ---- attention --------------------------------------------------------------------------------------- */

struct attn {
    struct pass *p;
    uint32_t il;
    size_t n_split;                 /* parts into which the query heads of one KV head go */
};

static void rope_store_row(void *arg, size_t row)
{
    const struct attn *j = arg;
    struct pass *p = j->p;
    const struct hparams *hp = &p->m->hp;
    uint32_t r = p->m->layers[j->il].rope;
    size_t hd = hp->head_dim, vd = hp->v_dim, n_q = hp->n_head * hd;
    const float *c = p->cos[r] + row * (hp->n_rot / 2), *s = p->sin[r] + row * (hp->n_rot / 2);
    float *q = p->q + row * n_q, *key = p->key + row * hp->n_head_kv * hd;
    const float *val = p->val + row * hp->n_head_kv * vd;
    if (hp->n_rot > 0) {
        p->k->rope(q + hp->rot_first, hp->n_head, hd, hp->n_rot, c, s, hp->rope_neox);
        p->k->rope(key + hp->rot_first, hp->n_head_kv, hd, hp->n_rot, c, s, hp->rope_neox);
    }
    p->k->scale(q, q, hp->attn_scale, n_q);
    for (size_t h = 0; h < hp->n_head_kv; h++) {
        uint8_t *k = kv_plane(p->kv, p->seq[row], p->pos[row] / KERN_KV, j->il, h);
        p->k->kv_store(k, k + p->kv->k_bytes, &p->kv->shape, key + h * hd, val + h * vd,
                       p->pos[row] % KERN_KV);
    }
}

void ops_rope_store(struct pass *p, uint32_t il)
{
    struct attn j = {.p = p, .il = il};
    const struct hparams *hp = &p->m->hp;
    for_rows(p->pool, p->n, (size_t)(hp->n_head + 4 * hp->n_head_kv) * hp->head_dim,
             rope_store_row, &j);
}

/* What query position pos may see of the block that begins at position base. */
static void set_range(struct kern_attn *a, size_t pos, size_t base, uint32_t window)
{
    size_t low = window && pos + 1 > window ? pos + 1 - window : 0;
    a->j0 = low > base ? (uint32_t)(low - base < KERN_KV ? low - base : KERN_KV) : 0;
    a->j1 = pos < base ? 0 : pos - base < KERN_KV ? (uint32_t)(pos - base + 1) : KERN_KV;
}

static void attn_item(void *arg, size_t item, unsigned thread)
{
    const struct attn *j = arg;
    struct pass *p = j->p;
    const struct hparams *hp = &p->m->hp;
    uint32_t window = p->m->layers[j->il].window;
    size_t group = group_size(p->m), hd = hp->head_dim, vd = hp->v_dim;
    size_t split = item % j->n_split, kvh = item / j->n_split % hp->n_head_kv;
    const struct pass_tile *tile = &p->tiles[item / j->n_split / hp->n_head_kv];
    size_t h0 = kvh * group + split * group / j->n_split;
    size_t h1 = kvh * group + (split + 1) * group / j->n_split;

    struct kern_attn *a = (struct kern_attn *)(void *)(p->scratch + thread * p->scratch_bytes);
    void *scratch = (uint8_t *)a + round64(OPS_TILE_QUERIES * sizeof *a);
    size_t n = 0;
    for (size_t row = tile->row0; row < tile->row0 + tile->n_rows; row++)
        for (size_t h = h0; h < h1; h++, n++)
            a[n] = (struct kern_attn){.q = p->q + (row * hp->n_head + h) * hd,
                                      .o = p->a + (row * hp->n_head + h) * vd};

    if (p->noise && p->noise->of[tile->row0]) {      /* the rows of a tile are of one sequence */
        for (size_t i = 0; i < tile->n_rows; i++)
            noise_attention(p, j->il, tile->row0 + i, tile->span->seq, kvh, a + i * (h1 - h0), h1 - h0,
                            thread);
        p->k->attn_finish(a, n, vd);
        return;
    }
    size_t first = p->pos[tile->row0], last = first + tile->n_rows - 1;
    size_t low = window && first + 1 > window ? first + 1 - window : 0;
    for (size_t b = low / KERN_KV; b <= last / KERN_KV; b++) {
        for (size_t i = 0; i < n; i++)
            set_range(&a[i], first + i / (h1 - h0), b * KERN_KV, window);
        const uint8_t *k = kv_plane(p->kv, tile->span->seq, b, j->il, kvh);
        p->k->attn_block(a, n, k, k + p->kv->k_bytes, &p->kv->shape, scratch);
    }
    p->k->attn_finish(a, n, vd);
}

void ops_attention(struct pass *p, uint32_t il)
{
    enum { SMALL_WORK = 1 << 16 };  /* multiply-adds that one thread does while another wakes */
    const struct hparams *hp = &p->m->hp;
    struct attn j = {.p = p, .il = il, .n_split = 1};
    size_t group = group_size(p->m), n_items = p->n_tiles * hp->n_head_kv, work = 0;
    for (size_t i = 0; i < p->n_spans; i++)
        work += p->spans[i].n_rows * (p->spans[i].pos0 + p->spans[i].n_rows);
    work *= 2 * (size_t)hp->n_head * hp->head_dim;

    size_t want = 2 * (size_t)pool_n_threads(p->pool);
    if (work > SMALL_WORK && n_items < want)
        j.n_split = (want + n_items - 1) / n_items;
    if (j.n_split > group)
        j.n_split = group;
    size_t least = (group + OPS_TILE_QUERIES - 1) / OPS_TILE_QUERIES;
    if (j.n_split < least)
        j.n_split = least;
    n_items *= j.n_split;
    if (work <= SMALL_WORK) {
        for (size_t i = 0; i < n_items; i++)
            attn_item(&j, i, 0);
    } else {
        pool_run(p->pool, attn_item, &j, n_items);
    }
}
