/* SPDX-License-Identifier: MIT
 * Carries out a plan: passes of trials that share a way of being computed, what is stored
 * already left out, progress told. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "run/beam.h"
#include "run/run.h"
#include "run/walk.h"

enum { SEEDS_GROUP = 256 };      /* sequences that share one root at most: bounds the live nodes */

struct ids { int32_t *ids; size_t n; };

struct exec {
    const struct plan *p;
    struct backend *b;
    struct store *s;
    const struct run_options *o;
    struct ids *prompts;         /* [n_prompts] */
    size_t next, end;            /* trials of the current pass still to be handed out */
    uint8_t *handed;             /* [n_trials] SEEDS trials behind next that were handed out already */
    bool seeds;                  /* the current pass is over SEEDS and PERTURBED trials */
    struct run_walk *walk;
    double committed, told;      /* monotonic seconds */
    struct run_progress progress;
    double work_total, work_done, work_begun, began;
    double rate_from;            /* of tok_s: when and where its window began */
    uint64_t rate_tokens;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int name_trial(const struct exec *x, size_t index, struct idem_err *err)
{
    if (index >= x->p->n_trials)
        return -1;
    const struct rec_trial *t = &x->p->trials[index];
    return err_prefix(err, "trial %" PRIu64 " (%s, prompt '%s', setting '%s', seed %" PRIu64
                      ", host %s)", t->index, rec_purpose_name(t->purpose),
                      x->p->prompts[t->prompt].id, x->p->settings[t->setting].id, t->seed,
                      x->p->hosts[t->host].id);
}

/* ---- progress ------------------------------------------------------------------------------------ */

static const struct rec_settings *settings_of(const struct exec *x, const struct rec_trial *t)
{
    return &x->p->settings[t->setting].values;
}

/* Rough cost of a trial in tokens of a full batch, for the time left: a token alone costs about
 * three times what it costs among eight, and of the SEEDS trials about half is shared. */
static double work_of(const struct exec *x, const struct rec_trial *t)
{
    double decode = (double)settings_of(x, t)->max_new_tokens * settings_of(x, t)->num_beams;
    uint32_t batch = x->p->hosts[t->host].state.batch;
    if (rec_purpose_shares(t->purpose))
        return 0.5 * decode;
    double alone = batch >= 8 ? 1 : 1 + 2 * (double)(8 - batch) / 7;
    return decode * alone + (double)x->prompts[t->prompt].n;
}

static void tell(struct exec *x, bool always)
{
    double now = now_s();
    if (!x->o->progress || (!always && now - x->told < 0.1))
        return;
    double done = x->work_done - x->work_begun, left = x->work_total - x->work_done;
    x->told = now;
    x->progress.eta_s = done > 0 ? (now - x->began) * left / done : -1;
    if (now - x->rate_from >= 1 || x->progress.tok_s <= 0) {
        double dt = now - x->rate_from;
        if (dt > 0)
            x->progress.tok_s = (double)(x->progress.tokens - x->rate_tokens) / dt;
        x->rate_from = now;
        x->rate_tokens = x->progress.tokens;
    }
    x->o->progress(x->o->progress_ctx, &x->progress);
}

static void on_step(void *ctx, uint64_t n_tokens)
{
    struct exec *x = ctx;
    x->progress.tokens += n_tokens;
    tell(x, false);
}

/* ---- handing out trials and taking in outputs ------------------------------------------------------- */

static int keep(struct exec *x, size_t index, const struct rec_output *o,
                const struct store_how *how, struct idem_err *err)
{
    const struct rec_trial *t = &x->p->trials[index];
    if (store_put_output(x->s, t->index, o, how, err))
        return -1;
    x->progress.done++;
    x->work_done += work_of(x, t);
    double now = now_s();
    if (now - x->committed < 1)
        return 0;
    x->committed = now;
    return store_commit(x->s, err);
}

static int on_end(void *ctx, struct run_seq *q, struct rec_output *o, struct idem_err *err)
{
    struct exec *x = ctx;
    struct store_how how = {
        .computed = x->seeds ? STORE_COMPUTED_SHARED : STORE_COMPUTED_ANEW,
        .started = q->started, .wall_ms = q->wall_ms, .n_forward = q->n_forward,
    };
    int rc = keep(x, q->tag, o, &how, err);
    rec_output_release(o);
    return rc;
}

/* The noise is keyed by the unperturbed prompt: perturbations are compared under the same numbers. */
static const struct ids *key_ids(const struct exec *x, const struct rec_trial *t)
{
    return &x->prompts[x->p->prompts[t->prompt].base];
}

static struct run_seq *make_seq(struct exec *x, size_t index, struct idem_err *err)
{
    const struct rec_trial *t = &x->p->trials[index];
    const struct ids *q = &x->prompts[t->prompt], *key = key_ids(x, t);
    struct run_seq *s = run_seq_new(&x->p->settings[t->setting].values, q->ids, q->n, key->ids, key->n,
                                    t->seed, t->sample, t->n_top, err);
    if (s)
        s->tag = index;
    return s;
}

/* Whether two trials of one prompt have the same arithmetic, so that they may share a prefix. */
static bool same_noise(const struct exec *x, const struct rec_trial *a, const struct rec_trial *b)
{
    struct arith_noise z = rec_noise(settings_of(x, a), a->seed);
    return settings_of(x, a)->noise == settings_of(x, b)->noise &&
           (a->seed == b->seed || !arith_noise_is_seeded(&z));
}

/* One trial that is computed anew, or a group of SEEDS trials of one prompt and one noise: the
 * first that is left, and of those behind it what goes with it. */
static int on_feed(void *ctx, struct idem_err *err)
{
    struct exec *x = ctx;
    struct run_seq *group[SEEDS_GROUP];
    size_t n = 0, max = x->seeds ? SEEDS_GROUP : 1, i = x->next;
    bool left = false;           /* a trial of this prompt has other noise: for the next time */
    for (; i < x->end && n < max; i++) {
        const struct rec_trial *t = &x->p->trials[i];
        if (n > 0 && t->prompt != x->p->trials[group[0]->tag].prompt)
            break;
        if (x->handed[i] || store_is_done(x->s, t->index) || settings_of(x, t)->num_beams > 1)
            continue;
        if (n > 0 && !same_noise(x, t, &x->p->trials[group[0]->tag])) {
            x->next = left ? x->next : i;
            left = true;
            continue;
        }
        if (!(group[n] = make_seq(x, i, err))) {
            name_trial(x, i, err);
            while (n-- > 0)
                run_seq_free(group[n]);
            return -1;
        }
        x->handed[i] = 1;
        n++;
    }
    if (!left)
        x->next = i;
    if (n == 0)
        return 0;
    x->progress.stage = rec_purpose_name(x->p->trials[group[0]->tag].purpose);
    return run_walk_add(x->walk, group, n, err) ? -1 : 1;
}

/* ---- beam searches ------------------------------------------------------------------------------------ */

/* Whether one search gives the outputs of both. Trials other than SEEDS are computed anew. */
static bool same_search(const struct exec *x, const struct rec_trial *a, const struct rec_trial *b)
{
    const struct rec_settings *set = settings_of(x, a);
    return x->seeds && a->prompt == b->prompt && a->setting == b->setting && a->n_top == b->n_top &&
           (!rec_settings_seeded(set) || a->seed == b->seed);
}

/* The search of trial `index`, and the outputs of those behind it that it serves. */
static int search(struct exec *x, struct run_beam *w, size_t index, size_t to, struct idem_err *err)
{
    const struct rec_trial *first = &x->p->trials[index];
    const struct ids *q = &x->prompts[first->prompt];
    const struct rec_settings *set = settings_of(x, first);
    const struct ids *key = key_ids(x, first);
    struct run_beam_job job = {.set = set, .prompt = q->ids, .n_prompt = q->n, .key_prompt = key->ids,
                               .n_key_prompt = key->n, .seed = first->seed, .n_top = first->n_top};
    struct run_beam_cost cost;
    size_t end = index + 1;
    while (end < to && same_search(x, first, &x->p->trials[end]))
        end++;
    struct rec_output *out = calloc(set->num_return_sequences, sizeof *out);
    if (!out)
        return err_memory(err, "outputs", set->num_return_sequences * sizeof *out);
    int rc = run_beam_search(w, &job, out, &cost, err);
    for (size_t i = index; i < end && rc == 0; i++) {
        struct store_how how = {
            .computed = x->seeds ? STORE_COMPUTED_SHARED : STORE_COMPUTED_ANEW,
            .started = cost.started, .wall_ms = cost.wall_ms / (double)(end - index),
            .n_forward = i == index ? cost.n_forward : 0,
        };
        if (!store_is_done(x->s, x->p->trials[i].index))
            rc = keep(x, i, &out[x->p->trials[i].sample], &how, err);
    }
    for (uint32_t i = 0; i < set->num_return_sequences; i++)
        rec_output_release(&out[i]);
    free(out);
    return rc;
}

/* The trials of a pass that search with beams, one search after another. */
static int run_searches(struct exec *x, size_t from, size_t to, const struct run_walk_options *wo,
                        struct idem_err *err)
{
    struct run_beam *w = NULL;
    int rc = 0;
    for (size_t i = from; i < to && rc == 0; i++) {
        const struct rec_trial *t = &x->p->trials[i];
        if (store_is_done(x->s, t->index) || settings_of(x, t)->num_beams == 1)
            continue;
        x->progress.stage = rec_purpose_name(t->purpose);
        if (!w && !(w = run_beam_open(x->b, wo, err)))
            return -1;
        rc = search(x, w, i, to, err);
        if (rc && (!err || err->code != IDEM_ERR_INTERRUPTED))
            name_trial(x, i, err);
    }
    run_beam_close(w);
    return rc;
}

/* ---- passes -------------------------------------------------------------------------------------------- */

static bool same_pass(const struct rec_trial *a, const struct rec_trial *b)
{
    bool sa = rec_purpose_shares(a->purpose), sb = rec_purpose_shares(b->purpose);
    return sa == sb && a->host == b->host;
}

static int run_pass(struct exec *x, size_t from, size_t to, struct idem_err *err)
{
    const struct rec_trial *t = &x->p->trials[from];
    const struct rec_host *h = &x->p->hosts[t->host].state;
    x->seeds = rec_purpose_shares(t->purpose);
    x->next = from;
    x->end = to;
    x->progress.stage = rec_purpose_name(t->purpose);
    struct run_walk_options wo = {
        .threads = h->threads, .chunk = h->chunk, .batch = h->batch, .exact_batch = true,
        .cache = h->cache, .stop = x->o->stop, .feed = on_feed, .ended = on_end,
        .stepped = on_step, .ctx = x,
    };
    if (x->seeds) {
        wo.exact_batch = false;
        wo.cache = REC_CACHE_COLD;
        wo.threads = x->o->threads ? x->o->threads : h->threads;
        wo.batch = x->o->batch ? x->o->batch : h->batch;
    }
    x->walk = run_walk_open(x->b, &wo, err);
    if (!x->walk)
        return -1;
    int rc = run_walk_run(x->walk, err);
    if (rc && (!err || err->code != IDEM_ERR_INTERRUPTED))
        name_trial(x, run_walk_culprit(x->walk), err);
    run_walk_close(x->walk);
    x->walk = NULL;
    return rc ? rc : run_searches(x, from, to, &wo, err);
}

static int run_passes(struct exec *x, struct idem_err *err)
{
    const struct plan *p = x->p;
    for (size_t from = 0, to; from < p->n_trials; from = to) {
        bool open = false;
        for (to = from; to < p->n_trials && same_pass(&p->trials[from], &p->trials[to]); to++)
            open |= !store_is_done(x->s, p->trials[to].index);
        if (open && run_pass(x, from, to, err))
            return -1;
    }
    return 0;
}

/* ---- before the first trial ------------------------------------------------------------------------------ */

int run_prompt_ids(struct backend *b, const struct plan_prompt *p, int32_t **ids, size_t *n,
                   struct idem_err *err)
{
    char *rendered = NULL;
    struct idem_chat_options o = {.chat_template = p->chat_template, .vars = p->chat_vars,
                                  .n_vars = p->n_chat_vars, .add_generation_prompt = true};
    int rc = p->chat ? b->ops->chat(b, p->system, p->text, &o, &rendered, err) : 0;
    const char *text = p->chat ? rendered : p->text;
    if (rc == 0)
        rc = b->ops->tokenize(b, text, strlen(text), p->chat ? BACKEND_TEXT_CHAT : BACKEND_TEXT_PLAIN, ids, n, err);
    free(rendered);
    if (rc == 0 && *n == 0) {
        free(*ids);
        *ids = NULL;
        rc = err_set(err, IDEM_ERR_USAGE, "the text gives no token; write a longer one");
    }
    return rc ? err_prefix(err, "prompt '%s'", p->id) : 0;
}

/* Every prompt must leave room for the longest output that is asked of it. */
static int check_room(const struct exec *x, const struct backend_description *d,
                      struct idem_err *err)
{
    for (size_t i = 0; i < x->p->n_prompts; i++)
        for (size_t j = 0; j < x->p->n_settings; j++) {
            uint64_t need = x->prompts[i].n + (uint64_t)x->p->settings[j].values.max_new_tokens;
            if (d->n_ctx && need > (uint64_t)d->n_ctx + 1)
                return err_set(err, IDEM_ERR_LIMIT, "prompt '%s' has %zu tokens and setting '%s' asks "
                               "for %u more, but the context has %u; shorten the prompt, lower "
                               "max_new_tokens, or raise --context", x->p->prompts[i].id,
                               x->prompts[i].n, x->p->settings[j].id,
                               x->p->settings[j].values.max_new_tokens, d->n_ctx);
        }
    return 0;
}

static int prepare(struct exec *x, struct idem_err *err)
{
    struct backend_description d;
    const struct plan *p = x->p;
    if (x->b->ops->describe(x->b, &d, err))
        return -1;
    if (strcmp(d.model_digest, p->model_digest) != 0 || strcmp(d.numerics, p->numerics) != 0)
        return err_set(err, IDEM_ERR_USAGE, "the plan is for model %.12s… with %s, but the backend "
                       "'%s' has model %.12s… with %s; expand the plan for this model",
                       p->model_digest, p->numerics, d.name, d.model_digest, d.numerics);
    for (size_t j = 0; j < p->n_settings; j++)
        if (sample_check(&p->settings[j].values, err))
            return err_prefix(err, "setting '%s'", p->settings[j].id);
    x->prompts = calloc(p->n_prompts + 1, sizeof *x->prompts);
    x->handed = calloc(p->n_trials + 1, sizeof *x->handed);
    if (!x->prompts || !x->handed)
        return err_memory(err, "prompts", p->n_prompts * sizeof *x->prompts + p->n_trials);
    for (size_t i = 0; i < p->n_prompts; i++) {
        struct ids *q = &x->prompts[i];
        if (run_prompt_ids(x->b, &p->prompts[i], &q->ids, &q->n, err) ||
            store_put_prompt_tokens(x->s, (uint32_t)i, q->ids, q->n, err))
            return -1;
    }
    if (check_room(x, &d, err))
        return -1;
    for (size_t i = 0; i < p->n_trials; i++) {
        double work = work_of(x, &p->trials[i]);
        bool done = store_is_done(x->s, p->trials[i].index);
        x->work_total += work;
        x->work_done += done ? work : 0;
        x->progress.done += done;
    }
    x->work_begun = x->work_done;
    return 0;
}

int run_execute(const struct plan *p, struct backend *b, struct store *s,
                const struct run_options *o, struct idem_err *err)
{
    static const struct run_options none = {0};
    struct exec x = {.p = p, .b = b, .s = s, .o = o ? o : &none};
    x.progress.total = p->n_trials;
    x.progress.stage = "";
    x.began = x.committed = x.rate_from = now_s();
    int rc = prepare(&x, err);
    if (rc == 0) {
        tell(&x, true);
        rc = run_passes(&x, err);
        /* What was finished is saved also after an error or a stop; its own error comes first. */
        struct idem_err late = {0};
        if (store_commit(s, rc ? &late : err))
            rc = -1;
        tell(&x, true);
    }
    for (size_t i = 0; x.prompts && i < p->n_prompts; i++)
        free(x.prompts[i].ids);
    free(x.prompts);
    free(x.handed);
    return rc;
}
