/* SPDX-License-Identifier: MIT
 * Names, addresses, digests and the token of the Hugging Face hub; nothing here opens a connection. */
#ifndef CLI_HUB_H
#define CLI_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

enum { HUB_NAME_MAX = 97, HUB_FILE_MAX = 512, HUB_REVISION_MAX = 128, HUB_ENDPOINT_MAX = 512 };

/* A file of a repository, or the repository (file ""). */
struct hub_ref {
    char owner[HUB_NAME_MAX], repo[HUB_NAME_MAX];
    char file[HUB_FILE_MAX];            /* with '/' for folders */
    char revision[HUB_REVISION_MAX];    /* branch, tag, commit; "main" if none was given */
};

bool hub_is_ref(const char *text);      /* begins with "hf:" */
/* "hf:OWNER/REPO/FILE[@REVISION]" or "hf:OWNER/REPO[@REVISION]". Parts that could leave a folder
 * ("..", "/x", control characters) are refused: they become names of files here. */
int hub_parse(const char *text, struct hub_ref *r, struct idem_err *err);
/* Sets file, from an index that a repository brings along: refused as in hub_parse. */
int hub_set_file(struct hub_ref *r, const char *file, struct idem_err *err);
/* "hf:OWNER/REPO/FILE@REVISION", without "@main". */
void hub_text(const struct hub_ref *r, struct buf *out);
/* "OWNER/REPO[@REVISION]/FILE" with '/' of the revision as "--": the place below models/. */
void hub_place(const struct hub_ref *r, struct buf *out);

/* HF_ENDPOINT, or the hub itself; no '/' at the end. *plain: it says http. */
int hub_endpoint(char out[HUB_ENDPOINT_MAX], bool *plain, struct idem_err *err);
void hub_url(const char *endpoint, const struct hub_ref *r, struct buf *out);
void hub_page(const char *endpoint, const struct hub_ref *r, struct buf *out);   /* for people */

/* The token: HF_TOKEN, HUGGING_FACE_HUB_TOKEN, or the file that huggingface_hub keeps
 * (HF_TOKEN_PATH, HF_HOME/token, $XDG_CACHE_HOME/huggingface/token, ~/.cache/huggingface/token).
 * Stays empty if there is none; *from says where it is from, for messages. */
int hub_token(struct buf *out, const char **from, struct idem_err *err);

/* What the hub says of a file, and what is known of a file here. "" and unsized: not known. */
struct hub_facts {
    char source[HUB_FILE_MAX + 512];    /* hub_text */
    bool sized;
    uint64_t bytes;
    char sha256[DIGEST_HEX];
    char sha1[41];                      /* of the file as a git blob */
    char etag[256];                     /* strong, of the server that sent the bytes */
    char commit[41];
};
/* An ETag of the hub: 64 hexadecimal digits are a SHA-256, 40 a git blob's SHA-1. */
void hub_take_digest(struct hub_facts *f, const char *etag);
/* Beside a file: lines "key value". Reading gives -1 if there is none or it is not ours. */
int hub_facts_write(const struct hub_facts *f, const char *path, struct idem_err *err);
int hub_facts_read(struct hub_facts *f, const char *path);

#endif
