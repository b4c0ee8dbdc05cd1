/* SPDX-License-Identifier: MIT
 * Added tokens: which a vocabulary has, what the file says of them, and cutting them out of a text.
 *
 * tokenizer.ggml.token_type tells which tokens are added (control, user-defined, unknown), but not
 * how Hugging Face's AddedToken says that they are cut out. Keys of idem's own say the rest:
 *
 *   tokenizer.idem.added_tokens   array of i32: ids
 *   tokenizer.idem.added_flags    array of i32, one for each: 1 lstrip, 2 rstrip, 4 single_word,
 *                                 8 normalized; tokens that are not named have none
 *   tokenizer.idem.space_prefix   none, prepend, metaspace-always, metaspace-first (tok_load.c)
 *   tokenizer.idem.normalizer     none, nfc (tok_load.c)
 *
 *
 * llama.cpp passes over them. A file without the first two goes by llama.cpp's rules: nothing is
 * stripped, but in Phi-3. docs/tokenizers.md has the whole. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/tok_impl.h"

#define IDS   "tokenizer.idem.added_tokens"
#define FLAGS "tokenizer.idem.added_flags"

/* ---- what the file says ---------------------------------------------------------------------------- */

static bool is_added(const struct tokenizer *t, int32_t id)
{
    size_t len;
    tok_at(t, id, &len);
    enum tok_kind kind = t->kind[id];
    if (kind == TOK_UNKNOWN)   /* some converters give this type to rows without a token */
        return len > 0 && (t->info.unk < 0 || t->info.unk == id);
    return len > 0 && (kind == TOK_CONTROL || kind == TOK_USER);
}

static int read_flags(const struct tokenizer *t, const struct gguf *g, uint8_t *flags, bool *found,
                      struct idem_err *err)
{
    const struct gguf_kv *ids, *values;
    if (gguf_get_array(g, IDS, GGUF_I32, false, &ids, err) != 0 ||
        gguf_get_array(g, FLAGS, GGUF_I32, ids != NULL, &values, err) != 0)
        return -1;
    *found = ids != NULL;
    if (!ids)
        return 0;
    if (values->n != ids->n)
        return gguf_err_key(g, FLAGS, err, "it has %llu elements for the %llu of " IDS "; there must "
                            "be one for each", (unsigned long long)values->n, (unsigned long long)ids->n);
    for (uint64_t i = 0; i < ids->n; i++) {
        int32_t id, v;
        memcpy(&id, ids->data + i * 4, 4);
        memcpy(&v, values->data + i * 4, 4);
        if (id < 0 || (uint32_t)id >= t->n_tokens)
            return gguf_err_key(g, IDS, err, "element %llu is %d, outside the vocabulary of %u",
                                (unsigned long long)i, id, t->n_tokens);
        if (v < 0 || v > TOK_ADDED_ALL)
            return gguf_err_key(g, FLAGS, err, "element %llu is %d; flags are 0 to %d",
                                (unsigned long long)i, v, TOK_ADDED_ALL);
        flags[id] = (uint8_t)v;
    }
    return 0;
}

static bool token_is(const struct tokenizer *t, int32_t id, const char *text)
{
    size_t n;
    const char *s = tok_at(t, id, &n);
    return strlen(text) == n && memcmp(s, text, n) == 0;
}

/* Phi-3's tokenizer.json sets rstrip for all of its tokens but these three. */
static int phi3_flags(const struct tokenizer *t, const struct gguf *g, uint8_t *flags, struct idem_err *err)
{
    struct gguf_str name = {"", 0};
    if (gguf_get_str(g, "general.name", false, &name, err) != 0)
        return -1;
    bool phi3 = false;
    for (size_t i = 0; i + 4 <= name.len && !phi3; i++)
        phi3 = strncasecmp(name.data + i, "phi3", 4) == 0 ||
               (i + 5 <= name.len && strncasecmp(name.data + i, "phi-3", 5) == 0);
    if (!phi3)
        return 0;
    for (uint32_t i = 0; i < t->n_tokens; i++)
        if (is_added(t, (int32_t)i) && !token_is(t, (int32_t)i, "<unk>") &&
            !token_is(t, (int32_t)i, "<s>") && !token_is(t, (int32_t)i, "<|endoftext|>"))
            flags[i] = TOK_ADDED_RSTRIP;
    return 0;
}

