/* SPDX-License-Identifier: MIT
 * From a GGUF file to packed weights: declare and check everything, then pack all matrices. */
#include "engine/weights.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/half.h"
#include "base/qtype.h"
#include "kernels/noise.h"

enum { SLICE_BYTES = 8 << 20 };    /* of the file, packed between two drops of its pages */

struct weights_job {
    struct kern_matrix *w;
    const struct gguf_tensor *t;
    const uint8_t *rows;           /* first row, inside t */
    size_t row_bytes;
};

void weights_release(struct weights *w)
{
    free(w->jobs);
    free(w->used);
    *w = (struct weights){0};
}

/* ---- keys ------------------------------------------------------------------------------- */

struct key { char s[160]; };

static const char *full_key(const struct weights *w, const char *name, struct key *k)
{
    snprintf(k->s, sizeof k->s, "%s.%s", w->arch, name);
    return k->s;
}

int weights_u32(struct weights *w, const char *name, bool required, uint32_t low, uint32_t high,
                uint32_t *out, struct idem_err *err)
{
    struct key k;
    full_key(w, name, &k);
    if (gguf_get_u32(w->g, k.s, required, out, err) != 0)
        return -1;
    if (gguf_find(w->g, k.s) && (*out < low || *out > high))
        return gguf_err_key(w->g, k.s, err, "%u is outside the range %u to %u", *out, low, high);
    return 0;
}

int weights_f32(struct weights *w, const char *name, bool required, float low, float high,
                float *out, struct idem_err *err)
{
    struct key k;
    full_key(w, name, &k);
    if (gguf_get_f32(w->g, k.s, required, out, err) != 0)
        return -1;
    if (gguf_find(w->g, k.s) && !(*out >= low && *out <= high))
        return gguf_err_key(w->g, k.s, err, "%.9g is outside the range %.9g to %.9g",
                            (double)*out, (double)low, (double)high);
    return 0;
}

int weights_err_key(struct weights *w, const char *name, struct idem_err *err, const char *msg)
{
    struct key k;
    return gguf_err_key(w->g, full_key(w, name, &k), err, "%s", msg);
}

int weights_rope_scaling(struct weights *w, bool allow_long, double *scale, struct idem_err *err)
{
    struct key k;
    struct gguf_str type = {0};
    float factor = 0.0f;
    *scale = 1.0;
    full_key(w, "rope.scaling.type", &k);
    if (gguf_get_str(w->g, k.s, false, &type, err) != 0)
        return -1;
    if (type.data && type.len == 4 && memcmp(type.data, "none", 4) == 0)
        return 0;
    if (allow_long && type.data && type.len == 8 && memcmp(type.data, "longrope", 8) == 0)
        return 0;
    if (type.data && !(type.len == 6 && memcmp(type.data, "linear", 6) == 0)) {
        gguf_err_key(w->g, k.s, err, "rope scaling '%.*s' is not supported, only 'none' and "
                     "'linear'", (int)(type.len < 64 ? type.len : 64), type.data);
        if (err)
            err->code = IDEM_ERR_UNSUPPORTED;
        return -1;
    }
    if (weights_f32(w, "rope.scale_linear", false, 0.0f, 1e6f, &factor, err) != 0 ||
        weights_f32(w, "rope.scaling.factor", false, 0.0f, 1e6f, &factor, err) != 0)
        return -1;
    if (factor != 0.0f)
        *scale = 1.0 / (double)factor;
    return 0;
}

/* ---- tensors ---------------------------------------------------------------------------- */

static int mark_used(struct weights *w, const struct gguf_tensor *t, struct idem_err *err)
{
    for (size_t i = w->n_used; i-- > 0 && i + 8 >= w->n_used;)
        if (w->used[i] == t)
            return 0;                  /* slices of one tensor follow each other */
    if (w->n_used == w->cap_used) {
        size_t cap = w->cap_used ? 2 * w->cap_used : 256;
        const struct gguf_tensor **p = realloc(w->used, cap * sizeof *w->used);
        if (!p)
            return err_memory(err, "the list of tensors", cap * sizeof *w->used);
        w->used = p;
        w->cap_used = cap;
    }
    w->used[w->n_used++] = t;
    return 0;
}

