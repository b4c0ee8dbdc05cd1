/* SPDX-License-Identifier: MIT
 * Names, addresses, digests and the token of the Hugging Face hub. */
#include "cli/hub.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/utf8.h"

static const char hub[] = "https://huggingface.co";

/* ---- names ------------------------------------------------------------------------------------------- */

bool hub_is_ref(const char *text)
{
    return strncmp(text, "hf:", 3) == 0;
}

static bool plain_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.';
}

/* Owners, repositories and revisions: letters, digits, "-_." (and '/' in revisions), no dot first. */
static bool plain_name(const char *s, size_t len, bool slash)
{
    if (len == 0 || s[0] == '/' || s[len - 1] == '/')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!plain_char(s[i]) && !(slash && s[i] == '/'))
            return false;
        else if (s[i] == '.' && (i == 0 || s[i - 1] == '/' || s[i - 1] == '.'))
            return false;
    return true;
}

/* A relative path that stays below its folder. */
static bool plain_path(const char *s, size_t len)
{
    size_t bad;
    if (len == 0 || len >= HUB_FILE_MAX || !utf8_valid(s, len, &bad))
        return false;
    for (size_t i = 0, start = 0; i <= len; i++) {
        if (i < len && s[i] != '/') {
            if ((unsigned char)s[i] < 0x20 || s[i] == 0x7F || s[i] == '\\')
                return false;
            continue;
        }
        if (i == start || s[start] == '.' || i - start > 200)
            return false;   /* "", ".", "..", hidden names; room for what is appended here */
        start = i + 1;
    }
    return true;
}

static void copy(char *out, const char *s, size_t len)
{
    memcpy(out, s, len);
    out[len] = '\0';
}

int hub_set_file(struct hub_ref *r, const char *file, struct idem_err *err)
{
    size_t len = strlen(file);
    if (!plain_path(file, len))
        return err_set(err, IDEM_ERR_FORMAT, "'%.100s' is no name of a file that can be fetched", file);
    copy(r->file, file, len);
    return 0;
}

int hub_parse(const char *text, struct hub_ref *r, struct idem_err *err)
{
    *r = (struct hub_ref){.revision = "main"};
    const char *owner = text + 3, *at = strrchr(owner, '@'), *end = at ? at : owner + strlen(owner);
    const char *slash = memchr(owner, '/', (size_t)(end - owner));
    const char *repo = slash ? slash + 1 : end;
    const char *file = slash ? memchr(repo, '/', (size_t)(end - repo)) : NULL;
    const char *repo_end = file ? file : end;
    size_t owner_len = slash ? (size_t)(slash - owner) : 0, repo_len = (size_t)(repo_end - repo);
    if (!slash || !plain_name(owner, owner_len, false) || !plain_name(repo, repo_len, false) ||
        owner_len >= HUB_NAME_MAX || repo_len >= HUB_NAME_MAX ||
        (file && !plain_path(file + 1, (size_t)(end - file - 1))))
        return err_set(err, IDEM_ERR_USAGE, "'%.200s' is no file of the hub; write hf:OWNER/REPO/FILE, with "
                       "@REVISION behind it if it is not the main branch", text);
    if (at && (!plain_name(at + 1, strlen(at + 1), true) || strlen(at + 1) >= HUB_REVISION_MAX))
        return err_set(err, IDEM_ERR_USAGE, "'%.100s' is no revision; give a branch, a tag or a commit", at + 1);
    copy(r->owner, owner, owner_len);
    copy(r->repo, repo, repo_len);
    if (file)
        copy(r->file, file + 1, (size_t)(end - file - 1));
    if (at)
        copy(r->revision, at + 1, strlen(at + 1));
    return 0;
}

void hub_text(const struct hub_ref *r, struct buf *out)
{
    buf_addf(out, "hf:%s/%s%s%s", r->owner, r->repo, r->file[0] ? "/" : "", r->file);
    if (strcmp(r->revision, "main") != 0)
        buf_addf(out, "@%s", r->revision);
}

