/* SPDX-License-Identifier: MIT
 * Kills, full disks, read-only folders, second writers and files that are no runs: an error that
 * says what to do, and nothing that was stored is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "unit/store_fixture.h"

/* Puts what is missing; 0, or 1 with err filled. */
static int carry_on(struct place *p, size_t commit_every, struct idem_err *err)
{
    struct store *s = store_open_run(p->path, &p->f.plan, "m", err);
    if (!s)
        return 1;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < FIX_TRIALS; i++) {
        if (store_is_done(s, i))
            continue;
        rc = fix_put(s, i, err) != 0;
        if (rc == 0 && (i + 1) % commit_every == 0)
            rc = store_commit(s, err) != 0;
    }
    rc = rc || store_commit(s, err) != 0;
    store_close(s);
    return rc;
}

static int child_rc(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- kills ------------------------------------------------------------------------------------ */

static void killed_at_any_instant_ends_the_same(void **state)
{
    struct place *p = *state;
    struct idem_err err = {0};
    char want[DIGEST_HEX], got[DIGEST_HEX];
    assert_int_equal(carry_on(p, 4, &err), 0);
    digest_of(p, want);
    uint64_t x = 7;
    int killed = 0;
    for (int round = 0; round < 60; round++) {
        unlink(p->path);
        for (int tries = 0; tries < 4; tries++) {
            pid_t pid = fork();
            if (pid == 0)
                _exit(carry_on(p, 1 + (size_t)round % 5, &err));
            struct timespec t = {0, (long)(fix_rand(&x) % 12000000)};
            nanosleep(&t, NULL);
            kill(pid, SIGKILL);
            killed += child_rc(pid) == -SIGKILL;
        }
        if (carry_on(p, 3, &err) != 0)
            fail_msg("%s", err.msg);
        digest_of(p, got);
        assert_string_equal(got, want);
    }
    assert_true(killed > 60);   /* else nothing was tried */
}

/* ---- room ------------------------------------------------------------------------------------- */

/* With ever more room the run gets ever further and ends as one that never lacked it. */
static void a_full_disk_loses_nothing(void **state)
{
    struct place *p = *state;
    struct idem_err err = {0};
    char want[DIGEST_HEX], got[DIGEST_HEX];
    assert_int_equal(carry_on(p, 4, &err), 0);
    digest_of(p, want);
    unlink(p->path);
    int failures = 0;
    for (rlim_t room = 0; room < 4 << 20; room += 24 << 10) {
        pid_t pid = fork();
        if (pid == 0) {
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &(struct rlimit){room, room});
            int rc = carry_on(p, 2, &err);
            if (rc != 0 && (err.code != IDEM_ERR_IO || !strstr(err.msg, "no room left") ||
                            !strstr(err.msg, "run the same command again"))) {
                fprintf(stderr, "%zu: %s\n", (size_t)room, err.msg);
                rc = 9;
            }
            _exit(rc);
        }
        int rc = child_rc(pid);
        if (rc == 0)
            break;
        assert_int_equal(rc, 1);
        failures++;
        struct stat st;
        if (stat(p->path, &st) != 0)
            continue;                                   /* it could not even be created */
        struct store *s = store_open_read(p->path, &err);
        if (!s)
            fail_msg("after %zu bytes: %s", (size_t)room, err.msg);
        assert_int_equal(store_digest(s, got, &err), 0);
        store_close(s);
    }
    assert_true(failures >= 3);
    assert_int_equal(carry_on(p, 2, &err), 0);
    digest_of(p, got);
    assert_string_equal(got, want);
}

/* The same on a real file system of 1 MiB, where the right to mount one is given. */
static int on_small_disk(struct place *p)
{
    struct idem_err err = {0};
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", p->dir, "tmpfs", 0, "size=1m") != 0)
        return 77;
    char fill[300];
    snprintf(fill, sizeof fill, "%s/b.db", p->dir);
    int fd = open(fill, O_CREAT | O_WRONLY, 0600), step = 0;
    while (write(fd, fill, sizeof fill) > 0)         /* to the last byte */
        ;
    close(fd);
    for (off_t left = 1 << 20; left >= 0; left -= 16 << 10, step++) {
        if (truncate(fill, left) != 0)
            return 2;
        err = (struct idem_err){0};
        if (carry_on(p, 2, &err) == 0)
            break;
        if (!strstr(err.msg, "no room left"))
            return 3;
    }
    struct store *s = store_open_read(p->path, &err);
    return s && store_is_complete(s) && step > 2 ? 0 : 4;
}

