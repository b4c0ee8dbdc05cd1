/* SPDX-License-Identifier: MIT
 * A backend without a model: logits are a hash of the token prefix, in closed form. It checks
 * how it is used (lengths, live nodes, one item per node) and can be made to misbehave. */
#ifndef TEST_RUN_FAKE_H
#define TEST_RUN_FAKE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "base/digest.h"

enum { FAKE_VOCAB = 48, FAKE_EOG = 0, FAKE_CONTROL = 1, FAKE_NODES = 2048 };

struct fake_node { int32_t *ids; size_t n, cap; bool live; };

struct fake {
    struct backend base;
    struct fake_node nodes[FAKE_NODES];
    size_t n_live, max_live;
    uint64_t n_steps, n_tokens;
    size_t min_items, max_items;   /* of a step */
    size_t max_item_tokens;
    uint32_t threads, chunk, n_ctx;
    /* Misbehaviour. */
    bool batch_matters;            /* logits depend on the number of items of the step */
    bool stateful;                 /* logits depend on how many tokens were computed before */
    uint64_t fail_at_step;         /* 0: never; else that step fails with `fail_code` */
    enum idem_err_code fail_code;
    void (*on_step)(void *ctx, struct fake *f);   /* called at the start of each step */
    void *on_step_ctx;
};

static inline struct fake *fake_of(struct backend *b) { return (struct fake *)(void *)b; }

static inline uint64_t fake_mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/* The logits after a prefix: multiples of 1/16 between -4 and 4, so ties occur. */
static inline void fake_logits(const int32_t *ids, size_t n, uint64_t salt, float *out)
{
    uint64_t h = fake_mix(digest_hash64(ids, n * sizeof *ids) + salt);
    for (uint64_t i = 0; i < FAKE_VOCAB; i++)
        out[i] = (float)(int)(fake_mix(h + i) % 128) / 16.0f - 4.0f;
    out[FAKE_EOG] -= 1.0f;         /* endings are not the rule */
}

static inline void fake_stats(const float *x, struct backend_logits *l)
{
    double sum = 0, wsum = 0;
    l->max = x[0];
    l->argmax = 0;
    for (int32_t i = 1; i < FAKE_VOCAB; i++)
        if (x[i] > l->max) {
            l->max = x[i];
            l->argmax = i;
        }
    for (int i = 0; i < FAKE_VOCAB; i++)
        sum += exp((double)x[i] - (double)l->max);
    l->logsumexp = (double)l->max + log(sum);
    for (int i = 0; i < FAKE_VOCAB; i++)
        wsum += exp((double)x[i] - l->logsumexp) * ((double)x[i] - l->logsumexp);
    l->entropy = -wsum;
}

static inline int fake_describe(struct backend *b, struct backend_description *d,
                                struct idem_err *err)
{
    (void)err;
    *d = (struct backend_description){.n_vocab = FAKE_VOCAB, .n_ctx = fake_of(b)->n_ctx};
    snprintf(d->name, sizeof d->name, "fake");
    snprintf(d->version, sizeof d->version, "0");
    snprintf(d->numerics, sizeof d->numerics, "fake-1");
    snprintf(d->model_name, sizeof d->model_name, "fake");
    memset(d->model_digest, 'f', 64);
    return 0;
}

static inline void fake_sizes(struct backend *b, uint32_t *n_vocab, uint32_t *n_ctx)
{
    *n_vocab = FAKE_VOCAB;
    *n_ctx = fake_of(b)->n_ctx;
}

/* A token per byte: 2 + byte mod 46; as in the engine, nothing for nothing. */
static inline int fake_tokenize(struct backend *b, const char *text, size_t len, enum backend_text kind,
                                int32_t **ids, size_t *n, struct idem_err *err)
{
    (void)b, (void)kind;
    *ids = malloc((len + 1) * sizeof **ids);
    if (!*ids)
        return err_memory(err, "ids", len);
    for (size_t i = 0; i < len; i++)
        (*ids)[i] = 2 + (unsigned char)text[i] % (FAKE_VOCAB - 2);
    *n = len;
    return 0;
}

static inline int fake_chat(struct backend *b, const char *system, const char *user,
                            const struct idem_chat_options *o, char **text, struct idem_err *err)
{
    size_t len = strlen(user) + (system ? strlen(system) : 0) + 16;
    (void)b, (void)o;
    *text = malloc(len);
    if (!*text)
        return err_memory(err, "text", len);
    snprintf(*text, len, "[%s|%s]", system ? system : "", user);
    return 0;
}

/* Letters, some of two bytes; the control token has a name that must not get into any text. */
static inline const char *fake_token_bytes(struct backend *b, int32_t id, size_t *len)
{
    static const char *const words[] = {"a", "b", "c", "d", "ab", "ba", "\xc3", "\xa4", " ", "e"};
    (void)b;
    if (id == FAKE_EOG || id == FAKE_CONTROL) {
        *len = 5;
        return "<ctl>";
    }
    *len = strlen(words[id % 10]);
    return words[id % 10];
}

static inline bool fake_is_eog(struct backend *b, int32_t id)
{
    (void)b;
    return id == FAKE_EOG;
}

static inline bool fake_is_control(struct backend *b, int32_t id)
{
    (void)b;
    return id == FAKE_EOG || id == FAKE_CONTROL;
}

