/* SPDX-License-Identifier: MIT
 * idem bench: the speed of a model, and what share of the machine's own limits that is. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/json.h"
#include "cli/catalogue.h"
#include "cli/cli.h"
#include "idem.h"

enum { MAX_ROUNDS = 100, DEFAULT_PREFILL = 512, DEFAULT_DECODE = 64, DEFAULT_ROUNDS = 3 };

struct bench {
    struct idem_model *model;
    struct idem_session *session;
    const struct idem_model_info *info;
    struct idem_machine machine;
    uint32_t n_prefill, n_decode, n_batch, n_rounds;
    int32_t *ids;
    enum idem_cpu cpu;
    uint64_t peak_rss;                             /* before the machine is measured, which takes more */
    double load_s, prefill_s, decode_s, batch_s;   /* medians; batch_s 0: not measured */
    double sink;                                   /* so that logits are not left out */
};

static int on_logits(void *ctx, size_t item, size_t pos, const float *logits)
{
    struct bench *b = ctx;
    (void)item;
    (void)pos;
    b->sink += (double)logits[0];
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, by_value);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* n_tokens into each of n_seq new sequences, all together, `step` of each at a time. */
static int run(struct bench *b, uint32_t n_seq, uint32_t n_tokens, uint32_t step, double *seconds,
               struct idem_err *err)
{
    struct idem_item *items = calloc(n_seq, sizeof *items);
    uint32_t made = 0;
    int rc = items ? 0 : err_memory(err, "sequences", n_seq * sizeof *items);
    for (; rc == 0 && made < n_seq; made += rc == 0)
        rc = (items[made].seq = idem_seq_new(b->session, err)) < 0 ? -1 : 0;
    double start = cli_now();
    for (uint32_t at = 0; rc == 0 && at < n_tokens; at += step) {
        for (uint32_t i = 0; i < n_seq; i++) {
            items[i].tokens = b->ids + at;
            items[i].n_tokens = n_tokens - at < step ? n_tokens - at : step;
            items[i].want = IDEM_LOGITS_LAST;
        }
        rc = idem_decode(b->session, items, n_seq, on_logits, b, err);
    }
    *seconds = cli_now() - start;
    for (uint32_t i = 0; i < made; i++)
        idem_seq_free(b->session, items[i].seq);
    free(items);
    return rc;
}

static int measure(struct bench *b, const volatile sig_atomic_t *stop, struct idem_err *err)
{
    double prefill[MAX_ROUNDS], decode[MAX_ROUNDS], batch[MAX_ROUNDS], warm;
    if (run(b, 1, b->n_decode < 8 ? b->n_decode : 8, 1, &warm, err) != 0)
        return -1;
    for (uint32_t r = 0; r < b->n_rounds; r++) {
        if (*stop)
            return err_set(err, IDEM_ERR_INTERRUPTED, "interrupted in round %" PRIu32, r + 1);
        if (run(b, 1, b->n_prefill, b->n_prefill, &prefill[r], err) != 0 ||
            run(b, 1, b->n_decode, 1, &decode[r], err) != 0 ||
            (b->n_batch > 1 && run(b, b->n_batch, b->n_decode, 1, &batch[r], err) != 0))
            return -1;
    }
    b->prefill_s = median(prefill, b->n_rounds);
    b->decode_s = median(decode, b->n_rounds);
    b->batch_s = b->n_batch > 1 ? median(batch, b->n_rounds) : 0;
    return 0;
}

static int open_bench(struct bench *b, const struct cli_args *a, const char *path, struct idem_err *err)
{
    struct idem_model_options o = {.n_threads = a->threads, .n_ctx = a->context,
        .activations = strcmp(a->activations, "f32") == 0 ? IDEM_ACTIVATIONS_F32 : IDEM_ACTIVATIONS_Q8};
    if (!idem_cpu_find(a->cpu, &b->cpu))       /* the option's choices are these names */
        return err_set(err, IDEM_ERR_USAGE, "there are no '%s' kernels", a->cpu);
    o.cpu = b->cpu;
    double start = cli_now();
    b->model = idem_model_open(path, &o, err);
    b->load_s = cli_now() - start;
    if (!b->model)
        return -1;
    b->info = idem_model_info(b->model);
    struct idem_session_options so = {.n_threads = a->threads, .n_chunk = a->chunk};
    b->session = idem_session_open(b->model, &so, err);
    uint32_t n = b->n_prefill > b->n_decode ? b->n_prefill : b->n_decode;
    b->ids = calloc(n, sizeof *b->ids);
    if (!b->session || !b->ids)
        return b->ids ? -1 : err_memory(err, "tokens", n * sizeof *b->ids);
    uint32_t x = 12345;                            /* any tokens: speed does not depend on them */
    for (uint32_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        b->ids[i] = (int32_t)((x >> 8) % b->info->n_vocab);
    }
    return 0;
}

