/* SPDX-License-Identifier: MIT
 * Logits are a function of model and prefix: threads, chunk, company, cache history and kernels
 * do not change a bit. Random models of all three architectures, both activation modes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine_model.h"
#include "idem.h"

enum { N = 200 };
static const size_t prefixes[] = {1, 63, 64, 65, 200};

struct kept {                      /* logits by item and position */
    size_t n_vocab, n_calls;
    float *logits[3];              /* [N][n_vocab], or NULL: not kept */
    size_t next[3];                /* positions must ascend */
    bool ordered;
};

static int keep(void *ctx, size_t item, size_t pos, const float *logits)
{
    struct kept *k = ctx;
    k->n_calls++;
    k->ordered = k->ordered && pos >= k->next[item];
    k->next[item] = pos + 1;
    if (k->logits[item])
        memcpy(k->logits[item] + pos * k->n_vocab, logits, k->n_vocab * sizeof(float));
    return 0;
}

static void tokens_of(int32_t *ids, size_t n, uint32_t n_vocab, unsigned salt)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)((i * i * 7 + i * 13 + salt * 31 + 5) % n_vocab);
}

/* One model with its expected logits, and room for others. */
struct same {
    struct idem_model *m;
    size_t n_vocab;
    int32_t ids[N], other[2][N];
    float *want, *got;             /* [N][n_vocab] */
};

static struct idem_session *session(const struct same *s, uint32_t threads, uint32_t chunk)
{
    struct idem_err err = {0};
    struct idem_session_options o = {.n_threads = threads, .n_chunk = chunk};
    struct idem_session *e = idem_session_open(s->m, &o, &err);
    if (!e)
        fail_msg("%s", err.msg);
    return e;
}

static void decode(struct idem_session *e, const struct idem_item *items, size_t n,
                   struct kept *k)
{
    struct idem_err err = {0};
    k->ordered = true;
    if (idem_decode(e, items, n, keep, k, &err) != 0)
        fail_msg("%s", err.msg);
    assert_true(k->ordered);
}

static void assert_row(const struct same *s, size_t pos, const char *how, uint32_t threads,
                       uint32_t chunk)
{
    if (memcmp(s->want + pos * s->n_vocab, s->got + pos * s->n_vocab,
               s->n_vocab * sizeof(float)) != 0)
        fail_msg("%s, %u threads, chunk %u: the logits after position %zu differ", how, threads,
                 chunk, pos);
}

static void clear(struct same *s)
{
    memset(s->got, 0, N * s->n_vocab * sizeof(float));
}

/* The prefix by itself, last logits only. */
static void alone(struct same *s, uint32_t threads, uint32_t chunk)
{
    struct idem_err err = {0};
    struct idem_session *e = session(s, threads, chunk);
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        int seq = idem_seq_new(e, &err);
        struct kept k = {.n_vocab = s->n_vocab, .logits = {s->got}};
        clear(s);
        decode(e, &(struct idem_item){seq, s->ids, prefixes[i], IDEM_LOGITS_LAST}, 1, &k);
        assert_int_equal(k.n_calls, 1);
        assert_row(s, prefixes[i] - 1, "alone", threads, chunk);
        idem_seq_free(e, seq);
    }
    idem_session_close(e);
}

/* Between two other sequences of other lengths, all logits; then token by token together. */
static void beside(struct same *s, uint32_t threads, uint32_t chunk)
{
    struct idem_err err = {0};
    struct idem_session *e = session(s, threads, chunk);
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t n = prefixes[i] > 3 ? prefixes[i] - 3 : prefixes[i];
        int a = idem_seq_new(e, &err), b = idem_seq_new(e, &err), c = idem_seq_new(e, &err);
        struct kept k = {.n_vocab = s->n_vocab, .logits = {NULL, s->got}};
        struct idem_item items[] = {{a, s->other[0], 70, IDEM_LOGITS_LAST},
                                    {b, s->ids, n, IDEM_LOGITS_ALL},
                                    {c, s->other[1], 5, IDEM_LOGITS_NONE}};
        clear(s);
        decode(e, items, 3, &k);
        assert_int_equal(k.n_calls, n + 1);
        for (size_t at = n; at < prefixes[i]; at++) {
            struct idem_item one[] = {{a, s->other[0] + 70 + at - n, 1, IDEM_LOGITS_LAST},
                                      {b, s->ids + at, 1, IDEM_LOGITS_LAST},
                                      {c, s->other[1] + 5 + at - n, 1, IDEM_LOGITS_LAST}};
            decode(e, one, 3, &k);
        }
        for (size_t pos = 0; pos < prefixes[i]; pos++)
            assert_row(s, pos, "beside others", threads, chunk);
        idem_seq_free(e, a);
        idem_seq_free(e, b);
        idem_seq_free(e, c);
    }
    idem_session_close(e);
}

/* A longer sequence forked some tokens before the end, while another fork of the same place goes
 * elsewhere in between: neither may see what the other writes. */
