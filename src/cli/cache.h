/* SPDX-License-Identifier: MIT
 * Files in the cache: their places, locks and digests. */
#ifndef CLI_CACHE_H
#define CLI_CACHE_H

#include <signal.h>
#include <stdint.h>

#include "base/digest.h"
#include "cli/cli.h"
#include "cli/hub.h"

enum { CACHE_PATH = 4096 };   /* bytes of a path, NUL included */

/* Who waits while something long is done. */
struct cache_user {
    const struct cli_args *args;
    const volatile sig_atomic_t *stop;
};

int cache_beside(char out[CACHE_PATH], const char *path, const char *suffix, struct idem_err *err);
/* The folder of a file, made if it is not there. */
int cache_folder_of(char out[CACHE_PATH], const char *path, struct idem_err *err);
void cache_sync_folder(const char *path);   /* of that file; what was renamed there stays so */

/* Locks downloads/<name>.lock for this process: the descriptor, or -1 (held by another: says so). */
int cache_lock(const char *name, struct idem_err *err);

/* Feeds the first len bytes of fd, with a bar; path is for messages. */
int cache_hash(struct digest *sha, int fd, uint64_t len, const struct cache_user *u, const char *path,
               struct idem_err *err);
int cache_git_blob(const char *path, char hex[41], struct idem_err *err);

/* Is the file at path, with the digest that sha256 (may be NULL) or else path.source says? facts: of
 * path.source, with the file's own size and digest. 1 yes, 0 no (a damaged one is removed), -1 error. */
int cache_check(const struct cache_user *u, const char *path, const char *sha256, struct hub_facts *facts,
                struct idem_err *err);

#endif
