/* SPDX-License-Identifier: MIT
 * Opening the tokenizer's files, choosing what kind it is, writing its keys. */
#include "convert/vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/checkpoint.h"
#include "convert/recipe.h"

#define JSON_MAX ((size_t)256 << 20)
#define TEXT_MAX ((size_t)64 << 20)
#define UNUSED_SCORE (-10000.0f)
#define ARENA_MAX ((size_t)1 << 30)

/* ---- tokens -------------------------------------------------------------------------------------- */

struct gguf_str vocab_text(struct vocab *v, const char *s, size_t len)
{
    return (struct gguf_str){arena_strndup(&v->arena, s, len), len};
}

int vocab_set(struct vocab *v, const struct jdoc *d, const struct jval *at, uint64_t id, struct jstr text,
              enum vocab_type type, struct idem_err *err)
{
    int shown = (int)(text.len < 64 ? text.len : 64);
    if (id >= v->n)
        return jdoc_err(d, at, err, "the token '%.*s' has the id %llu, but 'vocab_size' in config.json is %u",
                        shown, text.s, (unsigned long long)id, v->n);
    if (v->tokens[id].data)
        return jdoc_err(d, at, err, "the id %llu stands for two tokens, '%.*s' and '%.*s'",
                        (unsigned long long)id, (int)(v->tokens[id].len < 64 ? v->tokens[id].len : 64),
                        v->tokens[id].data, shown, text.s);
    v->tokens[id] = (struct gguf_str){text.s, text.len};
    v->types[id] = (int32_t)type;
    return 0;
}

