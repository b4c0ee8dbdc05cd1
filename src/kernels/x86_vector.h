/* SPDX-License-Identifier: MIT
 * Vectors of ref.c for x86, with the parts of attention that fold lanes: the same operations in the
 * same order, eight at a time. Included once by each instruction set's file. */
#ifndef KERNELS_X86_VECTOR_H
#define KERNELS_X86_VECTOR_H

#include "base/half.h"
#include "kernels/ref.h"
#include "kernels/x86.h"

/* ((0+4)+(2+6)) + ((1+5)+(3+7)) */
INLINE float fold8(__m256 v)
{
    __m128 a = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
}

INLINE double fold8d(__m256d lo, __m256d hi)
{
    __m256d a = _mm256_add_pd(lo, hi);
    __m128d b = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(b, _mm_unpackhi_pd(b, b)));
}

INLINE __m256 exp8(__m256 x)
{
    __m256 magic = _mm256_set1_ps(REF_MAGIC);
    __m256 t = _mm256_fmadd_ps(x, _mm256_set1_ps(REF_LOG2E), magic);
    __m256 n = _mm256_sub_ps(t, magic);
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-REF_LN2_HI), x);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-REF_LN2_LO), r);
    __m256 p = _mm256_set1_ps(1.0f / 5040.0f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p),
                                             _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
    p = _mm256_andnot_ps(_mm256_cmp_ps(x, _mm256_set1_ps(REF_EXP_LO), _CMP_LT_OQ), p);
    return _mm256_blendv_ps(p, _mm256_set1_ps(INFINITY),
                            _mm256_cmp_ps(x, _mm256_set1_ps(REF_EXP_HI), _CMP_GT_OQ));
}

/* ---- one vector ------------------------------------------------------------------------------ */

static void rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
    __m256 s = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i);
        s = _mm256_fmadd_ps(v, v, s);
    }
    if (i < n) {
        __m256 v = _mm256_maskload_ps(x + i, lane_mask(0, (int)(n - i)));
        s = _mm256_fmadd_ps(v, v, s);
    }
    float r = 1.0f / sqrtf(fold8(s) / (float)n + eps);
    for (i = 0; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i),
                                                            _mm256_set1_ps(r)),
                                              _mm256_loadu_ps(w + i)));
    for (; i < n; i++)
        y[i] = (x[i] * r) * w[i];
}

static void layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps)
{
    __m256 s = _mm256_setzero_ps(), q = _mm256_setzero_ps();
    __m256i tail = lane_mask(0, (int)(n % 8));
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        s = _mm256_add_ps(s, _mm256_loadu_ps(x + i));
    if (i < n)
        s = _mm256_add_ps(s, _mm256_maskload_ps(x + i, tail));
    float mean = fold8(s) / (float)n;
    __m256 mean8 = _mm256_set1_ps(mean);
    for (i = 0; i + 8 <= n; i += 8) {
        __m256 d = _mm256_sub_ps(_mm256_loadu_ps(x + i), mean8);
        q = _mm256_fmadd_ps(d, d, q);
    }
    if (i < n) {
        __m256 d = _mm256_sub_ps(_mm256_maskload_ps(x + i, tail), mean8);
        d = _mm256_and_ps(d, _mm256_castsi256_ps(tail));
        q = _mm256_fmadd_ps(d, d, q);
    }
    float r = 1.0f / sqrtf(fold8(q) / (float)n + eps);
    __m256 r8 = _mm256_set1_ps(r);
    for (i = 0; i + 8 <= n; i += 8) {
        __m256 d = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), mean8), r8);
        _mm256_storeu_ps(y + i, _mm256_fmadd_ps(d, _mm256_loadu_ps(w + i), _mm256_loadu_ps(b + i)));
    }
    for (; i < n; i++)
        y[i] = fmaf((x[i] - mean) * r, w[i], b[i]);
}

INLINE __m256 silu8(__m256 x)
{
    __m256 e = exp8(_mm256_xor_ps(x, _mm256_set1_ps(-0.0f)));
    return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
}

INLINE __m256 gelu8(__m256 x)
{
    __m256 c = _mm256_fmadd_ps(_mm256_set1_ps(REF_GELU_B), _mm256_mul_ps(x, x),
                               _mm256_set1_ps(REF_GELU_A));
    __m256 e = exp8(_mm256_xor_ps(_mm256_mul_ps(x, c), _mm256_set1_ps(-0.0f)));
    return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
}

