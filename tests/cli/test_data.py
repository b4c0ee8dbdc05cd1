# SPDX-License-Identifier: MIT
"""What the commands print: shapes, numbers, texts, and the same bits in every host state."""
import json
import os
import pty
import re
import struct
import subprocess
import tempfile

from harness import ROOT, TINY, check

PROMPT = ["-p", "the cat is on the"]


def reads_back(text, binary32=True):
    """Every number of a JSON text has the digits that the contract asks for."""
    for token in re.findall(r'"(?:logprob|logprob_processed|entropy)": (-?[\d.e+-]+)', text):
        value = float(token)
        if binary32:
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        check(("%.9g" if binary32 else "%.17g") % value == token, f"{token} is not in its shortest exact form")


def tokenize(idem):
    ids = idem.ok("tokenize", TINY, "the cat").split()
    shown = json.loads(idem.ok("tokenize", TINY, "the cat", "--json"))["tokens"]
    check([str(t["id"]).encode() for t in shown] == ids, "JSON and text differ")
    check("".join(t["text"] for t in shown) == "the cat", "the texts are not those of the tokens")
    check(idem.ok("tokenize", TINY, stdin=b"the cat").split() == ids, "standard input gives other ids")
    check(idem.ok("tokenize", TINY, "") == b"\n", "the empty text has tokens")
    check(json.loads(idem.ok("tokenize", TINY, "", "--json")) == {"tokens": []}, "the empty text has tokens")
    special = "a<|im_end|>b"
    check(len(idem.ok("tokenize", TINY, special).split()) > 3, "special tokens are parsed without being asked for")
    check(len(idem.ok("tokenize", TINY, special, "--parse-special").split()) == 3, "special tokens are not parsed")
    broken = json.loads(idem.ok("tokenize", TINY, "\u00e9", "--json"))["tokens"]
    check([t["text"] for t in broken] == ["\ufffd", "\ufffd"] and [t["bytes"] for t in broken] == [[0xC3], [0xA9]],
          "a part of a character needs U+FFFD and its true byte")


def tokenize_there_and_back(idem):
    text = "the  cat\n\tis \u00e9\U0001f600 \x00 0123".encode()
    ids = idem.ok("tokenize", TINY, stdin=text)
    check(idem.ok("detokenize", TINY, stdin=ids) == text, "the bytes did not come back")
    check(idem.ok("detokenize", TINY, *ids.split()) == text, "the bytes did not come back from arguments")
    check(bytes(json.loads(idem.ok("detokenize", TINY, "--json", stdin=ids))["bytes"]) == text, "nor in JSON")
    check(idem.ok("detokenize", TINY, "2") == b"", "a control token gives text")
    check(idem.ok("detokenize", TINY, "2", "--special") == b"<|im_end|>", "a control token has no name")


def vocabularies(idem):
    """The 47 strings of every committed vocabulary, from outside."""
    folder = ROOT / "tests/data/vocab"
    for inp in sorted(folder.glob("*.inp")):
        texts = inp.read_bytes().split(b"\n__ggml_vocab_test__\n")
        wanted = inp.with_suffix(".out").read_text().splitlines()
        for text, want in list(zip(texts, wanted))[::6]:
            got = idem.ok("tokenize", inp.with_suffix(".gguf"), "--normalize", "none", stdin=text)
            check(got.split() == want.encode().split(), f"{inp.stem}: {text!r}: {got!r}")


def generate_json(idem):
    raw = idem.ok("generate", TINY, *PROMPT, "-n", "5", "--json", "--top-k-logprobs", "3").decode()
    out = json.loads(raw)
    reads_back(raw)
    prompt = [int(x) for x in idem.ok("tokenize", TINY, PROMPT[1]).split()]
    check(out["prompt_tokens"] == prompt, "other prompt tokens")
    (sample,) = out["samples"]
    check(sample["stop"] in ("eos", "stop", "length"), sample["stop"])
    for t in sample["tokens"]:
        check(set(t) >= {"id", "text", "bytes", "logprob", "logprob_processed", "entropy", "top"}, str(set(t)))
        check(len(t["top"]) == 3, "not three alternatives")
        check(t["top"][0]["id"] == t["id"], "greedy did not take the best")
        check(t["logprob"] == t["logprob_processed"] == t["top"][0]["logprob"], "the log-probabilities differ")
        check(t["logprob"] <= 0 <= t["entropy"], "numbers out of range")
    check(b"".join(bytes(t["bytes"]) for t in sample["tokens"]).decode(errors="replace") == sample["text"], "text")


