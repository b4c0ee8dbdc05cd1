/* SPDX-License-Identifier: MIT
 * Pre-tokenizers. The regular expressions are those that the models' tokenizers publish; they
 * are written out by hand, because a matcher that backtracks has limits which a long run of
 * letters or spaces can reach, and because its Unicode version would be the library's.
 * tests/unit/engine_pre.c compares each with the expression itself. */
#include "engine/tok_pre.h"

#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

/* \p{L}, \p{N}, \s; \p{P} matters to one expression only, elsewhere it is as OTHER. */
enum tok_char { TOK_CHAR_OTHER = 0, TOK_CHAR_LETTER, TOK_CHAR_NUMBER, TOK_CHAR_SPACE, TOK_CHAR_PUNCT };

/* Upper: Lu, Lt. Pairs: upper and lower in turn. Mark: M. A letter with none of these (Lm, Lo) has
 * no case. Only one expression asks. */
enum tok_case { TOK_CASE_NONE = 0, TOK_CASE_UPPER, TOK_CASE_LOWER, TOK_CASE_PAIRS, TOK_CASE_MARK };

#include "engine/tok_unicode_table.h"

/* ---- characters --------------------------------------------------------------------------- */

static enum tok_char kind_of(int32_t cp)
{
    if ((cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z'))
        return TOK_CHAR_LETTER;
    if (cp == ' ')
        return TOK_CHAR_SPACE;
    size_t lo = 0, hi = sizeof unicode_table / sizeof unicode_table[0];
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if ((uint32_t)cp > unicode_table[mid].last)
            lo = mid + 1;
        else if ((uint32_t)cp < unicode_table[mid].first)
            hi = mid;
        else
            return unicode_table[mid].kind;
    }
    return TOK_CHAR_OTHER;
}

static enum tok_case case_of(int32_t cp)
{
    size_t lo = 0, hi = sizeof case_table / sizeof case_table[0];
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if ((uint32_t)cp > case_table[mid].last)
            lo = mid + 1;
        else if ((uint32_t)cp < case_table[mid].first)
            hi = mid;
        else if (case_table[mid].kind == TOK_CASE_PAIRS)
            return ((uint32_t)cp - case_table[mid].first) % 2 ? TOK_CASE_LOWER : TOK_CASE_UPPER;
        else
            return case_table[mid].kind;
    }
    return TOK_CASE_NONE;
}

bool tok_is_space(int32_t cp) { return kind_of(cp) == TOK_CHAR_SPACE; }

bool tok_is_word(int32_t cp)
{
    if (cp < 0)
        return false;
    switch (kind_of(cp)) {
    case TOK_CHAR_LETTER:
        return true;
    case TOK_CHAR_NUMBER:   /* what utf8proc may not know yet are digits of new scripts */
        return utf8proc_category(cp) != UTF8PROC_CATEGORY_NO;
    case TOK_CHAR_PUNCT:
        return utf8proc_category(cp) == UTF8PROC_CATEGORY_PC;
    default:
        return case_of(cp) == TOK_CASE_MARK || cp == 0x200C || cp == 0x200D ||
               (cp >= 0x24B6 && cp <= 0x24E9) || (cp >= 0x1F130 && cp <= 0x1F149) ||
               (cp >= 0x1F150 && cp <= 0x1F169) || (cp >= 0x1F170 && cp <= 0x1F189);
    }
}

/* The character at s[at]; kind is OTHER for punctuation, and len 0 at the end of the text. */
struct ch {
    int32_t cp;
    enum tok_char kind;
    size_t len;
};

static struct ch ch_at(const char *s, size_t len, size_t at)
{
    struct ch c = {.cp = -1};
    if (at < len) {
        c.len = utf8_next(s + at, len - at, &c.cp);
        c.kind = kind_of(c.cp);
        if (c.kind == TOK_CHAR_PUNCT)
            c.kind = TOK_CHAR_OTHER;
    }
    return c;
}

static bool is_newline(struct ch c) { return c.cp == '\n' || c.cp == '\r'; }
static bool is_word(struct ch c) { return c.kind == TOK_CHAR_LETTER || c.kind == TOK_CHAR_NUMBER; }
static bool is_other(struct ch c) { return c.len && !is_word(c) && c.kind != TOK_CHAR_SPACE; }

/* The end of the run of one kind that starts at `at`. */
static size_t run_end(const char *s, size_t len, size_t at, enum tok_char kind)
{
    for (struct ch c; (c = ch_at(s, len, at)).len && c.kind == kind;)
        at += c.len;
    return at;
}

/* ---- pieces of the expressions -------------------------------------------------------------- */