static void silu_mul(float *y, const float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(silu8(_mm256_loadu_ps(gate + i)),
                                              _mm256_loadu_ps(up + i)));
    for (; i < n; i++)
        y[i] = ref_silu(gate[i]) * up[i];
}

static void gelu_mul(float *y, const float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(gelu8(_mm256_loadu_ps(gate + i)),
                                              _mm256_loadu_ps(up + i)));
    for (; i < n; i++)
        y[i] = ref_gelu(gate[i]) * up[i];
}

static void gelu(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, gelu8(_mm256_loadu_ps(x + i)));
    for (; i < n; i++)
        y[i] = ref_gelu(x[i]);
}

static void softcap(float *y, const float *x, float c, size_t n)
{
    __m256 c8 = _mm256_set1_ps(c), one = _mm256_set1_ps(1.0f), two = _mm256_set1_ps(2.0f);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 e = exp8(_mm256_mul_ps(two, _mm256_div_ps(_mm256_loadu_ps(x + i), c8)));
        __m256 t = _mm256_sub_ps(one, _mm256_div_ps(two, _mm256_add_ps(e, one)));
        _mm256_storeu_ps(y + i, _mm256_mul_ps(c8, t));
    }
    for (; i < n; i++)
        y[i] = ref_softcap(x[i], c);
}

static void add(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i)));
    for (; i < n; i++)
        y[i] = y[i] + x[i];
}

static void scale(float *y, const float *x, float c, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(c)));
    for (; i < n; i++)
        y[i] = x[i] * c;
}

static void rope(float *x, size_t n_heads, size_t head_dim, size_t n_rot, const float *cos_t,
                 const float *sin_t, bool neox)
{
    if (!neox || n_rot % 16 != 0) {
        kern_ops_ref()->rope(x, n_heads, head_dim, n_rot, cos_t, sin_t, neox);
        return;
    }
    for (size_t h = 0; h < n_heads; h++, x += head_dim) {
        for (size_t i = 0; i < n_rot / 2; i += 8) {
            float *pa = x + i, *pb = x + i + n_rot / 2;
            __m256 a = _mm256_loadu_ps(pa), b = _mm256_loadu_ps(pb);
            __m256 c = _mm256_loadu_ps(cos_t + i), s = _mm256_loadu_ps(sin_t + i);
            _mm256_storeu_ps(pa, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
            _mm256_storeu_ps(pb, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
        }
    }
}

static bool all_finite(const float *x, size_t n)
{
    const __m256i abs_mask = _mm256_set1_epi32(0x7FFFFFFF);
    const __m256i top = _mm256_set1_epi32(0x7F7FFFFF);
    __m256i bad = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i v = _mm256_and_si256(load256(x + i), abs_mask);
        bad = _mm256_or_si256(bad, _mm256_cmpgt_epi32(v, top));
    }
    for (; i < n; i++)
        if ((half_f32_bits(x[i]) & 0x7FFFFFFFu) > 0x7F7FFFFFu)
            return false;
    return _mm256_testz_si256(bad, bad);
}

/* The largest value and its lowest index; -inf and 0 if nothing is larger than -inf. */
/* The first index of the largest; *max is what stands there, so that of zeros the first one's sign
 * counts. */
static size_t argmax(const float *x, size_t n, float *max)
{
    __m256 m = _mm256_set1_ps(-INFINITY);
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        m = _mm256_max_ps(_mm256_loadu_ps(x + i), m);
    float lanes[8], best = -INFINITY;
    _mm256_storeu_ps(lanes, m);
    for (int k = 0; k < 8; k++)
        best = lanes[k] > best ? lanes[k] : best;
    for (; i < n; i++)
        best = x[i] > best ? x[i] : best;
    int hit = 0;
    for (i = 0; i + 8 <= n && !hit; i += hit ? 0 : 8)
        hit = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(best), _CMP_EQ_OQ));
    if (hit)
        i += (size_t)__builtin_ctz((unsigned)hit);
    else
        while (i < n - 1 && x[i] != best)
            i++;
    *max = x[i];
    return i;
}

