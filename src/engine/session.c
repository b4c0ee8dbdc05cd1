/* SPDX-License-Identifier: MIT
 * The mutable session: sequences, their KV cache, and the forward passes that extend them. */
#include <stdlib.h>
#include <string.h>

#include "engine/kv.h"
#include "engine/model.h"
#include "engine/noise.h"
#include "engine/ops.h"
#include "engine/pool.h"
#include "idem.h"
#include "kernels/kernels.h"

enum {
    DEFAULT_CHUNK = 512,
    OUTPUT_ROWS = 16,     /* positions whose logits are in memory at once */
    MAX_SEQS = 1 << 20
};

struct seq {
    struct kv_seq kv;
    struct arith_noise noise;
    bool used;
    bool dying;           /* freed inside a callback of idem_decode */
    size_t in_call;       /* 1 + item of the running call, or 0 */
};

/* A row of the running pass whose logits are wanted. */
struct wanted { size_t row, item, pos; };

struct idem_session {
    const struct idem_model *m;
    struct pool *pool;
    struct kv kv;
    size_t n_chunk;
    struct seq *seqs;
    size_t n_seqs;        /* slots, some of them unused */
    bool busy;            /* inside idem_decode */

    struct pass pass;
    struct pass_noise *noise;   /* NULL until a sequence with noise is decoded */
    size_t cap_rows;      /* rows that the buffers of pass hold */
    uint8_t *buffers;     /* one allocation for them */
    const struct arith_noise **noise_of;   /* [cap_rows] */
    struct wanted *wanted;/* [cap_rows] */
    float *logits;        /* [cap_logits][n_vocab] */
    size_t cap_logits;
};

/* ---- buffers ------------------------------------------------------------------------------ */

/* Takes n elements out of a block whose size is being counted (base NULL) or used. */
static void *carve(uint8_t *base, size_t *at, size_t n, size_t size)
{
    void *p = base ? base + *at : NULL;
    *at += (n * size + 63) & ~(size_t)63;
    return p;
}

static size_t lay_out(struct idem_session *s, struct pass *p, uint8_t *base, size_t rows)
{
    const struct hparams *hp = &s->m->hp;
    size_t at = 0, f = sizeof(float), n_head = hp->n_head, n_head_kv = hp->n_head_kv;
    p->tokens = carve(base, &at, rows, sizeof *p->tokens);
    p->pos = carve(base, &at, rows, sizeof *p->pos);
    p->seq = carve(base, &at, rows, sizeof(const struct kv_seq *));
    p->spans = carve(base, &at, rows, sizeof *p->spans);
    p->tiles = carve(base, &at, rows, sizeof *p->tiles);
    s->wanted = carve(base, &at, rows, sizeof *s->wanted);
    s->noise_of = carve(base, &at, rows, sizeof(const struct arith_noise *));
    p->x = carve(base, &at, rows * hp->n_embd, f);
    p->h = carve(base, &at, rows * hp->n_embd, f);
    p->q = carve(base, &at, rows * n_head * hp->head_dim, f);
    p->a = carve(base, &at, rows * n_head * hp->v_dim, f);
    p->key = carve(base, &at, rows * n_head_kv * hp->head_dim, f);
    p->val = carve(base, &at, rows * n_head_kv * hp->v_dim, f);
    p->gate = carve(base, &at, rows * hp->n_ff, f);
    p->up = carve(base, &at, rows * hp->n_ff, f);
    if (hp->kv_lora > 0) {
        p->q_a = carve(base, &at, rows * hp->q_lora, f);
        p->kv_a = carve(base, &at, rows * hp->kv_lora, f);
        p->k_rope = carve(base, &at, rows * hp->n_rot, f);
        p->kv_b = carve(base, &at, rows * n_head * (hp->rot_first + hp->v_dim), f);
    }
    for (size_t r = 0; r < MODEL_N_ROPES; r++) {
        size_t n = s->m->rope[r].freq ? rows * (hp->n_rot / 2) : 0;
        p->cos[r] = carve(base, &at, n, f);
        p->sin[r] = carve(base, &at, n, f);
    }
    p->xq = carve(base, &at, s->m->f32 ? 0 : rows * (model_max_cols(s->m) / KERN_BLOCK + 1),
                  sizeof *p->xq);
    return at;
}

