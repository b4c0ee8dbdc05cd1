/* SPDX-License-Identifier: MIT
 * The recipes: which class becomes which architecture, and the keys of each. */
#include "convert/recipe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gguf/gguf_write.h"

/* ---- "<arch>.<key>" --------------------------------------------------------------------------- */

enum { KEY = 128 };

static const char *key_of(char out[KEY], const struct hfconf *c, const char *key)
{
    snprintf(out, KEY, "%s.%s", c->recipe->arch, key);
    return out;
}

static void u32(const struct hfconf *c, struct gguf_writer *w, const char *key, uint32_t v)
{
    char k[KEY];
    gguf_put_u32(w, key_of(k, c, key), v);
}

static void f32(const struct hfconf *c, struct gguf_writer *w, const char *key, double v)
{
    char k[KEY];
    gguf_put_f32(w, key_of(k, c, key), v);
}

static void str(const struct hfconf *c, struct gguf_writer *w, const char *key, const char *v)
{
    char k[KEY];
    gguf_put_str(w, key_of(k, c, key), v);
}

/* ---- what several have -------------------------------------------------------------------------- */

/* The keys that llama.cpp's common part writes. */
static void common(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    u32(c, w, "block_count", c->n_layer);
    u32(c, w, "context_length", c->n_ctx);
    u32(c, w, "embedding_length", c->n_embd);
    u32(c, w, "feed_forward_length", c->n_ff);
    u32(c, w, "attention.head_count", c->n_head);
    u32(c, w, "attention.head_count_kv", c->n_head_kv);
    if (c->rope == ROPE_LINEAR) {
        str(c, w, "rope.scaling.type", "linear");
        f32(c, w, "rope.scaling.factor", c->rope_factor);
    } else if (c->rope == ROPE_LONG) {
        str(c, w, "rope.scaling.type", "longrope");
    }
    if (c->has_theta || strcmp(c->recipe->arch, "minicpm") != 0)
        f32(c, w, "rope.freq_base", c->theta);
    if (strcmp(c->recipe->arch, "gemma3") == 0)
        f32(c, w, "rope.freq_base_swa", c->theta_local);
    f32(c, w, "attention.layer_norm_rms_epsilon", c->eps);
    if (c->has_head_dim) {
        u32(c, w, "attention.key_length", c->head_dim);
        u32(c, w, "attention.value_length", c->v_dim);
    }
    gguf_put_u32(w, "general.file_type", file_type);
}

/* Where the context was trained shorter, which llama.cpp leaves out for MiniCPM: which factors
 * apply follows from it. */
static void long_context(const struct hfconf *c, struct gguf_writer *w)
{
    if (c->rope != ROPE_LONG)
        return;
    if (c->n_ctx_orig != c->n_ctx)
        u32(c, w, "rope.scaling.original_context_length", c->n_ctx_orig);
    if (c->rope_attn_factor != 1)
        f32(c, w, "rope.scaling.attn_factor", c->rope_attn_factor);
}

static int read_head_dim(struct hfconf *c, struct idem_err *err)
{
    c->has_head_dim = hfconf_get(c, "head_dim") != NULL;
    if (hfconf_u32(c, "head_dim", false, &c->head_dim, err) != 0)
        return -1;
    return 0;
}

static int read_window(struct hfconf *c, struct idem_err *err)
{
    return hfconf_u32(c, "sliding_window", false, &c->window, err);
}

/* ---- llama, mistral, granite, minicpm --------------------------------------------------------------- */

static int llama_read(struct hfconf *c, struct idem_err *err)
{
    c->head_dim = c->n_embd / c->n_head;
    if (read_head_dim(c, err) != 0)
        return -1;
    c->has_head_dim = c->has_head_dim || c->n_embd % c->n_head == 0;   /* as the class fills it in */
    return 0;
}

static int mistral_read(struct hfconf *c, struct idem_err *err)
{
    const struct jval *raw = jdoc_get(c->doc.root, "sliding_window");
    c->window = raw ? 0 : 4096;          /* null switches it off; absent, the class has one */
    return llama_read(c, err) != 0 ? -1 : read_window(c, err);
}

static void llama_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    common(c, w, file_type);
    u32(c, w, "vocab_size", c->n_vocab);
    u32(c, w, "rope.dimension_count", c->n_rot);
    if (c->window && c->window < c->n_ctx)   /* Mistral 7B v0.1; llama.cpp has no window there */
        u32(c, w, "attention.sliding_window", c->window);
}

