/* SPDX-License-Identifier: MIT
 * What lists declare: synonyms, wordings around the text, formats, paraphrases. */
#include <string.h>

#include "perturb/intern.h"

/* ---- synonyms --------------------------------------------------------------------------------- */

/* The first character behind the word that begins at g. *frozen: some of it is kept. */
static size_t word_end(const struct pert_work *w, size_t g, bool *frozen)
{
    *frozen = false;
    for (; g < w->g_to && pert_in_word(&w->c, g); g++)
        *frozen |= w->c.frozen[g];
    return g;
}

void pert_synonym_sites(struct pert_work *w)
{
    bool frozen;
    for (size_t g = w->g_from, end; g < w->g_to; g = end > g ? end : g + 1) {
        end = word_end(w, g, &frozen);
        if (end == g || frozen)
            continue;
        buf_clear(&w->tmp);
        pert_put_case(&w->tmp, w->c.s + w->c.at[g], w->c.at[end] - w->c.at[g], false);
        size_t key = w->tmp.failed ? w->n_entries : pert_list_find(w->in->list, w->tmp.data, w->tmp.len);
        if (key < w->n_entries)
            pert_site_add(w, g, key);
    }
}

static bool is_upper(const struct pert_work *w, size_t g, struct buf *b)
{
    size_t len = w->c.at[g + 1] - w->c.at[g];
    buf_clear(b);
    pert_put_case(b, w->c.s + w->c.at[g], len, false);
    return b->len != len || memcmp(b->data, w->c.s + w->c.at[g], len) != 0;
}

/* A word first, then one of its synonyms: "Author" gives "Writer", "AUTHOR" "WRITER", else as the
 * list has it. */
void pert_synonym_edit(struct pert_work *w, struct pert_site at)
{
    const struct perturb_entry *e = &w->entries[at.v];
    const struct perturb_text *v = &e->values[rng_below(&w->rng, (uint32_t)e->n_values)];
    bool frozen, first = is_upper(w, at.g, &w->tmp), all = first;
    size_t end = word_end(w, at.g, &frozen);
    for (size_t g = at.g + 1; g < end; g++)
        all &= !pert_is_letter(w->c.cp[g]) || is_upper(w, g, &w->tmp);
    all &= end - at.g > 1;
    struct pert_chars c;
    if (pert_cut(&c, v->s, v->len)) {
        w->failed = true;
        return;
    }
    size_t n = all ? v->len : first ? c.at[1] : 0;
    buf_clear(&w->tmp);
    pert_put_case(&w->tmp, v->s, n, true);
    buf_add(&w->tmp, v->s + n, v->len - n);
    pert_edit(w, w->c.at[at.g], w->c.at[end], w->tmp.data, w->tmp.len);
    pert_cut_release(&c);
}

/* ---- wordings and formats ----------------------------------------------------------------------- */

/* All entries, or the one that is named. */
void pert_wrap_sites(struct pert_work *w)
{
    for (size_t i = 0; i < w->n_entries; i++)
        if (!w->spec->arg[0] || (strlen(w->spec->arg) == w->entries[i].key.len &&
                                 memcmp(w->spec->arg, w->entries[i].key.s, w->entries[i].key.len) == 0))
            pert_site_add(w, 0, i);
}

/* Cuts a value at the one "{text}" or "{x}" that the list has made sure of. */
static void split(const struct perturb_text *v, const char *slot, struct perturb_text *before,
                  struct perturb_text *behind)
{
    size_t n = strlen(slot);
    const char *at = memmem(v->s, v->len, slot, n);
    *before = (struct perturb_text){v->s, (size_t)(at - v->s)};
    *behind = (struct perturb_text){at + n, v->len - before->len - n};
}

void pert_wrap_edit(struct pert_work *w, struct pert_site at)
{
    struct perturb_text before, behind;
    split(&w->entries[at.v].values[0], "{text}", &before, &behind);
    pert_edit(w, w->in->body_from, w->in->body_from, before.s, before.len);
    pert_edit(w, w->in->body_to, w->in->body_to, behind.s, behind.len);
}

static bool plain(char c) { return c > ' ' && c < 0x7F; }

