/* SPDX-License-Identifier: MIT
 * The report as plain text of at most 80 columns, and the same content as Markdown. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "report/report_impl.h"

enum { COLUMNS = 80 };

/* ---- tables that both forms share ----------------------------------------------------------------- */

static int table_done(const struct rep_table *t)
{
    return t->failed ? -1 : 0;
}

static void add_name(struct rep_table *t, const char *name)
{
    struct buf b;
    buf_init(&b, 4096);
    report_esc_text(&b, name, strlen(name), 60);
    report_table_add(t, "%s", b.data ? b.data : "");
    buf_release(&b);
}

static void add_same(struct rep_table *t, const struct rep_same *s, const char *name)
{
    char a[REP_NUM], b[REP_NUM];
    add_name(t, name);
    if (s->n == 0) {
        for (int i = 0; i < 4; i++)
            report_table_add(t, "%s", i == 0 ? "not compared" : "");
        return;
    }
    report_table_add(t, "%s", rep_verdict_name(s->verdict));
    report_table_add(t, "%s of %s", rep_count(a, s->n_output), rep_count(b, s->n));
    if (s->n_bits_of)
        report_table_add(t, "%s of %s", rep_count(a, s->n_bits), rep_count(b, s->n_bits_of));
    else
        report_table_add(t, "not known");
    if (s->verdict == REP_INVALID)
        report_table_add(t, "-");
    else if (s->n_same == s->n)
        report_table_add(t, ">= %s", rep_pct(a, s->low));
    else
        report_table_add(t, "%s .. %s", rep_pct(a, s->low), rep_pct(b, s->high));
}

int report_table_same(const struct report *r, struct rep_table *t, struct arena *a)
{
    static const char *const head[] = {"setting", "same seed", "output", "logits", "identical"};
    report_table_init(t, a, 5, head, "llrrr");
    for (size_t i = 0; i < r->n_settings; i++)
        add_same(t, &r->same[i], r->labels[i]);
    if (r->same_all.n)
        add_same(t, &r->same_all, "all settings");
    return table_done(t);
}

int report_table_hosts(const struct report *r, struct rep_table *t, struct arena *a)
{
    static const char *const head[] = {"threads, batch, chunk, cache", "same seed", "output",
                                       "logits", "identical"};
    report_table_init(t, a, 5, head, "llrrr");
    for (size_t i = 0; i < r->n_hosts; i++) {
        const struct rec_host *h = &r->hosts[i].host;
        char name[96];
        snprintf(name, sizeof name, "%u, %u, %u, %s", h->threads, h->batch, h->chunk,
                 rec_cache_name(h->cache));
        if (r->same_host[i].n)
            add_same(t, &r->same_host[i], name);
    }
    return table_done(t);
}

/* "7.88/8", "7.88" if prompts have different numbers of outputs. */
static void add_distinct(struct rep_table *t, const struct rep_seeds *s)
{
    char x[REP_NUM];
    if (s->n_prompts && s->n_outputs % s->n_prompts == 0)
        report_table_add(t, "%s/%llu", rep_fix(x, s->distinct.value, 2),
                         (unsigned long long)(s->n_outputs / s->n_prompts));
    else
        report_table_add(t, "%s", rep_fix(x, s->distinct.value, 2));
}

int report_table_seeds(const struct report *r, struct rep_table *t, struct arena *a)
{
    static const char *const head[] = {"setting", "equal pairs", "distinct", "modal", "after", "margin",
                                       "entropy"};
    char x[REP_NUM], y[REP_NUM], z[REP_NUM];
    report_table_init(t, a, 7, head, "lrrrrrr");
    for (size_t i = 0; i < r->n_settings; i++) {
        const struct rep_seeds *s = &r->seeds[i];
        if (s->n_outputs == 0)
            continue;
        add_name(t, r->labels[i]);
        if (s->greedy) {
            report_table_add(t, "no seed");
            report_table_add(t, "%s", rep_fix(x, s->distinct.value, 2));
            for (int k = 0; k < 4; k++)
                report_table_add(t, "-");
            continue;
        }
        if (s->verdict == REP_INVALID || isnan(s->pairs.low))
            report_table_add(t, "%s", rep_fix(x, 100 * s->pairs.value, 0));
        else
            report_table_add(t, "%s [%s, %s]", rep_fix(x, 100 * s->pairs.value, 0),
                             rep_fix(y, 100 * s->pairs.low, 0), rep_fix(z, 100 * s->pairs.high, 0));
        add_distinct(t, s);
        report_table_add(t, "%s", rep_fix(x, 100 * s->modal.value, 0));
        report_table_add(t, "%s", rep_fix(x, s->parts_at, 1));
        report_table_add(t, "%s", rep_fix(x, s->margin, 2));
        report_table_add(t, "%s", rep_fix(x, s->entropy, 2));
    }
    return table_done(t);
}

