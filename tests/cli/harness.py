# SPDX-License-Identifier: MIT
"""What the tests of the command line share: running idem, files that are not models, results."""
import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = ROOT / "tests/data/models/tiny.gguf"
EXPERIMENT = ROOT / "tests/cli/tiny.yaml"


class Failure(AssertionError):
    pass


def check(condition, message):
    if not condition:
        raise Failure(message)


class Idem:
    """The program in a build folder, with a home and a cache of its own."""

    def __init__(self, build):
        self.build = pathlib.Path(build).resolve()
        self.program = self.build / "idem"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="idem-cli-"))
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "TMPDIR": str(self.folder),
            "XDG_CACHE_HOME": str(self.folder / "cache"), "LC_ALL": "C.UTF-8",
            # pip must not reach a network in these tests, nor find wheels of this machine
            "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.folder / "wheels"), "PIP_CONFIG_FILE": os.devnull,
        }
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return str(self.folder / name)

    def run(self, *args, stdin=b"", env=None, timeout=120, cwd=ROOT, **kw):
        return subprocess.run([str(self.program), *map(os.fsencode, map(str_or_bytes, args))], input=stdin,
                              capture_output=True, env={**self.env, **(env or {})}, timeout=timeout, cwd=cwd, **kw)

    def ok(self, *args, **kw):
        """Standard output of a command that must succeed."""
        r = self.run(*args, **kw)
        check(r.returncode == 0, f"exit code {r.returncode}: {r.stderr.decode(errors='replace')}")
        return r.stdout

    def popen(self, *args, **kw):
        return subprocess.Popen([str(self.program), *map(str, args)], env=self.env, cwd=ROOT, **kw)


def str_or_bytes(arg):
    return arg if isinstance(arg, (str, bytes)) else str(arg)


def refused(result, codes, *words):
    """The command said what is wrong: a code of `codes`, one message that has every word, no data."""
    text = result.stderr.decode(errors="replace")
    check(result.returncode in codes, f"exit code {result.returncode}, expected one of {codes}: {text}")
    check(text.startswith("idem"), f"no message of idem: {text!r}")
    check("Sanitizer" not in text and "runtime error" not in text, text)
    check(result.stdout == b"", f"data in spite of the error: {result.stdout[:200]!r}")
    last = text.strip().splitlines()[-1]
    check(len(last) > len("idem: ") + 10, f"no sentence: {text!r}")
    for word in words:
        check(word in text, f"the message does not have {word!r}: {text}")


def bad_files(folder):
    """Files that are no models, experiments or runs: name to path."""
    tiny = TINY.read_bytes()
    files = {
        "missing": None,
        "empty": b"",
        "cut in its header": tiny[:20],
        "cut in its keys": tiny[:3000],
        "cut in its data": tiny[:-5000],
        "an image": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20,
        "text": b"Once upon a time\n" * 50,
        "zeros": bytes(4096),
    }
    paths = {}
    for name, data in files.items():
        path = pathlib.Path(folder) / ("bad-" + name.replace(" ", "-"))
        if data is not None:
            path.write_bytes(data)
        paths[name] = str(path)
    paths["a folder"] = str(folder)
    return paths
