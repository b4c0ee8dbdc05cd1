/* SPDX-License-Identifier: MIT
 * Tensors: Hugging Face name, GGUF name, shape, what is done to it, when it is there. */
#include "convert/recipe.h"

#define W WHEN_ALWAYS
#define EMBED(embed)                                                                              \
    {embed, "token_embd", DIM_VOCAB, DIM_EMBD, OP_COPY, W, WHEN_NEVER}
#define HEAD(when) {"lm_head", "output", DIM_VOCAB, DIM_EMBD, OP_COPY, when, WHEN_NEVER}
#define NORM(hf, gguf, op) {hf, gguf, DIM_EMBD, DIM_NONE, op, W, WHEN_NEVER}
/* LayerNorm has a bias too */
#define LAYER_NORM(hf, gguf) {hf, gguf, DIM_EMBD, DIM_NONE, OP_COPY, W, W}
#define L "model.layers.*."
#define MLP(bias)                                                                                 \
    {L "mlp.gate_proj", "blk.*.ffn_gate", DIM_FF, DIM_EMBD, OP_COPY, W, bias},                    \
    {L "mlp.up_proj", "blk.*.ffn_up", DIM_FF, DIM_EMBD, OP_COPY, W, bias},                        \
    {L "mlp.down_proj", "blk.*.ffn_down", DIM_EMBD, DIM_FF, OP_COPY, W, bias}
#define ATTENTION(op_q, op_k, bias, bias_o)                                                       \
    {L "self_attn.q_proj", "blk.*.attn_q", DIM_Q, DIM_EMBD, op_q, W, bias},                       \
    {L "self_attn.k_proj", "blk.*.attn_k", DIM_KV, DIM_EMBD, op_k, W, bias},                      \
    {L "self_attn.v_proj", "blk.*.attn_v", DIM_KV, DIM_EMBD, OP_COPY, W, bias},                   \
    {L "self_attn.o_proj", "blk.*.attn_output", DIM_EMBD, DIM_O, OP_COPY, W, bias_o}

/* also Mistral, MiniCPM and Granite */
const struct recipe_row recipe_rows_llama[] = {
    EMBED("model.embed_tokens"), HEAD(WHEN_UNTIED), NORM("model.norm", "output_norm", OP_COPY),
    NORM(L "input_layernorm", "blk.*.attn_norm", OP_COPY),
    NORM(L "post_attention_layernorm", "blk.*.ffn_norm", OP_COPY),
    ATTENTION(OP_PERMUTE_Q, OP_PERMUTE_K, WHEN_ATTENTION_BIAS, WHEN_ATTENTION_BIAS),
    MLP(WHEN_MLP_BIAS), {0},
};

const struct recipe_row recipe_rows_qwen2[] = {
    EMBED("model.embed_tokens"), HEAD(WHEN_UNTIED), NORM("model.norm", "output_norm", OP_COPY),
    NORM(L "input_layernorm", "blk.*.attn_norm", OP_COPY),
    NORM(L "post_attention_layernorm", "blk.*.ffn_norm", OP_COPY),
    ATTENTION(OP_COPY, OP_COPY, WHEN_ALWAYS, WHEN_NEVER), MLP(WHEN_NEVER), {0},
};

#define QK_NORM(op)                                                                               \
    {L "self_attn.q_norm", "blk.*.attn_q_norm", DIM_HEAD, DIM_NONE, op, W, WHEN_NEVER},           \
    {L "self_attn.k_norm", "blk.*.attn_k_norm", DIM_HEAD, DIM_NONE, op, W, WHEN_NEVER}

