/* SPDX-License-Identifier: MIT
 * The minicpm3 architecture: MiniCPM3 4B (OpenBMB 2024). Queries, keys and values come through
 * latents (DeepSeek-V2, 2024); a head of queries or keys is [part without position | rotated part],
 * and the rotated part of the key is the same for all heads. */
#include <math.h>
#include <string.h>

#include "engine/model.h"
#include "engine/ops.h"
#include "engine/weights.h"

/* The published model's; no key of the file holds them. */
static const float SCALE_EMB = 12.0f, SCALE_DEPTH = 1.4f, DIM_MODEL_BASE = 256.0f;

static int read_hparams(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    struct hparams *hp = &m->hp;
    hp->rope_neox = true;
    hp->embd_scale = SCALE_EMB;
    hp->residual_scale = SCALE_DEPTH / sqrtf((float)hp->n_layer);
    hp->v_dim = hp->n_embd / hp->n_head;       /* where the file does not say */
    float logit_scale = (float)hp->n_embd / DIM_MODEL_BASE;
    if (weights_u32(w, "attention.q_lora_rank", true, 1, 1 << 20, &hp->q_lora, err) != 0 ||
        weights_u32(w, "attention.kv_lora_rank", true, 1, 1 << 20, &hp->kv_lora, err) != 0 ||
        weights_u32(w, "attention.value_length", false, 2, 1 << 12, &hp->v_dim, err) != 0 ||
        weights_f32(w, "embedding_scale", false, 1e-6f, 1e6f, &hp->embd_scale, err) != 0 ||
        weights_f32(w, "residual_scale", false, 1e-6f, 1e6f, &hp->residual_scale, err) != 0 ||
        weights_f32(w, "logit_scale", false, 1e-6f, 1e6f, &logit_scale, err) != 0)
        return -1;
    hp->out_scale = 1.0f / logit_scale;
    if (hp->n_head_kv != hp->n_head)
        return weights_err_key(w, "attention.head_count_kv", err, "is not attention.head_count, as "
                               "latent attention wants it");
    if (hp->n_rot >= hp->head_dim)
        return weights_err_key(w, "rope.dimension_count", err, "leaves no part of a key without "
                               "position");
    hp->rot_first = hp->head_dim - hp->n_rot;
    return model_rope_long(w, m, err);
}

static int read_layer(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err)
{
    static const char kv_a[] = "blk.%u.attn_kv_a_mqa.weight";
    const struct hparams *hp = &m->hp;
    struct layer *l = &m->layers[il];
    size_t n_head = hp->n_head, n_embd = hp->n_embd, n_kv_a = hp->kv_lora + hp->n_rot;
    struct mla *a = l->mla = arena_array(&m->arena, 1, sizeof *a);
    if (!a)
        return err_memory(err, "latent attention", sizeof *a);
    if (weights_norm(w, m, &l->attn_norm, &l->attn_norm_b, "attn_norm", il, err) != 0 ||
        weights_matrix(w, &a->q_a, hp->q_lora, n_embd, err, "blk.%u.attn_q_a.weight", il) != 0 ||
        weights_vector(w, &a->q_a_norm, hp->q_lora, true, err, "blk.%u.attn_q_a_norm.weight", il) != 0 ||
        weights_matrix(w, &a->q_b, n_head * hp->head_dim, hp->q_lora, err, "blk.%u.attn_q_b.weight",
                       il) != 0 ||
        weights_rows(w, &a->kv_a, n_kv_a, 0, hp->kv_lora, n_embd, err, kv_a, il) != 0 ||
        weights_rows(w, &a->k_rope, n_kv_a, hp->kv_lora, hp->n_rot, n_embd, err, kv_a, il) != 0 ||
        weights_vector(w, &a->kv_a_norm, hp->kv_lora, true, err, "blk.%u.attn_kv_a_norm.weight",
                       il) != 0 ||
        weights_matrix(w, &a->kv_b, n_head * (hp->rot_first + hp->v_dim), hp->kv_lora, err,
                       "blk.%u.attn_kv_b.weight", il) != 0 ||
        weights_matrix(w, &l->wo, n_embd, n_head * hp->v_dim, err, "blk.%u.attn_output.weight",
                       il) != 0)
        return -1;
    return weights_ffn(w, m, il, err);
}

/* From kv_b [n_head][rot_first | v_dim] and k_rope [n_rot] to the keys and values of all heads. */
static void split_row(void *arg, size_t row)
{
    const struct pass *p = arg;
    const struct hparams *hp = &p->m->hp;
    size_t first = hp->rot_first, width = first + hp->v_dim;
    for (size_t h = 0; h < hp->n_head; h++) {
        const float *kv = p->kv_b + (row * hp->n_head + h) * width;
        float *key = p->key + (row * hp->n_head + h) * hp->head_dim;
        memcpy(key, kv, first * sizeof *key);
        memcpy(key + first, p->k_rope + row * hp->n_rot, hp->n_rot * sizeof *key);
        memcpy(p->val + (row * hp->n_head + h) * hp->v_dim, kv + first, hp->v_dim * sizeof *kv);
    }
}

static int forward(struct pass *p, struct idem_err *err)
{
    const struct hparams *hp = &p->m->hp;

    ops_embed(p);
    for (uint32_t il = 0; il < hp->n_layer; il++) {
        const struct layer *l = &p->m->layers[il];
        const struct mla *a = l->mla;

        ops_norm(p, p->h, p->x, l->attn_norm, NULL);
        const struct ops_linear down[] = {
            {&a->q_a, NULL, p->q_a}, {&a->kv_a, NULL, p->kv_a}, {&a->k_rope, NULL, p->k_rope}};
        ops_linear(p, p->h, down, 3);
        ops_norm_parts(p, p->q_a, p->q_a, a->q_a_norm, 1, hp->q_lora);
        ops_norm_parts(p, p->kv_a, p->kv_a, a->kv_a_norm, 1, hp->kv_lora);
        ops_linear(p, p->q_a, &(struct ops_linear){&a->q_b, NULL, p->q}, 1);
        ops_linear(p, p->kv_a, &(struct ops_linear){&a->kv_b, NULL, p->kv_b}, 1);
        ops_for_rows(p, (size_t)hp->n_head * (hp->head_dim + hp->v_dim), split_row, p);
        ops_rope_store(p, il);
        ops_attention(p, il);
        ops_linear(p, p->a, &(struct ops_linear){&l->wo, NULL, p->h}, 1);
        ops_add(p, p->h);

        ops_norm(p, p->h, p->x, l->ffn_norm, NULL);
        ops_ffn_gated(p, il, ops_silu_mul);
        ops_add(p, p->h);

        if (ops_check(p, il, err) != 0)
            return -1;
    }
    return 0;
}

const struct arch arch_minicpm3 = {
    .name = "minicpm3", .read_hparams = read_hparams, .read_layer = read_layer, .forward = forward,
};
