# SPDX-License-Identifier: MIT
"""idem pull from a hub on loopback that cuts, lies, redirects, refuses, stalls and changes its mind: the exit
code, the message, and what is on the disk afterwards."""
import hashlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time

from harness import EXPERIMENT, TINY, check, refused
from http_server import COMMIT, Hub, Reply, Server, certificate, checkpoint, cut, once

TOKEN = "hf_aSecretThatNobodyMaySee0123456789"
REF = "hf:maker/model/m.gguf"
DATA = b"GGUF" + bytes(range(256)) * 8 + b"the end"


class Place:
    """One case: a hub, and a cache of its own."""

    def __init__(self, idem, files=None):
        self.idem = idem
        self.hub = Hub(files if files is not None else {"maker/model/m.gguf": DATA})
        self.root = pathlib.Path(idem.path(f"hub-{time.monotonic_ns()}"))
        self.env = {**self.hub.env, "XDG_CACHE_HOME": str(self.root), "HOME": str(self.root)}
        self.models = self.root / "idem/models"
        self.file = self.models / "maker/model/m.gguf"
        self.part = self.models / "maker/model/m.gguf.part"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hub.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def pull(self, ref=REF, *args, env=None, **kw):
        r = self.idem.run("pull", ref, "--retries", "0", *args, env={**self.env, **(env or {})}, **kw)
        check(TOKEN.encode() not in r.stdout + r.stderr, "the token was printed")
        return r

    def start(self, **kw):
        """A pull that goes on while the test does something else."""
        return subprocess.Popen([str(self.idem.program), "pull", REF, "--retries", "0"],
                                env={**self.idem.env, **self.env}, **kw)

    def got(self, r, data=DATA, file=None):
        """It worked: this file, its path printed, nothing else beside it but where it is from."""
        file = file or self.file
        check(r.returncode == 0, f"exit code {r.returncode}: {r.stderr.decode()}")
        check(r.stdout == f"{file}\n".encode(), f"printed {r.stdout!r}")
        check(file.read_bytes() == data, "other bytes")
        self.has(file.name, file.name + ".source")
        check(hashlib.sha256(data).hexdigest() in (file.parent / (file.name + ".source")).read_text(), "source")

    def has(self, *names):
        found = sorted(p.name for p in (self.models / "maker/model").glob("*"))
        check(found == sorted(names), f"on the disk: {found}, expected {sorted(names)}")

    def keeps(self, n):
        """No file, but n bytes of it to go on with."""
        self.has("m.gguf.part", "m.gguf.part.source")
        have = self.part.read_bytes()
        check(have == DATA[:n], f"{len(have)} bytes are kept, expected {n}, or they are others")


def case(f):
    def run(idem):
        with Place(idem) as p:
            f(p)
    run.__name__ = f.__name__
    return run


# ---- as it should be ----------------------------------------------------------------------------------


@case
def fetches(p):
    p.got(p.pull())
    (request,) = p.hub.hub.requests
    check(request.target == "/maker/model/resolve/main/m.gguf" and request.method == "GET", request.target)
    check("range" not in request.headers and "authorization" not in request.headers, "headers")
    p.hub.close()   # what is here needs no server
    r = p.pull(REF, "--json", env={"HF_ENDPOINT": "http://127.0.0.1:1"})
    check(json.loads(r.stdout) == {"name": REF, "path": str(p.file), "fetched": False,
                                   "sha256": hashlib.sha256(DATA).hexdigest()}, r.stdout)


@case
def runs_what_it_fetched(p):
    tiny = TINY.read_bytes()
    p.hub.files = {"maker/model/m.gguf": tiny, "Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf": tiny}
    refused(p.idem.run("inspect", REF, env=p.env), [1], "idem pull " + REF)
    p.got(p.pull(), tiny)
    here = p.idem.ok("tokenize", TINY, "the cat")
    check(p.idem.ok("tokenize", REF, "the cat", env=p.env) == here, "other tokens")
    plans = [json.loads(p.idem.ok("plan", EXPERIMENT, "--model", m, "--json", env=p.env)) for m in (REF, TINY)]
    check(plans[0]["digest"] == plans[1]["digest"], "another plan")
    r = p.pull("qwen3-0.6b", "--json")
    check(r.returncode == 0 and b"nobody has tried" in r.stderr and b"Apache-2.0" in r.stderr, r.stderr)
    path = p.models / "Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf"
    check(json.loads(r.stdout)["path"] == str(path) and path.read_bytes() == tiny, "path")
    check(p.idem.ok("tokenize", "qwen3-0.6b", "the cat", env=p.env) == here, "other tokens")
    here = [m["name"] for m in json.loads(p.idem.ok("models", "--json", env=p.env))["models"] if m["present"]]
    check(here == ["qwen3-0.6b"], f"here: {here}")


@case
def revisions(p):
    p.hub.files = {"maker/model/a folder/m+1.gguf": DATA}
    r = p.pull("hf:maker/model/a folder/m+1.gguf@refs/pr/1")
    check(r.returncode == 0, r.stderr)
    check(p.hub.hub.requests[0].target == "/maker/model/resolve/refs%2Fpr%2F1/a%20folder/m%2B1.gguf", "the address")
    check((p.models / "maker/model@refs--pr--1/a folder/m+1.gguf").read_bytes() == DATA, "the place")


