# SPDX-License-Identifier: MIT
"""Everything of docs/performance.md: idem beside llama.cpp and transformers, in rounds whose order
alternates, each measurement kept in the cache as soon as a round is done.

    make bench-peers [ONLY=words] [ROUNDS=5] [QUICK=1] [FRESH=1] [GET=0]
                     [LLAMA_CPP=folder] [ORACLE_PY=python] [IDEM_MODELS=folder]

ONLY    measurements whose name holds one of these words (split by commas), such as speed/qwen, batch, or
        /1 for those with one thread; `make bench-peers ONLY=?` lists them
ROUNDS  of each measurement, at least; a run that was interrupted goes on where it was
QUICK   two rounds, shorter ones, and only a part of the measurements, to see that it works: the page goes
        into the folder of the built programs
FRESH   measures again what was measured already

A measurement is made again when the program idem, the version of a peer or the processor is another one.
Results: $XDG_CACHE_HOME/idem/peers/results; all of them go into docs/performance.json, and that into
docs/performance.md (bench/performance.py).
"""
import argparse
import hashlib
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

import first_token
import peers_get
import performance
import size
import speed
from common import IDEM, MODELS, ROOT, models_folder

TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "F32", "F16",
         "BF16"]
SHAPE = (2048, 2048, 512)           # rows, columns, tokens of a product
BATCH = dict(sequences=16, prompt=16, tokens=64)
DEPTH, LONGEST = 4096, 8192
BIG = "llama-3.1-8b"                # a shape of tests/models/make_shape.py
SHORT = {"smollm2-135m-instruct": "smollm2", "qwen2.5-coder-0.5b-instruct": "qwen2.5", "gemma-3-270m": "gemma3", BIG: BIG}


