/* SPDX-License-Identifier: MIT
 * A strict JSON reader (RFC 8259) with byte offsets. */
#include "convert/jdoc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define ARENA_MAX ((size_t)4 << 30)
enum { SMALL_OBJECT = 16 };

struct reader {
    struct jdoc *d;
    const char *s;
    size_t at, len, base;
    unsigned depth;
    struct jmember *stack;       /* members and elements of the containers that are open */
    size_t n_stack, cap_stack;
    struct idem_err *err;
};

static int fail(struct reader *r, size_t at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct reader *r, size_t at, const char *fmt, ...)
{
    char msg[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return err_set(r->err, IDEM_ERR_FORMAT, "%s: byte %zu: %s", r->d->path, r->base + at, msg);
}

static void skip_space(struct reader *r)
{
    while (r->at < r->len && strchr(" \t\r\n", r->s[r->at]) && r->s[r->at])
        r->at++;
}

static int parse_value(struct reader *r, struct jval *v);

/* ---- strings ---------------------------------------------------------------------------------- */

/* Stops at the string's quote at the latest. */
static int hex4(struct reader *r, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = r->s[r->at++];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10 : 16;
        if (digit > 15)
            return fail(r, r->at - 1, "\\u must be followed by four hexadecimal digits");
        *out = *out << 4 | digit;
    }
    return 0;
}

static size_t put_utf8(char *p, uint32_t cp)
{
    if (cp < 0x80) {
        p[0] = (char)cp;
        return 1;
    }
    size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, cp >>= 6)
        p[i] = (char)(0x80 | (cp & 0x3F));
    p[0] = (char)((n == 2 ? 0xC0 : n == 3 ? 0xE0 : 0xF0) | cp);
    return n;
}

/* Behind "\u": one code point, of a surrogate pair both halves. */
static int unicode_escape(struct reader *r, uint32_t *cp)
{
    size_t from = r->at - 2;
    uint32_t low;
    if (hex4(r, cp) != 0)
        return -1;
    if (*cp < 0xD800 || *cp > 0xDFFF)
        return 0;
    if (*cp <= 0xDBFF && r->len - r->at >= 6 && r->s[r->at] == '\\' && r->s[r->at + 1] == 'u') {
        r->at += 2;
        if (hex4(r, &low) != 0)
            return -1;
        if (low >= 0xDC00 && low <= 0xDFFF) {
            *cp = 0x10000 + ((*cp - 0xD800) << 10) + (low - 0xDC00);
            return 0;
        }
    }
    return fail(r, from, "half of a surrogate pair is no character");
}

/* The string with its escapes resolved; r->at stands at its first byte, `end` at its quote. */
static int unescape(struct reader *r, size_t end, struct jstr *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char *p = arena_alloc(&r->d->arena, end - r->at + 1);
    if (!p)
        return err_memory(r->err, r->d->path, end - r->at);
    size_t n = 0;
    while (r->at < end) {
        char c = r->s[r->at++];
        if (c != '\\') {
            p[n++] = c;
            continue;
        }
        c = r->s[r->at++];
        const char *name = c ? strchr(names, c) : NULL;
        uint32_t cp = 0;
        if (name)
            p[n++] = values[name - names];
        else if (c != 'u')
            return fail(r, r->at - 2, "unknown escape");
        else if (unicode_escape(r, &cp) != 0)
            return -1;
        else
            n += put_utf8(p + n, cp);
    }
    *out = (struct jstr){p, n};
    r->at = end + 1;
    return 0;
}

static int parse_string(struct reader *r, struct jstr *out)
{
    size_t from = ++r->at, end = from;
    bool escapes = false;
    for (; end < r->len && r->s[end] != '"'; end++) {
        if ((unsigned char)r->s[end] < 0x20)
            return fail(r, end, "a control character inside a string");
        if (r->s[end] == '\\') {
            escapes = true;
            end++;
        }
    }
    if (end >= r->len)
        return fail(r, from - 1, "a string without an end: the file is cut short or damaged");
    if (escapes)
        return unescape(r, end, out);
    *out = (struct jstr){r->s + from, end - from};
    r->at = end + 1;
    return 0;
}

/* ---- numbers and words -------------------------------------------------------------------------- */