@case
def small_files(p):
    """Files that the hub gives itself have git's digest."""
    p.hub.files = {"maker/model/m.json": b"{}\n"}
    p.got(p.pull("hf:maker/model/m.json"), b"{}\n", p.file.parent / "m.json")
    p.hub.announce = {"ETag": '"%s"' % ("0" * 40)}
    os.unlink(p.file.parent / "m.json")
    os.unlink(p.file.parent / "m.json.source")
    refused(p.pull("hf:maker/model/m.json"), [1], "git's SHA-1", "0" * 40, "removed")
    p.has()


@case
def damaged_here(p):
    """A file that is there with other bytes is found out and fetched again."""
    p.got(p.pull())
    p.file.write_bytes(DATA[:-1] + b"D")
    p.got(p.pull())
    check(len(p.hub.store.requests) == 2, "not fetched again")


@case
def by_hand(p):
    """A file put into its place by hand counts."""
    p.file.parent.mkdir(parents=True)
    p.file.write_bytes(DATA)
    r = p.pull(env={"HF_ENDPOINT": "http://127.0.0.1:1"})
    check(r.returncode == 0 and hashlib.sha256(DATA).hexdigest().encode() in r.stderr, r.stderr)


# ---- cuts ---------------------------------------------------------------------------------------------


@case
def cut_at_any_byte(p):
    """Of the store's answer, head and body; then gone on with from there."""
    head = len(p.hub.usual_store_of("maker/model/m.gguf").head)
    n = 0
    for at in [*range(-head, 0, 5), *range(0, len(DATA), 61), len(DATA) - 1]:
        p.hub.clear()
        p.hub.store_fault = once(cut(at))
        r = p.pull()
        refused(r, [1], f"127.0.0.1:{p.hub.store.port} ended the connection too early", "same command goes on")
        p.keeps(at) if at > 0 else p.has()
        p.got(p.pull())
        wanted = p.hub.store.requests[1].headers.get("range")
        check(wanted == (f"bytes={at}-" if at > 0 else None), f"cut at {at}, asked for {wanted}")
        os.unlink(p.file)
        os.unlink(str(p.file) + ".source")
        n += 1
    check(n > 60, "too few cuts")


@case
def cut_redirect(p):
    """Of the hub's own answer: nothing is begun yet."""
    head = len(p.hub.usual_hub_of("/maker/model/resolve/main/m.gguf").head)
    for at in range(-head, 0, 29):
        p.hub.hub_fault = once(cut(at))
        refused(p.pull(), [1], "too early")
        p.has()
    p.hub.hub_fault = once(cut(-10))
    p.got(p.pull(REF, "--retries", "1"))


@case
def cut_again_and_again(p):
    """Within one command: each time from where it ended."""
    p.hub.store_fault = once(cut(100), cut(500, reset=True))
    r = p.pull(REF, "--retries", "3")
    p.got(r)
    asked = [q.headers.get("range") for q in p.hub.store.requests]
    check(asked[:2] == [None, "bytes=100-"] and len(asked) == 3 and asked[2] is not None, f"asked for {asked}")
    check(r.stderr.count(b"trying again") == 2, r.stderr)
    etags = {q.headers.get("if-range") for q in p.hub.store.requests[1:]}
    check(etags == {'"%s"' % hashlib.md5(DATA).hexdigest()}, f"If-Range: {etags}")


@case
def no_ranges(p):
    """A store without ranges: all of it again, and only once counted."""
    p.hub.ranges = False
    p.hub.store_fault = once(cut(1000))
    p.got(p.pull(REF, "--retries", "1"))


@case
def killed(p):
    """Killed in the middle, twice: as it is, and between the last byte and the name."""
    hold = threading.Event()
    p.hub.store_fault = once(cut(1500, hold=hold))
    run = p.start()
    wait_for(lambda: p.part.exists() and p.part.stat().st_size == 1500)
    run.send_signal(signal.SIGKILL)
    check(run.wait(20) == -signal.SIGKILL, "killed")
    hold.set()
    p.keeps(1500)
    p.got(p.pull())
    check(p.hub.store.requests[1].headers["range"] == "bytes=1500-", "not gone on with")
    source = pathlib.Path(str(p.file) + ".source")
    p.file.rename(p.part)
    source.rename(str(p.part) + ".source")
    p.got(p.pull(env={"HF_ENDPOINT": "http://127.0.0.1:1"}))   # whole: only looked at


@case
def interrupted(p):
    hold = threading.Event()
    p.hub.store_fault = once(cut(700, hold=hold))
    run = p.start(stderr=-1)
    wait_for(lambda: p.part.exists() and p.part.stat().st_size == 700)
    run.send_signal(signal.SIGINT)
    text = run.communicate(timeout=20)[1]
    hold.set()
    check(run.returncode == 130 and b"interrupted; 700 B of " + REF.encode() in text, text)
    p.keeps(700)
    p.got(p.pull())


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, "it did not come to that")
        time.sleep(0.01)


