/* SPDX-License-Identifier: MIT
 * What the reader says of well-formed files, of every prefix of one, and of every changed byte. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gguf_write.h"

/* One key of every type and a few tensors; its last byte belongs to the last tensor. */
static uint8_t *sample(uint32_t version, size_t *len)
{
    static const char *const words[] = {"", "two", "\xE2\x96\x81three"};
    struct gw w;
    gw_init(&w, version, 64);
    gw_raw(&w, "t.u8", GGUF_U8, "\xFE", 1);
    gw_raw(&w, "t.i8", GGUF_I8, "\xFE", 1);
    gw_raw(&w, "t.u16", GGUF_U16, "\x01\xFF", 2);
    gw_raw(&w, "t.i16", GGUF_I16, "\x01\x7F", 2);
    gw_u32(&w, "t.u32", 4000000000u);
    gw_raw(&w, "t.i32", GGUF_I32, "\xFF\xFF\xFF\xFF", 4);
    gw_u64(&w, "t.u64", 77);
    gw_u64(&w, "t.u64_large", (uint64_t)1 << 32);
    gw_raw(&w, "t.i64", GGUF_I64, "\x05\0\0\0\0\0\0\0", 8);
    gw_raw(&w, "t.i64_negative", GGUF_I64, "\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8);
    gw_f32(&w, "t.f32", 1.5f);
    gw_f32(&w, "t.f32_nan", NAN);
    gw_f32(&w, "t.f32_inf", -INFINITY);
    gw_raw(&w, "t.f64", GGUF_F64, "\0\0\0\0\0\0\xE0\xBF", 8);           /* -0.5 */
    gw_raw(&w, "t.f64_large", GGUF_F64, "\0\0\0\0\0\0\xF0\x7E", 8);
    gw_raw(&w, "t.f64_nan", GGUF_F64, "\0\0\0\0\0\0\xF8\x7F", 8);
    gw_bool(&w, "t.yes", true);
    gw_bool(&w, "t.no", false);
    gw_str(&w, "t.text", "some text");
    gw_str(&w, "t.empty", "");
    gw_strs(&w, "t.words", words, 3);
    gw_strs(&w, "t.no_words", NULL, 0);
    gw_i32s(&w, "t.ints", (const int32_t[]){-1, 2, 3}, 3);
    gw_f32s(&w, "t.floats", (const float[]){0.25f}, 1);
    gw_array(&w, "t.bools", GGUF_BOOL, 2);
    gw_put(&w.kv, "\0\1", 2);
    gw_u32(&w, "general.alignment", 64);
    gw_tensor(&w, "w.f32", QTYPE_F32, 2, (const uint64_t[]){3, 2}, (const float[]){1, 2, 3, 4, 5, 6});
    gw_tensor(&w, "w.q4_k", QTYPE_Q4_K, 3, (const uint64_t[]){256, 2, 1}, NULL);
    gw_tensor(&w, "a.scalar", QTYPE_I8, 0, NULL, "\x2A");
    gw_tensor(&w, "w.q8_0", QTYPE_Q8_0, 4, (const uint64_t[]){32, 1, 2, 1}, NULL);
    return gw_finish(&w, len);
}

struct fixture { uint8_t *bytes; size_t len; struct gguf *g; };

static int setup(void **state)
{
    static struct fixture f;
    struct idem_err err = {0};
    f.bytes = sample(3, &f.len);
    f.g = gguf_open_memory(f.bytes, f.len, "sample", &err);
    *state = &f;
    if (!f.g)
        print_error("%s\n", err.msg);
    return f.g ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gguf_close(f->g);
    free(f->bytes);
    return 0;
}

/* ---- values ------------------------------------------------------------------------------- */

static void lists(void **state)
{
    const struct fixture *f = *state;
    const struct gguf *g = f->g;
    assert_string_equal(gguf_path(g), "sample");
    assert_int_equal(gguf_version(g), 3);
    assert_int_equal(gguf_file_bytes(g), f->len);
    assert_int_equal(gguf_n_kv(g), 26);
    assert_int_equal(gguf_n_tensors(g), 4);
    assert_memory_equal(gguf_kv_at(g, 0)->key.data, "t.u8", 4);
    assert_int_equal(gguf_kv_at(g, 0)->offset, 24 + 8 + 4 + 4);
    assert_null(gguf_kv_at(g, 26));
    assert_null(gguf_tensor_at(g, 4));
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        char key[64];
        snprintf(key, sizeof key, "%.*s", (int)kv->key.len, kv->key.data);
        assert_ptr_equal(gguf_find(g, key), kv);
        assert_ptr_equal(kv->data, f->bytes + kv->offset);
    }
    static const char *const absent[] = {"", "t", "t.", "t.u3", "t.u320", "zzz", "general.alignmen"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        assert_null(gguf_find(g, absent[i]));
        assert_null(gguf_find_tensor(g, absent[i]));
    }
    assert_string_equal(gguf_type_name(GGUF_U8), "u8");
    assert_string_equal(gguf_type_name(GGUF_F64), "f64");
    assert_string_equal(gguf_type_name((enum gguf_type)13), "unknown");
}

