/* SPDX-License-Identifier: MIT
 * Models known in closed form (bigram_model.h): the engine's logits are the table, bit for bit, in
 * both activation modes, by the reference and by the widest kernels, after any prefix; its
 * probabilities are the truth as far as the engine's exponentials are. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bigram_model.h"
#include "idem.h"
#include "tiny_model.h"

struct seen { const struct bigram *b; const int32_t *tokens; const struct idem_model *m; size_t n; };

static int compare(void *ctx, size_t item, size_t pos, const float *logits)
{
    struct seen *s = ctx;
    (void)item;
    int32_t last = s->tokens[pos];
    if (memcmp(logits, s->b->logit[last], s->b->n * sizeof *logits) != 0)
        fail_msg("the logits at position %zu, after token %d, are not the table's", pos, last);
    struct idem_logstats stats;
    double p[BIGRAM_WIDTH], entropy = 0.0;
    idem_logits_stats(s->m, logits, &stats);
    bigram_next(p, s->b, last, 1.0);
    for (uint32_t j = 0; j < s->b->n; j++) {
        double got = (double)logits[j] - stats.logsumexp;
        entropy -= p[j] * det_log(p[j]);
        if (!(fabs(got - det_log(p[j])) <= 0x1p-22))   /* exp32 is off by up to 2^-23 (numerics.md) */
            fail_msg("log p(%u | %d) is %.17g, should be %.17g", j, last, got, det_log(p[j]));
    }
    assert_true(fabs(stats.entropy - entropy) < 0x1p-20);
    s->n++;
    return 0;
}

static void test_table(void **state)
{
    (void)state;
    static struct bigram b;
    static const struct { uint32_t n_letters; double spread; } shape[] = {{1, 1}, {20, 3}, {52, 12}};
    for (size_t k = 0; k < 3; k++)
        for (int mode = 0; mode < 4; mode++) {
            bigram_random(&b, shape[k].n_letters, shape[k].spread, k);
            size_t len;
            char path[64];
            struct idem_err err = {0};
            uint8_t *bytes = bigram_model(&b, &len);
            int fd = tiny_file(bytes, len, path);
            assert_true(fd >= 0);
            struct idem_model_options o = {
                .activations = mode & 1 ? IDEM_ACTIVATIONS_F32 : IDEM_ACTIVATIONS_Q8,
                .cpu = mode & 2 ? IDEM_CPU_REF : IDEM_CPU_AUTO, .n_threads = 1};
            struct idem_model *m = idem_model_open(path, &o, &err);
            if (!m)
                fail_msg("%s", err.msg);
            struct idem_session_options so = {.n_threads = 1};
            struct idem_session *s = idem_session_open(m, &so, &err);
            assert_non_null(s);
            int32_t tokens[200];
            for (size_t i = 0; i < 200; i++)
                tokens[i] = (int32_t)((i * i + 5 * i) % b.n);
            struct seen seen = {&b, tokens, m, 0};
            struct idem_item item = {.seq = idem_seq_new(s, &err), .tokens = tokens, .n_tokens = 200,
                                     .want = IDEM_LOGITS_ALL};
            if (idem_decode(s, &item, 1, compare, &seen, &err) != 0)
                fail_msg("%s", err.msg);
            assert_int_equal(seen.n, 200);
            idem_session_close(s);
            idem_model_close(m);
            close(fd);
            free(bytes);
        }
}

static void test_tokens(void **state)
{
    (void)state;
    static struct bigram b;
    size_t len, n;
    char path[64];
    struct idem_err err = {0};
    int32_t ids[16];
    bigram_random(&b, 52, 3, 1);
    uint8_t *bytes = bigram_model(&b, &len);
    int fd = tiny_file(bytes, len, path);
    struct idem_model *m = idem_model_open(path, NULL, &err);
    if (!m)
        fail_msg("%s", err.msg);
    assert_int_equal(idem_tokenize(m, "AZaz", 4, IDEM_TOK_ADD_SPECIAL, ids, 16, &n, &err), 0);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(ids[i], bigram_token("AZaz"[i]));
    assert_true(idem_token_is_eog(m, BIGRAM_EOS) && !idem_token_is_eog(m, ids[0]));
    idem_model_close(m);
    close(fd);
    free(bytes);
}

/* Two letters and the end, by hand: after each token all three alike, so that two outputs of up to
 * two tokens agree with probability 1/9 + 2/9 (1/3). */
static void test_agree(void **state)
{
    (void)state;
    static struct bigram b;
    double p[BIGRAM_WIDTH];
    bigram_random(&b, 2, 0, 1);
    bigram_next(p, &b, 3, 1.0);
    assert_true(fabs(p[2] - 1.0 / 3) < 1e-15 && fabs(p[4] - 1.0 / 3) < 1e-15);
    assert_true(fabs(bigram_agree(&b, 3, 1, 1.0) - 1.0 / 3) < 1e-15);
    assert_true(fabs(bigram_agree(&b, 3, 2, 1.0) - 5.0 / 27) < 1e-15);
    b.logit[3][2] = 2.0f;   /* at temperature 2 its weight is e */
    bigram_next(p, &b, 3, 2.0);
    assert_true(fabs(p[2] - exp(1) / (exp(1) + 2)) < 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table), cmocka_unit_test(test_tokens), cmocka_unit_test(test_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
