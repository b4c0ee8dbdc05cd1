/* SPDX-License-Identifier: MIT
 * The prompts in the page: the distinct outputs of each setting with their counts as text, and their
 * tokens as packed data that web/report.js draws.
 *
 * Packed token, digits base 64 (A-Za-z0-9-_), most significant first:
 *   3 index in vocab | 2 raw | 2 processed | 2 entropy | 1 number of alternatives, then for each
 *   3 index in vocab | 2 raw | 2 processed
 * Probabilities as -100 ln p (so two digits reach to exp(-40)), entropy in 1/100 nat, 4095: none.
 * An output is [output it begins like, tokens in common, "packed rest"]. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "report/report_impl.h"

enum { MAX_ALTERNATIVES = 8, PACK_TOKEN = 10, PACK_ALTERNATIVE = 7, NONE = 4095 };
#define DATA_BUDGET ((size_t)3200000)    /* bytes of packed tokens that keep a page below 5 MB */

/* The distinct outputs of one prompt and setting, commonest first. */
struct entry { uint32_t cls, variant, n; const int32_t *ids; size_t n_ids; };
struct list {
    uint32_t prompt, setting;
    struct entry *e;
    size_t n, n_trials;
    bool again;              /* one key computed again and different, not different seeds */
};

struct page {
    const struct report *r;
    struct buf *out, data;
    struct list *lists;      size_t n_lists, at;   /* at: the next to be written */
    struct entry *entries;   size_t n_entries;
    size_t max_shown;        /* outputs per list */
    uint32_t n_alt;          /* alternatives per token */
    int32_t *vocab;          size_t n_vocab;
    uint32_t n_outputs;      /* emitted */
};

/* ---- lists ---------------------------------------------------------------------------------------- */

static int by_count(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->n != y->n)
        return x->n > y->n ? -1 : 1;
    for (size_t i = 0; i < x->n_ids && i < y->n_ids; i++)   /* what begins alike stands together */
        if (x->ids[i] != y->ids[i])
            return x->ids[i] < y->ids[i] ? -1 : 1;
    return x->cls < y->cls ? -1 : x->cls > y->cls;
}

static void add_list(struct page *p, const struct rep_trial *const *t, size_t n, bool again)
{
    struct list *l = &p->lists[p->n_lists++];
    *l = (struct list){.prompt = t[0]->t.prompt, .setting = t[0]->t.setting, .n_trials = n,
                       .e = p->entries + p->n_entries, .again = again};
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < l->n && l->e[k].cls != t[i]->cls)
            k++;
        if (k == l->n)
            l->e[l->n++] = (struct entry){
                .cls = t[i]->cls, .variant = t[i]->variant, .ids = p->r->classes[t[i]->cls].ids,
                .n_ids = p->r->classes[t[i]->cls].n_ids,
            };
        l->e[k].n++;
    }
    qsort(l->e, l->n, sizeof *l->e, by_count);
    p->n_entries += l->n;
}

/* The order of the page. */
static int by_place(const void *a, const void *b)
{
    const struct list *x = a, *y = b;
    if (x->prompt != y->prompt)
        return x->prompt < y->prompt ? -1 : 1;
    if (x->setting != y->setting)
        return x->setting < y->setting ? -1 : 1;
    return (int)x->again - (int)y->again;
}

/* SEEDS first; a cell without them shows whatever was computed there. */
static int make_lists(struct page *p, struct idem_err *err)
{
    static const unsigned fresh = 1u << REC_PURPOSE_REPEATS | 1u << REC_PURPOSE_HOSTS;
    struct rep_groups seeds, again, rest;
    if (report_groups(&seeds, p->r, 1u << REC_PURPOSE_SEEDS, REP_BY_CELL, true, err) != 0)
        return -1;
    int rc = report_groups(&again, p->r, fresh, REP_BY_CELL, true, err);
    if (rc == 0)
        rc = report_groups(&rest, p->r, ~(1u << REC_PURPOSE_SEEDS), REP_BY_CELL, true, err);
    if (rc != 0)
        goto done;
    p->lists = calloc(seeds.n_groups + again.n_groups + rest.n_groups + 1, sizeof *p->lists);
    p->entries = calloc(seeds.n + again.n + rest.n + 1, sizeof *p->entries);
    if (!p->lists || !p->entries) {
        rc = err_memory(err, "the page", (seeds.n + rest.n) * sizeof *p->entries);
    } else {
        for (size_t i = 0; i < seeds.n_groups; i++)
            add_list(p, seeds.t + seeds.start[i], seeds.start[i + 1] - seeds.start[i], false);
        for (size_t i = 0; i < rest.n_groups; i++) {
            const struct rep_trial *t = rest.t[rest.start[i]];
            if (p->r->cells[t->t.prompt * p->r->n_settings + t->t.setting].n_done == 0)
                add_list(p, rest.t + rest.start[i], rest.start[i + 1] - rest.start[i], false);
        }
        for (size_t i = 0; i < again.n_groups; i++) {
            const struct rep_trial *t = again.t[again.start[i]];
            if (p->r->cells[t->t.prompt * p->r->n_settings + t->t.setting].n_same_seed_differ)
                add_list(p, again.t + again.start[i], again.start[i + 1] - again.start[i], true);
        }
        qsort(p->lists, p->n_lists, sizeof *p->lists, by_place);
    }
    report_groups_release(&rest);
    report_groups_release(&again);
done:
    report_groups_release(&seeds);
    return rc;
}

