# SPDX-License-Identifier: MIT
"""Options, help, manual pages, completions: everything that comes from the option tables."""
import re
import shutil
import subprocess

from harness import TINY, check, refused

# arguments, exit codes, what the message must have
WRONG_USAGE = [
    ([], [2], ["idem -h"]),
    (["genrate"], [2], ["did you mean 'idem generate'"]),
    (["nonsense-word"], [2], ["idem -h"]),
    (["--nonsense"], [2], ["idem -h"]),
    (["help", "genrate"], [2], ["did you mean"]),
    (["generate"], [2], ["MODEL"]),
    (["generate", TINY], [2], ["-p"]),
    (["generate", TINY, "-p"], [2], ["needs a value"]),
    (["generate", TINY, "more", "-p", "x"], [2], ["more"]),
    (["generate", TINY, "-p", "x", "--temprature", "1"], [2], ["did you mean --temperature"]),
    (["generate", TINY, "-p", "x", "--max_new_token", "1"], [2], ["did you mean --max-new-tokens"]),
    (["generate", TINY, "-p", "x", "--frobnicate"], [2], ["idem generate -h"]),
    (["generate", TINY, "-p", "x", "-Z"], [2], ["-Z"]),
    (["generate", TINY, "-p", "x", "--json=yes"], [2], ["takes no value"]),
    (["generate", TINY, "-p", "x", "--no-json"], [2], ["--no-json"]),
    (["generate", TINY, "-p", "x", "--threads", "0"], [2], ["--threads", "from 1"]),
    (["generate", TINY, "-p", "x", "--threads", "two"], [2], ["--threads"]),
    (["generate", TINY, "-p", "x", "--threads", ""], [2], ["--threads"]),
    (["generate", TINY, "-p", "x", "--threads", "1x"], [2], ["--threads"]),
    (["generate", TINY, "-p", "x", "--top-k", "-1"], [2], ["--top-k"]),
    (["generate", TINY, "-p", "x", "--top-k", "4294967296"], [2], ["--top-k"]),
    (["generate", TINY, "-p", "x", "--seed", "18446744073709551616"], [2], ["--seed"]),
    (["generate", TINY, "-p", "x", "--temperature", "warm"], [2], ["--temperature", "number"]),
    (["generate", TINY, "-p", "x", "--temperature", "nan"], [2], ["--temperature"]),
    (["generate", TINY, "-p", "x", "--temperature", "inf"], [2], ["--temperature"]),
    (["generate", TINY, "-p", "x", "--temperature", "-1"], [2], ["temperature", "-1"]),
    (["generate", TINY, "-p", "x", "--do-sample", "--top-p", "2"], [2], ["top_p", "2"]),
    (["generate", TINY, "-p", "x", "--top_p=2"], [2], ["top_p"]),
    (["generate", TINY, "-p", "x", "--min-p", "1.5"], [2], ["min_p"]),
    (["generate", TINY, "-p", "x", "--repetition-penalty", "0"], [2], ["repetition_penalty"]),
    (["generate", TINY, "-p", "x", "--max-new-tokens", "0"], [2], ["--max-new-tokens"]),
    (["generate", TINY, "-p", "x", "--num-return-sequences", "0"], [2], ["--num-return-sequences"]),
    (["generate", TINY, "-p", "x", "--num-return-sequences", "2"], [2], ["num_return_sequences"]),
    (["generate", TINY, "-p", "x", "--stop", ""], [2], ["stop"]),
    (["generate", TINY, "-p", "x", "--sampler", "llama.cpp", "--eta-cutoff", "0.1"], [2], ["eta_cutoff", "llama.cpp"]),
    (["generate", TINY, "-p", "x", "--typical-p", "0"], [2], ["typical_p"]),
    (["generate", TINY, "-p", "x", "--epsilon-cutoff", "1"], [2], ["epsilon_cutoff"]),
    (["generate", TINY, "-p", "x", "--eta-cutoff", "-0.1"], [2], ["eta_cutoff"]),
    (["generate", TINY, "-p", "x", "--presence-penalty", "1e9"], [2], ["presence_penalty"]),
    (["generate", TINY, "-p", "x", "--frequency-penalty", "-101"], [2], ["frequency_penalty"]),
    (["generate", TINY, "-p", "x", "--min-new-tokens", "30"], [2], ["min_new_tokens", "max_new_tokens"]),
    (["generate", TINY, "-p", "x", "--num-beams", "2", "--num-return-sequences", "3"], [2], ["num_beams"]),
    (["generate", TINY, "-p", "x", "--early-stopping", "maybe"], [2], ["false|true|never"]),
    (["generate", TINY, "-p", "x", "--sampler", "mine"], [2], ["hf|llama.cpp|ollama"]),
    (["generate", TINY, "-p", "x", "--cpu", "neon"], [1, 2], ["neon"]),
    (["generate", TINY, "-p", "x", "--cpu", "vax"], [2], ["avx2"]),
    (["generate", TINY, "-p", "x", "--activations", "q4"], [2], ["q8|f32"]),
    (["generate", TINY, "-p", "x", "--system", "y"], [2], ["--chat"]),
    (["generate", TINY, "-p", "x", "--chat-var", "a=b"], [2], ["--chat"]),
    (["digest", TINY, "-p", "x", "--chat-template", "alpaca"], [2], ["--chat"]),
    (["generate", TINY, "-p", "x", "--chat", "--chat-template", "nope"], [2], ["alpaca", "phi2"]),
    (["generate", TINY, "-p", "x", "--chat", "--chat-template", "{{ x }}"], [2], ["file"]),
    (["generate", TINY, "-p", "x", "--chat", "--chat-template", "/nowhere.jinja"], [1, 2], ["nowhere.jinja"]),
    (["generate", TINY, "-p", "x", "--chat", "--chat-template", "alpaca", "--system", "y"], [2], ["refuses"]),
    (["generate", TINY, "-p", "x", "--chat", "--chat-var", "ab"], [2], ["NAME=VALUE"]),
    (["generate", TINY, "-p", "x", "--chat", "--chat-var", "messages=1"], [2], ["messages"]),
    (["generate", TINY, "-p", "x", "--chat", "--chat-var", "strftime_now=1"], [2], ["YYYY-MM-DD"]),
    (["tokenize", TINY, "x", "--chat", "--add-special"], [2], ["--add-special"]),
    (["generate", TINY, "-p", "x", "-f", "y"], [2], ["not both"]),
    (["score", TINY], [2], ["-p"]),
    (["digest", TINY], [2], ["-p"]),
    (["detokenize", TINY, "the"], [2], ["token id"]),
    (["detokenize", TINY, "99999999999"], [2], ["token id"]),
    (["detokenize", TINY, "279"], [1, 2], ["279"]),
    (["tokenize", TINY, "x", "y"], [2], ["y"]),
    (["tokenize", TINY, "x", "--system", "y"], [2], ["--chat"]),
    (["pull"], [2], ["NAME"]),
    (["pull", "nothing-here"], [2], ["smollm2-135m-instruct"]),
    (["models", "x"], [2], ["x"]),
    (["run"], [2], ["FILE"]),
    (["run", "x.yaml", "--shard", "2/3"], [2], ["--shard"]),
    (["run", "x.yaml", "--limit", "0"], [2], ["--limit"]),
    (["report"], [2], ["RUN.db"]),
    (["report", "x.db", "--format", "pdf"], [2], ["html|text|md|json"]),
    (["report", "x.db", "--json", "--format", "md"], [2], ["--format"]),
    (["export", "x.db"], [2], ["--format"]),
    (["export", "x.db", "--format", "xml"], [2], ["csv|jsonl"]),
    (["selftest", "x"], [2], ["x"]),
]


