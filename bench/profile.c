/* SPDX-License-Identifier: MIT
 * Where the time of a forward pass goes, kernel by kernel: the model's table of kernels is replaced by one
 * that looks at the clock around each, so that libidem itself is built as always.
 *
 *     profile MODEL THREADS      one JSON object
 *
 * Of each phase: the seconds without and with clocks, and for each kernel the seconds over all threads.
 * What the threads' seconds have beyond the kernels is "outside": splitting the work, waiting for the
 * other threads at the end of an operation, looking up embeddings.
 */
#include <stdatomic.h>
#include <string.h>

#include "engine/model.h"
#include "measure.h"

enum { N_TYPES = 64, N_KINDS = 14, LONG = 4096, CHUNK = 512 };
enum kind { QUANTIZE, RMSNORM, LAYERNORM, SILU_MUL, GELU_MUL, GELU, SOFTCAP, ADD, SCALE, ROPE, KV_STORE,
            ATTN_BLOCK, ATTN_FINISH, ALL_FINITE };
static const char *const KIND_NAMES[N_KINDS] = {
    "quantize", "rmsnorm", "layernorm", "silu_mul", "gelu_mul", "gelu", "softcap", "add", "scale", "rope",
    "kv_store", "attn_block", "attn_finish", "all_finite",
};

/* A kernel has no argument of the caller's, so what the clocks say must be global. */
static const struct kern_ops *real;
static _Atomic uint64_t spent[N_KINDS + N_TYPES];      /* nanoseconds; after the kinds: products by type */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#define TIMED(WHICH, CALL)                                                                          \
    do {                                                                                            \
        uint64_t start_ = now_ns();                                                                 \
        CALL;                                                                                       \
        atomic_fetch_add_explicit(&spent[WHICH], now_ns() - start_, memory_order_relaxed);          \
    } while (0)

static void quantize(struct kern_q8 *y, const float *x, size_t n)
{
    TIMED(QUANTIZE, real->quantize(y, x, n));
}

static void matmul_q8(float *y, size_t ldy, const struct kern_matrix *w, const struct kern_q8 *x, size_t n,
                      size_t g0, size_t g1)
{
    TIMED(N_KINDS + w->type, real->matmul_q8(y, ldy, w, x, n, g0, g1));
}

static void matmul_f32(float *y, size_t ldy, const struct kern_matrix *w, const float *x, size_t ldx,
                       size_t n, size_t g0, size_t g1, void *scratch)
{
    TIMED(N_KINDS + w->type, real->matmul_f32(y, ldy, w, x, ldx, n, g0, g1, scratch));
}

static void rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
    TIMED(RMSNORM, real->rmsnorm(y, x, w, n, eps));
}

static void layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps)
{
    TIMED(LAYERNORM, real->layernorm(y, x, w, b, n, eps));
}

static void silu_mul(float *y, const float *gate, const float *up, size_t n)
{
    TIMED(SILU_MUL, real->silu_mul(y, gate, up, n));
}

static void gelu_mul(float *y, const float *gate, const float *up, size_t n)
{
    TIMED(GELU_MUL, real->gelu_mul(y, gate, up, n));
}

static void gelu(float *y, const float *x, size_t n)
{
    TIMED(GELU, real->gelu(y, x, n));
}

static void softcap(float *y, const float *x, float c, size_t n)
{
    TIMED(SOFTCAP, real->softcap(y, x, c, n));
}

static void add(float *y, const float *x, size_t n)
{
    TIMED(ADD, real->add(y, x, n));
}

static void scale(float *y, const float *x, float c, size_t n)
{
    TIMED(SCALE, real->scale(y, x, c, n));
}

static void rope(float *x, size_t n_heads, size_t head_dim, size_t n_rot, const float *cs, const float *sn,
                 bool neox)
{
    TIMED(ROPE, real->rope(x, n_heads, head_dim, n_rot, cs, sn, neox));
}

static void kv_store(void *k, void *v, const struct kern_attn_shape *sh, const float *key,
                     const float *value, size_t j)
{
    TIMED(KV_STORE, real->kv_store(k, v, sh, key, value, j));
}

static void attn_block(struct kern_attn *a, size_t n, const void *k, const void *v,
                       const struct kern_attn_shape *sh, void *scratch)
{
    TIMED(ATTN_BLOCK, real->attn_block(a, n, k, v, sh, scratch));
}

static void attn_finish(struct kern_attn *a, size_t n, size_t v_dim)
{
    TIMED(ATTN_FINISH, real->attn_finish(a, n, v_dim));
}

static bool all_finite(const float *x, size_t n)
{
    bool ok;
    TIMED(ALL_FINITE, ok = real->all_finite(x, n));
    return ok;
}

static struct kern_ops timed_ops(void)
{
    struct kern_ops k = *real;      /* what no forward pass calls stays as it is */
    k.quantize = quantize;
    k.matmul_q8 = matmul_q8;
    k.matmul_f32 = matmul_f32;
    k.rmsnorm = rmsnorm;
    k.layernorm = layernorm;
    k.silu_mul = silu_mul;
    k.gelu_mul = gelu_mul;
    k.gelu = gelu;
    k.softcap = softcap;
    k.add = add;
    k.scale = scale;
    k.rope = rope;
    k.kv_store = kv_store;
    k.attn_block = attn_block;
    k.attn_finish = attn_finish;
    k.all_finite = all_finite;
    return k;
}

