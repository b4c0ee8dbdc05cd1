#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/models/tiny.gguf: a llama of two layers with random weights, for tests of
the command line that need some model, quickly. Same file on every run (seeded, no numpy).

usage: make_tiny_model.py OUT.gguf
"""
import random
import struct
import sys

N_EMBD, N_FF, N_HEAD, N_HEAD_KV, N_LAYER, N_CTX = 64, 128, 2, 1, 2, 128
F32, Q8_0 = 0, 8
U32, I32, FLOAT, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
MERGES = "Ġ t,Ġ a,h e,i n,r e,o n,Ġt he,Ġ s,Ġ c,a t,Ġ o,e r,Ġo f,Ġ i,Ġi s,n d,Ġa nd,Ġ p,l l,e n".split(",")
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_names():
    """GPT-2's printable character for each byte."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in keep]
    return [chr(b) if b in keep else chr(256 + others.index(b)) for b in range(256)]


def string(s):
    raw = s.encode()
    return struct.pack("<Q", len(raw)) + raw


def kv(key, kind, value):
    head = string(key) + struct.pack("<I", kind)
    if kind == STRING:
        return head + string(value)
    if kind == ARRAY:
        element, items = value
        body = b"".join(string(x) if element == STRING else struct.pack("<i", x) for x in items)
        return head + struct.pack("<IQ", element, len(items)) + body
    return head + struct.pack({U32: "<I", FLOAT: "<f", BOOL: "<?"}[kind], value)


def q8_0(values):
    out = b""
    for i in range(0, len(values), 32):
        block = values[i:i + 32]
        scale = struct.unpack("<e", struct.pack("<e", max(map(abs, block)) / 127))[0]
        quants = [max(-127, min(127, round(v / scale))) if scale else 0 for v in block]
        out += struct.pack("<e32b", scale, *quants)
    return out


def main(path):
    rng = random.Random(1)
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    types = [3, 3, 3]
    tokens += byte_names() + [m.replace(" ", "") for m in MERGES]
    types += [1] * (len(tokens) - 3)
    keys = [
        kv("general.architecture", STRING, "llama"), kv("general.name", STRING, "tiny"),
        kv("llama.block_count", U32, N_LAYER), kv("llama.context_length", U32, N_CTX),
        kv("llama.embedding_length", U32, N_EMBD), kv("llama.feed_forward_length", U32, N_FF),
        kv("llama.attention.head_count", U32, N_HEAD),
        kv("llama.attention.head_count_kv", U32, N_HEAD_KV),
        kv("llama.rope.dimension_count", U32, N_EMBD // N_HEAD),
        kv("llama.rope.freq_base", FLOAT, 10000.0),
        kv("llama.attention.layer_norm_rms_epsilon", FLOAT, 1e-5),
        kv("llama.vocab_size", U32, len(tokens)),
        kv("tokenizer.ggml.model", STRING, "gpt2"), kv("tokenizer.ggml.pre", STRING, "smollm"),
        kv("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
        kv("tokenizer.ggml.token_type", ARRAY, (I32, types)),
        kv("tokenizer.ggml.merges", ARRAY, (STRING, MERGES)),
        kv("tokenizer.ggml.bos_token_id", U32, 1), kv("tokenizer.ggml.eos_token_id", U32, 2),
        kv("tokenizer.ggml.add_bos_token", BOOL, False),
        kv("tokenizer.chat_template", STRING, TEMPLATE),
    ]
    kv_dim = N_EMBD // N_HEAD * N_HEAD_KV
    shapes = [("token_embd.weight", N_EMBD, len(tokens), 0.25), ("output_norm.weight", N_EMBD, 0, 0)]
    for i in range(N_LAYER):
        shapes += [
            (f"blk.{i}.attn_norm.weight", N_EMBD, 0, 0), (f"blk.{i}.ffn_norm.weight", N_EMBD, 0, 0),
            (f"blk.{i}.attn_q.weight", N_EMBD, N_EMBD, 0.3), (f"blk.{i}.attn_k.weight", N_EMBD, kv_dim, 0.3),
            (f"blk.{i}.attn_v.weight", N_EMBD, kv_dim, 0.3),
            (f"blk.{i}.attn_output.weight", N_EMBD, N_EMBD, 0.3),
            (f"blk.{i}.ffn_gate.weight", N_EMBD, N_FF, 0.3), (f"blk.{i}.ffn_up.weight", N_EMBD, N_FF, 0.3),
            (f"blk.{i}.ffn_down.weight", N_FF, N_EMBD, 0.3),
        ]
    infos, data = b"", b""
    for name, columns, rows, spread in shapes:
        if rows == 0:
            kind, dims = F32, [columns]
            raw = struct.pack(f"<{columns}f", *[rng.uniform(0.4, 0.8) for _ in range(columns)])
        else:
            kind, dims = Q8_0, [columns, rows]
            raw = q8_0([rng.gauss(0, spread) for _ in range(columns * rows)])
        data += b"\0" * (-len(data) % 32)
        infos += string(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        infos += struct.pack("<IQ", kind, len(data))
        data += raw
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(keys)) + b"".join(keys) + infos
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % 32) + data + b"\0" * (-len(data) % 32))


if __name__ == "__main__":
    main(sys.argv[1])