/* ---- how much fits ------------------------------------------------------------------------------- */

static size_t shown(const struct page *p, const struct list *l)
{
    return l->n < p->max_shown ? l->n : p->max_shown;
}

static void choose_detail(struct page *p)
{
    for (p->max_shown = 64;; p->max_shown /= 2) {
        size_t tokens = 0;
        for (size_t i = 0; i < p->n_lists; i++)
            for (size_t k = 0; k < shown(p, &p->lists[i]); k++)
                tokens += p->r->classes[p->lists[i].e[k].cls].n_ids;
        if (tokens * PACK_TOKEN > DATA_BUDGET && p->max_shown > 1)
            continue;
        size_t room = tokens ? DATA_BUDGET / tokens : DATA_BUDGET;
        size_t n = room > PACK_TOKEN ? (room - PACK_TOKEN) / PACK_ALTERNATIVE : 0;
        p->n_alt = n < MAX_ALTERNATIVES ? (uint32_t)n : MAX_ALTERNATIVES;
        return;
    }
}

static uint32_t n_alt(const struct page *p, const struct rec_token *t)
{
    return t->n_top < p->n_alt ? t->n_top : p->n_alt;
}

static int by_i32(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

/* Which token ids the page speaks of, ascending. */
static int make_vocab(struct page *p, struct idem_err *err)
{
    size_t n = 0, k = 0;
    const struct report *r = p->r;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t v = 0; v < r->n_variants; v++)
            for (size_t i = 0; i < r->classes[r->variants[v].cls].n_ids; i++) {
                const struct rec_token *t = &r->variants[v].tokens[i];
                if (pass == 0) {
                    n += 1 + n_alt(p, t);
                    continue;
                }
                p->vocab[k++] = t->id;
                for (uint32_t j = 0; j < n_alt(p, t); j++)
                    p->vocab[k++] = t->top[j].id;
            }
        if (pass == 0 && !(p->vocab = malloc((n + 1) * sizeof *p->vocab)))
            return err_memory(err, "the page's tokens", n * sizeof *p->vocab);
    }
    qsort(p->vocab, n, sizeof *p->vocab, by_i32);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || p->vocab[i] != p->vocab[i - 1])
            p->vocab[p->n_vocab++] = p->vocab[i];
    return 0;
}

/* ---- packing -------------------------------------------------------------------------------------- */

