/* SPDX-License-Identifier: MIT
 * A SentencePiece vocabulary that only tokenizer.json has (BPE with byte fallback).
 *
 * SentencePiece joins the pair whose result has the highest score, tokenizer.json the pair whose
 * merge comes first. Both agree if every way to join two tokens into a third is a merge, and the
 * merges of one result stand together; then the score of a result is minus the place of its
 * merges. Where they do not agree the file gets the merges too, which idem's tokenizer goes by. */
#include <stdlib.h>
#include <string.h>

#include "convert/vocab.h"

enum { MAX_PIECE = 512 };
#define ADDED_SCORE (-1000.0f)

/* A merge as one text of m.len - 1 bytes and where its second part begins; false: it is too long. */
static bool join(struct gguf_str m, char text[MAX_PIECE], size_t *split)
{
    const char *space = memchr(m.data, ' ', m.len);
    if (!space || m.len > MAX_PIECE)
        return false;
    *split = (size_t)(space - m.data);
    memcpy(text, m.data, *split);
    memcpy(text + *split, space + 1, m.len - *split - 1);
    return true;
}

static bool is_normal(const struct vocab *v, int64_t id)
{
    return id >= 0 && v->types[id] == VOCAB_NORMAL;
}

/* Scores by the order of merges. n_ways[id]: how many merges make it. Added tokens are cut out of
 * the text before anything is joined, so a merge that has to do with one is never used. False: the
 * merges of one piece do not stand together. */
static bool score(struct vocab *v, const struct vocab_index *x, uint32_t *n_ways)
{
    int64_t last = -1;
    float rank = 0;
    bool exact = true;
    for (size_t i = 0; i < v->n_merges; i++) {
        char text[MAX_PIECE];
        size_t split = 0;
        size_t len = v->merges[i].len - 1;
        if (!join(v->merges[i], text, &split)) {
            exact = false;
            continue;
        }
        int64_t id = vocab_index_find(x, text, len);
        if (!is_normal(v, id) || !is_normal(v, vocab_index_find(x, text, split)) ||
            !is_normal(v, vocab_index_find(x, text + split, len - split)))
            continue;
        if (id != last && n_ways[id])
            exact = false;
        else if (id != last)
            v->scores[id] = -(rank++);
        n_ways[id]++;
        last = id;
    }
    for (uint32_t i = 0; i < v->n; i++)
        if (v->tokens[i].data && !n_ways[i] && v->types[i] == VOCAB_NORMAL)
            v->scores[i] = -rank;
    return exact;
}

/* Whether every way to cut a piece in two pieces is a merge. */
static bool all_ways(const struct vocab *v, const struct vocab_index *x, const uint32_t *n_ways)
{
    for (uint32_t i = 0; i < v->n; i++) {
        uint32_t ways = 0;
        const struct gguf_str t = v->tokens[i];
        if (!t.data || v->types[i] != VOCAB_NORMAL || t.len > MAX_PIECE)
            continue;
        for (size_t at = 1; at < t.len; at++) {
            if (((unsigned char)t.data[at] & 0xC0) == 0x80)
                continue;
            int64_t a = vocab_index_find(x, t.data, at), b = vocab_index_find(x, t.data + at, t.len - at);
            ways += is_normal(v, a) && is_normal(v, b);
        }
        if (ways != n_ways[i])
            return false;
    }
    return true;
}

static bool is_byte(struct jstr t)
{
    return t.len == 6 && memcmp(t.s, "<0x", 3) == 0 && t.s[5] == '>' && strchr("0123456789ABCDEFabcdef", t.s[3]) &&
           strchr("0123456789ABCDEFabcdef", t.s[4]);
}

