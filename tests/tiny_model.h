/* SPDX-License-Identifier: MIT
 * For tests and fuzzers: whole models of a few kilobytes for each architecture, with seeded
 * random weights, and with at most one thing changed.
 *
 *     struct tiny t = {.arch = "llama", .type = QTYPE_Q4_0, .n_layer = 2};
 *     t.edit = (struct tiny_edit){TINY_DROP, "blk.1.attn_q.weight"};
 *     uint8_t *bytes = tiny_model(&t, &len);       // the caller frees
 *
 * n_embd 32, n_ff 64, 2 query heads and 1 key head of 16; 24 tokens. */
#ifndef TESTS_TINY_MODEL_H
#define TESTS_TINY_MODEL_H

#include <sys/mman.h>
#include <unistd.h>

#include "gguf_write.h"

enum { TINY_EMBD = 32, TINY_FF = 64, TINY_HEADS = 2, TINY_HEADS_KV = 1, TINY_HEAD = 16, TINY_VOCAB = 24 };

/* What is done to the key or tensor of that name. */
enum tiny_op {
    TINY_KEEP = 0,
    TINY_DROP,         /* left out */
    TINY_U32,          /* the key becomes this u32 */
    TINY_F32,          /* ... this f32 */
    TINY_STR,          /* ... this string */
    TINY_ADD,          /* a key that is not there: u32 (s NULL) or string */
    TINY_ADD_F32,
    TINY_SHAPE,        /* the tensor has dimensions ne[n_dims] */
    TINY_TYPE,         /* the tensor has type u */
    TINY_FILL,         /* an F32 tensor's first element becomes f */
    TINY_EXTRA         /* one more F32 tensor with ne[n_dims], every element f */
};

struct tiny_edit {
    enum tiny_op op;
    const char *name;
    uint32_t u;
    float f;
    const char *s;
    uint32_t n_dims;
    uint64_t ne[4];
};

struct tiny {
    const char *arch;          /* "llama" "qwen2" "gemma3" */
    enum qtype type;           /* of the matrices: F32, F16, Q4_0 or Q8_0 */
    uint32_t n_layer;
    struct tiny_edit edit;
    uint64_t state;            /* of the random numbers */
    struct gw w;
};

/* ---- keys -------------------------------------------------------------------------------- */

/* True if the edit took care of this key. */
static inline bool tiny_edited_key(struct tiny *t, const char *key)
{
    const struct tiny_edit *e = &t->edit;
    if (!e->name || strcmp(e->name, key) != 0)
        return false;
    switch (e->op) {
    case TINY_DROP: return true;
    case TINY_U32: gw_u32(&t->w, key, e->u); return true;
    case TINY_F32: gw_f32(&t->w, key, e->f); return true;
    case TINY_STR: gw_str(&t->w, key, e->s); return true;
    default: return false;
    }
}

static inline void tiny_u32(struct tiny *t, const char *key, uint32_t v)
{
    if (!tiny_edited_key(t, key))
        gw_u32(&t->w, key, v);
}

static inline void tiny_str(struct tiny *t, const char *key, const char *v)
{
    if (!tiny_edited_key(t, key))
        gw_str(&t->w, key, v);
}

static inline void tiny_arch_u32(struct tiny *t, const char *name, uint32_t v)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", t->arch, name);
    tiny_u32(t, key, v);
}

static inline void tiny_arch_f32(struct tiny *t, const char *name, float v)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", t->arch, name);
    if (!tiny_edited_key(t, key))
        gw_f32(&t->w, key, v);
}

static inline void tiny_hparams(struct tiny *t)
{
    bool gemma = strcmp(t->arch, "gemma3") == 0;
    tiny_str(t, "general.architecture", t->arch);
    tiny_arch_u32(t, "block_count", t->n_layer);
    tiny_arch_u32(t, "context_length", 256);
    tiny_arch_u32(t, "embedding_length", TINY_EMBD);
    tiny_arch_u32(t, "feed_forward_length", TINY_FF);
    tiny_arch_u32(t, "attention.head_count", TINY_HEADS);
    tiny_arch_u32(t, "attention.head_count_kv", TINY_HEADS_KV);
    tiny_arch_f32(t, "attention.layer_norm_rms_epsilon", 1e-5f);
    tiny_arch_f32(t, "rope.freq_base", 10000.0f);
    if (gemma) {
        tiny_arch_u32(t, "attention.key_length", TINY_HEAD);
        tiny_arch_u32(t, "attention.value_length", TINY_HEAD);
        tiny_arch_u32(t, "attention.sliding_window", 3);
        tiny_arch_u32(t, "attention.sliding_window_pattern", 2);
    }
}

