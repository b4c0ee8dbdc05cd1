#!/usr/bin/env python3
"""Writes src/engine/tok_unicode_table.h: the letters, numbers, punctuation and white space of
Unicode 16.0.0 as ranges of code points, and which letters are upper or lower case or are marks. The table is in the tree, and not asked of a library,
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


def case(cp):
    """TOK_CASE_* of one code point, or None for all others."""
    category = unicodedata.category(chr(cp))
    return {"Lu": "UPPER", "Lt": "UPPER", "Ll": "LOWER"}.get(category, "MARK" if category[0] == "M" else None)


def ranges(kind_of):
    first = last = None
    open_kind = None
    for cp in range(0x110001):
        k = kind_of(cp) if cp < 0x110000 else None
        if k != open_kind:
            if open_kind:
                yield first, last, open_kind
            first, open_kind = cp, k
        last = cp


def alternating(rows):
    """Single code points in turn UPPER and LOWER, as in most of Latin Extended, as one row."""
    out, i = [], 0
    while i < len(rows):
        j = i
        while (j < len(rows) and rows[j][0] == rows[j][1] == rows[i][0] + j - i and
               rows[j][2] == ("UPPER", "LOWER")[(j - i) % 2]):
            j += 1
        if j - i > 2:
            out.append((rows[i][0], rows[j - 1][0], "PAIRS"))
            i = j
        else:
            out.append(rows[i])
            i += 1
    return out


def table(declaration, prefix, rows):
    print(f"\nstatic const {declaration} = {{")
    line = "   "
    for first, last, k in rows:
        cell = f" {{0x{first:X}, 0x{last:X}, {prefix}{k}}},"
        if len(line) + len(cell) > 100:
            print(line)
            line = "   "
        line += cell
    print(line)
    print("};")


def main():
    if unicodedata.unidata_version != VERSION:
        sys.exit(f"Unicode {unicodedata.unidata_version} found, {VERSION} is needed")
    print(f"""/* SPDX-License-Identifier: MIT
 * Classes of characters in Unicode {VERSION}, written by tools/make_unicode_table.py. */
#ifndef ENGINE_TOK_UNICODE_TABLE_H
#define ENGINE_TOK_UNICODE_TABLE_H""")
    table("struct { uint32_t first, last; enum tok_char kind; } unicode_table[]", "TOK_CHAR_", list(ranges(kind)))
    table("struct { uint32_t first, last; enum tok_case kind; } case_table[]", "TOK_CASE_",
          alternating(list(ranges(case))))
    print("\n#endif")


main()
