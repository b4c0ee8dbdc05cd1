/* SPDX-License-Identifier: MIT
 * tests/data/malformed/expected.tsv, line by line: the error's code, place, byte and words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "gguf/gguf.h"

#define ROOT "tests/data/malformed"

struct row { char *name, *code, *where, *byte, *words; };

/* Cuts the next field off *line at a tab. */
static char *field(char **line)
{
    char *s = *line, *tab = strchr(s, '\t');
    if (tab)
        *tab = '\0';
    *line = tab ? tab + 1 : s + strlen(s);
    return s;
}

static enum idem_err_code code_of(const char *s)
{
    if (strcmp(s, "format") == 0)
        return IDEM_ERR_FORMAT;
    assert_string_equal(s, "unsupported");
    return IDEM_ERR_UNSUPPORTED;
}

static void check_message(const struct row *r, const char *path, const struct idem_err *err)
{
    char begin[512];
    snprintf(begin, sizeof begin, "%s: %s (byte %s): ", path, r->where, r->byte);
    if (strncmp(err->msg, begin, strlen(begin)) != 0 || !strstr(err->msg, r->words))
        fail_msg("%s: expected\n  %s…%s…\ngot\n  %s", r->name, begin, r->words, err->msg);
    for (const char *p = err->msg; *p; p++)
        assert_true((unsigned char)*p >= 0x20 && *p != 0x7F);
    assert_int_equal(err->code, code_of(r->code));
}

static void check_row(const struct row *r)
{
    char path[512];
    struct idem_err err = {0};
    struct file_map map;
    snprintf(path, sizeof path, ROOT "/%s.gguf", r->name);

    struct gguf *g = gguf_open(path, &err);
    if (strcmp(r->code, "ok") == 0) {
        if (!g)
            fail_msg("%s", err.msg);
    } else {
        assert_null(g);
        check_message(r, path, &err);
    }
    gguf_close(g);

    /* Again on a copy of exactly the file's size, where a sanitizer sees each step outside. */
    assert_int_equal(file_map(&map, path, &err), 0);
    uint8_t *copy = malloc(map.len ? map.len : 1);
    assert_non_null(copy);
    if (map.len)
        memcpy(copy, map.data, map.len);
    err = (struct idem_err){0};
    g = gguf_open_memory(copy, map.len, "memory", &err);
    if (strcmp(r->code, "ok") == 0) {
        assert_non_null(g);
    } else {
        assert_null(g);
        check_message(r, "memory", &err);
        assert_null(gguf_open_memory(copy, map.len, "memory", NULL));
    }
    gguf_close(g);
    free(copy);
    file_unmap(&map);
}

static void table(void **state)
{
    (void)state;
    struct buf b;
    struct idem_err err = {0};
    size_t n = 0;
    buf_init(&b, 1 << 20);
    if (file_read(&b, ROOT "/expected.tsv", &err) != 0)
        fail_msg("%s (run from the repository's root)", err.msg);
    for (char *line = b.data, *end; *line; line = end) {
        end = strchr(line, '\n');
        assert_non_null(end);
        *end++ = '\0';
        if (line[0] == '#')
            continue;
        struct row r;
        r.name = field(&line);
        r.code = field(&line);
        r.where = field(&line);
        r.byte = field(&line);
        r.words = field(&line);
        assert_true(r.words[0] != '\0');
        check_row(&r);
        n++;
    }
    assert_true(n >= 60);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