static void tensors(void **state)
{
    const struct fixture *f = *state;
    static const struct { const char *name; enum qtype type; uint32_t n_dims; uint64_t ne[4], bytes; } want[] = {
        {"w.f32", QTYPE_F32, 2, {3, 2, 1, 1}, 24},
        {"w.q4_k", QTYPE_Q4_K, 3, {256, 2, 1, 1}, 288},
        {"a.scalar", QTYPE_I8, 0, {1, 1, 1, 1}, 1},
        {"w.q8_0", QTYPE_Q8_0, 4, {32, 1, 2, 1}, 68},
    };
    uint64_t end = 0;
    for (size_t i = 0; i < 4; i++) {
        const struct gguf_tensor *t = gguf_find_tensor(f->g, want[i].name);
        assert_ptr_equal(t, gguf_tensor_at(f->g, i));
        assert_int_equal(t->type, want[i].type);
        assert_int_equal(t->n_dims, want[i].n_dims);
        assert_memory_equal(t->ne, want[i].ne, sizeof t->ne);
        assert_int_equal(t->n_bytes, want[i].bytes);
        assert_int_equal(t->offset % 64, 0);
        assert_true(t->offset >= end);
        assert_ptr_equal(t->data, f->bytes + t->offset);
        end = t->offset + t->n_bytes;
        gguf_drop(f->g, t);                          /* not mapped: nothing happens */
    }
    assert_int_equal(end, f->len);
    float x[6];
    memcpy(x, gguf_find_tensor(f->g, "w.f32")->data, sizeof x);
    assert_true(x[0] == 1 && x[5] == 6);
    assert_int_equal(gguf_find_tensor(f->g, "a.scalar")->data[0], 42);
}

enum getter { GET_U32, GET_F32, GET_BOOL, GET_STR };

