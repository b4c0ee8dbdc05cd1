/* SPDX-License-Identifier: MIT
 * A million draws per setting follow the processed distribution, and draws at different places are
 * independent, by chi-square tests with fixed seeds: each has one outcome for ever, so this is no
 * random test; the bound is the 0.999 quantile. And settings share their noise. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sample/sampler.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { DRAWS = 50000 };
#else
enum { DRAWS = 1000000 };
#endif
enum { PER_SEED = 1000 };        /* positions of one seed */

/* The 0.999 quantile of chi-square, by Wilson and Hilferty. */
static double bound(size_t freedom)
{
    double f = 2.0 / (9.0 * (double)freedom), r = 1.0 - f + 3.0902 * sqrt(f);
    return (double)freedom * r * r * r;
}

/* Cells that expect fewer than 5 are taken together. */
static void check_counts(const char *name, const double *p, const unsigned *count, size_t n,
                         double draws)
{
    double chi = 0, few = 0, few_count = 0;
    size_t cells = 0;
    for (size_t i = 0; i < n; i++) {
        double want = p[i] * draws, got = count[i];
        if (want < 5) {
            few += want;
            few_count += got;
            continue;
        }
        chi += (got - want) * (got - want) / want;
        cells++;
    }
    if (few > 5) {
        chi += (few_count - few) * (few_count - few) / few;
        cells++;
    } else if (few_count > 30) {
        fail_msg("%s: %g draws where %g are expected", name, few_count, few);
    }
    if (cells < 2 || !(chi < bound(cells - 1)))
        fail_msg("%s: chi-square %.2f over %zu cells, bound %.2f", name, chi, cells,
                 bound(cells - 1));
}

/* What a language model's logits look like: a few good ones, a long tail. */
static void make_logits(float *x, size_t n, double scale)
{
    uint64_t h = 88172645463325252u;
    for (size_t i = 0; i < n; i++) {
        h ^= h << 13, h ^= h >> 7, h ^= h << 17;
        x[i] = (float)(scale * ((double)(h >> 40) / 16777216.0 - 0.5));
        if (h % 31 == 0)
            x[i] += (float)scale * 0.4f;
    }
}

struct setup {
    const char *name;
    size_t n;                    /* tokens of the vocabulary */
    double scale;                /* of the logits; 0: all equal */
    enum rec_sampler sampler;
    double temperature, top_p, min_p, typical_p, epsilon, eta, penalty, presence;
    uint32_t top_k;
};

static const struct setup setups[] = {
    {"two tokens", 2, 3, REC_SAMPLER_HF, 1, 1, 0, 1, 0, 0, 1, 0, 0},
    {"equal", 24, 0, REC_SAMPLER_HF, 1, 1, 0, 1, 0, 0, 1, 0, 0},
    {"plain", 30, 6, REC_SAMPLER_HF, 1, 1, 0, 1, 0, 0, 1, 0, 0},
    {"hot", 40, 12, REC_SAMPLER_HF, 2, 1, 0, 1, 0, 0, 1, 0, 0},
    {"cold, top_p", 1000, 12, REC_SAMPLER_HF, 0.7, 0.9, 0, 1, 0, 0, 1, 0, 0},
    {"Hugging Face's chain", 1000, 14, REC_SAMPLER_HF, 0.8, 0.95, 0.02, 0.9, 3e-4, 2e-3, 1.2, 0.5, 50},
    {"llama.cpp's chain", 151936, 14, REC_SAMPLER_LLAMA_CPP, 0.8, 0.95, 0.05, 0.95, 0, 0, 1.1, 0.2, 40},
    {"ollama's chain", 32000, 12, REC_SAMPLER_OLLAMA, 1.5, 0.9, 0, 1, 0, 0, 1.1, 0, 40},
};

static struct rec_settings settings_of(const struct setup *t)
{
    struct rec_settings s;
    rec_settings_default(&s, t->sampler);
    s.do_sample = true;
    s.temperature = t->temperature;
    s.top_k = t->top_k;
    s.top_p = t->top_p;
    s.min_p = t->min_p;
    s.typical_p = t->typical_p;
    s.epsilon_cutoff = t->epsilon;
    s.eta_cutoff = t->eta;
    s.repetition_penalty = t->penalty;
    s.presence_penalty = t->presence;
    return s;
}

