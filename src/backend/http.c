/* SPDX-License-Identifier: MIT
 * GET over HTTP through libcurl. Redirects are followed here, one request each, because a token
 * must not travel and because the headers of every hop are wanted. */
#include "backend/http.h"

#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/buf.h"

enum { DROPPED_BODY_MAX = 1 << 16, POLL_MS = 200, BUFFER_BYTES = 1 << 18 };

struct http {
    CURLM *multi;
    CURL *easy;
};

/* Scheme, host and port of an address. */
struct origin {
    bool tls;
    char host[256], port[8];
    char shown[HTTP_HOST_MAX];     /* with the port if it is not the scheme's own */
};

/* One request and its response. */
struct hop {
    const struct http_request *r;
    const char *url;
    struct origin at;
    bool own;
    struct buf raw;                /* headers so far */
    struct http_field fields[HTTP_HEADERS_MAX];
    size_t n_headers;
    int status;
    bool done;                     /* the headers are complete */
    bool redirect, http2;
    size_t dropped;                /* bytes of a body that nobody wants */
    double active;                 /* when the last byte came */
    bool connected;                /* a byte of an answer came */
    enum http_fault fault;
    struct idem_err *err;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int fail(struct hop *p, enum http_fault fault, enum idem_err_code code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static int fail(struct hop *p, enum http_fault fault, enum idem_err_code code, const char *fmt, ...)
{
    char text[800];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    p->fault = fault;
    return err_set(p->err, code, "%s %s", p->at.shown, text);
}

/* ---- addresses ----------------------------------------------------------------------------------- */

static bool is_local(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}

static bool part(CURLU *u, CURLUPart what, unsigned flags, char *out, size_t size)
{
    char *text = NULL;
    bool ok = curl_url_get(u, what, &text, flags) == CURLUE_OK && strlen(text) < size;
    if (ok)
        snprintf(out, size, "%s", text);
    curl_free(text);
    return ok;
}

/* false: no address of http or https, or one with a user or password in it. */
static bool parse_origin(const char *url, struct origin *o)
{
    char scheme[16] = "", user[256];
    *o = (struct origin){0};
    CURLU *u = curl_url();
    bool ok = u && strlen(url) < HTTP_URL_MAX && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              part(u, CURLUPART_SCHEME, 0, scheme, sizeof scheme) &&
              part(u, CURLUPART_HOST, 0, o->host, sizeof o->host) &&
              part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, o->port, sizeof o->port) &&
              !part(u, CURLUPART_USER, 0, user, sizeof user);
    curl_url_cleanup(u);
    o->tls = strcmp(scheme, "https") == 0;
    bool usual = strcmp(o->port, o->tls ? "443" : "80") == 0;
    snprintf(o->shown, sizeof o->shown, "%s%s%s", o->host, usual ? "" : ":", usual ? "" : o->port);
    return ok && (o->tls || strcmp(scheme, "http") == 0);
}

bool http_private(const char *url)
{
    struct origin o;
    return parse_origin(url, &o) && (o.tls || is_local(o.host));
}

static bool same_origin(const struct origin *a, const struct origin *b)
{
    return a->tls == b->tls && strcasecmp(a->host, b->host) == 0 && strcmp(a->port, b->port) == 0;
}

/* ---- what curl calls -------------------------------------------------------------------------------- */

static int head_complete(struct hop *p)
{
    int s = p->status;
    struct http_head h = {
        .status = s, .url = p->url, .host = p->at.shown, .own = p->own,
        .raw = p->raw.len ? p->raw.data : "", .n_headers = p->n_headers, .fields = p->fields,
    };
    const char *encoding = http_header(&h, "transfer-encoding");
    h.framed = p->http2 || http_header(&h, "content-length") ||
               (encoding && strcasecmp(encoding, "chunked") == 0);
    h.redirect = (s == 301 || s == 302 || s == 303 || s == 307 || s == 308) && http_header(&h, "location");
    p->redirect = h.redirect;
    p->done = true;
    if (!p->r->on_head || p->r->on_head(p->r->ctx, &h, p->err) == 0)
        return 0;
    p->fault = HTTP_FAULT_CALLER;
    return -1;
}

/* "HTTP/1.1 200 OK", "HTTP/2 200": curl has read the number already, here it is wanted early. */
static int status_line(struct hop *p, const char *line, size_t len)
{
    const char *s = memchr(line, ' ', len);
    p->status = 0;
    for (int i = 1; s && i <= 3 && s + i < line + len && s[i] >= '0' && s[i] <= '9'; i++)
        p->status = p->status * 10 + (s[i] - '0');
    p->http2 = line[5] >= '2' && line[5] <= '9';
    p->n_headers = 0;
    buf_clear(&p->raw);
    if (p->status >= 100 && p->status <= 599)
        return 0;
    return fail(p, HTTP_FAULT_GARBAGE, IDEM_ERR_FORMAT, "answers with a status that HTTP does not have");
}

/* "Name: value" into raw, NUL-terminated, without blanks around the value. */
static int header_line(struct hop *p, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (!colon || memchr(line, '\0', len))
        return fail(p, HTTP_FAULT_GARBAGE, IDEM_ERR_FORMAT, "sends a header line that is none");
    const char *value = colon + 1, *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r' || end[-1] == '\n'))
        end--;
    struct http_field f = {p->raw.len, p->raw.len + (size_t)(colon - line) + 1};
    buf_add(&p->raw, line, (size_t)(colon - line));
    buf_add(&p->raw, "", 1);
    buf_add(&p->raw, value, (size_t)(end - value));
    buf_add(&p->raw, "", 1);
    if (p->raw.failed || p->n_headers == HTTP_HEADERS_MAX)
        return fail(p, HTTP_FAULT_LIMIT, IDEM_ERR_LIMIT, "sends too many headers (over %d, or over %d bytes)",
                    HTTP_HEADERS_MAX, HTTP_HEADER_BYTES_MAX);
    p->fields[p->n_headers++] = f;
    return 0;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    struct hop *p = ctx;
    size_t len = size * n;
    int rc = 0;
    p->active = now_s();
    p->connected = true;
    if (p->done)
        return len;   /* trailers of a chunked body */
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
        rc = status_line(p, data, len);
    else if (len > 0 && data[0] != '\r' && data[0] != '\n')
        rc = header_line(p, data, len);
    else if (p->status >= 200)
        rc = head_complete(p);
    return rc == 0 ? len : 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct hop *p = ctx;
    size_t len = size * n;
    p->active = now_s();
    if (p->redirect || (p->status != 200 && p->status != 206)) {
        p->dropped += len;
        return p->dropped > DROPPED_BODY_MAX ? 0 : len;
    }
    if (!p->r->on_body || p->r->on_body(p->r->ctx, data, len, p->err) == 0)
        return len;
    p->fault = HTTP_FAULT_CALLER;
    return 0;
}

/* ---- one request ---------------------------------------------------------------------------------------- */

/* Turns what curl says into our words. proxy: status of a proxy that was asked for a tunnel, or 0. */
static int explain(struct hop *p, CURLcode code, const char *detail, long proxy)
{
    const char *why = detail[0] ? detail : curl_easy_strerror(code);
    if (p->fault != HTTP_FAULT_NONE)
        return -1;   /* a callback said it */
    if (!p->connected && proxy >= 300)
        return fail(p, HTTP_FAULT_CONNECT, IDEM_ERR_IO, "cannot be reached (the proxy answers %ld)", proxy);
    if (p->done && p->dropped > DROPPED_BODY_MAX)
        return 0;    /* the headers of this one were all that was wanted */
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return fail(p, HTTP_FAULT_RESOLVE, IDEM_ERR_IO, "cannot be found (%s)", why);
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PROXY:
        return fail(p, HTTP_FAULT_CONNECT, IDEM_ERR_IO, "cannot be reached (%s)", why);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_INITFAILED:
        return fail(p, HTTP_FAULT_TLS, IDEM_ERR_IO, "is not trusted (%s); certificates of your own "
                    "network go into the file that SSL_CERT_FILE names", why);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return fail(p, HTTP_FAULT_CUT, IDEM_ERR_IO, "ended the connection too early (%s)", why);
    case CURLE_OUT_OF_MEMORY:
        if (p->connected && !p->done)   /* curl's word for a header line beyond its own limit */
            return fail(p, HTTP_FAULT_LIMIT, IDEM_ERR_LIMIT, "sends a header that is too long (%s)", why);
        p->fault = HTTP_FAULT_REFUSED;
        return err_memory(p->err, "a connection", 0);
    default:
        return fail(p, HTTP_FAULT_GARBAGE, IDEM_ERR_FORMAT, "gives no answer of HTTP (%s)", why);
    }
}

