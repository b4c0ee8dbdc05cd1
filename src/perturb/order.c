/* SPDX-License-Identifier: MIT
 * The order of the options of a question with choices: lines "A. …", "B) …", "(c) …", "1. …". */
#include <string.h>

#include "perturb/intern.h"

struct options {
    struct perturb_span text[PERTURB_MAX_OPTIONS];   /* behind the label, to the end of the line */
    size_t n;
};

/* Whether the line s[len] is option number i; then *at is where its text begins. */
static bool option_line(const char *s, size_t len, size_t i, char first, size_t *at)
{
    size_t k = 0;
    if (first == '1' && i >= 9)
        return false;
    while (k < len && s[k] == ' ')
        k++;
    bool open = k < len && s[k] == '(';
    k += open;
    if (k >= len || (size_t)(unsigned char)s[k] != (size_t)first + i)
        return false;
    k++;
    if (k + 1 >= len || (open ? s[k] != ')' : s[k] != '.' && s[k] != ')' && s[k] != ':') || s[k + 1] != ' ')
        return false;
    for (k += 2; k < len && s[k] == ' ';)
        k++;
    *at = k;
    return k < len;
}

static size_t line_end(const char *s, size_t at, size_t end)
{
    const char *nl = memchr(s + at, '\n', end - at);
    return nl ? (size_t)(nl - s) : end;
}

static size_t trimmed(const char *s, size_t from, size_t to)
{
    while (to > from && (s[to - 1] == ' ' || s[to - 1] == '\r' || s[to - 1] == '\t'))
        to--;
    return to;
}

/* The first block of at least two option lines that follow each other, labelled from the first. */
static void find(const struct perturb_input *in, struct options *o)
{
    static const char firsts[] = {'A', 'a', '1'};
    size_t end = in->body_to, next;
    for (size_t at = in->body_from; at < end && o->n < 2; at = next) {
        next = line_end(in->text, at, end) + 1;
        for (size_t f = 0; f < sizeof firsts && o->n < 2; f++) {
            size_t from, line = at;
            o->n = 0;
            while (line < end && o->n < PERTURB_MAX_OPTIONS) {
                size_t stop = line_end(in->text, line, end);
                size_t to = trimmed(in->text, line, stop);
                if (!option_line(in->text + line, to - line, o->n, firsts[f], &from))
                    break;
                o->text[o->n++] = (struct perturb_span){line + from, to};
                line = stop + 1;
            }
        }
    }
    if (o->n < 2)
        o->n = 0;
}

static bool equal(const struct perturb_input *in, struct perturb_span a, struct perturb_span b)
{
    return a.to - a.from == b.to - b.from && memcmp(in->text + a.from, in->text + b.from, a.to - a.from) == 0;
}

static bool kept(const struct perturb_input *in, struct perturb_span a)
{
    for (size_t i = 0; i < in->n_keep; i++)
        if (in->keep[i].from < a.to && in->keep[i].to > a.from)
            return true;
    return false;
}

/* One site: the block, if it could come in another order. */
static void sites(struct pert_work *w)
{
    struct options o = {.n = 0};
    bool differ = false;
    find(w->in, &o);
    for (size_t i = 0; i < o.n; i++) {
        differ |= !equal(w->in, o.text[0], o.text[i]);
        if (kept(w->in, o.text[i])) {
            w->why = "an option is kept";
            return;
        }
    }
    if (differ)
        pert_site_add(w, 0, 0);
}

/* Option i of the output is option w->order[i] of the input. False: that is the same text. */
static bool moves(const struct pert_work *w, const struct options *o)
{
    for (size_t i = 0; i < o->n; i++)
        if (!equal(w->in, o->text[i], o->text[w->order[i]]))
            return true;
    return false;
}

static void write_order(struct pert_work *w, const struct options *o)
{
    w->n_order = o->n;
    for (size_t i = 0; i < o->n; i++) {
        struct perturb_span from = o->text[w->order[i]];
        pert_edit(w, o->text[i].from, o->text[i].to, w->in->text + from.from, from.to - from.from);
    }
}

void pert_order_reverse_sites(struct pert_work *w)
{
    struct options o = {.n = 0};
    find(w->in, &o);
    for (size_t i = 0; i < o.n; i++)
        w->order[i] = (uint8_t)(o.n - 1 - i);
    if (moves(w, &o))
        sites(w);
}

void pert_order_reverse_edit(struct pert_work *w, struct pert_site at)
{
    struct options o = {.n = 0};
    (void)at;
    find(w->in, &o);
    write_order(w, &o);
}

void pert_order_rotate_sites(struct pert_work *w)
{
    struct options o = {.n = 0};
    find(w->in, &o);
    for (size_t i = 0; i < o.n; i++)
        w->order[i] = (uint8_t)((i + 1) % o.n);
    sites(w);
}

void pert_order_rotate_edit(struct pert_work *w, struct pert_site at) { pert_order_reverse_edit(w, at); }

void pert_order_shuffle_sites(struct pert_work *w) { sites(w); }

/* Every order that gives another text is equally likely: Fisher and Yates, again until it does. Some
 * two options differ, so at least half of all orders do. */
void pert_order_shuffle_edit(struct pert_work *w, struct pert_site at)
{
    struct options o = {.n = 0};
    (void)at;
    find(w->in, &o);
    do {
        for (size_t i = 0; i < o.n; i++)
            w->order[i] = (uint8_t)i;
        for (size_t i = o.n; i > 1; i--) {
            uint32_t k = rng_below(&w->rng, (uint32_t)i);
            uint8_t t = w->order[i - 1];
            w->order[i - 1] = w->order[k];
            w->order[k] = t;
        }
    } while (!moves(w, &o));
    write_order(w, &o);
}