static int add_token(struct vocab *v, const struct jdoc *d, const struct jval *at, uint64_t id, struct jstr text,
                     bool special, bool from_list, struct idem_err *err)
{
    (void)from_list;
    if (id >= v->n)
        return jdoc_err(d, at, err, "the token '%.*s' has the id %llu, but 'vocab_size' in config.json is %u",
                        (int)(text.len < 64 ? text.len : 64), text.s, (unsigned long long)id, v->n);
    if (v->types[id] == VOCAB_UNKNOWN)
        return 0;
    bool control = special || vocab_looks_special(text);
    v->tokens[id] = control ? (struct gguf_str){text.s, text.len} : vocab_spaces(v, text);
    if (!v->tokens[id].data)
        return err_memory(err, "a token", text.len);
    v->types[id] = control ? VOCAB_CONTROL : VOCAB_USER;
    v->scores[id] = ADDED_SCORE;
    return 0;
}

static int read_vocab(struct vocab *v, const struct jval *model, struct idem_err *err)
{
    const struct jdoc *d = &v->tokenizer.doc;
    const struct jval *map = jdoc_get(model, "vocab"), *unk = jdoc_get(model, "unk_token");
    if (!map || map->type != JDOC_OBJECT || map->n == 0)
        return jdoc_err(d, map, err, "the vocabulary must be an object of tokens and ids, not %s", jdoc_type_name(map));
    for (size_t i = 0; i < map->n; i++) {
        const struct jmember *m = &map->members[i];
        uint64_t id;
        if (!jdoc_u64(&m->value, &id))
            return jdoc_err(d, &m->value, err, "the id of a token must be a whole number");
        bool unknown = unk && unk->type == JDOC_STRING && jdoc_cmp(unk->str, m->key) == 0;
        if (vocab_set(v, d, &m->value, id, m->key,
                      unknown ? VOCAB_UNKNOWN : is_byte(m->key) ? VOCAB_BYTE : VOCAB_NORMAL, err) != 0)
            return -1;
    }
    return 0;
}

/* "▁" in front of the text, by a normalizer or by Metaspace. */
bool vocab_prepends_space(const struct jval *root)
{
    const struct jval *n = jdoc_get(root, "normalizer"), *list = jdoc_get(n, "normalizers");
    for (size_t i = 0; list && list->type == JDOC_ARRAY && i < list->n; i++)
        if (jdoc_is(jdoc_get(&list->items[i], "type"), "Prepend"))
            return true;
    const struct jval *pre = jdoc_get(root, "pre_tokenizer"), *scheme = jdoc_get(pre, "prepend_scheme");
    const struct jval *old = jdoc_get(pre, "add_prefix_space");
    return jdoc_is(jdoc_get(n, "type"), "Prepend") ||
           (jdoc_is(jdoc_get(pre, "type"), "Metaspace") &&
            (scheme ? !jdoc_is(scheme, "never") : !old || old->type == JDOC_TRUE));
}

int vocab_read_hfspm(struct vocab *v, struct idem_err *err)
{
    const struct jval *root = v->tokenizer.doc.root, *model = jdoc_get(root, "model");
    v->model = "llama";
    v->pre = "default";
    v->scores = calloc(v->n, sizeof *v->scores);
    uint32_t *n_ways = calloc(v->n, sizeof *n_ways);
    int rc = v->scores && n_ways ? read_vocab(v, model, err) : err_memory(err, "the scores", v->n * sizeof *n_ways);
    if (rc == 0)
        rc = vocab_read_merges(v, err);
    if (rc == 0)
        rc = vocab_each_added(v, true, add_token, err);
    struct vocab_index *x = rc == 0 ? vocab_index_new(v) : NULL;
    if (rc == 0 && !x)
        rc = err_memory(err, "the index of the vocabulary", v->n * sizeof *n_ways);
    bool exact = rc == 0 && score(v, x, n_ways);
    exact = exact && all_ways(v, x, n_ways);
    vocab_index_free(x);
    free(n_ways);
    if (rc != 0)
        return -1;
    if (exact)
        v->n_merges = 0;    /* the scores say it */
    else
        buf_adds(v->notes, "no scores of SentencePiece stand for the merges of tokenizer.json: the file has the merges "
                           "too, which idem goes by; llama.cpp does not and may cut text otherwise\n");
    v->add_space_prefix = vocab_prepends_space(root) ? -1 : 0;
    return vocab_fill_gaps(v, err);
}
