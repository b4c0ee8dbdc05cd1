/* SPDX-License-Identifier: MIT
 * idem generate: text from a prompt, and every token with its log-probability. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/json.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/tokens.h"
#include "cli/watch.h"
#include "plan/plan.h"
#include "run/run.h"
#include "sample/sample.h"

enum { OUT_MAX = 1 << 30, HELD_MAX = 64 };

/* Text is printed as it comes. Bytes of an unfinished character are held back. */
struct stream {
    struct buf held;
    bool on, any, newline;
};

static int on_token(void *ctx, uint32_t sample, const struct rec_token *t, const char *bytes,
                    size_t len)
{
    struct stream *s = ctx;
    (void)sample, (void)t;
    if (!bytes)
        return 0;
    buf_add(&s->held, bytes, len);
    if (s->held.failed)
        return -1;
    size_t ready = utf8_complete(s->held.data, s->held.len);
    cli_write_text(s->held.data, ready);
    if (ready) {
        s->any = true;
        s->newline = s->held.data[ready - 1] == '\n';
        memmove(s->held.data, s->held.data + ready, s->held.len - ready);
        s->held.len -= ready;
    }
    return fflush(stdout) != 0 ? -1 : 0;   /* nobody reads any more */
}

static void stream_end(struct stream *s)
{
    if (s->held.len) {
        cli_write_text(s->held.data, s->held.len);
        s->newline = false;
        s->any = true;
    }
    if (s->any && !s->newline)
        cli_write("\n", 1);
    buf_release(&s->held);
}

/* ---- output ------------------------------------------------------------------------------------------ */

static void sample_json(struct json *j, struct backend *b, const struct rec_output *o)
{
    json_begin(j, '{');
    json_key(j, "text");
    json_str(j, o->text, o->text_len);
    json_key(j, "stop");
    json_strz(j, rec_stop_name(o->stop));
    json_key(j, "logits_digest");
    json_strz(j, o->logits_digest);
    json_key(j, "score");                /* null without beams */
    json_f32(j, o->score);
    json_key(j, "tokens");
    json_begin(j, '[');
    for (size_t i = 0; i < o->n_tokens; i++) {
        const struct rec_token *t = &o->tokens[i];
        size_t len = 0;
        const char *bytes = b->ops->token_bytes(b, t->id, &len);
        json_begin(j, '{');
        tokens_json(j, t->id, bytes, len);
        json_key(j, "logprob");
        json_f32(j, t->logprob);
        json_key(j, "logprob_processed");
        json_f32(j, t->logprob_processed);
        json_key(j, "entropy");
        json_f32(j, t->entropy);
        json_key(j, "margin");
        json_f32(j, t->margin);
        json_key(j, "tail_mass");
        json_f32(j, t->tail_mass);
        tokens_json_top(j, b, t, true);
        json_end(j);
    }
    json_end(j);
    json_end(j);
}

static struct arith_noise noise_of(const struct run_request *r)
{
    return rec_noise(&r->settings, r->noise_seed ? *r->noise_seed : r->seed);
}

static void print_json(const struct cli_args *a, struct backend *b, const struct run_request *r,
                       const struct rec_output *outs, struct buf *out)
{
    struct json j = {.out = out};
    json_begin(&j, '{');
    json_key(&j, "model");
    json_strz(&j, a->operands.items[0]);
    json_key(&j, "settings");
    json_begin(&j, '{');
    plan_settings_fields(&j, &r->settings);
    json_key(&j, "seed");
    json_u64(&j, r->seed);
    json_end(&j);
    struct arith_noise z = noise_of(r);
    cli_noise_json(&j, &z);
    json_key(&j, "prompt_tokens");
    json_begin(&j, '[');
    for (size_t i = 0; i < r->n_prompt; i++)
        json_i64(&j, r->prompt[i]);
    json_end(&j);
    json_key(&j, "samples");
    json_begin(&j, '[');
    for (uint32_t s = 0; s < r->settings.num_return_sequences; s++)
        sample_json(&j, b, &outs[s]);
    json_end(&j);
    json_end(&j);
}

