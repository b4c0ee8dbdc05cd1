/* SPDX-License-Identifier: MIT
 * Drawing, appending, ending: the life of one output. */
#include "run/seq.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 256 << 20 };

int run_node_new(struct backend *b, const struct arith_noise *z, struct idem_err *err)
{
    if (!z || arith_noise_is_none(z))
        return b->ops->node_new(b, err);
    if (!b->ops->node_new_noisy)
        return err_set(err, IDEM_ERR_UNSUPPORTED, "the backend '%s' cannot add noise to its "
                       "arithmetic; leave the noise out, or use the built-in engine", b->ops->name);
    return b->ops->node_new_noisy(b, z, err);
}

struct sampler *run_seq_sampler(struct backend *b, size_t n_vocab, size_t *n_ends,
                                struct idem_err *err)
{
    struct sampler *s = sample_open(n_vocab, err);
    int32_t *ends = s ? malloc(n_vocab * sizeof *ends) : NULL;
    int rc = ends || !s ? 0 : err_memory(err, "a list of tokens", n_vocab * sizeof *ends);
    *n_ends = 0;
    for (size_t i = 0; ends && i < n_vocab; i++)
        if (b->ops->is_eog(b, (int32_t)i))
            ends[(*n_ends)++] = (int32_t)i;
    if (ends)
        rc = sample_ends(s, ends, *n_ends, err);
    free(ends);
    if (rc) {
        sample_close(s);
        return NULL;
    }
    return s;
}

struct run_seq *run_seq_new(const struct rec_settings *set, const int32_t *prompt, size_t n_prompt,
                            const int32_t *key_prompt, size_t n_key_prompt, uint64_t seed,
                            uint32_t sample, uint32_t n_top, struct idem_err *err)
{
    struct run_seq *s = calloc(1, sizeof *s);
    int32_t *context = malloc((n_prompt + 1) * sizeof *context);
    if (!s || !context) {
        err_memory(err, "an output", sizeof *s + n_prompt * sizeof *context);
        free(context);
        free(s);
        return NULL;
    }
    *s = (struct run_seq){.set = set, .prompt = prompt, .n_prompt = n_prompt, .n_top = n_top,
                          .context = context, .noise = rec_noise(set, seed), .out.score = NAN};
    memcpy(context, prompt, n_prompt * sizeof *prompt);
    buf_init(&s->text, TEXT_MAX);
    sample_key_init(&s->key, seed, key_prompt, n_key_prompt, sample);
    return s;
}

void run_seq_free(struct run_seq *s)
{
    if (!s)
        return;
    rec_output_release(&s->out);
    free(s->context);
    buf_release(&s->text);
    free(s);
}

/* Room for one more token in all arrays. */
static int grow(struct run_seq *s)
{
    struct rec_output *o = &s->out;
    if (o->n_tokens < s->cap_tokens)
        return 0;
    size_t cap = s->cap_tokens ? 2 * s->cap_tokens : 32;
    if (cap > s->set->max_new_tokens)
        cap = s->set->max_new_tokens;
    size_t tops = s->n_top ? s->n_top : 1;
    struct rec_token *t = realloc(o->tokens, cap * sizeof *t);
    if (t)
        o->tokens = t;
    struct rec_top *top = t ? realloc(o->tops, cap * tops * sizeof *top) : NULL;
    if (top)
        o->tops = top;
    int32_t *ctx = top ? realloc(s->context, (s->n_prompt + cap) * sizeof *ctx) : NULL;
    if (!ctx)
        return err_memory(&s->err, "an output", cap * (sizeof *t + tops * sizeof *top));
    s->context = ctx;
    s->cap_tokens = cap;
    return 0;
}

/* Where the earliest stop text begins that the newest bytes completed; SIZE_MAX: none. */
static size_t find_stop(const struct run_seq *s, size_t n_text_before)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < s->set->n_stop; i++) {
        const char *stop = s->set->stop[i];
        size_t len = strlen(stop);
        size_t from = n_text_before >= len ? n_text_before - len + 1 : 0;
        if (s->text.len < len)
            continue;
        const char *hit = memmem(s->text.data + from, s->text.len - from, stop, len);
        if (hit && (size_t)(hit - s->text.data) < best)
            best = (size_t)(hit - s->text.data);
    }
    return best;
}

static void cut_text(struct run_seq *s, size_t len)
{
    s->text.len = len;
    if (s->text.data)
        s->text.data[len] = '\0';
}

/* Appends what a token adds to the text. */
static int add_text(struct run_seq *s, struct backend *b, int32_t id)
{
    size_t len = 0;
    bool control = b->ops->is_control(b, id);
    const char *bytes = control ? NULL : b->ops->token_bytes(b, id, &len);
    if (bytes && len && buf_append(&s->text, bytes, len))
        return err_memory(&s->err, "the text of an output", s->text.len);
    return 0;
}

