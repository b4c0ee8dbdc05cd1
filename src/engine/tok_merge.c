/* SPDX-License-Identifier: MIT
 * Merging neighbours into longer tokens, the best pair first, with a heap of pairs. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/utf8.h"
#include "engine/tok_impl.h"

enum { NONE = UINT32_MAX };

int tok_reserve(struct tok_work *w, void **buf, size_t *cap, size_t n, size_t size, bool keep)
{
    if (n <= *cap)
        return 0;
    size_t want = n + n / 2 + 64;
    void *p = keep ? realloc(*buf, want * size) : malloc(want * size);
    if (!p)
        return err_memory(w->err, "the tokens of a text", want * size);
    if (!keep)
        free(*buf);
    *buf = p;
    *cap = want;
    return 0;
}

int tok_emit(struct tok_work *w, int32_t id)
{
    if (w->n_ids == w->cap_ids &&
        tok_reserve(w, (void **)&w->ids, &w->cap_ids, w->n_ids + 1, sizeof *w->ids, true) != 0)
        return -1;
    w->ids[w->n_ids++] = id;
    return 0;
}

int32_t tok_lookup(const struct tokenizer *t, const char *s, size_t len)
{
    if (len > t->max_len)
        return -1;
    uint32_t hash = (uint32_t)digest_hash64(s, len);
    for (uint32_t i = hash & t->word_mask;; i = (i + 1) & t->word_mask) {
        const struct tok_word *word = &t->words[i];
        if (!word->id_plus_1)
            return -1;
        if (word->hash != hash)
            continue;
        size_t n;
        const char *bytes = tok_at(t, word->id_plus_1 - 1, &n);
        if (n == len && memcmp(bytes, s, len) == 0)
            return word->id_plus_1 - 1;
    }
}

/* ---- the heap ------------------------------------------------------------------------------------ */

static int heap_push(struct tok_work *w, struct tok_candidate c)
{
    if (w->n_heap == w->cap_heap &&
        tok_reserve(w, (void **)&w->heap, &w->cap_heap, w->n_heap + 1, sizeof *w->heap, true) != 0)
        return -1;
    size_t i = w->n_heap++;
    for (size_t up; i && w->heap[up = (i - 1) / 2].key > c.key; i = up)
        w->heap[i] = w->heap[up];
    w->heap[i] = c;
    return 0;
}

static struct tok_candidate heap_pop(struct tok_work *w)
{
    struct tok_candidate best = w->heap[0], c = w->heap[--w->n_heap];
    size_t i = 0, n = w->n_heap;
    for (size_t down; (down = 2 * i + 1) < n; i = down) {
        if (down + 1 < n && w->heap[down + 1].key < w->heap[down].key)
            down++;
        if (w->heap[down].key >= c.key)
            break;
        w->heap[i] = w->heap[down];
    }
    w->heap[i] = c;
    return best;
}

/* ---- pairs ---------------------------------------------------------------------------------------- */

static const struct tok_merge *find_merge(const struct tokenizer *t, int32_t left, int32_t right)
{
    int32_t pair[2] = {left, right};
    for (uint32_t i = (uint32_t)digest_hash64(pair, sizeof pair) & t->merge_mask;;
         i = (i + 1) & t->merge_mask) {
        const struct tok_merge *m = &t->merges[i];
        if (!m->rank_plus_1)
            return NULL;
        if (m->left == left && m->right == right)
            return m;
    }
}

/* Puts symbol i and its right neighbour on the heap if they can merge. The key orders by rank
 * or score, then from left to right. */
static int consider(struct tok_work *w, const char *s, uint32_t i)
{
    const struct tokenizer *t = w->t;
    if (i == NONE || w->symbols[i].next == NONE)
        return 0;
    const struct tok_symbol *a = &w->symbols[i], *b = &w->symbols[a->next];
    struct tok_candidate c = {.len = a->len + b->len};
    uint32_t order;
    if (a->id < 0 || b->id < 0)
        return 0;
    if (t->merges) {
        const struct tok_merge *m = find_merge(t, a->id, b->id);
        if (!m)
            return 0;
        c.id = m->id;
        order = m->rank_plus_1;
    } else {
        c.id = tok_lookup(t, s + a->start, c.len);
        if (c.id < 0)
            return 0;
        order = t->priority[c.id];
    }
    c.key = (uint64_t)order << 32 | i;
    return heap_push(w, c);
}

