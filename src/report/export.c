/* SPDX-License-Identifier: MIT
 * Trials and tokens as CSV (RFC 4180) or JSON lines. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "report/report.h"

bool export_format_parse(const char *name, enum export_format *f)
{
    bool csv = strcmp(name, "csv") == 0;
    if (csv || strcmp(name, "jsonl") == 0) {
        *f = csv ? EXPORT_CSV : EXPORT_JSONL;
        return true;
    }
    return false;
}

struct exporter {
    struct store *s;
    struct buf out;
    const struct store_prompt *prompts;
    const struct store_setting *settings;
    const struct store_host *hosts;
    const struct store_perturbation *perturbations;
    export_sink sink;
    void *ctx;
};

static int flush(struct exporter *e, struct idem_err *err)
{
    if (e->out.failed)
        return err_memory(err, "a line of the export", e->out.max);
    if (e->out.len && e->sink(e->ctx, e->out.data, e->out.len) != 0)
        return err_set(err, IDEM_ERR_IO, "the export could not be written to its end");
    buf_clear(&e->out);
    return 0;
}

/* ---- CSV ---------------------------------------------------------------------------------------- */

static const char csv_trial[] = "trial,purpose,prompt,kind,setting,noise,host,seed,sample,repeat,computed,stop,"
                                "n_tokens,text,text_hex,logits_digest,base,perturbation,perturbation_seed";
static const char csv_token[] = ",position,id,token,token_hex,logprob,logprob_processed,entropy,margin,"
                                "tail_mass";

static void csv_hex(struct buf *b, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_addf(b, "%02x", (unsigned char)s[i]);
}

/* Text with U+FFFD where it is no UTF-8 (and for NUL), then the true bytes if that lost any. */
static void csv_text(struct buf *b, const char *s, size_t len)
{
    bool lost = false, quote = len == 0;
    for (size_t i = 0; i < len; i++)
        quote = quote || strchr(",\"\r\n", s[i]);
    buf_adds(b, quote ? "\"" : "");
    for (size_t i = 0; i < len;) {
        int32_t cp;
        size_t n = utf8_next(s + i, len - i, &cp);
        if (cp <= 0) {
            buf_adds(b, "\xEF\xBF\xBD");
            lost = true;
        } else {
            buf_adds(b, cp == '"' ? "\"" : "");
            buf_add(b, s + i, n);
        }
        i += n;
    }
    buf_adds(b, quote ? "\"," : ",");
    if (lost)
        csv_hex(b, s, len);
}

/* Nothing for NULL. */
static void csv_plain(struct buf *b, const char *s)
{
    struct buf t;
    if (!s)
        return;
    buf_init(&t, 1 << 20);
    csv_text(&t, s, strlen(s));
    if (t.len)
        buf_add(b, t.data, t.len - 1);   /* without the column of true bytes: metadata is UTF-8 */
    b->failed = b->failed || t.failed;
    buf_release(&t);
}

static void csv_f32(struct buf *b, float v)
{
    char n[JSON_NUMBER_MAX];
    buf_adds(b, ",");
    if (!isnan(v))
        buf_adds(b, json_number_f32(n, v));
}

static const char *noise_of(const struct exporter *e, const struct rec_trial *t,
                            char out[ARITH_NOISE_TEXT])
{
    struct arith_noise z = rec_noise(&e->settings[t->setting].settings, t->seed);
    arith_noise_text(&z, out);
    return out;
}

