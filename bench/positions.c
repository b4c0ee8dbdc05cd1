/* SPDX-License-Identifier: MIT
 * What a token costs at growing positions: a prompt of N random tokens in chunks, the time of each
 * chunk, and at each power of two the time of a token decoded alone there (on a fork). Also what one
 * thread after another reads from memory per second, the bound of decoding.
 *
 *     positions MODEL THREADS N CHUNK      one JSON object
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "idem.h"

enum { N_DECODE = 4, READ_BYTES = 1 << 29, MAX_THREADS = 64 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- reading ------------------------------------------------------------------------------- */

struct reader {
    const uint64_t *from;
    size_t n;
    uint64_t sum;
};

static void *read_part(void *arg)
{
    struct reader *r = arg;
    uint64_t s[8] = {0};
    for (size_t i = 0; i + 8 <= r->n; i += 8)
        for (size_t k = 0; k < 8; k++)
            s[k] += r->from[i + k];
    for (size_t k = 0; k < 8; k++)
        r->sum += s[k];
    return NULL;
}

/* Bytes per second, the best of some rounds; -1 without memory. */
static double bandwidth(unsigned n_threads, uint64_t *sink)
{
    size_t n = READ_BYTES / sizeof(uint64_t);
    uint64_t *data = malloc(READ_BYTES);
    double best = -1;
    if (!data)
        return -1;
    for (size_t i = 0; i < n; i++)
        data[i] = i;
    for (int round = 0; round < 8; round++) {
        struct reader r[MAX_THREADS];
        pthread_t t[MAX_THREADS];
        bool made[MAX_THREADS] = {false};
        double start = now_s();
        for (unsigned i = 0; i < n_threads; i++) {
            r[i] = (struct reader){.from = data + n / n_threads * i, .n = n / n_threads};
            made[i] = pthread_create(&t[i], NULL, read_part, &r[i]) == 0;
        }
        for (unsigned i = 0; i < n_threads; i++) {
            if (made[i])
                pthread_join(t[i], NULL);
            *sink += r[i].sum;
        }
        double rate = READ_BYTES / (now_s() - start);
        best = rate > best ? rate : best;
    }
    free(data);
    return best;
}

/* ---- the model ----------------------------------------------------------------------------- */

static int on_logits(void *ctx, size_t item, size_t pos, const float *logits)
{
    float *sink = ctx;
    (void)item;
    (void)pos;
    *sink += logits[0];
    return 0;
}

static int append(struct idem_session *s, int seq, const int32_t *ids, size_t n, float *sink,
                  double *seconds, struct idem_err *err)
{
    struct idem_item item = {.seq = seq, .tokens = ids, .n_tokens = n, .want = IDEM_LOGITS_LAST};
    double start = now_s();
    int rc = idem_decode(s, &item, 1, on_logits, sink, err);
    *seconds = now_s() - start;
    return rc;
}

/* Seconds of one token after the n of seq. */
static int decode_at(struct idem_session *s, int seq, size_t n, const int32_t *ids, float *sink,
                     double *seconds, struct idem_err *err)
{
    double sum = 0, one;
    int fork = idem_seq_fork(s, seq, n, err), rc = fork < 0 ? -1 : 0;
    for (int i = 0; rc == 0 && i < N_DECODE; i++) {
        rc = append(s, fork, ids + i, 1, sink, &one, err);
        sum += one;
    }
    if (fork >= 0)
        idem_seq_free(s, fork);
    *seconds = sum / N_DECODE;
    return rc;
}

static int measure(struct idem_session *s, const struct idem_model *m, size_t n, size_t chunk,
                   struct idem_err *err)
{
    int32_t *ids = calloc(n + N_DECODE, sizeof *ids);
    float sink = 0;
    int seq = ids ? idem_seq_new(s, err) : -1, rc = seq < 0 ? -1 : 0;
    uint32_t x = 12345, n_vocab = idem_model_info(m)->n_vocab;
    for (size_t i = 0; ids && i < n; i++) {
        x = x * 1664525u + 1013904223u;
        ids[i] = (int32_t)((x >> 8) % n_vocab);
    }
    printf("\"positions\": [");
    for (size_t at = 0; rc == 0 && at < n;) {
        double prefill, decode = 0;
        size_t here = n - at < chunk ? n - at : chunk;
        rc = append(s, seq, ids + at, here, &sink, &prefill, err);
        at += here;
        if (rc == 0 && (at & (at - 1)) == 0)
            rc = decode_at(s, seq, at, ids, &sink, &decode, err);
        printf("%s{\"to\": %zu, \"prefill_s\": %.6g, \"decode_s\": %.6g}", at == here ? "" : ", ", at,
               prefill / (double)here, decode);
    }
    printf("], \"kv_bytes\": %llu, \"sink\": %.9g", (unsigned long long)idem_session_kv_bytes(s),
           (double)sink);
    free(ids);
    return rc;
}

int main(int argc, char **argv)
{
    struct idem_err err = {0};
    uint64_t sum = 0;
    if (argc < 5) {
        fprintf(stderr, "usage: positions MODEL THREADS N CHUNK\n");
        return 2;
    }
    unsigned threads = (unsigned)strtoul(argv[2], NULL, 10);
    if (threads < 1 || threads > MAX_THREADS) {
        fprintf(stderr, "positions: THREADS is 1 to %d\n", MAX_THREADS);
        return 2;
    }
    struct idem_model_options mo = {.n_threads = threads};
    struct idem_session_options so = {.n_threads = threads, .n_chunk = (uint32_t)strtoul(argv[4], NULL, 10)};
    double rate = bandwidth(threads, &sum), start = now_s();
    struct idem_model *m = idem_model_open(argv[1], &mo, &err);
    double load_s = now_s() - start;
    struct idem_session *s = m ? idem_session_open(m, &so, &err) : NULL;
    printf("{\"read_bytes_s\": %.6g, \"load_s\": %.6g, ", rate, load_s);
    int rc = s ? measure(s, m, strtoul(argv[3], NULL, 10), so.n_chunk, &err) : -1;
    printf(", \"read_sum\": %llu}\n", (unsigned long long)sum);
    if (rc != 0)
        fprintf(stderr, "positions: %s\n", err.msg);
    idem_session_close(s);
    idem_model_close(m);
    return rc != 0;
}
