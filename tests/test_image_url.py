"""Pictures over http, from a server on this machine: what arrives, what is refused, and no endless wait."""

import gzip
import http.server
import io
import socket
import threading
import time

import numpy as np
import pytest
from PIL import Image

from svd_lab import image_url
from svd_lab.images import open_image

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
Image.fromarray(PIXELS).save(_buffer := io.BytesIO(), "PNG")
PNG = _buffer.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def send(self, body=b"", status=200, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        self.server.seen.append((path, self.headers.get("User-Agent")))
        if path.startswith("/status/"):
            self.send(b"<html>sorry</html>", int(path[8:]))
        elif path == "/rocket.png":
            self.send(PNG)
        elif path == "/hop":
            self.send(status=302, Location="/rocket.png")
        elif path == "/loop":
            self.send(status=302, Location="/loop")
        elif path == "/to-file":
            self.send(status=302, Location="file:///etc/passwd")
        elif path == "/to-ftp":
            self.send(status=302, Location="ftp://127.0.0.1/a.png")
        elif path == "/page":
            self.send(b"<!doctype html><html></html>")
        elif path == "/empty":
            self.send()
        elif path == "/cut":
            self.send(PNG[:50], length=len(PNG))
        elif path == "/announced":
            self.send(PNG, length=10**12)
        elif path == "/gzip":
            self.send(gzip.compress(PNG), **{"Content-Encoding": "gzip"})
        elif path == "/gzip-bomb":
            self.send(gzip.compress(bytes(3_000_000)), **{"Content-Encoding": "gzip"})
        elif path == "/endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(bytes(65536))
        elif path == "/drip":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"x")
                time.sleep(0.02)
        elif path == "/silent":
            self.server.release.wait(20)
        elif path == "/stalls":
            self.send(PNG[:50], length=len(PNG))
            self.wfile.flush()
            self.server.release.wait(20)


@pytest.fixture(scope="module")
def server():
    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args):  # clients that hang up are what is tested
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        server.seen, server.release = [], threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.release.set()
        server.shutdown()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.parametrize("path", ["/rocket.png", "/rocket.png?token=1#part", "/hop", "/gzip"])
def test_a_url_gives_the_picture(server, path):
    assert np.array_equal(open_image(f"  {server.url}{path} "), PIXELS)
    small = open_image(server.url.replace("http", "HTTP") + path, (24, 16))
    assert np.array_equal(small, open_image(PNG, (24, 16)))
    assert server.seen[-1][1].startswith("svd-lab")


@pytest.mark.parametrize(
    ("path", "error", "word"),
    [
        ("/status/404", FileNotFoundError, "404"),
        ("/status/410", FileNotFoundError, "410"),
        ("/status/401", PermissionError, "not open to everyone"),
        ("/status/403", PermissionError, "not open to everyone"),
        ("/status/429", ConnectionError, "429"),
        ("/status/500", ConnectionError, "500"),
        ("/loop", ConnectionError, "redirects more than 5"),
        ("/to-file", ValueError, "not http or https"),
        ("/to-ftp", ValueError, "not http or https"),
        ("/page", ValueError, "web page"),
        ("/empty", ValueError, "empty"),
        ("/cut", ConnectionError, "broke off"),
        ("/announced", ValueError, "larger than"),
    ],
)
def test_a_failed_download_says_what_was_wrong(server, path, error, word):
    with pytest.raises(error, match=word) as refusal:
        open_image(server.url + path)
    assert f"{server.url}{path}" in str(refusal.value)
    assert sum(seen == "/loop" for seen, _ in server.seen) <= 6


@pytest.mark.parametrize("path", ["/endless", "/gzip-bomb"])
def test_a_download_stops_at_the_cap(server, monkeypatch, path):
    monkeypatch.setattr(image_url, "MAX_BYTES", 1_000_000)
    with pytest.raises(ValueError, match="larger than 1,000,000"):
        open_image(server.url + path)


@pytest.mark.parametrize(("path", "word"), [("/silent", "did not answer"), ("/stalls", "stopped sending")])
def test_a_silent_server_is_left_after_the_read_timeout(server, path, word):
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=word):
        open_image(server.url + path, timeout=(1, 0.3))
    assert time.monotonic() - start < 5


def test_a_dripping_server_is_left_at_the_deadline(server, monkeypatch):
    monkeypatch.setattr(image_url, "MAX_SECONDS", 0.5)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="sent only"):
        open_image(server.url + "/drip", timeout=(1, 1))
    assert time.monotonic() - start < 5


def test_no_network_no_host_and_no_tls_are_told(server, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionError, match="Could not reach"):
            open_image(f"http://127.0.0.1:{free.getsockname()[1]}/a.png")
    with pytest.raises(ConnectionError, match="No safe connection"):
        open_image(server.url.replace("http:", "https:") + "/rocket.png")

    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectionError, match="no such host"):
        open_image("http://no-such-host.invalid/a.png")


@pytest.mark.parametrize("address", ["http://", "http://[::1/a.png", "https:///a.png", "http://a b/"])
def test_addresses_without_a_host_are_refused(address):
    with pytest.raises((ValueError, ConnectionError), match="usable address|reach"):
        open_image(address)


def test_passwords_and_queries_stay_out_of_messages(server):
    with pytest.raises(FileNotFoundError) as error:
        open_image(server.url.replace("//", "//me:geheim@") + "/status/404?signature=geheim#geheim")
    with pytest.raises(ValueError, match="web page") as page:
        open_image(server.url.replace("//", "//me:geheim@") + "/page?signature=geheim")
    assert "geheim" not in str(error.value) + str(page.value)
