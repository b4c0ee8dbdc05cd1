/* SPDX-License-Identifier: MIT
 * The built-in engine as a backend: nodes of the prefix tree are sequences of idem sessions.
 *
 * A node stays in the session in which it was made. host() opens another session when threads or
 * chunk change, so that nodes of both can be alive at once; a session without nodes that is not
 * the current one is closed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "idem.h"

struct host {                      /* one session */
    uint32_t threads, chunk;
    struct idem_session *session;
    size_t n_nodes;
    struct host *next;
};

struct node {
    struct host *host;             /* NULL: free */
    int seq;
};

struct local {
    struct backend base;
    struct idem_model *model;
    struct host *hosts;            /* the current one first */
    struct node *nodes;
    size_t n_nodes;                /* slots */
    struct idem_item *items;       /* of one step */
    size_t *origin;                /* index in the call of each */
    size_t cap_items;
};

static struct local *local_of(struct backend *b)
{
    return (struct local *)b;
}

/* ---- facts and text ------------------------------------------------------------------------ */

static void copy(char *out, size_t cap, const char *s)
{
    snprintf(out, cap, "%s", s ? s : "");
}

static int describe(struct backend *b, struct backend_description *d, struct idem_err *err)
{
    struct local *l = local_of(b);
    const struct idem_model_info *i = idem_model_info(l->model);
    *d = (struct backend_description){.n_vocab = i->n_vocab, .n_ctx = i->n_ctx};
    struct idem_memory memory;
    idem_model_memory(l->model, 0, &memory);
    d->weight_bytes = memory.weights;
    d->kv_bytes_per_token = i->kv_bytes_per_block / 64;
    d->memory_limit = memory.limit;
    copy(d->name, sizeof d->name, "local");
    copy(d->version, sizeof d->version, IDEM_VERSION);
    bool by_context = i->rope && (strcmp(i->rope, "long") == 0 || strcmp(i->rope, "short") == 0);
    snprintf(d->numerics, sizeof d->numerics, "%s/%s%s%s", IDEM_NUMERICS,
             i->activations == IDEM_ACTIVATIONS_F32 ? "f32" : "q8", by_context ? "/rope-" : "",
             by_context ? i->rope : "");
    copy(d->model_name, sizeof d->model_name, i->name);
    copy(d->arch, sizeof d->arch, i->arch);
    copy(d->tokenizer, sizeof d->tokenizer, i->tokenizer);
    copy(d->chat_family, sizeof d->chat_family, i->chat_family);
    copy(d->kernels, sizeof d->kernels, i->kernels);
    return idem_model_digest(l->model, d->model_digest, err);
}

static void sizes(struct backend *b, uint32_t *n_vocab, uint32_t *n_ctx)
{
    const struct idem_model_info *i = idem_model_info(local_of(b)->model);
    *n_vocab = i->n_vocab;
    *n_ctx = i->n_ctx;
}

static int tokenize(struct backend *b, const char *text, size_t len, enum backend_text kind, int32_t **ids,
                    size_t *n, struct idem_err *err)
{
    const struct idem_model *m = local_of(b)->model;
    unsigned flags = (kind == BACKEND_TEXT_CHAT ? 0u : IDEM_TOK_ADD_SPECIAL) |
                     (kind == BACKEND_TEXT_PLAIN ? 0u : IDEM_TOK_PARSE_SPECIAL);
    size_t cap = len + 2;          /* every token but BOS and EOS takes a byte, nearly always */
    *ids = NULL;
    for (;;) {
        int32_t *p = malloc(cap * sizeof *p);
        if (!p)
            return err_memory(err, "token ids", cap * sizeof *p);
        if (idem_tokenize(m, text, len, flags, p, cap, n, err) != 0) {
            free(p);
            return -1;
        }
        if (*n <= cap) {
            *ids = p;
            return 0;
        }
        free(p);
        cap = *n;
    }
}

static int chat(struct backend *b, const char *system, const char *user,
                const struct idem_chat_options *o, char **text, struct idem_err *err)
{
    struct idem_message msgs[2] = {{"system", system}, {"user", user}};
    size_t skip = system ? 0 : 1;
    return idem_chat_render_with(local_of(b)->model, msgs + skip, 2 - skip, o, text, err);
}

static const char *token_bytes(struct backend *b, int32_t id, size_t *len)
{
    return idem_token_bytes(local_of(b)->model, id, len);
}

static bool is_eog(struct backend *b, int32_t id)
{
    return idem_token_is_eog(local_of(b)->model, id);
}

