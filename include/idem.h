/* SPDX-License-Identifier: MIT
 * libidem: a language model engine whose logits are a function of the model file, the
 * numerics version and the token prefix, and of nothing else. Threads, batch, chunking,
 * cache history and instruction set do not change a bit (docs/numerics.md).
 *
 * Two lifetimes: an immutable idem_model, opened once and shared by any number of threads,
 * and a mutable idem_session, used by one thread at a time.
 *
 *     struct idem_err err = {0};
 *     struct idem_model *m = idem_model_open("model.gguf", NULL, &err);
 *     struct idem_session *s = idem_session_open(m, NULL, &err);
 *     int32_t ids[512];
 *     size_t n;
 *     idem_tokenize(m, "The capital of France is", 24, IDEM_TOK_ADD_SPECIAL, ids, 512, &n, &err);
 *     int seq = idem_seq_new(s, &err);
 *     struct idem_item item = {.seq = seq, .tokens = ids, .n_tokens = n, .want = IDEM_LOGITS_LAST};
 *     idem_decode(s, &item, 1, on_logits, NULL, &err);
 *
 * Every function that can fail returns -1 or NULL and fills err (which may be NULL).
 */
#ifndef IDEM_H
#define IDEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "idem_err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Part of every key, digest and receipt. It changes whenever any logit may change a bit. */
#define IDEM_NUMERICS "idem-numerics-1"

struct idem_model;
struct idem_session;

/* ---- model -------------------------------------------------------------------------- */

enum idem_activations {
    IDEM_ACTIVATIONS_Q8 = 0, /* activations in int8 blocks of 32, KV cache in binary16 */
    IDEM_ACTIVATIONS_F32     /* weights dequantised exactly, activations and cache binary32 */
};

enum idem_cpu {              /* which kernels; none changes a bit of any result */
    IDEM_CPU_AUTO = 0,       /* the widest that this machine has */
    IDEM_CPU_REF,            /* the scalar definition */
    IDEM_CPU_SSE41,
    IDEM_CPU_AVX2,
    IDEM_CPU_AVX512,         /* with VNNI */
    IDEM_CPU_NEON
};

/* By name: "auto", "ref", "sse41", "avx2", "avx512", "neon". False: no such name, *cpu unchanged. */
bool idem_cpu_find(const char *name, enum idem_cpu *cpu);

enum idem_normalize {        /* text before tokenising */
    IDEM_NORMALIZE_MODEL = 0, /* what the model's own tokenizer does (Qwen2: NFC) */
    IDEM_NORMALIZE_NONE,
    IDEM_NORMALIZE_NFC
};

struct idem_model_options {  /* all zero is the default */
    enum idem_activations activations;
    enum idem_cpu cpu;
    enum idem_normalize normalize;
    uint32_t n_threads;      /* for loading; 0: one per processor */
    uint32_t n_ctx;          /* configured context in tokens; 0: what the model was trained for.
                                One that is asked for and does not fit in memory is an error
                                before anything is allocated (IDEM_ERR_LIMIT). */
    bool vocab_only;         /* tokenizer and template only; no weights needed */
    bool facts_only;         /* everything is read and checked, but weights are not loaded: the
                                model can say what it needs (idem_model_memory), not compute */
};

/* Read-only facts; strings live as long as the model and are UTF-8. */
struct idem_model_info {
    const char *path;
    const char *name;         /* general.name, or the file's name */
    const char *arch;         /* general.architecture: "llama", "gemma2", … */
    const char *tokenizer;    /* "gpt2/smollm", "llama/default": model/pre */
    const char *chat_family;  /* "jinja": the file has a template; NULL: none, or none that can be read */
    const char *kernels;      /* "ref", "avx2" */
    enum idem_activations activations;
    uint32_t n_vocab;         /* length of a logits vector */
    uint32_t n_ctx_train, n_ctx;
    uint32_t n_embd, n_layer, n_head, n_head_kv, head_dim, n_ff;
    uint32_t sliding_window;  /* positions that a windowed layer sees; 0: every layer sees all */
    const char *rope;         /* "none", "plain", "linear", "factors" (Llama 3), "short" or "long"
                                 (LongRoPE, chosen by n_ctx); NULL if vocab_only */
    uint64_t n_params;
    uint64_t file_bytes;
    uint64_t kv_bytes_per_block; /* memory of one KV block: 64 tokens in all layers */
    uint64_t weight_bytes;    /* memory of the packed weights */
    uint64_t ops_per_token;   /* multiplies and adds of all matrices but the output's */
    uint64_t ops_per_logits;  /* of the output matrix */
    uint64_t bytes_per_token; /* of the file that one token needs, the output matrix with them */
    int32_t bos, eos, unk, pad;  /* token ids, -1 if absent */
    bool add_bos, add_eos;
};

