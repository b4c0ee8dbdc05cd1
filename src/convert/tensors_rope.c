/* SPDX-License-Identifier: MIT
 * The tensors of rope: divisors of the frequencies, which config.json has as numbers. */
#include <stdio.h>
#include <string.h>

#include "base/detmath.h"
#include "convert/tensors.h"

#define PI 3.14159265358979323846

static float *add(struct tensors *ts, const char *name, size_t n, struct idem_err *err)
{
    float *values = arena_array(&ts->arena, n, sizeof *values);
    if (!values) {
        err_memory(err, name, n * sizeof *values);
        return NULL;
    }
    struct out_tensor *o = &ts->items[ts->n++];
    *o = (struct out_tensor){.values = values, .rows = 1, .cols = n, .vector = true, .type = QTYPE_F32};
    snprintf(o->name, sizeof o->name, "%s.weight", name);
    ts->n_params += n;
    return values;
}

static int number(const struct hfconf *c, const char *key, double absent, double *out, struct idem_err *err)
{
    const struct jval *v = jdoc_get(c->rope_params, key);
    *out = absent;
    if (v && (!jdoc_f64(v, out) || !(*out > 0)))
        return jdoc_err(&c->doc, v, err, "key '%s' of the rope parameters must be a number above 0", key);
    return 0;
}

/* Llama 3.1: long waves are stretched by `factor`, short ones stay, between them a ramp. The steps
 * are in binary32, as in transformers. */
static int llama3(struct tensors *ts, const struct hfconf *c, struct idem_err *err)
{
    double factor, low, high, orig;
    if (number(c, "factor", 8, &factor, err) != 0 || number(c, "low_freq_factor", 1, &low, err) != 0 ||
        number(c, "high_freq_factor", 4, &high, err) != 0 ||
        number(c, "original_max_position_embeddings", 8192, &orig, err) != 0)
        return -1;
    if (high <= low)
        return jdoc_err(&c->doc, c->rope_params, err, "high_freq_factor must be above low_freq_factor");
    float *out = add(ts, "rope_freqs", c->head_dim / 2, err);
    for (uint32_t i = 0; out && i < c->head_dim / 2; i++) {
        float freq = 1.0f / (float)det_pow(c->theta, (float)(2 * i) / (float)c->head_dim);
        float wave = (float)(2 * PI) / freq;
        if (wave < (float)(orig / high)) {
            out[i] = 1;
        } else if (wave > (float)(orig / low)) {
            out[i] = (float)factor;
        } else {
            float smooth = ((float)orig / wave - (float)low) / (float)(high - low);
            out[i] = 1 / ((1 - smooth) / (float)factor + smooth);
        }
    }
    return out ? 0 : -1;
}

static int factors(struct tensors *ts, const struct hfconf *c, const char *key, const char *name,
                   struct idem_err *err)
{
    const struct jval *v = jdoc_get(c->rope_params, key);
    size_t n = c->n_rot / 2;
    if (!v || v->type != JDOC_ARRAY || v->n != n)
        return jdoc_err(&c->doc, v ? v : c->rope_params, err,
                        "'%s' of the rope parameters must be an array of %zu numbers", key, n);
    float *out = add(ts, name, n, err);
    for (size_t i = 0; out && i < n; i++) {
        double x;
        if (!jdoc_f64(&v->items[i], &x) || !(x > 0))
            return jdoc_err(&c->doc, &v->items[i], err, "a factor of rope must be a number above 0");
        out[i] = (float)x;
    }
    return out ? 0 : -1;
}

int tensors_add_rope(struct tensors *ts, const struct hfconf *c, struct idem_err *err)
{
    if (c->rope == ROPE_LLAMA3)
        return llama3(ts, c, err);
    if (c->rope != ROPE_LONG)
        return 0;
    return factors(ts, c, "long_factor", "rope_factors_long", err) != 0 ? -1
           : factors(ts, c, "short_factor", "rope_factors_short", err);
}