static inline int fake_host(struct backend *b, uint32_t threads, uint32_t chunk,
                            struct idem_err *err)
{
    if (fake_of(b)->n_live)
        return err_set(err, IDEM_ERR_USAGE, "host state changed while nodes are live");
    fake_of(b)->threads = threads;
    fake_of(b)->chunk = chunk;
    return 0;
}

static inline int fake_fork_from(struct fake *f, const struct fake_node *from, size_t n,
                                 struct idem_err *err)
{
    for (int i = 0; i < FAKE_NODES; i++) {
        struct fake_node *d = &f->nodes[i];
        if (d->live)
            continue;
        *d = (struct fake_node){.n = n, .cap = n + 16, .live = true};
        d->ids = malloc(d->cap * sizeof *d->ids);
        if (!d->ids)
            return err_memory(err, "a node", d->cap);
        if (n)
            memcpy(d->ids, from->ids, n * sizeof *d->ids);
        if (++f->n_live > f->max_live)
            f->max_live = f->n_live;
        return i;
    }
    return err_set(err, IDEM_ERR_LIMIT, "no node left");
}

static inline int fake_node_new(struct backend *b, struct idem_err *err)
{
    return fake_fork_from(fake_of(b), NULL, 0, err);
}

static inline int fake_fork(struct backend *b, int node, size_t n, struct idem_err *err)
{
    struct fake *f = fake_of(b);
    if (node < 0 || node >= FAKE_NODES || !f->nodes[node].live || n > f->nodes[node].n)
        return err_set(err, IDEM_ERR_USAGE, "fork of node %d at %zu", node, n);
    return fake_fork_from(f, &f->nodes[node], n, err);
}

static inline void fake_release(struct backend *b, int node)
{
    struct fake *f = fake_of(b);
    if (node < 0 || node >= FAKE_NODES || !f->nodes[node].live)
        abort();                   /* released twice */
    free(f->nodes[node].ids);
    f->nodes[node] = (struct fake_node){0};
    f->n_live--;
}

static inline int fake_item(struct fake *f, const struct backend_item *it, size_t item,
                            size_t n_items, backend_logits_fn fn, void *ctx, struct idem_err *err)
{
    struct fake_node *d = &f->nodes[it->node];
    float x[FAKE_VOCAB];
    for (size_t k = 0; k < it->n_tokens; k++) {
        if (f->n_ctx && d->n >= f->n_ctx)
            return err_set(err, IDEM_ERR_LIMIT, "the context of %u tokens is full", f->n_ctx);
        if (d->n == d->cap) {
            d->cap *= 2;
            d->ids = realloc(d->ids, d->cap * sizeof *d->ids);
            if (!d->ids)
                abort();
        }
        d->ids[d->n++] = it->tokens[k];
        f->n_tokens++;
        if (!it->all_logits && k + 1 < it->n_tokens)
            continue;
        struct backend_logits l = {.item = item, .pos = d->n - 1, .logits = x};
        uint64_t salt = (f->batch_matters ? n_items : 0) + (f->stateful ? f->n_tokens << 8 : 0);
        fake_logits(d->ids, d->n, salt, x);
        fake_stats(x, &l);
        if (fn(ctx, &l))
            return err_set(err, IDEM_ERR_INTERRUPTED, "stopped by the callback");
    }
    return 0;
}

static inline int fake_step(struct backend *b, const struct backend_item *items, size_t n_items,
                            backend_logits_fn fn, void *ctx, struct idem_err *err)
{
    struct fake *f = fake_of(b);
    f->n_steps++;
    if (f->on_step)
        f->on_step(f->on_step_ctx, f);
    if (f->fail_at_step == f->n_steps)
        return err_set(err, f->fail_code, "the model broke at step %llu",
                       (unsigned long long)f->n_steps);
    if (n_items < f->min_items)
        f->min_items = n_items;
    if (n_items > f->max_items)
        f->max_items = n_items;
    for (size_t i = 0; i < n_items; i++) {
        const struct backend_item *it = &items[i];
        if (it->node < 0 || it->node >= FAKE_NODES || !f->nodes[it->node].live || !it->n_tokens)
            return err_set(err, IDEM_ERR_USAGE, "item %zu names node %d", i, it->node);
        for (size_t k = 0; k < i; k++)
            if (items[k].node == it->node)
                return err_set(err, IDEM_ERR_USAGE, "node %d twice in a step", it->node);
        if (it->n_tokens > f->max_item_tokens)
            f->max_item_tokens = it->n_tokens;
        if (fake_item(f, it, i, n_items, fn, ctx, err))
            return -1;
    }
    return 0;
}

static inline void fake_close(struct backend *b)
{
    struct fake *f = fake_of(b);
    for (int i = 0; i < FAKE_NODES; i++)
        free(f->nodes[i].ids);
    free(f);
}

static inline struct fake *fake_open(void)
{
    static const struct backend_ops ops = {
        .name = "fake", .describe = fake_describe, .sizes = fake_sizes, .tokenize = fake_tokenize,
        .chat = fake_chat, .token_bytes = fake_token_bytes, .is_eog = fake_is_eog,
        .is_control = fake_is_control, .host = fake_host, .node_new = fake_node_new,
        .fork = fake_fork, .step = fake_step, .release = fake_release, .close = fake_close,
    };
    struct fake *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->base.ops = &ops;
    f->min_items = SIZE_MAX;
    f->n_ctx = 512;
    f->fail_code = IDEM_ERR_NUMERIC;
    return f;
}

#endif
