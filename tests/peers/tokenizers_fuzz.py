#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""idem's tokenizer against the tokenizers package on random texts.

    python3 tests/peers/tokenizers_fuzz.py TOK_BATCH [--texts N] [--seed S] [NAME...]
                                           (needs tokenizers 0.23, transformers, gguf, unicodedata2 16.0)

N texts (1,000,000) in all over the tiny tokenizers of tests/data/tok and the published vocabularies
of tests/data/vocab; each is tokenised with and without its control tokens parsed, and the ids are
decoded again both ways. Characters that one of the two Unicode versions does not know are counted
and kept out. Exit code 1 if anything differs; the first differences are printed.
"""
import argparse
import os
import pathlib
import struct
import subprocess
import sys
import threading
import time

if "--python" in sys.argv:   # the one that has the packages
    at = sys.argv.index("--python")
    python = sys.argv[at + 1]
    del sys.argv[at:at + 2]
    if not os.path.exists(python):
        sys.exit(77)
    os.execv(python, [python, *sys.argv])

import unicodedata2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from tokenizers_texts import Texts  # noqa: E402

TINY = pathlib.Path("tests/data/tok")
REAL = pathlib.Path("tests/data/vocab")
CHUNK = 2000
SHOWN = 10
BYTE_LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


# ---- the package's tokenizers of the published vocabularies ---------------------------------------------


def split(regex):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), behavior="isolated", invert=False),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


PRE = {"gpt-2": BYTE_LEVEL, "starcoder": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), BYTE_LEVEL]),
       "llama-bpe": split(LLAMA3 % "{1,3}"), "qwen2": split(LLAMA3 % "")}


def published(path):
    """A tokenizer from the keys of a GGUF file, in the form in which its family is published."""
    from gguf import GGUFReader
    from transformers.convert_slow_tokenizer import generate_merges
    fields = GGUFReader(path).fields
    get = lambda key: fields["tokenizer.ggml." + key].contents()
    tokens, kinds = get("tokens"), get("token_type")
    phi3 = "phi3" in fields["general.name"].contents().lower()
    vocab = {}
    for i, text in enumerate(tokens):
        vocab.setdefault(text, i)
    spm = get("model") == "llama"
    if spm:
        scores = get("scores")
        words = {x: i for x, i in vocab.items() if kinds[i] in (1, 5)}
        merges = generate_merges(words, {x: scores[i] for x, i in words.items()})
        t = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
        t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    else:
        pre = get("pre")
        merges = [tuple(m.split(" ")) for m in get("merges")]
        t = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=pre == "llama-bpe"))
        t.pre_tokenizer, t.decoder = PRE[pre], decoders.ByteLevel()
        if pre == "qwen2":
            t.normalizer = normalizers.NFC()
    for i, text in enumerate(tokens):
        if kinds[i] in (3, 4) or (kinds[i] == 2 and text == "<unk>"):
            rstrip = phi3 and text not in ("<unk>", "<s>", "<|endoftext|>")
            t.add_tokens([AddedToken(text, special=kinds[i] != 4, normalized=False, rstrip=rstrip)])
    return t


def load(names):
    out = []
    for p in sorted(TINY.glob("*.gguf")):
        out.append((p.stem, str(p), lambda p=p: Tokenizer.from_file(str(p.with_suffix(".json"))), 1))
    for p in sorted(REAL.glob("*.gguf")):
        out.append((p.stem, str(p), lambda p=p: published(str(p)), 2))
    p = REAL / "qwen2.gguf"

    def unnormalized():
        t = published(str(p))
        t.normalizer = normalizers.Sequence([])
        return t
    out.append(("qwen2-none", f"none={p}", unnormalized, 1))
    return [x for x in out if not names or x[0] in names]


# ---- idem ------------------------------------------------------------------------------------------------


class Idem:
    """One tok_batch process."""

    def __init__(self, program, models_):
        self.p = subprocess.Popen([program, *models_], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, requests):
        data = b"".join(requests) + struct.pack("<IIII", 2, 0, 0, 0)
        writer = threading.Thread(target=lambda: (self.p.stdin.write(data), self.p.stdin.flush()))
        writer.start()
        out = []
        for q in requests:
            kind = q[0]
            n, = struct.unpack("<I", self.p.stdout.read(4))
            if n == 0xFFFFFFFF:
                n, = struct.unpack("<I", self.p.stdout.read(4))
                out.append(self.p.stdout.read(n).decode())
            elif kind == 0:
                out.append(list(struct.unpack(f"<{n}i", self.p.stdout.read(4 * n))))
            else:
                out.append(self.p.stdout.read(n))
        writer.join()
        return out

    def close(self):
        self.p.stdin.close()
        return self.p.wait()


def encode_request(model, parse, text):
    b = text.encode()
    return struct.pack("<IIII", 0, model, 2 if parse else 0, len(b)) + b


def decode_request(model, special, ids):
    return struct.pack(f"<IIII{len(ids)}i", 1, model, special, len(ids), *ids)


# ---- every character ------------------------------------------------------------------------------------


PROBED = ("gpt2", "smollm", "llama3", "qwen2", "tekken", "added", "mistral", "gemma")


def probe(c):
    """A text that comes out otherwise if the class or the normal form of c is seen otherwise."""
    return f"a{c}a1{c}1 {c}{c} A{c}B!{c}/\n<W>{c} <W>a{c}<LR>{c}{c}\u0301 a{c}\u0334 a\u0345{c}\n"


def differing(index, t, idem, characters, size):
    texts = ["".join(probe(c) for c in characters[i:i + size]) for i in range(0, len(characters), size)]
    for i in range(0, len(texts), CHUNK):
        want = t.encode_batch(texts[i:i + CHUNK], add_special_tokens=False)
        got = idem.ask([encode_request(index, True, x) for x in texts[i:i + CHUNK]])
        for k, (a, b) in enumerate(zip(want, got)):
            if a.ids != b and not (isinstance(b, str) and "no token" in b):
                yield from characters[(i + k) * size:(i + k + 1) * size]


def other_version(subjects, idem):
    """The characters whose class or normal form is not the same in the package's and in idem's version
    of Unicode: all are asked about, the ones that differ singly."""
    # ideographs, syllables, private use and the empty planes: one in 61
    large = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0xE000, 0xF900), (0x20000, 0x32000), (0x34000, 0x110000))
    every = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000 and
             (c % 61 == 0 or not any(lo <= c < hi for lo, hi in large))]
    out = {}
    for index, (name, _, build, _) in enumerate(subjects):
        if name in PROBED:
            t = build()
            suspects = list(differing(index, t, idem, every, 8))
            for c in differing(index, t, idem, suspects, 1):
                out.setdefault(c, name)
    return out


def other_pairs():
    """The characters that the package's version of Unicode does not compose, and what they begin with."""
    out = set()
    for cp in range(0x110000):
        d = unicodedata2.decomposition(chr(cp)).split()
        if len(d) == 2 and d[0][0] != "<":
            pair = "".join(chr(int(x, 16)) for x in d)
            if normalizers.NFC().normalize_str(pair) != unicodedata2.normalize("NFC", pair):
                out |= {pair[0], chr(cp)}
    return out


