/* SPDX-License-Identifier: MIT
 * Every kernel of a variant against the definition, by memcmp: random and adversarial inputs,
 * every weight type, every tail length, guard bytes around each output. */
#include "kernels/check_impl.h"

/* ---- matrices -------------------------------------------------------------------------------- */

static void check_matmul_shape(struct check *c, enum qtype type, size_t n_rows, size_t n_cols,
                               size_t n_tokens, bool extreme, bool f32)
{
    struct kern_matrix w;
    size_t bytes = kern_matrix_init(&w, type, n_rows, n_cols), n_groups = kern_n_groups(&w);
    size_t nb = n_cols / KERN_BLOCK, ldy = n_rows + below(c, 3), ldx = n_cols + below(c, 3);
    uint8_t *rows = file_rows(c, type, n_rows, n_cols, extreme);
    float *x = floats(c, ldx * n_tokens, extreme ? 3 : (int)below(c, N_KINDS));
    float *a = output(ldy * n_tokens), *b = output(ldy * n_tokens);
    struct kern_q8 *q = malloc((nb + 1) * n_tokens * sizeof *q);
    void *scratch = aligned_alloc(64, (kern_scratch_bytes(n_cols) + 63) / 64 * 64);
    w.data = aligned_alloc(64, bytes);
    char what[96];
    snprintf(what, sizeof what, "%s %zux%zu, %zu tokens, %s", qtype_info(type)->name, n_rows, n_cols,
             n_tokens, f32 ? "f32" : "q8");

    if (!rows || !x || !a || !b || !q || !scratch || !w.data) {
        out_of_memory(c);
    } else {
        size_t cut = below(c, n_groups + 1);
        kern_pack(&w, rows, 0, cut);
        kern_pack(&w, rows, cut, n_groups);
        if (f32) {
            c->ref->matmul_f32(a, ldy, &w, x, ldx, n_tokens, 0, n_groups, scratch);
            c->var->matmul_f32(b, ldy, &w, x, ldx, n_tokens, cut, n_groups, scratch);
            c->var->matmul_f32(b, ldy, &w, x, ldx, n_tokens, 0, cut, scratch);
        } else {
            for (size_t t = 0; t < n_tokens; t++)
                c->ref->quantize(q + t * nb, x + t * ldx, n_cols);
            c->ref->matmul_q8(a, ldy, &w, q, n_tokens, 0, n_groups);
            c->var->matmul_q8(b, ldy, &w, q, n_tokens, cut, n_groups);
            c->var->matmul_q8(b, ldy, &w, q, n_tokens, 0, cut);
        }
        compare_guarded(c, what, a, b, ldy * n_tokens);
    }
    free(rows);
    free(x);
    output_free(a);
    output_free(b);
    free(q);
    free(scratch);
    free(w.data);
}

static void check_matmul(struct check *c, bool f32)
{
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++) {
        enum qtype type = TYPES[i];
        size_t unit = qtype_info(type)->block_elems;
        if (!f32 && !kern_type_is_quantised(type))
            continue;
        for (size_t n_tokens = 1; n_tokens <= 17; n_tokens++)
            for (size_t n_rows = 1; n_rows <= 17; n_rows += n_tokens == 1 ? 1 : 5)
                check_matmul_shape(c, type, n_rows, unit * (1 + below(c, unit == 1 ? 70 : 5)), n_tokens,
                                   below(c, 4) == 0, f32);
        check_matmul_shape(c, type, 20, unit == 1 ? 333 : 1536 / unit * unit, 130, false, f32);
        check_matmul_shape(c, type, 24, unit == 1 ? 512 : 512 / unit * unit, 9, true, f32);
    }
}

static void check_matmul_q8(struct check *c) { check_matmul(c, false); }
static void check_matmul_f32(struct check *c) { check_matmul(c, true); }

static void check_quantize(struct check *c)
{
    for (int i = 0; i < 400; i++) {
        size_t n = KERN_BLOCK * (1 + below(c, 9));
        float *x = floats(c, n, i % N_KINDS);
        struct kern_q8 *a = calloc(n, sizeof *a), *b = calloc(n, sizeof *b);
        if (!x || !a || !b) {
            out_of_memory(c);
        } else {
            if (i % 10 == 0)
                x[below(c, n)] *= 0x1p100f;
            for (size_t k = 0; k < n && i % 7 == 0; k++)   /* ties of the rounding */
                x[k] = (float)((int)below(c, 255) - 127) + (k % KERN_BLOCK ? 0.5f : 0.0f);
            c->ref->quantize(a, x, n);
            c->var->quantize(b, x, n);
            compare(c, "quantize", a, b, n / KERN_BLOCK * sizeof *a / 4);
        }
        free(x);
        free(a);
        free(b);
    }
}

/* ---- vectors ----------------------------------------------------------------------------------- */

typedef void (*vector_fn)(const struct kern_ops *ops, float *y, const float *x, const float *z, size_t n);

