#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/malformed/: small GGUF files, each wrong in one way, and expected.tsv.

A line of expected.tsv: file, error code, what the error names, byte offset, words in it.
The offsets are taken here, while the bytes are laid down, and not from the reader under test.
"good" files are the controls: they differ from their neighbours in the one fault only.

    python3 tools/make_malformed.py [folder]
"""
import os
import struct
import sys

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
T_F32, T_Q4_0, T_Q4_K, T_F64 = 0, 2, 12, 28
ROOT = "tests/data/malformed"
CASES = []


class Writer:
    """Lays bytes down; every method returns the offset at which its part begins."""

    def __init__(self):
        self.b = bytearray()

    def put(self, raw):
        at = len(self.b)
        self.b += raw
        return at

    def u32(self, v):
        return self.put(struct.pack("<I", v))

    def u64(self, v):
        return self.put(struct.pack("<Q", v))

    def string(self, s, n=None):
        s = s.encode() if isinstance(s, str) else s
        at = self.u64(len(s) if n is None else n)
        self.put(s)
        return at

    def header(self, n_tensors, n_kv, version=3):
        self.put(b"GGUF")
        self.u32(version)
        self.u64(n_tensors)
        self.u64(n_kv)

    def kv_u32(self, key, v):
        self.string(key)
        self.u32(U32)
        return self.u32(v)                      # the value's offset

    def kv(self, key, type_, raw):
        self.string(key)
        self.u32(type_)
        return self.put(raw)

    def array(self, key, elem, n):
        self.string(key)
        self.u32(ARRAY)
        at = self.u32(elem)                     # the element type's offset
        self.u64(n)
        return at

    def info(self, name, type_, ne, offset):
        """Offsets of: name, dimensions, type, offset."""
        a = self.string(name)
        n = self.u32(len(ne))
        d = len(self.b)
        for v in ne:
            self.u64(v)
        return {"name": a, "n_dims": n, "ne": d, "type": self.u32(type_),
                "offset": self.u64(offset)}

    def data(self, n_bytes, alignment=32):
        while len(self.b) % alignment:
            self.put(b"\0")
        return self.put(b"\0" * n_bytes)


def case(where, words, code="format"):
    def add(f):
        CASES.append((f.__name__, code, where, words, f))
        return f
    return add


# ---- header ----------------------------------------------------------------------------------

@case("-", "-", "ok")
def good_empty(w):
    w.header(0, 0)


@case("-", "-", "ok")
def good_v2(w):
    w.header(2, 2, version=2)
    w.kv_u32("a.one", 1)
    w.kv("a.text", STRING, struct.pack("<Q", 2) + b"hi")
    w.info("t.a", T_F32, [4, 2], 0)
    w.info("t.b", T_Q4_0, [32], 32)
    w.data(32 + 18)


@case("header", "is empty")
def empty(w):
    return 0


@case("header", "no GGUF file")
def magic_wrong(w):
    w.put(b"ggjt\x03\0\0\0" + b"\0" * 24)
    return 0


@case("header", "no GGUF file")
def magic_text(w):
    w.put(b"\x1b[31mHello, I am a text file.\n")
    return 0


@case("header", "inside the letters GGUF")
def magic_cut(w):
    w.put(b"GGU")
    return 0


@case("header", "git lfs pull")
def lfs_pointer(w):
    w.put(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 91894624\n")
    return 0


@case("header", "version 0 does not exist")
def version_0(w):
    w.header(0, 0, version=0)
    return 4


@case("header", "version 1 cannot be read", "unsupported")
def version_1(w):
    w.put(b"GGUF")
    w.u32(1)
    w.u32(0)
    w.u32(0)
    return 4


@case("header", "version 4 cannot be read", "unsupported")
def version_4(w):
    w.header(0, 0, version=4)
    return 4


@case("header", "big-endian", "unsupported")
def version_big_endian(w):
    w.put(b"GGUF" + struct.pack(">IQQ", 3, 0, 0))
    return 4


@case("header", "1152921504606846976 keys are announced")
def n_kv_2_60(w):
    w.header(0, 1 << 60)
    w.kv_u32("a.one", 1)
    return 16


@case("header", "18446744073709551615 keys are announced")
def n_kv_2_64(w):
    w.header(0, (1 << 64) - 1)
    w.kv_u32("a.one", 1)
    return 16


@case("key 2 of 2", "inside the length of its name")
def n_kv_one_more(w):
    w.header(0, 2)
    w.kv("a.some_text", STRING, struct.pack("<Q", 20) + b"twenty bytes of text")
    return len(w.b)


@case("header", "1152921504606846976 tensors are announced")
def n_tensors_2_60(w):
    w.header(1 << 60, 1)
    w.kv_u32("a.one", 1)
    return 8


@case("header", "9223372036854775808 tensors are announced")
def n_tensors_2_63(w):
    w.header(1 << 63, 0)
    w.data(64)
    return 8


@case("header", "1 tensors are announced, but the 0 bytes left hold 0")
def n_tensors_but_none(w):
    w.header(1, 1)
    w.kv_u32("a.one", 1)
    return 8


# ---- keys ------------------------------------------------------------------------------------

@case("key 2 of 2", "its name is empty")
def key_empty(w):
    w.header(0, 2)
    w.kv_u32("a.one", 1)
    at = w.string("")
    w.u32(U32)
    w.u32(1)
    return at


@case("key 'a.one'", "occurs twice, first with its value at byte 41")
def key_twice(w):
    w.header(0, 3)
    w.kv_u32("a.one", 1)
    w.kv_u32("a.two", 1)
    return w.kv("a.one", F32, struct.pack("<f", 2))


@case("key 1 of 1", "inside its name (9223372036854775808 bytes")
def key_length_2_63(w):
    w.header(0, 1)
    w.string("a.one", n=1 << 63)
    return w.put(b"\0" * 64) - 5


@case("key 1 of 1", "inside its name (18446744073709551615 bytes")
def key_length_2_64(w):
    w.header(0, 1)
    w.string("a.one", n=(1 << 64) - 1)
    return w.put(b"\0" * 64) - 5


@case(r"key 'a.\xff\xfeb'", "is not UTF-8")
def key_not_utf8(w):
    w.header(0, 1)
    at = w.string(b"a.\xff\xfeb")
    w.u32(U32)
    w.u32(1)
    return at + 8


@case(r"key 'a.\xed\xa0\x80'", "is not UTF-8")
def key_surrogate(w):
    w.header(0, 1)
    at = w.string(b"a.\xed\xa0\x80")
    w.u32(U32)
    w.u32(1)
    return at + 8


@case(r"key 'a\x00b'", "without NUL")
def key_with_nul(w):
    w.header(0, 1)
    at = w.string(b"a\0b")
    w.u32(U32)
    w.u32(1)
    return at + 8


@case(r"key '\x1b[2J\x0a\xe2\x80\xaeé'", "value type 13 does not exist")
def key_escape_codes(w):
    w.header(0, 1)
    w.string("\x1b[2J\n\u202eé")
    at = w.u32(13)
    w.u32(1)
    return at


@case("key 'a.one'", "value type 13 does not exist")
def type_13(w):
    w.header(0, 1)
    w.string("a.one")
    at = w.u32(13)
    w.u64(1)
    return at


@case("key 'a.one'", "value type 4294967295 does not exist")
def type_2_32(w):
    w.header(0, 1)
    w.string("a.one")
    at = w.u32(0xFFFFFFFF)
    w.u64(1)
    return at


@case("key 'a.yes'", "0 or 1, not 2")
def bool_2(w):
    w.header(0, 1)
    return w.kv("a.yes", BOOL, b"\2")


@case("key 'a.yes'", "0 or 1, not 255")
def bool_255_in_array(w):
    w.header(0, 1)
    w.array("a.yes", BOOL, 4)
    w.put(b"\0\1")
    at = w.put(b"\xff")
    w.put(b"\0")
    return at


@case("key 'a.text'", "inside a string (4611686018427387904 bytes")
def string_length_2_62(w):
    w.header(0, 1)
    w.string("a.text")
    w.u32(STRING)
    return w.string("hello", n=1 << 62) + 8


@case("key 'a.text'", "inside a string (6 bytes, 5 left)")
def string_one_short(w):
    w.header(0, 1)
    w.string("a.text")
    w.u32(STRING)
    return w.string("hello", n=6) + 8


@case("key 'a.list'", "array of arrays", "unsupported")
def array_of_arrays(w):
    w.header(0, 1)
    at = w.array("a.list", ARRAY, 1)
    w.u32(U32)
    w.u64(1)
    w.u32(7)
    return at


@case("key 'a.list'", "array type 99 does not exist")
def array_type_99(w):
    w.header(0, 1)
    at = w.array("a.list", 99, 1)
    w.u32(7)
    return at


@case("key 'a.list'", "2305843009213693952 values of type u64")
def array_bytes_2_64(w):
    w.header(0, 1)
    w.array("a.list", U64, 1 << 61)        # 8 bytes each: exactly 2^64, so 0 if it wraps
    return w.u64(7)


@case("key 'a.list'", "18446744073709551615 values of type u8")
def array_length_2_64(w):
    w.header(0, 1)
    w.array("a.list", U8, (1 << 64) - 1)
    return w.u64(7)


@case("key 'a.list'", "1152921504606846976 values of type string")
def array_strings_2_60(w):
    w.header(0, 1)
    w.array("a.list", STRING, 1 << 60)
    return w.string("only one")


@case("key 'a.list'", "inside a string (1000 bytes, 3 left)")
def array_string_long(w):
    w.header(0, 1)
    w.array("a.list", STRING, 2)
    w.string("one")
    return w.string("two", n=1000) + 8


@case("key 'a.list'", "inside the length of a string")
def array_strings_one_short(w):
    w.header(0, 1)
    w.array("a.list", STRING, 3)
    w.string("eleven bytes")
    w.string("eleven bytes")
    return len(w.b)


# ---- alignment -------------------------------------------------------------------------------

def one_tensor(w, alignment):
    at = w.kv("general.alignment", *alignment)
    w.info("t.a", T_F32, [4], 0)
    w.data(16)
    return at


@case("-", "-", "ok")
def good_alignment_1(w):
    w.header(2, 1)
    w.kv_u32("general.alignment", 1)
    w.info("t.a", 24, [3], 0)              # I8
    w.info("t.b", 24, [2], 3)
    w.put(b"\0" * 5)


@case("key 'general.alignment'", "0 is no power of two")
def alignment_0(w):
    w.header(1, 1)
    return one_tensor(w, (U32, struct.pack("<I", 0)))


@case("key 'general.alignment'", "48 is no power of two")
def alignment_48(w):
    w.header(1, 1)
    return one_tensor(w, (U32, struct.pack("<I", 48)))


@case("key 'general.alignment'", "it is a u64; it must be a u32")
def alignment_u64(w):
    w.header(1, 1)
    return one_tensor(w, (U64, struct.pack("<Q", 32)))


@case("tensor 't.a'", "ends inside its data (16 bytes from byte 2147483648 on)")
def alignment_2_31(w):
    w.header(1, 1)
    one_tensor(w, (U32, struct.pack("<I", 1 << 31)))
    return len(w.b)


# ---- tensors ---------------------------------------------------------------------------------

@case("tensor 1 of 1", "its name is empty")
def tensor_name_empty(w):
    w.header(1, 0)
    at = w.info("", T_F32, [4], 0)
    w.data(16)
    return at["name"]


@case("tensor '" + "n" * 64 + "…'", "its name has 65 bytes; 64 are allowed")
def tensor_name_65(w):
    w.header(1, 0)
    at = w.info("n" * 65, T_F32, [4], 0)
    w.data(16)
    return at["name"]


@case(r"tensor 't\xc3'", "is not UTF-8")
def tensor_name_not_utf8(w):
    w.header(1, 0)
    at = w.info(b"t\xc3", T_F32, [4], 0)
    w.data(16)
    return at["name"] + 8


@case("tensor 't.a'", "occurs twice, first at byte 24")
def tensor_twice(w):
    w.header(3, 0)
    w.info("t.a", T_F32, [8], 0)
    w.info("t.b", T_F32, [8], 32)
    at = w.info("t.a", T_F32, [8], 64)
    w.data(96)
    return at["name"]


@case("tensor 't.a'", "it has 5 dimensions; 4 are allowed")
def dims_5(w):
    w.header(1, 0)
    at = w.info("t.a", T_F32, [4, 1, 1, 1, 1], 0)
    w.data(16)
    return at["n_dims"]


@case("tensor 't.a'", "it has 4294967295 dimensions")
def dims_2_32(w):
    w.header(1, 0)
    w.string("t.a")
    at = w.u32(0xFFFFFFFF)
    w.data(64)
    return at


@case("tensor 't.b'", "its dimension 1 is 0")
def dim_zero(w):
    w.header(2, 0)
    w.info("t.a", T_F32, [8], 0)
    at = w.info("t.b", T_F32, [4, 0], 32)
    w.data(48)
    return at["ne"] + 8


@case("tensor 't.a'", "2^63 elements or more")
def dims_2_63(w):
    w.header(1, 0)
    at = w.info("t.a", T_F32, [1 << 21, 1 << 21, 1 << 21], 0)
    w.data(64)
    return at["ne"]


@case("tensor 't.a'", "2^63 elements or more")
def dims_wrap_to_0(w):
    w.header(1, 0)
    at = w.info("t.a", T_F32, [1 << 32, 1 << 32], 0)
    w.data(64)
    return at["ne"]


@case("tensor 't.a'", "2^63 elements or more")
def dims_wrap_to_4(w):
    w.header(1, 0)
    at = w.info("t.a", T_F32, [4, (1 << 62) + 1, 1, 1], 0)
    w.data(64)
    return at["ne"]


@case("tensor 't.a'", "2^63 bytes or more")
def bytes_2_64(w):
    w.header(1, 0)
    at = w.info("t.a", T_F64, [1 << 61], 0)
    w.data(64)
    return at["type"]


@case("tensor 't.a'", "type number 4 is unknown", "unsupported")
def tensor_type_4(w):
    w.header(1, 0)
    at = w.info("t.a", 4, [32], 0)
    w.data(64)
    return at["type"]


@case("tensor 't.b'", "type number 999 is unknown", "unsupported")
def tensor_type_999(w):
    w.header(2, 0)
    w.info("t.a", T_F32, [8], 0)
    at = w.info("t.b", 999, [32], 32)
    w.data(64)
    return at["type"]


@case("tensor 't.a'", "576 elements, which is no multiple of 256 as type Q4_K needs")
def row_not_blocks(w):
    w.header(1, 0)
    at = w.info("t.a", T_Q4_K, [576, 4], 0)
    w.data(4096)
    return at["type"]


@case("tensor 't.b'", "33, is no multiple of the alignment 32")
def offset_unaligned(w):
    w.header(2, 0)
    w.info("t.a", T_F32, [8], 0)
    at = w.info("t.b", T_F32, [8], 33)
    w.data(128)
    return at["offset"]


@case("tensor 't.b'", "is 64, but the tensors before it end at 32")
def offset_gap(w):
    w.header(2, 0)
    w.info("t.a", T_F32, [8], 0)
    at = w.info("t.b", T_F32, [8], 64)
    w.data(128)
    return at["offset"]


@case("tensor 't.b'", "is 0, but the tensors before it end at 64")
def offset_overlap(w):
    w.header(2, 0)
    w.info("t.a", T_F32, [9], 0)
    at = w.info("t.b", T_F32, [8], 0)
    w.data(128)
    return at["offset"]


@case("tensor 't.a'", "is 32, but the tensors before it end at 0")
def offset_first(w):
    w.header(1, 0)
    at = w.info("t.a", T_F32, [8], 32)
    w.data(128)
    return at["offset"]


@case("tensor 't.a'", "is 18446744073709551584, but")
def offset_2_64(w):
    w.header(1, 0)
    at = w.info("t.a", T_F32, [8], (1 << 64) - 32)
    w.data(128)
    return at["offset"]


@case("tensor 't.b'", "ends inside its data (32 bytes from byte")
def data_one_short(w):
    w.header(2, 0)
    w.info("t.a", T_F32, [8], 0)
    w.info("t.b", T_F32, [8], 32)
    w.data(63)
    return len(w.b)


@case("tensor 't.a'", "ends inside its data (32 bytes from byte")
def data_absent(w):
    w.header(1, 0)
    w.info("t.a", T_F32, [8], 0)
    return len(w.b)


@case("tensor 't.a'", "ends inside its data (4611686018427387904 bytes from byte")
def data_2_62(w):
    w.header(1, 0)
    w.info("t.a", T_F32, [1 << 60], 0)
    w.data(64)
    return len(w.b)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else ROOT
    os.makedirs(root, exist_ok=True)
    lines = ["# made by tools/make_malformed.py: file, code, names, byte, words"]
    for name, code, where, words, build in CASES:
        w = Writer()
        at = build(w)
        with open(os.path.join(root, name + ".gguf"), "wb") as f:
            f.write(w.b)
        lines.append("\t".join([name, code, where, "-" if at is None else str(at), words]))
    with open(os.path.join(root, "expected.tsv"), "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
