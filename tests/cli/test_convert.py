# SPDX-License-Identifier: MIT
"""idem convert: the bytes that llama.cpp's converter writes, and everything that can be wrong with a
checkpoint: one thing at a time is broken in a good one, and the message must name it."""
import hashlib
import json
import math
import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time

from harness import ROOT, check, refused

DATA = ROOT / "tests/data/convert"
TYPES = ["f32", "f16", "bf16", "q8_0"]


def expected():
    lines = (DATA / "expected.tsv").read_text().splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def same_as_llama_cpp(idem):
    rows = expected()
    check(len(rows) == 20, f"expected.tsv has {len(rows)} rows")
    for name, kind, digest in rows:
        out = idem.path(f"{name}-{kind}.gguf")
        idem.ok("convert", DATA / name, "-o", out, *([] if kind == "auto" else ["--type", kind]))
        got = hashlib.sha256(pathlib.Path(out).read_bytes()).hexdigest()
        check(got == digest, f"{name} {kind}: {got}, llama.cpp writes {digest}")
        idem.ok("inspect", out)


def json_summary(idem):
    out = idem.path("summary.gguf")
    s = json.loads(idem.ok("convert", DATA / "llama3-json", "-o", out, "--json"))
    want = {"file": out, "architecture": "llama", "class": "LlamaForCausalLM", "type": "BF16", "tokenizer": "gpt2",
            "pre": "llama-bpe", "tokens": 272, "layers": 2, "tensors": 21, "notes": []}
    check({k: s.get(k) for k in want} == want, f"{s}")
    check(s["bytes_written"] < os.path.getsize(out), "bytes_written")


def runs(idem):
    """What was converted is a model: it gives logits, and the same ones from shards and from one file."""
    digests = {}
    for name in "llama-shards", "llama3-json", "gpt2-slow", "gemma3-text":
        out = idem.path("run.gguf")
        idem.ok("convert", DATA / name, "-o", out, "--type", "f32")
        digests[name] = json.loads(idem.ok("digest", out, "-p", "the cat", "-n", "2", "--json"))["digest"]
    check(len(set(digests.values())) == 4, f"{digests}")


# ---- broken checkpoints ----------------------------------------------------------------------------

def copy(idem, name):
    folder = pathlib.Path(idem.path("broken"))
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DATA / name, folder)
    return folder


def edit_json(folder, file, change):
    path = folder / file
    doc = json.loads(path.read_text())
    change(doc)
    path.write_text(json.dumps(doc, ensure_ascii=False))


def header(path):
    raw = path.read_bytes()
    n, = struct.unpack_from("<Q", raw)
    return json.loads(raw[8:8 + n]), raw[8 + n:]


def edit_header(path, change):
    """change(header, data) returns the new data, or None for the old."""
    doc, data = header(path)
    new = change(doc, data)
    text = json.dumps(doc).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + (data if new is None else new))


def config(**keys):
    """Sets keys of config.json; None: null, ...: removed."""
    def change(folder):
        def edit(doc):
            for k, v in keys.items():
                doc.pop(k, None)
                if v is not ...:
                    doc[k] = v
        edit_json(folder, "config.json", edit)
    return change


def tokenizer(change):
    return lambda folder: edit_json(folder, "tokenizer.json", change)


def weights(change, file="model.safetensors"):
    return lambda folder: edit_header(folder / file, change)


def raw(file, change):
    return lambda folder: (folder / file).write_bytes(change((folder / file).read_bytes()))


def rename(old, new):
    def change(doc, data):
        doc[new] = doc.pop(old)
    return weights(change)


def set_tensor(name, **fields):
    def change(doc, data):
        doc[name].update(fields)
    return weights(change)


def element(name, value):
    """The third element of a bfloat16 tensor."""
    def change(doc, data):
        at = doc[name]["data_offsets"][0] + 4
        return data[:at] + struct.pack("<H", value) + data[at + 2:]
    return weights(change)


def untie(doc, data):
    shape = doc["model.embed_tokens.weight"]["shape"]
    n = 2 * shape[0] * shape[1]
    doc["lm_head.weight"] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(data), len(data) + n]}
    return data + b"\0" * n


