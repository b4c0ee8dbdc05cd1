/* SPDX-License-Identifier: MIT
 * Digests and scores: the logits after every token of a given text, in any host state. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/beside.h"
#include "run/run.h"
#include "run/seq.h"
#include "sample/sample.h"

/* A text on its way through the model. */
struct replay {
    struct backend *b;
    const int32_t *ids;          /* [n] */
    size_t n;
    struct rec_host host;        /* batch and chunk >= 1 */
    const struct arith_noise *noise;   /* NULL: none */
    run_stop_flag stop;
    int node;                    /* -1: none */
    size_t len;                  /* of node */
    struct run_beside beside;
    struct backend_item *items;  /* [batch], 0 is the text */

    /* Called for the logits after each position < n_wanted that were not delivered yet. */
    int (*on_pos)(struct replay *r, size_t pos, const struct backend_logits *l);
    size_t n_wanted, n_seen;
    int32_t argmax;              /* of the newest delivered */
    struct idem_err *err;
    struct idem_err pos_err;     /* of on_pos, which a step that it stops would write over */
    uint32_t n_vocab, n_ctx;

    struct digest digest;        /* run_digest */
    struct rec_output *out;      /* run_score */
    uint32_t n_top;
    struct sampler *sampler;
};

static int on_logits(void *ctx, const struct backend_logits *l)
{
    struct replay *r = ctx;
    if (l->item != 0 || l->pos != r->n_seen || l->pos >= r->n_wanted)
        return 0;                /* a companion, or a position that is known already */
    r->n_seen++;
    r->argmax = l->argmax;
    return r->on_pos(r, l->pos, l);
}

/* Appends tokens to the node, chunk by chunk, companions beside. */
static int append(struct replay *r, const int32_t *tokens, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t now = n - at < r->host.chunk ? n - at : r->host.chunk;
        size_t others = r->host.batch - 1;
        r->items[0] = (struct backend_item){.node = r->node, .tokens = tokens + at, .n_tokens = now,
                                            .all_logits = true};
        if (run_beside_items(&r->beside, others, now > 1 || n > 1, r->items + 1, r->err))
            return -1;
        if (r->b->ops->step(r->b, r->items, others + 1, on_logits, r, r->err)) {
            if (r->pos_err.code != IDEM_OK && r->err)
                *r->err = r->pos_err;
            return -1;
        }
        at += now;
        r->len += now;
        if (r->stop && *r->stop)
            return err_set(r->err, IDEM_ERR_INTERRUPTED, "interrupted after %zu tokens", r->n_seen);
    }
    return 0;
}

/* Goes on from the first n tokens of the node in a fork of it. */
static int fork_at(struct replay *r, size_t n)
{
    int forked = r->b->ops->fork(r->b, r->node, n, r->err);
    if (forked < 0)
        return -1;
    r->b->ops->release(r->b, r->node);
    r->node = forked;
    r->len = n;
    return 0;
}

/* Other tokens behind the text, which a fork then leaves. */
static int append_other(struct replay *r)
{
    int32_t other[5];
    if (r->n_ctx && r->len + 5 > r->n_ctx)
        return 0;
    for (size_t i = 0; i < 5; i++)
        other[i] = r->ids[(3 * i + 1) % r->n];
    return append(r, other, 5);
}

/* The whole text. cache forked: a longer sequence first, a fork in the middle of the text, the
 * rest on that fork, again something longer, and a fork at the text's end. */
static int append_text(struct replay *r)
{
    if (r->host.cache == REC_CACHE_COLD)
        return append(r, r->ids, r->n);
    size_t cut = r->n - 1 - r->n / 3;
    r->n_wanted = cut;
    if (append(r, r->ids, r->n) || append_other(r) || fork_at(r, cut))
        return -1;
    r->n_wanted = r->n;
    if (append(r, r->ids + cut, r->n - cut))
        return -1;
    return append_other(r) || fork_at(r, r->n) ? -1 : 0;
}

static int replay_open(struct replay *r, size_t n_greedy)
{
    struct idem_err *err = r->err;
    r->node = -1;
    if (r->n == 0)
        return err_set(err, IDEM_ERR_USAGE, "the text has no token; give one that is not empty");
    r->b->ops->sizes(r->b, &r->n_vocab, &r->n_ctx);
    if (r->n_ctx && r->n + n_greedy > r->n_ctx)
        return err_set(err, IDEM_ERR_LIMIT, "%zu tokens%s, but the context has %u; shorten the text "
                       "or raise --context", r->n + n_greedy, n_greedy ? " with the greedy ones" : "",
                       r->n_ctx);
    bool set = r->host.threads || r->host.chunk;
    uint32_t chunk = r->host.chunk;
    if (chunk && chunk < r->host.batch)
        chunk = r->host.batch;
    r->host.batch = r->host.batch ? r->host.batch : 1;
    if (set && r->b->ops->host(r->b, r->host.threads, chunk, err))
        return -1;
    if (!r->host.chunk)
        r->host.chunk = 512;
    r->n_wanted = r->n + n_greedy;
    r->items = calloc(r->host.batch, sizeof *r->items);
    if (!r->items)
        return err_memory(err, "a batch", r->host.batch * sizeof *r->items);
    if (run_beside_open(&r->beside, r->b, r->ids, r->n, r->n_ctx, r->host.batch - 1, err))
        return -1;
    r->node = run_node_new(r->b, r->noise, err);
    return r->node < 0 ? -1 : 0;
}

