/* SPDX-License-Identifier: MIT
 * Reading a JSON file strictly, as a tree that knows where in the file each value stands.
 *
 * Refused, each with the byte offset: what is not JSON (NaN and Infinity too), bytes that are not
 * UTF-8, lone surrogates, a key that an object has twice, more than JDOC_DEPTH levels. Strings
 * without escapes point into the mapped file, so that a tokenizer of 30 MB is not copied. */
#ifndef CONVERT_JDOC_H
#define CONVERT_JDOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"

enum { JDOC_DEPTH = 64, JDOC_NUMBER_LEN = 64 };   /* a longer number is refused */
enum jtype { JDOC_NULL, JDOC_FALSE, JDOC_TRUE, JDOC_NUMBER, JDOC_STRING, JDOC_ARRAY, JDOC_OBJECT };

struct jstr { const char *s; size_t len; };   /* UTF-8, no NUL behind */

struct jval {
    enum jtype type;
    size_t at;                       /* byte offset in the file */
    size_t n;                        /* elements of an array, members of an object */
    union {
        struct jstr str;             /* of a string; of a number: its digits as in the file */
        const struct jval *items;    /* of an array: [n] */
        const struct jmember *members;   /* of an object: [n], in the order of the file */
    };
};

struct jmember { struct jstr key; struct jval value; };

struct jdoc {
    char *path;                      /* for messages */
    struct file_map map;             /* data NULL if the bytes are the caller's */
    struct arena arena;
    const struct jval *root;
};

/* Reads a file of at most max bytes. Returns -1 with err; d needs no close then. */
int jdoc_open(struct jdoc *d, const char *path, size_t max, struct idem_err *err);
/* The same on bytes that outlive d. `base` is their offset in the file, for messages. */
int jdoc_parse(struct jdoc *d, const char *name, const char *text, size_t len, size_t base,
               struct idem_err *err);
void jdoc_close(struct jdoc *d);

/* The member of an object, or NULL (absent, or v is NULL or no object). */
const struct jval *jdoc_get(const struct jval *v, const char *key);
bool jdoc_is(const struct jval *v, const char *text);          /* a string of these bytes */
bool jdoc_eq(struct jstr a, const char *text);
/* Below 0, 0 or above 0: by bytes, a text before what it begins. */
int jdoc_cmp(struct jstr a, struct jstr b);
/* A whole number without fraction or exponent in [0, 2^63). */
bool jdoc_u64(const struct jval *v, uint64_t *out);
bool jdoc_f64(const struct jval *v, double *out);              /* finite */
const char *jdoc_type_name(const struct jval *v);              /* "an array", ... */

/* "<path>: byte <offset>: <message>"; v may be NULL (no offset). Returns -1. */
int jdoc_err(const struct jdoc *d, const struct jval *v, struct idem_err *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