static void typed(void **state)
{
    const struct fixture *f = *state;
    /* words NULL: success with value, else they are in the error */
    static const struct { enum getter get; const char *key; double value; const char *words; } want[] = {
        {GET_U32, "t.u8", 254, NULL},
        {GET_U32, "t.u16", 0xFF01, NULL},
        {GET_U32, "t.i16", 0x7F01, NULL},
        {GET_U32, "t.u32", 4000000000.0, NULL},
        {GET_U32, "t.u64", 77, NULL},
        {GET_U32, "t.i64", 5, NULL},
        {GET_U32, "t.i8", 0, "-2 is out of range: 0 to 4294967295"},
        {GET_U32, "t.i32", 0, "-1 is out of range"},
        {GET_U32, "t.i64_negative", 0, "-2 is out of range"},
        {GET_U32, "t.u64_large", 0, "4294967296 is out of range"},
        {GET_U32, "t.f32", 0, "its type is f32, an integer is needed"},
        {GET_U32, "t.yes", 0, "its type is bool, an integer"},
        {GET_U32, "t.text", 0, "its type is string, an integer"},
        {GET_U32, "t.ints", 0, "its type is array of i32, an integer"},
        {GET_F32, "t.f32", 1.5, NULL},
        {GET_F32, "t.f64", -0.5, NULL},
        {GET_F32, "t.f32_nan", 0, "not a number; a finite number is needed"},
        {GET_F32, "t.f64_nan", 0, "not a number; a finite"},
        {GET_F32, "t.f32_inf", 0, "infinite or too large; a finite"},
        {GET_F32, "t.f64_large", 0, "infinite or too large; a finite"},
        {GET_F32, "t.u32", 0, "its type is u32, f32 is needed"},
        {GET_F32, "t.floats", 0, "array of f32, f32 is needed"},
        {GET_BOOL, "t.yes", 1, NULL},
        {GET_BOOL, "t.no", 0, NULL},
        {GET_BOOL, "t.u8", 0, "its type is u8, bool is needed"},
        {GET_STR, "t.text", 9, NULL},                   /* its length */
        {GET_STR, "t.empty", 0, NULL},
        {GET_STR, "t.words", 0, "array of string, string is needed"},
        {GET_STR, "t.u8", 0, "its type is u8, string is needed"},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct idem_err err = {0};
        uint32_t u = 12345;
        float x = 12345;
        bool yes = want[i].value == 0;                  /* the opposite, so that it must be set */
        struct gguf_str s = {NULL, 12345};
        int rc = -2;
        double got = 0;
        switch (want[i].get) {
        case GET_U32: rc = gguf_get_u32(f->g, want[i].key, i % 2, &u, &err); got = u; break;
        case GET_F32: rc = gguf_get_f32(f->g, want[i].key, i % 2, &x, &err); got = (double)x; break;
        case GET_BOOL: rc = gguf_get_bool(f->g, want[i].key, i % 2, &yes, &err); got = yes; break;
        case GET_STR: rc = gguf_get_str(f->g, want[i].key, i % 2, &s, &err); got = (double)s.len; break;
        }
        if (!want[i].words) {
            assert_int_equal(rc, 0);
            assert_true(got == want[i].value);
            continue;
        }
        char begin[128];
        snprintf(begin, sizeof begin, "sample: key '%s' (byte %llu): ", want[i].key,
                 (unsigned long long)gguf_find(f->g, want[i].key)->offset);
        assert_int_equal(rc, -1);
        assert_int_equal(err.code, IDEM_ERR_FORMAT);
        if (strncmp(err.msg, begin, strlen(begin)) != 0 || !strstr(err.msg, want[i].words))
            fail_msg("%s: %s", want[i].key, err.msg);
        assert_true(u == 12345 && x == 12345 && s.len == 12345);
    }
}

static void absent(void **state)
{
    const struct fixture *f = *state;
    struct idem_err err = {0};
    uint32_t u = 7;
    float x = 7;
    bool yes = true;
    struct gguf_str s = {"default", 7};
    const struct gguf_kv *kv = gguf_kv_at(f->g, 0);
    assert_int_equal(gguf_get_u32(f->g, "x.y", false, &u, &err), 0);
    assert_int_equal(gguf_get_f32(f->g, "x.y", false, &x, &err), 0);
    assert_int_equal(gguf_get_bool(f->g, "x.y", false, &yes, &err), 0);
    assert_int_equal(gguf_get_str(f->g, "x.y", false, &s, &err), 0);
    assert_int_equal(gguf_get_array(f->g, "x.y", GGUF_I32, false, &kv, &err), 0);
    assert_null(kv);
    assert_true(u == 7 && x == 7 && yes && s.len == 7 && err.code == IDEM_OK);
    static const char want[] = "sample: key 'x.y': the key is missing";
    assert_int_equal(gguf_get_u32(f->g, "x.y", true, &u, &err), -1);
    assert_memory_equal(err.msg, want, sizeof want - 1);
    assert_int_equal(gguf_get_f32(f->g, "x.y", true, &x, NULL), -1);
    assert_int_equal(gguf_get_bool(f->g, "x.y", true, &yes, NULL), -1);
    assert_int_equal(gguf_get_str(f->g, "x.y", true, &s, NULL), -1);
    assert_int_equal(gguf_get_array(f->g, "x.y", GGUF_I32, true, &kv, NULL), -1);
    assert_true(u == 7 && x == 7 && yes && s.len == 7);
}

