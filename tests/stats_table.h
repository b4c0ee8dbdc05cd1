/* SPDX-License-Identifier: MIT
 * For tests of src/stats: tables of reference values, one line a case: a name, then fields apart by
 * tabs, each a list of numbers apart by commas. */
#ifndef TESTS_STATS_TABLE_H
#define TESTS_STATS_TABLE_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_FIELDS = 8, TABLE_VALUES = 512 };

struct table_list { double v[TABLE_VALUES]; size_t n; };
struct table_line {
    const char *path, *what;
    size_t number;            /* of the line in the file */
    struct table_list f[TABLE_FIELDS];
    size_t n_fields;
};

static inline void table_list(struct table_list *l, char *text)
{
    l->n = 0;
    for (char *save = NULL, *t = strtok_r(text, ",\n", &save); t; t = strtok_r(NULL, ",\n", &save)) {
        assert_true(l->n < TABLE_VALUES);
        l->v[l->n++] = strtod(t, NULL);
    }
}

/* Calls f for every line that begins with `what`; returns their number. */
static inline size_t table_each(const char *path, const char *what, void (*f)(const struct table_line *))
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    static char text[32768];
    static struct table_line line;
    size_t n = 0;
    line = (struct table_line){.path = path, .what = what};
    while (fgets(text, sizeof text, file)) {
        char *rest = text, *name = strsep(&rest, "\t");
        line.number++;
        if (strcmp(name, what) != 0)
            continue;
        line.n_fields = 0;
        for (char *t = strsep(&rest, "\t"); t; t = strsep(&rest, "\t")) {
            assert_true(line.n_fields < TABLE_FIELDS);
            table_list(&line.f[line.n_fields++], t);
        }
        f(&line);
        n++;
    }
    fclose(file);
    return n;
}

static inline void table_near(const struct table_line *l, const char *name, double got, double want,
                              double relative)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= relative * fabs(want) + 1e-300))
        fail_msg("%s:%zu: %s: %s is %.17g, should be %.17g", l->path, l->number, l->what, name, got,
                 want);
}

static inline void table_u32(uint32_t *to, const struct table_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        to[i] = (uint32_t)l->v[i];
}

#endif
