/* SPDX-License-Identifier: MIT
 * The thread pool calls each item once, however many threads and items there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/pool.h"

enum { MAX_ITEMS = 300 };

struct job {
    _Atomic unsigned n_calls[MAX_ITEMS];
    _Atomic unsigned inside[POOL_MAX_THREADS];   /* calls running with this thread number */
    _Atomic unsigned n_bad;
    unsigned n_threads;
    unsigned plain[MAX_ITEMS];                   /* written without locks: for the sanitizer */
};

static void item(void *arg, size_t i, unsigned thread)
{
    struct job *j = arg;
    if (i >= MAX_ITEMS || thread >= j->n_threads || atomic_fetch_add(&j->inside[thread], 1) != 0)
        atomic_fetch_add(&j->n_bad, 1);
    atomic_fetch_add(&j->n_calls[i], 1);
    j->plain[i]++;
    atomic_fetch_sub(&j->inside[thread], 1);
}

static void every_item_once(void **state)
{
    (void)state;
    static const unsigned threads[] = {1, 2, 3, 4, 9};
    static const size_t items[] = {0, 1, 2, 3, 7, 64, MAX_ITEMS};
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        struct idem_err err = {0};
        struct pool *p = pool_open(threads[t], &err);
        assert_non_null(p);
        assert_int_equal(pool_n_threads(p), threads[t]);
        struct job *j = calloc(1, sizeof *j);
        assert_non_null(j);
        j->n_threads = threads[t];
        unsigned want[MAX_ITEMS] = {0};
        for (unsigned round = 0; round < 700; round++) {
            size_t n = items[round % (sizeof items / sizeof items[0])];
            if (round % 100 == 99)
                usleep(2000);                    /* long enough for the workers to sleep */
            pool_run(p, item, j, n);
            for (size_t i = 0; i < n; i++)
                want[i]++;
        }
        for (size_t i = 0; i < MAX_ITEMS; i++) {
            assert_int_equal(atomic_load(&j->n_calls[i]), want[i]);
            assert_int_equal(j->plain[i], want[i]);
        }
        assert_int_equal(atomic_load(&j->n_bad), 0);
        free(j);
        pool_close(p);
    }
}

static void opens_and_closes(void **state)
{
    (void)state;
    struct idem_err err = {0};
    for (unsigned i = 0; i < 50; i++) {
        struct pool *p = pool_open(i % 5, &err);   /* 0: as many as there are processors */
        assert_non_null(p);
        assert_true(pool_n_threads(p) >= 1);
        pool_close(p);
    }
    pool_close(NULL);
    assert_null(pool_open(POOL_MAX_THREADS + 1, &err));
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    assert_non_null(strstr(err.msg, "1025"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_once),
        cmocka_unit_test(opens_and_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
