/* SPDX-License-Identifier: MIT
 * For tests: models whose next-token distribution is known in closed form. The logits after a
 * prefix are a row of a table that its last token chooses, exactly, so every number that idem
 * computes from outputs has a true value that can be written down.
 *
 * How: 64 wide; a token's embedding is a unit vector; the one layer adds exact zeros (its output
 * matrices are 0); the last norm divides by sqrt(1 / 64) = 1 / 8 and its weights are 1 / 8, so that
 * the unit vector stays; the output matrix's columns are the table's rows. All steps are exact in
 * binary32, in both activation modes (all matrices are F32).
 *
 * Tokens: 0 <|endoftext|>, 1 <|im_start|>, 2 <|im_end|> (ends an output), then one-letter tokens
 * A .. Z, a .. z: a prompt of letters has one token per letter, and no BOS. */
#ifndef TESTS_BIGRAM_MODEL_H
#define TESTS_BIGRAM_MODEL_H

#include "base/detmath.h"
#include "base/rng.h"
#include "gguf_write.h"

enum { BIGRAM_WIDTH = 64, BIGRAM_FF = 32, BIGRAM_EOS = 2, BIGRAM_FIRST = 3, BIGRAM_CONTEXT = 512 };

struct bigram {
    uint32_t n;                                       /* tokens, BIGRAM_FIRST + letters (1 .. 52) */
    float logit[BIGRAM_WIDTH][BIGRAM_WIDTH];          /* [last token][next token] */
};

/* Logits uniform in (-spread, spread); the other two control tokens at -100 after every token. */
static inline void bigram_random(struct bigram *b, uint32_t n_letters, double spread, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, RNG_STREAM('b', 'i', 'g', 'r'));
    memset(b, 0, sizeof *b);
    b->n = BIGRAM_FIRST + n_letters;
    for (uint32_t i = 0; i < b->n; i++)
        for (uint32_t j = 0; j < b->n; j++) {
            double u = (double)rng_below(&r, 1u << 24) * 0x1p-23 - 1.0;
            b->logit[i][j] = j < BIGRAM_EOS ? -100.0f : (float)(spread * u);
        }
}

static inline int32_t bigram_token(char letter)
{
    return BIGRAM_FIRST + (letter >= 'a' ? letter - 'a' + 26 : letter - 'A');
}

/* ---- the truth ------------------------------------------------------------------------------------ */

/* p[n]: distribution of the token after `last` at a temperature > 0 (1: the model's own). */
static inline void bigram_next(double *p, const struct bigram *b, int32_t last, double temperature)
{
    const float *row = b->logit[last];
    double most = row[0], sum = 0.0;
    for (uint32_t j = 0; j < b->n; j++)
        most = row[j] > most ? row[j] : most;
    for (uint32_t j = 0; j < b->n; j++)
        sum += p[j] = det_exp(((double)row[j] - most) / temperature);
    for (uint32_t j = 0; j < b->n; j++)
        p[j] /= sum;
}

/* The probability that two independent samples after `last` are the same output, ended by the end
 * token or cut at n_tokens. at[j]: the chance that both are the same so far and stand at token j. */
static inline double bigram_agree(const struct bigram *b, int32_t last, uint32_t n_tokens,
                                  double temperature)
{
    double at[BIGRAM_WIDTH] = {0}, next[BIGRAM_WIDTH], p[BIGRAM_WIDTH], ended = 0.0;
    at[last] = 1.0;
    for (uint32_t t = 0; t < n_tokens; t++) {
        memset(next, 0, sizeof next);
        for (uint32_t i = 0; i < b->n; i++) {
            if (at[i] == 0.0)
                continue;
            bigram_next(p, b, (int32_t)i, temperature);
            for (uint32_t j = 0; j < b->n; j++)
                next[j] += at[i] * p[j] * p[j];
        }
        ended += next[BIGRAM_EOS];
        next[BIGRAM_EOS] = 0.0;
        memcpy(at, next, sizeof at);
    }
    for (uint32_t i = 0; i < b->n; i++)
        ended += at[i];
    return ended;
}

/* ---- the file -------------------------------------------------------------------------------------- */

