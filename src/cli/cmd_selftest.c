/* SPDX-License-Identifier: MIT
 * idem selftest: every kernel variant of this CPU against the reference. */
#include <inttypes.h>

#include "base/json.h"
#include "cli/cli.h"
#include "idem.h"

struct results {
    const struct cli_args *args;
    struct json json;
    struct buf out;
    size_t n, n_bad;
};

static void report(void *ctx, const char *kernel, const char *variant, uint64_t n_cases, bool ok,
                   const char *detail)
{
    struct results *r = ctx;
    r->n++;
    r->n_bad += !ok;
    if (r->args->json) {
        json_begin(&r->json, '{');
        json_key(&r->json, "kernel");
        json_strz(&r->json, kernel);
        json_key(&r->json, "variant");
        json_strz(&r->json, variant);
        json_key(&r->json, "cases");
        json_u64(&r->json, n_cases);
        json_key(&r->json, "passed");
        json_bool(&r->json, ok);
        json_key(&r->json, "detail");
        json_strz(&r->json, detail);
        json_end(&r->json);
    } else if (!r->args->quiet || !ok) {
        printf("%-6s %-8s %-20s %8" PRIu64 " cases%s%s\n", ok ? "same" : "DIFFER", variant, kernel, n_cases,
               detail && *detail ? "  " : "", detail ? detail : "");
        fflush(stdout);
    }
}

static int selftest(const struct cli_args *a)
{
    struct results r = {.args = a};
    buf_init(&r.out, 1 << 24);
    r.json.out = &r.out;
    if (a->json) {
        json_begin(&r.json, '{');
        json_key(&r.json, "kernels");
        json_begin(&r.json, '[');
    }
    int bad = idem_selftest(a->seed, report, &r);
    if (a->json) {
        json_end(&r.json);
        json_key(&r.json, "passed");
        json_bool(&r.json, bad == 0);
        json_end(&r.json);
    } else if (bad == 0) {
        buf_addf(&r.out, r.n ? "%zu comparisons: every variant equals the reference bit for bit\n"
                             : "this CPU has the reference only: nothing to compare (%zu variants)\n", r.n);
    } else {
        buf_addf(&r.out, "%d of %zu comparisons DIFFER: do not trust results of this build on this CPU; "
                 "use --cpu ref\n", bad, r.n);
    }
    int rc = cli_write_buf(a, &r.out);
    return rc == CLI_DONE && bad != 0 ? CLI_ERROR : rc;
}

static const struct cli_option options[] = {
    {.name = "seed", .type = CLI_U64, .offset = offsetof(struct cli_args, seed), .arg = "N",
     .help = "seed of the random inputs (default 0)"},
    {0},
};
static const struct cli_group *const groups[] = {&cli_group_output, NULL};

const struct cli_command cli_selftest = {
    .name = "selftest", .operands = "", .max_operands = 0,
    .summary = "compare every kernel variant of this CPU with the reference",
    .description =
        "Runs every kernel in every variant that this CPU has on random, adversarial and tail inputs, "
        "and compares with the reference byte by byte. Exit code 1 if any differs.",
    .examples = "idem selftest\nidem selftest --seed 7 --json",
    .options = options, .groups = groups, .exec = selftest,
};