static void run_rmsnorm(const struct kern_ops *o, float *y, const float *x, const float *z, size_t n)
{
    o->rmsnorm(y, x, z, n, 1e-5f);
}
static void run_silu(const struct kern_ops *o, float *y, const float *x, const float *z, size_t n)
{
    o->silu_mul(y, x, z, n);
}
static void run_gelu(const struct kern_ops *o, float *y, const float *x, const float *z, size_t n)
{
    o->gelu_mul(y, x, z, n);
}
static void run_add(const struct kern_ops *o, float *y, const float *x, const float *z, size_t n)
{
    memcpy(y, z, n * sizeof *y);
    o->add(y, x, n);
}
static void run_scale(const struct kern_ops *o, float *y, const float *x, const float *z, size_t n)
{
    o->scale(y, x, z[0], n);
}

static void check_vector(struct check *c, const char *what, vector_fn fn)
{
    for (size_t n = 1; n <= 140; n++) {
        for (int kind = 0; kind < N_KINDS; kind++) {
            float *x = floats(c, n, kind), *z = floats(c, n, 0), *a = output(n), *b = output(n);
            if (!x || !z || !a || !b) {
                out_of_memory(c);
            } else {
                for (size_t i = 0; i < n && n % 5 == 0; i++)
                    x[i] *= 100;               /* where exp leaves its range */
                fn(c->ref, a, x, z, n);
                fn(c->var, b, x, z, n);
                compare_guarded(c, what, a, b, n);
            }
            free(x);
            free(z);
            output_free(a);
            output_free(b);
        }
    }
}

static void run_layernorm(const struct kern_ops *o, float *y, const float *x, const float *z, size_t n)
{
    o->layernorm(y, x, z, x, n, 1e-5f);
}
static void run_gelu1(const struct kern_ops *o, float *y, const float *x, const float *z, size_t n)
{
    (void)z;
    o->gelu(y, x, n);
}
static void run_softcap(const struct kern_ops *o, float *y, const float *x, const float *z, size_t n)
{
    o->softcap(y, x, 1.0f + fabsf(z[0]), n);
}

static void check_rmsnorm(struct check *c) { check_vector(c, "rmsnorm", run_rmsnorm); }
static void check_silu(struct check *c) { check_vector(c, "silu_mul", run_silu); }
static void check_gelu(struct check *c) { check_vector(c, "gelu_mul", run_gelu); }
static void check_layernorm(struct check *c) { check_vector(c, "layernorm", run_layernorm); }
static void check_gelu1(struct check *c) { check_vector(c, "gelu", run_gelu1); }
static void check_softcap(struct check *c) { check_vector(c, "softcap", run_softcap); }
static void check_add(struct check *c) { check_vector(c, "add", run_add); }
static void check_scale(struct check *c) { check_vector(c, "scale", run_scale); }

static void check_rope(struct check *c)
{
    for (int i = 0; i < 200; i++) {
        size_t n_rot = 2 * (1 + below(c, 40)), hd = n_rot + below(c, 9), n = 3 * hd;
        float *x = floats(c, n, i % N_KINDS), *cs = floats(c, n_rot, 0), *a = output(n), *b = output(n);
        if (i % 2 && n_rot > 16)
            n_rot = n_rot / 16 * 16;
        if (!x || !cs || !a || !b) {
            out_of_memory(c);
        } else {
            memcpy(a, x, n * sizeof *a);
            memcpy(b, x, n * sizeof *b);
            c->ref->rope(a, 3, hd, n_rot, cs, cs + n_rot / 2, i % 4 < 3);
            c->var->rope(b, 3, hd, n_rot, cs, cs + n_rot / 2, i % 4 < 3);
            compare_guarded(c, "rope", a, b, n);
        }
        free(x);
        free(cs);
        output_free(a);
        output_free(b);
    }
}

static void check_finite(struct check *c)
{
    for (size_t n = 1; n <= 40; n++) {
        for (size_t bad = 0; bad <= n; bad++) {
            float *x = floats(c, n, (int)(n % N_KINDS));
            if (!x) {
                out_of_memory(c);
                continue;
            }
            if (bad < n)
                x[bad] = bad % 3 == 0 ? NAN : bad % 3 == 1 ? INFINITY : -INFINITY;
            uint32_t a = c->ref->all_finite(x, n), b = c->var->all_finite(x, n);
            compare(c, "all_finite", &a, &b, 1);
            free(x);
        }
    }
}

static void check_logstats(struct check *c)
{
    for (size_t n = 1; n <= 300; n++) {
        float *x = floats(c, n, (int)(n % N_KINDS));
        struct kern_logstats a, b;
        memset(&a, 0, sizeof a);
        memset(&b, 0, sizeof b);
        if (!x) {
            out_of_memory(c);
            continue;
        }
        for (size_t i = 0; i < n && n % 2; i++)
            x[i] *= 40;
        if (n % 4 == 0) {                      /* zeros of both signs are the largest: the first counts */
            for (size_t i = 0; i < n; i++)
                x[i] = -1 - fabsf(x[i]);
            x[below(c, n)] = 0.0f;
            x[below(c, n)] = -0.0f;
            x[below(c, n)] = 0.0f;
        }
        c->ref->logstats(x, n, &a);
        c->var->logstats(x, n, &b);
        compare(c, "logstats", &a, &b, sizeof a / 4);
        free(x);
    }
}

