/* SPDX-License-Identifier: MIT
 * Speed of libidem as llama-bench measures it: a prompt of P random tokens into an empty sequence with
 * the logits of its last token, then N tokens one by one into an empty sequence.
 *
 *     speed MODEL THREADS P N [q8|f32]     one JSON object
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "idem.h"

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Keeps the logits from being left out: the caller prints a value that depends on them. */
static int on_logits(void *ctx, size_t item, size_t pos, const float *logits)
{
    float *sink = ctx;
    (void)item;
    (void)pos;
    *sink += logits[0];
    return 0;
}

/* Appends n tokens to a new sequence, `step` at a time. Seconds, or -1. */
static double run(struct idem_session *s, const int32_t *ids, size_t n, size_t step, float *sink,
                  struct idem_err *err)
{
    int seq = idem_seq_new(s, err);
    double start = now_s();
    if (seq < 0)
        return -1;
    for (size_t i = 0; i < n; i += step) {
        struct idem_item item = {.seq = seq, .tokens = ids + i, .n_tokens = n - i < step ? n - i : step,
                                 .want = IDEM_LOGITS_LAST};
        if (idem_decode(s, &item, 1, on_logits, sink, err) != 0)
            return -1;
    }
    double seconds = now_s() - start;
    idem_seq_free(s, seq);
    return seconds;
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
                   size_t n_prompt, size_t n_decode, struct idem_err *err)
{
    size_t n = n_prompt > n_decode ? n_prompt : n_decode;
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    float sink = 0;
    if (!ids)
        return -1;
    uint32_t x = 12345, n_vocab = idem_model_info(m)->n_vocab;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        ids[i] = (int32_t)((x >> 8) % n_vocab);
    }
    double warm = run(s, ids, n < 16 ? n : 16, 1, &sink, err);
    double prefill = warm < 0 ? -1 : run(s, ids, n_prompt, n_prompt, &sink, err);
    double decode = prefill < 0 ? -1 : run(s, ids, n_decode, 1, &sink, err);
    free(ids);
    if (decode < 0)
        return -1;
    printf("{\"model\": \"%s\", \"kernels\": \"%s\", \"prefill_tok_s\": %.6g, \"decode_tok_s\": %.6g, "
           "\"load_ms\": %.6g, \"peak_rss_bytes\": %ld, \"sink\": %.9g}\n", path,
           idem_model_info(m)->kernels, (double)n_prompt / prefill, (double)n_decode / decode,
           1e3 * load_s, 1024 * peak_kib(), (double)sink);
    return 0;
}

int main(int argc, char **argv)
{
    struct idem_err err = {0};
    if (argc < 5) {
        fprintf(stderr, "usage: speed MODEL THREADS PREFILL DECODE [q8|f32]\n");
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
    int rc = s ? measure(argv[1], s, m, load_s, strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10), &err)
               : -1;
    if (rc != 0)
        fprintf(stderr, "speed: %s\n", err.msg);
    idem_session_close(s);
    idem_model_close(m);
    return rc != 0;
}