bool vocab_looks_special(struct jstr t)
{
    static const char *const names[] = {"<pad>", "<mask>", "<2mass>", "[@BOS@]"};
    static const struct { const char *begin, *end; } frames[] = {
        {"<|", "|>"}, {"<\xEF\xBD\x9C", "\xEF\xBD\x9C>"}, {"<unused", ">"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (jdoc_eq(t, names[i]))
            return true;
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        size_t a = strlen(frames[i].begin), b = strlen(frames[i].end);
        if (t.len >= a && t.len >= b && memcmp(t.s, frames[i].begin, a) == 0 &&
            memcmp(t.s + t.len - b, frames[i].end, b) == 0)
            return true;
    }
    return false;
}

struct gguf_str vocab_spaces(struct vocab *v, struct jstr t)
{
    char *p = arena_alloc(&v->arena, t.len + 1);
    size_t n = 0;
    for (size_t i = 0; p && i < t.len; n++) {
        bool mark = t.len - i >= 3 && memcmp(t.s + i, "\xE2\x96\x81", 3) == 0;
        p[n] = mark ? ' ' : t.s[i];
        i += mark ? 3 : 1;
    }
    return (struct gguf_str){p, n};
}

int vocab_fill_gaps(struct vocab *v, struct idem_err *err)
{
    for (uint32_t i = 0; i < v->n; i++) {
        char name[32];
        if (v->tokens[i].data)
            continue;
        snprintf(name, sizeof name, "[PAD%u]", i);
        v->tokens[i] = vocab_text(v, name, strlen(name));
        if (!v->tokens[i].data)
            return err_memory(err, "a token", sizeof name);
        v->types[i] = VOCAB_UNUSED;
        if (v->scores)
            v->scores[i] = UNUSED_SCORE;
    }
    return 0;
}

/* ---- added tokens ------------------------------------------------------------------------------------ */

static int each_map(struct vocab *v, vocab_added_fn fn, struct idem_err *err)
{
    const struct jdoc *d = &v->added.doc;
    if (!v->added.there)
        return 0;
    if (d->root->type != JDOC_OBJECT)
        return jdoc_err(d, d->root, err, "an object of tokens and ids must stand here");
    for (size_t i = 0; i < d->root->n; i++) {
        const struct jmember *m = &d->root->members[i];
        uint64_t id;
        if (!jdoc_u64(&m->value, &id))
            return jdoc_err(d, &m->value, err, "the id of a token must be a whole number");
        if (fn(v, d, &m->value, id, m->key, false, true, err) != 0)
            return -1;
    }
    return 0;
}

static int one_entry(struct vocab *v, const struct jdoc *d, const struct jval *e, uint64_t id, vocab_added_fn fn,
                     struct idem_err *err)
{
    const struct jval *content = jdoc_get(e, "content"), *special = jdoc_get(e, "special");
    if (!content || content->type != JDOC_STRING)
        return jdoc_err(d, e, err, "an added token must have its text as 'content'");
    return fn(v, d, e, id, content->str, special && special->type == JDOC_TRUE, false, err);
}

static int each_decoder(struct vocab *v, vocab_added_fn fn, struct idem_err *err)
{
    const struct jdoc *d = &v->config.doc;
    const struct jval *map = v->config.there ? jdoc_get(d->root, "added_tokens_decoder") : NULL;
    if (map && map->type != JDOC_OBJECT)
        return jdoc_err(d, map, err, "'added_tokens_decoder' must be an object");
    for (size_t i = 0; map && i < map->n; i++) {
        struct jval key = {.type = JDOC_NUMBER, .str = map->members[i].key};
        uint64_t id;
        if (key.str.len == 0 || !jdoc_u64(&key, &id))
            return jdoc_err(d, &map->members[i].value, err, "the key of an added token must be its id");
        if (one_entry(v, d, &map->members[i].value, id, fn, err) != 0)
            return -1;
    }
    return 0;
}

static int each_listed(struct vocab *v, vocab_added_fn fn, struct idem_err *err)
{
    const struct jdoc *d = &v->tokenizer.doc;
    const struct jval *list = v->tokenizer.there ? jdoc_get(d->root, "added_tokens") : NULL;
    if (list && list->type != JDOC_ARRAY)
        return jdoc_err(d, list, err, "'added_tokens' must be an array");
    for (size_t i = 0; list && i < list->n; i++) {
        uint64_t id;
        if (!jdoc_u64(jdoc_get(&list->items[i], "id"), &id))
            return jdoc_err(d, &list->items[i], err, "an added token must have a whole number as 'id'");
        if (one_entry(v, d, &list->items[i], id, fn, err) != 0)
            return -1;
    }
    return 0;
}

int vocab_each_added(struct vocab *v, bool json_too, vocab_added_fn fn, struct idem_err *err)
{
    if (each_map(v, fn, err) != 0 || each_decoder(v, fn, err) != 0)
        return -1;
    return json_too ? each_listed(v, fn, err) : 0;
}

/* ---- index --------------------------------------------------------------------------------------------- */

struct vocab_index { const struct gguf_str *tokens; size_t n; uint32_t *ids; };

static int cmp(const struct gguf_str *a, const char *s, size_t len)
{
    return jdoc_cmp((struct jstr){a->data, a->len}, (struct jstr){s, len});
}

static int by_text(const void *a, const void *b, void *tokens)
{
    const struct gguf_str *t = tokens, *y = &t[*(const uint32_t *)b];
    return cmp(&t[*(const uint32_t *)a], y->data, y->len);
}

struct vocab_index *vocab_index_new(const struct vocab *v)
{
    struct vocab_index *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->tokens = v->tokens;
    x->ids = malloc((v->n + (size_t)1) * sizeof *x->ids);
    if (!x->ids) {
        free(x);
        return NULL;
    }
    for (uint32_t i = 0; i < v->n; i++)
        if (v->tokens[i].data)
            x->ids[x->n++] = i;
    qsort_r(x->ids, x->n, sizeof *x->ids, by_text, v->tokens);
    return x;
}

int64_t vocab_index_find(const struct vocab_index *x, const char *s, size_t len)
{
    size_t lo = 0, hi = x->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = cmp(&x->tokens[x->ids[mid]], s, len);
        if (c == 0)
            return x->ids[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

void vocab_index_free(struct vocab_index *x)
{
    if (x)
        free(x->ids);
    free(x);
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static int open_json(struct vocab_file *f, const char *dir, const char *name, struct idem_err *err)
{
    char *path = checkpoint_file(dir, name);
    if (!path)
        return 0;
    int rc = jdoc_open(&f->doc, path, JSON_MAX, err);
    f->there = rc == 0;
    free(path);
    return rc;
}

static int open_text(struct buf *b, const char *dir, const char *name, struct idem_err *err)
{
    char *path = checkpoint_file(dir, name);
    buf_init(b, TEXT_MAX);
    if (!path)
        return 0;
    int rc = file_read(b, path, err);
    free(path);
    return rc;
}

static int open_files(struct vocab *v, struct idem_err *err)
{
    const char *d = v->dir;
    if (open_json(&v->tokenizer, d, "tokenizer.json", err) != 0 ||
        open_json(&v->config, d, "tokenizer_config.json", err) != 0 ||
        open_json(&v->added, d, "added_tokens.json", err) != 0 ||
        open_json(&v->template_json, d, "chat_template.json", err) != 0 ||
        open_text(&v->jinja, d, "chat_template.jinja", err) != 0 ||
        open_text(&v->spm, d, "tokenizer.model", err) != 0)
        return -1;
    if (v->tokenizer.there || v->spm.len)
        return 0;
    return open_json(&v->base, d, "vocab.json", err) != 0 ? -1 : open_text(&v->merges_txt, d, "merges.txt", err);
}

/* SentencePiece where the family has it; tokenizer.json says itself what it is. */
static int read_tokens(struct vocab *v, struct idem_err *err)
{
    const struct jval *model = v->tokenizer.there ? jdoc_get(v->tokenizer.doc.root, "model") : NULL;
    const struct jval *fallback = jdoc_get(model, "byte_fallback");
    bool bytes = fallback && fallback->type == JDOC_TRUE;
    const char *arch = v->conf->recipe->arch;
    bool never_spm = strcmp(arch, "gpt2") == 0 || strcmp(arch, "phi2") == 0;
    if (v->spm.len && !never_spm && (!model || bytes))
        return vocab_read_spm(v, err);
    if (bytes)
        return vocab_read_hfspm(v, err);
    if (model || v->base.there)
        return vocab_read_bpe(v, err);
    return err_set(err, IDEM_ERR_IO, "%s has no tokenizer: neither tokenizer.json, nor tokenizer.model, nor "
                   "vocab.json with merges.txt", v->dir);
}

int vocab_open(struct vocab *v, const struct hfconf *c, const char *dir, struct buf *notes, struct idem_err *err)
{
    *v = (struct vocab){.dir = dir, .conf = c, .n = c->n_vocab, .add_space_prefix = -1, .notes = notes};
    arena_init(&v->arena, ARENA_MAX);
    v->tokens = calloc(v->n, sizeof *v->tokens);
    v->types = calloc(v->n, sizeof *v->types);
    int rc = v->tokens && v->types ? open_files(v, err) : err_memory(err, "the vocabulary", v->n * sizeof *v->tokens);
    if (rc == 0)
        rc = read_tokens(v, err);
    if (rc != 0)
        vocab_close(v);
    return rc;
}

static void close_json(struct vocab_file *f)
{
    if (f->there)
        jdoc_close(&f->doc);
}

void vocab_close(struct vocab *v)
{
    close_json(&v->tokenizer);
    close_json(&v->config);
    close_json(&v->added);
    close_json(&v->base);
    close_json(&v->template_json);
    buf_release(&v->spm);
    buf_release(&v->merges_txt);
    buf_release(&v->jinja);
    free(v->tokens);
    free(v->types);
    free(v->scores);
    free(v->merges);
    arena_release(&v->arena);
    *v = (struct vocab){0};
}

/* ---- keys -------------------------------------------------------------------------------------------------- */

void vocab_put(const struct vocab *v, struct gguf_writer *w)
{
    gguf_put_str(w, "tokenizer.ggml.model", v->model);
    gguf_put_str(w, "tokenizer.ggml.pre", v->pre);
    gguf_put_strs(w, "tokenizer.ggml.tokens", v->tokens, v->n);
    if (v->scores)
        gguf_put_f32s(w, "tokenizer.ggml.scores", v->scores, v->n);
    gguf_put_i32s(w, "tokenizer.ggml.token_type", v->types, v->n);
    if (v->n_merges)
        gguf_put_strs(w, "tokenizer.ggml.merges", v->merges, v->n_merges);
}
