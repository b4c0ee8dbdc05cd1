/* SPDX-License-Identifier: MIT
 * Vectors and attention of ref.c, four lanes: the same operations in the same order. In attention a
 * lane is a position or a dimension, so no lane ever meets another except in the written-out folds.
 * Included once by each instruction set's file. */
#ifndef KERNELS_QUAD_VECTOR_H
#define KERNELS_QUAD_VECTOR_H

#include "kernels/quad_q8.h"
#include "kernels/ref.h"

INLINE f4 exp4(f4 x)
{
    const f4 magic = set4(REF_MAGIC);
    f4 t = fma4(x, set4(REF_LOG2E), magic), n = t - magic;
    f4 r = fma4(n, set4(-REF_LN2_LO), fma4(n, set4(-REF_LN2_HI), x));
    f4 p = set4(1.0f / 5040.0f);
    p = fma4(p, r, set4(1.0f / 720.0f));
    p = fma4(p, r, set4(1.0f / 120.0f));
    p = fma4(p, r, set4(1.0f / 24.0f));
    p = fma4(p, r, set4(1.0f / 6.0f));
    p = fma4(p, r, set4(0.5f));
    p = fma4(p, r, set4(1.0f));
    p = fma4(p, r, set4(1.0f));
    p = (f4)((u4)p + ((u4)t << 23));
    p = select4(x < REF_EXP_LO, set4(0), p);
    return select4(x > REF_EXP_HI, set4(INFINITY), p);
}

/* ---- one vector ------------------------------------------------------------------------------ */

static void rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
    f4 lo = set4(0), hi = lo;
    float s[8];
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        f4 a = load4(x + i), b = load4(x + i + 4);
        lo = fma4(a, a, lo);
        hi = fma4(b, b, hi);
    }
    store4(s, lo);
    store4(s + 4, hi);
    for (; i < n; i++)
        s[i % 8] = fmaf(x[i], x[i], s[i % 8]);
    float r = 1.0f / sqrtf(ref_fold8(s) / (float)n + eps);
    for (i = 0; i < n; i++)
        y[i] = (x[i] * r) * w[i];
}

static void layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps)
{
    f4 lo = set4(0), hi = lo;
    float s[8];
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        lo = lo + load4(x + i);
        hi = hi + load4(x + i + 4);
    }
    store4(s, lo);
    store4(s + 4, hi);
    for (; i < n; i++)
        s[i % 8] = s[i % 8] + x[i];
    float mean = ref_fold8(s) / (float)n;
    lo = hi = set4(0);
    for (i = 0; i + 8 <= n; i += 8) {
        f4 c = load4(x + i) - mean, d = load4(x + i + 4) - mean;
        lo = fma4(c, c, lo);
        hi = fma4(d, d, hi);
    }
    store4(s, lo);
    store4(s + 4, hi);
    for (; i < n; i++)
        s[i % 8] = fmaf(x[i] - mean, x[i] - mean, s[i % 8]);
    float r = 1.0f / sqrtf(ref_fold8(s) / (float)n + eps);
    for (i = 0; i + 4 <= n; i += 4)
        store4(y + i, fma4((load4(x + i) - mean) * r, load4(w + i), load4(b + i)));
    for (; i < n; i++)
        y[i] = fmaf((x[i] - mean) * r, w[i], b[i]);
}

INLINE f4 silu4(f4 x) { return x / (1.0f + exp4(negate4(x))); }

INLINE f4 gelu4(f4 x)
{
    f4 u = x * fma4(set4(REF_GELU_B), x * x, set4(REF_GELU_A));
    return x / (1.0f + exp4(negate4(u)));
}

static void silu_mul(float *y, const float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        store4(y + i, silu4(load4(gate + i)) * load4(up + i));
    for (; i < n; i++)
        y[i] = ref_silu(gate[i]) * up[i];
}

static void gelu_mul(float *y, const float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        store4(y + i, gelu4(load4(gate + i)) * load4(up + i));
    for (; i < n; i++)
        y[i] = ref_gelu(gate[i]) * up[i];
}

static void gelu(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        store4(y + i, gelu4(load4(x + i)));
    for (; i < n; i++)
        y[i] = ref_gelu(x[i]);
}

static void softcap(float *y, const float *x, float c, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        f4 e = exp4(2.0f * (load4(x + i) / c));
        store4(y + i, c * (1.0f - 2.0f / (e + 1.0f)));
    }
    for (; i < n; i++)
        y[i] = ref_softcap(x[i], c);
}

static void add(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] + x[i];
}

static void scale(float *y, const float *x, float c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * c;
}