/* A number of config.json that the file gets unless it is 0 there. */
static double value_of(const struct hfconf *c, const char *key, double absent)
{
    double v = absent;
    return hfconf_f64(c, key, false, &v, NULL) == 0 ? v : absent;
}

static int granite_read(struct hfconf *c, struct idem_err *err)
{
    static const char *const keys[] = {"attention_multiplier", "embedding_multiplier",
                                       "residual_multiplier", "logits_scaling"};
    for (size_t i = 0; i < 4; i++) {
        double v = 1;
        if (hfconf_f64(c, keys[i], false, &v, err) != 0)
            return -1;
        if (!(v > 0))
            return hfconf_err(c, keys[i], err, "must be above 0");
    }
    return 0;
}

static void granite_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    llama_keys(c, w, file_type);
    f32(c, w, "attention.scale", value_of(c, "attention_multiplier", 1));
    f32(c, w, "embedding_scale", value_of(c, "embedding_multiplier", 1));
    f32(c, w, "residual_scale", value_of(c, "residual_multiplier", 1));
    f32(c, w, "logit_scale", value_of(c, "logits_scaling", 1));
}

static int scales_read(struct hfconf *c, bool required, struct idem_err *err)
{
    static const char *const keys[] = {"scale_emb", "scale_depth", "dim_model_base"};
    for (size_t i = 0; i < 3; i++) {
        double v = 1;
        if (hfconf_f64(c, keys[i], required, &v, err) != 0)
            return -1;
        if (!(v > 0))
            return hfconf_err(c, keys[i], err, "must be above 0");
    }
    return 0;
}

static int minicpm_read(struct hfconf *c, struct idem_err *err)
{
    return scales_read(c, true, err);
}

static double residual_scale(const struct hfconf *c)
{
    return value_of(c, "scale_depth", 1.4) / sqrt((double)c->n_layer);
}

static void minicpm_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    common(c, w, file_type);
    f32(c, w, "embedding_scale", value_of(c, "scale_emb", 1));
    f32(c, w, "residual_scale", residual_scale(c));
    f32(c, w, "logit_scale", (double)c->n_embd / value_of(c, "dim_model_base", 1));
    long_context(c, w);
}

/* ---- minicpm3 ------------------------------------------------------------------------------------------ */

static int minicpm3_read(struct hfconf *c, struct idem_err *err)
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

static void minicpm3_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    gguf_put_u32(w, "general.file_type", file_type);
    u32(c, w, "context_length", c->n_ctx);
    u32(c, w, "embedding_length", c->n_embd);
    u32(c, w, "block_count", c->n_layer);
    u32(c, w, "feed_forward_length", c->n_ff);
    u32(c, w, "attention.head_count", c->n_head);
    u32(c, w, "attention.head_count_kv", c->n_head_kv);
    f32(c, w, "attention.layer_norm_rms_epsilon", c->eps);
    u32(c, w, "vocab_size", c->n_vocab);
    u32(c, w, "attention.q_lora_rank", c->q_lora);
    u32(c, w, "attention.kv_lora_rank", c->kv_lora);
    u32(c, w, "attention.key_length", c->head_dim);
    u32(c, w, "rope.dimension_count", c->rope_dim);
    /* what llama.cpp takes for granted, where the model has it otherwise */
    if (c->theta != 1e4)
        f32(c, w, "rope.freq_base", c->theta);
    if (c->v_dim != c->n_embd / c->n_head)
        u32(c, w, "attention.value_length", c->v_dim);
    if (value_of(c, "scale_emb", 12) != 12)
        f32(c, w, "embedding_scale", value_of(c, "scale_emb", 12));
    if (value_of(c, "scale_depth", 1.4) != 1.4)
        f32(c, w, "residual_scale", residual_scale(c));
    if (value_of(c, "dim_model_base", 256) != 256)
        f32(c, w, "logit_scale", (double)c->n_embd / value_of(c, "dim_model_base", 256));
    long_context(c, w);
}

/* ---- qwen2, qwen3 ----------------------------------------------------------------------------------------- */

static int qwen3_read(struct hfconf *c, struct idem_err *err)
{
    c->head_dim = 128;
    if (read_head_dim(c, err) != 0)
        return -1;
    c->has_head_dim = true;
    return 0;
}

