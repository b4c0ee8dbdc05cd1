/* SPDX-License-Identifier: MIT
 * The gemma3 architecture (Gemma team 2025): gemma2 without soft caps, with norms of queries and
 * keys per head; five layers with a sliding window and a rope of their own, then one that sees
 * all. */
#include <math.h>

#include "engine/model.h"
#include "engine/weights.h"

enum { LAYERS_OF_27B = 62 };

static int read_hparams(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    struct hparams *hp = &m->hp;
    hp->rope_neox = true;
    hp->embd_scale = sqrtf((float)hp->n_embd);
    if (hp->n_layer == LAYERS_OF_27B)        /* query_pre_attn_scalar is not in the file */
        hp->attn_scale = 1.0f / sqrtf((float)hp->n_embd / (float)hp->n_head);
    hp->window_period = 6;
    if (weights_u32(w, "attention.sliding_window", true, 1, UINT32_MAX, &hp->window, err) != 0 ||
        weights_u32(w, "attention.sliding_window_pattern", false, 1, UINT32_MAX,
                    &hp->window_period, err) != 0 ||
        weights_f32(w, "attention.scale", false, 1e-6f, 1e6f, &hp->attn_scale, err) != 0 ||
        weights_f32(w, "final_logit_softcapping", false, 0.0f, 1e6f, &hp->final_softcap, err) != 0)
        return -1;
    if (model_rope(w, m, err) != 0)
        return -1;
    return model_rope_local(w, m, err);
}

static int read_layer(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err)
{
    if (arch_gemma2_read_layer(w, m, il, err) != 0)
        return -1;
    if (m->layers[il].window)
        m->layers[il].rope = MODEL_ROPE_LOCAL;
    return weights_head_norms(w, m, il, err);
}

const struct arch arch_gemma3 = {
    .name = "gemma3", .read_hparams = read_hparams, .read_layer = read_layer,
    .forward = arch_gemma2_forward,
};
