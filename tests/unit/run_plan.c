/* SPDX-License-Identifier: MIT
 * Whole plans on a backend in closed form: the stored outputs equal those computed one by one,
 * a run that is stopped or killed anywhere ends with the same digest, errors name the trial. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "run/run.h"
#include "run_fake.h"

/* Every test runs with all: the second has beam searches of all kinds, the third perturbed prompts. */
static const char *const experiments[] = {"tests/data/plan/good.yaml", "tests/data/beam/plan.yaml",
                                          "tests/data/plan/good-perturb.yaml"};
static const char *experiment;

#define MODEL "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

static char dir[32];

static const char *db_path(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static struct plan *open_plan(void)
{
    struct idem_err err = {0};
    struct plan *p = plan_open(experiment, NULL, &err);
    if (!p || plan_expand(p, MODEL, "fake-1", &err))
        fail_msg("%s", err.msg);
    return p;
}

static struct store *open_store(const struct plan *p, struct fake *f, const char *name)
{
    struct idem_err err = {0};
    struct store *s = run_open_store(p, &f->base, experiment, db_path(name), &err);
    if (!s)
        fail_msg("%s", err.msg);
    return s;
}

static void digest_of(const char *name, char hex[DIGEST_HEX])
{
    struct idem_err err = {0};
    struct store *s = store_open_read(db_path(name), &err);
    if (!s || store_digest(s, hex, &err))
        fail_msg("%s", err.msg);
    assert_true(store_is_complete(s));
    store_close(s);
}

static int run(const struct plan *p, struct fake *f, const char *name, const struct run_options *o,
               struct idem_err *err)
{
    struct store *s = open_store(p, f, name);
    int rc = run_execute(p, &f->base, s, o, err);
    store_close(s);
    assert_int_equal(f->n_live, 0);
    return rc;
}

static void whole_run(const char *name, const struct run_options *o, char hex[DIGEST_HEX])
{
    struct idem_err err = {0};
    struct plan *p = open_plan();
    struct fake *f = fake_open();
    if (run(p, f, name, o, &err))
        fail_msg("%s", err.msg);
    digest_of(name, hex);
    fake_close(&f->base);
    plan_close(p);
}

/* Every stored output equals the one of a request of its own. */
static void test_equals_alone(void **state)
{
    (void)state;
    char hex[DIGEST_HEX];
    struct idem_err err = {0};
    struct plan *p = open_plan();
    struct fake *f = fake_open();
    whole_run("alone.db", NULL, hex);
    struct store *s = store_open_read(db_path("alone.db"), &err);
    struct store_cursor *c = store_cursor_open(s, STORE_READ_ALL, &err);
    struct store_row row;
    uint64_t n = 0;
    assert_non_null(c);
    for (; store_cursor_next(c, &row, &err) == 1; n++) {
        const struct rec_trial *t = &p->trials[n];
        struct rec_output out[2];
        struct run_request r = {.settings = p->settings[t->setting].values, .seed = t->seed,
                                .n_top = t->n_top};
        int32_t *ids = NULL, *key = NULL;
        const struct plan_prompt *base = &p->prompts[p->prompts[t->prompt].base];
        assert_string_equal(row.trial.key, t->key);
        assert_true(row.done);
        assert_int_equal(run_prompt_ids(&f->base, &p->prompts[t->prompt], &ids, &r.n_prompt, &err), 0);
        assert_int_equal(run_prompt_ids(&f->base, base, &key, &r.n_key_prompt, &err), 0);
        r.prompt = ids;
        r.key_prompt = key;   /* the noise is that of the unperturbed prompt */
        assert_int_equal(run_generate(&f->base, &r, NULL, NULL, NULL, out, &err), 0);
        const struct rec_output *a = &row.output, *b = &out[t->sample];
        assert_int_equal(a->stop, b->stop);
        assert_int_equal(a->n_tokens, b->n_tokens);
        assert_string_equal(a->text, b->text);
        assert_string_equal(a->logits_digest, b->logits_digest);
        for (size_t i = 0; i < a->n_tokens; i++) {
            assert_int_equal(a->tokens[i].id, b->tokens[i].id);
            if (t->n_top)
                assert_memory_equal(&a->tokens[i].logprob, &b->tokens[i].logprob, 5 * sizeof(float));
            assert_int_equal(a->tokens[i].n_top, b->tokens[i].n_top);
            for (size_t k = 0; k < a->tokens[i].n_top; k++)
                assert_memory_equal(&a->tokens[i].top[k], &b->tokens[i].top[k],
                                    sizeof(struct rec_top));
        }
        assert_int_equal(row.how.computed, rec_purpose_shares(t->purpose) ? STORE_COMPUTED_SHARED
                                                                          : STORE_COMPUTED_ANEW);
        if (!rec_purpose_shares(t->purpose))   /* nothing of a fresh trial came from elsewhere */
            assert_true(row.how.n_forward >= r.n_prompt + b->n_tokens - 1);
        for (uint32_t i = 0; i < r.settings.num_return_sequences; i++)
            rec_output_release(&out[i]);
        free(ids);
        free(key);
    }
    assert_int_equal(n, p->n_trials);
    store_cursor_close(c);
    store_close(s);
    fake_close(&f->base);
    plan_close(p);
}

/* Threads and batch of the SEEDS trials change nothing. */
static void test_options(void **state)
{
    (void)state;
    static const struct run_options options[] = {{.threads = 1, .batch = 1}, {.threads = 3, .batch = 5},
                                                 {.threads = 2, .batch = 64}};
    char ref[DIGEST_HEX], hex[DIGEST_HEX];
    whole_run("default.db", NULL, ref);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "options-%zu.db", i);
        whole_run(name, &options[i], hex);
        assert_string_equal(hex, ref);
    }
}

