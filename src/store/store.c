/* SPDX-License-Identifier: MIT
 * Opening, writing and closing a run database. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/store_impl.h"

const char *store_computed_name(enum store_computed c)
{
    static const char *const names[] = {"anew", "shared", "copy"};
    return names[c];
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* SQLite does not always pass the reason of a failed write on; the usual one is meant then. */
static bool no_room(int system_errno)
{
    return system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG;
}

int store_sql_error(struct store *s, const char *doing, struct idem_err *err)
{
    int code = sqlite3_errcode(s->db) & 0xff, sys = sqlite3_system_errno(s->db);
    const char *msg = sqlite3_errmsg(s->db);
    bool unsaid = sqlite3_extended_errcode(s->db) == SQLITE_IOERR_WRITE && sys == 0;
    if (code == SQLITE_FULL || (code == SQLITE_IOERR && (no_room(sys) || unsaid)))
        return err_set(err, IDEM_ERR_IO, "no room left for '%s' (cannot %s)%s: free some space or "
                       "raise the limit and run the same command again; it carries on from what is "
                       "stored", s->path, doing, unsaid ? ", or the disk has failed" : "");
    switch (code) {
    case SQLITE_NOMEM:
        return err_set(err, IDEM_ERR_MEMORY, "no memory to %s '%s'", doing, s->path);
    case SQLITE_NOTADB:
        return err_set(err, IDEM_ERR_FORMAT, "'%s' is not a run: it is no SQLite database (or is "
                       "damaged at its start); choose another file", s->path);
    case SQLITE_CORRUPT:
        return store_damaged(s, err, "SQLite says: %s", msg);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, IDEM_ERR_IO, "'%s' is in use by another process: wait until it has "
                       "ended, or close the program that holds it open", s->path);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
    case SQLITE_AUTH:
        return err_set(err, IDEM_ERR_IO, "cannot %s '%s' (%s%s%s): the file and its folder must be "
                       "%s; choose another place with -o or change the permissions", doing, s->path,
                       msg, sys ? ", " : "", sys ? strerror(sys) : "",
                       s->writer ? "writable" : "readable (a run that was killed also needs a "
                       "writable folder once)");
    case SQLITE_ERROR:   /* a table or column is not there */
        return store_damaged(s, err, "SQLite says: %s", msg);
    default:
        return err_set(err, IDEM_ERR_IO, "cannot %s '%s': %s%s%s", doing, s->path, msg,
                       sys ? ", " : "", sys ? strerror(sys) : "");
    }
}

int store_damaged(const struct store *s, struct idem_err *err, const char *fmt, ...)
{
    char what[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return err_set(err, IDEM_ERR_FORMAT, "'%s' is damaged or not a run of idem: %s; restore it from "
                   "a copy, or move it away and run the experiment again", s->path, what);
}

sqlite3_stmt *store_sql_prepare(struct store *s, const char *sql, struct idem_err *err)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK) {
        store_sql_error(s, "read", err);
        return NULL;
    }
    return q;
}

int store_sql_exec(struct store *s, const char *sql, const char *doing, struct idem_err *err)
{
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return store_sql_error(s, doing, err);
    return 0;
}

