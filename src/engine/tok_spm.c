/* SPDX-License-Identifier: MIT
 * SentencePiece text: U+2581 for spaces, and the space in front that a normaliser puts there.
 *
 * The vocabulary writes a space as U+2581. Here its tokens hold the space itself (tok_load.c),
 * so it is a U+2581 in the text that is rewritten, which SentencePiece cannot tell from a space. */
#include <string.h>

#include "engine/tok_impl.h"

int tok_spm_normalize(struct tok_work *w, const char *s, size_t len, const char **out, size_t *out_len)
{
    bool prefix = w->t->prefix == TOK_PREFIX_EACH;
    *out = s;
    *out_len = len;
    if (!prefix && !memmem(s, len, "\xE2\x96\x81", 3))
        return 0;
    if (tok_reserve(w, (void **)&w->text, &w->cap_text, len + 1, 1, false) != 0)
        return -1;
    size_t n = 0;
    if (prefix)
        w->text[n++] = ' ';
    for (size_t i = 0; i < len;) {
        if (len - i >= 3 && memcmp(s + i, "\xE2\x96\x81", 3) == 0) {
            w->text[n++] = ' ';
            i += 3;
        } else {
            w->text[n++] = s[i++];
        }
    }
    *out = w->text;
    *out_len = n;
    return 0;
}
