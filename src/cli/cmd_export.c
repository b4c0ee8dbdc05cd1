/* SPDX-License-Identifier: MIT
 * idem export: trials and tokens for other programs. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "report/report.h"
#include "store/store.h"

static int sink(void *ctx, const char *data, size_t len)
{
    return fwrite(data, 1, len, ctx) == len ? 0 : -1;
}

static int export_run(const struct cli_args *a)
{
    struct idem_err err = {0};
    enum export_format f;
    struct store *s = NULL;
    FILE *out = stdout;
    int rc = 0;
    if (!a->format)
        rc = err_set(&err, IDEM_ERR_USAGE, "say in which form: --format csv or --format jsonl");
    else if (!export_format_parse(a->format, &f))
        rc = err_set(&err, IDEM_ERR_USAGE, "--format '%s': give csv or jsonl", a->format);
    if (rc == 0)
        rc = (s = store_open_read(a->operands.items[0], &err)) ? 0 : -1;
    if (rc == 0 && a->output && !(out = fopen(a->output, "wb")))
        rc = err_set(&err, IDEM_ERR_IO, "cannot write '%s': check the folder and its permissions", a->output);
    if (rc == 0) {
        bool trials = a->rows && strcmp(a->rows, "trials") == 0;
        rc = export_write(s, f, trials ? EXPORT_TRIALS : EXPORT_TOKENS, sink, out, &err);
        if (a->output && fclose(out) != 0 && rc == 0)
            rc = err_set(&err, IDEM_ERR_IO, "cannot write '%s': is the disk full?", a->output);
    }
    rc = rc == 0 ? CLI_DONE : !a->output && ferror(stdout) ? CLI_DONE : cli_fail(a, &err);
    store_close(s);
    return rc;   /* a failure of standard output is reported by main */
}

static const struct cli_option options[] = {
    {.name = "format", .type = CLI_CHOICE, .offset = offsetof(struct cli_args, format), .arg = "FORMAT",
     .choices = "csv|jsonl", .help = "comma-separated lines with a header, or one JSON object a line"},
    {.name = "rows", .type = CLI_CHOICE, .offset = offsetof(struct cli_args, rows), .arg = "WHAT",
     .choices = "tokens|trials", .help = "every token (default), or a line per trial without tokens"},
    {.name = "output", .letter = 'o', .type = CLI_TEXT, .offset = offsetof(struct cli_args, output),
     .arg = "FILE", .help = "write to FILE in place of standard output"},
    {0},
};
static const struct cli_group *const groups[] = {&cli_group_output, NULL};

const struct cli_command cli_export = {
    .name = "export", .operands = "RUN.db", .min_operands = 1, .max_operands = 1,
    .summary = "trials and tokens for other programs",
    .description =
        "Writes the trials of a run database, in the order of the plan, with all their tokens. Numbers "
        "read back to the same bits.",
    .examples = "idem export h1.db --format csv -o h1.csv\nidem export h1.db --format jsonl --rows trials | head",
    .options = options, .groups = groups, .exec = export_run,
};