int store_sql_run(struct store *s, sqlite3_stmt *q, const char *doing, struct idem_err *err)
{
    int rc = sqlite3_step(q) == SQLITE_DONE ? 0 : store_sql_error(s, doing, err);
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return rc;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int64_t pragma_int(struct store *s, const char *sql, struct idem_err *err)
{
    sqlite3_stmt *q = store_sql_prepare(s, sql, err);
    if (!q)
        return -1;
    int64_t v = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;
    if (v < 0)
        store_sql_error(s, "read", err);
    sqlite3_finalize(q);
    return v;
}

/* 1: an idem run of a schema that is known, 0: an empty database, -1: anything else. */
static int identify(struct store *s, struct idem_err *err)
{
    int64_t id = pragma_int(s, "PRAGMA application_id", err);
    int64_t version = id < 0 ? -1 : pragma_int(s, "PRAGMA user_version", err);
    int64_t n = version < 0 ? -1 : pragma_int(s, "SELECT count(*) FROM sqlite_schema", err);
    if (n < 0)
        return -1;
    if (id == 0 && version == 0 && n == 0)
        return 0;
    if (id != STORE_APPLICATION_ID)
        return err_set(err, IDEM_ERR_FORMAT, "'%s' is a database of another program, not a run of "
                       "idem: choose another file", s->path);
    if (version > STORE_SCHEMA)
        return err_set(err, IDEM_ERR_UNSUPPORTED, "'%s' was written by a newer idem (schema %lld, "
                       "this one knows up to %d): update idem", s->path, (long long)version,
                       STORE_SCHEMA);
    if (version < 1)
        return store_damaged(s, err, "its schema number is %lld", (long long)version);
    s->schema = version;
    return 1;
}

static struct store *new_store(const char *path, bool writer, struct idem_err *err)
{
    struct store *s = calloc(1, sizeof *s);
    if (!s || !(s->path = strdup(path))) {
        err_memory(err, "a run", sizeof *s);
        free(s);
        return NULL;
    }
    s->lock_fd = -1;
    s->writer = writer;
    arena_init(&s->arena, STORE_META_MAX);
    buf_init(&s->scratch, (size_t)64 << 20);
    return s;
}

static int open_db(struct store *s, int flags, struct idem_err *err)
{
    int rc = sqlite3_open_v2(s->path, &s->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (!s->db)
        return err_memory(err, "a database connection", 4096);
    if (rc != SQLITE_OK)
        return store_sql_error(s, "open", err);
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, 5000);
    /* The file may come from anywhere: its schema must not be able to run anything. */
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    return store_sql_exec(s, "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0;", "open", err);
}

/* One writer: an advisory lock on the file, which the kernel drops when the process ends. The
 * descriptor stays open until SQLite has closed its own. *fresh: this call made the file. */
static int lock_file(struct store *s, bool *fresh, struct idem_err *err)
{
    struct stat st;
    if (stat(s->path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(err, IDEM_ERR_IO, "'%s' is %s, not a file: choose another name with -o",
                       s->path, S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
    s->lock_fd = open(s->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    *fresh = s->lock_fd >= 0;
    if (s->lock_fd < 0 && errno == EEXIST)
        s->lock_fd = open(s->path, O_RDWR | O_CLOEXEC);
    if (s->lock_fd < 0)
        return err_set(err, IDEM_ERR_IO, "cannot write '%s': %s; choose another place with -o or "
                       "change the permissions%s", s->path, strerror(errno),
                       no_room(errno) ? ", or free some space" : "");
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return 0;   /* a file system without such locks has those of SQLite */
    *fresh = false;
    return err_set(err, IDEM_ERR_IO, "another process is writing '%s': wait until it has "
                   "ended, or give another file with -o", s->path);
}

static int prepare_writer(struct store *s, struct idem_err *err)
{
    static const char *const text[STORE_N_SQL] = {
        [STORE_SQL_BEGIN] = "BEGIN IMMEDIATE",
        [STORE_SQL_COMMIT] = "COMMIT",
        [STORE_SQL_OUTPUT] = "INSERT INTO outputs VALUES (?,?,?,?,?,?)",
        [STORE_SQL_TOKEN] = "INSERT INTO tokens VALUES (?,?,?,?,?,?,?,?,?)",
        [STORE_SQL_TIMING] = "INSERT INTO timings VALUES (?,?,?,?,?)",
        [STORE_SQL_ALT_GET] = "SELECT list FROM alternatives WHERE alternatives = ?",
        [STORE_SQL_ALT_PUT] = "INSERT INTO alternatives VALUES (?,?)",
        [STORE_SQL_VOCAB] = "INSERT OR IGNORE INTO vocab VALUES (?,?,?)",
        [STORE_SQL_PROMPT_TOKENS] = "UPDATE prompts SET tokens = ?2 WHERE prompt = ?1",
    };
    for (int i = 0; i < STORE_N_SQL; i++)
        if (!(s->sql[i] = store_sql_prepare(s, text[i], err)))
            return -1;
    return 0;
}

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int put_session(struct store *s, const char *version, const char *machine,
                       struct idem_err *err)
{
    sqlite3_stmt *q = store_sql_prepare(s, "INSERT INTO sessions (started, idem_version, machine,"
                                           " n_done) VALUES (?,?,?,?)", err);
    if (!q)
        return -1;
    sqlite3_bind_double(q, 1, now_seconds());
    sqlite3_bind_text(q, 2, version ? version : "", -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(q, 3, machine ? machine : "", -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(q, 4, (int64_t)s->n_done);
    int rc = store_sql_run(s, q, "write", err);
    s->session = sqlite3_last_insert_rowid(s->db);
    sqlite3_finalize(q);
    return rc;
}

/* The whole plan in one transaction: a process killed here leaves an empty database. */
static int create(struct store *s, const struct store_plan *p, struct idem_err *err)
{
    return store_sql_exec(s, "BEGIN IMMEDIATE", "write", err) != 0 ||
                   store_schema_create(s, p, err) != 0 ||
                   store_sql_exec(s, "COMMIT", "write the plan to", err) != 0
               ? -1 : 0;
}

static int check_pages(struct store *s, struct idem_err *err)
{
    sqlite3_stmt *q = store_sql_prepare(s, "PRAGMA quick_check(1)", err);
    if (!q)
        return -1;
    int rc = 0;
    if (sqlite3_step(q) != SQLITE_ROW)
        rc = store_sql_error(s, "check", err);
    else if (strcmp((const char *)sqlite3_column_text(q, 0), "ok") != 0)
        rc = store_damaged(s, err, "SQLite says: %s", (const char *)sqlite3_column_text(q, 0));
    sqlite3_finalize(q);
    return rc;
}

static int open_writer(struct store *s, const struct store_plan *p, const char *machine,
                       struct idem_err *err)
{
    if (open_db(s, SQLITE_OPEN_READWRITE, err) != 0)
        return -1;
    int kind = identify(s, err);
    if (kind < 0)
        return -1;
    if (kind == 1 && (check_pages(s, err) != 0 || store_meta_load(s, err) != 0 ||
                      store_meta_match(s, p, err) != 0))
        return -1;
    if (store_sql_exec(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", "write", err) != 0)
        return -1;
    if (kind == 0 && (create(s, p, err) != 0 || store_meta_load(s, err) != 0))
        return -1;
    if (put_session(s, p->run.idem_version, machine, err) != 0 || prepare_writer(s, err) != 0)
        return -1;
    return store_machines_load(s, err);
}

static void remove_files(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char *f = sqlite3_mprintf("%s%s", path, ends[i]);
        if (f)
            unlink(f);
        sqlite3_free(f);
    }
}

static void release(struct store *s)
{
    for (int i = 0; i < STORE_N_SQL; i++)
        sqlite3_finalize(s->sql[i]);
    sqlite3_close_v2(s->db);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    arena_release(&s->arena);
    buf_release(&s->scratch);
    free(s->machines);
    free(s->done);
    free(s->pending);
    free(s->known);
    free(s->vocab.v);
    free(s->path);
    free(s);
}

struct store *store_open_run(const char *path, const struct store_plan *plan, const char *machine,
                             struct idem_err *err)
{
    struct store *s = new_store(path, true, err);
    bool fresh = false;
    if (!s)
        return NULL;
    if (lock_file(s, &fresh, err) == 0 && open_writer(s, plan, machine, err) == 0)
        return s;
    if (fresh) {
        sqlite3_close_v2(s->db);
        s->db = NULL;
        remove_files(path);
    }
    release(s);
    return NULL;
}

struct store *store_open_read(const char *path, struct idem_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        err_set(err, IDEM_ERR_IO, "cannot open '%s': %s; give the file that `idem run` wrote", path,
                strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(err, IDEM_ERR_IO, "'%s' is %s, not a run: give the file that `idem run` wrote", path,
                S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
        return NULL;
    }
    struct store *s = new_store(path, false, err);
    if (!s)
        return NULL;
    /* BEGIN: everything that this store is asked is answered from one instant of the run. */
    if (open_db(s, SQLITE_OPEN_READONLY, err) != 0 ||
        store_sql_exec(s, "BEGIN", "read", err) != 0)
        goto fail;
    int kind = identify(s, err);
    if (kind == 0)
        err_set(err, IDEM_ERR_FORMAT, "'%s' is empty: no run was stored in it; run the experiment",
                path);
    if (kind == 1 && store_meta_load(s, err) == 0 && store_machines_load(s, err) == 0)
        return s;
fail:
    release(s);
    return NULL;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    if (s->writer) {
        if (!sqlite3_get_autocommit(s->db))
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        for (int i = 0; i < STORE_N_SQL; i++) {
            sqlite3_finalize(s->sql[i]);
            s->sql[i] = NULL;
        }
        /* Without effect while someone reads or the disk is full; the run is whole either way. */
        sqlite3_busy_timeout(s->db, 0);
        sqlite3_exec(s->db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    }
    release(s);
}