/* ---- gemma2, gemma3 ------------------------------------------------------------------------------------------ */

static int gemma_read(struct hfconf *c, struct idem_err *err)
{
    c->head_dim = 256;
    c->window = 4096;
    if (read_head_dim(c, err) != 0 || read_window(c, err) != 0)
        return -1;
    c->has_head_dim = true;
    if (!c->window)
        return hfconf_err(c, "sliding_window", err, "must be above 0");
    if (!c->tied)
        return hfconf_err(c, "tie_word_embeddings", err, "is false, but a Gemma file's output is its embedding");
    double v = 1;
    if (hfconf_f64(c, "query_pre_attn_scalar", false, &v, err) != 0)
        return -1;
    return v > 0 ? 0 : hfconf_err(c, "query_pre_attn_scalar", err, "must be above 0");
}

static int gemma2_read(struct hfconf *c, struct idem_err *err)
{
    static const char *const keys[] = {"attn_logit_softcapping", "final_logit_softcapping"};
    for (size_t i = 0; i < 2; i++) {
        double v = 1;
        /* null switches the cap off, which the file cannot say */
        const struct jval *raw = jdoc_get(c->doc.root, keys[i]);
        if (raw && raw->type == JDOC_NULL)
            return jdoc_err(&c->doc, raw, err, "key '%s' is null; this architecture's file has a cap always", keys[i]);
        if (hfconf_f64(c, keys[i], false, &v, err) != 0)
            return -1;
        if (!(v > 0))
            return hfconf_err(c, keys[i], err, "must be above 0");
    }
    return gemma_read(c, err);
}

/* llama.cpp knows the scale by the number of layers: the 27B divides by the width of a head
 * of n_embd / n_head. A model that means another one says so in a key of idem's. */
static void gemma_scale(const struct hfconf *c, struct gguf_writer *w, uint32_t layers_27b)
{
    double scalar = value_of(c, "query_pre_attn_scalar", 256);
    double meant = c->n_layer == layers_27b ? (double)c->n_embd / c->n_head : c->head_dim;
    if (scalar != meant)
        f32(c, w, "attention.scale", 1 / sqrt(scalar));
}

static void gemma2_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    u32(c, w, "context_length", c->n_ctx);
    u32(c, w, "embedding_length", c->n_embd);
    u32(c, w, "block_count", c->n_layer);
    u32(c, w, "feed_forward_length", c->n_ff);
    u32(c, w, "attention.head_count", c->n_head);
    u32(c, w, "attention.head_count_kv", c->n_head_kv);
    f32(c, w, "attention.layer_norm_rms_epsilon", c->eps);
    u32(c, w, "attention.key_length", c->head_dim);
    u32(c, w, "attention.value_length", c->head_dim);
    gguf_put_u32(w, "general.file_type", file_type);
    f32(c, w, "attn_logit_softcapping", value_of(c, "attn_logit_softcapping", 50));
    f32(c, w, "final_logit_softcapping", value_of(c, "final_logit_softcapping", 30));
    u32(c, w, "attention.sliding_window", c->window);
    if (c->theta != 1e4)
        f32(c, w, "rope.freq_base", c->theta);
    gemma_scale(c, w, 46);
}

static void gemma3_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    common(c, w, file_type);
    double cap = value_of(c, "final_logit_softcapping", 0);
    if (cap > 0)
        f32(c, w, "final_logit_softcapping", cap);
    u32(c, w, "attention.sliding_window", c->window);
    gemma_scale(c, w, 62);
}

/* ---- gpt2, phi2, phi3 -------------------------------------------------------------------------------------------- */

static void gpt2_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    u32(c, w, "block_count", c->n_layer);
    u32(c, w, "context_length", c->n_ctx);
    u32(c, w, "embedding_length", c->n_embd);
    u32(c, w, "feed_forward_length", c->n_ff);
    u32(c, w, "attention.head_count", c->n_head);
    f32(c, w, "attention.layer_norm_epsilon", c->eps);
    gguf_put_u32(w, "general.file_type", file_type);
}

static int phi_read(struct hfconf *c, struct idem_err *err)
{
    double part = strcmp(c->recipe->arch, "phi2") == 0 ? 0.5 : 1;
    if (!jdoc_f64(jdoc_get(c->rope_params, "partial_rotary_factor"), &part) &&
        hfconf_f64(c, "partial_rotary_factor", false, &part, err) != 0)
        return -1;
    if (!(part > 0 && part <= 1))
        return hfconf_err(c, "partial_rotary_factor", err, "must be above 0 and at most 1");
    c->n_rot = (uint32_t)((double)c->head_dim * part);
    if (strcmp(c->recipe->arch, "phi3") == 0)
        return read_window(c, err);
    return 0;
}

