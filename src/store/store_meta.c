/* SPDX-License-Identifier: MIT
 * The plan of a run out of its tables, the bitmap of what is done, and what differs between the
 * run in a file and the one that is asked for. */
#include <stdlib.h>
#include <string.h>

#include "store/store_impl.h"

/* One row being read. `ok` falls when memory ends or a value cannot be what the column says. */
struct reader {
    struct store *s;
    sqlite3_stmt *q;
    int col;
    bool ok, memory;
};

static const char *get_s(struct reader *r)
{
    int c = r->col++;
    const char *v = (const char *)sqlite3_column_text(r->q, c);
    int len = sqlite3_column_bytes(r->q, c);
    char *copy = arena_strndup(&r->s->arena, v ? v : "", v ? (size_t)len : 0);
    if (!copy) {
        r->ok = false;
        r->memory = true;
        return "";
    }
    return copy;
}

static uint64_t get_u64(struct reader *r)
{
    return (uint64_t)sqlite3_column_int64(r->q, r->col++);
}

static uint32_t get_u32(struct reader *r)
{
    int64_t v = sqlite3_column_int64(r->q, r->col++);
    if (v < 0 || v > UINT32_MAX)
        r->ok = false;
    return (uint32_t)v;
}

static double get_d(struct reader *r)
{
    return sqlite3_column_double(r->q, r->col++);
}

/* A word out of a column that holds one of n. */
static int get_name(struct reader *r, const char *(*name)(int), int n)
{
    int v;
    if (store_parse_name((const char *)sqlite3_column_text(r->q, r->col++), name, n, &v))
        return v;
    r->ok = false;
    return 0;
}

static const char *sampler_name(int v) { return rec_sampler_name((enum rec_sampler)v); }
static const char *cache_name(int v) { return rec_cache_name((enum rec_cache)v); }
static const char *early_name(int v)
{
    return rec_early_stopping_name((enum rec_early_stopping)v);
}

static int reader_error(const struct reader *r, const char *table, size_t row, struct idem_err *err)
{
    if (r->memory)
        return err_memory(err, "the run's description", r->s->arena.max);
    return store_damaged(r->s, err, "table %s, row %zu holds a value out of range", table, row);
}

static int64_t count_of(struct store *s, const char *table, struct idem_err *err)
{
    char *sql = sqlite3_mprintf("SELECT count(*) FROM \"%w\"", table);
    sqlite3_stmt *q = sql ? store_sql_prepare(s, sql, err) : NULL;
    sqlite3_free(sql);
    if (!q)
        return -1;
    int64_t n = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;
    if (n < 0)
        store_sql_error(s, "read", err);
    sqlite3_finalize(q);
    return n;
}

/* Calls row() for every row of a table in order of its key, which must count from 0. */
static int each_row(struct store *s, const char *table, const char *sql, size_t n,
                    void (*row)(struct reader *r, size_t i), struct idem_err *err)
{
    struct reader r = {.s = s, .ok = true};
    r.q = store_sql_prepare(s, sql, err);
    if (!r.q)
        return -1;
    int rc = 0, step;
    size_t i = 0;
    while (rc == 0 && (step = sqlite3_step(r.q)) == SQLITE_ROW) {
        r.col = 0;
        if (i >= n || get_u64(&r) != i) {
            rc = store_damaged(s, err, "table %s does not count its rows from 0", table);
            break;
        }
        row(&r, i++);
        if (!r.ok)
            rc = reader_error(&r, table, i - 1, err);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = store_sql_error(s, "read", err);
    sqlite3_finalize(r.q);
    return rc;
}

/* ---- JSON lists in a column (SQLite's own json_each reads them) ------------------------------ */

static void *list_of(struct reader *r, const char *text, bool numbers, size_t *n)
{
    *n = 0;
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(r->s->db, "SELECT value FROM json_each(?1)", -1, &q, NULL) != SQLITE_OK) {
        r->ok = false;
        return NULL;
    }
    size_t cap = 1, len = strlen(text);
    for (const char *c = text; *c; c++)
        cap += *c == ',';
    void *out = arena_array(&r->s->arena, cap, numbers ? sizeof(int32_t) : sizeof(char *));
    sqlite3_bind_text(q, 1, text, (int)len, SQLITE_STATIC);
    int step = SQLITE_ERROR;
    while (out && *n < cap && (step = sqlite3_step(q)) == SQLITE_ROW) {
        if (numbers)
            ((int32_t *)out)[*n] = sqlite3_column_int(q, 0);
        else
            ((const char **)out)[*n] =
                arena_strdup(&r->s->arena, sqlite3_column_text(q, 0)
                                               ? (const char *)sqlite3_column_text(q, 0) : "");
        if (!numbers && !((const char **)out)[*n])
            out = NULL;
        (*n)++;
    }
    if (!out)
        r->memory = true;
    if (!out || step == SQLITE_ERROR || (*n < cap && step != SQLITE_DONE))
        r->ok = false;
    sqlite3_finalize(q);
    return out;
}

