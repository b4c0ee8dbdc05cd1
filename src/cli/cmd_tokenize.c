/* SPDX-License-Identifier: MIT
 * idem tokenize: text to token ids. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/tokens.h"
#include "idem.h"

enum { TEXT_MAX = 1 << 28, OUT_MAX = 1 << 30 };

/* The text to tokenise, with the chat template applied if asked for. */
static int input(const struct cli_args *a, const struct idem_model *m, struct buf *b,
                 struct idem_err *err)
{
    if (a->operands.n > 1)
        buf_adds(b, a->operands.items[1]);
    else if (file_read(b, "-", err) != 0)
        return -1;
    if (b->failed)
        return err_set(err, IDEM_ERR_LIMIT, "the text is longer than %zu bytes; cut it", b->max);
    return a->chat ? cli_chat(a, NULL, m, b, err) : 0;
}

static int ids_of(const struct cli_args *a, const struct idem_model *m, const struct buf *b,
                  int32_t **ids, size_t *n, struct idem_err *err)
{
    unsigned flags = (a->add_special && !a->chat ? IDEM_TOK_ADD_SPECIAL : 0u) |
                     (a->parse_special || a->chat ? IDEM_TOK_PARSE_SPECIAL : 0u);
    const char *text = b->data ? b->data : "";
    size_t cap = b->len / 2 + 16;   /* enough most of the time */
    for (int attempt = 0; attempt < 2; attempt++) {
        int32_t *p = realloc(*ids, cap * sizeof **ids);
        if (!p)
            return err_memory(err, "token ids", cap * sizeof **ids);
        *ids = p;
        if (idem_tokenize(m, text, b->len, flags, *ids, cap, n, err) != 0)
            return -1;
        if (*n <= cap)
            break;
        cap = *n;
    }
    return 0;
}

static void print(const struct cli_args *a, const struct idem_model *m, const int32_t *ids, size_t n,
                  struct buf *out)
{
    struct json j = {.out = out};
    if (a->json) {
        json_begin(&j, '{');
        json_key(&j, "tokens");
        json_begin(&j, '[');
        for (size_t i = 0; i < n; i++) {
            size_t len = 0;
            const char *bytes = idem_token_bytes(m, ids[i], &len);
            json_begin(&j, '{');
            tokens_json(&j, ids[i], bytes, len);
            json_end(&j);
        }
        json_end(&j);
        json_end(&j);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!a->verbose) {
            buf_addf(out, "%s%d", i ? " " : "", ids[i]);
            continue;
        }
        size_t len = 0;
        const char *bytes = idem_token_bytes(m, ids[i], &len);
        buf_addf(out, "%8d  ", ids[i]);
        cli_quote(out, bytes ? bytes : "", len);
        buf_adds(out, "\n");
    }
    if (!a->verbose)
        buf_adds(out, "\n");
}

static int tokenize(const struct cli_args *a)
{
    struct idem_err err = {0};
    struct buf text, out;
    buf_init(&text, TEXT_MAX);
    buf_init(&out, OUT_MAX);
    int32_t *ids = NULL;
    size_t n = 0;
    int rc = cli_chat_check(a, &err);
    if (rc == 0 && a->chat && a->add_special)
        rc = err_set(&err, IDEM_ERR_USAGE, "--add-special does not go with --chat: the template itself writes BOS");
    struct idem_model *m = rc == 0 ? cli_open_vocab(a, a->operands.items[0], &err) : NULL;
    rc = m ? input(a, m, &text, &err) : -1;
    if (rc == 0)
        rc = ids_of(a, m, &text, &ids, &n, &err);
    if (rc == 0)
        print(a, m, ids, n, &out);
    rc = rc == 0 ? cli_write_buf(a, &out) : cli_fail(a, &err);
    free(ids);
    buf_release(&text);
    buf_release(&out);
    idem_model_close(m);
    return rc;
}

static const struct cli_option options[] = {
    {.name = "add-special", .type = CLI_FLAG, .offset = offsetof(struct cli_args, add_special),
     .help = "add the model's own tokens in front and behind (BOS, EOS) where it wants them"},
    {.name = "parse-special", .type = CLI_FLAG, .offset = offsetof(struct cli_args, parse_special),
     .help = "text such as <|im_end|> becomes that control token"},
    {.name = "normalize", .type = CLI_CHOICE, .offset = offsetof(struct cli_args, normalize),
     .arg = "FORM", .choices = "nfc|none",
     .help = "Unicode form of text before it is tokenised (default: the model's own)"},
    {.name = "verbose", .letter = 'v', .type = CLI_FLAG, .offset = offsetof(struct cli_args, verbose),
     .help = "one token a line, with its text"},
    {0},
};
static const struct cli_group *const groups[] = {&cli_group_chat, &cli_group_output, NULL};

const struct cli_command cli_tokenize = {
    .name = "tokenize", .operands = "MODEL [TEXT]", .min_operands = 1, .max_operands = 2,
    .summary = "text to token ids",
    .description =
        "Prints the ids of TEXT's tokens on one line, separated by spaces. Without TEXT, standard "
        "input is tokenised, every byte of it, a newline at its end too. The text must be UTF-8.\n\n"
        "Only the vocabulary of MODEL is read: a file without weights will do. The ids are those of "
        "the model's Hugging Face tokenizer; what is done in which order, and where llama.cpp differs, stands "
        "in docs/tokenizers.md.",
    .examples = "idem tokenize smollm2-135m-instruct 'The capital of France is'\n"
                "idem tokenize model.gguf -v < text.txt",
    .options = options, .groups = groups, .exec = tokenize,
};