def add_bias(doc, data):
    doc["model.layers.0.self_attn.q_proj.bias"] = {"dtype": "BF16", "shape": [32],
                                                   "data_offsets": [len(data), len(data) + 64]}
    return data + b"\0" * 64


def index(change):
    return lambda folder: edit_json(folder, "model.safetensors.index.json", change)


def other_shard(doc):
    doc["weight_map"]["model.norm.weight"] = "model-00003-of-00003.safetensors"


Q, EMBED, NORM = "model.layers.1.self_attn.q_proj.weight", "model.embed_tokens.weight", "model.norm.weight"
LLAMA3 = "llama3-json"
REGEX = r"\p{N}{1,2}|[^\s]+"


def split_by(regex):
    return lambda doc: doc["pre_tokenizer"]["pretokenizers"][0]["pattern"].update(Regex=regex)


# name of the checkpoint, what is broken, words of the message
BROKEN = [
    # safetensors
    (LLAMA3, raw("model.safetensors", lambda b: b[:-1000]), ["model.safetensors", "cut short"]),
    (LLAMA3, raw("model.safetensors", lambda b: b[:5]), ["model.safetensors", "5 bytes"]),
    (LLAMA3, raw("model.safetensors", lambda b: b""), ["model.safetensors"]),
    (LLAMA3, raw("model.safetensors", lambda b: b + b"more"), ["4 bytes behind the last tensor"]),
    (LLAMA3, raw("model.safetensors", lambda b: b"\xff" * 8 + b[8:]), ["byte 0", "header"]),
    (LLAMA3, raw("model.safetensors", lambda b: struct.pack("<Q", 99999999) + b[8:]), ["byte 0", "cut short"]),
    (LLAMA3, raw("model.safetensors", lambda b: b[:8] + b"[" + b[9:]), ["byte"]),
    (LLAMA3, raw("model.safetensors", lambda b: b.replace(b'"BF16"', b'"BF1\xff"', 1)), ["byte", "UTF-8"]),
    (LLAMA3, raw("model.safetensors", lambda b: b.replace(b"0.input_layernorm", b"1.input_layernorm", 1)),
     ["model.layers.1.input_layernorm.weight", "twice"]),
    (LLAMA3, set_tensor(Q, dtype="BF17"), [Q, "BF17"]),
    (LLAMA3, set_tensor(Q, dtype=16), [Q, "dtype"]),
    (LLAMA3, set_tensor(Q, dtype="F32"), [Q, "data_offsets"]),
    (LLAMA3, set_tensor(Q, dtype="I16"), [Q, "I16"]),
    (LLAMA3, set_tensor(Q, shape="32"), [Q, "shape"]),
    (LLAMA3, set_tensor(Q, shape=[32, -32]), [Q, "shape"]),
    (LLAMA3, set_tensor(Q, shape=[1 << 40, 1 << 40]), [Q, "2^56"]),
    (LLAMA3, set_tensor(Q, shape=[1, 1, 1, 32, 32]), [Q, "dimensions"]),
    (LLAMA3, set_tensor(Q, shape=[16, 64]), [Q, "[16, 64]", "[32, 32]"]),
    (LLAMA3, set_tensor(Q, data_offsets=[0, 2048]), ["overlaps"]),
    (LLAMA3, set_tensor(Q, data_offsets=[2048, 0]), [Q, "data_offsets"]),
    (LLAMA3, set_tensor(Q, data_offsets=[0, 1 << 62]), [Q, "cut short"]),
    (LLAMA3, weights(lambda doc, data: data[:2] + data), ["2 bytes behind"]),
    (LLAMA3, weights(lambda doc, data: doc.pop(NORM) and None), ["gap"]),
    (LLAMA3, rename(NORM, "model.norm.gain"), ["model.norm.gain", "no such tensor"]),
    (LLAMA3, rename(Q, "model.layers.2.self_attn.q_proj.weight"), ["model.layers.2", "2 layers"]),
    (LLAMA3, rename(Q, "model.layers.01.self_attn.q_proj.weight"), ["model.layers.01"]),
    (LLAMA3, weights(add_bias), ["q_proj.bias", "attention_bias"]),
    (LLAMA3, weights(untie), ["lm_head.weight", "tie_word_embeddings"]),
    (LLAMA3, element(EMBED, 0x7FC0), [EMBED, "element 2", "not a finite number"]),
    (LLAMA3, element(EMBED, 0xFF80), [EMBED, "element 2", "not a finite number"]),
    # shards
    ("llama-shards", lambda f: (f / "model-00002-of-00003.safetensors").unlink(),
     ["model-00002-of-00003.safetensors", "shard 2 of 3"]),
    ("llama-shards", raw("model-00003-of-00003.safetensors", lambda b: b[:-7]), ["model-00003", "cut short"]),
    ("llama-shards", index(lambda d: d["weight_map"].update({"model.more": "model-00001-of-00003.safetensors"})),
     ["model.more", "no shard"]),
    ("llama-shards", index(lambda d: d["weight_map"].pop("model.norm.weight")), ["model.norm.weight", "index"]),
    ("llama-shards", index(other_shard), ["model.norm.weight", "another shard"]),
    ("llama-shards", index(lambda d: d["weight_map"].update({"x": "../../etc/passwd"})), ["file name"]),
    ("llama-shards", index(lambda d: d.pop("weight_map")), ["weight_map"]),
    ("llama-shards", raw("model.safetensors.index.json", lambda b: b[:100]), ["index.json", "cut short"]),
    # config.json
    (LLAMA3, lambda f: (f / "config.json").unlink(), ["config.json"]),
    (LLAMA3, raw("config.json", lambda b: b.replace(b"500000.0", b"NaN")), ["config.json", "NaN", "byte"]),
    (LLAMA3, raw("config.json", lambda b: b.replace(b"500000.0", b"1e999")), ["rope_theta", "byte"]),
    (LLAMA3, raw("config.json", lambda b: b.replace(b'"silu"', b'"si\xfflu"')), ["config.json", "UTF-8", "byte"]),
    (LLAMA3, raw("config.json", lambda b: b"[" * 100000), ["levels"]),
    (LLAMA3, raw("config.json", lambda b: b.rstrip()[:-1]), ["config.json", "cut short"]),
    (LLAMA3, raw("config.json", lambda b: b.rstrip()[:-1] + b',"hidden_size": 32}'), ["hidden_size", "twice"]),
    (LLAMA3, raw("config.json", lambda b: b + b"{}"), ["more behind the end"]),
    (LLAMA3, config(architectures=["MambaForCausalLM"]), ["MambaForCausalLM", "LlamaForCausalLM"]),
    (LLAMA3, config(architectures=...), ["architectures"]),
    (LLAMA3, config(hidden_size=...), ["hidden_size", "missing"]),
    (LLAMA3, config(hidden_size=33), ["shape"]),
    (LLAMA3, config(hidden_size=-1), ["hidden_size"]),
    (LLAMA3, config(hidden_size=1e30), ["hidden_size"]),
    (LLAMA3, config(num_hidden_layers=3), ["model.layers.2", "3 layers"]),
    (LLAMA3, config(num_hidden_layers=4000000000), ["num_hidden_layers"]),
    (LLAMA3, config(num_key_value_heads=3), ["num_key_value_heads"]),
    (LLAMA3, config(num_key_value_heads=0), ["num_key_value_heads"]),
    (LLAMA3, config(vocab_size=271), ["shape", "271"]),
    (LLAMA3, config(rms_norm_eps="small"), ["rms_norm_eps"]),
    (LLAMA3, config(hidden_act="gelu"), ["hidden_act", "gelu"]),
    (LLAMA3, config(hidden_act="relu2"), ["hidden_act", "relu2"]),
    (LLAMA3, config(attention_bias=True), ["q_proj.bias"]),
    (LLAMA3, config(mlp_bias="yes"), ["mlp_bias"]),
    (LLAMA3, config(tie_word_embeddings=False), ["lm_head.weight", "tie_word_embeddings"]),
    (LLAMA3, config(rope_scaling={"rope_type": "yarn", "factor": 4.0}), ["rope_type", "yarn"]),
    (LLAMA3, config(rope_scaling={"type": "dynamic", "factor": 2.0}), ["type", "dynamic"]),
    (LLAMA3, config(rope_scaling={"type": "longrope"}), ["type", "longrope"]),
    (LLAMA3, config(rope_scaling={"rope_type": "linear"}), ["factor"]),
    (LLAMA3, config(rope_scaling=[1]), ["rope"]),
    (LLAMA3, config(partial_rotary_factor=0.5), ["partial_rotary_factor"]),
    (LLAMA3, config(num_local_experts=8), ["num_local_experts"]),
    (LLAMA3, config(quantization_config={"quant_method": "gptq"}), ["quantization_config"]),
    (LLAMA3, config(use_sliding_window=True), ["use_sliding_window"]),
    (LLAMA3, config(final_logit_softcapping=30.0), ["final_logit_softcapping"]),
    (LLAMA3, config(layer_types=["full_attention", "sliding_attention"]), ["layer_types", "layer 1"]),
    (LLAMA3, config(is_causal=False), ["is_causal"]),
    ("gemma3-text", config(text_config=...), ["num_hidden_layers"]),
    ("gemma3-text", lambda f: edit_json(f, "config.json", lambda d: d["text_config"].update(sliding_window_pattern=3)),
     ["sliding_window_pattern"]),
    ("gemma3-text", config(tie_word_embeddings=False), ["tie_word_embeddings"]),
    ("gpt2-slow", config(activation_function="gelu"), ["activation_function", "gelu"]),
    ("gpt2-slow", config(scale_attn_by_inverse_layer_idx=True), ["scale_attn_by_inverse_layer_idx"]),
    ("gpt2-slow", config(n_ctx=64), ["wpe", "64"]),
    # tokenizers
    (LLAMA3, lambda f: (f / "tokenizer.json").unlink(), ["no tokenizer"]),
    (LLAMA3, tokenizer(split_by(REGEX)), ["pre-tokenizer", REGEX]),
    (LLAMA3, tokenizer(lambda d: d.update(pre_tokenizer={"type": "Whitespace"})), ["pre-tokenizer", "Whitespace"]),
    (LLAMA3, tokenizer(lambda d: d.update(pre_tokenizer=None)), ["pre-tokenizer"]),
    (LLAMA3, tokenizer(lambda d: d.update(normalizer={"type": "Lowercase"})), ["normalizer", "Lowercase"]),
    (LLAMA3, tokenizer(lambda d: d.update(normalizer={"type": "NFC"})), ["normalizer", "NFC"]),
    (LLAMA3, tokenizer(lambda d: d["model"].pop("merges")), ["merges"]),
    (LLAMA3, tokenizer(lambda d: d["model"].update(merges=[["Ġ", "absent"]])), ["merge", "absent"]),
    (LLAMA3, tokenizer(lambda d: d["model"].update(merges=["Ġ"])), ["merge"]),
    (LLAMA3, tokenizer(lambda d: d["model"].update(merges=[["a", "b", "c"]])), ["merge"]),
    (LLAMA3, tokenizer(lambda d: d["model"]["vocab"].update(more=272)), ["more", "272", "vocab_size"]),
    (LLAMA3, tokenizer(lambda d: d["model"]["vocab"].update(more=5)), ["more", "two tokens"]),
    (LLAMA3, tokenizer(lambda d: d["model"]["vocab"].update(more="x")), ["id"]),
    (LLAMA3, tokenizer(lambda d: d["model"].update(vocab=[])), ["vocabulary"]),
    (LLAMA3, tokenizer(lambda d: d["model"].update(type="Unigram")), ["BPE"]),
    (LLAMA3, tokenizer(lambda d: d["model"].update(end_of_word_suffix="</w>")), ["end_of_word_suffix"]),
    (LLAMA3, tokenizer(lambda d: d["added_tokens"].append({"id": 300, "content": "<x>"})), ["<x>", "300"]),
    (LLAMA3, tokenizer(lambda d: d["added_tokens"].append({"content": "<x>"})), ["id"]),
    (LLAMA3, raw("tokenizer.json", lambda b: b[:3000]), ["tokenizer.json", "cut short"]),
    (LLAMA3, raw("tokenizer.json", lambda b: b.replace(b'"Regex"', b'"Re\\ud800x"')), ["surrogate"]),
    (LLAMA3, raw("chat_template.jinja", lambda b: b + b"\xff"), ["chat_template.jinja", "UTF-8"]),
    (LLAMA3, raw("generation_config.json", lambda b: b.replace(b"0.6", b'"hot"')), ["temperature"]),
    ("llama-shards", raw("tokenizer.model", lambda b: b[:2000]), ["tokenizer.model", "byte"]),
    ("llama-shards", raw("tokenizer.model", lambda b: b"\xff" * 64), ["tokenizer.model"]),
    ("llama-shards", raw("tokenizer.model", lambda b: b.replace(b"<unk>", b"<un\xff>", 1)), ["tokenizer.model"]),
    ("llama-shards", config(vocab_size=100), ["100"]),
    ("gpt2-slow", lambda f: (f / "merges.txt").unlink(), ["merges.txt"]),
    ("gpt2-slow", raw("merges.txt", lambda b: b + b"three parts here\n"), ["merges.txt", "byte"]),
    ("gpt2-slow", lambda f: (f / "tokenizer_config.json").write_text('{"tokenizer_class": "XTokenizer"}'),
     ["tokenizer_class"]),
]


