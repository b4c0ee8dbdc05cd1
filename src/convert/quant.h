/* SPDX-License-Identifier: MIT
 * Elements between the checkpoint's types and those of the GGUF file. */
#ifndef CONVERT_QUANT_H
#define CONVERT_QUANT_H

#include "base/qtype.h"
#include "convert/safetensors.h"

/* n elements from unaligned little-endian bytes, exactly. */
void quant_load(enum st_dtype dtype, const uint8_t *src, size_t n, float *out);
/* The index of the first element that is not finite, or n. */
size_t quant_finite(const float *x, size_t n);
/* n elements (of Q8_0: a multiple of 32) to F32, F16, BF16 or Q8_0, rounding to nearest even
 * (Q8_0: d = max/127 as binary16, x/d with halves away from zero, as llama.cpp's converter).
 * Returns the bytes written. *lost is the index of the first element that is finite but too
 * large for F16 (of Q8_0: whose block's scale is), or n. */
size_t quant_store(enum qtype type, const float *x, size_t n, uint8_t *out, size_t *lost);

#endif
