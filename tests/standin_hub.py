"""A stand-in for the Hub on loopback, with all kinds of faults; `hub_clients` downloads from it.

It implements what huggingface_hub 2.4 requests: the model's info and tree (/api/models/…), HEAD and GET of files (/…/resolve/…),
with ETag and X-Repo-Commit, and for weights a redirect to another host (the Hub's CDN) with X-Linked-ETag and X-Linked-Size, where
Range is honoured. It sends no Xet headers, so plain HTTP is used.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

TOKEN = "hf_StandInSecretThatNobodyMayRead"
SIGNATURE = "SignedForAnHourThatNobodyMayRead"
COMMIT = "c0ffee" + "0" * 34
PAGE = b"<!DOCTYPE html><html><body>Welcome to the campus network. Please log in.</body></html>"


class StandinHub(http.server.ThreadingHTTPServer):
    """The server.

    Attributes:
        repos: The folders that it serves, by id.
        moved: New ids by old ones.
        fault: What goes wrong, see Handler; "" for nothing.
        seen: (host, method, path, Range or None, whether it had a token) of every request.
    """

    daemon_threads = True

    def __init__(self, repos: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos, self.moved, self.seen = repos, {"me/old": "me/tiny"}, []
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.set()

    def set(self, fault: str = "") -> None:
        """Set the fault from now on, and forget what was seen."""
        self.fault, self.cuts = fault, {}
        self.seen.clear()

    def weights_asked(self) -> list[tuple[str, str | None]]:
        """Return (path, Range) of each GET of weights, in order."""
        return [(path, span) for _, method, path, span, _ in self.seen if method == "GET" and "/cdn/" in path]

    def handle_error(self, *_: Any) -> None:  # clients hang up in some tests
        pass

    def __enter__(self) -> StandinHub:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandinHub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith("http://"):  # the client takes this server for its proxy
            path = "/" + path.split("/", 3)[3]
        token = "Authorization" in self.headers
        self.server.seen.append((self.headers["Host"], self.command, path, self.headers["Range"], token))
        fault = self.server.fault
        if fault.startswith("page "):
            return self.send(int(fault.split()[1]), PAGE, {"Content-Type": "text/html"})
        if fault == "files page" and "/resolve/" in path:
            return self.send(200, PAGE, {"Content-Type": "text/html"})
        if fault == "wrong token" and token:
            return self.refuse(401, None, "Invalid credentials in Authorization header")
        if fault == "token too weak" and "/resolve/" in path:
            return self.refuse(403, None, "Please enable access to public gated repositories in your token's settings")
        if fault == "down":
            return self.send(503, b"")
        if fault == "silent":
            return self.server.released.wait(60)
        repo_id = "/".join(path.removeprefix("/api/models").removeprefix("/cdn").split("/")[1:3])
        if repo_id in self.server.moved:
            return self.send(307, b"", {"Location": path.replace(repo_id, self.server.moved[repo_id], 1)})
        if repo_id not in self.server.repos:  # without a login, missing and private look alike
            return self.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        folder = self.server.repos[repo_id]
        if path.startswith("/api/models/"):
            return self.send_info(repo_id, folder, path)
        name = re.sub(f"^(/cdn)?/{repo_id}/(resolve/[^/]+/)?", "", path)
        if fault == "gated" and not path.startswith("/cdn/"):
            return self.refuse(403 if token else 401, "GatedRepo", f"Access to model {repo_id} is restricted")
        if not (folder / name).is_file():
            return self.refuse(404, "EntryNotFound", "Entry not found")
        return self.send_file(repo_id, folder / name, name, cdn=path.startswith("/cdn/"))

    do_HEAD = do_GET

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for header, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str | None, words: str) -> None:
        headers = {"X-Error-Message": words, "Content-Type": "application/json"} | (
            {"X-Error-Code": code} if code else {}
        )
        self.send(status, json.dumps({"error": words}).encode(), headers)

    def send_info(self, repo_id: str, folder: Path, path: str) -> None:
        rows = []
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            data, name = file.read_bytes(), file.relative_to(folder).as_posix()
            lfs = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            rows.append((name, len(data), git_sha(data), lfs if name.endswith((".safetensors", ".bin")) else None))
        if "/tree/" in path:
            answer: Any = [
                {"type": "file", "path": name, "size": size, "oid": oid}
                | ({"lfs": {"oid": lfs["sha256"], **lfs}} if lfs else {})
                for name, size, oid, lfs in rows
            ]
        else:
            siblings = [
                {"rfilename": name, "size": size, "blobId": oid} | ({"lfs": lfs} if lfs else {})
                for name, size, oid, lfs in rows
            ]
            answer = {"_id": "1", "id": repo_id, "sha": COMMIT, "private": False, "tags": [], "siblings": siblings}
        self.send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def send_file(self, repo_id: str, file: Path, name: str, cdn: bool) -> None:
        data = file.read_bytes()
        headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes", "ETag": f'"{git_sha(data)}"'}
        if not name.endswith((".safetensors", ".bin")):
            return self.send(200, data, headers)
        if not cdn:
            headers |= {"X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Linked-Size": str(len(data))}
            port = self.server.server_port  # another host than 127.0.0.1, so that no token may go there
            headers["Location"] = f"http://localhost:{port}/cdn/{repo_id}/{name}?X-Signature={SIGNATURE}"
            return self.send(302, b"", headers)
        self.send_weights(data, name)

    def send_weights(self, data: bytes, name: str) -> None:
        """Send weights, with the faults of a long download.

        closed, reset: the first two answers end halfway; always reset: all do. stalls: the first stops halfway, the others at
        once; stalls once: only the first does. slow: in pieces. cut off: half, as if that were all. corrupt: one wrong byte. web
        page: a page instead.
        """
        fault = self.server.fault
        if fault == "web page":
            return self.send(200, PAGE, {"Content-Type": "text/html"})
        if fault == "corrupt":
            data = data[:-1] + bytes([data[-1] ^ 1])
        if fault == "cut off":
            data = data[: len(data) // 2]
        start = int(re.match(r"bytes=(\d+)-", self.headers["Range"])[1]) if self.headers["Range"] else 0
        status = 206 if start else 200
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        body = data[start:]
        self.send(status, b"", headers | {"Content-Length": str(len(body))})
        with self.server.lock:
            cut = self.server.cuts[name] = self.server.cuts.get(name, 0) + 1
        half = body[: len(body) // 2]
        if fault == "slow":
            for piece in range(0, len(body), len(body) // 8 + 1):
                self.wfile.write(body[piece : piece + len(body) // 8 + 1])
                time.sleep(0.25)
        elif fault == "stalls" or (fault == "stalls once" and cut == 1):
            self.wfile.write(half if cut == 1 else b"")
            self.server.released.wait(60)
        elif (fault in ("closed", "reset") and cut <= 2) or fault == "always reset":
            self.wfile.write(half)
            time.sleep(0.1)  # a reset discards what has not been read
            if fault != "closed":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.rfile.close()  # otherwise it keeps the socket open
                self.connection.close()
            self.close_connection = True
        else:
            self.wfile.write(body)


def git_sha(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
