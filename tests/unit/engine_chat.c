/* SPDX-License-Identifier: MIT
 * Conversations come out as transformers renders the models' own templates
 * (tests/data/chat/cases.tsv, by tools/oracle_chat.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "engine/chat.h"

enum { MAX_MESSAGES = 8 };

static void check_case(const char *name, const char *messages, bool opening, const char *expected)
{
    char path[256];
    struct buf jinja;
    struct idem_err err = {0};
    struct idem_message msgs[MAX_MESSAGES];
    snprintf(path, sizeof path, "tests/data/templates/%s", name);
    buf_init(&jinja, 1 << 20);
    assert_int_equal(file_read(&jinja, path, &err), 0);
    const struct chat_family *f = chat_detect(jinja.data, jinja.len);
    assert_non_null(f);
    json_object *list = json_tokener_parse(messages), *want = json_tokener_parse(expected);
    size_t n = json_object_array_length(list);
    assert_true(n <= MAX_MESSAGES);
    for (size_t i = 0; i < n; i++) {
        json_object *m = json_object_array_get_idx(list, i);
        msgs[i].role = json_object_get_string(json_object_object_get(m, "role"));
        msgs[i].content = json_object_get_string(json_object_object_get(m, "content"));
    }
    char *text = NULL;
    int rc = chat_render(f, jinja.data, jinja.len, msgs, n, opening, &text, &err);
    if (!want) {
        if (rc != -1)
            fail_msg("%s %s: rendered, but the template raises an error", name, messages);
        assert_true(strlen(err.msg) > 20);
    } else {
        if (rc != 0)
            fail_msg("%s %s: %s", name, messages, err.msg);
        assert_string_equal(text, json_object_get_string(want));
    }
    free(text);
    json_object_put(list);
    json_object_put(want);
    buf_release(&jinja);
}

static void as_transformers_renders(void **state)
{
    (void)state;
    struct buf cases;
    struct idem_err err = {0};
    size_t n = 0;
    char *save = NULL;
    buf_init(&cases, 1 << 20);
    assert_int_equal(file_read(&cases, "tests/data/chat/cases.tsv", &err), 0);
    for (char *line = strtok_r(cases.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (line[0] == '#')
            continue;
        char *cell[4], *at = NULL;
        for (int i = 0; i < 4; i++)
            assert_non_null(cell[i] = strtok_r(i ? NULL : line, "\t", &at));
        check_case(cell[0], cell[1], strcmp(cell[2], "true") == 0, cell[3]);
        n++;
    }
    assert_true(n >= 60);
    buf_release(&cases);
}

static void gemma3_puts_the_system_before_the_user(void **state)
{
    (void)state;
    static const char jinja[] = "{{ '<start_of_turn>' + role }}";
    struct idem_message m[] = {{"system", "Be brief."}, {"user", " Hi "}};
    struct idem_err err = {0};
    char *text = NULL;
    const struct chat_family *f = chat_detect(jinja, sizeof jinja - 1);
    assert_int_equal(chat_render(f, jinja, sizeof jinja - 1, m, 2, true, &text, &err), 0);
    assert_string_equal(text, "<start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\n");
    free(text);
    assert_int_equal(chat_render(f, jinja, sizeof jinja - 1, m, 1, true, &text, &err), -1);
}

static void errors_say_how_to_go_on(void **state)
{
    (void)state;
    struct idem_message user = {"user", "x"}, odd = {"tool", "x"};
    struct idem_err err = {0};
    char *text = NULL;
    assert_null(chat_detect("{{ messages }}", 14));
    assert_null(chat_detect(NULL, 0));
    assert_int_equal(chat_render(NULL, NULL, 0, &user, 1, true, &text, &err), -1);
    assert_non_null(strstr(err.msg, "no chat template"));
    assert_non_null(strstr(err.msg, "--chat"));
    assert_int_equal(chat_render(NULL, "x", 1, &user, 1, true, &text, &err), -1);
    assert_non_null(strstr(err.msg, "family"));
    const struct chat_family *f = chat_detect("<|im_start|>", 12);
    assert_int_equal(chat_render(f, "", 0, &odd, 1, true, &text, &err), -1);
    assert_non_null(strstr(err.msg, "'tool'"));
    assert_int_equal(chat_render(f, "", 0, &user, 0, true, &text, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_transformers_renders),
        cmocka_unit_test(gemma3_puts_the_system_before_the_user),
        cmocka_unit_test(errors_say_how_to_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