/* A backend whose results depend on its history gives another digest: the tests above can fail. */
static void test_stateful_seen(void **state)
{
    (void)state;
    char ref[DIGEST_HEX], hex[DIGEST_HEX];
    struct idem_err err = {0};
    struct plan *p = open_plan();
    struct fake *f = fake_open();
    f->stateful = true;
    whole_run("steady.db", NULL, ref);
    assert_int_equal(run(p, f, "stateful.db", NULL, &err), 0);
    digest_of("stateful.db", hex);
    assert_string_not_equal(ref, hex);
    fake_close(&f->base);
    plan_close(p);
}

/* ---- stopped, killed, broken -------------------------------------------------------------------- */

struct stopper { volatile sig_atomic_t flag; uint64_t at; };

static void stop_at(void *ctx, struct fake *f)
{
    struct stopper *s = ctx;
    if (f->n_steps >= s->at)
        s->flag = 1;
}

/* Stopped after that many steps, started again, until it is complete. A stop that comes before
 * any trial can end (the slowest takes 35 steps) is followed by one run without. */
static void test_interrupted(void **state)
{
    (void)state;
    static const uint64_t steps[] = {1, 5, 50, 90, 170};
    char ref[DIGEST_HEX], hex[DIGEST_HEX];
    struct plan *p = open_plan();
    whole_run("whole.db", NULL, ref);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "stop-%zu.db", i);
        int rc = -1, rounds = 0;
        for (; rc && rounds < 100; rounds++) {
            struct idem_err err = {0};
            struct fake *f = fake_open();
            struct stopper stop = {.at = rounds > 0 && steps[i] < 50 ? UINT64_MAX : steps[i]};
            struct run_options o = {.stop = &stop.flag};
            f->on_step = stop_at;
            f->on_step_ctx = &stop;
            rc = run(p, f, name, &o, &err);
            if (rc)
                assert_int_equal(err.code, IDEM_ERR_INTERRUPTED);
            fake_close(&f->base);
        }
        assert_int_equal(rc, 0);
        assert_true(rounds > 1);
        digest_of(name, hex);
        assert_string_equal(hex, ref);
    }
    plan_close(p);
}

struct killer { uint64_t at; };

static void kill_at(void *ctx, struct fake *f)
{
    struct killer *k = ctx;
    if (f->n_steps >= k->at)
        raise(SIGKILL);
}

static void test_killed(void **state)
{
    (void)state;
    char ref[DIGEST_HEX], hex[DIGEST_HEX];
    struct plan *p = open_plan();
    whole_run("unkilled.db", NULL, ref);
    for (uint64_t at = 3; at < 700; at = at * 3) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct idem_err err = {0};
            struct fake *f = fake_open();
            struct killer k = {at};
            f->on_step = kill_at;
            f->on_step_ctx = &k;
            run(p, f, "killed.db", NULL, &err);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
    }
    struct idem_err err = {0};
    struct fake *f = fake_open();
    if (run(p, f, "killed.db", NULL, &err))
        fail_msg("%s", err.msg);
    digest_of("killed.db", hex);
    assert_string_equal(hex, ref);
    fake_close(&f->base);
    plan_close(p);
}

