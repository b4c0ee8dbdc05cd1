# SPDX-License-Identifier: MIT
"""Hyperparameters from outside: each acts, the samplers and their defaults, what has no effect."""
import json
import math

from harness import EXPERIMENT, TINY, check, refused

ARGS = ["generate", TINY, "-p", "the cat", "-n", "12", "--json"]
OPEN = ["--do-sample", "--temperature", "1.5", "--top-k", "0", "--seed", "3"]


def output(idem, *args):
    return json.loads(idem.ok(*ARGS, *args))


def tokens(out):
    return [t["id"] for t in out["samples"][0]["tokens"]]


def each_acts(idem):
    """Every option of sampling changes the draws of an open setting, or what is left of them."""
    want = output(idem, *OPEN)
    for option in (["--top-p", "0.3"], ["--min-p", "0.5"], ["--typical-p", "0.2"], ["--epsilon-cutoff", "0.05"],
                   ["--eta-cutoff", "0.2"], ["--repetition-penalty", "3"], ["--presence-penalty", "5"],
                   ["--frequency-penalty", "5"], ["--no-repeat-ngram-size", "1"], ["--temperature", "0.3"],
                   ["--top-k", "2"]):
        out = output(idem, *OPEN, *option)
        check(out["samples"][0]["tokens"] != want["samples"][0]["tokens"], f"{option} changes nothing")
        name = option[0][2:].replace("-", "_")
        check(out["settings"][name] == float(option[1]), f"{name} is {out['settings'][name]}")


def penalties_count_the_output(idem):
    """A presence penalty that nothing outweighs: no token of the output comes twice."""
    drawn = tokens(output(idem, *OPEN, "--presence-penalty", "100"))
    check(len(drawn) == len(set(drawn)), f"a token twice: {drawn}")
    prompt = output(idem)["prompt_tokens"]
    less = tokens(output(idem, *OPEN, "--presence-penalty", "-100"))
    check(set(less[1:]) == {less[0]}, "a negative penalty does not keep the first token coming")
    check(less[0] not in prompt or less[0] == tokens(output(idem, *OPEN))[0], "the prompt was counted")


def not_too_short(idem):
    """The end of text is the best token where the model would end, and min_new_tokens forbids it."""
    for seed in range(40):
        ended = output(idem, *OPEN[:-1], str(seed))["samples"][0]
        if ended["stop"] == "eos":
            break
    else:
        raise AssertionError("no seed ends early")
    n = len(ended["tokens"])
    longer = output(idem, *OPEN[:-1], str(seed), "--min-new-tokens", str(n))["samples"][0]
    check(len(longer["tokens"]) > n or longer["stop"] != "eos", "the text ends too early")
    check([t["id"] for t in longer["tokens"][:n - 1]] == [t["id"] for t in ended["tokens"][:n - 1]],
          "other tokens before")
    check(longer["tokens"][n - 1]["id"] != ended["tokens"][n - 1]["id"], "the end came all the same")


def samplers(idem):
    hf, llama = output(idem)["settings"], output(idem, "--sampler", "llama.cpp")["settings"]
    ollama = output(idem, "--sampler", "ollama", "--top-k", "7")["settings"]
    check((hf["sampler"], hf["do_sample"], hf["top_k"]) == ("hf", False, 50), str(hf))
    check((llama["do_sample"], llama["temperature"], llama["top_k"], llama["top_p"], llama["min_p"]) ==
          (True, 0.8, 40, 0.95, 0.05), str(llama))
    check((ollama["do_sample"], ollama["top_k"], ollama["top_p"], ollama["min_p"]) == (True, 7, 0.9, 0), str(ollama))
    off = ["--top-k", "0", "--top-p", "1", "--min-p", "0", "--temperature", "1"]
    check(tokens(output(idem, "--do-sample", *off)) == tokens(output(idem, "--sampler", "llama.cpp", *off)),
          "with all off the samplers draw the same")
    cold = output(idem, "--sampler", "llama.cpp", "--temperature", "0")["samples"][0]["tokens"]
    check([t["id"] for t in cold] == tokens(output(idem)), "temperature 0 is not greedy")
    check(all(t["logprob_processed"] == 0 for t in cold), "temperature 0 leaves one token")


