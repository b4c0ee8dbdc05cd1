# SPDX-License-Identifier: MIT
"""Bad input: every command says what is wrong with it, none crashes or keeps silent."""
import os
import pathlib

from harness import EXPERIMENT, ROOT, TINY, bad_files, check, refused

MODEL_COMMANDS = {
    "inspect": [], "tokenize": ["text"], "detokenize": ["5"], "generate": ["-p", "text"],
    "score": ["-p", "text"], "digest": ["-p", "text"], "bench": [],
}


def model_files(command):
    def test(idem):
        for name, path in bad_files(idem.folder).items():
            r = idem.run(command, path, *MODEL_COMMANDS[command])
            # a file whose weights are cut off may still give its vocabulary
            if name == "cut in its data" and command in ("tokenize", "detokenize") and r.returncode == 0:
                continue
            refused(r, [1, 2], pathlib.Path(path).name)
    return test


def experiment_files(command):
    def test(idem):
        for name, path in bad_files(idem.folder).items():
            refused(idem.run(command, path, *(["-o", idem.path("x.db")] if command == "run" else [])), [1, 2])
            check(not os.path.exists(idem.path("x.db")), f"{name}: a database in spite of the error")
    return test


def run_files(command, args):
    def test(idem):
        db = idem.path("whole.db")
        if not os.path.exists(db):
            idem.ok("run", EXPERIMENT, "-o", db)
        files = bad_files(idem.folder)
        whole = pathlib.Path(db).read_bytes()
        for name, data in ("half", whole[:len(whole) // 2 // 4096 * 4096]), ("odd", whole[:5000]), ("page", whole[:4096]):
            files[name] = idem.path(f"bad-{name}.db")
            pathlib.Path(files[name]).write_bytes(data)
        for path in files.values():
            refused(idem.run(command, path, *args), [1, 2])
    return test


def experiment_edits(idem):
    """The good experiment with one thing wrong: line and column, and the key."""
    good = EXPERIMENT.read_text().replace("tests/data/", str(ROOT) + "/tests/data/")
    prompts = (ROOT / "tests/cli/tiny-prompts.yaml").read_text()
    pathlib.Path(idem.path("tiny-prompts.yaml")).write_text(prompts)
    edits = [
        ("temperature: 0.7,", "temprature: 0.7,", "temprature"),
        ("temperature: 0.7,", "temperature: -1,", "temperature"),
        ("top_p: 0.9,", "top_p: 2,", "top_p"),
        ("seeds:", "sedes:", "sedes"),
        ("name: tiny", "name: [tiny", ":"),
        ("prompts: tiny-prompts.yaml", "prompts: nowhere.yaml", "nowhere.yaml"),
        ("/tiny.gguf\nprompts", "/nowhere.gguf\nprompts", "nowhere.gguf"),
        ("/tiny.gguf\nprompts", "/\xff.gguf\nprompts", ""),
    ]
    for old, new, word in edits:
        check(old in good, f"the experiment has no {old!r}")
        path = idem.path("edited.yaml")
        pathlib.Path(path).write_bytes(good.replace(old, new, 1).encode("latin-1"))
        for command in "plan", "run":
            r = idem.run(command, path, *(["-o", idem.path("edited.db")] if command == "run" else []))
            check(r.returncode != 0, f"{command} took {new!r}")
            refused(r, [1, 2], word)
            if new[-1:] == "," or new == "sedes:":
                line = good[:good.index(old)].count("\n") + 1
                refused(r, [1, 2], f"edited.yaml:{line}:")


PROMPT_COMMANDS = ["generate", "score", "digest"]


def prompts(idem):
    for c in PROMPT_COMMANDS:
        refused(idem.run(c, TINY, "-p", ""), [1, 2], "empty")
        refused(idem.run(c, TINY, "-f", "-", stdin=b""), [1, 2], "empty")
        refused(idem.run(c, TINY, "-f", idem.path("no-prompt")), [1, 2], "no-prompt")
        refused(idem.run(c, TINY, "-f", idem.folder), [1, 2])
        refused(idem.run(c, TINY, "-p", b"caf\xe9"), [1, 2], "UTF-8", "offset 3")
        refused(idem.run(c, TINY, "-f", "-", stdin=b"ab\xc3"), [1, 2], "UTF-8", "offset 2")
        refused(idem.run(c, TINY, "-f", "-", stdin=b"\xed\xa0\x80"), [1, 2], "UTF-8", "offset 0")
        refused(idem.run(c, TINY, "-p", "q" * 300), [1, 2], "context", "128")
        refused(idem.run(c, TINY, "-p", "q" * 20, "--context", "16"), [1, 2], "context", "16")
        refused(idem.run(c, TINY, "-f", "-", stdin=b"q" * 3_000_000), [1, 2], "context")
    refused(idem.run("score", TINY, "-p", "x", "-c", b"\xff"), [1, 2], "UTF-8", "offset 0")
    refused(idem.run("score", TINY, "-p", "x" * 100, "-c", "y" * 100), [1, 2], "context")
    refused(idem.run("generate", TINY, "-p", "q" * 120), [1, 2], "context", "max_new_tokens")
    refused(idem.run("generate", TINY, "--chat", "-f", "-", stdin=b"a\0b"), [1, 2], "NUL")
    refused(idem.run("tokenize", TINY, b"a\xffb"), [1, 2], "UTF-8", "1")
    refused(idem.run("detokenize", TINY, stdin=b"5 six"), [2], "six")


def names(idem):
    refused(idem.run("generate", "smollm2-135m-instruct", "-p", "x"), [1], "idem pull smollm2-135m-instruct")
    refused(idem.run("generate", "smollm2-135m-instrukt", "-p", "x"), [1], "smollm2-135m-instruct")
    refused(idem.run("run", EXPERIMENT, "--model", "gemma-3-270m", "-o", idem.path("y.db")), [1], "idem pull")
    refused(idem.run("models", env={"HOME": "", "XDG_CACHE_HOME": ""}), [1, 2], "XDG_CACHE_HOME")


def control_characters(idem):
    """A message never passes on the control characters of a file name or an option."""
    for args in (["inspect", "a\x1b[2Jb"], ["generate", TINY, "-p", "x", "--\x1b[2J"], ["\x1b[2J"]):
        r = idem.run(*args)
        refused(r, [1, 2])
        check(b"\x1b" not in r.stderr, f"an escape in {r.stderr!r}")


def database_places(idem):
    os.makedirs(idem.path("a-folder"), exist_ok=True)
    refused(idem.run("run", EXPERIMENT, "-o", idem.path("a-folder")), [1, 2], "a-folder")
    refused(idem.run("run", EXPERIMENT, "-o", idem.path("nowhere/x.db")), [1, 2], "nowhere")
    refused(idem.run("run", EXPERIMENT, "-o", ""), [2], "-o")
    text = pathlib.Path(idem.path("notes.txt"))
    text.write_text("not a database\n" * 100)
    refused(idem.run("run", EXPERIMENT, "-o", str(text)), [1, 2], "notes.txt")
    check(text.read_text() == "not a database\n" * 100, "a foreign file was changed")


CASES = [(f"bad model: {c}", model_files(c)) for c in MODEL_COMMANDS]
CASES += [(f"bad experiment: {c}", experiment_files(c)) for c in ("plan", "run")]
CASES += [("bad run: report", run_files("report", [])), ("bad run: export", run_files("export", ["--format", "csv"])),
          ("bad experiment: edits", experiment_edits), ("bad prompts", prompts), ("bad names", names),
          ("bad places of the database", database_places), ("control characters in messages", control_characters)]
