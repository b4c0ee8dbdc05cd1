/* SPDX-License-Identifier: MIT
 * Single requests on a backend in closed form: that sharing, batches, chunks, threads and cache
 * change nothing, how outputs end, what is streamed, digests and scores. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/buf.h"
#include "run/run.h"
#include "run_fake.h"
#include "sample/sample.h"

static const int32_t prompt[] = {5, 9, 20, 33, 7, 7, 12};
enum { N_PROMPT = sizeof prompt / sizeof prompt[0] };

static const struct rec_host hosts[] = {
    {0, 0, 0, REC_CACHE_COLD},    {1, 1, 1, REC_CACHE_COLD},   {2, 1, 3, REC_CACHE_FORKED},
    {3, 4, 2, REC_CACHE_COLD},    {2, 8, 512, REC_CACHE_COLD}, {1, 8, 1, REC_CACHE_FORKED},
    {2, 16, 64, REC_CACHE_FORKED}, {1, 2, 7, REC_CACHE_COLD},
};
enum { N_HOSTS = sizeof hosts / sizeof hosts[0] };

static struct rec_settings sampled(uint32_t n)
{
    struct rec_settings s;
    rec_settings_default(&s, REC_SAMPLER_HF);
    s.do_sample = true;
    s.temperature = 0.7;
    s.top_k = 8;
    s.max_new_tokens = 24;
    s.num_return_sequences = n;
    return s;
}

static void same_output(const struct rec_output *a, const struct rec_output *b)
{
    assert_int_equal(a->stop, b->stop);
    assert_int_equal(a->n_tokens, b->n_tokens);
    assert_int_equal(a->text_len, b->text_len);
    assert_memory_equal(a->text, b->text, a->text_len + 1);
    assert_string_equal(a->logits_digest, b->logits_digest);
    for (size_t i = 0; i < a->n_tokens; i++) {
        const struct rec_token *x = &a->tokens[i], *y = &b->tokens[i];
        assert_int_equal(x->id, y->id);
        assert_memory_equal(&x->logprob, &y->logprob, 5 * sizeof(float));
        assert_int_equal(x->n_top, y->n_top);
        assert_memory_equal(x->top, y->top, x->n_top * sizeof *x->top);
    }
}

static void generate(struct fake *f, const struct rec_settings *set, uint64_t seed, uint32_t n_top,
                     const struct rec_host *host, struct rec_output *out)
{
    struct idem_err err = {0};
    struct run_request r = {.prompt = prompt, .n_prompt = N_PROMPT, .settings = *set, .seed = seed,
                            .n_top = n_top, .host = *host};
    if (run_generate(&f->base, &r, NULL, NULL, NULL, out, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(f->n_live, 0);
}

/* An output written down without any of the code under test but sample_step: one sequence, one
 * token at a time, SHA-256 of the closed-form logits. */
static void by_hand(const struct rec_settings *set, uint64_t seed, uint32_t sample, size_t n_top,
                    int32_t *ids, size_t *n, char digest[DIGEST_HEX])
{
    struct idem_err err = {0};
    struct sampler *s = sample_open(FAKE_VOCAB, &err);
    struct sample_key key;
    struct digest d = {0};
    int32_t context[256];
    struct rec_top top[FAKE_VOCAB];
    assert_non_null(s);
    assert_int_equal(digest_init(&d), 0);
    memcpy(context, prompt, sizeof prompt);
    sample_key_init(&key, seed, prompt, N_PROMPT, sample);
    *n = 0;
    while (*n < set->max_new_tokens) {
        float x[FAKE_VOCAB];
        struct backend_logits l = {0};
        fake_logits(context, N_PROMPT + *n, 0, x);
        fake_stats(x, &l);
        digest_f32s(&d, x, FAKE_VOCAB);
        struct sample_stats st = {l.logsumexp, l.entropy, l.max, l.argmax};
        struct rec_token t = {.top = top};
        key.position = (uint32_t)*n;
        assert_int_equal(sample_step(s, set, x, &st, context, N_PROMPT + *n, &key, n_top, &t, &err),
                         0);
        context[N_PROMPT + *n] = ids[*n] = t.id;
        ++*n;
        if (t.id == FAKE_EOG)
            break;
    }
    digest_final(&d, digest);
    sample_close(s);
}