def order_matters(idem):
    """Temperature before top_p (Hugging Face) or behind it (llama.cpp): other tokens are left."""
    args = ["--temperature", "3", "--top-p", "0.5", "--top-k", "0", "--min-p", "0", "--top-k-logprobs", "300", "-n", "1"]
    def left(*more):
        top = output(idem, *args, *more)["samples"][0]["tokens"][0]["top"]
        kept = [t for t in top if t["logprob_processed"] is not None]
        check(abs(sum(math.exp(t["logprob_processed"]) for t in kept) - 1) < 1e-5, "the mass of what is left")
        return len(kept)
    check(left("--sampler", "llama.cpp") < left("--do-sample"), "the order has no effect")


def not_in_the_chain(idem):
    for option in (["--epsilon-cutoff", "0.1"], ["--eta-cutoff", "0.1"], ["--no-repeat-ngram-size", "2"],
                   ["--min-new-tokens", "2"], ["--num-beams", "2"]):
        for name in ("llama.cpp", "ollama"):
            refused(idem.run(*ARGS, "--sampler", name, *option), [2], option[0][2:].replace("-", "_"), name)


def no_effect(idem):
    def notes(*args):
        r = idem.run("generate", TINY, "-p", "the cat", "-n", "2", *args)
        check(r.returncode == 0, r.stderr.decode())
        return r.stderr.decode()
    text = notes("--temperature", "0.5", "--top-p", "0.5", "--length-penalty", "2", "--seed", "1")
    check("without effect: temperature, top_p (do_sample is false" in text, text)
    check("without effect: length_penalty (there is no beam search" in text and "seed" in text, text)
    for args in ([], ["--temperature", "0"], ["--top-p", "1"], ["--do-sample", "--top-p", "0.5", "--seed", "2"],
                 ["--temperature", "0.5", "--quiet"], ["--repetition-penalty", "1.2"]):
        check(notes(*args) == "", f"{args}: {notes(*args)}")
    check("the vocabulary has no more" in notes("--do-sample", "--top-k", "100000"), "top_k above all")
    check("top_k 1 leaves one token" in notes("--sampler", "ollama", "--top-k", "1", "--top-p", "0.5"), "top_k 1")


def plan_says_so(idem):
    out = json.loads(idem.ok("plan", EXPERIMENT, "--json"))
    of = {(x["setting"], x["hyperparameter"]) for x in out["without_effect"]}
    check(of == {("do_sample=false", n) for n in ("temperature", "top_k", "top_p")}, str(of))
    text = idem.ok("plan", EXPERIMENT).decode()
    check("without effect: temperature, top_k, top_p (do_sample is false: nothing is drawn)" in text, text)


def experiment_samplers(idem):
    """A level of the sampler keeps what the base says and takes its own defaults for the rest."""
    path = idem.path("samplers.yaml")
    text = open(EXPERIMENT, encoding="utf-8").read()
    text = text.replace("tests/cli/tiny-prompts.yaml", "x").replace("prompts: tiny-prompts.yaml", "prompts: %s" % (
        EXPERIMENT.parent / "tiny-prompts.yaml"))
    text = text.replace("top_p: 0.9, top_k: 50}", "top_p: 0.9, min_new_tokens: 0, early_stopping: never}")
    text = text.replace("    temperature: [0.1", "    sampler: [hf, llama.cpp, ollama]\n    temperature: [0.1")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    out = json.loads(idem.ok("plan", path, "--json"))
    of = {s["id"]: s["values"] for s in out["plan"]["settings"]}
    check(list(of["base"]) == sorted(of["base"]) and len(of["base"]) == 20, "keys of a setting")
    base, llama = of["base"], of["sampler=llama.cpp"]
    check((base["top_k"], base["min_p"], base["early_stopping"]) == (50, 0, "never"), str(base))
    check((llama["top_k"], llama["top_p"], llama["temperature"], llama["min_p"]) == (40, 0.9, 0.7, 0.05), str(llama))
    idem.ok("run", path, "-o", idem.path("samplers.db"), "--quiet")
    report = json.loads(idem.ok("report", idem.path("samplers.db"), "--format", "json"))
    check(report["complete"] and all(c["passed"] for c in report["controls"]), "the run is not whole")


CASES = [(f"sampling: {f.__name__.replace('_', ' ')}", f) for f in (
    each_acts, penalties_count_the_output, not_too_short, samplers, order_matters, not_in_the_chain, no_effect,
    plan_says_so, experiment_samplers)]
