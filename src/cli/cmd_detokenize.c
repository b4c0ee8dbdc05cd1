/* SPDX-License-Identifier: MIT
 * idem detokenize: token ids to bytes. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "idem.h"

enum { TEXT_MAX = 1 << 28 };

struct ids {
    int32_t *ids;
    size_t n, cap;
};

static int add(struct ids *v, const char *word, size_t len, struct idem_err *err)
{
    char digits[16] = "", *end = NULL;
    long id = -1;
    if (len > 0 && len < sizeof digits && isdigit((unsigned char)word[0])) {
        memcpy(digits, word, len);
        id = strtol(digits, &end, 10);
    }
    if (id < 0 || id > INT32_MAX || *end != '\0')
        return err_set(err, IDEM_ERR_USAGE, "'%.*s' is no token id; give whole numbers such as 504",
                       (int)(len < 60 ? len : 60), word);
    if (v->n == v->cap) {
        size_t cap = v->cap ? 2 * v->cap : 256;
        int32_t *p = realloc(v->ids, cap * sizeof *p);
        if (!p)
            return err_memory(err, "token ids", cap * sizeof *p);
        v->ids = p;
        v->cap = cap;
    }
    v->ids[v->n++] = (int32_t)id;
    return 0;
}

/* Numbers separated by white space or commas. */
static int add_text(struct ids *v, const char *s, size_t len, struct idem_err *err)
{
    for (size_t i = 0; i < len;) {
        size_t from = i;
        while (i < len && !isspace((unsigned char)s[i]) && s[i] != ',')
            i++;
        if (i > from && add(v, s + from, i - from, err) != 0)
            return -1;
        i += i < len;
    }
    return 0;
}

static int input(const struct cli_args *a, struct ids *v, struct idem_err *err)
{
    if (a->operands.n > 1) {
        for (size_t i = 1; i < a->operands.n; i++)
            if (add_text(v, a->operands.items[i], strlen(a->operands.items[i]), err) != 0)
                return -1;
        return 0;
    }
    struct buf b;
    buf_init(&b, TEXT_MAX);
    int rc = file_read(&b, "-", err);
    if (rc == 0)
        rc = add_text(v, b.data, b.len, err);
    buf_release(&b);
    return rc;
}

static int text_of(const struct cli_args *a, const struct idem_model *m, const struct ids *v,
                   char **text, size_t *len, struct idem_err *err)
{
    if (idem_detokenize(m, v->ids, v->n, a->parse_special, NULL, 0, len, err) != 0)
        return -1;
    size_t cap = *len;
    *text = malloc(cap + 1);
    if (!*text)
        return err_memory(err, "the text", cap + 1);
    return idem_detokenize(m, v->ids, v->n, a->parse_special, *text, cap, len, err);
}

static int detokenize(const struct cli_args *a)
{
    struct idem_err err = {0};
    struct ids v = {0};
    char *text = NULL;
    size_t len = 0;
    struct idem_model *m = cli_open_vocab(a, a->operands.items[0], &err);
    int rc = m ? input(a, &v, &err) : -1;
    if (rc == 0)
        rc = text_of(a, m, &v, &text, &len, &err);
    if (rc != 0) {
        rc = cli_fail(a, &err);
    } else if (a->json) {
        struct buf out;
        buf_init(&out, (size_t)1 << 31);
        struct json j = {.out = &out};
        json_begin(&j, '{');
        json_key(&j, "text");
        json_str(&j, text, len);
        json_key(&j, "bytes");
        json_bytes(&j, text, len);
        json_end(&j);
        rc = cli_write_buf(a, &out);
    } else {
        cli_write_text(text, len);
        if (isatty(STDOUT_FILENO))
            cli_write("\n", 1);
    }
    free(text);
    free(v.ids);
    idem_model_close(m);
    return rc;
}

static const struct cli_option options[] = {
    {.name = "special", .type = CLI_FLAG, .offset = offsetof(struct cli_args, parse_special),
     .help = "show control tokens by their names, such as <|im_end|>; without it they give nothing"},
    {0},
};
static const struct cli_group *const groups[] = {&cli_group_output, NULL};

const struct cli_command cli_detokenize = {
    .name = "detokenize", .operands = "MODEL [ID...]", .min_operands = 1, .max_operands = UINT32_MAX,
    .summary = "token ids to text",
    .description =
        "Prints the bytes that the IDs stand for, nothing added. Without IDs they are read from "
        "standard input, separated by white space or commas.\n\n"
        "Only the vocabulary of MODEL is read: a file without weights will do.",
    .examples = "idem detokenize smollm2-135m-instruct 504 3575 282 4649 314\n"
                "idem tokenize model.gguf < text.txt | idem detokenize model.gguf | cmp - text.txt",
    .options = options, .groups = groups, .exec = detokenize,
};