static int add_job(struct weights *w, struct kern_matrix *out, const struct gguf_tensor *t,
                   size_t row0, struct idem_err *err)
{
    if (w->n_jobs == w->cap_jobs) {
        size_t cap = w->cap_jobs ? 2 * w->cap_jobs : 256;
        struct weights_job *p = realloc(w->jobs, cap * sizeof *w->jobs);
        if (!p)
            return err_memory(err, "the list of matrices", cap * sizeof *w->jobs);
        w->jobs = p;
        w->cap_jobs = cap;
    }
    const struct qtype_info *q = qtype_info((uint32_t)t->type);
    size_t row_bytes = (size_t)t->ne[0] / q->block_elems * q->block_bytes;
    w->jobs[w->n_jobs++] = (struct weights_job){
        .w = out, .t = t, .rows = t->data + row0 * row_bytes, .row_bytes = row_bytes };
    return 0;
}

static const char *supported_types(char *out, size_t cap)
{
    size_t len = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < 64 && len < cap; i++)
        if (qtype_info(i) && kern_type_supported((enum qtype)i))
            len += (size_t)snprintf(out + len, cap - len, "%s%s", len ? " " : "",
                                    qtype_info(i)->name);
    return out;
}

static int unsupported_type(const struct weights *w, const struct gguf_tensor *t,
                            struct idem_err *err)
{
    enum { NAMED = 3 };
    char types[256], names[NAMED * 96];
    size_t n = 0, len = 0;
    names[0] = 0;
    for (size_t i = 0; i < gguf_n_tensors(w->g); i++) {
        const struct gguf_tensor *o = gguf_tensor_at(w->g, i);
        if (o->type == t->type && n++ < NAMED && len < sizeof names)
            len += (size_t)snprintf(names + len, sizeof names - len, "%s'%.*s'", n > 1 ? ", " : "",
                                    (int)o->name.len, o->name.data);
    }
    gguf_err_tensor(w->g, t, err, "weights of type %s are not supported, and %zu tensor%s it: %s%s; "
                    "take the model in another quantisation (these are supported: %s)",
                    qtype_info((uint32_t)t->type)->name, n, n == 1 ? " has" : "s have", names,
                    n > NAMED ? " and others" : "", supported_types(types, sizeof types));
    if (err)
        err->code = IDEM_ERR_UNSUPPORTED;
    return -1;
}

/* t must have n_cols x n_rows_all elements; rows [row0, row0 + n_rows) become *out. */
static int declare_rows(struct weights *w, struct kern_matrix *out, const struct gguf_tensor *t,
                        size_t n_rows_all, size_t row0, size_t n_rows, size_t n_cols,
                        struct idem_err *err)
{
    if (t->n_dims != 2 || t->ne[0] != n_cols || t->ne[1] != n_rows_all)
        return gguf_err_tensor(w->g, t, err,
                               "has %u dimensions, %llu x %llu, where %zu x %zu is expected from "
                               "the file's hyperparameters", t->n_dims,
                               (unsigned long long)t->ne[0], (unsigned long long)t->ne[1],
                               n_cols, n_rows_all);
    if (!kern_type_supported(t->type))
        return unsupported_type(w, t, err);
    if (kern_matrix_init(out, t->type, n_rows, n_cols) == 0)
        return gguf_err_tensor(w->g, t, err, "%zu columns are not a multiple of the %u elements "
                               "of a block of type %s", n_cols,
                               qtype_info((uint32_t)t->type)->block_elems,
                               qtype_info((uint32_t)t->type)->name);
    out->stream = kern_stream(t->name.data, t->name.len);
    if (mark_used(w, t, err) != 0)
        return -1;
    return add_job(w, out, t, row0, err);
}

struct name { char s[80]; };   /* GGUF names are shorter than 64 bytes */

static const struct gguf_tensor *find(const struct weights *w, struct name *name, const char *fmt,
                                      va_list ap)
{
    vsnprintf(name->s, sizeof name->s, fmt, ap);
    return gguf_find_tensor(w->g, name->s);
}