/* The level of a claim as the experiment writes it; the setting's name where it has none. */
static const char *level_name(const struct report *r, const struct store_claim *c, size_t k)
{
    return c->levels[k][0] ? c->levels[k] : r->labels[c->settings[k]];
}

const struct rep_measure *report_measure(const char *name)
{
    static const struct rep_measure all[] = {
        {"distinct_outputs", "measure", "distinct outputs per prompt",
         "distinct outputs over the seeds", 1, 2},
        {"identical_pairs", "unequal pairs %", "points of unequal pairs",
         "share of unequal pairs of outputs, in %", 100, 1},
        {"parted_share", "parted text %", "points of text after outputs part",
         "of two outputs under different seeds, the share of their text after they part, in %", 100, 1},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!strcmp(name, all[i].name))
            return &all[i];
    return &all[0];
}

int report_table_claims(const struct report *r, struct rep_table *t, struct arena *a)
{
    const struct rep_measure *m = report_measure(r->n_claims ? r->claims[0].measure : "");
    const char **head = arena_array(a, 6, sizeof *head);
    char x[REP_NUM];
    if (!head)
        return -1;
    head[0] = "factor", head[1] = "level", head[2] = m->head, head[3] = "distinct";
    head[4] = "bigrams", head[5] = "entropy";
    report_table_init(t, a, 6, head, "llrrrr");
    for (size_t i = 0; i < r->n_claims; i++)
        for (size_t k = 0; k < r->claims[i].n_settings; k++) {
            const struct rep_level *v = &r->claim[i].levels[k];
            add_name(t, k ? "" : r->claims[i].factor);
            add_name(t, level_name(r, &r->claims[i], k));
            report_table_add(t, "%s", rep_fix(x, m->scale * v->measure, m->digits));
            report_table_add(t, "%s", rep_fix(x, v->distinct, 2));
            report_table_add(t, "%s", rep_pct(x, v->distinct_2));
            report_table_add(t, "%s", rep_fix(x, v->mean_entropy, 2));
        }
    return table_done(t);
}

/* "supported: +2.31 distinct outputs [1.92, 2.71] from false to true, p = 0.0001 over 24 prompts" */
void report_claim_line(const struct report *r, size_t i, struct buf *out)
{
    const struct rep_claim *c = &r->claim[i];
    const struct store_claim *d = &r->claims[i];
    char v[REP_NUM], lo[REP_NUM], hi[REP_NUM], p[REP_NUM];
    if (c->n_prompts == 0) {
        buf_adds(out, "no prompt has all its outputs yet");
        return;
    }
    const struct rep_measure *m = report_measure(d->measure);
    buf_addf(out, "%s%s %s", c->effect.value >= 0 ? "+" : "",
             rep_fix(v, m->scale * c->effect.value, m->digits), m->unit);
    if (c->verdict != REP_INVALID && c->flat)
        buf_adds(out, " (the same in every prompt)");
    else if (c->verdict != REP_INVALID)
        buf_addf(out, " [%s, %s]", rep_fix(lo, m->scale * c->effect.low, m->digits),
                 rep_fix(hi, m->scale * c->effect.high, m->digits));
    buf_adds(out, " from ");
    report_esc_text(out, level_name(r, d, 0), strlen(level_name(r, d, 0)), 40);
    buf_adds(out, " to ");
    const char *last = level_name(r, d, d->n_settings - 1);
    report_esc_text(out, last, strlen(last), 40);
    if (c->verdict != REP_INVALID)
        buf_addf(out, ", p%s%s", c->p_adjusted < 0.0001 ? " " : " = ", rep_p(p, c->p_adjusted));
    buf_addf(out, " over %zu prompt%s", c->n_prompts, c->n_prompts == 1 ? "" : "s");
    if (c->n_ceiling)
        buf_addf(out, " (%zu of them with nothing but distinct outputs at both ends, where their number can "
                 "show nothing)", c->n_ceiling);
}

/* ---- writing --------------------------------------------------------------------------------------- */

struct writer { struct buf *out; bool md; struct arena arena; };

static void heading(struct writer *w, const char *s)
{
    buf_addf(w->out, w->md ? "\n## %s\n\n" : "\n%s\n", s);
}

