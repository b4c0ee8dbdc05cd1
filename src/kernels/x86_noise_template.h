/* SPDX-License-Identifier: MIT
 * The operations of ref_noise.c for x86. A lane is a row, a position or a dimension, so that every
 * order of the terms costs the same. Included once, by avx2.c, behind dot_block. */
#ifndef KERNELS_X86_NOISE_TEMPLATE_H
#define KERNELS_X86_NOISE_TEMPLATE_H

#include "kernels/noise.h"
#include "kernels/x86_f32.h"
#include "kernels/x86_vector.h"

/* ---- sums of eight lanes, up to four vectors of them ------------------------------------------- */

enum { NOISE_VECTORS = 4 };

struct noise_sum {
    __m256 done[KERN_SUM_LEVELS][NOISE_VECTORS];
    unsigned n_done;
    size_t n_parts;
};

INLINE __m256 noise_narrow(enum arith_round round, __m256 x)
{
    if (round == ARITH_ROUND_F16)
        return _mm256_cvtph_ps(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    if (round == ARITH_ROUND_BF16) {
        __m256i u = _mm256_castps_si256(x);
        __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
        u = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7FFF)), odd);
        return _mm256_castsi256_ps(_mm256_and_si256(u, _mm256_set1_epi32((int)0xFFFF0000u)));
    }
    return x;
}

/* v = done + v, of G vectors */
INLINE void noise_pop(int G, struct noise_sum *s, enum arith_round round, __m256 *v)
{
    s->n_done--;
    for (int i = 0; i < G; i++)
        v[i] = noise_narrow(round, _mm256_add_ps(s->done[s->n_done][i], v[i]));
}

INLINE void noise_part(int G, struct noise_sum *s, const struct kern_order *o, __m256 *acc)
{
    if (!o->tree && s->n_parts > 0)
        noise_pop(G, s, o->round, acc);
    for (size_t c = s->n_parts; o->tree && (c & 1); c >>= 1)
        noise_pop(G, s, o->round, acc);
    for (int i = 0; i < G; i++) {
        s->done[s->n_done][i] = acc[i];
        acc[i] = _mm256_setzero_ps();
    }
    s->n_done++;
    s->n_parts++;
}

/* After a step. */
INLINE void noise_step(int G, struct noise_sum *s, const struct kern_order *o, uint32_t step, __m256 *acc)
{
    if (o->round != ARITH_ROUND_F32)
        for (int i = 0; i < G; i++)
            acc[i] = noise_narrow(o->round, acc[i]);
    if (step & KERN_STEP_END)
        noise_part(G, s, o, acc);
}

/* v: the sum of all parts; as it is where there is none. */
INLINE void noise_end(int G, struct noise_sum *s, const struct kern_order *o, __m256 *v)
{
    if (s->n_done == 0)
        return;
    s->n_done--;
    for (int i = 0; i < G; i++)
        v[i] = s->done[s->n_done][i];
    while (s->n_done > 0)
        noise_pop(G, s, o->round, v);
}

/* ---- q8 ------------------------------------------------------------------------------------------ */

/* A block of eight rows, taken apart once for all tokens. */
struct noise_block {
    __m256i u[8];
    struct scales k;
};

INLINE void noise_q8(enum qtype type, float *y, size_t ldy, const struct kern_matrix *w,
                     const struct kern_q8 *x, size_t n_tokens, size_t group0, size_t group1,
                     const struct kern_order *o, struct noise_block *blocks)
{
    struct pack_layout l = pack_layout(type, w->n_cols);
    size_t nb = w->n_cols / KERN_BLOCK;
    for (size_t gi = group0; gi < group1; gi++) {
        const struct group g = group_at(w, &l, gi);
        struct ahead next = ahead_of(gi + 1 < group1 ? g.q + l.group_bytes : NULL, l.group_bytes, nb);
        for (size_t b = 0; b < nb; b++) {
            prefetch(next, b);
            blocks[b].k = load_scales(type, g.s, b);
            load_quants(type, g.q + b * q_bytes_of(type), g.h + b * h_bytes_of(type), blocks[b].u);
        }
        for (size_t t = 0; t < n_tokens; t++) {
            struct noise_sum s;
            __m256 acc = _mm256_setzero_ps();
            s.n_done = 0;
            s.n_parts = 0;
            for (size_t i = 0; i < o[t].n; i++) {
                uint32_t step = o[t].steps[i];
                const struct noise_block *k = &blocks[step & ~KERN_STEP_END];
                const struct kern_q8 *a = &x[t * nb + (step & ~KERN_STEP_END)];
                __m256 isum = _mm256_cvtepi32_ps(dot_block(type, k->u, &k->k, a));
                acc = _mm256_fmadd_ps(isum, _mm256_mul_ps(k->k.s, _mm256_set1_ps(a->d)), acc);
                if (has_m(type))
                    acc = _mm256_fmadd_ps(k->k.m, _mm256_set1_ps(a->ds), acc);
                if (type == QTYPE_Q2_K)
                    acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot_sums(&k->k, a)),
                                          _mm256_mul_ps(k->k.m, _mm256_set1_ps(a->d)), acc);
                noise_step(1, &s, &o[t], step, &acc);
            }
            noise_end(1, &s, &o[t], &acc);
            _mm256_maskstore_ps(y + t * ldy + gi * KERN_ROWS, rows_of(w, gi), BROKEN(acc));
        }
    }
}

