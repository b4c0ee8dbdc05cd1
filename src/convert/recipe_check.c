/* SPDX-License-Identifier: MIT
 * Keys of config.json that change the results in a way that the GGUF file or idem cannot say:
 * each has the values with which it changes nothing. */
#include <string.h>

#include "convert/recipe.h"

enum allowed {
    MUST_BE_ABSENT,      /* or null, or an empty object */
    MUST_BE_FALSE,       /* or absent */
    MUST_BE_TRUE,        /* or absent */
    AT_MOST_ONE          /* a number of 0 or 1, or absent */
};

static const struct {
    const char *key;
    enum allowed allowed;
    const char *but;     /* architectures that read it, separated by spaces; NULL: none */
    const char *why;
} checks[] = {
    {"quantization_config", MUST_BE_ABSENT, NULL, "the weights are quantised already; convert the unquantised checkpoint"},
    {"compression_config", MUST_BE_ABSENT, NULL, "the weights are quantised already; convert the unquantised checkpoint"},
    {"num_local_experts", AT_MOST_ONE, NULL, "mixtures of experts are not supported"},
    {"num_experts", AT_MOST_ONE, NULL, "mixtures of experts are not supported"},
    {"n_routed_experts", AT_MOST_ONE, NULL, "mixtures of experts are not supported"},
    {"use_sliding_window", MUST_BE_FALSE, NULL, "a window on some layers only cannot be said in this file"},
    {"attention_bias", MUST_BE_FALSE, "llama qwen3 granite", "this architecture's file has no such biases"},
    {"mlp_bias", MUST_BE_FALSE, "llama granite", "this architecture's file has no such biases"},
    {"qk_layernorm", MUST_BE_FALSE, NULL, "norms of queries and keys are not supported in this architecture"},
    {"use_qk_norm", MUST_BE_FALSE, NULL, "norms of queries and keys are not supported in this architecture"},
    {"use_bidirectional_attention", MUST_BE_FALSE, NULL, "attention to later tokens is not supported"},
    {"is_causal", MUST_BE_TRUE, NULL, "attention to later tokens is not supported"},
    {"is_encoder_decoder", MUST_BE_FALSE, NULL, "encoders are not supported"},
    {"add_cross_attention", MUST_BE_FALSE, NULL, "cross attention is not supported"},
    {"scale_attn_weights", MUST_BE_TRUE, NULL, "attention without 1/sqrt(head size) cannot be said in this file"},
    {"scale_attn_by_inverse_layer_idx", MUST_BE_FALSE, NULL, "attention scaled by the layer cannot be said in this file"},
    {"attn_logit_softcapping", MUST_BE_ABSENT, "gemma2", "soft caps cannot be said in this architecture's file"},
    {"final_logit_softcapping", MUST_BE_ABSENT, "gemma2 gemma3", "soft caps cannot be said in this architecture's file"},
    {"clip_qkv", MUST_BE_ABSENT, NULL, "clipping is not supported"},
    {"logit_scale", MUST_BE_ABSENT, NULL, "scaled logits cannot be said in this architecture's file"},
    {"embedding_multiplier", MUST_BE_ABSENT, "granite minicpm", "cannot be said in this architecture's file"},
    {"residual_multiplier", MUST_BE_ABSENT, "granite minicpm", "cannot be said in this architecture's file"},
    {"attention_multiplier", MUST_BE_ABSENT, "granite minicpm", "cannot be said in this architecture's file"},
    {"logits_scaling", MUST_BE_ABSENT, "granite minicpm", "cannot be said in this architecture's file"},
    {"no_rope_layers", MUST_BE_ABSENT, NULL, "layers without rope cannot be said in this file"},
    {"attention_chunk_size", MUST_BE_ABSENT, NULL, "chunked attention is not supported"},
    {"alibi", MUST_BE_FALSE, NULL, "ALiBi is not supported"},
    {"draft_vocab_size", MUST_BE_ABSENT, NULL, "draft models are not supported"},
};

