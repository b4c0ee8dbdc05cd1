# SPDX-License-Identifier: MIT
"""Noise added to the arithmetic, from outside: marked, repeatable, a factor of an experiment."""
import json
import sqlite3

from harness import TINY, check, refused

PROMPT = ["-p", "the cat is on the"]
KINDS = ["shuffle", "pairwise", "splitk:3", "batch:1", "batch:300", "bf16", "f16", "splitk:2+bf16"]

EXPERIMENT = """
name: noisy
hypothesis: H1
title: Noise
question: Does noise show?
model: tests/data/models/tiny.gguf
prompts:
  - {id: cat, kind: fact, text: "the cat is on the"}
  - {id: story, kind: open, text: "once upon a time"}
settings:
  base: {max_new_tokens: 5, do_sample: false}
  levels:
    do_sample: [false, true]
    noise: [none, shuffle, pairwise, "splitk:2+bf16"]
  corners:
    drawn: {do_sample: true, temperature: 2, noise: shuffle}
    beams: {num_beams: 2, noise: f16}
seeds: {first: 1, count: 3}
host: {threads: 1, batch: 3, chunk: 512, cache: cold}
repeats: {settings: all, seeds: 2, count: 2}
hosts:
  settings: ["noise=shuffle", drawn]
  states:
    - {threads: 2, batch: 1, chunk: 1, cache: cold}
    - {threads: 1, batch: 4, chunk: 3, cache: forked}
controls:
  identical: {setting: "noise=shuffle", prompts: 2, count: 2}
  seed: {setting: drawn, prompts: 1}
  capture: {setting: "noise=pairwise", prompts: 1}
  vary: {setting: drawn, prompts: all}
claims:
  - {id: greedy, factor: do_sample, more_deterministic: lower, text: "Greedy is more deterministic."}
decision: {max_differing: 0.05, text: none}
"""


def experiment(idem, name="noisy.yaml", text=EXPERIMENT):
    with open(idem.path(name), "w") as f:
        f.write(text)
    return idem.path(name)


def noise_is_marked(idem):
    plain = idem.ok("digest", TINY, *PROMPT, "-n", "3").decode().strip()
    seen = {plain}
    for kind in KINDS:
        line = idem.ok("digest", TINY, *PROMPT, "-n", "3", "--noise", kind).decode().strip()
        digest, mark = line.split("  ")
        check(mark == "noise " + kind + (", seed 0" if kind == "shuffle" else ""), line)
        out = json.loads(idem.ok("digest", TINY, *PROMPT, "-n", "3", "--noise", kind, "--json"))
        check(out["digest"] == digest and out["noise"] == kind and out["noise_seed"] == 0, str(out))
        out = json.loads(idem.ok("generate", TINY, *PROMPT, "-n", "3", "--noise", kind, "--json"))
        check(out["noise"] == kind and out["settings"]["noise"] == kind, "generate --json")
        out = json.loads(idem.ok("score", TINY, *PROMPT, "--noise", kind, "--json"))
        check(out["noise"] == kind, "score --json")
        text = idem.ok("generate", TINY, *PROMPT, "-n", "3", "--noise", kind).decode(errors="replace")
        check(f"\nnoise {kind}" in text and "added to the arithmetic" in text, text)
        check(f"\nnoise {kind}" in idem.ok("score", TINY, *PROMPT, "--noise", kind).decode(), "score")
        quiet = idem.run("generate", TINY, *PROMPT, "-n", "3", "--noise", kind, "--quiet")
        check(b"noise" not in quiet.stdout and b"noise " + kind.encode() in quiet.stderr, "--quiet")
        seen.add(digest)
    check(len(seen) == len(KINDS) + 1, "each kind has bits of its own")
    for args in [], ["--noise", "none"]:
        out = json.loads(idem.ok("generate", TINY, *PROMPT, *args, "--json"))
        check("noise" not in out and "noise" not in out["settings"], "absent where there is none")
    check(idem.ok("digest", TINY, *PROMPT, "-n", "3", "--noise", "none").decode().strip() == plain, "none")


def noise_is_repeatable(idem):
    states = [[], ["--threads", "2", "--chunk", "2"], ["--batch", "4", "--cache", "forked"], ["--cpu", "ref"]]
    for kind in KINDS:
        for mode in "q8", "f32":
            got = {idem.ok("digest", TINY, *PROMPT, "-n", "4", "--noise", kind, "--noise-seed", "3",
                           "--activations", mode, *s) for s in states}
            check(len(got) == 1, f"{kind} {mode}: {got}")

    def bits(*args):
        out = json.loads(idem.ok("generate", TINY, *PROMPT, "-n", "3", "--json", *args))
        return out["samples"][0]["logits_digest"]

    shuffled = ["--noise", "shuffle"]
    check(bits(*shuffled, "--seed", "5") == bits(*shuffled, "--seed", "5"), "the same seed")
    check(bits(*shuffled, "--seed", "5") != bits(*shuffled, "--seed", "6"), "--seed seeds the noise")
    check(bits(*shuffled, "--seed", "5") == bits(*shuffled, "--noise-seed", "5", "--seed", "9"), "--noise-seed")
    check(bits("--noise", "pairwise", "--seed", "5") == bits("--noise", "pairwise", "--seed", "6"), "no seed")
    r = idem.run("generate", TINY, *PROMPT, "--noise", "pairwise", "--seed", "5")
    check(b"without effect: seed (nothing is drawn, and of the noise only shuffle has a seed)" in r.stderr, "note")
    r = idem.run("generate", TINY, *PROMPT, *shuffled, "--seed", "5")
    check(b"without effect: seed" not in r.stderr, "the seed has an effect")
    r = idem.run("digest", TINY, *PROMPT, "--noise", "f16", "--noise-seed", "5")
    check(b"without effect: noise-seed (only shuffle has a seed)" in r.stderr, "note")