/* ---- the tables ------------------------------------------------------------------------------------- */

static int compare(const void *pa, const void *pb)
{
    const struct tok_cut *a = pa, *b = pb;
    int c = memcmp(a->s, b->s, a->len < b->len ? a->len : b->len);
    return c ? c : a->len != b->len ? (a->len > b->len) - (a->len < b->len) : (a->id > b->id) - (a->id < b->id);
}

static void sort(struct tok_cuts *c)
{
    qsort(c->at, c->n, sizeof *c->at, compare);
    for (uint32_t i = 0, b = 0; b <= 256; b++) {
        while (i < c->n && (unsigned char)c->at[i].s[0] < b)
            i++;
        c->first[b] = i;
    }
}

/* The text that a token has after normalising, as a fragment of its own. */
static int normalized_text(struct tokenizer *t, struct tok_cut *c, struct idem_err *err)
{
    struct tok_work w = {.t = t, .err = err};
    const char *s = c->s;
    size_t len = c->len;
    int rc = t->nfc ? tok_nfc(&w, s, len, &s, &len) : 0;
    if (rc == 0 && !t->pre && t->prefix != TOK_PREFIX_EACH_ONCE && t->prefix != TOK_PREFIX_FIRST_ONCE)
        rc = tok_spm_normalize(&w, s, len, &s, &len);
    char *copy = rc == 0 ? arena_alloc(&t->arena, len) : NULL;
    if (rc == 0 && !copy)
        rc = err_memory(err, "an added token", len);
    if (copy) {
        memcpy(copy, s, len);
        c->s = copy;
        c->len = (uint32_t)len;
    }
    free(w.text);
    free(w.normal);
    free(w.points);
    return rc;
}

static size_t spaces_in(const char *s, size_t len)
{
    size_t n = 0;
    while (n < len && s[n] == ' ')
        n++;
    return n;
}

/* A run of n spaces as a token of SentencePiece (Gemma has 2 to 31) stands for n U+2581: it is cut out
 * of a text that has these, and found again among the spaces that the normaliser rewrites. There the
 * package merges pairs, of which these have the best scores, the longest first: which is the same. */
static int add_spaces(struct tokenizer *t, struct tok_cut *c, struct idem_err *err)
{
    char *marks = arena_alloc(&t->arena, 3 * (size_t)c->len);
    if (!marks)
        return err_memory(err, "an added token", 3 * (size_t)c->len);
    for (size_t i = 0; i < c->len; i++)
        memcpy(marks + 3 * i, "\xE2\x96\x81", 3);
    t->cuts[1].at[t->cuts[1].n++] = *c;
    t->cuts[0].at[t->cuts[0].n - 1].s = marks;
    t->cuts[0].at[t->cuts[0].n - 1].len = 3 * c->len;
    return 0;
}

static int fill(struct tokenizer *t, const uint8_t *flags, struct idem_err *err)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->n_tokens; i++)
        n += is_added(t, (int32_t)i);
    for (int k = 0; k < 2; k++)
        if (!(t->cuts[k].at = arena_array(&t->arena, n + 1, sizeof *t->cuts[k].at)))
            return err_memory(err, "the added tokens", n * sizeof *t->cuts[k].at);
    for (uint32_t i = 0; i < t->n_tokens; i++) {
        if (!is_added(t, (int32_t)i))
            continue;
        size_t len;
        const char *s = tok_at(t, (int32_t)i, &len);
        struct tok_cut c = {s, (uint32_t)len, (int32_t)i, flags[i]};
        bool normalized = c.flags & TOK_ADDED_NORMALIZED;
        if (normalized && normalized_text(t, &c, err) != 0)
            return -1;
        struct tok_cuts *to = &t->cuts[normalized];
        to->at[to->n++] = c;
        if (!normalized && !t->pre && len > 1 && spaces_in(s, len) == len && add_spaces(t, &c, err) != 0)
            return -1;
    }
    sort(&t->cuts[0]);
    sort(&t->cuts[1]);
    return 0;
}

int tok_load_added(struct tokenizer *t, const struct gguf *g, struct idem_err *err)
{
    uint8_t *flags = calloc(t->n_tokens, 1);
    if (!flags)
        return err_memory(err, "the added tokens", t->n_tokens);
    bool told = false;
    int rc = read_flags(t, g, flags, &told, err);
    if (rc == 0 && !told && !t->pre)
        rc = phi3_flags(t, g, flags, err);
    if (rc == 0)
        rc = fill(t, flags, err);
    free(flags);
    return rc;
}

