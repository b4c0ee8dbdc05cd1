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
    if (strcmp(messages, "unknown") == 0) {
        if (f)
            fail_msg("%s was taken for %s", name, chat_name(f));
        buf_release(&jinja);
        return;
    }
    if (!f)
        fail_msg("%s is not recognised", name);
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
    assert_true(n >= 250);
    buf_release(&cases);
}

/* The default system message comes out of the template's own text, however it is written there. */
static void reads_the_default_system_message(void **state)
{
    (void)state;
#define LOOP "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
    static const struct { const char *jinja, *system; } cases[] = {
        {LOOP, NULL},
        {"{{ '<|im_start|>system\\nShort.<|im_end|>\\n' }}" LOOP, "Short."},
        {"{{ \"<|im_start|>system\\nIt's \\\"so\\\".\\nEnd.<|im_end|>\\n\" }}" LOOP, "It's \"so\".\nEnd."},
        {"{{ '<|im_start|>system\\nIt\\'s so.<|im_end|>' + '\\n' }}" LOOP, "It's so."},
        {"{% if x %}<|im_start|>system\nRaw text.<|im_end|>\n{% endif %}" LOOP, "Raw text."},
        {"{{ '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}" LOOP, NULL},
        {"{{ '<|im_start|>system\\nSame.<|im_end|>' }}{{ '<|im_start|>system\\nSame.<|im_end|>' }}" LOOP, "Same."},
        {"{{ '<|im_start|>system\\nOne.<|im_end|>' }}{{ '<|im_start|>system\\nTwo.<|im_end|>' }}" LOOP, "error"},
        {"{{ '<|im_start|>system\\n\\u00e9.<|im_end|>' }}" LOOP, "error"},
        {LOOP "{{ '<|im_start|>system\\nno end", "error"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct idem_message m = {"user", "Hi"};
        struct idem_err err = {0};
        char *text = NULL, want[256] = "";
        size_t len = strlen(cases[i].jinja);
        const struct chat_family *f = chat_detect(cases[i].jinja, len);
        assert_non_null(f);
        int rc = chat_render(f, cases[i].jinja, len, &m, 1, true, &text, &err);
        if (cases[i].system && strcmp(cases[i].system, "error") == 0) {
            assert_int_equal(rc, -1);
            assert_int_equal(err.code, IDEM_ERR_UNSUPPORTED);
            continue;
        }
        if (rc != 0)
            fail_msg("case %zu: %s", i, err.msg);
        if (cases[i].system)
            snprintf(want, sizeof want, "<|im_start|>system\n%s<|im_end|>\n", cases[i].system);
        strncat(want, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", sizeof want - strlen(want) - 1);
        assert_string_equal(text, want);
        free(text);
    }
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
    assert_non_null(strstr(err.msg, "chatml, gemma, llama3."));
    assert_null(chat_detect("<|im_start|>", 12));
    const struct chat_family *f = chat_detect(LOOP, sizeof LOOP - 1);
    assert_string_equal(chat_name(f), "chatml");
    assert_int_equal(chat_render(f, "", 0, &odd, 1, true, &text, &err), -1);
    assert_non_null(strstr(err.msg, "'tool'"));
    assert_int_equal(chat_render(f, "", 0, &user, 0, true, &text, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_transformers_renders),
        cmocka_unit_test(reads_the_default_system_message),
        cmocka_unit_test(errors_say_how_to_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
