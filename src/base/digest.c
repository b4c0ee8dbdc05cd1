/* SPDX-License-Identifier: MIT
 * SHA-256 through libcrypto, XXH3 through libxxhash. */
#include "base/digest.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

int digest_init(struct digest *d)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        ctx = NULL;
    }
    d->ctx = ctx;
    return ctx ? 0 : -1;
}

void digest_update(struct digest *d, const void *data, size_t len)
{
    if (len)
        EVP_DigestUpdate(d->ctx, data, len);
}

void digest_u64(struct digest *d, uint64_t v)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> (8 * i));
    digest_update(d, b, sizeof b);
}

void digest_str(struct digest *d, const char *s, size_t len)
{
    digest_u64(d, len);
    digest_update(d, s, len);
}

/* idem runs on little-endian machines only (src/kernels/select.c refuses others). */
void digest_f32s(struct digest *d, const float *x, size_t n)
{
    digest_update(d, x, n * sizeof *x);
}

int digest_copy(struct digest *dst, const struct digest *src)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx && EVP_MD_CTX_copy_ex(ctx, src->ctx) != 1) {
        EVP_MD_CTX_free(ctx);
        ctx = NULL;
    }
    dst->ctx = ctx;
    return ctx ? 0 : -1;
}

void digest_final(struct digest *d, char hex[DIGEST_HEX])
{
    uint8_t md[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_DigestFinal_ex(d->ctx, md, &len);
    for (unsigned i = 0; i < 32; i++) {
        hex[2 * i] = "0123456789abcdef"[md[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[md[i] & 15];
    }
    hex[64] = '\0';
    digest_release(d);
}

void digest_release(struct digest *d)
{
    EVP_MD_CTX_free(d->ctx);
    d->ctx = NULL;
}

void digest_sha256(const void *data, size_t len, char hex[DIGEST_HEX])
{
    struct digest d;
    memset(hex, '0', DIGEST_HEX - 1);
    hex[DIGEST_HEX - 1] = '\0';
    if (digest_init(&d) == 0) {
        digest_update(&d, data, len);
        digest_final(&d, hex);
    }
}

void digest_git_blob(const void *data, size_t len, char hex[41])
{
    uint8_t md[EVP_MAX_MD_SIZE] = {0};
    char head[32];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1) {
        int n = snprintf(head, sizeof head, "blob %zu", len);
        EVP_DigestUpdate(ctx, head, (size_t)n + 1);
        if (len)
            EVP_DigestUpdate(ctx, data, len);
        EVP_DigestFinal_ex(ctx, md, NULL);
    }
    EVP_MD_CTX_free(ctx);
    for (unsigned i = 0; i < 20; i++) {
        hex[2 * i] = "0123456789abcdef"[md[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[md[i] & 15];
    }
    hex[40] = '\0';
}

uint64_t digest_hash64(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}