static void arrays(void **state)
{
    const struct fixture *f = *state;
    struct idem_err err = {0};
    const struct gguf_kv *kv;
    assert_int_equal(gguf_get_array(f->g, "t.words", GGUF_STRING, true, &kv, &err), 0);
    assert_int_equal(kv->n, 3);
    static const char *const words[] = {"", "two", "\xE2\x96\x81three"};
    const uint8_t *at = kv->data;
    for (size_t i = 0; i < 3; i++) {
        struct gguf_str s = gguf_next_str(&at);
        assert_int_equal(s.len, strlen(words[i]));
        assert_memory_equal(s.data, words[i], s.len);
    }
    assert_ptr_equal(at, kv->data + kv->data_bytes);
    assert_int_equal(gguf_get_array(f->g, "t.no_words", GGUF_STRING, true, &kv, &err), 0);
    assert_true(kv->n == 0 && kv->data_bytes == 0);
    assert_int_equal(gguf_get_array(f->g, "t.bools", GGUF_BOOL, true, &kv, &err), 0);
    assert_true(kv->n == 2 && kv->data[1] == 1);
    assert_int_equal(gguf_get_array(f->g, "t.ints", GGUF_U32, false, &kv, &err), -1);
    assert_null(kv);
    assert_non_null(strstr(err.msg, "its type is array of i32, array of u32 is needed"));
    assert_int_equal(gguf_get_array(f->g, "t.u8", GGUF_U8, false, &kv, &err), -1);
    assert_non_null(strstr(err.msg, "its type is u8, array of u8 is needed"));
}

static void messages(void **state)
{
    const struct fixture *f = *state;
    struct idem_err err = {0};
    const struct gguf_tensor *t = gguf_find_tensor(f->g, "w.q8_0");
    char want[128];
    assert_int_equal(gguf_err_tensor(f->g, t, &err, "%d is %s", 3, "wrong"), -1);
    snprintf(want, sizeof want, "sample: tensor 'w.q8_0' (byte %llu): 3 is wrong",
             (unsigned long long)t->info_offset);
    assert_string_equal(err.msg, want);
    assert_int_equal(gguf_err_key(f->g, "t.u8", &err, "%d is %s", 3, "wrong"), -1);
    assert_string_equal(err.msg, "sample: key 't.u8' (byte 40): 3 is wrong");
    assert_int_equal(gguf_err_key(f->g, "no\n\xFF", &err, "absent"), -1);
    assert_string_equal(err.msg, "sample: key 'no\\x0a\\xff': absent");
}

/* ---- damage ------------------------------------------------------------------------------- */

/* Opens exactly len bytes on the heap, so that a sanitizer sees each step outside. */
static struct gguf *open_copy(const uint8_t *bytes, size_t len, uint8_t **copy, struct idem_err *err)
{
    *copy = malloc(len ? len : 1);
    assert_non_null(*copy);
    memcpy(*copy, bytes, len);
    return gguf_open_memory(*copy, len, "damaged", err);
}

