/* SPDX-License-Identifier: MIT
 * One request: its samples walk a prefix tree of their own, or it is a beam search. */
#include <stdlib.h>
#include <string.h>

#include "run/beam.h"
#include "run/run.h"
#include "run/walk.h"

enum { TOGETHER_MAX = 16 };      /* samples or beams decoded as one batch, unless the host state says more */

struct gen {
    struct backend *b;
    const struct run_request *r;
    run_token_fn on_token;
    void *ctx;
    struct rec_output *out;
    struct run_walk *walk;
    bool fed;
};

static int on_feed(void *ctx, struct idem_err *err)
{
    struct gen *g = ctx;
    const struct run_request *r = g->r;
    uint32_t n = r->settings.num_return_sequences;
    const int32_t *key = r->key_prompt ? r->key_prompt : r->prompt;
    size_t n_key = r->key_prompt ? r->n_key_prompt : r->n_prompt;
    if (g->fed)
        return 0;
    g->fed = true;
    struct run_seq **seqs = calloc(n, sizeof *seqs);
    uint32_t i = 0;
    int rc = seqs ? 0 : err_memory(err, "samples", n * sizeof *seqs);
    for (; i < n && rc == 0; i++) {
        seqs[i] = run_seq_new(&r->settings, r->prompt, r->n_prompt, key, n_key, r->seed, i, r->n_top,
                              err);
        if (seqs[i])
            seqs[i]->tag = i;
        else
            rc = -1;
        if (seqs[i] && r->noise_seed)
            seqs[i]->noise.seed = *r->noise_seed;
    }
    if (rc == 0)
        rc = run_walk_add(g->walk, seqs, n, err);   /* they are the walk's now */
    else
        for (uint32_t k = 0; seqs && k < i; k++)
            run_seq_free(seqs[k]);
    free(seqs);
    return rc ? -1 : 1;
}

static int on_draw(void *ctx, struct run_seq *s)
{
    struct gen *g = ctx;
    size_t len = 0;
    if (!g->on_token)
        return 0;
    const char *bytes = run_seq_news(s, &len);
    return g->on_token(g->ctx, (uint32_t)s->tag, &s->last, bytes, len);
}

static int on_end(void *ctx, struct run_seq *s, struct rec_output *o, struct idem_err *err)
{
    struct gen *g = ctx;
    (void)err;
    g->out[s->tag] = *o;
    return 0;
}

static int check_room(struct backend *b, const struct run_request *r, struct idem_err *err)
{
    uint32_t n_vocab, n_ctx;
    if (r->n_prompt == 0)
        return err_set(err, IDEM_ERR_USAGE, "the prompt has no token; give a text that is not empty");
    b->ops->sizes(b, &n_vocab, &n_ctx);
    uint64_t need = r->n_prompt + (uint64_t)r->settings.max_new_tokens;
    if (n_ctx && need > (uint64_t)n_ctx + 1)
        return err_set(err, IDEM_ERR_LIMIT, "the prompt has %zu tokens and max_new_tokens is %u, but "
                       "the context has %u; shorten the prompt, lower max_new_tokens, or raise "
                       "--context", r->n_prompt, r->settings.max_new_tokens, n_ctx);
    return 0;
}

/* Tells of the tokens of a finished output, which a beam search knows only at its end. */
static int tell_output(struct gen *g, uint32_t sample, struct idem_err *err)
{
    const struct rec_output *o = &g->out[sample];
    size_t at = 0;
    for (size_t i = 0; g->on_token && i < o->n_tokens; i++) {
        const struct rec_token *t = &o->tokens[i];
        size_t len = 0;
        bool silent = g->b->ops->is_control(g->b, t->id) || g->b->ops->is_eog(g->b, t->id);
        if (!silent)
            g->b->ops->token_bytes(g->b, t->id, &len);
        if (len > o->text_len - at)          /* a stop text cut it off */
            len = o->text_len - at;
        if (g->on_token(g->ctx, sample, t, len ? o->text + at : NULL, len))
            return err_set(err, IDEM_ERR_INTERRUPTED, "stopped after %zu tokens", i + 1);
        at += len;
    }
    return 0;
}

static int search(struct gen *g, const struct run_walk_options *o, struct idem_err *err)
{
    const struct run_request *r = g->r;
    struct run_beam_cost cost;
    struct run_beam_job job = {
        .set = &r->settings, .prompt = r->prompt, .n_prompt = r->n_prompt,
        .key_prompt = r->key_prompt ? r->key_prompt : r->prompt,
        .n_key_prompt = r->key_prompt ? r->n_key_prompt : r->n_prompt, .seed = r->seed,
        .noise_seed = r->noise_seed, .n_top = r->n_top,
    };
    struct run_beam *w = run_beam_open(g->b, o, err);
    int rc = w ? run_beam_search(w, &job, g->out, &cost, err) : -1;
    run_beam_close(w);
    for (uint32_t i = 0; rc == 0 && i < r->settings.num_return_sequences; i++)
        rc = tell_output(g, i, err);
    return rc;
}

int run_generate(struct backend *b, const struct run_request *r, run_token_fn on_token, void *ctx,
                 run_stop_flag stop, struct rec_output *out, struct idem_err *err)
{
    struct gen g = {.b = b, .r = r, .on_token = on_token, .ctx = ctx, .out = out};
    uint32_t n = r->settings.num_return_sequences;
    memset(out, 0, n * sizeof *out);
    if (sample_check(&r->settings, err) || check_room(b, r, err))
        return -1;
    uint32_t batch = r->settings.num_beams > 1 ? r->settings.num_beams : n;
    if (batch > TOGETHER_MAX)
        batch = TOGETHER_MAX;
    if (r->host.batch > batch)
        batch = r->host.batch;
    struct run_walk_options wo = {
        .threads = r->host.threads, .chunk = r->host.chunk, .batch = batch,
        .exact_batch = r->host.batch > 1, .cache = r->host.cache, .stop = stop, .feed = on_feed,
        .token = on_draw, .ended = on_end, .ctx = &g,
    };
    int rc;
    if (r->settings.num_beams > 1) {
        rc = search(&g, &wo, err);
    } else {
        g.walk = run_walk_open(b, &wo, err);
        rc = g.walk ? run_walk_run(g.walk, err) : -1;
        run_walk_close(g.walk);
    }
    for (uint32_t i = 0; rc && i < n; i++)
        rec_output_release(&out[i]);
    return rc;
}