static void csv_row(struct exporter *e, const struct store_row *row)
{
    struct buf *b = &e->out;
    const struct rec_trial *t = &row->trial;
    char noise[ARITH_NOISE_TEXT];
    buf_addf(b, "%llu,%s,", (unsigned long long)t->index, rec_purpose_name(t->purpose));
    csv_plain(b, e->prompts[t->prompt].id);
    buf_adds(b, ",");
    csv_plain(b, e->prompts[t->prompt].kind);
    buf_adds(b, ",");
    csv_plain(b, e->settings[t->setting].name);
    buf_addf(b, ",%s,", noise_of(e, t, noise));
    csv_plain(b, e->hosts[t->host].name);
    buf_addf(b, ",%llu,%u,%u,%s,%s,%zu,", (unsigned long long)t->seed, t->sample, t->repeat,
             store_computed_name(row->how.computed), rec_stop_name(row->output.stop),
             row->output.n_tokens);
    csv_text(b, row->output.text, row->output.text_len);
    buf_addf(b, ",%s,", row->output.logits_digest);
    const struct store_prompt *q = &e->prompts[t->prompt];
    csv_plain(b, e->prompts[q->base].id);
    buf_adds(b, ",");
    csv_plain(b, q->perturbed ? e->perturbations[q->perturbed - 1].name : NULL);
    buf_adds(b, ",");
    if (q->perturbed && e->perturbations[q->perturbed - 1].random)
        buf_addf(b, "%llu", (unsigned long long)e->perturbations[q->perturbed - 1].seed);
}

static int csv_output(struct exporter *e, const struct store_row *row, enum export_rows rows,
                      struct idem_err *err)
{
    struct buf *b = &e->out;
    const struct rec_output *o = &row->output;
    if (rows == EXPORT_TRIALS || o->n_tokens == 0) {
        csv_row(e, row);
        buf_adds(b, rows == EXPORT_TRIALS ? "\r\n" : ",,,,,,,,,\r\n");
        return flush(e, err);
    }
    for (size_t i = 0; i < o->n_tokens; i++) {
        const struct rec_token *k = &o->tokens[i];
        size_t len;
        const char *bytes = store_token_bytes(e->s, k->id, &len);
        csv_row(e, row);
        buf_addf(b, ",%zu,%d,", i, (int)k->id);
        if (bytes)
            csv_text(b, bytes, len);
        else
            buf_adds(b, ",");
        csv_f32(b, k->logprob);
        csv_f32(b, k->logprob_processed);
        csv_f32(b, k->entropy);
        csv_f32(b, k->margin);
        csv_f32(b, k->tail_mass);
        buf_adds(b, "\r\n");
    }
    return flush(e, err);
}

/* ---- JSON lines ----------------------------------------------------------------------------------- */

static void json_id(struct exporter *e, struct json *j, int32_t id, bool with_bytes)
{
    size_t len;
    const char *bytes = store_token_bytes(e->s, id, &len);
    json_key(j, "id");
    json_i64(j, id);
    json_key(j, "text");
    if (bytes)
        json_str(j, bytes, len);
    else
        json_null(j);
    if (with_bytes && bytes && !utf8_valid(bytes, len, NULL)) {
        json_key(j, "bytes");
        json_bytes(j, bytes, len);
    }
}

static void json_number(struct json *j, const char *key, float v)
{
    json_key(j, key);
    json_f32(j, v);
}

static void json_tokens(struct exporter *e, struct json *j, const struct rec_output *o)
{
    json_key(j, "tokens");
    json_begin(j, '[');
    for (size_t i = 0; i < o->n_tokens; i++) {
        const struct rec_token *k = &o->tokens[i];
        json_begin(j, '{');
        json_id(e, j, k->id, true);
        json_number(j, "logprob", k->logprob);
        json_number(j, "logprob_processed", k->logprob_processed);
        json_number(j, "entropy", k->entropy);
        json_number(j, "margin", k->margin);
        json_number(j, "tail_mass", k->tail_mass);
        json_key(j, "top");
        json_begin(j, '[');
        for (uint32_t n = 0; n < k->n_top; n++) {
            json_begin(j, '{');
            json_id(e, j, k->top[n].id, false);
            json_number(j, "logprob", k->top[n].logprob);
            json_number(j, "logprob_processed", k->top[n].logprob_processed);
            json_end(j);
        }
        json_end(j);
        json_end(j);
    }
    json_end(j);
}

