/* SPDX-License-Identifier: MIT
 * The definition of the arithmetic, in scalar C. Every other variant equals this file bit for
 * bit; docs/numerics.md says the same in words. */
#include "kernels/ref.h"

#include <float.h>

#include "base/half.h"
#include "kernels/kernels.h"
#include "kernels/pack.h"
#include "kernels/ref_block.h"

/* ---- weights: one block of 32 columns of one row, as integers and scales ------------------ */

static float f16_at(const uint8_t *p, size_t r)
{
    uint16_t h;
    memcpy(&h, p + 2 * r, 2);
    return half_f16_to_f32(h);
}

void ref_load_block(struct ref_block *k, const struct kern_matrix *w, const struct pack_layout *l,
                    size_t row, size_t b)
{
    size_t r = row % KERN_ROWS;
    const uint8_t *group = w->data + row / KERN_ROWS * w->group_bytes;
    const uint8_t *q = group + b * l->q_bytes + 4 * r;
    const uint8_t *h = group + l->h_off + b * l->h_bytes + 4 * r;
    const uint8_t *s = group + l->s_off + b / l->s_blocks * l->s_bytes;
    int32_t off = 0;

    for (size_t c = 0; c < KERN_BLOCK; c++) {
        size_t v = c / 4, j = c % 4;
        if (w->type == QTYPE_Q8_0)
            k->q[c] = (int8_t)q[32 * v + j];
        else if (l->q_bytes == 64)
            k->q[c] = (q[32 * (v / 4) + j] >> (2 * (v % 4))) & 3;
        else
            k->q[c] = (q[32 * (v % 4) + j] >> (4 * (v / 4))) & 15;
        if (l->h_bytes == 32)
            k->q[c] |= ((h[j] >> v) & 1) << (w->type == QTYPE_Q3_K ? 2 : 4);
        else if (l->h_bytes == 64)
            k->q[c] |= ((h[32 * (v / 4) + j] >> (2 * (v % 4))) & 3) << 4;
        if (w->type == QTYPE_IQ4_NL || w->type == QTYPE_IQ4_XS)
            k->q[c] = PACK_IQ4[k->q[c]];
    }
    k->sub[0] = k->sub[1] = k->msub[0] = k->msub[1] = 1;
    k->s = f16_at(s, r);
    k->m = 0;
    k->has_m = k->has_msub = false;
    switch (w->type) {
    case QTYPE_Q4_0: off = 8; break;
    case QTYPE_Q5_0: off = 16; break;
    case QTYPE_Q4_1:
    case QTYPE_Q5_1:
        k->m = f16_at(s + 16, r);
        k->has_m = true;
        break;
    case QTYPE_Q4_K:
    case QTYPE_Q5_K: {
        const uint8_t *sc = s + 32 + 16 * (b % 8);
        k->s = k->s * (float)sc[r];
        k->m = -(f16_at(s + 16, r) * (float)sc[8 + r]);
        k->has_m = true;
        break;
    }
    case QTYPE_Q3_K:
    case QTYPE_Q6_K: {
        const uint8_t *sc = s + 16 + 16 * (b % 8);
        off = w->type == QTYPE_Q3_K ? 4 : 32;
        k->sub[0] = (int8_t)sc[r];
        k->sub[1] = (int8_t)sc[8 + r];
        break;
    }
    case QTYPE_Q2_K: {
        const uint8_t *sc = s + 32 + 16 * (b % 8);
        for (size_t i = 0; i < 2; i++) {
            k->sub[i] = sc[8 * i + r] & 15;
            k->msub[i] = sc[8 * i + r] >> 4;
        }
        k->m = -f16_at(s + 16, r);
        k->has_m = k->has_msub = true;
        break;
    }
    case QTYPE_IQ4_XS:
        k->s = k->s * (float)(int8_t)s[16 + 8 * (b % 8) + r];
        break;
    default:
        break;
    }
    for (size_t c = 0; c < KERN_BLOCK; c++)
        k->q[c] -= off;
}

