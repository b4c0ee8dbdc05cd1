#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tokenizers of tests/data/tok through idem convert: the GGUF file that it makes of each
tokenizer.json, in a checkpoint with one layer, must give the same ids as the package.

    python3 tests/peers/tokenizers_convert.py TOK_BATCH      IDEM is the program
"""
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

TOK = pathlib.Path("tests/data/tok")
# idem refuses this one: without byte tokens it is not known as a form of SentencePiece
REFUSED = {"spm-no-bytes": "unknown pre-tokenizer"}


def unescape(s):
    return re.sub(r"\\u\{([0-9A-F]+)\}", lambda m: chr(int(m[1], 16)), s)


def checkpoint(folder, name, doc):
    """A llama with one layer of width 8, all zero."""
    n = max([*doc["model"]["vocab"].values(), *(a["id"] for a in doc["added_tokens"])]) + 1
    d, f = 8, 16
    shapes = {"model.embed_tokens.weight": (n, d), "model.norm.weight": (d,), "lm_head.weight": (n, d)}
    for key, shape in {"input_layernorm": (d,), "post_attention_layernorm": (d,), "self_attn.q_proj": (d, d), "self_attn.k_proj": (d, d),
                       "self_attn.v_proj": (d, d), "self_attn.o_proj": (d, d), "mlp.gate_proj": (f, d), "mlp.up_proj": (f, d),
                       "mlp.down_proj": (d, f)}.items():
        shapes[f"model.layers.0.{key}.weight"] = shape
    head, at = {}, 0
    for key, shape in shapes.items():
        size = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        head[key] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(at))
    (folder / "tokenizer.json").write_text(json.dumps(doc))
    post = doc["post_processor"]
    first = [x["SpecialToken"]["id"] for x in post["single"] if "SpecialToken" in x] if post else []
    special = [a["content"] for a in doc["added_tokens"] if a["special"]]
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": first[0] if first else special[0],
              "eos_token": first[1] if len(first) > 1 else special[-1]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": d, "intermediate_size": f, "num_hidden_layers": 1,
        "num_attention_heads": 1, "num_key_value_heads": 1, "rms_norm_eps": 1e-5, "vocab_size": n, "max_position_embeddings": 64,
        "hidden_act": "silu", "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "float32"}))


def rows(name):
    for line in (TOK / f"{name}.tsv").read_text().splitlines():
        parse, text, ids, _, _ = line.split("\t")
        yield int(parse), unescape(text), [int(x) for x in ids.split()]


def ids_of(batch, path, cases):
    data = b"".join(struct.pack("<IIII", 0, 0, 3 if parse else 0, len(text.encode())) + text.encode() for parse, text, _ in cases)
    out = subprocess.run([batch, path], input=data, capture_output=True, check=True).stdout
    at = 0
    for _ in cases:
        n, = struct.unpack_from("<I", out, at)
        if n == 0xFFFFFFFF:
            n, = struct.unpack_from("<I", out, at + 4)
            yield out[at + 8:at + 8 + n].decode()
            at += 8 + n
        else:
            yield list(struct.unpack_from(f"<{n}i", out, at + 4))
            at += 4 + 4 * n


def check(batch, name):
    doc = json.loads((TOK / f"{name}.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        checkpoint(pathlib.Path(folder), name, doc)
        gguf = os.path.join(folder, "out.gguf")
        r = subprocess.run([os.environ["IDEM"], "convert", folder, "-o", gguf], capture_output=True, text=True)
        if name in REFUSED:
            good = r.returncode != 0 and REFUSED[name] in r.stderr
            print(f"{name}: {'refused, as it must be' if good else 'NOT refused as expected'}: {r.stderr.strip()[-160:]}")
            return not good
        if r.returncode:
            print(f"{name}: {r.stderr.strip()}")
            return 1
        cases = list(rows(name))
        wrong = [(c, got) for c, got in zip(cases, ids_of(batch, gguf, cases)) if c[2] != got]
        print(f"{name}: {len(cases)} texts, {len(wrong)} differ")
        for (parse, text, want), got in wrong[:3]:
            print(f"  {parse} {text!a}\n    package {want}\n    idem    {got}")
        return len(wrong)


if __name__ == "__main__":
    sys.exit(1 if sum([check(sys.argv[1], p.stem) for p in sorted(TOK.glob("*.tsv"))]) else 0)
