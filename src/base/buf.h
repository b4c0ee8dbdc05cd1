/* SPDX-License-Identifier: MIT
 * A growing byte buffer with a ceiling that is declared when it is born. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

/* data[len] is always a NUL that len does not count, so text can be read as a C string.
 * `failed` is sticky: after one failed append (memory, ceiling) every later one is a no-op
 * that returns -1, so a chain of appends needs one check at its end. */
struct buf {
    char *data;
    size_t len, cap, max;
    bool failed;
};

void buf_init(struct buf *b, size_t max);          /* empty; at most max bytes */
int buf_append(struct buf *b, const void *data, size_t len)
    __attribute__((warn_unused_result));
/* As buf_append, result in b->failed only. */
void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_clear(struct buf *b);                     /* len = 0, failed = false, memory kept */
char *buf_detach(struct buf *b);                   /* the caller frees; NULL if failed; b is empty */
void buf_release(struct buf *b);

#endif