def text_of(*argv):
    try:
        return subprocess.run([str(a) for a in argv], capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


# ---- one round of each kind; each gives plain numbers ----------------------------------------------

def program(o, name, *args):
    r = speed.run_json([o.bench / name, *args])
    r.pop("model", None)        # a path of this machine
    return r


def llama_bench(o, path, threads, *args):
    return speed.run_json([o.llama_bin / "llama-bench", "-m", path, "-t", threads, *args, "-r", 1, "-o", "json"])


def speed_ours(o, path, threads):
    return speed.ours(argparse.Namespace(bench=o.bench, threads=threads, prefill=512, decode=128), path)


def speed_theirs(o, path, threads):
    return speed.theirs(argparse.Namespace(llama=o.llama_bin, threads=threads, prefill=512, decode=128), path)


def share_ours(o, path, threads, big):
    short = ["--prefill", 32, "--decode", 16, "--rounds", 1] if big else ["--rounds", 1]
    r = speed.run_json([IDEM, "bench", path, "--threads", threads, *short, "--json"])
    return {k: r[k] for k in ("decode_tok_s", "decode_bytes_s", "decode_share", "prefill_ops_s", "prefill_share",
                              "machine_read_bytes_s", "machine_int8_ops_s", "machine_f32_ops_s")}


def matmul_theirs(o, kind, threads):
    return program(o, "matmul_peer", kind, *SHAPE, threads, o.product_s, o.work / f"weights-{kind}.bin")


def matmul_ours(o, kind, threads):
    """On the weights that the peer's program wrote."""
    weights = o.work / f"weights-{kind}.bin"
    if not weights.is_file():
        matmul_theirs(o, kind, threads)
    return program(o, "matmul", kind, *SHAPE, threads, o.product_s, weights)


def batch_ours(o, path, threads):
    r = program(o, "speed", path, threads, BATCH["prompt"], BATCH["tokens"], "q8", BATCH["sequences"])
    whole = program(o, "speed", path, threads, 512, 1)
    return {"tok_s": r["decode_tok_s"], "share_of_prefill": r["decode_ops_s"] / whole["prefill_ops_s"]}


def batch_theirs(o, path, threads):
    context = BATCH["sequences"] * (BATCH["prompt"] + BATCH["tokens"])
    argv = [o.llama_bin / "llama-batched-bench", "-m", path, "-t", threads, "-tb", threads, "-c", context, "-npp",
            BATCH["prompt"], "-ntg", BATCH["tokens"], "-npl", BATCH["sequences"], "--output-format", "jsonl"]
    out = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
    found = re.search(r"^\{.*\}$", out.stdout, re.M)
    if not found:
        sys.exit(f"llama-batched-bench gives no result: {out.stderr[-500:]}")
    return {"tok_s": json.loads(found[0])["speed_tg"]}


def first_of(argv, path):
    """Of three starts in a row the one with the middle time to its first byte."""
    first_token.warm(path)
    first, whole, peak = sorted(first_token.first_byte_ms(argv) for _ in range(3))[1]
    return {"first_ms": first, "whole_ms": whole, "peak_bytes": peak}


def first_ours(o, path):
    return first_of(first_token.ours(path, 8), path)


def first_theirs(o, path):
    return first_of(first_token.theirs(o.llama_bin, path, 8), path)


def long_ours(o, path, threads, longest):
    at = program(o, "positions", path, threads, longest, 512)["positions"]
    prefill = next(p["prefill_s"] for p in at if p["to"] == DEPTH + 512)
    decode = next(p["decode_s"] for p in at if p["to"] == DEPTH)
    return {"prefill_tok_s": 1 / prefill, "decode_tok_s": 1 / decode, "positions": at}


def long_theirs(o, path, threads):
    rows = llama_bench(o, path, threads, "-d", DEPTH, "-p", 512, "-n", 32)
    return {"prefill_tok_s" if r["n_prompt"] else "decode_tok_s": r["avg_ts"] for r in rows}


def memory_ours(o, path):
    n = 64 if BIG in str(path) else 512
    r = program(o, "speed", path, 2, n, 8)
    return {"peak_bytes": r["peak_rss_bytes"], "bar_bytes": first_token.memory_bar(path, n),
            "file_bytes": pathlib.Path(path).stat().st_size}


def grid(o, who, *args):
    python = o.python if who == "transformers" else sys.executable
    return speed.run_json([python, ROOT / "bench/grid.py", who, *args])


# ---- the measurements -----------------------------------------------------------------------------------

def measurements(o):
    """(name, {who: function of the round}, rounds at least) in the order of the page."""
    models = [(SHORT[n], str(models_folder() / f)) for n, f in MODELS.items() if (models_folder() / f).is_file()]
    shapes = models_folder().parent / "shapes" / f"{BIG}.gguf"
    big = [(BIG, str(shapes))] if shapes.is_file() else []
    if o.quick:
        models, big = models[:1], []
    threads = [1, 2] if not o.quick else [2]
    few = min(o.rounds, 3)
    for n, p in models:
        for t in threads:
            yield f"speed/{n}/{t}", {"idem": lambda _, p=p, t=t: speed_ours(o, p, t),
                                     "llama.cpp": lambda _, p=p, t=t: speed_theirs(o, p, t)}, o.rounds
    for n, p in models + big:
        for t in threads:
            yield f"share/{n}/{t}", {"idem": lambda _, n=n, p=p, t=t: share_ours(o, p, t, n == BIG)}, \
                few if n == BIG else o.rounds
    for kind in TYPES:
        for t in threads:
            yield f"matmul/{kind}/{t}", {"idem": lambda _, k=kind, t=t: matmul_ours(o, k, t),
                                         "llama.cpp": lambda _, k=kind, t=t: matmul_theirs(o, k, t)}, o.rounds
    for n, p in models:
        for t in threads:
            yield f"batch/{n}/{t}", {"idem": lambda _, p=p, t=t: batch_ours(o, p, t),
                                     "llama.cpp": lambda _, p=p, t=t: batch_theirs(o, p, t)}, o.rounds
    for n, p in models:
        yield f"first/{n}", {"idem": lambda _, p=p: first_ours(o, p), "llama.cpp": lambda _, p=p: first_theirs(o, p)}, \
            o.rounds
    for n, p in models:
        for t in threads:
            longest = DEPTH + 512 if o.quick else LONGEST
            yield f"long/{n}/{t}", {"idem": lambda _, p=p, t=t, x=longest: long_ours(o, p, t, x),
                                    "llama.cpp": lambda _, p=p, t=t: long_theirs(o, p, t)}, few if not o.quick else 1
    for n, p in models + big:
        yield f"memory/{n}", {"idem": lambda _, p=p: memory_ours(o, p)}, 1
    # All prompts through idem each round; through llama-server all of them once, five in a round.
    groups = ["::10"] if o.quick else [f"{i}:{i + 5}" for i in range(0, 30, 5)]
    ours = ["--prompts", ":10"] if o.quick else []
    alone, together = ("::15", ":1") if o.quick else ("::5", "::10")        # every fifth, every tenth one
    yield "grid/llama-server", {"idem": lambda _: grid(o, "idem", *ours),
                                "llama.cpp": lambda i: grid(o, "server", "--llama", o.llama_bin, "--prompts",
                                                            groups[i % len(groups)])}, len(groups)
    yield "grid/transformers", {"transformers": lambda _: grid(o, "transformers", "--prompts", alone, "--seeds", 1)}, few
    yield "grid/transformers-together", {"transformers": lambda _: grid(o, "transformers", "--prompts", together,
                                                                        "--together")}, 1
    for n, p in models:
        yield f"profile/{n}/2", {"idem": lambda _, p=p: program(o, "profile", p, 2)}, 1


# ---- what the results belong to --------------------------------------------------------------------------

def cpu_facts():
    facts = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    wanted = ("sse4_1", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512", "amx", "asimd", "asimddp", "bf16")
    flags = facts.get("flags", facts.get("Features", "")).split()
    total = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())
    return {"cpu": facts.get("model name", platform.machine()), "processors": os.cpu_count(),
            "family": "/".join(facts.get(k, "?") for k in ("cpu family", "model", "stepping")),
            "flags": [f for f in flags if f.startswith(wanted)], "memory_bytes": int(total[1]) * 1024,
            "virtual": "hypervisor" in flags, "system": f"{platform.system()} {platform.release()}"}


def llama_facts(folder):
    cached = (folder / "build/CMakeCache.txt").read_text()
    version = subprocess.run([folder / "build/bin/llama-server", "--version"], capture_output=True, text=True)
    said = re.search(r"version: (.*)", version.stderr + version.stdout)
    built = re.search(r"built with (.*)", version.stderr + version.stdout)
    options = re.findall(r"^(GGML_(?:NATIVE|OPENMP|LLAMAFILE|CPU_REPACK|BLAS)|CMAKE_BUILD_TYPE):\w+=(\w+)", cached, re.M)
    return {"version": said[1] if said else "unknown", "compiler": built[1] if built else "unknown",
            "options": [f"{k}={v}" for k, v in options]}


def environment(o):
    digest = hashlib.sha256(pathlib.Path(IDEM).read_bytes()).hexdigest()[:16]
    env = {"machine": cpu_facts(), "idem": {
        "version": text_of(IDEM, "--version"), "sha256": digest,
        "commit": text_of("git", "-C", ROOT, "rev-parse", "--short", "HEAD"),
        "compiler": text_of(os.environ.get("CC", "cc"), "--version").split("\n")[0]}}
    if o.llama:
        env["llama.cpp"] = llama_facts(o.llama)
    if o.python:
        code = "import torch, transformers; print('transformers', transformers.__version__ + ', torch', torch.__version__)"
        env["transformers"] = {"version": text_of(o.python, "-c", code)}
    return env


# ---- running -----------------------------------------------------------------------------------------------

def same(kept, env, who, quick):
    """True if these rounds are of the programs of today."""
    def of(e):
        return {k: v for k, v in e.items() if k in who}
    return (kept["quick"] == quick and of(kept["by"]) == of(by(env)) and kept["by"].get("machine") == by(env)["machine"])


def by(env):
    return {"machine": env["machine"]["cpu"], "idem": env["idem"]["sha256"],
            **{k: env[k]["version"] for k in ("llama.cpp", "transformers") if k in env}}


def one_round(i, parts):
    """In the order written in even rounds, else the other way."""
    order = list(parts) if i % 2 == 0 else list(parts)[::-1]
    return {who: parts[who](i) for who in order}


def measure(o, name, parts, rounds, env):
    path = o.results / (name.replace("/", "__") + ".json")
    here = {who: part for who, part in parts.items() if who not in o.missing}
    if not here or (name.startswith("matmul") and len(here) < 2):       # the peer makes the weights
        print(f"{name}: left out: {'; '.join(o.missing[w] for w in parts if w in o.missing)}", flush=True)
        return
    kept = json.loads(path.read_text()) if path.is_file() else None
    if not kept or o.fresh or not same(kept, env, here, o.quick) or set(kept["who"]) != set(here):
        kept = {"name": name, "who": list(here), "quick": o.quick, "by": by(env), "rounds": [], "seconds": 0}
    while len(kept["rounds"]) < rounds:
        start = time.time()
        kept["rounds"].append(one_round(len(kept["rounds"]), here))
        kept["seconds"] = round(kept["seconds"] + time.time() - start, 1)
        kept["when"] = time.strftime("%Y-%m-%d", time.gmtime())
        kept["env"] = env
        part = path.with_suffix(".part")
        part.write_text(json.dumps(kept))
        part.rename(path)
    print(f"{name}: {len(kept['rounds'])} rounds, {kept['seconds']:.0f} s", flush=True)


def collect(o, names, env):
    """All results of the cache that belong to a measurement, as one document."""
    found = []
    for name in names:
        path = o.results / (name.replace("/", "__") + ".json")
        if path.is_file():
            found.append(json.loads(path.read_text()))
    for r in found:     # the page tells the environment once; older ones are named in the result
        r["stale"] = not same(r, env, r["who"], r["quick"])
        r.pop("env", None)
    return {"environment": env, "missing": o.missing, "results": found}


def options():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--bench", type=pathlib.Path, required=True, help="folder of the built programs")
    a.add_argument("--only", default=os.environ.get("ONLY", ""))
    a.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS") or 5))
    a.add_argument("--quick", action="store_true", default=os.environ.get("QUICK", "") not in ("", "0"))
    a.add_argument("--fresh", action="store_true", default=os.environ.get("FRESH", "") not in ("", "0"))
    a.add_argument("--page", type=pathlib.Path, help="default: docs/performance.md, of QUICK in the folder of the programs")
    o = a.parse_args()
    o.page = o.page or (o.bench if o.quick else ROOT / "docs") / "performance.md"
    o.rounds = min(o.rounds, 2) if o.quick else o.rounds
    o.product_s = 0.2 if o.quick else 0.5
    o.work = peers_get.cache()
    o.results = o.work / ("results-quick" if o.quick else "results")
    o.results.mkdir(parents=True, exist_ok=True)
    return o


def peers(o):
    """Finds or gets the peers; o.missing: who is not there, and why."""
    o.llama, no_llama = peers_get.find(peers_get.llama)
    o.python, no_python = peers_get.find(peers_get.transformers)
    o.missing = {k: why for k, why in (("llama.cpp", no_llama), ("transformers", no_python)) if why}
    for who, why in o.missing.items():
        print(f"without {who}: {why}", flush=True)
    if o.llama:
        o.llama_bin = o.llama / "build/bin"
        made = subprocess.run(["make", "-s", "-C", str(ROOT), f"BUILD={o.bench.resolve().parent}",
                               f"LLAMA_CPP={o.llama.resolve()}", str(o.bench.resolve() / "matmul_peer")])
        if made.returncode != 0:
            sys.exit("bench-peers: bench/matmul_peer.c does not build with this llama.cpp")


def main():
    o = options()
    if o.only == "?":
        o.llama_bin = o.python = None
        print("\n".join(name for name, _, _ in measurements(o)))
        return
    peers(o)
    env = environment(o)
    words = [w for w in o.only.split(",") if w]
    names = []
    for name, parts, rounds in measurements(o):
        names.append(name)
        if not words or any(w in name for w in words):
            measure(o, name, parts, rounds, env)
    document = collect(o, names, env)
    o.page.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
    o.page.write_text(performance.page(document))
    print(f"{o.page}: {performance.count(document)}")


if __name__ == "__main__":
    main()