static void test_equals_by_hand(void **state)
{
    (void)state;
    struct rec_settings set = sampled(6);
    for (size_t h = 0; h < N_HOSTS; h++) {
        struct fake *f = fake_open();
        struct rec_output out[6];
        generate(f, &set, 42, 4, &hosts[h], out);
        for (uint32_t i = 0; i < 6; i++) {
            int32_t ids[64];
            size_t n;
            char digest[DIGEST_HEX];
            by_hand(&set, 42, i, 4, ids, &n, digest);
            assert_int_equal(out[i].n_tokens, n);
            for (size_t k = 0; k < n; k++)
                assert_int_equal(out[i].tokens[k].id, ids[k]);
            assert_string_equal(out[i].logits_digest, digest);
            rec_output_release(&out[i]);
        }
        fake_close(&f->base);
    }
}

/* One value over all host states, and each step really holds the batch that was asked for. */
static void test_hosts(void **state)
{
    (void)state;
    struct rec_settings set = sampled(1);
    struct rec_output ref = {0};
    for (size_t h = 0; h < N_HOSTS; h++) {
        struct fake *f = fake_open();
        struct rec_output o;
        generate(f, &set, 7, 5, &hosts[h], &o);
        if (h == 0)
            ref = o;
        else {
            same_output(&ref, &o);
            rec_output_release(&o);
            assert_int_equal(f->min_items, hosts[h].batch);
            assert_int_equal(f->max_items, hosts[h].batch);
            assert_true(f->chunk >= hosts[h].chunk && f->chunk >= hosts[h].batch);
            assert_int_equal(f->threads, hosts[h].threads);
        }
        fake_close(&f->base);
    }
    rec_output_release(&ref);
}

/* If the batch does change a bit, it is seen: the test above can fail. */
static void test_batch_seen(void **state)
{
    (void)state;
    struct rec_settings set = sampled(1);
    struct fake *f = fake_open();
    struct rec_output a, b;
    f->batch_matters = true;
    generate(f, &set, 7, 5, &hosts[1], &a);
    generate(f, &set, 7, 5, &hosts[4], &b);
    assert_string_not_equal(a.logits_digest, b.logits_digest);
    rec_output_release(&a);
    rec_output_release(&b);
    fake_close(&f->base);
}

/* A prefix that several samples have in common is computed once, and nothing else is. */
static void test_sharing(void **state)
{
    (void)state;
    enum { N = 40 };
    struct rec_settings set = sampled(N);
    set.temperature = 0.1;
    struct fake *f = fake_open();
    struct rec_output out[N];
    size_t alone = 0, distinct = 0;
    generate(f, &set, 1, 2, &hosts[0], out);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 1; k < out[i].n_tokens; k++) {   /* the last token is never fed back */
            bool seen = false;
            for (size_t j = 0; j < i && !seen; j++) {
                seen = k < out[j].n_tokens;
                for (size_t t = 0; t < k && seen; t++)
                    seen = out[i].tokens[t].id == out[j].tokens[t].id;
            }
            distinct += !seen;
            alone++;
        }
    assert_int_equal(f->n_tokens, N_PROMPT + distinct);
    assert_true(distinct < alone);
    for (size_t i = 0; i < N; i++)
        rec_output_release(&out[i]);
    fake_close(&f->base);
}

static void test_memory_bound(void **state)
{
    (void)state;
    enum { N = 200 };
    struct rec_settings set = sampled(N);
    set.temperature = 3;             /* the samples part at once */
    set.top_k = 0;
    struct fake *f = fake_open();
    struct rec_output *out = calloc(N, sizeof *out);
    assert_non_null(out);
    generate(f, &set, 3, 1, &hosts[0], out);
    assert_true(f->max_live <= N + 16);
    for (size_t i = 0; i < N; i++)
        rec_output_release(&out[i]);
    free(out);
    fake_close(&f->base);
}

static void test_no_capture(void **state)
{
    (void)state;
    struct rec_settings set = sampled(1);
    struct fake *f = fake_open();
    struct rec_output a, b;
    generate(f, &set, 9, 5, &hosts[1], &a);
    generate(f, &set, 9, 0, &hosts[1], &b);
    assert_int_equal(a.n_tokens, b.n_tokens);
    for (size_t i = 0; i < a.n_tokens; i++) {
        assert_int_equal(a.tokens[i].id, b.tokens[i].id);
        assert_true(isnan(b.tokens[i].logprob) && b.tokens[i].n_top == 0);
    }
    assert_string_equal(b.logits_digest, "");
    assert_string_equal(a.text, b.text);
    rec_output_release(&a);
    rec_output_release(&b);
    fake_close(&f->base);
}

/* ---- endings and streaming --------------------------------------------------------------------- */

struct heard { struct buf text; size_t n_tokens, stop_after; };

static int hear(void *ctx, uint32_t sample, const struct rec_token *t, const char *bytes, size_t len)
{
    struct heard *h = ctx;
    assert_int_equal(sample, 0);
    assert_true(t->id >= 0 && t->id < FAKE_VOCAB);
    buf_add(&h->text, bytes ? bytes : "", len);
    return ++h->n_tokens == h->stop_after;
}