/* ---- cutting ------------------------------------------------------------------------------------------ */

/* The longest token of the table that s[0 .. len) begins with, or NULL. Each byte narrows the
 * range of the sorted list that agrees so far. */
static const struct tok_cut *match(const struct tok_cuts *c, const char *s, size_t len)
{
    unsigned char b = (unsigned char)s[0];
    uint32_t lo = c->first[b], hi = c->first[b + 1];
    const struct tok_cut *best = NULL;
    for (size_t depth = 1; lo < hi; depth++) {
        /* those that end here come first, the lowest id in front */
        for (bool found = false; lo < hi && c->at[lo].len == depth; lo++, found = true)
            if (!found)
                best = &c->at[lo];
        if (depth == len)
            break;
        unsigned char want = (unsigned char)s[depth];
        uint32_t range[2];
        for (int k = 0; k < 2; k++) {   /* the first with a byte >= want, then with one > want */
            uint32_t l = lo, h = hi;
            while (l < h) {
                uint32_t mid = l + (h - l) / 2;
                unsigned char at = (unsigned char)c->at[mid].s[depth];
                if (k == 0 ? at < want : at <= want)
                    l = mid + 1;
                else
                    h = mid;
            }
            range[k] = l;
        }
        lo = range[0];
        hi = range[1];
    }
    return best;
}

/* The character before s[at], or -1 at the start of the text. */
static int32_t before(const char *s, size_t at, size_t *len)
{
    int32_t cp = -1;
    *len = 0;
    if (at == 0)
        return -1;
    do
        ++*len;
    while (*len < at && ((unsigned char)s[at - *len] & 0xC0) == 0x80);
    utf8_next(s + at - *len, *len, &cp);
    return cp;
}

static bool within_word(const char *s, size_t len, size_t from, size_t to)
{
    size_t n;
    int32_t next = -1;
    if (to < len)
        utf8_next(s + to, len - to, &next);
    return tok_is_word(before(s, from, &n)) || tok_is_word(next);
}

/* Where the white space that ends before s[at] begins, at `from` at the earliest. */
static size_t space_before(const char *s, size_t from, size_t at, bool blank)
{
    size_t n;
    for (int32_t cp; at > from && (cp = before(s, at, &n)) >= 0; at -= n)
        if (!tok_is_space(cp) || (cp == ' ' && !blank))
            break;
    return at > from ? at : from;
}

/* Where the white space that begins at s[at] ends. */
static size_t space_after(const char *s, size_t len, size_t at, bool blank)
{
    int32_t cp;
    while (at < len) {
        size_t n = utf8_next(s + at, len - at, &cp);
        if (!tok_is_space(cp) || (cp == ' ' && !blank))
            break;
        at += n;
    }
    return at;
}

/* As the tokenizers package does it, also where that is odd: a match that may not be cut out is
 * passed over whole, and the white space that a token took along is still searched. */
int tok_cut(const struct tokenizer *t, const struct tok_cuts *c, const char *s, size_t len, bool parse,
            bool blank, int (*part)(void *ctx, int32_t id, size_t from, size_t to), void *ctx)
{
    size_t from = 0, space_end = 0;
    for (size_t at = 0; at < len;) {
        const struct tok_cut *m = match(c, s + at, len - at);
        if (!m) {
            at++;
            continue;
        }
        size_t start = at, stop = at + m->len;
        at = stop;
        if ((!parse && t->kind[m->id] != TOK_USER) ||
            ((m->flags & TOK_ADDED_SINGLE_WORD) && within_word(s, len, start, stop)))
            continue;
        if (m->flags & TOK_ADDED_LSTRIP)
            start = space_before(s, from, start, blank);
        if (m->flags & TOK_ADDED_RSTRIP)   /* within a run of white space its end is known */
            space_end = stop = stop < space_end ? space_end : space_after(s, len, stop, blank);
        int rc = from < start ? part(ctx, -1, from, start) : 0;
        if (rc == 0)
            rc = part(ctx, m->id, start, stop);
        if (rc != 0)
            return rc;
        from = stop;
    }
    return from < len ? part(ctx, -1, from, len) : 0;
}
