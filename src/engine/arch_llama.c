/* SPDX-License-Identifier: MIT
 * The llama architecture: TinyLlama, Llama 2 and 3, Mistral, SmolLM2 (Touvron et al. 2023). Its
 * decoder serves other architectures too, which differ in hyperparameters and optional tensors. */
#include "engine/model.h"
#include "engine/ops.h"
#include "engine/weights.h"

/* Mistral 7B v0.1 and its fine-tunes (Jiang et al. 2023) see 4096 positions, which their GGUF files
 * do not say. The shape does: v0.2 and later, which see all, have another base. */
static bool is_mistral_v01(const struct hparams *hp, float rope_base)
{
    return hp->n_layer == 32 && hp->n_embd == 4096 && hp->n_head == 32 && hp->n_head_kv == 8 &&
           hp->n_ff == 14336 && hp->n_ctx_train == 32768 && rope_base == 10000.0f;
}

static int read_hparams(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    struct hparams *hp = &m->hp;
    float base = 10000.0f;
    /* The converter has permuted the rows of Wq and Wk, so that neighbours are rotated. */
    hp->rope_neox = false;
    if (weights_f32(w, "rope.freq_base", false, 1.0f, 1e12f, &base, err) != 0)
        return -1;
    hp->window = is_mistral_v01(hp, base) ? 4096 : 0;
    if (weights_u32(w, "attention.sliding_window", false, 0, UINT32_MAX, &hp->window, err) != 0)
        return -1;
    return model_rope(w, m, err);
}

int arch_llama_read_layer(struct weights *w, struct idem_model *m, uint32_t il,
                          struct idem_err *err)
{
    m->layers[il].window = m->hp.window;
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

        ops_norm(p, p->h, p->x, l->attn_norm, NULL);
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
        ops_add(p, p->h);

        ops_norm(p, p->h, p->x, l->ffn_norm, NULL);
        const struct ops_linear gate_up[] = {
            {&l->gate, l->b_gate, p->gate}, {&l->up, l->b_up, p->up}};
        ops_linear(p, p->h, gate_up, 2);
        ops_silu_mul(p);
        ops_linear(p, p->gate, &(struct ops_linear){&l->down, l->b_down, p->h}, 1);
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
