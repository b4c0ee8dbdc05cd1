/* SPDX-License-Identifier: MIT
 * A beam search on a backend that has nodes. */
#include "run/beam.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sample/beam.h"

struct beam {                    /* a running sequence */
    struct run_seq *seq;
    int node;                    /* -1: none. Holds prompt and output up to the newest token */
    size_t len;                  /* tokens in the node */
    float sum;
    struct digest logits;        /* of every step on its path */
};

struct slot {                    /* working memory of the beam at this place */
    float *x;                    /* [n_vocab] logits, then log-probabilities */
    struct sample_stats stats;
    struct rec_token raw;        /* what is the same whichever token is chosen */
    struct beam_candidate *offers;   /* [n_keep], best first */
    size_t n_offers;
    bool got;
    struct idem_err err;
};

struct run_beam {
    struct backend *b;
    struct run_walk_options o;
    uint32_t n_vocab, n_ctx;
    size_t n_ends;               /* tokens that end a text */
    struct run_crew *crew;
    struct sampler **samplers;   /* one per thread of the crew */
    unsigned n_samplers;
    struct backend_item *items;  /* [batch] */
    struct run_beside beside;
    int32_t *beside_ids;
    /* Of the current search. */
    const struct run_beam_job *job;
    struct beam_state state;
    struct beam *now, *next;     /* [num_beams] */
    size_t n_now;
    struct slot *slots;          /* [num_beams] */
    struct beam_candidate *candidates;   /* [n_keep] */
    size_t n_candidates, n_keep;
    size_t first, n_items;       /* beams of the current step */
    bool draws;                  /* their logits are wanted */
    uint64_t n_forward;
};

static double now_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the model ---------------------------------------------------------------------------------- */

static int on_logits(void *ctx, const struct backend_logits *l)
{
    struct run_beam *w = ctx;
    if (l->item >= w->n_items || !w->draws)
        return 0;                /* a companion, or a prompt that is not at its end yet */
    struct slot *s = &w->slots[w->first + l->item];
    memcpy(s->x, l->logits, w->n_vocab * sizeof *s->x);
    s->stats = (struct sample_stats){.logsumexp = l->logsumexp, .entropy = l->entropy,
                                     .max = l->max, .argmax = l->argmax};
    s->got = true;
    return 0;
}

/* Companions for the rest of the batch. Their content comes from the first prompt that was seen. */
static int add_beside(struct run_beam *w, bool prefills, struct idem_err *err)
{
    const struct run_beam_job *j = w->job;
    if (!w->beside.all) {
        w->beside_ids = malloc(j->n_prompt * sizeof *w->beside_ids);
        if (!w->beside_ids)
            return err_memory(err, "companion sequences", j->n_prompt * sizeof *w->beside_ids);
        memcpy(w->beside_ids, j->prompt, j->n_prompt * sizeof *w->beside_ids);
        if (run_beside_open(&w->beside, w->b, w->beside_ids, j->n_prompt, w->n_ctx, w->o.batch, err))
            return -1;
    }
    return run_beside_items(&w->beside, w->o.batch - w->n_items, prefills, w->items + w->n_items,
                            err);
}

/* One step with items[0 .. n_items), which belong to the beams from `first` on. */
static int forward(struct run_beam *w, bool prefills, struct idem_err *err)
{
    size_t n = w->n_items;
    uint64_t n_tokens = 0;
    for (size_t i = 0; i < n; i++)
        n_tokens += w->items[i].n_tokens;
    if (w->o.exact_batch && n < w->o.batch) {
        if (add_beside(w, prefills, err))
            return -1;
        n = w->o.batch;
    }
    if (w->b->ops->step(w->b, w->items, n, on_logits, w, err))
        return -1;
    w->n_forward += n_tokens;
    if (w->o.stepped)
        w->o.stepped(w->o.ctx, n_tokens);
    for (size_t i = 0; w->draws && i < w->n_items; i++)
        if (!w->slots[w->first + i].got)
            return err_set(err, IDEM_ERR_NUMERIC, "the backend '%s' gave no logits after token %zu",
                           w->b->ops->name, w->now[w->first + i].len);
    if (w->o.stop && *w->o.stop)
        return err_set(err, IDEM_ERR_INTERRUPTED, "interrupted");
    return 0;
}

/* tokens[n] behind the node of the only beam, in chunks. draws: the logits behind the last. */
static int prefill(struct run_beam *w, const int32_t *tokens, size_t n, bool draws,
                   struct idem_err *err)
{
    struct beam *bm = &w->now[0];
    w->first = 0;
    w->n_items = 1;
    for (size_t at = 0, k; at < n; at += k) {
        k = w->o.chunk && n - at > w->o.chunk ? w->o.chunk : n - at;
        w->draws = draws && at + k == n;
        w->items[0] = (struct backend_item){.node = bm->node, .tokens = tokens + at, .n_tokens = k};
        if (forward(w, true, err))
            return -1;
        bm->len += k;
    }
    return 0;
}