/* Makes s->last the newest token. It and its alternatives are in their place already. */
static int accept(struct run_seq *s, struct backend *b)
{
    struct rec_output *o = &s->out;
    size_t i = o->n_tokens;
    if (!s->n_top) {             /* asked not to capture: what was computed is not kept */
        s->last = (struct rec_token){.id = s->last.id, .logprob = NAN, .logprob_processed = NAN,
                                     .entropy = NAN, .margin = NAN, .tail_mass = NAN};
    }
    o->tokens[i] = s->last;
    s->context[s->n_prompt + i] = s->last.id;
    o->n_tokens = i + 1;
    s->n_text_before = s->text.len;
    if (b->ops->is_eog(b, s->last.id)) {
        o->stop = REC_STOP_EOS;
        return 0;
    }
    if (add_text(s, b, s->last.id))
        return -1;
    size_t stop = find_stop(s, s->n_text_before);
    if (stop != SIZE_MAX) {
        cut_text(s, stop);
        o->stop = REC_STOP_STOP;
    } else if (o->n_tokens >= s->set->max_new_tokens) {
        o->stop = REC_STOP_LENGTH;
    }
    return 0;
}

int run_seq_draw(struct run_seq *s, struct sampler *sampler, struct backend *b,
                 const float *logits, const struct sample_stats *stats)
{
    struct rec_output *o = &s->out;
    size_t i = o->n_tokens;
    if (grow(s))
        return -1;
    s->key.position = (uint32_t)i;
    s->last = (struct rec_token){.top = o->tops + i * s->n_top};
    if (sample_step(sampler, s->set, logits, stats, s->context, s->n_prompt + i, &s->key, s->n_top,
                    &s->last, &s->err))
        return -1;
    return accept(s, b);
}

int run_seq_push(struct run_seq *s, struct backend *b, const struct rec_token *t)
{
    if (grow(s))
        return -1;
    s->last = *t;
    s->last.top = s->out.tops + s->out.n_tokens * s->n_top;
    if (s->n_top)
        memcpy(s->last.top, t->top, t->n_top * sizeof *t->top);
    return accept(s, b);
}

int run_seq_would_end(struct run_seq *s, struct backend *b, int32_t id, bool *ends)
{
    size_t before = s->text.len;
    *ends = b->ops->is_eog(b, id) || s->out.n_tokens + 1 >= s->set->max_new_tokens;
    if (*ends || s->set->n_stop == 0)
        return 0;
    if (add_text(s, b, id))
        return -1;
    *ends = find_stop(s, before) != SIZE_MAX;
    cut_text(s, before);
    return 0;
}

struct run_seq *run_seq_clone(const struct run_seq *s, struct idem_err *err)
{
    struct run_seq *c = calloc(1, sizeof *c);
    size_t n = s->out.n_tokens, tops = s->n_top ? s->n_top : 1;
    if (!c) {
        err_memory(err, "a beam", sizeof *c);
        return NULL;
    }
    *c = (struct run_seq){.set = s->set, .prompt = s->prompt, .n_prompt = s->n_prompt, .key = s->key,
                          .noise = s->noise,
                          .n_top = s->n_top, .tag = s->tag, .last = s->last,
                          .cap_tokens = n, .started = s->started};
    c->out.score = s->out.score;
    c->out.n_tokens = n;
    buf_init(&c->text, TEXT_MAX);
    c->context = malloc((s->n_prompt + n + 1) * sizeof *c->context);
    c->out.tokens = malloc((n + 1) * sizeof *c->out.tokens);
    c->out.tops = malloc((n + 1) * tops * sizeof *c->out.tops);
    if (s->text.len)
        buf_add(&c->text, s->text.data, s->text.len);
    if (!c->context || !c->out.tokens || !c->out.tops || c->text.failed) {
        run_seq_free(c);
        err_memory(err, "a beam", (n + 1) * tops * sizeof *c->out.tops);
        return NULL;
    }
    memcpy(c->context, s->context, (s->n_prompt + n) * sizeof *c->context);
    if (n) {
        memcpy(c->out.tokens, s->out.tokens, n * sizeof *c->out.tokens);
        memcpy(c->out.tops, s->out.tops, n * tops * sizeof *c->out.tops);
    }
    return c;
}

/* Length of the longest end of the text that is a beginning of a stop text. */
static size_t held_back(const struct run_seq *s)
{
    size_t best = 0;
    for (size_t i = 0; i < s->set->n_stop; i++) {
        size_t len = strlen(s->set->stop[i]);
        size_t n = len - 1 < s->text.len ? len - 1 : s->text.len;
        for (; n > best; n--)
            if (!memcmp(s->text.data + s->text.len - n, s->set->stop[i], n))
                best = n;
    }
    return best;
}

const char *run_seq_news(struct run_seq *s, size_t *len)
{
    size_t from = s->n_shown, to = s->text.len;
    if (s->out.stop == REC_STOP_NONE)
        to -= held_back(s);
    *len = to > from ? to - from : 0;
    if (*len == 0)
        return NULL;
    s->n_shown = to;
    return s->text.data + from;
}

int run_seq_finish(struct run_seq *s, const struct digest *logits, struct rec_output *o,
                   struct idem_err *err)
{
    s->out.logits_digest[0] = '\0';
    if (logits) {
        struct digest d = {0};
        if (digest_copy(&d, logits))
            return err_memory(err, "a digest", 0);
        digest_final(&d, s->out.logits_digest);
    }
    for (size_t i = 0; i < s->out.n_tokens; i++)
        s->out.tokens[i].top = s->n_top ? s->out.tops + i * s->n_top : NULL;
    s->out.text_len = s->text.len;
    s->out.text = buf_detach(&s->text);
    if (!s->out.text)
        return err_memory(err, "the text of an output", s->out.text_len);
    *o = s->out;
    s->out = (struct rec_output){0};
    return 0;
}