def commands(idem):
    return idem.ok("--dump-commands").decode().split()


def wrong_usage(args, codes, words):
    return lambda idem: refused(idem.run(*args), codes, *words)


def help_is_there(idem):
    want = "models pull inspect tokenize detokenize generate score digest plan run report export convert bench selftest"
    check(commands(idem) == want.split(), "the commands have other names")
    check(idem.ok("-h") == idem.ok("help") == idem.ok("--help"), "-h, help and --help differ")
    for c in commands(idem):
        check(idem.ok(c, "-h") == idem.ok("help", c) == idem.ok(c, "--help"), f"help of {c} differs")
        check(c.encode() in idem.ok("-h"), f"{c} is not in idem -h")
    check(b"idem-numerics-" in idem.ok("--version"), "--version does not name the numerics")


def options_of_help(text):
    found = {}
    for line in text.splitlines():
        m = re.match(r"  (?:-(\w), |    )--(\[no-\])?([\w-]+)(?: (\S+))?", line)
        if m:
            found[m[3]] = (m[1], bool(m[2]), m[4])
    return found


def options_of_manual(text):
    found = {}
    plain = text.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "").replace("\\fI", "").replace("\\e", "\\")
    for line in plain.splitlines():
        m = re.match(r"(?:-(\w), )?--(\[no-\])?([\w-]+)(?: (\S+))?$", line)
        if m:
            found[m[3]] = (m[1], bool(m[2]), m[4])
    return found


