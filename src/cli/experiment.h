/* SPDX-License-Identifier: MIT
 * An experiment file with the model that it is for, as plan and run open them. */
#ifndef CLI_EXPERIMENT_H
#define CLI_EXPERIMENT_H

#include "backend/backend.h"
#include "cli/cli.h"
#include "plan/plan.h"

struct experiment {
    struct plan *plan;          /* expanded */
    struct backend *backend;
    struct backend_description model;
    struct buf model_path;
};

/* Opens the file, finds its model (--model in its place), opens that, expands the plan. Release
 * after errors too. */
int experiment_open(struct experiment *e, const struct cli_args *a, const char *path,
                    struct idem_err *err);
void experiment_release(struct experiment *e);

extern const struct cli_group experiment_options;   /* --model --limit and the engine's */

#endif