static void test_endings(void **state)
{
    (void)state;
    static const char *const stops[] = {"ab", "e", "aba", "\xc3\xa4"};
    size_t n_by_stop[4] = {0};
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct rec_settings set = sampled(1);
        struct fake *f = fake_open();
        struct heard h = {0};
        struct rec_output o, plain;
        struct idem_err err = {0};
        set.top_k = 0;
        set.temperature = 2;
        buf_init(&h.text, 1 << 16);
        generate(f, &set, seed, 1, &hosts[0], &plain);
        set.stop = stops;
        set.n_stop = seed % 5;
        struct run_request r = {.prompt = prompt, .n_prompt = N_PROMPT, .settings = set,
                                .seed = seed, .n_top = 1};
        assert_int_equal(run_generate(&f->base, &r, hear, &h, NULL, &o, &err), 0);
        n_by_stop[o.stop]++;
        assert_int_equal(h.n_tokens, o.n_tokens);
        assert_int_equal(h.text.len, o.text_len);
        assert_memory_equal(h.text.data ? h.text.data : "", o.text, o.text_len);
        assert_int_equal(strlen(o.text), o.text_len);
        for (size_t i = 0; i < o.n_tokens; i++)
            assert_int_equal(o.tokens[i].id, plain.tokens[i].id);
        for (size_t i = 0; i < set.n_stop; i++)
            assert_null(strstr(o.text, stops[i]));
        assert_memory_equal(o.text, plain.text, o.text_len);
        assert_null(strstr(o.text, "ctl"));
        if (o.stop == REC_STOP_EOS)
            assert_int_equal(o.tokens[o.n_tokens - 1].id, FAKE_EOG);
        if (o.stop == REC_STOP_LENGTH)
            assert_int_equal(o.n_tokens, set.max_new_tokens);
        if (o.stop == REC_STOP_STOP) {      /* a stop text begins where the text was cut */
            bool found = false;
            for (size_t i = 0; i < set.n_stop; i++)
                found |= !strncmp(plain.text + o.text_len, stops[i], strlen(stops[i]));
            assert_true(found);
        }
        rec_output_release(&o);
        rec_output_release(&plain);
        buf_release(&h.text);
        fake_close(&f->base);
    }
    assert_true(n_by_stop[REC_STOP_EOS] && n_by_stop[REC_STOP_STOP] && n_by_stop[REC_STOP_LENGTH]);
    assert_int_equal(n_by_stop[REC_STOP_NONE], 0);
}

