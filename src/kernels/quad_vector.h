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

#define VEC f4
#define VEC_N 4
#define vec_zero() set4(0.0f)
#define vec_set1 set4
#define vec_load load4
#define vec_load_f16 load4_f16
#define vec_store store4
#define vec_fma fma4
#define vec_mul(a, b) ((a) * (b))
#define vec_add(a, b) ((a) + (b))
#define VEC_BROKEN BROKEN4
#define ATTN_TILES ATTN_TILE(2, 4) ATTN_TILE(1, 4)
#define ATTN_MAX_T 2
#define ATTN_CONVERT_FROM 3
#include "kernels/attn_template.h"

static void attn_finish(struct kern_attn *a, size_t n, size_t v_dim)
{
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < v_dim; d++)
            a[i].o[d] = a[i].o[d] / a[i].l;
}

#endif