@case
def two_at_once(p):
    hold = threading.Event()
    p.hub.store_fault = once(cut(700, hold=hold))
    run = p.start(stdout=-1, stderr=-1)
    wait_for(lambda: p.part.exists() and p.part.stat().st_size == 700)
    refused(p.pull(), [1], "another 'idem pull' is fetching maker/model/m.gguf")
    hold.set()
    check(run.wait(30) == 0, "the first one failed")
    run.communicate()
    p.got(p.pull())


# ---- what is no part of it ----------------------------------------------------------------------------


@case
def part_of_another(p):
    """A part is gone on with only if it says of which file it is."""
    source = pathlib.Path(str(p.part) + ".source")
    good = f"source {REF}\nbytes {len(DATA)}\nsha256 {hashlib.sha256(DATA).hexdigest()}\n"
    for text in (None, "", "source\n", good.replace("m.gguf", "other.gguf"), good + "junk\n", good[:-1], good + "\0\n",
                 good.replace(str(len(DATA)), "99"), good.replace(str(len(DATA)), "-5"), "x" * 100000):
        p.hub.clear()
        p.part.parent.mkdir(parents=True, exist_ok=True)
        p.part.write_bytes(DATA[:100])
        if text is not None:
            source.write_text(text)
        p.got(p.pull())
        check("range" not in p.hub.store.requests[0].headers, f"gone on with, by {text!r}")
        os.unlink(p.file)
        os.unlink(str(p.file) + ".source")
    p.part.write_bytes(DATA[:100])
    source.write_text(good)
    p.got(p.pull())
    check(p.hub.store.requests[-1].headers["range"] == "bytes=100-", "not gone on with")


@case
def damaged_part(p):
    """Another byte in the part: found out at the end, and nothing of it is kept."""
    p.hub.store_fault = once(cut(1000))
    refused(p.pull(), [1], "too early")
    p.part.write_bytes(b"X" + DATA[1:1000])
    refused(p.pull(), [1], "SHA-256", hashlib.sha256(DATA).hexdigest(), "removed")
    p.has()
    p.got(p.pull())


@case
def changed_between(p):
    """Another file under the same name, of the same length: by If-Range, and by the hub's digest alone."""
    other = b"GGUF" + bytes(len(DATA) - 4)
    for knows in (True, False):
        p.hub.files["maker/model/m.gguf"] = DATA
        p.hub.if_range = knows
        p.hub.store_fault = once(cut(1000))
        refused(p.pull(), [1], "too early")
        p.keeps(1000)
        p.hub.files["maker/model/m.gguf"] = other
        r = p.pull()
        p.got(r, other)
        check(knows or b"beginning anew" in r.stderr, r.stderr)
        os.unlink(p.file)
        os.unlink(str(p.file) + ".source")


@case
def wrong_range(p):
    """A store that sends other bytes than asked for, once and always; and 416."""
    def shifted(request, usual):
        if "range" in request.headers:
            return Reply(206, {"Content-Range": f"bytes 0-{len(DATA) - 1}/{len(DATA)}"}, DATA)
        return None
    for fault in (shifted, lambda q, u: Reply(416, {}, b"") if "range" in q.headers else None,
                  lambda q, u: Reply(206, {}, DATA) if "range" in q.headers else None,
                  lambda q, u: Reply(206, {"Content-Range": "bytes nonsense"}, DATA) if "range" in q.headers else None):
        p.hub.store_fault = once(cut(1000))
        refused(p.pull(), [1], "too early")
        p.hub.store_fault = fault
        r = p.pull()
        p.got(r)
        check(b"beginning anew" in r.stderr, r.stderr)
        os.unlink(p.file)
        os.unlink(str(p.file) + ".source")
    p.hub.store_fault = lambda q, u: Reply(206, {"Content-Range": f"bytes 5-{len(DATA) - 1}/{len(DATA)}"}, DATA[5:])
    refused(p.pull(), [1], "again and again")
    p.has()


# ---- lies ---------------------------------------------------------------------------------------------


@case
def lies_about_length(p):
    for length in (len(DATA) - 1, len(DATA) + 1, 0, 10 ** 30, "-1", "12x", "1, 2"):
        p.hub.store_fault = once(lambda q, u: Reply(200, {"ETag": '"e"'}, DATA, length=length))
        r = p.pull()
        refused(r, [1], f"127.0.0.1:{p.hub.store.port}")
        if isinstance(length, int) and length < 10 ** 20:
            refused(r, [1], f"sends {length} bytes", f"the hub says that it has {len(DATA)}")
        p.has()
    p.got(p.pull())


@case
def sends_more(p):
    """No length, and more bytes than the hub said."""
    p.hub.store_fault = once(lambda q, u: Reply(200, {}, DATA + b"more", length=None))
    refused(p.pull(), [1], "sends more than the", "removed")
    p.has()
    p.hub.store_fault = once(lambda q, u: Reply(200, {}, DATA + b"more", chunked=True))
    refused(p.pull(), [1], "sends more than the", "removed")
    p.has()