def generate_matches_score(idem):
    """Two commands, one model: the same log-probabilities bit for bit."""
    out = json.loads(idem.ok("generate", TINY, *PROMPT, "-n", "6", "--json"))
    tokens = out["samples"][0]["tokens"]
    text = b"".join(bytes(t["bytes"]) for t in tokens)
    try:
        text.decode()
    except UnicodeDecodeError:
        tokens, text = [], b""
    score = json.loads(idem.ok("score", TINY, *PROMPT, "--json"))["tokens"]
    check(score[0]["logprob"] is None and score[0]["top"] == [], "the first token has a log-probability")
    check([t["id"] for t in score] == out["prompt_tokens"], "other tokens")
    if text and out["prompt_tokens"] + [t["id"] for t in tokens] == [int(x) for x in idem.ok(
            "tokenize", TINY, stdin=PROMPT[1].encode() + text).split()]:
        behind = json.loads(idem.ok("score", TINY, *PROMPT, "-c", text, "--json"))
        new = behind["tokens"][behind["continuation_from"]:]
        check([t["logprob"] for t in new] == [t["logprob"] for t in tokens], "score and generate differ")


def score_text(idem):
    out = json.loads(idem.ok("score", TINY, *PROMPT, "-c", " cat", "--json"))
    new = out["tokens"][out["continuation_from"]:]
    check("".join(t["text"] for t in new) == " cat", "the continuation begins elsewhere")
    singles = [struct.unpack("<f", struct.pack("<f", t["logprob"]))[0] for t in new]   # exact binary32
    check(out["logprob_sum"] == sum(singles), "the sum is wrong")
    check(float(idem.ok("score", TINY, *PROMPT, "-c", " cat", "--quiet")) == out["logprob_sum"], "--quiet")


def sampling(idem):
    args = ["generate", TINY, *PROMPT, "-n", "8", "--do-sample", "--temperature", "1.5", "--top-k", "0", "--json"]
    a, b = idem.ok(*args, "--seed", "1"), idem.ok(*args, "--seed", "1")
    check(a == b, "one seed, two outputs")
    check(json.loads(a)["samples"] != json.loads(idem.ok(*args, "--seed", "2"))["samples"], "the seed does nothing")
    many = json.loads(idem.ok(*args, "--seed", "1", "--num-return-sequences", "4"))["samples"]
    check(len(many) == 4 and many[0] == json.loads(a)["samples"][0], "sample 0 depends on the others")
    check(len({s["text"] for s in many}) > 1, "the samples are all the same")
    low = json.loads(idem.ok(*args[:-3], "--top-k", "1", "--json", "--seed", "5"))["samples"][0]
    greedy = json.loads(idem.ok("generate", TINY, *PROMPT, "-n", "8", "--json"))["samples"][0]
    check([t["id"] for t in low["tokens"]] == [t["id"] for t in greedy["tokens"]], "top_k 1 is not greedy")
    alternatives = [x for t in low["tokens"] for x in t["top"][1:]]
    check(all(x["logprob_processed"] is None for x in alternatives), "a removed token must be null")


def stop_text(idem):
    whole = json.loads(idem.ok("generate", TINY, *PROMPT, "-n", "12", "--json"))["samples"][0]
    word = next(t["text"] for t in whole["tokens"][2:] if t["text"].isascii() and t["text"].strip())
    cut = json.loads(idem.ok("generate", TINY, *PROMPT, "-n", "12", "--json", "--stop", word))["samples"][0]
    check(cut["stop"] == "stop" and word not in cut["text"], f"not stopped at {word!r}: {cut['text']!r}")
    check(whole["text"].startswith(cut["text"]), "the text before it changed")
    text = idem.ok("generate", TINY, *PROMPT, "-n", "12", "--quiet", "--stop", word)
    check(text.decode(errors="replace") == cut["text"] + "\n", "text and JSON differ")