static int missing(const struct weights *w, const char *name, struct idem_err *err)
{
    return err_set(err, IDEM_ERR_FORMAT, "%s: tensor '%s' is missing (the table of tensors has "
                   "%zu others); a model of architecture %s needs it", gguf_path(w->g), name,
                   gguf_n_tensors(w->g), w->arch);
}

static int declare(struct weights *w, struct kern_matrix *out, size_t n_rows_all, size_t row0,
                   size_t n_rows, size_t n_cols, struct idem_err *err, const char *fmt, va_list ap)
{
    struct name name;
    const struct gguf_tensor *t = find(w, &name, fmt, ap);
    if (!t)
        return missing(w, name.s, err);
    return declare_rows(w, out, t, n_rows_all, row0, n_rows, n_cols, err);
}

int weights_matrix(struct weights *w, struct kern_matrix *out, size_t n_rows, size_t n_cols,
                   struct idem_err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = declare(w, out, n_rows, 0, n_rows, n_cols, err, fmt, ap);
    va_end(ap);
    return rc;
}

int weights_rows(struct weights *w, struct kern_matrix *out, size_t n_rows_all, size_t row0,
                 size_t n_rows, size_t n_cols, struct idem_err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = declare(w, out, n_rows_all, row0, n_rows, n_cols, err, fmt, ap);
    va_end(ap);
    return rc;
}

static uint16_t read_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static float read_float(enum qtype type, const uint8_t *p, size_t i)
{
    if (type == QTYPE_F16)
        return half_f16_to_f32(read_u16(p + 2 * i));
    if (type == QTYPE_BF16)
        return half_bf16_to_f32(read_u16(p + 2 * i));
    p += 4 * i;
    return half_bits_f32((uint32_t)read_u16(p) | (uint32_t)read_u16(p + 2) << 16);
}

