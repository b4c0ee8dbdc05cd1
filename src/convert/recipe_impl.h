/* SPDX-License-Identifier: MIT
 * What the recipes share, and the functions that their table points at. */
#ifndef CONVERT_RECIPE_IMPL_H
#define CONVERT_RECIPE_IMPL_H

#include "convert/recipe.h"
#include "gguf/gguf_write.h"

/* ---- recipe_common.c: "<arch>.<key>" of the file ------------------------------------------------ */

void recipe_u32(const struct hfconf *c, struct gguf_writer *w, const char *key, uint32_t v);
void recipe_f32(const struct hfconf *c, struct gguf_writer *w, const char *key, double v);
void recipe_str(const struct hfconf *c, struct gguf_writer *w, const char *key, const char *v);
/* The keys that llama.cpp's common part writes, in its order. */
void recipe_common(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type);
/* What longrope needs and llama.cpp leaves out for MiniCPM; nothing without longrope. */
void recipe_long_context(const struct hfconf *c, struct gguf_writer *w);
/* head_dim and sliding_window; absent: what c has keeps its value. */
int recipe_read_head_dim(struct hfconf *c, struct idem_err *err);
int recipe_read_window(struct hfconf *c, struct idem_err *err);
/* The key is a number above 0, or absent if it is not required. */
int recipe_above_0(const struct hfconf *c, const char *key, bool required, struct idem_err *err);
/* A number of config.json that read() has checked, or `absent`. */
double recipe_value(const struct hfconf *c, const char *key, double absent);

/* ---- of one architecture each: read and keys of struct recipe ------------------------------------- */

int recipe_llama_read(struct hfconf *c, struct idem_err *err);
int recipe_mistral_read(struct hfconf *c, struct idem_err *err);
void recipe_llama_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type);
int recipe_granite_read(struct hfconf *c, struct idem_err *err);
void recipe_granite_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type);
int recipe_minicpm_read(struct hfconf *c, struct idem_err *err);
void recipe_minicpm_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type);
int recipe_minicpm3_read(struct hfconf *c, struct idem_err *err);
void recipe_minicpm3_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type);
int recipe_qwen3_read(struct hfconf *c, struct idem_err *err);
int recipe_gemma_read(struct hfconf *c, struct idem_err *err);
int recipe_gemma2_read(struct hfconf *c, struct idem_err *err);
void recipe_gemma2_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type);
void recipe_gemma3_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type);
void recipe_gpt2_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type);
int recipe_phi_read(struct hfconf *c, struct idem_err *err);
void recipe_phi2_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type);
void recipe_phi3_keys(const struct hfconf *c, struct gguf_writer *w, uint32_t file_type);

#endif
