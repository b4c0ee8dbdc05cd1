#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Trains a tiny tokenizer in the form of each family with the tokenizers package and writes, for each,

    tests/data/tok/NAME.json    tokenizer.json as the package saves it
    tests/data/tok/NAME.gguf    the same as a GGUF file without weights
    tests/data/tok/NAME.tsv     texts with the ids and the decoded texts that the package gives
                                (tests/unit/engine_tok_families.c says what the columns are)

    tools/oracle/make_tok.py [NAME...]      from the root; needs tokenizers 0.23 and gguf

The training text is taken from tests/data, so that it stays as it is. tests/data/tok/found.txt holds
texts that once came out wrong, one a line with \\u{HEX} escapes; they are part of every table.
"""
import json
import pathlib
import random
import re
import sys

from gguf import GGUFWriter, TokenType
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

sys.path.insert(0, "tests/peers")
from tokenizers_texts import FIXED, Texts  # noqa: E402

OUT = pathlib.Path("tests/data/tok")
N_TEXTS = 300
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
          r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
          r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LSTRIP, RSTRIP, SINGLE_WORD, NORMALIZED = 1, 2, 4, 8
BYTES = [f"<0x{b:02X}>" for b in range(256)]


def special(text, **kw):
    return AddedToken(text, special=True, **{"normalized": False, **kw})


def user(text, **kw):
    return AddedToken(text, special=False, **{"normalized": False, **kw})


def corpus():
    for p in sorted(pathlib.Path("tests/data/tokens").glob("*.json")):
        for case in json.loads(p.read_text())["cases"]:
            if "<" not in case["text"]:   # else some added tokens would be plain tokens too
                yield case["text"]
    yield from pathlib.Path("tests/data/vocab/gpt-2.inp").read_text().split("__ggml_vocab_test__")
    for line in pathlib.Path("LICENSE").read_text().splitlines():
        yield line


def template(bos, eos=None):
    pieces = [bos, "$A"] + ([eos[0]] if eos else [])
    return lambda t: processors.TemplateProcessing(
        single=" ".join(pieces), special_tokens=[(x, t.token_to_id(x)) for x in [bos] + ([eos[0]] if eos else [])])


# ---- byte-level BPE ----------------------------------------------------------------------------------

BYTE_LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def split(regex):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), behavior="isolated", invert=False),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def byte_bpe(pre, added, size=900, normalizer=None, ignore_merges=False, bos=None, drop=(), words=()):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre
    if normalizer:
        t.normalizer = normalizer
    alphabet = [c for c in sorted(pre_tokenizers.ByteLevel.alphabet()) if c not in drop]
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=alphabet))
    m = json.loads(t.to_str())["model"]
    vocab, merges = m["vocab"], [tuple(x) for x in m["merges"]]
    if drop:
        kept = [w for w in sorted(vocab, key=vocab.get) if not set(w) & set(drop)]
        vocab = {w: i for i, w in enumerate(kept)}
        merges = [x for x in merges if not set("".join(x)) & set(drop)]
    for w in words:   # whole words that no merge gives
        if w not in vocab:
            vocab[w] = len(vocab)
    t.model = models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges)
    t.decoder = decoders.ByteLevel()
    t.add_tokens(added)
    if bos:
        t.post_processor = template(*bos)(t)
    return t


# ---- SentencePiece -----------------------------------------------------------------------------------


def generate_merges(vocab, scores):
    """All pairs of pieces that join to a piece, the best score first, as transformers makes them."""
    merges = []
    for piece, score in scores.items():
        local = [(piece[:i], piece[i:], score) for i in range(1, len(piece)) if piece[:i] in vocab and piece[i:] in vocab]
        merges += sorted(local, key=lambda x: (vocab[x[0]], vocab[x[1]]))
    merges.sort(key=lambda x: (x[2], len(x[0]), len(x[1])), reverse=True)
    return [(a, b) for a, b, _ in merges]


def sentencepiece(scheme, added, size=900, with_bytes=True, trained_merges=False, bos=("<s>",), user_pieces=()):
    """scheme: prepend, metaspace-always, metaspace-first, none."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Replace(" ", "\u2581")
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, show_progress=False))
    m = json.loads(t.to_str())["model"]
    plain = sorted(m["vocab"], key=m["vocab"].get)
    head = ["<unk>", "<s>", "</s>"] + (BYTES if with_bytes else []) + list(user_pieces)
    plain = [w for w in plain if w not in head]
    vocab = {w: i for i, w in enumerate(head + plain)}
    # as in SentencePiece's own files: merged pieces first, single characters behind them
    merged = ["".join(x) for x in m["merges"]]
    scores = {w: -float(i) for i, w in enumerate(dict.fromkeys(merged + plain))}
    scores.update({w: 0.0 for w in head})
    scored = {w: s for w, s in scores.items() if w not in head or w in user_pieces}
    merges = [tuple(x) for x in m["merges"]] if trained_merges else generate_merges(vocab, scored)
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=with_bytes))
    if scheme == "prepend":
        t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    elif scheme == "none":
        t.normalizer = normalizers.Replace(" ", "\u2581")
        t.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous", invert=False)
    else:
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme[10:], split=False)
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    t.decoder = decoders.Sequence(steps + ([decoders.Strip(" ", 1, 0)] if scheme != "none" else []))
    t.add_tokens(added)
    t.post_processor = template(*bos)(t)
    t.scores, t.scheme, t.trained_merges = scores, scheme, trained_merges
    return t


