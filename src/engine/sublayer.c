/* SPDX-License-Identifier: MIT
 * The branches that the layers of most architectures are made of. */
#include "engine/ops.h"

void ops_self_attention(struct pass *p, uint32_t il)
{
    const struct hparams *hp = &p->m->hp;
    const struct layer *l = &p->m->layers[il];
    const struct ops_linear qkv[] = {
        {&l->wq, l->bq, p->q}, {&l->wk, l->bk, p->key}, {&l->wv, l->bv, p->val}};
    ops_linear(p, p->h, qkv, 3);
    if (l->q_norm) {
        ops_norm_parts(p, p->q, p->q, l->q_norm, hp->n_head, hp->head_dim);
        ops_norm_parts(p, p->key, p->key, l->k_norm, hp->n_head_kv, hp->head_dim);
    }
    ops_rope_store(p, il);
    ops_attention(p, il);
    ops_linear(p, p->a, &(struct ops_linear){&l->wo, l->bo, p->h}, 1);
}

void ops_ffn_gated(struct pass *p, uint32_t il, void (*act)(struct pass *p))
{
    const struct layer *l = &p->m->layers[il];
    const struct ops_linear gate_up[] = {{&l->gate, l->b_gate, p->gate}, {&l->up, l->b_up, p->up}};
    ops_linear(p, p->h, gate_up, 2);
    act(p);
    ops_linear(p, p->gate, &(struct ops_linear){&l->down, l->b_down, p->h}, 1);
}