/* As pert_edit, but leaves out whole words that both texts begin or end with. Cuts only beside a
 * space and before a plain character, where no cluster can be. */
static void edit_words(struct pert_work *w, size_t from, size_t to, const char *s, size_t len)
{
    const char *old = w->in->text;
    size_t n = 0, cut = 0, most = to - from < len ? to - from : len;
    for (; n < most && old[from + n] == s[n]; n++)
        if (s[n] == ' ' && n + 1 < most && plain(old[from + n + 1]) && plain(s[n + 1]))
            cut = n + 1;
    from += cut, s += cut, len -= cut, most -= cut;
    for (n = cut = 0; n < most && old[to - n - 1] == s[len - n - 1];) {
        n++;
        if (s[len - n] == ' ' && n < most && plain(old[to - n - 1]) && plain(s[len - n - 1]))
            cut = n;
    }
    pert_edit(w, from, to - cut, s, len - cut);
}

void pert_format_sites(struct pert_work *w)
{
    bool kept = false;
    for (size_t i = 0; i < w->in->n_keep; i++)
        kept |= w->in->keep[i].from < w->in->keep[i].to &&
                (w->in->keep[i].from < w->in->body_from || w->in->keep[i].to > w->in->body_to);
    if (kept)
        w->why = "the format has a kept span in it";
    else
        pert_wrap_sites(w);
}

void pert_format_edit(struct pert_work *w, struct pert_site at)
{
    struct perturb_text before, behind;
    split(&w->entries[at.v].values[0], "{text}", &before, &behind);
    w->head = before.len;
    w->tail = behind.len;
    edit_words(w, 0, w->in->body_from, before.s, before.len);
    edit_words(w, w->in->body_to, w->in->len, behind.s, behind.len);
}

/* ---- paraphrases ------------------------------------------------------------------------------ */

/* Whether the body is the key; *x: what stands for {x} in it, as bytes of the text. */
static bool matches(const struct pert_work *w, const struct perturb_text *key, struct perturb_span *x)
{
    const char *body = w->in->text + w->in->body_from;
    size_t len = w->in->body_to - w->in->body_from;
    struct perturb_text a, b;
    if (!memmem(key->s, key->len, "{x}", 3)) {
        *x = (struct perturb_span){w->in->body_to, w->in->body_to};
        return len == key->len && memcmp(body, key->s, len) == 0;
    }
    split(key, "{x}", &a, &b);
    if (len <= a.len + b.len || memcmp(body, a.s, a.len) != 0 || memcmp(body + len - b.len, b.s, b.len) != 0)
        return false;
    *x = (struct perturb_span){w->in->body_from + a.len, w->in->body_to - b.len};
    return true;
}

void pert_paraphrase_sites(struct pert_work *w)
{
    struct perturb_span x = {0};
    size_t i = 0;
    while (i < w->n_entries && !matches(w, &w->entries[i].key, &x))
        i++;
    if (i == w->n_entries)
        return;
    for (size_t k = 0; k < w->in->n_keep; k++)
        if (w->in->keep[k].from < w->in->keep[k].to && w->in->keep[k].to > w->in->body_from &&
            w->in->keep[k].from < w->in->body_to &&
            (w->in->keep[k].from < x.from || w->in->keep[k].to > x.to)) {
            w->why = "a kept span lies outside {x}";
            return;
        }
    if (w->spec->number > w->entries[i].n_values) {
        w->why = "the list has fewer paraphrases of it";
        return;
    }
    for (size_t k = 0; k < w->entries[i].n_values; k++)
        if (!w->spec->number || w->spec->number == k + 1)
            pert_site_add(w, i, k);
}

void pert_paraphrase_edit(struct pert_work *w, struct pert_site at)
{
    const struct perturb_entry *e = &w->entries[at.g];
    const struct perturb_text *v = &e->values[at.v];
    struct perturb_span x = {0};
    struct perturb_text before, behind;
    matches(w, &e->key, &x);
    if (x.from == x.to) {
        edit_words(w, w->in->body_from, w->in->body_to, v->s, v->len);
        return;
    }
    split(v, "{x}", &before, &behind);
    edit_words(w, w->in->body_from, x.from, before.s, before.len);
    edit_words(w, x.to, w->in->body_to, behind.s, behind.len);
}