/* Opens a GGUF file. The file is not needed any more once this has returned.
 * Errors name the file and the key or tensor with its byte offset. */
struct idem_model *idem_model_open(const char *path, const struct idem_model_options *o,
                                   struct idem_err *err);
void idem_model_close(struct idem_model *m);     /* NULL is allowed; close sessions first */
const struct idem_model_info *idem_model_info(const struct idem_model *m);

struct idem_memory {         /* bytes */
    uint64_t weights, kv;    /* kv: the cache of one sequence of n_tokens */
    uint64_t limit;          /* what this machine, or this process's control group, has */
    uint32_t longest;        /* tokens of one sequence that fit beside the weights */
};
/* What a sequence of n_tokens (0: info->n_ctx) would take. */
void idem_model_memory(const struct idem_model *m, uint32_t n_tokens, struct idem_memory *out);

/* SHA-256 of the model file as 64 lower-case hexadecimal digits and a NUL. Reads the file
 * again on the first call (and fails if it is gone or its size changed); later calls are free. */
int idem_model_digest(struct idem_model *m, char hex[65], struct idem_err *err);

/* ---- text and tokens ------------------------------------------------------------------ */

enum idem_tok_flags {
    IDEM_TOK_ADD_SPECIAL = 1,   /* BOS in front and EOS behind where the model wants them */
    IDEM_TOK_PARSE_SPECIAL = 2  /* text such as "<|im_end|>" becomes that control token */
};

/* UTF-8 text to ids. text may hold NUL bytes; invalid UTF-8 is an error that names the byte
 * offset. *n is the number of ids needed; if it exceeds cap nothing is written to ids and the
 * call still succeeds (call again with room). */
int idem_tokenize(const struct idem_model *m, const char *text, size_t len, unsigned flags,
                  int32_t *ids, size_t cap, size_t *n, struct idem_err *err);

/* The bytes that one token stands for (not NUL-terminated, possibly part of a UTF-8
 * character; a control token gives its name, such as "<|im_end|>"). NULL for an id outside the vocabulary. */
const char *idem_token_bytes(const struct idem_model *m, int32_t id, size_t *len);

/* ids to bytes; the space that SentencePiece puts before a text is taken off its start. Control tokens
 * give nothing unless special is true. *len is the length needed; at most cap bytes are
 * written, nothing is terminated. An id outside the vocabulary is an error. */
int idem_detokenize(const struct idem_model *m, const int32_t *ids, size_t n, bool special,
                    char *out, size_t cap, size_t *len, struct idem_err *err);

bool idem_token_is_eog(const struct idem_model *m, int32_t id);     /* ends a generation */
bool idem_token_is_control(const struct idem_model *m, int32_t id);

struct idem_message { const char *role, *content; };   /* role: "system" "user" "assistant" */

/* A variable that a template reads, such as enable_thinking. "true", "false" and "none" are those
 * values, any other word is text. */
struct idem_chat_var { const char *name, *value; };

struct idem_chat_options {
    const char *chat_template;         /* NULL: the model's own; a name ("alpaca", "phi2", "chatml",
                                          "zephyr"); or the text of a template, which has a '{' */
    const struct idem_chat_var *vars;
    size_t n_vars;
    bool add_generation_prompt;        /* end with the opening of the assistant's turn */
};

/* Renders messages with the model's chat template as transformers' apply_chat_template does
 * (docs/chat.md); o NULL: the model's own template, with the opening of the assistant's turn. The
 * text (malloc, the caller frees) holds BOS where the template writes it: tokenise it with
 * IDEM_TOK_PARSE_SPECIAL and without IDEM_TOK_ADD_SPECIAL. Fails for a model without a template, for
 * a template with something that is not known here, and where the template refuses the conversation. */
int idem_chat_render_with(const struct idem_model *m, const struct idem_message *msgs, size_t n,
                          const struct idem_chat_options *o, char **text, struct idem_err *err);

/* The same without options. */
int idem_chat_render(const struct idem_model *m, const struct idem_message *msgs, size_t n,
                     bool add_generation_prompt, char **text, struct idem_err *err);

