/* SPDX-License-Identifier: MIT
 * Names, addresses, digests and tokens of the hub, and the catalogue that is made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/catalogue.h"
#include "cli/hub.h"

static void names(void **state)
{
    static const struct {
        const char *text, *place, *url, *back;
    } rows[] = {
        {"hf:a/b/c.gguf", "a/b/c.gguf", "/a/b/resolve/main/c.gguf", "hf:a/b/c.gguf"},
        {"hf:a/b/c.gguf@main", "a/b/c.gguf", "/a/b/resolve/main/c.gguf", "hf:a/b/c.gguf"},
        {"hf:a/b", "a/b", "/a/b/resolve/main/", "hf:a/b"},
        {"hf:A-1/b_2.c/d/e f+g.gguf@v1.0", "A-1/b_2.c@v1.0/d/e f+g.gguf", "/A-1/b_2.c/resolve/v1.0/d/e%20f%2Bg.gguf",
         "hf:A-1/b_2.c/d/e f+g.gguf@v1.0"},
        {"hf:a/b/c@d.gguf@refs/pr/11", "a/b@refs--pr--11/c@d.gguf", "/a/b/resolve/refs%2Fpr%2F11/c%40d.gguf",
         "hf:a/b/c@d.gguf@refs/pr/11"},
        {"hf:a/b/\xC3\xA4?#%.gguf", "a/b/\xC3\xA4?#%.gguf", "/a/b/resolve/main/%C3%A4%3F%23%25.gguf",
         "hf:a/b/\xC3\xA4?#%.gguf"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct hub_ref r;
        struct idem_err err = {0};
        struct buf place, url, back;
        buf_init(&place, 4096);
        buf_init(&url, 4096);
        buf_init(&back, 4096);
        assert_int_equal(hub_parse(rows[i].text, &r, &err), 0);
        hub_place(&r, &place);
        hub_url("https://h", &r, &url);
        hub_text(&r, &back);
        assert_string_equal(place.data, rows[i].place);
        assert_string_equal(url.data + strlen("https://h"), rows[i].url);
        assert_string_equal(back.data, rows[i].back);
        buf_release(&place);
        buf_release(&url);
        buf_release(&back);
    }
}

/* None of these may become a path. */
static void bad_files(void **state)
{
    static const char *const files[] = {
        "", "/", ".", "..", "../x", "x/..", "x/../y", "/x", "x/", "x//y", ".x", "x/.y", "x\ny", "x\x7Fy", "x\\y", "\xFF",
        "x\xC0\xAFy", "\t",
    };
    struct hub_ref r = {.owner = "a", .repo = "b", .revision = "main"};
    char longest[HUB_FILE_MAX + 1];
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct idem_err err = {0};
        assert_int_equal(hub_set_file(&r, files[i], &err), -1);
        assert_int_equal(err.code, IDEM_ERR_FORMAT);
    }
    memset(longest, 'x', sizeof longest);
    longest[HUB_FILE_MAX] = '\0';
    assert_int_equal(hub_set_file(&r, longest, NULL), -1);
    longest[200] = '\0';
    assert_int_equal(hub_set_file(&r, longest, NULL), 0);
    assert_int_equal(hub_set_file(&r, "x/y..z/model-00001-of-00002.safetensors", NULL), 0);
}

