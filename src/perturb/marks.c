/* SPDX-License-Identifier: MIT
 * Spaces and punctuation. */
#include "perturb/intern.h"

static void insert(struct pert_work *w, size_t byte, const char *s) { pert_edit(w, byte, byte, s, 1); }

static void drop(struct pert_work *w, size_t g) { pert_edit(w, w->c.at[g], w->c.at[g + 1], "", 0); }

static void twice(struct pert_work *w, size_t g)
{
    size_t end = w->c.at[g + 1];
    pert_edit(w, end, end, w->c.s + w->c.at[g], end - w->c.at[g]);
}

/* ---- spaces ----------------------------------------------------------------------------------- */

static bool blank(const struct pert_work *w, size_t g)
{
    int32_t cp = w->c.cp[g];
    return cp == ' ' || cp == '\t' || cp == '\n' || cp == '\r';
}

void pert_space_double_sites(struct pert_work *w)
{
    for (size_t g = w->g_from; g < w->g_to; g++)
        if (w->c.cp[g] == ' ' && !w->c.frozen[g])
            pert_site_add(w, g, 0);
}

void pert_space_double_edit(struct pert_work *w, struct pert_site at) { twice(w, at.g); }

/* Only between two words that are both free: a kept name is not glued to its neighbour. */
void pert_space_drop_sites(struct pert_work *w)
{
    for (size_t g = w->g_from + 1; g + 1 < w->g_to; g++)
        if (w->c.cp[g] == ' ' && !w->c.frozen[g] && !w->c.frozen[g - 1] && !w->c.frozen[g + 1] &&
            !blank(w, g - 1) && !blank(w, g + 1))
            pert_site_add(w, g, 0);
}

void pert_space_drop_edit(struct pert_work *w, struct pert_site at) { drop(w, at.g); }

void pert_space_leading_sites(struct pert_work *w) { pert_site_add(w, w->g_from, 0); }
void pert_space_trailing_sites(struct pert_work *w) { pert_site_add(w, w->g_to, 0); }
void pert_space_newline_sites(struct pert_work *w) { pert_site_add(w, w->g_to, 0); }

void pert_space_leading_edit(struct pert_work *w, struct pert_site at) { insert(w, w->c.at[at.g], " "); }
void pert_space_trailing_edit(struct pert_work *w, struct pert_site at) { insert(w, w->c.at[at.g], " "); }
void pert_space_newline_edit(struct pert_work *w, struct pert_site at) { insert(w, w->c.at[at.g], "\n"); }

/* ---- punctuation ------------------------------------------------------------------------------ */

static bool free_mark(const struct pert_work *w, size_t g)
{
    return !w->c.frozen[g] && pert_is_mark(w->c.cp[g]);
}

void pert_punct_drop_sites(struct pert_work *w)
{
    for (size_t g = w->g_from; g < w->g_to; g++)
        if (free_mark(w, g))
            pert_site_add(w, g, 0);
}

void pert_punct_double_sites(struct pert_work *w) { pert_punct_drop_sites(w); }
void pert_punct_drop_edit(struct pert_work *w, struct pert_site at) { drop(w, at.g); }
void pert_punct_double_edit(struct pert_work *w, struct pert_site at) { twice(w, at.g); }

/* The last character that is no space, as a site. */
static bool last(const struct pert_work *w, size_t *g)
{
    size_t end = w->g_to;
    while (end > w->g_from && blank(w, end - 1))
        end--;
    *g = end - 1;
    return end > w->g_from;
}

void pert_punct_end_drop_sites(struct pert_work *w)
{
    size_t g;
    if (last(w, &g) && free_mark(w, g))
        pert_site_add(w, g, 0);
}

void pert_punct_end_drop_edit(struct pert_work *w, struct pert_site at) { drop(w, at.g); }

void pert_punct_end_add_sites(struct pert_work *w)
{
    size_t g;
    if (last(w, &g) && !pert_is_mark(w->c.cp[g]))
        pert_site_add(w, g, 0);
}

void pert_punct_end_add_edit(struct pert_work *w, struct pert_site at) { insert(w, w->c.at[at.g + 1], "."); }

void pert_punct_end_change_sites(struct pert_work *w)
{
    size_t g;
    if (last(w, &g) && free_mark(w, g) &&
        (w->c.cp[g] == '?' || w->c.cp[g] == '.' || w->c.cp[g] == '!' || w->c.cp[g] == ':'))
        pert_site_add(w, g, 0);
}

void pert_punct_end_change_edit(struct pert_work *w, struct pert_site at)
{
    pert_edit(w, w->c.at[at.g], w->c.at[at.g + 1], w->c.cp[at.g] == '.' ? "!" : ".", 1);
}
