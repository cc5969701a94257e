"""webserver: an HTTP server whose every path behaves, or misbehaves, as a test says.

    server = WebServer("127.0.0.1", 8080)
    server.paths["/root.crl"] = gives(data)
    server.asked        what was asked, as (method, path, headers, body)

A behaviour takes a Request; it answers by itself, whole or not, right or not.
"""

import gzip
import http.server
import ssl
import threading
import time


class Request:
    """One request, and the bare connection to answer it on."""

    def __init__(self, handler, body):
        self.method = handler.command
        self.path = handler.path
        self.headers = dict(handler.headers)
        self.body = body
        self.out = handler.wfile
        self.server = handler.server.owner

    def write(self, data):
        self.out.write(data)
        self.out.flush()

    def head(self, status, *lines):
        self.write(f"HTTP/1.1 {status} Text\r\n".encode() + b"".join(line.encode() + b"\r\n" for line in lines) + b"\r\n")

    def answer(self, data, status=200, kind="application/octet-stream", *lines):
        self.head(status, f"Content-Type: {kind}", f"Content-Length: {len(data)}", "Connection: close", *lines)
        self.write(data)


class Handler(http.server.BaseHTTPRequestHandler):
    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self, body)
        owner = self.server.owner
        owner.asked.append((request.method, request.path, request.headers, body))
        behaviour = owner.behaviour(request.path)
        self.close_connection = True
        try:
            behaviour(request)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass  # the other side has had enough

    do_GET = do_POST = handle_any

    def log_message(self, *_):
        pass


class Threads(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass


class WebServer:
    def __init__(self, host, port, context=None):
        self.paths = {}
        self.asked = []
        self.ended = threading.Event()
        self.http = Threads((host, port), Handler)
        self.http.owner = self
        if context:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def behaviour(self, path):
        """The path itself, or the longest beginning of it that is a folder (OCSP by GET)."""
        folders = sorted((p for p in self.paths if p.endswith("/") and path.startswith(p)), key=len)
        return self.paths.get(path) or (self.paths[folders[-1]] if folders else fails(404))

    def n_asked(self, path):
        return sum(1 for _, asked, _, _ in self.asked if asked == path or asked.startswith(path.rstrip("/") + "/"))

    def stop(self):
        self.ended.set()
        self.http.shutdown()
        self.http.server_close()


# --- behaviours ---

def gives(data, kind="application/pkix-crl"):
    return lambda request: request.answer(data, 200, kind)


def fails(status):
    return lambda request: request.answer(b"<html>No.</html>", status, "text/html")


def sends_to(url, status=302):
    return lambda request: request.answer(b"", status, "text/html", f"Location: {url}")


def chunked(data, whole=True):
    def behave(request):
        request.head(200, "Transfer-Encoding: chunked", "Connection: close")
        for at in range(0, len(data), 100):
            part = data[at:at + 100]
            request.write(b"%x\r\n" % len(part) + part + b"\r\n")
        if whole:
            request.write(b"0\r\n\r\n")
    return behave


def gzipped(data):
    return lambda request: request.answer(gzip.compress(data), 200, "application/pkix-crl", "Content-Encoding: gzip")


def says_more_than_it_gives(data):
    def behave(request):
        request.head(200, f"Content-Length: {len(data)}", "Connection: close")
        request.write(data[:-20])
    return behave


def ends_early(data):
    """Without a length: the end of the connection is the end of the data."""
    def behave(request):
        request.head(200, "Connection: close")
        request.write(data[:-20])
    return behave


def is_silent(request):
    request.server.ended.wait(60)


def drips(data):
    """One byte a second."""
    def behave(request):
        request.head(200, f"Content-Length: {len(data)}", "Connection: close")
        for byte in data:
            request.write(bytes([byte]))
            if request.server.ended.wait(1):
                return
    return behave


def promises(size):
    def behave(request):
        request.head(200, f"Content-Length: {size}", "Connection: close")
        pour(request, size)
    return behave


def pours(size):
    def behave(request):
        request.head(200, "Connection: close")
        pour(request, size)
    return behave


def pour(request, size):
    block = b"0" * 65536
    for _ in range(size // len(block)):
        if request.server.ended.is_set():
            return
        request.write(block)


def endless_head(request):
    request.write(b"HTTP/1.1 200 OK\r\n")
    began = time.monotonic()
    while time.monotonic() - began < 30 and not request.server.ended.is_set():
        request.write(b"X-More: " + b"y" * 1000 + b"\r\n")


def garbage(request):
    request.write(b"\x00\xff\x00" * 400)
