/* SPDX-License-Identifier: MIT
 * The built-in engine behind the backend interface: nodes, forks, and a change of host while
 * nodes are alive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "engine_model.h"

enum { N = 90, VOCAB = 101 };

struct fixture {
    char path[64];
    struct backend *b;
    int32_t ids[N];
    float want[N][VOCAB];      /* logits after each token */
    float got[2][N][VOCAB];
};

static int keep(void *ctx, const struct backend_logits *l)
{
    struct fixture *f = ctx;
    assert_true(l->item < 2 && l->pos < N);
    assert_true(l->logits[l->argmax] == l->max);
    assert_true(l->logsumexp > (double)l->max && l->entropy > 0);
    memcpy(f->got[l->item][l->pos], l->logits, sizeof f->got[0][0]);
    return 0;
}

static void step(struct fixture *f, const struct backend_item *items, size_t n)
{
    struct idem_err err = {0};
    memset(f->got, 0, sizeof f->got);
    if (f->b->ops->step(f->b, items, n, keep, f, &err) != 0)
        fail_msg("%s", err.msg);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct idem_err err = {0};
    tiny_save(tiny_llama, f->path);
    f->b = backend_local_open(f->path, &(struct backend_local_options){.threads = 1}, &err);
    if (!f->b) {
        print_error("%s\n", err.msg);
        return -1;
    }
    for (size_t i = 0; i < N; i++)
        f->ids[i] = (int32_t)(i * 17 % VOCAB);
    int node = f->b->ops->node_new(f->b, &err);
    step(f, &(struct backend_item){node, f->ids, N, true}, 1);
    memcpy(f->want, f->got[0], sizeof f->want);
    f->b->ops->release(f->b, node);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    f->b->ops->close(f->b);
    unlink(f->path);
    free(f);
    return 0;
}

static void described(void **state)
{
    struct fixture *f = *state;
    struct idem_err err = {0};
    struct backend_description d;
    assert_int_equal(f->b->ops->describe(f->b, &d, &err), 0);
    assert_string_equal(d.name, "local");
    assert_string_equal(d.numerics, "idem-numerics-1/q8");
    assert_string_equal(d.arch, "llama");
    assert_string_equal(d.tokenizer, "llama/default");
    assert_string_equal(d.chat_family, "");
    assert_int_equal(strlen(d.model_digest), 64);
    assert_int_equal(d.n_vocab, VOCAB);
    assert_int_equal(d.n_ctx, 256);
}

/* Nodes of two hosts step together; each gets what one thread and one pass give. */
static void hosts(void **state)
{
    struct fixture *f = *state;
    const struct backend_ops *o = f->b->ops;
    struct idem_err err = {0};
    int a = o->node_new(f->b, &err);
    step(f, &(struct backend_item){a, f->ids, 70, false}, 1);
    assert_memory_equal(f->got[0][69], f->want[69], sizeof f->want[0]);

    assert_int_equal(o->host(f->b, 3, 7, &err), 0);
    int b = o->node_new(f->b, &err), c = o->fork(f->b, a, 65, &err);
    assert_true(a >= 0 && b >= 0 && c >= 0 && a != b && b != c && a != c);
    struct backend_item items[] = {{b, f->ids, N, true}, {c, f->ids + 65, 10, true}};
    step(f, items, 2);
    assert_memory_equal(f->got[0], f->want, sizeof f->want);
    assert_memory_equal(f->got[1][65], f->want[65], 10 * sizeof f->want[0]);

    o->release(f->b, a);
    assert_int_equal(o->fork(f->b, a, 1, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    assert_int_equal(o->host(f->b, 1, 0, &err), 0);      /* back to the first, c is alive in it */
    step(f, &(struct backend_item){c, f->ids + 75, N - 75, false}, 1);
    assert_memory_equal(f->got[0][N - 1], f->want[N - 1], sizeof f->want[0]);
    step(f, &(struct backend_item){b, f->ids, 0, false}, 1);
    o->release(f->b, b);
    o->release(f->b, c);
    o->release(f->b, c);
    o->release(f->b, -1);
    assert_int_equal(o->host(f->b, 2, 0, &err), 0);
}

static void refused(void **state)
{
    struct fixture *f = *state;
    struct idem_err err = {0};
    assert_int_equal(f->b->ops->step(f->b, &(struct backend_item){77, f->ids, 1, false}, 1, keep, f,
                                     &err), -1);
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    assert_int_equal(f->b->ops->host(f->b, 100000, 1, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    int a = f->b->ops->node_new(f->b, &err);              /* the old host is still there */
    step(f, &(struct backend_item){a, f->ids, 1, false}, 1);
    assert_memory_equal(f->got[0][0], f->want[0], sizeof f->want[0]);
    f->b->ops->release(f->b, a);

    assert_null(backend_local_open(f->path, &(struct backend_local_options){.cpu = "mmx"}, &err));
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    assert_non_null(strstr(err.msg, "mmx"));
    assert_null(backend_local_open(f->path, &(struct backend_local_options){
                                       .normalize_none = true, .normalize_nfc = true}, &err));
    assert_null(backend_local_open("/tmp/idem-absent.gguf", NULL, &err));
    assert_int_equal(err.code, IDEM_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(described),
        cmocka_unit_test(hosts),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
