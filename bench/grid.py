# SPDX-License-Identifier: MIT
"""Trials per second of bench/grid.yaml: idem, llama-server, transformers.

    python3 bench/grid.py idem [--prompts :N]
    python3 bench/grid.py server --llama FOLDER_WITH_llama-server [--prompts A:B:STEP] [--seeds N]
    PYTHON_WITH_TRANSFORMERS bench/grid.py transformers [--prompts A:B:STEP] [--seeds N] [--together]

Each prints one JSON object: trials, tokens, seconds. The trials are those of `idem plan`: prompts x
settings x seeds, 32 new tokens at most, the five best alternatives of each token kept.

- idem: the whole command `idem run`, from the start of the process to its end: the model is opened and
  its digest taken, controls run, everything is stored. Equal prefixes are computed once.
- server: one llama-server with 4 slots and its prompt cache; 4 clients, each on one connection that is
  kept, take the next trial as soon as theirs is answered (/completion with n_probs 5). Prompt by prompt,
  so that the cache serves. It is warm; start and loading do not count. Texts that it cannot parse (some that
  end within a character) come back as error 500 after all their work: they count as trials, and are told.
- transformers: one `generate` per trial in float32, as a seed needs, with the logits of each step, of which
  the five best are taken. Loading and one warm-up do not count. --together: one call for all seeds
  of a setting (num_return_sequences), where a seed is the call's and no longer the trial's.

llama-server has no no_repeat_ngram_size; the setting that has it runs there without.
IDEM and IDEM_MODELS as in tests/models/common.py.
"""
import argparse
import http.client
import itertools
import json
import os
import pathlib
import re
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/models"))
from common import ROOT, find_models, idem, idem_json   # noqa: E402

GRID = ROOT / "bench/grid.yaml"
MODEL = "smollm2-135m-instruct"
N_CLIENTS = 4


def part(text, n):
    """Indices of a slice A:B:STEP."""
    return range(n)[slice(*(int(x) if x else None for x in text.split(":")))]


def grid(o):
    """Plan, and the part of it that is asked for: prompt-major, as (text, values of the setting, seed)."""
    plan = idem_json("plan", GRID, "--model", o.path)["plan"]
    prompts = [plan["prompts"][i]["text"] for i in part(o.prompts, len(plan["prompts"]))]
    seeds = plan["seeds"][:o.seeds]
    trials = [(p, s["values"], seed) for p in prompts for s in plan["settings"] for seed in seeds]
    return plan, trials


def run_idem(o):
    n = len(grid(o)[1])
    with tempfile.TemporaryDirectory() as folder:
        argv = ["run", GRID, "--model", o.path, "-o", f"{folder}/grid.db", "--quiet"]
        if o.prompts != ":":
            argv += ["--limit", o.prompts[1:]]
        start = time.perf_counter()
        idem(*argv)
        seconds = time.perf_counter() - start
        tokens = idem("export", f"{folder}/grid.db", "--format", "jsonl")
    rows = [json.loads(line) for line in tokens.splitlines()]
    return {"trials": n, "tokens": sum(len(r["tokens"]) for r in rows if r["purpose"] == "seeds"),
            "seconds": seconds}


# ---- llama-server ------------------------------------------------------------------------------------

def body(text, v, seed):
    """One trial as a request, the samplers in the order of Hugging Face."""
    sampled = v["do_sample"]
    return {"prompt": text, "n_predict": v["max_new_tokens"], "seed": seed, "n_probs": 5, "return_tokens": True,
            "cache_prompt": True, "samplers": ["penalties", "temperature", "top_k", "top_p", "min_p"],
            "temperature": v["temperature"] if sampled else 0.0, "top_k": v["top_k"] if sampled else 0,
            "top_p": v["top_p"] if sampled else 1.0, "min_p": v["min_p"] if sampled else 0.0,
            "repeat_penalty": v["repetition_penalty"], "repeat_last_n": 1 << 20}


def client(url, trials, lock, answers, errors):
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=300)
    try:
        while True:
            with lock:
                trial = next(trials, None)
            if trial is None:
                return
            connection.request("POST", "/completion", json.dumps(body(*trial)), {"Content-Type": "application/json"})
            r = connection.getresponse()
            answer = json.loads(r.read())
            if r.status == 500 and "does not match the expected" in str(answer):
                answers.append(None)
                continue
            if r.status != 200 or not answer["tokens"]:
                raise ValueError(f"llama-server answers {r.status}: {str(answer)[:300]}")
            kept = answer.get("completion_probabilities", [])
            # it gives those of a character of several tokens once
            if any(len(t["top_logprobs"]) != 5 for t in kept) or 2 * len(kept) < len(answer["tokens"]) - 1:
                raise ValueError(f"an answer without its alternatives: {str(answer)[:300]}")
            answers.append(len(answer["tokens"]))
    except (OSError, ValueError, KeyError) as e:
        errors.append(e)
    finally:
        connection.close()


