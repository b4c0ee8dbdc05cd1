/* SPDX-License-Identifier: MIT
 * The definition of added noise: orders of sums, and the operations of ref.c with them. */
#include "kernels/noise.h"

#include <string.h>

#include "base/half.h"
#include "kernels/ref.h"
#include "kernels/ref_block.h"

/* ---- orders ---------------------------------------------------------------------------------- */

uint64_t kern_stream(const char *name, size_t len)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)name[i]) * 0x100000001B3u;
    return h;
}

static uint64_t mix(uint64_t z)            /* one step of splitmix64 (Steele et al. 2014) */
{
    z += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Fisher-Yates from the end. */
static void shuffle(uint32_t *steps, size_t n, const struct arith_noise *z, uint64_t stream, uint64_t pos)
{
    uint64_t key = mix(mix(mix(z->seed) ^ stream) ^ pos);
    for (size_t i = n - 1; i > 0; i--) {
        uint64_t r = mix(key + i) >> 32;
        size_t j = (size_t)(r * (i + 1) >> 32);
        uint32_t t = steps[i];
        steps[i] = steps[j];
        steps[j] = t;
    }
}

static void parts_of(uint32_t *steps, size_t n, size_t len)
{
    for (size_t i = len - 1; i < n; i += len)
        steps[i] |= KERN_STEP_END;
}

/* What a GPU library does with n_rows in its batch. One row: a warp per output, whose 32 threads
 * take every 32nd term and are added by a tree. A few: the columns are split, so that enough blocks
 * of threads are at work. Many: no split, tiles of 64 columns. columns: of one term. */
static bool batch_parts(uint32_t *steps, size_t n, uint32_t n_rows, size_t columns)
{
    enum { WARP = 32, TILE = 64 };
    if (n_rows == 1) {
        size_t at = 0;
        for (size_t lane = 0; lane < WARP && lane < n; lane++) {
            for (size_t i = lane; i < n; i += WARP)
                steps[at++] = (uint32_t)i;
            steps[at - 1] |= KERN_STEP_END;
        }
        return true;
    }
    size_t splits = n_rows <= 8 ? 8 : n_rows <= 32 ? 4 : n_rows <= 128 ? 2 : 0;
    parts_of(steps, n, splits ? (n + splits - 1) / splits : TILE / columns);
    return false;
}

void kern_order_fill(struct kern_order *o, uint32_t *steps, size_t n, const struct arith_noise *z,
                     uint64_t stream, uint64_t pos, size_t columns)
{
    *o = (struct kern_order){.steps = steps, .n = n, .round = z->round};
    for (size_t i = 0; i < n; i++)
        steps[i] = (uint32_t)i;
    switch (z->order) {
    case ARITH_ORDER_PLAIN: break;
    case ARITH_ORDER_SHUFFLE: shuffle(steps, n, z, stream, pos); break;
    case ARITH_ORDER_PAIRWISE:
        parts_of(steps, n, 1);
        o->tree = true;
        break;
    case ARITH_ORDER_SPLITK: parts_of(steps, n, (n + z->n - 1) / z->n); break;
    case ARITH_ORDER_BATCH: o->tree = batch_parts(steps, n, z->n, columns); break;
    }
    steps[n - 1] |= KERN_STEP_END;
}

/* ---- a sum ------------------------------------------------------------------------------------ */

static float narrow(enum arith_round round, float x)
{
    uint32_t u = half_f32_bits(x);
    if (round == ARITH_ROUND_F16)
        return half_f16_to_f32(half_f32_to_f16(x));
    if (round == ARITH_ROUND_BF16)
        return half_bits_f32((u + 0x7FFFu + (u >> 16 & 1u)) & 0xFFFF0000u);
    return x;
}

struct sum {
    enum arith_round round;
    bool tree;
    float acc;                   /* of the running part */
    float done[KERN_SUM_LEVELS]; /* parts that wait for their neighbour; without a tree: the sum so far */
    unsigned n_done;
    size_t n_parts;
};

static void sum_part(struct sum *s)
{
    float v = s->acc;
    if (!s->tree && s->n_parts > 0)
        v = narrow(s->round, s->done[--s->n_done] + v);
    for (size_t c = s->n_parts; s->tree && (c & 1); c >>= 1)
        v = narrow(s->round, s->done[--s->n_done] + v);
    s->done[s->n_done++] = v;
    s->n_parts++;
    s->acc = 0;
}

static void sum_step(struct sum *s, uint32_t step, float acc)
{
    s->acc = narrow(s->round, acc);
    if (step & KERN_STEP_END)
        sum_part(s);
}

static float sum_end(struct sum *s)
{
    float v = s->done[--s->n_done];
    while (s->n_done > 0)
        v = narrow(s->round, s->done[--s->n_done] + v);
    return v;
}

/* ---- matrix products -------------------------------------------------------------------------- */

size_t kern_noise_scratch_bytes(size_t n_cols)
{
    return 4 * n_cols * KERN_ROWS * sizeof(float);      /* four groups as binary32 */
}

static void matmul_q8(float *y, size_t ldy, const struct kern_matrix *w, const struct kern_q8 *x,
                      size_t n_tokens, size_t group0, size_t group1, const struct kern_order *o,
                      void *scratch)
{
    struct pack_layout l = pack_layout(w->type, w->n_cols);
    size_t nb = w->n_cols / KERN_BLOCK;
    (void)scratch;
    for (size_t r = group0 * KERN_ROWS; r < group1 * KERN_ROWS && r < w->n_rows; r++)
        for (size_t t = 0; t < n_tokens; t++) {
            struct sum s = {.round = o[t].round, .tree = o[t].tree};
            for (size_t i = 0; i < o[t].n; i++) {
                size_t b = o[t].steps[i] & ~KERN_STEP_END;
                struct ref_block k;
                ref_load_block(&k, w, &l, r, b);
                sum_step(&s, o[t].steps[i], ref_dot_block(&k, &x[t * nb + b], s.acc));
            }
            y[t * ldy + r] = sum_end(&s);
        }
}

static void matmul_f32(float *y, size_t ldy, const struct kern_matrix *w, const float *x, size_t ldx,
                       size_t n_tokens, size_t group0, size_t group1, const struct kern_order *o,
                       void *scratch)
{
    float *row = scratch;
    for (size_t r = group0 * KERN_ROWS; r < group1 * KERN_ROWS && r < w->n_rows; r++) {
        kern_unpack_row(w, r, row);
        for (size_t t = 0; t < n_tokens; t++) {
            struct sum s = {.round = o[t].round, .tree = o[t].tree};
            for (size_t i = 0; i < o[t].n; i++) {
                size_t c = o[t].steps[i] & ~KERN_STEP_END;
                sum_step(&s, o[t].steps[i], fmaf(row[c], x[t * ldx + c], s.acc));
            }
            y[t * ldy + r] = sum_end(&s);
        }
    }
}

/* ---- norms ------------------------------------------------------------------------------------- */

void kern_noise_rmsnorm(float *y, const float *x, const float *w, size_t n, float eps,
                        const struct kern_order *o)
{
    struct sum s = {.tree = o->tree};
    for (size_t i = 0; i < n; i++) {
        float v = x[o->steps[i] & ~KERN_STEP_END];
        sum_step(&s, o->steps[i], fmaf(v, v, s.acc));
    }
    float r = 1.0f / sqrtf(sum_end(&s) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] * r) * w[i];
}