@case
def says_no_length(p):
    """Without a length, by the end of the connection or in chunks: the hub's size and digest decide."""
    for how in ({"length": None}, {"chunked": True}):
        p.hub.store_fault = once(lambda q, u: Reply(200, {"ETag": '"e"'}, DATA, cut=900, **how),
                                 lambda q, u: p.hub.give(q, DATA, {"ETag": '"e"'}, **how))
        r = p.pull()
        refused(r, [1], "too early" if "chunked" in how else f" of {len(DATA)} bytes")
        p.got(p.pull())
        check(p.hub.store.requests[-1].headers["range"].startswith("bytes="), "not gone on with")
        os.unlink(p.file)
        os.unlink(str(p.file) + ".source")


@case
def nothing_to_check_by(p):
    """Neither length nor digest: refused. A length alone: taken, with a warning. No GGUF: refused."""
    p.hub.announce = {"X-Linked-ETag": None, "X-Linked-Size": None}
    p.hub.store_fault = once(lambda q, u: Reply(200, {}, DATA, length=None))
    refused(p.pull(), [1], "neither how long the file is nor its digest")
    p.has()
    r = p.pull()
    p.got(r)
    check(b"warning: no digest was announced" in r.stderr, r.stderr)
    os.unlink(p.file)
    p.hub.files["maker/model/m.gguf"] = b"<html>please log in</html>"
    refused(p.pull(), [1], "no GGUF file", "<htm")
    p.hub.announce = {"X-Linked-ETag": '"%s"' % hashlib.sha256(DATA).hexdigest(), "X-Linked-Size": None}
    p.hub.files["maker/model/m.gguf"] = DATA
    p.hub.store_fault = once(lambda q, u: Reply(200, {}, DATA[:-1], length=None))
    refused(p.pull(), [1], "SHA-256", "removed")   # a cut that only the digest shows
    p.got(p.pull())


@case
def wrong_digest(p):
    p.hub.store_fault = once(lambda q, u: Reply(200, {}, b"GGUF" + bytes(len(DATA) - 4)))
    refused(p.pull(), [1], "what came in is not " + REF, hashlib.sha256(DATA).hexdigest(), "do not trust")
    p.has()
    p.hub.store_fault = once(lambda q, u: Reply(200, {"Content-Encoding": "gzip"}, DATA))
    refused(p.pull(), [1], "compressed")
    p.has()


@case
def pinned_digest(p):
    """The hub has another file than the one that the catalogue knows."""
    p.hub.files = {"bartowski/gemma-2-9b-it-GGUF/gemma-2-9b-it-Q4_K_M.gguf": DATA}
    refused(p.pull("gemma-2-9b-it"), [1], "the catalogue knows it with 13b2a7b4", hashlib.sha256(DATA).hexdigest())
    check(not list(p.models.rglob("*.gguf*")), "something was kept")
    p.hub.announce = {"X-Linked-ETag": None}
    refused(p.pull("gemma-2-9b-it"), [1], "what came in is not hf:bartowski/gemma-2-9b-it-GGUF", "13b2a7b4")
    check(not list(p.models.rglob("*.gguf*")), "something was kept")


# ---- redirects and the token --------------------------------------------------------------------------


@case
def token_stays(p):
    """The token goes to the hub, over its own redirects, and to nobody else."""
    def first(request, usual):
        if "/api/" not in request.target:
            return Reply(307, {"Location": "/api/resolve-cache" + request.target})
        request.path = request.path.removeprefix("/api/resolve-cache")
        return p.hub.usual_hub(request)
    p.hub.hub_fault = first
    home = p.root / "home"
    (home / ".cache/huggingface").mkdir(parents=True)
    (home / ".cache/huggingface/token").write_text(f"{TOKEN}\n")
    (p.root / "elsewhere").write_text(TOKEN)
    for env, sent in (({}, False), ({"HF_TOKEN": TOKEN}, True), ({"HF_TOKEN": f" {TOKEN}\n"}, True),
                      ({"HF_TOKEN": " "}, False), ({"HUGGING_FACE_HUB_TOKEN": TOKEN}, True),
                      ({"HF_TOKEN_PATH": str(p.root / "elsewhere")}, True),
                      ({"HF_HOME": str(home / ".cache/huggingface")}, True), ({"HF_HOME": str(home)}, False)):
        p.hub.clear()
        p.got(p.pull(env=env))
        at_hub = [q.headers.get("authorization") for q in p.hub.hub.requests]
        at_store = [q.headers for q in p.hub.store.requests]
        check(at_hub == [f"Bearer {TOKEN}" if sent else None] * 2, f"{env}: the hub got {at_hub}")
        check(len(at_store) == 1 and TOKEN not in str(at_store), "the store got the token")
        os.unlink(p.file)
        os.unlink(str(p.file) + ".source")
    for bad in ("two words", "a\nb", "caf\u00e9", "x\x7f", "x" * 5000):
        r = p.pull(env={"HF_TOKEN": bad})
        refused(r, [2], "HF_TOKEN")
        check(bad.encode() not in r.stderr, "it was printed")
    # not over a line that others can read
    r = p.pull(REF, "--timeout", "5", env={"HF_TOKEN": TOKEN, "HF_ENDPOINT": "http://hub.invalid"})
    refused(r, [1], "not sent", "not encrypted", "hub.invalid cannot be found")


