/* SPDX-License-Identifier: MIT
 * libFuzzer: any bytes as a whole model: opened, its tokenizer used, some tokens decoded. The
 * mutator begins with small valid models (tests/tiny_model.h) and mostly changes what describes
 * the weights, not the weights. Refusals must be printable; nothing may crash, hang or allocate
 * without bound. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "idem.h"
#include "tiny_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
size_t LLVMFuzzerMutate(uint8_t *data, size_t len, size_t max_len);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max_len, unsigned seed);

#define MUST(x)                                                     \
    do {                                                            \
        if (!(x)) {                                                 \
            fprintf(stderr, "%d: not so: %s\n", __LINE__, #x);      \
            abort();                                                \
        }                                                           \
    } while (0)

static size_t fresh_model(uint8_t *data, size_t max_len, unsigned seed)
{
    static const char *const archs[] = {"llama", "qwen2", "gemma3"};
    static const enum qtype types[] = {QTYPE_Q4_0, QTYPE_Q8_0};
    struct tiny t = {.arch = archs[seed % 3], .type = types[seed / 3 % 2], .n_layer = 1};
    size_t len;
    uint8_t *bytes = tiny_model(&t, &len);
    if (len > max_len)
        len = max_len;
    memcpy(data, bytes, len);
    free(bytes);
    return len;
}

/* Overwrites 1, 2, 4 or 8 bytes of the first part with a value that is likely to be a limit. */
static void change_description(uint8_t *data, size_t len, unsigned seed)
{
    static const uint64_t values[] = {0, 1, 2, 3, 7, 16, 31, 33, 64, 255, 65535, 0x7FFFFFFF, 0x80000000,
                                      0xFFFFFFFF, 0x7FC00000, 0x7F800000, (uint64_t)1 << 32,
                                      (uint64_t)1 << 60, INT64_MAX, UINT64_MAX};
    uint64_t x = seed * 0x9E3779B97F4A7C15u + 1;
    for (unsigned n = 1 + seed % 3; n > 0; n--) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        size_t end = len < 3500 ? len : 3500, at = (size_t)(x >> 33) % end, size = (size_t)1 << (x >> 30 & 3);
        uint64_t v = values[(x >> 20) % (sizeof values / sizeof values[0])];
        for (size_t i = 0; i < size && at + i < len; i++)
            data[at + i] = (uint8_t)(v >> (8 * i));
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max_len, unsigned seed)
{
    if (len < 100 || memcmp(data, "GGUF", 4) != 0 || seed % 16 == 0)
        len = fresh_model(data, max_len, seed / 16);
    if (seed / 16 % 2)
        return LLVMFuzzerMutate(data, len, max_len);
    change_description(data, len, seed / 32);
    return len;
}

static void check_refusal(const struct idem_err *err)
{
    MUST(err->code != IDEM_OK && err->msg[0]);
    for (const char *p = err->msg; *p; p++)
        MUST((unsigned char)*p >= 0x20 && *p != 0x7F);
}

struct seen { size_t n, n_vocab; };

static int see(void *ctx, size_t item, size_t pos, const float *logits)
{
    struct seen *s = ctx;
    MUST(item == 0 && pos == s->n);
    for (size_t i = 0; i < s->n_vocab; i++)
        MUST(isfinite(logits[i]));
    s->n++;
    return 0;
}

static void decode(struct idem_model *m, const int32_t *ids, size_t n)
{
    struct idem_err err = {0};
    struct seen seen = {.n_vocab = idem_model_info(m)->n_vocab};
    struct idem_session_options o = {.n_threads = 1, .n_chunk = 3, .max_kv_bytes = 64 << 20};
    struct idem_session *s = idem_session_open(m, &o, &err);
    int seq = s ? idem_seq_new(s, &err) : -1;
    struct idem_item item = {.seq = seq, .tokens = ids, .n_tokens = n, .want = IDEM_LOGITS_ALL};
    if (seq < 0 || idem_decode(s, &item, 1, see, &seen, &err) != 0)
        check_refusal(&err);
    else
        MUST(seen.n == n);
    idem_session_close(s);
}

static void use(struct idem_model *m)
{
    static const char text[] = "abcd ab\n00\xC3\xA9.";
    const struct idem_model_info *info = idem_model_info(m);
    struct idem_err err = {0};
    int32_t ids[64];
    size_t n, len;
    MUST(info->arch && info->name && info->tokenizer && info->n_vocab > 0);
    for (int32_t i = -1; i <= (int32_t)(info->n_vocab < 1000 ? info->n_vocab : 1000); i++) {
        const char *s = idem_token_bytes(m, i, &len);
        MUST((s != NULL) == (i >= 0 && (uint32_t)i < info->n_vocab));
    }
    if (idem_tokenize(m, text, sizeof text - 1, IDEM_TOK_ADD_SPECIAL | IDEM_TOK_PARSE_SPECIAL, ids, 64,
                      &n, &err) != 0) {
        check_refusal(&err);
        return;
    }
    if (n == 0 || n > 64)
        return;
    char out[256];
    MUST(idem_detokenize(m, ids, n, true, out, sizeof out, &len, &err) == 0);
    if (info->n_layer > 0)
        decode(m, ids, n < 8 ? n : 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char path[64];
    int fd = tiny_file(data, len, path);
    MUST(fd >= 0);
    for (int vocab_only = 0; vocab_only < 2; vocab_only++) {
        struct idem_err err = {0};
        struct idem_model_options o = {.n_threads = 1, .cpu = IDEM_CPU_REF, .vocab_only = vocab_only != 0};
        struct idem_model *m = idem_model_open(path, &o, &err);
        if (m)
            use(m);
        else
            check_refusal(&err);
        idem_model_close(m);
    }
    close(fd);
    return 0;
}