/* ---- phases ----------------------------------------------------------------------------------- */

struct phase {
    const char *name;
    size_t n_seq, n_before, n, step;   /* n tokens of each sequence after n_before, `step` at a time */
};

static int on_logits(void *ctx, size_t item, size_t pos, const float *logits)
{
    float *sink = ctx;
    (void)item;
    (void)pos;
    *sink += logits[0];
    return 0;
}

static int append(struct idem_session *s, const int *seqs, size_t n_seq, size_t at, size_t n, size_t step,
                  uint32_t n_vocab, float *sink, struct idem_err *err)
{
    int32_t ids[CHUNK];
    struct idem_item items[16];
    for (size_t end = at + n; at < end; at += step) {
        size_t here = end - at < step ? end - at : step;
        for (size_t i = 0; i < here; i++)
            ids[i] = (int32_t)(((uint32_t)(at + i) * 2654435761u >> 8) % n_vocab);
        for (size_t i = 0; i < n_seq; i++)
            items[i] = (struct idem_item){.seq = seqs[i], .tokens = ids, .n_tokens = here,
                                          .want = IDEM_LOGITS_LAST};
        if (idem_decode(s, items, n_seq, on_logits, sink, err) != 0)
            return -1;
    }
    return 0;
}

/* Seconds of a phase by a session of this model, or -1. The clocks are of the phase alone. */
static double run(const struct idem_model *m, uint32_t threads, const struct phase *ph, float *sink,
                  struct idem_err *err)
{
    struct idem_session_options o = {.n_threads = threads};
    struct idem_session *s = idem_session_open(m, &o, err);
    uint32_t n_vocab = idem_model_info(m)->n_vocab;
    int seqs[16] = {0}, rc = s ? 0 : -1;
    double seconds = -1;
    for (size_t i = 0; rc == 0 && i < ph->n_seq; i++)
        rc = (seqs[i] = idem_seq_new(s, err)) < 0 ? -1 : 0;
    if (rc == 0)
        rc = append(s, seqs, ph->n_seq, 0, ph->n_before, CHUNK, n_vocab, sink, err);
    for (size_t i = 0; i < N_KINDS + N_TYPES; i++)
        atomic_store(&spent[i], 0);
    double start = now_s();
    if (rc == 0)
        rc = append(s, seqs, ph->n_seq, ph->n_before, ph->n, ph->step, n_vocab, sink, err);
    if (rc == 0)
        seconds = now_s() - start;
    idem_session_close(s);
    return seconds;
}

static int print_phase(struct idem_model *m, uint32_t threads, const struct phase *ph, bool first,
                       struct idem_err *err)
{
    float sink = 0;
    const struct kern_ops timed = timed_ops();
    double plain = run(m, threads, ph, &sink, err);
    m->k = &timed;
    double with = plain < 0 ? -1 : run(m, threads, ph, &sink, err);
    m->k = real;
    if (with < 0)
        return -1;
    double outside = with * threads;
    printf("%s{\"name\": \"%s\", \"seconds\": %.6g, \"seconds_with_clocks\": %.6g, \"parts\": {", first ? "" : ", ",
           ph->name, plain, with);
    for (size_t i = 0; i < N_KINDS + N_TYPES; i++) {
        double s = 1e-9 * (double)atomic_load(&spent[i]);
        if (s <= 0)
            continue;
        outside -= s;
        if (i < N_KINDS)
            printf("\"%s\": %.6g, ", KIND_NAMES[i], s);
        else
            printf("\"matmul %s\": %.6g, ", qtype_info((uint32_t)(i - N_KINDS))->name, s);
    }
    printf("\"outside\": %.6g}, \"sink\": %.9g}", outside, (double)sink);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct phase phases[] = {
        {"prefill 512", 1, 0, 512, 512},
        {"decode", 1, 0, 128, 1},
        {"batch of 16", 16, 16, 64, 1},
        {"prefill at 4096", 1, LONG, 512, 512},
        {"decode at 4096", 1, LONG, 32, 1},
    };
    struct idem_err err = {0};
    if (argc < 3) {
        fprintf(stderr, "usage: profile MODEL THREADS\n");
        return 2;
    }
    uint32_t threads = (uint32_t)strtoul(argv[2], NULL, 10);
    struct idem_model_options o = {.n_threads = threads};
    struct idem_model *m = idem_model_open(argv[1], &o, &err);
    if (!m || threads == 0) {
        fprintf(stderr, "profile: %s\n", m ? "at least one thread" : err.msg);
        idem_model_close(m);
        return 1;
    }
    real = m->k;
    int rc = 0;
    printf("{\"model\": \"%s\", \"kernels\": \"%s\", \"threads\": %u, \"phases\": [", argv[1], real->name, threads);
    for (size_t i = 0; rc == 0 && i < sizeof phases / sizeof *phases; i++)
        rc = print_phase(m, threads, &phases[i], i == 0, &err);
    printf("]}\n");
    if (rc != 0)
        fprintf(stderr, "profile: %s\n", err.msg);
    idem_model_close(m);
    return rc != 0;
}
