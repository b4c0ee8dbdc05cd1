/* SPDX-License-Identifier: MIT
 * The step of a beam search by hand, the order of candidates, what a beam offers, and draws
 * without replacement against their probabilities. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "sample/beam.h"

static struct rec_settings make(uint32_t num_beams, double length_penalty,
                                enum rec_early_stopping early)
{
    struct rec_settings set;
    rec_settings_default(&set, REC_SAMPLER_HF);
    set.num_beams = num_beams;
    set.length_penalty = length_penalty;
    set.early_stopping = early;
    set.max_new_tokens = 10;
    return set;
}

/* ---- steps by hand ------------------------------------------------------------------------------- */

struct step {                    /* two beams; candidates in order, '!' behind one that stops */
    float sums[4];
    const char *stops;           /* "-!-!": the second and the fourth stop */
    const char *running;         /* which go on, e.g. "02" */
    const char *came;            /* which of them stand in the pool, in its order; 'o': from before */
    float best, worst;           /* scores of the pool; 0: it is empty */
    bool over;
};

static const struct walk {
    const char *name;
    double length_penalty;
    enum rec_early_stopping early;
    struct step steps[4];
} walks[] = {
    {"the pool fills up, and -6.5/3 does not beat -2", 1, REC_EARLY_STOPPING_FALSE,
     {{{-1, -2, -3, -4}, "-!--", "02", "1", -2, -2, false},
      {{-2, -3, -4, -5}, "!---", "12", "0o", -1, -2, false},
      {{-6.5f, -7, -8, -9}, "----", "01", "oo", -1, -2, true}}},
    {"-6/3 = -2 does not beat -2: a tie is no improvement", 1, REC_EARLY_STOPPING_FALSE,
     {{{-1, -2, -3, -4}, "-!--", "02", "1", -2, -2, false},
      {{-2, -3, -4, -5}, "!---", "12", "0o", -1, -2, false},
      {{-6, -7, -8, -9}, "----", "01", "oo", -1, -2, true}}},
    {"never: -6/10 could still come", 1, REC_EARLY_STOPPING_NEVER,
     {{{-1, -2, -3, -4}, "-!--", "02", "1", -2, -2, false},
      {{-2, -3, -4, -5}, "!---", "12", "0o", -1, -2, false},
      {{-6, -7, -8, -9}, "----", "01", "oo", -1, -2, false}}},
    {"never without length penalty: the sum alone", 0, REC_EARLY_STOPPING_NEVER,
     {{{-1, -2, -3, -4}, "-!--", "02", "1", -2, -2, false},
      {{-2, -3, -4, -5}, "!---", "12", "o0", -2, -2, true}}},
    {"true: full is the end, whatever could come", 1, REC_EARLY_STOPPING_TRUE,
     {{{-1, -2, -3, -4}, "-!--", "02", "1", -2, -2, false},
      {{-1.5f, -3, -4, -5}, "-!--", "02", "1o", -1.5f, -2, true}}},
    {"an end below the first two places is dropped", 1, REC_EARLY_STOPPING_TRUE,
     {{{-1, -2, -3, -4}, "--!!", "01", "", 0, 0, false}}},
    {"all candidates end: over, and only the first two count", 1, REC_EARLY_STOPPING_FALSE,
     {{{-1, -2, -3, -4}, "!!!!", "", "01", -1, -2, true}}},
    {"equal scores in the pool keep the order of the candidates", 0, REC_EARLY_STOPPING_NEVER,
     {{{-3, -3, -4, -5}, "!!--", "23", "01", -3, -3, true}}},
    {"the pool keeps its best two", 1, REC_EARLY_STOPPING_NEVER,
     {{{-5, -6, -7, -8}, "!!--", "23", "01", -5, -6, false},
      {{-7, -8, -9, -9}, "!---", "12", "0o", -3.5f, -5, false}}},
    {"a negative penalty favours short ones: -1 * 1, -2 * 2", -1, REC_EARLY_STOPPING_FALSE,
     {{{-1, -1.5f, -3, -4}, "!---", "12", "0", -1, -1, false},
      {{-2, -2.5f, -3, -4}, "!---", "12", "o0", -1, -4, true}}},
    {"never with a negative penalty looks at the length now: -1.5 * 2 beats -4", -1,
     REC_EARLY_STOPPING_NEVER,
     {{{-1, -1.5f, -3, -4}, "!---", "12", "0", -1, -1, false},
      {{-2, -1.5f, -3, -4}, "!---", "12", "o0", -1, -4, false}}},
    {"with draws the order is not that of the sums", 1, REC_EARLY_STOPPING_FALSE,
     {{{-4, -2, -1, -3}, "----", "21", "", 0, 0, false},
      {{-9, -2, -1, -3}, "!---", "21", "0", -4.5f, -4.5f, false}}},
    {"equal sums keep their order", 1, REC_EARLY_STOPPING_FALSE,
     {{{-2, -2, -2, -2}, "-!--", "02", "1", -2, -2, false}}},
};