void hub_place(const struct hub_ref *r, struct buf *out)
{
    buf_addf(out, "%s/%s", r->owner, r->repo);
    if (strcmp(r->revision, "main") != 0) {
        buf_adds(out, "@");
        for (const char *s = r->revision; *s; s++)
            buf_add(out, *s == '/' ? "--" : s, *s == '/' ? 2 : 1);
    }
    if (r->file[0])
        buf_addf(out, "/%s", r->file);
}

/* ---- addresses ------------------------------------------------------------------------------------------ */

int hub_endpoint(char out[HUB_ENDPOINT_MAX], bool *plain, struct idem_err *err)
{
    const char *set = getenv("HF_ENDPOINT");
    if (!set || !*set)
        set = hub;
    size_t len = strlen(set);
    while (len && set[len - 1] == '/')
        len--;
    *plain = strncasecmp(set, "http://", 7) == 0;
    bool ok = (*plain || strncasecmp(set, "https://", 8) == 0) && len < HUB_ENDPOINT_MAX;
    for (size_t i = 0; i < len; i++)
        ok = ok && set[i] > 0x20 && set[i] < 0x7F && !strchr("?#@", set[i]);
    if (!ok)
        return err_set(err, IDEM_ERR_USAGE, "HF_ENDPOINT is no address of http or https; unset it for the hub "
                       "itself, or set it to the address of a mirror");
    copy(out, set, len);
    return 0;
}

/* Every byte that is not plain becomes %XX; '/' stays if it separates folders. */
static void escape(struct buf *out, const char *s, bool slash)
{
    for (; *s; s++)
        if (plain_char(*s) || *s == '~' || (slash && *s == '/'))
            buf_add(out, s, 1);
        else
            buf_addf(out, "%%%02X", (unsigned char)*s);
}

void hub_url(const char *endpoint, const struct hub_ref *r, struct buf *out)
{
    buf_addf(out, "%s/%s/%s/resolve/", endpoint, r->owner, r->repo);
    escape(out, r->revision, false);
    buf_adds(out, "/");
    escape(out, r->file, true);
}

void hub_page(const char *endpoint, const struct hub_ref *r, struct buf *out)
{
    buf_addf(out, "%s/%s/%s", endpoint, r->owner, r->repo);
}

/* ---- the token --------------------------------------------------------------------------------------------- */

/* The token file of huggingface_hub; empty if no folder is known. */
static void token_file(struct buf *path)
{
    const char *file = getenv("HF_TOKEN_PATH"), *hf = getenv("HF_HOME"), *xdg = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    if (file && *file)
        buf_adds(path, file);
    else if (hf && *hf)
        buf_addf(path, "%s/token", hf);
    else if (xdg && *xdg)
        buf_addf(path, "%s/huggingface/token", xdg);
    else if (home && *home)
        buf_addf(path, "%s/.cache/huggingface/token", home);
}

int hub_token(struct buf *out, const char **from, struct idem_err *err)
{
    static const char *const names[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"};
    *from = NULL;
    for (size_t i = 0; i < 2 && !*from; i++) {
        const char *value = getenv(names[i]);
        if (value && value[strspn(value, " \t\r\n")]) {
            buf_adds(out, value);
            *from = names[i];
        }
    }
    if (!*from) {
        struct buf path;
        buf_init(&path, 1 << 16);
        token_file(&path);
        if (path.len && !path.failed && access(path.data, R_OK) == 0 && file_read(out, path.data, NULL) == 0)
            *from = "the token file of huggingface_hub";
        else
            buf_clear(out);
        buf_release(&path);
    }
    size_t start = 0;
    while (out->len && out->data[out->len - 1] && strchr(" \t\r\n", out->data[out->len - 1]))
        out->data[--out->len] = '\0';
    while (start < out->len && strchr(" \t\r\n", out->data[start]))
        start++;
    if (start)
        memmove(out->data, out->data + start, (out->len -= start) + 1);
    bool ok = !out->failed;
    for (size_t i = 0; i < out->len; i++)
        ok = ok && out->data[i] > 0x20 && out->data[i] < 0x7F;
    if (out->len == 0)
        *from = NULL;
    if (ok)
        return 0;
    return err_set(err, IDEM_ERR_USAGE, "the token in %s cannot be one: it has a blank or another character "
                   "that tokens do not have; correct or unset it", *from ? *from : names[0]);
}

/* ---- facts ---------------------------------------------------------------------------------------------------- */

static bool hex_digits(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isxdigit((unsigned char)s[i]))
            return false;
    return s[len] == '\0' || s[len] == '"';
}

