/* SPDX-License-Identifier: MIT
 * KV blocks: shared by forks, copied on write, counted, and never more than the ceiling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/kv.h"

enum { HEAD_DIM = 8 };

static void fill(struct kv *kv, struct kv_seq *s, size_t n, float value)
{
    struct idem_err err = {0};
    assert_int_equal(kv_reserve(kv, s, n, &err), 0);
    float key[HEAD_DIM], val[HEAD_DIM];
    for (size_t i = 0; i < n; i++, s->len++) {
        for (size_t d = 0; d < HEAD_DIM; d++)
            key[d] = val[d] = value + (float)s->len;
        uint8_t *k = kv_plane(kv, s, s->len / KERN_KV, 1, 0);
        kern_ops_ref()->kv_store(k, k + kv->k_bytes, &kv->shape, key, val, s->len % KERN_KV);
    }
}

static float at(const struct kv *kv, const struct kv_seq *s, size_t pos)
{
    const float *k = (const float *)(const void *)kv_plane(kv, s, pos / KERN_KV, 1, 0);
    const float *v = (const float *)(const void *)((const uint8_t *)k + kv->k_bytes);
    float key = k[3 * KERN_KV + pos % KERN_KV], val = v[pos % KERN_KV * HEAD_DIM + 3];
    assert_true(key == val);
    return key;
}

static void copy_on_write(void **state)
{
    (void)state;
    struct idem_err err = {0};
    struct kv kv;
    struct kv_seq a = {0}, b = {0}, c = {0};
    const struct kern_attn_shape shape = {.k_dim = HEAD_DIM, .v_dim = HEAD_DIM};
    kv_init(&kv, 2, 1, &shape, 100 * kv_block_bytes(2, 1, &shape));
    assert_int_equal(kv.block_bytes, 2 * 2 * HEAD_DIM * 64 * 4);

    fill(&kv, &a, 100, 1000);
    assert_int_equal(kv.n_live, 2);
    assert_int_equal(kv_fork(&kv, &b, &a, 80, &err), 0);
    assert_int_equal(kv_fork(&kv, &c, &a, 64, &err), 0);
    assert_int_equal(kv.n_live, 2);                  /* nothing is copied yet */
    fill(&kv, &b, 10, 2000);
    assert_int_equal(kv.n_live, 3);                  /* the shared tail of b */
    fill(&kv, &c, 1, 3000);
    assert_int_equal(kv.n_live, 4);                  /* a new block: 64 is a boundary */
    fill(&kv, &a, 1, 4000);
    assert_int_equal(kv.n_live, 4);                  /* a's tail is its own again */
    assert_int_equal(kv_fork(&kv, &(struct kv_seq){0}, &a, 0, &err), 0);

    for (size_t i = 0; i < 100; i++)
        assert_true(at(&kv, &a, i) == 1000 + (float)i);
    assert_true(at(&kv, &a, 100) == 4100);
    for (size_t i = 0; i < 90; i++)
        assert_true(at(&kv, &b, i) == (i < 80 ? 1000 : 2000) + (float)i);
    assert_true(at(&kv, &c, 63) == 1063 && at(&kv, &c, 64) == 3064);

    kv_seq_release(&kv, &a);
    assert_int_equal(kv.n_live, 3);
    assert_true(at(&kv, &b, 0) == 1000);
    kv_seq_release(&kv, &b);
    kv_seq_release(&kv, &c);
    assert_int_equal(kv.n_live, 0);
    kv_release(&kv);
}

static void ceiling(void **state)
{
    (void)state;
    struct idem_err err = {0};
    struct kv kv;
    struct kv_seq a = {0}, b = {0};
    const struct kern_attn_shape shape = {.k_dim = HEAD_DIM, .v_dim = HEAD_DIM, .f16 = true};
    kv_init(&kv, 2, 1, &shape, 3 * kv_block_bytes(2, 1, &shape) + 17);
    assert_int_equal(kv_reserve(&kv, &a, 65, &err), 0);
    a.len = 65;
    assert_int_equal(kv_reserve(&kv, &b, 65, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_LIMIT);
    assert_non_null(strstr(err.msg, "3 blocks"));
    assert_int_equal(b.len, 0);
    assert_int_equal(kv.n_live, 2);                  /* what it could get was given back */
    assert_int_equal(kv_reserve(&kv, &b, 64, &err), 0);
    kv_trim(&kv, &b);
    assert_int_equal(kv.n_live, 2);
    assert_int_equal(kv_fork(&kv, &b, &a, 65, &err), 0);
    assert_int_equal(kv_reserve(&kv, &b, 1, &err), 0);   /* the copy takes the third block */
    assert_int_equal(kv.n_live, 3);
    assert_int_equal(kv_reserve(&kv, &a, 64, &err), -1);
    assert_int_equal(a.n_blocks, 2);
    kv_seq_release(&kv, &a);
    kv_seq_release(&kv, &b);
    kv_release(&kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_on_write),
        cmocka_unit_test(ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
