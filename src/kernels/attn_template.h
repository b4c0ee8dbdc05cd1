/* SPDX-License-Identifier: MIT
 * Attention of ref.c over one KV block. Included once by an instruction set's file, which first
 * defines softcap and softmax_block, its vectors (VEC, VEC_N lanes, vec_zero, vec_set1, vec_load,
 * vec_load_f16, vec_store, vec_fma, vec_mul, vec_add, VEC_BROKEN), ATTN_TILES (how many queries go
 * together, with how many vectors each, the largest number first: ATTN_MAX_T), and
 * ATTN_CONVERT_FROM, the number of queries for which a block of binary16 is converted first. */
#ifndef KERNELS_ATTN_TEMPLATE_H
#define KERNELS_ATTN_TEMPLATE_H

#include "kernels/ref.h"
#include "kernels/simd.h"

INLINE VEC load_kv(const void *p, bool f16, size_t i)
{
    return f16 ? vec_load_f16((const uint16_t *)p + i) : vec_load((const float *)p + i);
}

/* s[t][64] for T queries: lane = position, J vectors of them at a time that some query needs. */
INLINE void scores(int T, int J, float *s, const struct kern_attn *a, const void *k, bool f16,
                   size_t k_dim, size_t j0, size_t j1)
{
    const size_t width = (size_t)J * VEC_N;
    for (size_t j = j0 / width * width; j < j1; j += width) {
        VEC acc[ATTN_MAX_T][4];
        for (int t = 0; t < T; t++)
            for (int i = 0; i < J; i++)
                acc[t][i] = vec_zero();
        for (size_t d = 0; d < k_dim; d++) {
            VEC x[4];
            for (int i = 0; i < J; i++)
                x[i] = load_kv(k, f16, d * KERN_KV + j + (size_t)i * VEC_N);
#pragma GCC unroll 8
            for (int t = 0; t < T; t++) {
                VEC q = vec_set1(a[t].q[d]);
                for (int i = 0; i < J; i++)
                    acc[t][i] = vec_fma(q, x[i], acc[t][i]);
            }
        }
        for (int t = 0; t < T; t++)
            for (int i = 0; i < J; i++)
                vec_store(s + (size_t)t * KERN_KV + j + (size_t)i * VEC_N, acc[t][i]);
    }
}

/* How the outputs of a block are folded into what a query has. */
struct attn_fold { float old[ATTN_MAX_T], new[ATTN_MAX_T]; bool first[ATTN_MAX_T]; };

/* The block's outputs of T queries, J vectors of dimensions at a time: lane = dimension. */
INLINE void outputs(int T, int J, const float *s, struct kern_attn *a, const struct attn_fold *f,
                    const void *v, bool f16, size_t v_dim, size_t j0, size_t j1)
{
    for (size_t d = 0; d < v_dim; d += (size_t)J * VEC_N) {
        VEC acc[ATTN_MAX_T][4];
        for (int t = 0; t < T; t++)
            for (int i = 0; i < J; i++)
                acc[t][i] = vec_zero();
        for (size_t j = j0; j < j1; j++) {
            VEC x[4];
            for (int i = 0; i < J; i++)
                x[i] = load_kv(v, f16, j * v_dim + d + (size_t)i * VEC_N);
#pragma GCC unroll 8
            for (int t = 0; t < T; t++) {
                VEC p = vec_set1(s[(size_t)t * KERN_KV + j]);
                for (int i = 0; i < J; i++)
                    acc[t][i] = vec_fma(p, x[i], acc[t][i]);
            }
        }
        for (int t = 0; t < T; t++)
            for (int i = 0; i < J; i++) {
                float *o = a[t].o + d + (size_t)i * VEC_N;
                VEC x = vec_add(acc[t][i], vec_zero());
                if (!f->first[t])
                    x = vec_fma(vec_load(o), vec_set1(f->old[t]), vec_mul(x, vec_set1(f->new[t])));
                vec_store(o, VEC_BROKEN(x));
            }
    }
}

INLINE void attn_tile(int T, int J, struct kern_attn *a, const void *k, const void *v,
                      const struct kern_attn_shape *sh, bool f16)
{
    float s[ATTN_MAX_T * KERN_KV];
    struct attn_fold f;
    size_t j0 = KERN_KV, j1 = 0;
    for (int t = 0; t < T; t++) {
        j0 = a[t].j0 < j0 ? a[t].j0 : j0;
        j1 = a[t].j1 > j1 ? a[t].j1 : j1;
    }
    scores(T, J, s, a, k, f16, sh->k_dim, j0, j1);
    for (int t = 0; t < T; t++) {
        float max, sum, *mine = s + t * KERN_KV;
        if (sh->softcap != 0)
            softcap(mine + a[t].j0, mine + a[t].j0, sh->softcap, a[t].j1 - a[t].j0);
        softmax_block(mine, a[t].j0, a[t].j1, &max, &sum);
        f.first[t] = a[t].l == 0;
        float m = f.first[t] || max > a[t].m ? max : a[t].m;
        f.old[t] = f.first[t] ? 0 : ref_exp(a[t].m - m);
        f.new[t] = f.first[t] ? 1 : ref_exp(max - m);
        a[t].l = f.first[t] ? sum : fmaf(a[t].l, f.old[t], sum * f.new[t]);
        a[t].m = m;
    }
    if (sh->v_dim % ((size_t)J * VEC_N) == 0)
        outputs(T, J, s, a, &f, v, f16, sh->v_dim, j0, j1);
    else
        outputs(T, 1, s, a, &f, v, f16, sh->v_dim, j0, j1);
}

/* Queries in a row, at most `most`, that see something of this block. */
INLINE size_t attn_run(const struct kern_attn *a, size_t n, size_t most)
{
    size_t run = 0;
    while (run < most && run < n && a[run].j0 < a[run].j1)
        run++;
    return run;
}

static void attn_block(struct kern_attn *a, size_t n, const void *k, const void *v,
                       const struct kern_attn_shape *sh, void *scratch)
{
    bool f16 = sh->f16;
    if (sh->v_dim % VEC_N != 0) {
        kern_ops_ref()->attn_block(a, n, k, v, sh, scratch);
        return;
    }
    if (f16 && n >= ATTN_CONVERT_FROM) {
        float *k32 = scratch, *v32 = k32 + sh->k_dim * KERN_KV;
        for (size_t i = 0; i < sh->k_dim * KERN_KV; i += VEC_N)
            vec_store(k32 + i, vec_load_f16((const uint16_t *)k + i));
        for (size_t i = 0; i < sh->v_dim * KERN_KV; i += VEC_N)
            vec_store(v32 + i, vec_load_f16((const uint16_t *)v + i));
        k = k32;
        v = v32;
        f16 = false;
    }
#define ATTN_TILE(T, J)                                                                          \
    if (run >= (T)) {                                                                            \
        if (f16)                                                                                 \
            attn_tile(T, J, a + i, k, v, sh, true);                                              \
        else                                                                                     \
            attn_tile(T, J, a + i, k, v, sh, false);                                             \
        i += (T);                                                                                \
        continue;                                                                                \
    }
    for (size_t i = 0; i < n;) {
        size_t run = attn_run(a + i, n - i, ATTN_MAX_T);
        ATTN_TILES
        i++;
    }
#undef ATTN_TILE
}

#endif
