/* SPDX-License-Identifier: MIT
 * What goes into a run database comes out with the same bits; its digest covers all of it and
 * nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "unit/store_fixture.h"

static struct store *open_run(struct place *p)
{
    struct idem_err err = {0};
    struct store *s = store_open_run(p->path, &p->f.plan, "a machine", &err);
    if (!s)
        fail_msg("%s", err.msg);
    store_set_vocab(s, fix_token_bytes, NULL);
    return s;
}

static void put_all(struct store *s, const uint64_t *order, size_t n, size_t commit_every)
{
    struct idem_err err = {0};
    for (size_t i = 0; i < n; i++) {
        if (fix_put(s, order[i], &err) != 0)
            fail_msg("%s", err.msg);
        if ((i + 1) % commit_every == 0)
            assert_int_equal(store_commit(s, &err), 0);
    }
    assert_int_equal(store_commit(s, &err), 0);
}

static void in_order(uint64_t order[FIX_TRIALS])
{
    for (uint64_t i = 0; i < FIX_TRIALS; i++)
        order[i] = i;
}

static void assert_same_bits(float a, float b)
{
    uint32_t x, y;
    memcpy(&x, &a, 4);
    memcpy(&y, &b, 4);
    if (isnan(a))
        assert_true(isnan(b));
    else
        assert_int_equal(x, y);
}

static void assert_same_output(const struct rec_output *a, const struct rec_output *b)
{
    assert_int_equal(a->stop, b->stop);
    assert_int_equal(a->n_tokens, b->n_tokens);
    assert_int_equal(a->text_len, b->text_len);
    assert_memory_equal(a->text, b->text, a->text_len + 1);
    assert_string_equal(a->logits_digest, b->logits_digest);
    for (size_t i = 0; i < a->n_tokens; i++) {
        const struct rec_token *x = &a->tokens[i], *y = &b->tokens[i];
        assert_int_equal(x->id, y->id);
        assert_same_bits(x->logprob, y->logprob);
        assert_same_bits(x->logprob_processed, y->logprob_processed);
        assert_same_bits(x->entropy, y->entropy);
        assert_same_bits(x->margin, y->margin);
        assert_same_bits(x->tail_mass, y->tail_mass);
        assert_int_equal(x->n_top, y->n_top);
        for (uint32_t k = 0; k < x->n_top; k++) {
            assert_int_equal(x->top[k].id, y->top[k].id);
            assert_same_bits(x->top[k].logprob, y->top[k].logprob);
            assert_same_bits(x->top[k].logprob_processed, y->top[k].logprob_processed);
        }
    }
}

static void outputs_return_bit_for_bit(void **state)
{
    struct place *p = *state;
    struct idem_err err = {0};
    uint64_t order[FIX_TRIALS];
    in_order(order);
    struct store *s = open_run(p);
    put_all(s, order, FIX_TRIALS - 1, 7);   /* the last trial has no output */
    store_close(s);
    s = store_open_read(p->path, &err);
    assert_non_null(s);
    assert_int_equal(store_n_done(s), FIX_TRIALS - 1);
    assert_false(store_is_complete(s));
    assert_false(store_is_done(s, FIX_TRIALS - 1));
    struct store_cursor *c = store_cursor_open(s, STORE_READ_ALL, &err);
    struct store_row row;
    for (uint64_t i = 0; i < FIX_TRIALS; i++) {
        assert_int_equal(store_cursor_next(c, &row, &err), 1);
        const struct rec_trial *t = &p->f.trials[i];
        assert_int_equal(row.trial.index, i);
        assert_string_equal(row.trial.key, t->key);
        assert_int_equal(row.trial.purpose, t->purpose);
        assert_int_equal(row.trial.prompt, t->prompt);
        assert_int_equal(row.trial.setting, t->setting);
        assert_int_equal(row.trial.host, t->host);
        assert_true(row.trial.seed == t->seed);
        assert_int_equal(row.trial.n_top, t->n_top);
        assert_int_equal(row.done, i != FIX_TRIALS - 1);
        if (!row.done)
            continue;
        struct rec_output o = fix_output(i);
        assert_same_output(&o, &row.output);
        rec_output_release(&o);
        assert_int_equal(row.how.computed, i % 3);
        assert_true(row.how.wall_ms == 12.5 && row.how.started == 1e9 && row.how.n_forward == 99);
    }
    assert_int_equal(store_cursor_next(c, &row, &err), 0);
    store_cursor_close(c);
    size_t len;
    const char *bytes = store_token_bytes(s, 7, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(bytes, "a\0b", 3);
    assert_null(store_token_bytes(s, 5000, &len));
    store_close(s);
}

