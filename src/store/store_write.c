/* SPDX-License-Identifier: MIT
 * Outputs and what belongs to them into a run database, whole trials in transactions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "store/store_impl.h"

/* After a failed write: back to the last commit, in memory too. */
static int fail_back(struct store *s, struct idem_err *err)
{
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    for (size_t i = 0; i < s->n_pending; i++)
        store_bit_set(s->done, s->pending[i], false);
    s->n_done -= s->n_pending;
    s->failed = true;
    if (err && s->n_pending) {
        size_t len = strlen(err->msg);
        snprintf(err->msg + len, sizeof err->msg - len, "; %zu output%s since the last commit "
                 "%s not stored, the %llu before are safe", s->n_pending,
                 s->n_pending == 1 ? "" : "s", s->n_pending == 1 ? "is" : "are",
                 (unsigned long long)s->n_done);
    }
    s->n_pending = 0;
    return -1;
}

static int begin(struct store *s, struct idem_err *err)
{
    if (!s->writer)
        return err_set(err, IDEM_ERR_USAGE, "'%s' is open for reading only", s->path);
    if (s->failed)
        return err_set(err, IDEM_ERR_IO, "'%s' could not be written before: run the same command "
                       "again", s->path);
    if (!sqlite3_get_autocommit(s->db))
        return 0;
    return store_sql_run(s, s->sql[STORE_SQL_BEGIN], "write to", err);
}

int store_commit(struct store *s, struct idem_err *err)
{
    if (!s->writer || sqlite3_get_autocommit(s->db))
        return s->failed ? begin(s, err) : 0;
    if (store_sql_run(s, s->sql[STORE_SQL_COMMIT], "commit to", err) != 0)
        return fail_back(s, err);
    s->n_pending = 0;
    return 0;
}

void store_set_vocab(struct store *s, store_token_bytes_fn fn, void *ctx)
{
    s->token_bytes = fn;
    s->token_ctx = ctx;
}

static int put_vocab(struct store *s, int32_t id, struct idem_err *err)
{
    if (!s->token_bytes || id < 0)
        return 0;
    size_t bit = (size_t)id;
    if (bit >= s->known_bits) {
        size_t bits = (bit + 8192) & ~(size_t)7;
        uint8_t *p = realloc(s->known, bits / 8);
        if (!p)
            return err_memory(err, "the list of stored tokens", bits / 8);
        memset(p + s->known_bits / 8, 0, (bits - s->known_bits) / 8);
        s->known = p;
        s->known_bits = bits;
    }
    if (store_bit(s->known, bit))
        return 0;
    size_t len = 0;
    const char *bytes = s->token_bytes(s->token_ctx, id, &len);
    if (!bytes)
        return 0;
    struct buf text;
    buf_init(&text, (size_t)16 << 20);
    for (size_t i = 0; i < len;) {
        int32_t cp;
        size_t n = utf8_next(bytes + i, len - i, &cp);
        if (cp > 0)
            buf_add(&text, bytes + i, n);
        else
            buf_adds(&text, "\xEF\xBF\xBD");
        i += n;
    }
    sqlite3_stmt *q = s->sql[STORE_SQL_VOCAB];
    sqlite3_bind_int(q, 1, id);
    sqlite3_bind_text(q, 2, text.data ? text.data : "", (int)text.len, SQLITE_TRANSIENT);
    sqlite3_bind_blob(q, 3, bytes, (int)len, SQLITE_TRANSIENT);
    int rc = text.failed ? err_memory(err, "a token's text", len)
                         : store_sql_run(s, q, "write to", err);
    buf_release(&text);
    if (rc == 0)
        store_bit_set(s->known, bit, true);
    s->vocab.loaded = false;
    return rc;
}

int store_put_prompt_tokens(struct store *s, uint32_t prompt, const int32_t *ids, size_t n,
                            struct idem_err *err)
{
    if (prompt >= s->n_prompts)
        return err_set(err, IDEM_ERR_USAGE, "prompt %u is not in the plan of '%s'", prompt, s->path);
    if (begin(s, err) != 0)
        return -1;
    int32_t *copy = arena_array(&s->arena, n + 1, sizeof *copy);
    if (!copy)
        return err_memory(err, "a prompt's tokens", n * sizeof *copy);
    memcpy(copy, ids, n * sizeof *ids);
    buf_clear(&s->scratch);
    struct json j = {.out = &s->scratch};
    json_begin(&j, '[');
    for (size_t i = 0; i < n; i++)
        json_i64(&j, ids[i]);
    json_end(&j);
    for (size_t i = 0; i < n; i++)
        if (put_vocab(s, ids[i], err) != 0)
            return fail_back(s, err);
    if (s->scratch.failed)
        return err_memory(err, "a prompt's tokens", s->scratch.max);
    sqlite3_stmt *q = s->sql[STORE_SQL_PROMPT_TOKENS];
    sqlite3_bind_int64(q, 1, prompt);
    sqlite3_bind_text(q, 2, s->scratch.data, (int)s->scratch.len, SQLITE_TRANSIENT);
    if (store_sql_run(s, q, "write to", err) != 0)
        return fail_back(s, err);
    s->prompts[prompt].tokens = copy;
    s->prompts[prompt].n_tokens = n;
    return 0;
}

/* Lists are stored once: the id is 53 bits of the text's hash (exact in a double too), and the next
 * free number if another text has it. */
