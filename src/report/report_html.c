/* SPDX-License-Identifier: MIT
 * The report as one HTML page that needs nothing else: verdict, settings, prompts, how it was run. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/report_impl.h"

struct html { const struct report *r; struct buf *out; };

static void raw(struct html *h, const char *s)
{
    buf_adds(h->out, s);
}

static void esc(struct html *h, const char *s)
{
    report_esc_html(h->out, s, strlen(s));
}

static const char *tone(enum rep_verdict v)
{
    return v == REP_SUPPORTED || v == REP_IDENTICAL ? "good"
         : v == REP_CONTRADICTED || v == REP_VARIES || v == REP_INVALID ? "bad" : "open";
}

/* A shape beside the word, so that colour says nothing alone. */
static const char *glyph(enum rep_verdict v)
{
    return strcmp(tone(v), "good") == 0 ? "\xE2\x9C\x93 " : strcmp(tone(v), "bad") == 0
         ? "\xE2\x9C\x97 " : "? ";
}

static void badge(struct html *h, enum rep_verdict v)
{
    buf_addf(h->out, "<span class=\"badge %s\">%s%s</span>", tone(v), glyph(v), rep_verdict_name(v));
}

/* ---- head ------------------------------------------------------------------------------------------- */

/* 'sha256-…' of an inline element, as a content security policy names it. */
static void csp_hash(struct html *h, const void *data, size_t len)
{
    static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char hex[DIGEST_HEX];
    unsigned char d[33] = {0};
    digest_sha256(data, len, hex);
    for (int i = 0; i < 32; i++) {
        unsigned v = 0;
        sscanf(hex + 2 * i, "%2x", &v);
        d[i] = (unsigned char)v;
    }
    raw(h, "'sha256-");
    for (int i = 0; i < 33; i += 3) {
        unsigned v = (unsigned)d[i] << 16 | (unsigned)d[i + 1] << 8 | d[i + 2];
        for (int k = 0; k < 4; k++)
            buf_add(h->out, i == 30 && k == 3 ? "=" : &b64[v >> (18 - 6 * k) & 63], 1);
    }
    raw(h, "'");
}

