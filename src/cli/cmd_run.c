/* SPDX-License-Identifier: MIT
 * idem run: carry out an experiment, or carry on where it stopped. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/experiment.h"
#include "cli/outcome.h"
#include "report/report.h"
#include "run/run.h"
#include "store/store.h"

enum { PATH_BYTES = 1 << 16 };

static void show(void *ctx, const struct run_progress *p)
{
    char detail[160];
    snprintf(detail, sizeof detail, "%zu of %zu trials, %.0f tok/s (%s)", p->done, p->total, p->tok_s,
             p->stage ? p->stage : "");
    cli_progress_show(ctx, p->total ? (double)p->done / (double)p->total : 1, p->eta_s, detail);
}

/* The database: -o, or the experiment's name with ".db" in this folder. */
static int database(const struct cli_args *a, const struct plan *p, struct buf *path,
                    struct idem_err *err)
{
    if (a->output)
        buf_adds(path, a->output);
    else
        buf_addf(path, "%s.db", p->name);
    if (a->output && !*a->output)
        return err_set(err, IDEM_ERR_USAGE, "-o '' names no file; give one such as -o run.db");
    return path->failed ? err_memory(err, "a file name", path->max) : 0;
}

static int carry_out(const struct cli_args *a, const struct experiment *e, const char *path,
                     struct idem_err *err)
{
    struct cli_progress progress;
    struct run_options o = {
        .threads = a->threads, .batch = a->batch, .stop = cli_catch_interrupt(), .progress = show,
        .progress_ctx = &progress,
    };
    struct store *s = run_open_store(e->plan, e->backend, e->model_path.data, path, err);
    if (!s)
        return -1;
    uint64_t before = store_n_done(s);
    if (before == e->plan->n_trials)
        cli_note(a, "'%s' is complete already: nothing to compute", path);
    else if (before)
        cli_note(a, "'%s' has %llu of %zu trials: carrying on", path, (unsigned long long)before,
                 e->plan->n_trials);
    cli_progress_start(&progress, a, "running");
    int rc = run_execute(e->plan, e->backend, s, &o, err);
    cli_progress_end(&progress);
    if (rc != 0 && err->code == IDEM_ERR_INTERRUPTED)
        err_set(err, IDEM_ERR_INTERRUPTED, "stopped with %llu of %zu trials saved in '%s'; the same command "
                "carries on", (unsigned long long)store_n_done(s), e->plan->n_trials, path);
    store_close(s);
    return rc;
}

static int run(const struct cli_args *a)
{
    struct idem_err err = {0};
    struct experiment e;
    struct buf path;
    buf_init(&path, PATH_BYTES);
    int rc = 0;
    double start = cli_now();
    if (a->shard && strcmp(a->shard, "1/1") != 0)
        rc = err_set(&err, IDEM_ERR_USAGE, "--shard %s is not there yet; leave it out to run everything here",
                     a->shard);
    if (rc != 0)
        return cli_fail(a, &err);
    rc = experiment_open(&e, a, a->operands.items[0], &err);
    if (rc == 0)
        rc = database(a, e.plan, &path, &err);
    if (rc == 0)
        rc = carry_out(a, &e, path.data, &err);
    experiment_release(&e);   /* the model's memory is not needed for the verdict */
    if (rc == 0) {
        char time[32];
        cli_duration(time, cli_now() - start);
        cli_note(a, "done after %s: '%s'; 'idem report' shows it", time, path.data);
        rc = outcome_print(a, path.data);
    } else {
        rc = cli_fail(a, &err);
    }
    buf_release(&path);
    return rc;
}

static const struct cli_option options[] = {
    {.name = "output", .letter = 'o', .type = CLI_TEXT, .offset = offsetof(struct cli_args, output),
     .arg = "FILE", .help = "the run database (default: the experiment's name with .db in this folder); "
     "one that is there already is carried on with"},
    {.name = "shard", .type = CLI_TEXT, .offset = offsetof(struct cli_args, shard), .arg = "I/N",
     .help = "only part I of N (for now only 1/1)"},
    {.name = "check", .type = CLI_FLAG, .offset = offsetof(struct cli_args, check),
     .help = "exit code 3 if output varied, 4 if inconclusive, 5 if controls failed"},
    {0},
};
static const struct cli_group *const groups[] = {&experiment_options, &cli_group_model,
                                                &cli_group_output, NULL};

const struct cli_command cli_run = {
    .name = "run", .operands = "FILE", .min_operands = 1, .max_operands = 1,
    .summary = "carry out an experiment, or carry on where it stopped",
    .description =
        "Carries out the experiment FILE and keeps every trial in the run database: one SQLite file. "
        "Killed at any instant and started again with the same command, it goes on with what is missing "
        "and ends with the same digest. Prints the verdict; 'idem report' shows the whole.\n\n"
        "The first Ctrl-C finishes the tokens being computed and saves, the second leaves at once.",
    .examples = "idem run experiments/h1-same-input.yaml -o h1.db\nidem run experiments/h1-same-input.yaml "
                "--model model.gguf --limit 3 -o look.db",
    .options = options, .groups = groups, .exec = run,
};
