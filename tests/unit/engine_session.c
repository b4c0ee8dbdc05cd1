/* SPDX-License-Identifier: MIT
 * What a session refuses, and that a call that fails leaves its sequences as they were. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine_model.h"
#include "idem.h"

struct fixture {
    char path[64];
    struct idem_model *m;
    struct idem_session *s;
    int32_t ids[300];
};

static int setup(void **state)
{
    static struct fixture f;
    struct idem_err err = {0};
    tiny_save(tiny_llama, f.path);
    f.m = idem_model_open(f.path, NULL, &err);
    f.s = f.m ? idem_session_open(f.m, &(struct idem_session_options){
                                      .n_threads = 2, .n_chunk = 16,
                                      .max_kv_bytes = 5 * idem_model_info(f.m)->kv_bytes_per_block},
                                  &err)
              : NULL;
    if (!f.s)
        print_error("%s\n", err.msg);
    for (size_t i = 0; i < 300; i++)
        f.ids[i] = (int32_t)(i * 17 % 101);
    *state = &f;
    return f.s ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    idem_session_close(f->s);
    idem_model_close(f->m);
    unlink(f->path);
    return 0;
}

static int count(void *ctx, size_t item, size_t pos, const float *logits)
{
    (void)item;
    (void)pos;
    (void)logits;
    ++*(size_t *)ctx;
    return 0;
}

static int copy(void *ctx, size_t item, size_t pos, const float *logits)
{
    (void)item;
    (void)pos;
    memcpy(ctx, logits, 101 * sizeof *logits);
    return 0;
}

static int decode(struct fixture *f, int seq, const int32_t *ids, size_t n, struct idem_err *err)
{
    return idem_decode(f->s, &(struct idem_item){seq, ids, n, IDEM_LOGITS_NONE}, 1, NULL, NULL, err);
}

static void arguments(void **state)
{
    struct fixture *f = *state;
    struct idem_err err = {0};
    size_t n = 0;
    int a = idem_seq_new(f->s, &err), b = idem_seq_new(f->s, &err);
    assert_true(a == 0 && b == 1);

    struct idem_item twice[] = {{a, f->ids, 2, IDEM_LOGITS_LAST}, {a, f->ids, 2, IDEM_LOGITS_LAST}};
    assert_int_equal(idem_decode(f->s, twice, 2, count, &n, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    assert_non_null(strstr(err.msg, "sequence 0"));

    static const int32_t bad[][3] = {{1, 2, -1}, {1, 101, 3}};
    for (size_t i = 0; i < 2; i++) {
        struct idem_item items[] = {{a, f->ids, 2, IDEM_LOGITS_LAST}, {b, bad[i], 3, IDEM_LOGITS_ALL}};
        assert_int_equal(idem_decode(f->s, items, 2, count, &n, &err), -1);
        assert_int_equal(err.code, IDEM_ERR_USAGE);
        assert_non_null(strstr(err.msg, i ? "101" : "-1"));
    }
    assert_int_equal(decode(f, 7, f->ids, 1, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    assert_int_equal(decode(f, -1, f->ids, 1, &err), -1);
    assert_int_equal(idem_seq_fork(f->s, a, 1, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    assert_int_equal(idem_decode(f->s, &(struct idem_item){a, f->ids, 1, 9}, 1, count, &n, &err), -1);

    assert_int_equal(n, 0);
    assert_int_equal(idem_seq_len(f->s, a) + idem_seq_len(f->s, b), 0);
    assert_int_equal(idem_session_kv_bytes(f->s), 0);

    /* nothing to do is no error, and the sequences are still good */
    assert_int_equal(decode(f, a, NULL, 0, &err), 0);
    assert_int_equal(idem_decode(f->s, NULL, 0, count, &n, &err), 0);
    struct idem_item good[] = {{b, f->ids, 2, IDEM_LOGITS_ALL}, {a, f->ids, 3, IDEM_LOGITS_LAST}};
    assert_int_equal(idem_decode(f->s, good, 2, count, &n, &err), 0);
    assert_int_equal(n, 3);
    idem_seq_free(f->s, a);
    assert_int_equal(idem_seq_len(f->s, a), 0);
    assert_int_equal(decode(f, a, f->ids, 1, &err), -1);
    assert_int_equal(idem_seq_new(f->s, &err), a);        /* the lowest handle again */
    idem_seq_free(f->s, a);
    idem_seq_free(f->s, b);
    idem_seq_free(f->s, 99);
}

