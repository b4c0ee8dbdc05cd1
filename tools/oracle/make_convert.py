# SPDX-License-Identifier: MIT
"""Makes the checkpoints of tests/data/convert, small enough for the repository, each in a form that
published ones have, and writes down the SHA-256 of the GGUF file that llama.cpp's own converter
makes of each (expected.tsv): idem convert must write the same bytes.

    LLAMA_CPP=... python make_convert.py [OUT]

Needs sentencepiece for the vocabulary, and for expected.tsv what llama.cpp's converter needs.
"""
import hashlib
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parents[1] / "tests/peers"))
from arch_tokenizers import MERGES, byte_names, write_tokenizer  # noqa: E402
from convert_llama import RUN  # noqa: E402

TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
TYPES = ["auto", "f32", "f16", "bf16", "q8_0"]


# ---- safetensors --------------------------------------------------------------------------------

def pack(values, dtype):
    if dtype == "F32":
        return struct.pack(f"<{len(values)}f", *values)
    if dtype == "F16":
        return struct.pack(f"<{len(values)}e", *values)
    words = (struct.unpack("<I", struct.pack("<f", v))[0] for v in values)
    return b"".join(struct.pack("<H", (w + 0x7FFF + (w >> 16 & 1)) >> 16) for w in words)


def save(path, tensors):
    """tensors: name -> (dtype, shape, bytes)."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def weights(seed, dtype, shapes):
    """Numbers in [-1, 1) with 12 bits, some of them in norms near 1; the same everywhere."""
    out = {}
    for name, shape in shapes.items():
        rng, n = random.Random(f"{seed} {name}"), 1
        for d in shape:
            n *= d
        norm = name.endswith(("norm.weight", "ln_1.weight", "ln_2.weight", "ln_f.weight"))
        values = [(1 if norm else 0) + rng.randrange(-2048, 2048) / (8192 if norm else 2048) for _ in range(n)]
        out[name] = (dtype, shape, pack(values, dtype))
    return out


def llama_shapes(width, head, heads, kv, ff, layers, vocab, tied):
    s = {"model.embed_tokens.weight": [vocab, width], "model.norm.weight": [width]}
    if not tied:
        s["lm_head.weight"] = [vocab, width]
    for i in range(layers):
        p = f"model.layers.{i}."
        s |= {p + "input_layernorm.weight": [width], p + "post_attention_layernorm.weight": [width],
              p + "self_attn.q_proj.weight": [heads * head, width], p + "self_attn.k_proj.weight": [kv * head, width],
              p + "self_attn.v_proj.weight": [kv * head, width], p + "self_attn.o_proj.weight": [width, heads * head],
              p + "mlp.gate_proj.weight": [ff, width], p + "mlp.up_proj.weight": [ff, width],
              p + "mlp.down_proj.weight": [width, ff]}
    return s


# ---- the checkpoints ------------------------------------------------------------------------------

def llama_shards(d):
    """Llama 2 as of 2023: float16, three shards, tokenizer.model, keys of that time."""
    vocab, ids = write_tokenizer("llama", d)
    (d / "tokenizer.json").unlink()
    config = {
        "_name_or_path": "Someone/Tiny-Llama-2-chat", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu",
        "hidden_size": 32, "intermediate_size": 48, "max_position_embeddings": 128, "model_type": "llama",
        "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-05,
        "rope_scaling": None, "tie_word_embeddings": False, "torch_dtype": "float16", "vocab_size": vocab, **ids}
    tensors = weights("llama", "F16", llama_shapes(32, 8, 4, 2, 48, 2, vocab, False))
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = ("F32", [4], pack([1, .1, .01, .001], "F32"))
    names, index = list(tensors), {}
    for i in range(3):
        file = f"model-{i + 1:05}-of-00003.safetensors"
        part = names[i * len(names) // 3:(i + 1) * len(names) // 3]
        save(d / file, {n: tensors[n] for n in part})
        index |= dict.fromkeys(part, file)
    (d / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}, indent=1))
    return config, None


def llama3_json(d):
    """Llama 3.2: bfloat16, tied, rope factors, tokenizer.json, chat_template.jinja, generation_config.json."""
    vocab, ids = write_tokenizer("llama3", d)
    (d / "chat_template.jinja").write_text(TEMPLATE)
    (d / "generation_config.json").write_text(json.dumps(
        {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 40, "eos_token_id": [270, 271]}))
    config = {
        "architectures": ["LlamaForCausalLM"], "attention_bias": False, "dtype": "bfloat16", "head_dim": 16,
        "hidden_act": "silu", "hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 512,
        "mlp_bias": False, "model_type": "llama", "num_attention_heads": 2, "num_hidden_layers": 2,
        "num_key_value_heads": 1, "rms_norm_eps": 1e-05, "tie_word_embeddings": True, "vocab_size": vocab,
        "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "rope_type": "llama3",
                         "original_max_position_embeddings": 64}, "rope_theta": 500000.0, **ids}
    save(d / "model.safetensors", weights("llama3", "BF16", llama_shapes(32, 16, 2, 1, 64, 2, vocab, True)))
    return config, "llama-bpe"


def gpt2_slow(d):
    """GPT-2 as OpenAI's: float32, names with prefix, masks, vocab.json and merges.txt only."""
    tokens = sorted(byte_names()) + [m.replace(" ", "") for m in MERGES] + ["<|endoftext|>"]
    (d / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (d / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    (d / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    n, vocab = 24, len(tokens)
    config = {
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "bos_token_id": vocab - 1,
        "eos_token_id": vocab - 1, "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 48, "n_embd": n,
        "n_head": 2, "n_layer": 1, "n_positions": 48, "vocab_size": vocab}
    s = {"transformer.wte.weight": [vocab, n], "transformer.wpe.weight": [48, n]}
    p = "transformer.h.0."
    for norm in ("transformer.ln_f", p + "ln_1", p + "ln_2"):
        s |= {norm + ".weight": [n], norm + ".bias": [n]}
    for name, rows, cols in (("attn.c_attn", n, 3 * n), ("attn.c_proj", n, n), ("mlp.c_fc", n, 4 * n),
                             ("mlp.c_proj", 4 * n, n)):
        s |= {p + name + ".weight": [rows, cols], p + name + ".bias": [cols]}
    save(d / "model.safetensors", weights("gpt2", "F32", s))
    return config, "gpt-2"


def gemma3_text(d):
    """Gemma 3 4B's form: text_config without what the class knows, names of a multimodal model."""
    vocab, ids = write_tokenizer("gemma", d)
    text = {"head_dim": 16, "hidden_size": 32, "intermediate_size": 64, "model_type": "gemma3_text",
            "num_attention_heads": 2, "num_hidden_layers": 1, "num_key_value_heads": 1, "sliding_window": 16,
            "query_pre_attn_scalar": 16, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
            "vocab_size": vocab, "max_position_embeddings": 256}
    config = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text,
              "torch_dtype": "bfloat16", "vision_config": {"model_type": "siglip_vision_model"}, **ids}
    shapes = llama_shapes(32, 16, 2, 1, 64, 1, vocab, True)
    for name, size in (("pre_feedforward_layernorm", 32), ("post_feedforward_layernorm", 32),
                       ("self_attn.q_norm", 16), ("self_attn.k_norm", 16)):
        shapes[f"model.layers.0.{name}.weight"] = [size]
    shapes = {"language_model." + k: v for k, v in shapes.items()}
    shapes["vision_tower.vision_model.post_layernorm.weight"] = [8]
    save(d / "model.safetensors", weights("gemma3", "BF16", shapes))
    return config, None


CASES = {"llama-shards": llama_shards, "llama3-json": llama3_json, "gpt2-slow": gpt2_slow, "gemma3-text": gemma3_text}


def expected(out, names, tmp):
    llama = os.environ.get("LLAMA_CPP")
    if not llama:
        sys.exit("LLAMA_CPP names no llama.cpp, so expected.tsv stays as it is")
    peer = subprocess.Popen([sys.executable, "-c", RUN, llama], text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    lines = ["# checkpoint\ttype\tSHA-256 of the file that llama.cpp's converter writes; made by make_convert.py"]
    for name, pre in names.items():
        for kind in TYPES:
            print(json.dumps({"folder": str(out / name), "out": f"{tmp}/x.gguf", "type": kind, "pre": pre}),
                  file=peer.stdin, flush=True)
            answer = peer.stdout.readline().strip()
            digest = hashlib.sha256(pathlib.Path(f"{tmp}/x.gguf").read_bytes()).hexdigest() if answer == "ok" else "-"
            print(f"{name} {kind}: {answer}")
            lines.append(f"{name}\t{kind}\t{digest}")
    (out / "expected.tsv").write_text("\n".join(lines) + "\n")


def main(out):
    names = {}
    for name, make in CASES.items():
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        config, names[name] = make(folder)
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    with tempfile.TemporaryDirectory() as tmp:
        expected(out, names, tmp)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE.parents[1] / "tests/data/convert"))
