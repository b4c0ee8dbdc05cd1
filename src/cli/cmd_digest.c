/* SPDX-License-Identifier: MIT
 * idem digest: one line that says whether two computations gave the same bits. */
#include <stdlib.h>

#include "backend/backend.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/watch.h"
#include "run/run.h"

static int digest(const struct cli_args *a)
{
    struct idem_err err = {0};
    struct rec_host host;
    struct arith_noise noise;
    char mark[64];
    struct buf out;
    char hex[DIGEST_HEX] = "";
    int32_t *ids = NULL;
    size_t n = 0, n_tokens = 0;
    buf_init(&out, 1 << 16);
    cli_host(a, &host);
    struct backend *b = NULL;
    int rc = cli_noise(a, &noise, &err);
    if (rc == 0)
        rc = (b = cli_open_backend(a, a->operands.items[0], &err)) ? 0 : -1;
    if (rc == 0)
        rc = cli_prompt_ids(a, b, NULL, NULL, NULL, &ids, &n, &err);
    cli_noise_text(&noise, mark);
    if (rc == 0) {
        struct watch w;
        watch_start(&w, a, b, "computing", n + a->n_greedy);
        rc = run_digest(b, ids, n, a->n_greedy, &host, &noise, cli_catch_interrupt(), hex, &n_tokens, &err);
        watch_end(&w, b);
    }
    if (rc == 0 && a->json) {
        struct json j = {.out = &out};
        json_begin(&j, '{');
        json_key(&j, "model");
        json_strz(&j, a->operands.items[0]);
        json_key(&j, "digest");
        json_strz(&j, hex);
        json_key(&j, "tokens");
        json_u64(&j, n_tokens);
        cli_noise_json(&j, &noise);
        json_end(&j);
    } else if (rc == 0) {
        buf_addf(&out, "%s%s%s\n", hex, mark[0] ? "  " : "", mark);
    }
    rc = rc == 0 ? cli_write_buf(a, &out) : cli_fail(a, &err);
    free(ids);
    buf_release(&out);
    if (b)
        b->ops->close(b);
    return rc;
}

static const struct cli_option options[] = {
    {.name = "n-greedy", .letter = 'n', .type = CLI_U32, .offset = offsetof(struct cli_args, n_greedy),
     .arg = "N", .max = 1u << 20, .help = "go on for N greedy tokens behind the prompt (default 0)"},
    {.name = "parse-special", .type = CLI_FLAG, .offset = offsetof(struct cli_args, parse_special),
     .help = "text such as <|im_end|> in the prompt becomes that control token"},
    {0},
};
static const struct cli_group *const groups[] = {
    &cli_group_prompt, &cli_group_chat, &cli_group_noise, &cli_group_engine, &cli_group_model,
    &cli_group_output, NULL,
};

const struct cli_command cli_digest = {
    .name = "digest", .operands = "MODEL", .min_operands = 1, .max_operands = 1,
    .summary = "SHA-256 of all logits of a prompt and of greedy tokens behind it",
    .description =
        "Prints 64 hexadecimal digits: the SHA-256 of the logits (binary32, little-endian, positions "
        "ascending) after every token of the prompt and after each of N greedy tokens behind it; an "
        "end-of-text token ends them early.\n\n"
        "The digest is the same for every number of threads, batch, chunk, cache history, instruction "
        "set, compiler and machine. It differs between --activations q8 and f32, which are two "
        "arithmetics. With --noise the kind of noise stands behind the digits.",
    .examples = "idem digest smollm2-135m-instruct -p 'The capital of France is' -n 16\n"
                "idem digest smollm2-135m-instruct -p 'The capital of France is' -n 16 --threads 3 "
                "--chunk 7 --batch 8 --cpu ref",
    .options = options, .groups = groups, .exec = digest,
};
