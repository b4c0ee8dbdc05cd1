/* SPDX-License-Identifier: MIT
 * Any bytes as a chat template: an error or a text, within the limits, and the same again. The input
 * is a template; what follows its last NUL byte, if there is one, is the user's message. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/jinja.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(x)                                                     \
    do {                                                            \
        if (!(x)) {                                                 \
            fprintf(stderr, "%d: not so: %s\n", __LINE__, #x);      \
            abort();                                                \
        }                                                           \
    } while (0)

static int render(const char *text, size_t len, const char *content, struct buf *out, struct idem_err *err)
{
    const struct idem_message msgs[] = {{"system", " Be brief. "}, {"user", content}, {"assistant", "b"}, {"user", "c"}};
    static const struct jinja_var vars[] = {
        {.name = "tools"}, {.name = "bos_token", .type = JINJA_VAR_TEXT, .text = "<s>"},
        {.name = "eos_token", .type = JINJA_VAR_TEXT, .text = "</s>"},
        {.name = "add_generation_prompt", .type = JINJA_VAR_BOOL, .i = 1},
        {.name = "strftime_now", .type = JINJA_VAR_DAY, .i = 20240229},
    };
    buf_init(out, 1 << 26);
    struct jinja *t = jinja_parse(text, len, err);
    int rc = t ? jinja_render(t, msgs + len % 2, 4 - len % 2, vars, 5, out, err) : -1;
    jinja_free(t);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data, *nul = len ? memrchr(data, 0, len) : NULL;
    size_t text_len = nul ? (size_t)(nul - text) : len;
    char *content = strndup(nul ? nul + 1 : "Hello", nul ? len - text_len - 1 : 5);
    struct idem_err err = {0}, again_err = {0};
    struct buf out, again;
    MUST(content);
    if (!utf8_valid(content, strlen(content), NULL))
        content[0] = '\0';
    int rc = render(text, text_len, content, &out, &err);
    MUST(render(text, text_len, content, &again, &again_err) == rc);
    if (rc != 0) {
        MUST(err.code != IDEM_OK && strlen(err.msg) > 10 && strcmp(err.msg, again_err.msg) == 0);
    } else {
        MUST(out.len == again.len && (!out.len || memcmp(out.data, again.data, out.len) == 0));
        MUST(utf8_valid(out.data ? out.data : "", out.len, NULL));     /* of valid parts only valid text */
    }
    buf_release(&out);
    buf_release(&again);
    free(content);
    return 0;
}
