/* SPDX-License-Identifier: MIT
 * The prefix tree: choosing branches, one step for all of them, drawing, branching. */
#include "run/walk.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A token prefix with its KV cache. */
struct node {
    int handle;
    size_t len;                  /* tokens */
    unsigned n_waiting;          /* branches from here that are still to be computed */
    struct digest logits;        /* running digest of the logits of every step after the prompt */
};

/* Tokens to append to a node, and who waits for the logits behind them. */
struct branch {
    struct node *from;           /* NULL: the empty prefix */
    const int32_t *tokens;       /* [n]; `one` where it is a single drawn token */
    size_t n, at;                /* at: of these computed already */
    int32_t one;
    int32_t *donor;              /* cache forked: tokens of a longer sequence, then fork */
    struct run_seq *seqs;
    struct run_seq *last;        /* end of that list */
};

struct slot {                    /* one branch of the current step */
    struct branch *branch;
    struct node *node;           /* where it arrives */
    size_t n_now;                /* tokens of this step */
    bool draws;                  /* its logits are wanted */
    struct sample_stats stats;
    float *logits;               /* [n_vocab] */
    bool got;
};

struct task { struct slot *slot; struct run_seq *seq; };   /* seq NULL: digest the logits */

struct run_walk {
    struct backend *b;
    struct run_walk_options o;
    uint32_t n_vocab, n_ctx;
    struct branch **waiting;     /* a stack, deepest last */
    size_t n_waiting, cap_waiting;
    struct slot *slots;          /* [batch] */
    size_t n_slots;
    struct backend_item *items;  /* [batch] */
    struct task *tasks;
    size_t n_tasks, cap_tasks;
    struct sampler **samplers;   /* one per drawing thread */
    unsigned n_samplers;
    struct run_crew *crew;
    struct run_beside beside;
    int32_t *beside_ids;
    size_t culprit;
};

static double now_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- nodes and branches --------------------------------------------------------------------- */

static void node_free(struct run_walk *w, struct node *n)
{
    if (!n)
        return;
    if (n->handle >= 0)
        w->b->ops->release(w->b, n->handle);
    digest_release(&n->logits);
    free(n);
}

/* A node of its own for a branch: the parent itself if nobody else waits for it. */
static struct node *node_arrive(struct run_walk *w, struct branch *br, struct idem_err *err)
{
    struct node *from = br->from;
    if (from && from->n_waiting == 1)
        return from;
    struct node *n = calloc(1, sizeof *n);
    if (!n) {
        err_memory(err, "a node of the prefix tree", sizeof *n);
        return NULL;
    }
    n->handle = from ? w->b->ops->fork(w->b, from->handle, from->len, err)
                     : run_node_new(w->b, &br->seqs->noise, err);
    if (n->handle >= 0) {
        n->len = from ? from->len : 0;
        n->n_waiting = 1;
        if (!from || !from->logits.ctx || digest_copy(&n->logits, &from->logits) == 0) {
            if (from)
                from->n_waiting--;
            br->from = n;
            return n;
        }
        err_memory(err, "a digest", 0);
    }
    node_free(w, n);
    return NULL;
}

static void branch_free(struct run_walk *w, struct branch *br)
{
    if (!br)
        return;
    for (struct run_seq *s = br->seqs, *next; s; s = next) {
        next = s->next;
        run_seq_free(s);
    }
    if (br->from && --br->from->n_waiting == 0)
        node_free(w, br->from);
    free(br->donor);
    free(br);
}

static int push(struct run_walk *w, struct branch *br, struct idem_err *err)
{
    if (w->n_waiting == w->cap_waiting) {
        size_t cap = w->cap_waiting ? 2 * w->cap_waiting : 64;
        struct branch **v = realloc(w->waiting, cap * sizeof *v);
        if (!v) {
            branch_free(w, br);
            return err_memory(err, "the prefix tree", cap * sizeof *v);
        }
        w->waiting = v;
        w->cap_waiting = cap;
    }
    w->waiting[w->n_waiting++] = br;
    return 0;
}

