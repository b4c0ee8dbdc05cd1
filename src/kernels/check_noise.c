/* SPDX-License-Identifier: MIT
 * Kernels with added noise against their definition: every weight type, order and rounding. */
#include "kernels/check_impl.h"

static const struct arith_noise NOISES[] = {
    {ARITH_ORDER_SHUFFLE, ARITH_ROUND_F32, 0, 7}, {ARITH_ORDER_PAIRWISE, ARITH_ROUND_F32, 0, 0},
    {ARITH_ORDER_SPLITK, ARITH_ROUND_F32, 2, 0},  {ARITH_ORDER_SPLITK, ARITH_ROUND_BF16, 7, 0},
    {ARITH_ORDER_BATCH, ARITH_ROUND_F32, 1, 0},   {ARITH_ORDER_BATCH, ARITH_ROUND_F32, 16, 0},
    {ARITH_ORDER_BATCH, ARITH_ROUND_F16, 512, 0}, {ARITH_ORDER_PLAIN, ARITH_ROUND_BF16, 0, 0},
    {ARITH_ORDER_PLAIN, ARITH_ROUND_F16, 0, 0},   {ARITH_ORDER_PAIRWISE, ARITH_ROUND_BF16, 0, 0},
};
enum { N_NOISES = sizeof NOISES / sizeof NOISES[0] };

/* n orders of n_terms, each of another noise; steps: [n][n_terms]. */
static void orders(struct check *c, struct kern_order *o, uint32_t *steps, size_t n, size_t n_terms,
                   size_t columns)
{
    for (size_t i = 0; i < n; i++)
        kern_order_fill(&o[i], steps + i * n_terms, n_terms, &NOISES[below(c, N_NOISES)], next(c), i,
                        columns);
}

static void check_shape(struct check *c, enum qtype type, size_t n_rows, size_t n_cols, size_t n_tokens,
                        bool extreme, bool f32)
{
    struct kern_matrix w;
    size_t bytes = kern_matrix_init(&w, type, n_rows, n_cols), n_groups = kern_n_groups(&w);
    size_t nb = n_cols / KERN_BLOCK, ldy = n_rows + below(c, 3), ldx = n_cols + below(c, 3);
    size_t n_terms = f32 ? n_cols : nb;
    uint8_t *rows = file_rows(c, type, n_rows, n_cols, extreme);
    float *x = floats(c, ldx * n_tokens, extreme ? 3 : (int)below(c, N_KINDS));
    float *a = output(ldy * n_tokens), *b = output(ldy * n_tokens);
    struct kern_q8 *q = malloc((nb + 1) * n_tokens * sizeof *q);
    struct kern_order *o = malloc(n_tokens * sizeof *o);
    uint32_t *steps = malloc(n_tokens * n_terms * sizeof *steps);
    void *scratch = aligned_alloc(64, (kern_noise_scratch_bytes(n_cols) + 63) / 64 * 64);
    w.data = aligned_alloc(64, bytes);
    char what[96];
    snprintf(what, sizeof what, "noise, %s %zux%zu, %zu tokens, %s", qtype_info(type)->name, n_rows,
             n_cols, n_tokens, f32 ? "f32" : "q8");
    if (!rows || !x || !a || !b || !q || !o || !steps || !scratch || !w.data) {
        out_of_memory(c);
    } else {
        const struct kern_noise_ops *ref = kern_noise_ref();
        size_t cut = below(c, n_groups + 1);
        kern_pack(&w, rows, 0, n_groups);
        orders(c, o, steps, n_tokens, n_terms, f32 ? 1 : KERN_BLOCK);
        if (f32) {
            ref->matmul_f32(a, ldy, &w, x, ldx, n_tokens, 0, n_groups, o, scratch);
            c->noise->matmul_f32(b, ldy, &w, x, ldx, n_tokens, cut, n_groups, o, scratch);
            c->noise->matmul_f32(b, ldy, &w, x, ldx, n_tokens, 0, cut, o, scratch);
        } else {
            for (size_t t = 0; t < n_tokens; t++)
                kern_ops_ref()->quantize(q + t * nb, x + t * ldx, n_cols);
            ref->matmul_q8(a, ldy, &w, q, n_tokens, 0, n_groups, o, scratch);
            c->noise->matmul_q8(b, ldy, &w, q, n_tokens, cut, n_groups, o, scratch);
            c->noise->matmul_q8(b, ldy, &w, q, n_tokens, 0, cut, o, scratch);
        }
        compare_guarded(c, what, a, b, ldy * n_tokens);
    }
    free(rows);
    free(x);
    output_free(a);
    output_free(b);
    free(q);
    free(o);
    free(steps);
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
        for (size_t n_rows = 1; n_rows <= 17; n_rows++)
            check_shape(c, type, n_rows, unit * (1 + below(c, unit == 1 ? 70 : 5)), 1 + below(c, 5),
                        below(c, 4) == 0, f32);
        check_shape(c, type, 40, unit == 1 ? 333 : 1536 / unit * unit, 11, false, f32);
        check_shape(c, type, 70, unit == 1 ? 512 : 512 / unit * unit, 3, true, f32);
    }
}