/* The prompt on a cache as the host state wants it: empty, or forked out of a longer sequence
 * one token before the prompt's end. */
static int root(struct run_beam *w, struct idem_err *err)
{
    const struct run_beam_job *j = w->job;
    struct beam *bm = &w->now[0];
    bm->node = run_node_new(w->b, &bm->seq->noise, err);
    if (bm->node < 0)
        return -1;
    if (w->o.cache != REC_CACHE_FORKED)
        return prefill(w, j->prompt, j->n_prompt, true, err);
    size_t n;
    int32_t *donor = run_beside_donor(j->prompt, j->n_prompt, w->n_ctx, &n);
    int rc = donor ? prefill(w, donor, n, false, err) : err_memory(err, "a prefix", j->n_prompt);
    free(donor);
    if (rc)
        return -1;
    int forked = w->b->ops->fork(w->b, bm->node, j->n_prompt - 1, err);
    if (forked < 0)
        return -1;
    w->b->ops->release(w->b, bm->node);
    bm->node = forked;
    bm->len = j->n_prompt - 1;
    return prefill(w, j->prompt + j->n_prompt - 1, 1, true, err);
}

/* The newest token of every beam. */
static int advance(struct run_beam *w, struct idem_err *err)
{
    w->draws = true;
    for (w->first = 0; w->first < w->n_now; w->first += w->n_items) {
        size_t left = w->n_now - w->first;
        w->n_items = left < w->o.batch ? left : w->o.batch;
        for (size_t i = 0; i < w->n_items; i++) {
            struct beam *bm = &w->now[w->first + i];
            w->items[i] = (struct backend_item){
                .node = bm->node, .tokens = &bm->seq->last.id, .n_tokens = 1};
        }
        if (forward(w, false, err))
            return -1;
        for (size_t i = 0; i < w->n_items; i++)
            w->now[w->first + i].len++;
    }
    return 0;
}

/* ---- what each beam offers ----------------------------------------------------------------------- */

static void offer(void *ctx, size_t i, unsigned worker)
{
    struct run_beam *w = ctx;
    struct beam *bm = &w->now[i];
    struct slot *s = &w->slots[i];
    struct run_seq *q = bm->seq;
    if (q->n_top)
        digest_f32s(&bm->logits, s->x, w->n_vocab);
    struct beam_offer o = {
        .beam = (uint32_t)i, .sum = bm->sum, .stats = &s->stats, .context = q->context,
        .n_context = q->n_prompt + q->out.n_tokens, .n_output = q->out.n_tokens, .key = q->key,
        .n_top = q->n_top, .max = w->n_keep,
    };
    o.key.position = (uint32_t)q->out.n_tokens;
    s->got = false;
    s->n_offers = 0;
    if (beam_offer(w->samplers[worker], q->set, &o, s->x, &s->raw, s->offers, &s->n_offers, &s->err))
        return;
    for (size_t k = 0; k < s->n_offers; k++)
        if (run_seq_would_end(q, w->b, s->offers[k].token, &s->offers[k].stops)) {
            s->err = q->err;
            return;
        }
}

static int gather(struct run_beam *w, struct idem_err *err)
{
    run_crew_do(w->crew, offer, w, w->n_now);
    w->n_candidates = 0;
    for (size_t i = 0; i < w->n_now; i++) {
        const struct slot *s = &w->slots[i];
        if (s->err.code != IDEM_OK) {
            if (err)
                *err = s->err;
            return -1;
        }
        for (size_t k = 0; k < s->n_offers; k++)
            beam_keep(w->candidates, &w->n_candidates, w->n_keep, &s->offers[k]);
    }
    return 0;
}

/* The sequence that a candidate makes of its beam. */
static struct run_seq *extend(struct run_beam *w, const struct beam_candidate *c,
                              struct idem_err *err)
{
    struct run_seq *q = run_seq_clone(w->now[c->beam].seq, err);
    struct rec_token t = w->slots[c->beam].raw;
    if (!q)
        return NULL;
    t.id = c->token;
    t.logprob = c->logprob;
    t.logprob_processed = c->logprob_processed;
    if (run_seq_push(q, w->b, &t)) {
        if (err)
            *err = q->err;
        run_seq_free(q);
        return NULL;
    }
    return q;
}

/* ---- who has finished, who goes on ----------------------------------------------------------------- */

static void output_free(struct rec_output *o)
{
    if (o)
        rec_output_release(o);
    free(o);
}

