/* SPDX-License-Identifier: MIT
 * Logits with added noise are a function of model, prefix, noise and seed: threads, chunk, company,
 * cache history and kernels do not change a bit, and sequences without noise beside them keep theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine_model.h"
#include "idem.h"

enum { N = 70, MAX_SEQS = 3 };

static const struct noise { const char *spec; uint64_t seed; } noises[] = {
    {"shuffle", 1}, {"shuffle", 2}, {"pairwise", 0}, {"splitk:3", 0}, {"batch:1", 0}, {"batch:5", 0},
    {"batch:300", 0}, {"bf16", 0}, {"f16", 0}, {"shuffle+bf16", 1}, {"none", 5},
};
enum { N_NOISES = sizeof noises / sizeof noises[0] };

struct kept {
    size_t n_vocab;
    float *logits[MAX_SEQS];       /* [N][n_vocab], or NULL: not kept */
};

static int keep(void *ctx, size_t item, size_t pos, const float *logits)
{
    struct kept *k = ctx;
    if (k->logits[item])
        memcpy(k->logits[item] + pos * k->n_vocab, logits, k->n_vocab * sizeof *logits);
    return 0;
}

struct lab {
    struct idem_model *m;
    size_t n_vocab, bytes;
    int32_t ids[N];
    float *want[N_NOISES], *plain, *got, *got2;
};

static struct idem_model *open_model(const char *path, enum idem_activations act, enum idem_cpu cpu)
{
    struct idem_err err = {0};
    struct idem_model_options o = {.activations = act, .cpu = cpu, .n_threads = 2};
    struct idem_model *m = idem_model_open(path, &o, &err);
    if (!m)
        fail_msg("%s", err.msg);
    return m;
}

static struct idem_session *session(const struct lab *l, uint32_t threads, uint32_t chunk)
{
    struct idem_err err = {0};
    struct idem_session_options o = {.n_threads = threads, .n_chunk = chunk};
    struct idem_session *e = idem_session_open(l->m, &o, &err);
    if (!e)
        fail_msg("%s", err.msg);
    return e;
}

static int seq_of(struct idem_session *e, size_t z)
{
    struct idem_err err = {0};
    int seq = idem_seq_new_noisy(e, noises[z].spec, noises[z].seed, &err);
    if (seq < 0)
        fail_msg("%s", err.msg);
    return seq;
}

static void decode(struct idem_session *e, const struct idem_item *items, size_t n, struct kept *k)
{
    struct idem_err err = {0};
    if (idem_decode(e, items, n, keep, k, &err) != 0)
        fail_msg("%s", err.msg);
}

static void all_logits(const struct lab *l, struct idem_session *e, int seq, float *out)
{
    struct kept k = {l->n_vocab, {out}};
    memset(out, 0, l->bytes);
    decode(e, &(struct idem_item){seq, l->ids, N, IDEM_LOGITS_ALL}, 1, &k);
    idem_seq_free(e, seq);
}

static void assert_same(const struct lab *l, size_t z, const float *got, const char *how)
{
    if (memcmp(l->want[z], got, l->bytes) != 0)
        fail_msg("noise %s, seed %llu, %s: other logits", noises[z].spec,
                 (unsigned long long)noises[z].seed, how);
}

/* Every noise with every history, threads and chunk varied along. */
static void histories(struct lab *l)
{
    static const uint32_t chunks[] = {1, 7, 512};
    struct idem_err err = {0};
    for (size_t z = 0; z < N_NOISES; z++) {
        struct idem_session *e = session(l, 1 + (uint32_t)z % 3, chunks[z % 3]);
        all_logits(l, e, seq_of(e, z), l->got);
        assert_same(l, z, l->got, "in other chunks");

        /* between another noise and none, in one batch, then token by token */
        size_t other = (z + 1) % N_NOISES;
        int a = seq_of(e, other), b = seq_of(e, z), c = idem_seq_new(e, &err);
        struct kept k = {l->n_vocab, {NULL, l->got, l->got2}};
        memset(l->got, 0, l->bytes);
        memset(l->got2, 0, l->bytes);
        decode(e, (struct idem_item[]){{a, l->ids, 5, IDEM_LOGITS_LAST}, {b, l->ids, N - 2, IDEM_LOGITS_ALL},
                                       {c, l->ids, N - 2, IDEM_LOGITS_ALL}}, 3, &k);
        for (size_t i = N - 2; i < N; i++)
            decode(e, (struct idem_item[]){{a, l->ids + 5, 1, IDEM_LOGITS_LAST},
                                           {b, l->ids + i, 1, IDEM_LOGITS_LAST},
                                           {c, l->ids + i, 1, IDEM_LOGITS_LAST}}, 3, &k);
        assert_same(l, z, l->got, "beside others");
        if (memcmp(l->plain, l->got2, l->bytes) != 0)
            fail_msg("a sequence without noise beside %s has other logits", noises[z].spec);

        /* a fork has the noise of what it was forked from */
        int d = idem_seq_fork(e, b, N - 4, &err);
        k = (struct kept){l->n_vocab, {l->got}};
        memset(l->got + (N - 4) * l->n_vocab, 0, 4 * l->n_vocab * sizeof(float));
        decode(e, &(struct idem_item){d, l->ids + N - 4, 4, IDEM_LOGITS_ALL}, 1, &k);
        assert_same(l, z, l->got, "forked");
        idem_session_close(e);
    }
}

