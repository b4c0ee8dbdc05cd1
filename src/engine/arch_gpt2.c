/* SPDX-License-Identifier: MIT
 * The gpt2 architecture: GPT-2 (Radford et al. 2019), LaMini-GPT. Learned positions, LayerNorm,
 * biases everywhere, a feed-forward layer without a gate. */
#include "engine/model.h"
#include "engine/ops.h"
#include "engine/weights.h"

static int read_hparams(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    m->hp.n_rot = 0;
    m->info.rope = "none";
    return weights_matrix(w, &m->pos_embd, m->hp.n_ctx_train, m->hp.n_embd, err,
                          "position_embd.weight");
}

static int read_layer(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err)
{
    struct layer *l = &m->layers[il];
    if (weights_attention(w, m, il, err) != 0 ||
        weights_norm(w, m, &l->ffn_norm, &l->ffn_norm_b, "ffn_norm", il, err) != 0)
        return -1;
    return weights_mlp(w, m, il, err);
}

static int forward(struct pass *p, struct idem_err *err)
{
    ops_embed(p);
    ops_embed_positions(p);
    for (uint32_t il = 0; il < p->m->hp.n_layer; il++) {
        const struct layer *l = &p->m->layers[il];

        ops_norm(p, p->h, p->x, l->attn_norm, l->attn_norm_b);
        ops_self_attention(p, il);
        ops_add(p, p->h);

        ops_norm(p, p->h, p->x, l->ffn_norm, l->ffn_norm_b);
        ops_linear(p, p->h, &(struct ops_linear){&l->up, l->b_up, p->gate}, 1);
        ops_gelu(p);
        ops_linear(p, p->gate, &(struct ops_linear){&l->down, l->b_down, p->h}, 1);
        ops_add(p, p->h);

        if (ops_check(p, il, err) != 0)
            return -1;
    }
    return 0;
}

const struct arch arch_gpt2 = {
    .name = "gpt2", .layer_norm = true, .read_hparams = read_hparams, .read_layer = read_layer,
    .forward = forward,
};
