/* SPDX-License-Identifier: MIT
 * Rotary positions in config.json: rope_parameters (transformers 5), or rope_theta and
 * rope_scaling (before). A scaling that the architecture's GGUF file cannot say is an error. */
#include <math.h>
#include <string.h>

#include "base/detmath.h"
#include "convert/hfconf.h"
#include "convert/recipe.h"

static const struct jval *param(const struct hfconf *c, const char *key)
{
    const struct jval *v = jdoc_get(c->rope_params, key);
    return v && v->type != JDOC_NULL ? v : NULL;
}

static int bad(const struct hfconf *c, const struct jval *v, const char *key, struct idem_err *err,
               const char *what)
{
    return jdoc_err(&c->doc, v ? v : c->rope_params, err, "key '%s' of the rope parameters %s", key, what);
}

/* A positive number of the rope parameters, else of the root under the same name. */
static int number(const struct hfconf *c, const char *key, bool required, double *out, struct idem_err *err)
{
    const struct jval *v = param(c, key);
    if (!v)
        v = hfconf_get(c, key);
    if (!v)
        return required ? bad(c, NULL, key, err, "is missing") : 0;
    return jdoc_f64(v, out) && *out > 0 ? 0 : bad(c, v, key, err, "must be a number above 0");
}

static int read_type(struct hfconf *c, struct idem_err *err)
{
    static const struct { const char *name; enum rope_type type; } names[] = {
        {"default", ROPE_DEFAULT}, {"linear", ROPE_LINEAR}, {"llama3", ROPE_LLAMA3},
        {"longrope", ROPE_LONG}, {"su", ROPE_LONG},
    };
    const struct jval *v = param(c, "rope_type");
    const char *key = v ? "rope_type" : "type";
    v = v ? v : param(c, "type");
    if (!v)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (jdoc_is(v, names[i].name)) {
            c->rope = names[i].type;
            if (c->recipe->ropes & (1u << c->rope))
                return 0;
        }
    if (v->type != JDOC_STRING)
        return bad(c, v, key, err, "must be a string");
    jdoc_err(&c->doc, v, err, "key '%s' of the rope parameters asks for '%.*s', which a %s file for idem cannot say",
             key, (int)(v->str.len < 64 ? v->str.len : 64), v->str.s, c->recipe->arch);
    if (err)
        err->code = IDEM_ERR_UNSUPPORTED;
    return -1;
}

/* Gemma 3 has one set of parameters for the window layers and one for the others. */
static int split_layers(struct hfconf *c, struct idem_err *err)
{
    const struct jval *full = param(c, "full_attention"), *local = param(c, "sliding_attention"), *type;
    c->theta_local = 1e4;
    if (hfconf_f64(c, "rope_local_base_freq", false, &c->theta_local, err) != 0)
        return -1;
    if (!full && !local)
        return 0;
    if (!full || !local || strcmp(c->recipe->arch, "gemma3") != 0)
        return bad(c, full ? full : local, full ? "full_attention" : "sliding_attention", err,
                   "stands for some layers only, which this architecture's file cannot say");
    type = jdoc_get(local, "rope_type");
    const struct jval *theta = jdoc_get(local, "rope_theta");
    if ((type && !jdoc_is(type, "default")) || (theta && !jdoc_f64(theta, &c->theta_local)))
        return bad(c, local, "sliding_attention", err, "must have rope_type default and a number as rope_theta");
    c->rope_params = full;
    return 0;
}

static int read_longrope(struct hfconf *c, struct idem_err *err)
{
    double orig = strcmp(c->recipe->arch, "phi3") == 0 ? 4096 : c->n_ctx;
    if (number(c, "original_max_position_embeddings", false, &orig, err) != 0)
        return -1;
    if (orig < 2 || orig > 1e9 || orig != floor(orig))
        return bad(c, NULL, "original_max_position_embeddings", err, "must be a whole number above 1");
    c->n_ctx_orig = (uint32_t)orig;
    double scale = c->n_ctx / orig;
    c->rope_attn_factor = scale > 1 ? sqrt(1 + det_log(scale) / det_log(orig)) : 1;
    return number(c, "attention_factor", false, &c->rope_attn_factor, err);
}

int hfconf_rope(struct hfconf *c, struct idem_err *err)
{
    if (!c->recipe->ropes)
        return 0;
    c->rope_params = hfconf_get(c, "rope_parameters");
    if (!c->rope_params)
        c->rope_params = hfconf_get(c, "rope_scaling");
    if (c->rope_params && c->rope_params->type != JDOC_OBJECT)
        return jdoc_err(&c->doc, c->rope_params, err, "the rope parameters must be an object");
    bool gemma3 = strcmp(c->recipe->arch, "gemma3") == 0;
    if (split_layers(c, err) != 0 || read_type(c, err) != 0)
        return -1;
    c->theta = gemma3 ? 1e6 : 1e4;
    c->has_theta = param(c, "rope_theta") || hfconf_get(c, "rope_theta");
    double partial = 1;
    bool may_be_partial = strncmp(c->recipe->arch, "phi", 3) == 0;
    if (number(c, "rope_theta", false, &c->theta, err) != 0 ||
        number(c, "partial_rotary_factor", false, &partial, err) != 0)
        return -1;
    if (partial != 1 && !may_be_partial)
        return bad(c, param(c, "partial_rotary_factor"), "partial_rotary_factor", err,
                   "is not 1, which this architecture's file cannot say");
    if (param(c, "mrope_section"))
        return bad(c, param(c, "mrope_section"), "mrope_section", err, "cannot be converted");
    if (c->rope == ROPE_LINEAR && number(c, "factor", true, &c->rope_factor, err) != 0)
        return -1;
    return c->rope == ROPE_LONG || strcmp(c->recipe->arch, "phi3") == 0 ? read_longrope(c, err) : 0;
}
