/* SPDX-License-Identifier: MIT
 * The table of commands. */
#include <string.h>

#include "cli/cli.h"

const struct cli_command *const cli_commands[] = {
    &cli_models, &cli_pull, &cli_inspect, &cli_tokenize, &cli_detokenize, &cli_generate,
    &cli_score, &cli_digest, &cli_plan, &cli_run, &cli_report, &cli_export,
    &cli_convert, &cli_bench, &cli_selftest, NULL,
};

const struct cli_command *cli_find_command(const char *name)
{
    for (size_t i = 0; cli_commands[i]; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}