static int set_options(struct http *h, struct hop *p, struct curl_slist **list, char *error)
{
    const struct http_request *r = p->r;
    CURL *e = h->easy;
    char line[64];
    curl_easy_reset(e);
    /* a server that hangs up is seen as such; nothing but HTTP; nothing that asks for a user */
    curl_easy_setopt(e, CURLOPT_URL, p->url);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, (long)(r->connect_s ? r->connect_s : 30));
    curl_easy_setopt(e, CURLOPT_USERAGENT, "idem/" IDEM_VERSION);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(e, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);   /* the token is not for proxies */
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, p);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, p);
    const char *file = getenv("CURL_CA_BUNDLE"), *folder = getenv("SSL_CERT_DIR");
    if (!file || !*file)
        file = getenv("SSL_CERT_FILE");
    if (file && *file)
        curl_easy_setopt(e, CURLOPT_CAINFO, file);
    if (folder && *folder)
        curl_easy_setopt(e, CURLOPT_CAPATH, folder);
    if (r->from) {
        snprintf(line, sizeof line, "%llu-", (unsigned long long)r->from);
        curl_easy_setopt(e, CURLOPT_RANGE, line);
    }
    struct buf b;
    bool ok = true;
    buf_init(&b, HTTP_URL_MAX);
    if (r->from && r->if_range) {
        buf_addf(&b, "If-Range: %s", r->if_range);
        *list = b.failed ? NULL : curl_slist_append(*list, b.data);
        ok = *list != NULL;
    }
    if (ok && r->bearer && p->own && (p->at.tls || is_local(p->at.host))) {
        buf_clear(&b);
        buf_addf(&b, "Authorization: Bearer %s", r->bearer);
        struct curl_slist *more = b.failed ? NULL : curl_slist_append(*list, b.data);
        ok = more != NULL;
        *list = more ? more : *list;
    }
    if (b.data)
        explicit_bzero(b.data, b.cap);   /* the token need not lie about */
    buf_release(&b);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, *list);
    if (ok)
        return 0;
    p->fault = HTTP_FAULT_REFUSED;
    return err_memory(p->err, "the headers of a request", 0);
}

