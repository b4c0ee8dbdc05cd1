/* SPDX-License-Identifier: MIT
 * Which tensor of the checkpoint becomes which of the file. */
#include "convert/tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXTRA = 2, Q8_BLOCK = 32 };   /* EXTRA: rope tensors, at most */
#define GENERATED_MAX ((size_t)1 << 20)

struct match { const struct recipe_row *row; uint32_t layer; bool bias; };

/* ---- names ---------------------------------------------------------------------------------------- */

static bool starts(struct jstr s, const char *with)
{
    size_t n = strlen(with);
    return s.len >= n && memcmp(s.s, with, n) == 0;
}

static bool ends(struct jstr s, const char *with)
{
    size_t n = strlen(with);
    return s.len >= n && memcmp(s.s + s.len - n, with, n) == 0;
}

/* Vision towers, caches and masks: nothing of the text model's weights. */
static bool ignored(struct jstr name)
{
    return starts(name, "vision_tower.") || starts(name, "model.vision_tower.") ||
           starts(name, "multi_modal_projector.") || starts(name, "model.multi_modal_projector.") ||
           ends(name, ".rotary_emb.inv_freq") || ends(name, ".attn.masked_bias");
}

/* The name without the prefixes that some checkpoints have and others have not. */
static bool plain_name(const struct hfconf *c, struct jstr name, char *out, size_t size)
{
    static const char lm[] = "language_model.";
    if (strcmp(c->recipe->arch, "gpt2") == 0 && starts(name, "transformer."))
        name = (struct jstr){name.s + 12, name.len - 12};
    if (name.len >= size)
        return false;
    memcpy(out, name.s, name.len);
    out[name.len] = '\0';
    char *at = c->text ? strstr(out, lm) : NULL;
    if (at)
        memmove(at, at + sizeof lm - 1, strlen(at + sizeof lm - 1) + 1);
    return true;
}

/* name against a pattern with one '*' for the layer, and ".weight" or ".bias" behind. */
static bool fits(const char *name, const char *pattern, uint32_t n_layer, struct match *m)
{
    const char *star = strchr(pattern, '*');
    size_t n = star ? (size_t)(star - pattern) : strlen(pattern);
    if (strncmp(name, pattern, n) != 0)
        return false;
    name += n;
    m->layer = 0;
    if (star) {
        const char *digits = name;
        while (*name >= '0' && *name <= '9' && name - digits < 6)
            m->layer = m->layer * 10 + (uint32_t)(*name++ - '0');
        if (name == digits || m->layer >= n_layer || (*digits == '0' && name - digits > 1))
            return false;
        n = strlen(star + 1);
        if (strncmp(name, star + 1, n) != 0)
            return false;
        name += n;
    }
    m->bias = strcmp(name, ".bias") == 0;
    return m->bias || strcmp(name, ".weight") == 0;
}

static bool find_row(const struct hfconf *c, const char *name, struct match *m)
{
    for (m->row = c->recipe->rows; m->row->hf; m->row++)
        if (fits(name, m->row->hf, c->n_layer, m))
            return true;
    return false;
}

static void gguf_name(char out[64], const struct match *m)
{
    const char *star = strchr(m->row->gguf, '*'), *suffix = m->bias ? ".bias" : ".weight";
    if (star)
        snprintf(out, 64, "%.*s%u%s%s", (int)(star - m->row->gguf), m->row->gguf, m->layer, star + 1, suffix);
    else
        snprintf(out, 64, "%s%s", m->row->gguf, suffix);
}

/* ---- what must be there ------------------------------------------------------------------------------ */

enum presence { MUST_NOT, MAY, MUST };

static enum presence presence(const struct hfconf *c, enum recipe_when when)
{
    switch (when) {
    case WHEN_NEVER: return MUST_NOT;
    case WHEN_ALWAYS: return MUST;
    case WHEN_ATTENTION_BIAS: return c->attention_bias ? MUST : MUST_NOT;
    case WHEN_MLP_BIAS: return c->mlp_bias ? MUST : MUST_NOT;
    case WHEN_UNTIED: return c->tied ? MAY : MUST;
    case WHEN_DROPPED: return MAY;
    }
    return MUST_NOT;
}