static void digits(struct buf *b, uint64_t v, int width)
{
    static const char d[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (int i = width - 1; i >= 0; i--)
        buf_add(b, &d[v >> (6 * i) & 63], 1);
}

static void pack_id(struct page *p, int32_t id)
{
    const int32_t *at = bsearch(&id, p->vocab, p->n_vocab, sizeof id, by_i32);
    digits(&p->data, at ? (uint64_t)(at - p->vocab) : 0, 3);
}

static void pack_number(struct page *p, double v)
{
    double x = floor(v * 100 + 0.5);
    digits(&p->data, isnan(v) ? NONE : x <= 0 ? 0 : x >= NONE - 1 ? NONE - 1 : (uint64_t)x, 2);
}

static void pack_token(struct page *p, const struct rec_token *t)
{
    pack_id(p, t->id);
    pack_number(p, -(double)t->logprob);
    pack_number(p, -(double)t->logprob_processed);
    pack_number(p, (double)t->entropy);
    digits(&p->data, n_alt(p, t), 1);
    for (uint32_t k = 0; k < n_alt(p, t); k++) {
        pack_id(p, t->top[k].id);
        pack_number(p, -(double)t->top[k].logprob);
        pack_number(p, -(double)t->top[k].logprob_processed);
    }
}

static bool same_number(float a, float b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* Tokens that two outputs of one setting begin with, numbers included. */
static size_t common(const struct report *r, uint32_t a, uint32_t b)
{
    const struct rep_variant *x = &r->variants[a], *y = &r->variants[b];
    size_t n = r->classes[x->cls].n_ids, m = r->classes[y->cls].n_ids, i = 0;
    while (i < n && i < m && x->tokens[i].id == y->tokens[i].id &&
           x->tokens[i].n_top == y->tokens[i].n_top &&
           same_number(x->tokens[i].logprob, y->tokens[i].logprob) &&
           same_number(x->tokens[i].logprob_processed, y->tokens[i].logprob_processed))
        i++;
    return i;
}

/* Appends output k of a list to the data, as a branch of whichever earlier one it is most like. */
static void pack_output(struct page *p, const struct list *l, size_t k, uint32_t first)
{
    const struct report *r = p->r;
    const struct rep_variant *v = &r->variants[l->e[k].variant];
    size_t best = 0, shared = 0;
    for (size_t i = 0; i < k; i++) {
        size_t n = common(r, l->e[i].variant, l->e[k].variant);
        if (n > shared) {
            shared = n;
            best = i;
        }
    }
    buf_addf(&p->data, "%s[%zu,%zu,\"", p->n_outputs ? ",\n" : "", first + best, shared);
    for (size_t i = shared; i < r->classes[v->cls].n_ids; i++)
        pack_token(p, &v->tokens[i]);
    buf_adds(&p->data, "\"]");
    p->n_outputs++;
}

/* ---- HTML ------------------------------------------------------------------------------------------ */

static void esc(struct page *p, const char *s)
{
    report_esc_html(p->out, s, strlen(s));
}

/* Where output k leaves the commonest one; for that one itself, where the first other leaves it. */
static size_t cut_at(const struct report *r, const struct list *l, size_t k)
{
    size_t at = SIZE_MAX;
    for (size_t i = 1; i < l->n; i++) {
        if (k != 0 && k != i)
            continue;
        size_t n = report_parts_at(r, l->e[0].cls, l->e[i].cls);
        if (n == SIZE_MAX)
            n = r->classes[l->e[0].cls].n_ids;
        at = n < at ? n : at;
    }
    return at;
}

static void write_output(struct page *p, const struct list *l, size_t k, bool greedy, uint32_t first)
{
    const struct rep_class *c = &p->r->classes[l->e[k].cls];
    size_t cut = cut_at(p->r, l, k), end = c->stop == REC_STOP_EOS && c->n_ids ? c->n_ids - 1 : c->n_ids;
    if (greedy && l->n == 1 && !l->again)
        buf_adds(p->out, "<li><span class=\"n\">all</span>");
    else
        buf_addf(p->out, "<li><span class=\"n\">%u\xC3\x97</span>", l->e[k].n);
    buf_addf(p->out, "<div class=\"out %s%s\" dir=\"auto\" data-v=\"%u\" data-end=\"%zu\" data-cut=\"",
             rec_stop_name(c->stop), c->text_len ? "" : " none", p->n_outputs, end);
    if (cut != SIZE_MAX)
        buf_addf(p->out, "%zu", cut);
    buf_adds(p->out, "\">");
    if (c->text_len)
        report_esc_html(p->out, c->text, c->text_len);
    else
        buf_adds(p->out, "(empty)");
    buf_adds(p->out, "</div></li>\n");
    pack_output(p, l, k, first);
}

/* Shares of the outputs as a bar of 90 pixels. */
static void write_mix(struct page *p, const struct list *l)
{
    double x = 0, all = (double)l->n_trials;
    buf_adds(p->out, "<svg class=\"mix\" width=\"90\" height=\"12\" aria-hidden=\"true\">");
    for (size_t k = 0; k < l->n && k < 40; k++) {
        double w = 90 * (double)l->e[k].n / all;
        buf_addf(p->out, "<rect%s x=\"%.1f\" width=\"%.1f\" height=\"12\"/>",
                 l->n == 1 ? " class=\"all\"" : "", x, w > 1.5 ? w - 1 : w);
        x += w;
    }
    buf_adds(p->out, "</svg>");
}

static void write_list(struct page *p, const struct list *l, bool first_of_prompt)
{
    const struct report *r = p->r;
    const struct rep_seeds *s = &r->seeds[l->setting];
    uint32_t first = p->n_outputs;
    char name[64] = "";
    size_t cut = cut_at(r, l, 0);
    if (!l->again)
        snprintf(name, sizeof name, " id=\"p%us%u\"", l->prompt, l->setting);
    buf_addf(p->out, "<details class=\"set\"%s data-s=\"%u\" data-first=\"%d\"%s><summary><b>", name,
             l->setting, first_of_prompt, first_of_prompt ? " open" : "");
    esc(p, r->labels[l->setting]);
    buf_adds(p->out, "</b>");
    write_mix(p, l);
    buf_adds(p->out, "<span class=\"soft\">");
    if (l->again && l->n == 1)
        buf_adds(p->out, "one seed, computed again: the same output from other logits");
    else if (l->again)
        buf_addf(p->out, "one seed, computed again: %zu different outputs in %zu", l->n, l->n_trials);
    else if (s->greedy && l->n == 1)
        buf_adds(p->out, "greedy: one output, no seed enters");
    else
        buf_addf(p->out, "%zu distinct of %zu", l->n, l->n_trials);
    if (cut != SIZE_MAX)
        buf_addf(p->out, " \xC2\xB7 first %zu token%s in common", cut, cut == 1 ? "" : "s");
    buf_adds(p->out, "</span></summary><ol class=\"outs\">\n");
    for (size_t k = 0; k < shown(p, l); k++)
        write_output(p, l, k, s->greedy, first);
    if (l->n > shown(p, l))
        buf_addf(p->out, "<li><span></span><span class=\"soft\">and %zu more in the database</span></li>\n",
                 l->n - shown(p, l));
    buf_adds(p->out, "</ol></details>\n");
}

static void write_prompt(struct page *p, uint32_t i)
{
    const struct store_prompt *q = &p->r->prompts[i];
    buf_addf(p->out, "<section class=\"prompt\" id=\"p%u\"><header><h3>", i);
    esc(p, q->id);
    buf_adds(p->out, "</h3><span class=\"kind\">");
    esc(p, q->kind);
    buf_addf(p->out, "</span>%s</header>\n", q->chat ? "<span class=\"kind\">chat</span>" : "");
    if (q->system[0]) {
        buf_adds(p->out, "<div class=\"ask sys\" dir=\"auto\">");
        esc(p, q->system);
        buf_adds(p->out, "</div>\n");
    }
    buf_adds(p->out, "<div class=\"ask\" dir=\"auto\">");
    esc(p, q->text);
    buf_adds(p->out, "</div>\n");
    bool first = true;
    for (; p->at < p->n_lists && p->lists[p->at].prompt == i; p->at++) {
        write_list(p, &p->lists[p->at], first);
        first = false;
    }
    if (first)
        buf_adds(p->out, "<p class=\"soft\">No output yet.</p>\n");
    buf_adds(p->out, "</section>\n");
}

static void write_vocab(struct page *p)
{
    for (size_t i = 0; i < p->n_vocab; i++) {
        size_t len;
        const char *bytes = store_token_bytes(p->r->s, p->vocab[i], &len);
        buf_adds(p->out, i ? "," : "");
        if (!bytes) {
            buf_addf(p->out, "\"[%d]\"", (int)p->vocab[i]);
        } else if (utf8_valid(bytes, len, NULL)) {
            report_esc_json_html(p->out, bytes, len);
        } else {
            buf_adds(p->out, "[");
            for (size_t k = 0; k < len; k++)
                buf_addf(p->out, "%s%u", k ? "," : "", (unsigned char)bytes[k]);
            buf_adds(p->out, "]");
        }
    }
}

int report_page_prompts(const struct report *r, struct buf *out, struct idem_err *err)
{
    struct page p = {.r = r, .out = out};
    buf_init(&p.data, (size_t)128 << 20);
    int rc = make_lists(&p, err);
    if (rc == 0) {
        choose_detail(&p);
        rc = make_vocab(&p, err);
    }
    if (rc == 0) {
        for (uint32_t i = 0; i < r->n_prompts; i++)
            write_prompt(&p, i);
        buf_adds(out, "<script type=\"application/json\" id=\"data\">{\"vocab\":[");
        write_vocab(&p);
        buf_adds(out, "],\n\"outputs\":[");
        buf_add(out, p.data.data ? p.data.data : "", p.data.len);
        buf_adds(out, "]}</script>\n");
        if (p.data.failed || out->failed)
            rc = err_memory(err, "the page", out->max);
    }
    buf_release(&p.data);
    free(p.lists);
    free(p.entries);
    free(p.vocab);
    return rc;
}
