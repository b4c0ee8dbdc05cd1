/* SPDX-License-Identifier: MIT
 * Files in the cache: their places, locks and digests. */
#include "cli/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

int cache_beside(char out[CACHE_PATH], const char *path, const char *suffix, struct idem_err *err)
{
    int n = snprintf(out, CACHE_PATH, "%s%s", path, suffix);
    if (n > 0 && n < CACHE_PATH)
        return 0;
    return err_set(err, IDEM_ERR_LIMIT, "the name of the cache folder is too long (%d bytes); set "
                   "XDG_CACHE_HOME to a shorter one", n);
}

/* The folder of a file, made if it is not there. */
int cache_folder_of(char out[CACHE_PATH], const char *path, struct idem_err *err)
{
    char copy[CACHE_PATH];
    if (cache_beside(copy, path, "", err) != 0 || cache_beside(out, dirname(copy), "", err) != 0)
        return -1;
    return file_mkdirs(out, err);
}

void cache_sync_folder(const char *path)
{
    char folder[CACHE_PATH];
    int fd = cache_folder_of(folder, path, NULL) == 0 ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);   /* where that is not possible, the rename is as safe as it can be */
        close(fd);
    }
}

int cache_lock(const char *name, struct idem_err *err)
{
    struct buf path;
    int fd = -1;
    buf_init(&path, CACHE_PATH);
    int rc = file_cache_dir(&path, err);
    if (rc == 0) {
        buf_adds(&path, "/downloads");
        rc = path.failed ? err_memory(err, "a file name", path.max) : file_mkdirs(path.data, err);
    }
    if (rc == 0) {
        buf_addf(&path, "/hub-%016" PRIx64 ".lock", digest_hash64(name, strlen(name)));
        fd = path.failed ? -1 : open(path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0)
            err_set(err, IDEM_ERR_IO, "cannot write '%s': %s", path.data, strerror(errno));
    }
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        err_set(err, IDEM_ERR_IO, "another 'idem pull' is fetching %s; wait for it", name);
        close(fd);
        fd = -1;
    }
    buf_release(&path);
    return fd;
}

/* ---- digests ---------------------------------------------------------------------------------------------- */

/* Feeds the first len bytes of fd. */
int cache_hash(struct digest *sha, int fd, uint64_t len, const struct cache_user *u, const char *path,
               struct idem_err *err)
{
    static const size_t chunk = 1 << 20;
    struct cli_progress bar;
    char *data = malloc(chunk);
    int rc = data ? 0 : err_memory(err, "a buffer", chunk);
    cli_progress_start(&bar, u->args, "checking");
    for (uint64_t at = 0; rc == 0 && at < len;) {
        size_t want = len - at < chunk ? (size_t)(len - at) : chunk;
        ssize_t n = pread(fd, data, want, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            rc = err_set(err, IDEM_ERR_IO, "cannot read '%s': %s", path, n < 0 ? strerror(errno) : "it got shorter");
            break;
        }
        digest_update(sha, data, (size_t)n);
        at += (uint64_t)n;
        cli_progress_show(&bar, (double)at / (double)len, -1, "");
        if (*u->stop)
            rc = err_set(err, IDEM_ERR_INTERRUPTED, "interrupted; what came in is kept");
    }
    cli_progress_end(&bar);
    free(data);
    return rc;
}

int cache_git_blob(const char *path, char hex[41], struct idem_err *err)
{
    struct file_map map;
    if (file_map(&map, path, err) != 0)
        return -1;
    digest_git_blob(map.data, map.len, hex);
    file_unmap(&map);
    return 0;
}

int cache_check(const struct cache_user *u, const char *path, const char *sha256, struct hub_facts *facts,
                struct idem_err *err)
{
    char source[CACHE_PATH], hex[DIGEST_HEX] = "";
    struct digest sha = {0};
    struct stat st;
    *facts = (struct hub_facts){0};
    if (cache_beside(source, path, ".source", err) != 0)
        return -1;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    hub_facts_read(facts, source);
    int rc = digest_init(&sha) == 0 ? 0 : err_memory(err, "a digest", 0);
    int fd = rc == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (rc == 0 && fd < 0)
        rc = err_set(err, IDEM_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    if (rc == 0)
        rc = cache_hash(&sha, fd, (uint64_t)st.st_size, u, path, err);
    if (rc == 0)
        digest_final(&sha, hex);
    digest_release(&sha);
    if (fd >= 0)
        close(fd);
    if (rc != 0)
        return -1;
    const char *wanted = sha256 ? sha256 : facts->sha256[0] ? facts->sha256 : hex;
    bool right = strcmp(wanted, hex) == 0;
    memcpy(facts->sha256, hex, sizeof hex);
    facts->sized = true;
    facts->bytes = (uint64_t)st.st_size;
    if (right)
        return 1;
    unlink(source);
    if (unlink(path) != 0)
        return err_set(err, IDEM_ERR_IO, "'%s' is damaged (its SHA-256 is %s) and cannot be removed: %s",
                       path, hex, strerror(errno));
    return 0;
}