int run_walk_add(struct run_walk *w, struct run_seq *const *seqs, size_t n, struct idem_err *err)
{
    struct branch *br = calloc(1, sizeof *br);
    const struct run_seq *s = seqs[0];
    int rc = 0;
    if (br) {
        br->tokens = s->prompt;
        br->n = s->n_prompt;
        if (w->o.cache == REC_CACHE_FORKED) {
            br->donor = run_beside_donor(s->prompt, s->n_prompt, w->n_ctx, &br->n);
            br->tokens = br->donor;
            rc = br->donor ? 0 : -1;
        }
    }
    if (!br || rc) {
        for (size_t i = 0; i < n; i++)
            run_seq_free(seqs[i]);
        free(br);
        return err_memory(err, "a branch of the prefix tree", sizeof *br);
    }
    for (size_t i = 0; i < n; i++) {
        seqs[i]->next = i + 1 < n ? seqs[i + 1] : NULL;
        seqs[i]->started = now_s(CLOCK_REALTIME);
    }
    br->seqs = seqs[0];
    br->last = seqs[n - 1];
    return push(w, br, err);
}

/* ---- one step ---------------------------------------------------------------------------------- */

static int on_logits(void *ctx, const struct backend_logits *l)
{
    struct run_walk *w = ctx;
    if (l->item >= w->n_slots || !w->slots[l->item].draws)
        return 0;                /* a companion, or a prompt that is not at its end yet */
    struct slot *s = &w->slots[l->item];
    memcpy(s->logits, l->logits, w->n_vocab * sizeof *s->logits);
    s->stats = (struct sample_stats){.logsumexp = l->logsumexp, .entropy = l->entropy,
                                     .max = l->max, .argmax = l->argmax};
    s->got = true;
    return 0;
}

/* Takes the deepest branches off the stack into slots and items. */
static int choose(struct run_walk *w, bool *prefills, struct idem_err *err)
{
    *prefills = false;
    w->n_slots = 0;
    while (w->n_slots < w->o.batch && w->n_waiting > 0) {
        struct slot *s = &w->slots[w->n_slots];
        struct branch *br = w->waiting[w->n_waiting - 1];
        w->culprit = br->seqs->tag;
        struct node *node = node_arrive(w, br, err);
        if (!node)
            return -1;
        w->n_waiting--;
        size_t left = br->n - br->at;
        size_t now = w->o.chunk && left > w->o.chunk ? w->o.chunk : left;
        s->branch = br;
        s->node = node;
        s->n_now = now;
        s->draws = now == left && !br->donor;
        s->got = false;
        *prefills |= br->n > 1;
        w->items[w->n_slots++] = (struct backend_item){
            .node = node->handle, .tokens = br->tokens + br->at, .n_tokens = now};
    }
    return 0;
}

/* Companions for the rest of the batch. Their content comes from the first prompt that was seen. */
static int add_beside(struct run_walk *w, bool prefills, size_t *n_items, struct idem_err *err)
{
    *n_items = w->n_slots;
    if (!w->o.exact_batch || w->n_slots >= w->o.batch)
        return 0;
    size_t n = w->o.batch - w->n_slots;
    if (!w->beside.all) {
        const struct run_seq *s = w->slots[0].branch->seqs;
        w->beside_ids = malloc(s->n_prompt * sizeof *w->beside_ids);
        if (!w->beside_ids)
            return err_memory(err, "companion sequences", s->n_prompt * sizeof *w->beside_ids);
        memcpy(w->beside_ids, s->prompt, s->n_prompt * sizeof *w->beside_ids);
        if (run_beside_open(&w->beside, w->b, w->beside_ids, s->n_prompt, w->n_ctx, w->o.batch, err))
            return -1;
    }
    if (run_beside_items(&w->beside, n, prefills, w->items + w->n_slots, err))
        return -1;
    *n_items += n;
    return 0;
}

