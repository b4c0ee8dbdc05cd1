/* SPDX-License-Identifier: MIT
 * The parts of HTTP that are text alone: header values. */
#include <string.h>
#include <strings.h>
#include <time.h>

#include "backend/http.h"

const char *http_header(const struct http_head *h, const char *name)
{
    for (size_t i = h->n_headers; i-- > 0;)
        if (strcasecmp(h->raw + h->fields[i].name, name) == 0)
            return h->raw + h->fields[i].value;
    return NULL;
}

/* Digits at *s, moved behind them. */
static bool digits(const char **s, uint64_t *out)
{
    const char *p = *s;
    uint64_t v = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t d = (uint64_t)(*p - '0');
        if (v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    if (p == *s)
        return false;
    *s = p;
    *out = v;
    return true;
}

bool http_number(const char *value, uint64_t *out)
{
    uint64_t v;
    if (!value || !digits(&value, &v) || *value)
        return false;
    *out = v;
    return true;
}

bool http_content_range(const char *value, uint64_t *from, uint64_t *to, uint64_t *total)
{
    if (!value || strncasecmp(value, "bytes", 5) != 0 || value[5] != ' ')
        return false;
    const char *s = value + 5;
    while (*s == ' ')
        s++;
    if (!digits(&s, from) || *s++ != '-' || !digits(&s, to) || *s++ != '/')
        return false;
    if (strcmp(s, "*") == 0)
        *total = UINT64_MAX;
    else if (!digits(&s, total) || *s)
        return false;
    return *from <= *to && *to < *total;
}

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar. */
static int64_t days(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year, era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int64_t http_retry_after(const char *value, int64_t now)
{
    uint64_t seconds;
    if (http_number(value, &seconds))
        return seconds > INT32_MAX ? INT32_MAX : (int64_t)seconds;
    struct tm t = {0};
    const char *end = value ? strptime(value, "%a, %d %b %Y %H:%M:%S GMT", &t) : NULL;
    if (!end || *end)
        return -1;
    int64_t then = days(t.tm_year + 1900, t.tm_mon + 1, t.tm_mday) * 86400 + t.tm_hour * 3600 +
                   t.tm_min * 60 + t.tm_sec;
    return then <= now ? 0 : then - now > INT32_MAX ? INT32_MAX : then - now;
}

bool http_strong_etag(const char *value)
{
    size_t len = value ? strlen(value) : 0;
    return len >= 2 && value[0] == '"' && value[len - 1] == '"' && !memchr(value + 1, '"', len - 2);
}