def help_equals_manual(idem):
    for c in commands(idem):
        a = options_of_help(idem.ok(c, "-h").decode())
        b = options_of_manual(idem.ok("--dump-man", c).decode())
        check(a and a == b, f"-h and manual of {c} differ: {set(a.items()) ^ set(b.items())}")
        page = (idem.build / f"man/idem-{c}.1").read_bytes()
        check(page == idem.ok("--dump-man", c), f"the built manual page of {c} is stale")


def manual_is_well_formed(idem):
    if not shutil.which("mandoc"):
        return
    for c in ["idem", *commands(idem)]:
        r = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=idem.ok("--dump-man", c), capture_output=True)
        lines = [x for x in r.stdout.decode().splitlines() if "missing date" not in x]
        check(not lines, f"{c}: {lines}")


def every_option_completes(idem):
    scripts = {shell: idem.ok("--dump-completion", shell).decode() for shell in ("bash", "zsh", "fish")}
    for c in commands(idem):
        for name in options_of_help(idem.ok(c, "-h").decode()):
            for shell, text in scripts.items():
                check(re.search(rf"(--| -l ){name}\b", text), f"{shell}: --{name} is missing")


def completions_parse(idem):
    for shell, options in ("bash", ["-n"]), ("zsh", ["-n"]), ("fish", ["--no-execute"]):
        if shutil.which(shell):
            script = idem.path("completion." + shell)
            with open(script, "wb") as f:
                f.write(idem.ok("--dump-completion", shell))
            r = subprocess.run([shell, *options, script], capture_output=True)
            check(r.returncode == 0, r.stderr.decode())
    refused(idem.run("--dump-completion", "tcsh"), [2], "bash, zsh and fish")


def bash_completes(idem):
    def complete(*words):
        script = (f"export PATH={idem.build}:$PATH; source <(idem --dump-completion bash); "
                  f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _idem; echo ${{COMPREPLY[@]}}")
        r = subprocess.run(["bash", "-c", script], capture_output=True, env=idem.env)
        return r.stdout.decode().split()
    check(complete("idem", "gen") == ["generate"], "the command is not completed")
    check(complete("idem", "generate", "m", "--temp") == ["--temperature"], "the option is not completed")
    check(complete("idem", "report", "--format", "h") == ["html"], "the choice is not completed")
    check("--no-do-sample" in complete("idem", "generate", "--no"), "the switch is not completed")


def spellings(idem):
    """One option, every way of writing it."""
    want = idem.ok("generate", TINY, "-p", "the cat", "--max-new-tokens", "3", "--json")
    for args in (["--max_new_tokens", "3"], ["--max-new-tokens=3"], ["--max_new_tokens=3"], ["-n", "3"], ["-n3"],
                 ["-n", "3", "--no-do-sample"], ["--do-sample", "--no_do_sample", "-n3"], ["-qn3"]):
        check(idem.ok("generate", TINY, "-p", "the cat", "--json", *args) == want, f"{args} is not the same")
    check(idem.ok("generate", "-p", "the cat", "-n", "3", "--json", "--", TINY) == want, "-- is not the same")
    check(idem.ok("tokenize", TINY, "--", "--chat").split() != [], "text behind -- is not taken as text")


CASES = [(f"usage: idem {' '.join(map(str, a))}".replace(str(TINY), "tiny.gguf"), wrong_usage(a, c, w))
         for a, c, w in WRONG_USAGE]
CASES += [(f.__name__.replace("_", " "), f) for f in (
    help_is_there, help_equals_manual, manual_is_well_formed, every_option_completes, completions_parse,
    bash_completes, spellings)]
