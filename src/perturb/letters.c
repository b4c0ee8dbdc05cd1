/* SPDX-License-Identifier: MIT
 * Case, and one slip of the fingers. */
#include <string.h>

#include "perturb/intern.h"

static bool free_letter(const struct pert_work *w, size_t g)
{
    return g < w->c.n && !w->c.frozen[g] && pert_is_letter(w->c.cp[g]);
}

static size_t len_of(const struct pert_work *w, size_t g) { return w->c.at[g + 1] - w->c.at[g]; }
static const char *bytes_of(const struct pert_work *w, size_t g) { return w->c.s + w->c.at[g]; }

/* ---- case ----------------------------------------------------------------------------------- */

/* Character g in that case is in w->tmp afterwards. True if that is another text. */
static bool recased(struct pert_work *w, size_t g, bool upper)
{
    buf_clear(&w->tmp);
    pert_put_case(&w->tmp, bytes_of(w, g), len_of(w, g), upper);
    return w->tmp.len != len_of(w, g) || memcmp(w->tmp.data, bytes_of(w, g), w->tmp.len) != 0;
}

static void set_case(struct pert_work *w, size_t g, bool upper)
{
    if (recased(w, g, upper))
        pert_edit(w, w->c.at[g], w->c.at[g + 1], w->tmp.data, w->tmp.len);
}

/* The other case of a letter, if it has one. */
static bool toggled(struct pert_work *w, size_t g) { return recased(w, g, true) || recased(w, g, false); }

/* The whole body at once: one site, or none where no letter would change. */
static void all_sites(struct pert_work *w, bool upper, bool starts)
{
    for (size_t g = w->g_from; g < w->g_to && w->n_sites == 0; g++)
        if (free_letter(w, g) && !(starts && g > 0 && pert_in_word(&w->c, g - 1)) && recased(w, g, upper))
            pert_site_add(w, g, 0);
}

static void all_edit(struct pert_work *w, bool upper, bool starts)
{
    for (size_t g = w->g_from; g < w->g_to; g++)
        if (free_letter(w, g) && !(starts && g > 0 && pert_in_word(&w->c, g - 1)))
            set_case(w, g, upper);
}

void pert_case_lower_sites(struct pert_work *w) { all_sites(w, false, false); }
void pert_case_upper_sites(struct pert_work *w) { all_sites(w, true, false); }
void pert_case_title_sites(struct pert_work *w) { all_sites(w, true, true); }

void pert_case_lower_edit(struct pert_work *w, struct pert_site at)
{
    (void)at;
    all_edit(w, false, false);
}

void pert_case_upper_edit(struct pert_work *w, struct pert_site at)
{
    (void)at;
    all_edit(w, true, false);
}

void pert_case_title_edit(struct pert_work *w, struct pert_site at)
{
    (void)at;
    all_edit(w, true, true);
}

/* The first letter of the body, whichever it is; kept: it does not apply. */
void pert_case_first_sites(struct pert_work *w)
{
    size_t g = w->g_from;
    while (g < w->g_to && !pert_is_letter(w->c.cp[g]))
        g++;
    if (g < w->g_to && free_letter(w, g) && toggled(w, g))
        pert_site_add(w, g, 0);
}

void pert_case_first_edit(struct pert_work *w, struct pert_site at) { pert_case_one_edit(w, at); }

void pert_case_one_sites(struct pert_work *w)
{
    for (size_t g = w->g_from; g < w->g_to; g++)
        if (free_letter(w, g) && toggled(w, g))
            pert_site_add(w, g, 0);
}

void pert_case_one_edit(struct pert_work *w, struct pert_site at)
{
    set_case(w, at.g, recased(w, at.g, true));
}

/* ---- typos ------------------------------------------------------------------------------------ */

void pert_typo_swap_sites(struct pert_work *w)
{
    for (size_t g = w->g_from; g + 1 < w->g_to; g++)
        if (free_letter(w, g) && free_letter(w, g + 1) &&
            (len_of(w, g) != len_of(w, g + 1) || memcmp(bytes_of(w, g), bytes_of(w, g + 1), len_of(w, g)) != 0))
            pert_site_add(w, g, 0);
}

void pert_typo_swap_edit(struct pert_work *w, struct pert_site at)
{
    buf_clear(&w->tmp);
    buf_add(&w->tmp, bytes_of(w, at.g + 1), len_of(w, at.g + 1));
    buf_add(&w->tmp, bytes_of(w, at.g), len_of(w, at.g));
    pert_edit(w, w->c.at[at.g], w->c.at[at.g + 2], w->tmp.data, w->tmp.len);
}

/* A word of one letter would be gone altogether. */
void pert_typo_drop_sites(struct pert_work *w)
{
    for (size_t g = w->g_from; g < w->g_to; g++) {
        bool before = g > w->g_from && pert_is_letter(w->c.cp[g - 1]);
        bool behind = g + 1 < w->g_to && pert_is_letter(w->c.cp[g + 1]);
        if (free_letter(w, g) && (before || behind))
            pert_site_add(w, g, 0);
    }
}

void pert_typo_drop_edit(struct pert_work *w, struct pert_site at)
{
    pert_edit(w, w->c.at[at.g], w->c.at[at.g + 1], "", 0);
}

void pert_typo_double_sites(struct pert_work *w)
{
    for (size_t g = w->g_from; g < w->g_to; g++)
        if (free_letter(w, g))
            pert_site_add(w, g, 0);
}

void pert_typo_double_edit(struct pert_work *w, struct pert_site at)
{
    pert_edit(w, w->c.at[at.g + 1], w->c.at[at.g + 1], bytes_of(w, at.g), len_of(w, at.g));
}

/* The entry of a letter, whatever its case; n_entries if the keyboard has none. */
static size_t key_of(struct pert_work *w, size_t g)
{
    buf_clear(&w->tmp);
    pert_put_case(&w->tmp, bytes_of(w, g), len_of(w, g), false);
    return w->tmp.failed ? w->n_entries : pert_list_find(w->in->list, w->tmp.data, w->tmp.len);
}

void pert_typo_neighbour_sites(struct pert_work *w)
{
    for (size_t g = w->g_from, key; g < w->g_to; g++)
        if (free_letter(w, g) && (key = key_of(w, g)) < w->n_entries)
            pert_site_add(w, g, key);
}

/* A letter first, then one of its neighbours, in the case of the letter. */
void pert_typo_neighbour_edit(struct pert_work *w, struct pert_site at)
{
    const struct perturb_entry *e = &w->entries[at.v];
    const struct perturb_text *v = &e->values[rng_below(&w->rng, (uint32_t)e->n_values)];
    bool upper = recased(w, at.g, false);
    buf_clear(&w->tmp);
    pert_put_case(&w->tmp, v->s, v->len, upper);
    pert_edit(w, w->c.at[at.g], w->c.at[at.g + 1], w->tmp.data, w->tmp.len);
}
