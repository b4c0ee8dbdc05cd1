/* SPDX-License-Identifier: MIT
 * Speed of libidem as llama-bench measures it: a prompt of P random tokens into an empty sequence with
 * the logits of its last token, then N tokens one by one into an empty sequence. With a batch of B, as
 * llama-batched-bench measures it: B prompts of P tokens together, then N tokens of each, all sequences
 * in every step.
 *
 *     speed MODEL THREADS P N [q8|f32 [B]]     one JSON object
 */
#include <string.h>

#include "idem.h"
#include "measure.h"

enum { MAX_BATCH = 256 };

/* Keeps the logits from being left out: the caller prints a value that depends on them. */
static int on_logits(void *ctx, size_t item, size_t pos, const float *logits)
{
    float *sink = ctx;
    (void)item;
    (void)pos;
    *sink += logits[0];
    return 0;
}

/* Appends ids[at, at + n) to each of n_seq sequences, `step` of each at a time. Seconds, or -1. */
static double append(struct idem_session *s, const int *seqs, size_t n_seq, const int32_t *ids, size_t n,
                     size_t step, float *sink, struct idem_err *err)
{
    struct idem_item items[MAX_BATCH];
    double start = now_s();
    for (size_t i = 0; i < n; i += step) {
        for (size_t k = 0; k < n_seq; k++)
            items[k] = (struct idem_item){.seq = seqs[k], .tokens = ids + i, .want = IDEM_LOGITS_LAST,
                                          .n_tokens = n - i < step ? n - i : step};
        if (idem_decode(s, items, n_seq, on_logits, sink, err) != 0)
            return -1;
    }
    return now_s() - start;
}

/* n tokens into an empty sequence, `step` at a time. Seconds, or -1. */
static double run(struct idem_session *s, const int32_t *ids, size_t n, size_t step, float *sink,
                  struct idem_err *err)
{
    int seq = idem_seq_new(s, err);
    if (seq < 0)
        return -1;
    double seconds = append(s, &seq, 1, ids, n, step, sink, err);
    idem_seq_free(s, seq);
    return seconds;
}

/* n_seq prompts of n_prompt tokens together, then n_decode tokens of each; the seconds of the latter. */
static double run_batch(struct idem_session *s, const int32_t *ids, size_t n_seq, size_t n_prompt,
                        size_t n_decode, double *prefill, float *sink, struct idem_err *err)
{
    int seqs[MAX_BATCH] = {0};
    for (size_t i = 0; i < n_seq; i++)
        if ((seqs[i] = idem_seq_new(s, err)) < 0)
            return -1;
    *prefill = append(s, seqs, n_seq, ids, n_prompt, n_prompt, sink, err);
    double decode = *prefill < 0 ? -1 : append(s, seqs, n_seq, ids, n_decode, 1, sink, err);
    for (size_t i = 0; i < n_seq; i++)
        idem_seq_free(s, seqs[i]);
    return decode;
}

static long peak_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return kib;
}

static int measure(const char *path, struct idem_session *s, const struct idem_model *m, double load_s,
                   size_t n_prompt, size_t n_decode, size_t n_batch, struct idem_err *err)
{
    const struct idem_model_info *info = idem_model_info(m);
    size_t n = n_prompt > n_decode ? n_prompt : n_decode;
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    float sink = 0;
    if (!ids)
        return -1;
    uint32_t x = 12345, n_vocab = info->n_vocab;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        ids[i] = (int32_t)((x >> 8) % n_vocab);
    }
    double prefill = 0, decode = run(s, ids, n < 16 ? n : 16, 1, &sink, err);      /* warm */
    if (decode >= 0 && n_batch > 1) {
        decode = run_batch(s, ids, n_batch, n_prompt, n_decode, &prefill, &sink, err);
    } else if (decode >= 0) {
        prefill = run(s, ids, n_prompt, n_prompt, &sink, err);
        decode = prefill < 0 ? -1 : run(s, ids, n_decode, 1, &sink, err);
    }
    free(ids);
    if (decode < 0)
        return -1;
    double decoded = (double)(n_batch * n_decode) / decode, whole = (double)info->ops_per_token;
    printf("{\"model\": \"%s\", \"kernels\": \"%s\", \"batch\": %zu, \"prefill_tok_s\": %.6g, "
           "\"decode_tok_s\": %.6g, \"prefill_ops_s\": %.6g, \"decode_ops_s\": %.6g, \"load_ms\": %.6g, "
           "\"peak_rss_bytes\": %ld, \"sink\": %.9g}\n", path, info->kernels, n_batch,
           (double)(n_batch * n_prompt) / prefill, decoded,
           (double)n_batch * (whole * (double)n_prompt + (double)info->ops_per_logits) / prefill,
           decoded * (whole + (double)info->ops_per_logits), 1e3 * load_s, 1024 * peak_kib(), (double)sink);
    return 0;
}

int main(int argc, char **argv)
{
    struct idem_err err = {0};
    if (argc < 5) {
        fprintf(stderr, "usage: speed MODEL THREADS PREFILL DECODE [q8|f32 [BATCH]]\n");
        return 2;
    }
    size_t n_batch = argc > 6 ? strtoul(argv[6], NULL, 10) : 1;
    if (n_batch < 1 || n_batch > MAX_BATCH) {
        fprintf(stderr, "speed: a batch is of 1 to %d sequences\n", MAX_BATCH);
        return 2;
    }
    uint32_t threads = (uint32_t)strtoul(argv[2], NULL, 10);
    struct idem_model_options mo = {.n_threads = threads,
        .activations = argc > 5 && strcmp(argv[5], "f32") == 0 ? IDEM_ACTIVATIONS_F32 : IDEM_ACTIVATIONS_Q8};
    struct idem_session_options so = {.n_threads = threads};
    double start = now_s();
    struct idem_model *m = idem_model_open(argv[1], &mo, &err);
    double load_s = now_s() - start;
    struct idem_session *s = m ? idem_session_open(m, &so, &err) : NULL;
    int rc = s ? measure(argv[1], s, m, load_s, strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10),
                         n_batch, &err) : -1;
    if (rc != 0)
        fprintf(stderr, "speed: %s\n", err.msg);
    idem_session_close(s);
    idem_model_close(m);
    return rc != 0;
}