/* ---- attention ----------------------------------------------------------------------------------- */

static void check_attention_case(struct check *c, const struct kern_attn_shape *sh, size_t n)
{
    enum { BLOCKS = 3 };
    size_t kd = sh->k_dim, vd = sh->v_dim, elem = sh->f16 ? 2 : 4;
    size_t k_bytes = kd * KERN_KV * elem, size = k_bytes + vd * KERN_KV * elem;
    uint8_t *ka = calloc(BLOCKS, size), *kb = calloc(BLOCKS, size);
    float *q = floats(c, n * kd, 0), *a = output(n * vd), *b = output(n * vd);
    struct kern_attn *sa = calloc(n, sizeof *sa), *sb = calloc(n, sizeof *sb);
    void *scratch = aligned_alloc(64, kern_attn_scratch_bytes(kd, vd));
    char what[96];
    snprintf(what, sizeof what, "attention, keys of %zu, values of %zu, %zu queries, %s, cap %g", kd,
             vd, n, sh->f16 ? "f16" : "f32", (double)sh->softcap);

    if (!ka || !kb || !q || !a || !b || !sa || !sb || !scratch) {
        out_of_memory(c);
        goto done;
    }
    for (size_t blk = 0; blk < BLOCKS; blk++) {
        uint8_t *k = ka + blk * size, *k2 = kb + blk * size;
        for (size_t j = 0; j < KERN_KV; j++) {
            float *kv = floats(c, kd + vd, j % 9 ? 0 : (int)below(c, N_KINDS));
            if (!kv) {
                out_of_memory(c);
                goto done;
            }
            c->ref->kv_store(k, k + k_bytes, sh, kv, kv + kd, j);
            c->var->kv_store(k2, k2 + k_bytes, sh, kv, kv + kd, j);
            free(kv);
        }
    }
    compare(c, "kv_store", ka, kb, BLOCKS * size / 4);
    for (size_t i = 0; i < n; i++) {
        sa[i] = (struct kern_attn){.q = q + i * kd, .o = a + i * vd};
        sb[i] = (struct kern_attn){.q = q + i * kd, .o = b + i * vd};
    }
    for (size_t blk = 0; blk < BLOCKS; blk++) {
        for (size_t i = 0; i < n; i++) {
            uint32_t j0 = blk == 0 ? (uint32_t)below(c, KERN_KV) : 0;
            uint32_t j1 = blk == 2 ? (uint32_t)below(c, KERN_KV + 1) : KERN_KV;
            sa[i].j0 = sb[i].j0 = j0;
            sa[i].j1 = sb[i].j1 = j1;
        }
        c->ref->attn_block(sa, n, ka + blk * size, ka + blk * size + k_bytes, sh, scratch);
        c->var->attn_block(sb, n, kb + blk * size, kb + blk * size + k_bytes, sh, scratch);
    }
    c->ref->attn_finish(sa, n, vd);
    c->var->attn_finish(sb, n, vd);
    compare_guarded(c, what, a, b, n * vd);
done:
    free(ka);
    free(kb);
    free(q);
    output_free(a);
    output_free(b);
    free(sa);
    free(sb);
    free(scratch);
}

static void check_attention(struct check *c)
{
    static const size_t dims[][2] = {{8, 8}, {16, 16}, {20, 20}, {64, 64}, {80, 80}, {96, 64},
                                     {20, 48}, {128, 128}, {256, 256}};
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
        for (size_t n = 1; n <= 11; n++)
            for (int f16 = 0; f16 < 2; f16++)
                check_attention_case(c, &(struct kern_attn_shape){
                    dims[i][0], dims[i][1], (i + n) % 3 ? 0.0f : 2.5f, f16}, n);
}

int kern_check(uint64_t seed, const struct kern_ops *variant, kern_check_fn report, void *ctx)
{
    static const struct { const char *name; void (*run)(struct check *c); } checks[] = {
        {"quantize", check_quantize}, {"matmul_q8", check_matmul_q8},
        {"matmul_f32", check_matmul_f32}, {"rmsnorm", check_rmsnorm}, {"silu_mul", check_silu},
        {"layernorm", check_layernorm}, {"gelu_mul", check_gelu}, {"gelu", check_gelu1},
        {"softcap", check_softcap}, {"add", check_add}, {"scale", check_scale}, {"rope", check_rope},
        {"all_finite", check_finite}, {"logstats", check_logstats}, {"attention", check_attention},
    };
    int bad = 0;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        struct check c = {.ref = kern_ops_ref(), .var = variant, .rng = seed + i, .ok = true};
        kern_thread_init();
        checks[i].run(&c);
        bad += !c.ok;
        if (report)
            report(ctx, checks[i].name, variant->name, c.n_cases, c.ok, c.detail);
    }
    const struct kern_noise_ops *noise = kern_noise_ops(variant);
    if (noise != kern_noise_ref())             /* one of its own */
        bad += kern_check_noise(seed, noise, variant->name, report, ctx);
    return bad;
}
