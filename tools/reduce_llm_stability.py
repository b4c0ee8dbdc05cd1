#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reduces the raw outputs of llm-stability to what the agreement test reads.

    python3 tools/reduce_llm_stability.py DIR > tests/data/stats/llm-stability/responses.tsv

DIR holds runs.tgz and stability_eval.csv of https://github.com/breckbaldwin/llm-stability,
experiments/strict_json_schema (Apache-2.0). Of its 14 columns only `response` is kept. Output: for
each task a line "# task <name> <prompts> <TARr> <TARa>" with the published counts, then one line
per prompt with the responses of its five runs, tab-separated, as they are."""
import csv
import io
import sys
import tarfile

csv.field_size_limit(10**9)


def main(folder):
    with open(f"{folder}/stability_eval.csv", newline="") as f:
        published = list(csv.DictReader(f))
    runs = {}
    with tarfile.open(f"{folder}/runs.tgz") as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            if member.name.endswith(".csv"):
                text = io.TextIOWrapper(tar.extractfile(member), newline="")
                rows = list(csv.DictReader(text))
                runs.setdefault(rows[0]["task"], []).append([r["response"] for r in rows])
    for row in published:
        outputs = runs[row["task"]]
        assert len(outputs) == int(row["N"])
        print("# task", row["task"], row["num_questions"], row["TACr"], row["TACa"])
        for responses in zip(*outputs, strict=True):
            assert not any(c in r for r in responses for c in "\t\n")
            print("\t".join(responses))


if __name__ == "__main__":
    main(sys.argv[1])
