/* SPDX-License-Identifier: MIT
 * Filling and extending struct idem_err. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Cuts an incomplete UTF-8 sequence from the end of a message that filled its buffer. */
static void trim_utf8(char *msg, size_t len)
{
    size_t i = len;
    while (i > 0 && ((unsigned char)msg[i - 1] & 0xC0) == 0x80)
        i--;
    if (i == 0)
        return;
    unsigned char lead = (unsigned char)msg[i - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (i - 1 + need > len)
        msg[i - 1] = '\0';
}

/* Names and words in a message come from files: what a terminal would act on, or could not show,
 * becomes a question mark, byte by byte. */
static void make_printable(char *msg)
{
    size_t len = strlen(msg);
    for (size_t i = 0, step; i < len; i += step) {
        int32_t cp;
        step = utf8_next(msg + i, len - i, &cp);
        if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0))      /* malformed: cp is -1 */
            memset(msg + i, '?', step);
    }
}

int err_set(struct idem_err *err, enum idem_err_code code, const char *fmt, ...)
{
    if (!err)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    err->code = code;
    if (n < 0)
        err->msg[0] = '\0';
    else if ((size_t)n >= sizeof err->msg)
        trim_utf8(err->msg, sizeof err->msg - 1);
    make_printable(err->msg);
    return -1;
}

int err_prefix(struct idem_err *err, const char *fmt, ...)
{
    if (!err)
        return -1;
    char old[sizeof err->msg], prefix[sizeof err->msg];
    memcpy(old, err->msg, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(prefix, sizeof prefix, fmt, ap);
    va_end(ap);
    if (n < 0)
        prefix[0] = '\0';
    return err_set(err, err->code, "%s: %s", prefix, old);
}

int err_memory(struct idem_err *err, const char *what, unsigned long long n_bytes)
{
    return err_set(err, IDEM_ERR_MEMORY,
                   "not enough memory for %s (%llu bytes); close other programs or use a "
                   "smaller model, context or batch", what, n_bytes);
}
