/* SPDX-License-Identifier: MIT
 * Conversations come out as transformers renders the models' own templates, and each part of the
 * template language as Jinja has it (tests/data/chat, by tools/oracle_chat.py). Hostile templates
 * give errors. */
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
#include "engine/jinja.h"

enum { MAX_MESSAGES = 8, MAX_VARS = 8, TEXT = 1 << 22 };

/* ---- fixtures --------------------------------------------------------------------------------- */

static struct jinja_var variable(const char *name, json_object *v)
{
    struct jinja_var x = {.name = name};
    int year, month, day;
    if (strcmp(name, "strftime_now") == 0) {
        assert_int_equal(sscanf(json_object_get_string(v), "%d-%d-%d", &year, &month, &day), 3);
        x.type = JINJA_VAR_DAY;
        x.i = year * 10000 + month * 100 + day;
    } else if (json_object_is_type(v, json_type_boolean)) {
        x.type = JINJA_VAR_BOOL;
        x.i = json_object_get_boolean(v);
    } else {
        x.type = JINJA_VAR_TEXT;
        x.text = json_object_get_string(v);
    }
    return x;
}

static size_t read_messages(json_object *list, struct idem_message *msgs)
{
    size_t n = json_object_array_length(list);
    assert_true(n <= MAX_MESSAGES);
    for (size_t i = 0; i < n; i++) {
        json_object *m = json_object_array_get_idx(list, i);
        msgs[i].role = json_object_get_string(json_object_object_get(m, "role"));
        msgs[i].content = json_object_get_string(json_object_object_get(m, "content"));
    }
    return n;
}

static void check_case(const char *where, const char *jinja, size_t len, const char *messages,
                       const char *variables, const char *expected)
{
    json_object *list = json_tokener_parse(messages), *vars = json_tokener_parse(variables);
    json_object *want = json_tokener_parse(expected);
    struct idem_message msgs[MAX_MESSAGES];
    struct jinja_var v[MAX_VARS + 2] = {{.name = "tools"}, {.name = "documents"}};
    size_t n = read_messages(list, msgs), n_vars = 2;
    assert_true(json_object_object_length(vars) <= MAX_VARS);
    json_object_object_foreach(vars, key, val)
        v[n_vars++] = variable(key, val);
    struct idem_err err = {0};
    struct buf out;
    buf_init(&out, TEXT);
    struct jinja *t = jinja_parse(jinja, len, &err);
    int rc = t ? jinja_render(t, msgs, n, v, n_vars, &out, &err) : -1;
    if (!want) {
        if (rc != -1)
            fail_msg("%s %s: rendered, but raises an error in transformers", where, messages);
        assert_true(strlen(err.msg) > 20);
    } else {
        if (rc != 0)
            fail_msg("%s %s %s: %s", where, messages, variables, err.msg);
        assert_int_equal(out.len, json_object_get_string_len(want));
        assert_string_equal(out.data ? out.data : "", json_object_get_string(want));
    }
    jinja_free(t);
    buf_release(&out);
    json_object_put(list);
    json_object_put(vars);
    json_object_put(want);
}