/* {"name": "value", …} */
static struct rec_attribute *attributes_of(struct reader *r, const char *text, size_t *n)
{
    sqlite3_stmt *q = NULL;
    size_t cap = 1;
    *n = 0;
    if (strcmp(text, "{}") == 0)
        return NULL;
    for (const char *c = text; *c; c++)
        cap += *c == ':';
    struct rec_attribute *out = arena_array(&r->s->arena, cap, sizeof *out);
    if (!out || sqlite3_prepare_v2(r->s->db, "SELECT key, value FROM json_each(?1)", -1, &q, NULL) != SQLITE_OK) {
        r->memory = !out;
        r->ok = false;
        return NULL;
    }
    sqlite3_bind_text(q, 1, text, -1, SQLITE_STATIC);
    struct reader in = {.s = r->s, .q = q, .ok = true};
    int step;
    while ((step = sqlite3_step(q)) == SQLITE_ROW && *n < cap) {
        in.col = 0;
        out[*n].name = get_s(&in);
        out[(*n)++].value = get_s(&in);
    }
    r->memory |= in.memory;
    r->ok &= in.ok && step == SQLITE_DONE;
    sqlite3_finalize(q);
    return out;
}

/* ---- the tables ------------------------------------------------------------------------------ */

static void row_prompt(struct reader *r, size_t i)
{
    struct store_prompt *p = &r->s->prompts[i];
    p->id = get_s(r);
    p->kind = get_s(r);
    p->system = get_s(r);
    p->text = get_s(r);
    p->chat = get_u64(r) != 0;
    if (sqlite3_column_type(r->q, r->col) != SQLITE_NULL)
        p->tokens = list_of(r, get_s(r), true, &p->n_tokens);
    else
        r->col++;
    p->base = get_u32(r);
    p->perturbed = get_u32(r);
    p->diff = get_s(r);
    p->option_order = get_s(r);
    p->attributes = attributes_of(r, get_s(r), &p->n_attributes);
    r->ok &= p->base < r->s->n_prompts && p->perturbed <= r->s->n_perturbations;
}

static void row_answer(struct reader *r, size_t i)
{
    struct store_answer *a = &r->s->answer[i];
    a->parse = get_s(r);
    a->arg = get_s(r);
    a->normalize = get_s(r);
    a->match = get_s(r);
    a->correct = get_s(r);
}

/* Schemas 1 and 2 knew no perturbations. */
#define PROMPTS "SELECT prompt, id, kind, system, text, chat, tokens, "
static const char prompts_sql_2[] = PROMPTS "prompt, 0, '', '', '{}' FROM prompts ORDER BY prompt";
static const char prompts_sql[] =
    PROMPTS "base, ifnull(perturbation + 1, 0), diff, option_order, attributes FROM prompts ORDER BY prompt";

static void row_perturbation(struct reader *r, size_t i)
{
    struct store_perturbation *p = &r->s->perturbations[i];
    p->name = get_s(r);
    p->random = sqlite3_column_type(r->q, r->col) != SQLITE_NULL;
    p->seed = get_u64(r);
}

static void row_skip(struct reader *r, size_t i)
{
    struct store_skip *k = &r->s->skips[i];
    k->prompt = get_u32(r);
    k->perturbation = get_u32(r);
    k->why = get_s(r);
    r->ok &= k->prompt < r->s->n_prompts && k->perturbation < r->s->n_perturbations;
}

