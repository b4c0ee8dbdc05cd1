/* SPDX-License-Identifier: MIT
 * The GGUF writer: what it writes is what the reader reads; what goes wrong leaves no file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gguf/gguf_write.h"

static char folder[64], path[96];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/idem-gguf-write-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/out.gguf", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);      /* fails if anything was left behind */
}

static void expect_empty(void)
{
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        assert_true(e->d_name[0] == '.');
    closedir(d);
}

static void put_keys(struct gguf_writer *w)
{
    gguf_put_str(w, "general.architecture", "llama");
    gguf_put_u32(w, "u32", 7);
    gguf_put_i32(w, "i32", -7);
    gguf_put_f32(w, "f32", 0.1);
    gguf_put_bool(w, "yes", true);
    gguf_put_bool(w, "no", false);
    gguf_put_strn(w, "nul", "a\0b", 3);
    gguf_put_strs(w, "strs", (struct gguf_str[]){{"x", 1}, {"", 0}, {"\xC3\xA9", 2}}, 3);
    gguf_put_i32s(w, "i32s", (int32_t[]){1, -1}, 2);
    gguf_put_f32s(w, "f32s", (float[]){1.5f, -0.0f}, 2);
    gguf_put_u32(w, "u32", 8);                      /* keeps its place, changes type too */
    gguf_put_str(w, "yes", "changed");
}

static void check_keys(const struct gguf *g)
{
    uint32_t u = 0;
    float f = 0;
    bool b = true;
    struct gguf_str s;
    const struct gguf_kv *a;
    assert_int_equal(gguf_n_kv(g), 10);
    assert_int_equal(gguf_get_u32(g, "u32", true, &u, NULL), 0);
    assert_int_equal(u, 8);
    assert_ptr_equal(gguf_find(g, "u32"), gguf_kv_at(g, 1));
    assert_int_equal(gguf_find(g, "i32")->type, GGUF_I32);
    assert_int_equal(gguf_get_f32(g, "f32", true, &f, NULL), 0);
    assert_true(f == 0.1f);
    assert_int_equal(gguf_get_bool(g, "no", true, &b, NULL), 0);
    assert_false(b);
    assert_int_equal(gguf_get_str(g, "yes", true, &s, NULL), 0);
    assert_int_equal(s.len, 7);
    assert_int_equal(gguf_get_str(g, "nul", true, &s, NULL), 0);
    assert_int_equal(s.len, 3);
    assert_int_equal(gguf_get_array(g, "strs", GGUF_STRING, true, &a, NULL), 0);
    assert_int_equal(a->n, 3);
    assert_int_equal(gguf_get_array(g, "i32s", GGUF_I32, true, &a, NULL), 0);
    assert_memory_equal(a->data, "\1\0\0\0\xff\xff\xff\xff", 8);
    assert_int_equal(gguf_get_array(g, "f32s", GGUF_F32, true, &a, NULL), 0);
    assert_memory_equal(a->data, "\0\0\xc0\x3f\0\0\0\x80", 8);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct idem_err err = {0};
    uint8_t data[34 * 2 + 20];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    struct gguf_writer *w = gguf_writer_new(path);
    put_keys(w);
    assert_true(gguf_has(w, "u32"));
    assert_false(gguf_has(w, "absent"));
    assert_int_equal(gguf_put_tensor(w, "a.weight", QTYPE_Q8_0, 2, (uint64_t[]){32, 2}, &err), 0);
    assert_int_equal(gguf_put_tensor(w, "b.weight", QTYPE_F32, 1, (uint64_t[]){5}, &err), 0);
    assert_int_equal(gguf_writer_data_bytes(w), 96 + 32);
    assert_int_equal(gguf_writer_begin(w, &err), 0);
    assert_true(access(path, F_OK) != 0);            /* not under its name before the end */
    /* in pieces that do not fit the tensors */
    for (size_t at = 0; at < sizeof data; at += 7)
        assert_int_equal(gguf_write(w, data + at, sizeof data - at < 7 ? sizeof data - at : 7, &err), 0);
    assert_int_equal(gguf_writer_commit(w, &err), 0);
    gguf_writer_free(w);
    struct gguf *g = gguf_open(path, &err);
    assert_non_null(g);
    check_keys(g);
    assert_memory_equal(gguf_find_tensor(g, "a.weight")->data, data, 68);
    assert_memory_equal(gguf_find_tensor(g, "b.weight")->data, data + 68, 20);
    assert_int_equal(gguf_file_bytes(g) % 32, 0);
    gguf_close(g);
}