def through(url, trials):
    """Tokens of each answer, None for one that the server could not give; all clients at once."""
    answers, errors, lock, left = [], [], threading.Lock(), iter(trials)
    clients = [threading.Thread(target=client, args=(url, left, lock, answers, errors)) for _ in range(N_CLIENTS)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    if errors:
        sys.exit(f"grid: {errors[0]}")
    return answers


def run_server(o):
    sys.path.insert(0, str(ROOT / "tests/peers"))
    from sampler_llama import Server
    _, trials = grid(o)
    threads = str(os.cpu_count())
    server = Server(str(o.llama / "llama-server"), o.path, "-c", str(N_CLIENTS * 512), "-np", str(N_CLIENTS), "-t", threads,
                    "-tb", threads)
    try:
        through(server.url, [("Warm up:", trials[0][1], 1)] * N_CLIENTS)
        start = time.perf_counter()
        answers = through(server.url, trials)
        seconds = time.perf_counter() - start
    finally:
        server.close()
    given = [a for a in answers if a is not None]
    if len(given) < 0.95 * len(answers):
        sys.exit(f"grid: llama-server gave {len(given)} of {len(answers)} answers")
    return {"trials": len(trials), "tokens": sum(given), "seconds": seconds, "failed": len(answers) - len(given)}


# ---- transformers --------------------------------------------------------------------------------------

def generate(torch, model, tokenizer, text, v, seed, n=1):
    """Tokens made; their alternatives are computed and dropped."""
    settings = {"do_sample": v["do_sample"], "max_new_tokens": v["max_new_tokens"],
                "repetition_penalty": v["repetition_penalty"], "no_repeat_ngram_size": v["no_repeat_ngram_size"]}
    if v["do_sample"]:
        settings |= {"temperature": v["temperature"], "top_k": v["top_k"], "top_p": v["top_p"], "min_p": v["min_p"],
                     "num_return_sequences": n}
    ids = tokenizer(text, return_tensors="pt")
    torch.manual_seed(seed)
    out = model.generate(**ids, **settings, return_dict_in_generate=True, output_logits=True,
                         pad_token_id=tokenizer.eos_token_id)
    for logits in out.logits:
        top = torch.log_softmax(logits, -1).topk(5)
        top.values.tolist(), top.indices.tolist()
    return out.sequences.shape[0] * (out.sequences.shape[1] - ids["input_ids"].shape[1])


def run_transformers(o):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    _, trials = grid(o)
    path = pathlib.Path(o.path)
    model = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    torch.set_num_threads(os.cpu_count())
    calls = [(t, 1) for t in trials]
    if o.together:      # the seeds of one prompt and setting in one call; a greedy one gives one output
        groups = [list(g) for _, g in itertools.groupby(trials, key=lambda t: (t[0], t[1]))]
        calls = [(g[0], len(g)) for g in groups]
    with torch.inference_mode():
        generate(torch, model, tokenizer, "Warm up:", trials[0][1], 1)
        start = time.perf_counter()
        tokens = sum(generate(torch, model, tokenizer, *t, n) for t, n in calls)
        seconds = time.perf_counter() - start
    return {"trials": len(trials), "tokens": tokens, "seconds": seconds}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("who", choices=["idem", "server", "transformers"])
    a.add_argument("--prompts", default=":", help="A:B:STEP of the prompts in the file's order")
    a.add_argument("--seeds", type=int, help="the first N seeds")
    a.add_argument("--llama", type=pathlib.Path, help="folder with llama-server")
    a.add_argument("--together", action="store_true")
    o = a.parse_args()
    if o.who == "idem" and (o.seeds or not re.fullmatch(":[0-9]*", o.prompts)):
        a.error("idem runs the file: only --prompts :N is there")
    o.path = find_models([MODEL])[0][1]
    run = {"idem": run_idem, "server": run_server, "transformers": run_transformers}[o.who]
    print(json.dumps({"who": o.who, **run(o)}))


if __name__ == "__main__":
    main()