def other_data(c):
    """c is new, or the package normalises it otherwise than Unicode 16.0 has it."""
    return unicodedata2.category(c) == "Cn" or normalizers.NFC().normalize_str(probe(c)) != unicodedata2.normalize("NFC", probe(c))


# ---- comparison -----------------------------------------------------------------------------------------------


def dropped(t, text):
    """The package drops bytes that a byte-level vocabulary lacks; idem refuses such a text."""
    return t.gone is not None and any(set(w) & t.gone for w, _ in t.alphabet.pre_tokenize_str(text))


class Subject:
    def __init__(self, tokenizer):
        self.t = tokenizer
        self.added = tokenizer.get_added_tokens_decoder()
        self.alphabet = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        byte_level = isinstance(tokenizer.decoder, decoders.ByteLevel)
        # Added tokens that the package decodes to something else than their text: to their normal form,
        # and Latin-1 letters as if they were of the byte alphabet. No published vocabulary has such.
        latin = set(pre_tokenizers.ByteLevel.alphabet())
        self.mangled = {i for i, a in self.added.items() if tokenizer.id_to_token(i) != a.content or (
            byte_level and not a.content.isascii() and set(a.content) <= latin)}
        self.gone = {c for c in pre_tokenizers.ByteLevel.alphabet() if tokenizer.token_to_id(c) is None} if byte_level else None


