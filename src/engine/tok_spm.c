/* SPDX-License-Identifier: MIT
 * SentencePiece text: the space in front, and U+2581 for spaces.
 *
 * The vocabulary writes a space as U+2581. Here its tokens hold the space itself (tok_load.c),
 * so it is a U+2581 in the text that is rewritten, which SentencePiece cannot tell from a space.
 * Each fragment between special tokens gets its own space in front. */
#include <string.h>

#include "engine/tok_impl.h"

int tok_spm_fragment(struct tok_work *w, const char *s, size_t len)
{
    bool prefix = w->t->space_prefix;
    if (!prefix && !memmem(s, len, "\xE2\x96\x81", 3)) {
        w->word_base = s;
        return tok_merge(w, s, len);
    }
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
    w->word_base = w->text;
    return tok_merge(w, w->text, n);
}