const struct recipe_row recipe_rows_qwen3[] = {
    EMBED("model.embed_tokens"), HEAD(WHEN_UNTIED), NORM("model.norm", "output_norm", OP_COPY),
    NORM(L "input_layernorm", "blk.*.attn_norm", OP_COPY),
    NORM(L "post_attention_layernorm", "blk.*.ffn_norm", OP_COPY),
    ATTENTION(OP_COPY, OP_COPY, WHEN_ATTENTION_BIAS, WHEN_ATTENTION_BIAS), QK_NORM(OP_COPY),
    MLP(WHEN_NEVER), {0},
};

#define GEMMA                                                                                     \
    EMBED("model.embed_tokens"), HEAD(WHEN_DROPPED), NORM("model.norm", "output_norm", OP_ADD_ONE), \
    NORM(L "input_layernorm", "blk.*.attn_norm", OP_ADD_ONE),                                     \
    NORM(L "post_attention_layernorm", "blk.*.post_attention_norm", OP_ADD_ONE),                  \
    NORM(L "pre_feedforward_layernorm", "blk.*.ffn_norm", OP_ADD_ONE),                            \
    NORM(L "post_feedforward_layernorm", "blk.*.post_ffw_norm", OP_ADD_ONE),                      \
    ATTENTION(OP_COPY, OP_COPY, WHEN_NEVER, WHEN_NEVER), MLP(WHEN_NEVER)

const struct recipe_row recipe_rows_gemma2[] = {GEMMA, {0}};
const struct recipe_row recipe_rows_gemma3[] = {GEMMA, QK_NORM(OP_ADD_ONE), {0}};

/* names may begin with "transformer." */
const struct recipe_row recipe_rows_gpt2[] = {
    EMBED("wte"), {"wpe", "position_embd", DIM_CTX, DIM_EMBD, OP_COPY, W, WHEN_NEVER},
    HEAD(WHEN_UNTIED), LAYER_NORM("ln_f", "output_norm"),
    LAYER_NORM("h.*.ln_1", "blk.*.attn_norm"), LAYER_NORM("h.*.ln_2", "blk.*.ffn_norm"),
    {"h.*.attn.c_attn", "blk.*.attn_qkv", DIM_QKV, DIM_EMBD, OP_TRANSPOSE, W, W},
    {"h.*.attn.c_proj", "blk.*.attn_output", DIM_EMBD, DIM_O, OP_TRANSPOSE, W, W},
    {"h.*.mlp.c_fc", "blk.*.ffn_up", DIM_FF, DIM_EMBD, OP_TRANSPOSE, W, W},
    {"h.*.mlp.c_proj", "blk.*.ffn_down", DIM_EMBD, DIM_FF, OP_TRANSPOSE, W, W},
    {"h.*.attn", NULL, DIM_NONE, DIM_NONE, OP_COPY, WHEN_NEVER, WHEN_DROPPED},   /* the causal mask */
    {0},
};

const struct recipe_row recipe_rows_minicpm3[] = {
    EMBED("model.embed_tokens"), HEAD(WHEN_UNTIED), NORM("model.norm", "output_norm", OP_COPY),
    NORM(L "input_layernorm", "blk.*.attn_norm", OP_COPY),
    NORM(L "post_attention_layernorm", "blk.*.ffn_norm", OP_COPY),
    {L "self_attn.q_a_proj", "blk.*.attn_q_a", DIM_Q_LORA, DIM_EMBD, OP_COPY, W, WHEN_NEVER},
    {L "self_attn.q_a_layernorm", "blk.*.attn_q_a_norm", DIM_Q_LORA, DIM_NONE, OP_COPY, W, WHEN_NEVER},
    {L "self_attn.q_b_proj", "blk.*.attn_q_b", DIM_Q, DIM_Q_LORA, OP_COPY, W, WHEN_NEVER},
    {L "self_attn.kv_a_proj_with_mqa", "blk.*.attn_kv_a_mqa", DIM_KV_A, DIM_EMBD, OP_COPY, W, WHEN_NEVER},
    {L "self_attn.kv_a_layernorm", "blk.*.attn_kv_a_norm", DIM_KV_LORA, DIM_NONE, OP_COPY, W, WHEN_NEVER},
    {L "self_attn.kv_b_proj", "blk.*.attn_kv_b", DIM_KV_B, DIM_KV_LORA, OP_COPY, W, WHEN_NEVER},
    {L "self_attn.o_proj", "blk.*.attn_output", DIM_EMBD, DIM_O, OP_COPY, W, WHEN_NEVER},
    MLP(WHEN_NEVER), {0},
};