# ---- families ----------------------------------------------------------------------------------------

SPM_SPECIAL = [special("<unk>"), special("<s>"), special("</s>")]
CHATML = [special("<|endoftext|>"), special("<|im_start|>"), special("<|im_end|>")]
ALL_KINDS = [
    special("<|end|>"), special("<|endoftext|>"), special("<L>", lstrip=True), special("<R>", rstrip=True),
    special("<LR>", lstrip=True, rstrip=True), special("<W>", single_word=True), user("w0rd", single_word=True),
    user("[u]"), user("[u][u]"), user("[n]", normalized=True), user("x [n] y", normalized=True), user("\n\n"),
    user("\t", rstrip=True), user("e\u0301q", normalized=True), user("\u00e9r", normalized=True),
    user("\u212bs"), special("sp", normalized=True, lstrip=True), user("end"), user("\u2581\u2581", normalized=True),
]
PHI3 = [special("<unk>"), special("<s>"), user("</s>", rstrip=True), special("<|endoftext|>")] + [
    special(x, rstrip=True) for x in ("<|assistant|>", "<|placeholder1|>", "<|system|>", "<|end|>", "<|user|>")]
GEMMA_USER = ["\n" * n for n in range(1, 32)] + ["\u2581" * n for n in range(2, 32)] + ["<table>", "</i>"]