/* ---- printing --------------------------------------------------------------------------------- */

static uint64_t peak_rss(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (uint64_t)u.ru_maxrss * 1024 : 0;
}

static double prefill_ops(const struct bench *b)
{
    return ((double)b->info->ops_per_token * b->n_prefill + (double)b->info->ops_per_logits) / b->prefill_s;
}

static double peak_ops(const struct bench *b)
{
    return b->info->activations == IDEM_ACTIVATIONS_F32 ? b->machine.f32_ops : b->machine.int8_ops;
}

static void print_text(struct buf *out, const struct bench *b, const char *name)
{
    char peak[32];
    double ops = prefill_ops(b), top = peak_ops(b), bytes = (double)b->info->bytes_per_token;
    double decode = b->n_decode / b->decode_s;
    cli_bytes(peak, b->peak_rss);
    buf_addf(out, "model      %s, %s activations\n", name,
             b->info->activations == IDEM_ACTIVATIONS_F32 ? "f32" : "q8");
    buf_addf(out, "machine    %" PRIu32 " threads, %s: reads %.1f GB/s, %.0f GOP/s of int8, %.0f of binary32\n",
             b->machine.n_threads, b->machine.kernels, b->machine.read_bytes / 1e9,
             b->machine.int8_ops / 1e9, b->machine.f32_ops / 1e9);
    buf_addf(out, "load       %.0f ms, peak memory %s\n", 1e3 * b->load_s, peak);
    buf_addf(out, "prefill    %8.1f tok/s  %6.1f GOP/s  %3.0f %% of the limit  (%" PRIu32 " tokens)\n",
             b->n_prefill / b->prefill_s, ops / 1e9, 100 * ops / top, b->n_prefill);
    buf_addf(out, "decode     %8.1f tok/s  %6.1f GB/s   %3.0f %% of the limit  (%" PRIu32 " tokens)\n", decode,
             decode * bytes / 1e9, 100 * decode * bytes / b->machine.read_bytes, b->n_decode);
    if (b->batch_s > 0) {
        double rate = (double)b->n_batch * b->n_decode / b->batch_s;
        double batch_ops = rate * (double)(b->info->ops_per_token + b->info->ops_per_logits);
        buf_addf(out, "batch      %8.1f tok/s  %6.1f GOP/s  %3.0f %% of the limit  (%" PRIu32 " sequences)\n",
                 rate, batch_ops / 1e9, 100 * batch_ops / top, b->n_batch);
    }
}

static void number(struct json *j, const char *key, double v)
{
    json_key(j, key);
    json_f64(j, v);
}

static void print_json(struct buf *out, const struct bench *b, const char *name)
{
    struct json j = {.out = out};
    double decode = b->n_decode / b->decode_s, bytes = decode * (double)b->info->bytes_per_token;
    json_begin(&j, '{');
    json_key(&j, "model");
    json_strz(&j, name);
    json_key(&j, "threads");
    json_u64(&j, b->machine.n_threads);
    json_key(&j, "kernels");
    json_strz(&j, b->info->kernels);
    json_key(&j, "activations");
    json_strz(&j, b->info->activations == IDEM_ACTIVATIONS_F32 ? "f32" : "q8");
    number(&j, "prefill_tok_s", b->n_prefill / b->prefill_s);
    number(&j, "decode_tok_s", decode);
    number(&j, "load_ms", 1e3 * b->load_s);
    json_key(&j, "peak_rss_bytes");
    json_u64(&j, b->peak_rss);
    number(&j, "prefill_ops_s", prefill_ops(b));
    number(&j, "prefill_share", prefill_ops(b) / peak_ops(b));
    number(&j, "decode_bytes_s", bytes);
    number(&j, "decode_share", bytes / b->machine.read_bytes);
    if (b->batch_s > 0) {
        json_key(&j, "batch");
        json_u64(&j, b->n_batch);
        number(&j, "batch_tok_s", (double)b->n_batch * b->n_decode / b->batch_s);
    }
    number(&j, "machine_read_bytes_s", b->machine.read_bytes);
    number(&j, "machine_int8_ops_s", b->machine.int8_ops);
    number(&j, "machine_f32_ops_s", b->machine.f32_ops);
    json_end(&j);
}

