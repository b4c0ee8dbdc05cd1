/* SPDX-License-Identifier: MIT
 * For tests: tokenises and detokenises many texts in one process, through libidem.
 *
 *     tok_batch MODEL...       MODEL: a GGUF file, or nfc=FILE, none=FILE for another normal form
 *
 * Standard input holds requests, standard output an answer to each, all numbers little-endian:
 *     u32 0, u32 model, u32 flags, u32 length, bytes          ->  u32 n, n x i32 ids
 *     u32 1, u32 model, u32 special, u32 n, n x i32 ids       ->  u32 length, bytes
 *     u32 2, 0, 0, 0                                          ->  nothing; sends what is buffered
 * An error is answered by u32 2^32 - 1, u32 length, message. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "idem.h"

enum { MAX_MODELS = 64 };

static void *grow(void *p, size_t n)
{
    p = realloc(p, n ? n : 1);
    if (!p) {
        fprintf(stderr, "tok_batch: no memory\n");
        exit(1);
    }
    return p;
}

static void put(const void *p, size_t n)
{
    if (n && fwrite(p, 1, n, stdout) != n)
        exit(1);
}

static void put_u32(uint32_t v) { put(&v, 4); }

static void get(void *p, size_t n)
{
    if (n && fread(p, 1, n, stdin) != n) {
        fprintf(stderr, "tok_batch: a request breaks off\n");
        exit(1);
    }
}

static struct idem_model *open_model(const char *arg)
{
    struct idem_err err = {0};
    struct idem_model_options p = {.vocab_only = true};
    if (strncmp(arg, "nfc=", 4) == 0) {
        p.normalize = IDEM_NORMALIZE_NFC;
        arg += 4;
    } else if (strncmp(arg, "none=", 5) == 0) {
        p.normalize = IDEM_NORMALIZE_NONE;
        arg += 5;
    }
    struct idem_model *m = idem_model_open(arg, &p, &err);
    if (!m) {
        fprintf(stderr, "tok_batch: %s\n", err.msg);
        exit(1);
    }
    return m;
}

static void answer_error(const struct idem_err *err)
{
    put_u32(UINT32_MAX);
    put_u32((uint32_t)strlen(err->msg));
    put(err->msg, strlen(err->msg));
}

int main(int argc, char **argv)
{
    struct idem_model *models[MAX_MODELS];
    uint32_t head[4];
    char *text = NULL;
    int32_t *ids = NULL;
    if (argc - 1 > MAX_MODELS || argc < 2)
        return 2;
    for (int i = 1; i < argc; i++)
        models[i - 1] = open_model(argv[i]);
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        struct idem_err err = {0};
        size_t n = 0;
        if (head[1] >= (uint32_t)(argc - 1))
            return 2;
        const struct idem_model *m = models[head[1]];
        if (head[0] == 2) {
            fflush(stdout);
            continue;
        }
        if (head[0] == 0) {
            text = grow(text, head[3]);
            get(text, head[3]);
            size_t cap = (size_t)head[3] * 4 + 16;
            ids = grow(ids, cap * 4);
            if (idem_tokenize(m, text, head[3], head[2], ids, cap, &n, &err) != 0) {
                answer_error(&err);
                continue;
            }
            put_u32((uint32_t)n);
            put(ids, n * 4);
        } else {
            ids = grow(ids, (size_t)head[3] * 4);
            get(ids, (size_t)head[3] * 4);
            if (idem_detokenize(m, ids, head[3], head[2], NULL, 0, &n, &err) != 0) {
                answer_error(&err);
                continue;
            }
            text = grow(text, n);
            idem_detokenize(m, ids, head[3], head[2], text, n, &n, &err);
            put_u32((uint32_t)n);
            put(text, n);
        }
    }
    free(text);
    free(ids);
    for (int i = 1; i < argc; i++)
        idem_model_close(models[i - 1]);
    return 0;
}