static void the_plan_returns(void **state)
{
    struct place *p = *state;
    struct idem_err err = {0};
    struct store *s = open_run(p);
    const int32_t ids[] = {1, 2, 300};
    assert_int_equal(store_put_prompt_tokens(s, 1, ids, 3, &err), 0);
    assert_int_equal(store_commit(s, &err), 0);
    store_close(s);
    s = store_open_read(p->path, &err);
    assert_non_null(s);
    const struct store_run *r = store_run(s);
    assert_string_equal(r->hypothesis, "H1");
    assert_string_equal(r->experiment_text, "a: 1\nb: 2\n");
    assert_string_equal(r->rule, "");
    assert_true(r->confidence == 0.95 && r->bootstrap_seed == UINT64_MAX - 1);
    size_t n;
    const struct store_prompt *prompts = store_prompts(s, &n);
    assert_int_equal(n, FIX_PROMPTS);
    assert_string_equal(prompts[1].text, p->f.prompts[1].text);
    assert_true(prompts[1].chat);
    assert_int_equal(prompts[1].n_tokens, 3);
    assert_memory_equal(prompts[1].tokens, ids, sizeof ids);
    assert_null(prompts[0].tokens);
    assert_true(prompts[1].perturbed == 0 && prompts[1].base == 1 && prompts[1].n_attributes == 0);
    assert_true(prompts[2].perturbed == 2 && prompts[2].base == 1);
    assert_string_equal(prompts[2].diff, "[-a-]{+b+}");
    assert_string_equal(prompts[2].option_order, "1,0");
    assert_int_equal(prompts[0].n_attributes, 2);
    assert_string_equal(prompts[0].attributes[1].name, "obj");
    assert_string_equal(prompts[0].attributes[1].value, "[\"a: b\", \"c\"]");
    const struct store_perturbation *perturbations = store_perturbations(s, &n);
    assert_int_equal(n, 2);
    assert_true(!perturbations[0].random && perturbations[1].random && perturbations[1].seed == 7);
    assert_string_equal(perturbations[1].name, "typo:swap");
    const struct store_skip *skips = store_skips(s, &n);
    assert_int_equal(n, 1);
    assert_true(skips[0].prompt == 0 && skips[0].perturbation == 1);
    assert_string_equal(skips[0].why, "no letter");
    assert_string_equal(store_answer(s)->arg, "Answer:");
    assert_string_equal(store_answer(s)->correct, "obj");
    const struct store_setting *settings = store_settings(s, &n);
    assert_int_equal(n, FIX_SETTINGS);
    assert_true(settings[1].settings.temperature == 0.7);
    const struct rec_settings *v = &settings[1].settings;
    assert_true(v->sampler == REC_SAMPLER_LLAMA_CPP && v->typical_p == 0.9);
    assert_true(v->epsilon_cutoff == 0.01 && v->eta_cutoff == 0.02);
    assert_true(v->presence_penalty == -0.5 && v->frequency_penalty == 0.25);
    assert_true(v->min_new_tokens == 3 && v->num_beams == 4 && v->length_penalty == 1.5);
    assert_int_equal(v->early_stopping, REC_EARLY_STOPPING_NEVER);
    assert_int_equal(v->noise, p->f.settings[1].settings.noise);
    assert_true(v->noise != 0 && settings[0].settings.noise == 0);
    assert_int_equal(v->n_stop, 2);
    assert_string_equal(settings[1].settings.stop[0], "\n\n");
    assert_string_equal(settings[1].settings.stop[1], "\"end\", [x]");
    const struct store_host *hosts = store_hosts(s, &n);
    assert_int_equal(hosts[1].host.chunk, 64);
    assert_int_equal(hosts[1].host.cache, REC_CACHE_FORKED);
    const struct store_claim *claims = store_claims(s, &n);
    assert_int_equal(n, 1);
    assert_int_equal(claims[0].n_settings, 2);
    assert_int_equal(claims[0].settings[1], 1);
    assert_string_equal(claims[0].levels[1], "true");
    assert_string_equal(store_machines(s), "a machine");
    store_close(s);
}

