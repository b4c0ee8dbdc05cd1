/* SPDX-License-Identifier: MIT
 * Looking at the values of a JSON document. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/jdoc.h"

bool jdoc_eq(struct jstr a, const char *text)
{
    return strlen(text) == a.len && memcmp(a.s, text, a.len) == 0;
}

int jdoc_cmp(struct jstr a, struct jstr b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.s, b.s, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

const struct jval *jdoc_get(const struct jval *v, const char *key)
{
    if (v && v->type == JDOC_OBJECT)
        for (size_t i = 0; i < v->n; i++)
            if (jdoc_eq(v->members[i].key, key))
                return &v->members[i].value;
    return NULL;
}

bool jdoc_is(const struct jval *v, const char *text)
{
    return v && v->type == JDOC_STRING && jdoc_eq(v->str, text);
}

bool jdoc_u64(const struct jval *v, uint64_t *out)
{
    if (!v || v->type != JDOC_NUMBER || v->str.len > 19)
        return false;
    uint64_t n = 0;
    for (size_t i = 0; i < v->str.len; i++) {
        char c = v->str.s[i];
        if (c < '0' || c > '9')
            return false;
        n = n * 10 + (uint64_t)(c - '0');
    }
    *out = n;
    return n <= INT64_MAX;
}

bool jdoc_f64(const struct jval *v, double *out)
{
    if (!v || v->type != JDOC_NUMBER)
        return false;
    char text[JDOC_NUMBER_LEN];
    memcpy(text, v->str.s, v->str.len);
    text[v->str.len] = '\0';
    *out = strtod(text, NULL);
    return isfinite(*out);
}

const char *jdoc_type_name(const struct jval *v)
{
    static const char *const names[] = {"null", "false", "true", "a number", "a string", "an array",
                                        "an object"};
    return v ? names[v->type] : "nothing";
}

int jdoc_err(const struct jdoc *d, const struct jval *v, struct idem_err *err, const char *fmt, ...)
{
    char msg[800];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return v ? err_set(err, IDEM_ERR_FORMAT, "%s: byte %zu: %s", d->path, v->at, msg)
             : err_set(err, IDEM_ERR_FORMAT, "%s: %s", d->path, msg);
}