/* qwen2: byte-level BPE over a few letters; the others: SentencePiece. */
static inline void tiny_vocab(struct tiny *t)
{
    static const char *const bpe[TINY_VOCAB] = {
        "<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "c", "d", "e", "\xC4\xA0", "\xC4\x8A",
        "0", "1", ".", "ab", "cd", "abcd", "\xC4\xA0" "a", "\xC4\xA0" "ab", "00", "\xC3\xA9", "\xC3\x83",
        "\xC2\xA9", "f", "g"};
    static const char *const spm[TINY_VOCAB] = {
        "<unk>", "<s>", "</s>", "<0x00>", "<0x0A>", "<0xC3>", "<0xA9>", "\xE2\x96\x81", "a", "b", "c", "d",
        "ab", "cd", "abcd", "\xE2\x96\x81" "a", "\xE2\x96\x81" "ab", "\xC3\xA9", "0", "1", ".", "e", "f", "g"};
    static const char *const merges[] = {"a b", "c d", "ab cd", "\xC4\xA0 a", "\xC4\xA0 ab", "0 0"};
    bool is_bpe = strcmp(t->arch, "qwen2") == 0;
    int32_t types[TINY_VOCAB];
    float scores[TINY_VOCAB];
    for (int i = 0; i < TINY_VOCAB; i++) {
        types[i] = i < 3 ? 3 : !is_bpe && i < 7 ? 6 : 1;
        scores[i] = (float)-i;
    }
    if (!is_bpe)
        types[0] = 2;
    tiny_str(t, "tokenizer.ggml.model", is_bpe ? "gpt2" : "llama");
    tiny_str(t, "tokenizer.ggml.pre", is_bpe ? "qwen2" : "default");
    if (!tiny_edited_key(t, "tokenizer.ggml.tokens"))
        gw_strs(&t->w, "tokenizer.ggml.tokens", is_bpe ? bpe : spm, TINY_VOCAB);
    if (!tiny_edited_key(t, "tokenizer.ggml.token_type"))
        gw_i32s(&t->w, "tokenizer.ggml.token_type", types, TINY_VOCAB);
    if (is_bpe && !tiny_edited_key(t, "tokenizer.ggml.merges"))
        gw_strs(&t->w, "tokenizer.ggml.merges", merges, sizeof merges / sizeof merges[0]);
    if (!is_bpe && !tiny_edited_key(t, "tokenizer.ggml.scores"))
        gw_f32s(&t->w, "tokenizer.ggml.scores", scores, TINY_VOCAB);
    tiny_u32(t, "tokenizer.ggml.bos_token_id", 1);
    tiny_u32(t, "tokenizer.ggml.eos_token_id", 2);
    if (!tiny_edited_key(t, "tokenizer.ggml.add_bos_token"))
        gw_bool(&t->w, "tokenizer.ggml.add_bos_token", !is_bpe);
    tiny_str(t, "tokenizer.chat_template", "{{ '<|im_start|>' }}{{ '<|im_end|>' }}");
}

/* ---- tensors ------------------------------------------------------------------------------ */

static inline uint32_t tiny_random(struct tiny *t)
{
    t->state = t->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(t->state >> 33);
}

/* n elements of the type: small weights around 0, or around 1 for norms. */
static inline uint8_t *tiny_data(struct tiny *t, enum qtype type, uint64_t n, float around)
{
    const struct qtype_info *q = qtype_info((uint32_t)type);
    struct gw_bytes b = {0};
    for (uint64_t i = 0; i < n / q->block_elems; i++) {
        if (type == QTYPE_F32) {
            float f = around + ((float)(tiny_random(t) % 2001) - 1000.0f) / 4000.0f;
            uint32_t u;
            memcpy(&u, &f, sizeof u);
            gw_put_u32(&b, u);
            continue;
        }
        /* binary16 numbers of about 2^-3: as elements, or as the scale of a block */
        uint32_t d = (type == QTYPE_F16 ? 0x3000u : type == QTYPE_Q8_0 ? 0x1800u : 0x2800u) |
                     (tiny_random(t) & 0x3FFu) | (type == QTYPE_F16 ? (tiny_random(t) & 1u) << 15 : 0);
        gw_put(&b, (uint8_t[]){(uint8_t)d, (uint8_t)(d >> 8)}, 2);
        for (uint32_t k = 2; k < q->block_bytes; k++)
            gw_put(&b, (uint8_t[]){(uint8_t)tiny_random(t)}, 1);
    }
    return b.p;
}