static size_t digits(const struct reader *r, size_t at)
{
    size_t n = 0;
    while (at + n < r->len && r->s[at + n] >= '0' && r->s[at + n] <= '9')
        n++;
    return n;
}

static int parse_number(struct reader *r, struct jval *v)
{
    size_t from = r->at, at = from + (r->s[from] == '-'), n = digits(r, at);
    bool bad = n == 0 || (n > 1 && r->s[at] == '0');
    at += n;
    if (at < r->len && r->s[at] == '.') {
        n = digits(r, at + 1);
        bad = bad || n == 0;
        at += n + 1;
    }
    if (at < r->len && (r->s[at] == 'e' || r->s[at] == 'E')) {
        at++;
        if (at < r->len && (r->s[at] == '+' || r->s[at] == '-'))
            at++;
        n = digits(r, at);
        bad = bad || n == 0;
        at += n;
    }
    if (bad || at - from >= JDOC_NUMBER_LEN)
        return fail(r, from, "this is not a number of JSON");
    v->type = JDOC_NUMBER;
    v->str = (struct jstr){r->s + from, at - from};
    r->at = at;
    return 0;
}

static int parse_word(struct reader *r, struct jval *v)
{
    static const struct { const char *word; enum jtype type; } words[] = {
        {"null", JDOC_NULL}, {"true", JDOC_TRUE}, {"false", JDOC_FALSE},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i].word);
        if (r->len - r->at >= n && memcmp(r->s + r->at, words[i].word, n) == 0) {
            v->type = words[i].type;
            r->at += n;
            return 0;
        }
    }
    if (r->s[r->at] == 'N' || r->s[r->at] == 'I')
        return fail(r, r->at, "NaN and Infinity are no numbers of JSON");
    return fail(r, r->at, "no value of JSON begins with this byte");
}

/* ---- arrays and objects --------------------------------------------------------------------------- */

static int push(struct reader *r, const struct jmember *m)
{
    if (r->n_stack == r->cap_stack) {
        size_t cap = r->cap_stack ? r->cap_stack * 2 : 256;
        struct jmember *p = realloc(r->stack, cap * sizeof *p);
        if (!p)
            return err_memory(r->err, r->d->path, cap * sizeof *p);
        r->stack = p;
        r->cap_stack = cap;
    }
    r->stack[r->n_stack++] = *m;
    return 0;
}

static int by_key(const void *a, const void *b)
{
    return jdoc_cmp((*(const struct jmember *const *)a)->key, (*(const struct jmember *const *)b)->key);
}

static int duplicate(struct reader *r, const struct jmember *a, const struct jmember *b)
{
    const struct jmember *second = a->value.at > b->value.at ? a : b;
    return fail(r, second->value.at, "the key '%.*s' stands twice in one object",
                (int)(second->key.len < 128 ? second->key.len : 128), second->key.s);
}

