#!/usr/bin/python3
"""review: asks segel-reviewd over its review socket, without segelctl: for tests that ask thousands of times.

    desk = Desk(world.review_socket, "rina")       a process of its own, under that person's user id
    answer = desk.ask(op="view", id=ID, reason="...")

Answer: ok, error (its word), text, fields (of the last frame), rows, data. None: the connection ended without an answer.
Run as a program it is that process: one JSON request a line on standard input, one answer a line on standard output.
"""

import base64
import json
import socket
import struct
import subprocess
import sys

from place import PEOPLE, REVIEW_GID

SECONDS = 60


class Answer:
    def __init__(self, fields, rows, data):
        self.fields = fields
        self.rows = rows
        self.data = data

    @property
    def ok(self):
        return self.fields.get("ok") is True

    @property
    def error(self):
        return self.fields.get("error", "")

    @property
    def text(self):
        return self.fields.get("text", "")

    def __str__(self):
        return json.dumps(self.fields)


def exactly(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionError("closed")
        data += more
    return data


def send_json(sock, fields):
    body = json.dumps(fields).encode()
    sock.sendall(struct.pack(">cI", b"J", len(body)) + body)


def receive(sock):
    """Everything up to the frame with "ok"."""
    rows, data = [], b""
    while True:
        kind, length = struct.unpack(">cI", exactly(sock, 5))
        body = exactly(sock, length)
        if kind == b"D":
            data += body
        elif kind == b"J":
            fields = json.loads(body)
            if "ok" in fields:
                return fields, rows, data
            rows.append(fields["row"])
        elif kind != b"E":
            raise ConnectionError(f"frame of kind {kind}")


def answer_one(path, sock, request):
    """The socket to go on with, and the answer; where the connection is gone, a new one the next time."""
    try:
        if sock is None:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(SECONDS)
            sock.connect(path)
        send_json(sock, request)
        fields, rows, data = receive(sock)
        return sock, {"fields": fields, "rows": rows, "data": base64.b64encode(data).decode()}
    except OSError as lost:
        if sock is not None:
            sock.close()
        return None, {"lost": str(lost)}


def serves(path):
    """Does segel-reviewd answer, whatever it says?"""
    sock, answer = answer_one(path, None, {"op": "ping"})
    if sock is not None:
        sock.close()
    return "lost" not in answer


def serve(path):
    sock = None
    for line in sys.stdin:
        sock, answer = answer_one(path, sock, json.loads(line))
        print(json.dumps(answer), flush=True)


class Desk:
    """One person's connection. ask() waits for the answer; begin() and end() are its halves, for two at the same time."""

    def __init__(self, path, login):
        uid = PEOPLE.get(login, login)
        self.login = login
        self.process = subprocess.Popen(["setpriv", f"--reuid={uid}", f"--regid={uid}", f"--groups={REVIEW_GID}", "--", sys.executable,
                                         "-c", program(), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")

    def begin(self, **request):
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def end(self):
        answer = json.loads(self.process.stdout.readline())
        if "lost" in answer:
            return None
        return Answer(answer["fields"], answer["rows"], base64.b64decode(answer["data"]))

    def ask(self, **request):
        self.begin(**request)
        return self.end()

    def ask_again(self, **request):
        """What may be asked twice: the daemon may have been started anew since the last time."""
        return self.ask(**request) or self.ask(**request)

    def list(self, **wanted):
        answer = self.ask_again(op="list", **wanted)
        if answer is None or not answer.ok:
            raise RuntimeError(f"list {wanted}: {answer}")
        return answer.rows

    def show(self, item):
        """The item and its history."""
        answer = self.ask_again(op="show", id=item)
        if answer is None or not answer.ok:
            raise RuntimeError(f"show {item}: {answer}")
        return answer.fields["item"], answer.rows

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def program():
    """This file as text: the person's user id may not be able to enter the checkout."""
    with open(__file__, encoding="utf-8") as source:
        text = source.read()
    return text.replace("from place import PEOPLE, REVIEW_GID\n", "")


if __name__ == "__main__":
    serve(sys.argv[1])
