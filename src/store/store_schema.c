/* SPDX-License-Identifier: MIT
 * The tables of a run, and the plan written into them. docs/store.md explains each column. */
#include <string.h>

#include "base/json.h"
#include "store/store_impl.h"

/* Columns of binary32 numbers have no type on purpose: SQLite's REAL affinity stores -0.0 as the
 * integer 0 and so loses a bit. */
static const char schema_sql[] =
    "CREATE TABLE run ("
    " hypothesis TEXT NOT NULL, title TEXT NOT NULL, question TEXT NOT NULL,"
    " experiment_path TEXT NOT NULL, experiment_text TEXT NOT NULL, plan_digest TEXT NOT NULL,"
    " plan_json TEXT NOT NULL, idem_version TEXT NOT NULL, backend TEXT NOT NULL,"
    " backend_version TEXT NOT NULL, numerics TEXT NOT NULL, noise TEXT NOT NULL,"
    " sampler TEXT NOT NULL, model_name TEXT NOT NULL, model_path TEXT NOT NULL,"
    " model_digest TEXT NOT NULL, model_arch TEXT NOT NULL, model_tokenizer TEXT NOT NULL,"
    " model_chat_family TEXT NOT NULL, model_file_bytes INTEGER NOT NULL,"
    " n_vocab INTEGER NOT NULL, n_ctx INTEGER NOT NULL, n_trials INTEGER NOT NULL,"
    " limit_prompts INTEGER NOT NULL, n_prompts_declared INTEGER NOT NULL,"
    " n_seeds INTEGER NOT NULL, n_repeats INTEGER NOT NULL,"
    " confidence REAL NOT NULL, max_differing REAL NOT NULL, correction TEXT NOT NULL,"
    " n_bootstrap INTEGER NOT NULL, bootstrap_seed INTEGER NOT NULL, rule TEXT NOT NULL);"
    "CREATE TABLE prompts ("
    " prompt INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
    " system TEXT NOT NULL, text TEXT NOT NULL, chat INTEGER NOT NULL, tokens TEXT,"
    " base INTEGER NOT NULL REFERENCES prompts, perturbation INTEGER REFERENCES perturbations,"
    " diff TEXT NOT NULL, option_order TEXT NOT NULL, attributes TEXT NOT NULL);"
    "CREATE TABLE perturbations ("
    " perturbation INTEGER PRIMARY KEY, name TEXT NOT NULL, seed INTEGER);"
    "CREATE TABLE answer ("
    " answer INTEGER PRIMARY KEY, parse TEXT NOT NULL, arg TEXT NOT NULL, normalize TEXT NOT NULL,"
    " match TEXT NOT NULL, correct TEXT NOT NULL);"
    "CREATE TABLE skips ("
    " skip INTEGER PRIMARY KEY, prompt INTEGER NOT NULL REFERENCES prompts,"
    " perturbation INTEGER NOT NULL REFERENCES perturbations, why TEXT NOT NULL);"
    "CREATE TABLE settings ("
    " setting INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, factor TEXT NOT NULL,"
    " level TEXT NOT NULL, do_sample INTEGER NOT NULL, temperature REAL NOT NULL,"
    " top_k INTEGER NOT NULL, top_p REAL NOT NULL, min_p REAL NOT NULL,"
    " repetition_penalty REAL NOT NULL, no_repeat_ngram_size INTEGER NOT NULL,"
    " max_new_tokens INTEGER NOT NULL, num_return_sequences INTEGER NOT NULL,"
    " stop TEXT NOT NULL, sampler TEXT NOT NULL, typical_p REAL NOT NULL,"
    " epsilon_cutoff REAL NOT NULL, eta_cutoff REAL NOT NULL, presence_penalty REAL NOT NULL,"
    " frequency_penalty REAL NOT NULL, min_new_tokens INTEGER NOT NULL,"
    " num_beams INTEGER NOT NULL, length_penalty REAL NOT NULL, early_stopping TEXT NOT NULL,"
    " noise TEXT NOT NULL);"
    "CREATE TABLE hosts ("
    " host INTEGER PRIMARY KEY, name TEXT NOT NULL, threads INTEGER NOT NULL,"
    " batch INTEGER NOT NULL, chunk INTEGER NOT NULL, cache TEXT NOT NULL);"
    "CREATE TABLE claims ("
    " claim INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT NOT NULL,"
    " factor TEXT NOT NULL, measure TEXT NOT NULL, settings TEXT NOT NULL, levels TEXT NOT NULL);"
    "CREATE TABLE trials ("
    " trial INTEGER PRIMARY KEY, key TEXT NOT NULL, purpose TEXT NOT NULL,"
    " prompt INTEGER NOT NULL REFERENCES prompts, setting INTEGER NOT NULL REFERENCES settings,"
    " host INTEGER NOT NULL REFERENCES hosts, seed INTEGER NOT NULL, sample INTEGER NOT NULL,"
    " repeat INTEGER NOT NULL, n_top INTEGER NOT NULL);"
    "CREATE TABLE sessions ("
    " session INTEGER PRIMARY KEY, started REAL NOT NULL, idem_version TEXT NOT NULL,"
    " machine TEXT NOT NULL, n_done INTEGER NOT NULL);"
    "CREATE TABLE outputs ("
    " trial INTEGER PRIMARY KEY REFERENCES trials, stop TEXT NOT NULL, text NOT NULL,"
    " n_tokens INTEGER NOT NULL, logits_digest TEXT NOT NULL, computed TEXT NOT NULL);"
    "CREATE TABLE alternatives ("
    " alternatives INTEGER PRIMARY KEY, list TEXT NOT NULL);"
    "CREATE TABLE tokens ("
    " trial INTEGER NOT NULL REFERENCES outputs, position INTEGER NOT NULL, id INTEGER NOT NULL,"
    " logprob, logprob_processed, entropy, margin, tail_mass,"
    " alternatives INTEGER REFERENCES alternatives,"
    " PRIMARY KEY (trial, position)) WITHOUT ROWID;"
    "CREATE TABLE vocab (id INTEGER PRIMARY KEY, text TEXT NOT NULL, bytes BLOB NOT NULL);"
    "CREATE TABLE timings ("
    " trial INTEGER PRIMARY KEY REFERENCES outputs, session INTEGER NOT NULL REFERENCES sessions,"
    " started REAL NOT NULL, wall_ms REAL NOT NULL, n_forward INTEGER NOT NULL);"
    "CREATE VIEW view_outputs AS SELECT t.trial, t.purpose, p.id AS prompt, s.name AS setting,"
    " h.name AS host, t.seed, t.sample, t.repeat, o.computed, o.stop, o.n_tokens, o.text,"
    " o.logits_digest, b.id AS base, f.name AS perturbation, f.seed AS perturbation_seed"
    " FROM trials t JOIN outputs o USING (trial) JOIN prompts p USING (prompt)"
    " JOIN settings s USING (setting) JOIN hosts h USING (host) JOIN prompts b ON b.prompt = p.base"
    " LEFT JOIN perturbations f ON f.perturbation = p.perturbation;"
    "CREATE VIEW view_tokens AS SELECT k.trial, k.position, k.id, v.text, k.logprob,"
    " k.logprob_processed, k.entropy, k.margin, k.tail_mass, a.list AS alternatives"
    " FROM tokens k LEFT JOIN vocab v USING (id) LEFT JOIN alternatives a USING (alternatives);"
    "CREATE VIEW view_alternatives AS SELECT k.trial, k.position, j.key AS rank,"
    " json_extract(j.value, '$[0]') AS id, v.text, json_extract(j.value, '$[1]') AS logprob,"
    " json_extract(j.value, '$[2]') AS logprob_processed FROM tokens k"
    " JOIN alternatives a USING (alternatives) JOIN json_each(a.list) j"
    " LEFT JOIN vocab v ON v.id = json_extract(j.value, '$[0]');";