@case
def other_name_of_the_hub(p):
    """The same machine by another name is another host."""
    p.hub.hub_fault = lambda q, u: Reply(302, {"Location": f"http://localhost:{p.hub.hub.port}{q.target}"}) \
        if q.headers["host"].startswith("127") else None
    p.got(p.pull(env={"HF_TOKEN": TOKEN}))
    sent = ["authorization" in q.headers for q in p.hub.hub.requests]
    check(sent == [True, False], f"sent: {sent}")


@case
def redirects(p):
    p.hub.hub_fault = lambda q, u: Reply(302, {"Location": q.target})
    refused(p.pull(), [1], "over 10 redirects")
    check(len(p.hub.hub.requests) == 11, f"{len(p.hub.hub.requests)} requests")
    ring = Server(lambda q: Reply(302, {"Location": p.hub.hub.url + "/maker/model/resolve/main/m.gguf"}))
    p.hub.hub_fault = lambda q, u: Reply(302, {"Location": ring.url + "/x"})
    refused(p.pull(env={"HF_TOKEN": TOKEN}), [1], "over 10 redirects")
    check(not any("authorization" in q.headers for q in ring.requests), "the token went round")
    ring.close()
    for to in ("file:///etc/passwd", "ftp://127.0.0.1/x", "http://user:pass@127.0.0.1/x", "http://[", "gopher:x",
               "http://127.0.0.1:99999/", "data:,GGUF", "x" * 20000):
        p.hub.hub_fault = lambda q, u: Reply(302, {"Location": to})
        r = p.pull()
        refused(r, [1], f"127.0.0.1:{p.hub.hub.port} redirects to")
        check(b"user:pass" not in r.stderr, "a password was printed")
        p.has()
    p.hub.hub_fault = lambda q, u: Reply(302, {}, b"where to?")
    refused(p.pull(), [1], "answers 302")
    p.hub.hub_fault = once(lambda q, u: Reply(302, {"Location": q.target}, b"x" * 300000),
                           lambda q, u: Reply(301, {"Location": "//" + q.headers["host"] + q.target}))
    p.got(p.pull())


# ---- refusals -----------------------------------------------------------------------------------------


@case
def refusals(p):
    hub = f"127.0.0.1:{p.hub.hub.port}"
    page = p.hub.hub.url + "/maker/model"
    gated = Reply(401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to model maker/model is restricted."})
    p.hub.hub_fault = lambda q, u: gated
    refused(p.pull(), [1], hub, REF, "restricted", "licence on " + page, "settings/tokens", "HF_TOKEN")
    p.hub.hub_fault = lambda q, u: Reply(403, {"X-Error-Message": "not in the authorized list \x1b[31m"})
    r = p.pull(env={"HF_TOKEN": TOKEN})
    refused(r, [1], hub, "token in HF_TOKEN", "403: not in the authorized list", page)
    check(b"\x1b" not in r.stderr, "a control character of the server got through")
    p.hub.hub_fault = lambda q, u: None
    refused(p.pull("hf:maker/model/other.gguf"), [1], hub, "hf:maker/model/other.gguf", "404: Entry not found", page)
    p.has()
    for status in (400, 402, 405, 410, 416, 418, 451):
        p.hub.clear()
        p.hub.hub_fault = lambda q, u: Reply(status)
        refused(p.pull(REF, "--retries", "3"), [1], hub, f"answers {status}")
        check(len(p.hub.hub.requests) == 1, f"{status}: asked {len(p.hub.hub.requests)} times")
    p.has()


@case
def comes_back(p):
    """Errors that pass: as long as the server asks for, or a little longer each time."""
    p.hub.hub_fault = once(Reply(500), Reply(429, {"Retry-After": "1"}), Reply(503, {"Retry-After": "0"}))
    start = time.monotonic()
    r = p.pull(REF, "--retries", "3")
    p.got(r)
    check(time.monotonic() - start > 1, "did not wait")
    for word in (b"(429)", b"(503)", b"(500)", b"trying again in 1 s", b"trying again in 0 s"):
        check(word in r.stderr, r.stderr)
    os.unlink(p.file)
    p.hub.hub_fault = lambda q, u: Reply(503, {"Retry-After": "0"})
    p.hub.clear()
    refused(p.pull(REF, "--retries", "3"), [1], "(503)", "Given up after 4 attempts")
    check(len(p.hub.hub.requests) == 4, f"{len(p.hub.hub.requests)} attempts")
    p.hub.hub_fault = lambda q, u: Reply(429, {"Retry-After": "3600"})
    start = time.monotonic()
    refused(p.pull(REF, "--retries", "3"), [1], "left alone for 3600 seconds")
    check(time.monotonic() - start < 5, "waited for an hour")
    # a store whose addresses have run out: the hub is asked for a new one
    p.hub.hub_fault = lambda q, u: None
    p.hub.store_fault = once(Reply(403, {}, b"<Error>Request has expired</Error>"))
    p.hub.clear()
    p.got(p.pull(REF, "--retries", "1"))
    check(len(p.hub.hub.requests) == 2, "the hub was not asked again")


@case
def offline(p):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))   # bound, but nobody listens
        port = s.getsockname()[1]
        r = p.pull(REF, "--retries", "9", env={"HF_ENDPOINT": f"http://127.0.0.1:{port}"})
    refused(r, [1], f"127.0.0.1:{port} cannot be reached", "offline", "HF_ENDPOINT", "https_proxy", str(p.file),
            f"http://127.0.0.1:{port}/maker/model/resolve/main/m.gguf")
    r = p.pull(REF, "--retries", "9", "--timeout", "5", env={"HF_ENDPOINT": "https://hub.invalid"})
    refused(r, [1], "hub.invalid cannot be found", "offline", str(p.file))
    r = p.pull(env={"no_proxy": "", "http_proxy": f"http://127.0.0.1:{port}"})
    refused(r, [1], "cannot be reached")
    p.has()
    for bad in ("hub.example", "ftp://hub.example", "https://a b", "https://hub.example?x",
                "https://user:secret@hub.example", "https://" + "x" * 600, "file:///tmp"):
        r = p.pull(env={"HF_ENDPOINT": bad})
        refused(r, [2], "HF_ENDPOINT")
        check(b"secret" not in r.stderr, "a password was printed")


