/* SPDX-License-Identifier: MIT
 * SHA-256 (libcrypto) in pieces, and XXH3 (libxxhash) for tables in memory. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_HEX 65   /* 64 hexadecimal digits and a NUL */

struct digest { void *ctx; };   /* one running SHA-256; zero-initialise */

int digest_init(struct digest *d);                      /* -1: no memory */
void digest_update(struct digest *d, const void *data, size_t len);
/* Integers and floats enter as little-endian bytes, strings with their length before them,
 * so that no two different sequences of fields give one byte stream. */
void digest_u64(struct digest *d, uint64_t v);
void digest_str(struct digest *d, const char *s, size_t len);
void digest_f32s(struct digest *d, const float *x, size_t n);
/* dst (zero) goes on from where src stands; src stays as it is. -1: no memory. */
int digest_copy(struct digest *dst, const struct digest *src);
void digest_final(struct digest *d, char hex[DIGEST_HEX]);   /* and releases */
void digest_release(struct digest *d);                       /* for error paths; idempotent */

void digest_sha256(const void *data, size_t len, char hex[DIGEST_HEX]);
/* The name that git gives to a file of that content: SHA-1 of "blob <len>", a NUL, and the data. */
void digest_git_blob(const void *data, size_t len, char hex[41]);
uint64_t digest_hash64(const void *data, size_t len);        /* XXH3, seed 0 */

#endif
