/* SPDX-License-Identifier: MIT
 * A Hugging Face checkpoint (config, tokenizer, safetensors) into a folder, for `idem convert`. */
#ifndef CLI_SNAPSHOT_H
#define CLI_SNAPSHOT_H

#include <stdbool.h>

#include "cli/download.h"

/* Fetches what `idem convert` reads of the repository, all from one commit: the first file says
 * which. Files that are there and right are not fetched again; FOLDER/.idem-complete lists them
 * when all are there. *fetched: something had to be done. */
int snapshot_fetch(struct downloads *s, const struct hub_ref *repo, const char *folder, bool *fetched,
                   struct idem_err *err);
bool snapshot_complete(const char *folder);   /* by that list alone */

#endif
