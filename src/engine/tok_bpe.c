/* SPDX-License-Identifier: MIT
 * Byte-level BPE: the byte alphabet, the table of merges, and fragments of a text. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/utf8.h"
#include "engine/tok_impl.h"

#define MERGES "tokenizer.ggml.merges"

/* ---- the alphabet --------------------------------------------------------------------------------- */

/* Bytes that are printable in Latin-1 stand for themselves; the others are numbered upwards
 * from U+0100 in their order: 0..32, 127..160, 173. */
static int byte_of(int32_t cp)
{
    if ((cp >= 33 && cp <= 126) || (cp >= 161 && cp <= 172) || (cp >= 174 && cp <= 255))
        return cp;
    if (cp >= 256 && cp < 256 + 33)
        return cp - 256;
    if (cp >= 256 + 33 && cp < 256 + 67)
        return cp - (256 + 33) + 127;
    return cp == 256 + 67 ? 173 : -1;
}

int tok_unmap(const char *s, size_t len, char *out, size_t cap, size_t *out_len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; n++) {
        if (n == cap)
            return -1;
        if (s[i] > 32 && s[i] < 127) {   /* almost all */
            out[n] = s[i++];
            continue;
        }
        int32_t cp;
        i += utf8_next(s + i, len - i, &cp);
        int b = byte_of(cp);
        if (b < 0)
            return -1;
        out[n] = (char)b;
    }
    *out_len = n;
    return 0;
}

/* ---- merges ------------------------------------------------------------------------------------------ */

/* A part of a merge as the bytes that tokens hold. */
static int unmap_part(const struct tokenizer *t, const char *s, size_t len, char *out, size_t cap, size_t *n)
{
    if (t->pre)
        return tok_unmap(s, len, out, cap, n);
    *n = 0;
    while (len) {
        size_t step = len >= 3 && memcmp(s, "\xE2\x96\x81", 3) == 0 ? 3 : 1;
        if (*n == cap)
            return -1;
        out[(*n)++] = step == 3 ? ' ' : *s;
        s += step;
        len -= step;
    }
    return 0;
}

/* The three tokens of merge i, "left right"; `room` holds max_len + 1 bytes. */
static int parse_merge(const struct tokenizer *t, const struct gguf *g, uint64_t i,
                       struct gguf_str text, char *room, int32_t guess, struct tok_merge *m,
                       struct idem_err *err)
{
    const char *space = text.len > 1 ? memchr(text.data + 1, ' ', text.len - 1) : NULL;
    size_t left = space ? (size_t)(space - text.data) : 0;
    if (!space || left + 1 == text.len)
        return gguf_err_key(g, MERGES, err, "element %llu is not two parts with a space between "
                            "them; convert the model anew", (unsigned long long)i);
    size_t n_left, n_right;
    if (unmap_part(t, text.data, left, room, t->max_len, &n_left) != 0 ||
        unmap_part(t, space + 1, text.len - left - 1, room + n_left, t->max_len - n_left, &n_right) != 0)
        return gguf_err_key(g, MERGES, err, "element %llu has a character that is not of the byte "
                            "alphabet, or is longer than any token", (unsigned long long)i);
    m->left = tok_lookup(t, room, n_left);
    m->right = tok_lookup(t, room + n_left, n_right);
    /* tokens are mostly numbered in the order of their merges: that saves a look-up */
    size_t n = 0;
    const char *next = guess < (int32_t)t->n_tokens ? tok_at(t, guess, &n) : "";
    bool hit = n == n_left + n_right && t->kind[guess] == TOK_NORMAL && memcmp(next, room, n) == 0;
    m->id = hit ? guess : tok_lookup(t, room, n_left + n_right);
    if (m->left < 0 || m->right < 0 || m->id < 0)
        return gguf_err_key(g, MERGES, err, "element %llu: %s is no token of tokenizer.ggml.tokens",
                            (unsigned long long)i, m->left < 0 ? "its left part"
                            : m->right < 0 ? "its right part" : "what it gives");
    return 0;
}

static uint32_t slot_of(const struct tokenizer *t, const struct tok_merge *m)
{
    int32_t pair[2] = {m->left, m->right};
    return (uint32_t)digest_hash64(pair, sizeof pair) & t->merge_mask;
}

/* Of two merges of one pair the first counts. */
static void insert_merge(struct tokenizer *t, uint32_t i, const struct tok_merge *m)
{
    while (t->merges[i].rank_plus_1) {
        if (t->merges[i].left == m->left && t->merges[i].right == m->right)
            return;
        i = (i + 1) & t->merge_mask;
    }
    t->merges[i] = *m;
}

int tok_load_merges(struct tokenizer *t, const struct gguf *g, struct idem_err *err)
{
    const struct gguf_kv *kv;
    if (gguf_get_array(g, MERGES, GGUF_STRING, true, &kv, err) != 0)
        return -1;
    if (kv->n > INT32_MAX / 4)
        return gguf_err_key(g, MERGES, err, "%llu merges are more than idem can hold",
                            (unsigned long long)kv->n);
    uint32_t size = 64;
    while (size < kv->n + kv->n / 2)
        size *= 2;
    t->merges = arena_array(&t->arena, size, sizeof *t->merges);
    char *room = arena_alloc(&t->arena, (size_t)t->max_len + 1);
    if (!t->merges || !room)
        return err_memory(err, "the merges of a tokenizer", (unsigned long long)size * sizeof *t->merges);
    t->merge_mask = size - 1;
    /* a merge waits for AHEAD others before it goes into the table, while its slot is fetched */
    enum { AHEAD = 16 };
    struct { uint32_t slot; struct tok_merge m; } wait[AHEAD] = {0};
    const uint8_t *at = kv->data;
    int32_t guess = 0;
    for (uint64_t i = 0; i < kv->n + AHEAD; i++) {
        struct tok_merge *m = &wait[i % AHEAD].m;
        if (m->rank_plus_1)
            insert_merge(t, wait[i % AHEAD].slot, m);
        *m = (struct tok_merge){0};
        if (i >= kv->n)
            continue;
        m->rank_plus_1 = (uint32_t)i + 1;
        if (parse_merge(t, g, i, gguf_next_str(&at), room, guess, m, err) != 0)
            return -1;
        guess = m->id + 1;
        wait[i % AHEAD].slot = slot_of(t, m);
        __builtin_prefetch(&t->merges[wait[i % AHEAD].slot], 1);
    }
    return 0;
}

/* ---- text ----------------------------------------------------------------------------------------------- */

static int bpe_word(void *ctx, size_t offset, size_t len)
{
    struct tok_work *w = ctx;
    const char *s = w->word_base + offset;
    if (w->t->pre->ignore_merges) {
        int32_t id = tok_lookup(w->t, s, len);
        if (id >= 0)
            return tok_emit(w, id);
    }
    return tok_merge(w, s, len);
}

int tok_bpe_fragment(struct tok_work *w, const char *s, size_t len)
{
    w->word_base = s;
    return tok_pre_split(w->t->pre, s, len, bpe_word, w);
}
