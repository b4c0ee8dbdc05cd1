/* SPDX-License-Identifier: MIT
 * One file of the hub to one file here: resumed after a cut, checked, never half under its name. */
#include "cli/download.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

enum {
    WAIT_MAX_S = 120,           /* longer than that is not waited for a server */
    PROGRESS_BYTES = 1 << 16,   /* an attempt that brought so much is no failure in a row */
    ANEW_MAX = 3
};

/* The download of one file. */
struct job {
    struct downloads *s;
    const struct download *d;
    char part[CACHE_PATH], side[CACHE_PATH], source[CACHE_PATH];
    struct buf name, url, page;      /* "hf:OWNER/REPO/FILE", its address, the page of its repository */
    int fd;
    struct digest sha;               /* of the bytes in the part */
    uint64_t have;                   /* how many those are */
    struct hub_facts of_part;        /* what the part is a part of */
    /* of the attempt under way */
    struct hub_facts now;
    int status;
    bool own;                        /* it is the hub that answered so */
    bool anew;                       /* what is here is no part of what comes: begin again */
    char host[HTTP_HOST_MAX], said[256];
    int64_t retry_after;
    /* of all attempts */
    uint64_t best;                   /* the most that was ever here */
    struct cli_progress progress;
    uint64_t got_all;
    double first_byte;
};

/* ---- the part ------------------------------------------------------------------------------------------------ */

/* Throws away what is here: the next bytes are the first. */
static int empty_part(struct job *j, struct idem_err *err)
{
    digest_release(&j->sha);
    j->have = 0;
    j->of_part = (struct hub_facts){0};
    unlink(j->side);
    if (ftruncate(j->fd, 0) != 0)
        return err_set(err, IDEM_ERR_IO, "cannot write '%s': %s", j->part, strerror(errno));
    return digest_init(&j->sha) == 0 ? 0 : err_memory(err, "a digest", 0);
}

static bool has_digest(const struct hub_facts *f)
{
    return f->sha256[0] || f->sha1[0];
}