static void check_q8(struct check *c) { check_matmul(c, false); }
static void check_f32(struct check *c) { check_matmul(c, true); }

static void attention_case(struct check *c, const struct kern_attn_shape *sh, size_t n,
                           const struct arith_noise *z)
{
    enum { BLOCKS = 3 };
    size_t kd = sh->k_dim, vd = sh->v_dim, elem = sh->f16 ? 2 : 4;
    size_t k_bytes = kd * KERN_KV * elem, size = k_bytes + vd * KERN_KV * elem;
    uint8_t *kv = calloc(BLOCKS, size);
    float *q = floats(c, n * kd, 0), *a = output(n * vd), *b = output(n * vd);
    struct kern_attn *sa = calloc(n, sizeof *sa), *sb = calloc(n, sizeof *sb);
    uint32_t *steps = malloc((kd + KERN_KV) * sizeof *steps);
    char what[96], name[ARITH_NOISE_TEXT];
    arith_noise_text(z, name);
    snprintf(what, sizeof what, "attention with %s, keys of %zu, values of %zu, %s, cap %g", name, kd,
             vd, sh->f16 ? "f16" : "f32", (double)sh->softcap);
    if (!kv || !q || !a || !b || !sa || !sb || !steps) {
        out_of_memory(c);
        goto done;
    }
    for (size_t i = 0; i < BLOCKS * KERN_KV; i++) {
        uint8_t *k = kv + i / KERN_KV * size;
        float *x = floats(c, kd + vd, i % 9 ? 0 : (int)below(c, N_KINDS));
        if (!x) {
            out_of_memory(c);
            goto done;
        }
        kern_ops_ref()->kv_store(k, k + k_bytes, sh, x, x + kd, i % KERN_KV);
        free(x);
    }
    for (size_t i = 0; i < n; i++) {
        sa[i] = (struct kern_attn){.q = q + i * kd, .o = a + i * vd};
        sb[i] = (struct kern_attn){.q = q + i * kd, .o = b + i * vd};
    }
    for (size_t blk = 0; blk < BLOCKS; blk++) {
        uint8_t *k = kv + blk * size;
        uint32_t j0 = blk == 0 ? (uint32_t)below(c, KERN_KV) : 0;
        uint32_t j1 = blk == 2 ? (uint32_t)below(c, KERN_KV) + 1 : KERN_KV;
        struct kern_attn_order o = {.plain = z->order == ARITH_ORDER_PLAIN};
        kern_order_fill(&o.scores, steps, kd, z, blk, 5, 1);
        kern_order_fill(&o.outputs, steps + kd, j1 - j0, z, blk + 9, 5, 1);
        for (size_t i = 0; i < n; i++) {
            sa[i].j0 = sb[i].j0 = j0;
            sa[i].j1 = sb[i].j1 = j1;
        }
        kern_noise_ref()->attn_block(sa, n, k, k + k_bytes, sh, &o);
        c->noise->attn_block(sb, n, k, k + k_bytes, sh, &o);
    }
    compare_guarded(c, what, a, b, n * vd);
    for (size_t i = 0; i < n; i++)
        compare(c, what, &sa[i].m, &sb[i].m, 2);       /* m and l */
done:
    free(kv);
    free(q);
    output_free(a);
    output_free(b);
    free(sa);
    free(sb);
    free(steps);
}

static void check_attention(struct check *c)
{
    static const size_t dims[][2] = {{8, 8}, {20, 20}, {64, 64}, {96, 64}, {20, 48}, {80, 80}, {256, 256}};
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
        for (size_t z = 0; z < N_NOISES; z++)
            attention_case(c, &(struct kern_attn_shape){
                dims[i][0], dims[i][1], (i + z) % 3 ? 0.0f : 2.5f, z % 2}, 1 + z % 4, &NOISES[z]);
}

int kern_check_noise(uint64_t seed, const struct kern_noise_ops *variant, const char *name,
                     kern_check_fn report, void *ctx)
{
    static const struct { const char *name; void (*run)(struct check *c); } checks[] = {
        {"noise matmul_q8", check_q8}, {"noise matmul_f32", check_f32}, {"noise attention", check_attention},
    };
    int bad = 0;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        struct check c = {.noise = variant, .rng = seed + i, .ok = true};
        kern_thread_init();
        checks[i].run(&c);
        bad += !c.ok;
        if (report)
            report(ctx, checks[i].name, name, c.n_cases, c.ok, c.detail);
    }
    return bad;
}