void kern_noise_layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps,
                          const struct kern_order *o)
{
    struct sum s = {.tree = o->tree}, q = s;
    for (size_t i = 0; i < n; i++)
        sum_step(&s, o->steps[i], s.acc + x[o->steps[i] & ~KERN_STEP_END]);
    float mean = sum_end(&s) / (float)n;
    for (size_t i = 0; i < n; i++) {
        float d = x[o->steps[i] & ~KERN_STEP_END] - mean;
        sum_step(&q, o->steps[i], fmaf(d, d, q.acc));
    }
    float r = 1.0f / sqrtf(sum_end(&q) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = fmaf((x[i] - mean) * r, w[i], b[i]);
}

/* ---- attention ---------------------------------------------------------------------------------- */

static float cache_at(const void *p, bool f16, size_t i)
{
    return f16 ? half_f16_to_f32(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

static float score(const struct kern_attn *a, const void *k, const struct kern_attn_shape *sh,
                   const struct kern_order *o, uint32_t j)
{
    struct sum s = {.round = o->round, .tree = o->tree};
    for (size_t i = 0; i < o->n; i++) {
        size_t d = o->steps[i] & ~KERN_STEP_END;
        sum_step(&s, o->steps[i], fmaf(a->q[d], cache_at(k, sh->f16, d * KERN_KV + j), s.acc));
    }
    float v = sum_end(&s);
    return sh->softcap != 0 ? ref_softcap(v, sh->softcap) : v;
}

/* p: of the block's positions from j0 on. */
float kern_noise_softmax_sum(const float *p, const struct kern_order *o)
{
    struct sum s = {.tree = o->tree};
    for (size_t i = 0; i < o->n; i++)
        sum_step(&s, o->steps[i], s.acc + p[o->steps[i] & ~KERN_STEP_END]);
    return sum_end(&s);
}

static float output(const float *p, const void *v, const struct kern_attn_shape *sh,
                    const struct kern_order *o, uint32_t j0, size_t d)
{
    struct sum s = {.round = o->round, .tree = o->tree};
    for (size_t i = 0; i < o->n; i++) {
        size_t j = o->steps[i] & ~KERN_STEP_END;
        sum_step(&s, o->steps[i], fmaf(p[j], cache_at(v, sh->f16, (j0 + j) * sh->v_dim + d), s.acc));
    }
    return sum_end(&s) + 0.0f;
}

/* As attn_one of ref.c. */
static void attn_one(struct kern_attn *a, const void *k, const void *v,
                     const struct kern_attn_shape *sh, const struct kern_attn_order *o)
{
    float s[KERN_KV], max = -INFINITY, lanes[8] = {0};
    for (uint32_t j = a->j0; j < a->j1; j++) {
        s[j] = score(a, k, sh, &o->scores, j);
        if (s[j] > max)
            max = s[j];
    }
    for (uint32_t j = a->j0; j < a->j1; j++) {
        s[j] = ref_exp(s[j] - max);
        lanes[j % 8] += s[j];
    }
    float l = o->plain ? ref_fold8(lanes) : kern_noise_softmax_sum(s + a->j0, &o->outputs);
    bool first = a->l == 0;
    float m = first || max > a->m ? max : a->m;
    float old = first ? 0 : ref_exp(a->m - m), new = first ? 1 : ref_exp(max - m);
    a->l = first ? l : fmaf(a->l, old, l * new);
    a->m = m;
    for (size_t d = 0; d < sh->v_dim; d++) {
        float x = output(s + a->j0, v, sh, &o->outputs, a->j0, d);
        a->o[d] = first ? x : narrow(o->outputs.round, fmaf(a->o[d], old, x * new));
    }
}

static void attn_block(struct kern_attn *a, size_t n, const void *k, const void *v,
                       const struct kern_attn_shape *sh, const struct kern_attn_order *o)
{
    for (size_t i = 0; i < n; i++)
        attn_one(&a[i], k, v, sh, o);
}

/* ---- tables -------------------------------------------------------------------------------------- */

const struct kern_noise_ops *kern_noise_ref(void)
{
    static const struct kern_noise_ops ops = {matmul_q8, matmul_f32, attn_block};
    return &ops;
}

const struct kern_noise_ops *kern_noise_ops(const struct kern_ops *k)
{
    bool wide = k == kern_ops_avx2() || k == kern_ops_avx512();
    return wide ? kern_noise_avx2() : kern_noise_ref();
}