/* A failing step names the trial, and what had ended before it is saved. */
static void test_broken(void **state)
{
    (void)state;
    char ref[DIGEST_HEX], hex[DIGEST_HEX];
    struct idem_err err = {0};
    struct plan *p = open_plan();
    struct fake *f = fake_open();
    f->fail_at_step = 60;
    assert_int_equal(run(p, f, "broken.db", NULL, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "trial "));
    assert_non_null(strstr(err.msg, "prompt '"));
    assert_non_null(strstr(err.msg, "setting '"));
    assert_non_null(strstr(err.msg, "the model broke at step 60"));
    f->fail_at_step = 0;
    struct store *s = open_store(p, f, "broken.db");
    assert_true(store_n_done(s) > 0 && !store_is_complete(s));
    store_close(s);
    assert_int_equal(run(p, f, "broken.db", NULL, &err), 0);
    digest_of("broken.db", hex);
    whole_run("unbroken.db", NULL, ref);
    assert_string_equal(hex, ref);
    fake_close(&f->base);
    plan_close(p);
}

static void test_refused(void **state)
{
    (void)state;
    struct idem_err err = {0};
    struct plan *p = open_plan();
    struct fake *f = fake_open();
    char expected[80];               /* the fake's tokens are bytes */
    snprintf(expected, sizeof expected, "prompt '%s' has %zu tokens", p->prompts[0].id, strlen(p->prompts[0].text));
    f->n_ctx = 20;
    assert_int_equal(run(p, f, "short.db", NULL, &err), -1);
    assert_int_equal(err.code, IDEM_ERR_LIMIT);
    assert_non_null(strstr(err.msg, expected));
    f->n_ctx = 512;
    plan_close(p);
    p = plan_open(experiment, NULL, &err);
    assert_int_equal(plan_expand(p, "0000000000000000000000000000000000000000000000000000000000000000",
                                 "fake-1", &err), 0);
    assert_int_equal(run(p, f, "other.db", NULL, &err), -1);
    assert_non_null(strstr(err.msg, "the plan is for model 000000000000"));
    assert_int_equal(f->n_steps, 0);
    fake_close(&f->base);
    plan_close(p);
}

/* ---- progress ---------------------------------------------------------------------------------------- */

struct seen { size_t calls, last_done; uint64_t last_tokens; bool wrong; };

static void on_progress(void *ctx, const struct run_progress *q)
{
    struct seen *s = ctx;
    s->calls++;
    s->wrong |= q->done > q->total || q->done < s->last_done || q->tokens < s->last_tokens ||
                !q->stage || !(q->eta_s >= 0 || q->eta_s == -1);
    s->last_done = q->done;
    s->last_tokens = q->tokens;
}

static void test_progress(void **state)
{
    (void)state;
    struct idem_err err = {0};
    struct seen seen = {0};
    struct run_options o = {.progress = on_progress, .progress_ctx = &seen};
    struct plan *p = open_plan();
    struct fake *f = fake_open();
    assert_int_equal(run(p, f, "progress.db", &o, &err), 0);
    assert_true(seen.calls >= 2 && !seen.wrong);
    assert_int_equal(seen.last_done, p->n_trials);
    uint64_t tokens = seen.last_tokens;
    assert_true(tokens > 0 && tokens <= f->n_tokens);   /* companions are not counted */
    f->n_tokens = 0;
    seen = (struct seen){0};
    assert_int_equal(run(p, f, "progress.db", &o, &err), 0);   /* complete: nothing to compute */
    assert_int_equal(f->n_tokens, 0);
    assert_int_equal(seen.last_done, p->n_trials);
    fake_close(&f->base);
    plan_close(p);
}

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/idem-run-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    char cmd[64];
    (void)state;
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_alone),  cmocka_unit_test(test_options),
        cmocka_unit_test(test_stateful_seen), cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_killed),        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_progress),
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof experiments / sizeof experiments[0]; i++) {
        experiment = experiments[i];
        failed += cmocka_run_group_tests_name(experiment, tests, make_dir, remove_dir);
    }
    return failed;
}