static int bench(const struct cli_args *a)
{
    struct idem_err err = {0};
    struct buf path, out;
    struct bench b = {
        .n_prefill = a->prefill ? a->prefill : DEFAULT_PREFILL, .n_decode = a->decode ? a->decode : DEFAULT_DECODE,
        .n_batch = a->batch, .n_rounds = a->rounds ? a->rounds : DEFAULT_ROUNDS,
    };
    buf_init(&path, 1 << 16);
    buf_init(&out, 1 << 16);
    int rc = catalogue_resolve(a->operands.items[0], &path, &err);
    if (rc == 0)
        rc = open_bench(&b, a, path.data, &err);
    if (rc == 0)
        rc = measure(&b, cli_catch_interrupt(), &err);
    b.peak_rss = peak_rss();
    if (rc == 0)
        rc = idem_machine_measure(b.cpu, a->threads, &b.machine, &err);
    if (rc == 0)
        (a->json ? print_json : print_text)(&out, &b, a->operands.items[0]);
    rc = rc == 0 ? cli_write_buf(a, &out) : cli_fail(a, &err);
    free(b.ids);
    idem_session_close(b.session);
    idem_model_close(b.model);
    buf_release(&path);
    buf_release(&out);
    return rc;
}

#define AT(field) offsetof(struct cli_args, field)
static const struct cli_option options[] = {
    {.name = "prefill", .type = CLI_U32, .offset = AT(prefill), .arg = "N", .min = 1, .max = 1u << 20,
     .help = "tokens of the prompt (default 512)"},
    {.name = "decode", .type = CLI_U32, .offset = AT(decode), .arg = "N", .min = 1, .max = 1u << 20,
     .help = "tokens decoded one by one (default 64)"},
    {.name = "rounds", .type = CLI_U32, .offset = AT(rounds), .arg = "N", .min = 1, .max = MAX_ROUNDS,
     .help = "rounds, of which the median is printed (default 3)"},
    {.name = "threads", .type = CLI_U32, .offset = AT(threads), .arg = "N", .min = 1, .max = 1024,
     .help = "threads (default: one per processor)"},
    {.name = "batch", .type = CLI_U32, .offset = AT(batch), .arg = "N", .min = 1, .max = 1024,
     .help = "also decode N sequences together (default 1: not)"},
    {.name = "chunk", .type = CLI_U32, .offset = AT(chunk), .arg = "N", .min = 1, .max = 65536,
     .help = "tokens of one forward pass (default 512)"},
    {0},
};
static const struct cli_group *const groups[] = {&cli_group_model, &cli_group_output, NULL};

const struct cli_command cli_bench = {
    .name = "bench", .operands = "MODEL", .min_operands = 1, .max_operands = 1,
    .summary = "speed in prefill and decode, and what share of the machine's limits that is",
    .description =
        "Measures the model (a prompt in one piece, tokens decoded one by one, and with --batch several "
        "sequences together, in rounds, of which the median counts), then the machine: bytes per second "
        "that the threads read from memory, multiplies and adds per second of their instruction set.\n\n"
        "GOP/s are multiplies and adds of the matrices, GB/s the bytes of the file that a token needs; the "
        "limit is the machine's: int8 or binary32 operations for prefill, memory for decode.",
    .examples = "idem bench smollm2-135m-instruct\nidem bench model.gguf --threads 1 --batch 16 --json",
    .options = options, .groups = groups, .exec = bench,
};
