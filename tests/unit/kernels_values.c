/* SPDX-License-Identifier: MIT
 * Every weight type of the file means what its makers say: packed and unpacked rows have the bits that
 * the Python package gguf gives. Their products with activations, by every variant here, have the
 * bits that docs/numerics.md gives in exact fractions (tools/make_dequant_fixture.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"

enum { N = 256, ROWS = 19, LINE_MAX_BYTES = 8192 };

struct row {
    enum qtype type;
    char origin[16];
    size_t n_bytes;
    uint8_t bytes[4 * N];
    float values[N];
    float q8, f32;                /* the dots with the activations; q8 for quantised types only */
};

static size_t unhex(const char *s, uint8_t *out, size_t cap)
{
    size_t n = 0;
    unsigned v;
    for (; sscanf(s, "%2x", &v) == 1; s += 2) {
        assert_true(n < cap);
        out[n++] = (uint8_t)v;
    }
    assert_int_equal(*s, 0);
    return n;
}

static enum qtype type_named(const char *name)
{
    for (uint32_t i = 0; i < 64; i++)
        if (qtype_info(i) && strcmp(qtype_info(i)->name, name) == 0)
            return (enum qtype)i;
    fail_msg("no type '%s'", name);
    return QTYPE_F32;
}

/* The rows of the fixture, which the caller frees, and the activations. */
static struct row *read_rows(size_t *n, float x[N])
{
    FILE *f = fopen("tests/data/kernels/values.tsv", "r");
    struct row *rows = calloc(64, sizeof *rows);
    static char line[LINE_MAX_BYTES];
    assert_non_null(f);
    assert_non_null(rows);
    *n = 0;
    while (fgets(line, sizeof line, f)) {
        char *save, *part[6];
        if (line[0] == '#')
            continue;
        if (line[0] == 'x') {
            line[strcspn(line, "\n")] = 0;
            assert_int_equal(unhex(line + 4, (uint8_t *)x, N * sizeof *x), N * sizeof *x);
            continue;
        }
        assert_true(*n < 64);
        struct row *r = &rows[(*n)++];
        for (int i = 0; i < 6; i++) {
            part[i] = strtok_r(i ? NULL : line, "\t\n", &save);
            assert_non_null(part[i]);
        }
        r->type = type_named(part[0]);
        snprintf(r->origin, sizeof r->origin, "%s", part[1]);
        r->n_bytes = unhex(part[2], r->bytes, sizeof r->bytes);
        assert_int_equal(unhex(part[3], (uint8_t *)r->values, sizeof r->values), sizeof r->values);
        if (kern_type_is_quantised(r->type))
            assert_int_equal(unhex(part[4], (uint8_t *)&r->q8, sizeof r->q8), sizeof r->q8);
        assert_int_equal(unhex(part[5], (uint8_t *)&r->f32, sizeof r->f32), sizeof r->f32);
    }
    fclose(f);
    return rows;
}

static void check_unpacked(const struct kern_matrix *w, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < ROWS; i++) {
        float out[N];
        kern_unpack_row(w, i, out);
        for (size_t k = 0; k < N; k++)
            if (memcmp(&out[k], &rows[i % n].values[k], sizeof out[k]) != 0)
                fail_msg("%s (%s) row %zu column %zu is %a, gguf has %a", qtype_info(w->type)->name,
                         rows[i % n].origin, i, k, (double)out[k], (double)rows[i % n].values[k]);
    }
}

static void check_dots(const struct kern_ops *ops, const struct kern_matrix *w, const struct row *rows,
                       size_t n, const float x[N])
{
    struct kern_q8 q[N / KERN_BLOCK];
    float q8[ROWS], f32[ROWS], *scratch = aligned_alloc(64, kern_scratch_bytes(N));
    assert_non_null(scratch);
    ops->quantize(q, x, N);
    ops->matmul_f32(f32, ROWS, w, x, N, 1, 0, kern_n_groups(w), scratch);
    if (kern_type_is_quantised(w->type))
        ops->matmul_q8(q8, ROWS, w, q, 1, 0, kern_n_groups(w));
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *r = &rows[i % n];
        if (memcmp(&f32[i], &r->f32, sizeof r->f32) != 0)
            fail_msg("%s: %s (%s) row %zu: f32 dot %a, defined as %a", ops->name, qtype_info(w->type)->name,
                     r->origin, i, (double)f32[i], (double)r->f32);
        if (kern_type_is_quantised(w->type) && memcmp(&q8[i], &r->q8, sizeof r->q8) != 0)
            fail_msg("%s: %s (%s) row %zu: q8 dot %a, defined as %a", ops->name, qtype_info(w->type)->name,
                     r->origin, i, (double)q8[i], (double)r->q8);
    }
    free(scratch);
}

/* A matrix of ROWS rows that repeats the n given ones, so that each is at every place of a group. */
static void check_type(const struct row *rows, size_t n, const float x[N])
{
    const struct kern_ops *const variants[] = {kern_ops_ref(), kern_ops_sse41(), kern_ops_avx2(),
                                               kern_ops_avx512(), kern_ops_neon()};
    struct kern_matrix w;
    size_t bytes = kern_matrix_init(&w, rows[0].type, ROWS, N), row_bytes = rows[0].n_bytes;
    assert_true(bytes > 0);
    const struct qtype_info *info = qtype_info((uint32_t)rows[0].type);
    assert_int_equal(row_bytes, N / info->block_elems * info->block_bytes);
    uint8_t *file = malloc(ROWS * row_bytes);
    w.data = aligned_alloc(64, bytes);
    assert_non_null(file);
    assert_non_null(w.data);
    for (size_t i = 0; i < ROWS; i++)
        memcpy(file + i * row_bytes, rows[i % n].bytes, row_bytes);
    kern_pack(&w, file, 0, kern_n_groups(&w));
    check_unpacked(&w, rows, n);
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++)
        if (variants[i])
            check_dots(variants[i], &w, rows, n, x);
    free(file);
    free(w.data);
}

static void every_type_has_its_values(void **state)
{
    (void)state;
    size_t n_rows, n_types = 0;
    float x[N];
    struct row *rows = read_rows(&n_rows, x);
    bool seen[64] = {false};
    for (size_t i = 0; i < n_rows;) {
        size_t n = 1;
        while (i + n < n_rows && rows[i + n].type == rows[i].type)
            n++;
        check_type(rows + i, n, x);
        seen[rows[i].type] = true;
        i += n;
        n_types++;
    }
    for (uint32_t t = 0; t < 64; t++)           /* a type without a fixture is not known to be right */
        assert_int_equal(seen[t], qtype_info(t) && kern_type_supported((enum qtype)t));
    assert_int_equal(n_types, 15);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_its_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
