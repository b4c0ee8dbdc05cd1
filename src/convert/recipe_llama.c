/* SPDX-License-Identifier: MIT
 * Llama, Mistral, Granite, MiniCPM, MiniCPM3 and Qwen3: what is their own, and their keys. */
#include <math.h>

#include "convert/recipe_impl.h"

/* ---- llama, mistral, granite, minicpm --------------------------------------------------------------- */

int recipe_llama_read(struct hfconf *c, struct idem_err *err)
{
    c->head_dim = c->n_embd / c->n_head;
    if (recipe_read_head_dim(c, err) != 0)
        return -1;
    c->has_head_dim = c->has_head_dim || c->n_embd % c->n_head == 0;   /* as the class fills it in */
    return 0;
}

int recipe_mistral_read(struct hfconf *c, struct idem_err *err)
{
    const struct jval *raw = jdoc_get(c->doc.root, "sliding_window");
    c->window = raw ? 0 : 4096;          /* null switches it off; absent, the class has one */
    return recipe_llama_read(c, err) != 0 ? -1 : recipe_read_window(c, err);
}

void recipe_llama_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    recipe_common(c, w, file_type);
    recipe_u32(c, w, "vocab_size", c->n_vocab);
    recipe_u32(c, w, "rope.dimension_count", c->n_rot);
    if (c->window && c->window < c->n_ctx)   /* Mistral 7B v0.1; llama.cpp has no window there */
        recipe_u32(c, w, "attention.sliding_window", c->window);
}

int recipe_granite_read(struct hfconf *c, struct idem_err *err)
{
    static const char *const keys[] = {"attention_multiplier", "embedding_multiplier",
                                       "residual_multiplier", "logits_scaling"};
    for (size_t i = 0; i < 4; i++)
        if (recipe_above_0(c, keys[i], false, err) != 0)
            return -1;
    return 0;
}

void recipe_granite_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    recipe_llama_keys(c, w, file_type);
    recipe_f32(c, w, "attention.scale", recipe_value(c, "attention_multiplier", 1));
    recipe_f32(c, w, "embedding_scale", recipe_value(c, "embedding_multiplier", 1));
    recipe_f32(c, w, "residual_scale", recipe_value(c, "residual_multiplier", 1));
    recipe_f32(c, w, "logit_scale", recipe_value(c, "logits_scaling", 1));
}

static int scales_read(struct hfconf *c, bool required, struct idem_err *err)
{
    static const char *const keys[] = {"scale_emb", "scale_depth", "dim_model_base"};
    for (size_t i = 0; i < 3; i++)
        if (recipe_above_0(c, keys[i], required, err) != 0)
            return -1;
    return 0;
}

int recipe_minicpm_read(struct hfconf *c, struct idem_err *err)
{
    return scales_read(c, true, err);
}

static double residual_scale(const struct hfconf *c)
{
    return recipe_value(c, "scale_depth", 1.4) / sqrt((double)c->n_layer);
}

void recipe_minicpm_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    recipe_common(c, w, file_type);
    recipe_f32(c, w, "embedding_scale", recipe_value(c, "scale_emb", 1));
    recipe_f32(c, w, "residual_scale", residual_scale(c));
    recipe_f32(c, w, "logit_scale", (double)c->n_embd / recipe_value(c, "dim_model_base", 1));
    recipe_long_context(c, w);
}

/* ---- minicpm3 ------------------------------------------------------------------------------------------ */

int recipe_minicpm3_read(struct hfconf *c, struct idem_err *err)
{
    uint32_t nope = 0, limit = 1 << 20;
    c->v_dim = c->n_embd / c->n_head;
    if (hfconf_u32(c, "q_lora_rank", true, &c->q_lora, err) != 0 ||
        hfconf_u32(c, "kv_lora_rank", true, &c->kv_lora, err) != 0 ||
        hfconf_u32(c, "qk_nope_head_dim", true, &nope, err) != 0 ||
        hfconf_u32(c, "qk_rope_head_dim", true, &c->rope_dim, err) != 0 ||
        hfconf_u32(c, "v_head_dim", false, &c->v_dim, err) != 0 || scales_read(c, false, err) != 0)
        return -1;
    if (!c->q_lora || c->q_lora > limit || !c->kv_lora || c->kv_lora > limit || nope > 4096 ||
        !c->rope_dim || c->rope_dim > 4096 || !c->v_dim || c->v_dim > 4096)
        return hfconf_err(c, "q_lora_rank", err, "or another size of the latent attention is out of range");
    c->head_dim = nope + c->rope_dim;
    c->n_rot = c->rope_dim;
    return 0;
}

void recipe_minicpm3_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    gguf_put_u32(w, "general.file_type", file_type);
    recipe_u32(c, w, "context_length", c->n_ctx);
    recipe_u32(c, w, "embedding_length", c->n_embd);
    recipe_u32(c, w, "block_count", c->n_layer);
    recipe_u32(c, w, "feed_forward_length", c->n_ff);
    recipe_u32(c, w, "attention.head_count", c->n_head);
    recipe_u32(c, w, "attention.head_count_kv", c->n_head_kv);
    recipe_f32(c, w, "attention.layer_norm_rms_epsilon", c->eps);
    recipe_u32(c, w, "vocab_size", c->n_vocab);
    recipe_u32(c, w, "attention.q_lora_rank", c->q_lora);
    recipe_u32(c, w, "attention.kv_lora_rank", c->kv_lora);
    recipe_u32(c, w, "attention.key_length", c->head_dim);
    recipe_u32(c, w, "rope.dimension_count", c->rope_dim);
    /* what llama.cpp takes for granted, where the model has it otherwise */
    if (c->theta != 1e4)
        recipe_f32(c, w, "rope.freq_base", c->theta);
    if (c->v_dim != c->n_embd / c->n_head)
        recipe_u32(c, w, "attention.value_length", c->v_dim);
    if (recipe_value(c, "scale_emb", 12) != 12)
        recipe_f32(c, w, "embedding_scale", recipe_value(c, "scale_emb", 12));
    if (recipe_value(c, "scale_depth", 1.4) != 1.4)
        recipe_f32(c, w, "residual_scale", residual_scale(c));
    if (recipe_value(c, "dim_model_base", 256) != 256)
        recipe_f32(c, w, "logit_scale", (double)c->n_embd / recipe_value(c, "dim_model_base", 256));
    recipe_long_context(c, w);
}

/* ---- qwen2, qwen3 ----------------------------------------------------------------------------------------- */

int recipe_qwen3_read(struct hfconf *c, struct idem_err *err)
{
    c->head_dim = 128;
    if (recipe_read_head_dim(c, err) != 0)
        return -1;
    c->has_head_dim = true;
    return 0;
}