/* The 32 values, each rounded at most once: integer products of the file's numbers are exact
 * in binary32, so only adding m rounds. */
static void block_values(const struct ref_block *k, float out[KERN_BLOCK])
{
    for (size_t c = 0; c < KERN_BLOCK; c++) {
        float v = (k->s * (float)k->sub[c / 16]) * (float)k->q[c];
        out[c] = k->has_m ? v + k->m * (float)k->msub[c / 16] : v;
    }
}

void kern_unpack_row(const struct kern_matrix *w, size_t row, float *out)
{
    struct pack_layout l = pack_layout(w->type, w->n_cols);
    const uint8_t *group = w->data + row / KERN_ROWS * w->group_bytes;
    size_t r = row % KERN_ROWS;

    for (size_t c = 0; c < w->n_cols && !l.s_blocks; c++) {
        uint16_t h;
        if (w->type == QTYPE_F32) {
            memcpy(&out[c], group + (c * KERN_ROWS + r) * 4, 4);
            continue;
        }
        memcpy(&h, group + (c * KERN_ROWS + r) * 2, 2);
        out[c] = w->type == QTYPE_F16 ? half_f16_to_f32(h) : half_bf16_to_f32(h);
    }
    for (size_t b = 0; l.s_blocks && b < w->n_cols / KERN_BLOCK; b++) {
        struct ref_block k;
        ref_load_block(&k, w, &l, row, b);
        block_values(&k, out + b * KERN_BLOCK);
    }
}

/* ---- matrix products ------------------------------------------------------------------------ */

static bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(x[i]) <= FLT_MAX))
            return false;
    return true;
}

static void quantize(struct kern_q8 *y, const float *x, size_t n)
{
    for (size_t b = 0; b < n / KERN_BLOCK; b++, x += KERN_BLOCK) {
        float amax = 0;
        for (size_t i = 0; i < KERN_BLOCK; i++)
            if (fabsf(x[i]) > amax)
                amax = fabsf(x[i]);
        /* Below 2^-120 the reciprocal scale could overflow: such a block is all zero. A block
         * that is not all finite gets d = NaN, so that the damage stays visible. */
        bool finite = all_finite(x, KERN_BLOCK);
        float id = amax >= 0x1p-120f ? 127.0f / amax : 0.0f;
        y[b].d = !finite ? NAN : amax >= 0x1p-120f ? amax / 127.0f : 0.0f;
        int32_t sum[2] = {0};
        for (size_t i = 0; i < KERN_BLOCK; i++) {
            if (!finite) {
                y[b].q[i] = 0;
                continue;
            }
            y[b].q[i] = (int8_t)lrintf(x[i] * id);
            sum[i / 16] += y[b].q[i];
        }
        y[b].sum16[0] = (int16_t)sum[0];
        y[b].sum16[1] = (int16_t)sum[1];
        y[b].sum = sum[0] + sum[1];
        y[b].ds = y[b].d * (float)y[b].sum;
    }
}

float ref_dot_block(const struct ref_block *k, const struct kern_q8 *a, float acc)
{
    int32_t lo = 0, hi = 0;
    for (size_t c = 0; c < 16; c++) {
        lo += k->q[c] * a->q[c];
        hi += k->q[16 + c] * a->q[16 + c];
    }
    int32_t isum = k->sub[0] * lo + k->sub[1] * hi;
    acc = fmaf((float)isum, k->s * a->d, acc);
    if (k->has_msub)
        return fmaf((float)(k->msub[0] * a->sum16[0] + k->msub[1] * a->sum16[1]), k->m * a->d, acc);
    return k->has_m ? fmaf(k->m, a->ds, acc) : acc;
}