/* ---- binding -------------------------------------------------------------------------------- */

struct binder { sqlite3_stmt *q; int col; };

static void bind_s(struct binder *b, const char *v)
{
    sqlite3_bind_text(b->q, ++b->col, v ? v : "", -1, SQLITE_TRANSIENT);
}
static void bind_i(struct binder *b, int64_t v)
{
    sqlite3_bind_int64(b->q, ++b->col, v);
}
static void bind_d(struct binder *b, double v)
{
    sqlite3_bind_double(b->q, ++b->col, v);
}
static void bind_buf(struct binder *b, const struct buf *v)
{
    sqlite3_bind_text(b->q, ++b->col, v->data ? v->data : "", (int)v->len, SQLITE_TRANSIENT);
}

static int put_run(struct store *s, const struct store_plan *p, struct idem_err *err)
{
    const struct store_run *r = &p->run;
    sqlite3_stmt *q = store_sql_prepare(s, "INSERT INTO run VALUES"
        " (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", err);
    if (!q)
        return -1;
    struct binder b = {.q = q};
    const char *const strings[] = {
        r->hypothesis, r->title, r->question, r->experiment_path, r->experiment_text,
        r->plan_digest, r->plan_json, r->idem_version, r->backend, r->backend_version,
        r->numerics, r->noise, r->sampler, r->model_name, r->model_path, r->model_digest,
        r->model_arch, r->model_tokenizer, r->model_chat_family,
    };
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        bind_s(&b, strings[i]);
    bind_i(&b, (int64_t)r->model_file_bytes);
    bind_i(&b, r->n_vocab);
    bind_i(&b, r->n_ctx);
    bind_i(&b, (int64_t)p->n_trials);
    bind_i(&b, r->limit_prompts);
    bind_i(&b, r->n_prompts_declared);
    bind_i(&b, r->n_seeds);
    bind_i(&b, r->n_repeats);
    bind_d(&b, r->confidence);
    bind_d(&b, r->max_differing);
    bind_s(&b, r->correction ? r->correction : "holm");
    bind_i(&b, r->n_bootstrap);
    bind_i(&b, (int64_t)r->bootstrap_seed);
    bind_s(&b, r->rule);
    int rc = store_sql_run(s, q, "write the run's description", err);
    sqlite3_finalize(q);
    return rc;
}

