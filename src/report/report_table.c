/* SPDX-License-Identifier: MIT
 * Tables of strings as aligned text or Markdown, and numbers as people read them. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/utf8.h"
#include "report/report_impl.h"

const char *rep_fix(char out[REP_NUM], double v, int digits)
{
    if (isnan(v))
        snprintf(out, REP_NUM, "-");
    else
        snprintf(out, REP_NUM, "%.*f", digits, v);
    return out;
}

/* Never rounds to 0 or 100 what is not. */
const char *rep_pct(char out[REP_NUM], double share)
{
    double v = 100 * share;
    if (isnan(v))
        snprintf(out, REP_NUM, "-");
    else if (v == 0 || v == 100)
        snprintf(out, REP_NUM, "%.0f %%", v);
    else if (v < 0.005 || v > 99.995)
        snprintf(out, REP_NUM, v < 1 ? "< 0.01 %%" : "> 99.99 %%");
    else if (v < 1 || v >= 99.95)
        snprintf(out, REP_NUM, "%.2f %%", v);
    else
        snprintf(out, REP_NUM, "%.1f %%", v);
    return out;
}

const char *rep_level(char out[REP_NUM], double share)
{
    snprintf(out, REP_NUM, "%.6g %%", 100 * share);
    return out;
}

const char *rep_count(char out[REP_NUM], uint64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), k = 0;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            out[k++] = ',';
        out[k++] = digits[i];
    }
    out[k] = '\0';
    return out;
}

const char *rep_p(char out[REP_NUM], double p)
{
    if (isnan(p))
        snprintf(out, REP_NUM, "-");
    else if (p < 0.0001)
        snprintf(out, REP_NUM, "< 0.0001");
    else
        snprintf(out, REP_NUM, "%.4f", p);
    return out;
}

void report_table_init(struct rep_table *t, struct arena *a, size_t n_cols, const char *const *head,
                       const char *align)
{
    *t = (struct rep_table){.n_cols = n_cols, .head = head, .align = align, .arena = a};
}

void report_table_add(struct rep_table *t, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (t->failed)
        return;
    if (t->n_cells == t->cap_cells) {
        size_t cap = t->cap_cells ? t->cap_cells * 2 : 64;
        char **p = arena_array(t->arena, cap, sizeof *p);
        if (!p) {
            t->failed = true;
            return;
        }
        if (t->n_cells)
            memcpy(p, t->cell, t->n_cells * sizeof *p);
        t->cell = p;
        t->cap_cells = cap;
    }
    t->cell[t->n_cells] = arena_strdup(t->arena, text);
    t->failed = !t->cell[t->n_cells];
    t->n_cells += !t->failed;
}

/* Columns that a terminal needs for it. */
static size_t width_of(const char *s)
{
    size_t w = 0, len = strlen(s);
    for (size_t i = 0; i < len;) {
        int32_t cp;
        i += utf8_next(s + i, len - i, &cp);
        w += cp < 0 ? 1 : (size_t)utf8proc_charwidth(cp);
    }
    return w;
}

static void put_cell(struct buf *out, const char *s, size_t width, bool right, bool last)
{
    size_t w = width_of(s);
    size_t pad = w < width ? width - w : 0;
    if (right)
        buf_addf(out, "%*s", (int)pad, "");
    buf_adds(out, s);
    if (!right && !last)
        buf_addf(out, "%*s", (int)pad, "");
}

/* The first column gives way when a line would be wider than max_width. */
void report_table_text(const struct rep_table *t, struct buf *out, size_t indent, size_t max_width)
{
    size_t width[16] = {0}, total = indent;
    size_t n = t->n_cols < 16 ? t->n_cols : 16;
    for (size_t c = 0; c < n; c++) {
        width[c] = width_of(t->head[c]);
        for (size_t i = c; i < t->n_cells; i += t->n_cols) {
            size_t w = width_of(t->cell[i]);
            width[c] = w > width[c] ? w : width[c];
        }
        total += width[c] + (c ? 2 : 0);
    }
    size_t over = total > max_width ? total - max_width : 0;
    width[0] = width[0] > over + 8 ? width[0] - over : width[0] < 8 ? width[0] : 8;
    for (size_t row = 0; row <= t->n_cells / t->n_cols; row++) {
        const char *const *cells = row ? (const char *const *)t->cell + (row - 1) * t->n_cols : t->head;
        buf_addf(out, "%*s", (int)indent, "");
        for (size_t c = 0; c < n; c++) {
            if (c)
                buf_adds(out, "  ");
            if (c == 0 && width_of(cells[0]) > width[0]) {
                struct buf cut;
                buf_init(&cut, 4096);
                report_esc_text(&cut, cells[0], strlen(cells[0]), width[0]);
                put_cell(out, cut.data ? cut.data : "", width[0], t->align[0] == 'r', n == 1);
                buf_release(&cut);
            } else {
                put_cell(out, cells[c], width[c], t->align[c] == 'r', c + 1 == n);
            }
        }
        while (out->len && out->data[out->len - 1] == ' ')
            out->data[--out->len] = '\0';
        buf_adds(out, "\n");
    }
}

void report_table_md(const struct rep_table *t, struct buf *out)
{
    for (size_t c = 0; c < t->n_cols; c++)
        buf_addf(out, "%s %s ", "|", t->head[c]);
    buf_adds(out, "|\n");
    for (size_t c = 0; c < t->n_cols; c++)
        buf_adds(out, t->align[c] == 'r' ? "|---:" : "|---");
    buf_adds(out, "|\n");
    for (size_t i = 0; i < t->n_cells; i++) {
        buf_adds(out, "| ");
        report_esc_md(out, t->cell[i], strlen(t->cell[i]), 0);
        buf_adds(out, i % t->n_cols + 1 == t->n_cols ? " |\n" : " ");
    }
    buf_adds(out, "\n");
}
