#!/usr/bin/python3
"""No core files: every daemon, ended by a signal that makes others leave one, while mail that it has just seen may still be in its memory.

The limit on core files is lifted before the daemons start, they stand in a folder that everybody may write, and the sanitizer does not
forbid core files itself: so only what the programs do on their own is seen. A program that does nothing of it is the control."""

import glob
import os
import re
import resource
import signal
import subprocess
import sys

import deadline
import splitter
import suite
from place import MILTER_UID
from splitter import Splitter
from suite import check, equal

CANARY = "Kenari-4711-di-dalam-surat"


class Doomed(Splitter):
    def __init__(self, place):
        super().__init__(place, roles=("submission", "inbound", "local"), tlspol=True, quarantine=True)

    def start(self):
        self.room = self.path("room")
        os.mkdir(self.room)
        os.chmod(self.room, 0o777)
        os.chdir(self.room)
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":disable_coredump=0"
        return super().start()

    def cores(self):
        return glob.glob(os.path.join(self.room, "*core*"))


def make_world(place):
    return Doomed(place).make().start()


def end(process, number):
    """Ends it by this signal; the status as waitpid gives it."""
    ended = []

    def has_ended():
        pid, status = os.waitpid(process.pid, os.WNOHANG)
        ended.extend([status] if pid else [])
        return bool(ended)
    os.kill(process.pid, number)
    deadline.until("the process to end", has_ended, 30)
    process.returncode = ended[0]  # nobody waits for it again
    return ended[0]


def kill_and_look(world, daemon):
    """What is wrong with its end, or None."""
    process, daemon.process = daemon.process, None
    with open(f"/proc/{process.pid}/limits", encoding="ascii") as limits:
        limit = re.search(r"Max core file size +(\S+) +(\S+)", limits.read()).groups()
    owner = os.stat(f"/proc/{process.pid}/environ").st_uid  # root where a process is not to be traced or dumped
    status = end(process, signal.SIGABRT)
    daemon.end_group(process.pid)
    if os.WCOREDUMP(status) or world.cores():
        return f"{daemon.name} left a core file ({world.cores()})"
    if limit != ("0", "0") or owner != 0:
        return f"{daemon.name}: core files up to {limit}, its memory owned by user {owner}; wanted 0, and root"
    return None


@suite.test("control: a program that does nothing about it leaves a core file here")
def _(world):
    control = subprocess.Popen(["setpriv", f"--reuid={MILTER_UID}", f"--regid={MILTER_UID}", "--clear-groups", "--", "sleep", "1000"])
    deadline.until("sleep to run", lambda: os.readlink(f"/proc/{control.pid}/exe").endswith("/sleep"))
    status = end(control, signal.SIGABRT)
    check(os.WCOREDUMP(status), f"no core file of a program that does nothing about it (status {status}): this test cannot see any here")
    for core in world.cores():
        os.unlink(core)


@suite.test("segel-milter in each role, segel-keyd, segel-split, segel-reviewd and segel-tlspol leave none")
def _(world):
    world.to_next()
    world.submit("inti", ["inti@penerima.example"], body=CANARY + "\r\n")
    check(CANARY.encode() in world.wait_taken("inti")[0]["message"], "the canary did not come through")
    daemons = world.daemons()
    equal(sorted({daemon.name for daemon in daemons}), ["segel-keyd", "segel-milter", "segel-reviewd", "segel-split", "segel-tlspol"], "daemons")
    equal(len(daemons), 7, "processes")
    wrong = [kill_and_look(world, daemon) for daemon in daemons]
    check(not any(wrong), "\n".join(filter(None, wrong)))


@suite.test("nothing of the mail is in logs, records, state, registry and quarantine")
def _(world):
    folders = [folder for pattern in ("log", "audit-*", "state-*", "registry", "quarantine*", "room") for folder in glob.glob(world.path(pattern))]
    files = [os.path.join(folder, name) for parent in folders for folder, _, names in os.walk(parent) for name in names]
    check(len(folders) >= 8 and len(files) >= 10, f"{folders}: {files}")
    for file in files:
        with open(file, "rb") as text:
            check(CANARY.encode() not in text.read(), f"{file} holds what the mail said")


@suite.test("the units forbid core files, too")
def _(world):
    units = glob.glob(os.path.join(os.path.dirname(os.path.abspath(splitter.__file__)), "../../contrib/systemd/*.service.in"))
    check(len(units) >= 8, units)
    for unit in units:
        with open(unit, encoding="utf-8") as text:
            check("\nLimitCORE=0\n" in text.read(), f"{unit}: no LimitCORE=0")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