static int grow_rows(struct idem_session *s, size_t rows, struct idem_err *err)
{
    if (rows <= s->cap_rows)
        return 0;
    size_t cap = rows > 2 * s->cap_rows ? rows : 2 * s->cap_rows;
    if (cap > s->n_chunk)
        cap = s->n_chunk;
    struct pass p = s->pass;
    size_t n_bytes = lay_out(s, &p, NULL, cap);
    uint8_t *buffers = aligned_alloc(64, n_bytes);
    if (!buffers)
        return err_memory(err, "the activations of a forward pass; a smaller chunk needs less",
                          n_bytes);
    free(s->buffers);
    s->buffers = buffers;
    lay_out(s, &s->pass, buffers, cap);
    s->cap_rows = cap;
    return 0;
}

static int grow_logits(struct idem_session *s, size_t rows, struct idem_err *err)
{
    if (rows > OUTPUT_ROWS)
        rows = OUTPUT_ROWS;
    if (rows <= s->cap_logits)
        return 0;
    size_t n_bytes = (rows * s->m->hp.n_vocab * sizeof(float) + 63) & ~(size_t)63;
    float *p = aligned_alloc(64, n_bytes);
    if (!p)
        return err_memory(err, "logits", n_bytes);
    free(s->logits);
    s->logits = p;
    s->cap_logits = rows;
    return 0;
}

/* ---- lifetime -------------------------------------------------------------------------------- */

/* Half of the memory, and always room for one sequence of a context that was asked for. */
static uint64_t default_kv_bytes(const struct idem_model *m)
{
    struct idem_memory need;
    idem_model_memory(m, 0, &need);
    return m->asked_ctx && need.kv > need.limit / 2 ? need.kv : need.limit / 2;
}

struct idem_session *idem_session_open(const struct idem_model *m,
                                       const struct idem_session_options *o,
                                       struct idem_err *err)
{
    static const struct idem_session_options defaults = {0};
    if (!o)
        o = &defaults;
    if (!m->packed) {
        err_set(err, IDEM_ERR_USAGE, "%s was opened without its weights; open it with them to "
                "compute", m->info.path);
        return NULL;
    }
    struct idem_session *s = calloc(1, sizeof *s);
    if (!s) {
        err_memory(err, "a session", sizeof *s);
        return NULL;
    }
    s->m = m;
    s->n_chunk = o->n_chunk ? o->n_chunk : DEFAULT_CHUNK;
    const struct kern_attn_shape shape = model_attn_shape(m);
    kv_init(&s->kv, m->hp.n_layer, m->hp.n_head_kv, &shape,
            o->max_kv_bytes ? o->max_kv_bytes : default_kv_bytes(m));
    s->pool = pool_open(o->n_threads, err);
    if (!s->pool)
        goto fail;
    s->pass = (struct pass){.m = m, .k = m->k, .pool = s->pool, .kv = &s->kv,
                            .scratch_bytes = ops_scratch_bytes(m)};
    size_t n_scratch = s->pass.scratch_bytes * pool_n_threads(s->pool);
    s->pass.scratch = aligned_alloc(64, n_scratch);
    if (!s->pass.scratch) {
        err_memory(err, "scratch memory of the threads", n_scratch);
        goto fail;
    }
    return s;
fail:
    idem_session_close(s);
    return NULL;
}

void idem_session_close(struct idem_session *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_seqs; i++)
        kv_seq_release(&s->kv, &s->seqs[i].kv);
    kv_release(&s->kv);
    pool_close(s->pool);
    noise_close(s->noise);
    free(s->pass.scratch);
    free(s->buffers);
    free(s->logits);
    free(s->seqs);
    free(s);
}

/* ---- sequences ---------------------------------------------------------------------------------- */

