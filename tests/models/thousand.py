# SPDX-License-Identifier: MIT
"""1000 of 1000: the same request again and again, each in a process of its own from an empty cache,
alone and among seven other sequences (--batch 8), greedy and sampled with one seed. Tokens, their
log-probabilities and the digest of all logits must be one value per request, alone or not.

    python3 tests/models/thousand.py [--count 1000] [--jobs 2] [MODEL]     (default: SmolLM2)
"""
import argparse
import collections
import concurrent.futures
import json
import time

from common import find_models, idem, main

PROMPT = "The capital of France is"
REQUESTS = {
    "greedy": ["-n", 6],
    "sampled": ["-n", 6, "--do-sample", "--temperature", 0.7, "--top-p", 0.9, "--top-k", 50,
                "--repetition-penalty", 1.2, "--no-repeat-ngram-size", 2, "--seed", 42],
}


def answer(path, options, batch):
    """What must not vary, as one string; the host state is not in it."""
    out = json.loads(idem("generate", path, "-p", PROMPT, "--json", "--threads", 1, "--batch", batch,
                          "--top-k-logprobs", 3, *options))
    sample, = out["samples"]
    assert len(sample["logits_digest"]) == 64 and sample["tokens"]
    return json.dumps(sample, sort_keys=True)


def check_request(path, name, count, jobs):
    start, seen = time.time(), {}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for batch in (1, 8):
            answers = pool.map(lambda _: answer(path, REQUESTS[name], batch), range(count))
            seen[batch] = collections.Counter(answers)
    for batch, c in seen.items():
        text = json.loads(c.most_common(1)[0][0])["text"]
        print(f"{name}, {'alone' if batch == 1 else f'among {batch - 1} others'}: "
              f"{c.most_common(1)[0][1]} of {count} equal, {len(c)} distinct: {text!r}")
    print(f"  {time.time() - start:.0f} s", flush=True)
    failures = sum(len(c) - 1 for c in seen.values())
    if set(seen[1]) != set(seen[8]):
        print(f"{name}: alone and among others differ")
        failures += 1
    return failures


def run():
    a = argparse.ArgumentParser()
    a.add_argument("--count", type=int, default=1000)
    a.add_argument("--jobs", type=int, default=2)
    a.add_argument("model", nargs="?", default="smollm2-135m-instruct")
    o = a.parse_args()
    (_, path), = find_models([o.model])
    return sum(check_request(path, name, o.count, o.jobs) for name in REQUESTS)


if __name__ == "__main__":
    main(run)
