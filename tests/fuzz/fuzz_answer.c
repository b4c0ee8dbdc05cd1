/* SPDX-License-Identifier: MIT
 * libFuzzer: any output under any way of finding an answer in it; the first byte chooses the way, the
 * rest up to a newline is its argument, what follows is the output, compared with itself and a list.
 *
 * What must hold: the same twice; an answer is not empty and has no white space around it; the normal
 * form of a normal form is itself; an answer that normalises to something is equal to itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/answer.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(x)                                                     \
    do {                                                            \
        if (!(x)) {                                                 \
            fprintf(stderr, "%d: not so: %s\n", __LINE__, #x);      \
            abort();                                                \
        }                                                           \
    } while (0)

static void check_normal(const char *s, size_t len, struct buf *once)
{
    struct buf twice;
    buf_init(&twice, 1 << 20);
    answer_normalize(ANSWER_SQUAD, s, len, once);
    answer_normalize(ANSWER_SQUAD, once->data ? once->data : "", once->len, &twice);
    MUST(!once->failed && !twice.failed && utf8_valid(once->data ? once->data : "", once->len, NULL));
    /* taking a mark out may let characters compose that it parted; then a third time is the second */
    struct buf thrice;
    buf_init(&thrice, 1 << 20);
    answer_normalize(ANSWER_SQUAD, twice.data ? twice.data : "", twice.len, &thrice);
    MUST(thrice.len == twice.len && (twice.len == 0 || memcmp(thrice.data, twice.data, twice.len) == 0));
    buf_release(&twice);
    buf_release(&thrice);
}

static void check(const struct answer *a, enum answer_match match, const char *s, size_t len)
{
    struct idem_err err = {0};
    struct buf out, again, normal;
    buf_init(&out, 1 << 20);
    buf_init(&again, 1 << 20);
    buf_init(&normal, 1 << 20);
    int rc = answer_parse(a, s, len, &out, &err);
    MUST(answer_parse(a, s, len, &again, &err) == rc && again.len == out.len);
    MUST(rc == 1 ? out.len > 0 && utf8_valid(out.data, out.len, NULL) : out.len == 0 && (rc == 0 || err.msg[0]));
    if (rc == 1) {
        MUST(memcmp(out.data, again.data, out.len) == 0 && out.data[0] != ' ' && out.data[out.len - 1] != '\n');
        check_normal(out.data, out.len, &normal);
        int equal = answer_correct(a, out.data, out.len, out.data, out.len, &err);
        if (out.data[0] != '[')
            MUST(equal == (normal.len > 0));
        struct answer *exact = answer_open(&(struct answer_rule){.normal = ANSWER_EXACT, .match = match}, &err);
        MUST(exact && answer_correct(exact, s, len, out.data, out.len, &err) >= -1);
        answer_close(exact);
    }
    buf_release(&out);
    buf_release(&again);
    buf_release(&normal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    const uint8_t *nl = memchr(data + 1, '\n', len - 1);
    if (!nl)
        return 0;
    struct idem_err err = {0};
    char *arg = strndup((const char *)data + 1, (size_t)(nl - data) - 1);
    struct answer_rule rule = {.parse = (enum answer_parse_kind)(data[0] % (ANSWER_JSON + 1)),
                               .match = (enum answer_match)(data[0] >> 7), .arg = arg};
    if (rule.parse < ANSWER_AFTER)
        rule.arg = NULL;
    struct answer *a = answer_open(&rule, &err);
    if (a)
        check(a, rule.match, (const char *)nl + 1, len - (size_t)(nl - data) - 1);
    else
        MUST(err.code != IDEM_OK && err.msg[0]);
    answer_close(a);
    free(arg);
    return 0;
}