static void check_step(const char *name, struct beam_state *s, const struct step *st)
{
    struct beam_candidate c[4] = {0};
    for (size_t i = 0; i < 4; i++) {
        c[i].sum = st->sums[i];
        c[i].stops = st->stops[i] == '!';
    }
    beam_step(s, c, 4);
    char running[8] = "", pool[8] = "";
    for (size_t i = 0; i < s->n_running; i++)
        running[i] = (char)('0' + s->running[i]);
    for (size_t i = 0; i < s->n_pool; i++)
        pool[i] = s->pool[i].candidate == SIZE_MAX ? 'o' : (char)('0' + s->pool[i].candidate);
    if (strcmp(running, st->running) || strcmp(pool, st->came) || s->over != st->over)
        fail_msg("%s: step %zu: running %s pool %s over %d", name, s->length, running, pool, s->over);
    if (s->n_pool && (s->pool[0].score != st->best || s->pool[s->n_pool - 1].score != st->worst))
        fail_msg("%s: step %zu: pool from %g to %g", name, s->length, (double)s->pool[0].score,
                 (double)s->pool[s->n_pool - 1].score);
}

static void test_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof walks / sizeof walks[0]; i++) {
        struct rec_settings set = make(2, walks[i].length_penalty, walks[i].early);
        struct beam_state s;
        struct idem_err err = {0};
        assert_int_equal(beam_open(&s, &set, &err), 0);
        for (size_t k = 0; k < 4 && walks[i].steps[k].stops; k++)
            check_step(walks[i].name, &s, &walks[i].steps[k]);
        beam_close(&s);
    }
}

/* ---- order, scores, numbers ------------------------------------------------------------------------ */

static void test_keep(void **state)
{
    (void)state;
    static const double ranks[] = {-5, -1, -3, -1, -7, -1, -2, -9};
    struct beam_candidate list[4];
    size_t n = 0;
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++)
        beam_keep(list, &n, 4, &(struct beam_candidate){.rank = ranks[i], .token = (int32_t)i});
    assert_int_equal(n, 4);
    assert_int_equal(list[0].token, 1);     /* ties: what was offered first */
    assert_int_equal(list[1].token, 3);
    assert_int_equal(list[2].token, 5);
    assert_int_equal(list[3].token, 6);
}

