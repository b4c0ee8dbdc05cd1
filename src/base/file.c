/* SPDX-License-Identifier: MIT
 * Files: mapped, read whole, written atomically; the user's cache folder. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int io_error(struct idem_err *err, const char *doing, const char *path)
{
    return err_set(err, IDEM_ERR_IO, "cannot %s '%s': %s", doing, path, strerror(errno));
}

int file_map(struct file_map *m, const char *path, struct idem_err *err)
{
    *m = (struct file_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, "open", path);
    struct stat st;
    int rc = -1;
    if (fstat(fd, &st) != 0) {
        io_error(err, "read", path);
    } else if (!S_ISREG(st.st_mode)) {
        err_set(err, IDEM_ERR_IO, "'%s' is %s, not a file", path,
                S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
    } else if (st.st_size == 0) {
        rc = 0;
    } else {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            io_error(err, "map", path);
        } else {
            m->data = p;
            m->len = (size_t)st.st_size;
            rc = 0;
        }
    }
    close(fd);
    return rc;
}

void file_map_drop(const struct file_map *m, size_t offset, size_t len)
{
    if (!m->data || offset >= m->len)
        return;
    if (len > m->len - offset)
        len = m->len - offset;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)m->data + offset + page - 1) & ~(uintptr_t)(page - 1);
    uintptr_t to = ((uintptr_t)m->data + offset + len) & ~(uintptr_t)(page - 1);
    if (to > from)
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
}

void file_unmap(struct file_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->len);
    *m = (struct file_map){0};
}

int file_read(struct buf *b, const char *path, struct idem_err *err)
{
    bool use_stdin = strcmp(path, "-") == 0;
    const char *name = use_stdin ? "standard input" : path;
    int fd = use_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, "open", path);
    char chunk[65536];
    int rc = 0;
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = io_error(err, "read", name);
        if (n <= 0)
            break;
        if (buf_append(b, chunk, (size_t)n) != 0) {
            rc = err_set(err, IDEM_ERR_LIMIT, "'%s' is larger than the %zu bytes allowed here",
                         name, b->max);
            break;
        }
    }
    if (!use_stdin)
        close(fd);
    return rc;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

int file_write(const char *path, const void *data, size_t len, struct idem_err *err)
{
    size_t n = strlen(path) + 16;
    char *tmp = malloc(n);
    if (!tmp)
        return err_memory(err, "a file name", n);
    snprintf(tmp, n, "%s.XXXXXX", path);
    int rc = -1, fd = mkstemp(tmp);
    if (fd < 0) {
        io_error(err, "write", path);
        goto done;
    }
    mode_t mask = umask(0);
    umask(mask);
    if (write_all(fd, data, len) != 0 || fchmod(fd, 0666 & ~mask) != 0 || fsync(fd) != 0) {
        io_error(err, "write", path);
        close(fd);
    } else if (close(fd) != 0 || rename(tmp, path) != 0) {
        io_error(err, "write", path);
    } else {
        rc = 0;
    }
    if (rc != 0)
        unlink(tmp);
done:
    free(tmp);
    return rc;
}

int file_mkdirs(const char *path, struct idem_err *err)
{
    char *p = strdup(path);
    if (!p)
        return err_memory(err, "a file name", strlen(path));
    int rc = 0;
    for (char *s = p[0] ? p + 1 : p; rc == 0; s++) {
        char c = *s;
        if (c != '/' && c != '\0')
            continue;
        *s = '\0';
        if (mkdir(p, 0777) != 0 && errno != EEXIST)
            rc = io_error(err, "make the folder", p);
        *s = c;
        if (c == '\0')
            break;
    }
    struct stat st;
    if (rc == 0 && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
        rc = err_set(err, IDEM_ERR_IO, "'%s' is in the way: it is not a folder", path);
    free(p);
    return rc;
}

int file_cache_dir(struct buf *path, struct idem_err *err)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0] == '/')
        buf_addf(path, "%s/idem", xdg);
    else if (home && home[0] == '/')
        buf_addf(path, "%s/.cache/idem", home);
    else
        return err_set(err, IDEM_ERR_USAGE,
                       "no place for downloads: set HOME or XDG_CACHE_HOME to a folder");
    if (path->failed)
        return err_memory(err, "a file name", path->max);
    return file_mkdirs(path->data, err);
}