const struct recipe_row recipe_rows_phi2[] = {
    EMBED("model.embed_tokens"), {"lm_head", "output", DIM_VOCAB, DIM_EMBD, OP_COPY, W, W},
    LAYER_NORM("model.final_layernorm", "output_norm"), LAYER_NORM(L "input_layernorm", "blk.*.attn_norm"),
    {L "self_attn.q_proj", "blk.*.attn_q", DIM_Q, DIM_EMBD, OP_COPY, W, W},
    {L "self_attn.k_proj", "blk.*.attn_k", DIM_KV, DIM_EMBD, OP_COPY, W, W},
    {L "self_attn.v_proj", "blk.*.attn_v", DIM_KV, DIM_EMBD, OP_COPY, W, W},
    {L "self_attn.dense", "blk.*.attn_output", DIM_EMBD, DIM_O, OP_COPY, W, W},
    {L "mlp.fc1", "blk.*.ffn_up", DIM_FF, DIM_EMBD, OP_COPY, W, W},
    {L "mlp.fc2", "blk.*.ffn_down", DIM_EMBD, DIM_FF, OP_COPY, W, W}, {0},
};

const struct recipe_row recipe_rows_phi3[] = {
    EMBED("model.embed_tokens"), HEAD(WHEN_UNTIED), NORM("model.norm", "output_norm", OP_COPY),
    NORM(L "input_layernorm", "blk.*.attn_norm", OP_COPY),
    NORM(L "post_attention_layernorm", "blk.*.ffn_norm", OP_COPY),
    {L "self_attn.qkv_proj", "blk.*.attn_qkv", DIM_QKV, DIM_EMBD, OP_COPY, W, WHEN_NEVER},
    {L "self_attn.o_proj", "blk.*.attn_output", DIM_EMBD, DIM_O, OP_COPY, W, WHEN_NEVER},
    {L "mlp.gate_up_proj", "blk.*.ffn_up", DIM_FF2, DIM_EMBD, OP_COPY, W, WHEN_NEVER},
    {L "mlp.down_proj", "blk.*.ffn_down", DIM_EMBD, DIM_FF, OP_COPY, W, WHEN_NEVER}, {0},
};

uint64_t recipe_dim(const struct hfconf *c, enum recipe_dim d)
{
    uint64_t q = (uint64_t)c->n_head * c->head_dim, kv = (uint64_t)c->n_head_kv * c->head_dim;
    switch (d) {
    case DIM_NONE: return 0;
    case DIM_EMBD: return c->n_embd;
    case DIM_FF: return c->n_ff;
    case DIM_FF2: return 2 * (uint64_t)c->n_ff;
    case DIM_VOCAB: return c->n_vocab;
    case DIM_CTX: return c->n_ctx;
    case DIM_HEAD: return c->head_dim;
    case DIM_Q: return q;
    case DIM_KV: return kv;
    case DIM_V: return (uint64_t)c->n_head_kv * c->v_dim;
    case DIM_O: return (uint64_t)c->n_head * c->v_dim;
    case DIM_QKV: return q + 2 * kv;
    case DIM_Q_LORA: return c->q_lora;
    case DIM_KV_LORA: return c->kv_lora;
    case DIM_KV_A: return (uint64_t)c->kv_lora + c->rope_dim;
    case DIM_KV_B: return (uint64_t)c->n_head * (c->head_dim - c->rope_dim + c->v_dim);
    }
    return 0;
}