def generate_text(idem):
    quiet = idem.ok("generate", TINY, *PROMPT, "-n", "4", "--quiet")
    whole = idem.ok("generate", TINY, *PROMPT, "-n", "4")
    check(whole.startswith(quiet), "--quiet has another text")
    head, *rows = whole[len(quiet):].decode(errors="replace").strip("\n").splitlines()
    check(head.split() == ["id", "text", "logprob", "probability", "processed"], head)
    check(len(rows) == 4, "a row per token")
    check(b"\x1b" not in whole, "colour in a pipe")
    wide = idem.ok("generate", TINY, *PROMPT, "-n", "4", "-v").decode(errors="replace")
    check("alternatives" in wide, "-v shows no alternatives")


def terminal(idem, *args, env=None):
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([str(idem.program), *map(str, args)], stdout=theirs, stderr=subprocess.PIPE,
                         env={**idem.env, **(env or {})}, cwd=ROOT)
    os.close(theirs)
    out = b""
    try:
        while data := os.read(ours, 65536):
            out += data
    except OSError:   # the other end is closed
        pass
    os.close(ours)
    check(p.wait() == 0, p.stderr.read().decode())
    return out.replace(b"\r\n", b"\n")


def on_a_terminal(idem):
    """Colour there, unless NO_COLOR; and no control character of the model's gets through."""
    args = ["generate", TINY, *PROMPT, "-n", "60", "--do-sample", "--temperature", "3", "--top-k", "0", "--seed", "4"]
    raw = idem.ok(*args, "--quiet")
    check(re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", raw), "this sample has no control character to test with")
    plain = terminal(idem, *args, env={"NO_COLOR": "1"})
    check(not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", plain), f"a control character reached the terminal: {plain!r}")
    coloured = terminal(idem, *args)
    check(b"\x1b[31m" in coloured, "no colour on a terminal")
    check(re.sub(rb"\x1b\[\d+m", b"", coloured) == plain, "colour changes more than the colour")


def chat(idem):
    plain = idem.ok("tokenize", TINY, "hello", "--chat", "--json")
    ids = [t["id"] for t in json.loads(plain)["tokens"]]
    check(ids.count(1) == 2 and ids.count(2) == 1, f"no ChatML frame: {ids}")
    out = json.loads(idem.ok("generate", TINY, "-p", "hello", "--chat", "-n", "2", "--json"))
    check(out["prompt_tokens"] == ids, "generate --chat has another prompt than tokenize --chat")
    system = json.loads(idem.ok("tokenize", TINY, "hello", "--chat", "--system", "be kind", "--json"))["tokens"]
    check([t["id"] for t in system].count(1) == 3, "no system message")
    named = [json.loads(idem.ok("tokenize", TINY, "hello", "--chat", "--json", "--chat-template", t))["tokens"]
             for t in ("chatml", "phi2", "alpaca")]
    check([t["id"] for t in named[0]] == ids and named[1] != named[0] != named[2], "templates by name")
    with tempfile.NamedTemporaryFile("w", suffix=".jinja") as file:
        file.write("{{ messages[0].content ~ day ~ strftime_now('%d %b %Y') }}{{ 'x' if a is true }}")
        file.flush()
        out = idem.ok("tokenize", TINY, "Hi ", "--chat", "--json", "--chat-template", file.name, "--chat-var", "day=on ",
                      "--chat-var", "a=true", "--chat-var", "strftime_now=2024-02-29")
        check("".join(t["text"] for t in json.loads(out)["tokens"]) == "Hi on 29 Feb 2024x", f"a template of a file: {out}")


STATES = [[], ["--threads", "1"], ["--threads", "3"], ["--chunk", "1"], ["--chunk", "3", "--threads", "2"],
          ["--batch", "2"], ["--batch", "5", "--chunk", "7"], ["--cache", "forked"], ["--cpu", "ref"],
          ["--cache", "forked", "--batch", "3", "--chunk", "2", "--threads", "2", "--cpu", "ref"]]


def same_bits(mode):
    def test(idem):
        long = ["-p", "the cat is on the mat and the cat is in the house of the cat " * 2]
        for prompt in PROMPT, long:
            seen = {}
            for state in STATES:
                out = idem.ok("digest", TINY, *prompt, "-n", "5", "--activations", mode, *state).decode()
                check(re.fullmatch(r"[0-9a-f]{64}\n", out), f"no digest: {out!r}")
                seen.setdefault(out, []).append(state)
            check(len(seen) == 1, f"digests differ: {seen}")
    return test


def digest(idem):
    line = idem.ok("digest", TINY, *PROMPT, "-n", "3").decode().strip()
    out = json.loads(idem.ok("digest", TINY, *PROMPT, "-n", "3", "--json"))
    check(out["digest"] == line, "JSON and text differ")
    n_prompt = len(idem.ok("tokenize", TINY, PROMPT[1]).split())
    check(n_prompt < out["tokens"] <= n_prompt + 3, f"{out['tokens']} tokens")
    others = [idem.ok("digest", TINY, *PROMPT), idem.ok("digest", TINY, "-p", "the dog", "-n", "3"),
              idem.ok("digest", TINY, *PROMPT, "-n", "3", "--activations", "f32")]
    check(len({line.encode() + b"\n", *others}) == 4, "the digest does not see what it must see")


def thousand(idem):
    """The same request again and again, alone and among others (few here; the models' tests do more)."""
    args = ["generate", TINY, *PROMPT, "-n", "4", "--json", "--do-sample", "--seed", "9"]
    outs = {idem.ok(*args, *(["--batch", str(1 + i % 4)] if i % 2 else [])) for i in range(20)}
    check(len(outs) == 1, f"{len(outs)} different outputs")


def inspect(idem):
    out = json.loads(idem.ok("inspect", TINY, "--json"))
    for key, want in {"arch": "llama", "name": "tiny", "n_layer": 2, "n_embd": 64, "n_ctx": 128, "runs": True,
                      "tokenizer": "gpt2/smollm", "chat_family": "jinja", "n_vocab": 279, "eos": 2}.items():
        check(out[key] == want, f"{key} is {out[key]!r}")
    check(out["file_bytes"] == TINY.stat().st_size, "file_bytes")
    check({t["type"] for t in out["types"]} == {"F32", "Q8_0"}, "types")
    check(b"idem runs it   yes" in idem.ok("inspect", TINY), "text")
    check(out["template_renders"] is True and out["template_takes_system"] is True and out["template_error"] is None,
          "its template")
    vocab = ROOT / "tests/data/vocab/gpt-2.gguf"
    if vocab.exists():
        only = json.loads(idem.ok("inspect", vocab, "--json"))
        check(only["runs"] is False and only["reason"], "a vocabulary alone cannot run")


def selftest(idem):
    out = json.loads(idem.ok("selftest", "--json", timeout=900))
    check(out["passed"] is True and all(k["passed"] for k in out["kernels"]), "a kernel differs")


def models(idem):
    out = json.loads(idem.ok("models", "--json"))["models"]
    check([m["name"] for m in out] == idem.ok("models", "--quiet").decode().split(), "names")
    check(not any(m["present"] for m in out), "a model in an empty cache")
    check(all(m["licence"] and m["source"] and m["format"] in ("gguf", "safetensors") for m in out), "facts are missing")
    check(all(len(m["sha256"]) == 64 and m["bytes"] for m in out if m["verified"]), "a digest is missing")
    lines = idem.ok("models").decode().splitlines()
    check(len(lines) == len(out) + 1 and max(map(len, lines)) <= 80, "the table")
    one = json.loads(idem.ok("models", "minicpm-2b-sft", "--json"))["models"]
    check([m["source"] for m in one] == [["hf:openbmb/MiniCPM-2B-sft-bf16@refs/pr/11"]], "one model")
    check(b"unverified" in idem.ok("models", "GPT2"), "details")


CASES = [(f.__name__.replace("_", " "), f) for f in (
    tokenize, tokenize_there_and_back, vocabularies, generate_json, generate_matches_score, score_text, sampling,
    stop_text, generate_text, on_a_terminal, chat, digest, thousand, inspect, models, selftest)]
CASES += [("same bits in every host state, q8", same_bits("q8")), ("same bits in every host state, f32", same_bits("f32"))]