static int not_expected(const struct hfconf *c, const struct ckpt_tensor *t, const struct match *m,
                        struct idem_err *err)
{
    enum recipe_when when = m->bias ? m->row->bias : m->row->weight;
    if (when == WHEN_ATTENTION_BIAS || when == WHEN_MLP_BIAS)
        return safetensors_err(t->file, t->t, err, "it is there, but '%s' in config.json is false",
                               when == WHEN_MLP_BIAS ? "mlp_bias" : "attention_bias");
    return safetensors_err(t->file, t->t, err, "a %s model has no such tensor", c->recipe->arch);
}

/* All that must be there was seen: seen[row][layer][bias]. */
static int check_missing(const struct hfconf *c, const uint8_t *seen, struct idem_err *err)
{
    size_t at = 0;
    for (const struct recipe_row *row = c->recipe->rows; row->hf; row++) {
        const char *star = strchr(row->hf, '*');
        for (uint32_t layer = 0; layer < c->n_layer; layer++, at += 2) {
            for (int bias = 0; bias < 2 && (star || layer == 0); bias++) {
                enum recipe_when when = bias ? row->bias : row->weight;
                if (seen[at + (size_t)bias] || presence(c, when) != MUST)
                    continue;
                char name[128];
                if (star)
                    snprintf(name, sizeof name, "%.*s%u%s", (int)(star - row->hf), row->hf, layer, star + 1);
                else
                    snprintf(name, sizeof name, "%s", row->hf);
                return jdoc_err(&c->doc, NULL, err, "the checkpoint lacks the tensor '%s%s' that a %s model of %u "
                                "layers must have%s", name, bias ? ".bias" : ".weight", c->recipe->arch, c->n_layer,
                                when == WHEN_UNTIED ? " ('tie_word_embeddings' is not true)" : "");
            }
        }
    }
    return 0;
}

/* A tied output that stands in the file must be the embedding. */
static int check_tied(const struct hfconf *c, const struct ckpt_tensor *out, const struct ckpt_tensor *embd,
                      struct idem_err *err)
{
    if (!c->tied || !out || !embd)
        return 0;
    if (out->t->dtype != embd->t->dtype || out->t->n_bytes != embd->t->n_bytes ||
        memcmp(out->t->data, embd->t->data, out->t->n_bytes) != 0)
        return safetensors_err(out->file, out->t, err, "it differs from the embedding, though "
                               "'tie_word_embeddings' says that they are one");
    return 0;
}

/* ---- shapes and types ------------------------------------------------------------------------------------ */

static int check_shape(const struct hfconf *c, const struct ckpt_tensor *t, const struct match *m,
                       struct idem_err *err)
{
    const struct st_tensor *s = t->t;
    uint64_t rows = recipe_dim(c, m->row->rows), cols = recipe_dim(c, m->row->cols);
    bool vector = m->bias || !cols, flip = m->row->op == OP_TRANSPOSE && !vector;
    uint64_t want0 = flip ? cols : rows, want1 = flip ? rows : cols;
    if (s->dtype == ST_OTHER)
        return safetensors_err(t->file, s, err, "its dtype is %.*s; F32, F16 and BF16 can be converted",
                               (int)s->dtype_name.len, s->dtype_name.s);
    if (vector && (s->n_dims != 1 || s->shape[0] != rows))
        return safetensors_err(t->file, s, err, "its shape is %u-dimensional with %llu first, but config.json "
                               "means [%llu]", s->n_dims, (unsigned long long)s->shape[0], (unsigned long long)rows);
    if (!vector && (s->n_dims != 2 || s->shape[0] != want0 || s->shape[1] != want1))
        return safetensors_err(t->file, s, err, "its shape is %u-dimensional [%llu, %llu], but config.json means "
                               "[%llu, %llu]", s->n_dims, (unsigned long long)s->shape[0],
                               (unsigned long long)s->shape[1], (unsigned long long)want0, (unsigned long long)want1);
    return 0;
}

static enum qtype type_of(const struct out_tensor *o, enum qtype type)
{
    size_t n = strlen(o->name);
    if (o->vector || (n > 12 && strcmp(o->name + n - 12, "_norm.weight") == 0) ||
        strcmp(o->name, "position_embd.weight") == 0)
        return QTYPE_F32;
    return type == QTYPE_Q8_0 && o->cols % Q8_BLOCK ? QTYPE_F16 : type;
}

