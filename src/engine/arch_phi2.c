/* SPDX-License-Identifier: MIT
 * The phi2 architecture: Phi-1.5 and Phi-2 (Li et al. 2023). Attention and feed-forward layer read
 * the same norm and are added together; only the first n_rot dimensions of a head are rotated. */
#include "engine/model.h"
#include "engine/ops.h"
#include "engine/weights.h"

static int read_hparams(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    m->hp.rope_neox = true;
    return model_rope(w, m, err);
}

static int read_layer(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err)
{
    if (weights_attention(w, m, il, err) != 0)
        return -1;
    return weights_mlp(w, m, il, err);
}

static int forward(struct pass *p, struct idem_err *err)
{
    ops_embed(p);
    for (uint32_t il = 0; il < p->m->hp.n_layer; il++) {
        const struct layer *l = &p->m->layers[il];

        ops_norm(p, p->h, p->x, l->attn_norm, l->attn_norm_b);
        ops_linear(p, p->h, &(struct ops_linear){&l->up, l->b_up, p->gate}, 1);
        ops_self_attention(p, il);
        ops_add(p, p->h);

        ops_gelu(p);
        ops_linear(p, p->gate, &(struct ops_linear){&l->down, l->b_down, p->h}, 1);
        ops_add(p, p->h);

        if (ops_check(p, il, err) != 0)
            return -1;
    }
    return 0;
}

const struct arch arch_phi2 = {
    .name = "phi2", .layer_norm = true, .read_hparams = read_hparams, .read_layer = read_layer,
    .forward = forward,
};