static inline void bigram_vocab(struct gw *w, uint32_t n)
{
    static char letters[52][2];
    const char *tokens[BIGRAM_WIDTH] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    int32_t types[BIGRAM_WIDTH] = {3, 3, 3};
    for (uint32_t i = 0; i + BIGRAM_FIRST < n; i++) {
        letters[i][0] = (char)(i < 26 ? 'A' + i : 'a' + i - 26);
        tokens[BIGRAM_FIRST + i] = letters[i];
        types[BIGRAM_FIRST + i] = 1;
    }
    gw_str(w, "tokenizer.ggml.model", "gpt2");
    gw_str(w, "tokenizer.ggml.pre", "qwen2");
    gw_strs(w, "tokenizer.ggml.tokens", tokens, n);
    gw_i32s(w, "tokenizer.ggml.token_type", types, n);
    gw_strs(w, "tokenizer.ggml.merges", tokens, 0);
    gw_u32(w, "tokenizer.ggml.bos_token_id", 0);
    gw_u32(w, "tokenizer.ggml.eos_token_id", BIGRAM_EOS);
    gw_bool(w, "tokenizer.ggml.add_bos_token", false);
}

/* ne1 0: a vector. data NULL: zeros. */
static inline void bigram_tensor(struct gw *w, const char *name, uint64_t ne0, uint64_t ne1,
                                 const float *data)
{
    static const float zeros[BIGRAM_WIDTH * BIGRAM_WIDTH];
    gw_tensor(w, name, QTYPE_F32, ne1 ? 2 : 1, (uint64_t[]){ne0, ne1 ? ne1 : 1}, data ? data : zeros);
}

/* The whole file (malloc, the caller frees). */
static inline uint8_t *bigram_model(const struct bigram *b, size_t *len)
{
    static float unit[BIGRAM_WIDTH * BIGRAM_WIDTH], out[BIGRAM_WIDTH * BIGRAM_WIDTH], norm[BIGRAM_WIDTH];
    struct gw w;
    memset(unit, 0, sizeof unit);
    memset(out, 0, sizeof out);
    for (uint32_t i = 0; i < BIGRAM_WIDTH; i++)
        norm[i] = 0.125f;
    for (uint32_t i = 0; i < b->n; i++) {
        unit[i * BIGRAM_WIDTH + i] = 1.0f;
        for (uint32_t j = 0; j < b->n; j++)
            out[j * BIGRAM_WIDTH + i] = b->logit[i][j];
    }
    gw_init(&w, 3, 32);
    gw_str(&w, "general.architecture", "llama");
    gw_str(&w, "general.name", "bigram");
    gw_u32(&w, "llama.block_count", 1);
    gw_u32(&w, "llama.context_length", BIGRAM_CONTEXT);
    gw_u32(&w, "llama.embedding_length", BIGRAM_WIDTH);
    gw_u32(&w, "llama.feed_forward_length", BIGRAM_FF);
    gw_u32(&w, "llama.attention.head_count", 2);
    gw_u32(&w, "llama.attention.head_count_kv", 1);
    gw_f32(&w, "llama.attention.layer_norm_rms_epsilon", 0.0f);
    gw_f32(&w, "llama.rope.freq_base", 10000.0f);
    bigram_vocab(&w, b->n);
    bigram_tensor(&w, "token_embd.weight", BIGRAM_WIDTH, b->n, unit);
    bigram_tensor(&w, "blk.0.attn_norm.weight", BIGRAM_WIDTH, 0, norm);
    bigram_tensor(&w, "blk.0.attn_q.weight", BIGRAM_WIDTH, BIGRAM_WIDTH, NULL);
    bigram_tensor(&w, "blk.0.attn_k.weight", BIGRAM_WIDTH, BIGRAM_WIDTH / 2, NULL);
    bigram_tensor(&w, "blk.0.attn_v.weight", BIGRAM_WIDTH, BIGRAM_WIDTH / 2, NULL);
    bigram_tensor(&w, "blk.0.attn_output.weight", BIGRAM_WIDTH, BIGRAM_WIDTH, NULL);
    bigram_tensor(&w, "blk.0.ffn_norm.weight", BIGRAM_WIDTH, 0, norm);
    bigram_tensor(&w, "blk.0.ffn_gate.weight", BIGRAM_WIDTH, BIGRAM_FF, NULL);
    bigram_tensor(&w, "blk.0.ffn_up.weight", BIGRAM_WIDTH, BIGRAM_FF, NULL);
    bigram_tensor(&w, "blk.0.ffn_down.weight", BIGRAM_FF, BIGRAM_WIDTH, NULL);
    bigram_tensor(&w, "output_norm.weight", BIGRAM_WIDTH, 0, norm);
    bigram_tensor(&w, "output.weight", BIGRAM_WIDTH, b->n, out);
    return gw_finish(&w, len);
}

#endif
