/* SPDX-License-Identifier: MIT
 * base/file: maps, whole reads, atomic writes, folders; every refusal names the path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

static char dir[] = "/tmp/idem-file-XXXXXX";
static char path_buf[4][256];

static const char *in_dir(int slot, const char *name)
{
    (void)snprintf(path_buf[slot], sizeof path_buf[slot], "%s/%s", dir, name);
    return path_buf[slot];
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "empty", "d/e/f", "d/e", "d", "c/idem", "c"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)remove(in_dir(0, names[i]));
    return rmdir(dir);   /* fails if a temporary file was left behind */
}

static void test_write_read_map(void **state)
{
    (void)state;
    struct idem_err err = {0};
    const char *a = in_dir(0, "a");
    static char data[200000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7 % 251);
    assert_int_equal(file_write(a, "old", 3, &err), 0);
    assert_int_equal(file_write(a, data, sizeof data, &err), 0);
    struct buf b;
    buf_init(&b, sizeof data + 1);
    buf_adds(&b, "x");
    assert_int_equal(file_read(&b, a, &err), 0);   /* appends */
    assert_int_equal(b.len, sizeof data + 1);
    assert_memory_equal(b.data + 1, data, sizeof data);
    buf_release(&b);
    buf_init(&b, sizeof data - 1);
    assert_int_equal(file_read(&b, a, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_LIMIT);
    assert_non_null(strstr(err.msg, a));
    assert_non_null(strstr(err.msg, "199999"));
    buf_release(&b);
    struct file_map m;
    assert_int_equal(file_map(&m, a, &err), 0);
    assert_int_equal(m.len, sizeof data);
    file_map_drop(&m, 5000, 100000);               /* the content stays readable */
    file_map_drop(&m, 0, SIZE_MAX);
    file_map_drop(&m, SIZE_MAX, 1);
    assert_memory_equal(m.data, data, sizeof data);
    file_unmap(&m);
    assert_true(m.data == NULL && m.len == 0);
    file_unmap(&m);
    const char *e = in_dir(1, "empty");
    assert_int_equal(file_write(e, NULL, 0, &err), 0);
    assert_int_equal(file_map(&m, e, &err), 0);
    assert_true(m.data == NULL && m.len == 0);
    file_map_drop(&m, 0, 1);
    struct stat st;
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(stat(e, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666 & ~mask);
}

static void test_refusals(void **state)
{
    (void)state;
    const char *no = in_dir(0, "missing"), *inside = in_dir(1, "missing/file");
    struct file_map m;
    struct buf b;
    buf_init(&b, 100);
    for (int i = 0; i < 6; i++) {
        struct idem_err err = {0};
        const char *path = i == 3 ? inside : i == 1 || i == 4 ? dir : i == 5 ? "/dev/null" : no;
        int rc = i == 0 || i == 1 || i == 5 ? file_map(&m, path, &err)
                 : i == 3                   ? file_write(path, "x", 1, &err)
                                            : file_read(&b, path, &err);
        assert_int_equal(rc, -1);
        assert_int_equal(err.code, IDEM_ERR_IO);
        if (!strstr(err.msg, path))
            fail_msg("'%s' does not name %s", err.msg, path);
    }
    struct idem_err err = {0};
    assert_int_equal(file_map(&m, dir, &err), -1);
    assert_non_null(strstr(err.msg, "folder"));
    assert_int_equal(file_write(dir, "x", 1, &err), -1);   /* and no temporary file stays */
    buf_release(&b);
}

static void test_folders(void **state)
{
    (void)state;
    struct idem_err err = {0};
    const char *deep = in_dir(0, "d/e/f"), *slash = in_dir(1, "d//e/");
    struct stat st;
    assert_int_equal(file_mkdirs(deep, &err), 0);
    assert_true(stat(deep, &st) == 0 && S_ISDIR(st.st_mode));
    assert_int_equal(file_mkdirs(deep, &err), 0);
    assert_int_equal(file_mkdirs(slash, &err), 0);
    assert_int_equal(file_mkdirs("/", &err), 0);
    assert_int_equal(file_mkdirs("", &err), -1);
    const char *a = in_dir(2, "a"), *under = in_dir(3, "a/b");
    assert_int_equal(file_write(a, "x", 1, &err), 0);
    err = (struct idem_err){0};
    assert_int_equal(file_mkdirs(a, &err), -1);
    assert_non_null(strstr(err.msg, a));
    assert_int_equal(file_mkdirs(under, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_IO);
}

static void test_cache_dir(void **state)
{
    (void)state;
    struct idem_err err = {0};
    struct buf b;
    buf_init(&b, 1000);
    const char *c = in_dir(0, "c");
    assert_int_equal(setenv("XDG_CACHE_HOME", c, 1), 0);
    assert_int_equal(file_cache_dir(&b, &err), 0);
    assert_string_equal(b.data, in_dir(1, "c/idem"));
    struct stat st;
    assert_true(stat(b.data, &st) == 0 && S_ISDIR(st.st_mode));
    buf_clear(&b);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_int_equal(file_cache_dir(&b, &err), -1);
    assert_non_null(strstr(err.msg, "HOME"));
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_read_map),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_cache_dir),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