static void digests(void **state)
{
    static const char a[] = "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef";
    char text[80];
    struct hub_facts f = {0};
    (void)state;
    hub_take_digest(&f, NULL);
    hub_take_digest(&f, "\"abc\"");
    hub_take_digest(&f, "");
    snprintf(text, sizeof text, "\"%.63sx\"", a);
    hub_take_digest(&f, text);
    snprintf(text, sizeof text, "\"%s-2\"", a);   /* a store's digest of pieces */
    hub_take_digest(&f, text);
    assert_true(!f.sha256[0] && !f.sha1[0]);
    snprintf(text, sizeof text, "\"%s\"", a);
    hub_take_digest(&f, text);
    assert_string_equal(f.sha256, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    assert_string_equal(f.sha1, "");
    snprintf(text, sizeof text, "W/\"%.40s\"", a);
    hub_take_digest(&f, text);
    assert_string_equal(f.sha1, "0123456789abcdef0123456789abcdef01234567");
}

static void facts(void **state)
{
    struct hub_facts f = {.source = "hf:a/b/c d.gguf@x", .sized = true, .bytes = 98362432, .etag = "\"e t\""}, g;
    struct idem_err err = {0};
    char path[] = "/tmp/idem-facts-XXXXXX";
    (void)state;
    memset(f.sha256, 'a', 64);
    memset(f.sha1, 'b', 40);
    memset(f.commit, 'c', 40);
    close(mkstemp(path));
    assert_int_equal(hub_facts_write(&f, path, &err), 0);
    assert_int_equal(hub_facts_read(&g, path), 0);
    assert_memory_equal(&f, &g, sizeof f);
    f = (struct hub_facts){.source = "hf:a/b/c"};
    assert_int_equal(hub_facts_write(&f, path, &err), 0);
    assert_int_equal(hub_facts_read(&g, path), 0);
    assert_memory_equal(&f, &g, sizeof f);
    static const char *const bad[] = {"", "\n", "source", "source a", "bytes 5\n", "source a\nbytes\n", "source a\nbytes 5x\n",
                                      "source a\nbytes 99999999999999999999\n", "source a\nsha256 12\n", "source a\nother b\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(file_write(path, bad[i], strlen(bad[i]), &err), 0);
        assert_int_equal(hub_facts_read(&g, path), -1);
        assert_true(!g.source[0] && !g.sized);
    }
    unlink(path);
    assert_int_equal(hub_facts_read(&g, path), -1);
}

static void endpoints(void **state)
{
    static const struct {
        const char *set, *want;   /* want NULL: refused */
        bool plain;
    } rows[] = {
        {NULL, "https://huggingface.co", false}, {"", "https://huggingface.co", false},
        {"https://m.example///", "https://m.example", false}, {"HTTPS://m.example/a", "HTTPS://m.example/a", false},
        {"http://127.0.0.1:80", "http://127.0.0.1:80", true}, {"m.example", NULL, false}, {"ftp://m.example", NULL, false},
        {"https://u@m.example", NULL, false}, {"https://m.example?a", NULL, false}, {"https://m.example#a", NULL, false},
        {"https://m .example", NULL, false}, {"https://m.example\n", NULL, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[HUB_ENDPOINT_MAX];
        bool plain;
        struct idem_err err = {0};
        rows[i].set ? setenv("HF_ENDPOINT", rows[i].set, 1) : unsetenv("HF_ENDPOINT");
        assert_int_equal(hub_endpoint(out, &plain, &err), rows[i].want ? 0 : -1);
        if (rows[i].want) {
            assert_string_equal(out, rows[i].want);
            assert_int_equal(plain, rows[i].plain);
        } else {
            assert_int_equal(err.code, IDEM_ERR_USAGE);
        }
    }
    unsetenv("HF_ENDPOINT");
}

/* Every row can be fetched as it stands, and no two rows share a name or a place. */
static void catalogue(void **state)
{
    char home[] = "/tmp/idem-catalogue-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(home));
    setenv("XDG_CACHE_HOME", home, 1);
    assert_true(catalogue_size() >= 30);
    for (size_t i = 0; i < catalogue_size(); i++) {
        const struct catalogue_model *m = catalogue_at(i);
        struct buf path, other;
        struct hub_ref r;
        assert_true(m->name && m->title && m->licence && strlen(m->name) <= 27 && strlen(m->licence) <= 18);
        assert_ptr_equal(catalogue_find(m->name), m);
        if (m->hub) {
            assert_int_equal(hub_parse(m->hub, &r, NULL), 0);
            size_t len = strlen(r.file);
            assert_true(len == 0 || (len > 5 && strcmp(r.file + len - 5, ".gguf") == 0));
            assert_int_equal(catalogue_is_checkpoint(m), len == 0);
            assert_true(m->n_parts == 0 && !m->file);
        } else {
            assert_true(m->n_parts > 0 && m->file && m->sha256 && strlen(m->sha256) == 64 && m->bytes && m->verified);
        }
        for (size_t k = 0; k < i; k++) {
            buf_init(&path, 4096);
            buf_init(&other, 4096);
            assert_int_equal(catalogue_path(m, &path, NULL), 0);
            assert_int_equal(catalogue_path(catalogue_at(k), &other, NULL), 0);
            assert_string_not_equal(path.data, other.data);
            buf_release(&path);
            buf_release(&other);
        }
    }
    static const char *const folders[] = {"/idem/models", "/idem", ""};
    for (size_t i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", home, folders[i]);
        assert_int_equal(rmdir(name), 0);   /* nothing else was made */
    }
    unsetenv("XDG_CACHE_HOME");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names), cmocka_unit_test(bad_files), cmocka_unit_test(digests), cmocka_unit_test(facts),
        cmocka_unit_test(endpoints), cmocka_unit_test(catalogue),
    };
    return cmocka_run_group_tests_name("cli_hub", tests, NULL, NULL);
}