static void forked(struct same *s, uint32_t threads, uint32_t chunk)
{
    struct idem_err err = {0};
    struct idem_session *e = session(s, threads, chunk);
    int whole = idem_seq_new(e, &err);
    struct kept none = {.n_vocab = s->n_vocab};
    decode(e, &(struct idem_item){whole, s->ids, N, IDEM_LOGITS_NONE}, 1, &none);
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t n = prefixes[i], from = n > 3 ? n - 3 : 0;
        int stray = idem_seq_fork(e, whole, from, &err), seq = idem_seq_fork(e, whole, from, &err);
        assert_true(stray >= 0 && seq >= 0 && stray != seq);
        decode(e, &(struct idem_item){seq, s->ids + from, n - 1 - from, IDEM_LOGITS_NONE}, 1, &none);
        decode(e, &(struct idem_item){stray, s->other[0], 3, IDEM_LOGITS_NONE}, 1, &none);
        struct kept k = {.n_vocab = s->n_vocab, .logits = {s->got}};
        clear(s);
        decode(e, &(struct idem_item){seq, s->ids + n - 1, 1, IDEM_LOGITS_LAST}, 1, &k);
        assert_row(s, n - 1, "forked", threads, chunk);
        idem_seq_free(e, stray);
        idem_seq_free(e, seq);
    }
    idem_session_close(e);
}

static struct idem_model *open_model(const char *path, enum idem_activations act, enum idem_cpu cpu)
{
    struct idem_err err = {0};
    struct idem_model_options o = {.activations = act, .cpu = cpu, .n_threads = 2};
    struct idem_model *m = idem_model_open(path, &o, &err);
    if (!m)
        fail_msg("%s", err.msg);
    return m;
}

static void all_logits(struct same *s, float *out)
{
    struct idem_err err = {0};
    struct idem_session *e = session(s, 1, 512);
    struct kept k = {.n_vocab = s->n_vocab, .logits = {out}};
    int seq = idem_seq_new(e, &err);
    decode(e, &(struct idem_item){seq, s->ids, N, IDEM_LOGITS_ALL}, 1, &k);
    assert_int_equal(k.n_calls, N);
    assert_int_equal(idem_seq_len(e, seq), N);
    idem_session_close(e);
}

/* Rows differ from each other, so equality between runs says something. */
static void assert_alive(const struct same *s)
{
    for (size_t i = 1; i < N; i++)
        assert_memory_not_equal(s->want, s->want + i * s->n_vocab, s->n_vocab * sizeof(float));
}

static void same_bits(const struct tiny *t, enum idem_activations act)
{
    char path[64];
    struct same s = {0};
    tiny_save(*t, path);
    s.m = open_model(path, act, IDEM_CPU_AUTO);
    s.n_vocab = idem_model_info(s.m)->n_vocab;
    assert_int_equal(s.n_vocab, t->n_vocab);
    tokens_of(s.ids, N, t->n_vocab, 0);
    tokens_of(s.other[0], N, t->n_vocab, 1);
    tokens_of(s.other[1], N, t->n_vocab, 2);
    s.want = malloc(N * s.n_vocab * sizeof(float));
    s.got = malloc(N * s.n_vocab * sizeof(float));
    assert_true(s.want && s.got);
    all_logits(&s, s.want);
    assert_alive(&s);

    /* every threads with every chunk, and each of them with every history */
    static const uint32_t chunks[] = {1, 7, 64, 512};
    static void (*const histories[])(struct same *, uint32_t, uint32_t) = {alone, beside, forked};
    for (uint32_t threads = 1; threads <= 4; threads++)
        for (uint32_t c = 0; c < 4; c++)
            histories[(threads + c) % 3](&s, threads, chunks[c]);
    idem_model_close(s.m);

    s.m = open_model(path, act, IDEM_CPU_REF);
    clear(&s);
    all_logits(&s, s.got);
    for (size_t pos = 0; pos < N; pos++)
        assert_row(&s, pos, "reference kernels", 1, 512);
    idem_model_close(s.m);
    free(s.want);
    free(s.got);
    unlink(path);
}

static void llama(void **state)
{
    (void)state;
    same_bits(&tiny_llama, IDEM_ACTIVATIONS_Q8);
    same_bits(&tiny_llama, IDEM_ACTIVATIONS_F32);
}

static void qwen2(void **state)
{
    (void)state;
    same_bits(&tiny_qwen2, IDEM_ACTIVATIONS_Q8);
    same_bits(&tiny_qwen2, IDEM_ACTIVATIONS_F32);
}

static void small_types(void **state)
{
    (void)state;
    same_bits(&tiny_small, IDEM_ACTIVATIONS_Q8);
    same_bits(&tiny_small, IDEM_ACTIVATIONS_F32);
}

static void gemma3(void **state)
{
    (void)state;
    same_bits(&tiny_gemma3, IDEM_ACTIVATIONS_Q8);
    same_bits(&tiny_gemma3, IDEM_ACTIVATIONS_F32);
}

/* One head per KV head, and one KV head for seventy: the tiles of queries are cut differently. */
static void unusual_heads(void **state)
{
    (void)state;
    struct tiny t = tiny_llama;
    t.n_head = t.n_head_kv = 4;
    t.fused_qkv = true;
    t.rope_freqs = false;
    same_bits(&t, IDEM_ACTIVATIONS_Q8);
    t = tiny_llama;
    t.n_head = 70;
    t.n_head_kv = 1;
    same_bits(&t, IDEM_ACTIVATIONS_Q8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama),
        cmocka_unit_test(qwen2),
        cmocka_unit_test(gemma3),
        cmocka_unit_test(small_types),
        cmocka_unit_test(unusual_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
