/* SPDX-License-Identifier: MIT
 * What the files of this room share: the open store, its statements, SQL errors as sentences. */
#ifndef STORE_IMPL_H
#define STORE_IMPL_H

#include <sqlite3.h>

#include "base/arena.h"
#include "base/buf.h"
#include "store/store.h"

#define STORE_APPLICATION_ID 0x6964656d   /* "idem" */
#define STORE_META_MAX ((size_t)1 << 30)  /* bytes of metadata in memory at most */

enum {                    /* statements of the writer, prepared once */
    STORE_SQL_BEGIN = 0, STORE_SQL_COMMIT, STORE_SQL_OUTPUT, STORE_SQL_TOKEN, STORE_SQL_TIMING,
    STORE_SQL_ALT_GET, STORE_SQL_ALT_PUT, STORE_SQL_VOCAB, STORE_SQL_PROMPT_TOKENS, STORE_N_SQL
};

struct store_vocab {      /* token id -> bytes, in id order, for reading */
    struct store_token { int32_t id; uint32_t len; const char *bytes; } *v;
    size_t n, cap;
    bool loaded;          /* false again when a token was added */
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *sql[STORE_N_SQL];
    char *path;
    int lock_fd;              /* writer: holds the flock; -1 for a reader */
    bool writer, failed;
    int64_t schema;           /* of the file, once it has been read */
    struct arena arena;       /* metadata */
    struct store_run run;
    struct store_prompt *prompts;   size_t n_prompts;
    struct store_setting *settings; size_t n_settings;
    struct store_host *hosts;       size_t n_hosts;
    struct store_claim *claims;     size_t n_claims;
    struct store_perturbation *perturbations; size_t n_perturbations;
    struct store_skip *skips;       size_t n_skips;
    struct store_answer *answer;    size_t n_answer;   /* 0 or 1 */
    char *machines;
    uint64_t n_trials, n_done;
    uint8_t *done;            /* bitmap over trials */
    uint64_t *pending;        /* trials put since the last commit */
    size_t n_pending, cap_pending;
    int64_t session;          /* row of this process in `sessions` */
    store_token_bytes_fn token_bytes;
    void *token_ctx;
    uint8_t *known;           /* writer: bitmap of ids in table vocab */
    size_t known_bits;
    struct store_vocab vocab;
    struct buf scratch;       /* JSON of one token's alternatives */
};

/* Fills err from the connection's last error: what failed, why, what to do. Returns -1. */
int store_sql_error(struct store *s, const char *doing, struct idem_err *err);
/* Steps a statement that gives no rows and resets it. */
int store_sql_run(struct store *s, sqlite3_stmt *q, const char *doing, struct idem_err *err);
sqlite3_stmt *store_sql_prepare(struct store *s, const char *sql, struct idem_err *err);
int store_sql_exec(struct store *s, const char *sql, const char *doing, struct idem_err *err);
/* The file contradicts itself: where, and what to do. Returns -1. */
int store_damaged(const struct store *s, struct idem_err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* store_schema.c: the tables, and the plan into them (inside the caller's transaction). */
int store_schema_create(struct store *s, const struct store_plan *p, struct idem_err *err);

/* store_meta.c: the plan out of the tables; the bitmap of what is done. */
int store_meta_load(struct store *s, struct idem_err *err);
int store_machines_load(struct store *s, struct idem_err *err);
int store_meta_match(struct store *s, const struct store_plan *p, struct idem_err *err);

/* Alternatives as text "[[id,logprob,logprob_processed],…]", null for a missing number. */
int store_alternatives_write(struct buf *out, const struct rec_top *top, size_t n);
/* Parses it back; *n alternatives at most cap. -1: not that form. */
int store_alternatives_read(const char *text, size_t len, struct rec_top *top, size_t cap, size_t *n);
/* How many alternatives the text holds at most (its brackets), for allocation. */
size_t store_alternatives_count(const char *text, size_t len);

/* Which of the n values 0 .. n - 1 has this name; false: none (text may be NULL). */
bool store_parse_name(const char *text, const char *(*name)(int), int n, int *v);

/* A binary32 in a column without affinity: NaN as NULL. -1: infinite (bind), or not a binary32 (get). */
int store_bind_f32(sqlite3_stmt *q, int col, float v);
int store_column_f32(sqlite3_stmt *q, int col, float *v);

static inline bool store_bit(const uint8_t *map, uint64_t i)
{
    return (map[i >> 3] >> (i & 7)) & 1;
}
static inline void store_bit_set(uint8_t *map, uint64_t i, bool v)
{
    uint8_t m = (uint8_t)(1u << (i & 7));
    map[i >> 3] = (uint8_t)(v ? map[i >> 3] | m : map[i >> 3] & ~m);
}

#endif
