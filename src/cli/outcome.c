/* SPDX-License-Identifier: MIT
 * The verdict of a run, and the exit code that --check gives for it. */
#include "cli/outcome.h"

int outcome_exit(const struct cli_args *a, const struct report *r)
{
    if (!a->check)
        return CLI_DONE;
    switch (report_outcome(r)) {
    case REPORT_SAME: return CLI_DONE;
    case REPORT_VARIED: return CLI_VARIED;
    case REPORT_INCONCLUSIVE: return CLI_INCONCLUSIVE;
    case REPORT_INVALID: return CLI_INVALID;
    }
    return CLI_INCONCLUSIVE;
}

int outcome_print(const struct cli_args *a, const char *path)
{
    struct idem_err err = {0};
    struct buf out;
    struct report *r = NULL;
    buf_init(&out, REPORT_MAX_BYTES);
    struct store *s = store_open_read(path, &err);
    int rc = s && (r = report_open(s, &err)) ? 0 : -1;
    if (rc == 0 && a->json)
        rc = report_write(r, REPORT_JSON, &out, &err);
    else if (rc == 0)
        buf_addf(&out, "%s\n", report_sentence(r));
    if (rc == 0) {
        rc = cli_write_buf(a, &out);
        rc = rc == CLI_DONE ? outcome_exit(a, r) : rc;
    } else {
        rc = cli_fail(a, &err);
    }
    buf_release(&out);
    report_close(r);
    store_close(s);
    return rc;
}
