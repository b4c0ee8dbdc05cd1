/* SPDX-License-Identifier: MIT
 * One perturbation of one text. Random choices are integers from base/rng.h, stream "pert", whose
 * key is the first 8 bytes, little-endian, of SHA-256("idem perturb 1" seed body name): 14 bytes
 * of text without NUL, the seed as 8 bytes little-endian, the SHA-256 of the body as 64 hexadecimal
 * digits and the kind's name ("typo:swap", "format:plain"), each with its length before it as 8
 * bytes. All places where the kind could act are listed from left to right and one is drawn; a place
 * where characters would break or join is taken off the list (the last one takes its row) and
 * another is drawn. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/utf8.h"
#include "perturb/intern.h"

enum { MAX_OUT = 4 * PERTURB_MAX_TEXT, DIFF_CONTEXT = 40, DIFF_CHANGED = 120 };

/* ---- what kinds call -------------------------------------------------------------------------- */

void pert_site_add(struct pert_work *w, size_t g, size_t v)
{
    if (w->n_sites == w->cap_sites) {
        size_t cap = w->cap_sites ? 2 * w->cap_sites : 64;
        struct pert_site *p = realloc(w->sites, cap * sizeof *p);
        if (!p) {
            w->failed = true;
            return;
        }
        w->sites = p;
        w->cap_sites = cap;
    }
    w->sites[w->n_sites++] = (struct pert_site){g, v};
}

void pert_edit(struct pert_work *w, size_t from, size_t to, const char *s, size_t len)
{
    if (len == to - from && (len == 0 || memcmp(w->in->text + from, s, len) == 0))
        return;
    struct perturb_edit *last = w->n_edits ? &w->edits[w->n_edits - 1] : NULL;
    if (last && last->to == from) {
        last->to = to;
    } else {
        if (w->n_edits == w->cap_edits) {
            size_t cap = w->cap_edits ? 2 * w->cap_edits : 8;
            struct perturb_edit *p = realloc(w->edits, cap * sizeof *p);
            if (!p) {
                w->failed = true;
                return;
            }
            w->edits = p;
            w->cap_edits = cap;
        }
        last = &w->edits[w->n_edits++];
        *last = (struct perturb_edit){from, to, w->news.len, w->news.len};
    }
    buf_add(&w->news, s, len);
    last->out_to = w->news.len;
}

/* ---- from edits to a text ------------------------------------------------------------------------ */

/* Output text, and the places of the edits in it. */
static int build(struct pert_work *w, struct perturb_result *r, struct buf *out)
{
    const struct perturb_input *in = w->in;
    size_t at = 0;
    for (size_t i = 0; i < w->n_edits; i++) {
        struct perturb_edit e = w->edits[i];
        size_t n = e.out_to - e.out_from;
        buf_add(out, in->text + at, e.from - at);
        r->edits[i] = (struct perturb_edit){e.from, e.to, out->len, out->len + n};
        buf_add(out, w->news.data + e.out_from, n);
        at = e.to;
    }
    buf_add(out, in->text + at, in->len - at);
    return out->failed ? -1 : 0;
}

/* Every border between characters outside the edits is one in the output too, and no other is
 * there: nothing was broken or joined. Both texts are cut; the edits' own ends must be borders. */
static bool intact(const struct pert_chars *a, const struct pert_chars *b, const struct perturb_edit *e,
                   size_t n_edits)
{
    size_t i = 0, k = 0;           /* characters of a and b */
    for (size_t x = 0; x <= n_edits; x++) {
        size_t to = x < n_edits ? e[x].from : a->at[a->n];
        for (; i < a->n && a->at[i] < to; i++, k++) {
            size_t off = x ? e[x - 1].out_to - e[x - 1].to : 0;   /* wraps, and back again */
            if (k >= b->n || b->at[k] != a->at[i] + off)
                return false;
        }
        if (x == n_edits)
            break;
        if (a->at[i] != e[x].from || b->at[k] != e[x].out_from)
            return false;
        while (i < a->n && a->at[i] < e[x].to)
            i++;
        while (k < b->n && b->at[k] < e[x].out_to)
            k++;
        if (a->at[i] != e[x].to || b->at[k] != e[x].out_to)
            return false;
    }
    return k == b->n;
}

/* ---- the diff -------------------------------------------------------------- */

