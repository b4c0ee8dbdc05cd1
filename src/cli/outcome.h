/* SPDX-License-Identifier: MIT
 * The verdict of a run, and the exit code that --check gives for it. */
#ifndef CLI_OUTCOME_H
#define CLI_OUTCOME_H

#include "cli/cli.h"
#include "report/report.h"

int outcome_exit(const struct cli_args *a, const struct report *r);   /* CLI_DONE without --check */

/* Prints the verdict of the run in path (JSON with --json). Returns the exit code. */
int outcome_print(const struct cli_args *a, const char *path);

#endif
