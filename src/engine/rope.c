/* SPDX-License-Identifier: MIT
 * The frequencies of the rotary embedding (Su et al. 2021) and the ways to stretch them. */
#include <math.h>

#include "base/detmath.h"
#include "engine/model.h"
#include "engine/weights.h"

static int read_base(struct weights *w, struct rope *r, const char *key, struct idem_err *err)
{
    r->base = 10000.0f;
    return weights_f32(w, key, false, 1.0f, 1e12f, &r->base, err);
}

static int build(struct idem_model *m, struct rope *r, struct idem_err *err)
{
    uint32_t n = m->hp.n_rot / 2;
    r->freq = arena_array(&m->arena, n, sizeof(double));
    if (!r->freq)
        return err_memory(err, "the frequencies of the rotary embedding", n * sizeof(double));
    for (uint32_t i = 0; i < n; i++)
        r->freq[i] = det_pow((double)r->base, -2.0 * (double)i / (double)m->hp.n_rot);
    return 0;
}

/* The vector `name` of divisors of the frequencies; NULL if the file has none. */
static int read_factors(struct weights *w, struct idem_model *m, const char *name, float **factor,
                        struct idem_err *err)
{
    uint32_t n = m->hp.n_rot / 2;
    if (weights_vector(w, factor, n, false, err, "%s", name) != 0)
        return -1;
    for (uint32_t i = 0; *factor && i < n; i++)
        if (!((*factor)[i] >= 1e-6f && (*factor)[i] <= 1e6f))
            return gguf_err_tensor(w->g, gguf_find_tensor(w->g, name), err,
                                   "element %u is %.9g, which is no divisor of a frequency", i,
                                   (double)(*factor)[i]);
    return 0;
}

int model_rope(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    struct rope *r = &m->rope[MODEL_ROPE_GLOBAL];
    float *factor;
    if (read_base(w, r, "rope.freq_base", err) != 0 ||
        weights_rope_scaling(w, false, &r->scale, err) != 0 ||
        read_factors(w, m, "rope_freqs.weight", &factor, err) != 0)
        return -1;
    r->factor = factor;
    r->mscale = 1.0;
    m->info.rope = factor ? "factors" : r->scale != 1.0 ? "linear" : "plain";
    return build(m, r, err);
}

int model_rope_local(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    struct rope *r = &m->rope[MODEL_ROPE_LOCAL];
    if (read_base(w, r, "rope.freq_base_swa", err) != 0)
        return -1;
    r->scale = r->mscale = 1.0;
    return build(m, r, err);
}

int model_rope_long(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    struct rope *r = &m->rope[MODEL_ROPE_GLOBAL];
    uint32_t original = m->hp.n_ctx_train;
    float mscale = 0.0f, *long_factor, *short_factor;
    if (read_base(w, r, "rope.freq_base", err) != 0 ||
        weights_u32(w, "rope.scaling.original_context_length", false, 2, UINT32_MAX, &original,
                    err) != 0 ||
        weights_f32(w, "rope.scaling.attn_factor", false, 0.0f, 1e3f, &mscale, err) != 0 ||
        weights_rope_scaling(w, true, &r->scale, err) != 0 ||
        read_factors(w, m, "rope_factors_long.weight", &long_factor, err) != 0 ||
        read_factors(w, m, "rope_factors_short.weight", &short_factor, err) != 0)
        return -1;
    if (!long_factor != !short_factor)
        return err_set(err, IDEM_ERR_FORMAT, "%s: has only one of the tensors "
                       "'rope_factors_long.weight' and 'rope_factors_short.weight'; the model needs "
                       "both", gguf_path(w->g));
    bool is_long = m->info.n_ctx > original;
    r->factor = is_long ? long_factor : short_factor;
    r->mscale = 1.0;
    if (long_factor && mscale > 0.0f)
        r->mscale = (double)mscale;
    else if (long_factor && m->hp.n_ctx_train > original)
        r->mscale = sqrt(1.0 + det_log((double)m->hp.n_ctx_train / original) / det_log(original));
    m->info.rope = !long_factor ? "plain" : is_long ? "long" : "short";
    return build(m, r, err);
}
