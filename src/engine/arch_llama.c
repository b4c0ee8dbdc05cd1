/* SPDX-License-Identifier: MIT
 * The llama architecture: TinyLlama, Llama 2 and 3, Mistral, SmolLM2 (Touvron et al. 2023). */
#include "engine/model.h"
#include "engine/ops.h"
#include "engine/weights.h"

static int read_hparams(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    /* The converter has permuted the rows of Wq and Wk, so that neighbours are rotated. */
    m->hp.rope_neox = false;
    return model_rope(w, m, err);
}

int arch_llama_read_layer(struct weights *w, struct idem_model *m, uint32_t il,
                          struct idem_err *err)
{
    if (weights_attention(w, m, il, err) != 0)
        return -1;
    return weights_ffn(w, m, il, err);
}

int arch_llama_forward(struct pass *p, struct idem_err *err)
{
    const struct hparams *hp = &p->m->hp;

    ops_embed(p);
    for (uint32_t il = 0; il < hp->n_layer; il++) {
        const struct layer *l = &p->m->layers[il];

        ops_rmsnorm(p, p->h, p->x, l->attn_norm, 1, hp->n_embd);
        const struct ops_linear qkv[] = {
            {&l->wq, l->bq, p->q}, {&l->wk, l->bk, p->key}, {&l->wv, l->bv, p->val}};
        ops_linear(p, p->h, qkv, 3);
        ops_rope_store(p, il);
        ops_attention(p, il);
        ops_linear(p, p->a, &(struct ops_linear){&l->wo, l->bo, p->h}, 1);
        ops_add(p, p->h);

        ops_rmsnorm(p, p->h, p->x, l->ffn_norm, 1, hp->n_embd);
        const struct ops_linear gate_up[] = {{&l->gate, NULL, p->gate}, {&l->up, NULL, p->up}};
        ops_linear(p, p->h, gate_up, 2);
        ops_silu_mul(p);
        ops_linear(p, p->gate, &(struct ops_linear){&l->down, NULL, p->h}, 1);
        ops_add(p, p->h);

        if (ops_check(p, il, err) != 0)
            return -1;
    }
    return 0;
}

const struct arch arch_llama = {
    .name = "llama", .read_hparams = read_hparams, .read_layer = arch_llama_read_layer,
    .forward = arch_llama_forward,
};
