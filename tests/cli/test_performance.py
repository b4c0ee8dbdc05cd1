# SPDX-License-Identifier: MIT
"""What make bench-peers stands on: its experiment, its page, and the results that it keeps."""
import argparse
import copy
import json
import sys

from harness import ROOT, TINY, Failure, check

sys.path.insert(0, str(ROOT / "bench"))
import grid  # noqa: E402
import peers  # noqa: E402
import performance  # noqa: E402

PLAIN = {"do_sample": True, "temperature": 0.7, "top_k": 0, "top_p": 1, "min_p": 0, "repetition_penalty": 1,
         "no_repeat_ngram_size": 0}
SETTINGS = [PLAIN, {"do_sample": False}, *({"temperature": t} for t in (0.3, 1.0, 1.3)),
            *({"top_p": p} for p in (0.5, 0.9)), *({"top_k": k} for k in (5, 50)), {"min_p": 0.1},
            {"repetition_penalty": 1.2},
            {"top_p": 0.9, "top_k": 50, "repetition_penalty": 1.2, "no_repeat_ngram_size": 2}]


def trials(idem):
    plan = json.loads(idem.ok("plan", "bench/grid.yaml", "--model", TINY, "--json"))
    check(plan["trials_by_purpose"]["seeds"] == performance.GRID_TRIALS == 30 * 12 * 8, "not the trials of the bar")
    plan = plan["plan"]
    wanted = [sorted((PLAIN | s).items()) for s in SETTINGS]
    found = [sorted((k, s["values"][k] or 0) for k in PLAIN) for s in plan["settings"]]
    check(sorted(wanted) == sorted(found), f"settings: {found}")
    check(all(s["values"]["max_new_tokens"] == 32 for s in plan["settings"]), "not 32 tokens each")
    check(plan["n_top"] == 5 and len(plan["seeds"]) == 8, "not 5 alternatives and 8 seeds")
    kinds = [p["kind"] for p in plan["prompts"]]
    check(len(kinds) == 30 and all(kinds.count(k) == 2 for k in kinds), f"questions by relation: {kinds}")


def requests(_):
    greedy = grid.body("x", PLAIN | {"do_sample": False, "max_new_tokens": 32}, 7)
    check((greedy["temperature"], greedy["top_k"], greedy["seed"], greedy["n_probs"]) == (0.0, 0, 7, 5), greedy)
    drawn = grid.body("x", PLAIN | {"top_k": 50, "repetition_penalty": 1.2, "max_new_tokens": 32}, 7)
    check((drawn["temperature"], drawn["top_k"], drawn["repeat_penalty"]) == (0.7, 50, 1.2), drawn)
    check(list(grid.part("::5", 30)) == [0, 5, 10, 15, 20, 25] and list(grid.part("5:7", 30)) == [5, 6], "parts")


def kept_page(_):
    document = json.loads((ROOT / "docs/performance.json").read_text())
    check(performance.page(document) == (ROOT / "docs/performance.md").read_text(),
          "docs/performance.md is not what bench/performance.py makes of docs/performance.json")


def document(results):
    machine = {"cpu": "a processor", "processors": 2, "family": "1/2/3", "flags": ["avx2"], "memory_bytes": 1 << 34,
               "virtual": False, "system": "Linux 1"}
    return {"environment": {"machine": machine, "idem": {"version": "1", "commit": "c", "compiler": "cc"}},
            "missing": {}, "results": [{"quick": False, "stale": False, **r} for r in results]}


def speeds(ours, theirs):
    return {"name": "speed/smollm2/2", "who": ["idem", "llama.cpp"], "rounds": [
        {"idem": {"prefill": a, "decode": 30}, "llama.cpp": {"prefill": b, "decode": 10}} for a, b in zip(ours, theirs)]}


def verdicts(_):
    text = performance.page(document([speeds([300, 290, 310], [100, 100, 100])]))
    check("2 bars pass, 0 fall short" in text and "3.00 (2.90 to 3.10)" in text, text)
    d = document([speeds([299, 200, 400], [100, 100, 100])])
    check("2.99 (2.00 to 4.00) | ≥ 3 | **FALLS SHORT**" in performance.page(d), performance.page(d))
    check("- prefill, SmolLM2 135M Q4_1, 2 threads: 2.99, bar 3" in performance.page(d), "not among what is short")
    for r in d["results"][0]["rounds"]:
        del r["llama.cpp"]
    d["missing"] = {"llama.cpp": "no network"}
    text = performance.page(d)
    check("not measured" in text and "Without llama.cpp: no network." in text and "0 bars pass, 0 fall" in text, text)


def other_product(_):
    """Two programs whose products differ have not computed the same: no ratio is given."""
    def product(mean):
        return document([{"name": "matmul/Q4_K/1", "who": ["idem", "llama.cpp"], "rounds": [
            {"idem": {"ops_s": 2e9, "mean_abs": mean}, "llama.cpp": {"ops_s": 1e9, "mean_abs": 12.0, "how": "CPU"}}]}])
    check("2.00" in performance.page(product(12.01)), "a product like the other is refused")
    try:
        performance.page(product(13.0))
    except ValueError:
        return
    raise Failure("a product unlike the other is accepted")


def kept_rounds(idem):
    """A run that was interrupted goes on; another program begins anew; every other round is reversed."""
    o = argparse.Namespace(results=idem.folder, missing={}, fresh=False, quick=False)
    env = {"machine": {"cpu": "a"}, "idem": {"sha256": "1"}, "llama.cpp": {"version": "1"}}
    order = []

    def part(who, fail_at=None):
        def run(i):
            if i == fail_at:
                raise KeyboardInterrupt
            order.append(f"{who}{i}")
            return {"n": i}
        return run

    try:
        peers.measure(o, "x/y", {"idem": part("a"), "llama.cpp": part("b", 2)}, 5, env)
        raise Failure("not interrupted")
    except KeyboardInterrupt:
        pass
    parts = {"idem": part("a"), "llama.cpp": part("b")}
    peers.measure(o, "x/y", parts, 4, env)
    check(order == ["a0", "b0", "b1", "a1", "a2", "a2", "b2", "b3", "a3"], order)
    del order[:]
    peers.measure(o, "x/y", parts, 4, env)
    check(order == [], "measured again what was there")
    peers.measure(o, "x/y", parts, 1, copy.deepcopy(env) | {"idem": {"sha256": "2"}})
    check(order == ["a0", "b0"], "rounds of another program were kept")
    found = peers.collect(o, ["x/y"], env)["results"]
    check(len(found) == 1 and found[0]["stale"], "rounds of another program are not marked")


CASES = [(f"performance: {f.__name__}", f)
         for f in (trials, requests, kept_page, verdicts, other_product, kept_rounds)]