/* Bytes of a text on one line: what cannot be seen is written as in C. */
static void put_visible(struct buf *b, const char *s, size_t len)
{
    for (size_t i = 0, step; i < len; i += step) {
        int32_t cp;
        step = utf8_next(s + i, len - i, &cp);
        if (cp == '\n')
            buf_adds(b, "\\n");
        else if (cp == '\t')
            buf_adds(b, "\\t");
        else if (cp == '\r')
            buf_adds(b, "\\r");
        else if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0))
            buf_addf(b, "\\x%02x", (unsigned)cp);
        else
            buf_add(b, s + i, step);
    }
}

/* The text between two characters' borders, its middle left out if it is long. */
static void put_part(struct buf *b, const struct pert_chars *c, size_t from, size_t to, size_t most)
{
    size_t i = pert_char_at(c, from), k = pert_char_at(c, to);
    if (k - i <= most) {
        put_visible(b, c->s + from, to - from);
        return;
    }
    put_visible(b, c->s + from, c->at[i + most / 2] - from);
    buf_adds(b, "…");
    put_visible(b, c->s + c->at[k - most / 2], to - c->at[k - most / 2]);
}

static char *make_diff(const struct pert_chars *a, const struct pert_chars *o, const struct perturb_result *r)
{
    struct buf b;
    buf_init(&b, 16 * PERTURB_MAX_TEXT);
    size_t at = 0;
    for (size_t i = 0; i < r->n_edits; i++) {
        const struct perturb_edit *e = &r->edits[i];
        put_part(&b, a, at, e->from, 2 * DIFF_CONTEXT);
        if (e->from < e->to) {
            buf_adds(&b, "[-");
            put_part(&b, a, e->from, e->to, DIFF_CHANGED);
            buf_adds(&b, "-]");
        }
        if (e->out_from < e->out_to) {
            buf_adds(&b, "{+");
            put_part(&b, o, e->out_from, e->out_to, DIFF_CHANGED);
            buf_adds(&b, "+}");
        }
        at = e->to;
    }
    put_part(&b, a, at, a->at[a->n], 2 * DIFF_CONTEXT);
    return buf_detach(&b);
}

/* ---- one try, and all of them --------------------------------------------------------------------- */

/* Whether something is put into the middle of a kept span that reaches over the end of the body. What
 * is replaced was looked at character by character. */
static bool splits_kept(const struct pert_work *w)
{
    for (size_t i = 0; i < w->n_edits; i++)
        for (size_t k = 0; w->edits[i].from == w->edits[i].to && k < w->in->n_keep; k++)
            if (w->in->keep[k].from < w->edits[i].from && w->edits[i].from < w->in->keep[k].to)
                return true;
    return false;
}

/* Does it at one site. 1: done, r is filled; 0: not there; -1: no memory. */
static int attempt(struct pert_work *w, struct pert_site at, struct perturb_result *r)
{
    struct buf out;
    struct pert_chars o = {0};
    int rc = -1;
    buf_init(&out, MAX_OUT);
    w->n_edits = w->n_order = 0;
    w->head = w->in->body_from;
    w->tail = w->in->len - w->in->body_to;
    buf_clear(&w->news);
    if (w->spec->kind->edit)
        w->spec->kind->edit(w, at);
    if (w->failed || w->news.failed || w->tmp.failed)
        goto done;
    if (w->spec->kind->edit && (w->n_edits == 0 || splits_kept(w))) {
        rc = 0;
        goto done;
    }
    r->edits = calloc(w->n_edits + 1, sizeof *r->edits);
    if (!r->edits || build(w, r, &out) || pert_cut(&o, out.data, out.len))
        goto done;
    rc = 0;
    if (out.len == 0 || !intact(&w->c, &o, r->edits, w->n_edits))
        goto done;
    r->n_edits = w->n_edits;
    r->len = out.len;
    r->body_from = w->head;
    r->body_to = out.len - w->tail;
    r->diff = make_diff(&w->c, &o, r);
    r->n_order = w->n_order;
    memcpy(r->order, w->order, sizeof r->order);
    r->text = buf_detach(&out);
    r->applies = r->text && r->diff;
    rc = r->applies ? 1 : -1;
done:
    pert_cut_release(&o);
    buf_release(&out);
    if (rc != 1)
        perturb_result_release(r);
    return rc;
}