static void print_text(const struct cli_args *a, struct backend *b, const struct run_request *r,
                       const struct rec_output *outs, bool streamed)
{
    uint32_t n = r->settings.num_return_sequences;
    struct arith_noise z = noise_of(r);
    char mark[64];
    cli_noise_text(&z, mark);
    for (uint32_t s = 0; s < n; s++) {
        struct buf table;
        if (r->settings.num_beams > 1 && !a->quiet)
            printf("%s--- sequence %u, score %.6f, ends by: %s ---\n", s ? "\n" : "", s,
                   (double)outs[s].score, rec_stop_name(outs[s].stop));
        else if (n > 1 && !a->quiet)
            printf("%s--- sample %u, ends by: %s ---\n", s ? "\n" : "", s, rec_stop_name(outs[s].stop));
        if (!streamed) {
            cli_write_text(outs[s].text, outs[s].text_len);
            cli_write("\n", 1);
        }
        if (a->quiet)
            continue;
        buf_init(&table, OUT_MAX);
        buf_adds(&table, "\n");
        tokens_table(&table, b, outs[s].tokens, outs[s].n_tokens, true,
                     cli_given(a, "top-k-logprobs") || a->verbose ? a->top_k_logprobs : 0,
                     cli_colour(stdout));
        cli_write_buf(a, &table);
    }
    if (mark[0] && a->quiet)
        cli_warn(a, "%s was added to the arithmetic", mark);   /* --quiet: the text alone on stdout */
    else if (mark[0])
        printf("\n%s added to the arithmetic\n", mark);
}

/* Options that were given and change nothing: says so, those of one reason together. */
static void note_idle(const struct cli_args *a, struct backend *b, const struct arith_noise *z)
{
    struct plan_idle idle[PLAN_IDLE_MAX];
    unsigned named = 0;
    uint32_t n_vocab, n_ctx;
    char names[512];
    for (size_t i = 0; i < a->given.n; i++)
        named |= plan_named(a->given.items[i]);
    b->ops->sizes(b, &n_vocab, &n_ctx);
    size_t n = plan_settings_idle(&a->sampling, named, n_vocab, idle);
    for (size_t i = 0; i < n; i++) {
        int len = 0;
        bool told = false;
        for (size_t k = 0; k < n; k++) {
            if (strcmp(idle[k].why, idle[i].why) != 0)
                continue;
            told |= k < i;
            len += snprintf(names + len, sizeof names - (size_t)len, "%s%s", len ? ", " : "",
                            idle[k].name);
        }
        if (!told)
            cli_note(a, "without effect: %s (%s)", names, idle[i].why);
    }
    bool drawn = (a->sampling.do_sample && a->sampling.temperature > 0) ||
                 (arith_noise_is_seeded(z) && !cli_given(a, "noise-seed"));
    if (cli_given(a, "seed") && !drawn)
        cli_note(a, "without effect: seed (nothing is drawn%s)",
                 arith_noise_is_none(z) ? "" : ", and of the noise only shuffle has a seed");
}

