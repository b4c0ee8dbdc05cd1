/* SPDX-License-Identifier: MIT
 * The immutable model: hyperparameters, packed weights, and the table of architectures. */
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/err.h"
#include "engine/chat.h"
#include "engine/tokenizer.h"
#include "gguf/gguf.h"
#include "idem.h"
#include "kernels/kernels.h"

struct pass;      /* ops.h */
struct weights;   /* weights.h */

enum {
    MODEL_ROPE_GLOBAL = 0,
    MODEL_ROPE_LOCAL = 1,   /* of layers with a sliding window, where it differs */
    MODEL_N_ROPES = 2
};

struct hparams {
    uint32_t n_vocab, n_ctx_train, n_embd, n_layer, n_head, n_head_kv, head_dim, n_ff;
    uint32_t n_rot;           /* leading dimensions of a head that are rotated, even */
    bool rope_neox;           /* pairs (i, i + n_rot/2), else (2i, 2i+1) */
    float eps;                /* of the RMS norms */
    float embd_scale;         /* of token embeddings; 1: none */
    float attn_scale;         /* of queries */
    uint32_t window;          /* positions that a windowed layer sees, itself included; 0: all */
    uint32_t window_period;   /* every window_period-th layer sees all, the others the window */
};

/* Angle of pair i at position p, in binary64: p * freq[i] / factor[i] * scale. */
struct rope {
    double *freq;             /* [n_rot / 2] base^(-2 i / n_rot); NULL: this one is not used */
    const float *factor;      /* [n_rot / 2] from rope_freqs.weight, or NULL: no division */
    double scale;             /* 1 / linear scaling factor */
};

/* Weights of one layer; a matrix W[n_out][n_in] that is not there has n_rows 0, a vector NULL. */
struct layer {
    float *attn_norm, *ffn_norm;                     /* [n_embd] */
    struct kern_matrix wq, wk, wv, wo;               /* [heads * head_dim][n_embd]; wo transposed */
    float *bq, *bk, *bv, *bo;                        /* biases or NULL */
    float *q_norm, *k_norm;                          /* [head_dim] or NULL */
    float *post_attn_norm, *post_ffn_norm;           /* [n_embd] or NULL */
    struct kern_matrix gate, up, down;               /* [n_ff][n_embd], [n_ff][n_embd], [n_embd][n_ff] */
    uint32_t window;                                 /* 0: sees all positions */
    uint32_t rope;                                   /* MODEL_ROPE_GLOBAL or _LOCAL */
};

/* One architecture is one file arch_*.c with one of these, listed in model.c. */
struct arch {
    const char *name;         /* general.architecture */
    /* Reads what is special in the keys; the common ones are in m->hp already. */
    int (*read_hparams)(struct weights *w, struct idem_model *m, struct idem_err *err);
    /* Declares the tensors of layer il, checking type and shape. */
    int (*read_layer)(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err);
    /* All layers over the rows of one pass; leaves the residual stream in p->x. */
    int (*forward)(struct pass *p, struct idem_err *err);
};
extern const struct arch arch_llama, arch_qwen2, arch_gemma3;

/* The decoder of arch_llama.c, for architectures that differ in their hyperparameters only. */
int arch_llama_read_layer(struct weights *w, struct idem_model *m, uint32_t il,
                          struct idem_err *err);
int arch_llama_forward(struct pass *p, struct idem_err *err);

struct idem_model {
    struct idem_model_info info;
    struct hparams hp;
    const struct arch *arch;          /* NULL if vocab_only */
    const struct kern_ops *k;
    bool f32;                         /* IDEM_ACTIVATIONS_F32 */
    struct arena arena;               /* layers, vectors, strings */
    uint8_t *packed;                  /* all packed matrices in one mapping */
    size_t packed_bytes;
    struct layer *layers;             /* [n_layer] */
    struct kern_matrix embd;          /* [n_vocab][n_embd] */
    const struct kern_matrix *output; /* &embd if tied */
    struct kern_matrix output_own;
    float *output_bias;               /* [n_vocab] or NULL */
    float *output_norm;               /* [n_embd] */
    struct rope rope[MODEL_N_ROPES];
    struct tokenizer *tok;
    const struct chat_family *chat;
    const char *jinja;                /* the file's own chat template, or NULL */
    size_t jinja_len;

    struct stat file;                 /* as it was when opened */
    pthread_mutex_t digest_lock;
    char digest[65];                  /* "" until asked for */
};

/* For read_hparams of an architecture: rope[MODEL_ROPE_GLOBAL] from rope.freq_base, linear scaling
 * and rope_freqs.weight; rope[MODEL_ROPE_LOCAL] from rope.freq_base_swa, without scaling. */
int model_rope(struct weights *w, struct idem_model *m, struct idem_err *err);
int model_rope_local(struct weights *w, struct idem_model *m, struct idem_err *err);

/* Of the KV cache and of attention. */
struct kern_attn_shape model_attn_shape(const struct idem_model *m);

/* Widest input of any matrix product, in columns. */
size_t model_max_cols(const struct idem_model *m);

#endif