static void test_large_pieces(void **state)
{
    (void)state;
    enum { N = 5 << 20 };
    struct idem_err err = {0};
    uint8_t *data = malloc(N);
    assert_non_null(data);
    for (size_t i = 0; i < N; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    struct gguf_writer *w = gguf_writer_new(path);
    assert_int_equal(gguf_put_tensor(w, "t", QTYPE_F16, 2, (uint64_t[]){N / 4, 2}, &err), 0);
    assert_int_equal(gguf_writer_begin(w, &err), 0);
    assert_int_equal(gguf_write(w, data, 3, &err), 0);
    assert_int_equal(gguf_write(w, data + 3, N - 3, &err), 0);
    assert_int_equal(gguf_writer_commit(w, &err), 0);
    gguf_writer_free(w);
    struct gguf *g = gguf_open(path, &err);
    assert_non_null(g);
    assert_memory_equal(gguf_find_tensor(g, "t")->data, data, N);
    gguf_close(g);
    free(data);
}

static void test_refused(void **state)
{
    (void)state;
    struct idem_err err = {0};
    char longest[80];
    memset(longest, 'x', sizeof longest);
    longest[64] = '\0';
    const struct { const char *name; enum qtype type; uint32_t n_dims; uint64_t ne[4]; const char *word; } rows[] = {
        {"t", QTYPE_F32, 1, {4}, "two tensors"},
        {longest, QTYPE_F32, 1, {4}, "more than 63"},
        {"u", QTYPE_Q8_0, 1, {31}, "bad type or shape"},
        {"u", QTYPE_F32, 0, {1}, "bad type or shape"},
        {"u", QTYPE_F32, 5, {1, 1, 1, 1}, "bad type or shape"},
        {"u", QTYPE_F32, 2, {4, 0}, "empty or too large"},
        {"u", QTYPE_F32, 3, {1ull << 31, 1ull << 31, 4}, "empty or too large"},
    };
    struct gguf_writer *w = gguf_writer_new(path);
    assert_int_equal(gguf_put_tensor(w, "t", QTYPE_F32, 1, (uint64_t[]){4}, &err), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(gguf_put_tensor(w, rows[i].name, rows[i].type, rows[i].n_dims, rows[i].ne, &err), -1);
        assert_non_null(strstr(err.msg, rows[i].word));
    }
    gguf_writer_free(w);
    expect_empty();
}

static void test_incomplete(void **state)
{
    (void)state;
    struct idem_err err = {0};
    struct gguf_writer *w = gguf_writer_new(path);
    assert_int_equal(gguf_put_tensor(w, "t", QTYPE_F32, 1, (uint64_t[]){4}, &err), 0);
    assert_int_equal(gguf_writer_begin(w, &err), 0);
    assert_int_equal(gguf_write(w, "0123456789abcde", 15, &err), 0);
    assert_int_equal(gguf_writer_commit(w, &err), -1);
    assert_non_null(strstr(err.msg, "'t' is missing"));
    assert_int_equal(gguf_write(w, "fg", 2, &err), -1);
    assert_non_null(strstr(err.msg, "more data"));
    gguf_writer_free(w);
    expect_empty();
}

static void test_no_place(void **state)
{
    (void)state;
    struct idem_err err = {0};
    struct gguf_writer *w = gguf_writer_new("/tmp/no-such-folder-of-idem/x.gguf");
    assert_int_equal(gguf_writer_begin(w, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_IO);
    gguf_writer_free(w);
    w = gguf_writer_new(folder);
    assert_int_equal(gguf_writer_begin(w, &err), -1);
    assert_non_null(strstr(err.msg, "a folder"));
    gguf_writer_free(w);
    gguf_writer_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_incomplete, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_place, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
