/* SPDX-License-Identifier: MIT
 * The gemma2 architecture (Gemma team 2024): every other layer sees a sliding window; scores and
 * logits are capped softly; norms of each branch's output. The converter has added 1 to every
 * norm's weights. */
#include <math.h>

#include "engine/model.h"
#include "engine/ops.h"
#include "engine/weights.h"

enum { LAYERS_OF_27B = 46 };

static int read_hparams(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    struct hparams *hp = &m->hp;
    hp->rope_neox = true;
    hp->embd_scale = sqrtf((float)hp->n_embd);
    if (hp->n_layer == LAYERS_OF_27B)        /* query_pre_attn_scalar is not in its files */
        hp->attn_scale = 1.0f / sqrtf((float)hp->n_embd / (float)hp->n_head);
    hp->window = 4096;
    hp->window_period = 2;
    hp->attn_softcap = 50.0f;
    hp->final_softcap = 30.0f;
    if (weights_u32(w, "attention.sliding_window", false, 1, UINT32_MAX, &hp->window, err) != 0 ||
        weights_f32(w, "attn_logit_softcapping", false, 0.0f, 1e6f, &hp->attn_softcap, err) != 0 ||
        weights_f32(w, "final_logit_softcapping", false, 0.0f, 1e6f, &hp->final_softcap, err) != 0 ||
        weights_f32(w, "attention.scale", false, 1e-6f, 1e6f, &hp->attn_scale, err) != 0)
        return -1;
    return model_rope(w, m, err);
}

int arch_gemma2_read_layer(struct weights *w, struct idem_model *m, uint32_t il,
                           struct idem_err *err)
{
    struct layer *l = &m->layers[il];
    size_t n_embd = m->hp.n_embd;
    if (weights_attention(w, m, il, err) != 0 || weights_ffn(w, m, il, err) != 0 ||
        weights_vector(w, &l->post_attn_norm, n_embd, true, err,
                       "blk.%u.post_attention_norm.weight", il) != 0)
        return -1;
    return weights_vector(w, &l->post_ffn_norm, n_embd, true, err, "blk.%u.post_ffw_norm.weight", il);
}

int arch_gemma2_forward(struct pass *p, struct idem_err *err)
{
    ops_embed(p);
    for (uint32_t il = 0; il < p->m->hp.n_layer; il++) {
        const struct layer *l = &p->m->layers[il];

        ops_norm(p, p->h, p->x, l->attn_norm, NULL);
        ops_self_attention(p, il);
        ops_norm(p, p->h, p->h, l->post_attn_norm, NULL);
        ops_add(p, p->h);

        ops_norm(p, p->h, p->x, l->ffn_norm, NULL);
        ops_ffn_gated(p, il, ops_gelu_mul);
        ops_norm(p, p->h, p->h, l->post_ffn_norm, NULL);
        ops_add(p, p->h);

        if (ops_check(p, il, err) != 0)
            return -1;
    }
    return 0;
}

const struct arch arch_gemma2 = {
    .name = "gemma2", .read_hparams = read_hparams, .read_layer = arch_gemma2_read_layer,
    .forward = arch_gemma2_forward,
};
