/* SPDX-License-Identifier: MIT
 * What each architecture's checkpoint becomes: one recipe per Hugging Face class. */
#ifndef CONVERT_RECIPE_H
#define CONVERT_RECIPE_H

#include "convert/hfconf.h"

struct gguf_writer;

/* Lengths that a configuration gives; rows x columns of a weight, rows of a bias. */
enum recipe_dim {
    DIM_NONE = 0, DIM_EMBD, DIM_FF, DIM_FF2 /* 2 n_ff */, DIM_VOCAB, DIM_CTX, DIM_HEAD,
    DIM_Q /* n_head head_dim */, DIM_KV, DIM_V, DIM_O /* n_head v_dim */,
    DIM_QKV /* q, k and v in one */, DIM_Q_LORA, DIM_KV_LORA, DIM_KV_A, DIM_KV_B
};

enum recipe_op {
    OP_COPY = 0,
    OP_PERMUTE_Q, OP_PERMUTE_K,   /* each head's halves interleaved: rope of neighbouring pairs */
    OP_TRANSPOSE,                 /* Conv1D has [in][out] */
    OP_ADD_ONE                    /* Gemma's norms multiply by 1 + weight */
};

/* When a tensor must be there; where it must not be, its presence is an error. */
enum recipe_when {
    WHEN_NEVER = 0, WHEN_ALWAYS, WHEN_ATTENTION_BIAS, WHEN_MLP_BIAS,
    WHEN_UNTIED,                  /* tied: it may stand there as a copy of the embedding */
    WHEN_DROPPED                  /* never written, whether there or not */
};

struct recipe_row {
    const char *hf, *gguf;        /* without ".weight" and ".bias"; '*': the layer. NULL ends */
    enum recipe_dim rows, cols;   /* as in PyTorch (of OP_TRANSPOSE: of the result) */
    enum recipe_op op;
    enum recipe_when weight, bias;
};

struct recipe {
    const char *hf_class;         /* architectures[0] */
    const char *arch;             /* general.architecture */
    const struct recipe_row *rows;
    unsigned ropes;               /* bit 1 << enum rope_type: scalings that GGUF and idem express */
    bool tied;                    /* the class's default of tie_word_embeddings */
    int (*read)(struct hfconf *c, struct idem_err *err);   /* what is its own in config.json; or NULL */
    /* The architecture's keys, in llama.cpp's order; file_type goes where it stands there. */
    void (*keys)(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type);
};

const struct recipe *recipe_find(struct jstr hf_class);    /* or NULL */
void recipe_list(struct buf *out);                          /* "LlamaForCausalLM, ..." */
uint64_t recipe_dim(const struct hfconf *c, enum recipe_dim d);

/* recipe_check.c: keys whose value would change the results unseen. */
int recipe_check(const struct hfconf *c, struct idem_err *err);

/* recipe_tensors.c */
extern const struct recipe_row recipe_rows_llama[], recipe_rows_qwen2[], recipe_rows_qwen3[],
    recipe_rows_gemma2[], recipe_rows_gemma3[], recipe_rows_gpt2[], recipe_rows_minicpm3[],
    recipe_rows_phi2[], recipe_rows_phi3[];

#endif