/* The donor of a forked root is complete: forks it one token before the prompt's end, so that
 * the last token of the prompt is computed on a forked cache. */
static int leave_donor(struct run_walk *w, struct slot *s, struct idem_err *err)
{
    struct branch *br = s->branch;
    const struct run_seq *q = br->seqs;
    int forked = w->b->ops->fork(w->b, s->node->handle, q->n_prompt - 1, err);
    if (forked < 0)
        return -1;
    w->b->ops->release(w->b, s->node->handle);
    s->node->handle = forked;
    s->node->len = q->n_prompt - 1;
    free(br->donor);
    br->donor = NULL;
    br->tokens = q->prompt + q->n_prompt - 1;
    br->n = 1;
    br->at = 0;
    return 0;
}

static int add_task(struct run_walk *w, struct slot *slot, struct run_seq *seq, struct idem_err *err)
{
    if (w->n_tasks == w->cap_tasks) {
        size_t cap = w->cap_tasks ? 2 * w->cap_tasks : 128;
        struct task *v = realloc(w->tasks, cap * sizeof *v);
        if (!v)
            return err_memory(err, "drawing tokens", cap * sizeof *v);
        w->tasks = v;
        w->cap_tasks = cap;
    }
    w->tasks[w->n_tasks++] = (struct task){slot, seq};
    return 0;
}

static void do_task(void *ctx, size_t i, unsigned worker)
{
    struct run_walk *w = ctx;
    struct task *t = &w->tasks[i];
    if (t->seq)
        run_seq_draw(t->seq, w->samplers[worker], w->b, t->slot->logits, &t->slot->stats);
    else
        digest_f32s(&t->slot->node->logits, t->slot->logits, w->n_vocab);
}

/* Every sequence at every node that has its logits draws, in all drawing threads. */
static int draw(struct run_walk *w, struct idem_err *err)
{
    w->n_tasks = 0;
    for (size_t i = 0; i < w->n_slots; i++) {
        struct slot *s = &w->slots[i];
        bool captured = false;
        if (!s->draws)
            continue;
        w->culprit = s->branch->seqs->tag;
        if (!s->got)
            return err_set(err, IDEM_ERR_NUMERIC, "the backend '%s' gave no logits after token %zu",
                           w->b->ops->name, s->node->len);
        for (struct run_seq *q = s->branch->seqs; q; q = q->next)
            captured |= q->n_top > 0;
        if (captured && !s->node->logits.ctx && digest_init(&s->node->logits))
            return err_memory(err, "a digest", 0);
        if (captured && add_task(w, s, NULL, err))
            return -1;
        for (struct run_seq *q = s->branch->seqs; q; q = q->next)
            if (add_task(w, s, q, err))
                return -1;
    }
    run_crew_do(w->crew, do_task, w, w->n_tasks);
    for (size_t i = 0; i < w->n_tasks; i++) {
        const struct run_seq *q = w->tasks[i].seq;
        if (q && q->err.code != IDEM_OK) {
            w->culprit = q->tag;
            if (err)
                *err = q->err;
            return -1;
        }
    }
    return 0;
}

/* ---- after the draw ------------------------------------------------------------------------------ */

static int end_seq(struct run_walk *w, struct node *node, struct run_seq *q, struct idem_err *err)
{
    struct rec_output o = {0};
    w->culprit = q->tag;
    int rc = run_seq_finish(q, q->n_top ? &node->logits : NULL, &o, err);
    if (rc == 0)
        rc = w->o.ended(w->o.ctx, q, &o, err);
    else
        rec_output_release(&o);
    run_seq_free(q);
    return rc;
}

