# SPDX-License-Identifier: MIT
"""Perturbations from outside: the differences in the plan, the run, its export, a stopped run."""
import json
import os
import sqlite3

from harness import check

EXPERIMENT = """
name: perturbed
hypothesis: H2
title: Small changes of the input
question: Is it stable?
model: tests/data/models/tiny.gguf
prompts: {table: table.tsv, id: id, kind: kind, text: text, format: "Q: {text}\\nA:"}
perturbations:
  keep: subject
  apply: [case:upper, {kind: typo:swap, seeds: 3}, "punct:end-add", space:newline]
settings:
  base: {max_new_tokens: 5, do_sample: true, temperature: 0.9}
seeds: {first: 1, count: 3}
controls:
  identical: {setting: base, prompts: 1, count: 2}
  seed: {setting: base, prompts: 1}
  capture: {setting: base, prompts: 1}
  vary: {setting: base, prompts: all}
answer: {parse: whole, correct: answers}
decision: {max_differing: 0.05, text: none}
"""
TABLE = "id\tkind\ttext\tsubject\tanswers\n" \
        "1\tfact\twho sat on the mat?\tmat\t[\"the cat\"]\n2\tfact\tthe dog in the sun\tdog\tsun\n"


def files(idem):
    with open(idem.path("table.tsv"), "w") as f:
        f.write(TABLE)
    with open(idem.path("perturbed.yaml"), "w") as f:
        f.write(EXPERIMENT)
    return idem.path("perturbed.yaml")


def perturbations_in_the_plan(idem):
    out = json.loads(idem.ok("plan", files(idem), "--json"))
    ids = ["identity", "case:upper", "typo:swap/1", "typo:swap/2", "typo:swap/3", "punct:end-add", "space:newline"]
    check([p["id"] for p in out["perturbations"]] == ids, "perturbations")
    check(out["trials_by_purpose"]["perturbed"] == 13 * 3, "every prompt under each that applies, each seed")
    add = out["perturbations"][5]
    check(add["diffs"] == [{"prompt": "2", "diff": "Q: the dog in the sun{+.+}\\nA:"}], str(add))
    check(add["skipped"] == [{"prompt": "1", "why": "it ends with a punctuation mark already"}], str(add))
    short, long = idem.ok("plan", files(idem)).decode(), idem.ok("plan", files(idem), "--diffs").decode()
    one = "Q: [-who-]{+WHO+} [-sat-]{+SAT+} [-on-]{+ON+} [-the-]{+THE+} mat?\\nA:"
    two = "Q: [-the-]{+THE+} dog [-in-]{+IN+} [-the-]{+THE+} [-sun-]{+SUN+}\\nA:"
    check(one in short and two not in short and one in long and two in long, "diffs")
    check("does not apply to 1: it ends with a punctuation mark already" in short, "skips")


def perturbations_in_the_run(idem):
    db = idem.path("perturbed.db")
    digests = []
    for threads in "1", "2":
        if os.path.exists(db):
            os.remove(db)
        idem.ok("run", files(idem), "-o", db, "--threads", threads)
        digests.append(json.loads(idem.ok("report", db, "--json"))["digest"])
    check(digests[0] == digests[1], "threads enter")
    rows = [json.loads(r) for r in idem.ok("export", db, "--format", "jsonl", "--rows", "trials").decode().splitlines()]
    plain = {(r["prompt"], r["seed"]): r for r in rows if r["purpose"] == "seeds"}
    same = differ = 0
    for r in rows:
        if r["purpose"] != "perturbed":
            continue
        base = plain[r["base"], r["seed"]]
        check(r["attributes"] == base["attributes"] and r["key"] != base["key"], "what belongs to the prompt")
        if r["perturbation"] == "identity":
            same += r["text"] == base["text"] and r["logits_digest"] == base["logits_digest"]
        else:
            differ += r["logits_digest"] != base["logits_digest"]
    check(same == 6 and differ == 33, f"{same} of 6 identical, {differ} of 33 changed")
    q = sqlite3.connect(db)
    check(q.execute("SELECT count(*) FROM skips").fetchone() == (1,), "skips")
    check(q.execute("SELECT parse, correct FROM answer").fetchall() == [("whole", "answers")], "answer")
    check(q.execute("SELECT count(DISTINCT base) FROM view_outputs WHERE perturbation = 'typo:swap' AND "
                    "perturbation_seed = 3").fetchone() == (2,), "view")


CASES = [(f.__name__.replace("_", " "), f) for f in (perturbations_in_the_plan, perturbations_in_the_run)]
