/* SPDX-License-Identifier: MIT
 * Text to token ids and back: special tokens are cut out, the rest is merged. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/tok_impl.h"

#define MAX_TEXT ((size_t)1 << 29)   /* bytes of one text; offsets in it have 32 bits */

const struct tok_info *tok_info(const struct tokenizer *t) { return &t->info; }

static bool in_vocab(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (uint32_t)id < t->info.n_vocab;
}

const char *tok_bytes(const struct tokenizer *t, int32_t id, size_t *len)
{
    *len = 0;
    return in_vocab(t, id) ? tok_at(t, id, len) : NULL;
}

bool tok_is_eog(const struct tokenizer *t, int32_t id)
{
    return in_vocab(t, id) && t->eog[id];
}

bool tok_is_control(const struct tokenizer *t, int32_t id)
{
    return in_vocab(t, id) && (t->kind[id] == TOK_CONTROL || t->kind[id] == TOK_UNKNOWN);
}

/* ---- text to ids ------------------------------------------------------------------------------------------- */

/* The longest special token that s[0 .. len) begins with, or -1. Each byte narrows the range
 * of the sorted list that agrees so far. */
static int32_t match_special(const struct tokenizer *t, const char *s, size_t len, bool parse)
{
    unsigned char b = (unsigned char)s[0];
    uint32_t lo = t->special_first[b], hi = t->special_first[b + 1];
    int32_t best = -1;
    for (size_t depth = 1; lo < hi; depth++) {
        size_t n;
        /* those that end here come first, the lowest id in front */
        for (bool first = true; lo < hi && (tok_at(t, t->special[lo], &n), n == depth); lo++) {
            bool allowed = parse || t->kind[t->special[lo]] == TOK_USER;
            if (allowed && first) {
                best = t->special[lo];
                first = false;
            }
        }
        if (depth == len)
            break;
        unsigned char want = (unsigned char)s[depth];
        uint32_t range[2];
        for (int k = 0; k < 2; k++) {   /* the first with a byte >= want, then with one > want */
            uint32_t l = lo, h = hi;
            while (l < h) {
                uint32_t mid = l + (h - l) / 2;
                unsigned char c = (unsigned char)tok_at(t, t->special[mid], &n)[depth];
                if (k == 0 ? c < want : c <= want)
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

/* A stretch of text without special tokens. */
static int fragment(struct tok_work *w, const char *s, size_t len)
{
    if (len == 0)
        return 0;
    if (w->t->nfc && tok_nfc(w, s, len, &s, &len) != 0)
        return -1;
    return w->t->pre ? tok_bpe_fragment(w, s, len) : tok_spm_fragment(w, s, len);
}

static int tokenize(struct tok_work *w, const char *text, size_t len, unsigned flags)
{
    const struct tokenizer *t = w->t;
    bool parse = flags & IDEM_TOK_PARSE_SPECIAL;
    if ((flags & IDEM_TOK_ADD_SPECIAL) && t->info.add_bos && tok_emit(w, t->info.bos) != 0)
        return -1;
    size_t from = 0;
    for (size_t at = 0; at < len;) {
        int32_t id = match_special(t, text + at, len - at, parse);
        if (id < 0) {
            at++;
            continue;
        }
        size_t n;
        tok_at(t, id, &n);
        w->origin = from;
        if (fragment(w, text + from, at - from) != 0 || tok_emit(w, id) != 0)
            return -1;
        at += n;
        from = at;
    }
    w->origin = from;
    if (fragment(w, text + from, len - from) != 0)
        return -1;
    if ((flags & IDEM_TOK_ADD_SPECIAL) && t->info.add_eos)
        return tok_emit(w, t->info.eos);
    return 0;
}

int tok_tokenize(const struct tokenizer *t, const char *text, size_t len, unsigned flags,
                 int32_t *ids, size_t cap, size_t *n, struct idem_err *err)
{
    size_t bad;
    *n = 0;
    if (len > MAX_TEXT)
        return err_set(err, IDEM_ERR_LIMIT, "the text has %zu bytes, at most %zu can be tokenised "
                       "at once", len, MAX_TEXT);
    if (!utf8_valid(text, len, &bad))
        return err_set(err, IDEM_ERR_FORMAT, "the text is not UTF-8: the byte 0x%02X at byte offset "
                       "%zu is no character; convert it to UTF-8", (unsigned char)text[bad], bad);
    struct tok_work w = {.t = t, .err = err};
    int rc = tokenize(&w, text, len, flags);
    if (rc == 0) {
        *n = w.n_ids;
        if (w.n_ids && w.n_ids <= cap)
            memcpy(ids, w.ids, w.n_ids * sizeof *ids);
    }
    free(w.ids);
    free(w.text);
    free(w.normal);
    free(w.points);
    free(w.symbols);
    free(w.heap);
    return rc;
}

/* ---- ids to text ---------------------------------------------------------------------------------------------- */

int tok_detokenize(const struct tokenizer *t, const int32_t *ids, size_t n, bool special,
                   char *out, size_t cap, size_t *len, struct idem_err *err)
{
    size_t at = 0;
    bool strip = t->space_prefix;   /* the next text begins with a space that tokenising put there */
    *len = 0;
    for (size_t i = 0; i < n; i++) {
        if (!in_vocab(t, ids[i]))
            return err_set(err, IDEM_ERR_USAGE, "token %zu of the list is %d, outside the "
                           "vocabulary of %u", i, ids[i], t->info.n_vocab);
        size_t k;
        const char *s = tok_at(t, ids[i], &k);
        enum tok_kind kind = t->kind[ids[i]];
        bool control = tok_is_control(t, ids[i]);
        if (control && !special)
            k = 0;
        if (control || kind == TOK_USER) {
            strip = t->space_prefix;
        } else if (k) {
            if (strip && s[0] == ' ') {
                s++;
                k--;
            }
            strip = false;
        }
        if (at < cap && k)
            memcpy(out + at, s, k < cap - at ? k : cap - at);
        at += k;
    }
    *len = at;
    return 0;
}
