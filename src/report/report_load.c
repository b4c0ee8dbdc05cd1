/* SPDX-License-Identifier: MIT
 * A run from the store into memory: equal outputs held once, tokens once per output and setting. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_impl.h"

/* Two open-addressing tables of indices + 1; 0 is empty. */
struct table { uint32_t *slot; size_t n_slots, used; };

struct loader {
    struct report *r;
    struct table classes, variants;
    struct buf key;
};

static uint64_t class_hash(const struct rep_class *c)
{
    uint64_t part[4] = {c->prompt, (uint64_t)c->stop, digest_hash64(c->ids, c->n_ids * sizeof *c->ids),
                        digest_hash64(c->text, c->text_len)};
    return digest_hash64(part, sizeof part);
}

static uint64_t variant_hash(uint32_t cls, uint32_t setting)
{
    uint32_t part[2] = {cls, setting};
    return digest_hash64(part, sizeof part);
}

static bool same_class(const struct rep_class *a, const struct rep_class *b)
{
    return a->prompt == b->prompt && a->stop == b->stop && a->n_ids == b->n_ids &&
           a->text_len == b->text_len &&
           (a->n_ids == 0 || memcmp(a->ids, b->ids, a->n_ids * sizeof *a->ids) == 0) &&
           memcmp(a->text, b->text, a->text_len) == 0;
}

static uint64_t slot_hash(const struct loader *l, const struct table *t, uint32_t i)
{
    return t == &l->classes ? class_hash(&l->r->classes[i])
                            : variant_hash(l->r->variants[i].cls, l->r->variants[i].setting);
}

/* Keeps a table at most half full. */
static int table_reserve(struct loader *l, struct table *t, struct idem_err *err)
{
    if (t->n_slots && t->used * 2 < t->n_slots)
        return 0;
    size_t n = t->n_slots ? t->n_slots * 2 : 1024;
    uint32_t *slot = calloc(n, sizeof *slot);
    if (!slot)
        return err_memory(err, "the outputs of the run", n * sizeof *slot);
    for (size_t i = 0; i < t->n_slots; i++) {
        if (!t->slot[i])
            continue;
        size_t k = slot_hash(l, t, t->slot[i] - 1) & (n - 1);
        while (slot[k])
            k = (k + 1) & (n - 1);
        slot[k] = t->slot[i];
    }
    free(t->slot);
    t->slot = slot;
    t->n_slots = n;
    return 0;
}

static int grow(void **p, uint32_t *cap, uint32_t need, size_t size, struct idem_err *err)
{
    if (need <= *cap)
        return 0;
    uint32_t n = need + need / 2 + 64;
    void *q = realloc(*p, n * size);
    if (!q)
        return err_memory(err, "the outputs of the run", n * size);
    *p = q;
    *cap = n;
    return 0;
}

static void *copy_of(struct report *r, const void *data, size_t len)
{
    char *p = arena_alloc(&r->arena, len + 1);
    if (p && len)
        memcpy(p, data, len);
    return p;
}

static int intern_class(struct loader *l, const struct store_row *row, uint32_t *out,
                        struct idem_err *err)
{
    struct report *r = l->r;
    const struct rec_output *o = &row->output;
    buf_clear(&l->key);
    for (size_t i = 0; i < o->n_tokens; i++)
        buf_add(&l->key, &o->tokens[i].id, sizeof o->tokens[i].id);
    if (l->key.failed)
        return err_memory(err, "an output", l->key.max);
    struct rep_class c = {.prompt = row->trial.prompt, .stop = o->stop,
                          .ids = (const int32_t *)(void *)l->key.data, .n_ids = o->n_tokens,
                          .text = o->text, .text_len = o->text_len};
    if (table_reserve(l, &l->classes, err) != 0)
        return -1;
    size_t mask = l->classes.n_slots - 1, k = class_hash(&c) & mask;
    for (; l->classes.slot[k]; k = (k + 1) & mask)
        if (same_class(&r->classes[l->classes.slot[k] - 1], &c)) {
            *out = l->classes.slot[k] - 1;
            return 0;
        }
    if (grow((void **)&r->classes, &r->cap_classes, r->n_classes + 1, sizeof *r->classes, err) != 0)
        return -1;
    c.ids = copy_of(r, c.ids, c.n_ids * sizeof *c.ids);
    c.text = copy_of(r, c.text, c.text_len);
    if (!c.ids || !c.text)
        return err_memory(err, "an output", c.text_len);
    r->classes[r->n_classes] = c;
    *out = r->n_classes++;
    l->classes.slot[k] = *out + 1;
    l->classes.used++;
    return 0;
}