static void write_start(struct html *h)
{
    const struct store_run *run = h->r->run;
    raw(h, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src ");
    csp_hash(h, web_report_css, web_report_css_len);
    raw(h, "; script-src ");
    csp_hash(h, web_report_js, web_report_js_len);
    raw(h, "; base-uri 'none'; form-action 'none'\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    esc(h, run->hypothesis);
    raw(h, ": ");
    esc(h, run->title);
    raw(h, "</title>\n<style>");
    buf_add(h->out, web_report_css, web_report_css_len);
    raw(h, "</style>\n</head>\n<body>\n");
}

static void write_verdict(struct html *h)
{
    const struct report *r = h->r;
    char a[REP_NUM], b[REP_NUM];
    raw(h, "<header class=\"top\"><h1><span class=\"hyp\">");
    esc(h, r->run->hypothesis);
    raw(h, "</span> ");
    esc(h, r->run->title);
    raw(h, "</h1>\n<p class=\"soft\">");
    esc(h, r->run->question);
    raw(h, "</p>\n");
    buf_addf(h->out, "<div class=\"verdict %s\"><div class=\"word\">%s%s</div><p class=\"line\">",
             tone(r->hypothesis), glyph(r->hypothesis), rep_verdict_name(r->hypothesis));
    esc(h, r->sentence);
    raw(h, "</p><p class=\"soft\">");
    esc(h, r->shown_rule);
    raw(h, "</p>");
    if (!r->complete)
        buf_addf(h->out, "<span class=\"flag\">Incomplete run: %s of %s trials</span>",
                 rep_count(a, r->n_done), rep_count(b, r->n_trials));
    if (r->limited)
        buf_addf(h->out, "<span class=\"flag\">Quick look: --limit took %zu of %u prompts</span>",
                 r->n_bases, r->run->n_prompts_declared);
    raw(h, "</div></header>\n<main>\n");
}

static void write_claims(struct html *h)
{
    const struct report *r = h->r;
    if (r->n_claims == 0)
        return;
    raw(h, "<h2>What is said of the settings</h2>\n<ul class=\"claims\">\n");
    for (size_t i = 0; i < r->n_claims; i++) {
        struct buf line;
        buf_init(&line, 4096);
        report_claim_line(r, i, &line);
        raw(h, "<li>");
        badge(h, r->claim[i].verdict);
        raw(h, "<span>");
        esc(h, r->claims[i].text);
        raw(h, "</span><span class=\"how\">");
        report_esc_html(h->out, line.data ? line.data : "", line.len);
        raw(h, "</span></li>\n");
        buf_release(&line);
    }
    raw(h, "</ul>\n");
    char level[REP_NUM];
    buf_addf(h->out, "<p class=\"note\">Effect with its %s interval, paired by prompt; p from the signed-rank "
             "test, %s.</p>\n", rep_level(level, r->confidence),
             strcmp(r->run->correction, "none") == 0 ? "not corrected"
                                                     : "corrected for the family of claims (Holm)");
}

static void write_controls(struct html *h)
{
    static const char *const words[] = {"\xE2\x9C\x93 passed", "\xE2\x9C\x97 failed", "? not yet"};
    static const char *const tones[] = {"good", "bad", "open"};
    const struct report *r = h->r;
    char a[REP_NUM], b[REP_NUM];
    raw(h, "<h2>Controls</h2>\n");
    if (r->n_controls == 0)
        raw(h, "<p>None declared: nothing shows that this run could have seen a difference.</p>\n");
    raw(h, "<ul class=\"controls\">\n");
    for (size_t i = 0; i < r->n_controls; i++) {
        const struct rep_control *c = &r->controls[i];
        buf_addf(h->out, "<li><span class=\"badge %s\">%s</span><b>%s</b><span>%s of %s</span><span>",
                 tones[c->state], words[c->state], c->name, rep_count(a, c->n), rep_count(b, c->of));
        esc(h, c->what);
        if (c->detail[0]) {
            raw(h, "<br><span class=\"soft\">");
            esc(h, c->detail);
            raw(h, "</span>");
        }
        raw(h, "</span></li>\n");
    }
    raw(h, "</ul>\n");
}

/* ---- settings ---------------------------------------------------------------------------------------- */

/* A share as a bar of 70 pixels with its interval. */
static void share_bar(struct html *h, const struct stat_estimate *e)
{
    buf_addf(h->out, "<svg class=\"bar\" width=\"74\" height=\"16\" aria-hidden=\"true\"><rect class=\"rail\""
             " x=\"1.5\" y=\"3.5\" width=\"71\" height=\"9\"/><rect class=\"fill\" x=\"2\" y=\"4\" "
             "width=\"%.1f\" height=\"8\"/>", 70 * e->value);
    if (!isnan(e->low) && !isnan(e->high))
        buf_addf(h->out, "<path class=\"ci\" d=\"M%.1f 5v6M%.1f 8H%.1fM%.1f 5v6\"/>", 2 + 70 * e->low,
                 2 + 70 * e->low, 2 + 70 * e->high, 2 + 70 * e->high);
    raw(h, "</svg>");
}

/* The hyperparameters that are not off. */
static void settings_line(struct html *h, const struct rec_settings *s)
{
    if (!s->do_sample)
        raw(h, "greedy");
    else
        buf_addf(h->out, "temperature %.6g", s->temperature);
    if (s->do_sample && s->top_p < 1)
        buf_addf(h->out, ", top_p %.6g", s->top_p);
    if (s->do_sample && s->top_k)
        buf_addf(h->out, ", top_k %u", s->top_k);
    if (s->do_sample && s->min_p > 0)
        buf_addf(h->out, ", min_p %.6g", s->min_p);
    if (s->do_sample && s->typical_p < 1)
        buf_addf(h->out, ", typical_p %.6g", s->typical_p);
    if (s->do_sample && s->epsilon_cutoff > 0)
        buf_addf(h->out, ", epsilon_cutoff %.6g", s->epsilon_cutoff);
    if (s->do_sample && s->eta_cutoff > 0)
        buf_addf(h->out, ", eta_cutoff %.6g", s->eta_cutoff);
    if (s->sampler != REC_SAMPLER_HF)
        buf_addf(h->out, ", sampler %s", rec_sampler_name(s->sampler));
    if (s->num_beams > 1)
        buf_addf(h->out, ", %u beams (length_penalty %.6g, early_stopping %s)", s->num_beams,
                 s->length_penalty, rec_early_stopping_name(s->early_stopping));
    if (s->repetition_penalty != 1)
        buf_addf(h->out, ", repetition_penalty %.6g", s->repetition_penalty);
    if (s->presence_penalty != 0)
        buf_addf(h->out, ", presence_penalty %.6g", s->presence_penalty);
    if (s->frequency_penalty != 0)
        buf_addf(h->out, ", frequency_penalty %.6g", s->frequency_penalty);
    if (s->min_new_tokens)
        buf_addf(h->out, ", at least %u", s->min_new_tokens);
    if (s->no_repeat_ngram_size)
        buf_addf(h->out, ", no_repeat_ngram_size %u", s->no_repeat_ngram_size);
    struct arith_noise z = rec_noise(s, 0);
    char noise[ARITH_NOISE_TEXT];
    arith_noise_text(&z, noise);
    if (s->noise)
        buf_addf(h->out, ", noise %s", noise);
    buf_addf(h->out, ", %u tokens", s->max_new_tokens);
}

static void same_cells(struct html *h, const struct rep_same *s)
{
    char a[REP_NUM], b[REP_NUM];
    if (s->n == 0) {
        raw(h, "<td class=\"left soft\" colspan=\"4\">not computed again</td>");
        return;
    }
    raw(h, "<td class=\"left\">");
    badge(h, s->verdict);
    buf_addf(h->out, "</td><td>%s of %s</td>", rep_count(a, s->n_output), rep_count(b, s->n));
    if (s->n_bits_of)
        buf_addf(h->out, "<td>%s of %s</td>", rep_count(a, s->n_bits), rep_count(b, s->n_bits_of));
    else
        raw(h, "<td class=\"soft\">not known</td>");
    if (s->verdict == REP_INVALID)
        raw(h, "<td class=\"soft\">-</td>");
    else if (s->n_same == s->n)
        buf_addf(h->out, "<td>\xE2\x89\xA5 %s</td>", rep_pct(a, s->low));
    else
        buf_addf(h->out, "<td>%s to %s</td>", rep_pct(a, s->low), rep_pct(b, s->high));
}

static void seeds_cells(struct html *h, const struct rep_seeds *s)
{
    char a[REP_NUM], lo[REP_NUM], hi[REP_NUM];
    if (s->n_outputs == 0) {
        raw(h, "<td class=\"group soft left\" colspan=\"7\">not run over seeds</td>");
        return;
    }
    if (s->greedy) {
        buf_addf(h->out, "<td class=\"group soft left\" colspan=\"2\">greedy: no seed enters</td><td>%s</td>"
                 "<td colspan=\"4\"></td>", rep_fix(a, s->distinct.value, 2));
        return;
    }
    raw(h, "<td class=\"group left\">");
    share_bar(h, &s->pairs);
    buf_addf(h->out, "</td><td>%s %%", rep_fix(a, 100 * s->pairs.value, 1));
    if (s->verdict != REP_INVALID && !isnan(s->pairs.low))
        buf_addf(h->out, "<span class=\"sub ci\">%s to %s</span>", rep_fix(lo, 100 * s->pairs.low, 1),
                 rep_fix(hi, 100 * s->pairs.high, 1));
    buf_addf(h->out, "</td><td>%s</td>", rep_fix(a, s->distinct.value, 2));
    buf_addf(h->out, "<td>%s</td>", rep_pct(a, s->modal.value));
    buf_addf(h->out, "<td>%s</td>", rep_fix(a, s->parts_at, 1));
    buf_addf(h->out, "<td>%s</td>", rep_fix(a, s->margin, 2));
    buf_addf(h->out, "<td>%s</td>", rep_fix(a, s->entropy, 2));
}

static void write_settings(struct html *h)
{
    const struct report *r = h->r;
    char level[REP_NUM];
    raw(h, "<h2>Settings</h2>\n<div class=\"scroll\" tabindex=\"0\"><table class=\"data\"><thead><tr><th rowspan=\"2\">"
           "setting</th><th class=\"left\" colspan=\"4\">same seed, computed again</th>"
           "<th class=\"group left\" colspan=\"7\">different seeds</th></tr><tr><th class=\"left\">"
           "verdict</th><th>output</th><th>logits</th><th>identical</th><th class=\"group left\" "
           "colspan=\"2\">equal pairs</th><th>distinct</th><th>modal</th><th>part after</th>"
           "<th>margin</th><th>entropy</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < r->n_settings; i++) {
        raw(h, "<tr><td>");
        esc(h, r->labels[i]);
        if (!r->settings[i].factor[0]) {       /* the name of a level says it all */
            raw(h, "<span class=\"sub\">");
            settings_line(h, &r->settings[i].settings);
            raw(h, "</span>");
        }
        raw(h, "</td>");
        same_cells(h, &r->same[i]);
        seeds_cells(h, &r->seeds[i]);
        raw(h, "</tr>\n");
    }
    raw(h, "<tr class=\"total\"><td>all settings</td>");
    same_cells(h, &r->same_all);
    buf_addf(h->out, "<td class=\"group\" colspan=\"7\"></td></tr></tbody></table></div>\n<p class=\"note\">"
             "Identical: computations of one key against the first of them, with the %s bound or interval "
             "(prompts are clusters: %zu here). Equal pairs: of two outputs of one prompt under different "
             "seeds, with interval. Distinct: outputs per prompt. Modal: share of the commonest. Part after: "
             "tokens in common, median over unequal pairs, with the margin between the two best tokens and the "
             "entropy there, in nats.</p>\n", rep_level(level, r->confidence), r->same_all.n_prompts);
}

/* ---- figures ----------------------------------------------------------------------------------------- */

/* Levels of a claim from most to least deterministic, as it says: the measure of each. */
static void claim_figure(struct html *h, size_t i)
{
    const struct report *r = h->r;
    const struct store_claim *d = &r->claims[i];
    const struct rep_claim *c = &r->claim[i];
    const struct rep_measure *m = report_measure(d->measure);
    char a[REP_NUM], b[REP_NUM];
    double top = 1;
    for (size_t k = 0; k < d->n_settings; k++)
        top = c->levels[k].measure > top ? c->levels[k].measure : top;
    size_t n = d->n_settings;
    double step = 240.0 / (double)n;
    raw(h, "<figure><figcaption><b>");
    esc(h, d->factor);
    raw(h, "</b> ");
    badge(h, c->verdict);
    raw(h, "</figcaption><svg width=\"264\" height=\"166\" role=\"img\"><title>");
    esc(h, d->text);
    raw(h, "</title><path class=\"axis\" d=\"M12 118H252\"/>");
    double px = 0, py = 0;
    for (size_t k = 0; k < n; k++) {
        if (isnan(c->levels[k].measure))
            continue;
        double x = 12 + step * ((double)k + 0.5), y = 118 - 88 * c->levels[k].measure / top;
        if (px > 0)
            buf_addf(h->out, "<path class=\"line\" d=\"M%.1f %.1fL%.1f %.1f\"/>", px, py, x, y);
        px = x;
        py = y;
    }
    for (size_t k = 0; k < n; k++) {
        const struct rep_level *l = &c->levels[k];
        double x = 12 + step * ((double)k + 0.5);
        const char *name = d->levels[k][0] ? d->levels[k] : r->labels[d->settings[k]];
        buf_addf(h->out, "<text x=\"%.1f\" y=\"133\" text-anchor=\"middle\">", x);
        esc(h, name);
        buf_addf(h->out, "</text><text x=\"%.1f\" y=\"147\" text-anchor=\"middle\">%s</text><text x=\"%.1f\" "
                 "y=\"161\" text-anchor=\"middle\">%s</text>", x, rep_pct(a, l->distinct_2), x,
                 rep_fix(b, l->mean_entropy, 2));
        if (isnan(l->measure))
            continue;
        double y = 118 - 88 * l->measure / top;
        buf_addf(h->out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/><text class=\"val\" x=\"%.1f\" "
                 "y=\"%.1f\" text-anchor=\"middle\">%s</text>", x, y, x, y - 9,
                 rep_fix(a, m->scale * l->measure, m->digits));
    }
    raw(h, "</svg></figure>\n");
}

static void write_figures(struct html *h)
{
    if (h->r->n_claims == 0)
        return;
    const struct rep_measure *m = report_measure(h->r->claims[0].measure);
    buf_addf(h->out, "<h2>Diversity at each level</h2>\n<p class=\"note\">The dot: %s, mean over prompts. Left is "
             "said to be the most deterministic. Below each level, the diversity that it leaves: share of distinct "
             "bigrams, and mean entropy per token in nats.</p><div class=\"figs\">\n",
             m->what);
    for (size_t i = 0; i < h->r->n_claims; i++)
        claim_figure(h, i);
    raw(h, "</div>\n");
}

static void matrix_cell(struct html *h, size_t p, size_t s)
{
    const struct report *r = h->r;
    const struct rep_cell *c = &r->cells[p * r->n_settings + s];
    if (c->n == 0) {
        raw(h, "<td></td>");
        return;
    }
    double share = c->n > 1 ? (double)(c->n_distinct - 1) / (double)(c->n - 1) : 0;
    int level = c->n_distinct <= 1 ? 0 : share <= 0.2 ? 1 : share <= 0.4 ? 2 : share <= 0.6 ? 3
              : share < 1 ? 4 : 5;
    buf_addf(h->out, "<td class=\"m%d%s\"><a href=\"#p%zus%zu\" title=\"", level,
             c->n_same_seed_differ ? " mx" : "", p, s);
    esc(h, r->prompts[p].id);
    raw(h, ", ");
    esc(h, r->labels[s]);
    buf_addf(h->out, ": %u distinct of %u", c->n_distinct, c->n);
    if (c->first_part != SIZE_MAX)
        buf_addf(h->out, ", first %zu tokens in common", c->first_part);
    if (c->n_same_seed)
        buf_addf(h->out, "; one seed again: %u of %u identical", c->n_same_seed - c->n_same_seed_differ,
                 c->n_same_seed);
    buf_addf(h->out, "\">%u</a></td>", c->n_distinct);
}

static void write_matrix(struct html *h)
{
    const struct report *r = h->r;
    bool any = false;
    for (size_t i = 0; i < r->n_settings; i++)
        any = any || r->seeds[i].n_outputs;
    if (!any)
        return;
    raw(h, "<h2>Distinct outputs, prompt by prompt</h2>\n<p class=\"note\">How many different outputs a prompt got "
           "over the seeds; 1 is the same every time. A cell leads to its outputs.");
    if (r->n_differences)
        raw(h, " A frame: one seed, computed again, differed.");
    raw(h, "</p><div class=\"scroll\" tabindex=\"0\"><table class=\"matrix\"><thead><tr><th></th>");
    for (size_t s = 0; s < r->n_settings; s++)
        if (r->seeds[s].n_outputs) {
            raw(h, "<th scope=\"col\"><span>");
            esc(h, r->labels[s]);
            raw(h, "</span></th>");
        }
    raw(h, "</tr></thead><tbody>\n");
    for (size_t p = 0; p < r->n_prompts; p++) {
        raw(h, "<tr><th scope=\"row\">");
        esc(h, r->prompts[p].id);
        raw(h, "</th>");
        for (size_t s = 0; s < r->n_settings; s++)
            if (r->seeds[s].n_outputs)
                matrix_cell(h, p, s);
        raw(h, "</tr>\n");
    }
    raw(h, "</tbody></table></div>\n");
}

/* ---- hosts, prompts, foot ------------------------------------------------------------------------------ */

static void write_hosts(struct html *h)
{
    const struct report *r = h->r;
    if (r->same_all.n == 0)
        return;
    raw(h, "<h2>Host states</h2>\n<p class=\"note\">What must not matter: the same key computed with other threads, "
           "batch, prefill chunk and cache, each from nothing.</p><div class=\"scroll\" tabindex=\"0\">"
           "<table class=\"data\"><thead><tr><th>host state</th><th>threads</th><th>batch</th><th>chunk</th>"
           "<th class=\"left\">cache</th><th class=\"left\">verdict</th><th>output</th><th>logits</th>"
           "<th>identical</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < r->n_hosts; i++) {
        const struct rec_host *x = &r->hosts[i].host;
        if (r->same_host[i].n == 0)
            continue;
        buf_addf(h->out, "<tr><td>%zu</td><td>%u</td><td>%u</td><td>%u</td><td class=\"left\">%s</td>", i,
                 x->threads, x->batch, x->chunk, rec_cache_name(x->cache));
        same_cells(h, &r->same_host[i]);
        raw(h, "</tr>\n");
    }
    raw(h, "</tbody></table></div>\n");
}

static void write_differences(struct html *h)
{
    const struct report *r = h->r;
    char m[REP_NUM], e[REP_NUM];
    if (r->n_differences == 0)
        return;
    raw(h, "<h2>Where one key gave two results</h2>\n<div class=\"scroll\" tabindex=\"0\"><table class=\"data\"><thead>"
           "<tr><th>prompt</th><th class=\"left\">setting</th><th class=\"left\">host state</th><th>part after"
           "</th><th>margin</th><th>entropy</th><th>trials</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < r->n_differences && i < 50; i++) {
        const struct rep_difference *d = &r->differences[i];
        const struct rep_trial *a = &r->trials[d->a], *b = &r->trials[d->b];
        size_t at = d->at == SIZE_MAX ? r->classes[a->cls].n_ids : d->at;
        const struct rec_token *t = report_token(r, a, at) ? report_token(r, a, at)
                                                           : report_token(r, b, at);
        buf_addf(h->out, "<tr><td><a href=\"#p%us%u\">", b->t.prompt, b->t.setting);
        esc(h, r->prompts[b->t.prompt].id);
        raw(h, "</a></td><td class=\"left\">");
        esc(h, r->labels[b->t.setting]);
        raw(h, "</td><td class=\"left\">");
        esc(h, r->hosts[b->t.host].name);
        if (d->bits_only)
            raw(h, "</td><td colspan=\"3\">same output, other logits</td>");
        else
            buf_addf(h->out, "</td><td>%zu</td><td>%s</td><td>%s</td>", at,
                     rep_fix(m, t ? (double)t->margin : NAN, 3), rep_fix(e, t ? (double)t->entropy : NAN, 2));
        buf_addf(h->out, "<td>%llu, %llu</td></tr>\n", (unsigned long long)d->a, (unsigned long long)d->b);
    }
    raw(h, "</tbody></table></div>\n");
    if (r->n_differences > 50)
        buf_addf(h->out, "<p class=\"note\">and %zu more in the database.</p>\n", r->n_differences - 50);
}

static void write_tools(struct html *h)
{
    const struct report *r = h->r;
    raw(h, "<h2 id=\"outputs\">Outputs</h2>\n<div class=\"tools\"><label>Setting <select id=\"pick\"><option value=\"\">"
           "all of them</option>");
    for (size_t i = 0; i < r->n_settings; i++) {
        buf_addf(h->out, "<option value=\"%zu\"%s>", i, i == 0 ? " selected" : "");
        esc(h, r->labels[i]);
        raw(h, "</option>");
    }
    raw(h, "</select></label><label>Colour by <select id=\"colour\"><option value=\"p\" selected>the model's own "
           "probability</option><option value=\"q\">probability after the processors</option></select></label>"
           "</div>\n<div class=\"legend\">probability of the token <span>90 % and more</span><span class=\"t1\">from "
           "50 %</span><span class=\"t2\">25 %</span><span class=\"t3\">10 %</span><span class=\"t4\">3 %</span>"
           "<span class=\"t5\">less</span> <span><span class=\"cutkey\"></span> where outputs part</span></div>\n"
           "<p class=\"note nojs\">Without scripts this page shows the outputs as plain text.</p>\n");
}

static void fact(struct html *h, const char *name, const char *value)
{
    if (!value[0])
        return;
    buf_addf(h->out, "<dt>%s</dt><dd>", name);
    esc(h, value);
    raw(h, "</dd>\n");
}

static void write_foot(struct html *h)
{
    const struct report *r = h->r;
    const struct store_run *x = r->run;
    char trials[160], a[REP_NUM], b[REP_NUM];
    snprintf(trials, sizeof trials, "%s of %s trials; %zu prompts, %zu settings, %zu host states",
             rep_count(a, r->n_done), rep_count(b, r->n_trials), r->n_bases, r->n_settings, r->n_hosts);
    raw(h, "</main>\n<footer>\n<h2>How it was run</h2>\n");
    if (x->rule[0]) {
        raw(h, "<p><b>The rule, declared before the run.</b> ");
        esc(h, x->rule);
        raw(h, "</p>\n");
    }
    raw(h, "<dl class=\"facts\">\n");
    fact(h, "model", x->model_name);
    fact(h, "SHA-256 of its file", x->model_digest);
    fact(h, "architecture, tokenizer", x->model_arch);
    fact(h, "numerics", x->numerics);
    fact(h, "sampler", x->sampler);
    fact(h, "added noise", x->noise);
    fact(h, "backend", x->backend);
    fact(h, "idem", x->idem_version);
    fact(h, "run", trials);
    fact(h, "machines", store_machines(r->s));
    fact(h, "experiment", x->experiment_path);
    fact(h, "digest of the plan", x->plan_digest);
    fact(h, "digest of the run", r->digest);
    raw(h, "</dl>\n<details class=\"more\"><summary>The experiment file</summary><pre>");
    esc(h, x->experiment_text);
    raw(h, "</pre></details>\n</footer>\n<div id=\"tip\" role=\"tooltip\" hidden></div>\n<script>");
    buf_add(h->out, web_report_js, web_report_js_len);
    raw(h, "</script>\n</body>\n</html>\n");
}

int report_write_html(const struct report *r, struct buf *out, struct idem_err *err)
{
    struct html h = {.r = r, .out = out};
    write_start(&h);
    write_verdict(&h);
    write_claims(&h);
    write_controls(&h);
    write_settings(&h);
    write_figures(&h);
    write_matrix(&h);
    write_hosts(&h);
    write_differences(&h);
    write_tools(&h);
    if (report_page_prompts(r, out, err) != 0)
        return -1;
    write_foot(&h);
    return out->failed ? err_memory(err, "the page", out->max) : 0;
}