static int add(struct tensors *ts, const struct hfconf *c, const struct ckpt_tensor *t, const struct match *m,
               enum qtype type, struct idem_err *err)
{
    struct out_tensor *o = &ts->items[ts->n];
    uint64_t rows = recipe_dim(c, m->row->rows), cols = recipe_dim(c, m->row->cols);
    if (check_shape(c, t, m, err) != 0)
        return -1;
    *o = (struct out_tensor){.file = t->file, .src = t->t, .op = m->row->op, .vector = m->bias || !cols};
    o->rows = o->vector ? 1 : rows;
    o->cols = o->vector ? rows : cols;
    if (o->op == OP_PERMUTE_Q || o->op == OP_PERMUTE_K)
        o->per_head = c->head_dim;
    if (m->bias && o->op == OP_TRANSPOSE)
        o->op = OP_COPY;
    gguf_name(o->name, m);
    o->type = type_of(o, type);
    ts->n_params += o->rows * o->cols;
    ts->n++;
    return 0;
}

/* ---- the plan ------------------------------------------------------------------------------------------------ */

static int place(struct tensors *ts, const struct hfconf *c, struct checkpoint *ck, enum qtype type,
                 uint8_t *seen, struct idem_err *err)
{
    const struct ckpt_tensor *embd = NULL, *output = NULL;
    for (size_t i = 0; i < ck->n; i++) {
        struct ckpt_tensor *t = &ck->tensors[i];
        struct match m = {0};
        char name[256];
        if (ignored(t->t->name))
            continue;
        if (!plain_name(c, t->t->name, name, sizeof name) || !find_row(c, name, &m))
            return safetensors_err(t->file, t->t, err, "a %s model of %u layers has no such tensor",
                                   c->recipe->arch, c->n_layer);
        enum recipe_when when = m.bias ? m.row->bias : m.row->weight;
        if (presence(c, when) == MUST_NOT)
            return not_expected(c, t, &m, err);
        size_t slot = 2 * ((size_t)(m.row - c->recipe->rows) * c->n_layer + m.layer) + m.bias;
        if (seen[slot])
            return safetensors_err(t->file, t->t, err, "the checkpoint has this tensor under two names");
        seen[slot] = 1;
        if (m.row->gguf && strcmp(m.row->gguf, "token_embd") == 0)
            embd = t;
        if (m.row->gguf && strcmp(m.row->gguf, "output") == 0 && !m.bias)
            output = t;
        if (when != WHEN_DROPPED && add(ts, c, t, &m, type, err) != 0)
            return -1;
    }
    return check_missing(c, seen, err) != 0 ? -1 : check_tied(c, output, embd, err);
}

int tensors_plan(struct tensors *ts, const struct hfconf *c, struct checkpoint *ck, enum qtype type,
                 struct idem_err *err)
{
    *ts = (struct tensors){0};
    arena_init(&ts->arena, GENERATED_MAX);
    size_t n_rows = 0;
    while (c->recipe->rows[n_rows].hf)
        n_rows++;
    ts->items = calloc(ck->n + EXTRA, sizeof *ts->items);
    uint8_t *seen = calloc(2 * n_rows, c->n_layer);
    int rc = ts->items && seen ? tensors_add_rope(ts, c, err)
                               : err_memory(err, "the table of tensors", ck->n * sizeof *ts->items);
    if (rc == 0)
        rc = place(ts, c, ck, type, seen, err);
    free(seen);
    if (rc != 0)
        tensors_release(ts);
    return rc;
}

void tensors_release(struct tensors *ts)
{
    arena_release(&ts->arena);
    free(ts->items);
    *ts = (struct tensors){0};
}

int tensors_declare(const struct tensors *ts, struct gguf_writer *w, struct idem_err *err)
{
    for (size_t i = 0; i < ts->n; i++) {
        const struct out_tensor *o = &ts->items[i];
        uint64_t ne[2] = {o->cols, o->rows};
        if (gguf_put_tensor(w, o->name, o->type, o->vector ? 1 : 2, ne, err) != 0)
            return -1;
    }
    return 0;
}