static bool names(const char *list, const char *arch)
{
    size_t n = strlen(arch);
    for (const char *p = list; p && (p = strstr(p, arch)); p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

static bool passes(const struct jval *v, enum allowed allowed)
{
    double x;
    switch (allowed) {
    case MUST_BE_ABSENT: return !v || (v->type == JDOC_OBJECT && v->n == 0);
    case MUST_BE_FALSE: return !v || v->type == JDOC_FALSE;
    case MUST_BE_TRUE: return !v || v->type == JDOC_TRUE;
    case AT_MOST_ONE: return !v || (jdoc_f64(v, &x) && x <= 1);
    }
    return false;
}

static int unsupported(struct idem_err *err)
{
    if (err)
        err->code = IDEM_ERR_UNSUPPORTED;
    return -1;
}

static int check_activation(const struct hfconf *c, struct idem_err *err)
{
    static const char *const silu[] = {"silu", "swish", NULL};
    static const char *const gelu[] = {"gelu_new", "gelu_pytorch_tanh", "gelu_fast", NULL};
    const char *arch = c->recipe->arch;
    bool gemma = strncmp(arch, "gemma", 5) == 0, gpt2 = strcmp(arch, "gpt2") == 0;
    const char *const *ok = gemma || gpt2 || strcmp(arch, "phi2") == 0 ? gelu : silu;
    const char *key = gemma ? "hidden_activation" : gpt2 ? "activation_function" : "hidden_act";
    const struct jval *v = hfconf_get(c, key);
    for (size_t i = 0; v && ok[i]; i++)
        if (jdoc_is(v, ok[i]))
            return 0;
    if (!v)
        return 0;    /* the class's own */
    hfconf_err(c, key, err, "asks for the activation %s%.*s%s; this architecture's file means %s",
               v->type == JDOC_STRING ? "'" : "", v->type == JDOC_STRING ? (int)(v->str.len < 64 ? v->str.len : 64) : 0,
               v->type == JDOC_STRING ? v->str.s : "", v->type == JDOC_STRING ? "'" : "that is no string", ok[0]);
    return unsupported(err);
}

/* layer_types: every layer as the architecture has it. */
static int check_layers(const struct hfconf *c, struct idem_err *err)
{
    const struct jval *list = hfconf_get(c, "layer_types"), *window = hfconf_get(c, "sliding_window");
    const char *arch = c->recipe->arch;
    uint32_t period = strcmp(arch, "gemma2") == 0 ? 2 : strcmp(arch, "gemma3") == 0 ? 6 : 0, given = period;
    const char *key = hfconf_get(c, "_sliding_window_pattern") ? "_sliding_window_pattern" : "sliding_window_pattern";
    if (hfconf_u32(c, key, false, &given, err) != 0)
        return -1;
    if (given != period && !list) {
        hfconf_err(c, key, err, "is %u; this architecture's file means %u", given, period);
        return unsupported(err);
    }
    if (!list)
        return 0;
    if (list->type != JDOC_ARRAY)
        return hfconf_err(c, "layer_types", err, "must be an array");
    bool windowed = window && strcmp(arch, "qwen2") != 0 && strcmp(arch, "qwen3") != 0;
    for (size_t i = 0; i < list->n; i++) {
        bool slides = period ? (i + 1) % period != 0 : windowed;
        if (!jdoc_is(&list->items[i], slides ? "sliding_attention" : "full_attention")) {
            hfconf_err(c, "layer_types", err, "has another kind of layer %zu than this architecture's file means (%s)",
                       i, slides ? "sliding_attention" : "full_attention");
            return unsupported(err);
        }
    }
    return 0;
}

int recipe_check(const struct hfconf *c, struct idem_err *err)
{
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        const struct jval *v = hfconf_get(c, checks[i].key);
        if (passes(v, checks[i].allowed) || names(checks[i].but, c->recipe->arch))
            continue;
        hfconf_err(c, checks[i].key, err, "cannot be converted: %s", checks[i].why);
        return unsupported(err);
    }
    return check_activation(c, err) != 0 ? -1 : check_layers(c, err);
}
