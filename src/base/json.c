/* SPDX-License-Identifier: MIT
 * Writing JSON into a buffer, value by value. */
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* What must stand before the next value or key: a comma, a line break, nothing. */
static void separate(struct json *j)
{
    if (j->after_key) {
        j->after_key = false;
        return;
    }
    if (j->depth == 0)
        return;
    bool *more = &j->more[j->depth - 1];
    if (j->lines && j->depth == 1)
        buf_adds(j->out, *more ? ",\n " : "\n ");
    else if (*more)
        buf_adds(j->out, ", ");
    *more = true;
}

void json_begin(struct json *j, char bracket)
{
    separate(j);
    buf_add(j->out, &bracket, 1);
    if (j->depth == JSON_DEPTH_MAX) {
        j->out->failed = true;
        return;
    }
    j->close[j->depth] = bracket == '{' ? '}' : ']';
    j->more[j->depth++] = false;
}

void json_end(struct json *j)
{
    if (j->depth == 0) {
        j->out->failed = true;
        return;
    }
    j->depth--;
    if (j->lines && j->depth == 0 && j->more[0])
        buf_adds(j->out, "\n");
    buf_add(j->out, &j->close[j->depth], 1);
}

void json_key(struct json *j, const char *key)
{
    separate(j);
    buf_addf(j->out, "\"%s\": ", key);
    j->after_key = true;
}

/* U+2028 and U+2029 are escaped too, so that the text may stand within a script. */
static void add_char(struct buf *b, const char *s, size_t n, int32_t cp)
{
    static const char letters[] = "btn?fr";
    if (cp < 0)
        buf_adds(b, "\xEF\xBF\xBD");
    else if (cp == '"' || cp == '\\')
        buf_addf(b, "\\%c", (char)cp);
    else if (cp >= 8 && cp <= 13 && cp != 11)
        buf_addf(b, "\\%c", letters[cp - 8]);
    else if (cp < 0x20 || cp == 0x7F || cp == 0x2028 || cp == 0x2029)
        buf_addf(b, "\\u%04x", (unsigned)cp);
    else
        buf_add(b, s, n);
}

void json_str(struct json *j, const char *s, size_t len)
{
    separate(j);
    buf_adds(j->out, "\"");
    for (size_t i = 0; i < len;) {
        int32_t cp;
        size_t n = utf8_next(s + i, len - i, &cp);
        add_char(j->out, s + i, n, cp);
        i += n;
    }
    buf_adds(j->out, "\"");
}

void json_strz(struct json *j, const char *s)
{
    if (s)
        json_str(j, s, strlen(s));
    else
        json_null(j);
}

void json_bytes(struct json *j, const char *s, size_t len)
{
    json_begin(j, '[');
    for (size_t i = 0; i < len; i++)
        json_u64(j, (unsigned char)s[i]);
    json_end(j);
}

void json_i64(struct json *j, int64_t v)
{
    separate(j);
    buf_addf(j->out, "%" PRId64, v);
}

void json_u64(struct json *j, uint64_t v)
{
    separate(j);
    buf_addf(j->out, "%" PRIu64, v);
}

/* printf writes the decimal point of the locale; idem never calls setlocale, so it is a point. */
const char *json_number_f32(char out[JSON_NUMBER_MAX], float v)
{
    snprintf(out, JSON_NUMBER_MAX, isfinite(v) ? "%.9g" : "null", (double)v);
    return out;
}

const char *json_number_f64(char out[JSON_NUMBER_MAX], double v)
{
    snprintf(out, JSON_NUMBER_MAX, isfinite(v) ? "%.17g" : "null", v);
    return out;
}

void json_f32(struct json *j, float v)
{
    char n[JSON_NUMBER_MAX];
    separate(j);
    buf_adds(j->out, json_number_f32(n, v));
}

void json_f64(struct json *j, double v)
{
    char n[JSON_NUMBER_MAX];
    separate(j);
    buf_adds(j->out, json_number_f64(n, v));
}

void json_bool(struct json *j, bool v)
{
    separate(j);
    buf_adds(j->out, v ? "true" : "false");
}

void json_null(struct json *j)
{
    separate(j);
    buf_adds(j->out, "null");
}

void json_raw(struct json *j, const char *value)
{
    separate(j);
    buf_adds(j->out, value);
}