static int put_prompt(struct store *s, sqlite3_stmt *q, size_t i, const struct store_prompt *p,
                      struct idem_err *err)
{
    struct buf attributes;
    buf_init(&attributes, (size_t)1 << 24);
    struct json j = {.out = &attributes};
    json_begin(&j, '{');
    for (size_t k = 0; k < p->n_attributes; k++) {
        json_key(&j, p->attributes[k].name);
        json_strz(&j, p->attributes[k].value);
    }
    json_end(&j);
    struct binder b = {.q = q};
    bind_i(&b, (int64_t)i);
    bind_s(&b, p->id);
    bind_s(&b, p->kind);
    bind_s(&b, p->system);
    bind_s(&b, p->text);
    bind_i(&b, p->chat);
    bind_i(&b, p->perturbed ? p->base : (int64_t)i);
    if (p->perturbed)
        bind_i(&b, p->perturbed - 1);
    else
        b.col++;                 /* NULL */
    bind_s(&b, p->diff);
    bind_s(&b, p->option_order);
    bind_buf(&b, &attributes);
    int rc = attributes.failed ? err_memory(err, "attributes", attributes.max)
                               : store_sql_run(s, q, "write the prompts", err);
    buf_release(&attributes);
    return rc;
}

static int put_perturbations(struct store *s, const struct store_plan *p, struct idem_err *err)
{
    sqlite3_stmt *q = store_sql_prepare(s, "INSERT INTO perturbations VALUES (?,?,?)", err);
    int rc = q ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < p->n_perturbations; i++) {
        struct binder b = {.q = q};
        bind_i(&b, (int64_t)i);
        bind_s(&b, p->perturbations[i].name);
        if (p->perturbations[i].random)
            bind_i(&b, (int64_t)p->perturbations[i].seed);
        rc = store_sql_run(s, q, "write the perturbations", err);
    }
    sqlite3_finalize(q);
    if (rc || !(q = store_sql_prepare(s, "INSERT INTO skips VALUES (?,?,?,?)", err)))
        return -1;
    for (size_t i = 0; rc == 0 && i < p->n_skips; i++) {
        struct binder b = {.q = q};
        bind_i(&b, (int64_t)i);
        bind_i(&b, p->skips[i].prompt);
        bind_i(&b, p->skips[i].perturbation);
        bind_s(&b, p->skips[i].why);
        rc = store_sql_run(s, q, "write the perturbations", err);
    }
    sqlite3_finalize(q);
    return rc;
}

