# SPDX-License-Identifier: MIT
"""idem convert beside llama.cpp's own converter: the same keys with the same types and values, the
same tensors in the same order with the same bytes, for every checkpoint in the folders (make_arch.py
--keep writes them) and every type. A difference must stand in EXPECTED with its reason.

    python convert_llama.py [--python PYTHON] [--load] [--types auto,q8_0] CHECKPOINTS...

IDEM is the program, LLAMA_CPP the folder of llama.cpp; --python one with transformers, torch,
sentencepiece. Ends with 77 where one of them is missing. --load also runs one file of each in llama.cpp.

llama.cpp knows a pre-tokenizer by the hash of what one text becomes, which toy vocabularies cannot
have; so its converter is run here with the name that belongs to the family's tokenizer.
"""
import argparse
import json
import math
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

TYPES = ["auto", "f32", "f16", "bf16", "q8_0"]
SIZE = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
FORMAT = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
BLOCK = {0: (1, 4), 1: (1, 2), 8: (32, 34), 30: (1, 2)}

# (end of the key or name, what may differ, why)
EXPECTED = [
    ("llama.attention.sliding_window", "only idem", "Mistral 7B v0.1: llama.cpp has no window there"),
    (".attention.scale", "only idem", "gemma: llama.cpp takes it from the number of layers"),
    ("minicpm.rope.scaling.original_context_length", "only idem", "which factors of longrope apply"),
    ("minicpm3.rope.scaling.original_context_length", "only idem", "which factors of longrope apply"),
    ("minicpm.rope.scaling.attn_factor", "only idem", "longrope beyond the original context"),
    ("minicpm3.rope.scaling.attn_factor", "only idem", "longrope beyond the original context"),
    ("minicpm3.rope.freq_base", "only idem", "llama.cpp takes 10000 for granted"),
    ("minicpm3.embedding_scale", "only idem", "llama.cpp takes 12 for granted"),
    ("minicpm3.residual_scale", "only idem", "llama.cpp takes 1.4 / sqrt(layers) for granted"),
    ("minicpm3.logit_scale", "only idem", "llama.cpp takes width / 256 for granted"),
    ("gemma2.rope.freq_base", "only idem", "llama.cpp takes 10000 for granted"),
    ("phi2.rope.freq_base", "only idem", "llama.cpp takes 10000 for granted"),
    ("tokenizer.idem.space_prefix", "only idem", "what tokenizer.json says and llama.cpp has no key for"),
    ("tokenizer.idem.normalizer", "only idem", "what tokenizer.json says and llama.cpp has no key for"),
    ("tokenizer.idem.added_tokens", "only idem", "what tokenizer.json says and llama.cpp has no key for"),
    ("tokenizer.idem.added_flags", "only idem", "what tokenizer.json says and llama.cpp has no key for"),
    ("rope_freqs.weight", "last bit", "torch's pow in binary32"),
]

PRE = {  # what the names of make_arch.py's tokenizers stand for in llama.cpp
    "PreTrainedTokenizerFast": "llama-bpe", "Qwen2Tokenizer": "qwen2", "CodeGenTokenizer": "phi-2"}
# One process for all files, since it takes seconds to load torch: lines of JSON in, lines out.
RUN = """
import json, logging, sys
sys.path.insert(0, sys.argv[1])
import conversion.base as base
import convert_hf_to_gguf
for line in sys.stdin:
    job = json.loads(line)
    base.TextModel.get_vocab_base_pre = lambda self, tokenizer: job["pre"]
    sys.argv = ["convert", job["folder"], "--outfile", job["out"], "--outtype", job["type"]]
    try:
        convert_hf_to_gguf.main()
        print("ok", flush=True)
    except BaseException as e:
        print(f"{type(e).__name__} {e}".replace(chr(10), " "), flush=True)
"""