static void rope(float *x, size_t n_heads, size_t head_dim, size_t n_rot, const float *cos_t,
                 const float *sin_t, bool neox)
{
    if (!neox || n_rot % 8 != 0) {
        kern_ops_ref()->rope(x, n_heads, head_dim, n_rot, cos_t, sin_t, neox);
        return;
    }
    for (size_t h = 0; h < n_heads; h++, x += head_dim) {
        for (size_t i = 0; i < n_rot / 2; i += 4) {
            f4 a = load4(x + i), b = load4(x + i + n_rot / 2), c = load4(cos_t + i), s = load4(sin_t + i);
            store4(x + i, fma4(a, c, negate4(b * s)));
            store4(x + i + n_rot / 2, fma4(b, c, a * s));
        }
    }
}

static bool all_finite(const float *x, size_t n)
{
    i4 bad = set4_i(0);
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        bad |= ((i4)load4(x + i) & INT32_MAX) > 0x7F7FFFFF;
    for (; i < n; i++)
        if ((half_f32_bits(x[i]) & 0x7FFFFFFFu) > 0x7F7FFFFFu)
            return false;
    return !any4(bad);
}

/* The lowest index of the largest value; 0 if nothing is larger than -inf. */
static size_t argmax(const float *x, size_t n)
{
    f4 m = set4(-INFINITY);
    float lanes[4], best = -INFINITY;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        f4 v = load4(x + i);
        m = select4(v > m, v, m);
    }
    store4(lanes, m);
    for (int k = 0; k < 4; k++)
        best = lanes[k] > best ? lanes[k] : best;
    for (; i < n; i++)
        best = x[i] > best ? x[i] : best;
    for (i = 0; i < n; i++)
        if (x[i] == best)
            return i;
    return 0;
}

/* The product of two binary32 numbers is exact in binary64, so that its fused multiply-add with them
 * is the sum alone that rounds. */
static void logstats(const float *x, size_t n, struct kern_logstats *out)
{
    double s[8] = {0}, ws[8] = {0};
    size_t best = argmax(x, n), i = 0;
    float max = n && x[best] > -INFINITY ? x[best] : -INFINITY;   /* of equal zeros, the first */
    for (; i + 4 <= n; i += 4) {
        f4 d = load4(x + i) - max, e = exp4(d);
        for (size_t k = 0; k < 4; k++) {
            s[i % 8 + k] += (double)e[k];
            ws[i % 8 + k] += (double)e[k] * (double)d[k];
        }
    }
    for (; i < n; i++) {
        float d = x[i] - max, e = ref_exp(d);
        s[i % 8] += (double)e;
        ws[i % 8] += (double)e * (double)d;
    }
    out->max = max;
    out->argmax = (int32_t)best;
    out->sum = ref_fold8d(s);
    out->wsum = ref_fold8d(ws);
}

/* ---- attention -------------------------------------------------------------------------------- */

/* Rounding one position's numbers to binary16 is no work beside its products. */
static void kv_store(void *k, void *v, const struct kern_attn_shape *sh, const float *key,
                     const float *value, size_t j)
{
    kern_ops_ref()->kv_store(k, v, sh, key, value, j);
}

INLINE f4 load_kv(const void *p, bool f16, size_t i)
{
    return f16 ? load4_f16((const uint16_t *)p + i) : load4((const float *)p + i);
}

/* acc[t] = the sums over n of x[t][i] * y[i][0..16), i ascending, fused; y[0] is at element `at`, and
 * y[i] `step` elements behind the one before. */
INLINE void sums16(int T, f4 acc[2][4], const float *const x[2], const void *y, bool f16, size_t at,
                   size_t step, size_t n)
{
    for (int t = 0; t < T; t++)
        acc[t][0] = acc[t][1] = acc[t][2] = acc[t][3] = set4(0);
    for (size_t i = 0; i < n; i++)
#pragma GCC unroll 4
        for (size_t c = 0; c < 4; c++) {
            f4 v = load_kv(y, f16, at + i * step + 4 * c);
#pragma GCC unroll 2
            for (int t = 0; t < T; t++)
                acc[t][c] = fma4(set4(x[t][i]), v, acc[t][c]);
        }
}

/* s[t][64] for T queries: lane = position, chunks of 16 positions that some query needs. */
INLINE void scores(int T, float *s, const struct kern_attn *a, const void *k, bool f16, size_t k_dim,
                   size_t j0, size_t j1)
{
    const float *const q[2] = {a[0].q, a[T - 1].q};
    for (size_t j = j0 / 16 * 16; j < j1; j += 16) {
        f4 acc[2][4];
        sums16(T, acc, q, k, f16, j, KERN_KV, k_dim);
        for (int t = 0; t < T; t++)
            for (size_t c = 0; c < 4; c++)
                store4(s + (size_t)t * KERN_KV + j + 4 * c, acc[t][c]);
    }
}