#define NOISE_FUNCTION(TYPE)                                                                     \
    static void noise_##TYPE(float *y, size_t ldy, const struct kern_matrix *w,                  \
                             const struct kern_q8 *x, size_t n_tokens, size_t group0,            \
                             size_t group1, const struct kern_order *o, void *scratch)           \
    {                                                                                            \
        noise_q8(QTYPE_##TYPE, y, ldy, w, x, n_tokens, group0, group1, o, scratch);              \
    }
EACH_TYPE(NOISE_FUNCTION)

static void noise_matmul_q8(float *y, size_t ldy, const struct kern_matrix *w, const struct kern_q8 *x,
                            size_t n_tokens, size_t group0, size_t group1, const struct kern_order *o,
                            void *scratch)
{
#define NOISE_CASE(TYPE)                                                                         \
    case QTYPE_##TYPE:                                                                           \
        noise_##TYPE(y, ldy, w, x, n_tokens, group0, group1, o, scratch);                        \
        break;
    switch (w->type) {
    EACH_TYPE(NOISE_CASE)
    default: break;
    }
#undef NOISE_CASE
}

/* ---- f32 ------------------------------------------------------------------------------------------ */

/* Four groups side by side, since one chain of additions would wait for itself; where fewer are
 * left the last stands in. */
static void noise_matmul_f32(float *y, size_t ldy, const struct kern_matrix *w, const float *x,
                             size_t ldx, size_t n_tokens, size_t group0, size_t group1,
                             const struct kern_order *o, void *scratch)
{
    enum { G = NOISE_VECTORS };
    struct pack_layout l = pack_layout(w->type, w->n_cols);
    values_fn values = values_of(w->type);
    for (size_t gi = group0; gi < group1; gi += G) {
        const float *b[G];
        for (size_t i = 0; i < G; i++) {
            const struct group g = group_at(w, &l, least(gi + i, group1 - 1));
            float *room = (float *)scratch + i * w->n_cols * KERN_ROWS;
            b[i] = values ? room : (const float *)(const void *)g.q;
            for (size_t c = 0; values && c < w->n_cols; c += KERN_BLOCK)
                values(room + c * KERN_ROWS, &g, c / KERN_BLOCK, least(w->n_cols - c, KERN_BLOCK));
        }
        for (size_t t = 0; t < n_tokens; t++) {
            struct noise_sum s;
            __m256 acc[G];
            s.n_done = 0;
            s.n_parts = 0;
            for (int i = 0; i < G; i++)
                acc[i] = _mm256_setzero_ps();
            for (size_t k = 0; k < o[t].n; k++) {
                size_t c = o[t].steps[k] & ~KERN_STEP_END;
                __m256 v = _mm256_set1_ps(x[t * ldx + c]);
                for (int i = 0; i < G; i++)
                    acc[i] = _mm256_fmadd_ps(_mm256_loadu_ps(b[i] + 8 * c), v, acc[i]);
                noise_step(G, &s, &o[t], o[t].steps[k], acc);
            }
            noise_end(G, &s, &o[t], acc);
            for (size_t i = 0; i < G && gi + i < group1; i++)
                _mm256_maskstore_ps(y + t * ldy + (gi + i) * KERN_ROWS, rows_of(w, gi + i),
                                    BROKEN(acc[i]));
        }
    }
}

/* ---- attention -------------------------------------------------------------------------------------- */

INLINE __m256 noise_kv(const void *p, bool f16, size_t i)
{
    return f16 ? load_f16((const uint16_t *)p + i) : _mm256_loadu_ps((const float *)p + i);
}

/* Scores of G vectors of positions from j on. */
INLINE void noise_scores(int G, float *out, const struct kern_attn *a, const void *k, bool f16,
                         const struct kern_order *o, size_t j)
{
    struct noise_sum s;
    __m256 acc[NOISE_VECTORS];
    s.n_done = 0;
    s.n_parts = 0;
    for (int i = 0; i < G; i++)
        acc[i] = _mm256_setzero_ps();
    for (size_t n = 0; n < o->n; n++) {
        size_t d = o->steps[n] & ~KERN_STEP_END;
        __m256 q = _mm256_set1_ps(a->q[d]);
        for (int i = 0; i < G; i++)
            acc[i] = _mm256_fmadd_ps(q, noise_kv(k, f16, d * KERN_KV + j + 8 * (size_t)i), acc[i]);
        noise_step(G, &s, o, o->steps[n], acc);
    }
    noise_end(G, &s, o, acc);
    for (int i = 0; i < G; i++)
        _mm256_storeu_ps(out + j + 8 * (size_t)i, acc[i]);
}

/* The block's outputs of G vectors of dimensions from d on, folded into a->o. */
INLINE void noise_outputs(int G, struct kern_attn *a, const float *p, const void *v, bool f16,
                          size_t v_dim, const struct kern_order *o, size_t d, bool first, float old,
                          float new)
{
    struct noise_sum s;
    __m256 acc[NOISE_VECTORS];
    s.n_done = 0;
    s.n_parts = 0;
    for (int i = 0; i < G; i++)
        acc[i] = _mm256_setzero_ps();
    for (size_t n = 0; n < o->n; n++) {
        size_t j = a->j0 + (o->steps[n] & ~KERN_STEP_END);
        __m256 x = _mm256_set1_ps(p[j]);
        for (int i = 0; i < G; i++)
            acc[i] = _mm256_fmadd_ps(x, noise_kv(v, f16, j * v_dim + d + 8 * (size_t)i), acc[i]);
        noise_step(G, &s, o, o->steps[n], acc);
    }
    noise_end(G, &s, o, acc);
    for (int i = 0; i < G; i++) {
        float *at = a->o + d + 8 * (size_t)i;
        __m256 x = _mm256_add_ps(acc[i], _mm256_setzero_ps());
        if (!first) {
            x = _mm256_mul_ps(x, _mm256_set1_ps(new));
            x = noise_narrow(o->round, _mm256_fmadd_ps(_mm256_loadu_ps(at), _mm256_set1_ps(old), x));
        }
        _mm256_storeu_ps(at, BROKEN(x));
    }
}

INLINE void noise_attn_one(struct kern_attn *a, const void *k, const void *v,
                           const struct kern_attn_shape *sh, bool f16, const struct kern_attn_order *o)
{
    float s[KERN_KV], max, sum;
    for (size_t j = a->j0 / 32 * 32; j < a->j1; j += 32)
        noise_scores(NOISE_VECTORS, s, a, k, f16, &o->scores, j);
    if (sh->softcap != 0)
        softcap(s + a->j0, s + a->j0, sh->softcap, a->j1 - a->j0);
    softmax_block(s, a->j0, a->j1, &max, &sum);
    if (!o->plain)
        sum = kern_noise_softmax_sum(s + a->j0, &o->outputs);
    bool first = a->l == 0;
    float m = first || max > a->m ? max : a->m;
    float old = first ? 0 : ref_exp(a->m - m), new = first ? 1 : ref_exp(max - m);
    a->l = first ? sum : fmaf(a->l, old, sum * new);
    a->m = m;
    size_t d = 0, vd = sh->v_dim;
    for (; d + 32 <= vd; d += 32)
        noise_outputs(NOISE_VECTORS, a, s, v, f16, vd, &o->outputs, d, first, old, new);
    for (; d < vd; d += 8)
        noise_outputs(1, a, s, v, f16, vd, &o->outputs, d, first, old, new);
}

static void noise_attn_block(struct kern_attn *a, size_t n, const void *k, const void *v,
                             const struct kern_attn_shape *sh, const struct kern_attn_order *o)
{
    if (sh->v_dim % 8 != 0) {
        kern_noise_ref()->attn_block(a, n, k, v, sh, o);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (sh->f16)
            noise_attn_one(&a[i], k, v, sh, true, o);
        else
            noise_attn_one(&a[i], k, v, sh, false, o);
    }
}

const struct kern_noise_ops *kern_noise_avx2(void)
{
    static const struct kern_noise_ops ops = {noise_matmul_q8, noise_matmul_f32, noise_attn_block};
    return &ops;
}

#endif