/* Runs the transfer, looking at the clock and at the caller's wishes. */
static int transfer(struct http *h, struct hop *p, CURLcode *code)
{
    unsigned stall = p->r->stall_s ? p->r->stall_s : 60;
    int running = 1, left;
    p->active = now_s();
    while (running) {
        if (curl_multi_perform(h->multi, &running) != CURLM_OK ||
            (running && curl_multi_poll(h->multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)) {
            p->fault = HTTP_FAULT_REFUSED;
            return err_memory(p->err, "a connection", 0);
        }
        if (!running)
            break;
        if (p->r->on_idle && p->r->on_idle(p->r->ctx, p->err) != 0) {
            p->fault = HTTP_FAULT_CALLER;
            return -1;
        }
        curl_off_t connect_us = 0;
        curl_easy_getinfo(h->easy, CURLINFO_CONNECT_TIME_T, &connect_us);
        if (connect_us == 0 && !p->connected)
            p->active = now_s();   /* curl's own time-out looks after connecting */
        else if (now_s() - p->active > stall)
            return fail(p, HTTP_FAULT_STALL, IDEM_ERR_IO, "sent nothing for %u seconds", stall);
    }
    CURLMsg *m = curl_multi_info_read(h->multi, &left);
    *code = m && m->msg == CURLMSG_DONE ? m->data.result : CURLE_OUT_OF_MEMORY;
    return 0;
}

/* Where the redirect of p leads; next stays empty if that is no address. */
static void resolve(const struct hop *p, struct buf *next)
{
    const struct http_head head = {.raw = p->raw.data, .n_headers = p->n_headers, .fields = p->fields};
    char *url = NULL;
    CURLU *u = curl_url();
    if (u && curl_url_set(u, CURLUPART_URL, p->url, 0) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_URL, http_header(&head, "location"),
                     CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK)
        buf_adds(next, url);
    curl_free(url);
    curl_url_cleanup(u);
}

static int one(struct http *h, struct hop *p, struct buf *next)
{
    char error[CURL_ERROR_SIZE] = "";
    struct curl_slist *list = NULL;
    CURLcode code = CURLE_OK;
    curl_off_t found_us = 0;
    long proxy = 0;
    int rc = set_options(h, p, &list, error);
    if (rc == 0 && curl_multi_add_handle(h->multi, h->easy) != CURLM_OK) {
        p->fault = HTTP_FAULT_REFUSED;
        rc = err_memory(p->err, "a connection", 0);
    } else if (rc == 0) {
        rc = transfer(h, p, &code);
        curl_easy_getinfo(h->easy, CURLINFO_HTTP_CONNECTCODE, &proxy);
        curl_easy_getinfo(h->easy, CURLINFO_NAMELOOKUP_TIME_T, &found_us);
        if (code == CURLE_OPERATION_TIMEDOUT && found_us == 0)
            code = CURLE_COULDNT_RESOLVE_HOST;
        if (rc == 0 && code != CURLE_OK)
            rc = explain(p, code, error, proxy);
        if (rc == 0 && !p->done)
            rc = fail(p, HTTP_FAULT_CUT, IDEM_ERR_IO, "ended the connection too early (within its headers)");
        if (rc == 0 && p->redirect)
            resolve(p, next);
        curl_multi_remove_handle(h->multi, h->easy);
    }
    curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(list);
    return rc;
}

/* ---- the whole --------------------------------------------------------------------------------------------- */

struct http *http_open(struct idem_err *err)
{
    struct http *h = calloc(1, sizeof *h);
    if (h && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
        h->multi = curl_multi_init();
        h->easy = curl_easy_init();
        if (h->multi && h->easy)
            return h;
        http_close(h);
        h = NULL;
    }
    free(h);
    err_memory(err, "a connection", sizeof *h);
    return NULL;
}

void http_close(struct http *h)
{
    if (!h)
        return;
    curl_easy_cleanup(h->easy);
    curl_multi_cleanup(h->multi);
    curl_global_cleanup();
    free(h);
}

/* For messages: never a password. */
static const char *printable(const char *url)
{
    return strchr(url, '@') ? "an address with '@'" : url;
}

/* May p->url be asked? from: where a redirect came from, NULL for the first address. */
static int allowed(struct hop *p, const struct origin *from)
{
    struct idem_err *err = p->err;
    bool ok = parse_origin(p->url, &p->at);
    p->fault = HTTP_FAULT_REFUSED;
    if (!from) {
        if (!ok)
            return err_set(err, IDEM_ERR_USAGE, "'%.200s' is no plain address of http or https",
                           printable(p->url));
        if (!p->at.tls && !p->r->plain && !is_local(p->at.host))
            return err_set(err, IDEM_ERR_USAGE, "'%.200s' is not encrypted; give an https address",
                           printable(p->url));
    } else {
        if (!ok)
            return err_set(err, IDEM_ERR_FORMAT, "%s redirects to '%.200s', which is no plain address of "
                           "http or https; that is not followed", from->shown, printable(p->url));
        if (from->tls && !p->at.tls)
            return err_set(err, IDEM_ERR_FORMAT, "%s redirects to '%.200s', which is not encrypted; that is "
                           "not followed", from->shown, printable(p->url));
    }
    p->fault = HTTP_FAULT_NONE;
    return 0;
}

int http_get(struct http *h, const struct http_request *r, enum http_fault *fault, struct idem_err *err)
{
    struct hop p = {.r = r, .url = r->url, .own = true, .err = err};
    struct origin first, before;
    struct buf url, next;
    buf_init(&p.raw, HTTP_HEADER_BYTES_MAX);
    buf_init(&url, HTTP_URL_MAX);
    buf_init(&next, HTTP_URL_MAX);
    int rc = allowed(&p, NULL);
    first = p.at;
    for (int n = 0; rc == 0; n++) {
        p.done = p.redirect = p.connected = p.http2 = false;
        p.dropped = 0;
        p.own = same_origin(&p.at, &first);
        rc = one(h, &p, &next);
        if (rc != 0 || !p.redirect)
            break;
        if (n == HTTP_REDIRECTS_MAX) {
            rc = fail(&p, HTTP_FAULT_LIMIT, IDEM_ERR_LIMIT, "redirects again: over %d redirects, perhaps in "
                      "a circle", HTTP_REDIRECTS_MAX);
            break;
        }
        if (next.failed || next.len == 0) {
            rc = fail(&p, HTTP_FAULT_REFUSED, IDEM_ERR_FORMAT, "redirects to an address that is none");
            break;
        }
        struct buf old = url;
        url = next;
        next = old;
        buf_clear(&next);
        p.url = url.data;
        before = p.at;
        rc = allowed(&p, &before);
    }
    *fault = p.fault;
    buf_release(&p.raw);
    buf_release(&url);
    buf_release(&next);
    return rc;
}