static bool is_control(struct backend *b, int32_t id)
{
    return idem_token_is_control(local_of(b)->model, id);
}

/* ---- hosts ------------------------------------------------------------------------------------ */

static void close_idle_hosts(struct local *l)
{
    struct host **at = l->hosts ? &l->hosts->next : &l->hosts;
    while (*at) {
        struct host *h = *at;
        if (h->n_nodes > 0) {
            at = &h->next;
            continue;
        }
        *at = h->next;
        idem_session_close(h->session);
        free(h);
    }
}

static int host(struct backend *b, uint32_t threads, uint32_t chunk, struct idem_err *err)
{
    struct local *l = local_of(b);
    struct host **at = &l->hosts;
    while (*at && ((*at)->threads != threads || (*at)->chunk != chunk))
        at = &(*at)->next;
    struct host *h = *at;
    if (h) {
        *at = h->next;
    } else {
        struct idem_session_options o = {.n_threads = threads, .n_chunk = chunk};
        h = calloc(1, sizeof *h);
        if (!h)
            return err_memory(err, "a session", sizeof *h);
        h->threads = threads;
        h->chunk = chunk;
        h->session = idem_session_open(l->model, &o, err);
        if (!h->session) {
            free(h);
            return -1;
        }
    }
    h->next = l->hosts;
    l->hosts = h;
    close_idle_hosts(l);
    return 0;
}

/* ---- nodes -------------------------------------------------------------------------------------- */

static struct node *node_at(struct local *l, int node)
{
    if (node < 0 || (size_t)node >= l->n_nodes || !l->nodes[node].host)
        return NULL;
    return &l->nodes[node];
}

static int no_node(int node, struct idem_err *err)
{
    return err_set(err, IDEM_ERR_USAGE, "there is no node %d in this backend", node);
}

static int free_slot(struct local *l, struct idem_err *err)
{
    size_t i = 0;
    while (i < l->n_nodes && l->nodes[i].host)
        i++;
    if (i == l->n_nodes) {
        size_t cap = l->n_nodes ? 2 * l->n_nodes : 16;
        struct node *p = realloc(l->nodes, cap * sizeof *p);
        if (!p)
            return err_memory(err, "nodes", cap * sizeof *p);
        memset(p + l->n_nodes, 0, (cap - l->n_nodes) * sizeof *p);
        l->nodes = p;
        l->n_nodes = cap;
    }
    return (int)i;
}

static int take_slot(struct local *l, int slot, struct host *h, int seq)
{
    if (seq < 0)
        return -1;
    l->nodes[slot] = (struct node){h, seq};
    h->n_nodes++;
    return slot;
}

static int node_new(struct backend *b, struct idem_err *err)
{
    struct local *l = local_of(b);
    int slot = free_slot(l, err);
    if (slot < 0)
        return -1;
    return take_slot(l, slot, l->hosts, idem_seq_new(l->hosts->session, err));
}

static int node_new_noisy(struct backend *b, const struct arith_noise *z, struct idem_err *err)
{
    struct local *l = local_of(b);
    char name[ARITH_NOISE_TEXT];
    int slot = free_slot(l, err);
    if (slot < 0)
        return -1;
    arith_noise_text(z, name);
    return take_slot(l, slot, l->hosts, idem_seq_new_noisy(l->hosts->session, name, z->seed, err));
}

static int fork_node(struct backend *b, int node, size_t n_tokens, struct idem_err *err)
{
    struct local *l = local_of(b);
    if (!node_at(l, node))
        return no_node(node, err);
    int slot = free_slot(l, err);
    if (slot < 0)
        return -1;
    struct host *h = l->nodes[node].host;
    return take_slot(l, slot, h, idem_seq_fork(h->session, l->nodes[node].seq, n_tokens, err));
}

static void release(struct backend *b, int node)
{
    struct local *l = local_of(b);
    struct node *n = node_at(l, node);
    if (!n)
        return;
    idem_seq_free(n->host->session, n->seq);
    n->host->n_nodes--;
    n->host = NULL;
}

/* ---- steps ----------------------------------------------------------------------------------------- */

struct step {
    struct local *l;
    backend_logits_fn fn;
    void *ctx;
};

static int on_logits(void *ctx, size_t item, size_t pos, const float *logits)
{
    const struct step *s = ctx;
    struct idem_logstats st;
    idem_logits_stats(s->l->model, logits, &st);
    struct backend_logits out = {
        .item = s->l->origin[item], .pos = pos, .logits = logits, .max = st.max,
        .argmax = st.argmax, .logsumexp = st.logsumexp, .entropy = st.entropy};
    return s->fn(s->ctx, &out);
}

