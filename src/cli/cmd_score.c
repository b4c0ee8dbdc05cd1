/* SPDX-License-Identifier: MIT
 * idem score: the log-probability of given text, token by token. */
#include <math.h>
#include <stdlib.h>

#include "backend/backend.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/tokens.h"
#include "cli/watch.h"
#include "run/run.h"

enum { OUT_MAX = 1 << 30, PROMPT_BYTES = 1 << 26 };

/* Index of the first token that holds a byte at or behind `split` of the text; n if none.
 * Tokens that stand for no bytes of the text (BOS, a leading space of SentencePiece) come
 * before it: counted from the end, they cannot shift the boundary. */
static size_t first_of(struct backend *b, const int32_t *ids, size_t n, size_t text_len, size_t split)
{
    size_t behind = text_len - split, i = n;   /* bytes of the continuation not yet covered */
    while (i > 0 && behind > 0) {
        size_t len = 0;
        i--;
        if (b->ops->token_bytes(b, ids[i], &len))
            behind -= len < behind ? len : behind;
    }
    return i;
}

static double sum_of(const struct rec_output *o, size_t from)
{
    double sum = 0;
    for (size_t i = from; i < o->n_tokens; i++)
        if (isfinite(o->tokens[i].logprob))
            sum += (double)o->tokens[i].logprob;
    return sum;
}

static void print_json(const struct cli_args *a, struct backend *b, const struct rec_output *o,
                       size_t from, const struct arith_noise *noise, struct buf *out)
{
    struct json j = {.out = out};
    json_begin(&j, '{');
    json_key(&j, "model");
    json_strz(&j, a->operands.items[0]);
    json_key(&j, "continuation_from");
    json_u64(&j, from);
    json_key(&j, "logprob_sum");
    json_f64(&j, sum_of(o, from));
    cli_noise_json(&j, noise);
    json_key(&j, "tokens");
    json_begin(&j, '[');
    for (size_t i = 0; i < o->n_tokens; i++) {
        const struct rec_token *t = &o->tokens[i];
        size_t len = 0;
        const char *bytes = b->ops->token_bytes(b, t->id, &len);
        json_begin(&j, '{');
        tokens_json(&j, t->id, bytes, len);
        json_key(&j, "logprob");
        json_f32(&j, t->logprob);
        json_key(&j, "entropy");
        json_f32(&j, t->entropy);
        tokens_json_top(&j, b, t, false);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
}

static void print_text(const struct cli_args *a, struct backend *b, const struct rec_output *o,
                       size_t from, const struct arith_noise *noise, struct buf *out)
{
    char mark[64];
    cli_noise_text(noise, mark);
    if (!a->quiet)
        tokens_table(out, b, o->tokens + (a->continuation ? from : 0),
                     o->n_tokens - (a->continuation ? from : 0), false,
                     cli_given(a, "top-k-logprobs") || a->verbose ? a->top_k_logprobs : 0,
                     cli_colour(stdout));
    buf_addf(out, a->quiet ? "%.17g" : "\nsum: %.6f", sum_of(o, from));
    buf_addf(out, mark[0] ? a->quiet ? "  %s\n" : "\n%s added to the arithmetic\n" : "\n", mark);
}

static int score(const struct cli_args *a)
{
    struct idem_err err = {0};
    struct rec_output o = {0};
    struct rec_host host;
    struct arith_noise noise;
    struct buf out, text;
    int32_t *ids = NULL;
    size_t n = 0, split = 0;
    buf_init(&out, OUT_MAX);
    buf_init(&text, PROMPT_BYTES);
    cli_host(a, &host);
    struct backend *b = NULL;
    int rc = cli_noise(a, &noise, &err);
    if (rc == 0)
        rc = (b = cli_open_backend(a, a->operands.items[0], &err)) ? 0 : -1;
    if (rc == 0)
        rc = cli_prompt_ids(a, b, a->continuation, &text, &split, &ids, &n, &err);
    if (rc == 0) {
        struct watch w;
        watch_start(&w, a, b, "computing", n);
        rc = run_score(b, ids, n, a->top_k_logprobs, &host, &noise, cli_catch_interrupt(), &o, &err);
        watch_end(&w, b);
    }
    if (rc == 0) {
        size_t from = a->continuation ? first_of(b, ids, n, text.len, split) : 0;
        (a->json ? print_json : print_text)(a, b, &o, from, &noise, &out);
    }
    rc = rc == 0 ? cli_write_buf(a, &out) : cli_fail(a, &err);
    rec_output_release(&o);
    free(ids);
    buf_release(&out);
    buf_release(&text);
    if (b)
        b->ops->close(b);
    return rc;
}

static const struct cli_option options[] = {
    {.name = "continuation", .letter = 'c', .type = CLI_TEXT,
     .offset = offsetof(struct cli_args, continuation), .arg = "TEXT",
     .help = "text behind the prompt; the sum and the table are of its tokens"},
    {0},
};
static const struct cli_group *const groups[] = {
    &cli_group_prompt, &cli_group_chat, &cli_group_noise, &cli_group_engine, &cli_group_model,
    &cli_group_tokens, &cli_group_output, NULL,
};

const struct cli_command cli_score = {
    .name = "score", .operands = "MODEL", .min_operands = 1, .max_operands = 1,
    .summary = "the log-probability of given text, token by token",
    .description =
        "Prints the log-probability (natural logarithm) of each token of the prompt and of the "
        "continuation, given the tokens before it, and the alternatives at its place. The first "
        "token has none.\n\n"
        "Prompt and continuation are tokenised as one text. A token that reaches over the boundary "
        "belongs to the continuation. With --quiet only the sum is printed.",
    .examples = "idem score smollm2-135m-instruct -p 'The capital of France is' -c ' Paris'",
    .options = options, .groups = groups, .exec = score,
};
