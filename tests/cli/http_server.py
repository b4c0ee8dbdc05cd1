# SPDX-License-Identifier: MIT
"""A server on loopback that answers as a test says, to the byte, and a hub made of two of them: one that
redirects, as the Hugging Face hub does, and one that holds the files."""
import hashlib
import json
import socket
import ssl
import struct
import subprocess
import threading
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Request:
    def __init__(self, text):
        lines = text.split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.path = self.target.split("?")[0]
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()


class Reply:
    """The bytes of an answer. length: "right", None (none is said) or any text; chunked: that encoding;
    cut: only so many bytes are sent (of head and body together); hold: an Event to wait for at the cut;
    reset: the connection ends with RST; raw: these bytes instead."""

    def __init__(self, status=200, headers=(), body=b"", length="right", chunked=False, cut=None, hold=None,
                 reset=False, raw=None):
        self.cut, self.hold, self.reset = cut, hold, reset
        head = [f"HTTP/1.1 {status} Because"] + [f"{k}: {v}" for k, v in dict(headers).items()]
        if chunked:
            head.append("Transfer-Encoding: chunked")
            body = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 1000]), body[i:i + 1000])
                            for i in range(0, len(body), 1000)) + b"0\r\n\r\n"
        elif length is not None:
            head.append(f"Content-Length: {len(body) if length == 'right' else length}")
        head.append("Connection: close")
        self.head = ("\r\n".join(head) + "\r\n\r\n").encode()
        self.data = raw if raw is not None else self.head + body


class Server:
    """answer(request) gives a Reply; every request is kept in requests."""

    def __init__(self, answer, tls=None):
        self.answer, self.requests, self.tls = answer, [], tls
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        with c:
            try:
                if self.tls:
                    c = self.tls.wrap_socket(c, server_side=True)
                text = b""
                while b"\r\n\r\n" not in text:
                    more = c.recv(65536)
                    if not more:
                        return
                    text += more
                request = Request(text.split(b"\r\n\r\n")[0].decode("latin-1"))
                self.requests.append(request)
                reply = self.answer(request)
                c.sendall(reply.data if reply.cut is None else reply.data[:reply.cut])
                if reply.hold:
                    reply.hold.wait(60)
                    if reply.cut is not None:
                        c.sendall(reply.data[reply.cut:])
                if reply.reset:
                    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    c.shutdown(socket.SHUT_WR)
                    c.settimeout(5)
                    while c.recv(65536):   # or the client may lose what it has not read yet
                        pass
            except OSError:
                pass

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)   # wakes accept, which could take the next server's descriptor
        except OSError:
            pass   # closed already
        self.thread.join()
        self.socket.close()


class Hub:
    """files: {"owner/repo/file": bytes}. On large ones it redirects to the store; small ones (.json, .txt) it
    gives itself, with git's digest. hub_fault, store_fault: functions of (request, usual reply) that
    return another Reply or None, asked for each request."""

    def __init__(self, files=None):
        self.files = files or {}
        self.hub_fault = self.store_fault = lambda request, usual: None
        self.ranges = self.if_range = True      # the store knows Range; the store knows If-Range
        self.announce = {}                      # headers of the hub instead of the right ones; None removes one
        self.hub, self.store = Server(self.answer_hub), Server(self.answer_store)
        self.env = {"HF_ENDPOINT": self.hub.url, "no_proxy": "*"}

    def close(self):
        self.hub.close()
        self.store.close()

    def clear(self):
        self.hub.requests.clear()
        self.store.requests.clear()

    def answer_hub(self, request):
        usual = self.usual_hub(request)
        return self.hub_fault(request, usual) or usual

    def usual_hub(self, request):
        parts = request.path.split("/", 5)
        name = "/".join(parts[1:3] + [urllib.parse.unquote(parts[5])]) if len(parts) == 6 else ""
        data = self.files.get(name)
        if data is None or parts[3] != "resolve":
            return Reply(404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}, b"no")
        headers = {"X-Repo-Commit": COMMIT}
        if name.endswith((".json", ".txt")):
            headers["ETag"] = '"%s"' % hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            body, status = data, 200
        else:
            headers |= {"X-Linked-ETag": '"%s"' % hashlib.sha256(data).hexdigest(), "X-Linked-Size": len(data),
                        "Location": f"{self.store.url}/blob/{name}?signature=x%2Fy"}
            body, status = b"Found. Redirecting", 302
        headers = {k: v for k, v in (headers | self.announce).items() if v is not None}
        return Reply(status, headers, body)

    def answer_store(self, request):
        usual = self.usual_store(request)
        return self.store_fault(request, usual) or usual

    def usual_store(self, request):
        data = self.files[urllib.parse.unquote(request.path.removeprefix("/blob/"))]
        etag = '"%s"' % hashlib.md5(data).hexdigest()
        return self.give(request, data, {"ETag": etag, "Accept-Ranges": "bytes"})

    def usual_hub_of(self, path):
        return self.usual_hub(Request(f"GET {path} HTTP/1.1"))

    def usual_store_of(self, name):
        return self.usual_store(Request(f"GET /blob/{name} HTTP/1.1"))

    def give(self, request, data, headers, **how):
        wanted = request.headers.get("range")
        held = request.headers.get("if-range")
        if not self.ranges or not wanted or (self.if_range and held and held != headers.get("ETag")):
            return Reply(200, headers, data, **how)
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(data):
            return Reply(416, {"Content-Range": f"bytes */{len(data)}"})
        return Reply(206, headers | {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, data[start:], **how)


def certificate(folder):
    """A certificate for 127.0.0.1 that nobody trusts, and a TLS context with it."""
    cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=idem test", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


def once(*replies):
    """A fault that answers so to the first requests and as usual afterwards. A reply may be a function of
    (request, usual reply)."""
    left = list(replies)

    def fault(request, usual):
        reply = left.pop(0) if left else None
        return reply(request, usual) if callable(reply) else reply
    return fault


def cut(at, **how):
    """The usual answer, ended after `at` bytes of its body (negative: so many before the end of its head)."""
    def fault(request, usual):
        usual.cut = len(usual.head) + at
        for name, value in how.items():
            setattr(usual, name, value)
        return usual
    return fault


def checkpoint(shards=2):
    """The files of a small repository, without its owner and name."""
    files = {"config.json": b'{"architectures": ["LlamaForCausalLM"]}\n', "tokenizer.json": b'{"version": "1.0"}\n',
             "README.md": b"not wanted", "pytorch_model.bin": b"not wanted either"}
    if shards == 1:
        files["model.safetensors"] = b"S" * 3000
        return files
    names = [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
    weights = {f"model.layers.{i}.weight": names[i % shards] for i in range(3 * shards)}
    files["model.safetensors.index.json"] = json.dumps({"metadata": {}, "weight_map": weights}).encode()
    for i, name in enumerate(names):
        files[name] = bytes([65 + i]) * (2000 + i)
    return files