/* ---- sessions ---------------------------------------------------------------------------- */

struct idem_session_options {  /* all zero is the default */
    uint32_t n_threads;        /* 0: one per processor */
    uint32_t n_chunk;          /* tokens of one forward pass at most, over all sequences; 0: 512 */
    uint64_t max_kv_bytes;     /* ceiling of the KV cache; 0: half of the machine's memory */
};

/* The model must outlive the session. */
struct idem_session *idem_session_open(const struct idem_model *m,
                                       const struct idem_session_options *o,
                                       struct idem_err *err);
void idem_session_close(struct idem_session *s);

/* A sequence is a token prefix with its KV cache. Handles are small integers >= 0. */
int idem_seq_new(struct idem_session *s, struct idem_err *err);                /* empty */
/* An empty sequence with noise added to its arithmetic, for experiments (docs/noise.md): "shuffle",
 * "pairwise", "splitk:4", "batch:16", "bf16", "f16", an order and a rounding such as "splitk:4+bf16",
 * or "none". Its logits are a function of all that has been said and of noise and seed; only shuffle
 * looks at the seed. Sequences with and without noise may be decoded together. */
int idem_seq_new_noisy(struct idem_session *s, const char *noise, uint64_t seed, struct idem_err *err);
/* A new sequence that begins with the first n_tokens of seq, with its noise: whole blocks are shared,
 * nothing is computed. */
int idem_seq_fork(struct idem_session *s, int seq, size_t n_tokens, struct idem_err *err);
void idem_seq_free(struct idem_session *s, int seq);
size_t idem_seq_len(const struct idem_session *s, int seq);                    /* tokens */
uint64_t idem_session_kv_bytes(const struct idem_session *s);                  /* in use now */

enum idem_logits { IDEM_LOGITS_NONE = 0, IDEM_LOGITS_LAST, IDEM_LOGITS_ALL };

struct idem_item {             /* tokens to append to one sequence */
    int seq;                   /* each sequence at most once in a call */
    const int32_t *tokens;
    size_t n_tokens;
    enum idem_logits want;     /* after which of these tokens */
};

/* Called in the caller's thread, items interleaved as they are computed, within one item
 * positions ascending. pos: absolute position of the token after which these logits come.
 * logits[n_vocab] is valid during the call only. A non-zero return stops idem_decode
 * (IDEM_ERR_INTERRUPTED); the sequences are then left at a length between before and after. */
typedef int (*idem_logits_fn)(void *ctx, size_t item, size_t pos, const float *logits);

/* Appends every item's tokens to its sequence, computing all of them together in forward
 * passes of at most n_chunk tokens. A NaN or infinity is IDEM_ERR_NUMERIC and names the layer. */
int idem_decode(struct idem_session *s, const struct idem_item *items, size_t n_items,
                idem_logits_fn fn, void *ctx, struct idem_err *err);

/* ---- numbers from logits ----------------------------------------------------------------- */

struct idem_logstats {         /* of softmax(logits) at temperature 1; docs/numerics.md */
    float max;                 /* largest logit */
    int32_t argmax;            /* lowest id that has it */
    double logsumexp;          /* log-probability of token i = logits[i] - logsumexp */
    double entropy;            /* nats */
};
void idem_logits_stats(const struct idem_model *m, const float *logits, struct idem_logstats *out);

/* ---- this machine ------------------------------------------------------------------------ */

struct idem_machine {         /* what n_threads of this machine can do at most, per second */
    uint32_t n_threads;
    const char *kernels;      /* "avx2": the instruction set that the two below are of */
    double read_bytes;        /* from memory */
    double int8_ops, f32_ops; /* multiplies and adds on registers */
};
/* Measures for about a second. cpu: as in idem_model_options; n_threads 0: one per processor. */
int idem_machine_measure(enum idem_cpu cpu, uint32_t n_threads, struct idem_machine *out,
                         struct idem_err *err);

/* Runs every kernel variant of this CPU against the reference on random, adversarial and
 * tail inputs, by memcmp. report (may be NULL) is called once per kernel and variant. Returns
 * the number of kernels that differ. */
typedef void (*idem_selftest_fn)(void *ctx, const char *kernel, const char *variant,
                                 uint64_t n_cases, bool ok, const char *detail);
int idem_selftest(uint64_t seed, idem_selftest_fn report, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