static void row_setting(struct reader *r, size_t i)
{
    struct store_setting *v = &r->s->settings[i];
    v->name = get_s(r);
    v->factor = get_s(r);
    v->level = get_s(r);
    v->settings.do_sample = get_u64(r) != 0;
    v->settings.temperature = get_d(r);
    v->settings.top_k = get_u32(r);
    v->settings.top_p = get_d(r);
    v->settings.min_p = get_d(r);
    v->settings.repetition_penalty = get_d(r);
    v->settings.no_repeat_ngram_size = get_u32(r);
    v->settings.max_new_tokens = get_u32(r);
    v->settings.num_return_sequences = get_u32(r);
    v->settings.stop = list_of(r, get_s(r), false, &v->settings.n_stop);
    v->settings.sampler = (enum rec_sampler)get_name(r, sampler_name, REC_SAMPLER_OLLAMA + 1);
    v->settings.typical_p = get_d(r);
    v->settings.epsilon_cutoff = get_d(r);
    v->settings.eta_cutoff = get_d(r);
    v->settings.presence_penalty = get_d(r);
    v->settings.frequency_penalty = get_d(r);
    v->settings.min_new_tokens = get_u32(r);
    v->settings.num_beams = get_u32(r);
    v->settings.length_penalty = get_d(r);
    v->settings.early_stopping =
        (enum rec_early_stopping)get_name(r, early_name, REC_EARLY_STOPPING_NEVER + 1);
    struct arith_noise z;
    if (arith_noise_parse(get_s(r), &z, NULL) != 0)
        r->ok = false;
    else
        v->settings.noise = arith_noise_pack(&z);
}

/* Schema 1 knew Hugging Face's sampling alone, without these; 2 no noise. */
#define SETTINGS_1 \
    "SELECT setting, name, factor, level, do_sample, temperature, top_k, top_p, min_p," \
    " repetition_penalty, no_repeat_ngram_size, max_new_tokens, num_return_sequences, stop"
static const char settings_sql_1[] =
    SETTINGS_1 ", 'hf', 1, 0, 0, 0, 0, 0, 1, 1, 'false', 'none' FROM settings ORDER BY setting";
#define SETTINGS_2 \
    SETTINGS_1 ", sampler, typical_p, epsilon_cutoff, eta_cutoff, presence_penalty," \
    " frequency_penalty, min_new_tokens, num_beams, length_penalty, early_stopping"
static const char settings_sql_2[] = SETTINGS_2 ", 'none' FROM settings ORDER BY setting";
static const char settings_sql[] = SETTINGS_2 ", noise FROM settings ORDER BY setting";

static void row_host(struct reader *r, size_t i)
{
    struct store_host *h = &r->s->hosts[i];
    h->name = get_s(r);
    h->host.threads = get_u32(r);
    h->host.batch = get_u32(r);
    h->host.chunk = get_u32(r);
    h->host.cache = (enum rec_cache)get_name(r, cache_name, REC_CACHE_FORKED + 1);
}

static void row_claim(struct reader *r, size_t i)
{
    struct store_claim *c = &r->s->claims[i];
    size_t n_levels = 0;
    c->id = get_s(r);
    c->text = get_s(r);
    c->factor = get_s(r);
    c->measure = get_s(r);
    c->settings = list_of(r, get_s(r), true, &c->n_settings);
    c->levels = list_of(r, get_s(r), false, &n_levels);
    if (!r->ok || n_levels != c->n_settings)
        r->ok = false;
    for (size_t k = 0; r->ok && k < c->n_settings; k++)
        if (c->settings[k] >= r->s->n_settings)
            r->ok = false;
}