static int no_duplicates(struct reader *r, const struct jmember *m, size_t n)
{
    if (n <= SMALL_OBJECT) {
        for (size_t i = 1; i < n; i++)
            for (size_t k = 0; k < i; k++)
                if (jdoc_cmp(m[i].key, m[k].key) == 0)
                    return duplicate(r, &m[k], &m[i]);
        return 0;
    }
    const struct jmember **p = malloc(n * sizeof *p);
    if (!p)
        return err_memory(r->err, r->d->path, n * sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = &m[i];
    qsort(p, n, sizeof *p, by_key);
    int rc = 0;
    for (size_t i = 1; i < n && rc == 0; i++)
        if (by_key(&p[i - 1], &p[i]) == 0)
            rc = duplicate(r, p[i - 1], p[i]);
    free(p);
    return rc;
}

/* Moves what is above `from` on the stack into the arena. */
static int collect(struct reader *r, size_t from, struct jval *v)
{
    size_t n = r->n_stack - from;
    v->n = n;
    r->n_stack = from;
    if (v->type == JDOC_OBJECT) {
        struct jmember *m = arena_array(&r->d->arena, n ? n : 1, sizeof *m);
        if (!m)
            return err_memory(r->err, r->d->path, n * sizeof *m);
        if (n)
            memcpy(m, r->stack + from, n * sizeof *m);
        v->members = m;
        return no_duplicates(r, m, n);
    }
    struct jval *items = arena_array(&r->d->arena, n ? n : 1, sizeof *items);
    if (!items)
        return err_memory(r->err, r->d->path, n * sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = r->stack[from + i].value;
    v->items = items;
    return 0;
}

static int parse_member(struct reader *r, bool object)
{
    struct jmember m = {0};
    skip_space(r);
    if (object) {
        if (r->at >= r->len || r->s[r->at] != '"')
            return fail(r, r->at, "a key in quotes must stand here");
        if (parse_string(r, &m.key) != 0)
            return -1;
        skip_space(r);
        if (r->at >= r->len || r->s[r->at] != ':')
            return fail(r, r->at, "a colon must stand behind a key");
        r->at++;
    }
    return parse_value(r, &m.value) != 0 ? -1 : push(r, &m);
}

static int parse_container(struct reader *r, struct jval *v)
{
    bool object = r->s[r->at] == '{';
    char close = object ? '}' : ']';
    size_t from = r->n_stack, begin = r->at++;
    v->type = object ? JDOC_OBJECT : JDOC_ARRAY;
    if (++r->depth > JDOC_DEPTH)
        return fail(r, begin, "more than %d levels of arrays and objects", JDOC_DEPTH);
    skip_space(r);
    if (r->at < r->len && r->s[r->at] == close) {
        r->at++;
        r->depth--;
        return collect(r, from, v);
    }
    for (;;) {
        if (parse_member(r, object) != 0)
            return -1;
        skip_space(r);
        if (r->at >= r->len)
            return fail(r, begin, "%s without an end: the file is cut short or damaged",
                        object ? "an object" : "an array");
        char c = r->s[r->at++];
        if (c == close)
            break;
        if (c != ',')
            return fail(r, r->at - 1, "a comma or '%c' must stand here", close);
    }
    r->depth--;
    return collect(r, from, v);
}

static int parse_value(struct reader *r, struct jval *v)
{
    *v = (struct jval){0};
    skip_space(r);
    if (r->at >= r->len)
        return fail(r, r->at, "the file ends where a value must stand: it is cut short or damaged");
    v->at = r->base + r->at;
    char c = r->s[r->at];
    if (c == '{' || c == '[')
        return parse_container(r, v);
    if (c == '"') {
        v->type = JDOC_STRING;
        return parse_string(r, &v->str);
    }
    return c == '-' || (c >= '0' && c <= '9') ? parse_number(r, v) : parse_word(r, v);
}

/* ---- files ------------------------------------------------------------------------------------------- */

int jdoc_parse(struct jdoc *d, const char *name, const char *text, size_t len, size_t base,
               struct idem_err *err)
{
    struct reader r = {.d = d, .s = text, .len = len, .base = base, .err = err};
    struct file_map map = d->map;
    *d = (struct jdoc){.path = strdup(name), .map = map};
    arena_init(&d->arena, ARENA_MAX);
    struct jval *root = d->path ? arena_alloc(&d->arena, sizeof *root) : NULL;
    int rc = root ? 0 : err_memory(err, name, sizeof *root);
    size_t bad;
    if (rc == 0 && !utf8_valid(text, len, &bad))
        rc = fail(&r, bad, "this is not UTF-8");
    if (rc == 0)
        rc = parse_value(&r, root);
    if (rc == 0) {
        skip_space(&r);
        if (r.at < len)
            rc = fail(&r, r.at, "there is more behind the end of the JSON value");
    }
    free(r.stack);
    d->root = root;
    if (rc != 0)
        jdoc_close(d);
    return rc;
}

int jdoc_open(struct jdoc *d, const char *path, size_t max, struct idem_err *err)
{
    *d = (struct jdoc){0};
    if (file_map(&d->map, path, err) != 0)
        return -1;
    if (d->map.len > max) {
        err_set(err, IDEM_ERR_LIMIT, "%s: %zu bytes are more than the %zu allowed for such a file",
                path, d->map.len, max);
        file_unmap(&d->map);
        return -1;
    }
    return jdoc_parse(d, path, d->map.data ? (const char *)d->map.data : "", d->map.len, 0, err);
}

void jdoc_close(struct jdoc *d)
{
    file_unmap(&d->map);
    arena_release(&d->arena);
    free(d->path);
    *d = (struct jdoc){0};
}
