/* SPDX-License-Identifier: MIT
 * Trials and outputs out of a run database: the cursor, the run's digest, token texts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/store_impl.h"

/* ---- simple questions ------------------------------------------------------------------------ */

const char *store_path(const struct store *s) { return s->path; }
const struct store_run *store_run(const struct store *s) { return &s->run; }
uint64_t store_n_trials(const struct store *s) { return s->n_trials; }
uint64_t store_n_done(const struct store *s) { return s->n_done; }
bool store_is_complete(const struct store *s) { return s->n_done == s->n_trials; }
const char *store_machines(const struct store *s) { return s->machines ? s->machines : ""; }

bool store_is_done(const struct store *s, uint64_t trial)
{
    return trial < s->n_trials && store_bit(s->done, trial);
}

const struct store_prompt *store_prompts(const struct store *s, size_t *n)
{
    *n = s->n_prompts;
    return s->prompts;
}

const struct store_setting *store_settings(const struct store *s, size_t *n)
{
    *n = s->n_settings;
    return s->settings;
}

const struct store_host *store_hosts(const struct store *s, size_t *n)
{
    *n = s->n_hosts;
    return s->hosts;
}

const struct store_claim *store_claims(const struct store *s, size_t *n)
{
    *n = s->n_claims;
    return s->claims;
}

const struct store_perturbation *store_perturbations(const struct store *s, size_t *n)
{
    *n = s->n_perturbations;
    return s->perturbations;
}

const struct store_skip *store_skips(const struct store *s, size_t *n)
{
    *n = s->n_skips;
    return s->skips;
}

const struct store_answer *store_answer(const struct store *s)
{
    return s->n_answer ? s->answer : NULL;
}

/* ---- numbers --------------------------------------------------------------------------------- */

int store_bind_f32(sqlite3_stmt *q, int col, float v)
{
    if (isinf(v))
        return -1;
    if (isnan(v))
        sqlite3_bind_null(q, col);
    else
        sqlite3_bind_double(q, col, (double)v);
    return 0;
}

int store_column_f32(sqlite3_stmt *q, int col, float *v)
{
    int type = sqlite3_column_type(q, col);
    if (type == SQLITE_NULL) {
        *v = NAN;
        return 0;
    }
    if (type != SQLITE_FLOAT)
        return -1;
    double d = sqlite3_column_double(q, col);
    if (!(fabs(d) <= 0x1.fffffep127))
        return -1;
    *v = (float)d;
    return (double)*v == d ? 0 : -1;
}

int store_alternatives_write(struct buf *out, const struct rec_top *top, size_t n)
{
    char number[JSON_NUMBER_MAX];
    buf_adds(out, "[");
    for (size_t i = 0; i < n; i++) {
        if (isinf(top[i].logprob) || isinf(top[i].logprob_processed))
            return -1;
        buf_addf(out, "%s[%d,", i ? "," : "", (int)top[i].id);
        buf_adds(out, json_number_f32(number, top[i].logprob));
        buf_adds(out, ",");
        buf_adds(out, json_number_f32(number, top[i].logprob_processed));
        buf_adds(out, "]");
    }
    buf_adds(out, "]");
    return 0;
}

size_t store_alternatives_count(const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 1; i < len; i++)
        n += text[i] == '[';
    return n;
}

static bool take(const char **p, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*p, word, n) != 0)
        return false;
    *p += n;
    return true;
}

static bool take_f32(const char **p, float *v)
{
    if (take(p, "null")) {
        *v = NAN;
        return true;
    }
    char *end;
    if ((**p < '0' || **p > '9') && **p != '-')
        return false;
    *v = strtof(*p, &end);
    if (end == *p || isinf(*v) || isnan(*v))
        return false;
    *p = end;
    return true;
}

