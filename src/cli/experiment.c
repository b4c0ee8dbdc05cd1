/* SPDX-License-Identifier: MIT
 * An experiment file with the model that it is for, as plan and run open them. */
#include "cli/experiment.h"

#include <string.h>

#include "cli/catalogue.h"
#include "run/run.h"

enum { PATH_BYTES = 1 << 16 };

int experiment_open(struct experiment *e, const struct cli_args *a, const char *path,
                    struct idem_err *err)
{
    *e = (struct experiment){0};
    buf_init(&e->model_path, PATH_BYTES);
    struct plan_options o = {.limit_prompts = a->limit};
    e->plan = plan_open(path, &o, err);
    if (!e->plan)
        return -1;
    const char *model = a->model ? a->model : e->plan->model;
    if (catalogue_resolve(model, &e->model_path, err) != 0)
        return a->model ? -1 : err_prefix(err, "%s", path);
    e->backend = cli_open_backend(a, e->model_path.data, err);
    if (!e->backend || e->backend->ops->describe(e->backend, &e->model, err) != 0)
        return -1;
    return plan_expand(e->plan, e->model.model_digest, e->model.numerics, err);
}

void experiment_release(struct experiment *e)
{
    if (e->backend)
        e->backend->ops->close(e->backend);
    plan_close(e->plan);
    buf_release(&e->model_path);
    *e = (struct experiment){0};
}

#define AT(field) offsetof(struct cli_args, field)
static const struct cli_option options[] = {
    {.name = "model", .letter = 'm', .type = CLI_TEXT, .offset = AT(model), .arg = "FILE",
     .help = "a GGUF file or a catalogue name in place of the experiment's model"},
    {.name = "limit", .type = CLI_U32, .offset = AT(limit), .arg = "N", .min = 1,
     .help = "the first N prompts only, for a quick look; marked as such in database and report"},
    {.name = "threads", .type = CLI_U32, .offset = AT(threads), .arg = "N", .min = 1, .max = 1024,
     .help = "threads where the experiment does not fix them (default: as it says)"},
    {.name = "batch", .type = CLI_U32, .offset = AT(batch), .arg = "N", .min = 1, .max = 1024,
     .help = "sequences decoded together where the experiment does not fix them"},
    {0},
};
const struct cli_group experiment_options = {"Experiment", options};
