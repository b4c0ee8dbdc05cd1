/* SPDX-License-Identifier: MIT
 * GET over HTTP: headers, ranges, redirects, time-outs and limits; http.c alone knows libcurl.
 *
 *     struct http *h = http_open(&err);
 *     struct http_request r = {.url = url, .on_head = head, .on_body = body, .ctx = me};
 *     enum http_fault fault;
 *     int rc = http_get(h, &r, &fault, &err);
 *     http_close(h);
 *
 * Only https, and http to this machine; http elsewhere if the request says plain. A redirect is
 * followed unless it leads from https to http or out of HTTP; the token and what else belongs to
 * the first server (own in struct http_head) goes to no other scheme, host or port. Proxies come
 * from http_proxy, https_proxy, all_proxy and no_proxy, certificates from CURL_CA_BUNDLE,
 * SSL_CERT_FILE and SSL_CERT_DIR, as with curl. No cookies, no .netrc. */
#ifndef BACKEND_HTTP_H
#define BACKEND_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct http;   /* connections that are kept open; one thread at a time */

enum {
    HTTP_HEADERS_MAX = 128,           /* of one response */
    HTTP_HEADER_BYTES_MAX = 1 << 16,
    HTTP_REDIRECTS_MAX = 10,
    HTTP_URL_MAX = 1 << 14,
    HTTP_HOST_MAX = 320
};

/* Why there is no answer, for callers that try again. */
enum http_fault {
    HTTP_FAULT_NONE = 0,
    HTTP_FAULT_RESOLVE,     /* the name of the host, or of the proxy, is not found */
    HTTP_FAULT_CONNECT,     /* nobody answers there */
    HTTP_FAULT_TLS,         /* certificate or handshake */
    HTTP_FAULT_CUT,         /* the connection ended within the answer */
    HTTP_FAULT_STALL,       /* no byte for stall_s */
    HTTP_FAULT_GARBAGE,     /* not HTTP */
    HTTP_FAULT_LIMIT,       /* more headers or redirects than allowed */
    HTTP_FAULT_REFUSED,     /* an address or redirect that is not followed; bad arguments; no memory */
    HTTP_FAULT_CALLER       /* a callback returned -1: err is the callback's */
};

/* One response whose headers are complete. Lives until the callback returns. */
struct http_head {
    int status;             /* 200, 404 ... */
    const char *url;        /* that was asked */
    const char *host;       /* "example.org", "example.org:8080" */
    bool own;               /* same scheme, host and port as the request's url */
    bool redirect;          /* will be followed, its body is dropped */
    bool framed;            /* the end of the body can be told from a cut */
    const char *raw;        /* the headers; use http_header */
    size_t n_headers;
    const struct http_field *fields;
};
struct http_field { size_t name, value; };   /* offsets into raw, NUL-terminated */

/* The value of the last header of that name in any case of letters, without blanks around it;
 * NULL if there is none. */
const char *http_header(const struct http_head *h, const char *name);

/* Callbacks return 0, or -1 with err filled to end the request. */
struct http_request {
    const char *url;
    const char *bearer;          /* token for the server of url, or NULL; only where http_private(url) */
    uint64_t from;               /* > 0: ask for the bytes from here on */
    const char *if_range;        /* with from: the ETag that must still hold, or NULL */
    bool plain;                  /* http:// to other machines is wanted */
    unsigned connect_s, stall_s; /* 0: 30, 60 */
    int (*on_head)(void *ctx, const struct http_head *h, struct idem_err *err);    /* each response */
    int (*on_body)(void *ctx, const char *data, size_t len, struct idem_err *err); /* of 200 and 206 */
    int (*on_idle)(void *ctx, struct idem_err *err);   /* a few times a second; may be NULL */
    void *ctx;
};

struct http *http_open(struct idem_err *err);
void http_close(struct http *h);                       /* NULL is allowed */

/* 0: a last response came and was read to its end, whatever its status. -1: *fault and err. */
int http_get(struct http *h, const struct http_request *r, enum http_fault *fault, struct idem_err *err);

/* Nobody on the way can read what goes to url: https, or this machine. */
bool http_private(const char *url);

/* ---- pure parts -------------------------------------------------------------------------------- */

/* "bytes 5-9/10" (total "*" gives UINT64_MAX). false: not of that form, or from > to, to >= total. */
bool http_content_range(const char *value, uint64_t *from, uint64_t *to, uint64_t *total);
/* A whole decimal number and nothing else. */
bool http_number(const char *value, uint64_t *out);
/* Retry-After in seconds: a number, or an HTTP date against `now` (Unix time; 0 when past). -1: neither. */
int64_t http_retry_after(const char *value, int64_t now);
/* A strong ETag, quotes included: what If-Range may carry. */
bool http_strong_etag(const char *value);

#endif
