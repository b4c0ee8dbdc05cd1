/* SPDX-License-Identifier: MIT
 * Writing a GGUF file: keys and tensor table in memory, data streamed to a temporary file. */
#include "gguf/gguf_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

enum { ALIGNMENT = 32, MAX_NAME = 63, MAX_DIMS = 4, VERSION = 3, STAGE = 1 << 20 };
#define KEYS_MAX ((size_t)1 << 31)

struct slot {                /* one key: its bytes in the file are bytes.data[at .. at+len) */
    char *key;
    size_t at, len;
};

struct entry {               /* one tensor */
    char name[MAX_NAME + 1];
    enum qtype type;
    uint32_t n_dims;
    uint64_t ne[MAX_DIMS];
    uint64_t n_bytes, offset;
};

struct gguf_writer {
    char *path, *tmp;        /* tmp: NULL unless the file is there */
    int fd;
    struct buf bytes;        /* keys with their values */
    struct slot *slots;
    size_t n_slots, cap_slots;
    struct entry *entries;
    size_t n_entries, cap_entries;
    uint64_t data_bytes;
    bool no_memory;
    size_t current;          /* tensor whose data comes next */
    uint64_t done;           /* bytes of it that are written */
    struct buf stage;        /* bytes on their way to the file */
};

struct gguf_writer *gguf_writer_new(const char *path)
{
    struct gguf_writer *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->fd = -1;
    w->path = strdup(path);
    buf_init(&w->bytes, KEYS_MAX);
    buf_init(&w->stage, STAGE);
    if (!w->path) {
        free(w);
        return NULL;
    }
    return w;
}

