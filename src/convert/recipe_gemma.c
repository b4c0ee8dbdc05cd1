/* SPDX-License-Identifier: MIT
 * Gemma 2 and Gemma 3: what is their own, and their keys. */
#include <math.h>

#include "convert/recipe_impl.h"

int recipe_gemma_read(struct hfconf *c, struct idem_err *err)
{
    c->head_dim = 256;
    c->window = 4096;
    if (recipe_read_head_dim(c, err) != 0 || recipe_read_window(c, err) != 0)
        return -1;
    c->has_head_dim = true;
    if (!c->window)
        return hfconf_err(c, "sliding_window", err, "must be above 0");
    if (!c->tied)
        return hfconf_err(c, "tie_word_embeddings", err, "is false, but a Gemma file's output is its embedding");
    return recipe_above_0(c, "query_pre_attn_scalar", false, err);
}

int recipe_gemma2_read(struct hfconf *c, struct idem_err *err)
{
    static const char *const keys[] = {"attn_logit_softcapping", "final_logit_softcapping"};
    for (size_t i = 0; i < 2; i++) {
        /* null switches the cap off, which the file cannot say */
        const struct jval *raw = jdoc_get(c->doc.root, keys[i]);
        if (raw && raw->type == JDOC_NULL)
            return jdoc_err(&c->doc, raw, err, "key '%s' is null; this architecture's file has a cap always", keys[i]);
        if (recipe_above_0(c, keys[i], false, err) != 0)
            return -1;
    }
    return recipe_gemma_read(c, err);
}

/* llama.cpp knows the scale by the number of layers: the 27B divides by the width of a head
 * of n_embd / n_head. A model that means another one says so in a key of idem's. */
static void gemma_scale(const struct hfconf *c, struct gguf_writer *w, uint32_t layers_27b)
{
    double scalar = recipe_value(c, "query_pre_attn_scalar", 256);
    double meant = c->n_layer == layers_27b ? (double)c->n_embd / c->n_head : c->head_dim;
    if (scalar != meant)
        recipe_f32(c, w, "attention.scale", 1 / sqrt(scalar));
}

void recipe_gemma2_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    recipe_u32(c, w, "context_length", c->n_ctx);
    recipe_u32(c, w, "embedding_length", c->n_embd);
    recipe_u32(c, w, "block_count", c->n_layer);
    recipe_u32(c, w, "feed_forward_length", c->n_ff);
    recipe_u32(c, w, "attention.head_count", c->n_head);
    recipe_u32(c, w, "attention.head_count_kv", c->n_head_kv);
    recipe_f32(c, w, "attention.layer_norm_rms_epsilon", c->eps);
    recipe_u32(c, w, "attention.key_length", c->head_dim);
    recipe_u32(c, w, "attention.value_length", c->head_dim);
    gguf_put_u32(w, "general.file_type", file_type);
    recipe_f32(c, w, "attn_logit_softcapping", recipe_value(c, "attn_logit_softcapping", 50));
    recipe_f32(c, w, "final_logit_softcapping", recipe_value(c, "final_logit_softcapping", 30));
    recipe_u32(c, w, "attention.sliding_window", c->window);
    if (c->theta != 1e4)
        recipe_f32(c, w, "rope.freq_base", c->theta);
    gemma_scale(c, w, 46);
}

void recipe_gemma3_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    recipe_common(c, w, file_type);
    double cap = recipe_value(c, "final_logit_softcapping", 0);
    if (cap > 0)
        recipe_f32(c, w, "final_logit_softcapping", cap);
    recipe_u32(c, w, "attention.sliding_window", c->window);
    gemma_scale(c, w, 62);
}