static struct seq *seq_at(const struct idem_session *s, int seq)
{
    if (seq < 0 || (size_t)seq >= s->n_seqs || !s->seqs[seq].used || s->seqs[seq].dying)
        return NULL;
    return &s->seqs[seq];
}

static int no_seq(int seq, struct idem_err *err)
{
    return err_set(err, IDEM_ERR_USAGE, "there is no sequence %d in this session", seq);
}

int idem_seq_new(struct idem_session *s, struct idem_err *err)
{
    if (s->busy)
        return err_set(err, IDEM_ERR_USAGE, "a callback of idem_decode cannot make sequences; "
                       "do it after the call");
    size_t i = 0;
    while (i < s->n_seqs && s->seqs[i].used)
        i++;
    if (i == s->n_seqs) {
        if (i >= MAX_SEQS)
            return err_set(err, IDEM_ERR_LIMIT, "%d sequences are all that a session can hold; "
                           "free some", MAX_SEQS);
        size_t cap = s->n_seqs ? 2 * s->n_seqs : 8;
        struct seq *p = realloc(s->seqs, cap * sizeof *p);
        if (!p)
            return err_memory(err, "sequences", cap * sizeof *p);
        memset(p + s->n_seqs, 0, (cap - s->n_seqs) * sizeof *p);
        s->seqs = p;
        s->n_seqs = cap;
    }
    s->seqs[i] = (struct seq){.used = true};
    return (int)i;
}

int idem_seq_new_noisy(struct idem_session *s, const char *noise, uint64_t seed, struct idem_err *err)
{
    struct arith_noise z;
    if (arith_noise_parse(noise ? noise : "none", &z, err) != 0)
        return -1;
    int i = idem_seq_new(s, err);
    if (i >= 0) {
        s->seqs[i].noise = z;
        s->seqs[i].noise.seed = seed;
    }
    return i;
}

int idem_seq_fork(struct idem_session *s, int seq, size_t n_tokens, struct idem_err *err)
{
    const struct seq *from = seq_at(s, seq);
    if (!from)
        return no_seq(seq, err);
    if (n_tokens > from->kv.len)
        return err_set(err, IDEM_ERR_USAGE, "cannot fork sequence %d at token %zu: it holds %zu",
                       seq, n_tokens, from->kv.len);
    int made = idem_seq_new(s, err);
    if (made < 0)
        return -1;
    s->seqs[made].noise = s->seqs[seq].noise;
    if (kv_fork(&s->kv, &s->seqs[made].kv, &s->seqs[seq].kv, n_tokens, err) != 0) {
        idem_seq_free(s, made);
        return -1;
    }
    return made;
}

void idem_seq_free(struct idem_session *s, int seq)
{
    struct seq *q = seq_at(s, seq);
    if (!q)
        return;
    if (s->busy) {
        q->dying = true;        /* the running call still needs it */
        return;
    }
    kv_seq_release(&s->kv, &q->kv);
    *q = (struct seq){0};
}

size_t idem_seq_len(const struct idem_session *s, int seq)
{
    const struct seq *q = seq_at(s, seq);
    return q ? q->kv.len : 0;
}

uint64_t idem_session_kv_bytes(const struct idem_session *s)
{
    return s->kv.n_live * s->kv.block_bytes;
}

/* ---- decoding --------------------------------------------------------------------------------------- */

static int check_tokens(const struct idem_session *s, size_t item, const struct idem_item *it,
                        struct idem_err *err)
{
    for (size_t i = 0; i < it->n_tokens; i++)
        if (it->tokens[i] < 0 || (uint32_t)it->tokens[i] >= s->m->hp.n_vocab)
            return err_set(err, IDEM_ERR_USAGE, "token %zu of item %zu has the id %d, outside the "
                           "vocabulary of 0 to %u", i, item, it->tokens[i],
                           s->m->hp.n_vocab - 1);
    return 0;
}

