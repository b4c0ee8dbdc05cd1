# SPDX-License-Identifier: MIT
"""Every fixture of tests/data/arch as a user meets it: inspect, tokenize, and score against the
log-probabilities that transformers gives the same text."""
import json
import math
import struct
import subprocess
import sys

from harness import ROOT, check

FOLDER = ROOT / "tests/data/arch"
TEXT = "the cat is on, or at 10\n"     # as in tools/oracle/make_arch.py
ROWS = [line.rstrip("\n").split("\t") for line in (FOLDER / "models.tsv").open(encoding="utf-8")
        if not line.startswith("#")]


def prompts(path):
    """The prompts of a .ref: configured context, ids, logits (tests/unit/engine_arch.c)."""
    data, at = path.read_bytes(), 16
    n_vocab, n_prompts = struct.unpack_from("<II", data, 8)
    for _ in range(n_prompts):
        n_ctx, n = struct.unpack_from("<II", data, at)
        ids = struct.unpack_from(f"<{n}i", data, at + 8)
        logits = struct.unpack_from(f"<{n * n_vocab}f", data, at + 8 + 4 * n)
        at += 8 + 4 * n + 4 * n * n_vocab
        yield n_ctx, ids, [logits[i * n_vocab:(i + 1) * n_vocab] for i in range(n)]


def logprob(logits, i):
    top = max(logits)
    return logits[i] - top - math.log(math.fsum(math.exp(x - top) for x in logits))


def inspect(idem):
    arch_of = {c: arch for _, arch, cases, _ in ROWS for c in cases.split(",")}
    files = sorted(FOLDER.glob("*.gguf"))
    check(files, f"{FOLDER} has no files")
    for file in files:
        name = file.stem.removesuffix("-q8_0")
        check(name in arch_of, f"{file.name} stands in no row of models.tsv")
        facts = json.loads(idem.ok("inspect", file, "--json"))
        check(facts["arch"] == arch_of[name], f"{name}: {facts['arch']}")
        text = idem.ok("inspect", file).decode()
        check("idem runs it   yes" in text, f"{file.name}: {text}")


def score(idem):
    """One file of each architecture has TEXT for its last prompt: where the Q8_0 file is."""
    seen = set()
    for file in sorted(FOLDER.glob("*-q8_0.gguf")):
        name = file.stem.removesuffix("-q8_0")
        _, ids, logits = list(prompts(FOLDER / f"{name}.ref"))[-1]
        got = idem.ok("tokenize", FOLDER / f"{name}.gguf", "--add-special", TEXT).split()
        check(tuple(map(int, got)) == ids, f"{name}: tokens {got}, transformers {ids}")
        out = json.loads(idem.ok("score", FOLDER / f"{name}.gguf", "--activations", "f32", "-p", TEXT, "--json"))
        check([t["id"] for t in out["tokens"]] == list(ids), f"{name}: tokens of score")
        for i in range(1, len(ids)):
            want, have = logprob(logits[i - 1], ids[i]), out["tokens"][i]["logprob"]
            check(abs(want - have) < 1e-4, f"{name}: token {i} has {have}, transformers {want}")
        seen.add(json.loads(idem.ok("inspect", file, "--json"))["arch"])
    check(seen == {row[1] for row in ROWS}, f"no text for all architectures: {seen}")


def shapes(idem):
    """Facts of large models, from files with holes in place of their matrices."""
    make = ROOT / "tests/models/make_shape.py"
    for name in ("mistral-7b-v0.1", "phi-3.5-one-layer"):
        file = idem.path(f"{name}.gguf")
        subprocess.run([sys.executable, make, name, file, "--sparse"], check=True)
        facts = json.loads(idem.ok("inspect", file, "--json"))
        if name.startswith("mistral"):                # its files do not say that they have a window
            check(facts["sliding_window"] == 4096, f"{name}: window {facts['sliding_window']}")
            check(facts["n_params"] == 7241732096, f"{name}: {facts['n_params']} parameters")
            continue
        check(facts["rope"] == "long" and facts["memory"]["kv"] == 131072 * 2 * 3072 * 2, f"{facts}")
        short = json.loads(idem.ok("inspect", file, "--context", "4096", "--json"))
        check(short["rope"] == "short" and short["n_ctx"] == 4096, f"{short}")


CASES = [("inspect of every architecture", inspect), ("score of every architecture", score),
         ("inspect of large shapes", shapes)]