/* Any order of insertion, any transactions, any number of interruptions: one digest. */
static void digest_ignores_order_and_transactions(void **state)
{
    struct place *p = *state;
    struct idem_err err = {0};
    char want[DIGEST_HEX], got[DIGEST_HEX];
    uint64_t order[FIX_TRIALS], x = 42;
    in_order(order);
    struct store *s = open_run(p);
    put_all(s, order, FIX_TRIALS, FIX_TRIALS);
    assert_int_equal(store_digest(s, want, &err), 0);
    store_close(s);
    digest_of(p, got);
    assert_string_equal(got, want);
    for (int round = 0; round < 4; round++) {
        unlink(p->path);
        for (size_t i = FIX_TRIALS - 1; i > 0; i--) {
            size_t k = fix_rand(&x) % (i + 1);
            uint64_t t = order[i];
            order[i] = order[k];
            order[k] = t;
        }
        size_t cut = fix_rand(&x) % FIX_TRIALS;
        s = open_run(p);
        put_all(s, order, cut, 1 + (size_t)round);
        digest_of(p, got);
        assert_string_not_equal(got, want);
        store_close(s);
        s = open_run(p);
        assert_int_equal(store_n_done(s), cut);
        put_all(s, order + cut, FIX_TRIALS - cut, 3);
        assert_true(store_is_complete(s));
        store_close(s);
        digest_of(p, got);
        assert_string_equal(got, want);
    }
}