static int check_items(struct idem_session *s, const struct idem_item *items, size_t n_items,
                       struct idem_err *err)
{
    for (size_t i = 0; i < n_items; i++) {
        const struct idem_item *it = &items[i];
        struct seq *q = seq_at(s, it->seq);
        if (!q)
            return no_seq(it->seq, err);
        if (q->in_call)
            return err_set(err, IDEM_ERR_USAGE, "items %zu and %zu are both of sequence %d; each "
                           "may come once in a call", q->in_call - 1, i, it->seq);
        q->in_call = i + 1;
        if ((unsigned)it->want > IDEM_LOGITS_ALL)
            return err_set(err, IDEM_ERR_USAGE, "item %zu wants logits of kind %d, which is none "
                           "of none, last and all", i, (int)it->want);
        if (it->n_tokens > s->m->info.n_ctx || q->kv.len > s->m->info.n_ctx - it->n_tokens)
            return err_set(err, IDEM_ERR_LIMIT, "the context is full: %zu tokens and %zu more "
                           "exceed the %u of this model's context (trained for %u); use a shorter "
                           "prompt, fewer new tokens or a larger context", q->kv.len, it->n_tokens,
                           s->m->info.n_ctx, s->m->info.n_ctx_train);
        if (check_tokens(s, i, it, err) != 0)
            return -1;
    }
    return 0;
}

/* The next pass: at most n_chunk tokens of items from *item, *done on, in order. */
static size_t gather(struct idem_session *s, const struct idem_item *items, size_t n_items,
                     size_t *item, size_t *done)
{
    struct pass *p = &s->pass;
    size_t n_wanted = 0;
    bool noisy = false;
    p->n = p->n_spans = 0;
    while (*item < n_items && p->n < s->cap_rows) {
        const struct idem_item *it = &items[*item];
        struct kv_seq *kv = &s->seqs[it->seq].kv;
        const struct arith_noise *noise = &s->seqs[it->seq].noise;
        size_t n = it->n_tokens - *done, room = s->cap_rows - p->n;
        if (n > room)
            n = room;
        if (n > 0)
            p->spans[p->n_spans++] = (struct pass_span){kv, p->n, n, kv->len};
        noise = arith_noise_is_none(noise) ? NULL : noise;
        noisy |= noise && n > 0;
        for (size_t i = 0; i < n; i++) {
            size_t row = p->n + i, at = *done + i;
            p->tokens[row] = it->tokens[at];
            p->pos[row] = (uint32_t)(kv->len + i);
            p->seq[row] = kv;
            s->noise_of[row] = noise;
            if (it->want == IDEM_LOGITS_ALL ||
                (it->want == IDEM_LOGITS_LAST && at + 1 == it->n_tokens))
                s->wanted[n_wanted++] = (struct wanted){row, *item, kv->len + i};
        }
        p->n += n;
        *done += n;
        if (*done == it->n_tokens) {
            *done = 0;
            ++*item;
        }
    }
    p->noise = noisy ? s->noise : NULL;
    if (noisy) {
        p->noise->of = s->noise_of;
        p->noise->n_norms = 0;
    }
    return n_wanted;
}

/* The output matrix, and the norm before it, for n rows with logits wanted. */
static void output_rows(struct idem_session *s, const struct wanted *w, size_t n)
{
    struct pass *p = &s->pass;
    const struct idem_model *m = s->m;
    const struct ops_linear out = {m->output, m->output_bias, s->logits};
    size_t n_embd = m->hp.n_embd, rows[OUTPUT_ROWS];
    for (size_t i = 0; i < n; i++) {
        float *h = p->h + i * n_embd;
        const float *x = p->x + w[i].row * n_embd;
        rows[i] = w[i].row;
        if (p->noise)
            noise_output_norm(p, w[i].row, h, x);
        else
            ops_output_norm(m, h, x);
    }
    if (p->noise)
        noise_linear(p, rows, n, p->h, &out, 1);
    else
        ops_linear_rows(p, n, p->h, &out, 1);
}

