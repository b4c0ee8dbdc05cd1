/* SPDX-License-Identifier: MIT
 * The qwen2 architecture: Qwen2 and Qwen2.5 (Qwen team 2024). It is llama with biases on q, k and v,
 * which llama's tensors may have too, and with the other pairing of rotated dimensions. */
#include "engine/model.h"
#include "engine/weights.h"

static int read_hparams(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    /* No permutation: dimension i turns with i + n_rot/2. */
    m->hp.rope_neox = true;
    return model_rope(w, m, err);
}

const struct arch arch_qwen2 = {
    .name = "qwen2", .read_hparams = read_hparams, .read_layer = arch_llama_read_layer,
    .forward = arch_llama_forward,
};