static void logstats(const float *x, size_t n, struct kern_logstats *out)
{
    float max;
    size_t best = argmax(x, n, &max), i = 0;
    __m256d s0 = _mm256_setzero_pd(), s1 = s0, w0 = s0, w1 = s0;
    for (; i < n; i += 8) {
        /* A short tail is padded with -inf, whose exp is +0; its d is made 0 for the product. */
        __m256i valid = lane_mask(0, n - i < 8 ? (int)(n - i) : 8);
        __m256 v = _mm256_maskload_ps(x + i, valid);
        __m256 d = _mm256_and_ps(_mm256_sub_ps(v, _mm256_set1_ps(max)), _mm256_castsi256_ps(valid));
        __m256 e = _mm256_and_ps(exp8(d), _mm256_castsi256_ps(valid));
        __m256d e0 = _mm256_cvtps_pd(_mm256_castps256_ps128(e));
        __m256d e1 = _mm256_cvtps_pd(_mm256_extractf128_ps(e, 1));
        s0 = _mm256_add_pd(s0, e0);
        s1 = _mm256_add_pd(s1, e1);
        w0 = _mm256_fmadd_pd(e0, _mm256_cvtps_pd(_mm256_castps256_ps128(d)), w0);
        w1 = _mm256_fmadd_pd(e1, _mm256_cvtps_pd(_mm256_extractf128_ps(d, 1)), w1);
    }
    out->max = max;
    out->argmax = (int32_t)best;
    out->sum = fold8d(s0, s1);
    out->wsum = fold8d(w0, w1);
}

/* ---- attention -------------------------------------------------------------------------------- */

static void kv_store(void *k, void *v, const struct kern_attn_shape *sh, const float *key,
                     const float *value, size_t j)
{
    if (!sh->f16 || sh->k_dim % 8 != 0 || sh->v_dim % 8 != 0) {
        kern_ops_ref()->kv_store(k, v, sh, key, value, j);
        return;
    }
    uint16_t *kh = k, *vh = v, lane[8];
    for (size_t d = 0; d < sh->k_dim; d += 8) {
        __m128i x = _mm256_cvtps_ph(_mm256_loadu_ps(key + d), _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128((__m128i *)lane, x);
        for (size_t i = 0; i < 8; i++)
            kh[(d + i) * KERN_KV + j] = lane[i];
    }
    for (size_t d = 0; d < sh->v_dim; d += 8)
        _mm_storeu_si128((__m128i *)(vh + j * sh->v_dim + d),
                         _mm256_cvtps_ph(_mm256_loadu_ps(value + d), _MM_FROUND_TO_NEAREST_INT));
}

/* Softmax of one query's block: s becomes p, 0 outside [j0, j1). */
INLINE void softmax_block(float *s, uint32_t j0, uint32_t j1, float *max, float *sum)
{
    __m256 v[8], m = _mm256_set1_ps(-INFINITY), l = _mm256_setzero_ps();
    for (int i = 0; i < 8; i++) {
        __m256 valid = _mm256_castsi256_ps(lane_mask((int)j0 - 8 * i, (int)j1 - 8 * i));
        v[i] = _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), _mm256_loadu_ps(s + 8 * i), valid);
        m = _mm256_max_ps(v[i], m);
    }
    float lanes[8], top = -INFINITY;
    _mm256_storeu_ps(lanes, m);
    for (int i = 0; i < 8; i++)
        top = lanes[i] > top ? lanes[i] : top;
    for (int i = 0; i < 8; i++) {
        __m256 p = exp8(_mm256_sub_ps(v[i], _mm256_set1_ps(top)));
        _mm256_storeu_ps(s + 8 * i, p);
        l = _mm256_add_ps(l, p);
    }
    *max = top;
    *sum = fold8(l);
}

static void attn_finish(struct kern_attn *a, size_t n, size_t v_dim)
{
    for (size_t i = 0; i < n; i++) {
        size_t d = 0;
        for (; d + 8 <= v_dim; d += 8)
            _mm256_storeu_ps(a[i].o + d, _mm256_div_ps(_mm256_loadu_ps(a[i].o + d),
                                                       _mm256_set1_ps(a[i].l)));
        for (; d < v_dim; d++)
            a[i].o[d] = a[i].o[d] / a[i].l;
    }
}

#endif