def broken(idem):
    out = idem.path("broken.gguf")
    for i, (name, damage, words) in enumerate(BROKEN):
        folder = copy(idem, name)
        damage(folder)
        r = idem.run("convert", folder, "-o", out)
        try:
            refused(r, [1], *words)
        except AssertionError as e:
            raise type(e)(f"case {i} ({name}, {words}): {e}") from None
        left = [p.name for p in pathlib.Path(idem.folder).iterdir() if p.name.startswith("broken.gguf")]
        check(not left, f"case {i}: left behind: {left}")


def too_large_for_f16(idem):
    folder = copy(idem, LLAMA3)
    element(EMBED, 0x4790)(folder)      # 73728
    out = idem.path("large.gguf")
    refused(idem.run("convert", folder, "-o", out, "--type", "f16"), [1], EMBED, "element 2", "bf16")
    idem.ok("convert", folder, "-o", out, "--type", "bf16")


def every_cut(idem):
    """A shard and a vocabulary that end anywhere are refused, whatever is cut."""
    for file in "model-00001-of-00003.safetensors", "tokenizer.model", "config.json":
        good = (DATA / "llama-shards" / file).read_bytes()
        folder = copy(idem, "llama-shards")
        for n in [*range(0, 64, 7), *range(64, len(good) - 1, len(good) // 23)]:
            (folder / file).write_bytes(good[:n])
            r = idem.run("convert", folder, "-o", idem.path("cut.gguf"))
            check(r.returncode == 1 and r.stderr, f"{file} cut at {n}: exit code {r.returncode}")


# ---- the folder and the file -------------------------------------------------------------------------

def other_folders(idem):
    out = idem.path("o.gguf")
    folder = pathlib.Path(idem.path("other"))
    folder.mkdir()
    refused(idem.run("convert", folder, "-o", out), [1], "neither model.safetensors")
    (folder / "adapter_model.safetensors").write_bytes(b"")
    refused(idem.run("convert", folder, "-o", out), [1], "adapter")
    (folder / "pytorch_model.bin").write_bytes(b"")
    refused(idem.run("convert", folder, "-o", out), [1], "pytorch_model.bin", "save_pretrained", "safetensors")
    refused(idem.run("convert", idem.path("nowhere"), "-o", out), [1], "nowhere")
    refused(idem.run("convert", DATA / "expected.tsv", "-o", out), [1, 2], "folder")
    refused(idem.run("convert", DATA / LLAMA3), [2], "-o")
    refused(idem.run("convert", DATA / LLAMA3, "-o", out, "--type", "q4_0"), [2], "q4_0")


def target(idem):
    """Nothing but a GGUF file is replaced, and that only at the end."""
    folder = copy(idem, LLAMA3)
    for file in "model.safetensors", "config.json":
        refused(idem.run("convert", folder, "-o", folder / file), [1], file)
        check((folder / file).read_bytes() == (DATA / LLAMA3 / file).read_bytes(), f"{file} was changed")
    refused(idem.run("convert", folder, "-o", folder), [1])
    refused(idem.run("convert", folder, "-o", folder / "no/such/x.gguf"), [1], "x.gguf")
    out = pathlib.Path(idem.path("kept.gguf"))
    idem.ok("convert", folder, "-o", out)
    before = out.read_bytes()
    element(EMBED, 0x7FC0)(folder)
    refused(idem.run("convert", folder, "-o", out), [1], "finite")
    check(out.read_bytes() == before, "a failed conversion changed the file")


def full_disk(idem):
    """A file that may not grow: an error, and nothing is left."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))
    r = idem.run("convert", DATA / LLAMA3, "-o", idem.path("full.gguf"), preexec_fn=limit)
    refused(r, [1], "full.gguf")
    left = [p.name for p in pathlib.Path(idem.folder).iterdir() if p.name.startswith("full.gguf")]
    check(not left, f"left behind: {left}")


def interrupted(idem):
    """Ctrl-C in the middle: 130, and nothing is left. The weights are a hole of 200 MB."""
    folder = copy(idem, LLAMA3)
    ff = 1 << 20
    edit_json(folder, "config.json", lambda d: d.update(intermediate_size=ff))
    doc, _ = header(folder / "model.safetensors")
    end = 0
    for name, t in doc.items():
        if name != "__metadata__":
            t["shape"] = [ff if n == 64 else n for n in t["shape"]]
            n = 2 * math.prod(t["shape"])
            t["data_offsets"] = [end, end + n]
            end += n
    text = json.dumps(doc).encode()
    with open(folder / "model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.truncate(8 + len(text) + end)
    out = idem.path("stopped.gguf")
    p = idem.popen("convert", folder, "-o", out, "--type", "f32", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.time() + 60
    while p.poll() is None and time.time() < until and not list(pathlib.Path(idem.folder).glob("stopped.gguf.*")):
        time.sleep(0.005)
    p.send_signal(signal.SIGINT)
    _, message = p.communicate(timeout=60)
    check(p.returncode == 130, f"exit code {p.returncode}: {message}")
    left = list(pathlib.Path(idem.folder).glob("stopped.gguf*"))
    check(not left, f"left behind: {left}")


def notes(idem):
    """What the user should know is said, and stands in the summary."""
    folder = copy(idem, "llama-shards")
    (folder / "added_tokens.json").write_text('{"[PAD]": 285}')
    r = idem.run("convert", folder, "-o", idem.path("n.gguf"))
    check(r.returncode == 0 and b"[PAD]" in r.stderr, r.stderr)
    s = json.loads(idem.ok("convert", folder, "-o", idem.path("n.gguf"), "--json"))
    check(len(s["notes"]) == 1 and "285" in s["notes"][0], f"{s['notes']}")


def own_keys(idem):
    """What config.json means and llama.cpp's converter drops stands in the file, and only then."""
    sys.path.insert(0, str(ROOT / "tests/peers"))
    from convert_llama import Gguf

    def keys(name, **changes):
        folder = copy(idem, name)
        edit_json(folder, "config.json", lambda d: d.get("text_config", d).update(changes))
        idem.ok("convert", folder, "-o", idem.path("k.gguf"))
        return {k: v for k, (_, v) in Gguf(idem.path("k.gguf")).keys.items()}

    def f32(x):
        return struct.unpack("f", struct.pack("f", x))[0]

    scale, window = "gemma3.attention.scale", "llama.attention.sliding_window"
    check(scale not in keys("gemma3-text"), "a scale that is llama.cpp's")
    check(keys("gemma3-text", query_pre_attn_scalar=20)[scale] == f32(1 / math.sqrt(20)), "scale")
    mistral = {"architectures": ["MistralForCausalLM"]}
    check(keys("llama-shards", **mistral, sliding_window=32)[window] == 32, "window")
    check(window not in keys("llama-shards", **mistral, sliding_window=None), "null is no window")
    check(window not in keys("llama-shards", **mistral, sliding_window=128), "as long as the context")
    check(keys("llama-shards", **mistral, max_position_embeddings=8192)[window] == 4096, "the class's own window")
    check(window not in keys("llama-shards", sliding_window=32), "Llama has no window")


def merges_as_scores(idem):
    """Without tokenizer.model the order of the merges gives the scores: the same ids for any text.
    Where no scores stand for the merges the file has these too, and idem goes by them."""
    sys.path.insert(0, str(ROOT / "tests/peers"))
    from convert_llama import Gguf
    merges = "tokenizer.ggml.merges"
    folder = copy(idem, "gemma3-text")
    with_model, without = idem.path("with.gguf"), idem.path("without.gguf")
    idem.ok("convert", folder, "-o", with_model)
    (folder / "tokenizer.model").unlink()
    idem.ok("convert", folder, "-o", without)
    for text in "the cat ate of the tin", "  in re  on", "hear \u00e9\u4e2d the", "tttheheat sat on", "a":
        a, b = (json.loads(idem.ok("tokenize", f, text, "--json"))["tokens"] for f in (with_model, without))
        check(a == b, f"{text!r}: {a} and {b}")
    check(merges not in Gguf(without).keys, "the scores are enough")
    doc = json.loads((folder / "tokenizer.json").read_text())
    last = doc["model"]["merges"][-1]
    pair = "".join(last if isinstance(last, list) else last.split(" "))
    text = pair.replace("\u2581", " ")
    whole = json.loads(idem.ok("tokenize", without, text, "--json"))["tokens"]
    tokenizer(lambda d: d["model"]["merges"].pop())(folder)
    r = idem.run("convert", folder, "-o", without)
    check(r.returncode == 0 and b"llama.cpp does not" in r.stderr, r.stderr)
    check(merges in Gguf(without).keys, "the merges are there")
    parts = json.loads(idem.ok("tokenize", without, text, "--json"))["tokens"]
    check(len(parts) > len(whole), f"{text!r}: {whole} and {parts}")


def text_rules(idem):
    """What tokenizer.json says of added tokens and of the space in front stands in keys of idem's own."""
    sys.path.insert(0, str(ROOT / "tests/peers"))
    from convert_llama import Gguf

    def keys(change, file="tokenizer.json"):
        folder = copy(idem, "gemma3-text")
        edit_json(folder, file, change)
        idem.ok("convert", folder, "-o", idem.path("t.gguf"))
        return {k: v for k, (_, v) in Gguf(idem.path("t.gguf")).keys.items() if k.startswith("tokenizer.idem.")}

    def metaspace(scheme):
        return keys(lambda d: d.update(normalizer=None, pre_tokenizer={
            "type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": False}))

    prefix = "tokenizer.idem.space_prefix"
    check(keys(lambda d: None) == {}, "nothing to say")
    check(metaspace("first") == {prefix: b"metaspace-first"}, "first")
    check(metaspace("always") == {prefix: b"metaspace-always"}, "always")
    check(metaspace("never") == {}, "never")
    found = keys(lambda d: d["added_tokens_decoder"]["1"].update(rstrip=True, normalized=True), "tokenizer_config.json")
    check(found["tokenizer.idem.added_flags"] == [2 + 8], f"{found}")
    check(found["tokenizer.idem.added_tokens"] == [1], f"{found}")


CASES = [
    ("convert: the bytes of llama.cpp's converter", same_as_llama_cpp),
    ("convert: the summary as JSON", json_summary),
    ("convert: the file runs", runs),
    ("convert: broken checkpoints", broken),
    ("convert: too large for f16", too_large_for_f16),
    ("convert: files cut anywhere", every_cut),
    ("convert: folders that are no checkpoint", other_folders),
    ("convert: what stands under the name", target),
    ("convert: a full disk", full_disk),
    ("convert: interrupted", interrupted),
    ("convert: notes", notes),
    ("convert: keys of its own", own_keys),
    ("convert: scores from merges", merges_as_scores),
    ("convert: rules of tokenizer.json", text_rules),
]
