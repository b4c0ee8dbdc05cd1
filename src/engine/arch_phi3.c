/* SPDX-License-Identifier: MIT
 * The phi3 architecture: Phi-3 and Phi-3.5 mini (Abdin et al. 2024). It is llama with fused tensors,
 * LongRoPE in the 128K models, and a sliding window in the 4K one. */
#include "engine/model.h"
#include "engine/weights.h"

static int read_hparams(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    m->hp.rope_neox = true;
    if (weights_u32(w, "attention.sliding_window", false, 0, UINT32_MAX, &m->hp.window, err) != 0)
        return -1;
    return model_rope_long(w, m, err);
}

/* ffn_up holds the rows of the gate, then those of up. */
static int read_layer(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err)
{
    static const char up[] = "blk.%u.ffn_up.weight";
    struct layer *l = &m->layers[il];
    size_t n_embd = m->hp.n_embd, n_ff = m->hp.n_ff;
    if (weights_attention(w, m, il, err) != 0 ||
        weights_norm(w, m, &l->ffn_norm, &l->ffn_norm_b, "ffn_norm", il, err) != 0 ||
        weights_rows(w, &l->gate, 2 * n_ff, 0, n_ff, n_embd, err, up, il) != 0 ||
        weights_rows(w, &l->up, 2 * n_ff, n_ff, n_ff, n_embd, err, up, il) != 0 ||
        weights_matrix(w, &l->down, n_embd, n_ff, err, "blk.%u.ffn_down.weight", il) != 0)
        return -1;
    return 0;
}

const struct arch arch_phi3 = {
    .name = "phi3", .read_hparams = read_hparams, .read_layer = read_layer,
    .forward = arch_llama_forward,
};