static int load_run(struct store *s, struct idem_err *err)
{
    struct reader r = {.s = s, .ok = true};
    r.q = store_sql_prepare(s, "SELECT hypothesis, title, question, experiment_path,"
        " experiment_text, plan_digest, plan_json, idem_version, backend, backend_version, numerics,"
        " noise, sampler, model_name, model_path, model_digest, model_arch, model_tokenizer,"
        " model_chat_family, correction, rule, model_file_bytes, n_vocab, n_ctx, n_trials,"
        " limit_prompts, n_prompts_declared, n_seeds, n_repeats, confidence, max_differing,"
        " n_bootstrap, bootstrap_seed FROM run", err);
    if (!r.q)
        return -1;
    int rc = -1, step = sqlite3_step(r.q);
    struct store_run *o = &s->run;
    const char **const strings[] = {
        &o->hypothesis, &o->title, &o->question, &o->experiment_path, &o->experiment_text,
        &o->plan_digest, &o->plan_json, &o->idem_version, &o->backend, &o->backend_version,
        &o->numerics, &o->noise, &o->sampler, &o->model_name, &o->model_path, &o->model_digest,
        &o->model_arch, &o->model_tokenizer, &o->model_chat_family, &o->correction, &o->rule,
    };
    if (step != SQLITE_ROW) {
        rc = step == SQLITE_DONE ? store_damaged(s, err, "table run is empty")
                                 : store_sql_error(s, "read", err);
        goto done;
    }
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        *strings[i] = get_s(&r);
    o->model_file_bytes = get_u64(&r);
    o->n_vocab = get_u32(&r);
    o->n_ctx = get_u32(&r);
    s->n_trials = get_u64(&r);
    o->limit_prompts = get_u32(&r);
    o->n_prompts_declared = get_u32(&r);
    o->n_seeds = get_u32(&r);
    o->n_repeats = get_u32(&r);
    o->confidence = get_d(&r);
    o->max_differing = get_d(&r);
    o->n_bootstrap = get_u32(&r);
    o->bootstrap_seed = get_u64(&r);
    rc = r.ok ? 0 : reader_error(&r, "run", 0, err);
done:
    sqlite3_finalize(r.q);
    return rc;
}

