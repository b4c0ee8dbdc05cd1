/* SPDX-License-Identifier: MIT
 * From a run database to verdicts, a table, a page, and to exports for other programs.
 *
 *     struct store *s = store_open_read("run.db", &err);
 *     struct report *r = report_open(s, &err);               // reads and computes everything
 *     struct buf out;
 *     buf_init(&out, REPORT_MAX_BYTES);
 *     report_write(r, REPORT_TEXT, &out, &err);
 *     exit code of --check: report_outcome(r)
 *     report_close(r);
 *     store_close(s);
 *
 * A report is a function of the database alone: no clock, no machine, no model. Two runs with one
 * digest have one report, except for the lines that name the machines and the duration.
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/store.h"

#define REPORT_MAX_BYTES ((size_t)256 << 20)   /* ceiling for the buffer of report_write */

enum report_format { REPORT_TEXT = 0, REPORT_MD, REPORT_JSON, REPORT_HTML };

/* "text" "md" "json" "html"; false if it is none of them. */
bool report_format_parse(const char *name, enum report_format *f);

/* What the whole run says about its main question (same input, same output?), for exit codes. */
enum report_outcome {
    REPORT_SAME = 0,       /* controls passed, every comparison identical */
    REPORT_VARIED,         /* some computation of one key differed from another (exit code 3) */
    REPORT_INCONCLUSIVE,   /* incomplete, or nothing to compare (4) */
    REPORT_INVALID         /* a control failed: no verdict (5) */
};

struct report;

/* s must outlive the report. An incomplete or limited run is reported as such, not refused. */
struct report *report_open(struct store *s, struct idem_err *err);
void report_close(struct report *r);                        /* NULL is allowed */

/* Appends to out. TEXT is plain ASCII layout of at most 80 columns (UTF-8 only where a prompt or an
 * output has it; control characters escaped), so it is safe on any terminal. */
int report_write(const struct report *r, enum report_format f, struct buf *out,
                 struct idem_err *err);

enum report_outcome report_outcome(const struct report *r);
const char *report_sentence(const struct report *r);        /* the verdict in one sentence */

/* ---- exports ---------------------------------------------------------------------------------- */

enum export_format { EXPORT_CSV = 0, EXPORT_JSONL };
enum export_rows {
    EXPORT_TOKENS = 0,     /* csv: a line per token with its trial's columns (one line with empty token
                            * columns for an output without tokens); jsonl: a line per trial with its
                            * tokens and their alternatives inside */
    EXPORT_TRIALS          /* a line per trial, no tokens */
};

bool export_format_parse(const char *name, enum export_format *f);   /* "csv" "jsonl" */

/* Takes the bytes; a non-zero return stops with IDEM_ERR_IO (the caller knows why). */
typedef int (*export_sink)(void *ctx, const char *data, size_t len);

/* Trials in plan order; those without an output are left out. CSV is RFC 4180 with a header line;
 * text that is not UTF-8 has U+FFFD in its place and its true bytes in `text_hex`. Numbers read
 * back to the same bits. */
int export_write(struct store *s, enum export_format f, enum export_rows rows, export_sink sink,
                 void *ctx, struct idem_err *err);

#endif