static void same_bits(const struct tiny *t, enum idem_activations act)
{
    static const enum idem_cpu cpus[] = {IDEM_CPU_REF, IDEM_CPU_SSE41, IDEM_CPU_AVX2, IDEM_CPU_NEON};
    char path[64];
    struct idem_err err = {0};
    struct lab l = {0};
    tiny_save(*t, path);
    l.m = open_model(path, act, IDEM_CPU_AUTO);
    l.n_vocab = idem_model_info(l.m)->n_vocab;
    l.bytes = N * l.n_vocab * sizeof(float);
    for (size_t i = 0; i < N; i++)
        l.ids[i] = (int32_t)((i * i * 7 + i * 13 + 5) % l.n_vocab);
    l.plain = malloc(l.bytes);
    l.got = malloc(l.bytes);
    l.got2 = malloc(l.bytes);
    struct idem_session *e = session(&l, 2, 512);
    all_logits(&l, e, idem_seq_new(e, &err), l.plain);
    for (size_t z = 0; z < N_NOISES; z++) {
        l.want[z] = malloc(l.bytes);
        all_logits(&l, e, seq_of(e, z), l.want[z]);
        for (size_t k = 0; k < z; k++)          /* each is another noise */
            assert_memory_not_equal(l.want[k], l.want[z], l.bytes);
    }
    idem_session_close(e);
    assert_memory_equal(l.plain, l.want[N_NOISES - 1], l.bytes);     /* none is none */
    histories(&l);
    idem_model_close(l.m);

    for (size_t c = 0; c < sizeof cpus / sizeof cpus[0]; c++) {
        struct idem_model_options o = {.activations = act, .cpu = cpus[c], .n_threads = 2};
        if (!(l.m = idem_model_open(path, &o, &err)))
            continue;                           /* not on this machine */
        e = session(&l, 2, 512);
        for (size_t z = 0; z < N_NOISES; z++) {
            all_logits(&l, e, seq_of(e, z), l.got);
            assert_same(&l, z, l.got, idem_model_info(l.m)->kernels);
        }
        idem_session_close(e);
        idem_model_close(l.m);
    }
    for (size_t z = 0; z < N_NOISES; z++)
        free(l.want[z]);
    free(l.plain);
    free(l.got);
    free(l.got2);
    unlink(path);
}

static void llama(void **state)
{
    (void)state;
    same_bits(&tiny_llama, IDEM_ACTIVATIONS_Q8);
    same_bits(&tiny_llama, IDEM_ACTIVATIONS_F32);
}

static void qwen2(void **state)                 /* biases, an output matrix of its own */
{
    (void)state;
    same_bits(&tiny_qwen2, IDEM_ACTIVATIONS_Q8);
}

static void gemma3(void **state)                /* windows, norms of heads */
{
    (void)state;
    same_bits(&tiny_gemma3, IDEM_ACTIVATIONS_Q8);
    same_bits(&tiny_gemma3, IDEM_ACTIVATIONS_F32);
}

static void small_types(void **state)
{
    (void)state;
    same_bits(&tiny_small, IDEM_ACTIVATIONS_Q8);
}

/* The kinds without a seed are the same under every seed. */
static void seeds(void **state)
{
    (void)state;
    struct idem_err err = {0};
    struct lab l = {0};
    char path[64];
    tiny_save(tiny_llama, path);
    l.m = open_model(path, IDEM_ACTIVATIONS_Q8, IDEM_CPU_AUTO);
    l.n_vocab = idem_model_info(l.m)->n_vocab;
    l.bytes = N * l.n_vocab * sizeof(float);
    for (size_t i = 0; i < N; i++)
        l.ids[i] = (int32_t)(i % l.n_vocab);
    l.got = malloc(l.bytes);
    l.got2 = malloc(l.bytes);
    struct idem_session *e = session(&l, 1, 512);
    for (size_t z = 2; z < N_NOISES; z++) {
        if (!strncmp(noises[z].spec, "shuffle", 7))
            continue;
        all_logits(&l, e, seq_of(e, z), l.got);
        all_logits(&l, e, idem_seq_new_noisy(e, noises[z].spec, 123456789, &err), l.got2);
        assert_memory_equal(l.got, l.got2, l.bytes);
    }
    assert_int_equal(idem_seq_new_noisy(e, "loud", 0, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    all_logits(&l, e, idem_seq_new_noisy(e, NULL, 0, &err), l.got);
    idem_session_close(e);
    idem_model_close(l.m);
    free(l.got);
    free(l.got2);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama),
        cmocka_unit_test(qwen2),
        cmocka_unit_test(gemma3),
        cmocka_unit_test(small_types),
        cmocka_unit_test(seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
