/* SPDX-License-Identifier: MIT
 * Reads a list of declared changes: lines "KEY = VALUE | VALUE | …". docs/perturbations.md. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/utf8.h"
#include "perturb/intern.h"

enum { MAX_BYTES = 1 << 22, MAX_ENTRIES = 10000, MAX_VALUES = 1000, MAX_PART = 4000 };

struct perturb_list {
    enum perturb_list_kind kind;
    struct arena arena;
    struct perturb_entry *entries;
    size_t n, cap;
    const struct perturb_entry **sorted;   /* [n], by key */
};

static const char *const names[PERTURB_N_LISTS] = {
    "none", "synonyms", "keyboard", "polite", "instruct", "formats", "paraphrases",
};

const char *perturb_list_name(enum perturb_list_kind kind) { return names[kind]; }
enum perturb_list_kind perturb_list_kind_of(const struct perturb_list *l) { return l->kind; }

struct reader {
    struct perturb_list *l;
    const char *path;
    size_t line;
    struct idem_err *err;
};

static int fail(const struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int fail(const struct reader *r, const char *fmt, ...)
{
    char msg[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return err_set(r->err, IDEM_ERR_FORMAT, "%s:%zu: %s", r->path, r->line, msg);
}

/* ---- what each kind asks of an entry ------------------------------------------------------------ */

static size_t count(struct perturb_text t, const char *what)
{
    size_t n = 0, len = strlen(what);
    for (const char *s = t.s, *end = t.s + t.len; (s = memmem(s, (size_t)(end - s), what, len)); s += len)
        n++;
    return n;
}

static bool same(struct perturb_text a, struct perturb_text b)
{
    return a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
}

/* One word in small letters, since texts are searched without regard to case; keyboard: one letter. */
static int check_word(const struct reader *r, struct perturb_text t, bool one)
{
    struct pert_chars c;
    struct buf low;
    if (pert_cut(&c, t.s, t.len))
        return err_memory(r->err, "a list", t.len);
    bool word = true;
    for (size_t i = 0; i < c.n; i++)
        word &= pert_in_word(&c, i);
    bool fits = word && (!one || c.n == 1);
    pert_cut_release(&c);
    buf_init(&low, MAX_BYTES);
    pert_put_case(&low, t.s, t.len, false);
    bool small = !low.failed && low.len == t.len && memcmp(low.data, t.s, t.len) == 0;
    buf_release(&low);
    if (fits && small)
        return 0;
    return fail(r, "'%.*s' is not %s in small letters", (int)(t.len < 60 ? t.len : 60), t.s,
                one ? "one letter" : "one word");
}

static int check_entry(const struct reader *r, const struct perturb_entry *e)
{
    enum perturb_list_kind kind = r->l->kind;
    bool keyboard = kind == PERTURB_LIST_KEYBOARD, words = keyboard || kind == PERTURB_LIST_SYNONYMS;
    bool paraphrase = kind == PERTURB_LIST_PARAPHRASES;
    if (words && check_word(r, e->key, keyboard))
        return -1;
    if (!words && !paraphrase) {
        size_t ok = 0;
        while (ok < e->key.len && memchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-",
                                         e->key.s[ok], 65))
            ok++;
        if (ok < e->key.len)
            return fail(r, "the name '%.*s' has more than letters, digits, '.', '_' and '-'",
                        (int)(e->key.len < 60 ? e->key.len : 60), e->key.s);
        if (e->key.len >= PERTURB_MAX_NAME - 16)
            return fail(r, "a name of %zu bytes; allowed: at most %d", e->key.len, PERTURB_MAX_NAME - 17);
        if (e->n_values != 1)
            return fail(r, "a name has one text, here are %zu; write '\\|' for a '|' in the text", e->n_values);
    }
    if (paraphrase && count(e->key, "{x}") > 1)
        return fail(r, "{x} stands in it twice");
    for (size_t i = 0; i < e->n_values; i++) {
        struct perturb_text v = e->values[i];
        if (keyboard && check_word(r, v, true))
            return -1;
        if (!words && !paraphrase && count(v, "{text}") != 1)
            return fail(r, "a text must have {text} once, where the prompt goes");
        if (paraphrase && count(v, "{x}") != count(e->key, "{x}"))
            return fail(r, "a paraphrase must have {x} as often as what stands left of '='");
        for (size_t k = 0; k < i; k++)
            if (same(v, e->values[k]))
                return fail(r, "the same text stands on the right twice");
        if ((words || paraphrase) && same(v, e->key))
            return fail(r, "the same text stands on both sides of '='");
    }
    for (size_t i = 0; i < r->l->n; i++)
        if (same(e->key, r->l->entries[i].key))
            return fail(r, "a second line for '%.*s'", (int)(e->key.len < 60 ? e->key.len : 60), e->key.s);
    return 0;
}

/* ---- lines -------------------------------------------------------------------------------------- */

/* Takes \n \t \s (a space) \\ \| \= \# apart; what is not one of them is an error. */
static int unescape(const struct reader *r, const char *s, size_t len, struct perturb_text *out)
{
    char *p = arena_alloc(&r->l->arena, len + 1);
    size_t n = 0;
    if (!p)
        return err_memory(r->err, "a list", len);
    for (size_t i = 0; i < len; i++) {
        if (s[i] != '\\') {
            p[n++] = s[i];
            continue;
        }
        static const char from[] = "nts\\|=#", to[] = "\n\t \\|=#";
        const char *k = ++i < len && s[i] ? strchr(from, s[i]) : NULL;
        if (!k)
            return fail(r, "a '\\' stands before n, t, s, \\, |, = or # only");
        p[n++] = to[k - from];
    }
    *out = (struct perturb_text){p, n};
    if (n == 0)
        return fail(r, "an empty text beside '=' or '|'");
    if (n > MAX_PART)
        return fail(r, "a text of %zu bytes; allowed: at most %d", n, MAX_PART);
    return 0;
}

static void trim(const char **s, const char **end)
{
    while (*s < *end && (**s == ' ' || **s == '\t'))
        ++*s;
    while (*end > *s && ((*end)[-1] == ' ' || (*end)[-1] == '\t' || (*end)[-1] == '\r'))
        --*end;
}

/* The next c that no '\' stands before, or end. */
static const char *find(const char *s, const char *end, char c)
{
    while (s < end && *s != c)
        s += *s == '\\' && s + 1 < end ? 2 : 1;
    return s;
}

static int read_values(const struct reader *r, const char *s, const char *end, struct perturb_entry *e)
{
    size_t n = 1;
    for (const char *p = s; (p = find(p, end, '|')) < end; p++)
        n++;
    if (n > MAX_VALUES)
        return fail(r, "%zu texts on one line; allowed: at most %d", n, MAX_VALUES);
    e->values = arena_array(&r->l->arena, n, sizeof *e->values);
    if (!e->values)
        return err_memory(r->err, "a list", n * sizeof *e->values);
    while (e->n_values < n) {
        const char *stop = find(s, end, '|'), *a = s, *b = stop;
        trim(&a, &b);
        if (unescape(r, a, (size_t)(b - a), &e->values[e->n_values++]))
            return -1;
        s = stop + 1;
    }
    return 0;
}

static int read_line(const struct reader *r, const char *s, const char *end)
{
    struct perturb_list *l = r->l;
    struct perturb_entry e = {.n_values = 0};
    trim(&s, &end);
    if (s == end || *s == '#')
        return 0;
    const char *eq = find(s, end, '='), *key_end = eq;
    if (eq == end)
        return fail(r, "no '='; a line is KEY = TEXT | TEXT | …, or a comment that begins with '#'");
    trim(&s, &key_end);
    if (unescape(r, s, (size_t)(key_end - s), &e.key) || read_values(r, eq + 1, end, &e) || check_entry(r, &e))
        return -1;
    if (l->n == MAX_ENTRIES)
        return fail(r, "more than %d entries", MAX_ENTRIES);
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        struct perturb_entry *p = realloc(l->entries, cap * sizeof *p);
        if (!p)
            return err_memory(r->err, "a list", cap * sizeof *p);
        l->entries = p;
        l->cap = cap;
    }
    l->entries[l->n++] = e;
    return 0;
}