static void phi2_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    u32(c, w, "context_length", c->n_ctx);
    u32(c, w, "embedding_length", c->n_embd);
    u32(c, w, "feed_forward_length", c->n_ff);
    u32(c, w, "block_count", c->n_layer);
    u32(c, w, "attention.head_count", c->n_head);
    u32(c, w, "attention.head_count_kv", c->n_head_kv);
    f32(c, w, "attention.layer_norm_epsilon", c->eps);
    u32(c, w, "rope.dimension_count", c->n_rot);
    gguf_put_u32(w, "general.file_type", file_type);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false);
    if (c->theta != 1e4)
        f32(c, w, "rope.freq_base", c->theta);
}

static void phi3_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type)
{
    u32(c, w, "context_length", c->n_ctx);
    u32(c, w, "rope.scaling.original_context_length", c->n_ctx_orig);
    u32(c, w, "embedding_length", c->n_embd);
    u32(c, w, "feed_forward_length", c->n_ff);
    u32(c, w, "block_count", c->n_layer);
    u32(c, w, "attention.head_count", c->n_head);
    u32(c, w, "attention.head_count_kv", c->n_head_kv);
    f32(c, w, "attention.layer_norm_rms_epsilon", c->eps);
    u32(c, w, "rope.dimension_count", c->n_rot);
    f32(c, w, "rope.freq_base", c->theta);
    gguf_put_u32(w, "general.file_type", file_type);
    u32(c, w, "attention.sliding_window", c->window);
    if (c->rope == ROPE_LONG)
        f32(c, w, "rope.scaling.attn_factor", c->rope_attn_factor);
}

/* ---- the table ------------------------------------------------------------------------------------------------------ */

enum { R = 1 << ROPE_DEFAULT, R_LINEAR = 1 << ROPE_LINEAR, R_3 = 1 << ROPE_LLAMA3, R_LONG = 1 << ROPE_LONG };

static const struct recipe table[] = {
    {"LlamaForCausalLM", "llama", recipe_rows_llama, R | R_LINEAR | R_3, false, llama_read, llama_keys},
    {"MistralForCausalLM", "llama", recipe_rows_llama, R | R_LINEAR | R_3, false, mistral_read, llama_keys},
    {"Qwen2ForCausalLM", "qwen2", recipe_rows_qwen2, R | R_LINEAR, false, NULL, common},
    {"Qwen3ForCausalLM", "qwen3", recipe_rows_qwen3, R | R_LINEAR, false, qwen3_read, common},
    {"Gemma2ForCausalLM", "gemma2", recipe_rows_gemma2, R, true, gemma2_read, gemma2_keys},
    {"Gemma3ForCausalLM", "gemma3", recipe_rows_gemma3, R | R_LINEAR, true, gemma_read, gemma3_keys},
    {"Gemma3ForConditionalGeneration", "gemma3", recipe_rows_gemma3, R | R_LINEAR, true, gemma_read, gemma3_keys},
    {"GPT2LMHeadModel", "gpt2", recipe_rows_gpt2, 0, true, NULL, gpt2_keys},
    {"MiniCPMForCausalLM", "minicpm", recipe_rows_llama, R | R_LINEAR | R_LONG, true, minicpm_read, minicpm_keys},
    {"MiniCPM3ForCausalLM", "minicpm3", recipe_rows_minicpm3, R | R_LONG, true, minicpm3_read, minicpm3_keys},
    {"PhiForCausalLM", "phi2", recipe_rows_phi2, R, false, phi_read, phi2_keys},
    {"Phi3ForCausalLM", "phi3", recipe_rows_phi3, R | R_LONG, false, phi_read, phi3_keys},
    {"GraniteForCausalLM", "granite", recipe_rows_llama, R | R_LINEAR, false, granite_read, granite_keys},
};

const struct recipe *recipe_find(struct jstr hf_class)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (jdoc_eq(hf_class, table[i].hf_class))
            return &table[i];
    return NULL;
}

void recipe_list(struct buf *out)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        buf_addf(out, "%s%s", i ? ", " : "", table[i].hf_class);
}