@case
def proxy(p):
    """Plain requests go to the proxy of the environment, whole addresses in them."""
    through = Server(lambda q: Reply(404))
    r = p.pull(env={"no_proxy": "", "http_proxy": through.url, "HF_ENDPOINT": "http://hub.invalid"})
    refused(r, [1], "hub.invalid has no hf:maker/model/m.gguf")
    asked = through.requests[0].target
    check(asked == "http://hub.invalid/maker/model/resolve/main/m.gguf", asked)
    through.close()


@case
def proxy_refuses(p):
    """A proxy that gives no tunnel: said at once, and the token is not for it."""
    through = Server(lambda q: Reply(407, {"Proxy-Authenticate": "Basic"}))
    r = p.pull(REF, "--retries", "3", env={"no_proxy": "", "https_proxy": through.url, "HF_TOKEN": TOKEN,
                                           "HF_ENDPOINT": "https://hub.invalid"})
    refused(r, [1], "hub.invalid cannot be reached (the proxy answers 407)", "https_proxy")
    (asked,) = through.requests
    check(asked.method == "CONNECT" and "authorization" not in asked.headers, "what the proxy got")
    through.close()


@case
def tls(p):
    """A hub whose certificate is not trusted gets no token; with SSL_CERT_FILE it does; no way leads from https to
    http."""
    p.root.mkdir()
    cert, context = certificate(p.root)
    safe = Server(lambda q: p.hub.usual_hub(q), tls=context)
    store = Server(lambda q: p.hub.usual_store(q), tls=context)
    env = {"HF_ENDPOINT": safe.url, "HF_TOKEN": TOKEN}
    refused(p.pull(REF, "--retries", "3", env=env), [1], f"127.0.0.1:{safe.port} is not trusted", "SSL_CERT_FILE")
    check(not safe.requests, "a request was sent")
    refused(p.pull(env=env | {"SSL_CERT_FILE": cert}), [1], "redirects to", "not encrypted", "not followed")
    check(safe.requests[0].headers["authorization"] == f"Bearer {TOKEN}", "no token")
    check(not p.hub.store.requests, "the way was followed")
    p.has()
    p.hub.announce = {"Location": store.url + "/blob/maker/model/m.gguf"}
    p.got(p.pull(env=env | {"SSL_CERT_FILE": cert}))
    check("authorization" not in store.requests[0].headers, "the store got the token")
    # a server that speaks no TLS
    r = p.pull("hf:maker/model/n.gguf", "--timeout", "1", env={"HF_ENDPOINT": p.hub.hub.url.replace("http:", "https:")})
    refused(r, [1], f"127.0.0.1:{p.hub.hub.port} cannot be reached")
    safe.close()
    store.close()


@case
def stalls(p):
    """Nothing for a second: before the head, in the head, in the body, at the hub and at the store."""
    for where, at in (("hub_fault", -10), ("store_fault", -100000), ("store_fault", -5), ("store_fault", 800)):
        hold = threading.Event()
        setattr(p.hub, where, once(cut(max(at, -10 ** 5) if at > -1000 else -10 ** 5, hold=hold)))
        start = time.monotonic()
        r = p.pull(REF, "--timeout", "1")
        took = time.monotonic() - start
        hold.set()
        refused(r, [1], "sent nothing for 1 seconds")
        check(0.9 < took < 10, f"{took:.1f} s")
        if at > 0:
            p.keeps(at)
    p.got(p.pull())


