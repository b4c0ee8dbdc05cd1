# SPDX-License-Identifier: MIT
"""Right tokens: idem tokenize against the fixtures of tests/data/tokens (transformers, and
SentencePiece for Gemma: tools/oracle_tokens.py), and idem detokenize back to the same bytes.

    python3 tests/models/tokens.py [MODEL...]
"""
import json
import subprocess
import sys
import unicodedata

from common import IDEM, ROOT, find_models, main

SHOWN = 10


def run(args, stdin):
    r = subprocess.run([IDEM, *args], input=stdin, capture_output=True)
    return r.stdout if r.returncode == 0 else f"exit code {r.returncode}: {r.stderr.decode(errors='replace')}"


def check_case(name, path, case):
    """None, or what is wrong."""
    text = case["text"].encode()
    special = case["parse_special"]
    out = run(["tokenize", path, "--json"] + ["--parse-special"] * special, text)
    if isinstance(out, str):
        return out
    tokens = json.loads(out)["tokens"]
    ids = [t["id"] for t in tokens]
    if ids != case["ids"]:
        return f"{ids} are not {case['ids']}"
    back = b"".join(bytes(t["bytes"]) for t in tokens)
    # what a model's own normal form or alphabet makes of the text
    want = text
    if name.startswith("qwen2") and not special:
        want = unicodedata.normalize("NFC", case["text"]).encode()
    if name.startswith("gemma"):
        want = want.replace(b"\xe2\x96\x81", b" ")
    if back != want and not (special and name.startswith("qwen2")):
        return f"the bytes come back as {back}"
    out = run(["detokenize", path, "--special", *map(str, ids)], b"") if ids else b""
    if isinstance(out, str):
        return out
    return None if out in (back, back + b"\n") else f"detokenize gives {out}, not {back}"


def check_model(name, path):
    doc = json.loads((ROOT / "tests/data/tokens" / f"{name}.json").read_text())
    failures = 0
    for case in doc["cases"]:
        wrong = check_case(name, path, case)
        if wrong:
            failures += 1
            if failures <= SHOWN:
                print(f"  {name}, parse_special {case['parse_special']}: {ascii(case['text'])[:120]}: {wrong[:500]}")
    print(f"{name}: {len(doc['cases'])} texts, {failures} differ", flush=True)
    return failures


if __name__ == "__main__":
    main(lambda: sum(check_model(n, p) for n, p in find_models(sys.argv[1:])))