/* Escaped words in lines of at most 80 columns; in Markdown one line. */
static void paragraph(struct writer *w, size_t indent, const char *s)
{
    size_t column = 0;
    struct buf word;
    buf_init(&word, 1 << 20);
    while (*s) {
        size_t n = strcspn(s, " \n");
        buf_clear(&word);
        if (w->md)
            report_esc_md(&word, s, n, 0);
        else
            report_esc_text(&word, s, n, COLUMNS - indent);
        if (n && word.data) {
            if (column && !w->md && column + 1 + word.len > COLUMNS) {
                buf_adds(w->out, "\n");
                column = 0;
            }
            if (column == 0 && !w->md)
                buf_addf(w->out, "%*s", (int)indent, "");
            else if (column)
                buf_adds(w->out, " ");
            column = (column ? column + 1 : w->md ? 1 : indent) + word.len;
            buf_add(w->out, word.data, word.len);
        }
        s += n + (s[n] != '\0');
    }
    buf_adds(w->out, w->md ? "\n\n" : "\n");
    buf_release(&word);
}

static void paragraphf(struct writer *w, size_t indent, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void paragraphf(struct writer *w, size_t indent, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    paragraph(w, indent, text);
}

/* A label in a column of its own, the text beside it; in Markdown a list item. */
static void itemf(struct writer *w, const char *label, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void itemf(struct writer *w, const char *label, const char *fmt, ...)
{
    char text[2048];
    enum { HANG = 16 };
    size_t at = w->out->len;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (w->md) {
        buf_addf(w->out, "- **%s** ", label);
        paragraph(w, 0, text);
        return;
    }
    paragraph(w, HANG, text);
    size_t len = strlen(label) < HANG - 3 ? strlen(label) : HANG - 3;
    if (!w->out->failed && w->out->len >= at + HANG)
        memcpy(w->out->data + at + 2, label, len);   /* over the indent */
}

static void table(struct writer *w, const struct report *r,
                  int (*make)(const struct report *, struct rep_table *, struct arena *))
{
    struct rep_table t;
    if (make(r, &t, &w->arena) != 0)
        w->out->failed = true;
    else if (t.n_cells && w->md)
        report_table_md(&t, w->out);
    else if (t.n_cells)
        report_table_text(&t, w->out, 2, COLUMNS);
}

static void write_head(struct writer *w, const struct report *r)
{
    const struct store_run *run = r->run;
    char verdict[32];
    size_t n = 0;
    for (const char *s = rep_verdict_name(r->hypothesis); *s && n + 1 < sizeof verdict; s++)
        verdict[n++] = *s >= 'a' && *s <= 'z' ? (char)(*s - 32) : *s;
    verdict[n] = '\0';
    if (w->md)
        buf_adds(w->out, "# ");
    paragraphf(w, 0, "%s  %s", run->hypothesis, run->title);
    if (run->question[0])
        paragraph(w, 0, run->question);
    if (!w->md)
        buf_adds(w->out, "\n");
    if (w->md)
        buf_addf(w->out, "**%s** ", verdict);
    paragraphf(w, w->md ? 0 : 2, "%s%s%s", w->md ? "" : verdict, w->md ? "" : ". ", r->sentence);
    if (r->shown_rule[0])
        paragraph(w, 2, r->shown_rule);
    char done[REP_NUM], all[REP_NUM];
    if (!r->complete)
        paragraphf(w, 2, "INCOMPLETE RUN: %s of %s trials are done. Run the same command again to "
                   "carry on.", rep_count(done, r->n_done), rep_count(all, r->n_trials));
    if (r->limited)
        paragraphf(w, 2, "QUICK LOOK: --limit took %zu of %u prompts.", r->n_bases,
                   run->n_prompts_declared);
}

static void write_controls(struct writer *w, const struct report *r)
{
    static const char *const states[] = {"passed", "FAILED", "not yet"};
    heading(w, "Controls");
    if (r->n_controls == 0)
        paragraph(w, 2, "None declared: nothing shows that this run could have seen a difference.");
    for (size_t i = 0; i < r->n_controls; i++) {
        const struct rep_control *c = &r->controls[i];
        char n[REP_NUM], of[REP_NUM];
        itemf(w, states[c->state], "%s, %s of %s: %s%s%s", c->name, rep_count(n, c->n),
              rep_count(of, c->of), c->what, c->detail[0] ? "; " : "", c->detail);
    }
}

static void write_differences(struct writer *w, const struct report *r)
{
    for (size_t i = 0; i < r->n_differences && i < 10; i++) {
        const struct rep_difference *d = &r->differences[i];
        const struct rep_trial *a = &r->trials[d->a], *b = &r->trials[d->b];
        const char *prompt = r->prompts[b->t.prompt].id, *setting = r->labels[b->t.setting];
        const char *host = r->hosts[b->t.host].name;
        if (w->md)
            buf_adds(w->out, "- ");
        if (d->bits_only) {
            paragraphf(w, 2, "%s, %s, host %s: same output, other logits (trials %llu and %llu)",
                       prompt, setting, host, (unsigned long long)d->a, (unsigned long long)d->b);
            continue;
        }
        size_t at = d->at == SIZE_MAX ? r->classes[a->cls].n_ids : d->at;
        const struct rec_token *t = report_token(r, a, at);
        t = t ? t : report_token(r, b, at);
        char m[REP_NUM], e[REP_NUM];
        paragraphf(w, 2, "%s, %s, host %s: apart after %zu tokens, margin %s, entropy %s (trials %llu "
                   "and %llu)", prompt, setting, host, at, rep_fix(m, t ? (double)t->margin : NAN, 3),
                   rep_fix(e, t ? (double)t->entropy : NAN, 2), (unsigned long long)d->a,
                   (unsigned long long)d->b);
    }
    if (r->n_differences > 10)
        paragraphf(w, 2, "and %zu more; `idem export` lists all trials.", r->n_differences - 10);
}

static void write_claims(struct writer *w, const struct report *r)
{
    if (r->n_claims == 0)
        return;
    heading(w, "Claims");
    for (size_t i = 0; i < r->n_claims; i++) {
        struct buf line;
        buf_init(&line, 4096);
        report_claim_line(r, i, &line);
        itemf(w, rep_verdict_name(r->claim[i].verdict), "%s %s.", r->claims[i].text,
              line.data ? line.data : "");
        buf_release(&line);
    }
    if (!w->md)
        buf_adds(w->out, "\n");
    table(w, r, report_table_claims);
    paragraphf(w, 2, "Tested: %s. Effects are paired by prompt, p is of the signed-rank test, corrected as "
               "declared. distinct: outputs per prompt; bigrams: share of them that is distinct; entropy: per "
               "token, in nats.", report_measure(r->claims[0].measure)->what);
}

static void write_foot(struct writer *w, const struct report *r)
{
    const struct store_run *run = r->run;
    char n[REP_NUM];
    if (run->rule[0]) {
        heading(w, "Rule, declared before the run");
        paragraph(w, 2, run->rule);
    }
    heading(w, "Run");
    paragraphf(w, 2, "model %s (SHA-256 %.16s), %s, sampler %s, backend %s %s", run->model_name,
               run->model_digest, run->numerics, run->sampler, run->backend, run->backend_version);
    if (strcmp(run->noise, "none") != 0)
        paragraphf(w, 2, "noise was added to the arithmetic of the settings that say so: %s", run->noise);
    paragraphf(w, 2, "%zu prompts, %zu settings, %zu host states, %s trials; experiment %s",
               r->n_bases, r->n_settings, r->n_hosts, rep_count(n, r->n_trials),
               run->experiment_path);
    if (store_machines(r->s)[0])
        paragraphf(w, 2, "on %s", store_machines(r->s));
    paragraphf(w, 2, "digest %s", r->digest);
}

static void write_seeds(struct writer *w, const struct report *r)
{
    bool any = false;
    for (size_t i = 0; i < r->n_settings; i++)
        any = any || r->seeds[i].n_outputs;
    if (!any)
        return;
    char level[REP_NUM];
    heading(w, "Different seeds");
    table(w, r, report_table_seeds);
    paragraphf(w, 2, "equal pairs: of outputs of one prompt, in %% [%s interval, prompts as "
               "clusters]; distinct: outputs per prompt, of how many; modal: share of the commonest, "
               "in %%; after: tokens that an unequal pair has in common (median), with the margin between "
               "the two best tokens and the entropy there, in nats.",
               rep_level(level, r->confidence));
}

int report_write_text(const struct report *r, struct buf *out, bool md, struct idem_err *err)
{
    struct writer w = {.out = out, .md = md};
    char level[REP_NUM];
    arena_init(&w.arena, (size_t)64 << 20);
    write_head(&w, r);
    write_controls(&w, r);
    if (r->same_all.n) {
        heading(&w, "Same seed, computed again");
        table(&w, r, report_table_same);
        paragraphf(&w, 2, "identical: share of computations, %s bound or interval with prompts as "
                   "clusters (%zu here).", rep_level(level, r->confidence), r->same_all.n_prompts);
        write_differences(&w, r);
        heading(&w, "Host states");
        table(&w, r, report_table_hosts);
    }
    write_seeds(&w, r);
    write_claims(&w, r);
    write_foot(&w, r);
    arena_release(&w.arena);
    return out->failed ? err_memory(err, "the report", out->max) : 0;
}