FAMILIES = {
    "gpt2": ("gpt-2", lambda: byte_bpe(BYTE_LEVEL, [special("<|endoftext|>", normalized=True)])),
    "phi2": ("phi-2", lambda: byte_bpe(BYTE_LEVEL, [special("<|endoftext|>")] + [
        user(" " * n, normalized=True) for n in range(31, 1, -1)] + [user("\t" * n, normalized=True) for n in range(9, 1, -1)])),
    "smollm": ("smollm", lambda: byte_bpe(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), BYTE_LEVEL]),
                                          CHATML + [special("<repo_name>")], drop="\u0104\u00f1")),
    "llama3": ("llama-bpe", lambda: byte_bpe(split(LLAMA3 % "{1,3}"), [
        special("<|begin_of_text|>"), special("<|eot_id|>"), special("<|start_header_id|>"), special("<|end_header_id|>")],
        ignore_merges=True, bos=("<|begin_of_text|>",), words=("\u0120capital", "Hello", "123", "\u0120\u0120\u0120", "\u00c3\u00a9"))),
    "qwen2": ("qwen2", lambda: byte_bpe(split(LLAMA3 % ""), CHATML + [
        user("<tool_call>"), user("</tool_call>"), user("<think>"), user("</think>")], normalizer=normalizers.NFC())),
    "tekken": ("tekken", lambda: byte_bpe(split(TEKKEN), [special("<unk>"), special("<s>"), special("</s>"), special("[INST]"),
                                                          special("[/INST]")], ignore_merges=True, bos=("<s>",))),
    "added": ("qwen2", lambda: byte_bpe(split(LLAMA3 % ""), ALL_KINDS[:-1], normalizer=normalizers.NFC())),
    "llama": (None, lambda: sentencepiece("prepend", SPM_SPECIAL)),
    "llama-merges": (None, lambda: sentencepiece("prepend", SPM_SPECIAL, trained_merges=True)),
    "mistral": (None, lambda: sentencepiece("metaspace-first", SPM_SPECIAL + [special("[INST]"), special("[/INST]")])),
    "metaspace": (None, lambda: sentencepiece("metaspace-always", SPM_SPECIAL + [special("<R>", rstrip=True), user("[n]", normalized=True)],
                                              bos=("<s>", ("</s>",)))),
    "minicpm3": (None, lambda: sentencepiece("prepend", SPM_SPECIAL + [special("<|im_start|>"), special("<|im_end|>"), special("<|execute_start|>")])),
    "phi3": (None, lambda: sentencepiece("prepend", PHI3)),
    "gemma": (None, lambda: sentencepiece("none", SPM_SPECIAL + [special("<start_of_turn>"), special("<end_of_turn>")] + [
        user(x) for x in GEMMA_USER], user_pieces=GEMMA_USER)),
    "spm-added": (None, lambda: sentencepiece("prepend", SPM_SPECIAL + ALL_KINDS)),
    "spm-no-bytes": (None, lambda: sentencepiece("none", SPM_SPECIAL, with_bytes=False)),
}


# ---- files -------------------------------------------------------------------------------------------


def flags_of(a):
    return LSTRIP * a.lstrip | RSTRIP * a.rstrip | SINGLE_WORD * a.single_word | NORMALIZED * a.normalized


def write_gguf(name, pre, t, path):
    """What a converter writes, and the keys of idem where llama.cpp's rules would give something else."""
    w = GGUFWriter(str(path), "llama")
    w.add_name("Phi-3 tiny" if name == "phi3" else name)
    n = t.get_vocab_size()
    added = t.get_added_tokens_decoder()
    tokens, types = [t.id_to_token(i) for i in range(n)], [TokenType.NORMAL] * n
    for i, text in enumerate(tokens):
        if text in BYTES:
            types[i] = TokenType.BYTE
        if i in added:
            text = tokens[i] = added[i].content
            types[i] = TokenType.CONTROL if added[i].special else TokenType.USER_DEFINED
            if not added[i].special and pre is None:
                tokens[i] = text.replace("\u2581", " ")
        if pre is None and text == "<unk>":
            types[i] = TokenType.UNKNOWN
    w.add_tokenizer_model("llama" if pre is None else "gpt2")
    w.add_tokenizer_pre(pre or "default")
    w.add_token_list([x.encode() for x in tokens])
    w.add_token_types(types)
    merges = json.loads(t.to_str())["model"]["merges"]
    if pre is None and not t.trained_merges:
        w.add_token_scores([t.scores.get(t.id_to_token(i), -1000.0) for i in range(n)])
    else:
        w.add_token_merges([" ".join(x) for x in merges])
    bos = t.encode("", add_special_tokens=True).ids
    w.add_add_bos_token(len(bos) > 0)
    w.add_bos_token_id(bos[0] if bos else min(added))
    w.add_eos_token_id(bos[1] if len(bos) > 1 else max(added) if pre else 2)
    if len(bos) > 1:
        w.add_add_eos_token(True)
    if pre is None:
        w.add_unk_token_id(0)
        w.add_add_space_prefix(t.scheme != "none")
        if t.scheme.startswith("metaspace"):
            w.add_string("tokenizer.idem.space_prefix", t.scheme)
    if name in ("added", "spm-added", "metaspace"):
        ids = [i for i in sorted(added) if flags_of(added[i])]
        w.add_array("tokenizer.idem.added_tokens", ids)
        w.add_array("tokenizer.idem.added_flags", [flags_of(added[i]) for i in ids])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()


