/* SPDX-License-Identifier: MIT
 * One file of the hub to one file here: resumed after a cut, checked, never half under its name.
 *
 *   PATH                 the file, renamed here when all is right
 *   PATH.source          where it is from, its size and digest (struct hub_facts)
 *   PATH.part            what came in so far
 *   PATH.part.source     of which file that is a part: a part of another one is never continued */
#ifndef CLI_DOWNLOAD_H
#define CLI_DOWNLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/http.h"
#include "cli/cache.h"
#include "cli/cli.h"
#include "cli/hub.h"

/* What the downloads of one command share. */
struct downloads {
    struct cache_user user;
    struct http *http;
    char endpoint[HUB_ENDPOINT_MAX];
    bool plain;                          /* the endpoint is http:// */
    struct buf token;                    /* empty: none */
    const char *token_from;
    bool reached;                        /* some server answered in this command */
};
int downloads_open(struct downloads *d, const struct cli_args *a, struct idem_err *err);
void downloads_close(struct downloads *d);

struct download {
    const struct hub_ref *ref;
    const char *path;
    const char *sha256;                  /* that it must have, or NULL */
    bool optional;                       /* that the hub has no such file is an answer */
};

enum download_end { DOWNLOAD_DONE, DOWNLOAD_HERE, DOWNLOAD_ABSENT };

/* Fetches the file unless it is there and right. facts: what is known of it now. A file that is
 * there with other bytes than PATH.source (or sha256) says is removed and fetched again. */
int download_file(struct downloads *s, const struct download *d, enum download_end *end,
                  struct hub_facts *facts, struct idem_err *err);

#endif