static void noise_at(struct noise *z, uint64_t seed, int32_t prompt, uint32_t sample,
                     uint32_t position)
{
    struct sample_key key;
    struct idem_err err = {0};
    sample_key_init(&key, seed, &prompt, 1, sample);
    key.position = position;
    assert_int_equal(noise_init(z, &key, &err), 0);
}

static void check_setup(const struct setup *t)
{
    struct idem_err err = {0};
    struct rec_settings set = settings_of(t);
    struct sampler *s = sample_open(t->n, &err);
    float *logits = calloc(t->n, sizeof *logits);
    unsigned *count = calloc(t->n, sizeof *count);
    double *p = calloc(t->n, sizeof *p), sum = 0;
    assert_true(s && logits && count && p);
    make_logits(logits, t->n, t->scale);
    const int32_t context[3] = {0, 1, 1};
    struct process_input in = {.scores = logits, .context = context, .n_context = 3,
                               .n_output = 2, .min_keep = 1};
    bool changed;
    assert_int_equal(sample_check(&set, &err), 0);
    assert_int_equal(process_run(s, &set, &in, &changed, &err), 0);
    for (size_t i = 0; i < s->n_alive; i++)
        sum += exp((double)s->score[s->alive[i]]);
    for (size_t i = 0; i < s->n_alive; i++)
        p[s->alive[i]] = exp((double)s->score[s->alive[i]]) / sum;
    for (uint32_t d = 0; d < DRAWS; d += PER_SEED) {
        struct noise z;
        noise_at(&z, d / PER_SEED, 5, 0, 0);
        for (z.position = 0; z.position < PER_SEED; z.position++)
            count[noise_draw(&z, s->score, s->alive, s->n_alive)]++;
    }
    for (size_t i = 0; i < t->n; i++)
        if (p[i] == 0)
            assert_int_equal(count[i], 0);
    assert_true(s->n_alive >= 2);
    check_counts(t->name, p, count, t->n, DRAWS);
    sample_close(s);
    free(logits);
    free(count);
    free(p);
}

static void test_follow(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof setups / sizeof setups[0]; i++)
        check_setup(&setups[i]);
}

/* The same through the front door. */
static void test_step(void **state)
{
    (void)state;
    enum { N = 12 };
    struct idem_err err = {0};
    float logits[N];
    make_logits(logits, N, 5);
    struct rec_settings set = settings_of(&setups[5]);
    struct sampler *s = sample_open(N, &err);
    struct sample_stats st = {0};
    unsigned count[N] = {0};
    double p[N] = {0}, sum = 0;
    struct rec_top top[N];
    struct rec_token t = {.top = top};
    for (size_t i = 0; i < N; i++)
        sum += exp((double)logits[i]);
    st.logsumexp = log(sum);
    struct sample_key key;
    int32_t prompt = 3;
    for (uint32_t d = 0; d < DRAWS / 5; d++) {
        if (d % PER_SEED == 0)
            sample_key_init(&key, d / PER_SEED, &prompt, 1, d / PER_SEED % 3);
        key.position = d % PER_SEED;
        assert_int_equal(sample_step(s, &set, logits, &st, NULL, 0, &key, N, &t, &err), 0);
        count[t.id]++;
    }
    for (size_t i = 0; i < N; i++)
        p[top[i].id] = isnan(top[i].logprob_processed) ? 0 : exp((double)top[i].logprob_processed);
    check_counts("sample_step", p, count, N, DRAWS / 5);
    sample_close(s);
}

/* Pairs of draws at neighbouring positions, samples, seeds and prompts: the joint counts are those
 * of independent draws. */