int weights_vector(struct weights *w, float **out, size_t n, bool required, struct idem_err *err,
                   const char *fmt, ...)
{
    struct name name;
    va_list ap;
    va_start(ap, fmt);
    const struct gguf_tensor *t = find(w, &name, fmt, ap);
    va_end(ap);
    *out = NULL;
    if (!t)
        return required ? missing(w, name.s, err) : 0;
    if (t->n_dims != 1 || t->ne[0] != n)
        return gguf_err_tensor(w->g, t, err, "has %u dimensions and %llu x %llu elements where "
                               "1 dimension of %zu is expected from the file's hyperparameters",
                               t->n_dims, (unsigned long long)t->ne[0],
                               (unsigned long long)t->ne[1], n);
    if (t->type != QTYPE_F32 && t->type != QTYPE_F16 && t->type != QTYPE_BF16)
        return gguf_err_tensor(w->g, t, err, "type %s is not F32, F16 or BF16, as vectors are",
                               qtype_info((uint32_t)t->type)->name);
    if (mark_used(w, t, err) != 0)
        return -1;
    *out = arena_array(w->arena, n, sizeof(float));
    if (!*out)
        return err_memory(err, name.s, n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        (*out)[i] = read_float(t->type, t->data, i);
    return 0;
}

bool weights_has(const struct weights *w, const char *fmt, ...)
{
    struct name name;
    va_list ap;
    va_start(ap, fmt);
    const struct gguf_tensor *t = find(w, &name, fmt, ap);
    va_end(ap);
    return t != NULL;
}

/* ---- parts of a layer --------------------------------------------------------------------- */

/* blk.N.attn_qkv: rows of Q, then K, then V. */
static int fused_qkv(struct weights *w, struct layer *l, size_t n_q, size_t n_k, size_t n_v,
                     size_t n_embd, uint32_t il, struct idem_err *err)
{
    static const char name[] = "blk.%u.attn_qkv.weight";
    size_t n_all = n_q + n_k + n_v;
    if (weights_rows(w, &l->wq, n_all, 0, n_q, n_embd, err, name, il) != 0 ||
        weights_rows(w, &l->wk, n_all, n_q, n_k, n_embd, err, name, il) != 0 ||
        weights_rows(w, &l->wv, n_all, n_q + n_k, n_v, n_embd, err, name, il) != 0)
        return -1;
    float *b;
    if (weights_vector(w, &b, n_all, false, err, "blk.%u.attn_qkv.bias", il) != 0)
        return -1;
    if (b) {
        l->bq = b;
        l->bk = b + n_q;
        l->bv = b + n_q + n_k;
    }
    return 0;
}

int weights_norm(struct weights *w, struct idem_model *m, float **weight, float **bias,
                 const char *name, uint32_t il, struct idem_err *err)
{
    size_t n = m->hp.n_embd;
    if (weights_vector(w, weight, n, true, err, "blk.%u.%s.weight", il, name) != 0)
        return -1;
    *bias = NULL;
    return m->arch->layer_norm ? weights_vector(w, bias, n, true, err, "blk.%u.%s.bias", il, name) : 0;
}

int weights_head_norms(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err)
{
    struct layer *l = &m->layers[il];
    size_t n = m->hp.head_dim;
    if (weights_vector(w, &l->q_norm, n, true, err, "blk.%u.attn_q_norm.weight", il) != 0)
        return -1;
    return weights_vector(w, &l->k_norm, n, true, err, "blk.%u.attn_k_norm.weight", il);
}

int weights_attention(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err)
{
    struct layer *l = &m->layers[il];
    size_t n_embd = m->hp.n_embd;
    size_t n_q = (size_t)m->hp.n_head * m->hp.head_dim;
    size_t n_k = (size_t)m->hp.n_head_kv * m->hp.head_dim;
    size_t n_v = (size_t)m->hp.n_head_kv * m->hp.v_dim;
    if (weights_norm(w, m, &l->attn_norm, &l->attn_norm_b, "attn_norm", il, err) != 0)
        return -1;
    if (weights_has(w, "blk.%u.attn_qkv.weight", il)) {
        if (fused_qkv(w, l, n_q, n_k, n_v, n_embd, il, err) != 0)
            return -1;
    } else if (weights_matrix(w, &l->wq, n_q, n_embd, err, "blk.%u.attn_q.weight", il) != 0 ||
               weights_matrix(w, &l->wk, n_k, n_embd, err, "blk.%u.attn_k.weight", il) != 0 ||
               weights_matrix(w, &l->wv, n_v, n_embd, err, "blk.%u.attn_v.weight", il) != 0 ||
               weights_vector(w, &l->bq, n_q, false, err, "blk.%u.attn_q.bias", il) != 0 ||
               weights_vector(w, &l->bk, n_k, false, err, "blk.%u.attn_k.bias", il) != 0 ||
               weights_vector(w, &l->bv, n_v, false, err, "blk.%u.attn_v.bias", il) != 0) {
        return -1;
    }
    if (weights_matrix(w, &l->wo, n_embd, (size_t)m->hp.n_head * m->hp.v_dim, err,
                       "blk.%u.attn_output.weight", il) != 0)
        return -1;
    return weights_vector(w, &l->bo, n_embd, false, err, "blk.%u.attn_output.bias", il);
}

int weights_ffn(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err)
{
    struct layer *l = &m->layers[il];
    size_t n_embd = m->hp.n_embd, n_ff = m->hp.n_ff;
    if (weights_norm(w, m, &l->ffn_norm, &l->ffn_norm_b, "ffn_norm", il, err) != 0 ||
        weights_matrix(w, &l->gate, n_ff, n_embd, err, "blk.%u.ffn_gate.weight", il) != 0 ||
        weights_vector(w, &l->b_gate, n_ff, false, err, "blk.%u.ffn_gate.bias", il) != 0)
        return -1;
    return weights_mlp(w, m, il, err);
}

int weights_mlp(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err)
{
    struct layer *l = &m->layers[il];
    size_t n_embd = m->hp.n_embd, n_ff = m->hp.n_ff;
    if (weights_matrix(w, &l->up, n_ff, n_embd, err, "blk.%u.ffn_up.weight", il) != 0 ||
        weights_vector(w, &l->b_up, n_ff, false, err, "blk.%u.ffn_up.bias", il) != 0 ||
        weights_matrix(w, &l->down, n_embd, n_ff, err, "blk.%u.ffn_down.weight", il) != 0)
        return -1;
    return weights_vector(w, &l->b_down, n_embd, false, err, "blk.%u.ffn_down.bias", il);
}

int weights_check_all_used(struct weights *w, struct idem_err *err)
{
    if (w->n_used == gguf_n_tensors(w->g))
        return 0;
    for (size_t i = 0; i < gguf_n_tensors(w->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(w->g, i);
        size_t j = 0;
        while (j < w->n_used && w->used[j] != t)
            j++;
        if (j < w->n_used)
            continue;
        gguf_err_tensor(w->g, t, err, "idem's architecture %s has no such tensor, and leaving it "
                        "out would change the results", w->arch);
        if (err)
            err->code = IDEM_ERR_UNSUPPORTED;
        return -1;
    }
    return 0;
}

/* ---- packing -------------------------------------------------------------------------------- */

struct slice {
    const struct weights_job *job;
    size_t group0, group1, per_item;
};

static void pack_item(void *arg, size_t item, unsigned thread)
{
    (void)thread;
    const struct slice *s = arg;
    size_t g0 = s->group0 + item * s->per_item, g1 = g0 + s->per_item;
    kern_pack(s->job->w, s->job->rows, g0, g1 < s->group1 ? g1 : s->group1);
}

static void pack_job(const struct weights *w, const struct weights_job *job, struct pool *pool)
{
    size_t n_groups = kern_n_groups(job->w), group_bytes = KERN_ROWS * job->row_bytes;
    size_t per_slice = SLICE_BYTES / group_bytes, n_threads = pool_n_threads(pool);
    if (per_slice == 0)
        per_slice = 1;
    for (size_t g = 0; g < n_groups; g += per_slice) {
        struct slice s = {.job = job, .group0 = g,
                          .group1 = g + per_slice < n_groups ? g + per_slice : n_groups};
        size_t n = s.group1 - s.group0;
        s.per_item = (n + 4 * n_threads - 1) / (4 * n_threads);
        pool_run(pool, pack_item, &s, (n + s.per_item - 1) / s.per_item);
        gguf_drop(w->g, job->t);
    }
}

void weights_count(const struct weights *w, struct idem_model *m)
{
    struct idem_model_info *i = &m->info;
    for (size_t k = 0; k < w->n_jobs; k++) {
        const struct weights_job *job = &w->jobs[k];
        uint64_t ops = 2 * (uint64_t)job->w->n_rows * job->w->n_cols;
        if (job->w == &m->pos_embd || (job->w == &m->embd && m->output != &m->embd)) {
            i->bytes_per_token += job->row_bytes;       /* one row is looked up */
            continue;
        }
        i->bytes_per_token += (uint64_t)job->w->n_rows * job->row_bytes;
        *(job->w == m->output ? &i->ops_per_logits : &i->ops_per_token) += ops;
    }
}

size_t weights_packed_bytes(const struct weights *w)
{
    size_t total = 0;
    for (size_t i = 0; i < w->n_jobs; i++) {
        const struct kern_matrix *m = w->jobs[i].w;
        total += (kern_n_groups(m) * m->group_bytes + 63) & ~(size_t)63;
    }
    return total;
}

int weights_pack(struct weights *w, struct pool *pool, uint8_t **packed, size_t *n_bytes,
                 struct idem_err *err)
{
    size_t total = weights_packed_bytes(w);
    if (total == 0)
        return err_set(err, IDEM_ERR_FORMAT, "%s: has no matrices", gguf_path(w->g));
    void *p = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return err_memory(err, "the weights", total);
#ifdef MADV_HUGEPAGE
    (void)madvise(p, total, MADV_HUGEPAGE);   /* only speed: fewer page faults and TLB misses */
#endif
    uint8_t *at = p;
    for (size_t i = 0; i < w->n_jobs; i++) {
        struct kern_matrix *m = w->jobs[i].w;
        m->data = at;
        at += (kern_n_groups(m) * m->group_bytes + 63) & ~(size_t)63;
        pack_job(w, &w->jobs[i], pool);
    }
    (void)mprotect(p, total, PROT_READ);      /* immutable from here on */
    *packed = p;
    *n_bytes = total;
    return 0;
}
