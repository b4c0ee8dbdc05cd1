/* SPDX-License-Identifier: MIT
 * idem report: the verdicts, the tables, the page. */
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/outcome.h"
#include "report/report.h"
#include "store/store.h"

/* --format, or by the ending of -o, or text. --json is --format json. */
static int format_of(const struct cli_args *a, enum report_format *f, struct idem_err *err)
{
    const char *name = a->format;
    if (a->json && name && strcmp(name, "json") != 0)
        return err_set(err, IDEM_ERR_USAGE, "--json and --format %s contradict each other; give one", name);
    if (a->json)
        name = "json";
    if (!name && a->output) {
        const char *dot = strrchr(a->output, '.');
        if (dot && report_format_parse(strcmp(dot, ".htm") == 0 ? "html" : dot + 1, f))
            return 0;
    }
    if (!report_format_parse(name ? name : "text", f))
        return err_set(err, IDEM_ERR_USAGE, "--format '%s': give one of html|text|md|json", name);
    return 0;
}

static int report(const struct cli_args *a)
{
    struct idem_err err = {0};
    enum report_format f;
    struct buf out;
    struct store *s = NULL;
    struct report *r = NULL;
    buf_init(&out, REPORT_MAX_BYTES);
    int rc = format_of(a, &f, &err);
    if (rc == 0)
        rc = (s = store_open_read(a->operands.items[0], &err)) ? 0 : -1;
    if (rc == 0)
        rc = (r = report_open(s, &err)) ? 0 : -1;
    if (rc == 0)
        rc = report_write(r, f, &out, &err);
    if (rc == 0 && out.failed)
        rc = err_memory(&err, "the report", out.max);
    if (rc == 0 && a->output)
        rc = file_write(a->output, out.data, out.len, &err);
    if (rc != 0) {
        rc = cli_fail(a, &err);
    } else {
        rc = CLI_DONE;
        if (a->output)
            cli_note(a, "written to '%s'", a->output);
        else
            rc = cli_write_buf(a, &out);
        rc = rc == CLI_DONE ? outcome_exit(a, r) : rc;
    }
    buf_release(&out);
    report_close(r);
    store_close(s);
    return rc;
}

static const struct cli_option options[] = {
    {.name = "format", .type = CLI_CHOICE, .offset = offsetof(struct cli_args, format), .arg = "FORMAT",
     .choices = "html|text|md|json", .help = "form of the report (default: by the ending of -o, else text)"},
    {.name = "output", .letter = 'o', .type = CLI_TEXT, .offset = offsetof(struct cli_args, output),
     .arg = "FILE", .help = "write to FILE in place of standard output"},
    {.name = "check", .type = CLI_FLAG, .offset = offsetof(struct cli_args, check),
     .help = "exit code 3 if output varied, 4 if inconclusive, 5 if controls failed"},
    {0},
};
static const struct cli_group *const groups[] = {&cli_group_output, NULL};

const struct cli_command cli_report = {
    .name = "report", .operands = "RUN.db", .min_operands = 1, .max_operands = 1,
    .summary = "the verdicts, the tables, the page",
    .description =
        "Reads a run database and says what varied, by how much, under which settings, and how sure that "
        "is. The page (html) is one file that works without a network. A run that is not complete is "
        "reported as such.",
    .examples = "idem report h1.db\nidem report h1.db -o h1.html\nidem report h1.db --format json --check",
    .options = options, .groups = groups, .exec = report,
};