static int put_alternatives(struct store *s, const struct rec_token *t, int64_t *id,
                            struct idem_err *err)
{
    buf_clear(&s->scratch);
    if (store_alternatives_write(&s->scratch, t->top, t->n_top) != 0)
        return err_set(err, IDEM_ERR_NUMERIC, "an alternative has an infinite log-probability");
    if (s->scratch.failed)
        return err_memory(err, "alternatives", s->scratch.max);
    const char *text = s->scratch.data;
    size_t len = s->scratch.len;
    *id = (int64_t)(digest_hash64(text, len) & 0x1FFFFFFFFFFFFFull);
    for (sqlite3_stmt *q = s->sql[STORE_SQL_ALT_GET];; ++*id) {
        sqlite3_bind_int64(q, 1, *id);
        int step = sqlite3_step(q);
        bool same = step == SQLITE_ROW && (size_t)sqlite3_column_bytes(q, 0) == len &&
                    memcmp(sqlite3_column_blob(q, 0), text, len) == 0;
        if (step != SQLITE_ROW && step != SQLITE_DONE)
            store_sql_error(s, "read", err);
        sqlite3_reset(q);
        if (step != SQLITE_ROW && step != SQLITE_DONE)
            return -1;
        if (same)
            return 0;
        if (step == SQLITE_DONE)
            break;
    }
    sqlite3_stmt *q = s->sql[STORE_SQL_ALT_PUT];
    sqlite3_bind_int64(q, 1, *id);
    sqlite3_bind_text(q, 2, text, (int)len, SQLITE_STATIC);
    return store_sql_run(s, q, "write to", err);
}

static int put_token(struct store *s, uint64_t trial, size_t pos, const struct rec_token *t,
                     struct idem_err *err)
{
    int64_t alternatives = 0;
    int rc = put_vocab(s, t->id, err);
    for (uint32_t i = 0; rc == 0 && i < t->n_top; i++)
        rc = put_vocab(s, t->top[i].id, err);
    if (rc == 0 && t->n_top)
        rc = put_alternatives(s, t, &alternatives, err);
    if (rc != 0)
        return -1;
    sqlite3_stmt *q = s->sql[STORE_SQL_TOKEN];
    sqlite3_bind_int64(q, 1, (int64_t)trial);
    sqlite3_bind_int64(q, 2, (int64_t)pos);
    sqlite3_bind_int(q, 3, t->id);
    const float v[] = {t->logprob, t->logprob_processed, t->entropy, t->margin, t->tail_mass};
    for (int i = 0; i < 5; i++)
        if (store_bind_f32(q, 4 + i, v[i]) != 0)
            return err_set(err, IDEM_ERR_NUMERIC, "trial %llu, token %zu holds an infinite number",
                           (unsigned long long)trial, pos);
    if (t->n_top)
        sqlite3_bind_int64(q, 9, alternatives);
    return store_sql_run(s, q, "write to", err);
}

static int put_row(struct store *s, uint64_t trial, const struct rec_output *o,
                   const struct store_how *how, struct idem_err *err)
{
    sqlite3_stmt *q = s->sql[STORE_SQL_OUTPUT];
    sqlite3_bind_int64(q, 1, (int64_t)trial);
    sqlite3_bind_text(q, 2, rec_stop_name(o->stop), -1, SQLITE_STATIC);
    const char *text = o->text ? o->text : "";
    size_t len = o->text ? o->text_len : 0;
    /* What other programs could not read as text is kept as bytes. */
    if (utf8_valid(text, len, NULL) && !memchr(text, 0, len))
        sqlite3_bind_text64(q, 3, text, len, SQLITE_TRANSIENT, SQLITE_UTF8);
    else
        sqlite3_bind_blob64(q, 3, text, len, SQLITE_TRANSIENT);
    sqlite3_bind_int64(q, 4, (int64_t)o->n_tokens);
    sqlite3_bind_text(q, 5, o->logits_digest, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(q, 6, store_computed_name(how ? how->computed : STORE_COMPUTED_ANEW), -1,
                      SQLITE_STATIC);
    if (store_sql_run(s, q, "write to", err) != 0)
        return -1;
    for (size_t i = 0; i < o->n_tokens; i++)
        if (put_token(s, trial, i, &o->tokens[i], err) != 0)
            return -1;
    if (!how)
        return 0;
    q = s->sql[STORE_SQL_TIMING];
    sqlite3_bind_int64(q, 1, (int64_t)trial);
    sqlite3_bind_int64(q, 2, s->session);
    sqlite3_bind_double(q, 3, how->started);
    sqlite3_bind_double(q, 4, how->wall_ms);
    sqlite3_bind_int64(q, 5, (int64_t)how->n_forward);
    return store_sql_run(s, q, "write to", err);
}

int store_put_output(struct store *s, uint64_t trial, const struct rec_output *o,
                     const struct store_how *how, struct idem_err *err)
{
    if (trial >= s->n_trials)
        return err_set(err, IDEM_ERR_USAGE, "trial %llu is not in the plan of '%s' (%llu trials)",
                       (unsigned long long)trial, s->path, (unsigned long long)s->n_trials);
    if (store_bit(s->done, trial))
        return err_set(err, IDEM_ERR_USAGE, "trial %llu has its output in '%s' already",
                       (unsigned long long)trial, s->path);
    if (s->n_pending == s->cap_pending) {
        size_t cap = s->cap_pending ? s->cap_pending * 2 : 256;
        uint64_t *p = realloc(s->pending, cap * sizeof *p);
        if (!p)
            return err_memory(err, "the list of uncommitted outputs", cap * sizeof *p);
        s->pending = p;
        s->cap_pending = cap;
    }
    if (begin(s, err) != 0)
        return fail_back(s, err);
    if (put_row(s, trial, o, how, err) != 0)
        return fail_back(s, err);
    s->pending[s->n_pending++] = trial;
    store_bit_set(s->done, trial, true);
    s->n_done++;
    return 0;
}
