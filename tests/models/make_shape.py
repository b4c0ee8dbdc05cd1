#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a GGUF file with the shapes of a published model and random weights, for tests of size.

    make_shape.py llama-3.1-8b|phi-3.5|phi-3.5-one-layer|mistral-7b-v0.1 OUT.gguf [--sparse]

--sparse: holes in place of the matrices, for what looks at the facts only.

The types are those of a usual Q4_K_M file (Q6_K on the output and on half of attn_v and ffn_down).
Blocks are random, with scales that give weights near 0.02; what is written depends on nothing but
the name. The vocabulary comes from tests/data/vocab.
"""
import math
import pathlib
import random
import struct
import sys

VOCAB = pathlib.Path(__file__).resolve().parent.parent / "data" / "vocab"
F32, Q4_K, Q6_K = 0, 12, 14
U32, F32_VALUE, STRING, ARRAY = 4, 6, 8, 9
PATTERN = 4093            # blocks until the random ones repeat: a prime, so that rows differ
ALIGN = 32

SHAPES = {
    "llama-3.1-8b": dict(arch="llama", vocab="llama-bpe", layers=32, embd=4096, ff=14336, heads=32, kv=8,
                         context=131072, base=5e5, n_vocab=128256),
    "phi-3.5": dict(arch="phi3", vocab="phi-3", layers=32, embd=3072, ff=8192, heads=32, kv=32,
                    context=131072, base=1e4, n_vocab=32064, original=4096),
}
SHAPES["mistral-7b-v0.1"] = dict(arch="llama", vocab="llama-spm", layers=32, embd=4096, ff=14336, heads=32,
                                 kv=8, context=32768, base=1e4, n_vocab=32000)
SHAPES["phi-3.5-one-layer"] = dict(SHAPES["phi-3.5"], layers=1)


def half(x):
    return struct.pack("<e", x)


def blocks(rng, kind, out):
    """PATTERN random blocks of a type; the output layer's are smaller, so that logits stay tame."""
    size = 0.3 if out else 1.0
    if kind == Q4_K:
        d = half(1.3e-4 * size) + half(1.0e-3 * size)
        return b"".join(d + rng.randbytes(140) for _ in range(PATTERN)), 144
    d = half(2.6e-5 * size)
    return b"".join(rng.randbytes(208) + d for _ in range(PATTERN)), 210


