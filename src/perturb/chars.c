/* SPDX-License-Identifier: MIT
 * Characters as people see them (grapheme clusters, UAX #29), by utf8proc. */
#include <stdlib.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "perturb/intern.h"

int pert_cut(struct pert_chars *c, const char *s, size_t len)
{
    *c = (struct pert_chars){.s = s};
    c->at = calloc(len + 1, sizeof *c->at);
    c->cp = calloc(len + 1, sizeof *c->cp);
    c->frozen = calloc(len + 1, sizeof *c->frozen);
    if (!c->at || !c->cp || !c->frozen) {
        pert_cut_release(c);
        return -1;
    }
    utf8proc_int32_t state = 0;
    int32_t before = 0, cp;
    for (size_t i = 0, step; i < len; i += step) {
        step = utf8_next(s + i, len - i, &cp);
        if (i == 0 || utf8proc_grapheme_break_stateful(before, cp, &state)) {
            c->at[c->n] = i;
            c->cp[c->n++] = cp;
        }
        before = cp;
    }
    c->at[c->n] = len;
    return 0;
}

void pert_cut_release(struct pert_chars *c)
{
    free(c->at);
    free(c->cp);
    free(c->frozen);
    *c = (struct pert_chars){0};
}

size_t pert_char_at(const struct pert_chars *c, size_t byte)
{
    size_t lo = 0, hi = c->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (c->at[mid] < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool pert_is_letter(int32_t cp)
{
    utf8proc_category_t k = utf8proc_category(cp);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool pert_is_mark(int32_t cp)
{
    utf8proc_category_t k = utf8proc_category(cp);
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

bool pert_in_word(const struct pert_chars *c, size_t i)
{
    if (i >= c->n)
        return false;
    if (pert_is_letter(c->cp[i]))
        return true;
    return (c->cp[i] == '\'' || c->cp[i] == 0x2019) && i > 0 && i + 1 < c->n &&
           pert_is_letter(c->cp[i - 1]) && pert_is_letter(c->cp[i + 1]);
}

void pert_put_case(struct buf *b, const char *s, size_t len, bool upper)
{
    for (size_t i = 0, step; i < len; i += step) {
        int32_t cp;
        utf8proc_uint8_t out[4];
        step = utf8_next(s + i, len - i, &cp);
        int32_t to = upper ? utf8proc_toupper(cp) : utf8proc_tolower(cp);
        buf_add(b, out, (size_t)utf8proc_encode_char(to, out));
    }
}