static int finish(struct run_beam *w, struct beam_finished *f, struct idem_err *err)
{
    const struct beam_candidate *c = &w->candidates[f->candidate];
    struct run_seq *q = extend(w, c, err);
    struct rec_output *o = q ? calloc(1, sizeof *o) : NULL;
    int rc = o ? 0 : q ? err_memory(err, "an output", sizeof *o) : -1;
    if (rc == 0)
        rc = run_seq_finish(q, q->n_top ? &w->now[c->beam].logits : NULL, o, err);
    run_seq_free(q);
    if (rc) {
        free(o);
        return -1;
    }
    o->score = f->score;
    f->output = o;
    return 0;
}

static int finish_all(struct run_beam *w, struct idem_err *err)
{
    struct beam_state *s = &w->state;
    for (size_t i = s->n_pool; i < s->n_pool + s->n_fell; i++) {
        output_free(s->pool[i].output);
        s->pool[i].output = NULL;
    }
    for (size_t i = 0; i < s->n_pool; i++)
        if (s->pool[i].candidate != SIZE_MAX && finish(w, &s->pool[i], err))
            return -1;
    return 0;
}

static void beam_free(struct run_beam *w, struct beam *bm)
{
    if (bm->node >= 0)
        w->b->ops->release(w->b, bm->node);
    digest_release(&bm->logits);
    run_seq_free(bm->seq);
    *bm = (struct beam){.node = -1};
}

/* Forks the parent's node, or takes it over if no beam after this one needs it. */
static int take_node(struct run_beam *w, size_t place, struct beam *child, struct idem_err *err)
{
    struct beam *parent = &w->now[w->candidates[w->state.running[place]].beam];
    bool needed = false;
    for (size_t i = place + 1; i < w->state.n_running; i++)
        needed |= &w->now[w->candidates[w->state.running[i]].beam] == parent;
    child->len = parent->len;
    if (needed) {
        child->node = w->b->ops->fork(w->b, parent->node, parent->len, err);
        return child->node < 0 ? -1 : 0;
    }
    child->node = parent->node;
    parent->node = -1;
    return 0;
}

/* The chosen candidates become the running beams. */
static int spread(struct run_beam *w, struct idem_err *err)
{
    size_t n = 0;
    int rc = 0;
    for (; n < w->state.n_running && rc == 0; n++) {
        const struct beam_candidate *c = &w->candidates[w->state.running[n]];
        struct beam *child = &w->next[n];
        *child = (struct beam){.node = -1, .sum = c->sum};
        child->seq = extend(w, c, err);
        rc = child->seq ? take_node(w, n, child, err) : -1;
        if (rc == 0 && w->job->n_top && digest_copy(&child->logits, &w->now[c->beam].logits))
            rc = err_memory(err, "a digest", 0);
    }
    for (size_t i = 0; i < w->n_now; i++)
        beam_free(w, &w->now[i]);
    struct beam *old = w->now;
    w->now = w->next;
    w->next = old;
    w->n_now = n;
    return rc;
}

/* ---- one search -------------------------------------------------------------------------------------- */

static int open_slots(struct run_beam *w, struct idem_err *err)
{
    size_t n = w->job->set->num_beams, tops = w->job->n_top ? w->job->n_top : 1;
    w->n_keep = beam_n_candidates(w->job->set, w->n_ends);
    w->now = calloc(n, sizeof *w->now);
    w->next = calloc(n, sizeof *w->next);
    w->slots = calloc(n, sizeof *w->slots);
    w->candidates = calloc(w->n_keep, sizeof *w->candidates);
    if (!w->now || !w->next || !w->slots || !w->candidates)
        return err_memory(err, "a beam search", n * sizeof *w->slots);
    for (size_t i = 0; i < n; i++) {
        struct slot *s = &w->slots[i];
        w->now[i].node = w->next[i].node = -1;
        s->x = malloc(w->n_vocab * sizeof *s->x);
        s->offers = calloc(w->n_keep, sizeof *s->offers);
        s->raw.top = calloc(tops, sizeof *s->raw.top);
        if (!s->x || !s->offers || !s->raw.top)
            return err_memory(err, "the logits of a beam search",
                              (unsigned long long)n * w->n_vocab * sizeof *s->x);
    }
    return 0;
}

static int open_search(struct run_beam *w, struct idem_err *err)
{
    const struct run_beam_job *j = w->job;
    if (beam_open(&w->state, j->set, err) || open_slots(w, err))
        return -1;
    w->n_now = 1;
    w->now[0].seq = run_seq_new(j->set, j->prompt, j->n_prompt, j->key_prompt, j->n_key_prompt,
                                j->seed, 0, j->n_top, err);
    if (!w->now[0].seq)
        return -1;
    if (j->noise_seed)
        w->now[0].seq->noise.seed = *j->noise_seed;
    if (j->n_top && digest_init(&w->now[0].logits))
        return err_memory(err, "a digest", 0);
    return 0;
}