static void matmul_q8(float *y, size_t ldy, const struct kern_matrix *w, const struct kern_q8 *x,
                      size_t n_tokens, size_t group0, size_t group1)
{
    struct pack_layout l = pack_layout(w->type, w->n_cols);
    size_t nb = w->n_cols / KERN_BLOCK;

    for (size_t r = group0 * KERN_ROWS; r < group1 * KERN_ROWS && r < w->n_rows; r++) {
        for (size_t t = 0; t < n_tokens; t++)
            y[t * ldy + r] = 0;
        for (size_t b = 0; b < nb; b++) {
            struct ref_block k;
            ref_load_block(&k, w, &l, r, b);
            for (size_t t = 0; t < n_tokens; t++)
                y[t * ldy + r] = ref_dot_block(&k, &x[t * nb + b], y[t * ldy + r]);
        }
    }
}

static void matmul_f32(float *y, size_t ldy, const struct kern_matrix *w, const float *x,
                       size_t ldx, size_t n_tokens, size_t group0, size_t group1, void *scratch)
{
    float *row = scratch;
    for (size_t r = group0 * KERN_ROWS; r < group1 * KERN_ROWS && r < w->n_rows; r++) {
        kern_unpack_row(w, r, row);
        for (size_t t = 0; t < n_tokens; t++) {
            float acc = 0;
            for (size_t c = 0; c < w->n_cols; c++)
                acc = fmaf(row[c], x[t * ldx + c], acc);
            y[t * ldy + r] = acc;
        }
    }
}

/* ---- one vector ------------------------------------------------------------------------------ */

static void rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
    float s[8] = {0};
    for (size_t i = 0; i < n; i++)
        s[i % 8] = fmaf(x[i], x[i], s[i % 8]);
    float r = 1.0f / sqrtf(ref_fold8(s) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] * r) * w[i];
}