void gguf_writer_free(struct gguf_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    if (w->tmp)
        unlink(w->tmp);
    free(w->tmp);
    free(w->path);
    for (size_t i = 0; i < w->n_slots; i++)
        free(w->slots[i].key);
    free(w->slots);
    free(w->entries);
    buf_release(&w->bytes);
    buf_release(&w->stage);
    free(w);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void add_u32(struct buf *b, uint32_t v)
{
    uint8_t p[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    buf_add(b, p, 4);
}

static void add_u64(struct buf *b, uint64_t v)
{
    add_u32(b, (uint32_t)v);
    add_u32(b, (uint32_t)(v >> 32));
}

static void add_str(struct buf *b, const char *s, size_t len)
{
    add_u64(b, len);
    buf_add(b, s, len);
}

static struct slot *find(const struct gguf_writer *w, const char *key)
{
    for (size_t i = 0; i < w->n_slots; i++)
        if (strcmp(w->slots[i].key, key) == 0)
            return &w->slots[i];
    return NULL;
}

bool gguf_has(const struct gguf_writer *w, const char *key)
{
    return find(w, key) != NULL;
}

/* Key and type; the value follows, then end(). */
static struct slot *begin(struct gguf_writer *w, const char *key, enum gguf_type type)
{
    struct slot *s = find(w, key);
    if (!s) {
        if (w->n_slots == w->cap_slots) {
            size_t cap = w->cap_slots ? 2 * w->cap_slots : 64;
            struct slot *p = realloc(w->slots, cap * sizeof *p);
            if (!p) {
                w->no_memory = true;
                return NULL;
            }
            w->slots = p;
            w->cap_slots = cap;
        }
        char *copy = strdup(key);
        if (!copy) {
            w->no_memory = true;
            return NULL;
        }
        s = &w->slots[w->n_slots++];
        *s = (struct slot){.key = copy};
    }
    s->at = w->bytes.len;
    add_str(&w->bytes, key, strlen(key));
    add_u32(&w->bytes, (uint32_t)type);
    return s;
}

static void end(struct gguf_writer *w, struct slot *s)
{
    if (s)
        s->len = w->bytes.len - s->at;
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    struct slot *s = begin(w, key, GGUF_U32);
    add_u32(&w->bytes, v);
    end(w, s);
}

void gguf_put_i32(struct gguf_writer *w, const char *key, int32_t v)
{
    struct slot *s = begin(w, key, GGUF_I32);
    add_u32(&w->bytes, (uint32_t)v);
    end(w, s);
}

static void add_f32(struct buf *b, float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    add_u32(b, u);
}

void gguf_put_f32(struct gguf_writer *w, const char *key, double v)
{
    struct slot *s = begin(w, key, GGUF_F32);
    add_f32(&w->bytes, (float)v);
    end(w, s);
}

void gguf_put_bool(struct gguf_writer *w, const char *key, bool v)
{
    struct slot *s = begin(w, key, GGUF_BOOL);
    buf_add(&w->bytes, v ? "\1" : "\0", 1);
    end(w, s);
}

void gguf_put_strn(struct gguf_writer *w, const char *key, const char *str, size_t len)
{
    struct slot *s = begin(w, key, GGUF_STRING);
    add_str(&w->bytes, str, len);
    end(w, s);
}

void gguf_put_str(struct gguf_writer *w, const char *key, const char *str)
{
    gguf_put_strn(w, key, str, strlen(str));
}

static struct slot *begin_array(struct gguf_writer *w, const char *key, enum gguf_type elem, size_t n)
{
    struct slot *s = begin(w, key, GGUF_ARRAY);
    add_u32(&w->bytes, (uint32_t)elem);
    add_u64(&w->bytes, n);
    return s;
}

void gguf_put_strs(struct gguf_writer *w, const char *key, const struct gguf_str *str, size_t n)
{
    struct slot *s = begin_array(w, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        add_str(&w->bytes, str[i].data, str[i].len);
    end(w, s);
}

void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n)
{
    struct slot *s = begin_array(w, key, GGUF_I32, n);
    for (size_t i = 0; i < n; i++)
        add_u32(&w->bytes, (uint32_t)v[i]);
    end(w, s);
}

void gguf_put_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n)
{
    struct slot *s = begin_array(w, key, GGUF_F32, n);
    for (size_t i = 0; i < n; i++)
        add_f32(&w->bytes, v[i]);
    end(w, s);
}

/* ---- tensors ----------------------------------------------------------------------------------- */

static uint64_t padded(uint64_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Bytes of a tensor, or 0 with err set. */
static uint64_t size_of(const char *name, enum qtype type, uint32_t n_dims, const uint64_t *ne,
                        struct idem_err *err)
{
    const struct qtype_info *q = qtype_info((uint32_t)type);
    if (!q || n_dims == 0 || n_dims > MAX_DIMS || ne[0] % q->block_elems) {
        err_set(err, IDEM_ERR_FORMAT, "tensor '%s' cannot be written: bad type or shape", name);
        return 0;
    }
    uint64_t n = ne[0] / q->block_elems * q->block_bytes;
    for (uint32_t d = 0; d < n_dims; d++) {
        if (ne[d] == 0 || (d && n > (UINT64_MAX >> 2) / ne[d])) {
            err_set(err, IDEM_ERR_FORMAT, "tensor '%s' cannot be written: it is empty or too large", name);
            return 0;
        }
        n = d ? n * ne[d] : n;
    }
    return n;
}

int gguf_put_tensor(struct gguf_writer *w, const char *name, enum qtype type, uint32_t n_dims,
                    const uint64_t *ne, struct idem_err *err)
{
    if (strlen(name) > MAX_NAME)
        return err_set(err, IDEM_ERR_FORMAT, "the tensor name '%s' has more than %d bytes", name, MAX_NAME);
    uint64_t n_bytes = size_of(name, type, n_dims, ne, err);
    if (n_bytes == 0)
        return -1;
    for (size_t i = 0; i < w->n_entries; i++)
        if (strcmp(w->entries[i].name, name) == 0)
            return err_set(err, IDEM_ERR_FORMAT, "there are two tensors '%s' to write", name);
    if (w->n_entries == w->cap_entries) {
        size_t cap = w->cap_entries ? 2 * w->cap_entries : 256;
        struct entry *p = realloc(w->entries, cap * sizeof *p);
        if (!p)
            return err_memory(err, "the table of tensors", cap * sizeof *p);
        w->entries = p;
        w->cap_entries = cap;
    }
    struct entry *e = &w->entries[w->n_entries++];
    *e = (struct entry){.type = type, .n_dims = n_dims, .n_bytes = n_bytes, .offset = w->data_bytes};
    memcpy(e->name, name, strlen(name) + 1);
    memcpy(e->ne, ne, n_dims * sizeof *ne);
    w->data_bytes += padded(n_bytes);
    return 0;
}

uint64_t gguf_writer_data_bytes(const struct gguf_writer *w)
{
    return w->data_bytes;
}

/* ---- the file ------------------------------------------------------------------------------------- */

static int io_error(const struct gguf_writer *w, struct idem_err *err)
{
    return err_set(err, IDEM_ERR_IO, "cannot write '%s': %s", w->path, strerror(errno));
}

static int flush(struct gguf_writer *w, const char *data, size_t len, struct idem_err *err)
{
    while (len) {
        ssize_t n = write(w->fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return io_error(w, err);
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Through the stage, so that small pieces do not become system calls. */
static int emit(struct gguf_writer *w, const void *data, size_t len, struct idem_err *err)
{
    if (w->stage.len + len > STAGE) {
        if (flush(w, w->stage.data, w->stage.len, err) != 0)
            return -1;
        buf_clear(&w->stage);
    }
    if (len > STAGE)
        return flush(w, data, len, err);
    return buf_append(&w->stage, data, len) == 0 ? 0 : err_memory(err, "the write buffer", STAGE);
}

/* Everything before the data. */
static int head(const struct gguf_writer *w, struct buf *b)
{
    buf_add(b, "GGUF", 4);
    add_u32(b, VERSION);
    add_u64(b, w->n_entries);
    add_u64(b, w->n_slots);
    for (size_t i = 0; i < w->n_slots; i++)
        buf_add(b, w->bytes.data + w->slots[i].at, w->slots[i].len);
    for (size_t i = 0; i < w->n_entries; i++) {
        const struct entry *e = &w->entries[i];
        add_str(b, e->name, strlen(e->name));
        add_u32(b, e->n_dims);
        for (uint32_t d = 0; d < e->n_dims; d++)
            add_u64(b, e->ne[d]);
        add_u32(b, (uint32_t)e->type);
        add_u64(b, e->offset);
    }
    while (!b->failed && b->len % ALIGNMENT)
        buf_add(b, "\0", 1);
    return b->failed ? -1 : 0;
}

static int create(struct gguf_writer *w, struct idem_err *err)
{
    struct stat st;
    if (stat(w->path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(err, IDEM_ERR_IO, "'%s' is %s, not a file that can be replaced", w->path,
                       S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
    size_t n = strlen(w->path) + 16;
    char *tmp = malloc(n);
    if (!tmp)
        return err_memory(err, "a file name", n);
    snprintf(tmp, n, "%s.XXXXXX", w->path);
    w->fd = mkstemp(tmp);
    if (w->fd < 0) {
        io_error(w, err);
        free(tmp);
        return -1;
    }
    w->tmp = tmp;
    return 0;
}

int gguf_writer_begin(struct gguf_writer *w, struct idem_err *err)
{
    if (w->no_memory || w->bytes.failed)
        return err_memory(err, "the keys of the file", w->bytes.len);
    struct buf b;
    buf_init(&b, KEYS_MAX);
    int rc = head(w, &b) == 0 ? 0 : err_memory(err, "the head of the file", b.len);
    if (rc == 0)
        rc = create(w, err);
    if (rc == 0) {
        /* a disk that is too small is better known now than at its end */
        off_t size = (off_t)(b.len + w->data_bytes);
        if (fallocate(w->fd, 0, 0, size) != 0 && (errno == ENOSPC || errno == EFBIG || errno == EDQUOT))
            rc = io_error(w, err);
    }
    if (rc == 0)
        rc = flush(w, b.data, b.len, err);
    buf_release(&b);
    return rc;
}

int gguf_write(struct gguf_writer *w, const void *data, size_t len, struct idem_err *err)
{
    static const char zeros[ALIGNMENT];
    const char *p = data;
    while (len) {
        if (w->current == w->n_entries)
            return err_set(err, IDEM_ERR_FORMAT, "more data than '%s' has tensors for", w->path);
        const struct entry *e = &w->entries[w->current];
        size_t n = e->n_bytes - w->done < len ? (size_t)(e->n_bytes - w->done) : len;
        if (emit(w, p, n, err) != 0)
            return -1;
        p += n;
        len -= n;
        w->done += n;
        if (w->done == e->n_bytes) {
            if (emit(w, zeros, (size_t)(padded(e->n_bytes) - e->n_bytes), err) != 0)
                return -1;
            w->current++;
            w->done = 0;
        }
    }
    return 0;
}

/* The folder of the file, so that the new name is on the disk too. */
static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 1;
    char *dir = strndup(slash ? path : ".", n);
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(dir);
}

int gguf_writer_commit(struct gguf_writer *w, struct idem_err *err)
{
    if (w->current != w->n_entries)
        return err_set(err, IDEM_ERR_FORMAT, "'%s': the data of tensor '%s' is missing", w->path,
                       w->entries[w->current].name);
    mode_t mask = umask(0);
    umask(mask);
    if (flush(w, w->stage.data, w->stage.len, err) != 0)
        return -1;
    buf_clear(&w->stage);
    if (fchmod(w->fd, 0666 & ~mask) != 0 || fsync(w->fd) != 0)
        return io_error(w, err);
    int rc = close(w->fd);
    w->fd = -1;
    if (rc != 0 || rename(w->tmp, w->path) != 0)
        return io_error(w, err);
    free(w->tmp);
    w->tmp = NULL;
    sync_folder(w->path);
    return 0;
}
