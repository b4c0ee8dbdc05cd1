/* SPDX-License-Identifier: MIT
 * One block of a quantised row as the definition sees it, and its part of a dot product (ref.c). */
#ifndef KERNELS_REF_BLOCK_H
#define KERNELS_REF_BLOCK_H

#include "kernels/kernels.h"
#include "kernels/pack.h"

/* Column k has the value  q[k] * sub[k / 16] * s + m * msub[k / 16]. */
struct ref_block {
    int32_t q[KERN_BLOCK];
    int32_t sub[2];       /* integer scales of columns 0..15 and 16..31 (1 except Q2_K, Q3_K, Q6_K) */
    int32_t msub[2];      /* the same for m (1 except Q2_K) */
    float s, m;           /* binary32, exact products of what the file holds */
    bool has_m, has_msub;
};

void ref_load_block(struct ref_block *k, const struct kern_matrix *w, const struct pack_layout *l,
                    size_t row, size_t b);
/* acc and the block's part of a dot product in mode q8. */
float ref_dot_block(const struct ref_block *k, const struct kern_q8 *a, float acc);

#endif