static void check_error(const struct idem_err *err, size_t len)
{
    unsigned long long byte;
    const char *p = strstr(err->msg, " (byte ");
    assert_memory_equal(err->msg, "damaged: ", 9);
    assert_true(err->code == IDEM_ERR_FORMAT || err->code == IDEM_ERR_UNSUPPORTED);
    assert_non_null(p);
    assert_int_equal(sscanf(p, " (byte %llu)", &byte), 1);
    assert_true(byte <= len);
    for (p = err->msg; *p; p++)
        assert_true((unsigned char)*p >= 0x20 && *p != 0x7F);
    const char *at = err->msg + 9;
    if (strncmp(at, "key ", 4) != 0 && strncmp(at, "tensor ", 7) != 0 &&
        strncmp(at, "header ", 7) != 0)
        fail_msg("names nothing: %s", err->msg);
}

static void truncated_everywhere(void **state)
{
    const struct fixture *f = *state;
    size_t n_kv = 0, n_tensor = 0;
    for (size_t len = 0; len < f->len; len++) {
        struct idem_err err = {0};
        uint8_t *copy;
        struct gguf *g = open_copy(f->bytes, len, &copy, &err);
        if (g)
            fail_msg("%zu of %zu bytes were accepted", len, f->len);
        check_error(&err, len);
        n_kv += strncmp(err.msg, "damaged: key ", 13) == 0;
        n_tensor += strncmp(err.msg, "damaged: tensor ", 16) == 0;
        free(copy);
    }
    /* Nearly every cut falls into a key or a tensor; the rest into the header and its counts. */
    assert_true(n_kv > 300 && n_tensor > 500);
}

/* Everything a user of an accepted file may touch. */
static void walk(const struct gguf *g)
{
    volatile uint8_t sink = 0;
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        for (uint64_t k = 0; k < kv->data_bytes; k++)
            sink = (uint8_t)(sink ^ kv->data[k]);
        const uint8_t *at = kv->data;
        if (kv->elem_type != GGUF_STRING)
            continue;
        for (uint64_t k = 0; k < kv->n; k++) {
            struct gguf_str s = gguf_next_str(&at);
            if (s.len)
                sink = (uint8_t)(sink ^ (uint8_t)s.data[s.len - 1]);
        }
        assert_ptr_equal(at, kv->data + kv->data_bytes);
    }
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        for (uint64_t k = 0; k < t->n_bytes; k++)
            sink = (uint8_t)(sink ^ t->data[k]);
    }
}

static void every_byte_changed(void **state)
{
    const struct fixture *f = *state;
    uint8_t *bytes = malloc(f->len);
    assert_non_null(bytes);
    size_t n_bad = 0, n_good = 0;
    for (size_t i = 0; i < f->len; i++) {
        const uint8_t old = f->bytes[i];
        const uint8_t now[] = {0, 0xFF, (uint8_t)(old ^ 0x80), (uint8_t)(old + 1), (uint8_t)(old - 1)};
        for (size_t k = 0; k < sizeof now; k++) {
            struct idem_err err = {0};
            uint8_t *copy;
            memcpy(bytes, f->bytes, f->len);
            bytes[i] = now[k];
            struct gguf *g = open_copy(bytes, f->len, &copy, &err);
            if (g)
                walk(g);
            else
                check_error(&err, f->len);
            n_bad += !g;
            n_good += g != NULL;
            gguf_close(g);
            free(copy);
        }
    }
    assert_true(n_bad > 1000 && n_good > 1000);
    free(bytes);
}

/* ---- size ----------------------------------------------------------------------------------- */