/* ---- looking up --------------------------------------------------------------------------------- */

static int compare_texts(struct perturb_text a, struct perturb_text b)
{
    int c = memcmp(a.s, b.s, a.len < b.len ? a.len : b.len);
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

static int compare_entries(const void *a, const void *b)
{
    return compare_texts((*(const struct perturb_entry *const *)a)->key, (*(const struct perturb_entry *const *)b)->key);
}

static int compare_key(const void *key, const void *entry)
{
    return compare_texts(*(const struct perturb_text *)key, (*(const struct perturb_entry *const *)entry)->key);
}

static int sort_entries(struct perturb_list *l, struct idem_err *err)
{
    l->sorted = arena_array(&l->arena, l->n, sizeof *l->sorted);
    if (!l->sorted)
        return err_memory(err, "a list", l->n * sizeof *l->sorted);
    for (size_t i = 0; i < l->n; i++)
        l->sorted[i] = &l->entries[i];
    qsort(l->sorted, l->n, sizeof *l->sorted, compare_entries);
    return 0;
}

size_t pert_list_find(const struct perturb_list *l, const char *key, size_t len)
{
    struct perturb_text t = {key, len};
    const struct perturb_entry *const *e = bsearch(&t, l->sorted, l->n, sizeof *l->sorted, compare_key);
    return e ? (size_t)(*e - l->entries) : l->n;
}

/* ---- the file ----------------------------------------------------------------------------------- */

struct perturb_list *perturb_list_parse(enum perturb_list_kind kind, const char *path, const char *text,
                                        size_t len, struct idem_err *err)
{
    struct reader r = {.path = path, .line = 1, .err = err};
    size_t bad = 0;
    if (len > MAX_BYTES) {
        err_set(err, IDEM_ERR_LIMIT, "%s: %zu bytes; a list may have at most %d", path, len, MAX_BYTES);
        return NULL;
    }
    if (!utf8_valid(text, len, &bad) || memchr(text, 0, len)) {
        const char *nul = memchr(text, 0, len);
        bad = nul && (utf8_valid(text, len, NULL) || (size_t)(nul - text) < bad) ? (size_t)(nul - text) : bad;
        for (size_t i = 0; i < bad; i++)
            r.line += text[i] == '\n';
        fail(&r, "byte 0x%02x is not text in UTF-8; save the file as UTF-8", (unsigned)(unsigned char)text[bad]);
        return NULL;
    }
    r.l = calloc(1, sizeof *r.l);
    if (!r.l) {
        err_memory(err, "a list", sizeof *r.l);
        return NULL;
    }
    r.l->kind = kind;
    arena_init(&r.l->arena, (size_t)64 * MAX_BYTES);
    int rc = 0;
    for (const char *s = text, *end = text + len; rc == 0 && s < end; r.line++) {
        const char *nl = memchr(s, '\n', (size_t)(end - s));
        rc = read_line(&r, s, nl ? nl : end);
        s = nl ? nl + 1 : end;
    }
    if (rc == 0 && r.l->n == 0)
        rc = err_set(err, IDEM_ERR_FORMAT, "%s: no entry; a line is KEY = TEXT | TEXT | …", path);
    if (rc || sort_entries(r.l, err)) {
        perturb_list_free(r.l);
        return NULL;
    }
    return r.l;
}

struct perturb_list *perturb_list_read(enum perturb_list_kind kind, const char *path, struct idem_err *err)
{
    struct buf b;
    buf_init(&b, MAX_BYTES);
    struct perturb_list *l = NULL;
    if (file_read(&b, path, err) == 0)
        l = perturb_list_parse(kind, path, b.data ? b.data : "", b.len, err);
    buf_release(&b);
    return l;
}

void perturb_list_free(struct perturb_list *l)
{
    if (!l)
        return;
    arena_release(&l->arena);
    free(l->entries);
    free(l);
}

const struct perturb_entry *perturb_list_entries(const struct perturb_list *l, size_t *n)
{
    *n = l->n;
    return l->entries;
}