/* Opens the part and takes what of it can be gone on with. */
static int open_part(struct job *j, struct idem_err *err)
{
    struct stat st;
    j->fd = open(j->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (j->fd < 0 || fstat(j->fd, &st) != 0)
        return err_set(err, IDEM_ERR_IO, "cannot write '%s': %s", j->part, strerror(errno));
    const struct hub_facts *f = &j->of_part;
    bool known = hub_facts_read(&j->of_part, j->side) == 0 && strcmp(f->source, j->name.data) == 0 &&
                 (has_digest(f) || f->etag[0]) && (!f->sized || (uint64_t)st.st_size <= f->bytes);
    if (known && !has_digest(f) && f->sized && (uint64_t)st.st_size == f->bytes)
        known = false;   /* whole, but nothing to check it by */
    if (!known)
        return empty_part(j, err);
    j->have = (uint64_t)st.st_size;
    if (digest_init(&j->sha) != 0)
        return err_memory(err, "a digest", 0);
    return cache_hash(&j->sha, j->fd, j->have, &j->s->user, j->part, err);
}

static int check_room(struct job *j, struct idem_err *err)
{
    struct statvfs v;
    char need_text[32], free_text[32];
    if (!j->now.sized || fstatvfs(j->fd, &v) != 0)
        return 0;
    uint64_t room = (uint64_t)v.f_bavail * v.f_frsize, need = j->now.bytes - j->have;
    if (need <= room)
        return 0;
    cli_bytes(need_text, need);
    cli_bytes(free_text, room);
    return err_set(err, IDEM_ERR_IO, "no room for %s: %s are still to come, and the disk of '%s' has %s; make "
                   "room there, or set XDG_CACHE_HOME to a folder on a larger disk", j->name.data, need_text,
                   j->d->path, free_text);
}

/* ---- what the server says --------------------------------------------------------------------------------- */

static void keep(char *out, size_t size, const char *value)
{
    if (value && strlen(value) < size)
        snprintf(out, size, "%s", value);
}

/* What the hub announces about the file, on a redirect or on the answer itself. */
static void take_facts(struct job *j, const struct http_head *h)
{
    const char *etag = http_header(h, "x-linked-etag"), *commit = http_header(h, "x-repo-commit");
    if (commit && strlen(commit) == 40 && strspn(commit, "0123456789abcdef") == 40)
        keep(j->now.commit, sizeof j->now.commit, commit);
    if (etag)
        hub_take_digest(&j->now, etag);
    else if (!h->redirect && !has_digest(&j->now) && j->now.commit[0])   /* a server that is a hub */
        hub_take_digest(&j->now, http_header(h, "etag"));
    if (http_number(http_header(h, "x-linked-size"), &j->now.bytes))
        j->now.sized = true;
}

static int wrong(struct job *j, const struct http_head *h, const char *what, struct idem_err *err)
{
    return err_set(err, IDEM_ERR_FORMAT, "%s %s (asked for %s)", h->host, what, j->name.data);
}

/* The length of the whole file by this answer, checked against what is known. */
static int take_length(struct job *j, const struct http_head *h, struct idem_err *err)
{
    uint64_t length = 0, from, to, total;
    const char *text = http_header(h, "content-length");
    bool said = http_number(text, &length);
    if (text && !said)
        return wrong(j, h, "sends a Content-Length that is no number", err);
    if (h->status == 206) {
        if (!http_content_range(http_header(h, "content-range"), &from, &to, &total) || from != j->have ||
            j->have == 0 || (said && length != to - from + 1)) {
            j->anew = true;
            return wrong(j, h, "sends another part of the file than was asked for", err);
        }
        said = total != UINT64_MAX;
        length = total;
    }
    if (said && j->now.sized && length != j->now.bytes)
        return err_set(err, IDEM_ERR_FORMAT, "%s sends %" PRIu64 " bytes for %s, but the hub says that it has %"
                       PRIu64 "; try again later, and if that does not help, do not trust the source", h->host,
                       length, j->name.data, j->now.bytes);
    if (said) {
        j->now.sized = true;
        j->now.bytes = length;
    }
    return 0;
}

/* Can what comes be joined to what is here? */
static bool continues(const struct job *j)
{
    const struct hub_facts *a = &j->of_part, *b = &j->now;
    return (!a->sha256[0] || !b->sha256[0] || strcmp(a->sha256, b->sha256) == 0) &&
           (!a->sha1[0] || !b->sha1[0] || strcmp(a->sha1, b->sha1) == 0) &&
           (!a->sized || !b->sized || a->bytes == b->bytes) &&
           (!a->etag[0] || !b->etag[0] || strcmp(a->etag, b->etag) == 0);
}

static int take_body(struct job *j, const struct http_head *h, struct idem_err *err)
{
    const char *etag = http_header(h, "etag"), *encoding = http_header(h, "content-encoding");
    if (encoding && strcmp(encoding, "identity") != 0)
        return wrong(j, h, "sends the file compressed, which nobody asked for", err);
    if (http_strong_etag(etag))
        keep(j->now.etag, sizeof j->now.etag, etag);
    if (take_length(j, h, err) != 0)
        return -1;
    if (j->d->sha256 && j->now.sha256[0] && strcmp(j->d->sha256, j->now.sha256) != 0)
        return err_set(err, IDEM_ERR_FORMAT, "the hub announces %s with SHA-256 %s, but the catalogue knows it "
                       "with %s: it was changed there; nothing was fetched", j->name.data, j->now.sha256,
                       j->d->sha256);
    if (h->status == 206 && !continues(j)) {
        j->anew = true;
        return wrong(j, h, "goes on with another file than the one begun", err);
    }
    if (h->status == 200 && empty_part(j, err) != 0)
        return -1;
    if (!j->now.sized && !h->framed && !has_digest(&j->now) && !j->d->sha256)
        return wrong(j, h, "says neither how long the file is nor its digest, so that its end could not be "
                     "told from a cut", err);
    if (check_room(j, err) != 0)
        return -1;
    snprintf(j->now.source, sizeof j->now.source, "%s", j->name.data);
    j->of_part = j->now;
    return hub_facts_write(&j->now, j->side, err);
}

static int on_head(void *ctx, const struct http_head *h, struct idem_err *err)
{
    struct job *j = ctx;
    j->s->reached = true;
    j->status = h->status;
    j->own = h->own;
    keep(j->host, sizeof j->host, h->host);
    if (h->own)
        take_facts(j, h);
    if (h->redirect)
        return 0;
    if (h->status == 200 || h->status == 206)
        return take_body(j, h, err);
    j->retry_after = http_retry_after(http_header(h, "retry-after"), (int64_t)time(NULL));
    const char *said = http_header(h, "x-error-message");
    snprintf(j->said, sizeof j->said, "%d%s%.200s", h->status, said ? ": " : "", said ? said : "");
    return 0;
}

static void show(struct job *j)
{
    char have[32], all[32], rate[32], detail[208];
    double gone = cli_now() - j->first_byte, per_s = gone > 0.1 ? (double)j->got_all / gone : 0;
    uint64_t left = j->now.sized ? j->now.bytes - j->have : 0;
    cli_bytes(have, j->have);
    cli_bytes(all, j->now.bytes);
    cli_bytes(rate, (uint64_t)per_s);
    const char *file = strrchr(j->d->ref->file, '/') ? strrchr(j->d->ref->file, '/') + 1 : j->d->ref->file;
    snprintf(detail, sizeof detail, "%s of %s, %s/s, %.100s", have, j->now.sized ? all : "?", rate, file);
    double done = j->now.sized && j->now.bytes ? (double)j->have / (double)j->now.bytes : 0;
    cli_progress_show(&j->progress, done, per_s > 0 && j->now.sized ? (double)left / per_s : -1, detail);
}

static int on_body(void *ctx, const char *data, size_t len, struct idem_err *err)
{
    struct job *j = ctx;
    if (j->now.sized && len > j->now.bytes - j->have) {
        empty_part(j, NULL);
        return err_set(err, IDEM_ERR_FORMAT, "%s sends more than the %" PRIu64 " bytes of %s; what came in was "
                       "removed", j->host, j->now.bytes, j->name.data);
    }
    for (size_t at = 0; at < len;) {
        ssize_t n = pwrite(j->fd, data + at, len - at, (off_t)j->have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            char have[32];
            cli_bytes(have, j->have);
            return err_set(err, IDEM_ERR_IO, "cannot write '%s': %s; the %s that came in are kept, make room and "
                           "run the same command again", j->part, strerror(n < 0 ? errno : ENOSPC), have);
        }
        digest_update(&j->sha, data + at, (size_t)n);
        at += (size_t)n;
        j->have += (uint64_t)n;
        if (j->got_all == 0)
            j->first_byte = cli_now();
        j->got_all += (uint64_t)n;
    }
    show(j);
    return 0;
}

static int stopped(struct job *j, struct idem_err *err)
{
    char have[32];
    if (!*j->s->user.stop)
        return 0;
    cli_bytes(have, j->have);
    return err_set(err, IDEM_ERR_INTERRUPTED, "interrupted; %s of %s are kept, the same command goes on from there",
                   have, j->name.data);
}

static int on_idle(void *ctx, struct idem_err *err)
{
    struct job *j = ctx;
    if (j->got_all)
        show(j);
    return stopped(j, err);
}

/* ---- what follows from it ------------------------------------------------------------------------------------- */

enum verdict { VERDICT_FAILED = -1, VERDICT_DONE, VERDICT_ABSENT, VERDICT_ANEW, VERDICT_AGAIN };

/* 401 and 403 of the hub itself. */
static void denied(const struct job *j, struct idem_err *err)
{
    const struct downloads *s = j->s;
    if (s->token.len)
        err_set(err, IDEM_ERR_IO, "%s does not give %s to the account of the token in %s (%s). Accept the licence "
                "with that account on %s, see that the token may read gated repositories, and run the same "
                "command again", j->host, j->name.data, s->token_from, j->said, j->page.data);
    else
        err_set(err, IDEM_ERR_IO, "%s does not give %s to everybody (%s): it is gated, private, or not there. "
                "Accept the licence on %s, make a token on %s/settings/tokens, and run the same command again "
                "with the token in HF_TOKEN", j->host, j->name.data, j->said, j->page.data, s->endpoint);
}

static void offline(const struct job *j, struct idem_err *err)
{
    struct idem_err why = *err;
    err_set(err, IDEM_ERR_IO, "%.400s. Is this machine offline? A proxy goes into https_proxy, a mirror of the hub "
            "into HF_ENDPOINT; or fetch %s elsewhere and put the file here: %s", why.msg, j->url.data, j->d->path);
}

/* err: set when a fault ended the attempt, filled here otherwise. */
static enum verdict judge(struct job *j, int rc, enum http_fault fault, struct idem_err *err)
{
    if (j->anew)
        return VERDICT_ANEW;
    if (rc != 0 && (fault == HTTP_FAULT_RESOLVE || fault == HTTP_FAULT_CONNECT) && !j->s->reached) {
        offline(j, err);
        return VERDICT_FAILED;
    }
    if (rc != 0)
        return fault == HTTP_FAULT_RESOLVE || fault == HTTP_FAULT_CONNECT || fault == HTTP_FAULT_CUT ||
               fault == HTTP_FAULT_STALL ? VERDICT_AGAIN : VERDICT_FAILED;
    switch (j->status) {
    case 200:
    case 206:
        if (!j->now.sized || j->have == j->now.bytes)
            return VERDICT_DONE;
        err_set(err, IDEM_ERR_IO, "%s ended after %" PRIu64 " of %" PRIu64 " bytes", j->host, j->have, j->now.bytes);
        return VERDICT_AGAIN;
    case 416:
        if (j->have > 0)
            return VERDICT_ANEW;
        break;
    case 401:
    case 403:
        if (j->own) {
            denied(j, err);
            return VERDICT_FAILED;
        }
        err_set(err, IDEM_ERR_IO, "%s refuses the file that the hub points to (%s)", j->host, j->said);
        return VERDICT_AGAIN;   /* such addresses live for some minutes only; the hub gives a new one */
    case 404:
        if (j->d->optional)
            return VERDICT_ABSENT;
        err_set(err, IDEM_ERR_IO, "%s has no %s (%s); look on %s how the file is called", j->host, j->name.data,
                j->said, j->page.data);
        return VERDICT_FAILED;
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        err_set(err, IDEM_ERR_IO, "%s cannot give %s now (%s)", j->host, j->name.data, j->said);
        return VERDICT_AGAIN;
    default:
        break;
    }
    err_set(err, IDEM_ERR_IO, "%s answers %s for %s", j->host, j->said, j->name.data);
    return VERDICT_FAILED;
}

/* Waits before the next attempt; -1 and err if there is to be none. failed: attempts in a row. */
static int wait_again(struct job *j, unsigned failed, struct idem_err *err)
{
    unsigned retries = j->s->user.args->retries;
    struct idem_err why = *err;
    char have[32];
    cli_bytes(have, j->have);
    if (failed > retries)
        return err_set(err, IDEM_ERR_IO, "%.500s. Given up after %u attempts; %s are kept, the same command goes on "
                       "from there", why.msg, failed, have);
    int64_t wait = failed > 6 ? 32 : 1 << (failed - 1);
    if (j->retry_after > WAIT_MAX_S)
        return err_set(err, IDEM_ERR_IO, "%.500s. It asks to be left alone for %" PRId64 " seconds; run the same "
                       "command again after that", why.msg, j->retry_after);
    if (j->retry_after >= 0)
        wait = j->retry_after;
    cli_progress_end(&j->progress);
    cli_note(j->s->user.args, "%s; trying again in %" PRId64 " s", why.msg, wait);
    for (double end = cli_now() + (double)wait; cli_now() < end;) {
        if (stopped(j, err) != 0)
            return -1;
        usleep(20000);
    }
    return 0;
}

static int attempt(struct job *j, enum http_fault *fault, struct idem_err *err)
{
    struct downloads *s = j->s;
    j->now = (struct hub_facts){0};
    j->status = 0;
    j->anew = false;
    j->retry_after = -1;
    j->said[0] = '\0';
    *fault = HTTP_FAULT_NONE;
    if (j->have && !has_digest(&j->of_part) && !j->of_part.etag[0] && empty_part(j, err) != 0)
        return -1;   /* nothing would show that the rest is of the same file */
    const struct http_request r = {
        .url = j->url.data, .bearer = s->token.len ? s->token.data : NULL, .plain = s->plain,
        .from = j->have, .if_range = j->of_part.etag[0] ? j->of_part.etag : NULL,
        .stall_s = s->user.args->timeout, .connect_s = s->user.args->timeout,
        .on_head = on_head, .on_body = on_body, .on_idle = on_idle, .ctx = j,
    };
    return http_get(s->http, &r, fault, err);
}

static enum verdict fetch(struct job *j, struct idem_err *err)
{
    unsigned failed = 0, anew = 0;
    if (j->of_part.sized && j->have == j->of_part.bytes && has_digest(&j->of_part)) {
        j->now = j->of_part;   /* whole; an earlier start was ended before it looked */
        return VERDICT_DONE;
    }
    for (;;) {
        enum http_fault fault;
        int rc = attempt(j, &fault, err);
        enum verdict v = judge(j, rc, fault, err);
        if (v == VERDICT_AGAIN) {
            failed = j->have >= j->best + PROGRESS_BYTES ? 1 : failed + 1;
            j->best = j->have > j->best ? j->have : j->best;
            if (wait_again(j, failed, err) != 0)
                return VERDICT_FAILED;
        } else if (v == VERDICT_ANEW) {
            if (++anew > ANEW_MAX) {
                err_set(err, IDEM_ERR_FORMAT, "%s sends other parts of %s than are asked for, again and again; "
                        "what came in was removed", j->host, j->name.data);
                empty_part(j, NULL);
                return VERDICT_FAILED;
            }
            cli_note(j->s->user.args, "%s is another file now, or cannot be gone on with; beginning anew",
                     j->name.data);
            if (empty_part(j, err) != 0)
                return VERDICT_FAILED;
        } else {
            return v;
        }
    }
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* Whole as it is: does it have the digest? */
static int verify(struct job *j, struct idem_err *err)
{
    char hex[DIGEST_HEX], blob[41] = "", magic[5] = "";
    size_t len = strlen(j->d->path);
    digest_final(&j->sha, hex);
    const char *wanted = j->d->sha256 ? j->d->sha256 : j->now.sha256;
    if (j->now.sha1[0] && cache_git_blob(j->part, blob, err) != 0)
        return -1;
    bool right = !wanted[0] || strcmp(wanted, hex) == 0;
    if (!right || strcmp(j->now.sha1, blob) != 0) {
        empty_part(j, NULL);
        return err_set(err, IDEM_ERR_FORMAT, "what came in is not %s: %" PRIu64 " bytes with %s %s, expected %s. It "
                       "was removed; run the same command again, and if that does not help, do not trust the "
                       "source", j->name.data, j->now.bytes, right ? "git's SHA-1" : "SHA-256",
                       right ? blob : hex, right ? j->now.sha1 : wanted);
    }
    if (len > 5 && strcmp(j->d->path + len - 5, ".gguf") == 0 &&
        (pread(j->fd, magic, 4, 0) != 4 || strcmp(magic, "GGUF") != 0)) {
        empty_part(j, NULL);
        return err_set(err, IDEM_ERR_FORMAT, "what came in as %s is no GGUF file: it begins with '%s'; it was "
                       "removed", j->name.data, magic);
    }
    if (!wanted[0] && !j->now.sha1[0])
        cli_warn(j->s->user.args, "no digest was announced for %s, so that only its length is checked", j->name.data);
    memcpy(j->now.sha256, hex, sizeof hex);
    return 0;
}

static int finish(struct job *j, struct idem_err *err)
{
    j->now.sized = true;
    j->now.bytes = j->have;
    if (verify(j, err) != 0)
        return -1;
    snprintf(j->now.source, sizeof j->now.source, "%s", j->name.data);
    if (fsync(j->fd) != 0)
        return err_set(err, IDEM_ERR_IO, "cannot write '%s': %s; what came in is kept", j->part, strerror(errno));
    if (hub_facts_write(&j->now, j->source, err) != 0)
        return -1;
    if (rename(j->part, j->d->path) != 0)
        return err_set(err, IDEM_ERR_IO, "cannot move '%s' to '%s': %s", j->part, j->d->path, strerror(errno));
    unlink(j->side);
    cache_sync_folder(j->d->path);
    return 0;
}

static int begin(struct job *j, struct idem_err *err)
{
    const struct download *d = j->d;
    char folder[CACHE_PATH];
    buf_init(&j->name, HUB_FILE_MAX + 512);
    buf_init(&j->url, 1 << 13);
    buf_init(&j->page, 1 << 11);
    hub_text(d->ref, &j->name);
    hub_url(j->s->endpoint, d->ref, &j->url);
    hub_page(j->s->endpoint, d->ref, &j->page);
    if (j->name.failed || j->url.failed || j->page.failed)
        return err_memory(err, "an address", 0);
    if (cache_beside(j->part, d->path, ".part", err) != 0 || cache_beside(j->side, d->path, ".part.source", err) != 0 ||
        cache_beside(j->source, d->path, ".source", err) != 0 || cache_folder_of(folder, d->path, err) != 0)
        return -1;
    return open_part(j, err);
}

int download_file(struct downloads *s, const struct download *d, enum download_end *end,
                  struct hub_facts *facts, struct idem_err *err)
{
    int here = cache_check(&s->user, d->path, d->sha256, facts, err);
    *end = DOWNLOAD_HERE;
    if (here != 0)
        return here > 0 ? 0 : -1;
    struct job *j = calloc(1, sizeof *j);
    if (!j)
        return err_memory(err, "a download", sizeof *j);
    j->s = s;
    j->d = d;
    j->fd = -1;
    int rc = begin(j, err);
    cli_progress_start(&j->progress, s->user.args, "fetching");
    enum verdict v = rc == 0 ? fetch(j, err) : VERDICT_FAILED;
    cli_progress_end(&j->progress);
    *end = v == VERDICT_ABSENT ? DOWNLOAD_ABSENT : DOWNLOAD_DONE;
    rc = v == VERDICT_DONE ? finish(j, err) : v == VERDICT_ABSENT ? 0 : -1;
    *facts = j->now;
    if (j->fd >= 0) {
        if (j->have == 0) {   /* nothing to go on with: leave nothing */
            unlink(j->part);
            unlink(j->side);
        }
        close(j->fd);
    }
    digest_release(&j->sha);
    buf_release(&j->name);
    buf_release(&j->url);
    buf_release(&j->page);
    free(j);
    return rc;
}

/* ---- what is shared -------------------------------------------------------------------------------------- */

int downloads_open(struct downloads *d, const struct cli_args *a, struct idem_err *err)
{
    *d = (struct downloads){.user = {a, cli_catch_interrupt()}};
    buf_init(&d->token, 1 << 12);
    if (hub_endpoint(d->endpoint, &d->plain, err) != 0 || hub_token(&d->token, &d->token_from, err) != 0)
        return -1;
    if (d->token.len && !http_private(d->endpoint)) {
        cli_warn(a, "the token in %s is not sent: HF_ENDPOINT is not encrypted", d->token_from);
        explicit_bzero(d->token.data, d->token.cap);
        buf_clear(&d->token);
    }
    d->http = http_open(err);
    return d->http ? 0 : -1;
}

void downloads_close(struct downloads *d)
{
    http_close(d->http);
    if (d->token.data)
        explicit_bzero(d->token.data, d->token.cap);
    buf_release(&d->token);
}