/* The branch among children[0 .. *n) for this token, made if it is not there. */
static struct branch *child_for(struct branch **children, size_t *n, struct node *node,
                                int32_t token)
{
    for (size_t i = 0; i < *n; i++)
        if (children[i]->one == token)
            return children[i];
    struct branch *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->one = token;
    c->tokens = &c->one;
    c->n = 1;
    c->from = node;
    node->n_waiting++;
    children[(*n)++] = c;
    return c;
}

static int tell(struct run_walk *w, struct run_seq *q, struct idem_err *err)
{
    if (w->o.token && w->o.token(w->o.ctx, q))
        return err_set(err, IDEM_ERR_INTERRUPTED, "stopped after %zu tokens", q->out.n_tokens);
    return 0;
}

/* Sends each sequence of an arrived branch to its child, or ends it. */
static int scatter(struct run_walk *w, struct slot *s, struct idem_err *err)
{
    struct branch *br = s->branch;
    struct run_seq *q = br->seqs, *next;
    struct branch **children;
    size_t n_seqs = 0, n = 0;
    int rc = 0;
    for (const struct run_seq *t = q; t; t = t->next)
        n_seqs++;
    children = calloc(n_seqs, sizeof *children);
    if (!children)
        return err_memory(err, "the prefix tree", n_seqs * sizeof *children);
    for (; q && rc == 0; q = next) {
        next = q->next;
        br->seqs = next;
        rc = tell(w, q, err);
        if (q->out.stop != REC_STOP_NONE && rc == 0) {
            rc = end_seq(w, s->node, q, err);
            continue;
        }
        struct branch *c = rc ? NULL : child_for(children, &n, s->node, q->last.id);
        if (!c) {
            rc = rc ? rc : err_memory(err, "a branch of the prefix tree", sizeof *c);
            run_seq_free(q);
            continue;
        }
        q->next = NULL;
        if (c->last)
            c->last->next = q;
        else
            c->seqs = q;
        c->last = q;
    }
    for (size_t i = n; i-- > 0;)         /* the first drawn is computed first */
        if (push(w, children[i], err))
            rc = -1;
    free(children);
    return rc;
}

/* Advances what the step computed and divides its time among the sequences that took part. */
static int settle(struct run_walk *w, double ms, struct idem_err *err)
{
    size_t n_seqs = 0;
    for (size_t i = 0; i < w->n_slots; i++)
        for (const struct run_seq *q = w->slots[i].branch->seqs; q; q = q->next)
            n_seqs++;
    for (size_t i = 0; i < w->n_slots; i++) {
        struct slot *s = &w->slots[i];
        s->node->len += s->n_now;
        s->branch->at += s->n_now;
        s->branch->seqs->n_forward += s->n_now;
        for (struct run_seq *q = s->branch->seqs; q; q = q->next)
            q->wall_ms += ms / (double)n_seqs;
        if (s->branch->donor && s->branch->at == s->branch->n && leave_donor(w, s, err))
            return -1;
    }
    return 0;
}

static int step(struct run_walk *w, struct idem_err *err)
{
    bool prefills;
    size_t n_items;
    uint64_t n_tokens = 0;
    double t0 = now_s(CLOCK_MONOTONIC);
    int rc = choose(w, &prefills, err);
    if (rc == 0)
        rc = add_beside(w, prefills, &n_items, err);
    if (rc == 0) {
        w->culprit = w->slots[0].branch->seqs->tag;
        rc = w->b->ops->step(w->b, w->items, n_items, on_logits, w, err);
    }
    if (rc == 0)
        rc = draw(w, err);
    if (rc == 0)
        rc = settle(w, 1000 * (now_s(CLOCK_MONOTONIC) - t0), err);
    for (size_t i = 0; i < w->n_slots; i++)
        n_tokens += w->slots[i].n_now;
    /* From the last to the first, so that the first lies on top of the stack again. Every branch
     * that left the stack is freed or pushed here, whatever failed. */
    for (size_t i = w->n_slots; i-- > 0;) {
        struct slot *s = &w->slots[i];
        struct branch *br = s->branch;
        if (rc == 0 && !s->draws) {
            rc = push(w, br, err);
            continue;
        }
        if (rc == 0)
            rc = scatter(w, s, err);
        branch_free(w, br);
    }
    w->n_slots = 0;
    if (rc == 0 && w->o.stepped)
        w->o.stepped(w->o.ctx, n_tokens);
    return rc;
}

