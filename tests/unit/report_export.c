/* SPDX-License-Identifier: MIT
 * Exports read back to what was stored: CSV by RFC 4180, JSON lines by any parser. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/report_fixture.h"

static int into(void *ctx, const char *data, size_t len)
{
    return buf_append(ctx, data, len);
}

static int refuse(void *ctx, const char *data, size_t len)
{
    (void)data;
    (void)len;
    return --*(int *)ctx < 0;
}

static struct rf *run(void)
{
    struct rf *f = rf_new(1, 1);
    f->prompts[0].id = "p,\"0\"";
    rf_add(f, REC_PURPOSE_SEEDS, 0, 0, 0, UINT64_MAX, "a\"");
    rf_add(f, REC_PURPOSE_SEEDS, 0, 0, 0, 2, "");
    rf_add(f, REC_PURPOSE_SEEDS, 0, 0, 0, 3, NULL);
    rf_add(f, REC_PURPOSE_CONTROL_SEED, 0, 0, 1, 4, "\xFF,\n");
    f->outputs[1].computed = STORE_COMPUTED_COPY;
    for (int i = 0; i < 4; i++)
        f->outputs[i].bits = NULL;
    return f;
}

static struct buf export(struct rf *f, enum export_format format, enum export_rows rows)
{
    struct store *s;
    struct buf b;
    struct idem_err err = {0};
    buf_init(&b, 1 << 24);
    struct report *r = rf_report(f, &s);
    if (export_write(s, format, rows, into, &b, &err) != 0)
        fail_msg("%s", err.msg);
    report_close(r);
    store_close(s);
    return b;
}

static void csv_is_this(void **state)
{
    (void)state;
    static const char head[] = "trial,purpose,prompt,kind,setting,noise,host,seed,sample,repeat,computed,stop,"
                               "n_tokens,text,text_hex,logits_digest,base,perturbation,perturbation_seed";
    struct rf *f = run();
    struct buf b = export(f, EXPORT_CSV, EXPORT_TRIALS), want;
    buf_init(&want, 1 << 16);
    buf_addf(&want, "%s\r\n", head);
    buf_adds(&want, "0,seeds,\"p,\"\"0\"\"\",fact,s0,none,host,18446744073709551615,0,0,anew,length,2,\"a\"\"\",,,\"p,\"\"0\"\"\",,\r\n"
                    "1,seeds,\"p,\"\"0\"\"\",fact,s0,none,host,2,0,0,copy,length,0,\"\",,,\"p,\"\"0\"\"\",,\r\n"
                    "3,control:seed,\"p,\"\"0\"\"\",fact,s0,none,host,4,0,0,anew,length,3,\"\xEF\xBF\xBD,\n\",ff2c0a,,\"p,\"\"0\"\"\",,\r\n");
    assert_string_equal(b.data, want.data);
    buf_release(&b);
    buf_clear(&want);
    b = export(f, EXPORT_CSV, EXPORT_TOKENS);
    buf_addf(&want, "%s,position,id,token,token_hex,logprob,logprob_processed,entropy,margin,tail_mass\r\n", head);
    assert_memory_equal(b.data, want.data, want.len);
    assert_non_null(strstr(b.data, ",1,34,\"\"\"\",,-0.5,-0.125,2,1.5,0.00999999978\r\n"));
    assert_non_null(strstr(b.data, "copy,length,0,\"\",,,\"p,\"\"0\"\"\",,,,,,,,,,,\r\n"));
    assert_non_null(strstr(b.data, ",0,255,\xEF\xBF\xBD,ff,-0.25,"));
    /* every record has as many fields as the head: 19 + 9 */
    size_t fields = 1, records = 0;
    bool quoted = false;
    for (size_t i = 0; i < b.len; i++) {
        quoted ^= b.data[i] == '"';
        fields += !quoted && b.data[i] == ',';
        if (!quoted && b.data[i] == '\r') {
            assert_int_equal(fields, 28);
            fields = 1;
            records++;
        }
    }
    assert_int_equal(records, 1 + 2 + 1 + 3);
    buf_release(&b);
    buf_release(&want);
    rf_free(f);
}

static void json_lines_are_these(void **state)
{
    (void)state;
    struct rf *f = run();
    struct buf b = export(f, EXPORT_JSONL, EXPORT_TOKENS);
    static const uint64_t trials[] = {0, 1, 3};
    size_t n = 0;
    for (char *line = strtok(b.data, "\n"); line; line = strtok(NULL, "\n"), n++) {
        struct json_object *j = json_tokener_parse(line);
        assert_non_null(j);
        assert_int_equal(json_object_get_uint64(rf_at(j, "trial")), trials[n]);
        assert_string_equal(rf_str(j, "prompt"), "p,\"0\"");
        assert_int_equal(strlen(rf_str(j, "key")), 64);
        size_t len = f->outputs[trials[n]].len;
        assert_int_equal(json_object_array_length(rf_at(j, "tokens")), len);
        if (n == 0) {
            assert_true(json_object_get_uint64(rf_at(j, "seed")) == UINT64_MAX);
            assert_string_equal(rf_str(j, "text"), "a\"");
            assert_true((float)rf_num(j, "tokens.1.tail_mass") == 0.01f);
            assert_int_equal(json_object_array_length(rf_at(j, "tokens.1.top")), 2);
            assert_true((float)rf_num(j, "tokens.1.top.1.logprob") == -0.75f);
            assert_null(rf_at(j, "tokens.1.top.1.logprob_processed"));   /* removed: null */
        }
        if (n == 2) {
            assert_string_equal(rf_str(j, "tokens.0.text"), "\xEF\xBF\xBD");
            assert_int_equal(rf_num(j, "tokens.0.bytes.0"), 255);
            assert_int_equal(rf_num(j, "bytes.1"), ',');
        }
        json_object_put(j);
    }
    assert_int_equal(n, 3);
    buf_release(&b);
    rf_free(f);
}

static void a_sink_that_refuses_ends_it(void **state)
{
    (void)state;
    struct rf *f = run();
    struct store *s;
    struct report *r = rf_report(f, &s);
    for (int calls = 0; calls < 4; calls++) {
        int left = calls;
        struct idem_err err = {0};
        assert_int_equal(export_write(s, EXPORT_CSV, EXPORT_TOKENS, refuse, &left, &err), -1);
        assert_int_equal(err.code, IDEM_ERR_IO);
    }
    report_close(r);
    store_close(s);
    rf_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_is_this),
        cmocka_unit_test(json_lines_are_these),
        cmocka_unit_test(a_sink_that_refuses_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
