# SPDX-License-Identifier: MIT
"""Makes the fixtures of tests/data/arch: for every architecture tiny models of several shapes with
random weights, built by transformers' own classes, as GGUF with transformers' float32 logits.

    python make_arch.py --converter build/idem [--keep DIR] [--only PREFIX] [OUT]    (make arch)

Each case of CASES becomes a checkpoint as the hub has them (config.json, model.safetensors in
bfloat16, tokenizer files in the family's form), is converted (CASE.gguf, and CASE-q8_0.gguf where
a case asks for it), and is run in float32 with eager attention over whole prompts (CASE.ref, whose
layout stands in tests/unit/engine_arch.c). --converter may also be llama.cpp's
convert_hf_to_gguf.py, for comparing both. Printed for each prompt: the range of the logits,
transformers' own difference between one forward pass and steps on its cache, and for every
feature that the case is about how much the logits change without it: one that changes nothing
would be tested by nothing, so that is an error.

Needs transformers 5.23, torch, tokenizers, sentencepiece; gguf too for llama.cpp's converter.
"""
import argparse
import json
import math
import pathlib
import shutil
import struct
import subprocess
import sys
import zlib

import torch
import transformers as hf

from arch_tokenizers import write_tokenizer

MUST_CHANGE = 1e-3       # of the logits' range, by leaving a feature out
TEXT = "the cat is on, or at 10\n"   # as in tests/cli/test_arch.py
LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 32.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
LINEAR = {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}


def theta(base):
    return {"rope_type": "default", "rope_theta": base}


def longrope(n, original, **more):
    """Factors for n frequencies, far enough apart to be told from each other."""
    short = [round(1.0 + 0.15 * i, 3) for i in range(n)]
    long = [round(1.5 + 0.8 * i, 3) for i in range(n)]
    return {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": short, "long_factor": long,
            "original_max_position_embeddings": original, **more}


def gemma3_rope(**global_rope):
    return {"sliding_attention": theta(1e4),
            "full_attention": {"rope_type": "default", "rope_theta": 1e6, **global_rope}}


def llama(width, heads, kv, ff, **more):
    return dict(hidden_size=width, num_attention_heads=heads, num_key_value_heads=kv,
                intermediate_size=ff, num_hidden_layers=2, max_position_embeddings=256,
                tie_word_embeddings=False) | more