/* text is NUL-terminated behind len bytes. */
int store_alternatives_read(const char *text, size_t len, struct rec_top *top, size_t cap, size_t *n)
{
    const char *p = text;
    *n = 0;
    if (!take(&p, "["))
        return -1;
    while (*n < cap && *p != ']') {
        char *end;
        if (!take(&p, *n ? ",[" : "["))
            return -1;
        long id = strtol(p, &end, 10);
        if (end == p || id < 0 || id > INT32_MAX)
            return -1;
        p = end;
        struct rec_top *t = &top[(*n)++];
        t->id = (int32_t)id;
        if (!take(&p, ",") || !take_f32(&p, &t->logprob) || !take(&p, ",") ||
            !take_f32(&p, &t->logprob_processed) || !take(&p, "]"))
            return -1;
    }
    return take(&p, "]") && (size_t)(p - text) == len ? 0 : -1;
}

/* ---- the cursor ------------------------------------------------------------------------------ */

struct store_cursor {
    struct store *s;
    enum store_read what;
    sqlite3_stmt *trials, *tokens;
    struct rec_token *v;     size_t cap_tokens;
    struct rec_top *tops;    size_t n_tops, cap_tops;
    struct buf text;
    uint64_t next;           /* trial that must come now */
};

struct store_cursor *store_cursor_open(struct store *s, enum store_read what, struct idem_err *err)
{
    struct store_cursor *c = calloc(1, sizeof *c);
    if (!c) {
        err_memory(err, "a cursor", sizeof *c);
        return NULL;
    }
    c->s = s;
    c->what = what;
    buf_init(&c->text, (size_t)1 << 30);
    c->trials = store_sql_prepare(s,
        "SELECT t.trial, t.key, t.purpose, t.prompt, t.setting, t.host, t.seed, t.sample, t.repeat,"
        " t.n_top, o.trial, o.stop, o.text, o.n_tokens, o.logits_digest, o.computed, m.started,"
        " m.wall_ms, m.n_forward FROM trials t LEFT JOIN outputs o ON o.trial = t.trial"
        " LEFT JOIN timings m ON m.trial = t.trial ORDER BY t.trial", err);
    const char *tokens = what == STORE_READ_ALL
        ? "SELECT k.position, k.id, k.logprob, k.logprob_processed, k.entropy, k.margin,"
          " k.tail_mass, a.list, k.alternatives FROM tokens k LEFT JOIN alternatives a ON"
          " a.alternatives = k.alternatives WHERE k.trial = ? ORDER BY k.position"
        : "SELECT position, id, logprob, logprob_processed, entropy, margin, tail_mass, NULL, NULL"
          " FROM tokens WHERE trial = ? ORDER BY position";
    if (c->trials && what != STORE_READ_TRIAL)
        c->tokens = store_sql_prepare(s, tokens, err);
    if (!c->trials || (what != STORE_READ_TRIAL && !c->tokens)) {
        store_cursor_close(c);
        return NULL;
    }
    return c;
}

void store_cursor_close(struct store_cursor *c)
{
    if (!c)
        return;
    sqlite3_finalize(c->trials);
    sqlite3_finalize(c->tokens);
    free(c->v);
    free(c->tops);
    buf_release(&c->text);
    free(c);
}

static int bad_trial(struct store_cursor *c, uint64_t trial, const char *what, struct idem_err *err)
{
    return store_damaged(c->s, err, "trial %llu: %s", (unsigned long long)trial, what);
}

bool store_parse_name(const char *text, const char *(*name)(int), int n, int *v)
{
    for (*v = 0; text && *v < n; ++*v)
        if (strcmp(text, name(*v)) == 0)
            return true;
    return false;
}

static const char *purpose_name(int v) { return rec_purpose_name((enum rec_purpose)v); }
static const char *stop_name(int v) { return rec_stop_name((enum rec_stop)v); }
static const char *computed_name(int v) { return store_computed_name((enum store_computed)v); }

/* Hexadecimal of exactly 64 digits, or (if empty is allowed) nothing. */
static bool column_hex(sqlite3_stmt *q, int col, bool may_be_empty, char out[65])
{
    const char *v = (const char *)sqlite3_column_text(q, col);
    size_t n = v ? (size_t)sqlite3_column_bytes(q, col) : 0;
    if ((n == 0 && !may_be_empty) || (n != 0 && n != 64))
        return false;
    memcpy(out, v ? v : "", n);
    out[n] = '\0';
    return true;
}

