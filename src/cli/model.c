/* SPDX-License-Identifier: MIT
 * Opens models and turns prompts into ids, as the options say. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "cli/catalogue.h"
#include "cli/cli.h"
#include "idem.h"

enum { PATH_BYTES = 1 << 16, PROMPT_BYTES = 1 << 26 };

struct backend *cli_open_backend(const struct cli_args *a, const char *model, struct idem_err *err)
{
    struct buf path;
    struct backend *b = NULL;
    struct backend_local_options o = {
        .cpu = a->cpu, .f32 = strcmp(a->activations, "f32") == 0,
        .normalize_none = a->normalize && strcmp(a->normalize, "none") == 0,
        .normalize_nfc = a->normalize && strcmp(a->normalize, "nfc") == 0,
        .threads = a->threads, .chunk = a->chunk, .n_ctx = a->context,
    };
    buf_init(&path, PATH_BYTES);
    if (catalogue_resolve(model, &path, err) == 0)
        b = backend_local_open(path.data, &o, err);
    buf_release(&path);
    return b;
}

struct idem_model *cli_open_vocab(const struct cli_args *a, const char *model, struct idem_err *err)
{
    struct buf path;
    struct idem_model *m = NULL;
    struct idem_model_options o = {.vocab_only = true};
    if (a->normalize)
        o.normalize = strcmp(a->normalize, "nfc") == 0 ? IDEM_NORMALIZE_NFC : IDEM_NORMALIZE_NONE;
    buf_init(&path, PATH_BYTES);
    if (catalogue_resolve(model, &path, err) == 0)
        m = idem_model_open(path.data, &o, err);
    buf_release(&path);
    return m;
}

void cli_host(const struct cli_args *a, struct rec_host *h)
{
    *h = (struct rec_host){
        .threads = a->threads, .batch = a->batch ? a->batch : 1, .chunk = a->chunk,
        .cache = strcmp(a->cache, "forked") == 0 ? REC_CACHE_FORKED : REC_CACHE_COLD,
    };
}

int cli_noise(const struct cli_args *a, struct arith_noise *z, struct idem_err *err)
{
    *z = (struct arith_noise){0};
    if (a->noise && arith_noise_parse(a->noise, z, err) != 0)
        return -1;
    z->seed = cli_given(a, "noise-seed") ? a->noise_seed : a->seed;
    if (cli_given(a, "noise-seed") && !arith_noise_is_seeded(z))
        cli_note(a, "without effect: noise-seed (%s)", arith_noise_is_none(z)
                 ? "no noise is added" : "only shuffle has a seed");
    return 0;
}

void cli_noise_json(struct json *j, const struct arith_noise *z)
{
    char name[ARITH_NOISE_TEXT];
    if (arith_noise_is_none(z))
        return;
    arith_noise_text(z, name);
    json_key(j, "noise");
    json_strz(j, name);
    json_key(j, "noise_seed");
    json_u64(j, z->seed);
}

void cli_noise_text(const struct arith_noise *z, char out[64])
{
    char name[ARITH_NOISE_TEXT];
    arith_noise_text(z, name);
    if (arith_noise_is_none(z))
        out[0] = '\0';
    else if (arith_noise_is_seeded(z))
        snprintf(out, 64, "noise %s, seed %" PRIu64, name, z->seed);
    else
        snprintf(out, 64, "noise %s", name);
}

int cli_prompt(const struct cli_args *a, struct buf *b, struct idem_err *err)
{
    size_t bad;
    if (a->prompt && a->prompt_file)
        return err_set(err, IDEM_ERR_USAGE, "give -p or --prompt-file, not both");
    if (!a->prompt && !a->prompt_file)
        return err_set(err, IDEM_ERR_USAGE, "no prompt: give -p TEXT or --prompt-file FILE");
    if (cli_chat_check(a, err) != 0)
        return -1;
    if (a->prompt)
        buf_adds(b, a->prompt);
    else if (file_read(b, a->prompt_file, err) != 0)
        return -1;
    if (b->failed)
        return err_set(err, IDEM_ERR_LIMIT, "the prompt is longer than %zu bytes; shorten it", b->max);
    if (b->len == 0)
        return err_set(err, IDEM_ERR_USAGE, "the prompt is empty: give some text with -p or --prompt-file");
    if (!utf8_valid(b->data, b->len, &bad))
        return err_set(err, IDEM_ERR_USAGE, "the prompt is not valid UTF-8: byte 0x%02x at offset %zu; "
                       "convert it to UTF-8 first", (unsigned char)b->data[bad], bad);
    return 0;
}

int cli_prompt_ids(const struct cli_args *a, struct backend *b, const char *more,
                   struct buf *text, size_t *split, int32_t **ids, size_t *n, struct idem_err *err)
{
    struct buf own;
    buf_init(&own, PROMPT_BYTES);
    if (!text)
        text = &own;
    size_t bad;
    int rc = cli_prompt(a, text, err);
    if (rc == 0 && a->chat)
        rc = cli_chat(a, b, NULL, text, err);
    if (split)
        *split = text->len;
    if (rc == 0 && more && !utf8_valid(more, strlen(more), &bad))
        rc = err_set(err, IDEM_ERR_USAGE, "the continuation is not valid UTF-8: byte 0x%02x at offset %zu; "
                     "convert it to UTF-8 first", (unsigned char)more[bad], bad);
    if (rc == 0 && more)
        buf_adds(text, more);
    if (rc == 0 && text->failed)
        rc = err_set(err, IDEM_ERR_LIMIT, "the prompt is longer than %zu bytes; shorten it", text->max);
    if (rc == 0)
        rc = b->ops->tokenize(b, text->data, text->len, a->chat ? BACKEND_TEXT_CHAT
                              : a->parse_special ? BACKEND_TEXT_SPECIAL : BACKEND_TEXT_PLAIN, ids, n, err);
    if (rc == 0 && *n == 0) {
        free(*ids);
        *ids = NULL;
        rc = err_set(err, IDEM_ERR_USAGE, "the prompt has no tokens: give some text with -p or --prompt-file");
    }
    buf_release(&own);
    return rc;
}
