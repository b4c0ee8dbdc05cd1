/* SPDX-License-Identifier: MIT
 * Myers' bit-parallel edit distance over an alphabet of token ids. */
#include "stats/edit.h"

#include <stdlib.h>

struct place { int32_t id; size_t at; };   /* token id at index `at` of the pattern */

/* One column of the table as vertical differences, 64 rows to a block: bit i of plus (minus) is
 * set where row i is one more (less) than the row above. same: rows whose token equals the
 * column's, filled and emptied for each column. */
struct column { uint64_t *plus, *minus, *same; size_t n_blocks; };

static int by_id(const void *pa, const void *pb)
{
    const struct place *a = pa, *b = pb;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

/* The first place with this id or a greater one. */
static size_t lower(const struct place *p, size_t n, int32_t id)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (p[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Moves one column to the right. Returns the difference that this makes in row `last` (a bit of
 * the last block): -1, 0 or 1. The row above the first grows by one. */
static int step(struct column *c, uint64_t last)
{
    int in = 1, out = 0;
    for (size_t b = 0; b < c->n_blocks; b++) {
        uint64_t pv = c->plus[b], mv = c->minus[b], eq = c->same[b];
        uint64_t xv = eq | mv;
        eq |= in < 0;
        uint64_t xh = (((eq & pv) + pv) ^ pv) | eq;
        uint64_t ph = mv | ~(xh | pv), mh = pv & xh;
        uint64_t top = b + 1 == c->n_blocks ? last : (uint64_t)1 << 63;
        out = (ph & top) ? 1 : (mh & top) ? -1 : 0;
        ph = ph << 1 | (in > 0);
        mh = mh << 1 | (in < 0);
        c->plus[b] = mh | ~(xv | ph);
        c->minus[b] = ph & xv;
        in = out;
    }
    return out;
}

int stat_edit_distance(size_t *out, const int32_t *a, size_t n_a, const int32_t *b, size_t n_b,
                       struct idem_err *err)
{
    *out = n_a ? n_a : n_b;
    if (n_a == 0 || n_b == 0)
        return 0;
    int rc = -1;
    struct column c = {.n_blocks = (n_a + 63) / 64};
    struct place *p = calloc(n_a, sizeof *p);
    c.plus = calloc(3 * c.n_blocks, sizeof *c.plus);
    if (!p || !c.plus) {
        err_memory(err, "the edit distance", n_a * sizeof *p);
        goto end;
    }
    c.minus = c.plus + c.n_blocks;
    c.same = c.minus + c.n_blocks;
    for (size_t i = 0; i < n_a; i++)
        p[i] = (struct place){a[i], i};
    qsort(p, n_a, sizeof *p, by_id);
    for (size_t i = 0; i < c.n_blocks; i++)
        c.plus[i] = UINT64_MAX;
    uint64_t last = (uint64_t)1 << ((n_a - 1) % 64);
    for (size_t j = 0; j < n_b; j++) {
        size_t first = lower(p, n_a, b[j]), i;
        for (i = first; i < n_a && p[i].id == b[j]; i++)
            c.same[p[i].at / 64] |= (uint64_t)1 << (p[i].at % 64);
        int d = step(&c, last);
        *out = d < 0 ? *out - 1 : *out + (size_t)d;
        for (i = first; i < n_a && p[i].id == b[j]; i++)
            c.same[p[i].at / 64] = 0;
    }
    rc = 0;
end:
    free(c.plus);
    free(p);
    return rc;
}

int stat_edit_share(double *out, const int32_t *a, size_t n_a, const int32_t *b, size_t n_b,
                    struct idem_err *err)
{
    size_t d, longer = n_a > n_b ? n_a : n_b;
    if (stat_edit_distance(&d, a, n_a, b, n_b, err) != 0)
        return -1;
    *out = longer ? (double)d / (double)longer : 0.0;
    return 0;
}