/* Keeps the tokens of the first trial that has any alternatives (a trial may be without capture). */
static int keep_tokens(struct report *r, struct rep_variant *v, const struct rec_output *o,
                       struct idem_err *err)
{
    bool has = v->tokens && o->n_tokens && v->tokens[0].n_top > 0;
    if (v->tokens && (has || o->n_tokens == 0 || o->tokens[0].n_top == 0))
        return 0;
    size_t n_tops = 0;
    for (size_t i = 0; i < o->n_tokens; i++)
        n_tops += o->tokens[i].n_top;
    struct rec_token *t = arena_array(&r->arena, o->n_tokens + 1, sizeof *t);
    struct rec_top *top = arena_array(&r->arena, n_tops + 1, sizeof *top);
    if (!t || !top)
        return err_memory(err, "the tokens of the run", o->n_tokens * sizeof *t);
    for (size_t i = 0; i < o->n_tokens; i++) {
        t[i] = o->tokens[i];
        t[i].top = top;
        for (uint32_t k = 0; k < t[i].n_top; k++)
            *top++ = o->tokens[i].top[k];
    }
    v->tokens = t;
    return 0;
}

static int intern_variant(struct loader *l, const struct store_row *row, uint32_t cls,
                          uint32_t *out, struct idem_err *err)
{
    struct report *r = l->r;
    uint32_t setting = row->trial.setting;
    if (table_reserve(l, &l->variants, err) != 0)
        return -1;
    size_t mask = l->variants.n_slots - 1, k = variant_hash(cls, setting) & mask;
    for (; l->variants.slot[k]; k = (k + 1) & mask) {
        struct rep_variant *v = &r->variants[l->variants.slot[k] - 1];
        if (v->cls == cls && v->setting == setting) {
            *out = l->variants.slot[k] - 1;
            return keep_tokens(r, v, &row->output, err);
        }
    }
    if (grow((void **)&r->variants, &r->cap_variants, r->n_variants + 1, sizeof *r->variants,
             err) != 0)
        return -1;
    r->variants[r->n_variants] = (struct rep_variant){.cls = cls, .setting = setting};
    *out = r->n_variants++;
    l->variants.slot[k] = *out + 1;
    l->variants.used++;
    return keep_tokens(r, &r->variants[*out], &row->output, err);
}

static float mean_entropy(const struct rec_output *o)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < o->n_tokens; i++) {
        if (isnan(o->tokens[i].entropy))
            continue;
        sum += (double)o->tokens[i].entropy;
        n++;
    }
    return n ? (float)(sum / (double)n) : NAN;
}

static int take_row(struct loader *l, const struct store_row *row, struct idem_err *err)
{
    struct rep_trial *t = &l->r->trials[row->trial.index];
    t->t = row->trial;
    t->t.key[0] = '\0';
    t->done = row->done;
    if (!row->done)
        return 0;
    l->r->n_done++;
    t->real = row->how.computed != STORE_COMPUTED_COPY;
    t->has_bits = row->output.logits_digest[0] != '\0';
    t->bits = digest_hash64(row->output.logits_digest, strlen(row->output.logits_digest));
    t->mean_entropy = mean_entropy(&row->output);
    t->wall_ms = row->how.wall_ms;
    t->n_forward = row->how.n_forward;
    if (intern_class(l, row, &t->cls, err) != 0)
        return -1;
    return intern_variant(l, row, t->cls, &t->variant, err);
}

/* "base" or, where noise is added to the arithmetic, "base [noise shuffle]". */
static int label_settings(struct report *r, struct idem_err *err)
{
    r->labels = arena_array(&r->arena, r->n_settings + 1, sizeof *r->labels);
    for (size_t i = 0; r->labels && i < r->n_settings; i++) {
        struct arith_noise z = rec_noise(&r->settings[i].settings, 0);
        char noise[ARITH_NOISE_TEXT];
        struct buf b;
        r->labels[i] = r->settings[i].name;
        if (arith_noise_is_none(&z) || strcmp(r->settings[i].factor, "noise") == 0)
            continue;                /* "noise=shuffle" says it already */
        arith_noise_text(&z, noise);
        buf_init(&b, 1 << 16);
        buf_addf(&b, "%s [noise %s]", r->settings[i].name, noise);
        r->labels[i] = b.data ? arena_strdup(&r->arena, b.data) : NULL;
        buf_release(&b);
        if (!r->labels[i])
            return err_memory(err, "the names of settings", r->n_settings * sizeof *r->labels);
    }
    return r->labels ? 0 : err_memory(err, "the names of settings", r->n_settings * sizeof *r->labels);
}

int report_load(struct report *r, struct idem_err *err)
{
    if (label_settings(r, err) != 0)
        return -1;
    struct loader l = {.r = r};
    struct store_row row;
    int rc = -1, step;
    buf_init(&l.key, (size_t)1 << 28);
    r->n_trials = store_n_trials(r->s);
    r->trials = arena_array(&r->arena, (size_t)r->n_trials + 1, sizeof *r->trials);
    if (!r->trials)
        return err_memory(err, "the trials of the run", r->n_trials * sizeof *r->trials);
    struct store_cursor *c = store_cursor_open(r->s, STORE_READ_ALL, err);
    if (!c)
        goto done;
    while ((step = store_cursor_next(c, &row, err)) == 1)
        if (take_row(&l, &row, err) != 0)
            goto done;
    if (step != 0 || store_digest(r->s, r->digest, err) != 0)
        goto done;
    r->complete = r->n_done == r->n_trials;
    rc = 0;
done:
    store_cursor_close(c);
    buf_release(&l.key);
    free(l.classes.slot);
    free(l.variants.slot);
    return rc;
}