/* What was done to the prompt, and what is known of it. */
static void json_prompt(const struct exporter *e, struct json *j, const struct store_prompt *q)
{
    const struct store_prompt *base = &e->prompts[q->base];
    if (q->perturbed) {
        const struct store_perturbation *p = &e->perturbations[q->perturbed - 1];
        json_key(j, "base"), json_strz(j, base->id);
        json_key(j, "perturbation"), json_strz(j, p->name);
        json_key(j, "perturbation_seed");
        if (p->random)
            json_u64(j, p->seed);
        else
            json_null(j);
        json_key(j, "diff"), json_strz(j, q->diff);
    }
    if (base->n_attributes) {
        json_key(j, "attributes"), json_begin(j, '{');
        for (size_t i = 0; i < base->n_attributes; i++)
            json_key(j, base->attributes[i].name), json_strz(j, base->attributes[i].value);
        json_end(j);
    }
}

static int json_output(struct exporter *e, const struct store_row *row, enum export_rows rows,
                       struct idem_err *err)
{
    const struct rec_trial *t = &row->trial;
    const struct rec_output *o = &row->output;
    struct json j = {.out = &e->out};
    char noise[ARITH_NOISE_TEXT];
    json_begin(&j, '{');
    json_key(&j, "trial"), json_u64(&j, t->index);
    json_key(&j, "key"), json_strz(&j, t->key);
    json_key(&j, "purpose"), json_strz(&j, rec_purpose_name(t->purpose));
    json_key(&j, "prompt"), json_strz(&j, e->prompts[t->prompt].id);
    json_key(&j, "kind"), json_strz(&j, e->prompts[t->prompt].kind);
    json_prompt(e, &j, &e->prompts[t->prompt]);
    json_key(&j, "setting"), json_strz(&j, e->settings[t->setting].name);
    if (e->settings[t->setting].settings.noise)
        json_key(&j, "noise"), json_strz(&j, noise_of(e, t, noise));
    json_key(&j, "host"), json_strz(&j, e->hosts[t->host].name);
    json_key(&j, "seed"), json_u64(&j, t->seed);
    json_key(&j, "sample"), json_u64(&j, t->sample);
    json_key(&j, "repeat"), json_u64(&j, t->repeat);
    json_key(&j, "computed"), json_strz(&j, store_computed_name(row->how.computed));
    json_key(&j, "stop"), json_strz(&j, rec_stop_name(o->stop));
    json_key(&j, "text"), json_str(&j, o->text, o->text_len);
    if (!utf8_valid(o->text, o->text_len, NULL)) {
        json_key(&j, "bytes");
        json_bytes(&j, o->text, o->text_len);
    }
    json_key(&j, "n_tokens"), json_u64(&j, o->n_tokens);
    json_key(&j, "logits_digest"), json_strz(&j, o->logits_digest[0] ? o->logits_digest : NULL);
    if (rows == EXPORT_TOKENS)
        json_tokens(e, &j, o);
    json_end(&j);
    buf_adds(&e->out, "\n");
    return flush(e, err);
}

int export_write(struct store *s, enum export_format f, enum export_rows rows, export_sink sink,
                 void *ctx, struct idem_err *err)
{
    struct exporter e = {.s = s, .sink = sink, .ctx = ctx};
    struct store_row row;
    size_t n;
    int step = -1;
    buf_init(&e.out, (size_t)1 << 30);
    e.prompts = store_prompts(s, &n);
    e.settings = store_settings(s, &n);
    e.hosts = store_hosts(s, &n);
    e.perturbations = store_perturbations(s, &n);
    struct store_cursor *c = store_cursor_open(
        s, rows == EXPORT_TRIALS ? STORE_READ_TRIAL : STORE_READ_ALL, err);
    if (!c)
        return -1;
    if (f == EXPORT_CSV) {
        buf_addf(&e.out, "%s%s\r\n", csv_trial, rows == EXPORT_TOKENS ? csv_token : "");
        if (flush(&e, err) != 0)
            goto done;
    }
    while ((step = store_cursor_next(c, &row, err)) == 1)
        if (row.done && (f == EXPORT_CSV ? csv_output : json_output)(&e, &row, rows, err) != 0) {
            step = -1;
            break;
        }
done:
    store_cursor_close(c);
    buf_release(&e.out);
    return step == 0 ? 0 : -1;
}
