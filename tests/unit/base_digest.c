/* SPDX-License-Identifier: MIT
 * base/digest: published SHA-256 and XXH3 answers, pieces, and unambiguous fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"

/* FIPS 180-2, appendix B, and the empty message. */
static void test_known(void **state)
{
    (void)state;
    static const struct { const char *text, *hex; } t[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        char hex[DIGEST_HEX];
        size_t len = strlen(t[i].text);
        digest_sha256(t[i].text, len, hex);
        assert_string_equal(hex, t[i].hex);
        for (size_t cut = 0; cut <= len; cut++) {
            struct digest d = {0};
            assert_int_equal(digest_init(&d), 0);
            digest_update(&d, t[i].text, cut);
            digest_update(&d, t[i].text + cut, len - cut);
            digest_final(&d, hex);
            assert_string_equal(hex, t[i].hex);
            digest_release(&d);   /* idempotent */
        }
    }
    char blob[41];   /* git hash-object --stdin */
    digest_git_blob("", 0, blob);
    assert_string_equal(blob, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    digest_git_blob("hello\n", 6, blob);
    assert_string_equal(blob, "ce013625030ba8dba906f756967f9e9ca394464a");
    assert_true(digest_hash64("", 0) == 0x2D06800538D394C2u);   /* XXH3_64bits of nothing */
    assert_true(digest_hash64("a", 1) != digest_hash64("b", 1));
}

static void test_fields(void **state)
{
    (void)state;
    /* fields are their little-endian bytes */
    static const unsigned char bytes[] = {8, 7, 6, 5, 4, 3, 2, 1, 2, 0, 0, 0, 0, 0, 0, 0, 'h', 'i',
                                          0, 0, 0x80, 0x3F, 0, 0, 0, 0x80};
    const float f[] = {1.0f, -0.0f};
    char want[DIGEST_HEX], got[DIGEST_HEX];
    digest_sha256(bytes, sizeof bytes, want);
    struct digest d = {0};
    assert_int_equal(digest_init(&d), 0);
    digest_u64(&d, 0x0102030405060708u);
    digest_str(&d, "hi", 2);
    digest_f32s(&d, f, 2);
    digest_final(&d, got);
    assert_string_equal(got, want);
    /* "a" "bc" is not "ab" "c" */
    char x[2][DIGEST_HEX];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(digest_init(&d), 0);
        digest_str(&d, "abc", i ? 1 : 2);
        digest_str(&d, &"abc"[i ? 1 : 2], i ? 2 : 1);
        digest_final(&d, x[i]);
    }
    assert_string_not_equal(x[0], x[1]);
    assert_int_equal(digest_init(&d), 0);
    digest_release(&d);
    digest_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known), cmocka_unit_test(test_fields)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
