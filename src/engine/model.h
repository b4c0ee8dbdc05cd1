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
    uint32_t n_vocab, n_ctx_train, n_embd, n_layer, n_head, n_head_kv, n_ff;
    uint32_t head_dim;        /* of queries and keys */
    uint32_t v_dim;           /* of values; head_dim but for latent attention */
    uint32_t n_rot;           /* dimensions of a head that are rotated, even; 0: none */
    uint32_t rot_first;       /* the first of them */
    bool rope_neox;           /* pairs (i, i + n_rot/2), else (2i, 2i+1) */
    float eps;                /* of the norms */
    float embd_scale;         /* of token embeddings; 1: none */
    float attn_scale;         /* of queries */
    float residual_scale;     /* of each branch before it is added; 1: none */
    float out_scale;          /* of the last norm's output; 1: none */
    float attn_softcap, final_softcap;   /* of attention scores and of logits; 0: none */
    uint32_t window;          /* positions that a windowed layer sees, itself included; 0: all */
    uint32_t window_period;   /* every window_period-th layer sees all, the others the window; 0: none
                                 sees all */
    uint32_t q_lora, kv_lora; /* ranks of latent attention; 0: none */
};

/* Angle of pair i at position p, in binary64: p * freq[i] / factor[i] * scale. Its cosine and
 * sine are rounded to binary32 after they are multiplied by mscale. */
struct rope {
    float base;
    double *freq;             /* [n_rot / 2] base^(-2 i / n_rot); NULL: this one is not used */
    const float *factor;      /* [n_rot / 2], or NULL: no division */
    double scale;             /* 1 / linear scaling factor */
    double mscale;            /* 1 but for long factors */
};

/* Weights of one layer; a matrix W[n_out][n_in] that is not there has n_rows 0, a vector NULL. */
struct layer {
    float *attn_norm, *ffn_norm;                     /* [n_embd] */
    float *attn_norm_b, *ffn_norm_b;                 /* biases of LayerNorm, or NULL: RMSNorm */
    struct kern_matrix wq, wk, wv, wo;               /* [heads * head_dim][n_embd]; wo transposed */
    float *bq, *bk, *bv, *bo;                        /* biases or NULL */
    float *q_norm, *k_norm;                          /* [head_dim] or NULL */
    float *post_attn_norm, *post_ffn_norm;           /* [n_embd] or NULL */
    struct kern_matrix gate, up, down;               /* [n_ff][n_embd], [n_ff][n_embd], [n_embd][n_ff] */
    float *b_gate, *b_up, *b_down;                   /* biases or NULL */
    struct mla *mla;                                 /* latent attention, or NULL */
    uint32_t window;                                 /* 0: sees all positions */
    uint32_t rope;                                   /* MODEL_ROPE_GLOBAL or _LOCAL */
};

/* Multi-head latent attention (DeepSeek-V2, 2024): queries and keys come through narrow latents. */
struct mla {
    struct kern_matrix q_a, q_b;                     /* [q_lora][n_embd], [n_head * head_dim][q_lora] */
    struct kern_matrix kv_a, k_rope;                 /* [kv_lora][n_embd], [n_rot][n_embd] */
    struct kern_matrix kv_b;                         /* [n_head * (rot_first + v_dim)][kv_lora] */
    float *q_a_norm, *kv_a_norm;                     /* [q_lora], [kv_lora] */
};

/* One architecture is one of these in a file arch_*.c, and its name in MODEL_ARCHS. */
struct arch {
    const char *name;         /* general.architecture */
    bool layer_norm;          /* LayerNorm with bias, else RMSNorm */
    /* Reads what is special in the keys; the common ones are in m->hp already. */
    int (*read_hparams)(struct weights *w, struct idem_model *m, struct idem_err *err);
    /* Declares the tensors of layer il, checking type and shape. */
    int (*read_layer)(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err);
    /* All layers over the rows of one pass; leaves the residual stream in p->x. */
    int (*forward)(struct pass *p, struct idem_err *err);
};
/* The table of architectures: each X is the end of a name arch_X. */
#define MODEL_ARCHS(each) \
    each(llama) each(qwen2) each(qwen3) each(gemma2) each(gemma3) each(gpt2) each(phi2) \
    each(phi3) each(minicpm) each(granite) each(minicpm3)
#define MODEL_DECLARE_ARCH(X) extern const struct arch arch_##X;
MODEL_ARCHS(MODEL_DECLARE_ARCH)

/* The decoders of arch_llama.c and arch_gemma2.c, for architectures that differ from them in
 * hyperparameters and optional tensors only. */
int arch_llama_read_layer(struct weights *w, struct idem_model *m, uint32_t il,
                          struct idem_err *err);
int arch_llama_forward(struct pass *p, struct idem_err *err);
int arch_gemma2_read_layer(struct weights *w, struct idem_model *m, uint32_t il,
                           struct idem_err *err);
int arch_gemma2_forward(struct pass *p, struct idem_err *err);

struct idem_model {
    struct idem_model_info info;
    struct hparams hp;
    const struct arch *arch;          /* NULL if vocab_only */
    const struct kern_ops *k;
    bool f32;                         /* IDEM_ACTIVATIONS_F32 */
    bool asked_ctx;                   /* the context was asked for, and fits in memory */
    struct arena arena;               /* layers, vectors, strings */
    uint8_t *packed;                  /* all packed matrices in one mapping */
    size_t packed_bytes;
    struct layer *layers;             /* [n_layer] */
    struct kern_matrix embd;          /* [n_vocab][n_embd] */
    const struct kern_matrix *output; /* &embd if tied */
    struct kern_matrix output_own;
    float *output_bias;               /* [n_vocab] or NULL */
    float *output_norm, *output_norm_b;   /* [n_embd]; the bias is NULL for RMSNorm */
    struct kern_matrix pos_embd;      /* [n_ctx_train][n_embd] learned positions; n_rows 0: none */
    struct rope rope[MODEL_N_ROPES];
    struct tokenizer *tok;
    const char *jinja;                /* the file's own chat template, or NULL */
    size_t jinja_len;

    struct stat file;                 /* as it was when opened */
    pthread_mutex_t digest_lock;
    char digest[65];                  /* "" until asked for */
};

/* ---- rope.c, for read_hparams of an architecture ---------------------------------------------- */

/* rope[MODEL_ROPE_GLOBAL] from rope.freq_base, linear scaling and rope_freqs.weight. */
int model_rope(struct weights *w, struct idem_model *m, struct idem_err *err);
/* rope[MODEL_ROPE_LOCAL] from rope.freq_base_swa, without scaling. */
int model_rope_local(struct weights *w, struct idem_model *m, struct idem_err *err);
/* rope[MODEL_ROPE_GLOBAL] of LongRoPE (Ding et al. 2024): rope_factors_long.weight if the configured
 * context exceeds rope.scaling.original_context_length, else rope_factors_short.weight. */
int model_rope_long(struct weights *w, struct idem_model *m, struct idem_err *err);

/* The name that kern_select knows; "?" for none. */
const char *model_cpu_name(enum idem_cpu cpu);

/* Of the KV cache and of attention. */
struct kern_attn_shape model_attn_shape(const struct idem_model *m);

/* Widest input of any matrix product, in columns. */
size_t model_max_cols(const struct idem_model *m);

#endif
