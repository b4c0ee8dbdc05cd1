# SPDX-License-Identifier: MIT
"""Chooses the questions of bench/popqa-30.yaml: of each of the 15 relations of a table of PopQA questions
(columns id, prop, question, pop_tercile), the first one of the least and of the most popular tercile.

    python3 bench/popqa.py popqa-300.tsv > bench/popqa-30.yaml
"""
import csv
import json
import sys

HEAD = """\
# 30 questions of PopQA (Mallen et al. 2022, "When Not to Trust Language Models"): of each of its relations
# that are used here the first question of the least (1) and of the most popular (3) tercile of subjects.
# Made by bench/popqa.py. Each is given to the model as it is.
#
# MIT License
#
# Copyright (c) 2023 Alex Mallen
#
# Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
# associated documentation files (the "Software"), to deal in the Software without restriction,
# including without limitation the rights to use, copy, modify, merge, publish, distribute,
# sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
# furnished to do so, subject to the following conditions:
#
# The above copyright notice and this permission notice shall be included in all copies or
# substantial portions of the Software.
#
# THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
# NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
# NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
# DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT
# OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
source: PopQA, https://github.com/AlexTMallen/adaptive-retrieval
license: MIT
prompts:"""


def main(path):
    with open(path, encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f, delimiter="\t"))
    print(HEAD)
    for prop in sorted({r["prop"] for r in rows}):
        kind = prop.replace(" ", "-")
        for tercile in ("1", "3"):
            r = next(r for r in rows if r["prop"] == prop and r["pop_tercile"] == tercile)
            print(f"  - {{id: {kind}-{tercile}, kind: {kind}, "
                  f"text: {json.dumps(r['question'], ensure_ascii=False)}}}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
