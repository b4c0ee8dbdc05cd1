/* SPDX-License-Identifier: MIT
 * Lists of declared changes: what is read, and the error of each bad one. Every
 * tests/data/perturb/bad-*.txt says in its first line its kind and what its error must say. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "perturb/perturb.h"

#define DIR_PERTURB "tests/data/perturb/"

static enum perturb_list_kind kind_of(const char *word, size_t len)
{
    for (int i = 1; i < PERTURB_N_LISTS; i++)
        if (strlen(perturb_list_name((enum perturb_list_kind)i)) == len &&
            !memcmp(perturb_list_name((enum perturb_list_kind)i), word, len))
            return (enum perturb_list_kind)i;
    fail_msg("no list is called %.*s", (int)len, word);
    return PERTURB_LIST_NONE;
}

static void test_bad_lists(void **state)
{
    size_t n = 0, wrong = 0;
    DIR *d = opendir(DIR_PERTURB);
    (void)state;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[512], line[256] = "";
        struct idem_err err = {0};
        if (strncmp(e->d_name, "bad-", 4) != 0)
            continue;
        snprintf(path, sizeof path, DIR_PERTURB "%s", e->d_name);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        assert_non_null(fgets(line, sizeof line, f));
        fclose(f);
        line[strcspn(line, "\n")] = '\0';
        char *colon = strchr(line, ':');
        assert_true(line[0] == '#' && line[1] == ' ' && colon);
        struct perturb_list *l = perturb_list_read(kind_of(line + 2, (size_t)(colon - line) - 2), path, &err);
        n++;
        if (l || !strstr(err.msg, colon + 2)) {
            print_error("%s\n  expected: %s\n  got:      %s\n", e->d_name, colon + 2, l ? "no error" : err.msg);
            wrong++;
        }
        perturb_list_free(l);
    }
    closedir(d);
    assert_true(n >= 19);
    assert_int_equal(wrong, 0);
}

static void test_good_list(void **state)
{
    static const char text[] = "# comment\n\n  a-b =  A\\s{text}\\n\\|\\=\\#\\\\ \r\nplain={text}";
    struct idem_err err = {0};
    size_t n;
    (void)state;
    struct perturb_list *l = perturb_list_parse(PERTURB_LIST_FORMATS, "f", text, sizeof text - 1, &err);
    if (!l)
        fail_msg("%s", err.msg);
    const struct perturb_entry *e = perturb_list_entries(l, &n);
    assert_int_equal(n, 2);
    assert_int_equal(e[0].key.len, 3);
    assert_memory_equal(e[0].key.s, "a-b", 3);
    assert_int_equal(e[0].values[0].len, 13);
    assert_memory_equal(e[0].values[0].s, "A {text}\n|=#\\", 13);
    assert_memory_equal(e[1].values[0].s, "{text}", 6);
    perturb_list_free(l);
    assert_null(perturb_list_read(PERTURB_LIST_FORMATS, DIR_PERTURB "nowhere.txt", &err));
    assert_int_equal(err.code, IDEM_ERR_IO);
    perturb_list_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bad_lists), cmocka_unit_test(test_good_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