static void test_stopped(void **state)
{
    (void)state;
    struct rec_settings set = sampled(1);
    struct fake *f = fake_open();
    struct heard h = {.stop_after = 3};
    struct rec_output o;
    struct idem_err err = {0};
    struct run_request r = {.prompt = prompt, .n_prompt = N_PROMPT, .settings = set, .seed = 5};
    volatile sig_atomic_t stop = 1;
    buf_init(&h.text, 1 << 16);
    assert_int_equal(run_generate(&f->base, &r, hear, &h, NULL, &o, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_INTERRUPTED);
    assert_int_equal(h.n_tokens, 3);
    assert_null(o.tokens);
    assert_int_equal(run_generate(&f->base, &r, NULL, NULL, &stop, &o, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_INTERRUPTED);
    assert_int_equal(f->n_live, 0);
    buf_release(&h.text);
    fake_close(&f->base);
}

static void test_errors(void **state)
{
    (void)state;
    struct rec_output o[4];
    struct idem_err err = {0};
    struct fake *f = fake_open();
    struct run_request r = {.prompt = prompt, .n_prompt = N_PROMPT, .settings = sampled(4),
                            .host = {.batch = 6, .chunk = 2, .threads = 2}};
    for (uint64_t k = 1; k < 12; k++) {       /* a step that fails at any place leaves nothing live */
        f->n_steps = 0;
        f->fail_at_step = k;
        assert_int_equal(run_generate(&f->base, &r, NULL, NULL, NULL, o, &err), -1);
        assert_int_equal(err.code, IDEM_ERR_NUMERIC);
        assert_int_equal(f->n_live, 0);
    }
    f->fail_at_step = 0;
    r.settings.temperature = -1;
    assert_int_equal(run_generate(&f->base, &r, NULL, NULL, NULL, o, &err), -1);
    assert_non_null(strstr(err.msg, "temperature"));
    r.settings = sampled(1);
    r.settings.max_new_tokens = 512;
    assert_int_equal(run_generate(&f->base, &r, NULL, NULL, NULL, o, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_LIMIT);
    assert_non_null(strstr(err.msg, "the context has 512"));
    r.settings.max_new_tokens = 512 + 1 - N_PROMPT;   /* exactly fits */
    assert_int_equal(run_generate(&f->base, &r, NULL, NULL, NULL, o, &err), 0);
    rec_output_release(o);
    r.n_prompt = 0;
    assert_int_equal(run_generate(&f->base, &r, NULL, NULL, NULL, o, &err), -1);
    assert_non_null(strstr(err.msg, "no token"));
    fake_close(&f->base);
}

/* ---- digest and score ------------------------------------------------------------------------------ */

static void test_digest(void **state)
{
    (void)state;
    enum { LONG = 70 };
    static const size_t lengths[] = {1, 2, 3, 7, 64, 65, LONG};
    int32_t ids[LONG];
    for (int32_t i = 0; i < LONG; i++)
        ids[i] = 2 + (i * 17) % (FAKE_VOCAB - 2);
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++)
        for (size_t h = 0; h < N_HOSTS; h++) {
            struct fake *f = fake_open();
            struct idem_err err = {0};
            char hex[DIGEST_HEX], expected[DIGEST_HEX];
            size_t n, n_expected = 0;
            int32_t all[LONG + 8];
            struct digest d = {0};
            assert_int_equal(digest_init(&d), 0);
            memcpy(all, ids, sizeof ids);
            for (size_t i = 0; i < lengths[k] + 8; i++) {
                float x[FAKE_VOCAB];
                struct backend_logits l = {0};
                fake_logits(all, i + 1, 0, x);
                fake_stats(x, &l);
                digest_f32s(&d, x, FAKE_VOCAB);
                n_expected++;
                if (i + 1 >= lengths[k] && i + 1 < lengths[k] + 8) {
                    if (l.argmax == FAKE_EOG)
                        break;
                    all[i + 1] = l.argmax;
                }
            }
            digest_final(&d, expected);
            if (run_digest(&f->base, ids, lengths[k], 8, &hosts[h], NULL, NULL, hex, &n, &err))
                fail_msg("%s", err.msg);
            assert_string_equal(hex, expected);
            assert_int_equal(n, n_expected);
            assert_int_equal(f->n_live, 0);
            if (hosts[h].batch)
                assert_int_equal(f->min_items, hosts[h].batch);
            if (hosts[h].chunk)
                assert_true(f->max_item_tokens <= (hosts[h].chunk > 9 ? hosts[h].chunk : 9));
            fake_close(&f->base);
        }
}

static void test_score(void **state)
{
    (void)state;
    for (size_t h = 0; h < N_HOSTS; h++) {
        struct fake *f = fake_open();
        struct rec_output o;
        struct idem_err err = {0};
        if (run_score(&f->base, prompt, N_PROMPT, 3, &hosts[h], NULL, NULL, &o, &err))
            fail_msg("%s", err.msg);
        assert_int_equal(o.n_tokens, N_PROMPT);
        assert_true(isnan(o.tokens[0].logprob) && o.tokens[0].n_top == 0);
        for (size_t i = 1; i < N_PROMPT; i++) {
            float x[FAKE_VOCAB];
            struct backend_logits l = {0};
            fake_logits(prompt, i, 0, x);
            fake_stats(x, &l);
            assert_int_equal(o.tokens[i].id, prompt[i]);
            assert_true(o.tokens[i].logprob == (float)((double)x[prompt[i]] - l.logsumexp));
            assert_true(o.tokens[i].entropy == (float)l.entropy);
            assert_int_equal(o.tokens[i].n_top, 3);
            assert_int_equal(o.tokens[i].top[0].id, l.argmax);
            assert_true(o.tokens[i].top[0].logprob >= o.tokens[i].top[1].logprob);
        }
        rec_output_release(&o);
        assert_int_equal(f->n_live, 0);
        fake_close(&f->base);
    }
    struct fake *f = fake_open();
    struct rec_output o;
    struct idem_err err = {0};
    const int32_t wrong[] = {3, FAKE_VOCAB};
    assert_int_equal(run_score(&f->base, wrong, 2, 3, &hosts[0], NULL, NULL, &o, &err), -1);
    assert_non_null(strstr(err.msg, "token 1 has the id 48"));
    assert_int_equal(run_score(&f->base, wrong, 0, 3, &hosts[0], NULL, NULL, &o, &err), -1);
    fake_close(&f->base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_by_hand), cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_batch_seen),     cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_memory_bound),   cmocka_unit_test(test_no_capture),
        cmocka_unit_test(test_endings),        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_errors),         cmocka_unit_test(test_digest),
        cmocka_unit_test(test_score),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