static void many_tensors(void **state)
{
    (void)state;
    enum { N = 20000 };
    for (int twice = 0; twice < 2; twice++) {
        struct idem_err err = {0};
        struct gw w;
        char name[32];
        gw_init(&w, 2, 32);
        for (int i = 0; i < N; i++) {
            snprintf(name, sizeof name, "blk.%d.weight", twice && i == N - 1 ? 123 : i);
            gw_tensor(&w, name, QTYPE_F32, 1, (const uint64_t[]){2}, NULL);
        }
        size_t len;
        uint8_t *bytes = gw_finish(&w, &len);
        struct gguf *g = gguf_open_memory(bytes, len, "many", &err);
        if (twice) {
            assert_null(g);
            assert_memory_equal(err.msg, "many: tensor 'blk.123.weight' (byte ", 36);
            assert_non_null(strstr(err.msg, "the name occurs twice"));
        } else {
            assert_non_null(g);
            assert_ptr_equal(gguf_find_tensor(g, "blk.123.weight"), gguf_tensor_at(g, 123));
            assert_ptr_equal(gguf_find_tensor(g, "blk.19999.weight"), gguf_tensor_at(g, N - 1));
        }
        gguf_close(g);
        free(bytes);
    }
}

/* A count that the bytes left could hold is tried, one more is refused before any allocation. */
static void counts_at_their_bound(void **state)
{
    (void)state;
    static const struct { uint64_t n_kv; const char *words; } want[] = {
        {10, "key 1 of 10 (byte 24): its name is empty"},
        {11, "11 keys are announced, but the 140 bytes left hold 10 at most"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct idem_err err = {0};
        struct gw w;
        size_t len;
        gw_init(&w, 3, 0);
        w.n_kv = want[i].n_kv;
        gw_put(&w.kv, NULL, 140);
        uint8_t *bytes = gw_finish(&w, &len);
        assert_null(gguf_open_memory(bytes, len, "bound", &err));
        assert_non_null(strstr(err.msg, want[i].words));
        free(bytes);
    }
}

static void long_key(void **state)
{
    (void)state;
    for (size_t n = 65535; n <= 65536; n++) {
        struct idem_err err = {0};
        struct gw w;
        size_t len;
        char *key = malloc(n + 1);
        assert_non_null(key);
        memset(key, 'k', n);
        key[n] = '\0';
        gw_init(&w, 3, 32);
        gw_u32(&w, key, 1);
        uint8_t *bytes = gw_finish(&w, &len);
        struct gguf *g = gguf_open_memory(bytes, len, "long", &err);
        if (n == 65535) {
            assert_non_null(g);
            assert_non_null(gguf_find(g, key));
        } else {
            assert_null(g);
            assert_non_null(strstr(err.msg, "k…' (byte 24): its name has 65536 bytes; 65535 are allowed"));
        }
        gguf_close(g);
        free(bytes);
        free(key);
    }
}

static void version_2(void **state)
{
    (void)state;
    struct idem_err err = {0};
    size_t len;
    uint8_t *bytes = sample(2, &len);
    struct gguf *g = gguf_open_memory(bytes, len, "two", &err);
    assert_non_null(g);
    assert_int_equal(gguf_version(g), 2);
    assert_int_equal(gguf_n_kv(g), 26);
    gguf_close(g);
    free(bytes);
}

static void not_a_file(void **state)
{
    (void)state;
    static const struct { const char *path, *words; } want[] = {
        {"tests/data/malformed/there_is_no_such.gguf", "No such file"},
        {"tests/data/malformed", "a folder, not a file"},
        {"/dev/null", "not a regular file"},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct idem_err err = {0};
        assert_null(gguf_open(want[i].path, &err));
        assert_int_equal(err.code, IDEM_ERR_IO);
        assert_non_null(strstr(err.msg, want[i].path));
        assert_non_null(strstr(err.msg, want[i].words));
    }
    gguf_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists), cmocka_unit_test(tensors), cmocka_unit_test(typed),
        cmocka_unit_test(absent), cmocka_unit_test(arrays), cmocka_unit_test(messages),
        cmocka_unit_test(truncated_everywhere), cmocka_unit_test(every_byte_changed),
        cmocka_unit_test(many_tensors), cmocka_unit_test(counts_at_their_bound),
        cmocka_unit_test(long_key), cmocka_unit_test(version_2), cmocka_unit_test(not_a_file),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