class Gguf:
    def __init__(self, path):
        self.data = data = pathlib.Path(path).read_bytes()
        assert data[:4] == b"GGUF"
        _, n_tensors, n_kv = struct.unpack_from("<IQQ", data, 4)
        self.at, self.keys, self.tensors = 24, {}, {}
        for _ in range(n_kv):
            key = self.string().decode()
            self.keys[key] = self.value(self.number("I"))
        infos = []
        for _ in range(n_tensors):
            name = self.string().decode()
            shape = [self.number("Q") for _ in range(self.number("I"))]
            infos.append((name, shape, self.number("I"), self.number("Q")))
        start = -(-self.at // 32) * 32
        for name, shape, kind, offset in infos:
            elems, size = BLOCK[kind]
            n = math.prod(shape) // elems * size
            self.tensors[name] = (shape, kind, data[start + offset:start + offset + n])

    def number(self, fmt):
        value, = struct.unpack_from("<" + fmt, self.data, self.at)
        self.at += struct.calcsize("<" + fmt)
        return value

    def string(self):
        n = self.number("Q")
        self.at += n
        return self.data[self.at - n:self.at]

    def value(self, kind):
        if kind == 8:
            return kind, self.string()
        if kind != 9:
            return kind, self.number(FORMAT[kind])
        element, n = self.number("I"), self.number("Q")
        if element == 8:
            return (kind, element), [self.string() for _ in range(n)]
        values = struct.unpack_from(f"<{n}{FORMAT[element]}", self.data, self.at)
        self.at += n * SIZE[element]
        return (kind, element), list(values)


def short(v):
    text = repr(v)
    return text if len(text) < 90 else text[:87] + "..."


def last_bit(a, b):
    x, y = (struct.unpack(f"<{len(v) // 4}f", v) for v in (a, b))
    return len(x) == len(y) and all(abs(p - q) <= 3e-7 * abs(q) for p, q in zip(x, y))


def excused(name, what, used):
    for end, kind, why in EXPECTED:
        if name.endswith(end) and kind == what:
            used[f"{name}: {what}"] = why
            return True
    return False


def compare(ours, theirs, used):
    """Lines that say what differs without an excuse."""
    out = []
    for key in {**ours.keys, **theirs.keys}:
        a, b = ours.keys.get(key), theirs.keys.get(key)
        if a == b:
            continue
        what = "only idem" if b is None else "only llama.cpp" if a is None else "value"
        if not excused(key, what, used):
            out.append(f"key {key}: {what}: {short(a)} and {short(b)}")
    if list(ours.tensors) != list(theirs.tensors):
        out.append(f"tensors: {sorted(set(ours.tensors) ^ set(theirs.tensors)) or 'another order'}")
    for name, b in theirs.tensors.items():
        a = ours.tensors.get(name)
        if a is None or a == b:
            continue
        if a[:2] != b[:2]:
            out.append(f"tensor {name}: shape and type {a[:2]} and {b[:2]}")
        elif not (excused(name, "last bit", used) and last_bit(a[2], b[2])):
            n = sum(p != q for p, q in zip(a[2], b[2]))
            out.append(f"tensor {name}: {n} of {len(b[2])} bytes differ")
    return out


def pre_of(folder):
    config = json.loads((folder / "tokenizer_config.json").read_text())
    tok = json.loads((folder / "tokenizer.json").read_text()) if (folder / "tokenizer.json").exists() else {}
    digits = "Digits" in json.dumps(tok.get("pre_tokenizer"))
    return "smollm" if digits else PRE.get(config.get("tokenizer_class"), "gpt-2")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--load", action="store_true")
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("folders", type=pathlib.Path, nargs="+")
    args = parser.parse_args()
    idem, llama = os.environ.get("IDEM", "build/idem"), pathlib.Path(os.environ.get("LLAMA_CPP", ""))
    if not (llama / "convert_hf_to_gguf.py").exists() or not pathlib.Path(args.python).exists():
        print("no llama.cpp with its converter (LLAMA_CPP), or no Python for it (--python)")
        sys.exit(77)
    folders = []
    for f in args.folders:
        found = sorted(p.parent for p in f.glob("*/config.json"))
        folders += found
        if not found:
            print(f"no checkpoints in {f}: 'make arch' makes those of every architecture")
    if not folders:
        sys.exit(77)
    failed, used, n, same = 0, {}, 0, 0
    peer = subprocess.Popen([args.python, "-c", RUN, llama], text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as tmp:
        ours, theirs = f"{tmp}/ours.gguf", f"{tmp}/theirs.gguf"
        for folder in folders:
            for kind in args.types.split(","):
                more = [] if kind == "auto" else ["--type", kind]
                subprocess.run([idem, "convert", folder, "-o", ours, "--quiet", *more], check=True)
                print(json.dumps({"folder": str(folder), "out": theirs, "type": kind, "pre": pre_of(folder)}),
                      file=peer.stdin, flush=True)
                answer = peer.stdout.readline().strip()
                n += 1
                if answer != "ok":
                    failed += 1
                    print(f"FAILED {folder.name} {kind}: llama.cpp: {answer}")
                    continue
                lines = compare(Gguf(ours), Gguf(theirs), used)
                same += pathlib.Path(ours).read_bytes() == pathlib.Path(theirs).read_bytes()
                failed += bool(lines)
                for line in lines:
                    print(f"FAILED {folder.name} {kind}: {line}")
                if args.load and kind == args.types.split(",")[0]:
                    bench = llama / "build/bin/llama-bench"
                    r = subprocess.run([bench, "-m", ours, "-p", "4", "-n", "2", "-r", "1", "-ngl", "0"],
                                       capture_output=True, text=True)
                    if r.returncode:
                        failed += 1
                        print(f"FAILED {folder.name} {kind}: llama.cpp does not load it: {r.stderr[-300:]}")
    for what, why in sorted(used.items()):
        print(f"differs as expected: {what} ({why})")
    print(f"convert: {n - failed} of {n} files equal llama.cpp's key by key and tensor by tensor, "
          f"{same} byte by byte")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