int run_walk_run(struct run_walk *w, struct idem_err *err)
{
    for (;;) {
        int more = 1;
        while (more > 0 && w->n_waiting < w->o.batch) {
            w->culprit = SIZE_MAX;
            more = w->o.feed(w->o.ctx, err);
            if (more < 0)
                return -1;
        }
        if (w->n_waiting == 0)
            return 0;
        if (step(w, err))
            return -1;
        if (w->o.stop && *w->o.stop)
            return err_set(err, IDEM_ERR_INTERRUPTED, "interrupted");
    }
}

/* ---- opening ------------------------------------------------------------------------------------ */

static int open_buffers(struct run_walk *w, struct idem_err *err)
{
    w->slots = calloc(w->o.batch, sizeof *w->slots);
    w->items = calloc(w->o.batch, sizeof *w->items);
    if (!w->slots || !w->items)
        return err_memory(err, "a batch", w->o.batch * sizeof *w->slots);
    for (size_t i = 0; i < w->o.batch; i++)
        if (!(w->slots[i].logits = malloc(w->n_vocab * sizeof(float))))
            return err_memory(err, "the logits of a batch",
                              (unsigned long long)w->o.batch * w->n_vocab * sizeof(float));
    w->crew = run_crew_open(w->o.threads ? w->o.threads : 1, err);
    if (!w->crew)
        return -1;
    w->samplers = calloc(run_crew_size(w->crew), sizeof *w->samplers);
    if (!w->samplers)
        return err_memory(err, "drawing threads", sizeof *w->samplers);
    for (size_t n_ends; w->n_samplers < run_crew_size(w->crew); w->n_samplers++)
        if (!(w->samplers[w->n_samplers] = run_seq_sampler(w->b, w->n_vocab, &n_ends, err)))
            return -1;
    return 0;
}

struct run_walk *run_walk_open(struct backend *b, const struct run_walk_options *o,
                               struct idem_err *err)
{
    struct run_walk *w = calloc(1, sizeof *w);
    if (!w) {
        err_memory(err, "the prefix tree", sizeof *w);
        return NULL;
    }
    w->b = b;
    w->o = *o;
    w->culprit = SIZE_MAX;
    if (!b->ops->node_new || !b->ops->fork || !b->ops->step || !b->ops->release)
        err_set(err, IDEM_ERR_UNSUPPORTED, "the backend '%s' has no nodes, so it cannot run trials",
                b->ops->name);
    else {
        uint32_t chunk = o->chunk > o->batch ? o->chunk : o->batch;
        b->ops->sizes(b, &w->n_vocab, &w->n_ctx);
        if (open_buffers(w, err) == 0 &&
            ((!o->threads && !o->chunk) ||
             b->ops->host(b, o->threads, o->chunk ? chunk : 0, err) == 0))
            return w;
    }
    run_walk_close(w);
    return NULL;
}

size_t run_walk_culprit(const struct run_walk *w)
{
    return w->culprit;
}

void run_walk_close(struct run_walk *w)
{
    if (!w)
        return;
    while (w->n_waiting > 0)
        branch_free(w, w->waiting[--w->n_waiting]);
    run_beside_close(&w->beside);
    free(w->beside_ids);
    for (size_t i = 0; w->slots && i < w->o.batch; i++)
        free(w->slots[i].logits);
    for (unsigned i = 0; i < w->n_samplers; i++)
        sample_close(w->samplers[i]);
    free(w->samplers);
    run_crew_close(w->crew);
    free(w->slots);
    free(w->items);
    free(w->tasks);
    free(w->waiting);
    free(w);
}