static int read_trial(struct store_cursor *c, struct rec_trial *t, struct idem_err *err)
{
    sqlite3_stmt *q = c->trials;
    int64_t v[10];
    for (int i = 0; i < 10; i++)
        v[i] = sqlite3_column_int64(q, i);
    t->index = (uint64_t)v[0];
    if (t->index != c->next++)
        return bad_trial(c, c->next - 1, "it is missing", err);
    int purpose;
    if (!column_hex(q, 1, false, t->key))
        return bad_trial(c, t->index, "its key is no SHA-256", err);
    if (!store_parse_name((const char *)sqlite3_column_text(q, 2), purpose_name,
                          REC_PURPOSE_PERTURBED + 1, &purpose))
        return bad_trial(c, t->index, "its purpose is unknown", err);
    t->purpose = (enum rec_purpose)purpose;
    const struct store *s = c->s;
    if (v[3] < 0 || (uint64_t)v[3] >= s->n_prompts || v[4] < 0 || (uint64_t)v[4] >= s->n_settings ||
        v[5] < 0 || (uint64_t)v[5] >= s->n_hosts)
        return bad_trial(c, t->index, "its prompt, setting or host is not in the file", err);
    for (int i = 7; i < 10; i++)
        if (v[i] < 0 || v[i] > UINT32_MAX)
            return bad_trial(c, t->index, "its sample, repeat or n_top is out of range", err);
    t->prompt = (uint32_t)v[3];
    t->setting = (uint32_t)v[4];
    t->host = (uint32_t)v[5];
    t->seed = (uint64_t)v[6];
    t->sample = (uint32_t)v[7];
    t->repeat = (uint32_t)v[8];
    t->n_top = (uint32_t)v[9];
    return 0;
}

static int grow(void **p, size_t *cap, size_t need, size_t size, struct idem_err *err)
{
    if (need <= *cap)
        return 0;
    size_t n = need + need / 2 + 16;
    void *q = realloc(*p, n * size);
    if (!q)
        return err_memory(err, "tokens", n * size);
    *p = q;
    *cap = n;
    return 0;
}

static int read_token(struct store_cursor *c, uint64_t trial, size_t pos, struct idem_err *err)
{
    sqlite3_stmt *q = c->tokens;
    if (sqlite3_column_int64(q, 0) != (int64_t)pos)
        return bad_trial(c, trial, "a token is missing", err);
    if (grow((void **)&c->v, &c->cap_tokens, pos + 1, sizeof *c->v, err) != 0)
        return -1;
    struct rec_token *t = &c->v[pos];
    *t = (struct rec_token){0};
    int64_t id = sqlite3_column_int64(q, 1);
    if (id < 0 || id > INT32_MAX || store_column_f32(q, 2, &t->logprob) != 0 ||
        store_column_f32(q, 3, &t->logprob_processed) != 0 ||
        store_column_f32(q, 4, &t->entropy) != 0 || store_column_f32(q, 5, &t->margin) != 0 ||
        store_column_f32(q, 6, &t->tail_mass) != 0)
        return bad_trial(c, trial, "a token's id or number is out of range", err);
    t->id = (int32_t)id;
    if (sqlite3_column_type(q, 8) == SQLITE_NULL)
        return 0;
    const char *list = (const char *)sqlite3_column_text(q, 7);
    size_t len = list ? (size_t)sqlite3_column_bytes(q, 7) : 0, n = 0;
    size_t cap = store_alternatives_count(list ? list : "", len);
    if (!list)
        return bad_trial(c, trial, "a token's alternatives are missing", err);
    if (grow((void **)&c->tops, &c->cap_tops, c->n_tops + cap, sizeof *c->tops, err) != 0)
        return -1;
    if (cap == 0 || store_alternatives_read(list, len, c->tops + c->n_tops, cap, &n) != 0)
        return bad_trial(c, trial, "a token's alternatives are not a list of [id,logprob,"
                                   "logprob_processed]", err);
    t->n_top = (uint32_t)n;
    c->n_tops += n;
    return 0;
}

