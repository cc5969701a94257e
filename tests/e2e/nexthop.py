"""nexthop: a mail server that takes what segel-split hands on, or does not, as a test wants it.

    /usr/bin/python3 nexthop.py PORT FOLDER

What it took lies in FOLDER, on disk before it says 250, so that it may be killed at any time: NNN.json, with envelope and
message. FOLDER/mode holds how the next transaction goes:

    good       250
    450, 550   that reply to the message; rcpt550: to the recipient
    many       a reply of several lines, 554
    hang       no reply, ever
    slow       250 after two seconds
    lost       takes it, and closes the connection without a word
    cut        closes the connection in the middle of the message
    421        greets with that
    bare       offers nothing in EHLO
    garbage    answers with what is no reply
    double     two replies at once
"""

import glob
import json
import os
import socketserver
import sys
import tempfile
import threading
import time

KEYWORDS = ["SIZE 100000000", "8BITMIME", "SMTPUTF8", "DSN", "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"]
REPLIES = {"450": b"450 4.2.0 Mailbox busy\r\n", "550": b"550 5.7.1 Not wanted here\r\n", "garbage": b"so be it\r\n",
           "double": b"250 2.0.0 Good\r\n250 2.0.0 Good\r\n", "many": b"554-5.7.1 Not wanted\r\n554-5.7.1 here\r\n554 5.7.1 at all\r\n"}


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.mode = self.server.mode()
        self.envelope = {"mail": "", "rcpt": [], "xforward": ""}
        if self.mode == "421":
            return self.say("421 4.3.2 Not now")
        self.say("220 next.example ESMTP")
        try:
            while self.one(self.rfile.readline()):
                pass
        except OSError:
            pass

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def one(self, line):
        if not line:
            return False
        text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
        verb = text.split(" ")[0].upper()
        if verb == "EHLO":
            keywords = [] if self.mode == "bare" else KEYWORDS
            for word in ["next.example", *keywords][:-1]:
                self.say("250-" + word)
            self.say("250 " + (["next.example", *keywords][-1]))
        elif verb == "QUIT":
            self.say("221 2.0.0 Bye")
            return False
        elif verb == "DATA":
            self.say("354 Go on")
            return self.data()
        else:
            self.envelope_line(verb, text)
        return True

    def envelope_line(self, verb, text):
        if verb == "RCPT" and self.mode == "rcpt550":
            return self.say("550 5.1.1 Nobody here")
        if verb == "RCPT":
            self.envelope["rcpt"].append(text)
        elif verb in ("MAIL", "XFORWARD"):
            self.envelope[verb.lower()] = text
        self.say("250 2.1.0 Good")

    def data(self):
        lines = []
        while True:
            line = self.rfile.readline()
            if not line or (self.mode == "cut" and len(lines) > 3):
                return False
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        return self.end(b"".join(lines))

    def end(self, message):
        if self.mode == "hang":
            self.server.leaving.wait()
            return False
        if self.mode in REPLIES:
            self.wfile.write(REPLIES[self.mode])
            return True
        if self.mode == "slow":
            time.sleep(2)
        self.server.keep(self.envelope, message)
        if self.mode == "lost":
            return False
        self.say("250 2.0.0 Taken")
        return True


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100

    def __init__(self, port, folder):
        self.folder = folder
        self.leaving = threading.Event()
        super().__init__(("127.0.0.1", port), Handler)

    def mode(self):
        try:
            with open(os.path.join(self.folder, "mode"), encoding="ascii") as text:
                return text.read().strip()
        except FileNotFoundError:
            return "good"

    def keep(self, envelope, message):
        descriptor, name = tempfile.mkstemp(dir=self.folder, suffix=".part")
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            json.dump({**envelope, "message": message.decode("latin-1"), "at": time.time()}, out)
            out.flush()
            os.fsync(out.fileno())
        os.rename(name, name.replace(".part", ".json"))


def taken(folder):
    """What it took so far, oldest first: dictionaries with mail, rcpt, xforward, message (bytes)."""
    letters = []
    for path in glob.glob(os.path.join(folder, "*.json")):
        with open(path, encoding="ascii") as text:
            letter = json.load(text)
        letters.append({**letter, "message": letter["message"].encode("latin-1")})
    return sorted(letters, key=lambda letter: letter["at"])


if __name__ == "__main__":
    with Server(int(sys.argv[1]), sys.argv[2]) as server:
        server.serve_forever()
