/* SPDX-License-Identifier: MIT
 * The noise: published Philox answers, the documented layout, its distribution, shared noise. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <Random123/philox.h>

#include "base/detmath.h"
#include "sample/sample.h"
#include "sample/sampler.h"

/* Random123's kat_vectors: philox4x32, 10 rounds. */
static void test_philox(void **state)
{
    (void)state;
    philox4x32_ctr_t c = {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}};
    philox4x32_key_t k = {{0xa4093822, 0x299f31d0}};
    philox4x32_ctr_t r = philox4x32(c, k);
    const uint32_t want[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    assert_memory_equal(r.v, want, sizeof want);
}

/* Recomputed by hand in tools/oracle_sample.py too; here: what enters, and that all of it does. */
static void test_place(void **state)
{
    (void)state;
    const int32_t prompt[] = {1, 2, 3}, other[] = {1, 2, 4};
    struct sample_key k;
    sample_key_init(&k, 42, prompt, 3, 0);
    const uint8_t head[4] = {0x46, 0x36, 0x99, 0x3d};   /* sha256 of 01000000 02000000 03000000 */
    assert_memory_equal(k.prompt_digest, head, sizeof head);
    struct noise z;
    assert_int_equal(noise_init(&z, &k, NULL), 0);
    uint64_t base = noise_bits(&z, 10);
    assert_true(base < (uint64_t)1 << 52);
    for (int i = 0; i < 5; i++) {
        struct sample_key q = k;
        if (i == 0)
            q.seed++;
        else if (i == 1)
            sample_key_init(&q, 42, other, 3, 0);
        else if (i == 2)
            q.sample++;
        else if (i == 3)
            q.position++;
        struct noise y;
        assert_int_equal(noise_init(&y, &q, NULL), 0);
        assert_true(noise_bits(&y, i == 4 ? 11 : 10) != base);
    }
    assert_true(noise_gumbel(0) > -3.61 && noise_gumbel(((uint64_t)1 << 52) - 1) < 36.74);
}

/* Many tokens at once have the bits of each alone, and so the draw of a plain search. */
static void test_many(void **state)
{
    enum { N = 5000 };
    static float score[N];
    static int32_t alive[N];
    uint32_t x = 7;
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct noise z = {.key = 0x9E3779B97F4A7C15u * (unsigned)(round + 1),
                          .sample = (uint32_t)round % 3, .position = (uint32_t)round,
                          .beam = (uint32_t)round % 2};
        uint32_t word[4][NOISE_PAIRS], first = (uint32_t)round * 1000003u;
        noise_words(&z, first, word);
        for (uint32_t i = 0; i < NOISE_PAIRS; i++) {
            philox4x32_ctr_t c = {{first + i, z.position, z.sample, z.beam}};
            philox4x32_key_t k = {{(uint32_t)z.key, (uint32_t)(z.key >> 32)}};
            c = philox4x32(c, k);
            for (int w = 0; w < 4; w++)
                assert_int_equal(word[w][i], c.v[w]);
        }
        size_t n = 0;
        unsigned every = 1u + (unsigned)round % 20;   /* dense and sparse sets */
        for (int32_t id = 0; id < N; id++) {
            x = x * 1664525u + 1013904223u;
            score[id] = (float)(x >> 8) * 0x1p-24f * (round % 5 == 0 ? 60.0f : 8.0f);
            if ((x >> 4) % every == 0)
                alive[n++] = id;
        }
        int32_t best = alive[0];
        double most = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            double sum = (double)score[alive[i]] + noise_gumbel(noise_bits(&z, alive[i]));
            if (sum > most) {
                most = sum;
                best = alive[i];
            }
        }
        assert_int_equal(noise_draw(&z, score, alive, n), best);
    }
}

/* Frequencies of 20000 draws against the exact processed distribution. The seeds are fixed, so
 * this is no random test; the bound is the 0.999 quantile of chi-square for the freedom at hand. */
static void test_distribution(void **state)
{
    (void)state;
    enum { N = 12, DRAWS = 20000 };
    static const float logits[N] = {2.0f, 1.5f, 1.5f, 0.7f, 0.2f, 0.0f,
                                    -0.3f, -0.5f, -1.0f, -1.2f, -2.0f, 3.0f};
    static const struct {
        double temperature, top_p;
        uint32_t top_k;
        size_t n_alive;
        double bound;      /* chi-square, n_alive - 1 degrees */
    } t[] = {
        {1.0, 1.0, 0, 12, 31.26}, {0.7, 1.0, 0, 12, 31.26}, {2.0, 1.0, 5, 5, 18.47},
        {1.0, 0.8, 0, 4, 16.27},
    };
    struct idem_err err = {0};
    struct sampler *s = sample_open(N, &err);
    struct sample_stats st = {0};
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += det_exp((double)logits[i]);
    st.logsumexp = det_log(sum);
    for (size_t c = 0; c < sizeof t / sizeof t[0]; c++) {
        struct rec_settings set;
        rec_settings_default(&set, REC_SAMPLER_HF);
        set.do_sample = true;
        set.temperature = t[c].temperature;
        set.top_p = t[c].top_p;
        set.top_k = t[c].top_k;
        struct rec_top top[N];
        struct rec_token tok = {.top = top};
        unsigned count[N] = {0};
        for (uint32_t d = 0; d < DRAWS; d++) {   /* seeds, samples and positions all vary */
            struct sample_key key;
            sample_key_init(&key, d / 100, NULL, 0, d / 10 % 10);
            key.position = d % 10;
            assert_int_equal(sample_step(s, &set, logits, &st, NULL, 0, &key, N, &tok, &err), 0);
            count[tok.id]++;
        }
        double chi = 0, total = 0;
        size_t alive = 0;
        for (int i = 0; i < N; i++) {
            float lp = top[i].logprob_processed;
            if (isnan(lp)) {
                assert_int_equal(count[top[i].id], 0);
                continue;
            }
            double want = exp((double)lp) * DRAWS, off = count[top[i].id] - want;
            chi += off * off / want;
            total += exp((double)lp);
            alive++;
        }
        assert_true(fabs(total - 1.0) < 1e-6);
        assert_int_equal(alive, t[c].n_alive);
        if (!(chi < t[c].bound))
            fail_msg("case %zu: chi-square %.2f, bound %.2f", c, chi, t[c].bound);
    }
    sample_close(s);
}

/* Two settings at one place share their noise: the token drawn from a larger set is drawn from
 * every subset that holds it. */
static void test_common_numbers(void **state)
{
    (void)state;
    enum { N = 200 };
    float logits[N];
    for (int i = 0; i < N; i++)
        logits[i] = (float)((i * 37) % N) * 0.03f;
    struct idem_err err = {0};
    struct sampler *s = sample_open(N, &err);
    struct sample_stats st = {.logsumexp = 0};
    struct rec_token a = {0}, b = {0};
    size_t held = 0, same = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct sample_key key;
        sample_key_init(&key, seed, NULL, 0, 0);
        struct rec_settings set;
        rec_settings_default(&set, REC_SAMPLER_HF);
        set.do_sample = true;
        set.top_k = 100;
        assert_int_equal(sample_step(s, &set, logits, &st, NULL, 0, &key, 0, &a, &err), 0);
        set.top_k = 40;
        assert_int_equal(sample_step(s, &set, logits, &st, NULL, 0, &key, 0, &b, &err), 0);
        if (!(logits[a.id] < 160 * 0.03f)) {
            held++;
            same += a.id == b.id;
        }
    }
    assert_true(held > 100);
    assert_int_equal(held, same);
    sample_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox),
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_common_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