static int load_done(struct store *s, struct idem_err *err)
{
    int64_t n = count_of(s, "trials", err);
    if (n < 0)
        return -1;
    if ((uint64_t)n != s->n_trials)
        return store_damaged(s, err, "it should hold %llu trials and holds %lld",
                             (unsigned long long)s->n_trials, (long long)n);
    s->done = calloc((size_t)(s->n_trials / 8 + 1), 1);
    if (!s->done)
        return err_memory(err, "the list of trials", s->n_trials / 8 + 1);
    sqlite3_stmt *q = store_sql_prepare(s, "SELECT trial FROM outputs ORDER BY trial", err);
    if (!q)
        return -1;
    int rc = 0, step;
    while (rc == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
        int64_t t = sqlite3_column_int64(q, 0);
        if (t < 0 || (uint64_t)t >= s->n_trials) {
            rc = store_damaged(s, err, "an output belongs to trial %lld, which is not in the plan",
                               (long long)t);
            break;
        }
        store_bit_set(s->done, (uint64_t)t, true);
        s->n_done++;
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = store_sql_error(s, "read", err);
    sqlite3_finalize(q);
    return rc;
}

int store_meta_load(struct store *s, struct idem_err *err)
{
    if (load_run(s, err) != 0)
        return -1;
    struct {
        const char *table, *sql;
        void **rows;
        size_t *n, size;
        void (*row)(struct reader *, size_t);
    } t[] = {
        {"perturbations", "SELECT perturbation, name, seed FROM perturbations ORDER BY perturbation",
         (void **)&s->perturbations, &s->n_perturbations, sizeof *s->perturbations, row_perturbation},
        {"prompts", s->schema < 3 ? prompts_sql_2 : prompts_sql,
         (void **)&s->prompts, &s->n_prompts, sizeof *s->prompts, row_prompt},
        {"settings", s->schema == 1 ? settings_sql_1 : s->schema == 2 ? settings_sql_2 : settings_sql,
         (void **)&s->settings, &s->n_settings, sizeof *s->settings, row_setting},
        {"hosts", "SELECT host, name, threads, batch, chunk, cache FROM hosts ORDER BY host",
         (void **)&s->hosts, &s->n_hosts, sizeof *s->hosts, row_host},
        {"claims", "SELECT claim, id, text, factor, measure, settings, levels FROM claims ORDER BY claim",
         (void **)&s->claims, &s->n_claims, sizeof *s->claims, row_claim},
        {"answer", "SELECT answer, parse, arg, normalize, match, correct FROM answer ORDER BY answer",
         (void **)&s->answer, &s->n_answer, sizeof *s->answer, row_answer},
        {"skips", "SELECT skip, prompt, perturbation, why FROM skips ORDER BY skip",
         (void **)&s->skips, &s->n_skips, sizeof *s->skips, row_skip},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        bool unknown = s->schema < 3 && (t[i].row == row_perturbation || t[i].row == row_skip ||
                                         t[i].row == row_answer);
        int64_t n = unknown ? 0 : count_of(s, t[i].table, err);
        if (n < 0)
            return -1;
        *t[i].n = (size_t)n;
        *t[i].rows = arena_array(&s->arena, (size_t)n + 1, t[i].size);
        if (!*t[i].rows)
            return err_memory(err, t[i].table, (unsigned long long)n * t[i].size);
        if (!unknown && each_row(s, t[i].table, t[i].sql, (size_t)n, t[i].row, err) != 0)
            return -1;
    }
    return load_done(s, err);
}

/* Distinct machines in the order of their first session, one a line. */
int store_machines_load(struct store *s, struct idem_err *err)
{
    sqlite3_stmt *q = store_sql_prepare(s, "SELECT group_concat(machine, char(10)) FROM (SELECT"
        " machine FROM sessions WHERE machine <> '' GROUP BY machine ORDER BY min(session))", err);
    if (!q)
        return -1;
    struct reader r = {.s = s, .q = q, .ok = true};
    int rc = 0;
    if (sqlite3_step(q) == SQLITE_ROW) {
        free(s->machines);
        s->machines = strdup(get_s(&r));
    }
    if (!s->machines || !r.ok)
        rc = err_memory(err, "the machines of the run", s->arena.max);
    sqlite3_finalize(q);
    return rc;
}

/* ---- is this the run that is asked for? -------------------------------------------------------- */

static size_t first_line_that_differs(const char *a, const char *b)
{
    size_t line = 1;
    for (; *a && *a == *b; a++, b++)
        line += *a == '\n';
    return line;
}

int store_meta_match(struct store *s, const struct store_plan *p, struct idem_err *err)
{
    const struct store_run *have = &s->run, *want = &p->run;
    const char *digest = want->plan_digest ? want->plan_digest : "";
    if (strcmp(have->plan_digest, digest) == 0 && s->n_trials == p->n_trials)
        return 0;
    struct buf why;
    buf_init(&why, 4096);
    struct { const char *what, *have, *want; } same[] = {
        {"model digest", have->model_digest, want->model_digest},
        {"numerics", have->numerics, want->numerics},
        {"backend", have->backend, want->backend},
        {"sampler", have->sampler, want->sampler},
        {"noise", have->noise, want->noise},
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        const char *w = same[i].want ? same[i].want : "";
        if (strcmp(same[i].have, w) != 0)
            buf_addf(&why, "; its %s is %.80s, here it is %.80s", same[i].what,
                     same[i].have[0] ? same[i].have : "(none)", w[0] ? w : "(none)");
    }
    const char *text = want->experiment_text ? want->experiment_text : "";
    if (strcmp(have->experiment_text, text) != 0)
        buf_addf(&why, "; the experiment file was another one (line %zu differs)",
                 first_line_that_differs(have->experiment_text, text));
    if (have->limit_prompts != want->limit_prompts)
        buf_addf(&why, "; it was made with --limit %u, this is --limit %u (0: none)",
                 have->limit_prompts, want->limit_prompts);
    if (s->n_trials != p->n_trials)
        buf_addf(&why, "; it has %llu trials, this plan %llu", (unsigned long long)s->n_trials,
                 (unsigned long long)p->n_trials);
    err_set(err, IDEM_ERR_USAGE, "'%s' holds another run (plan %.12s, this is %.12s)%s: give a new "
            "file with -o, or run the experiment that the file was made with", s->path,
            have->plan_digest, digest, why.data ? why.data : "");
    buf_release(&why);
    return -1;
}
