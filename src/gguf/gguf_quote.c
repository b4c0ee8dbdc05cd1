/* SPDX-License-Identifier: MIT
 * Names that come from a file: are they UTF-8, and how to print them safely. */
#include <string.h>

#include "gguf/gguf_impl.h"

/* Bytes of the UTF-8 character at p (n > 0 bytes are there), its code point in *cp; 0 if it is
 * malformed: cut, overlong, a surrogate, beyond U+10FFFF. */
static size_t utf8_step(const uint8_t *p, size_t n, uint32_t *cp)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3
               : p[0] < 0xF5 ? 4 : 0;
    if (len == 0 || len > n)
        return 0;
    uint32_t c = len == 1 ? p[0] : p[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3Fu);
    }
    if (c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return 0;
    *cp = c;
    return len;
}

bool gguf_utf8_valid(struct gguf_str s)
{
    const uint8_t *p = (const uint8_t *)s.data;
    uint32_t cp;
    for (size_t i = 0, step; i < s.len; i += step) {
        step = utf8_step(p + i, s.len - i, &cp);
        if (step == 0)
            return false;
    }
    return true;
}

/* A terminal may act on these, or a reader be misled by them. */
static bool unprintable(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || cp == '\'' || cp == '\\' ||
           (cp >= 0x200B && cp <= 0x200F) || (cp >= 0x2028 && cp <= 0x202E) ||
           (cp >= 0x2060 && cp <= 0x206F) || cp == 0xFEFF;
}

const char *gguf_quote(char out[GGUF_QUOTED], struct gguf_str s)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *p = (const uint8_t *)s.data;
    size_t i = 0, o = 0;
    while (i < s.len) {
        uint32_t cp = 0;
        size_t step = utf8_step(p + i, s.len - i, &cp);
        bool plain = step != 0 && !unprintable(cp);
        if (step == 0)
            step = 1;
        if (i + step > 64)
            break;
        for (size_t end = i + step; i < end; i++) {
            if (plain) {
                out[o++] = (char)p[i];
                continue;
            }
            out[o++] = '\\';
            out[o++] = 'x';
            out[o++] = hex[p[i] >> 4];
            out[o++] = hex[p[i] & 15];
        }
    }
    if (i < s.len) {
        memcpy(out + o, "\xE2\x80\xA6", 3);
        o += 3;
    }
    out[o] = '\0';
    return out;
}
