/* SPDX-License-Identifier: MIT
 * Beam search, the part that knows no model. Source: transformers 5.23, generation/utils.py,
 * _beam_search and the functions it calls. */
#include "sample/beam.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/detmath.h"

size_t beam_n_candidates(const struct rec_settings *set, size_t n_eos)
{
    return (n_eos > 1 ? 1 + n_eos : 2) * (size_t)set->num_beams;
}

void beam_keep(struct beam_candidate *list, size_t *n, size_t max, const struct beam_candidate *c)
{
    if (*n == max && !(c->rank > list[max - 1].rank))
        return;
    size_t at = *n < max ? (*n)++ : max - 1;
    for (; at > 0 && c->rank > list[at - 1].rank; at--)
        list[at] = list[at - 1];
    list[at] = *c;
}

/* length^p. Whole powers by multiplication: exact wherever binary64 holds them. */
static double power(size_t length, double p)
{
    double x = 1, base = (double)length, size = p < 0 ? -p : p;
    if (size > 16 || size != (double)(int)size)
        return det_pow(base, p);
    for (int i = 0; i < (int)size; i++)
        x *= base;
    return p < 0 ? 1 / x : x;
}

float beam_score(float sum, size_t length, double length_penalty)
{
    return sum / (float)power(length, length_penalty);
}

int beam_open(struct beam_state *s, const struct rec_settings *set, struct idem_err *err)
{
    size_t n = set->num_beams;
    double size = fabs(set->length_penalty) * det_log((double)set->max_new_tokens);
    *s = (struct beam_state){.set = set};
    if (!(size <= 69.0))         /* 1e-30 to 1e30: a score divided by it stays in binary32 */
        return err_set(err, IDEM_ERR_USAGE, "length_penalty %g with max_new_tokens %u divides scores "
                       "by more than binary32 can hold; use a value nearer to 0",
                       set->length_penalty, set->max_new_tokens);
    s->pool = calloc(2 * n, sizeof *s->pool);
    s->running = calloc(n, sizeof *s->running);
    if (!s->pool || !s->running) {
        beam_close(s);
        return err_memory(err, "a beam search", n * (2 * sizeof *s->pool + sizeof *s->running));
    }
    return 0;
}

void beam_close(struct beam_state *s)
{
    free(s->pool);
    free(s->running);
    *s = (struct beam_state){0};
}

/* The best that do not end. Candidates are in the order of their draws, not of their sums. */
static void choose_running(struct beam_state *s, const struct beam_candidate *c, size_t n)
{
    s->n_running = 0;
    for (size_t i = 0; i < n; i++) {
        if (c[i].stops)
            continue;
        size_t at = s->n_running;
        while (at > 0 && c[i].sum > c[s->running[at - 1]].sum)
            at--;
        if (at == s->set->num_beams)
            continue;
        if (s->n_running < s->set->num_beams)
            s->n_running++;
        memmove(s->running + at + 1, s->running + at,
                (s->n_running - 1 - at) * sizeof *s->running);
        s->running[at] = i;
    }
}

static void add_to_pool(struct beam_state *s, const struct beam_finished *f)
{
    size_t end = s->n_pool + s->n_fell, at = s->n_pool;
    while (at > 0 && f->score > s->pool[at - 1].score)
        at--;
    memmove(s->pool + at + 1, s->pool + at, (end - at) * sizeof *s->pool);
    s->pool[at] = *f;
    if (s->n_pool < s->set->num_beams)
        s->n_pool++;
    else
        s->n_fell++;
}

/* Whether a running beam can still beat the worst of a full pool, by the rule of early_stopping
 * (which true knows too: there the pool being full ends the search before). */
static bool can_improve(const struct beam_state *s, float best_sum)
{
    const struct rec_settings *set = s->set;
    bool never = set->early_stopping == REC_EARLY_STOPPING_NEVER && set->length_penalty > 0;
    size_t length = never ? set->max_new_tokens : s->length;
    return beam_score(best_sum, length, set->length_penalty) > s->pool[s->n_pool - 1].score;
}

void beam_step(struct beam_state *s, const struct beam_candidate *c, size_t n)
{
    size_t num_beams = s->set->num_beams;
    s->length++;
    s->n_fell = 0;
    for (size_t i = 0; i < s->n_pool; i++)
        s->pool[i].candidate = SIZE_MAX;
    for (size_t i = 0; i < n && i < num_beams; i++) {
        struct beam_finished f = {
            .score = beam_score(c[i].sum, s->length, s->set->length_penalty), .candidate = i};
        if (c[i].stops)
            add_to_pool(s, &f);
    }
    choose_running(s, c, n);
    bool full = s->n_pool == num_beams;
    s->over = s->n_running == 0 ||
              (full && (s->set->early_stopping == REC_EARLY_STOPPING_TRUE ||
                        !can_improve(s, c[s->running[0]].sum)));
}