static void a_small_file_system_loses_nothing(void **state)
{
    struct place *p = *state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(on_small_disk(p));
    int rc = child_rc(pid);
    if (rc == 77)
        skip();
    assert_int_equal(rc, 0);
}

/* ---- rights ----------------------------------------------------------------------------------- */

/* As a user without rights on the folder (root may write everywhere). */
static int without_rights(struct place *p, bool writer, struct idem_err *err)
{
    if (geteuid() == 0 && (setegid(65534) != 0 || seteuid(65534) != 0))
        return 77;
    if (writer)
        return carry_on(p, 2, err);
    struct store *s = store_open_read(p->path, err);
    char hex[DIGEST_HEX];
    return s && store_digest(s, hex, err) == 0 ? 0 : 1;
}

static void a_read_only_folder_is_an_error_and_can_be_read(void **state)
{
    struct place *p = *state;
    struct idem_err err = {0};
    for (int exists = 0; exists < 2; exists++) {
        if (exists)
            assert_int_equal(carry_on(p, 2, &err), 0);
        chmod(p->dir, 0555);
        if (exists)
            chmod(p->path, 0444);
        pid_t pid = fork();
        if (pid == 0) {
            int rc = without_rights(p, true, &err);
            _exit(rc == 1 && (!strstr(err.msg, p->path) || !strstr(err.msg, "-o")) ? 9 : rc);
        }
        assert_int_equal(child_rc(pid), 1);
        if (exists) {
            pid = fork();
            if (pid == 0)
                _exit(without_rights(p, false, &err));
            assert_int_equal(child_rc(pid), 0);
        }
        chmod(p->dir, 0755);
        struct stat st;
        assert_int_equal(stat(p->path, &st), exists ? 0 : -1);
    }
}

static void a_second_writer_waits_outside(void **state)
{
    struct place *p = *state;
    struct idem_err err = {0};
    int ready[2], done[2];
    assert_int_equal(pipe(ready) | pipe(done), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct store *s = store_open_run(p->path, &p->f.plan, "m", &err);
        char c = 'x';
        if (!s || fix_put(s, 0, &err) != 0 || store_commit(s, &err) != 0 ||
            fix_put(s, 1, &err) != 0 || write(ready[1], &c, 1) != 1 || read(done[0], &c, 1) != 1)
            _exit(1);
        _exit(store_commit(s, &err) == 0 ? 0 : 2);
    }
    char c;
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_null(store_open_run(p->path, &p->f.plan, "m", &err));
    assert_int_equal(err.code, IDEM_ERR_IO);
    assert_non_null(strstr(err.msg, "another process is writing"));
    struct store *s = store_open_read(p->path, &err);   /* a reader may look on */
    assert_non_null(s);
    assert_int_equal(store_n_done(s), 1);
    store_close(s);
    assert_int_equal(write(done[1], "x", 1), 1);
    assert_int_equal(child_rc(pid), 0);
    s = store_open_run(p->path, &p->f.plan, "m", &err);
    assert_non_null(s);
    assert_int_equal(store_n_done(s), 2);
    store_close(s);
}

/* ---- files that are no runs --------------------------------------------------------------------- */

static void make_text(const char *path)
{
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 2000; i++)
        fprintf(f, "prompt %d\n", i);
    fclose(f);
}

