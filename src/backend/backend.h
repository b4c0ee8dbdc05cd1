/* SPDX-License-Identifier: MIT
 * One interface to whatever computes: the built-in engine (local.c) now, servers later. */
#ifndef BACKEND_H
#define BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "record/record.h"

struct backend_description {
    char name[32];            /* "local" */
    char version[64];         /* of idem, or of the server */
    char numerics[64];        /* "idem-numerics-1/q8", with "/rope-long" or "/rope-short" where the
                                 configured context decides */
    char model_name[256];
    char model_digest[65];    /* SHA-256 of the file */
    char arch[32], tokenizer[64], chat_family[32], kernels[16];
    uint32_t n_vocab, n_ctx;
    uint64_t weight_bytes, kv_bytes_per_token;   /* memory; 0: not known */
    uint64_t memory_limit;    /* what this machine, or this process's control group, has */
};

struct backend_logits {       /* handed to the callback of step */
    size_t item;              /* index in the call */
    size_t pos;               /* absolute position of the token before these logits */
    const float *logits;      /* [n_vocab], valid during the call */
    float max;
    int32_t argmax;
    double logsumexp, entropy;
};
typedef int (*backend_logits_fn)(void *ctx, const struct backend_logits *l);

struct backend_item {         /* tokens to append to one node */
    int node;
    const int32_t *tokens;
    size_t n_tokens;
    bool all_logits;          /* after every token, else after the last */
};

enum backend_text {           /* what a text is to the tokenizer */
    BACKEND_TEXT_PLAIN = 0,   /* BOS and EOS are added where the model wants them */
    BACKEND_TEXT_SPECIAL,     /* the same, and names of control tokens become those tokens */
    BACKEND_TEXT_CHAT         /* from ops->chat: control tokens by name, nothing is added */
};

struct arith_noise;
struct idem_chat_options;
struct backend;
struct backend_ops {
    const char *name;
    int (*describe)(struct backend *b, struct backend_description *d, struct idem_err *err);
    /* Length of a logits vector and context in tokens, without reading the model for its digest. */
    void (*sizes)(struct backend *b, uint32_t *n_vocab, uint32_t *n_ctx);
    int (*tokenize)(struct backend *b, const char *text, size_t len, enum backend_text kind,
                    int32_t **ids, size_t *n, struct idem_err *err);      /* caller frees ids */
    int (*chat)(struct backend *b, const char *system, const char *user,
                const struct idem_chat_options *o, char **text,
                struct idem_err *err);     /* system and o may be NULL; caller frees text */
    const char *(*token_bytes)(struct backend *b, int32_t id, size_t *len);
    bool (*is_eog)(struct backend *b, int32_t id);
    bool (*is_control)(struct backend *b, int32_t id);   /* gives no text (token_bytes: its name) */

    /* The prefix tree: nodes are token prefixes. Only `local` has these. */
    int (*host)(struct backend *b, uint32_t threads, uint32_t chunk, struct idem_err *err); /* for later calls */
    int (*node_new)(struct backend *b, struct idem_err *err);             /* the empty prefix */
    /* The empty prefix with noise added to the arithmetic of all that follows it, in its forks too.
     * NULL: this backend cannot. */
    int (*node_new_noisy)(struct backend *b, const struct arith_noise *z, struct idem_err *err);
    int (*fork)(struct backend *b, int node, size_t n_tokens, struct idem_err *err);
    int (*step)(struct backend *b, const struct backend_item *items, size_t n_items,
                backend_logits_fn fn, void *ctx, struct idem_err *err);
    void (*release)(struct backend *b, int node);
    void (*close)(struct backend *b);
};

struct backend {
    const struct backend_ops *ops;
};

struct backend_local_options {
    const char *cpu;           /* "auto" */
    bool f32;                  /* activations */
    bool normalize_none, normalize_nfc;
    uint32_t threads, chunk, n_ctx;   /* 0: defaults */
};
struct backend *backend_local_open(const char *model_path, const struct backend_local_options *o,
                                   struct idem_err *err);

#endif