@case
def garbage(p):
    """What is not HTTP, or too much of it: refused at once, nothing kept."""
    many = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(5000)) + b"\r\n"
    for raw in (b"\x16\x03\x01" + bytes(range(256)) * 4, b"hello", b"SSH-2.0-OpenSSH_9.2\r\n",
                b"HTTP/1.1 999 X\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n", many,
                b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 3000000,
                b"HTTP/1.1 200 OK\r\n" + (b"X: " + b"y" * 1000 + b"\r\n") * 100 + b"\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\nabc",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc"):
        for where in ("hub_fault", "store_fault"):
            p.hub.hub_fault = p.hub.store_fault = lambda q, u: None
            setattr(p.hub, where, lambda q, u: Reply(raw=raw))
            port = p.hub.hub.port if where == "hub_fault" else p.hub.store.port
            refused(p.pull(), [1], f"127.0.0.1:{port}")
            p.has()
    p.hub.hub_fault = p.hub.store_fault = lambda q, u: None
    p.got(p.pull())


# ---- disks --------------------------------------------------------------------------------------------


@case
def no_room(p):
    """Known beforehand: nothing is begun."""
    p.hub.announce = {"X-Linked-Size": 10 ** 18}
    p.hub.store_fault = once(lambda q, u: Reply(200, {}, DATA, length=10 ** 18))
    refused(p.pull(), [1], "no room for " + REF, "XDG_CACHE_HOME")
    p.has()


@case
def disk_fills(p):
    """In the middle (here: a limit of the size of files): what fits is kept, and gone on with later."""
    data = b"GGUF" + os.urandom(300000)
    p.hub.files["maker/model/m.gguf"] = data
    r = p.pull(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000)))
    refused(r, [1], "cannot write", "m.gguf.part", "100.0 kB that came in are kept")
    p.has("m.gguf.part", "m.gguf.part.source")
    check(p.part.read_bytes() == data[:100000], "what is kept")
    p.got(p.pull(), data)
    check(p.hub.store.requests[-1].headers["range"] == "bytes=100000-", "not gone on with")


@case
def small_disk(p):
    """A real one, where this machine lets us make one: full beforehand, and full in the middle."""
    p.models.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(p.models)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        return
    try:
        size = os.statvfs(p.models)
        check(size.f_blocks * size.f_frsize == 262144, f"the small disk has {size}")
        data = b"GGUF" + os.urandom(600000)
        p.hub.files["maker/model/m.gguf"] = data
        refused(p.pull(), [1], "no room for " + REF, "600.0 kB are still to come")
        p.has()
        p.hub.announce = {"X-Linked-Size": None}
        p.hub.store_fault = lambda q, u: Reply(200, {"ETag": '"e"'}, data, chunked=True)
        refused(p.pull(), [1], "cannot write", "No space left", "are kept")
        p.has("m.gguf.part", "m.gguf.part.source")
        check(0 < p.part.stat().st_size < 262144 and data.startswith(p.part.read_bytes()), "what is kept")
    finally:
        subprocess.run(["umount", str(p.models)], check=True)


@case
def no_folder(p):
    p.models.parent.mkdir(parents=True)
    p.models.write_text("")
    refused(p.pull(), [1], str(p.models))
    p.models.unlink()
    p.file.mkdir(parents=True)
    refused(p.pull(), [1], "cannot move", str(p.file))


# ---- names --------------------------------------------------------------------------------------------


@case
def bad_names(p):
    for ref in ("hf:", "hf:maker", "hf:maker/", "hf:/model/x", "hf:maker//x", "hf:maker/model/", "hf:maker/model/../x",
                "hf:../../x", "hf:maker/..", "hf:maker/model/a//b", "hf:maker/model//etc/passwd", "hf:.maker/model/x",
                "hf:maker/model/.hidden", "hf:maker/model/x@", "hf:maker/model/x@../y", "hf:maker/model/x@a b",
                "hf:maker/model/x\ny", "hf:maker/model/x\\y", b"hf:maker/model/\xff", "hf:ma ker/model/x",
                "hf:maker/model/" + "x" * 300, "hf:" + "m" * 200 + "/model/x", "hf:maker/model/x@" + "r" * 200):
        refused(p.pull(ref), [2])
    check(not p.hub.hub.requests, "somebody was asked")
    refused(p.pull("qwen3-0.7b"), [2], "did you mean 'qwen3-0.6b'")


# ---- checkpoints --------------------------------------------------------------------------------------


def repository(p, files):
    p.hub.files = {f"maker/model/{k}": v for k, v in files.items()}
    return p.models / "maker/model"


@case
def checkpoints(p):
    for shards in (1, 3):
        files = checkpoint(shards)
        folder = repository(p, files)
        p.hub.clear()
        r = p.pull("hf:maker/model", "--json")
        check(r.returncode == 0, r.stderr)
        check(json.loads(r.stdout) == {"name": "hf:maker/model", "path": str(folder), "sha256": None,
                                       "fetched": True}, r.stdout)
        check(b"idem convert" in r.stderr, r.stderr)
        wanted = {k: v for k, v in files.items() if k.endswith((".json", ".safetensors"))}
        have = {q.name: q.read_bytes() for q in folder.glob("[!.]*") if q.suffix != ".source"}
        check(have == wanted, f"{sorted(have)}, expected {sorted(wanted)}")
        # all from the commit that the first one was from; the index before the weights
        asked = [q.target.split("/resolve/")[1] for q in p.hub.hub.requests]
        check(asked[0] == "main/config.json", f"asked first for {asked[0]}")
        check(all(a.startswith(COMMIT + "/") for a in asked[1:]), f"asked for {asked}")
        names = [a.split("/")[1] for a in asked]
        weights = [n for n in names if n.startswith("model")]
        check(weights[0] == "model.safetensors.index.json" and len(weights) == shards + 1, weights)
        check(len(names) == len(set(names)), "asked twice")
        r = p.pull("hf:maker/model", "--json", env={"HF_ENDPOINT": "http://127.0.0.1:1"})
        check(json.loads(r.stdout)["fetched"] is False, r.stdout)
        shutil.rmtree(folder)


