/* SPDX-License-Identifier: MIT
 * Text from models and files, made harmless for a terminal, Markdown, HTML and scripts. */
#include <string.h>

#include <utf8proc.h>

#include "base/utf8.h"
#include "report/report_impl.h"

/* Characters that reorder or hide what stands around them (Unicode: bidi controls, zero-width). */
static bool is_direction(int32_t cp)
{
    return cp == 0x61C || (cp >= 0x200B && cp <= 0x200F) || (cp >= 0x202A && cp <= 0x202E) ||
           (cp >= 0x2060 && cp <= 0x206F) || cp == 0xFEFF || (cp >= 0xE0000 && cp <= 0xE0FFF);
}

static bool is_control(int32_t cp)
{
    return (cp >= 0 && cp < 0x20) || (cp >= 0x7F && cp < 0xA0) || cp == 0x2028 || cp == 0x2029;
}

/* ---- terminals ---------------------------------------------------------------------------------- */

/* One character as it is shown; returns its width in columns. */
static size_t show(struct buf *out, const char *s, size_t len, int32_t cp)
{
    size_t before = out->len;
    if (cp < 0) {
        for (size_t i = 0; i < len; i++)
            buf_addf(out, "\\x%02x", (unsigned char)s[i]);
    } else if (cp == '\n' || cp == '\t' || cp == '\r') {
        buf_adds(out, cp == '\n' ? "\\n" : cp == '\t' ? "\\t" : "\\r");
    } else if (cp == '\\') {
        buf_adds(out, "\\\\");
    } else if (is_control(cp) && cp < 0x100) {
        buf_addf(out, "\\x%02x", (unsigned)cp);
    } else if (is_control(cp) || is_direction(cp)) {
        buf_addf(out, cp > 0xFFFF ? "\\U%08x" : "\\u%04x", (unsigned)cp);
    } else {
        buf_add(out, s, len);
        return (size_t)utf8proc_charwidth(cp);
    }
    return out->len - before;
}

void report_esc_text(struct buf *out, const char *s, size_t len, size_t max_columns)
{
    size_t width = 0, cut_at = out->len;
    for (size_t i = 0; i < len;) {
        int32_t cp;
        size_t n = utf8_next(s + i, len - i, &cp);
        width += show(out, s + i, n, cp);
        i += n;
        if (max_columns && width > max_columns) {   /* back to where "..." still fits */
            if (out->data && cut_at <= out->len) {
                out->len = cut_at;
                out->data[cut_at] = '\0';
            }
            buf_adds(out, "...");
            return;
        }
        if (width + 3 <= max_columns)
            cut_at = out->len;
    }
}

void report_esc_md(struct buf *out, const char *s, size_t len, size_t max_columns)
{
    struct buf plain;
    buf_init(&plain, len * 12 + 64);
    report_esc_text(&plain, s, len, max_columns);
    for (size_t i = 0; i < plain.len; i++) {
        char c = plain.data[i];
        if (c == '<')
            buf_adds(out, "&lt;");
        else if (c == '&')
            buf_adds(out, "&amp;");
        else if (strchr("|\\`*_[]>#~", c) && c)
            buf_addf(out, "\\%c", c);
        else
            buf_add(out, &c, 1);
    }
    out->failed = out->failed || plain.failed;
    buf_release(&plain);
}

/* ---- pages -------------------------------------------------------------------------------------- */

/* What stands in a page for a character that must not stand there itself; false: the character may. */
static bool replace(struct buf *out, int32_t cp)
{
    if (cp < 0)
        buf_adds(out, "\xEF\xBF\xBD");
    else if (cp == '\t' || cp == '\n')
        return false;
    else if (cp < 0x20 || cp == 0x7F) {                  /* control pictures, U+2400 */
        unsigned u = cp == 0x7F ? 0x2421u : 0x2400u + (unsigned)cp;
        const char pic[3] = {(char)(0xE0 | u >> 12), (char)(0x80 | (u >> 6 & 0x3F)),
                             (char)(0x80 | (u & 0x3F))};
        buf_add(out, pic, 3);
    } else if (is_control(cp) || is_direction(cp) || (cp & 0xFFFE) == 0xFFFE ||
               (cp >= 0xFDD0 && cp <= 0xFDEF))
        buf_addf(out, "[U+%04X]", (unsigned)cp);
    else
        return false;
    return true;
}

void report_esc_html(struct buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        int32_t cp;
        size_t n = utf8_next(s + i, len - i, &cp);
        if (!replace(out, cp)) {
            const char *e = cp == '<' ? "&lt;" : cp == '>' ? "&gt;" : cp == '&' ? "&amp;"
                          : cp == '"' ? "&quot;" : cp == '\'' ? "&#39;" : NULL;
            if (e)
                buf_adds(out, e);
            else
                buf_add(out, s + i, n);
        }
        i += n;
    }
}

void report_esc_json_html(struct buf *out, const char *s, size_t len)
{
    buf_adds(out, "\"");
    for (size_t i = 0; i < len;) {
        int32_t cp;
        size_t n = utf8_next(s + i, len - i, &cp);
        if (!replace(out, cp)) {
            if (cp == '"' || cp == '\\')
                buf_addf(out, "\\%c", (char)cp);
            else if (cp == '\n' || cp == '\t')
                buf_adds(out, cp == '\n' ? "\\n" : "\\t");
            else if (cp == '<' || cp == '>' || cp == '&')
                buf_addf(out, "\\u%04x", (unsigned)cp);
            else
                buf_add(out, s + i, n);
        }
        i += n;
    }
    buf_adds(out, "\"");
}
