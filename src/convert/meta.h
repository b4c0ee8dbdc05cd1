/* SPDX-License-Identifier: MIT
 * The keys general.*: name and parts of it, size, recommended sampling. */
#ifndef CONVERT_META_H
#define CONVERT_META_H

#include "convert/hfconf.h"
#include "gguf/gguf_write.h"

/* From config.json's _name_or_path, the folder's name, and generation_config.json. */
int meta_put(const struct hfconf *c, const char *dir, uint64_t n_params, struct gguf_writer *w, struct idem_err *err);

#endif
