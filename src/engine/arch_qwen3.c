/* SPDX-License-Identifier: MIT
 * The qwen3 architecture (Qwen team 2025): llama with a norm of each query and key before they are
 * rotated. */
#include "engine/model.h"
#include "engine/weights.h"

static int read_hparams(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    m->hp.rope_neox = true;
    return model_rope(w, m, err);
}

static int read_layer(struct weights *w, struct idem_model *m, uint32_t il, struct idem_err *err)
{
    if (arch_llama_read_layer(w, m, il, err) != 0)
        return -1;
    return weights_head_norms(w, m, il, err);
}

const struct arch arch_qwen3 = {
    .name = "qwen3", .read_hparams = read_hparams, .read_layer = read_layer,
    .forward = arch_llama_forward,
};