static void test_score(void **state)
{
    (void)state;
    static const struct { float sum; size_t length; double penalty; float score; } cases[] = {
        {-6, 3, 1, -2}, {-6, 3, 0, -6}, {-6, 3, 2, -6.0f / 9}, {-6, 3, -1, -18}, {-6, 4, 0.5, -3},
        {-6, 4, -0.5, -12}, {-6, 1, 1.7, -6}, {-6, 8, 1.0 / 3, -3}, {0, 5, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float got = beam_score(cases[i].sum, cases[i].length, cases[i].penalty);
        assert_true(fabsf(got - cases[i].score) <= 1e-7f * fabsf(cases[i].score));
    }
}

static void test_counts(void **state)
{
    (void)state;
    struct rec_settings set = make(3, 1, REC_EARLY_STOPPING_FALSE);
    assert_int_equal(beam_n_candidates(&set, 0), 6);
    assert_int_equal(beam_n_candidates(&set, 1), 6);
    assert_int_equal(beam_n_candidates(&set, 2), 9);
}

static void test_penalty_range(void **state)
{
    (void)state;
    struct rec_settings set = make(2, 30, REC_EARLY_STOPPING_FALSE);
    struct beam_state s;
    struct idem_err err = {0};
    assert_int_equal(beam_open(&s, &set, &err), -1);     /* 10^30 is the edge */
    assert_non_null(strstr(err.msg, "length_penalty 30 with max_new_tokens 10"));
    set.length_penalty = -29;
    assert_int_equal(beam_open(&s, &set, &err), 0);
    beam_close(&s);
}

/* ---- what a beam offers ---------------------------------------------------------------------------- */

enum { VOCAB = 6 };

static void logits_of(const float *p, float *x, struct sample_stats *stats)
{
    double sum = 0;
    *stats = (struct sample_stats){.max = -INFINITY};
    for (int i = 0; i < VOCAB; i++) {
        x[i] = 3 + logf(p[i]);
        sum += exp((double)x[i]);
        if (x[i] > stats->max) {
            stats->max = x[i];
            stats->argmax = i;
        }
    }
    stats->logsumexp = log(sum);
    stats->entropy = 1;
}

static struct beam_offer ask(const struct sample_stats *stats, const int32_t *context, size_t n,
                             size_t max)
{
    struct beam_offer o = {.beam = 1, .sum = -2, .stats = stats, .context = context, .n_context = n,
                           .n_output = 1, .n_top = 2, .max = max};
    return o;
}

/* Processors run on log-probabilities: a penalty of 2 doubles them. The sum is theirs, the raw
 * numbers are the model's. */
static void test_offer(void **state)
{
    (void)state;
    static const float p[VOCAB] = {0.4f, 0.05f, 0.25f, 0.1f, 0.1f, 0.1f};
    static const int32_t context[] = {2, 2, 0}, ends[] = {5};
    struct idem_err err = {0};
    struct sampler *s = sample_open(VOCAB, &err);
    struct rec_settings set = make(2, 1, REC_EARLY_STOPPING_FALSE);
    struct sample_stats stats;
    struct rec_top top[2];
    struct rec_token raw = {.top = top};
    struct beam_candidate list[4];
    size_t n = 0;
    float x[VOCAB];
    logits_of(p, x, &stats);
    set.repetition_penalty = 2;
    set.min_new_tokens = 2;      /* token 5 ends, and may not yet */
    assert_int_equal(sample_ends(s, ends, 1, &err), 0);
    struct beam_offer o = ask(&stats, context, 3, 4);
    assert_int_equal(beam_offer(s, &set, &o, x, &raw, list, &n, &err), 0);
    static const int32_t order[] = {0, 3, 4, 2};     /* .4^2 = .16, .1, .1, .25^2 = .0625 */
    assert_int_equal(n, 4);
    for (size_t i = 0; i < 4; i++) {
        double raw_lp = log((double)p[order[i]]);
        double lp = order[i] == 0 || order[i] == 2 ? 2 * raw_lp : raw_lp;
        assert_int_equal(list[i].token, order[i]);
        assert_int_equal(list[i].beam, 1);
        assert_true(fabs((double)list[i].logprob - raw_lp) < 1e-6);
        assert_true(fabs((double)list[i].logprob_processed - lp) < 1e-6);
        assert_true(list[i].sum == list[i].logprob_processed - 2.0f);
        assert_true(list[i].rank == (double)list[i].sum);
    }
    assert_int_equal(raw.n_top, 2);
    assert_int_equal(top[0].id, 0);
    assert_true(top[0].logprob_processed == list[0].logprob_processed);
    assert_int_equal(top[1].id, 2);
    sample_close(s);
}

/* With do_sample a beam keeps at least ends + 1 tokens, however narrow top_k is. */
static void test_min_keep(void **state)
{
    (void)state;
    static const float p[VOCAB] = {0.4f, 0.05f, 0.25f, 0.15f, 0.1f, 0.05f};
    static const int32_t context[] = {2}, ends[] = {5, 4, 3};
    for (size_t n_ends = 0; n_ends <= 3; n_ends++) {
        struct idem_err err = {0};
        struct sampler *s = sample_open(VOCAB, &err);
        struct rec_settings set = make(2, 1, REC_EARLY_STOPPING_FALSE);
        struct sample_stats stats;
        struct rec_top top[2];
        struct rec_token raw = {.top = top};
        struct beam_candidate list[8];
        size_t n = 0;
        float x[VOCAB];
        logits_of(p, x, &stats);
        set.do_sample = true;
        set.top_k = 1;
        assert_int_equal(sample_ends(s, ends, n_ends, &err), 0);
        struct beam_offer o = ask(&stats, context, 1, 8);
        assert_int_equal(beam_offer(s, &set, &o, x, &raw, list, &n, &err), 0);
        assert_int_equal(n, n_ends > 1 ? n_ends + 1 : 2);
        sample_close(s);
    }
}

/* The first two draws without replacement: P(i, j) = p_i p_j / (1 - p_i). 60000 searches with
 * fixed seeds; chi-square with 29 degrees of freedom, 0.999 quantile 58.3. */
static void test_draws(void **state)
{
    (void)state;
    static const float p[VOCAB] = {0.3f, 0.05f, 0.25f, 0.2f, 0.12f, 0.08f};
    static const int32_t context[] = {2};
    enum { N = 60000 };
    static size_t seen[VOCAB][VOCAB];
    struct idem_err err = {0};
    struct sampler *s = sample_open(VOCAB, &err);
    struct rec_settings set = make(2, 1, REC_EARLY_STOPPING_FALSE);
    struct sample_stats stats;
    struct rec_top top[2];
    struct rec_token raw = {.top = top};
    set.do_sample = true;
    set.top_k = 0;
    for (uint64_t seed = 0; seed < N; seed++) {
        struct beam_candidate list[2];
        size_t n = 0;
        float x[VOCAB];
        logits_of(p, x, &stats);
        struct beam_offer o = ask(&stats, context, 1, 2);
        sample_key_init(&o.key, seed, context, 1, 0);
        assert_int_equal(beam_offer(s, &set, &o, x, &raw, list, &n, &err), 0);
        assert_int_equal(n, 2);
        seen[list[0].token][list[1].token]++;
    }
    double chi = 0;
    for (int i = 0; i < VOCAB; i++)
        for (int j = 0; j < VOCAB; j++) {
            double pi = (double)p[i], pj = (double)p[j], want = N * pi * pj / (1 - pi);
            double d = (double)seen[i][j] - want;
            if (i == j)
                assert_int_equal(seen[i][j], 0);
            else
                chi += d * d / want;
        }
    assert_true(chi < 58.3);
    sample_close(s);
}

/* Beams have noise of their own: the same token at the same place, another beam. */
static void test_noise_of_beams(void **state)
{
    (void)state;
    static const float p[VOCAB] = {0.2f, 0.2f, 0.2f, 0.2f, 0.1f, 0.1f};
    static const int32_t context[] = {2};
    struct idem_err err = {0};
    struct sampler *s = sample_open(VOCAB, &err);
    struct rec_settings set = make(2, 1, REC_EARLY_STOPPING_FALSE);
    struct sample_stats stats;
    struct rec_top top[2];
    struct rec_token raw = {.top = top};
    double ranks[2][VOCAB];
    set.do_sample = true;
    for (uint32_t beam = 0; beam < 2; beam++) {
        struct beam_candidate list[VOCAB];
        size_t n = 0;
        float x[VOCAB];
        logits_of(p, x, &stats);
        struct beam_offer o = ask(&stats, context, 1, VOCAB);
        o.beam = beam;
        sample_key_init(&o.key, 7, context, 1, 0);
        assert_int_equal(beam_offer(s, &set, &o, x, &raw, list, &n, &err), 0);
        assert_int_equal(n, VOCAB);
        for (size_t i = 0; i < VOCAB; i++)
            ranks[beam][list[i].token] = list[i].rank;
    }
    for (size_t i = 0; i < VOCAB; i++)
        assert_true(ranks[0][i] != ranks[1][i]);
    sample_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),         cmocka_unit_test(test_keep),
        cmocka_unit_test(test_score),         cmocka_unit_test(test_counts),
        cmocka_unit_test(test_penalty_range), cmocka_unit_test(test_offer),
        cmocka_unit_test(test_min_keep),      cmocka_unit_test(test_draws),
        cmocka_unit_test(test_noise_of_beams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
