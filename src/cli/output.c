/* SPDX-License-Identifier: MIT
 * Everything that is printed: data to standard output, messages to standard error. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

#include "base/utf8.h"

/* A message may quote a file name or a key of a foreign file: no control character gets through. */
static void put_clean(FILE *f, const char *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        int32_t cp;
        size_t n = utf8_next(s + i, len - i, &cp);
        if (cp < 0)
            fputs("\xEF\xBF\xBD", f);
        else if ((cp < 0x20 && cp != '\n' && cp != '\t') || (cp >= 0x7F && cp < 0xA0))
            fputs("?", f);
        else
            fwrite(s + i, 1, n, f);
        i += n;
    }
}

static void message(const struct cli_args *a, const char *kind, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
static void message(const struct cli_args *a, const char *kind, const char *fmt, va_list ap)
{
    char text[2048];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    fflush(stdout);   /* so that both streams on one terminal keep their order */
    fprintf(stderr, "idem%s%s: %s", a && a->command ? " " : "",
            a && a->command ? a->command->name : "", kind);
    put_clean(stderr, text, len);
    fputc('\n', stderr);
}

void cli_note(const struct cli_args *a, const char *fmt, ...)
{
    if (a->quiet)
        return;
    va_list ap;
    va_start(ap, fmt);
    message(a, "", fmt, ap);
    va_end(ap);
}

void cli_warn(const struct cli_args *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    message(a, "warning: ", fmt, ap);
    va_end(ap);
}

static void print_error(const struct cli_args *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void print_error(const struct cli_args *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    message(a, "", fmt, ap);
    va_end(ap);
}

int cli_fail(const struct cli_args *a, const struct idem_err *err)
{
    print_error(a, "%s", err->msg);
    if (err->code == IDEM_ERR_USAGE)
        return CLI_USAGE;
    return err->code == IDEM_ERR_INTERRUPTED ? CLI_INTERRUPTED : CLI_ERROR;
}

void cli_write(const char *data, size_t len)
{
    if (len)
        fwrite(data, 1, len, stdout);
}

int cli_write_buf(const struct cli_args *a, struct buf *b)
{
    int rc = CLI_DONE;
    if (b->failed) {
        struct idem_err err = {0};
        err_memory(&err, "the output", b->max);
        rc = cli_fail(a, &err);
    } else if (b->len) {
        cli_write(b->data, b->len);
        if (b->data[b->len - 1] != '\n')
            cli_write("\n", 1);
    }
    buf_release(b);
    return rc;
}

void cli_write_text(const char *text, size_t len)
{
    if (isatty(STDOUT_FILENO))
        put_clean(stdout, text, len);
    else
        cli_write(text, len);
}

void cli_quote(struct buf *out, const char *text, size_t len)
{
    buf_adds(out, "\"");
    for (size_t i = 0; i < len;) {
        int32_t cp;
        size_t n = utf8_next(text + i, len - i, &cp);
        if (cp < 0)
            for (size_t k = 0; k < n; k++)
                buf_addf(out, "\\x%02x", (unsigned char)text[i + k]);
        else if (cp == '\n')
            buf_adds(out, "\\n");
        else if (cp == '\t')
            buf_adds(out, "\\t");
        else if (cp == '"' || cp == '\\')
            buf_addf(out, "\\%c", (char)cp);
        else if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || utf8proc_charwidth(cp) <= 0)
            buf_addf(out, "\\u%04x", (unsigned)cp);
        else
            buf_add(out, text + i, n);
        i += n;
    }
    buf_adds(out, "\"");
}

size_t cli_columns(const char *text, size_t len)
{
    size_t columns = 0;
    for (size_t i = 0; i < len;) {
        int32_t cp;
        i += utf8_next(text + i, len - i, &cp);
        int w = cp < 0 ? 1 : utf8proc_charwidth(cp);
        columns += w > 0 ? (size_t)w : 0;
    }
    return columns;
}

bool cli_colour(FILE *f)
{
    const char *no = getenv("NO_COLOR");
    return !(no && *no) && isatty(fileno(f));
}