static void test_independent(void **state)
{
    (void)state;
    enum { N = 8 };
    static const float score[N] = {1.0f, 0.5f, 0.5f, 0.0f, -0.2f, -0.7f, -1.0f, 2.0f};
    static const int32_t alive[N] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const char *const names[] = {"positions", "samples", "seeds", "prompts"};
    unsigned count[4][N * N] = {{0}};
    double p[N * N], sum = 0;
    for (size_t i = 0; i < N; i++)
        sum += exp((double)score[i]);
    for (size_t i = 0; i < N * N; i++)
        p[i] = exp((double)score[i / N]) * exp((double)score[i % N]) / (sum * sum);
    for (uint32_t d = 0; d < DRAWS / 4; d += PER_SEED) {
        struct noise z[5];
        uint32_t seed = 2 * (d / PER_SEED);
        noise_at(&z[0], seed, 5, 0, 0);
        noise_at(&z[1], seed, 5, 0, 0);
        noise_at(&z[2], seed, 5, 1, 0);
        noise_at(&z[3], seed + 1, 5, 0, 0);
        noise_at(&z[4], seed, 6, 0, 0);
        for (uint32_t pos = 0; pos < 2 * PER_SEED; pos += 2) {
            int32_t drawn[5];
            for (size_t k = 0; k < 5; k++) {
                z[k].position = k == 1 ? pos + 1 : pos;
                drawn[k] = noise_draw(&z[k], score, alive, N);
            }
            for (size_t k = 1; k < 5; k++)
                count[k - 1][drawn[0] * N + drawn[k]]++;
        }
    }
    for (size_t k = 0; k < 4; k++)
        check_counts(names[k], p, count[k], N * N, DRAWS / 4);
}

/* Two settings at one place have the same noise under every token: each draws the token with the
 * largest score + that noise, so near settings draw the same token far more often than they would
 * by themselves. */
static void test_common_numbers(void **state)
{
    (void)state;
    enum { N = 60, PLACES = 5000 };
    float logits[N];
    make_logits(logits, N, 6);
    struct rec_settings set[3];
    struct sampler *s[3];
    double p[3][N] = {{0}}, agree = 0, alone = 0, chance = 0;
    struct idem_err err = {0};
    for (size_t k = 0; k < 3; k++) {
        struct process_input in = {.scores = logits, .min_keep = 1};
        bool changed;
        double sum = 0;
        set[k] = settings_of(&setups[2]);
        set[k].temperature = k == 1 ? 1.1 : 1.0;
        set[k].sampler = k == 2 ? REC_SAMPLER_LLAMA_CPP : REC_SAMPLER_HF;
        set[k].top_p = k == 2 ? 0.95 : 1.0;
        s[k] = sample_open(N, &err);
        assert_non_null(s[k]);
        assert_int_equal(process_run(s[k], &set[k], &in, &changed, &err), 0);
        for (size_t i = 0; i < s[k]->n_alive; i++)
            sum += exp((double)s[k]->score[s[k]->alive[i]]);
        for (size_t i = 0; i < s[k]->n_alive; i++)
            p[k][s[k]->alive[i]] = exp((double)s[k]->score[s[k]->alive[i]]) / sum;
    }
    for (uint32_t d = 0; d < PLACES; d++) {
        struct noise z, other;
        int32_t drawn[3];
        noise_at(&z, d, 1, 0, d % 7);
        noise_at(&other, d, 2, 0, d % 7);
        for (size_t k = 0; k < 3; k++) {
            const struct sampler *q = s[k];
            int32_t best = q->alive[0];
            drawn[k] = noise_draw(&z, q->score, q->alive, q->n_alive);
            for (size_t i = 1; i < q->n_alive; i++) {
                int32_t id = q->alive[i];
                if ((double)q->score[id] + noise_gumbel(noise_bits(&z, id)) >
                    (double)q->score[best] + noise_gumbel(noise_bits(&z, best)))
                    best = id;
            }
            assert_int_equal(drawn[k], best);
        }
        agree += drawn[0] == drawn[1];
        alone += drawn[0] == noise_draw(&other, s[1]->score, s[1]->alive, s[1]->n_alive);
        if (p[2][drawn[0]] > 0)   /* what a set keeps, it draws where the larger set would */
            assert_int_equal(drawn[2], drawn[0]);
    }
    for (size_t i = 0; i < N; i++)
        chance += p[0][i] * p[1][i];
    assert_true(agree / PLACES > 0.9);
    assert_true(fabs(alone / PLACES - chance) < 3.3 * sqrt(chance * (1 - chance) / PLACES));
    for (size_t k = 0; k < 3; k++)
        sample_close(s[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follow), cmocka_unit_test(test_step),
        cmocka_unit_test(test_independent), cmocka_unit_test(test_common_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