def noise_that_is_none(idem):
    for command in "generate", "score", "digest":
        for bad in "loud", "splitk:1", "batch:0", "bf16+f16", "", "shuffle:2":
            refused(idem.run(command, TINY, *PROMPT, "--noise", bad), [2], "splitk:N (2 to 64)", repr(bad))
    for bad in "loud", "splitk:65", "3", "[shuffle]":
        path = experiment(idem, "bad.yaml", EXPERIMENT.replace("noise: f16", f"noise: {bad}"))
        refused(idem.run("plan", path), [1, 2], "bad.yaml:17:", "noise in ", "splitk:N (2 to 64)")


def noise_in_experiments(idem):
    path, db = experiment(idem), idem.path("noisy.db")
    plan = json.loads(idem.ok("plan", path, "--json"))
    idle = [(x["setting"], x["hyperparameter"]) for x in plan["without_effect"]]
    check(("noise=pairwise", "seed") in idle and ("noise=shuffle", "seed") not in idle, str(idle))
    text = idem.ok("plan", path).decode()
    check("noise splitk:2+bf16" in text and "of the noise only shuffle has a seed" in text, text)
    idem.ok("run", path, "-o", db)
    report = json.loads(idem.ok("report", db, "--format", "json"))
    check(all(c["passed"] for c in report["controls"]), str(report["controls"]))
    check("shared" in [c["name"] for c in report["controls"]], "the shared tree against what is computed anew")
    for v in report["verdicts"]:
        check(v["verdict"] == "identical", str(v))
    marked = {v["setting"]: v.get("noise") for v in report["verdicts"]}
    check(marked == {"all": None, "base": None, "do_sample=true": None, "noise=shuffle": "shuffle",
                     "noise=pairwise": "pairwise", "noise=splitk:2+bf16": "splitk:2+bf16", "drawn": "shuffle",
                     "beams": "f16"}, str(marked))
    seeded = {s["setting"]: not s["greedy"] for s in report["seeds"]}
    check(seeded["noise=shuffle"] and not seeded["noise=pairwise"] and not seeded["base"], str(seeded))
    check(report["run"]["noise"] == "shuffle, pairwise, splitk:2+bf16, f16", report["run"]["noise"])
    for form in "text", "md", "html":
        page = idem.ok("report", db, "--format", form).decode()
        check("drawn [noise shuffle]" in page.replace("\\", ""), form)
    rows = [json.loads(r) for r in idem.ok("export", db, "--format", "jsonl", "--rows", "trials").splitlines()]
    check({r.get("noise") for r in rows if r["setting"] == "beams"} == {"f16"}, "jsonl")
    check(not any("noise" in r for r in rows if r["setting"] == "base"), "jsonl without noise")
    check(b",setting,noise,host," in idem.ok("export", db, "--format", "csv").splitlines()[0], "csv")

    bits = {}
    for r in rows:
        if r["purpose"] == "seeds":
            bits.setdefault((r["prompt"], r["setting"]), []).append(r["logits_digest"])
    for prompt in "cat", "story":
        check(len(set(bits[prompt, "noise=shuffle"])) == 3, "a noise for each seed")
        check(len(set(bits[prompt, "noise=pairwise"])) == 1, "one for all seeds")
        check(bits[prompt, "base"][0] not in bits[prompt, "noise=pairwise"], "noise shows")

    # a prompt is computed once for each noise and seed, and shared by those that have the same
    q = sqlite3.connect(db)
    check(q.execute("SELECT noise FROM settings ORDER BY setting").fetchall() ==
          [("none",), ("none",), ("shuffle",), ("pairwise",), ("splitk:2+bf16",), ("shuffle",), ("f16",)], "settings")
    prompt_tokens = json.loads(q.execute("SELECT tokens FROM prompts WHERE id = 'cat'").fetchone()[0])
    whole = q.execute(
        "SELECT s.name, t.seed FROM timings i JOIN trials t USING (trial) JOIN settings s USING (setting) "
        "WHERE t.purpose = 'seeds' AND t.prompt = 0 AND s.num_beams = 1 AND i.n_forward >= ?",
        (len(prompt_tokens),)).fetchall()
    check(sorted(whole) == [("base", 1), ("noise=pairwise", 1), ("noise=shuffle", 1), ("noise=shuffle", 2),
                            ("noise=shuffle", 3), ("noise=splitk:2+bf16", 1)], str(whole))


def noise_changes_no_other_key(idem):
    """The trials of an experiment are the same ones whether or not another setting has noise."""
    keys = []
    for name, text in ("with.yaml", EXPERIMENT), ("without.yaml", EXPERIMENT.replace(
            '    noise: [none, shuffle, pairwise, "splitk:2+bf16"]\n', "    noise: [none]\n")):
        for a in 'noise: shuffle', 'noise: f16':
            text = text if name == "with.yaml" else text.replace(", " + a, "")
        if name == "without.yaml":
            text = text.replace('"noise=shuffle"', "base").replace('"noise=pairwise"', "base")
        db = idem.path(name + ".db")
        idem.ok("run", experiment(idem, name, text), "-o", db)
        keys.append({r[0] for r in sqlite3.connect(db).execute(
            "SELECT key FROM trials JOIN settings USING (setting) WHERE name IN ('base', 'do_sample=true') "
            "AND purpose = 'seeds'")})
    check(keys[0] == keys[1] and len(keys[0]) == 12, f"{keys}")


CASES = [(f.__name__.replace("_", " "), f) for f in (
    noise_is_marked, noise_is_repeatable, noise_that_is_none, noise_in_experiments, noise_changes_no_other_key)]