/* The symbols that merging starts from; returns how many, 0 on an error. */
static size_t first_symbols(struct tok_work *w, const char *s, size_t len)
{
    const struct tokenizer *t = w->t;
    if (tok_reserve(w, (void **)&w->symbols, &w->cap_symbols, len, sizeof *w->symbols, false) != 0)
        return 0;
    size_t n = 0;
    for (size_t at = 0; at < len; n++) {
        int32_t cp;
        size_t step = t->pre ? 1 : utf8_next(s + at, len - at, &cp);
        w->symbols[n] = (struct tok_symbol){
            .start = (uint32_t)at, .len = (uint32_t)step, .prev = (uint32_t)n - 1,
            .next = (uint32_t)n + 1,
            .id = t->pre ? t->byte_id[(unsigned char)s[at]] : tok_lookup(t, s + at, step)};
        at += step;
    }
    w->symbols[0].prev = NONE;
    w->symbols[n - 1].next = NONE;
    return n;
}

/* A symbol that is no token is given byte by byte, or, if a byte is missing, as the unknown token:
 * one for a run of such symbols. */
static int emit_bytes(struct tok_work *w, const char *s, const struct tok_symbol *sym, bool *after_unknown)
{
    const struct tokenizer *t = w->t;
    const unsigned char *b = (const unsigned char *)s + sym->start;
    size_t k = 0;
    while (k < sym->len && t->byte_id[b[k]] >= 0)
        k++;
    if (k < sym->len && !t->pre && t->info.unk >= 0) {
        int rc = *after_unknown ? 0 : tok_emit(w, t->info.unk);
        *after_unknown = true;
        return rc;
    }
    if (k < sym->len)
        return err_set(w->err, IDEM_ERR_UNSUPPORTED,
                       "the byte 0x%02X near byte offset %zu of the text has no token in this model's "
                       "vocabulary; take that character out of the text", b[k],
                       w->origin + (size_t)(s - w->word_base) + sym->start + k);
    *after_unknown = false;
    for (k = 0; k < sym->len; k++)
        if (tok_emit(w, t->byte_id[b[k]]) != 0)
            return -1;
    return 0;
}

int tok_merge(struct tok_work *w, const char *s, size_t len)
{
    if (len == 0)
        return 0;
    size_t n = first_symbols(w, s, len);
    if (n == 0)
        return -1;
    w->n_heap = 0;
    for (uint32_t i = 0; i + 1 < n; i++)
        if (consider(w, s, i) != 0)
            return -1;
    while (w->n_heap) {
        struct tok_candidate c = heap_pop(w);
        uint32_t i = (uint32_t)c.key;
        struct tok_symbol *a = &w->symbols[i];
        /* Symbols only grow, so an equal sum of lengths means that both are as they were. */
        if (a->len == 0 || a->next == NONE || a->len + w->symbols[a->next].len != c.len)
            continue;
        struct tok_symbol *b = &w->symbols[a->next];
        a->len = c.len;
        a->id = c.id;
        b->len = 0;
        a->next = b->next;
        if (a->next != NONE)
            w->symbols[a->next].prev = i;
        if (consider(w, s, a->prev) != 0 || consider(w, s, i) != 0)
            return -1;
    }
    bool after_unknown = false;
    for (uint32_t i = 0; i != NONE; i = w->symbols[i].next) {
        const struct tok_symbol *sym = &w->symbols[i];
        if ((sym->id >= 0 ? tok_emit(w, sym->id) : emit_bytes(w, s, sym, &after_unknown)) != 0)
            return -1;
        after_unknown = after_unknown && sym->id < 0;
    }
    return 0;
}
