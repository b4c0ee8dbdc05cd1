/* SPDX-License-Identifier: MIT
 * Names that come from a file, made safe to print. */
#include <string.h>

#include "base/utf8.h"
#include "gguf/gguf_impl.h"

/* A terminal may act on these, or a reader be misled by them. */
static bool unprintable(int32_t cp)
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
        int32_t cp;
        size_t step = utf8_next(s.data + i, s.len - i, &cp);   /* -1, so unprintable, if malformed */
        bool plain = !unprintable(cp);
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
