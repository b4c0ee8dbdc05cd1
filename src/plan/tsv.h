/* SPDX-License-Identifier: MIT
 * A strict reader of tables: columns parted by tabs, their names in the first line. */
#ifndef PLAN_TSV_H
#define PLAN_TSV_H

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

struct plan_tsv {
    const char *path;             /* for messages */
    size_t n_columns, n_rows;
    const char **columns;         /* [n_columns]: names, no two the same */
    const char **cells;           /* [n_rows][n_columns]; "" where a field is empty */
    size_t *lines;                /* [n_rows]: line of the file, from 1 */
};

/* Reads path (UTF-8, at most 64 MiB). A field that begins with '"' ends with the next lone '"', and
 * '""' in it stands for '"'. Lines end with LF or CR LF; empty ones are passed over. All of it lives
 * in a. Errors say "<path>:<line>: …". */
int plan_tsv_read(struct plan_tsv *t, const char *path, struct arena *a, struct idem_err *err);
/* The column of that name; -1, with an error that lists what there is. */
int plan_tsv_column(const struct plan_tsv *t, const char *name, size_t *column, struct idem_err *err);

#endif
