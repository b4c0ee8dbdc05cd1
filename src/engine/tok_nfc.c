/* SPDX-License-Identifier: MIT
 * Unicode normalisation form C (UAX #15). The characters' properties are utf8proc's; the
 * ordering of combining marks is done here, since utf8proc's takes quadratic time. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "engine/tok_impl.h"

enum { MAX_DECOMPOSED = 4 };   /* code points that one can decompose to canonically */

static unsigned class_of(int32_t cp)
{
    return (unsigned)utf8proc_get_property(cp)->combining_class;
}

/* Sorts n marks by class (1..255), equal ones in their order; tmp has room for n. */
static void sort_marks(int32_t *cp, int32_t *tmp, size_t n)
{
    size_t start[257] = {0};
    for (size_t i = 0; i < n; i++)
        start[class_of(cp[i]) + 1]++;
    for (size_t c = 1; c < 257; c++)
        start[c] += start[c - 1];
    for (size_t i = 0; i < n; i++)
        tmp[start[class_of(cp[i])]++] = cp[i];
    memcpy(cp, tmp, n * sizeof *cp);
}

/* Canonical ordering of cp[0 .. n); tmp has room for n. */
static void order(int32_t *cp, int32_t *tmp, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t from = i;
        bool sorted = true;
        unsigned before = 0, c;
        for (; i < n && (c = class_of(cp[i])) != 0; i++) {
            sorted = sorted && c >= before;
            before = c;
        }
        if (!sorted)
            sort_marks(cp + from, tmp, i - from);
        if (i == from)
            i++;
    }
}

int tok_nfc(struct tok_work *w, const char *s, size_t len, const char **out, size_t *out_len)
{
    size_t ascii = 0;
    while (ascii < len && (unsigned char)s[ascii] < 0x80)
        ascii++;
    *out = s;
    *out_len = len;
    if (ascii == len)
        return 0;
    size_t n = 0;
    int last = UTF8PROC_BOUNDCLASS_START;
    for (size_t at = 0; at < len;) {
        if (tok_reserve(w, (void **)&w->points, &w->cap_points, n + MAX_DECOMPOSED,
                        sizeof *w->points, true) != 0)
            return -1;
        int32_t cp;
        at += utf8_next(s + at, len - at, &cp);
        utf8proc_ssize_t k = utf8proc_decompose_char(cp, w->points + n, MAX_DECOMPOSED,
                                                     UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &last);
        if (k < 0 || k > MAX_DECOMPOSED)
            return err_set(w->err, IDEM_ERR_UNSUPPORTED, "U+%04X cannot be normalised: %s",
                           (unsigned)cp, k < 0 ? utf8proc_errmsg(k) : "its decomposition is too long");
        n += (size_t)k;
    }
    if (tok_reserve(w, (void **)&w->normal, &w->cap_normal, n * 4, 1, false) != 0)
        return -1;
    int32_t *tmp = malloc(n * sizeof *tmp);
    if (!tmp)
        return err_memory(w->err, "the normal form of a text", n * sizeof *tmp);
    order(w->points, tmp, n);
    free(tmp);
    utf8proc_ssize_t m = utf8proc_normalize_utf32(w->points, (utf8proc_ssize_t)n,
                                                  UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    if (m < 0)
        return err_set(w->err, IDEM_ERR_UNSUPPORTED, "the text cannot be normalised: %s",
                       utf8proc_errmsg(m));
    size_t at = 0;
    for (utf8proc_ssize_t i = 0; i < m; i++)
        at += (size_t)utf8proc_encode_char(w->points[i], (utf8proc_uint8_t *)w->normal + at);
    *out = w->normal;
    *out_len = at;
    return 0;
}