static int read_tokens(struct store_cursor *c, uint64_t trial, struct rec_output *o,
                       struct idem_err *err)
{
    size_t n = 0;
    int step, rc = 0;
    c->n_tops = 0;
    sqlite3_bind_int64(c->tokens, 1, (int64_t)trial);
    while (rc == 0 && (step = sqlite3_step(c->tokens)) == SQLITE_ROW)
        rc = read_token(c, trial, n++, err);
    if (rc == 0 && step != SQLITE_DONE)
        rc = store_sql_error(c->s, "read", err);
    sqlite3_reset(c->tokens);
    if (rc == 0 && n != o->n_tokens)
        rc = bad_trial(c, trial, "it does not have as many tokens as it should", err);
    if (rc != 0)
        return -1;
    size_t used = 0;   /* tops[] may have moved while it grew */
    for (size_t i = 0; i < n; i++) {
        c->v[i].top = c->v[i].n_top ? c->tops + used : NULL;
        used += c->v[i].n_top;
    }
    o->tokens = c->v;
    o->tops = c->tops;
    return 0;
}

static int read_output(struct store_cursor *c, struct store_row *row, struct idem_err *err)
{
    sqlite3_stmt *q = c->trials;
    uint64_t trial = row->trial.index;
    struct rec_output *o = &row->output;
    int stop, computed;
    if (!store_parse_name((const char *)sqlite3_column_text(q, 11), stop_name, REC_STOP_LENGTH + 1,
                          &stop))
        return bad_trial(c, trial, "its stop is unknown", err);
    if (!store_parse_name((const char *)sqlite3_column_text(q, 15), computed_name,
                          STORE_COMPUTED_COPY + 1, &computed))
        return bad_trial(c, trial, "its column computed is unknown", err);
    const void *text = sqlite3_column_blob(q, 12);
    buf_clear(&c->text);
    buf_add(&c->text, text ? text : "", text ? (size_t)sqlite3_column_bytes(q, 12) : 0);
    if (c->text.failed)
        return err_memory(err, "an output's text", c->text.max);
    int64_t n = sqlite3_column_int64(q, 13);
    if (n < 0 || !column_hex(q, 14, true, o->logits_digest))
        return bad_trial(c, trial, "its n_tokens or logits_digest is out of range", err);
    o->stop = (enum rec_stop)stop;
    o->score = NAN;              /* docs/store.md says how it follows from the tokens */
    o->text = c->text.data;
    o->text_len = c->text.len;
    o->n_tokens = (size_t)n;
    row->how.computed = (enum store_computed)computed;
    row->how.started = sqlite3_column_double(q, 16);
    row->how.wall_ms = sqlite3_column_double(q, 17);
    row->how.n_forward = (uint64_t)sqlite3_column_int64(q, 18);
    return c->tokens ? read_tokens(c, trial, o, err) : 0;
}

int store_cursor_next(struct store_cursor *c, struct store_row *row, struct idem_err *err)
{
    *row = (struct store_row){0};
    int step = sqlite3_step(c->trials);
    if (step == SQLITE_DONE)
        return c->next == c->s->n_trials ? 0 : bad_trial(c, c->next, "it is missing", err);
    if (step != SQLITE_ROW)
        return store_sql_error(c->s, "read", err);
    if (read_trial(c, &row->trial, err) != 0)
        return -1;
    row->done = sqlite3_column_type(c->trials, 10) != SQLITE_NULL;
    if (row->done && read_output(c, row, err) != 0) {
        *row = (struct store_row){0};
        return -1;
    }
    return 1;
}

/* ---- the digest of a run --------------------------------------------------------------------- */

/* Every NaN stands for "no number": one bit pattern, 0x7FC00000, for all of them. */
static void digest_f32(struct digest *d, float v)
{
    static const uint8_t none[4] = {0, 0, 0xC0, 0x7F};
    if (isnan(v))
        digest_update(d, none, sizeof none);
    else
        digest_f32s(d, &v, 1);
}

