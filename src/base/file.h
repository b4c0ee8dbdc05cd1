/* SPDX-License-Identifier: MIT
 * Files: mapped, read whole, written atomically; the user's cache folder. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct file_map {
    const uint8_t *data;   /* NULL for an empty file */
    size_t len;            /* bytes */
};

/* Maps a regular file read-only. Errors (missing, a folder, no permission) name the path. */
int file_map(struct file_map *m, const char *path, struct idem_err *err);
/* Tells the kernel that the pages of [offset, offset+len) are not needed in memory now. */
void file_map_drop(const struct file_map *m, size_t offset, size_t len);
void file_unmap(struct file_map *m);

/* Appends a whole file (or standard input for "-") to b, refusing more than b->max bytes. */
int file_read(struct buf *b, const char *path, struct idem_err *err);
/* Writes to a temporary name in the same folder, syncs, renames: all or nothing. */
int file_write(const char *path, const void *data, size_t len, struct idem_err *err);
/* The folder for downloads: $XDG_CACHE_HOME/idem or $HOME/.cache/idem, made if absent. */
int file_cache_dir(struct buf *path, struct idem_err *err);
/* mkdir -p */
int file_mkdirs(const char *path, struct idem_err *err);

#endif
