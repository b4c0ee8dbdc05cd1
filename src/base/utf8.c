/* SPDX-License-Identifier: MIT
 * Walking over bytes that should be UTF-8 but may not be. */
#include "base/utf8.h"

size_t utf8_next(const char *s, size_t len, int32_t *cp)
{
    unsigned char b = (unsigned char)s[0];
    *cp = -1;
    if (b < 0x80) {
        *cp = b;
        return 1;
    }
    if (b < 0xC2 || b > 0xF4)
        return 1;
    size_t need = b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
    int32_t c = b & (0x7F >> need);
    /* the second byte has a narrower range after some first bytes */
    unsigned lo = b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80;
    unsigned hi = b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i < need; i++) {
        unsigned char t = i < len ? (unsigned char)s[i] : 0;
        if (t < lo || t > hi)
            return i;
        c = c << 6 | (t & 0x3F);
        lo = 0x80;
        hi = 0xBF;
    }
    *cp = c;
    return need;
}

bool utf8_valid(const char *s, size_t len, size_t *bad)
{
    for (size_t i = 0; i < len;) {
        int32_t cp;
        size_t n = utf8_next(s + i, len - i, &cp);
        if (cp < 0) {
            if (bad)
                *bad = i;
            return false;
        }
        i += n;
    }
    return true;
}

size_t utf8_complete(const char *s, size_t len)
{
    /* only the last three bytes can begin a character that is still open */
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char b = (unsigned char)s[len - back];
        if (b < 0x80)
            break;
        if (b >= 0xC2 && b <= 0xF4) {
            size_t need = b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
            int32_t cp;
            if (need > back && utf8_next(s + len - back, back, &cp) == back)
                return len - back;
            break;
        }
    }
    return len;
}