static int put_answer(struct store *s, const struct store_plan *p, struct idem_err *err)
{
    if (!p->answer)
        return 0;
    sqlite3_stmt *q = store_sql_prepare(s, "INSERT INTO answer VALUES (0,?,?,?,?,?)", err);
    if (!q)
        return -1;
    struct binder b = {.q = q};
    bind_s(&b, p->answer->parse);
    bind_s(&b, p->answer->arg);
    bind_s(&b, p->answer->normalize);
    bind_s(&b, p->answer->match);
    bind_s(&b, p->answer->correct);
    int rc = store_sql_run(s, q, "write how answers are found", err);
    sqlite3_finalize(q);
    return rc;
}

static int put_prompts(struct store *s, const struct store_plan *p, struct idem_err *err)
{
    sqlite3_stmt *q = store_sql_prepare(s, "INSERT INTO prompts VALUES"
        " (?,?,?,?,?,?,NULL,?,?,?,?,?)", err);
    if (!q)
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->n_prompts; i++)
        rc = put_prompt(s, q, i, &p->prompts[i], err);
    sqlite3_finalize(q);
    return rc;
}

static int put_setting(struct store *s, sqlite3_stmt *q, size_t i, const struct store_setting *v,
                       struct idem_err *err)
{
    const struct rec_settings *r = &v->settings;
    struct arith_noise z = rec_noise(r, 0);
    char noise[ARITH_NOISE_TEXT];
    arith_noise_text(&z, noise);
    struct buf stop;
    buf_init(&stop, (size_t)1 << 20);
    struct json j = {.out = &stop};
    json_begin(&j, '[');
    for (size_t k = 0; k < r->n_stop; k++)
        json_strz(&j, r->stop[k]);
    json_end(&j);
    struct binder b = {.q = q};
    bind_i(&b, (int64_t)i);
    bind_s(&b, v->name);
    bind_s(&b, v->factor);
    bind_s(&b, v->level);
    bind_i(&b, r->do_sample);
    bind_d(&b, r->temperature);
    bind_i(&b, r->top_k);
    bind_d(&b, r->top_p);
    bind_d(&b, r->min_p);
    bind_d(&b, r->repetition_penalty);
    bind_i(&b, r->no_repeat_ngram_size);
    bind_i(&b, r->max_new_tokens);
    bind_i(&b, r->num_return_sequences);
    bind_buf(&b, &stop);
    bind_s(&b, rec_sampler_name(r->sampler));
    bind_d(&b, r->typical_p);
    bind_d(&b, r->epsilon_cutoff);
    bind_d(&b, r->eta_cutoff);
    bind_d(&b, r->presence_penalty);
    bind_d(&b, r->frequency_penalty);
    bind_i(&b, r->min_new_tokens);
    bind_i(&b, r->num_beams);
    bind_d(&b, r->length_penalty);
    bind_s(&b, rec_early_stopping_name(r->early_stopping));
    bind_s(&b, noise);
    int rc = stop.failed ? err_memory(err, "stop texts", stop.max)
                         : store_sql_run(s, q, "write the settings", err);
    buf_release(&stop);
    return rc;
}

static int put_settings(struct store *s, const struct store_plan *p, struct idem_err *err)
{
    sqlite3_stmt *q = store_sql_prepare(
        s, "INSERT INTO settings VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", err);
    if (!q)
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->n_settings; i++)
        rc = put_setting(s, q, i, &p->settings[i], err);
    sqlite3_finalize(q);
    return rc;
}

