#!/usr/bin/python3
"""faulty SOCKET LOG [PLAN]: a mail filter that fails on purpose, at one stage of one message.

It marks every message (a field, and a body of its own), so that one sees what it has judged. Which
fault a connection meets is in the client's address, 127.FAULT.STAGE.1 counted from 1; with PLAN, a
file of lines "fault stage", the n-th connection meets the n-th line and later ones meet none. Each
connection has a process of its own, which writes what it did to LOG.

    dead   the process kills itself        hung   it never answers        slow   it answers late

The stage "edits" is the end of the message, between two edits.
"""

import os
import signal
import socket
import struct
import sys
import time

FAULTS = ("dead", "hung", "slow")
STAGES = ("connect", "helo", "mail", "rcpt", "data", "header", "eoh", "body", "eom", "edits")
COMMANDS = dict(zip(b"CHMRTLNBE", STAGES))
SLOW = 0.4   # seconds; well below the timeouts of the test's mail servers
HUNG = 120   # seconds; far above

MARK = ("X-Penyaring", "sudah dinilai")
BODY = b"Isi dari penyaring.\r\n"
CAN_ADD_FIELDS, CAN_CHANGE_BODY = 0x01, 0x02


def address_of(fault, stage):
    """The client's address that asks for a fault."""
    return f"127.{FAULTS.index(fault) + 1}.{STAGES.index(stage) + 1}.1"


def fault_of(address):
    parts = [int(part) for part in address.split(".")] if address.count(".") == 3 else [0, 0]
    if parts[1] == 0:
        return None
    return FAULTS[parts[1] - 1], STAGES[parts[2] - 1]


class Gone(Exception):
    """The mail server closed the connection."""


class Connection:
    def __init__(self, sock, log, fault, planned):
        self.sock = sock
        self.log = log
        self.fault = fault
        self.planned = planned
        self.sender = "-"
        self.hit = False

    def serve(self):
        while True:
            command, data = self.receive()
            if command == ord("Q"):
                return
            self.answer(command, data)

    def receive(self):
        [length] = struct.unpack(">I", self.exactly(4))
        packet = self.exactly(length)
        return packet[0], packet[1:]

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise Gone
            data += more
        return data

    def send(self, command, data=b""):
        self.sock.sendall(struct.pack(">I", len(data) + 1) + command + data)

    def answer(self, command, data):
        if command == ord("O"):
            version = struct.unpack(">I", data[:4])[0]
            self.send(b"O", struct.pack(">III", min(version, 6), CAN_ADD_FIELDS | CAN_CHANGE_BODY, 0))
        elif command in COMMANDS:
            self.event(COMMANDS[command], data)

    def event(self, stage, data):
        if stage == "connect" and not self.planned:
            # host name, family, and for IPv4 a port of two bytes, then the address
            _name, _zero, rest = data.partition(b"\0")
            self.fault = fault_of(rest[3:].rstrip(b"\0").decode()) if rest[:1] == b"4" else None
        if stage == "mail":
            self.sender = data.partition(b"\0")[0].decode()
        self.meet(stage)
        if stage == "eom":
            self.send(b"h", "\0".join(MARK).encode() + b"\0")
            self.meet("edits")
            self.send(b"b", BODY)
            self.write("judged")
        self.send(b"c")

    def meet(self, stage):
        if self.hit or self.fault is None or self.fault[1] != stage:
            return
        self.hit = True
        self.write("met")
        if self.fault[0] == "dead":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(HUNG if self.fault[0] == "hung" else SLOW)

    def write(self, what):
        line = f"{what} {'-'.join(self.fault or ('no', 'fault'))} {self.sender}\n"
        os.write(self.log, line.encode())


def plan_from(path):
    with open(path, encoding="ascii") as lines:
        return [tuple(line.split()) for line in lines]


def main(path, log_path, plan_path=None):
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    plan = plan_from(plan_path) if plan_path else None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chown(path, -1, os.stat(os.path.dirname(path)).st_gid)
    os.chmod(path, 0o660)
    listener.listen(128)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        sock, _peer = listener.accept()
        fault = plan.pop(0) if plan else None
        if os.fork() == 0:
            listener.close()
            try:
                Connection(sock, log, fault, plan is not None).serve()
            except (Gone, ConnectionError):
                pass
            os._exit(0)
        sock.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
