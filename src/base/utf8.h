/* SPDX-License-Identifier: MIT
 * Walking over bytes that should be UTF-8 but may not be. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What stands at s[0 .. len), len >= 1. Returns the bytes it takes (>= 1). *cp is the code point
 * of a well-formed character (Unicode, table 3-7: no overlong forms, no surrogates, at most
 * U+10FFFF), else -1: the returned bytes are the longest start of a character that breaks off
 * there, for which one U+FFFD is shown. */
size_t utf8_next(const char *s, size_t len, int32_t *cp);

/* True if all of it is well formed; else *bad (may be NULL) is the offset of the first byte that is not. */
bool utf8_valid(const char *s, size_t len, size_t *bad);

/* Length of the longest prefix that does not end within a character: what can be shown of a
 * text whose next bytes are still to come. */
size_t utf8_complete(const char *s, size_t len);

#endif