static int generate(const struct cli_args *a)
{
    struct idem_err err = {0};
    struct stream stream = {0};
    struct arith_noise z;
    struct run_request r = {.settings = a->sampling, .seed = a->seed, .n_top = a->top_k_logprobs};
    struct rec_output *outs = NULL;
    struct backend *b = NULL;
    int32_t *ids = NULL;
    struct buf out;
    buf_init(&out, OUT_MAX);
    buf_init(&stream.held, HELD_MAX + OUT_MAX);
    cli_host(a, &r.host);
    uint32_t n = r.settings.num_return_sequences;
    int rc = cli_noise(a, &z, &err);
    r.settings.noise = arith_noise_pack(&z);
    r.noise_seed = &z.seed;
    if (rc == 0)
        rc = sample_check(&r.settings, &err);
    if (rc == 0) {
        /* a stop text cuts off what has been printed already, samples come interleaved, and beams
         * are known at the end only */
        stream.on = !a->json && n == 1 && r.settings.n_stop == 0 && r.settings.num_beams == 1;
        outs = calloc(n, sizeof *outs);
        rc = outs ? 0 : err_memory(&err, "outputs", n * sizeof *outs);
    }
    if (rc == 0)
        rc = (b = cli_open_backend(a, a->operands.items[0], &err)) ? 0 : -1;
    if (rc == 0)
        note_idle(a, b, &z);
    if (rc == 0)
        rc = cli_prompt_ids(a, b, NULL, NULL, NULL, &ids, &r.n_prompt, &err);
    r.prompt = ids;
    if (rc == 0 && stream.on) {   /* the text itself shows how far it is */
        rc = run_generate(b, &r, on_token, &stream, cli_catch_interrupt(), outs, &err);
    } else if (rc == 0) {
        struct watch w;
        watch_start(&w, a, b, "computing",
                    r.n_prompt + (size_t)r.settings.num_beams * (r.settings.max_new_tokens - 1));
        rc = run_generate(b, &r, NULL, NULL, cli_catch_interrupt(), outs, &err);
        watch_end(&w, b);
    }
    stream_end(&stream);
    if (rc != 0) {
        rc = ferror(stdout) ? CLI_ERROR : cli_fail(a, &err);
    } else if (a->json) {
        print_json(a, b, &r, outs, &out);
        rc = cli_write_buf(a, &out);
    } else {
        print_text(a, b, &r, outs, stream.on);
    }
    for (uint32_t s = 0; outs && s < n; s++)
        rec_output_release(&outs[s]);
    free(outs);
    free(ids);
    buf_release(&out);
    if (b)
        b->ops->close(b);
    return rc;
}

static const struct cli_group *const groups[] = {
    &cli_group_prompt, &cli_group_chat, &cli_group_sampling, &cli_group_noise, &cli_group_engine,
    &cli_group_model,
    &cli_group_tokens, &cli_group_output, NULL,
};

const struct cli_command cli_generate = {
    .name = "generate", .operands = "MODEL", .min_operands = 1, .max_operands = 1,
    .summary = "text from a prompt, and every token with its log-probability",
    .description =
        "Prints the text that MODEL gives after the prompt, then a table of its tokens: id, text, the "
        "model's own log-probability (natural logarithm, temperature 1, nothing masked) with the "
        "probability, and the log-probability left after the processors of the sampler ('-': the "
        "processors removed the token). --json has the same with the alternatives and the entropy of "
        "each step; --quiet prints the text alone.\n\n"
        "Settings have the names and the meaning of Hugging Face's generate(): without --do-sample the "
        "most likely token is taken; --num-beams N searches with N beams and gives the best sequence, or the "
        "best --num-return-sequences, each with its score (sum of the log-probabilities / length to the "
        "power of --length-penalty). --sampler llama.cpp and --sampler ollama follow the chain and the "
        "defaults of those programs instead. An option that changes nothing under the others is noted. "
        "The same command gives the same bits on every machine, whatever its threads and batch. --noise adds "
        "noise to the arithmetic on purpose, as repeatable as all else; the output is then marked by "
        "its kind. --seed seeds it too, so that a greedy answer under eight seeds has eight noises.",
    .examples = "idem generate smollm2-135m-instruct -p 'The capital of France is'\n"
                "idem generate smollm2-135m-instruct -p 'The capital of France is' --max-new-tokens 20 "
                "--do-sample --temperature 0.7 --top-p 0.9 --top-k 50 --repetition-penalty 1.2 "
                "--no-repeat-ngram-size 2 --num-return-sequences 1 --seed 42\n"
                "idem generate model.gguf -p 'Once upon a time' --sampler llama.cpp --seed 1\n"
                "idem generate model.gguf -p 'The capital of France is' --noise shuffle --seed 7\n"
                "idem generate model.gguf --chat -p 'Write a haiku.' --quiet",
    .groups = groups, .exec = generate,
};
