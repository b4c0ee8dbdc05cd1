/* SPDX-License-Identifier: MIT
 * A strict reader of tables. */
#include "plan/tsv.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "plan/yaml.h"

enum { MAX_BYTES = 64 << 20, MAX_COLUMNS = 200, MAX_NAME = 64 };

struct reader {
    struct plan_tsv *t;
    struct arena *a;
    const char *at, *end;
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
    return err_set(r->err, IDEM_ERR_FORMAT, "%s:%zu: %s", r->t->path, r->line, msg);
}

/* Where a field in quotes ends: its closing '"'. NULL: an error was set. */
static const char *quote_end(const struct reader *r, const char *stop)
{
    const char *s = r->at + 1;
    while (s < stop && (*s != '"' || (s + 1 < stop && s[1] == '"')))
        s += *s == '"' ? 2 : 1;
    if (s >= stop)
        fail(r, "a field that begins with '\"' does not end on this line");
    else if (s + 1 < stop && s[1] != '\t')
        fail(r, "text behind the '\"' that ends a field; a '\"' within is written twice");
    else
        return s;
    return NULL;
}

/* The field from r->at to the tab or the end of the line behind it. */
static const char *read_field(struct reader *r, const char *stop)
{
    bool quoted = r->at < stop && *r->at == '"';
    const char *tab = memchr(r->at, '\t', (size_t)(stop - r->at));
    const char *end = quoted ? quote_end(r, stop) : tab ? tab : stop;
    char *out = end ? arena_alloc(r->a, (size_t)(end - r->at) + 1) : NULL;
    size_t n = 0;
    if (!out) {
        if (end)
            err_memory(r->err, "a table", (size_t)(end - r->at));
        return NULL;
    }
    for (const char *s = r->at + quoted; s < end; s++) {
        s += quoted && *s == '"';
        out[n++] = *s;
    }
    r->at = end + quoted;
    return out;
}

/* The fields of the next line that is not empty. 1: read; 0: the end; -1: an error. */
static int read_row(struct reader *r, const char **cells, size_t max, size_t *n)
{
    for (*n = 0; r->at < r->end; r->line++) {
        const char *nl = memchr(r->at, '\n', (size_t)(r->end - r->at)), *next = nl ? nl + 1 : r->end;
        const char *stop = nl ? nl : r->end;
        stop -= stop > r->at && stop[-1] == '\r';
        if (stop == r->at) {
            r->at = next;
            continue;
        }
        for (;;) {
            if (*n == max)
                return fail(r, "more than %zu columns", max);
            if (!(cells[(*n)++] = read_field(r, stop)))
                return -1;
            if (r->at >= stop)
                break;
            r->at++;                     /* the tab */
        }
        r->at = next;
        return 1;
    }
    return 0;
}

static int check_bytes(const struct reader *r, const char *text, size_t len)
{
    size_t bad = len, line = 1;
    const char *nul = memchr(text, 0, len);
    if (utf8_valid(text, len, &bad) && !nul)
        return 0;
    if (nul && (size_t)(nul - text) < bad)
        bad = (size_t)(nul - text);
    for (size_t i = 0; i < bad; i++)
        line += text[i] == '\n';
    return err_set(r->err, IDEM_ERR_FORMAT, "%s:%zu: byte 0x%02x is not text in UTF-8; save the file as UTF-8",
                   r->t->path, line, (unsigned)(unsigned char)text[bad]);
}

static int read_header(struct reader *r)
{
    struct plan_tsv *t = r->t;
    t->columns = arena_array(r->a, MAX_COLUMNS, sizeof *t->columns);
    if (!t->columns)
        return err_memory(r->err, "a table", MAX_COLUMNS * sizeof *t->columns);
    int got = read_row(r, t->columns, MAX_COLUMNS, &t->n_columns);
    if (got == 0)
        return err_set(r->err, IDEM_ERR_FORMAT, "%s: an empty file; the first line names the columns", t->path);
    for (size_t i = 0; got > 0 && i < t->n_columns; i++) {
        size_t len = strlen(t->columns[i]);
        if (len == 0 || len > MAX_NAME)
            return fail(r, "the name of column %zu has %zu bytes; allowed: 1 to %d", i + 1, len, MAX_NAME);
        for (size_t k = 0; k < i; k++)
            if (strcmp(t->columns[k], t->columns[i]) == 0)
                return fail(r, "two columns are called '%s'", t->columns[i]);
    }
    r->line++;
    return got < 0 ? -1 : 0;
}

static int read_rows(struct reader *r, size_t max)
{
    struct plan_tsv *t = r->t;
    size_t n;
    int got;
    t->cells = arena_array(r->a, (max + 1) * t->n_columns, sizeof *t->cells);
    t->lines = arena_array(r->a, max + 1, sizeof *t->lines);
    if (!t->cells || !t->lines)
        return err_memory(r->err, "a table", max * t->n_columns * sizeof *t->cells);
    while ((got = read_row(r, t->cells + t->n_rows * t->n_columns, t->n_columns, &n)) > 0) {
        if (n != t->n_columns)
            return fail(r, "%zu columns, but the first line names %zu; an empty field still has its tab", n,
                        t->n_columns);
        t->lines[t->n_rows++] = r->line++;
    }
    if (got == 0 && t->n_rows == 0)
        return err_set(r->err, IDEM_ERR_FORMAT, "%s: no row below the names of the columns", t->path);
    return got;
}

int plan_tsv_read(struct plan_tsv *t, const char *path, struct arena *a, struct idem_err *err)
{
    struct buf text;
    *t = (struct plan_tsv){.path = path};
    buf_init(&text, MAX_BYTES);
    int rc = file_read(&text, path, err);
    struct reader r = {.t = t, .a = a, .at = text.data, .end = text.data ? text.data + text.len : NULL, .line = 1,
                       .err = err};
    if (rc == 0 && text.len == 0)
        rc = err_set(err, IDEM_ERR_FORMAT, "%s: an empty file; the first line names the columns", path);
    size_t n_lines = 1;
    for (size_t i = 0; i < text.len; i++)
        n_lines += text.data[i] == '\n';
    if (rc == 0 && (check_bytes(&r, text.data, text.len) || read_header(&r) || read_rows(&r, n_lines)))
        rc = -1;
    buf_release(&text);
    return rc;
}

int plan_tsv_column(const struct plan_tsv *t, const char *name, size_t *column, struct idem_err *err)
{
    const char *words[MAX_COLUMNS + 1];
    struct buf list;
    for (*column = 0; *column < t->n_columns; ++*column)
        if (strcmp(t->columns[*column], name) == 0)
            return 0;
    buf_init(&list, 400);
    for (size_t i = 0; i < t->n_columns; i++) {
        words[i] = t->columns[i];
        buf_addf(&list, "%s%s", i ? ", " : "", words[i]);
    }
    words[t->n_columns] = NULL;
    const char *near = plan_nearest(name, strlen(name), words);
    err_set(err, IDEM_ERR_FORMAT, "the table %s has no column '%.64s'%s%s%s; there are: %s", t->path, name,
            near ? ", did you mean '" : "", near ? near : "", near ? "'" : "", list.data ? list.data : "");
    buf_release(&list);
    return -1;
}