/* 's|'t|'re|'ve|'m|'ll|'d, at an apostrophe; 0: none of them. Under (?i) U+017F folds to s. */
static size_t contraction(const char *s, size_t len, bool any_case)
{
    static const char *const tail[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (any_case && len >= 3 && memcmp(s + 1, "\xC5\xBF", 2) == 0)
        return 3;
    for (size_t i = 0; i < sizeof tail / sizeof tail[0]; i++) {
        size_t n = strlen(tail[i]);
        if (len < n + 1)
            continue;
        bool same = true;
        for (size_t k = 0; k < n; k++) {
            char c = s[1 + k];
            if (any_case && c >= 'A' && c <= 'Z')
                c = (char)(c - 'A' + 'a');
            same = same && c == tail[i][k];
        }
        if (same)
            return n + 1;
    }
    return 0;
}

/* \s+(?!\S)|\s+ : a run of white space gives its last character to what follows it, unless
 * that is all there is of it or nothing follows. */
static size_t spaces(const char *s, size_t len)
{
    size_t at = 0, last = 0;
    for (struct ch c; (c = ch_at(s, len, at)).len && c.kind == TOK_CHAR_SPACE;) {
        last = at;
        at += c.len;
    }
    return at == len || last == 0 ? at : last;
}

/* ---- stages ------------------------------------------------------------------------------------ */

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t next_gpt2(const char *s, size_t len)
{
    if (s[0] == '\'') {
        size_t n = contraction(s, len, false);
        if (n)
            return n;
    }
    size_t at = s[0] == ' ';
    struct ch c = ch_at(s, len, at);
    if (!c.len || c.kind == TOK_CHAR_SPACE)
        return spaces(s, len);
    return run_end(s, len, at, c.kind);
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ : white space up to its last newline if it has one. */
static size_t spaces_or_lines(const char *s, size_t len)
{
    size_t newline = 0;
    struct ch c;
    for (size_t at = 0; (c = ch_at(s, len, at)).kind == TOK_CHAR_SPACE; at += c.len)
        if (is_newline(c))
            newline = at + 1;
    return newline ? newline : spaces(s, len);
}

/* ' ?[^\s\p{L}\p{N}]+' and then any of the characters in tail; 0: it does not match. */
static size_t others(const char *s, size_t len, const char *tail)
{
    struct ch c = ch_at(s, len, 0);
    if (!is_other(c) && !(c.cp == ' ' && is_other(ch_at(s, len, 1))))
        return 0;
    size_t at = run_end(s, len, c.cp == ' ' ? 1 : 0, TOK_CHAR_OTHER);
    while (at < len && s[at] && strchr(tail, s[at]))
        at++;
    return at;
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,DIGITS}
 * | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t next_llama3(const char *s, size_t len, unsigned max_digits)
{
    if (s[0] == '\'') {
        size_t n = contraction(s, len, true);
        if (n)
            return n;
    }
    struct ch c = ch_at(s, len, 0), second = ch_at(s, len, c.len);
    if (c.kind == TOK_CHAR_LETTER)
        return run_end(s, len, 0, TOK_CHAR_LETTER);
    if (second.kind == TOK_CHAR_LETTER && c.kind != TOK_CHAR_NUMBER && !is_newline(c))
        return run_end(s, len, c.len, TOK_CHAR_LETTER);
    if (c.kind == TOK_CHAR_NUMBER) {
        size_t at = 0;
        for (unsigned i = 0; i < max_digits && ch_at(s, len, at).kind == TOK_CHAR_NUMBER; i++)
            at += ch_at(s, len, at).len;
        return at;
    }
    size_t n = others(s, len, "\r\n");
    return n ? n : spaces_or_lines(s, len);
}

static size_t next_llama_bpe(const char *s, size_t len) { return next_llama3(s, len, 3); }
static size_t next_qwen2(const char *s, size_t len) { return next_llama3(s, len, 1); }

/* With U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and L = [\p{Ll}\p{Lm}\p{Lo}\p{M}], what U*L+ (lower) or
 * U+L* matches at s[at]: the end, or 0. What is in both is taken by U; L+ needs one of its own, or the
 * last one that is in both. */
static size_t cased(const char *s, size_t len, size_t at, bool lower)
{
    size_t from = at, both = 0;
    struct ch c;
    for (; (c = ch_at(s, len, at)).len; at += c.len) {
        enum tok_case k = case_of(c.cp);
        if (k == TOK_CASE_MARK || (k == TOK_CASE_NONE && c.kind == TOK_CHAR_LETTER))
            both = at + c.len;
        else if (k != TOK_CASE_UPPER)
            break;
    }
    size_t up = at;
    for (; (c = ch_at(s, len, at)).len; at += c.len) {
        enum tok_case k = case_of(c.cp);
        if (k != TOK_CASE_LOWER && k != TOK_CASE_MARK && (k != TOK_CASE_NONE || c.kind != TOK_CHAR_LETTER))
            break;
    }
    if (lower)
        return at > up ? at : both;
    return up > from ? at : 0;
}

/* [^\r\n\p{L}\p{N}]?U*L+|[^\r\n\p{L}\p{N}]?U+L*|\p{N}
 * | ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t next_tekken(const char *s, size_t len)
{
    struct ch c = ch_at(s, len, 0);
    bool before = !is_word(c) && !is_newline(c);
    size_t n = 0;
    for (int k = 0; k < 2 && n == 0; k++) {
        if (before)
            n = cased(s, len, c.len, k == 0);
        if (n == 0)
            n = cased(s, len, 0, k == 0);
    }
    if (n == 0 && c.kind == TOK_CHAR_NUMBER)
        n = c.len;
    if (n == 0)
        n = others(s, len, "\r\n/");
    return n ? n : spaces_or_lines(s, len);
}

/* \p{N} */
static size_t next_digit(const char *s, size_t len)
{
    struct ch c = ch_at(s, len, 0);
    if (c.kind == TOK_CHAR_NUMBER)
        return c.len;
    size_t at = 0;
    for (; c.len && c.kind != TOK_CHAR_NUMBER; c = ch_at(s, len, at))
        at += c.len;
    return at;
}

/* \p{N}+ */
static size_t next_number(const char *s, size_t len)
{
    size_t end = run_end(s, len, 0, TOK_CHAR_NUMBER);
    return end ? end : next_digit(s, len);
}

/* [\p{P}\$\+<=>\^~\|]+ */
static size_t next_punct(const char *s, size_t len)
{
    size_t at = 0;
    bool first = false;
    while (at < len) {
        int32_t cp;
        size_t n = utf8_next(s + at, len - at, &cp);
        bool punct = kind_of(cp) == TOK_CHAR_PUNCT || (cp > 0 && cp < 128 && strchr("$+<=>^~|", cp));
        if (at == 0)
            first = punct;
        else if (punct != first)
            break;
        at += n;
    }
    return at;
}

/* [0-9][0-9][0-9] */
static size_t next_three_digits(const char *s, size_t len)
{
    size_t run = 0;
    for (size_t at = 0; at < len; at++) {
        run = s[at] >= '0' && s[at] <= '9' ? run + 1 : 0;
        if (run == 3)
            return at == 2 ? 3 : at - 2;
    }
    return len;
}

/* ---- the table ----------------------------------------------------------------------------------- */

static const struct tok_pre table[] = {
    {"gpt-2", {{next_gpt2}}, .add_bos = false},
    {"phi-2", {{next_gpt2}}, .add_bos = false},
    {"smollm", {{next_digit}, {next_gpt2}}, .add_bos = false},
    {"starcoder", {{next_digit}, {next_gpt2}}, .add_bos = false},
    {"refact", {{next_digit}, {next_gpt2}}, .add_bos = false},
    {"llama-bpe", {{next_llama_bpe}}, .ignore_merges = true, .add_bos = true},
    {"llama3", {{next_llama_bpe}}, .ignore_merges = true, .add_bos = true},
    {"llama-v3", {{next_llama_bpe}}, .ignore_merges = true, .add_bos = true},
    {"qwen2", {{next_qwen2}}, .nfc = true},
    {"deepseek-r1-qwen", {{next_qwen2}}, .nfc = true},
    {"tekken", {{next_tekken}}, .ignore_merges = true, .add_bos = true},
    {"default", {{next_punct}, {next_gpt2}, {next_number}, {next_three_digits}}, .add_bos = false},
};
enum { N_TABLE = sizeof table / sizeof table[0] };

const struct tok_pre *tok_pre_find(const char *name, size_t len)
{
    for (size_t i = 0; i < N_TABLE; i++)
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
            return &table[i];
    return NULL;
}

void tok_pre_list(struct buf *out)
{
    for (size_t i = 0; i < N_TABLE; i++)
        buf_addf(out, "%s%s", i ? ", " : "", table[i].name);
}

struct split {
    const struct tok_pre *pre;
    const char *s;
    int (*word)(void *ctx, size_t offset, size_t length);
    void *ctx;
};

/* Cuts s[from .. from+len) by the stages from `stage` on. */
static int split_stage(const struct split *p, unsigned stage, size_t from, size_t len)
{
    if (stage == TOK_PRE_STAGES || !p->pre->stage[stage].next)
        return p->word(p->ctx, from, len);
    for (size_t at = 0; at < len;) {
        size_t n = p->pre->stage[stage].next(p->s + from + at, len - at);
        int rc = split_stage(p, stage + 1, from + at, n);
        if (rc != 0)
            return rc;
        at += n;
    }
    return 0;
}

int tok_pre_split(const struct tok_pre *p, const char *s, size_t len,
                  int (*word)(void *ctx, size_t offset, size_t length), void *ctx)
{
    struct split split = {p, s, word, ctx};
    return split_stage(&split, 0, 0, len);
}