/* Every cell that belongs to a result changes the digest; the clock and the machine do not. */
static void digest_covers_every_result(void **state)
{
    struct place *p = *state;
    uint64_t order[FIX_TRIALS];
    char want[DIGEST_HEX], got[DIGEST_HEX];
    in_order(order);
    struct store *s = open_run(p);
    put_all(s, order, FIX_TRIALS, 5);
    store_close(s);
    digest_of(p, want);
    static const struct { const char *sql; bool covered; } cases[] = {
        {"UPDATE outputs SET text = text || 'x' WHERE trial = 3", true},
        {"UPDATE outputs SET stop = 'eos' WHERE trial = 4", true},
        {"UPDATE outputs SET logits_digest = '' WHERE trial = 4", true},
        {"UPDATE tokens SET id = id + 1 WHERE trial = 5 AND position = 4", true},
        {"UPDATE tokens SET logprob = logprob * 2 WHERE trial = 5 AND position = 1", true},
        {"UPDATE tokens SET logprob_processed = 0.5 WHERE trial = 5 AND position = 0", true},
        {"UPDATE tokens SET entropy = 0.5 WHERE trial = 5 AND position = 0", true},
        {"UPDATE tokens SET margin = 0.5 WHERE trial = 5 AND position = 0", true},
        {"UPDATE tokens SET tail_mass = NULL WHERE trial = 5 AND tail_mass IS NOT NULL", true},
        {"UPDATE tokens SET alternatives = NULL WHERE trial = 5 AND position = 4", true},
        {"UPDATE alternatives SET list = '[[1,-0.5,null]]' WHERE alternatives ="
         " (SELECT alternatives FROM tokens WHERE trial = 5 AND position = 4)", true},
        {"UPDATE trials SET seed = 77 WHERE trial = 1", true},
        {"UPDATE trials SET key = '0' || substr(key, 2) WHERE trial = 0", true},
        {"UPDATE run SET plan_digest = 'other'", true},
        {"DELETE FROM tokens WHERE trial = 1; DELETE FROM outputs WHERE trial = 1", true},
        {"UPDATE timings SET wall_ms = 1e9, started = 0", false},
        {"UPDATE sessions SET machine = 'another'", false},
        {"UPDATE outputs SET computed = 'anew'", false},
        {"DELETE FROM vocab", false},
        {"VACUUM", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char cmd[900];
        snprintf(cmd, sizeof cmd, "cp %s %s/b.db", p->path, p->dir);
        assert_int_equal(system(cmd), 0);
        struct place b = *p;
        snprintf(b.path, sizeof b.path, "%s/b.db", p->dir);
        sqlite3 *db;
        assert_int_equal(sqlite3_open(b.path, &db), SQLITE_OK);
        if (sqlite3_exec(db, cases[i].sql, NULL, NULL, NULL) != SQLITE_OK)
            fail_msg("%s: %s", cases[i].sql, sqlite3_errmsg(db));
        sqlite3_close(db);
        digest_of(&b, got);
        if ((strcmp(got, want) != 0) != cases[i].covered)
            fail_msg("%s: the digest %s", cases[i].sql, cases[i].covered ? "is the same" : "changed");
    }
}

static void resume_takes_only_its_own_plan(void **state)
{
    struct place *p = *state;
    struct idem_err err = {0};
    store_close(open_run(p));
    static const struct { const char *digest, *model, *text, *says; uint32_t limit; } cases[] = {
        {"plan-b", "def", "a: 1\nb: 2\n", "its model digest is abc, here it is def", 0},
        {"plan-b", "abc", "a: 1\nb: 3\n", "line 2 differs", 0},
        {"plan-b", "abc", "a: 1\nb: 2\n", "--limit 0, this is --limit 2", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fix f;
        fix_plan(&f);
        f.plan.run.plan_digest = cases[i].digest;
        f.plan.run.model_digest = cases[i].model;
        f.plan.run.experiment_text = cases[i].text;
        f.plan.run.limit_prompts = cases[i].limit;
        assert_null(store_open_run(p->path, &f.plan, "", &err));
        assert_int_equal(err.code, IDEM_ERR_USAGE);
        if (!strstr(err.msg, cases[i].says) || !strstr(err.msg, p->path))
            fail_msg("'%s' is not in: %s", cases[i].says, err.msg);
    }
    store_close(open_run(p));
}

static void refuses_what_makes_no_sense(void **state)
{
    struct place *p = *state;
    struct idem_err err = {0};
    struct store *s = open_run(p);
    struct rec_output o = fix_output(5);
    assert_int_equal(store_put_output(s, FIX_TRIALS, &o, NULL, &err), -1);
    assert_int_equal(store_put_output(s, 5, &o, NULL, &err), 0);
    assert_int_equal(store_put_output(s, 5, &o, NULL, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_USAGE);
    assert_int_equal(store_n_done(s), 1);
    assert_int_equal(store_commit(s, &err), 0);
    o.tokens[2].margin = INFINITY;
    assert_int_equal(store_put_output(s, 6, &o, NULL, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_NUMERIC);
    assert_false(store_is_done(s, 6));
    store_close(s);
    s = store_open_read(p->path, &err);
    assert_int_equal(store_n_done(s), 1);
    assert_int_equal(store_put_output(s, 7, &o, NULL, &err), -1);
    store_close(s);
    rec_output_release(&o);
}

static void ends_as_one_plain_file(void **state)
{
    struct place *p = *state;
    struct stat st;
    char wal[400];
    struct store *s = open_run(p);
    uint64_t order[FIX_TRIALS];
    in_order(order);
    put_all(s, order, FIX_TRIALS, 10);
    snprintf(wal, sizeof wal, "%s-wal", p->path);
    assert_int_equal(stat(wal, &st), 0);
    store_close(s);
    assert_int_equal(stat(wal, &st), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(outputs_return_bit_for_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(the_plan_returns, setup, teardown),
        cmocka_unit_test_setup_teardown(digest_ignores_order_and_transactions, setup, teardown),
        cmocka_unit_test_setup_teardown(digest_covers_every_result, setup, teardown),
        cmocka_unit_test_setup_teardown(resume_takes_only_its_own_plan, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_makes_no_sense, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_as_one_plain_file, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