static void replay_close(struct replay *r)
{
    run_beside_close(&r->beside);
    if (r->node >= 0)
        r->b->ops->release(r->b, r->node);
    free(r->items);
    digest_release(&r->digest);
    sample_close(r->sampler);
}

/* ---- digest ------------------------------------------------------------------------------------ */

static int digest_pos(struct replay *r, size_t pos, const struct backend_logits *l)
{
    (void)pos;
    digest_f32s(&r->digest, l->logits, r->n_vocab);
    return 0;
}

int run_digest(struct backend *b, const int32_t *ids, size_t n, size_t n_greedy,
               const struct rec_host *host, const struct arith_noise *noise, run_stop_flag stop,
               char hex[DIGEST_HEX],
               size_t *n_tokens, struct idem_err *err)
{
    struct replay r = {.b = b, .ids = ids, .n = n, .host = *host, .noise = noise, .stop = stop, .err = err,
                       .on_pos = digest_pos};
    int rc = replay_open(&r, n_greedy);
    if (rc == 0 && digest_init(&r.digest))
        rc = err_memory(err, "a digest", 0);
    if (rc == 0) {
        rc = append_text(&r);
        r.n_wanted = n + n_greedy;
    }
    while (rc == 0 && r.n_seen < r.n_wanted && !b->ops->is_eog(b, r.argmax)) {
        int32_t token = r.argmax;
        rc = append(&r, &token, 1);
    }
    if (rc == 0) {
        digest_final(&r.digest, hex);
        *n_tokens = r.n_seen;
    }
    replay_close(&r);
    return rc;
}

/* ---- score -------------------------------------------------------------------------------------- */

/* The logits after `pos` are what the model said of the token at pos + 1. */
static int score_pos(struct replay *r, size_t pos, const struct backend_logits *l)
{
    static const struct sample_key no_noise = {0};
    struct rec_settings raw;
    if (pos + 1 >= r->n)
        return 0;
    struct rec_token *t = &r->out->tokens[pos + 1];
    struct sample_stats stats = {.logsumexp = l->logsumexp, .entropy = l->entropy, .max = l->max,
                                 .argmax = l->argmax};
    rec_settings_default(&raw, REC_SAMPLER_HF);
    t->top = r->n_top ? r->out->tops + (pos + 1) * r->n_top : NULL;
    if (sample_step(r->sampler, &raw, l->logits, &stats, r->ids, pos + 1, &no_noise, r->n_top, t,
                    &r->pos_err))
        return -1;
    t->id = r->ids[pos + 1];
    t->logprob = t->logprob_processed = (float)((double)l->logits[t->id] - l->logsumexp);
    return 0;
}

static int score_room(struct replay *r)
{
    size_t tops = r->n_top ? r->n_top : 1;
    for (size_t i = 0; i < r->n; i++)
        if (r->ids[i] < 0 || (uint32_t)r->ids[i] >= r->n_vocab)
            return err_set(r->err, IDEM_ERR_USAGE, "token %zu has the id %d; the vocabulary has 0 to "
                           "%u", i, r->ids[i], r->n_vocab - 1);
    if (r->n > SIZE_MAX / sizeof(struct rec_top) / tops)
        return err_memory(r->err, "scores", SIZE_MAX);
    r->out->tokens = calloc(r->n, sizeof *r->out->tokens);
    r->out->tops = calloc(r->n * tops, sizeof *r->out->tops);
    if (!r->out->tokens || !r->out->tops)
        return err_memory(r->err, "scores", r->n * tops * sizeof(struct rec_top));
    r->out->n_tokens = r->n;
    r->out->tokens[0] = (struct rec_token){.id = r->ids[0], .logprob = NAN, .logprob_processed = NAN,
                                           .entropy = NAN, .margin = NAN, .tail_mass = NAN};
    r->sampler = sample_open(r->n_vocab, r->err);
    return r->sampler ? 0 : -1;
}

int run_score(struct backend *b, const int32_t *ids, size_t n, uint32_t n_top,
              const struct rec_host *host, const struct arith_noise *noise, run_stop_flag stop,
              struct rec_output *out,
              struct idem_err *err)
{
    struct replay r = {.b = b, .ids = ids, .n = n, .host = *host, .noise = noise, .stop = stop, .err = err,
                       .on_pos = score_pos, .out = out, .n_top = n_top};
    *out = (struct rec_output){.score = NAN};
    int rc = replay_open(&r, 0);
    if (rc == 0) {
        r.n_top = n_top < r.n_vocab ? n_top : r.n_vocab;
        rc = score_room(&r);
    }
    if (rc == 0)
        rc = append_text(&r);
    replay_close(&r);
    if (rc)
        rec_output_release(out);
    return rc;
}