def granite(width, heads, kv, ff, layers, emb, depth, base, **more):
    """MiniCPM's hyperparameters said in Granite's."""
    return llama(width, heads, kv, ff, num_hidden_layers=layers, embedding_multiplier=float(emb),
                 residual_multiplier=depth / math.sqrt(layers), logits_scaling=width / base,
                 attention_multiplier=1 / math.sqrt(width // heads), rope_parameters=theta(1e4),
                 **more)


def minicpm(emb, depth, base):
    """config.json as MiniCPM's repositories have it; the tensors have the same names."""
    return {"architectures": ["MiniCPMForCausalLM"], "model_type": "minicpm", "scale_emb": emb,
            "scale_depth": depth, "dim_model_base": base}


def gemma(width, heads, kv, head_dim, ff, layers, window, scalar=None, **more):
    return llama(width, heads, kv, ff, head_dim=head_dim, num_hidden_layers=layers,
                 sliding_window=window, query_pre_attn_scalar=scalar or head_dim,
                 tie_word_embeddings=True, **more)


def mla(rope, **more):
    """num_key_value_heads is what it is in the model, where all heads share one roped key."""
    return llama(32, 4, 4, 64, q_lora_rank=20, kv_lora_rank=24,
                 qk_nope_head_dim=10, qk_rope_head_dim=8, tie_word_embeddings=True,
                 rope_parameters=rope) | more


def phi(width, heads, layers):
    return dict(hidden_size=width, num_attention_heads=heads, num_hidden_layers=layers,
                intermediate_size=4 * width, max_position_embeddings=256,
                rope_parameters={**theta(1e4), "partial_rotary_factor": 0.4})


def gpt2(width, heads, layers, positions):
    return dict(n_embd=width, n_head=heads, n_layer=layers, n_positions=positions)


# name: class, tokenizer, config, prompts (a length, (length, configured context), or a text), and
#   without   configs that must change the logits: what the case is about
#   embd      spread of the embeddings' elements (default 0.4)
#   branch    mean of the weights of Gemma's norms behind a branch (default 1): below 1 keeps many
#             layers from amplifying rounding
#   config    changes to config.json after the checkpoint was saved
#   keys      GGUF keys to remove (None), or to add to what llama.cpp's converter writes: idem's
#             writes them, since the logits depend on them
#   q8_0      also as Q8_0
CASES = {
    # TinyLlama, Llama 2
    "llama-gqa": dict(cls="Llama", tok="llama", c=llama(64, 4, 2, 64), prompts=[24, TEXT], q8_0=True),
    "llama-mha": dict(cls="Llama", tok="llama", c=llama(40, 5, 5, 56), prompts=[24]),
    "llama-head-dim": dict(cls="Llama", tok="llama3", prompts=[24], c=llama(
        48, 4, 1, 80, head_dim=20, tie_word_embeddings=True, rms_norm_eps=1e-5)),
    "llama-bias": dict(cls="Llama", tok="llama", prompts=[24], c=llama(
        40, 4, 2, 56, attention_bias=True)),
    "llama-mlp-bias": dict(cls="Llama", tok="llama", prompts=[24], c=llama(
        36, 3, 1, 56, mlp_bias=True)),
    # Llama 3.1 and 3.2: wavelengths on all three sides of the ramp; beyond the original length
    "llama-rope3": dict(cls="Llama", tok="llama3", prompts=[40], c=llama(
        48, 4, 1, 64, head_dim=32, tie_word_embeddings=True, rope_parameters=LLAMA3),
        without=[dict(rope_parameters=theta(5e5))]),
    "llama-rope3-untied": dict(cls="Llama", tok="llama3", prompts=[40], c=llama(
        40, 4, 2, 56, rope_parameters=LLAMA3 | {"factor": 8.0, "original_max_position_embeddings": 16}),
        without=[dict(rope_parameters=theta(5e5))]),
    "llama-linear": dict(cls="Llama", tok="llama", prompts=[40], c=llama(
        42, 3, 1, 48, rope_parameters=LINEAR), without=[dict(rope_parameters=theta(1e4))]),
    "llama-smollm2": dict(cls="Llama", tok="smollm", prompts=[24], c=llama(
        54, 9, 3, 72, tie_word_embeddings=True, rope_parameters=theta(1e5))),
    # Mistral: v0.1 with its window, the later ones without
    "mistral-window": dict(cls="Mistral", tok="mistral", prompts=[70], c=llama(
        40, 4, 2, 72, sliding_window=20, rope_parameters=theta(1e4)),
        without=[dict(sliding_window=None)], keys={"llama.attention.sliding_window": 20}),
    "mistral": dict(cls="Mistral", tok="mistral", prompts=[40], c=llama(
        36, 4, 2, 80, head_dim=16, sliding_window=None, rope_parameters=theta(1e6))),

    "qwen2-tied": dict(cls="Qwen2", tok="qwen2", prompts=[24, TEXT], q8_0=True, c=llama(
        64, 4, 2, 48, tie_word_embeddings=True, rope_parameters=theta(1e6))),
    "qwen2-untied": dict(cls="Qwen2", tok="qwen2", prompts=[40], c=llama(
        42, 7, 1, 72, rope_parameters=theta(1e6), rms_norm_eps=1e-6)),
    "qwen3-tied": dict(cls="Qwen3", tok="qwen2", prompts=[24, TEXT], q8_0=True, c=llama(
        32, 4, 2, 64, head_dim=32, tie_word_embeddings=True, rope_parameters=theta(1e6))),
    "qwen3-untied": dict(cls="Qwen3", tok="qwen2", prompts=[40], c=llama(
        40, 4, 1, 64, head_dim=14, rope_parameters=theta(1e6))),

    "gemma2-window": dict(cls="Gemma2", tok="gemma", prompts=[70, TEXT], q8_0=True, c=gemma(
        32, 4, 2, 16, 64, 4, 20, attn_logit_softcapping=2.0, final_logit_softcapping=4.0),
        without=[dict(sliding_window=200), dict(attn_logit_softcapping=None),
                 dict(final_logit_softcapping=None),
                 dict(layer_types=["full_attention", "sliding_attention"] * 2)]),
    "gemma2-head-dim": dict(cls="Gemma2", tok="gemma", prompts=[40], c=gemma(
        36, 3, 3, 20, 72, 3, 33, attn_logit_softcapping=50.0, final_logit_softcapping=30.0),
        without=[dict(sliding_window=200)]),
    # the 27B has query_pre_attn_scalar = width / heads; a file tells it by its 46 layers
    "gemma2-27b": dict(cls="Gemma2", tok="gemma", prompts=[24], branch=0.12, c=gemma(
        8, 2, 1, 6, 8, 46, 16, 4, attn_logit_softcapping=50.0, final_logit_softcapping=30.0),
        without=[dict(query_pre_attn_scalar=6)]),
    "gemma3-window": dict(cls="Gemma3", tok="gemma", prompts=[70, TEXT], q8_0=True, c=gemma(
        32, 4, 1, 16, 32, 7, 20, rope_parameters=gemma3_rope()),
        without=[dict(sliding_window=200), dict(rope_parameters=gemma3_rope(rope_theta=1e4))]),
    "gemma3-linear": dict(cls="Gemma3", tok="gemma", prompts=[40], c=gemma(
        24, 3, 3, 14, 40, 6, 14, rope_parameters=gemma3_rope(rope_type="linear", factor=8.0)),
        without=[dict(rope_parameters=gemma3_rope()), dict(sliding_window=200)]),
    "gemma3-27b": dict(cls="Gemma3", tok="gemma", prompts=[24], branch=0.12, c=gemma(
        8, 2, 1, 6, 8, 62, 16, 4, rope_parameters=gemma3_rope(rope_type="linear", factor=8.0)),
        without=[dict(query_pre_attn_scalar=6)]),

    "gpt2-heads4": dict(cls="GPT2LMHead", tok="gpt2", prompts=[70, TEXT], c=gpt2(32, 4, 2, 160), q8_0=True),
    "gpt2-heads3": dict(cls="GPT2LMHead", tok="gpt2", prompts=[24, 1], c=gpt2(30, 3, 3, 64)),

    "phi2-rot8": dict(cls="Phi", tok="phi2", prompts=[40], c=phi(40, 2, 2)),
    "phi2-rot6": dict(cls="Phi", tok="phi2", prompts=[24, TEXT], c=phi(32, 2, 2), q8_0=True),

    # Phi-3 4K: a window; 128K: factors by the configured context; medium: fewer KV heads
    "phi3-window": dict(cls="Phi3", tok="phi3", prompts=[40, TEXT], q8_0=True, c=llama(
        32, 4, 4, 64, sliding_window=20, original_max_position_embeddings=256,
        rope_parameters=theta(1e4)), without=[dict(sliding_window=None)]),
    "phi3-long": dict(cls="Phi3", tok="phi3", prompts=[(20, 32), (40, 128)], c=llama(
        48, 3, 3, 40, max_position_embeddings=128, sliding_window=262144,
        original_max_position_embeddings=32, rope_parameters=longrope(8, 32)),
        without=[dict(rope_parameters=theta(1e4))]),
    "phi3-medium": dict(cls="Phi3", tok="phi3", prompts=[(16, 16), (17, 17), (36, 0)], c=llama(
        36, 6, 2, 56, max_position_embeddings=128, sliding_window=30,
        original_max_position_embeddings=16, rope_parameters=longrope(3, 16)),
        without=[dict(rope_parameters=theta(1e4)), dict(sliding_window=None)]),

    # MiniCPM 1B, 2B: Granite's class with MiniCPM's multipliers, under MiniCPM's config
    "minicpm-untied": dict(cls="Granite", tok="minicpm", prompts=[24, TEXT], embd=0.1, q8_0=True,
                           c=granite(32, 4, 4, 64, 3, 12, 1.4, 16),
                           config=minicpm(12, 1.4, 16),
                           without=[dict(embedding_multiplier=1.0), dict(residual_multiplier=1.0),
                                    dict(logits_scaling=1.0)]),
    "minicpm-tied": dict(cls="Granite", tok="minicpm", prompts=[40], embd=0.1,
                         c=granite(48, 3, 1, 64, 2, 10, 1.2, 24, tie_word_embeddings=True),
                         config=minicpm(10, 1.2, 24)),
    # MiniCPM4 has factors, and a context that is the original one
    "minicpm-short": dict(cls="Granite", tok="minicpm", prompts=[40], embd=0.1,
                          c=granite(36, 3, 1, 40, 2, 12, 1.4, 16) | dict(
                              max_position_embeddings=96, rope_parameters=longrope(6, 96)),
                          config=minicpm(12, 1.4, 16), without=[dict(rope_parameters=theta(1e4))]),
    # a file from before the keys: 12, 1.4 / sqrt(layers), and logits times 256 / width
    "minicpm-no-keys": dict(cls="Granite", tok="minicpm", prompts=[24], embd=0.1,
                            c=granite(40, 4, 2, 64, 2, 12, 1.4, 256),
                            config=minicpm(12, 1.4, 256),
                            keys={"minicpm.embedding_scale": None, "minicpm.residual_scale": None,
                                  "minicpm.logit_scale": None}),
    "granite": dict(cls="Granite", tok="llama", prompts=[24, TEXT], embd=0.1, q8_0=True, c=granite(
        32, 4, 2, 64, 2, 6, 0.8, 20) | dict(attention_multiplier=0.11),
        without=[dict(attention_multiplier=0.35)]),

    "minicpm3": dict(cls="MiniCPM3", tok="minicpm", prompts=[24], embd=0.1, c=mla(theta(1e4))),
    "minicpm3-short": dict(cls="MiniCPM3", tok="minicpm", prompts=[40, TEXT], embd=0.1, q8_0=True, c=mla(
        longrope(4, 96), q_lora_rank=32, kv_lora_rank=32, max_position_embeddings=96),
        without=[dict(rope_parameters=theta(1e4))]),
    "minicpm3-long": dict(
        cls="MiniCPM3", tok="minicpm", prompts=[(16, 32), (36, 128)], embd=0.1,
        c=mla(longrope(4, 32), max_position_embeddings=128, tie_word_embeddings=False),
        without=[dict(rope_parameters=theta(1e4))],
        keys={"minicpm3.rope.scaling.original_context_length": 32,
              "minicpm3.rope.scaling.attn_factor": math.sqrt(1 + math.log(4) / math.log(32))}),
}


# ---- weights --------------------------------------------------------------------------------

def draw(model, name, embd, branch):
    """Every parameter from N(0, s^2), s such that no branch grows with the depth; values of
    bfloat16. Drawn in the order of names, so that the file does not depend on the class."""
    gen = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    gemma_norms = model.config.model_type.startswith("gemma")
    conv1d = model.config.model_type == "gpt2"
    for key, p in sorted(model.named_parameters()):
        x = torch.randn(p.shape, generator=gen)
        if p.ndim == 1 and key.endswith("bias"):
            x *= 0.2
        elif p.ndim == 1:
            x = x * 0.2 + (0.0 if gemma_norms else 1.0)
            if gemma_norms and ("post_attention" in key or "post_feedforward" in key):
                x = (x + 1.0) * branch - 1.0
        elif "embed_tokens" in key or ".wte." in key:
            x *= embd
        elif ".wpe." in key:
            x *= 0.3
        else:
            gain = 1.5 if any(s in key for s in ("q_proj", "k_proj", "qkv", "q_b_", "c_attn")) else 1.0
            x *= gain / math.sqrt(p.shape[0] if conv1d else p.shape[1])
        p.data = x.to(torch.bfloat16).to(torch.float32)


def save_checkpoint(name, case, folder):
    vocab, ids = write_tokenizer(case["tok"], folder)
    config_class = getattr(hf, case["cls"].replace("LMHead", "").replace("Gemma3", "Gemma3Text") + "Config")
    config = config_class(vocab_size=vocab, **ids, **case["c"])
    config.architectures = [case["cls"] + ("Model" if "LMHead" in case["cls"] else "ForCausalLM")]
    model = model_class(case)(config).eval()
    draw(model, name, case.get("embd", 0.4), case.get("branch", 1.0))
    model.to(torch.bfloat16).save_pretrained(folder)
    return vocab


def model_class(case):
    return getattr(hf, case["cls"] + ("Model" if "LMHead" in case["cls"] else "ForCausalLM"))


def load(case, folder, **changes):
    config = hf.AutoConfig.from_pretrained(folder, **changes)
    return model_class(case).from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation="eager").eval()


