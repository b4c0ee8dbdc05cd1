/* SPDX-License-Identifier: MIT
 * What several architectures read from config.json and write as keys. */
#include <stdio.h>
#include <string.h>

#include "convert/recipe_impl.h"

/* ---- "<arch>.<key>" --------------------------------------------------------------------------- */

enum { KEY = 128 };

static const char *recipe_key(char out[KEY], const struct hfconf *c, const char *key)
{
    snprintf(out, KEY, "%s.%s", c->recipe->arch, key);
    return out;
}

void recipe_u32(const struct hfconf *c, struct gguf_writer *w, const char *key, uint32_t v)
{
    char k[KEY];
    gguf_put_u32(w, recipe_key(k, c, key), v);
}

void recipe_f32(const struct hfconf *c, struct gguf_writer *w, const char *key, double v)
{
    char k[KEY];
    gguf_put_f32(w, recipe_key(k, c, key), v);
}

void recipe_str(const struct hfconf *c, struct gguf_writer *w, const char *key, const char *v)
{
    char k[KEY];
    gguf_put_str(w, recipe_key(k, c, key), v);
}

/* ---- what several have -------------------------------------------------------------------------- */

/* The keys that llama.cpp's common part writes. */
void recipe_common(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    recipe_u32(c, w, "block_count", c->n_layer);
    recipe_u32(c, w, "context_length", c->n_ctx);
    recipe_u32(c, w, "embedding_length", c->n_embd);
    recipe_u32(c, w, "feed_forward_length", c->n_ff);
    recipe_u32(c, w, "attention.head_count", c->n_head);
    recipe_u32(c, w, "attention.head_count_kv", c->n_head_kv);
    if (c->rope == ROPE_LINEAR) {
        recipe_str(c, w, "rope.scaling.type", "linear");
        recipe_f32(c, w, "rope.scaling.factor", c->rope_factor);
    } else if (c->rope == ROPE_LONG) {
        recipe_str(c, w, "rope.scaling.type", "longrope");
    }
    if (c->has_theta || strcmp(c->recipe->arch, "minicpm") != 0)
        recipe_f32(c, w, "rope.freq_base", c->theta);
    if (strcmp(c->recipe->arch, "gemma3") == 0)
        recipe_f32(c, w, "rope.freq_base_swa", c->theta_local);
    recipe_f32(c, w, "attention.layer_norm_rms_epsilon", c->eps);
    if (c->has_head_dim) {
        recipe_u32(c, w, "attention.key_length", c->head_dim);
        recipe_u32(c, w, "attention.value_length", c->v_dim);
    }
    gguf_put_u32(w, "general.file_type", file_type);
}

/* Where the context was trained shorter, which llama.cpp leaves out for MiniCPM: which factors
 * apply follows from it. */
void recipe_long_context(const struct hfconf *c, struct gguf_writer *w)
{
    if (c->rope != ROPE_LONG)
        return;
    if (c->n_ctx_orig != c->n_ctx)
        recipe_u32(c, w, "rope.scaling.original_context_length", c->n_ctx_orig);
    if (c->rope_attn_factor != 1)
        recipe_f32(c, w, "rope.scaling.attn_factor", c->rope_attn_factor);
}

int recipe_read_head_dim(struct hfconf *c, struct idem_err *err)
{
    c->has_head_dim = hfconf_get(c, "head_dim") != NULL;
    return hfconf_u32(c, "head_dim", false, &c->head_dim, err);
}

int recipe_read_window(struct hfconf *c, struct idem_err *err)
{
    return hfconf_u32(c, "sliding_window", false, &c->window, err);
}

int recipe_above_0(const struct hfconf *c, const char *key, bool required, struct idem_err *err)
{
    double v = 1;
    if (hfconf_f64(c, key, required, &v, err) != 0)
        return -1;
    return v > 0 ? 0 : hfconf_err(c, key, err, "must be above 0");
}

double recipe_value(const struct hfconf *c, const char *key, double absent)
{
    double v = absent;
    return hfconf_f64(c, key, false, &v, NULL) == 0 ? v : absent;
}
