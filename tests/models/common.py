# SPDX-License-Identifier: MIT
"""What the tests on real models share: where the models are, how idem is called.

Environment: IDEM (the binary, default build/idem) and IDEM_MODELS (the folder with the model
files, default the one that `idem pull` fills). A model that is not there is skipped with a line
that says so, and a run that found none exits with 77.
"""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
IDEM = os.environ.get("IDEM", str(ROOT / "build/idem"))
SKIPPED = 77

MODELS = {                      # name in the catalogue: file
    "smollm2-135m-instruct": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "qwen2.5-coder-0.5b-instruct": "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    "gemma-3-270m": "gemma-3-270m-q4_k_m.gguf",
}
FIXTURES = {
    "smollm2-135m-instruct": "smollm2.json",
    "qwen2.5-coder-0.5b-instruct": "qwen2.5-coder.json",
    "gemma-3-270m": "gemma3.json",
}


def models_folder():
    if os.environ.get("IDEM_MODELS"):
        return pathlib.Path(os.environ["IDEM_MODELS"])
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(cache) / "idem" / "models"


def find_models(names=None):
    """(name, path) of the models that are here; a line on standard output for each that is not."""
    found = []
    for name in names or MODELS:
        path = models_folder() / MODELS[name]
        if path.is_file():
            found.append((name, str(path)))
        else:
            print(f"skipped: {name}: no {path} (run 'idem pull {name}', or set IDEM_MODELS)")
    if not found:
        sys.exit(SKIPPED)
    return found


class Failed(Exception):
    pass


def idem(*args, env=None):
    """Runs idem and gives its standard output; anything but exit code 0 is a failure."""
    argv = [IDEM, *map(str, args)]
    r = subprocess.run(argv, capture_output=True, env=env)
    if r.returncode != 0:
        shown = " ".join(a if len(a) < 60 else a[:57] + "..." for a in argv)
        raise Failed(f"{shown}: exit code {r.returncode}: {r.stderr.decode(errors='replace')[-800:]}")
    return r.stdout.decode()


def idem_json(*args, env=None):
    return json.loads(idem(*args, "--json", env=env))


def main(run):
    """Runs run() -> number of failures, and exits with 0 or 1."""
    try:
        failures = run()
    except Failed as e:
        print(f"FAILED: {e}")
        failures = 1
    print("FAILED" if failures else "ok")
    sys.exit(1 if failures else 0)