/* Softmax of one query's block: s becomes p, 0 outside [j0, j1). */
INLINE void softmax_block(float *s, uint32_t j0, uint32_t j1, float *max, float *sum)
{
    float top = -INFINITY, lanes[8];
    f4 l[2] = {set4(0), set4(0)};
    for (uint32_t j = 0; j < KERN_KV; j++) {
        if (j < j0 || j >= j1)
            s[j] = -INFINITY;
        else if (s[j] > top)
            top = s[j];
    }
    for (int i = 0; i < KERN_KV / 4; i++) {
        f4 p = exp4(load4(s + 4 * i) - top);
        store4(s + 4 * i, p);
        l[i % 2] = l[i % 2] + p;
    }
    store4(lanes, l[0]);
    store4(lanes + 4, l[1]);
    *max = top;
    *sum = ref_fold8(lanes);
}

/* The block's outputs of T queries, folded into what they have: lane = dimension. */
INLINE void outputs(int T, const float *s, struct kern_attn *a, const float old[2], const float new[2],
                    const void *v, bool f16, size_t v_dim, size_t j0, size_t j1, const bool first[2])
{
    const float *const p[2] = {s + j0, s + KERN_KV * (T - 1) + j0};
    for (size_t d = 0; d < v_dim; d += 16) {
        f4 acc[2][4];
        sums16(T, acc, p, v, f16, j0 * v_dim + d, v_dim, j1 - j0);
        for (int t = 0; t < T; t++)
            for (size_t c = 0; c < 4; c++) {
                float *o = a[t].o + d + 4 * c;
                f4 x = acc[t][c] + 0.0f;
                if (!first[t])
                    x = fma4(load4(o), set4(old[t]), x * new[t]);
                store4(o, BROKEN4(x));
            }
    }
}

INLINE void attn_tile(int T, struct kern_attn *a, const void *k, const void *v,
                      const struct kern_attn_shape *sh, bool f16)
{
    float s[2 * KERN_KV], old[2], new[2];
    bool first[2];
    size_t j0 = KERN_KV, j1 = 0;
    for (int t = 0; t < T; t++) {
        j0 = a[t].j0 < j0 ? a[t].j0 : j0;
        j1 = a[t].j1 > j1 ? a[t].j1 : j1;
    }
    scores(T, s, a, k, f16, sh->k_dim, j0, j1);
    for (int t = 0; t < T; t++) {
        float max, sum, *at = s + t * KERN_KV + a[t].j0;
        if (sh->softcap != 0)
            softcap(at, at, sh->softcap, a[t].j1 - a[t].j0);
        softmax_block(s + t * KERN_KV, a[t].j0, a[t].j1, &max, &sum);
        first[t] = a[t].l == 0;
        float m = first[t] || max > a[t].m ? max : a[t].m;
        old[t] = first[t] ? 0 : ref_exp(a[t].m - m);
        new[t] = first[t] ? 1 : ref_exp(max - m);
        a[t].l = first[t] ? sum : fmaf(a[t].l, old[t], sum * new[t]);
        a[t].m = m;
    }
    outputs(T, s, a, old, new, v, f16, sh->v_dim, j0, j1, first);
}

static void attn_block(struct kern_attn *a, size_t n, const void *k, const void *v,
                       const struct kern_attn_shape *sh, void *scratch)
{
    bool f16 = sh->f16;
    if (sh->v_dim % 16 != 0) {
        kern_ops_ref()->attn_block(a, n, k, v, sh, scratch);
        return;
    }
    if (f16 && n > 2) {                    /* many queries: convert the block once */
        float *k32 = scratch, *v32 = k32 + sh->k_dim * KERN_KV;
        for (size_t i = 0; i < sh->k_dim * KERN_KV; i += 4)
            store4(k32 + i, load4_f16((const uint16_t *)k + i));
        for (size_t i = 0; i < sh->v_dim * KERN_KV; i += 4)
            store4(v32 + i, load4_f16((const uint16_t *)v + i));
        k = k32;
        v = v32;
        f16 = false;
    }
    for (size_t i = 0; i < n;) {
        size_t run = 0;                    /* queries in a row that see something of this block */
        while (run < 2 && i + run < n && a[i + run].j0 < a[i + run].j1)
            run++;
        if (run == 2 && f16)
            attn_tile(2, a + i, k, v, sh, true);
        else if (run == 2)
            attn_tile(2, a + i, k, v, sh, false);
        else if (run == 1 && f16)
            attn_tile(1, a + i, k, v, sh, true);
        else if (run == 1)
            attn_tile(1, a + i, k, v, sh, false);
        i += run ? run : 1;
    }
}

static void attn_finish(struct kern_attn *a, size_t n, size_t v_dim)
{
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < v_dim; d++)
            a[i].o[d] = a[i].o[d] / a[i].l;
}

#endif
