/* SPDX-License-Identifier: MIT
 * A growing byte buffer with a declared ceiling. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

/* Makes room for len more bytes and the NUL behind them. */
static int reserve(struct buf *b, size_t len)
{
    if (b->failed)
        return -1;
    if (len > b->max || b->len > b->max - len || len >= SIZE_MAX - b->len) {
        b->failed = true;
        return -1;
    }
    size_t need = b->len + len + 1;
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap < 64 ? 64 : b->cap + b->cap / 2;
    if (cap < need)
        cap = need;
    char *p = realloc(b->data, cap);
    if (!p) {
        b->failed = true;
        return -1;
    }
    b->data = p;
    b->cap = cap;
    return 0;
}

int buf_append(struct buf *b, const void *data, size_t len)
{
    if (reserve(b, len) != 0)
        return -1;
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    if (buf_append(b, data, len) != 0)
        b->failed = true;
}

void buf_adds(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        b->failed = true;
    else if (reserve(b, (size_t)n) == 0) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

char *buf_detach(struct buf *b)
{
    if (reserve(b, 0) != 0) {
        buf_release(b);
        return NULL;
    }
    char *p = b->data;
    p[b->len] = '\0';
    buf_init(b, b->max);
    return p;
}

void buf_release(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}
