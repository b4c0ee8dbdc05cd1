#!/usr/bin/env python3
"""Writes src/engine/tok_unicode_table.h: the letters, numbers, punctuation and white space of
Unicode 16.0.0 as ranges of code points. The table is in the tree, and not asked of a library,
so that one text gives the same tokens on every machine.

    pip install unicodedata2==16.0.0
    python3 tools/make_unicode_table.py > src/engine/tok_unicode_table.h
"""
import sys

import unicodedata2 as unicodedata

VERSION = "16.0.0"


def kind(cp):
    """TOK_CHAR_* of one code point, or None for all others."""
    category = unicodedata.category(chr(cp))
    # White_Space of PropList.txt is Z* and these controls
    if category[0] == "Z" or cp in (0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85):
        return "SPACE"
    return {"L": "LETTER", "N": "NUMBER", "P": "PUNCT"}.get(category[0])


def ranges():
    first = last = None
    open_kind = None
    for cp in range(0x110001):
        k = kind(cp) if cp < 0x110000 else None
        if k != open_kind:
            if open_kind:
                yield first, last, open_kind
            first, open_kind = cp, k
        last = cp


def main():
    if unicodedata.unidata_version != VERSION:
        sys.exit(f"Unicode {unicodedata.unidata_version} found, {VERSION} is needed")
    rows = list(ranges())
    print(f"""/* SPDX-License-Identifier: MIT
 * Classes of characters in Unicode {VERSION}, written by tools/make_unicode_table.py. */
#ifndef ENGINE_TOK_UNICODE_TABLE_H
#define ENGINE_TOK_UNICODE_TABLE_H

static const struct {{ uint32_t first, last; enum tok_char kind; }} unicode_table[] = {{""")
    line = "   "
    for first, last, k in rows:
        cell = f" {{0x{first:X}, 0x{last:X}, TOK_CHAR_{k}}},"
        if len(line) + len(cell) > 100:
            print(line)
            line = "   "
        line += cell
    print(line)
    print("};\n\n#endif")


main()
