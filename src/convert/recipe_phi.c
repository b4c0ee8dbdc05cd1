/* SPDX-License-Identifier: MIT
 * GPT-2, Phi-2 and Phi-3: what is their own, and their keys. */
#include <string.h>

#include "convert/recipe_impl.h"

void recipe_gpt2_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    recipe_u32(c, w, "block_count", c->n_layer);
    recipe_u32(c, w, "context_length", c->n_ctx);
    recipe_u32(c, w, "embedding_length", c->n_embd);
    recipe_u32(c, w, "feed_forward_length", c->n_ff);
    recipe_u32(c, w, "attention.head_count", c->n_head);
    recipe_f32(c, w, "attention.layer_norm_epsilon", c->eps);
    gguf_put_u32(w, "general.file_type", file_type);
}

int recipe_phi_read(struct hfconf *c, struct idem_err *err)
{
    double part = strcmp(c->recipe->arch, "phi2") == 0 ? 0.5 : 1;
    if (!jdoc_f64(jdoc_get(c->rope_params, "partial_rotary_factor"), &part) &&
        hfconf_f64(c, "partial_rotary_factor", false, &part, err) != 0)
        return -1;
    if (!(part > 0 && part <= 1))
        return hfconf_err(c, "partial_rotary_factor", err, "must be above 0 and at most 1");
    c->n_rot = (uint32_t)((double)c->head_dim * part);
    if (strcmp(c->recipe->arch, "phi3") == 0)
        return recipe_read_window(c, err);
    return 0;
}

void recipe_phi2_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    recipe_u32(c, w, "context_length", c->n_ctx);
    recipe_u32(c, w, "embedding_length", c->n_embd);
    recipe_u32(c, w, "feed_forward_length", c->n_ff);
    recipe_u32(c, w, "block_count", c->n_layer);
    recipe_u32(c, w, "attention.head_count", c->n_head);
    recipe_u32(c, w, "attention.head_count_kv", c->n_head_kv);
    recipe_f32(c, w, "attention.layer_norm_epsilon", c->eps);
    recipe_u32(c, w, "rope.dimension_count", c->n_rot);
    gguf_put_u32(w, "general.file_type", file_type);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false);
    if (c->theta != 1e4)
        recipe_f32(c, w, "rope.freq_base", c->theta);
}

void recipe_phi3_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    recipe_u32(c, w, "context_length", c->n_ctx);
    recipe_u32(c, w, "rope.scaling.original_context_length", c->n_ctx_orig);
    recipe_u32(c, w, "embedding_length", c->n_embd);
    recipe_u32(c, w, "feed_forward_length", c->n_ff);
    recipe_u32(c, w, "block_count", c->n_layer);
    recipe_u32(c, w, "attention.head_count", c->n_head);
    recipe_u32(c, w, "attention.head_count_kv", c->n_head_kv);
    recipe_f32(c, w, "attention.layer_norm_rms_epsilon", c->eps);
    recipe_u32(c, w, "rope.dimension_count", c->n_rot);
    recipe_f32(c, w, "rope.freq_base", c->theta);
    gguf_put_u32(w, "general.file_type", file_type);
    recipe_u32(c, w, "attention.sliding_window", c->window);
    if (c->rope == ROPE_LONG)
        recipe_f32(c, w, "rope.scaling.attn_factor", c->rope_attn_factor);
}
