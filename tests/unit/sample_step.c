/* SPDX-License-Identifier: MIT
 * sample_step: raw fields, ties, errors, and every selection against a plain definition of it on
 * large vocabularies; the ranges of sample_check. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/detmath.h"
#include "sample/sample.h"
#include "sample/sampler.h"

static uint64_t rng = 1;
static double uniform(void)
{
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return (double)(rng >> 11) * 0x1p-53;
}

static struct sample_stats stats_of(const float *x, size_t n)
{
    struct sample_stats st = {.max = x[0]};
    for (size_t i = 1; i < n; i++)
        if (x[i] > st.max) {
            st.max = x[i];
            st.argmax = (int32_t)i;
        }
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += det_exp((double)x[i] - (double)st.max);
    st.logsumexp = (double)st.max + det_log(sum);
    for (size_t i = 0; i < n; i++)
        st.entropy -= det_exp((double)x[i] - st.logsumexp) * ((double)x[i] - st.logsumexp);
    return st;
}

static void test_raw(void **state)
{
    (void)state;
    /* probabilities 1/2, 1/4, 1/8, 1/16, 1/16 at ids 3, 0, 4, 1, 2 */
    const float l2 = 0.69314718f;
    const float logits[5] = {3 * l2, l2, l2, 4 * l2, 2 * l2};
    struct rec_settings set;
    rec_settings_default(&set, REC_SAMPLER_HF);
    struct idem_err err = {0};
    struct sampler *s = sample_open(5, &err);
    struct sample_stats st = stats_of(logits, 5);
    struct sample_key key;
    sample_key_init(&key, 1, NULL, 0, 0);
    struct rec_top top[8];
    struct rec_token t = {.top = top};
    assert_int_equal(sample_step(s, &set, logits, &st, NULL, 0, &key, 3, &t, &err), 0);
    assert_int_equal(t.id, 3);
    assert_int_equal(t.n_top, 3);
    assert_int_equal(top[0].id, 3);
    assert_int_equal(top[1].id, 0);
    assert_int_equal(top[2].id, 4);
    assert_true(fabsf(t.logprob + l2) < 1e-6f);
    assert_true(t.logprob == t.logprob_processed && top[1].logprob == top[1].logprob_processed);
    assert_true(fabsf(t.margin - l2) < 1e-6f);
    assert_true(fabsf(t.tail_mass - 0.125f) < 1e-6f);
    assert_true(fabsf(t.entropy - 1.875f * l2) < 1e-6f);
    /* more alternatives than tokens; ties to the lowest id; nothing outside */
    assert_int_equal(sample_step(s, &set, logits, &st, NULL, 0, &key, 8, &t, &err), 0);
    assert_int_equal(t.n_top, 5);
    assert_int_equal(top[3].id, 1);
    assert_int_equal(top[4].id, 2);
    assert_true(t.tail_mass == 0.0f);
    /* none asked for */
    t.top = NULL;
    assert_int_equal(sample_step(s, &set, logits, &st, NULL, 0, &key, 0, &t, &err), 0);
    assert_true(t.n_top == 0 && t.tail_mass == 1.0f && fabsf(t.margin - l2) < 1e-6f);
    sample_close(s);
}