@case
def checkpoint_cut(p):
    """Cut in the second shard; the branch has moved since: gone on with from the same commit."""
    folder = repository(p, checkpoint(2))
    p.hub.store_fault = once(None, cut(1234))
    refused(p.pull("hf:maker/model"), [1], "too early")
    check(not (folder / ".idem-complete").exists(), "complete?")
    check((folder / "model-00002-of-00002.safetensors.part").stat().st_size == 1234, "the part")
    p.hub.clear()
    p.hub.announce = {"X-Repo-Commit": "f" * 40}
    r = p.pull("hf:maker/model")
    check(r.returncode == 0 and r.stdout == f"{folder}\n".encode(), r.stderr)
    check(all(COMMIT in q.target for q in p.hub.hub.requests), "another commit")
    check([q.headers.get("range") for q in p.hub.store.requests] == ["bytes=1234-"], "not gone on with")
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"damaged")
    p.hub.clear()
    check(p.pull("hf:maker/model").returncode == 0, "again")
    check(len(p.hub.store.requests) == 1, "fetched more than the damaged file")
    check((folder / "model-00001-of-00002.safetensors").read_bytes() == b"A" * 2000, "still damaged")


@case
def checkpoint_bad(p):
    good = checkpoint(2)
    many = {"weight_map": {str(i): f"m{i}.safetensors" for i in range(501)}}
    for index in (b"", b"{", b"[]", b'{"weight_map": 3}', b'{"weight_map": {}}', b'{"weight_map": {"a": 3}}',
                  b'{"weight_map": {"a": "../x.safetensors"}}', b'{"weight_map": {"a": "/etc/x.safetensors"}}',
                  b'{"weight_map": {"a": "x.bin"}}', b'{"weight_map": {"a": ".safetensors"}}',
                  b'{"weight_map": {"a": "a\\u0000b.safetensors"}}', b'{"weight_map": {"a": ".x.safetensors"}}',
                  b'{"weight_map": {"a": "good.safetensors", "b": "a/b.safetensors"}}', b"[" * 100000,
                  json.dumps(many).encode()):
        folder = repository(p, good | {"model.safetensors.index.json": index, "good.safetensors": b"x"})
        p.hub.clear()
        refused(p.pull("hf:maker/model"), [1])
        check(not (folder / ".idem-complete").exists(), "complete?")
        check(not p.hub.store.requests, "weights were fetched by an index that is not right")
        shutil.rmtree(folder)
    files = {k: v for k, v in checkpoint(1).items() if k != "model.safetensors"}
    folder = repository(p, files)
    refused(p.pull("hf:maker/model"), [1], "no safetensors", "pytorch_model.bin", "refs/pr/N")
    repository(p, {"README.md": b"x"})
    shutil.rmtree(folder)
    refused(p.pull("hf:maker/model"), [1], "config.json")


@case
def checkpoint_of_the_catalogue(p):
    """gpt2: fetched, then to convert; its name works once the GGUF file is there."""
    p.hub.files = {f"openai-community/gpt2/{k}": v for k, v in checkpoint(1).items()}
    refused(p.idem.run("tokenize", "gpt2", "x", env=p.env), [1], "idem pull gpt2")
    r = p.pull("gpt2")
    gguf = p.models / "gpt2.gguf"
    check(r.returncode == 0 and f"-o '{gguf}'".encode() in r.stderr, r.stderr)
    check(b"to convert" in p.idem.ok("models", env=p.env), "the table")
    check(str(gguf).encode() in p.idem.ok("models", "gpt2", env=p.env), "the details")
    refused(p.idem.run("tokenize", "gpt2", "x", env=p.env), [1], "idem convert", str(gguf))
    refused(p.idem.run("tokenize", "hf:openai-community/gpt2", "x", env=p.env), [2], "idem convert")
    shutil.copy(TINY, gguf)
    check(p.idem.ok("tokenize", "gpt2", "the cat", env=p.env) == p.idem.ok("tokenize", TINY, "the cat"), "its name")


CASES = [("hub: " + f.__name__.replace("_", " "), f) for f in (
    fetches, runs_what_it_fetched, revisions, small_files, damaged_here, by_hand, cut_at_any_byte, cut_redirect,
    cut_again_and_again, no_ranges, killed, interrupted, two_at_once, part_of_another, damaged_part,
    changed_between, wrong_range, lies_about_length, sends_more, says_no_length, nothing_to_check_by, wrong_digest,
    pinned_digest, token_stays, other_name_of_the_hub, redirects, refusals, comes_back, offline, proxy,
    proxy_refuses, tls, stalls, garbage, no_room, disk_fills, small_disk, no_folder, bad_names, checkpoints,
    checkpoint_cut, checkpoint_bad, checkpoint_of_the_catalogue)]
