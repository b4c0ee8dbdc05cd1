/* SPDX-License-Identifier: MIT
 * The llama architecture: TinyLlama, Llama 2 and 3, Mistral, SmolLM2 (Touvron et al. 2023). Its
 * decoder serves other architectures too, which differ in hyperparameters and optional tensors. */
#include "engine/model.h"
#include "engine/ops.h"
#include "engine/weights.h"

/* Mistral 7B v0.1 and its fine-tunes (Jiang et al. 2023) see 4096 positions, which their GGUF files
 * do not say. The shape does: v0.2 and later, which see all, have another base. */
static bool is_mistral_v01(const struct idem_model *m)
{
    const struct hparams *hp = &m->hp;
    return hp->n_layer == 32 && hp->n_embd == 4096 && hp->n_head == 32 && hp->n_head_kv == 8 &&
           hp->n_ff == 14336 && hp->n_ctx_train == 32768 && m->rope[MODEL_ROPE_GLOBAL].base == 10000.0f;
}

static int read_hparams(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    /* The converter has permuted the rows of Wq and Wk, so that neighbours are rotated. */
    m->hp.rope_neox = false;
    if (model_rope(w, m, err) != 0)
        return -1;
    m->hp.window = is_mistral_v01(m) ? 4096 : 0;
    return weights_u32(w, "attention.sliding_window", false, 0, UINT32_MAX, &m->hp.window, err);
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
    ops_embed(p);
    for (uint32_t il = 0; il < p->m->hp.n_layer; il++) {
        const struct layer *l = &p->m->layers[il];

        ops_norm(p, p->h, p->x, l->attn_norm, NULL);
        ops_self_attention(p, il);
        ops_add(p, p->h);

        ops_norm(p, p->h, p->x, l->ffn_norm, NULL);
        ops_ffn_gated(p, il, ops_silu_mul);
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