def check(name, index, subject, idem, n, seed, skip, report):
    t = subject.t
    gen = Texts(f"{seed} {name}", [a.content for a in subject.added.values()][:80], skip)
    counts = {"texts": 0, "refused": 0, "differ": 0, "decodes": 0}
    while counts["texts"] < n:
        texts = [gen.text() for _ in range(min(CHUNK, n - counts["texts"]))]
        counts["texts"] += len(texts)
        for parse in (True, False):
            t.encode_special_tokens = not parse
            want = [e.ids for e in t.encode_batch(texts, add_special_tokens=False)]
            got = idem.ask([encode_request(index, parse, x) for x in texts])
            good = []
            for text, a, b in zip(texts, want, got):
                if a == b:
                    good.append(a)
                elif isinstance(b, str) and "no token" in b and subject.gone and dropped(subject, text):
                    counts["refused"] += 1
                else:
                    counts["differ"] += 1
                    report(name, "encode", parse, text, a, b)
            good = [ids for ids in good if not subject.mangled & set(ids)]
            for special in (False, True):
                want_text = t.decode_batch(good, skip_special_tokens=not special)
                got_text = idem.ask([decode_request(index, special, ids) for ids in good])
                for ids, a, b in zip(good, want_text, got_text):
                    counts["decodes"] += 1
                    if a != b.decode("utf-8", "replace"):
                        counts["differ"] += 1
                        report(name, "decode", special, ids, a, b)
    return counts


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("program")
    ap.add_argument("names", nargs="*")
    ap.add_argument("--texts", type=int, default=1_000_000)
    ap.add_argument("--no-probe", action="store_true", help="do not ask about every character first")
    ap.add_argument("--seed", default="1")
    a = ap.parse_intermixed_args()
    subjects = load(a.names)
    idem = Idem(a.program, [m for _, m, _, _ in subjects])
    shown = {}

    def report(name, what, how, text, want, got):
        shown[name] = shown.get(name, 0) + 1
        if shown[name] <= SHOWN:
            print(f"  {name} {what} {how} {text if what == 'decode' else ascii(text)}\n    package {want!a}\n    idem    {got!a}", flush=True)

    other = other_version(subjects, idem) if not a.no_probe else {}
    pairs = other_pairs()
    if not a.no_probe:
        print(f"every character probed: {len(other)} come out otherwise and are kept out:",
              " ".join(f"{ord(c):04X}" for c in sorted(other)))
    print(f"{len(pairs)} more, of pairs that one version composes, are kept out", flush=True)
    wrong = [c for c in other if not other_data(c)]
    if wrong:
        sys.exit(f"of them these are the same in both versions: {' '.join(f'U+{ord(c):04X}' for c in wrong[:SHOWN])}")
    skip = "".join({*other, *pairs})
    weights = sum(w for *_, w in subjects)
    total = {}
    for i, (name, _, build, weight) in enumerate(subjects):
        start = time.time()
        counts = check(name, i, Subject(build()), idem, -(-a.texts * weight // weights), a.seed, skip, report)
        for k, v in counts.items():
            total[k] = total.get(k, 0) + v
        print(f"{name}: {counts['texts']} texts, {counts['decodes']} decodings, {counts['refused']} refused for a missing byte, "
              f"{counts['differ']} differ ({time.time() - start:.0f} s)", flush=True)
    code = idem.close()
    print(f"in all: {total['texts']} texts, {total['decodes']} decodings, {total['refused']} refused, {total['differ']} differ")
    sys.exit(1 if total["differ"] or code else 0)


if __name__ == "__main__":
    main()