static inline void tiny_tensor(struct tiny *t, enum qtype type, uint32_t n_dims, uint64_t ne0,
                               uint64_t ne1, float around, const char *name)
{
    const struct tiny_edit *e = &t->edit;
    bool edited = e->name && strcmp(e->name, name) == 0;
    uint64_t ne[4] = {ne0, ne1, 1, 1}, n = 1;
    if (edited && e->op == TINY_DROP)
        return;
    if (edited && e->op == TINY_TYPE)
        type = (enum qtype)e->u;
    if (edited && e->op == TINY_SHAPE) {
        n_dims = e->n_dims;
        memcpy(ne, e->ne, sizeof ne);
    }
    for (uint32_t d = 0; d < n_dims; d++)
        n *= ne[d];
    uint8_t *data = tiny_data(t, type, n, around);
    if (edited && e->op == TINY_FILL)
        memcpy(data, &e->f, sizeof e->f);
    gw_tensor(&t->w, name, type, n_dims, ne, data);
    free(data);
}

static inline void tiny_layer(struct tiny *t, uint32_t il)
{
    enum { Q = TINY_HEADS * TINY_HEAD, KV = TINY_HEADS_KV * TINY_HEAD };
    const struct { const char *name; uint64_t ne0, ne1; bool qwen2, gemma3; } all[] = {
        {"attn_norm.weight", TINY_EMBD, 0, 0, 0},        {"attn_q.weight", TINY_EMBD, Q, 0, 0},
        {"attn_q.bias", Q, 0, 1, 0},                     {"attn_k.weight", TINY_EMBD, KV, 0, 0},
        {"attn_k.bias", KV, 0, 1, 0},                    {"attn_v.weight", TINY_EMBD, KV, 0, 0},
        {"attn_v.bias", KV, 0, 1, 0},                    {"attn_output.weight", Q, TINY_EMBD, 0, 0},
        {"attn_q_norm.weight", TINY_HEAD, 0, 0, 1},      {"attn_k_norm.weight", TINY_HEAD, 0, 0, 1},
        {"post_attention_norm.weight", TINY_EMBD, 0, 0, 1}, {"post_ffw_norm.weight", TINY_EMBD, 0, 0, 1},
        {"ffn_norm.weight", TINY_EMBD, 0, 0, 0},         {"ffn_gate.weight", TINY_EMBD, TINY_FF, 0, 0},
        {"ffn_up.weight", TINY_EMBD, TINY_FF, 0, 0},     {"ffn_down.weight", TINY_FF, TINY_EMBD, 0, 0},
    };
    char name[64];
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if ((all[i].qwen2 && strcmp(t->arch, "qwen2") != 0) ||
            (all[i].gemma3 && strcmp(t->arch, "gemma3") != 0))
            continue;
        bool vector = all[i].ne1 == 0, bias = all[i].qwen2;
        snprintf(name, sizeof name, "blk.%u.%s", il, all[i].name);
        tiny_tensor(t, vector ? QTYPE_F32 : t->type, vector ? 1 : 2, all[i].ne0,
                    vector ? 1 : all[i].ne1, vector && !bias ? 1.0f : 0.0f, name);
    }
}

/* ---- the model ------------------------------------------------------------------------------ */

/* The whole file (malloc, the caller frees). */
static inline uint8_t *tiny_model(struct tiny *t, size_t *len)
{
    const struct tiny_edit *e = &t->edit;
    t->state = 1;
    gw_init(&t->w, 3, 32);
    tiny_hparams(t);
    tiny_vocab(t);
    if (e->op == TINY_ADD && e->s)
        gw_str(&t->w, e->name, e->s);
    else if (e->op == TINY_ADD)
        gw_u32(&t->w, e->name, e->u);
    else if (e->op == TINY_ADD_F32)
        gw_f32(&t->w, e->name, e->f);
    tiny_tensor(t, t->type, 2, TINY_EMBD, TINY_VOCAB, 0, "token_embd.weight");
    for (uint32_t il = 0; il < t->n_layer; il++)
        tiny_layer(t, il);
    tiny_tensor(t, QTYPE_F32, 1, TINY_EMBD, 1, 1.0f, "output_norm.weight");
    if (strcmp(t->arch, "llama") == 0)
        tiny_tensor(t, t->type, 2, TINY_EMBD, TINY_VOCAB, 0, "output.weight");
    if (e->op == TINY_EXTRA) {
        uint64_t n = 1;
        for (uint32_t d = 0; d < e->n_dims; d++)
            n *= e->ne[d];
        float *data = calloc((size_t)n, sizeof *data);
        if (!data)
            abort();
        for (uint64_t i = 0; i < n; i++)
            data[i] = e->f;
        gw_tensor(&t->w, e->name, QTYPE_F32, e->n_dims, e->ne, data);
        free(data);
    }
    return gw_finish(&t->w, len);
}

/* Puts bytes behind a path that can be opened until close(fd); returns fd, or -1. */
static inline int tiny_file(const uint8_t *bytes, size_t len, char path[64])
{
    int fd = memfd_create("tiny.gguf", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, bytes + at, len - at);
        if (n <= 0) {
            close(fd);
            return -1;
        }
        at += (size_t)n;
    }
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

#endif