def tensors(s):
    """(name, dimensions as in the file, type, kind of content) in order."""
    head = s["embd"] // s["heads"]
    n_kv = s["kv"] * head
    yield "token_embd.weight", (s["embd"], s["n_vocab"]), Q4_K, "blocks"
    for i in range(s["layers"]):
        n = s["layers"]
        more = i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2
        b = f"blk.{i}."
        yield b + "attn_norm.weight", (s["embd"],), F32, "ones"
        if s["arch"] == "phi3":
            yield b + "attn_qkv.weight", (s["embd"], s["embd"] + 2 * n_kv), Q4_K, "blocks"
        else:
            yield b + "attn_q.weight", (s["embd"], s["embd"]), Q4_K, "blocks"
            yield b + "attn_k.weight", (s["embd"], n_kv), Q4_K, "blocks"
            yield b + "attn_v.weight", (s["embd"], n_kv), Q6_K if more else Q4_K, "blocks"
        yield b + "attn_output.weight", (s["embd"], s["embd"]), Q4_K, "blocks"
        yield b + "ffn_norm.weight", (s["embd"],), F32, "ones"
        if s["arch"] == "phi3":
            yield b + "ffn_up.weight", (s["embd"], 2 * s["ff"]), Q4_K, "blocks"
        else:
            yield b + "ffn_gate.weight", (s["embd"], s["ff"]), Q4_K, "blocks"
            yield b + "ffn_up.weight", (s["embd"], s["ff"]), Q4_K, "blocks"
        yield b + "ffn_down.weight", (s["ff"], s["embd"]), Q6_K if more else Q4_K, "blocks"
    yield "output_norm.weight", (s["embd"],), F32, "ones"
    yield "output.weight", (s["embd"], s["n_vocab"]), Q6_K, "output"
    if s["arch"] == "phi3":
        yield "rope_factors_long.weight", (head // 2,), F32, "long"
        yield "rope_factors_short.weight", (head // 2,), F32, "ones"


def vocab_keys(name):
    """The tokenizer's key-value pairs of a vocabulary file, as bytes, and their number."""
    data = (VOCAB / f"{name}.gguf").read_bytes()
    n_kv = struct.unpack_from("<Q", data, 16)[0]
    widths = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    at, kept, n = 24, [], 0

    def skip(at, kind):
        if kind == STRING:
            return at + 8 + struct.unpack_from("<Q", data, at)[0]
        if kind == ARRAY:
            inner, count = struct.unpack_from("<IQ", data, at)
            at += 12
            if inner in widths:
                return at + widths[inner] * count
            for _ in range(count):
                at = skip(at, inner)
            return at
        return at + widths[kind]

    for _ in range(n_kv):
        start = at
        length = struct.unpack_from("<Q", data, at)[0]
        key = data[at + 8:at + 8 + length]
        at += 8 + length
        kind = struct.unpack_from("<I", data, at)[0]
        at = skip(at + 4, kind)
        if key.startswith(b"tokenizer."):
            kept.append(data[start:at])
            n += 1
    return b"".join(kept), n


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def model_keys(name, s):
    a = s["arch"] + "."
    head = s["embd"] // s["heads"]
    pairs = [("general.architecture", s["arch"]), ("general.name", f"random weights, {name}"),
             (a + "block_count", s["layers"]), (a + "context_length", s["context"]),
             (a + "embedding_length", s["embd"]), (a + "feed_forward_length", s["ff"]),
             (a + "attention.head_count", s["heads"]), (a + "attention.head_count_kv", s["kv"]),
             (a + "attention.layer_norm_rms_epsilon", 1e-5), (a + "rope.freq_base", s["base"]),
             (a + "rope.dimension_count", head)]
    if "original" in s:
        scale = s["context"] / s["original"]
        pairs += [(a + "rope.scaling.original_context_length", s["original"]),
                  (a + "rope.scaling.attn_factor",
                   math.sqrt(1 + math.log(scale) / math.log(s["original"])))]
    out = b""
    for key, v in pairs:
        out += text(key)
        if isinstance(v, str):
            out += struct.pack("<I", STRING) + text(v)
        elif isinstance(v, int):
            out += struct.pack("<II", U32, v)
        else:
            out += struct.pack("<If", F32_VALUE, v)
    return out, len(pairs)


def n_bytes(dims, kind):
    n = math.prod(dims)
    return n * 4 if kind == F32 else n // 256 * (144 if kind == Q4_K else 210)


def main(name, path, sparse=False):
    s = SHAPES[name]
    rng = random.Random(name)
    keys, n_keys = model_keys(name, s)
    vocab, n_vocab_keys = vocab_keys(s["vocab"])
    table, offset, todo = b"", 0, list(tensors(s))
    for tensor, dims, kind, _ in todo:
        table += text(tensor) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        table += struct.pack("<IQ", kind, offset)
        offset += (n_bytes(dims, kind) + ALIGN - 1) // ALIGN * ALIGN
    header = b"GGUF" + struct.pack("<IQQ", 3, len(todo), n_keys + n_vocab_keys) + keys + vocab + table
    pools = {} if sparse else {(k, out): blocks(rng, k, out) for k in (Q4_K, Q6_K) for out in (False, True)}
    with open(path, "wb") as f:
        f.write(header + bytes(-len(header) % ALIGN))
        for _, dims, kind, content in todo:
            left = n_bytes(dims, kind)
            pad = bytes(-left % ALIGN)
            if kind == F32:
                f.write(struct.pack(f"<{dims[0]}f", *(1.0 + (0.1 * i if content == "long" else 0.0)
                                                      for i in range(dims[0]))))
            elif sparse:
                f.seek(left, 1)
            else:
                pool, block = pools[kind, content == "output"]
                at = rng.randrange(PATTERN) * block      # each tensor begins elsewhere
                while left > 0:
                    n = min(left, len(pool) - at)
                    f.write(memoryview(pool)[at:at + n])
                    left -= n
                    at = 0
            f.write(pad)
        f.truncate((len(header) + ALIGN - 1) // ALIGN * ALIGN + offset)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in SHAPES or sys.argv[3:] not in ([], ["--sparse"]):
        sys.exit(__doc__)
    main(*sys.argv[1:3], sparse=len(sys.argv) == 4)