/* Calls check_case for each line of a table; the first cell is a file's name or, in JSON, a template. */
static size_t check_table(const char *path, bool files)
{
    struct buf cases, jinja;
    struct idem_err err = {0};
    char last[128] = "", *save = NULL;
    size_t n = 0;
    buf_init(&cases, TEXT);
    buf_init(&jinja, TEXT);
    assert_int_equal(file_read(&cases, path, &err), 0);
    for (char *line = strtok_r(cases.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *cell[4], *at = NULL, name[192];
        if (line[0] == '#')
            continue;
        for (int i = 0; i < 4; i++)
            assert_non_null(cell[i] = strtok_r(i ? NULL : line, "\t", &at));
        n++;
        if (!files) {
            json_object *text = json_tokener_parse(cell[0]);
            check_case(cell[0], json_object_get_string(text), (size_t)json_object_get_string_len(text), cell[1],
                       cell[2], cell[3]);
            json_object_put(text);
            continue;
        }
        if (strcmp(last, cell[0]) != 0) {
            buf_clear(&jinja);
            snprintf(last, sizeof last, "%s", cell[0]);
            snprintf(name, sizeof name, "tests/data/templates/%s", cell[0]);
            assert_int_equal(file_read(&jinja, name, &err), 0);
        }
        check_case(cell[0], jinja.data, jinja.len, cell[1], cell[2], cell[3]);
    }
    buf_release(&cases);
    buf_release(&jinja);
    return n;
}

static void published_templates(void **state)
{
    (void)state;
    assert_true(check_table("tests/data/chat/cases.tsv", true) >= 1000);
}

static void each_part_of_the_language(void **state)
{
    (void)state;
    assert_true(check_table("tests/data/chat/jinja.tsv", false) >= 70);
}

/* ---- errors ------------------------------------------------------------------------------------- */

static const struct idem_message hello = {"user", "Hello"};

static int render(const char *jinja, struct buf *out, struct idem_err *err)
{
    buf_init(out, TEXT);
    struct jinja *t = jinja_parse(jinja, strlen(jinja), err);
    int rc = t ? jinja_render(t, &hello, 1, NULL, 0, out, err) : -1;
    jinja_free(t);
    return rc;
}

static void errors_name_place_and_cause(void **state)
{
    (void)state;
    static const struct { const char *jinja; enum idem_err_code code; const char *words; } cases[] = {
        {"a\n  {% include 'x' %}", IDEM_ERR_UNSUPPORTED, "line 2, column 6: the statement 'include' is not supported"},
        {"{{ 1 | pprint }}", IDEM_ERR_UNSUPPORTED, "line 1, column 8: the filter 'pprint' is not supported"},
        {"{{ 'a'.swapcase() }}", IDEM_ERR_UNSUPPORTED, "the method 'swapcase' of text is not supported"},
        {"{{ 1.5 }}", IDEM_ERR_UNSUPPORTED, "fraction"},
        {"{{ 4 / 2 }}", IDEM_ERR_UNSUPPORTED, "the operator '/' is not supported"},
        {"{{ 2 ** 3 }}", IDEM_ERR_UNSUPPORTED, "'**'"},
        {"{{ messages }}", IDEM_ERR_UNSUPPORTED, "a list as text is not supported"},
        {"{{ strftime_now('%Y') }}", IDEM_ERR_UNSUPPORTED, "strftime_now=YYYY-MM-DD"},
        {"{{ lipsum() }}", IDEM_ERR_UNSUPPORTED, "lipsum"},
        {"{{ 'é' | upper }}", IDEM_ERR_UNSUPPORTED, "beyond ASCII"},
        {"{{ 'a' | safe ~ 'b' }}", IDEM_ERR_UNSUPPORTED, "safe"},
        {"{{ messages[0].items }}", IDEM_ERR_UNSUPPORTED, "'items' of a dict without a call"},
        {"{{ 99999999999999999999 }}", IDEM_ERR_UNSUPPORTED, "64 bits"},
        {"{{ 9223372036854775807 + 1 }}", IDEM_ERR_UNSUPPORTED, "64 bits"},
        {"{{ f(*messages) }}", IDEM_ERR_UNSUPPORTED, "'*' before an argument"},
        {"{% for x in messages recursive %}{% endfor %}", IDEM_ERR_UNSUPPORTED, "recursive"},
        {"{{ é }}", IDEM_ERR_FORMAT, "column 4"},
        {"ééé{{ nope.x }}", IDEM_ERR_FORMAT, "line 1, column 12: 'nope' is undefined, so it has no 'x'"},
        {"{{ raise_exception('one\ntwo') }}", IDEM_ERR_USAGE, "refuses this conversation: one?two"},
        {"{% if 1 %}x", IDEM_ERR_FORMAT, "expected elif, but the template ends here"},
        {"{{ 'x", IDEM_ERR_FORMAT, "no closing quote"},
        {"{{ 1 2 }}", IDEM_ERR_FORMAT, "expected }} before '2'"},
        {"{{ ] }}", IDEM_ERR_FORMAT, "closes nothing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct idem_err err = {0};
        struct buf out;
        assert_int_equal(render(cases[i].jinja, &out, &err), -1);
        if (err.code != cases[i].code || !strstr(err.msg, cases[i].words))
            fail_msg("%s: code %d, %s", cases[i].jinja, (int)err.code, err.msg);
        buf_release(&out);
    }
}

/* `n` times a text, with something before and behind. */
static char *repeated(const char *before, const char *what, size_t n, const char *behind)
{
    struct buf b;
    buf_init(&b, 1 << 24);
    buf_adds(&b, before);
    for (size_t i = 0; i < n; i++)
        buf_adds(&b, what);
    buf_adds(&b, behind);
    return buf_detach(&b);
}

/* Endless, deep, huge, broken: an error, and soon. */
static void hostile_templates(void **state)
{
    (void)state;
    static const struct { const char *before, *what, *behind; size_t n; enum idem_err_code code; } cases[] = {
        {"{{ ", "(", "1", 5000, IDEM_ERR_LIMIT},
        {"{{ ", "[", "1", 90000, IDEM_ERR_LIMIT},
        {"{{ ", "not ", "1 }}", 5000, IDEM_ERR_LIMIT},
        {"{{ ", "-", "1 }}", 5000, IDEM_ERR_LIMIT},
        {"{{ 1", "+1", " }}", 5000, IDEM_ERR_LIMIT},
        {"{{ x", ".x", " }}", 5000, IDEM_ERR_LIMIT},
        {"{{ x", "|trim", " }}", 5000, IDEM_ERR_LIMIT},
        {"{{ x", " is string", " }}", 2, IDEM_ERR_FORMAT},
        {"{{ 1", " if 1 else 1", " }}", 5000, IDEM_ERR_LIMIT},
        {"", "{% if 1 %}", "", 5000, IDEM_ERR_LIMIT},
        {"", "{% for x in messages %}", "", 5000, IDEM_ERR_LIMIT},
        {"{% macro m() %}{{ m() }}{% endmacro %}", "", "{{ m() }}", 0, IDEM_ERR_LIMIT},
        {"{% macro m(a) %}{{ m([a, a]) }}{% endmacro %}", "", "{{ m(1) }}", 0, IDEM_ERR_LIMIT},
        {"", "{% for x in range(99999) %}", "{% endfor %}{% endfor %}", 2, IDEM_ERR_LIMIT},
        {"{% for x in range(100001) %}", "", "{% endfor %}", 0, IDEM_ERR_LIMIT},
        {"{{ 'abcdefgh' * 900000000 }}", "", "", 0, IDEM_ERR_LIMIT},
        {"{{ [1] * 9000000000 }}", "", "", 0, IDEM_ERR_LIMIT},
        {"{% set x = 'aaaaaaaaaaaaaaaa' %}", "{% set x = x ~ x %}", "{{ x }}", 40, IDEM_ERR_LIMIT},
        {"{% set x = ['a'] %}", "{% set x = x + x %}", "", 40, IDEM_ERR_LIMIT},
        {"{% set x = 'aa' %}", "{% set x = x.replace('a', 'aaaaaaaa') %}", "", 40, IDEM_ERR_LIMIT},
        {"{% set x = namespace() %}{% set x.a = x %}", "", "{{ x | tojson }}", 0, IDEM_ERR_FORMAT},
        {"", "{{ '", "", 1, IDEM_ERR_FORMAT},
        {"", "{", "", 100000, IDEM_ERR_LIMIT},
        {"", "{# ", "", 100000, IDEM_ERR_FORMAT},
        {"", "{% raw %} ", "", 10, IDEM_ERR_FORMAT},
        {"", "x", "", 1 << 21, IDEM_ERR_LIMIT},
        {"a", "\xff", "b", 1, IDEM_ERR_FORMAT},
        {"{{ '", "\xe6\x97", "' }}", 1, IDEM_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *jinja = repeated(cases[i].before, cases[i].what, cases[i].n, cases[i].behind);
        struct idem_err err = {0};
        struct buf out;
        assert_non_null(jinja);
        if (render(jinja, &out, &err) != -1 || err.code != cases[i].code)
            fail_msg("%s%s... (%zu): code %d, %s", cases[i].before, cases[i].what, cases[i].n, (int)err.code, err.msg);
        buf_release(&out);
        free(jinja);
    }
    struct idem_err err = {0};
    assert_null(jinja_parse("a\0b", 3, &err));
    assert_non_null(strstr(err.msg, "byte 0x00 at offset 1"));
}

/* What is deep or long but sensible works. */
static void limits_leave_room(void **state)
{
    (void)state;
    char *sum = repeated("{{ 'a'", " + 'b'", 150, " }}"), *bodies = repeated("", "{% if 1 %}", 60, "x");
    char *nested = repeated(bodies, "{% endif %}", 60, ""), *content = repeated("", "long text. ", 300000, "");
    struct idem_message m = {"user", content};
    struct idem_err err = {0};
    struct buf out;
    assert_int_equal(render(sum, &out, &err), 0);
    assert_int_equal(out.len, 151);
    buf_release(&out);
    assert_int_equal(render(nested, &out, &err), 0);
    assert_string_equal(out.data, "x");
    buf_release(&out);
    static const char jinja[] = "{{ messages[0].content | trim }}{{ messages[0].content.split('. ')[-2] }}"
                                "{{ messages[0].content.replace('long', 'short') }}{{ 'x' in messages[0].content }}";
    struct jinja *t = jinja_parse(jinja, sizeof jinja - 1, &err);
    buf_init(&out, 1 << 26);
    if (jinja_render(t, &m, 1, NULL, 0, &out, &err) != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(out.len, 300000u * 11 - 1 + 9 + 300000u * 12 + 4);
    jinja_free(t);
    buf_release(&out);
    free(sum);
    free(bodies);
    free(nested);
    free(content);
}

/* ---- choosing a template -------------------------------------------------------------------------- */

static int chat(const char *jinja, const char *arch, const struct idem_chat_options *o, char **text,
                struct idem_err *err)
{
    *text = NULL;
    *err = (struct idem_err){0};
    return chat_render(NULL, jinja, jinja ? strlen(jinja) : 0, arch, &hello, 1, o, text, err);
}

static void templates_by_name(void **state)
{
    (void)state;
    static const struct { const char *name, *text; } cases[] = {
        {"alpaca", "Below is an instruction that describes a task. Write a response that appropriately completes "
                   "the request.\n\n### Instruction:\nHello\n\n### Response:"},
        {"phi2", "Instruct: Hello\nOutput:"},
        {"chatml", "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"},
        {"[{{ messages[0].content }}]", "[Hello]"},
    };
    struct idem_err err;
    char *text;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct idem_chat_options o = {.chat_template = cases[i].name, .add_generation_prompt = true};
        assert_int_equal(chat("the model's own", "llama", &o, &text, &err), 0);
        assert_string_equal(text, cases[i].text);
        free(text);
    }
    struct idem_chat_options o = {.chat_template = "nope"};
    assert_int_equal(chat("x", "llama", &o, &text, &err), -1);
    assert_non_null(strstr(err.msg, "alpaca, phi2, chatml, zephyr"));
    assert_int_equal(chat(NULL, "phi2", NULL, &text, &err), -1);
    assert_non_null(strstr(err.msg, "--chat-template phi2"));
    assert_int_equal(chat(NULL, "gpt2", NULL, &text, &err), -1);
    assert_non_null(strstr(err.msg, "--chat-template alpaca"));
    assert_int_equal(chat(NULL, "llama", NULL, &text, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "without --chat"));
    struct idem_message two[] = {{"system", "x"}, {"user", "y"}}, bad = {"user", "\xff"};
    o.chat_template = "phi2";
    assert_int_equal(chat_render(NULL, NULL, 0, "phi2", two, 2, &o, &text, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    assert_int_equal(chat_render(NULL, NULL, 0, "phi2", two, 0, &o, &text, &err), -1);
    assert_int_equal(chat_render(NULL, NULL, 0, "phi2", &bad, 1, &o, &text, &err), -1);
    assert_non_null(strstr(err.msg, "offset 0"));
    assert_string_equal(chat_kind("{{ messages }}", 14), "jinja");
    assert_null(chat_kind("{{ messages", 11));
}

static void variables_of_the_caller(void **state)
{
    (void)state;
    static const char jinja[] = "{{ a is true }}{{ b is false }}{{ c is none }}{{ d ~ '!' }}{{ strftime_now('%d %b %Y, %A') }}";
    struct idem_chat_var vars[] = {{"a", "true"}, {"b", "false"}, {"c", "none"}, {"d", "word"}, {"strftime_now", "2024-02-29"}};
    struct idem_chat_options o = {.vars = vars, .n_vars = 5};
    struct idem_err err;
    char *text;
    assert_int_equal(chat(jinja, "llama", &o, &text, &err), 0);
    assert_string_equal(text, "TrueTrueTrueword!29 Feb 2024, Thursday");
    free(text);
    static const struct idem_chat_var bad[] = {
        {"messages", "x"}, {"tools", "x"}, {"a b", "x"}, {"", "x"}, {"1", "x"}, {"a", "\xff"},
        {"strftime_now", "2023-02-29"}, {"strftime_now", "today"}, {"strftime_now", "2023-13-01"}, {"strftime_now", "1-1-1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        o.vars = &bad[i];
        o.n_vars = 1;
        assert_int_equal(chat(jinja, "llama", &o, &text, &err), -1);
        assert_int_equal(err.code, IDEM_ERR_USAGE);
    }
}

/* BOS comes from the template alone, or with a wrapper from the tokenizer's own custom. */
static void begins_with_bos_once(void **state)
{
    (void)state;
    static const struct { const char *vocab, *jinja; size_t n_bos; } cases[] = {
        {"llama-spm", "{{ bos_token }}[INST] {{ messages[0].content }} [/INST]", 1},
        {"llama-spm", "[INST] {{ messages[0].content }} [/INST]", 0},
        {"llama-spm", "alpaca", 1}, {"llama-spm", "zephyr", 0}, {"gpt-2", "alpaca", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct idem_err err = {0};
        struct idem_model_options vocab = {.vocab_only = true};
        struct idem_chat_options o = {.chat_template = cases[i].jinja, .add_generation_prompt = true};
        char path[128], *text = NULL;
        int32_t ids[128];
        size_t n = 0, n_bos = 0;
        snprintf(path, sizeof path, "tests/data/vocab/%s.gguf", cases[i].vocab);
        struct idem_model *m = idem_model_open(path, &vocab, &err);
        if (!m || idem_chat_render_with(m, &hello, 1, &o, &text, &err) != 0)
            fail_msg("%s: %s", path, err.msg);
        assert_int_equal(idem_tokenize(m, text, strlen(text), IDEM_TOK_PARSE_SPECIAL, ids, 128, &n, &err), 0);
        assert_true(n > 0 && n <= 128);
        for (size_t k = 0; k < n; k++)
            n_bos += ids[k] == idem_model_info(m)->bos;
        assert_int_equal(n_bos, cases[i].n_bos);
        assert_true(n_bos == 0 || ids[0] == idem_model_info(m)->bos);
        free(text);
        idem_model_close(m);
    }
}

static void check_ids(const struct idem_model *m, const char *name, const char *messages, const char *expected)
{
    json_object *list = json_tokener_parse(messages), *want = json_tokener_parse(expected);
    struct idem_message msgs[MAX_MESSAGES];
    struct idem_err err = {0};
    struct buf jinja;
    char path[192], *text = NULL;
    int32_t ids[1024];
    size_t n = 0;
    buf_init(&jinja, TEXT);
    snprintf(path, sizeof path, "tests/data/templates/%s", name);
    assert_int_equal(file_read(&jinja, path, &err), 0);
    struct idem_chat_options o = {.chat_template = jinja.data, .add_generation_prompt = true};
    if (idem_chat_render_with(m, msgs, read_messages(list, msgs), &o, &text, &err) != 0)
        fail_msg("%s %s: %s", name, messages, err.msg);
    assert_int_equal(idem_tokenize(m, text, strlen(text), IDEM_TOK_PARSE_SPECIAL, ids, 1024, &n, &err), 0);
    if (n != json_object_array_length(want))
        fail_msg("%s %s: %zu tokens, %zu in transformers", name, messages, n, json_object_array_length(want));
    for (size_t i = 0; i < n; i++)
        if (ids[i] != json_object_get_int(json_object_array_get_idx(want, i)))
            fail_msg("%s %s: token %zu is %d", name, messages, i, ids[i]);
    free(text);
    buf_release(&jinja);
    json_object_put(list);
    json_object_put(want);
}

/* The ids that transformers' apply_chat_template(tokenize=True) gives. */
static void token_ids(void **state)
{
    (void)state;
    struct buf cases;
    struct idem_err err = {0};
    struct idem_model_options vocab = {.vocab_only = true};
    struct idem_model *m = NULL;
    char last[64] = "", path[128], *save = NULL;
    size_t n = 0;
    buf_init(&cases, TEXT);
    assert_int_equal(file_read(&cases, "tests/data/chat/ids.tsv", &err), 0);
    for (char *line = strtok_r(cases.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *cell[4], *at = NULL;
        if (line[0] == '#')
            continue;
        for (int i = 0; i < 4; i++)
            assert_non_null(cell[i] = strtok_r(i ? NULL : line, "\t", &at));
        if (strcmp(last, cell[0]) != 0) {
            idem_model_close(m);
            snprintf(last, sizeof last, "%s", cell[0]);
            snprintf(path, sizeof path, "tests/data/vocab/%s.gguf", last);
            if ((m = idem_model_open(path, &vocab, &err)) == NULL)
                fail_msg("%s", err.msg);
        }
        check_ids(m, cell[1], cell[2], cell[3]);
        n++;
    }
    assert_true(n >= 60);
    idem_model_close(m);
    buf_release(&cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_templates),
        cmocka_unit_test(each_part_of_the_language),
        cmocka_unit_test(errors_name_place_and_cause),
        cmocka_unit_test(hostile_templates),
        cmocka_unit_test(limits_leave_room),
        cmocka_unit_test(templates_by_name),
        cmocka_unit_test(variables_of_the_caller),
        cmocka_unit_test(begins_with_bos_once),
        cmocka_unit_test(token_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