static void test_greedy_processed(void **state)
{
    (void)state;
    const float logits[4] = {1.0f, 3.0f, 3.0f, -0.0f};
    struct rec_settings set;
    rec_settings_default(&set, REC_SAMPLER_HF);
    struct idem_err err = {0};
    struct sampler *s = sample_open(4, &err);
    struct sample_stats st = stats_of(logits, 4);
    struct rec_top top[4];
    struct rec_token t = {.top = top};
    struct sample_key key = {0};
    assert_int_equal(sample_step(s, &set, logits, &st, NULL, 0, &key, 4, &t, &err), 0);
    assert_int_equal(t.id, 1);   /* tie with 2 */
    set.repetition_penalty = 4.0;
    const int32_t context[] = {1, 1, 1, 2, 1};
    assert_int_equal(sample_step(s, &set, logits, &st, context, 5, &key, 4, &t, &err), 0);
    assert_int_equal(t.id, 0);   /* 1 and 2 fall to 0.75, once each, however often they occur */
    double z = exp(1) + 2 * exp(0.75) + 1;
    assert_true(fabs((double)t.logprob_processed - (1 - log(z))) < 1e-6);
    set.repetition_penalty = 1.0;
    set.no_repeat_ngram_size = 2;   /* 1 was followed by 1 and by 2 */
    assert_int_equal(sample_step(s, &set, logits, &st, context, 5, &key, 4, &t, &err), 0);
    assert_int_equal(t.id, 0);
    assert_true(isnan(top[0].logprob_processed) && isnan(top[1].logprob_processed));
    assert_true(fabs((double)t.logprob_processed - (1 - log(exp(1) + 1))) < 1e-6);
    set.do_sample = true;           /* temperature 0 is greedy whatever do_sample says */
    set.temperature = 0.0;
    assert_int_equal(sample_step(s, &set, logits, &st, context, 5, &key, 4, &t, &err), 0);
    assert_int_equal(t.id, 0);
    sample_close(s);
}

/* The definition of sampling, written plainly: arrays, sorting by comparison, no shortcuts. */
static const float *sort_x;
static int worse_first(const void *a, const void *b)
{
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    if (sort_x[i] != sort_x[j])
        return sort_x[i] < sort_x[j] ? -1 : 1;
    return i > j ? -1 : 1;
}

static int32_t plain(const struct rec_settings *set, const float *logits, size_t n,
                     const struct sample_key *key, bool *alive)
{
    float *x = malloc(n * sizeof *x);
    int32_t *order = malloc(n * sizeof *order);
    assert_true(x && order);
    for (size_t i = 0; i < n; i++) {
        x[i] = logits[i] / (float)set->temperature;
        order[i] = (int32_t)i;
        alive[i] = true;
    }
    sort_x = x;
    qsort(order, n, sizeof *order, worse_first);
    float max = x[order[n - 1]];
    if (set->top_k && set->top_k < n)
        for (size_t i = 0; i < n; i++)
            alive[i] = x[i] >= x[order[n - set->top_k]];
    if (set->top_p < 1.0) {
        uint64_t total = 0, below = 0;
        for (size_t i = 0; i < n; i++)
            if (alive[i])
                total += (uint64_t)(det_exp((double)x[i] - (double)max) * 0x1p44);
        for (size_t i = 0; i + 1 < n; i++) {
            int32_t id = order[i];
            if (!alive[id])
                continue;
            below += (uint64_t)(det_exp((double)x[id] - (double)max) * 0x1p44);
            if (below <= (uint64_t)((1.0 - set->top_p) * (double)total))
                alive[id] = false;
        }
    }
    struct noise z;
    assert_int_equal(noise_init(&z, key, NULL), 0);
    int32_t best = -1;
    double best_sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (alive[i] && set->min_p > 0 && det_exp((double)x[i] - (double)max) < set->min_p)
            alive[i] = false;
        if (!alive[i])
            continue;
        double sum = (double)x[i] + noise_gumbel(noise_bits(&z, (int32_t)i));
        if (best < 0 || sum > best_sum) {
            best = (int32_t)i;
            best_sum = sum;
        }
    }
    free(x);
    free(order);
    return best;
}

