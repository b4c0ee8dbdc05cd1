/* SPDX-License-Identifier: MIT
 * Every variant of this CPU equals the reference, and a broken one does not pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"
#include "kernels/noise.h"

static void print(void *ctx, const char *kernel, const char *variant, uint64_t n, bool ok, const char *detail)
{
    (void)ctx;
    if (!ok)
        printf("%s/%s: %llu cases, %s\n", variant, kernel, (unsigned long long)n, detail);
    assert_true(n >= 40);
}

static void variants_equal_reference(void **state)
{
    (void)state;
    assert_int_equal(kern_check(1, kern_ops_ref(), print, NULL), 0);
    const struct kern_ops *const variants[] = {kern_ops_sse41(), kern_ops_avx2(), kern_ops_avx512(),
                                               kern_ops_neon()};
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++)
        for (uint64_t seed = 0; variants[i] && seed < 3; seed++)
            assert_int_equal(kern_check(seed * 1000, variants[i], print, NULL), 0);
}

/* ---- one kernel after another broken in its last bit --------------------------------------- */

static struct kern_ops broken;

static void flip(float *x)
{
    *x = half_bits_f32(half_f32_bits(*x) ^ 1u);
}
static void bad_quantize(struct kern_q8 *y, const float *x, size_t n)
{
    kern_ops_ref()->quantize(y, x, n);
    y[0].q[31] ^= 1;
}
static void bad_matmul_q8(float *y, size_t ldy, const struct kern_matrix *w, const struct kern_q8 *x,
                          size_t n, size_t g0, size_t g1)
{
    kern_ops_ref()->matmul_q8(y, ldy, w, x, n, g0, g1);
    if (n == 17 && g1 > g0)
        flip(&y[16 * ldy + g0 * KERN_ROWS]);
}
static void bad_matmul_f32(float *y, size_t ldy, const struct kern_matrix *w, const float *x, size_t ldx,
                           size_t n, size_t g0, size_t g1, void *scratch)
{
    kern_ops_ref()->matmul_f32(y, ldy, w, x, ldx, n, g0, g1, scratch);
    if (w->n_rows == 17 && g1 > g0)
        y[w->n_rows] = 0;                       /* beyond the rows: only guards or padding see it */
}
static void bad_rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
    kern_ops_ref()->rmsnorm(y, x, w, n, eps);
    if (n == 139)
        flip(&y[138]);
}
static void bad_silu(float *y, const float *g, const float *u, size_t n)
{
    kern_ops_ref()->silu_mul(y, g, u, n);
    flip(&y[n - 1]);
}
static void bad_gelu(float *y, const float *g, const float *u, size_t n)
{
    for (size_t i = 0; i < n; i++)              /* libm in place of our own exp */
        y[i] = g[i] / (1.0f + expf(-1.5957691f * (g[i] + 0.044715f * g[i] * g[i] * g[i]))) * u[i];
}
static void bad_add(float *y, const float *x, size_t n)
{
    kern_ops_ref()->add(y, x, n);
    y[n] = 0;                                   /* one past the end */
}
static void bad_scale(float *y, const float *x, float c, size_t n)
{
    kern_ops_ref()->scale(y, x, c, n - (n == 33));
}
static void bad_rope(float *x, size_t h, size_t hd, size_t n_rot, const float *c, const float *s, bool neox)
{
    kern_ops_ref()->rope(x, h, hd, n_rot, c, s, neox);
    x[0] = -x[0];
}
static bool bad_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(x[i]))
            return false;                       /* forgets infinity */
    return true;
}
static void bad_logstats(const float *x, size_t n, struct kern_logstats *out)
{
    kern_ops_ref()->logstats(x, n, out);
    if (n > 1 && x[n - 1] == out->max)
        out->argmax = (int32_t)n - 1;           /* the last of equals */
}
static void bad_layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps)
{
    kern_ops_ref()->layernorm(y, x, w, b, n, eps);
    for (size_t i = 0; i < n && n == 77; i++)
        y[i] = y[i] - b[i] + b[i];              /* not fused */
}
static void bad_gelu1(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = 0.5f * x[i] * (1.0f + tanhf(0.7978846f * (x[i] + 0.044715f * x[i] * x[i] * x[i])));
}
static void bad_softcap(float *y, const float *x, float c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = c * tanhf(x[i] / c);             /* libm */
}
static void bad_attn(struct kern_attn *a, size_t n, const void *k, const void *v,
                     const struct kern_attn_shape *sh, void *scratch)
{
    for (size_t i = n; i-- > 0;)
        kern_ops_ref()->attn_block(a + i, 1, k, v, sh, scratch);
    if (a[n - 1].j1 == 63)
        flip(&a[n - 1].l);
}