static int put_hosts(struct store *s, const struct store_plan *p, struct idem_err *err)
{
    sqlite3_stmt *q = store_sql_prepare(s, "INSERT INTO hosts VALUES (?,?,?,?,?,?)", err);
    if (!q)
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->n_hosts; i++) {
        const struct rec_host *h = &p->hosts[i].host;
        struct binder b = {.q = q};
        bind_i(&b, (int64_t)i);
        bind_s(&b, p->hosts[i].name);
        bind_i(&b, h->threads);
        bind_i(&b, h->batch);
        bind_i(&b, h->chunk);
        bind_s(&b, rec_cache_name(h->cache));
        rc = store_sql_run(s, q, "write the host states", err);
    }
    sqlite3_finalize(q);
    return rc;
}

static int put_claim(struct store *s, sqlite3_stmt *q, size_t i, const struct store_claim *c,
                     struct idem_err *err)
{
    struct buf settings, levels;
    buf_init(&settings, (size_t)1 << 20);
    buf_init(&levels, (size_t)1 << 20);
    struct json js = {.out = &settings}, jl = {.out = &levels};
    json_begin(&js, '[');
    json_begin(&jl, '[');
    for (size_t k = 0; k < c->n_settings; k++) {
        json_u64(&js, c->settings[k]);
        json_strz(&jl, c->levels && c->levels[k] ? c->levels[k] : "");
    }
    json_end(&js);
    json_end(&jl);
    struct binder b = {.q = q};
    bind_i(&b, (int64_t)i);
    bind_s(&b, c->id);
    bind_s(&b, c->text);
    bind_s(&b, c->factor);
    bind_s(&b, c->measure ? c->measure : "distinct_outputs");
    bind_buf(&b, &settings);
    bind_buf(&b, &levels);
    int rc = settings.failed || levels.failed ? err_memory(err, "a claim", levels.max)
                                              : store_sql_run(s, q, "write the claims", err);
    buf_release(&settings);
    buf_release(&levels);
    return rc;
}

static int put_claims(struct store *s, const struct store_plan *p, struct idem_err *err)
{
    sqlite3_stmt *q = store_sql_prepare(s, "INSERT INTO claims VALUES (?,?,?,?,?,?,?)", err);
    if (!q)
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->n_claims; i++)
        rc = put_claim(s, q, i, &p->claims[i], err);
    sqlite3_finalize(q);
    return rc;
}

static int put_trials(struct store *s, const struct store_plan *p, struct idem_err *err)
{
    sqlite3_stmt *q = store_sql_prepare(s, "INSERT INTO trials VALUES (?,?,?,?,?,?,?,?,?,?)", err);
    if (!q)
        return -1;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < p->n_trials; i++) {
        const struct rec_trial *t = &p->trials[i];
        struct binder b = {.q = q};
        if (t->index != i || t->prompt >= p->n_prompts || t->setting >= p->n_settings ||
            t->host >= p->n_hosts) {
            rc = err_set(err, IDEM_ERR_USAGE, "trial %llu of the plan names a prompt, setting or "
                         "host that is not in the plan", (unsigned long long)i);
            break;
        }
        bind_i(&b, (int64_t)i);
        bind_s(&b, t->key);
        bind_s(&b, rec_purpose_name(t->purpose));
        bind_i(&b, t->prompt);
        bind_i(&b, t->setting);
        bind_i(&b, t->host);
        bind_i(&b, (int64_t)t->seed);
        bind_i(&b, t->sample);
        bind_i(&b, t->repeat);
        bind_i(&b, t->n_top);
        rc = store_sql_run(s, q, "write the plan", err);
    }
    sqlite3_finalize(q);
    return rc;
}

int store_schema_create(struct store *s, const struct store_plan *p, struct idem_err *err)
{
    char *pragmas = sqlite3_mprintf("PRAGMA application_id=%d; PRAGMA user_version=%d;",
                                    STORE_APPLICATION_ID, STORE_SCHEMA);
    if (!pragmas)
        return err_memory(err, "a statement", 64);
    int rc = store_sql_exec(s, pragmas, "create the run", err);
    sqlite3_free(pragmas);
    if (rc != 0 || store_sql_exec(s, schema_sql, "create the tables", err) != 0)
        return -1;
    static int (*const parts[])(struct store *, const struct store_plan *, struct idem_err *) = {
        put_run, put_answer, put_perturbations, put_prompts, put_settings, put_hosts, put_claims, put_trials,
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i](s, p, err) != 0)
            return -1;
    return 0;
}
