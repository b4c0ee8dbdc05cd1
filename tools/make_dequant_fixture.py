#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The values of quantised weights, for tests/unit/kernels_values.c: tests/data/kernels/values.tsv.

    make_dequant_fixture.py OUT.tsv [--ggml libggml-base.so]

A line is: type, origin, the row's bytes as in a GGUF file, and its 256 values as the bytes of little-endian
binary32. The values are those of `dequantize` of the Python package gguf. Origin "random" is random
bytes with finite scales; "ggml" is what ggml's own quantiser makes of normally distributed numbers.
With --ggml the library is the second opinion as well: its own dequantisation of these rows and of
a thousand others of each type must give the same bits. Without it, rows of origin "ggml" are kept
from the OUT.tsv that is there.
"""
import argparse
import ctypes
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
    with o.out.open("w") as f:
        f.write("# made by tools/make_dequant_fixture.py\n")
        for name, origin, row in rows:
            f.write(f"{name}\t{origin}\t{row.tobytes().hex()}\t{values(name, row).tobytes().hex()}\n")


if __name__ == "__main__":
    main()
