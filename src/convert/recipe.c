/* SPDX-License-Identifier: MIT
 * The recipes: which class becomes which architecture. */
#include "convert/recipe_impl.h"

enum { R = 1 << ROPE_DEFAULT, R_LINEAR = 1 << ROPE_LINEAR, R_3 = 1 << ROPE_LLAMA3, R_LONG = 1 << ROPE_LONG };

static const struct recipe table[] = {
    {"LlamaForCausalLM", "llama", recipe_rows_llama, R | R_LINEAR | R_3, false, recipe_llama_read, recipe_llama_keys},
    {"MistralForCausalLM", "llama", recipe_rows_llama, R | R_LINEAR | R_3, false, recipe_mistral_read, recipe_llama_keys},
    {"Qwen2ForCausalLM", "qwen2", recipe_rows_qwen2, R | R_LINEAR, false, NULL, recipe_common},
    {"Qwen3ForCausalLM", "qwen3", recipe_rows_qwen3, R | R_LINEAR, false, recipe_qwen3_read, recipe_common},
    {"Gemma2ForCausalLM", "gemma2", recipe_rows_gemma2, R, true, recipe_gemma2_read, recipe_gemma2_keys},
    {"Gemma3ForCausalLM", "gemma3", recipe_rows_gemma3, R | R_LINEAR, true, recipe_gemma_read, recipe_gemma3_keys},
    {"Gemma3ForConditionalGeneration", "gemma3", recipe_rows_gemma3, R | R_LINEAR, true, recipe_gemma_read, recipe_gemma3_keys},
    {"GPT2LMHeadModel", "gpt2", recipe_rows_gpt2, 0, true, NULL, recipe_gpt2_keys},
    {"MiniCPMForCausalLM", "minicpm", recipe_rows_llama, R | R_LINEAR | R_LONG, true, recipe_minicpm_read, recipe_minicpm_keys},
    {"MiniCPM3ForCausalLM", "minicpm3", recipe_rows_minicpm3, R | R_LONG, true, recipe_minicpm3_read, recipe_minicpm3_keys},
    {"PhiForCausalLM", "phi2", recipe_rows_phi2, R, false, recipe_phi_read, recipe_phi2_keys},
    {"Phi3ForCausalLM", "phi3", recipe_rows_phi3, R | R_LONG, false, recipe_phi_read, recipe_phi3_keys},
    {"GraniteForCausalLM", "granite", recipe_rows_llama, R | R_LINEAR, false, recipe_granite_read, recipe_granite_keys},
};

const struct recipe *recipe_find(struct jstr hf_class)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (jdoc_eq(hf_class, table[i].hf_class))
            return &table[i];
    return NULL;
}

void recipe_list(struct buf *out)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        buf_addf(out, "%s%s", i ? ", " : "", table[i].hf_class);
}
