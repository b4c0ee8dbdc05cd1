/* SPDX-License-Identifier: MIT
 * base/buf and base/arena: growth, ceilings, failure that sticks, alignment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"

static void test_buf_grows(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100000);
    for (int i = 0; i < 10000; i++) {
        buf_addf(&b, "%04d", i);
        assert_int_equal(b.len, 4 * (size_t)(i + 1));
        assert_int_equal(b.data[b.len], '\0');
    }
    for (int i = 0; i < 10000; i++) {
        char want[5] = {(char)('0' + i / 1000), (char)('0' + i / 100 % 10),
                        (char)('0' + i / 10 % 10), (char)('0' + i % 10), 0};
        assert_memory_equal(b.data + 4 * i, want, 4);
    }
    buf_clear(&b);
    assert_true(b.len == 0 && b.data[0] == '\0' && !b.failed);
    buf_add(&b, "a\0b", 3);
    buf_adds(&b, "c");
    buf_add(&b, NULL, 0);
    assert_memory_equal(b.data, "a\0bc", 5);
    char *p = buf_detach(&b);
    assert_memory_equal(p, "a\0bc", 5);
    free(p);
    assert_true(b.data == NULL && b.len == 0 && b.max == 100000);
    p = buf_detach(&b);   /* nothing yet: an empty string */
    assert_string_equal(p, "");
    free(p);
    buf_release(&b);
    buf_release(&b);
}

static void test_buf_ceiling(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 5);
    assert_int_equal(buf_append(&b, "12345", 5), 0);   /* the NUL does not count */
    assert_int_equal(buf_append(&b, "", 0), 0);
    assert_int_equal(buf_append(&b, "6", 1), -1);
    assert_true(b.failed && b.len == 5);
    assert_string_equal(b.data, "12345");
    assert_int_equal(buf_append(&b, "", 0), -1);       /* sticky */
    assert_null(buf_detach(&b));
    assert_true(!b.failed && b.len == 0);
    buf_adds(&b, "123");
    buf_addf(&b, "%d", 456);
    assert_true(b.failed && b.len == 3);
    buf_clear(&b);
    buf_addf(&b, "%s", "12345");
    assert_true(!b.failed && b.len == 5);
    assert_int_equal(buf_append(&b, "x", SIZE_MAX), -1);
    buf_release(&b);
    buf_init(&b, SIZE_MAX);
    assert_int_equal(buf_append(&b, "x", SIZE_MAX), -1);   /* len + NUL would overflow */
    buf_release(&b);
}

static void test_arena(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1u << 20);
    unsigned char *p[200];
    size_t size[200];
    for (size_t i = 0; i < 200; i++) {
        size[i] = i * 37 % 2000;
        p[i] = arena_alloc(&a, size[i]);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        for (size_t j = 0; j < size[i]; j++)
            assert_int_equal(p[i][j], 0);
        memset(p[i], (int)i, size[i]);
    }
    for (size_t i = 0; i < 200; i++)      /* none overlaps another */
        for (size_t j = 0; j < size[i]; j++)
            assert_int_equal(p[i][j], i);
    assert_non_null(arena_alloc(&a, 300000));   /* larger than a chunk */
    assert_string_equal(arena_strdup(&a, "text"), "text");
    assert_string_equal(arena_strndup(&a, "text", 2), "te");
    assert_string_equal(arena_strndup(&a, NULL, 0), "");
    uint64_t *n = arena_array(&a, 10, sizeof *n);
    assert_true(n && n[9] == 0);
    assert_null(arena_array(&a, SIZE_MAX / 4, 8));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_strndup(&a, "x", SIZE_MAX));
    size_t left = a.max - a.used;
    assert_null(arena_alloc(&a, left + 1));
    assert_non_null(arena_alloc(&a, left));     /* a refusal costs nothing */
    assert_null(arena_alloc(&a, 1));
    arena_release(&a);
    assert_true(a.used == 0 && a.max == 1u << 20);
    assert_non_null(arena_alloc(&a, 1));
    arena_release(&a);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_grows),
        cmocka_unit_test(test_buf_ceiling),
        cmocka_unit_test(test_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