static void lower(char *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (char)tolower((unsigned char)s[i]);
    out[len] = '\0';
}

void hub_take_digest(struct hub_facts *f, const char *etag)
{
    if (!etag)
        return;
    if (strncmp(etag, "W/", 2) == 0)
        etag += 2;
    if (*etag == '"')
        etag++;
    size_t len = strcspn(etag, "\"");
    if (len == 64 && hex_digits(etag, 64))
        lower(f->sha256, etag, 64);
    else if (len == 40 && hex_digits(etag, 40))
        lower(f->sha1, etag, 40);
}

int hub_facts_write(const struct hub_facts *f, const char *path, struct idem_err *err)
{
    struct buf b;
    buf_init(&b, 1 << 14);
    buf_addf(&b, "source %s\n", f->source);
    if (f->sized)
        buf_addf(&b, "bytes %" PRIu64 "\n", f->bytes);
    const struct { const char *key, *value; } rows[] = {
        {"sha256", f->sha256}, {"git-blob-sha1", f->sha1}, {"commit", f->commit}, {"etag", f->etag},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].value[0])
            buf_addf(&b, "%s %s\n", rows[i].key, rows[i].value);
    int rc = b.failed ? err_memory(err, "a note of where a file is from", b.max)
                      : file_write(path, b.data, b.len, err);
    buf_release(&b);
    return rc;
}

/* "key value" into f; false for what does not belong there. */
static bool fact(struct hub_facts *f, const char *key, const char *value)
{
    size_t len = strlen(value);
    if (strcmp(key, "source") == 0 && len < sizeof f->source)
        copy(f->source, value, len);
    else if (strcmp(key, "bytes") == 0 && len > 0 && len < 20 && strspn(value, "0123456789") == len)
        f->sized = true, f->bytes = strtoull(value, NULL, 10);
    else if (strcmp(key, "sha256") == 0 && len == 64 && hex_digits(value, 64))
        lower(f->sha256, value, 64);
    else if (strcmp(key, "git-blob-sha1") == 0 && len == 40 && hex_digits(value, 40))
        lower(f->sha1, value, 40);
    else if (strcmp(key, "commit") == 0 && len == 40 && hex_digits(value, 40))
        lower(f->commit, value, 40);
    else if (strcmp(key, "etag") == 0 && len < sizeof f->etag)
        copy(f->etag, value, len);
    else
        return false;
    return true;
}

int hub_facts_read(struct hub_facts *f, const char *path)
{
    struct buf b;
    int rc = -1;
    *f = (struct hub_facts){0};
    buf_init(&b, 1 << 14);
    if (access(path, R_OK) == 0 && file_read(&b, path, NULL) == 0 && b.len && b.data[b.len - 1] == '\n' &&
        !memchr(b.data, '\0', b.len)) {
        rc = 0;
        for (char *line = b.data, *end; *line && rc == 0; line = end + 1) {
            end = strchr(line, '\n');
            *end = '\0';
            char *value = strchr(line, ' ');
            if (value)
                *value++ = '\0';
            rc = value && fact(f, line, value) ? 0 : -1;
        }
        if (!f->source[0])
            rc = -1;
    }
    if (rc != 0)
        *f = (struct hub_facts){0};
    buf_release(&b);
    return rc;
}