static void context_limit(void **state)
{
    struct fixture *f = *state;
    struct idem_err err = {0};
    int a = idem_seq_new(f->s, &err);
    assert_int_equal(decode(f, a, f->ids, 200, &err), 0);
    assert_int_equal(decode(f, a, f->ids, 57, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_LIMIT);
    assert_non_null(strstr(err.msg, "200"));
    assert_non_null(strstr(err.msg, "57"));
    assert_non_null(strstr(err.msg, "256"));
    assert_int_equal(idem_seq_len(f->s, a), 200);
    assert_int_equal(decode(f, a, f->ids, 56, &err), 0);
    assert_int_equal(idem_seq_len(f->s, a), 256);
    assert_int_equal(decode(f, a, f->ids, 1, &err), -1);
    idem_seq_free(f->s, a);
}

/* The ceiling of five blocks: a call that does not fit changes nothing, and frees what it took. */
static void cache_limit(void **state)
{
    struct fixture *f = *state;
    struct idem_err err = {0};
    uint64_t block = idem_model_info(f->m)->kv_bytes_per_block;
    int a = idem_seq_new(f->s, &err), b = idem_seq_new(f->s, &err);
    assert_int_equal(decode(f, a, f->ids, 130, &err), 0);
    assert_int_equal(idem_session_kv_bytes(f->s), 3 * block);
    struct idem_item both[] = {{a, f->ids, 100, IDEM_LOGITS_NONE}, {b, f->ids, 100, IDEM_LOGITS_NONE}};
    assert_int_equal(idem_decode(f->s, both, 2, NULL, NULL, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_LIMIT);
    assert_int_equal(idem_seq_len(f->s, a), 130);
    assert_int_equal(idem_seq_len(f->s, b), 0);
    assert_int_equal(idem_session_kv_bytes(f->s), 3 * block);

    int c = idem_seq_fork(f->s, a, 130, &err);
    assert_true(c >= 0);
    assert_int_equal(idem_session_kv_bytes(f->s), 3 * block);
    assert_int_equal(decode(f, c, f->ids, 1, &err), 0);
    assert_int_equal(idem_session_kv_bytes(f->s), 4 * block);
    idem_seq_free(f->s, a);
    assert_int_equal(idem_session_kv_bytes(f->s), 3 * block);
    assert_int_equal(decode(f, b, f->ids, 100, &err), 0);
    idem_seq_free(f->s, b);
    idem_seq_free(f->s, c);
    assert_int_equal(idem_session_kv_bytes(f->s), 0);
}

struct stop { size_t n_calls, stop_at; struct fixture *f; int seq; };

static int stop(void *ctx, size_t item, size_t pos, const float *logits)
{
    struct stop *s = ctx;
    struct idem_err err = {0};
    (void)item;
    (void)logits;
    /* what a callback may not do is refused, and does no harm */
    assert_int_equal(idem_seq_new(s->f->s, &err), -1);
    assert_int_equal(idem_seq_fork(s->f->s, s->seq, 1, &err), -1);
    assert_int_equal(decode(s->f, s->seq, s->f->ids, 1, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    s->n_calls++;
    return pos == s->stop_at;
}

static void interrupted(void **state)
{
    struct fixture *f = *state;
    struct idem_err err = {0};
    int a = idem_seq_new(f->s, &err);
    struct stop s = {.stop_at = 20, .f = f, .seq = a};
    struct idem_item item = {a, f->ids, 100, IDEM_LOGITS_ALL};
    assert_int_equal(idem_decode(f->s, &item, 1, stop, &s, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_INTERRUPTED);
    assert_int_equal(s.n_calls, 21);
    size_t len = idem_seq_len(f->s, a);
    assert_true(len >= 21 && len < 100);

    /* going on from there gives what one call gives */
    int b = idem_seq_new(f->s, &err);
    float on[101] = {0}, whole[101] = {1};
    assert_int_equal(idem_decode(f->s, &(struct idem_item){a, f->ids + len, 100 - len, IDEM_LOGITS_LAST},
                                 1, copy, on, &err), 0);
    assert_int_equal(idem_decode(f->s, &(struct idem_item){b, f->ids, 100, IDEM_LOGITS_LAST}, 1, copy,
                                 whole, &err), 0);
    assert_memory_equal(on, whole, sizeof on);
    assert_int_equal(idem_seq_len(f->s, a), idem_seq_len(f->s, b));
    idem_seq_free(f->s, a);
    idem_seq_free(f->s, b);
}

static int free_it(void *ctx, size_t item, size_t pos, const float *logits)
{
    struct stop *s = ctx;
    (void)item;
    (void)pos;
    (void)logits;
    s->n_calls++;
    idem_seq_free(s->f->s, s->seq);
    return 0;
}

static void freed_in_callback(void **state)
{
    struct fixture *f = *state;
    struct idem_err err = {0};
    struct stop s = {.f = f, .seq = idem_seq_new(f->s, &err)};
    struct idem_item item = {s.seq, f->ids, 40, IDEM_LOGITS_ALL};
    assert_int_equal(idem_decode(f->s, &item, 1, free_it, &s, &err), 0);
    assert_int_equal(s.n_calls, 40);
    assert_int_equal(idem_session_kv_bytes(f->s), 0);
    assert_int_equal(decode(f, s.seq, f->ids, 1, &err), -1);
}

/* A NaN in the weights of layer 1 is an error that names the layer; nothing is appended. */
static void not_a_number(void **state)
{
    (void)state;
    char path[64];
    struct idem_err err = {0};
    struct tiny t = tiny_llama;
    size_t n = 0;
    t.nan = "blk.1.ffn_norm.weight";
    tiny_save(t, path);
    for (int act = 0; act < 2; act++) {
        struct idem_model *m = idem_model_open(
            path, &(struct idem_model_options){.activations = (enum idem_activations)act}, &err);
        struct idem_session *s = m ? idem_session_open(m, NULL, &err) : NULL;
        assert_non_null(s);
        int a = idem_seq_new(s, &err);
        int32_t ids[] = {1, 2, 3};
        assert_int_equal(idem_decode(s, &(struct idem_item){a, ids, 3, IDEM_LOGITS_ALL}, 1, count, &n,
                                     &err), -1);
        assert_int_equal(err.code, IDEM_ERR_NUMERIC);
        assert_non_null(strstr(err.msg, "layer 1"));
        assert_non_null(strstr(err.msg, "position 0"));
        assert_int_equal(idem_seq_len(s, a), 0);
        assert_int_equal(idem_session_kv_bytes(s), 0);
        idem_session_close(s);
        idem_model_close(m);
    }
    assert_int_equal(n, 0);
    unlink(path);
}

static void options(void **state)
{
    struct fixture *f = *state;
    struct idem_err err = {0};
    assert_null(idem_session_open(f->m, &(struct idem_session_options){.n_threads = 5000}, &err));
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    struct idem_session *s = idem_session_open(
        f->m, &(struct idem_session_options){.n_chunk = UINT32_MAX, .n_threads = 3}, &err);
    assert_non_null(s);                              /* memory grows with use, not with n_chunk */
    idem_session_close(s);
    idem_session_close(NULL);
}

struct stats { const struct fixture *f; size_t n; };

static int check_stats(void *ctx, size_t item, size_t pos, const float *l)
{
    struct stats *c = ctx;
    struct idem_logstats st;
    (void)item;
    (void)pos;
    idem_logits_stats(c->f->m, l, &st);
    long double sum = 0, entropy = 0;
    int32_t best = 0;
    for (int32_t i = 0; i < 101; i++) {
        sum += expl((long double)l[i]);
        best = l[i] > l[best] ? i : best;
    }
    for (int32_t i = 0; i < 101; i++) {
        long double lp = (long double)l[i] - logl(sum);
        entropy -= expl(lp) * lp;
    }
    assert_int_equal(st.argmax, best);
    assert_true(st.max == l[best]);
    /* exp is rounded to binary32 in the sum */
    assert_true(fabsl((long double)st.logsumexp - logl(sum)) < 1e-6L);
    assert_true(fabsl((long double)st.entropy - entropy) < 1e-5L);
    c->n++;
    return 0;
}

static void statistics(void **state)
{
    struct fixture *f = *state;
    struct idem_err err = {0};
    struct stats c = {f, 0};
    int a = idem_seq_new(f->s, &err);
    assert_int_equal(idem_decode(f->s, &(struct idem_item){a, f->ids, 50, IDEM_LOGITS_ALL}, 1,
                                 check_stats, &c, &err), 0);
    assert_int_equal(c.n, 50);
    idem_seq_free(f->s, a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments),
        cmocka_unit_test(context_limit),
        cmocka_unit_test(cache_limit),
        cmocka_unit_test(interrupted),
        cmocka_unit_test(freed_in_callback),
        cmocka_unit_test(not_a_number),
        cmocka_unit_test(options),
        cmocka_unit_test(statistics),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
