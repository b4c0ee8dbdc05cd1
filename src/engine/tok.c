/* SPDX-License-Identifier: MIT
 * Text to token ids and back, in the order of the tokenizers package: added tokens are cut out, what
 * is between them is normalised, more added tokens are cut out of that, the rest is merged. */
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

/* A stretch without added tokens, of the normalised text. */
static int piece(struct tok_work *w, const char *s, size_t len, bool first)
{
    enum tok_prefix prefix = w->t->prefix;
    if (w->t->pre)
        return tok_bpe_fragment(w, s, len);
    bool once = prefix == TOK_PREFIX_EACH_ONCE || (prefix == TOK_PREFIX_FIRST_ONCE && first);
    if (once && s[0] != ' ') {
        if (tok_reserve(w, (void **)&w->word, &w->cap_word, len + 1, 1, false) != 0)
            return -1;
        w->word[0] = ' ';
        memcpy(w->word + 1, s, len);
        s = w->word;
        len++;
    }
    w->word_base = s;
    return tok_merge(w, s, len);
}

struct cutting { struct tok_work *w; const char *s; };

static int normal_part(void *ctx, int32_t id, size_t from, size_t to)
{
    struct cutting *c = ctx;
    return id >= 0 ? tok_emit(c->w, id) : piece(c->w, c->s + from, to - from, c->w->first && from == 0);
}

/* A stretch of the text as it is. */
static int text_part(void *ctx, int32_t id, size_t from, size_t to)
{
    struct cutting *c = ctx;
    struct tok_work *w = c->w;
    const struct tokenizer *t = w->t;
    if (id >= 0)
        return tok_emit(w, id);
    const char *s = c->s + from;
    size_t len = to - from;
    w->origin = from;
    w->first = from == 0;
    if ((t->nfc && tok_nfc(w, s, len, &s, &len) != 0) ||
        (!t->pre && tok_spm_normalize(w, s, len, &s, &len) != 0))
        return -1;
    if (t->cuts[1].n == 0)
        return piece(w, s, len, w->first);
    struct cutting inner = {w, s};
    return tok_cut(t, &t->cuts[1], s, len, w->parse, t->pre || t->prefix > TOK_PREFIX_EACH, normal_part, &inner);
}

static int tokenize(struct tok_work *w, const char *text, size_t len, unsigned flags)
{
    const struct tokenizer *t = w->t;
    struct cutting c = {w, text};
    w->parse = flags & IDEM_TOK_PARSE_SPECIAL;
    if ((flags & IDEM_TOK_ADD_SPECIAL) && t->info.add_bos && tok_emit(w, t->info.bos) != 0)
        return -1;
    if (tok_cut(t, &t->cuts[0], text, len, w->parse, true, text_part, &c) != 0)
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
    free(w.word);
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
    bool strip = t->prefix != TOK_PREFIX_NONE;   /* the text begins with a space that tokenising put there */
    *len = 0;
    for (size_t i = 0; i < n; i++) {
        if (!in_vocab(t, ids[i]))
            return err_set(err, IDEM_ERR_USAGE, "token %zu of the list is %d, outside the "
                           "vocabulary of %u", i, ids[i], t->info.n_vocab);
        size_t k;
        const char *s = tok_at(t, ids[i], &k);
        if (k == 0 || (tok_is_control(t, ids[i]) && !special))
            continue;
        if (strip && s[0] == ' ') {
            s++;
            k--;
        }
        strip = false;
        if (at < cap && k)
            memcpy(out + at, s, k < cap - at ? k : cap - at);
        at += k;
    }
    *len = at;
    return 0;
}
