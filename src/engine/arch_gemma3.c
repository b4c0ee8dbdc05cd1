/* SPDX-License-Identifier: MIT
 * The gemma3 architecture (Gemma team 2025): five layers with a sliding window, then one that
 * sees all; norms of queries and keys per head, and of each branch's output. The converter has
 * added 1 to every norm's weights. */
#include <math.h>
#include <stddef.h>

#include "engine/model.h"
#include "engine/ops.h"
#include "engine/weights.h"

enum { LAYERS_OF_27B = 62 };

static int read_hparams(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    struct hparams *hp = &m->hp;
    float softcap = 0.0f;
    hp->rope_neox = true;
    hp->embd_scale = sqrtf((float)hp->n_embd);
    if (hp->n_layer == LAYERS_OF_27B)        /* query_pre_attn_scalar is not in the file */
        hp->attn_scale = 1.0f / sqrtf((float)hp->n_embd / (float)hp->n_head);
    hp->window_period = 6;
    if (weights_u32(w, "attention.sliding_window", true, 1, UINT32_MAX, &hp->window, err) != 0 ||
        weights_u32(w, "attention.sliding_window_pattern", false, 1, UINT32_MAX,
                    &hp->window_period, err) != 0 ||
        weights_f32(w, "final_logit_softcapping", false, 0.0f, 1e6f, &softcap, err) != 0)
        return -1;
    if (softcap != 0.0f) {
        weights_err_key(w, "final_logit_softcapping", err, "is not supported for gemma3");
        if (err)
            err->code = IDEM_ERR_UNSUPPORTED;
        return -1;
    }
    if (model_rope(w, m, err) != 0)
        return -1;
    return model_rope_local(w, m, err);
}

static int read_layer(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err)
{
    struct layer *l = &m->layers[il];
    const struct hparams *hp = &m->hp;
    if ((il + 1) % hp->window_period != 0) {
        l->window = hp->window;
        l->rope = MODEL_ROPE_LOCAL;
    }
    if (weights_attention(w, m, il, err) != 0 || weights_ffn(w, m, il, err) != 0 ||
        weights_vector(w, &l->q_norm, hp->head_dim, true, err, "blk.%u.attn_q_norm.weight", il) != 0 ||
        weights_vector(w, &l->k_norm, hp->head_dim, true, err, "blk.%u.attn_k_norm.weight", il) != 0 ||
        weights_vector(w, &l->post_attn_norm, hp->n_embd, true, err,
                       "blk.%u.post_attention_norm.weight", il) != 0 ||
        weights_vector(w, &l->post_ffn_norm, hp->n_embd, true, err,
                       "blk.%u.post_ffw_norm.weight", il) != 0)
        return -1;
    return 0;
}

static int forward(struct pass *p, struct idem_err *err)
{
    const struct hparams *hp = &p->m->hp;

    ops_embed(p);
    for (uint32_t il = 0; il < hp->n_layer; il++) {
        const struct layer *l = &p->m->layers[il];

        ops_rmsnorm(p, p->h, p->x, l->attn_norm, 1, hp->n_embd);
        const struct ops_linear qkv[] = {
            {&l->wq, l->bq, p->q}, {&l->wk, l->bk, p->key}, {&l->wv, l->bv, p->val}};
        ops_linear(p, p->h, qkv, 3);
        ops_rmsnorm(p, p->q, p->q, l->q_norm, hp->n_head, hp->head_dim);
        ops_rmsnorm(p, p->key, p->key, l->k_norm, hp->n_head_kv, hp->head_dim);
        ops_rope_store(p, il);
        ops_attention(p, il);
        ops_linear(p, p->a, &(struct ops_linear){&l->wo, l->bo, p->h}, 1);
        ops_rmsnorm(p, p->h, p->h, l->post_attn_norm, 1, hp->n_embd);
        ops_add(p, p->h);

        ops_rmsnorm(p, p->h, p->x, l->ffn_norm, 1, hp->n_embd);
        const struct ops_linear gate_up[] = {{&l->gate, NULL, p->gate}, {&l->up, NULL, p->up}};
        ops_linear(p, p->h, gate_up, 2);
        ops_gelu_mul(p);
        ops_linear(p, p->gate, &(struct ops_linear){&l->down, NULL, p->h}, 1);
        ops_rmsnorm(p, p->h, p->h, l->post_ffn_norm, 1, hp->n_embd);
        ops_add(p, p->h);

        if (ops_check(p, il, err) != 0)
            return -1;
    }
    return 0;
}

const struct arch arch_gemma3 = {
    .name = "gemma3", .read_hparams = read_hparams, .read_layer = read_layer, .forward = forward,
};