static void close_search(struct run_beam *w)
{
    size_t n = w->job->set->num_beams;
    for (size_t i = 0; w->now && i < w->n_now; i++)
        beam_free(w, &w->now[i]);
    for (size_t i = 0; w->slots && i < n; i++) {
        free(w->slots[i].x);
        free(w->slots[i].offers);
        free(w->slots[i].raw.top);
    }
    for (size_t i = 0; i < w->state.n_pool + w->state.n_fell; i++)
        output_free(w->state.pool[i].output);
    beam_close(&w->state);
    free(w->now);
    free(w->next);
    free(w->slots);
    free(w->candidates);
    w->now = w->next = NULL;
    w->slots = NULL;
    w->candidates = NULL;
    w->n_now = 0;
}

static int take_outputs(struct run_beam *w, struct rec_output *out, struct idem_err *err)
{
    uint32_t n = w->job->set->num_return_sequences;
    if (w->state.n_pool < n)
        return err_set(err, IDEM_ERR_USAGE, "the beam search found %zu sequences, but "
                       "num_return_sequences is %u; ask for fewer, or let the processors of the "
                       "sampler remove less", w->state.n_pool, n);
    for (uint32_t i = 0; i < n; i++) {
        struct rec_output *o = w->state.pool[i].output;
        out[i] = *o;
        free(o);
        w->state.pool[i].output = NULL;
    }
    return 0;
}

int run_beam_search(struct run_beam *w, const struct run_beam_job *job, struct rec_output *out,
                    struct run_beam_cost *cost, struct idem_err *err)
{
    double t0 = now_s(CLOCK_MONOTONIC);
    *cost = (struct run_beam_cost){.started = now_s(CLOCK_REALTIME)};
    memset(out, 0, job->set->num_return_sequences * sizeof *out);
    w->job = job;
    w->n_forward = 0;
    int rc = open_search(w, err);
    if (rc == 0)
        rc = root(w, err);
    while (rc == 0) {
        rc = gather(w, err);
        if (rc)
            break;
        beam_step(&w->state, w->candidates, w->n_candidates);
        rc = finish_all(w, err);
        if (rc || w->state.over)
            break;
        rc = spread(w, err);
        if (rc == 0)
            rc = advance(w, err);
    }
    if (rc == 0)
        rc = take_outputs(w, out, err);
    close_search(w);
    cost->n_forward = w->n_forward;
    cost->wall_ms = 1000 * (now_s(CLOCK_MONOTONIC) - t0);
    return rc;
}

/* ---- opening ------------------------------------------------------------------------------------------ */

static int open_buffers(struct run_beam *w, struct idem_err *err)
{
    w->items = calloc(w->o.batch, sizeof *w->items);
    if (!w->items)
        return err_memory(err, "a batch", w->o.batch * sizeof *w->items);
    w->crew = run_crew_open(w->o.threads ? w->o.threads : 1, err);
    if (!w->crew)
        return -1;
    w->samplers = calloc(run_crew_size(w->crew), sizeof *w->samplers);
    if (!w->samplers)
        return err_memory(err, "samplers", sizeof *w->samplers);
    for (; w->n_samplers < run_crew_size(w->crew); w->n_samplers++)
        if (!(w->samplers[w->n_samplers] = run_seq_sampler(w->b, w->n_vocab, &w->n_ends, err)))
            return -1;
    return 0;
}

struct run_beam *run_beam_open(struct backend *b, const struct run_walk_options *o,
                               struct idem_err *err)
{
    struct run_beam *w = calloc(1, sizeof *w);
    if (!w) {
        err_memory(err, "a beam search", sizeof *w);
        return NULL;
    }
    w->b = b;
    w->o = *o;
    if (!b->ops->node_new || !b->ops->fork || !b->ops->step || !b->ops->release)
        err_set(err, IDEM_ERR_UNSUPPORTED, "the backend '%s' has no nodes, so it cannot search with "
                "beams", b->ops->name);
    else {
        uint32_t chunk = o->chunk > o->batch ? o->chunk : o->batch;
        b->ops->sizes(b, &w->n_vocab, &w->n_ctx);
        if (open_buffers(w, err) == 0 &&
            ((!o->threads && !o->chunk) ||
             b->ops->host(b, o->threads, o->chunk ? chunk : 0, err) == 0))
            return w;
    }
    run_beam_close(w);
    return NULL;
}

void run_beam_close(struct run_beam *w)
{
    if (!w)
        return;
    run_beside_close(&w->beside);
    free(w->beside_ids);
    for (unsigned i = 0; i < w->n_samplers; i++)
        sample_close(w->samplers[i]);
    free(w->samplers);
    run_crew_close(w->crew);
    free(w->items);
    free(w);
}
