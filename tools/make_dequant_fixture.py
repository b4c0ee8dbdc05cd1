#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The values of weights and their products, for tests/unit/kernels_values.c: tests/data/kernels/values.tsv.

    make_dequant_fixture.py OUT.tsv [--ggml libggml-base.so]

The first line has 256 activations. Each further one is: type, origin, the row's bytes as in a GGUF file,
its 256 values as the bytes of little-endian binary32, and its dot with the activations in the modes q8
("-" for types that are not quantised) and f32. The dots are computed here from docs/numerics.md alone,
with exact fractions. The values are those of `dequantize` of the Python package gguf. Origin "random" is random
bytes with finite scales; "ggml" is what ggml's own quantiser makes of normally distributed numbers.
With --ggml the library is the second opinion as well: its own dequantisation of these rows and of
a thousand others of each type must give the same bits. Without it, rows of origin "ggml" are kept
from the OUT.tsv that is there.
"""
import argparse
import ctypes
import fractions
import pathlib

import gguf
import numpy as np
from gguf.quants import dequantize

N = 256
TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
         "Q6_K", "IQ4_NL", "IQ4_XS"]
SCALES = {"Q2_K": (80, 82), "Q3_K": (108,), "Q6_K": (208,), "Q4_1": (0, 2), "Q5_1": (0, 2),
          "Q4_K": (0, 2), "Q5_K": (0, 2)}           # byte offsets of the binary16 numbers of a block
FLOATS = {"F32": np.float32, "F16": np.float16}


def qtype(name):
    return gguf.GGMLQuantizationType[name]


def random_row(rng, name):
    if name in FLOATS:
        x = rng.standard_normal(N) * np.exp2(rng.integers(-18, 12, N))
        return x.astype(FLOATS[name]).view(np.uint8)
    if name == "BF16":
        return (rng.standard_normal(N).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    elems, size = gguf.GGML_QUANT_SIZES[qtype(name)]
    blocks = rng.integers(0, 256, (N // elems, size), dtype=np.uint8)
    for at in SCALES.get(name, (0,)):
        d = rng.standard_normal(len(blocks)) * np.exp2(rng.integers(-20, 3, len(blocks)))
        blocks[:, at:at + 2] = d.astype(np.float16).view(np.uint8).reshape(-1, 2)
    return blocks.reshape(-1)


def values(name, row):
    if name == "F16":                                # dequantize knows block types and BF16 only
        return row.view(np.float16).astype(np.float32)
    if name == "F32":
        return row.view(np.float32)
    return dequantize(row.reshape(1, -1), qtype(name)).reshape(-1).astype(np.float32)


# ---- the definition of docs/numerics.md ------------------------------------------------------

TABLE = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113])


def f16(b):
    return np.frombuffer(b.tobytes(), "<f2").astype(np.float32)[0]


def nibbles(b):                                      # 16 bytes: columns 0..15 low, 16..31 high
    return np.concatenate([b & 15, b >> 4]).astype(int)


def parts(name, row):
    """For each 32 columns: u, s, (sub0, sub1), m or None, (min0, min1) or None."""
    elems, size = gguf.GGML_QUANT_SIZES[qtype(name)]
    one, out = (1, 1), []
    for b in row.reshape(-1, size):
        if name in ("Q4_0", "IQ4_NL"):
            u = nibbles(b[2:])
            out.append((TABLE[u] if name == "IQ4_NL" else u - 8, f16(b[:2]), one, None, None))
        elif name == "Q4_1":
            out.append((nibbles(b[4:]), f16(b[:2]), one, f16(b[2:4]), None))
        elif name in ("Q5_0", "Q5_1"):
            at = 2 if name == "Q5_0" else 4
            bits = np.unpackbits(b[at:at + 4], bitorder="little").astype(int)
            u = nibbles(b[at + 4:]) + 16 * bits
            out.append((u - 16, f16(b[:2]), one, None, None) if at == 2
                       else (u, f16(b[:2]), one, f16(b[2:4]), None))
        elif name == "Q8_0":
            out.append((b[2:].view(np.int8).astype(int), f16(b[:2]), one, None, None))
        else:
            out += [super_part(name, b, j) for j in range(8)]
    return out


def super_part(name, b, j):                          # columns 32 j of a block of 256
    half, k = j // 4, j % 4
    b = b.astype(int)
    raw = b.astype(np.uint8)
    if name == "Q2_K":
        sc = b[2 * j:2 * j + 2]
        u = (b[16 + 32 * half:48 + 32 * half] >> 2 * k) & 3
        return u, f16(raw[80:82]), tuple(sc & 15), -f16(raw[82:84]), tuple(sc >> 4)
    if name == "Q3_K":
        u = ((b[32 + 32 * half:64 + 32 * half] >> 2 * k) & 3) + 4 * ((b[:32] >> j) & 1) - 4
        low = np.concatenate([b[96:104] & 15, b[96:104] >> 4])
        high = np.concatenate([(b[104:108] >> 2 * i) & 3 for i in range(4)])
        return u, f16(raw[108:110]), tuple((low + 16 * high - 32)[2 * j:2 * j + 2]), None, None
    if name in ("Q4_K", "Q5_K"):
        s = b[4:16]
        sc, mn = ((s[j] & 63, s[j + 4] & 63) if j < 4 else
                  ((s[j + 4] & 15) | (s[j - 4] >> 6) << 4, (s[j + 4] >> 4) | (s[j] >> 6) << 4))
        at = 16 if name == "Q4_K" else 48
        u = (b[at + 32 * (j // 2):at + 32 * (j // 2) + 32] >> 4 * (j % 2)) & 15
        if name == "Q5_K":
            u = u + 16 * ((b[16:48] >> j) & 1)
        return (u, f16(raw[:2]) * np.float32(sc), (1, 1), -(f16(raw[2:4]) * np.float32(mn)), None)
    if name == "Q6_K":
        low = (b[64 * half + 32 * (k & 1):64 * half + 32 * (k & 1) + 32] >> 4 * (k >> 1)) & 15
        u = low + 16 * ((b[128 + 32 * half:160 + 32 * half] >> 2 * k) & 3) - 32
        return u, f16(raw[208:210]), tuple(raw[192:208].view(np.int8).astype(int)[2 * j:2 * j + 2]), None, None
    sc = ((b[4 + j // 2] >> 4 * (j % 2)) & 15) | ((b[2] | b[3] << 8) >> 2 * j & 3) << 4
    return TABLE[nibbles(raw[8 + 16 * j:24 + 16 * j])], f16(raw[:2]) * np.float32(sc - 32), (1, 1), None, None


def fma(a, b, c):
    """a * b + c in binary32 with one rounding, to nearest even."""
    exact = fractions.Fraction(float(a)) * fractions.Fraction(float(b)) + fractions.Fraction(float(c))
    y = np.float32(float(exact))
    near = [y, np.nextafter(y, np.float32(-np.inf)), np.nextafter(y, np.float32(np.inf))]
    return min(near, key=lambda v: (abs(fractions.Fraction(float(v)) - exact), int(v.view(np.uint32)) & 1))


def dot_f32(w, x):
    acc = np.float32(0)
    for a, b in zip(w, x):
        acc = fma(a, b, acc)
    return acc


def dot_q8(name, row, x):
    acc = np.float32(0)
    for b, (u, s, sub, m, mins) in enumerate(parts(name, row)):
        v = x[32 * b:32 * b + 32]
        amax = np.abs(v).max()
        q = np.rint(v * (np.float32(127) / amax)).astype(int)
        d = amax / np.float32(127)
        isum = sub[0] * int((u * q)[:16].sum()) + sub[1] * int((u * q)[16:].sum())
        acc = fma(np.float32(isum), s * d, acc)
        if mins:
            acc = fma(np.float32(mins[0] * int(q[:16].sum()) + mins[1] * int(q[16:].sum())), m * d, acc)
        elif m is not None:
            acc = fma(m, d * np.float32(q.sum()), acc)
    return acc


# ---- ggml ----------------------------------------------------------------------------------------

class Ggml:
    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.ggml_quantize_chunk.restype = ctypes.c_size_t

    def quantise(self, name, x):
        elems, size = gguf.GGML_QUANT_SIZES[qtype(name)]
        out = np.zeros(N // elems * size, np.uint8)
        x = np.ascontiguousarray(x, np.float32)
        self.lib.ggml_quantize_chunk(int(qtype(name)), x.ctypes.data_as(ctypes.c_void_p),
                                     out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(0), ctypes.c_int64(1),
                                     ctypes.c_int64(N), None)
        return out

    def values(self, name, row):
        names = {"F16": "ggml_fp16_to_fp32_row", "BF16": "ggml_bf16_to_fp32_row"}
        stem = name[:-1].lower() + name[-1] if name.endswith("_K") else name.lower()
        f = getattr(self.lib, names.get(name, "dequantize_row_" + stem))
        out = np.zeros(N, np.float32)
        row = np.ascontiguousarray(row)
        f(row.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(N))
        return out


def main():
    a = argparse.ArgumentParser()
    a.add_argument("out", type=pathlib.Path)
    a.add_argument("--ggml")
    o = a.parse_args()
    ggml = Ggml(o.ggml) if o.ggml else None
    kept = [l.rstrip("\n").split("\t") for l in o.out.open() if not l.startswith("#")] if not ggml else []
    rows = []
    for name in TYPES:
        rng = np.random.default_rng([20240917, int(qtype(name))])
        rows += [(name, "random", random_row(rng, name)) for _ in range(2)]
        if name == "F32":
            continue
        if not ggml:
            rows += [(name, "ggml", np.frombuffer(bytes.fromhex(k[2]), np.uint8)) for k in kept
                     if k[0] == name and k[1] == "ggml"]
            continue
        rows.append((name, "ggml", ggml.quantise(name, rng.standard_normal(N))))
        for row in [r[2] for r in rows if r[0] == name] + [random_row(rng, name) for _ in range(1000)]:
            if values(name, row).tobytes() != ggml.values(name, row).tobytes():
                raise SystemExit(f"{name}: gguf and ggml differ")
    x = np.random.default_rng(7).standard_normal(N).astype(np.float32)
    with o.out.open("w") as f:
        f.write("# made by tools/make_dequant_fixture.py\n")
        f.write(f"x\t-\t{x.tobytes().hex()}\n")
        for name, origin, row in rows:
            w = values(name, row)
            q8 = "-" if name in FLOATS or name == "BF16" else dot_q8(name, row, x).tobytes().hex()
            f.write(f"{name}\t{origin}\t{row.tobytes().hex()}\t{w.tobytes().hex()}\t{q8}\t"
                    f"{dot_f32(w, x).tobytes().hex()}\n")


if __name__ == "__main__":
    main()
