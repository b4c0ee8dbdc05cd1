/* SPDX-License-Identifier: MIT
 * What a token costs at growing positions: a prompt of N random tokens in chunks (the first ones
 * shorter, so that each power of two from 128 on ends one), the time of each chunk, and at each power of
 * two the time of a token decoded alone just before it (on a fork). Also what the threads read from
 * memory per second, the bound of decoding.
 *
 *     positions MODEL THREADS N CHUNK      one JSON object
 */
#include "idem.h"
#include "measure.h"

enum { N_DECODE = 16, FIRST_CHUNK = 128 };

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

/* Seconds of one token among the last of the n of seq. */
static int decode_at(struct idem_session *s, int seq, size_t n, const int32_t *ids, float *sink,
                     double *seconds, struct idem_err *err)
{
    double sum = 0, one;
    int fork = idem_seq_fork(s, seq, n - N_DECODE, err), rc = fork < 0 ? -1 : 0;
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
    int32_t *ids = calloc(n, sizeof *ids);
    float sink = 0;
    int seq = ids ? idem_seq_new(s, err) : -1, rc = seq < 0 ? -1 : 0;
    uint32_t x = 12345, n_vocab = idem_model_info(m)->n_vocab;
    for (size_t i = 0; ids && i < n; i++) {
        x = x * 1664525u + 1013904223u;
        ids[i] = (int32_t)((x >> 8) % n_vocab);
    }
    printf("\"bytes_per_token\": %llu, \"positions\": [",
           (unsigned long long)idem_model_info(m)->bytes_per_token);
    for (size_t at = 0; rc == 0 && at < n;) {
        double prefill, decode = 0;
        size_t here = at == 0 ? FIRST_CHUNK : at;
        if (here > chunk)
            here = chunk;
        if (here > n - at)
            here = n - at;
        rc = append(s, seq, ids + at, here, &sink, &prefill, err);
        at += here;
        if (rc == 0 && at >= N_DECODE && (at & (at - 1)) == 0)
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
    struct idem_machine machine = {0};
    if (argc < 5) {
        fprintf(stderr, "usage: positions MODEL THREADS N CHUNK\n");
        return 2;
    }
    uint32_t threads = (uint32_t)strtoul(argv[2], NULL, 10);
    struct idem_model_options mo = {.n_threads = threads};
    struct idem_session_options so = {.n_threads = threads, .n_chunk = (uint32_t)strtoul(argv[4], NULL, 10)};
    /* before the model is there: what this takes must not count with it */
    int rc = idem_machine_measure(IDEM_CPU_AUTO, threads, &machine, &err);
    double start = now_s();
    struct idem_model *m = rc == 0 ? idem_model_open(argv[1], &mo, &err) : NULL;
    double load_s = now_s() - start;
    struct idem_session *s = m ? idem_session_open(m, &so, &err) : NULL;
    printf("{\"read_bytes_s\": %.6g, \"load_s\": %.6g, ", machine.read_bytes, load_s);
    rc = s ? measure(s, m, strtoul(argv[3], NULL, 10), so.n_chunk, &err) : -1;
    printf("}\n");
    if (rc != 0)
        fprintf(stderr, "positions: %s\n", err.msg);
    idem_session_close(s);
    idem_model_close(m);
    return rc != 0;
}