static void bad_attn_cap(struct kern_attn *a, size_t n, const void *k, const void *v,
                         const struct kern_attn_shape *sh, void *scratch)
{
    struct kern_attn_shape uncapped = *sh;
    uncapped.softcap = n == 11 ? 0 : sh->softcap;
    kern_ops_ref()->attn_block(a, n, k, v, &uncapped, scratch);
}
static void bad_attn_finish(struct kern_attn *a, size_t n, size_t v_dim)
{
    kern_ops_ref()->attn_finish(a, n, v_dim - (v_dim == 48));   /* where keys have another size */
}
static void bad_kv_store(void *k, void *v, const struct kern_attn_shape *sh, const float *key,
                         const float *value, size_t j)
{
    kern_ops_ref()->kv_store(k, v, sh, key, value, j);
    if (sh->f16 && j == KERN_KV - 1)
        ((uint16_t *)k)[(sh->k_dim - 1) * KERN_KV + j] ^= 1;    /* rounded the wrong way */
}

static void broken_kernels_are_found(void **state)
{
    (void)state;
    for (int i = 0; i < 18; i++) {
        broken = *kern_ops_ref();
        switch (i) {
        case 0: broken.quantize = bad_quantize; break;
        case 1: broken.matmul_q8 = bad_matmul_q8; break;
        case 2: broken.matmul_f32 = bad_matmul_f32; break;
        case 3: broken.rmsnorm = bad_rmsnorm; break;
        case 4: broken.silu_mul = bad_silu; break;
        case 5: broken.gelu_mul = bad_gelu; break;
        case 6: broken.add = bad_add; break;
        case 7: broken.scale = bad_scale; break;
        case 8: broken.rope = bad_rope; break;
        case 9: broken.all_finite = bad_finite; break;
        case 10: broken.logstats = bad_logstats; break;
        case 11: broken.layernorm = bad_layernorm; break;
        case 12: broken.gelu = bad_gelu1; break;
        case 13: broken.softcap = bad_softcap; break;
        case 14: broken.attn_block = bad_attn_cap; break;
        case 15: broken.attn_finish = bad_attn_finish; break;
        case 16: broken.kv_store = bad_kv_store; break;
        default: broken.attn_block = bad_attn; break;
        }
        if (kern_check(7, &broken, NULL, NULL) != 1)
            fail_msg("broken kernel %d was not found", i);
    }
}

/* ---- noise -------------------------------------------------------------------------------------- */

static void bad_noise_q8(float *y, size_t ldy, const struct kern_matrix *w, const struct kern_q8 *x,
                         size_t n, size_t g0, size_t g1, const struct kern_order *o, void *scratch)
{
    struct kern_order mine[16];
    for (size_t t = 0; t < n; t++) {
        mine[t] = o[t];
        mine[t].round = o[t].round == ARITH_ROUND_F16 ? ARITH_ROUND_F32 : o[t].round;
    }
    kern_noise_ref()->matmul_q8(y, ldy, w, x, n, g0, g1, mine, scratch);
}
static void bad_noise_f32(float *y, size_t ldy, const struct kern_matrix *w, const float *x, size_t ldx,
                          size_t n, size_t g0, size_t g1, const struct kern_order *o, void *scratch)
{
    struct kern_order mine[16];
    for (size_t t = 0; t < n; t++) {
        mine[t] = o[t];
        mine[t].tree = false;
    }
    kern_noise_ref()->matmul_f32(y, ldy, w, x, ldx, n, g0, g1, mine, scratch);
}
static void bad_noise_attn(struct kern_attn *a, size_t n, const void *k, const void *v,
                           const struct kern_attn_shape *sh, const struct kern_attn_order *o)
{
    struct kern_attn_order mine = *o;
    mine.plain = true;
    kern_noise_ref()->attn_block(a, n, k, v, sh, &mine);
}

static void broken_noise_is_found(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct kern_noise_ops bad = *kern_noise_ref();
        assert_int_equal(kern_check_noise(3, &bad, "ref", NULL, NULL), 0);
        if (i == 0)
            bad.matmul_q8 = bad_noise_q8;
        else if (i == 1)
            bad.matmul_f32 = bad_noise_f32;
        else
            bad.attn_block = bad_noise_attn;
        if (kern_check_noise(3, &bad, "broken", NULL, NULL) != 1)
            fail_msg("broken noise %d was not found", i);
    }
}

static void half_conversions(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {      /* every binary16 goes there and back */
        float f = half_f16_to_f32((uint16_t)h);
        if ((h & 0x7C00) == 0x7C00 && (h & 0x3FF))
            continue;
        assert_int_equal(half_f32_to_f16(f), h);
        _Float16 g;
        uint16_t bits = (uint16_t)h;
        memcpy(&g, &bits, 2);
        assert_true((float)g == f || (isnan(f) && isnan((float)g)));
    }
    for (uint64_t u = 0; u < 0x100000000u; u += 4097) {   /* and the compiler's own rounding agrees */
        float f = half_bits_f32((uint32_t)u);
        if (isnan(f))
            continue;
        _Float16 g = (_Float16)f;
        uint16_t bits;
        memcpy(&bits, &g, 2);
        assert_int_equal(half_f32_to_f16(f), bits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variants_equal_reference),
        cmocka_unit_test(broken_kernels_are_found),
        cmocka_unit_test(broken_noise_is_found),
        cmocka_unit_test(half_conversions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