static void digest_row(struct digest *d, const struct store_row *row)
{
    const struct rec_trial *t = &row->trial;
    digest_u64(d, t->index);
    digest_str(d, t->key, strlen(t->key));
    const char *purpose = rec_purpose_name(t->purpose);
    digest_str(d, purpose, strlen(purpose));
    const uint64_t numbers[] = {t->prompt, t->setting, t->host, t->seed, t->sample, t->repeat,
                                t->n_top, row->done};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        digest_u64(d, numbers[i]);
    if (!row->done)
        return;
    const struct rec_output *o = &row->output;
    const char *stop = rec_stop_name(o->stop);
    digest_str(d, stop, strlen(stop));
    digest_str(d, o->text, o->text_len);
    digest_str(d, o->logits_digest, strlen(o->logits_digest));
    digest_u64(d, o->n_tokens);
    for (size_t i = 0; i < o->n_tokens; i++) {
        const struct rec_token *k = &o->tokens[i];
        digest_u64(d, (uint64_t)k->id);
        const float v[] = {k->logprob, k->logprob_processed, k->entropy, k->margin, k->tail_mass};
        for (size_t j = 0; j < sizeof v / sizeof v[0]; j++)
            digest_f32(d, v[j]);
        digest_u64(d, k->n_top);
        for (uint32_t j = 0; j < k->n_top; j++) {
            digest_u64(d, (uint64_t)k->top[j].id);
            digest_f32(d, k->top[j].logprob);
            digest_f32(d, k->top[j].logprob_processed);
        }
    }
}

int store_digest(struct store *s, char hex[DIGEST_HEX], struct idem_err *err)
{
    static const char version[] = "idem-run-digest-1";
    struct digest d = {0};
    struct store_row row;
    int rc = -1, step;
    struct store_cursor *c = store_cursor_open(s, STORE_READ_ALL, err);
    if (!c)
        return -1;
    if (digest_init(&d) != 0) {
        err_memory(err, "a digest", sizeof d);
        goto done;
    }
    digest_str(&d, version, strlen(version));
    digest_str(&d, s->run.plan_digest, strlen(s->run.plan_digest));
    digest_u64(&d, s->n_trials);
    while ((step = store_cursor_next(c, &row, err)) == 1)
        digest_row(&d, &row);
    if (step == 0) {
        digest_final(&d, hex);
        rc = 0;
    }
done:
    digest_release(&d);
    store_cursor_close(c);
    return rc;
}

/* ---- token texts ------------------------------------------------------------------------------ */

static void vocab_load(struct store *s)
{
    s->vocab.loaded = true;
    s->vocab.n = 0;
    sqlite3_stmt *q = store_sql_prepare(s, "SELECT id, bytes FROM vocab ORDER BY id", NULL);
    while (q && sqlite3_step(q) == SQLITE_ROW) {
        if (grow((void **)&s->vocab.v, &s->vocab.cap, s->vocab.n + 1, sizeof *s->vocab.v, NULL) != 0)
            break;
        const void *bytes = sqlite3_column_blob(q, 1);
        int len = sqlite3_column_bytes(q, 1);
        char *copy = arena_strndup(&s->arena, bytes ? bytes : "", bytes ? (size_t)len : 0);
        if (!copy)
            break;
        s->vocab.v[s->vocab.n++] = (struct store_token){
            .id = sqlite3_column_int(q, 0), .len = (uint32_t)len, .bytes = copy,
        };
    }
    sqlite3_finalize(q);
}

static int by_id(const void *key, const void *element)
{
    int32_t a = *(const int32_t *)key, b = ((const struct store_token *)element)->id;
    return a < b ? -1 : a > b;
}

const char *store_token_bytes(struct store *s, int32_t id, size_t *len)
{
    if (!s->vocab.loaded)
        vocab_load(s);
    struct store_token *t = s->vocab.n ? bsearch(&id, s->vocab.v, s->vocab.n, sizeof *t, by_id) : NULL;
    *len = t ? t->len : 0;
    return t ? t->bytes : NULL;
}