static int grow_items(struct local *l, size_t n, struct idem_err *err)
{
    if (n <= l->cap_items)
        return 0;
    struct idem_item *items = realloc(l->items, n * sizeof *items);
    if (items)
        l->items = items;
    size_t *origin = realloc(l->origin, n * sizeof *origin);
    if (origin)
        l->origin = origin;
    if (!items || !origin)
        return err_memory(err, "the items of a step", n * (sizeof *items + sizeof *origin));
    l->cap_items = n;
    return 0;
}

static int step(struct backend *b, const struct backend_item *items, size_t n_items,
                backend_logits_fn fn, void *ctx, struct idem_err *err)
{
    struct local *l = local_of(b);
    struct step s = {l, fn, ctx};
    if (grow_items(l, n_items, err) != 0)
        return -1;
    for (size_t i = 0; i < n_items; i++)
        if (!node_at(l, items[i].node))
            return no_node(items[i].node, err);
    for (struct host *h = l->hosts; h; h = h->next) {
        size_t n = 0;
        for (size_t i = 0; i < n_items; i++) {
            if (l->nodes[items[i].node].host != h)
                continue;
            l->origin[n] = i;
            l->items[n++] = (struct idem_item){
                .seq = l->nodes[items[i].node].seq, .tokens = items[i].tokens,
                .n_tokens = items[i].n_tokens,
                .want = !fn ? IDEM_LOGITS_NONE
                      : items[i].all_logits ? IDEM_LOGITS_ALL : IDEM_LOGITS_LAST};
        }
        if (n > 0 && idem_decode(h->session, l->items, n, fn ? on_logits : NULL, &s, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- lifetime ---------------------------------------------------------------------------------------- */

static void close_local(struct backend *b)
{
    if (!b)
        return;
    struct local *l = local_of(b);
    while (l->hosts) {
        struct host *h = l->hosts;
        l->hosts = h->next;
        idem_session_close(h->session);
        free(h);
    }
    idem_model_close(l->model);
    free(l->nodes);
    free(l->items);
    free(l->origin);
    free(l);
}

static const struct backend_ops local_ops = {
    .name = "local", .describe = describe, .sizes = sizes, .tokenize = tokenize, .chat = chat,
    .token_bytes = token_bytes, .is_eog = is_eog, .is_control = is_control,
    .host = host, .node_new = node_new, .node_new_noisy = node_new_noisy, .fork = fork_node,
    .step = step, .release = release, .close = close_local,
};

static int model_options(const struct backend_local_options *o, struct idem_model_options *m,
                         struct idem_err *err)
{
    enum idem_cpu cpu = IDEM_CPU_AUTO;
    if (o->cpu && !idem_cpu_find(o->cpu, &cpu))
        return err_set(err, IDEM_ERR_USAGE, "there are no '%s' kernels; choose auto, ref, sse41, "
                       "avx2, avx512 or neon", o->cpu);
    if (o->normalize_none && o->normalize_nfc)
        return err_set(err, IDEM_ERR_USAGE, "text cannot be normalised both not at all and to NFC");
    *m = (struct idem_model_options){
        .activations = o->f32 ? IDEM_ACTIVATIONS_F32 : IDEM_ACTIVATIONS_Q8,
        .cpu = cpu,
        .normalize = o->normalize_none ? IDEM_NORMALIZE_NONE
                   : o->normalize_nfc ? IDEM_NORMALIZE_NFC : IDEM_NORMALIZE_MODEL,
        .n_threads = o->threads, .n_ctx = o->n_ctx};
    return 0;
}

struct backend *backend_local_open(const char *model_path, const struct backend_local_options *o,
                                   struct idem_err *err)
{
    static const struct backend_local_options defaults = {0};
    struct idem_model_options mo;
    if (!o)
        o = &defaults;
    if (model_options(o, &mo, err) != 0)
        return NULL;
    struct local *l = calloc(1, sizeof *l);
    if (!l) {
        err_memory(err, "the engine", sizeof *l);
        return NULL;
    }
    l->base.ops = &local_ops;
    l->model = idem_model_open(model_path, &mo, err);
    if (!l->model || host(&l->base, o->threads, o->chunk, err) != 0) {
        close_local(&l->base);
        return NULL;
    }
    return &l->base;
}