# ---- logits ---------------------------------------------------------------------------------

def range_of(logits):
    return logits.amax(-1, keepdim=True) - logits.amin(-1, keepdim=True)


def difference(a, b):
    """Largest at any position, relative to that position's range in a."""
    return ((a - b).abs() / range_of(a)).max().item()


@torch.no_grad()
def stepwise(model, ids):
    cache, rows = None, []
    for i in ids:
        out = model(torch.tensor([[i]]), past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        rows.append(out.logits[0, -1])
    return torch.stack(rows)


@torch.no_grad()
def whole(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0]


def run_prompts(name, case, folder, vocab):
    gen = torch.Generator().manual_seed(zlib.crc32(b"prompts of " + name.encode()))
    model, prompts, changed = load(case, folder), [], {}
    others = [(c, load(case, folder, **c)) for c in case.get("without", [])]
    for prompt in case["prompts"]:
        n, n_ctx = prompt if isinstance(prompt, tuple) else (prompt, 0)
        if isinstance(prompt, str):
            ids = hf.AutoTokenizer.from_pretrained(folder)(prompt).input_ids
            n = len(ids)
        else:
            ids = torch.randint(0, vocab, (n,), generator=gen).tolist()
        logits = whole(model, ids)
        assert torch.isfinite(logits).all() and 1 < range_of(logits).mean() < 200, range_of(logits)
        # longrope's factors change under way once a prompt passes the original context
        longrope_steps = n_ctx or case["c"].get("original_max_position_embeddings", n) < n
        steps = "-" if longrope_steps else f"{difference(logits, stepwise(model, ids)):.1e}"
        print(f"{name}: {n} tokens, context {n_ctx or 'trained'}, range {range_of(logits).mean():.1f}, "
              f"own difference of decoding {steps}")
        for i, (_, other) in enumerate(others):
            changed[i] = max(changed.get(i, 0), difference(logits, whole(other, ids)))
        prompts.append((n_ctx, ids, logits))
    for i, (what, _) in enumerate(others):
        print(f"    changes by {changed[i]:.1e} with {str(what)[:90]}")
        if changed[i] < MUST_CHANGE:
            sys.exit(f"{name}: the logits do not show {what}")
    return prompts


def write_ref(path, vocab, prompts):
    with open(path, "wb") as f:
        f.write(b"idemref1" + struct.pack("<II", vocab, len(prompts)))
        for n_ctx, ids, logits in prompts:
            f.write(struct.pack(f"<II{len(ids)}i", n_ctx, len(ids), *ids))
            f.write(logits.to(torch.float32).numpy().astype("<f4").tobytes())


# ---- GGUF -----------------------------------------------------------------------------------

FIXED = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def value_end(data, at, kind):
    if kind == 8:
        return at + 8 + struct.unpack_from("<Q", data, at)[0]
    if kind == 9:
        element, n = struct.unpack_from("<IQ", data, at)
        at += 12
        if element in FIXED:
            return at + n * FIXED[element]
        for _ in range(n):
            at = value_end(data, at, element)
        return at
    return at + FIXED[kind]


def edit_keys(path, changes):
    """Adds u32 and f32 keys that are not there, removes those whose value is None."""
    data = path.read_bytes()
    n_tensors, n_kv = struct.unpack_from("<QQ", data, 8)
    at, kept, changes = 24, [], dict(changes)
    for _ in range(n_kv):
        n = struct.unpack_from("<Q", data, at)[0]
        key = data[at + 8:at + 8 + n].decode()
        end = value_end(data, at + 12 + n, struct.unpack_from("<I", data, at + 8 + n)[0])
        if changes.pop(key, 0) is not None:
            kept.append(data[at:end])
        at = end
    for key, value in changes.items():
        assert value is not None, f"{path} has no key {key} to remove"
        raw = struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value)
        kept.append(struct.pack("<Q", len(key)) + key.encode() + raw)
    infos = at
    for _ in range(n_tensors):
        at += 8 + struct.unpack_from("<Q", data, at)[0]
        at += 4 + 8 * struct.unpack_from("<I", data, at)[0] + 12
    body = data[at + -at % 32:]
    head = data[:8] + struct.pack("<QQ", n_tensors, len(kept)) + b"".join(kept) + data[infos:at]
    path.write_bytes(head + b"\0" * (-len(head) % 32) + body)


