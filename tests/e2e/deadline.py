"""wait: waiting with a deadline, for everything that happens in another process."""

import os
import socket
import time

STEP = 0.02


class Late(AssertionError):
    """What was waited for did not happen."""


def until(what, probe, seconds=45.0):
    """Returns the first true answer of probe(); Late says what never came."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Late(f"waited {seconds:g} s in vain for {what}")
        time.sleep(STEP)


def unix_socket_answers(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(2)
        try:
            sock.connect(path)
        except OSError:
            return False
    return True


def smtp_greets(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            return sock.recv(4) == b"220 "
    except OSError:
        return False


def living_in_group(group):
    """Process ids of a process group that still run; zombies do not."""
    return [pid for pid, state, pgrp in processes() if pgrp == group and state != "Z"]


def processes():
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it ended meanwhile
        yield int(name), fields[0], int(fields[2])
