/* SPDX-License-Identifier: MIT
 * The minicpm architecture: MiniCPM 1B and 2B (Hu et al. 2024), llama with scaled embeddings,
 * branches and output. Granite (IBM 2024) computes the same with scales of its own. */
#include <math.h>

#include "engine/model.h"
#include "engine/weights.h"

enum { MINICPM_BASE = 256 };     /* dim_model_base: the width for which the scales are 1 */

/* logits are divided by logit_scale. */
static int read_scales(struct weights *w, struct idem_model *m, bool required, float logit_scale,
                       struct idem_err *err)
{
    struct hparams *hp = &m->hp;
    hp->rope_neox = false;
    if (weights_f32(w, "embedding_scale", false, 1e-6f, 1e6f, &hp->embd_scale, err) != 0 ||
        weights_f32(w, "residual_scale", false, 1e-6f, 1e6f, &hp->residual_scale, err) != 0 ||
        weights_f32(w, "logit_scale", required, 1e-6f, 1e6f, &logit_scale, err) != 0 ||
        weights_f32(w, "attention.scale", false, 1e-6f, 1e6f, &hp->attn_scale, err) != 0)
        return -1;
    hp->out_scale = 1.0f / logit_scale;
    return 0;
}

/* Files made before the scales had keys need those of the published models: without them logits
 * are (n_embd / 256)^2 times too large in some programs, which greedy decoding does not show. */
static int read_hparams(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    struct hparams *hp = &m->hp;
    hp->embd_scale = 12.0f;
    hp->residual_scale = 1.4f / sqrtf((float)hp->n_layer);
    if (read_scales(w, m, false, (float)hp->n_embd / MINICPM_BASE, err) != 0)
        return -1;
    return model_rope_long(w, m, err);
}

static int read_granite(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    if (read_scales(w, m, true, 1.0f, err) != 0)
        return -1;
    return model_rope(w, m, err);
}

const struct arch arch_minicpm = {
    .name = "minicpm", .read_hparams = read_hparams, .read_layer = arch_llama_read_layer,
    .forward = arch_llama_forward,
};

const struct arch arch_granite = {
    .name = "granite", .read_hparams = read_granite, .read_layer = arch_llama_read_layer,
    .forward = arch_llama_forward,
};