def escape(s):
    """One field of a table: visible ASCII but the backslash as it is, else \\u{HEX}."""
    return "".join(c if 32 <= ord(c) < 127 and c != "\\" else f"\\u{{{ord(c):X}}}" for c in s)


def unescape(s):
    return re.sub(r"\\u\{([0-9A-F]+)\}", lambda m: chr(int(m[1], 16)), s)


def missing(t):
    """Characters of bytes that this vocabulary has no token for: there idem refuses the text."""
    table = pre_tokenizers.ByteLevel.alphabet()
    return [c for c in table if t.token_to_id(c) is None]


def texts(name, t):
    added = [a.content for a in t.get_added_tokens_decoder().values()]
    r = random.Random(name)
    some = added if len(added) < 30 else r.sample(added, 12) + added[:5]
    out = list(FIXED) + [unescape(x) for x in (OUT / "found.txt").read_text().splitlines()]
    for a in some:
        out += [a, f" {a} ", f"x{a}y", f"{a}{a}", f"{a} \n \n{a}\n", f"a {a} b", a[:-1] + a]
    more = Texts(name, added)
    while len(out) < N_TEXTS:
        s = more.text()
        if len(s) < 60:
            out.append(s)
    return list(dict.fromkeys(out))


def mangled(t):
    """Added tokens that the package decodes to something else than their text (docs/tokenizers.md)."""
    latin = set(pre_tokenizers.ByteLevel.alphabet())
    byte_level = isinstance(t.decoder, decoders.ByteLevel)
    return {i for i, a in t.get_added_tokens_decoder().items() if t.id_to_token(i) != a.content or (
        byte_level and not a.content.isascii() and set(a.content) <= latin)}


def field(decoded, s):
    return "=" if decoded == s else "-" if decoded is None else escape(decoded)


def cases(t, name, pre):
    odd = mangled(t)
    gone = set(missing(t)) if pre else set()
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for s in texts(name, t):
        for parse in (True, False):
            t.encode_special_tokens = not parse
            ids = t.encode(s, add_special_tokens=parse).ids
            if not parse and ids == last:
                continue
            last = ids
            # where the package drops a byte, idem refuses the text: that is not for this table
            if gone and any(set(w) & gone for w, _ in bytes_of.pre_tokenize_str(s)):
                break
            decoded = (None, None) if odd & set(ids) else (t.decode(ids, skip_special_tokens=x) for x in (True, False))
            yield parse, s, ids, *decoded


def main():
    OUT.mkdir(exist_ok=True)
    for name, (pre, build) in FAMILIES.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        t = build()
        t.encode_special_tokens = False
        path = OUT / f"{name}.json"
        path.write_text(json.dumps(json.loads(t.to_str()), ensure_ascii=False, separators=(",", ":")) + "\n")
        write_gguf(name, pre, t, OUT / f"{name}.gguf")
        rows = [f"{int(parse)}\t{escape(s)}\t{' '.join(map(str, ids))}\t{field(plain, s)}\t{field(full, s)}\n"
                for parse, s, ids, plain, full in cases(t, name, pre)]
        (OUT / f"{name}.tsv").write_text("".join(rows))
        print(name, t.get_vocab_size(), "tokens,", len(rows), "rows,", (OUT / f"{name}.gguf").stat().st_size, "bytes", flush=True)


if __name__ == "__main__":
    main()