static void test_against_plain(void **state)
{
    (void)state;
    enum { N = 3001 };
    static float logits[N];
    static bool alive[N];
    static struct rec_top top[N];
    struct idem_err err = {0};
    struct sampler *s = sample_open(N, &err);
    assert_non_null(s);
    for (int round = 0; round < 400; round++) {
        double spread = round % 4 == 0 ? 0.0 : round % 4 == 1 ? 1.0 : 12.0;
        for (int i = 0; i < N; i++) {
            double v = (uniform() + uniform() + uniform() - 1.5) * spread;
            logits[i] = (float)(round % 4 == 2 ? floor(v * 4) / 4 : v);
        }
        struct rec_settings set;
        rec_settings_default(&set, REC_SAMPLER_HF);
        set.do_sample = true;
        set.temperature = (double[]){1.0, 0.7, 0.05, 3.0}[round / 4 % 4];
        set.top_k = (uint32_t[]){0, 50, 1, 2999, 700}[round % 5];
        set.top_p = (double[]){1.0, 0.9, 0.37}[round % 3];
        set.min_p = (double[]){0.0, 0.0, 0.02}[round / 3 % 3];
        struct sample_stats st = stats_of(logits, N);
        struct sample_key key;
        sample_key_init(&key, (uint64_t)round, &(int32_t){round % 7}, 1, (uint32_t)round % 3);
        key.position = (uint32_t)round % 11;
        struct rec_token t = {.top = top};
        assert_int_equal(sample_step(s, &set, logits, &st, NULL, 0, &key, N, &t, &err), 0);
        assert_true(t.tail_mass == 0.0f);   /* all are kept, so nothing is outside */
        int32_t want = plain(&set, logits, N, &key, alive);
        for (int i = 0; i < N; i++)
            if (alive[top[i].id] == isnan(top[i].logprob_processed))
                fail_msg("round %d: token %d should %s", round, top[i].id,
                         alive[top[i].id] ? "survive" : "be removed");
        if (t.id != want)
            fail_msg("round %d: drew %d, the definition says %d", round, t.id, want);
        for (int i = 0; i + 1 < N; i++)
            assert_true(top[i].logprob > top[i + 1].logprob ||
                        (logits[top[i].id] >= logits[top[i + 1].id] &&
                         (logits[top[i].id] > logits[top[i + 1].id] ||
                          top[i].id < top[i + 1].id)));
    }
    sample_close(s);
}

/* top_p at its very edge: what sums to exactly 1 - top_p goes (Hugging Face: cumsum <= 1 - top_p),
 * and of equal ones the highest ids go first. */
static void test_top_p_edge(void **state)
{
    (void)state;
    const float logits[4] = {1, 1, 1, 1};
    static const struct { double top_p; size_t n_alive; } t[] = {
        {0.25, 1}, {0.26, 2}, {0.5, 2}, {0.75, 3}, {0.76, 4}, {1.0, 4}, {1e-9, 1},
    };
    struct sample_stats st = stats_of(logits, 4);
    struct sample_key key = {0};
    struct idem_err err = {0};
    struct sampler *s = sample_open(4, &err);
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct rec_settings set;
        rec_settings_default(&set, REC_SAMPLER_HF);
        set.do_sample = true;
        set.top_p = t[i].top_p;
        struct rec_top top[4];
        struct rec_token tok = {.top = top};
        assert_int_equal(sample_step(s, &set, logits, &st, NULL, 0, &key, 4, &tok, &err), 0);
        for (size_t j = 0; j < 4; j++)
            if (isnan(top[j].logprob_processed) != (j >= t[i].n_alive))
                fail_msg("top_p %g: token %zu", t[i].top_p, j);
    }
    sample_close(s);
}