static int output(struct idem_session *s, size_t n_wanted, idem_logits_fn fn, void *ctx,
                  struct idem_err *err)
{
    struct pass *p = &s->pass;
    const struct idem_model *m = s->m;
    size_t n_vocab = m->hp.n_vocab;
    char hint[160];
    for (size_t w0 = 0; w0 < n_wanted; w0 += OUTPUT_ROWS) {
        size_t n = n_wanted - w0 < OUTPUT_ROWS ? n_wanted - w0 : OUTPUT_ROWS;
        const struct wanted *w = s->wanted + w0;
        output_rows(s, w, n);
        for (size_t i = 0; i < n; i++) {
            float *logits = s->logits + i * n_vocab;
            if (!m->k->all_finite(logits, n_vocab))
                return err_set(err, IDEM_ERR_NUMERIC, "%s: the output layer gives NaN or infinity "
                               "after position %zu; the model's weights are damaged%s",
                               m->info.path, w[i].pos, noise_hint(p, w[i].row, hint));
            if (m->hp.final_softcap != 0.0f)
                m->k->softcap(logits, logits, m->hp.final_softcap, n_vocab);
            if (fn && fn(ctx, w[i].item, w[i].pos, logits) != 0)
                return err_set(err, IDEM_ERR_INTERRUPTED, "stopped by the caller after position "
                               "%zu of item %zu", w[i].pos, w[i].item);
        }
    }
    return 0;
}

static int run_passes(struct idem_session *s, const struct idem_item *items, size_t n_items,
                      idem_logits_fn fn, void *ctx, struct idem_err *err)
{
    struct pass *p = &s->pass;
    size_t item = 0, done = 0;
    for (;;) {
        size_t n_wanted = gather(s, items, n_items, &item, &done);
        if (p->n == 0)
            return 0;
        if (grow_logits(s, n_wanted, err) != 0)
            return -1;
        ops_prepare(p);
        if (s->m->arch->forward(p, err) != 0)
            return -1;
        for (size_t i = 0; i < p->n_spans; i++)
            p->spans[i].seq->len += p->spans[i].n_rows;
        if (output(s, n_wanted, fn, ctx, err) != 0)
            return -1;
    }
}

/* Blocks for all tokens of the call, so that it fails for want of room before anything is
 * computed; a sequence is then exactly as it was. */
static int reserve(struct idem_session *s, const struct idem_item *items, size_t n_items,
                   struct idem_err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < n_items; i++) {
        if (kv_reserve(&s->kv, &s->seqs[items[i].seq].kv, items[i].n_tokens, err) != 0)
            return -1;
        total += items[i].n_tokens;
        bool noisy = !arith_noise_is_none(&s->seqs[items[i].seq].noise);
        if (noisy && !s->noise && !(s->noise = noise_open(s->m, pool_n_threads(s->pool), err)))
            return -1;
    }
    return grow_rows(s, total < s->n_chunk ? total : s->n_chunk, err);
}

int idem_decode(struct idem_session *s, const struct idem_item *items, size_t n_items,
                idem_logits_fn fn, void *ctx, struct idem_err *err)
{
    if (s->busy)
        return err_set(err, IDEM_ERR_USAGE, "idem_decode was called from its own callback");
    kern_thread_init();
    s->busy = true;
    int rc = check_items(s, items, n_items, err);
    if (rc == 0)
        rc = reserve(s, items, n_items, err);
    if (rc == 0)
        rc = run_passes(s, items, n_items, fn, ctx, err);
    for (size_t i = 0; i < n_items; i++) {
        int seq = items[i].seq;
        if (seq < 0 || (size_t)seq >= s->n_seqs || !s->seqs[seq].used)
            continue;
        s->seqs[seq].in_call = 0;
        if (rc != 0)
            kv_trim(&s->kv, &s->seqs[seq].kv);
    }
    s->busy = false;
    for (size_t i = 0; i < s->n_seqs; i++)
        if (s->seqs[i].dying) {
            s->seqs[i].dying = false;
            idem_seq_free(s, (int)i);
        }
    return rc;
}
