/* SPDX-License-Identifier: MIT
 * The merges of a BPE tokenizer: of tokenizer.json ("a b" or ["a", "b"]) or of merges.txt. */
#include <stdlib.h>
#include <string.h>

#include "convert/vocab.h"

enum { MAX_TOKEN = 1 << 16 };

/* Both halves as one text must be a token, or the merge would make nothing. */
static int check(const struct vocab_index *x, const struct jdoc *d, const struct jval *at, struct jstr a,
                 struct jstr b, struct idem_err *err)
{
    char text[512];
    if (a.len == 0 || b.len == 0 || a.len + b.len > MAX_TOKEN)
        return jdoc_err(d, at, err, "a merge must have two parts");
    char *p = a.len + b.len <= sizeof text ? text : malloc(a.len + b.len);
    if (!p)
        return err_memory(err, "a merge", a.len + b.len);
    memcpy(p, a.s, a.len);
    memcpy(p + a.len, b.s, b.len);
    bool there = vocab_index_find(x, p, a.len + b.len) >= 0 && vocab_index_find(x, a.s, a.len) >= 0 &&
                 vocab_index_find(x, b.s, b.len) >= 0;
    if (p != text)
        free(p);
    return there ? 0 : jdoc_err(d, at, err, "the merge '%.*s %.*s' has a part or a result that is no token",
                                (int)(a.len < 64 ? a.len : 64), a.s, (int)(b.len < 64 ? b.len : 64), b.s);
}

/* "a b"; a space within a part is written as GPT-2 writes it. */
static struct gguf_str join(struct vocab *v, struct jstr a, struct jstr b)
{
    char *p = arena_alloc(&v->arena, 2 * (a.len + b.len) + 2);
    size_t n = 0;
    for (int half = 0; p && half < 2; half++) {
        struct jstr s = half ? b : a;
        for (size_t i = 0; i < s.len; i++) {
            if (s.s[i] == ' ')
                p[n++] = '\xC4';
            p[n++] = s.s[i] == ' ' ? '\xA0' : s.s[i];
        }
        if (!half)
            p[n++] = ' ';
    }
    return (struct gguf_str){p, n};
}

static int add_text(struct vocab *v, const struct vocab_index *x, const struct jdoc *d, const struct jval *at,
                    struct jstr m, struct idem_err *err)
{
    const char *space = m.len > 1 ? memchr(m.s + 1, ' ', m.len - 1) : NULL;
    if (!space || memchr(space + 1, ' ', (size_t)(m.s + m.len - space - 1)))
        return jdoc_err(d, at, err, "a merge must be two parts with one space between them");
    struct jstr a = {m.s, (size_t)(space - m.s)}, b = {space + 1, (size_t)(m.s + m.len - space - 1)};
    v->merges[v->n_merges++] = (struct gguf_str){m.s, m.len};
    return check(x, d, at, a, b, err);
}

static int from_json(struct vocab *v, const struct vocab_index *x, struct idem_err *err)
{
    const struct jdoc *d = &v->tokenizer.doc;
    const struct jval *list = jdoc_get(jdoc_get(d->root, "model"), "merges");
    if (!list || list->type != JDOC_ARRAY || list->n == 0)
        return jdoc_err(d, list, err, "the tokenizer's model has no 'merges'");
    v->merges = calloc(list->n, sizeof *v->merges);
    if (!v->merges)
        return err_memory(err, "the merges", list->n * sizeof *v->merges);
    for (size_t i = 0; i < list->n; i++) {
        const struct jval *m = &list->items[i];
        if (m->type == JDOC_STRING) {
            if (add_text(v, x, d, m, m->str, err) != 0)
                return -1;
            continue;
        }
        if (m->type != JDOC_ARRAY || m->n != 2 || m->items[0].type != JDOC_STRING || m->items[1].type != JDOC_STRING)
            return jdoc_err(d, m, err, "a merge must be a string or an array of two");
        if (check(x, d, m, m->items[0].str, m->items[1].str, err) != 0)
            return -1;
        v->merges[v->n_merges] = join(v, m->items[0].str, m->items[1].str);
        if (!v->merges[v->n_merges++].data)
            return err_memory(err, "a merge", m->items[0].str.len);
    }
    return 0;
}

static int from_text(struct vocab *v, const struct vocab_index *x, struct idem_err *err)
{
    struct jdoc d = {.path = "merges.txt"};
    size_t lines = 1;
    for (size_t i = 0; i < v->merges_txt.len; i++)
        lines += v->merges_txt.data[i] == '\n';
    v->merges = calloc(lines, sizeof *v->merges);
    if (!v->merges)
        return err_memory(err, "the merges", lines * sizeof *v->merges);
    const char *p = v->merges_txt.data, *end = p ? p + v->merges_txt.len : p;
    for (bool first = true; p < end; first = false) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
        struct jstr line = {p, (size_t)(stop - p)};
        struct jval at = {.at = (size_t)(p - v->merges_txt.data)};
        if (line.len && line.s[line.len - 1] == '\r')
            line.len--;
        if (line.len && !(first && line.s[0] == '#') && add_text(v, x, &d, &at, line, err) != 0)
            return -1;
        p = newline ? newline + 1 : end;
    }
    return v->n_merges ? 0 : err_set(err, IDEM_ERR_FORMAT, "%s: merges.txt is missing or empty", v->dir);
}

int vocab_read_merges(struct vocab *v, struct idem_err *err)
{
    struct vocab_index *x = vocab_index_new(v);
    if (!x)
        return err_memory(err, "the index of the vocabulary", v->n * sizeof(uint32_t));
    int rc = v->tokenizer.there ? from_json(v, x, err) : from_text(v, x, err);
    vocab_index_free(x);
    return rc;
}
