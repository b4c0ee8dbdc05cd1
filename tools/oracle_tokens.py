#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tokenises texts with transformers and writes tests/data/tokens/<name>.json, for
tests/models/tokens.py.

    tools/oracle_tokens.py MODELS_FOLDER     (needs transformers, gguf, sentencepiece, protobuf)

transformers builds a tokenizer from a GGUF file, but leaves out what the file does not say: that
SmolLM2 takes each digit alone, and that Qwen2 normalises to NFC. Both stand in the tokenizer.json
that these models publish and are put back here. It also drops Gemma's tokens for runs of spaces,
so for Gemma the plain texts go through SentencePiece itself, built from the pieces in the file.
"""
import hashlib
import json
import pathlib
import random
import sys

import sentencepiece
from gguf import GGUFReader
from sentencepiece import sentencepiece_model_pb2
from tokenizers import normalizers, pre_tokenizers
from transformers import AutoTokenizer

OUT = pathlib.Path("tests/data/tokens")
MODELS = {
    "smollm2-135m-instruct": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "qwen2.5-coder-0.5b-instruct": "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    "gemma-3-270m": "gemma-3-270m-q4_k_m.gguf",
}

TEXTS = [
    "", " ", "  ", "\n", "\t", "\r\n", "\n\n\n", " \n \n ", "a", " a", "a ", "  a  ",
    "The capital of France is", "Hello, world!", "I've told 'em we'll see, they'RE here, it'S fine",
    "3", "33", "333", "3333", "33333333", " 3 14 159", "3.14159, 1,000,000 and 1e-5", "2024-02-29T12:34:56Z",
    "def f(x):\n    return x ** 2\n\n\nclass A:\n\tpass\n", "for (int i = 0; i < n; i++) { a[i] += b[i]; }",
    "#include <stdio.h>\r\nint main(void)\r\n{\r\n\treturn 0;\r\n}\r\n", "<div class=\"x\">&nbsp;</div>",
    "{\"key\": [1, 2, null], \"k2\": \"v\\n\"}", "SELECT * FROM t WHERE a >= 10;", "$x_{i}^{2}$ \\alpha \\to \\infty",
    "https://example.org/a?b=c&d=%20#e", "user@example.org", "C:\\Users\\x", "!!!???...", "--- *** === ~~~ |||",
    "naïve café Ångström Straße", "нещо на Български", "Ελληνικά κείμενα", "שלום עולם", "مرحبا بالعالم",
    "हिन्दी में पाठ", "ภาษาไทยไม่มีช่องว่าง", "កាន់តែពិសេស", "我想在apple工作1314151天～", "日本語のテキスト、ひらがなカタカナ。",
    "한국어 텍스트입니다", "Tiếng Việt có dấu", "e\u0301 a\u0323\u0302 o\u0302\u0323", "\u1112\u1161\u11ab", "ﬁ ① Å K",
    "🙂", "🚀 go 🚀🚀", "👩‍👩‍👧‍👦 family", "😶‍🌫️", "🇩🇪🇫🇷", "👍🏽", "\u2581", "a\u2581b", "\ufeffbom", "zero\u200bwidth",
    "no\u00a0break\u2003em\u3000ideographic", "\u2028line\u2029para\u0085nel", "½ ² Ⅷ ٣ ५", "‘quotes’ “double” «guillemets»",
    "…—–-‐", "€ £ ¥ ₹ ¢", "don\u2019t", "'ſ x'S", "word" * 40, " " * 40, "\n" * 40, "\t" * 20, "a" * 300, "ab" * 100,
    "1" * 100, "日" * 60, "x  y   z    w", "  leading\n  lines\n    of code", "trailing   \n", "a\n\nb\n\n\nc",
    "MiXeD CaSe WORDS and ALLCAPS", "snake_case camelCase PascalCase kebab-case", "antidisestablishmentarianism",
    "supercalifragilisticexpialidocious 0xDEADBEEF", "\x1b[31mred\x1b[0m", "nul\x00byte", "<0x41> <0xE2>", "< |im_end|>",
]
SPECIALS = [
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<|endoftext|>", "a<|im_end|>b", "<|im_end|><|im_end|>",
    " <|im_end|> ", "<|im_start", "<|im_end|", "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n",
    "<bos><eos>", "<unk>", "<s>", "</s>", "<pad>", "<tool_call>{}</tool_call>", "<table><tr></tr></table>", "<unused1>",
    "<|fim_prefix|>x<|fim_suffix|>y<|fim_middle|>", "<repo_name>r<file_sep>f", "e<|im_end|>\u0301", "[multimodal]",
]


def random_texts(n):
    """Words of many scripts in any order, from a fixed seed."""
    r = random.Random(20240229)
    parts = sorted({p for t in TEXTS for p in t.split(" ")} | {" ", "  ", "\n", "\t", "'s", ",", ".", "7", "a"})
    return ["".join(r.choice(parts) for _ in range(r.randrange(2, 9)))[:200] for _ in range(n)]


def tokenizer(folder, name):
    t = AutoTokenizer.from_pretrained(folder, gguf_file=MODELS[name])
    b = t.backend_tokenizer
    if name.startswith("smollm2"):
        b.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    if name.startswith("qwen2"):
        b.normalizer = normalizers.NFC()
    return b


USER_DEFINED = 4


def sentencepiece_of(path):
    fields = GGUFReader(path).fields
    get = lambda key: fields["tokenizer.ggml." + key].contents()
    m = sentencepiece_model_pb2.ModelProto()
    for text, score, kind in zip(get("tokens"), get("scores"), get("token_type")):
        m.pieces.add(piece=text.replace(" ", "\u2581") if kind == USER_DEFINED else text, score=score, type=kind)
    spec = m.trainer_spec
    spec.model_type = sentencepiece_model_pb2.TrainerSpec.BPE
    spec.byte_fallback = True
    for ours, theirs in (("unknown", "unk"), ("bos", "bos"), ("eos", "eos"), ("padding", "pad")):
        token = get(ours + "_token_id")
        setattr(spec, theirs + "_id", token)
        setattr(spec, theirs + "_piece", m.pieces[token].piece)
    m.normalizer_spec.name = "identity"
    m.normalizer_spec.add_dummy_prefix = get("add_space_prefix")
    m.normalizer_spec.remove_extra_whitespaces = False
    m.normalizer_spec.escape_whitespaces = True
    return sentencepiece.SentencePieceProcessor(model_proto=m.SerializeToString())


def main():
    folder = pathlib.Path(sys.argv[1])
    OUT.mkdir(parents=True, exist_ok=True)
    for name, file in MODELS.items():
        b = tokenizer(folder, name)
        spm = sentencepiece_of(folder / file) if name.startswith("gemma") else None
        cases = []
        for text in TEXTS + SPECIALS + random_texts(100):
            b.encode_special_tokens = True
            plain = b.encode(text, add_special_tokens=False).ids
            b.encode_special_tokens = False
            special = b.encode(text, add_special_tokens=False).ids
            cases.append({"text": text, "parse_special": False, "ids": spm.encode(text) if spm else plain})
            if special != plain:
                cases.append({"text": text, "parse_special": True, "ids": special})
        digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        head = {"by": "tools/oracle_tokens.py", "file": file, "sha256": digest}
        lines = [json.dumps(c, separators=(",", ":")) for c in cases]
        (OUT / f"{name}.json").write_text(json.dumps(head)[:-1] + ', "cases": [\n' + ",\n".join(lines) + "\n]}\n")
        print(name, len(cases))


main()