PRE = {"llama3": "llama-bpe", "qwen2": "qwen2", "gpt2": "gpt-2", "phi2": "phi-2", "smollm": "smollm"}


def convert(converter, case, folder, out, kind):
    """kind: bf16 or q8_0. llama.cpp's converter knows a BPE tokenizer by a hash of what it does
    to some text, so that a toy one must be named for it."""
    if converter.suffix == ".py":
        run = ("import runpy, sys; from conversion.base import TextModel; "
               f"TextModel.get_vocab_base_pre = lambda s, t: {PRE.get(case['tok'])!r}; "
               "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')")
        command = [sys.executable, "-c", run, str(converter), str(folder), "--outfile", str(out), "--outtype", kind]
        env = {"PYTHONPATH": f"{converter.parent}:{converter.parent}/gguf-py", "PATH": "/usr/bin:/bin"}
    else:
        command, env = [str(converter), "convert", str(folder), "-o", str(out), "--type", kind], None
    out.unlink(missing_ok=True)
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    if "keys" in case:
        idem = converter.suffix != ".py"
        edit_keys(out, {k: v for k, v in case["keys"].items() if v is None or not idem})


def make(name, case, args):
    folder = args.keep / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    vocab = save_checkpoint(name, case, folder)
    prompts = run_prompts(name, case, folder, vocab)
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] == "gpt2":
        config["n_ctx"] = config["n_positions"]     # as in every file on the hub
    config.update(case.get("config", {}))
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_ref(args.out / f"{name}.ref", vocab, prompts)
    convert(args.converter, case, folder, args.out / f"{name}.gguf", "bf16")
    if case.get("q8_0"):
        convert(args.converter, case, folder, args.out / f"{name}-q8_0.gguf", "q8_0")


def main():
    p = argparse.ArgumentParser(description="fixtures of tests/data/arch")
    p.add_argument("out", nargs="?", type=pathlib.Path, default=pathlib.Path("tests/data/arch"))
    p.add_argument("--converter", type=pathlib.Path, required=True,
                   help="the program idem, or llama.cpp's convert_hf_to_gguf.py")
    p.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("/tmp/idem-arch"),
                   help="folder for the checkpoints")
    p.add_argument("--only", default="", help="only cases whose names begin so")
    args = p.parse_args()
    args.converter = args.converter.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    hf.logging.set_verbosity_error()
    hf.utils.logging.disable_progress_bar()
    failed = []
    for name, case in CASES.items():
        if not name.startswith(args.only):
            continue
        try:
            make(name, case, args)
        except RuntimeError as e:
            failed.append(name)
            print(f"{name}: FAILED: {e}")
    total = sum(f.stat().st_size for f in args.out.iterdir())
    print(f"{args.out}: {total} bytes" + (f"; failed: {' '.join(failed)}" if failed else ""))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