static void sql_on(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void foreign_files_are_refused_and_left_alone(void **state)
{
    struct place *p = *state;
    struct idem_err err = {0};
    static const struct { const char *sql, *says; enum idem_err_code code; } cases[] = {
        {NULL, "no SQLite database", IDEM_ERR_FORMAT},
        {"CREATE TABLE x(a)", "another program", IDEM_ERR_FORMAT},
        {"PRAGMA application_id=5", "another program", IDEM_ERR_FORMAT},
        {"PRAGMA application_id=1768187245; PRAGMA user_version=99; CREATE TABLE run(x)",
         "newer idem (schema 99", IDEM_ERR_UNSUPPORTED},
        {"PRAGMA application_id=1768187245; PRAGMA user_version=1; CREATE TABLE run(x)",
         "damaged or not a run", IDEM_ERR_FORMAT},
        {"PRAGMA application_id=1768187245; CREATE TABLE run(x)", "schema number is 0",
         IDEM_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unlink(p->path);
        if (cases[i].sql)
            sql_on(p->path, cases[i].sql);
        else
            make_text(p->path);
        char before[DIGEST_HEX], after[DIGEST_HEX], cmd[900];
        FILE *f;
        snprintf(cmd, sizeof cmd, "sha256sum < %s", p->path);
        f = popen(cmd, "r");
        assert_non_null(fgets(before, sizeof before, f));
        pclose(f);
        for (int writer = 0; writer < 2; writer++) {
            err = (struct idem_err){0};
            assert_null(writer ? store_open_run(p->path, &p->f.plan, "m", &err)
                               : store_open_read(p->path, &err));
            if (!strstr(err.msg, cases[i].says) || err.code != cases[i].code)
                fail_msg("case %zu: %s", i, err.msg);
        }
        f = popen(cmd, "r");
        assert_non_null(fgets(after, sizeof after, f));
        pclose(f);
        assert_string_equal(before, after);
    }
    assert_null(store_open_read(p->dir, &err));
    assert_non_null(strstr(err.msg, "a folder"));
    assert_null(store_open_run(p->dir, &p->f.plan, "m", &err));
    assert_non_null(strstr(err.msg, "a folder"));
    unlink(p->path);
    assert_null(store_open_read(p->path, &err));
    assert_non_null(strstr(err.msg, "No such file"));
    assert_int_equal(truncate(p->dir, 0), -1);
    int fd = open(p->path, O_CREAT | O_WRONLY, 0600);   /* empty: nothing to read, may be filled */
    close(fd);
    assert_null(store_open_read(p->path, &err));
    assert_non_null(strstr(err.msg, "is empty"));
    assert_int_equal(carry_on(p, 2, &err), 0);
}

static int read_all(struct place *p, struct idem_err *err)
{
    struct store *s = store_open_read(p->path, err);
    char hex[DIGEST_HEX];
    int rc = s ? store_digest(s, hex, err) : -1;
    store_close(s);
    return rc;
}

/* Rows that contradict each other are found by whoever reads them. */
static void damaged_rows_are_named(void **state)
{
    struct place *p = *state;
    struct idem_err err = {0};
    static const struct { const char *sql, *says; } cases[] = {
        {"DELETE FROM tokens WHERE trial = 5 AND position = 2", "trial 5: a token is missing"},
        {"DELETE FROM tokens WHERE trial = 5 AND position = 4", "trial 5: it does not have as many"},
        {"UPDATE tokens SET logprob = 0.1 WHERE trial = 5 AND position = 2", "trial 5: a token's id or"},
        {"UPDATE tokens SET logprob = 'x' WHERE trial = 5 AND position = 2", "trial 5: a token's id or"},
        {"UPDATE tokens SET margin = 1e300 WHERE trial = 5 AND position = 2", "trial 5: a token's id or"},
        {"UPDATE tokens SET id = -1 WHERE trial = 5 AND position = 2", "trial 5: a token's id or"},
        {"UPDATE alternatives SET list = '[[1,2]]'", "a token's alternatives are not"},
        {"UPDATE alternatives SET list = '[[1,2,3],]'", "a token's alternatives are not"},
        {"UPDATE alternatives SET list = '[[1,2,1e99]]'", "a token's alternatives are not"},
        {"DELETE FROM alternatives", "a token's alternatives are missing"},
        {"UPDATE outputs SET stop = 'soon' WHERE trial = 2", "trial 2: its stop is unknown"},
        {"UPDATE outputs SET n_tokens = -1 WHERE trial = 2", "trial 2: its n_tokens"},
        {"UPDATE outputs SET computed = 'maybe' WHERE trial = 2", "trial 2: its column computed"},
        {"UPDATE trials SET purpose = 'fun' WHERE trial = 0", "trial 0: its purpose is unknown"},
        {"UPDATE trials SET key = 'k' WHERE trial = 0", "trial 0: its key is no SHA-256"},
        {"UPDATE trials SET prompt = 99 WHERE trial = 0", "trial 0: its prompt"},
        {"DELETE FROM trials WHERE trial = 3", "it should hold 36 trials and holds 35"},
        {"UPDATE trials SET trial = 99 WHERE trial = 3", "trial 3: it is missing"},
        {"INSERT INTO outputs VALUES (99,'eos','',0,'','anew')", "trial 99, which is not in the plan"},
        {"DELETE FROM run", "table run is empty"},
        {"DELETE FROM prompts WHERE prompt = 1", "table prompts does not count"},
        {"UPDATE settings SET top_k = -4", "table settings, row 0"},
        {"UPDATE settings SET stop = '[' WHERE setting = 1", "table settings, row 1"},
        {"UPDATE settings SET sampler = 'dice' WHERE setting = 1", "table settings, row 1"},
        {"UPDATE settings SET early_stopping = 'soon'", "table settings, row 0"},
        {"UPDATE settings SET noise = 'loud' WHERE setting = 1", "table settings, row 1"},
        {"UPDATE hosts SET cache = 'warm'", "table hosts, row 0"},
        {"UPDATE claims SET settings = '[0,9]'", "table claims, row 0"},
        {"DROP TABLE tokens", "no such table: tokens"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unlink(p->path);
        assert_int_equal(carry_on(p, 2, &err), 0);
        sql_on(p->path, cases[i].sql);
        err = (struct idem_err){0};
        assert_int_equal(read_all(p, &err), -1);
        if (!strstr(err.msg, cases[i].says) || err.code != IDEM_ERR_FORMAT)
            fail_msg("%s: %s", cases[i].sql, err.msg);
    }
}

/* A file of the schema before noise is read, and goes on. */
static void a_file_without_noise_is_read(void **state)
{
    struct place *p = *state;
    struct idem_err err = {0};
    size_t n;
    assert_int_equal(carry_on(p, 2, &err), 0);
    sql_on(p->path, "ALTER TABLE settings DROP COLUMN noise; PRAGMA user_version=2");
    struct store *s = store_open_read(p->path, &err);
    if (!s)
        fail_msg("%s", err.msg);
    const struct store_setting *settings = store_settings(s, &n);
    assert_true(n == FIX_SETTINGS && settings[0].settings.noise == 0 && settings[1].settings.noise == 0);
    assert_int_equal(settings[1].settings.early_stopping, REC_EARLY_STOPPING_NEVER);
    store_close(s);
    assert_int_equal(carry_on(p, 2, &err), 0);
}

/* A flipped or cut file never crashes a reader or a writer (run under ASan in CI). */
static void damaged_bytes_never_crash(void **state)
{
    struct place *p = *state;
    struct idem_err err = {0};
    assert_int_equal(carry_on(p, 2, &err), 0);
    FILE *f = fopen(p->path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    char *good = malloc(n), *bad = malloc(n);
    rewind(f);
    assert_int_equal(fread(good, 1, n, f), n);
    fclose(f);
    uint64_t x = 3;
    int refused = 0;
    for (int i = 0; i < 400; i++) {
        size_t len = i % 4 == 0 ? fix_rand(&x) % n : n;
        memcpy(bad, good, n);
        for (int k = 0; k < 1 + i % 8; k++)
            bad[fix_rand(&x) % n] = (char)fix_rand(&x);
        f = fopen(p->path, "wb");
        fwrite(bad, 1, len, f);
        fclose(f);
        err = (struct idem_err){0};
        int rc = read_all(p, &err);
        refused += rc != 0;
        if (rc != 0)
            assert_true(err.code != IDEM_OK && err.msg[0]);
        struct store *s = store_open_run(p->path, &p->f.plan, "m", &err);
        store_close(s);
    }
    assert_true(refused > 100);
    free(good);
    free(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_at_any_instant_ends_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_small_file_system_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_read_only_folder_is_an_error_and_can_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_writer_waits_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_files_are_refused_and_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_rows_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_without_noise_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_bytes_never_crash, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
