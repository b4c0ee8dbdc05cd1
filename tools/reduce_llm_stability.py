#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reduces the raw outputs of llm-stability to what the agreement test reads.

    python3 tools/reduce_llm_stability.py DIR > tests/data/stats/llm-stability/responses.tsv

DIR holds runs.tgz and stability_eval.csv of https://github.com/breckbaldwin/llm-stability,
experiments/strict_json_schema (Apache-2.0). Of its 14 columns `gt` and `response` are kept. Output:
for each task a line "# task <name> <prompts> <TARr> <TARa> <best> <worst> <correct of each run>" with
the published counts, then one line per prompt: the right answer and the responses of its five runs,
tab-separated, as they are."""
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
                runs.setdefault(rows[0]["task"], []).append([(r["gt"], r["response"]) for r in rows])
    for row in published:
        outputs = runs[row["task"]]
        assert len(outputs) == int(row["N"])
        print("# task", row["task"], row["num_questions"], row["TACr"], row["TACa"],
              row["best_possible_count"], row["worst_possible_count"],
              row["correct_count_per_run"].strip("[]").replace(",", ""))
        for runs_of_prompt in zip(*outputs, strict=True):
            right = {gt for gt, _ in runs_of_prompt}
            assert len(right) == 1
            line = [right.pop(), *(response for _, response in runs_of_prompt)]
            assert not any(c in field for field in line for c in "\t\n")
            print("\t".join(line))


if __name__ == "__main__":
    main(sys.argv[1])