static void test_errors(void **state)
{
    (void)state;
    float logits[3] = {1, 2, 3};
    const int32_t all[] = {0, 1, 2}, negative[] = {0, -1};
    struct rec_settings set;
    rec_settings_default(&set, REC_SAMPLER_HF);
    struct sample_stats st = stats_of(logits, 3);
    struct sample_key key = {0};
    struct rec_token t = {0};
    struct idem_err err = {0};
    assert_null(sample_open(0, &err));
    assert_int_equal(err.code, IDEM_ERR_LIMIT);
    assert_null(sample_open((1u << 19) + 1, &err));
    struct sampler *s = sample_open(3, &err);
    set.no_repeat_ngram_size = 1;
    assert_int_equal(sample_step(s, &set, logits, &st, all, 3, &key, 0, &t, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    assert_non_null(strstr(err.msg, "no_repeat_ngram_size 1 forbids all 3 tokens"));
    set.no_repeat_ngram_size = 0;   /* and the memory is clean after an error */
    assert_int_equal(sample_step(s, &set, logits, &st, all, 3, &key, 0, &t, &err), 0);
    assert_int_equal(sample_step(s, &set, logits, &st, negative, 2, &key, 0, &t, &err), -1);
    assert_non_null(strstr(err.msg, "-1"));
    set.repetition_penalty = 1e6;
    logits[0] = -3e38f;
    assert_int_equal(sample_step(s, &set, logits, &st, all, 3, &key, 0, &t, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "repetition_penalty"));
    set.repetition_penalty = 1.0;
    set.do_sample = true;
    set.temperature = 1e-6;
    assert_int_equal(sample_step(s, &set, logits, &st, all, 3, &key, 0, &t, &err), -1);
    assert_non_null(strstr(err.msg, "temperature"));
    logits[0] = 1.0f;
    assert_int_equal(sample_step(s, &set, logits, &st, all, 3, &key, 0, &t, &err), 0);
    assert_int_equal(t.id, 2);
    for (int i = 0; i < 3; i++) {
        logits[1] = (float[]){NAN, INFINITY, -INFINITY}[i];
        assert_int_equal(sample_step(s, &set, logits, &st, all, 3, &key, 0, &t, &err), -1);
        assert_int_equal(err.code, IDEM_ERR_NUMERIC);
        assert_non_null(strstr(err.msg, "token 1"));
    }
    sample_close(s);
    sample_close(NULL);
}

static void test_check(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double v;
        bool ok;
    } t[] = {
        {"temperature", -1, false}, {"temperature", 0, true}, {"temperature", 0.7, true},
        {"temperature", 1e-30, false}, {"temperature", NAN, false}, {"temperature", INFINITY, false},
        {"top_p", 2, false}, {"top_p", 0, false}, {"top_p", -0.5, false}, {"top_p", 1, true},
        {"top_p", NAN, false}, {"top_p", 0.001, true}, {"min_p", -0.1, false}, {"min_p", 1, true},
        {"min_p", 1.01, false}, {"min_p", NAN, false}, {"repetition_penalty", 0, false},
        {"repetition_penalty", -1, false}, {"repetition_penalty", 1.2, true},
        {"repetition_penalty", NAN, false}, {"max_new_tokens", 0, false},
        {"max_new_tokens", 1, true}, {"num_return_sequences", 0, false},
        {"num_return_sequences", 3, true}, {"top_k", 4e9, false}, {"top_k", 0, true},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct rec_settings s;
        rec_settings_default(&s, REC_SAMPLER_HF);
        s.do_sample = true;
        const char *n = t[i].name;
        if (!strcmp(n, "temperature"))
            s.temperature = t[i].v;
        else if (!strcmp(n, "top_p"))
            s.top_p = t[i].v;
        else if (!strcmp(n, "min_p"))
            s.min_p = t[i].v;
        else if (!strcmp(n, "repetition_penalty"))
            s.repetition_penalty = t[i].v;
        else if (!strcmp(n, "max_new_tokens"))
            s.max_new_tokens = (uint32_t)t[i].v;
        else if (!strcmp(n, "num_return_sequences"))
            s.num_return_sequences = (uint32_t)t[i].v;
        else
            s.top_k = (uint32_t)t[i].v;
        struct idem_err err = {0};
        int rc = sample_check(&s, &err);
        if ((rc == 0) != t[i].ok)
            fail_msg("%s = %g: %d (%s)", n, t[i].v, rc, err.msg);
        if (rc != 0) {
            assert_int_equal(err.code, IDEM_ERR_USAGE);
            assert_non_null(strstr(err.msg, n));
        }
    }
    struct rec_settings s;
    struct idem_err err = {0};
    rec_settings_default(&s, REC_SAMPLER_HF);
    assert_int_equal(sample_check(&s, &err), 0);
    s.num_return_sequences = 2;
    assert_int_equal(sample_check(&s, &err), -1);
    assert_non_null(strstr(err.msg, "greedy"));
    s.num_return_sequences = 1;
    s.stop = (const char *const[]){"a", ""};
    s.n_stop = 2;
    assert_int_equal(sample_check(&s, &err), -1);
    assert_non_null(strstr(err.msg, "stop text 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw),           cmocka_unit_test(test_greedy_processed),
        cmocka_unit_test(test_against_plain), cmocka_unit_test(test_top_p_edge),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