static void layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps)
{
    float s[8] = {0}, q[8] = {0};
    for (size_t i = 0; i < n; i++)
        s[i % 8] = s[i % 8] + x[i];
    float mean = ref_fold8(s) / (float)n;
    for (size_t i = 0; i < n; i++) {
        float d = x[i] - mean;
        q[i % 8] = fmaf(d, d, q[i % 8]);
    }
    float r = 1.0f / sqrtf(ref_fold8(q) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = fmaf((x[i] - mean) * r, w[i], b[i]);
}

static void silu_mul(float *y, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = ref_silu(gate[i]) * up[i];
}

static void gelu_mul(float *y, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = ref_gelu(gate[i]) * up[i];
}

static void gelu(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = ref_gelu(x[i]);
}

static void softcap(float *y, const float *x, float c, size_t n)
{
    for (size_t i = 0; i < n; i++)
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
    for (size_t h = 0; h < n_heads; h++, x += head_dim) {
        for (size_t i = 0; i < n_rot / 2; i++) {
            float *a = neox ? &x[i] : &x[2 * i], *b = neox ? &x[i + n_rot / 2] : &x[2 * i + 1];
            float a0 = *a, b0 = *b;
            *a = fmaf(a0, cos_t[i], -(b0 * sin_t[i]));
            *b = fmaf(b0, cos_t[i], a0 * sin_t[i]);
        }
    }
}

static void logstats(const float *x, size_t n, struct kern_logstats *out)
{
    float max = -INFINITY;
    size_t best = 0;
    double s[8] = {0}, ws[8] = {0};

    for (size_t i = 0; i < n; i++) {
        if (x[i] > max) {
            max = x[i];
            best = i;
        }
    }
    for (size_t i = 0; i < n; i++) {
        float d = x[i] - max, e = ref_exp(d);
        s[i % 8] += (double)e;
        ws[i % 8] = fma((double)e, (double)d, ws[i % 8]);
    }
    out->max = max;
    out->argmax = (int32_t)best;
    out->sum = ref_fold8d(s);
    out->wsum = ref_fold8d(ws);
}

/* ---- attention -------------------------------------------------------------------------------- */

static float cache_at(const void *p, bool f16, size_t i)
{
    if (!f16)
        return ((const float *)p)[i];
    return half_f16_to_f32(((const uint16_t *)p)[i]);
}

static void cache_put(void *p, bool f16, size_t i, float v)
{
    if (f16)
        ((uint16_t *)p)[i] = half_f32_to_f16(v);
    else
        ((float *)p)[i] = v;
}

static void kv_store(void *k, void *v, const struct kern_attn_shape *sh, const float *key,
                     const float *value, size_t j)
{
    for (size_t d = 0; d < sh->k_dim; d++)
        cache_put(k, sh->f16, d * KERN_KV + j, key[d]);
    for (size_t d = 0; d < sh->v_dim; d++)
        cache_put(v, sh->f16, j * sh->v_dim + d, value[d]);
}

/* One block for one query: softmax over its valid positions, and its part of the output. */
static void attn_one(struct kern_attn *a, const void *k, const void *v,
                     const struct kern_attn_shape *sh)
{
    float s[KERN_KV], max = -INFINITY, lanes[8] = {0};

    for (uint32_t j = a->j0; j < a->j1; j++) {
        float acc = 0;
        for (size_t d = 0; d < sh->k_dim; d++)
            acc = fmaf(a->q[d], cache_at(k, sh->f16, d * KERN_KV + j), acc);
        s[j] = sh->softcap != 0 ? ref_softcap(acc, sh->softcap) : acc;
        if (s[j] > max)
            max = s[j];
    }
    for (uint32_t j = a->j0; j < a->j1; j++) {
        s[j] = ref_exp(s[j] - max);
        lanes[j % 8] += s[j];
    }
    float l = ref_fold8(lanes);

    bool first = a->l == 0;
    float m = first || max > a->m ? max : a->m;
    float old = first ? 0 : ref_exp(a->m - m), new = first ? 1 : ref_exp(max - m);
    a->l = first ? l : fmaf(a->l, old, l * new);
    a->m = m;
    for (size_t d = 0; d < sh->v_dim; d++) {
        float o = 0;
        for (uint32_t j = a->j0; j < a->j1; j++)
            o = fmaf(s[j], cache_at(v, sh->f16, j * sh->v_dim + d), o);
        o = o + 0.0f;                      /* -0 becomes +0, so that terms p = 0 may be added */
        a->o[d] = first ? o : fmaf(a->o[d], old, o * new);
    }
}

static void attn_block(struct kern_attn *a, size_t n, const void *k, const void *v,
                       const struct kern_attn_shape *sh, void *scratch)
{
    (void)scratch;
    for (size_t i = 0; i < n; i++)
        if (a[i].j0 < a[i].j1)
            attn_one(&a[i], k, v, sh);
}

static void attn_finish(struct kern_attn *a, size_t n, size_t v_dim)
{
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < v_dim; d++)
            a[i].o[d] = a[i].o[d] / a[i].l;
}

/* ---- limits ------------------------------------------------------------------------------------ */

static uint64_t peak_i8(uint64_t n)
{
    int32_t a[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (uint64_t i = 0; i < n; i++)
        for (int k = 0; k < 8; k++) {
            a[k] = (int32_t)((uint32_t)a[k] + (uint32_t)(int8_t)a[k] * 3u);
            __asm__ volatile("" : "+r"(a[k]));
        }
    return n * 8 * 2;
}

static uint64_t peak_f32(uint64_t n)
{
    float a[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (uint64_t i = 0; i < n; i++)
        for (int k = 0; k < 8; k++) {
            a[k] = fmaf(a[k], 0.5f, 1.0f);
            __asm__ volatile("" : "+m"(a[k]));
        }
    return n * 8 * 2;
}

const struct kern_ops *kern_ops_ref(void)
{
    static const struct kern_ops ops = KERN_OPS("ref");
    return &ops;
}