static int start_rng(struct pert_work *w, uint64_t seed)
{
    const struct perturb_input *in = w->in;
    struct digest d = {0};
    char hex[DIGEST_HEX];
    uint64_t key = 0;
    digest_sha256(in->text + in->body_from, in->body_to - in->body_from, hex);
    if (digest_init(&d))
        return -1;
    digest_update(&d, "idem perturb 1", 14);
    digest_u64(&d, seed);
    digest_str(&d, hex, 64);
    digest_str(&d, w->spec->name, strlen(w->spec->name));
    digest_final(&d, hex);
    for (int i = 7; i >= 0; i--) {
        char byte[3] = {hex[2 * i], hex[2 * i + 1], 0};
        key = key << 8 | strtoul(byte, NULL, 16);
    }
    rng_init(&w->rng, key, RNG_STREAM('p', 'e', 'r', 't'));
    return 0;
}

static int check_input(const struct perturb_input *in, struct idem_err *err)
{
    size_t bad = 0;
    if (in->len == 0 || in->len > PERTURB_MAX_TEXT)
        return err_set(err, IDEM_ERR_LIMIT, "a text of %zu bytes cannot be perturbed; allowed: 1 to %d",
                       in->len, PERTURB_MAX_TEXT);
    if (!utf8_valid(in->text, in->len, &bad))
        return err_set(err, IDEM_ERR_FORMAT, "the text is not valid UTF-8 at byte offset %zu", bad);
    if (in->body_from >= in->body_to || in->body_to > in->len)
        return err_set(err, IDEM_ERR_USAGE, "the body is bytes %zu to %zu of a text of %zu", in->body_from,
                       in->body_to, in->len);
    for (size_t i = 0; i < in->n_keep; i++)
        if (in->keep[i].from > in->keep[i].to || in->keep[i].to > in->len)
            return err_set(err, IDEM_ERR_USAGE, "a kept span is bytes %zu to %zu of a text of %zu",
                           in->keep[i].from, in->keep[i].to, in->len);
    return 0;
}

/* Cuts the text and marks what stays. Body borders within a character count to the body's outside. */
static int start(struct pert_work *w, uint64_t seed, struct idem_err *err)
{
    const struct perturb_input *in = w->in;
    if (pert_cut(&w->c, in->text, in->len) || start_rng(w, seed))
        return err_memory(err, "a perturbation", in->len);
    struct pert_chars *c = &w->c;
    w->g_from = pert_char_at(c, in->body_from);
    w->g_to = pert_char_at(c, in->body_to);
    for (size_t g = 0; g < c->n; g++)
        c->frozen[g] = g < w->g_from || g >= w->g_to;
    for (size_t i = 0; i < in->n_keep; i++) {
        size_t g = pert_char_at(c, in->keep[i].from);
        if (g > 0 && in->keep[i].from < in->keep[i].to && (g == c->n || c->at[g] > in->keep[i].from))
            g--;
        for (; g < c->n && c->at[g] < in->keep[i].to; g++)
            c->frozen[g] = true;
    }
    return 0;
}

int perturb_apply(const struct perturb_spec *spec, uint64_t seed, const struct perturb_input *in,
                  struct perturb_result *out, struct idem_err *err)
{
    struct pert_work w = {.spec = spec, .in = in};
    const struct perturb_kind *k = spec->kind;
    *out = (struct perturb_result){0};
    buf_init(&w.news, MAX_OUT);
    buf_init(&w.tmp, MAX_OUT);
    int rc = check_input(in, err) || perturb_spec_check(spec, in->list, err) ? -1 : 0;
    if (rc == 0 && k->list)
        w.entries = perturb_list_entries(in->list, &w.n_entries);
    if (rc == 0)
        rc = start(&w, seed, err);
    if (rc == 0 && k->sites)
        k->sites(&w);
    else if (rc == 0)
        pert_site_add(&w, 0, 0);
    int did = 0;
    while (rc == 0 && did == 0 && w.n_sites > 0 && !w.failed) {
        size_t i = w.n_sites > 1 ? rng_below(&w.rng, (uint32_t)w.n_sites) : 0;
        did = attempt(&w, w.sites[i], out);
        w.sites[i] = w.sites[--w.n_sites];
    }
    if (rc == 0 && (did < 0 || w.failed || w.tmp.failed))
        rc = err_memory(err, "a perturbation", in->len);
    if (rc == 0 && did == 0)
        out->why = w.why ? w.why : k->why;
    pert_cut_release(&w.c);
    free(w.sites);
    free(w.edits);
    buf_release(&w.news);
    buf_release(&w.tmp);
    return rc;
}

void perturb_result_release(struct perturb_result *r)
{
    free(r->text);
    free(r->edits);
    free(r->diff);
    *r = (struct perturb_result){0};
}
