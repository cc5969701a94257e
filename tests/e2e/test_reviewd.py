#!/usr/bin/python3
"""segel-reviewd with its own sockets, database, key agent and registry; Postfix's smtp-sink receives what is released."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time

import deadline
import holder
import shim
import suite
from daemon import Daemon
from gateway import Gateway
from openssl_ca import OpensslCA
from place import HOLD_GID, INBOUND_UID, MAIL_UID, OTHER_UID, PEOPLE, REVIEW_GID, REVIEWD_UID
from suite import check, equal

SENDER = "kepala@mitra.example"
ONE = "tu@kota.example"
TWO = "arsip@kota.example"
REVIEWERS = {"rina": "analis", "joko": "analis", "wati": "manajer", "bagus": "helpdesk", "sari": "auditor", "umar": "administrator"}


class ReviewWorld(Gateway):
    def __init__(self, place):
        super().__init__(place, [], quarantine=True)
        self.sink = None
        self.dumps = self.path("sink")
        self.more["quarantine"] = 'release_timeout = "20s";'

    def make(self):
        super().make()
        os.makedirs(self.dumps)
        os.chown(self.dumps, MAIL_UID, MAIL_UID)
        self.make_trust()
        for login, role in REVIEWERS.items():
            self.appoint(login, role)
        self.must("reviewer", "add", "nina", "--person", "Orang Rina", "--role", "manajer", "--appointment", "SK-nina/2026")
        return self

    def make_trust(self):
        self.root = OpensslCA(self.path("ca"), "Root", None)
        self.issuing = OpensslCA(self.path("ca"), "Issuing", self.root)
        self.leaf = self.issuing.issue("kepala", [SENDER])
        self.other_leaf = self.issuing.issue("lain", [SENDER])
        for folder in ("trust/anchors/official", "trust/anchors/partner"):
            os.makedirs(self.path(folder), exist_ok=True)
        for authority in (self.root, self.issuing):
            shutil.copy(authority.cert, self.path("trust/anchors/official", authority.name + ".crt"))
            authority.crl(self.path("trust/crl", authority.name + ".crl"))
        self.must("domain", "add", "mitra.example", "--kind", "partner")
        self.must("address", "add", SENDER, "--unit", "UMUM")
        for leaf in (self.leaf, self.other_leaf):
            self.must("cert", "import", leaf.cert, "--kind", "jabatan")
            self.must("bind", "add", leaf.sha256, "--purpose", "verify", "--address", SENDER)

    def start(self):
        self.start_keyd()
        self.start_reviewd()
        self.start_sink()
        return self

    def start_sink(self, *options):
        port = self.mta.ports["release"]
        command = ["setpriv", f"--reuid={MAIL_UID}", f"--regid={MAIL_UID}", "--clear-groups", "--", "/usr/sbin/smtp-sink", *options,
                   "-d", self.dumps + "/m.", f"127.0.0.1:{port}", "100"]
        self.sink = Daemon("smtp-sink", command, self.path("log", "sink.log"))
        self.sink.start(lambda: deadline.smtp_greets(port))

    def ensure(self):
        if not self.reviewd.running():
            self.start_reviewd()
        if not self.sink.running():
            self.start_sink()

    def stop(self):
        if self.sink and self.sink.running():
            self.sink.kill()
            self.sink = None
        super().stop()

    def signed(self, body=b"Isi surat.\r\n", leaf=None, token="x"):
        leaf = leaf or self.leaf
        text = b"Content-Type: text/plain\r\n\r\n" + body
        made = subprocess.run(["openssl", "cms", "-sign", "-signer", leaf.cert, "-inkey", leaf.key, "-md", "sha256", "-certfile", self.issuing.cert],
                              input=text, capture_output=True, check=True, timeout=60).stdout
        head = f"From: {SENDER}\r\nTo: {ONE}\r\nSubject: Surat {token}\r\nDate: Mon, 02 Nov 2026 08:00:00 +0700\r\nMessage-ID: <{token}@mitra.example>\r\n"
        return head.encode() + re.sub(rb"\r?\n", b"\r\n", made)

    def plain(self, token, body="Isi surat.\r\n", extra=""):
        return (f"From: {SENDER}\r\nTo: {ONE}\r\nSubject: Surat {token}\r\nMessage-ID: <{token}@mitra.example>\r\n{extra}\r\n{body}").encode()

    def cert(self):
        return self.quarantine_key + ".crt"

    def give(self, message, findings=("CERT_UNTRUSTED",), recipients=(ONE,), uid=INBOUND_UID, sender=SENDER, **more):
        """The answer, and what was given."""
        fields = holder.item(message, sender, recipients, findings, **more)
        with holder.connect(self.hold_socket, uid, HOLD_GID) as sock:
            return holder.hold(sock, fields, holder.box(message, self.cert(), fields["id"])), fields

    def held(self, *args, **more):
        answer, _ = self.give(*args, **more)
        check(answer.get("ok") is True, answer)
        return answer["id"]

    def review(self, login):
        return holder.connect(self.review_socket, PEOPLE.get(login, login), REVIEW_GID, seconds=90)

    def ask(self, login, **request):
        with self.review(login) as sock:
            return holder.ask(sock, **request)

    def show(self, item, login="rina"):
        fields, rows, _ = self.ask(login, op="show", id=item)
        check(fields["ok"], fields)
        return fields["item"], rows

    def state(self, item):
        return self.show(item)[0]["state"]

    def arrived(self, token):
        """What the sink has of the message with this token: (its own lines, the message with LF line ends)."""
        found = []
        for name in sorted(os.listdir(self.dumps)):
            with open(os.path.join(self.dumps, name), "rb") as dump:
                content = dump.read()
            if f"<{token}@mitra.example>".encode() in content:
                found.append(content)
        return found

    def audit(self):
        with open(self.path("audit-reviewd", "segel-reviewd.audit"), encoding="utf-8") as lines:
            return lines.read()

    def audited(self, event, item):
        return [line for line in self.audit().splitlines() if f" {event} " in line and f"item={item}" in line]

    def bodies(self):
        return os.listdir(self.path("quarantine", "items"))

    def restart(self, how=signal.SIGTERM):
        if how == signal.SIGKILL:
            self.reviewd.kill()
        else:
            equal(self.reviewd.stop(), 0, "exit status")
        self.start_reviewd()


def test(name):
    """Each begins with all that runs, whatever the one before has stopped."""
    def keep(function):
        def run(world):
            world.ensure()
            function(world)
        return suite.test(name)(run)
    return keep


def make_world(place):
    world = ReviewWorld(place).make()
    try:
        return world.start()
    except Exception:
        world.stop()
        raise


# ---- its own check ----

def looked_over(world, **changed):
    """segel-reviewd -n with these texts of the settings exchanged: (exit status, what it says)."""
    with open(world.config, encoding="utf-8") as settings:
        text = settings.read()
    for old, new in changed.values():
        check(old in text, old)
        text = text.replace(old, new)
    path = world.path("dilihat.conf")
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(path, 0o644)
    command = [path if word == world.config else word for word in world.reviewd.command if word != "-f"]
    done = subprocess.run([*command, "-n"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@test("-n: what a start needs, without which it fails; what it does not need is a warning")
def _(world):
    good = (0, world.path("dilihat.conf") + ": good\n")
    equal(looked_over(world), good, "all is there")
    other = world.path("lain.crt")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-subj", "/CN=lain", "-keyout", os.devnull, "-out", other],
                   check=True, capture_output=True)
    os.chmod(other, 0o644)
    code, said = looked_over(world, cert=(world.cert(), other))
    check(code == 0 and "warning" in said and "holds no key for it" in said, said)
    code, said = looked_over(world, cert=(world.cert(), world.path("tidak-ada.crt")))
    check(code == 0 and "warning" in said and "cannot open quarantine.certificate" in said, said)
    world.keyd.stop()
    try:
        code, said = looked_over(world)
        check(code == 0 and "warning: keyd.socket" in said and good[1] in said, said)
        world.restart()  # as it says: it starts all the same
    finally:
        world.start_keyd()
    equal(looked_over(world), good, "all is there again")
    was = os.stat(world.path("quarantine")).st_mode & 0o7777
    for mode, word in ((0o770, "chmod 700"), (0o500, "Permission denied")):
        os.chmod(world.path("quarantine"), mode)
        code, said = looked_over(world)
        os.chmod(world.path("quarantine"), was)
        check(code == 1 and "quarantine.dir" in said and word in said and "good" not in said, said)
    for old, word in ((world.registry, "registry.file"), (world.path("audit-reviewd"), "quarantine.audit_dir")):
        code, said = looked_over(world, away=(old, old + ".tidak-ada"))
        check(code == 1 and word in said, said)
    equal(looked_over(world), good, "all is there once more")


# ---- hold ----

@test("a message is held: box, row, audit record; the box opens for the key alone")
def _(world):
    message = world.plain("hold1", "KENARI-71\r\n")
    item = world.held(message)
    equal(world.bodies().count(item), 1, "files")
    with open(world.path("quarantine", "items", item), "rb") as file:
        check(b"KENARI-71" not in file.read(), "the body is encrypted")
    equal(len(world.audited("hold", item)), 1, "audit records")
    shown, _ = world.show(item)
    equal((shown["state"], shown["from"], shown["findings"][0]["reason"]), ("baru", SENDER, "CERT_UNTRUSTED"), "the item")


@test("the same message twice is one item; another envelope is another")
def _(world):
    message = world.plain("same")
    first, second, other = world.held(message), world.held(message), world.held(message, recipients=(ONE, TWO))
    equal(first, second, "the second arrival's id")
    check(first != other, "another envelope is another item")
    equal(len(world.audited("hold", first)), 2, "both arrivals are on record")


@test("who is none of quarantine.holders gives nothing")
def _(world):
    message = world.plain("stranger")
    before = len(world.bodies())
    for uid in (OTHER_UID, PEOPLE["rina"], 0):
        try:
            answer, _ = world.give(message, uid=uid)
            equal((answer["ok"], answer["error"]), (False, "denied"), f"uid {uid}")
        except (ConnectionError, BrokenPipeError):
            pass  # closed while the body was on its way
    equal(len(world.bodies()), before, "bodies")


BAD_ITEMS = {
    "no id": {"id": ""},
    "an id that is a path": {"id": "../../../../tmp/0123456789abcdef"},
    "an action that does not hold": {"action": "accept"},
    "an unknown finding": {"reason": "NO_SUCH"},
    "no recipients": {"recipients": []},
    "a field of segel-reviewd's own": {"state": "dilepas"},
    "a hash that is none": {"sha256": "zz"},
    "a size below its body": {"size": 3},
    "a size beyond any message": {"size": 1 << 40},
    "a line end in its sender": {"sender": "a@b.example>\r\nRCPT TO:<x@y.example"},
}
for what, changed in BAD_ITEMS.items():
    @test(f"an item with {what} is refused")
    def _(world, changed=changed):
        message = world.plain("bad", "x" * 300000)
        try:
            answer, _ = world.give(message, **changed)
            equal(answer["ok"], False, "the answer")
        except (ConnectionError, BrokenPipeError):
            pass
        check(world.held(world.plain("good after " + str(time.time()))), "the next one is held")


@test("what is encrypted to a key that nobody has is not held, and deferred")
def _(world):
    message = world.plain("no-key")
    forgotten = world.path("lupa.crt")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-subj", "/CN=lupa", "-keyout", os.devnull, "-out", forgotten],
                   check=True, capture_output=True)
    fields = holder.item(message, SENDER, (ONE,), ("CERT_UNTRUSTED",))
    for what, body in (("another key's", holder.box(message, forgotten, fields["id"])), ("no box", message * 10)):
        with holder.connect(world.hold_socket, INBOUND_UID, HOLD_GID) as sock:
            answer = holder.hold(sock, fields, body)
        equal(answer["ok"], False, f"{what}: {answer}")
    check(world.held(message), "to the right one")
    world.keyd.stop()
    try:
        world.restart()
        check(world.held(world.plain("no-keyd")), "held while nobody can be asked")
    finally:
        world.start_keyd()


GARBAGE = (b"", b"GET / HTTP/1.0\r\n\r\n", b"\0" * 100, b"J\xff\xff\xff\xff", holder.frame(b"J", b"[]"), holder.frame(b"J", b"{"),
           holder.frame(b"J", b'{"op":"hold","op":"ping"}'), holder.frame(b"J", b"\xff\xfe"), holder.frame(b"D", b"x"),
           holder.frame(b"J", b'{"op":"' + b"x" * 100000 + b'"}'), struct.pack(">cI", b"J", 10) + b"{}", holder.frame(b"J", b"{" * 200000))


@test("garbage on both sockets harms nobody")
def _(world):
    for path, uid, gid in ((world.hold_socket, INBOUND_UID, HOLD_GID), (world.review_socket, PEOPLE["rina"], REVIEW_GID)):
        for garbage in GARBAGE:
            with holder.connect(path, uid, gid) as sock:
                try:
                    sock.sendall(garbage)
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(65536):
                        pass
                except OSError:
                    pass
    check(world.held(world.plain("after garbage")), "mail is held")
    check(world.reviewd.running(), "it runs")


@test("64 connections that say nothing keep nobody out for long")
def _(world):
    idle = [holder.connect(world.hold_socket, INBOUND_UID, HOLD_GID) for _ in range(70)]
    try:
        deadline.until("a place again", lambda: held_or_not(world, "after the idle ones"), seconds=60)
    finally:
        for sock in idle:
            sock.close()


def held_or_not(world, token):
    try:
        return world.give(world.plain(token))[0]["ok"]
    except (ConnectionError, BrokenPipeError, OSError):
        return False


@test("a peer that drips its frame byte by byte is cut off in time")
def _(world):
    began = time.monotonic()
    with holder.connect(world.hold_socket, INBOUND_UID, HOLD_GID) as sock:
        try:
            for byte in struct.pack(">cI", b"J", 1000) + b"{" * 900:
                sock.sendall(bytes([byte]))
                time.sleep(0.1)
                check(time.monotonic() - began < 20, "it is cut off")
        except OSError:
            pass
    check(time.monotonic() - began < 20, "it is cut off")


def fill(path):
    """Takes what is left of a file system."""
    try:
        with open(path, "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 512)
    except OSError:
        pass


@test("audit not writable: nothing is held, shown or released")
def _(world):
    item = world.held(world.plain("audit"))
    world.reviewd.stop()
    os.rename(world.path("audit-reviewd"), world.path("audit-kept"))
    subprocess.run(["mkdir", world.path("audit-reviewd")], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=64k,nr_inodes=100,mode=0750,uid={REVIEWD_UID},gid={REVIEWD_UID}", "none", world.path("audit-reviewd")], check=True)
    try:
        world.start_reviewd()
        check(world.ask("rina", op="ping")[0]["ok"], "it serves: its record of the start is written")
        fill(world.path("audit-reviewd", "fill"))
        answer, _ = world.give(world.plain("not on record"))
        while answer["ok"]:  # what fits into the file's last page
            answer, _ = world.give(world.plain("not on record" + str(time.time())))
        equal((answer["ok"], answer["error"]), (False, "unavailable"), "hold")
        fields, _, data = world.ask("rina", op="view", id=item, reason="uji")
        equal((fields["ok"], fields["error"], data), (False, "unavailable", b""), "view")
        fields, _, _ = world.ask("rina", op="release", id=item, reason="uji")
        equal((fields["ok"], fields["error"]), (False, "unavailable"), "release")
    finally:
        world.reviewd.stop()
        subprocess.run(["umount", world.path("audit-reviewd")], check=True)
        os.rmdir(world.path("audit-reviewd"))
        os.rename(world.path("audit-kept"), world.path("audit-reviewd"))
        world.start_reviewd()
    equal(world.arrived("audit"), [], "what was released")


@test("disk full: the filter is told so, and nothing stays behind")
def _(world):
    world.reviewd.stop()
    os.rename(world.path("quarantine"), world.path("quarantine-kept"))
    os.mkdir(world.path("quarantine"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=3m,nr_inodes=1000,mode=0750,uid={REVIEWD_UID},gid={REVIEWD_UID}", "none", world.path("quarantine")], check=True)
    try:
        world.start_reviewd()
        answer, _ = world.give(world.plain("full", "x" * 2500000))
        equal((answer["ok"], answer["error"]), (False, "full"), "the answer")
        equal(world.bodies(), [], "bodies")
        equal(os.listdir(world.path("quarantine", "incoming")), [], "bodies on their way")
    finally:
        world.reviewd.stop()
        subprocess.run(["umount", world.path("quarantine")], check=True)
        os.rmdir(world.path("quarantine"))
        os.rename(world.path("quarantine-kept"), world.path("quarantine"))
        world.start_reviewd()


@test("a database that somebody else has locked: deferred, and held when it is free again")
def _(world):
    locker = sqlite3.connect(world.path("quarantine", "quarantine.db"), timeout=1, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    try:
        answer, _ = world.give(world.plain("locked"))
    finally:
        locker.execute("ROLLBACK")
        locker.close()
    equal((answer["ok"], answer["error"]), (False, "unavailable"), "the answer")
    check(time.monotonic() - began < 28, "in time for the filter")
    check(world.held(world.plain("locked")), "held now")


# ---- who may what ----

@test("who is no reviewer is told nothing")
def _(world):
    item = world.held(world.plain("who"))
    for login in ("tamu", OTHER_UID, 0):
        for op in ("list", "stats", "ping"):
            fields, rows, _ = world.ask(login, op=op)
            equal((fields["ok"], fields["error"], rows), (False, "denied", []), f"{login} {op}")
        fields, _, _ = world.ask(login, op="show", id=item)
        equal(fields["error"], "denied", f"{login} show")


@test("roles: subjects, bodies and counts as the table has them")
def _(world):
    item = world.held(world.plain("roles"))
    for login, subject, view in (("rina", True, True), ("wati", True, True), ("bagus", False, False), ("sari", False, False)):
        _, rows, _ = world.ask(login, op="list", id=item)
        equal([("subject" in row) for row in rows], [subject], f"{login}: subject in the list")
        shown, _ = world.show(item, login)
        equal("subject" in shown, subject, f"{login}: subject shown")
        fields, _, data = world.ask(login, op="view", id=item, reason="uji")
        equal((fields["ok"], bool(data)), (view, view), f"{login}: view: {fields}")
    fields, _, _ = world.ask("bagus", op="list", subject="Surat")
    equal(fields["error"], "denied", "helpdesk searching by subject")
    equal(world.ask("umar", op="list")[0]["error"], "denied", "administrator's list")
    check(world.ask("umar", op="stats")[0]["ok"], "administrator's counts")
    world.must("reviewer", "end", "bagus")
    equal(world.ask("bagus", op="list")[0]["error"], "denied", "at once, when the appointment has ended")
    world.must("reviewer", "add", "bagus", "--person", "Orang Bagus", "--role", "helpdesk", "--appointment", "SK-bagus-2/2026")


@test("a reason is asked for, every look is on record before its bytes, and in the history")
def _(world):
    message = world.plain("look", "Isi <script>\u202e</script>\r\n")
    item = world.held(message)
    for op in ("view", "export", "release", "delete", "note"):
        equal(world.ask("wati" if op == "delete" else "rina", op=op, id=item)[0]["error"], "reason", op)
    fields, _, text = world.ask("rina", op="view", id=item, reason="laporan 7")
    check(fields["ok"] and "\\u{202E}" in text.decode(), text)
    check("\u202e".encode() not in text, "direction marks are shown, not obeyed")
    equal(len(world.audited("quarantine-view", item)), 1, "records of views")
    fields, _, data = world.ask("rina", op="export", id=item, reason="bukti")
    check(fields["ok"] and data == message, "exported byte for byte")
    _, rows = world.show(item)
    equal([(row["what"], row["login"], row["reason"]) for row in rows if row["what"] in ("view", "export")],
          [("view", "rina", "laporan 7"), ("export", "rina", "bukti")], "history")
    equal(world.state(item), "ditinjau", "state")


@test("a large message goes out as it came in")
def _(world):
    message = world.plain("large", "".join(f"{n:070d}\r\n" for n in range(200000)))
    item = world.held(message)
    _, _, data = world.ask("rina", op="export", id=item, reason="uji")
    check(data == message, f"{len(data)} of {len(message)} bytes")
    _, _, text = world.ask("rina", op="view", id=item, reason="uji")
    check(len(text) <= 256 * 1024 and text.endswith(b"bytes are shown]\n"), "cut, and says so")


@test("strange requests are refused by name")
def _(world):
    item = world.held(world.plain("strange"))
    for request in ({"op": "view"}, {"op": "view", "id": item, "reason": "a\nb"}, {"op": "view", "id": item, "reason": " "}, {"op": "nothing"}, {},
                    {"op": "list", "no_such": 1}, {"op": "list", "limit": 1001}, {"op": "list", "limit": -1}, {"op": "list", "state": "x"},
                    {"op": "view", "id": "x" * 32, "reason": "uji"}, {"op": "view", "id": item, "reason": "uji", "version": "1"},
                    {"op": "release", "id": item, "reason": "uji", "to": []}, {"op": "release", "id": item, "reason": "uji", "to": [1]},
                    {"op": "release", "id": item, "reason": "uji", "to": ["siapa@kota.example"]}, {"op": "extend", "id": item, "reason": "uji"}):
        fields, _, _ = world.ask("rina", **request)
        equal((fields["ok"], fields["error"]), (False, "usage"), str(request))
    equal(world.ask("rina", op="view", id="0" * 32, reason="uji")[0]["error"], "not-found", "an id that is none")
    equal(world.ask("rina", op="view", id=item, reason="uji", version=99)[0]["error"], "changed", "a stale version")


@test("legal hold, delete, extend, note, purge")
def _(world):
    item = world.held(world.plain("decide"))
    check(world.ask("bagus", op="note", id=item, reason="sudah telepon")[0]["ok"], "note")
    equal(world.ask("rina", op="hold", id=item, on=True, reason="uji")[0]["error"], "denied", "an analyst's legal hold")
    check(world.ask("wati", op="hold", id=item, on=True, reason="perkara 3")[0]["ok"], "legal hold")
    equal(world.ask("wati", op="delete", id=item, reason="uji")[0]["error"], "refused", "delete under legal hold")
    check(world.ask("wati", op="hold", id=item, on=False, reason="selesai")[0]["ok"], "legal hold ends")
    check(world.ask("rina", op="extend", id=item, keep=90 * 86400, reason="tunggu")[0]["ok"], "extend")
    equal(world.ask("rina", op="extend", id=item, keep=60, reason="tunggu")[0]["error"], "refused", "a shorter time")
    equal(world.ask("rina", op="delete", id=item, reason="sampah")[0]["state"], "baru", "an analyst's delete is a proposal")
    equal(world.bodies().count(item), 1, "files")
    equal(world.ask("wati", op="delete", id=item, reason="setuju")[0]["state"], "dihapus", "a manager's is one")
    equal(world.bodies().count(item), 0, "files")
    equal(world.ask("rina", op="view", id=item, reason="uji")[0]["error"], "refused", "view without a body")
    equal(world.ask("rina", op="purge")[0]["error"], "denied", "an analyst's purge")
    fields, _, _ = world.ask("umar", op="purge")
    check(fields["ok"], f"an administrator's purge: {fields}")


@test("purge: what has expired goes, with a record each; legal hold stays")
def _(world):
    gone, kept, sent = (world.held(world.plain(word)) for word in ("gone", "kept", "sent"))
    check(world.ask("rina", op="release", id=sent, reason="benar")[0]["ok"], "release")
    check(world.ask("wati", op="hold", id=kept, on=True, reason="perkara 4")[0]["ok"], "legal hold")
    world.reviewd.stop()
    with sqlite3.connect(world.path("quarantine", "quarantine.db")) as database:
        database.execute("UPDATE item SET expires = 1, version = version + 1 WHERE id IN (?, ?, ?)", (gone, kept, sent))
    database.close()
    subprocess.run(["chown", "-R", f"{REVIEWD_UID}:{REVIEWD_UID}", world.path("quarantine")], check=True)
    world.start_reviewd()
    deadline.until("the purge at start", lambda: world.state(gone) == "kedaluwarsa", seconds=60)
    deadline.until("the released one's body", lambda: world.bodies().count(sent) == 0, seconds=60)
    equal((world.bodies().count(gone), world.bodies().count(kept)), (0, 1), "files")
    equal(world.state(sent), "dilepas", "what was released stays so")
    equal((len(world.audited("quarantine-expire", gone)), len(world.audited("quarantine-expire", kept))), (1, 0), "records")


@test("a clock that is far ahead at the start takes no held mail away; who asks for a purge gets it")
def _(world):
    item = world.held(world.plain("clock"))
    world.shim = shim.build(world)
    world.reviewd.stop()
    record, kept = world.path("audit-reviewd", "segel-reviewd.audit"), world.path("audit-before")
    shutil.copy(record, kept)
    with shim.shimmed(world, world.reviewd, world.start_reviewd) as luck:
        luck.set("clock", 60 * 86400)
        world.restart()
        deadline.until("the purge at start", lambda: "the purge waits a day" in world.reviewd.text(), seconds=60)
        equal((world.bodies().count(item), world.state(item)), (1, "baru"), "the item")
        fields, _, _ = world.ask("umar", op="purge")
        check(fields["ok"] and fields["bodies"] >= 1, f"who asks for it gets it: {fields}")
    shutil.copy(kept, record)  # behind a record of the future an audit file takes none of today
    world.start_reviewd()
    equal(world.bodies().count(item), 0, "then")


# ---- release ----

def body_of(dump):
    """Of what smtp-sink wrote: the message alone."""
    return dump[dump.index(b"Authentication-Results:"):]


@test("one person releases what needs one: verified again, byte for byte, with its envelope")
def _(world):
    message = world.plain("rel1", "Titik:\r\n.\r\n..dua\r\nlatin \xe9\r\n", extra="Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n")
    item = world.held(message, recipients=((ONE, "NOTIFY=SUCCESS"), TWO), sender_parameters="BODY=8BITMIME SIZE=5")
    fields, _, _ = world.ask("rina", op="release", id=item, reason="benar")
    equal((fields["ok"], fields.get("state")), (True, "dilepas"), fields)
    [dump] = world.arrived("rel1")
    envelope = [line for line in dump.decode("utf-8", "replace").split("\n") if line.startswith(("X-Mail", "X-Rcpt"))]
    equal(envelope, [f"X-Mail-Args: <{SENDER}> BODY=8BITMIME", f"X-Rcpt-Args: <{ONE}> NOTIFY=SUCCESS", f"X-Rcpt-Args: <{TWO}>"], "the envelope")
    head, _, rest = body_of(dump).partition(b"\nFrom: ")
    equal(b"From: " + rest.rstrip(b"\n"), message.replace(b"\r\n", b"\n").rstrip(b"\n"), "the message")
    check(b"smime=none" in head, head)
    equal((len(world.audited("quarantine-release", item)), len(world.audited("quarantine-released", item))), (1, 1), "records")
    equal(world.ask("rina", op="release", id=item, reason="lagi")[0]["error"], "refused", "a second release")
    equal(len(world.arrived("rel1")), 1, "deliveries")


@test("a forged result field of ours goes, a stranger's stays")
def _(world):
    message = world.plain("forged", extra="X-Segel-Status: good\r\nAuthentication-Results: lain.example; spf=pass\r\n"
                          "Authentication-Results: MAIL.kota.example; smime=pass reason=palsu\r\n")
    item = world.held(message)
    check(world.ask("rina", op="release", id=item, reason="benar")[0]["ok"], "release")
    [dump] = world.arrived("forged")
    check(b"X-Segel-Status" not in dump and b"palsu" not in dump and b"lain.example; spf=pass" in dump, dump)
    equal(dump.count(b"Authentication-Results: mail.kota.example;"), 1, "fields of ours")


@test("to some recipients, then to the others; nobody twice")
def _(world):
    item = world.held(world.plain("some"), recipients=(ONE, TWO))
    check(world.ask("rina", op="release", id=item, reason="satu", to=[ONE])[0]["ok"], "to one")
    equal(world.ask("rina", op="release", id=item, reason="satu", to=[ONE])[0]["error"], "refused", "to the same")
    check(world.ask("rina", op="release", id=item, reason="sisa")[0]["ok"], "to the rest")
    dumps = world.arrived("some")
    equal([(ONE.encode() in dump.split(b"\nAuth")[0], TWO.encode() in dump.split(b"\nAuth")[0]) for dump in dumps].count((True, True)), 0, "both at once")
    equal(len(dumps), 2, "deliveries")


@test("two persons: never the same one, under no login; a helpdesk's proposal is completed by an analyst")
def _(world):
    message = world.plain("two")
    item = world.held(message, findings=("SIG_INVALID",))
    equal(world.ask("wati", op="release", id=item, reason="saya")[0]["error"], "denied", "a manager as the first")
    fields, _, _ = world.ask("rina", op="release", id=item, reason="benar")
    equal((fields["ok"], fields["state"]), (True, "menunggu persetujuan"), "the first")
    equal(world.ask("rina", op="release", id=item, reason="benar")[0]["error"], "denied", "the same person")
    equal(world.ask("nina", op="release", id=item, reason="benar")[0]["error"], "denied", "the same person with another login and role")
    equal(world.ask("sari", op="release", id=item, reason="benar")[0]["error"], "denied", "an auditor")
    equal(world.arrived("two"), [], "until now")
    fields, _, _ = world.ask("wati", op="release", id=item, reason="setuju")
    equal((fields["ok"], fields.get("state")), (True, "dilepas"), fields)
    equal(len(world.arrived("two")), 1, "deliveries")
    other = world.held(world.plain("two2"))
    equal(world.ask("bagus", op="release", id=other, reason="minta")[0]["state"], "menunggu persetujuan", "helpdesk")
    check(world.ask("joko", op="release", id=other, reason="setuju")[0]["ok"], "an analyst")


@test("the yes of somebody whose appointment has ended since, or who may not give one any more, is none")
def _(world):
    for name, after in (("ended", None), ("other-role", "auditor"), ("same-role", "helpdesk")):
        item = world.held(world.plain(name), findings=("SIG_INVALID",))
        equal(world.ask("bagus", op="release", id=item, reason="benar")[0].get("state"), "menunggu persetujuan", "the first")
        world.must("reviewer", "end", "bagus")
        if after:
            world.must("reviewer", "add", "bagus", "--person", "Orang Bagus", "--role", after, "--appointment", f"SK-{name}/2026")
        fields, _, _ = world.ask("wati", op="release", id=item, reason="setuju")
        equal((fields["ok"], len(world.arrived(name))), (after == "helpdesk",) + (int(after == "helpdesk"),), f"{name}: {fields}")
        if not fields["ok"]:
            equal(world.ask("rina", op="release", id=item, reason="benar")[0].get("state"), "menunggu persetujuan", "a new first one")
            check(world.ask("wati", op="release", id=item, reason="setuju")[0]["ok"], "completed")
        if after != "helpdesk":
            if after:
                world.must("reviewer", "end", "bagus")
            world.must("reviewer", "add", "bagus", "--person", "Orang Bagus", "--role", "helpdesk", "--appointment", f"SK-{name}-2/2026")


@test("a copy of what was refused is never released")
def _(world):
    item = world.held(world.plain("copy"), findings=("CERT_REVOKED",), action="reject+hold")
    for login in ("rina", "joko", "wati"):
        check(not world.ask(login, op="release", id=item, reason="uji")[0]["ok"], login)
    equal(world.ask("rina", op="release", id=item, reason="uji")[0]["error"], "refused", "an analyst")
    equal(world.arrived("copy"), [], "deliveries")
    check(world.ask("rina", op="export", id=item, reason="bukti")[0]["ok"], "it may be taken out")


@test("double clicks in parallel, with the same version: exactly one delivery")
def _(world):
    item = world.held(world.plain("click"), findings=("SIG_INVALID",))
    check(world.ask("rina", op="release", id=item, reason="benar")[0]["ok"], "the first")
    version = world.show(item)[0]["version"]
    answers = []

    def click(login):
        answers.append(world.ask(login, op="release", id=item, reason="setuju", version=version)[0])
    threads = [threading.Thread(target=click, args=(login,)) for login in ("wati", "joko") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(sorted(answer["ok"] for answer in answers), [False] * 7 + [True], [answer.get("error") for answer in answers])
    equal(len(world.arrived("click")), 1, "deliveries")


@test("signed well: released while the certificate is current, refused with the reason once the OP has revoked it")
def _(world):
    good, late = world.held(world.signed(token="sig1")), world.held(world.signed(leaf=world.other_leaf, token="sig2"))
    fields, _, _ = world.ask("rina", op="release", id=good, reason="benar")
    check(fields["ok"], fields)
    [dump] = world.arrived("sig1")
    check(b"smime=pass" in re.sub(rb"\s+", b" ", body_of(dump)), dump[:900])
    world.must("cert", "revoke", world.other_leaf.sha256, "--reason", "KUNCI_BOCOR")
    fields, _, _ = world.ask("rina", op="release", id=late, reason="benar")
    equal((fields["ok"], fields.get("error")), (False, "refused"), fields)
    check("KUNCI_BOCOR" in fields["text"], fields)
    equal(world.arrived("sig2"), [], "deliveries")
    check(world.audited("quarantine-refused", late), "the refusal is on record")
    check(world.state(late) in ("baru", "ditinjau"), "back where it was")


@test("what a new verification shows first is shown first, and ends a proposal")
def _(world):
    message = world.signed(token="new").replace(b"Isi surat.", b"Isi palsu.")
    item = world.held(message, findings=("CERT_UNTRUSTED",))
    fields, _, _ = world.ask("rina", op="release", id=item, reason="benar")
    equal((fields["ok"], fields.get("error")), (False, "refused"), fields)
    check("SIG_INVALID" in fields["text"], fields)
    shown, _ = world.show(item)
    check("SIG_INVALID" in [finding["reason"] for finding in shown["findings"]], shown["findings"])
    fields, _, _ = world.ask("rina", op="release", id=item, reason="benar")
    equal(fields.get("state"), "menunggu persetujuan", "and now two persons are needed")


@test("the mail server refuses: back where it was; is gone: on its way, and sent when it is there again")
def _(world):
    refused, gone = world.held(world.plain("ref")), world.held(world.plain("away"))
    world.sink.kill()
    world.start_sink("-f", "RCPT")
    fields, _, _ = world.ask("rina", op="release", id=refused, reason="benar")
    equal((fields["ok"], fields.get("error"), world.state(refused)), (False, "refused", "baru"), fields)
    world.sink.kill()
    fields, _, _ = world.ask("rina", op="release", id=gone, reason="benar")
    equal((fields["ok"], fields.get("error"), world.state(gone)), (False, "unavailable", "dilepas-sedang"), fields)
    equal(world.ask("wati", op="delete", id=gone, reason="uji")[0]["error"], "refused", "delete on its way")
    world.start_sink()
    world.restart()
    deadline.until("it to be sent", lambda: world.state(gone) == "dilepas", seconds=40)
    equal(len(world.arrived("away")), 1, "deliveries")


@test("the mail server takes one recipient not now: back where it was, for a decision; one that waits keeps no other waiting")
def _(world):
    later, first, second = (world.held(world.plain(word)) for word in ("later", "first", "second"))
    world.sink.kill()
    for item in (first, second):
        equal(world.ask("rina", op="release", id=item, reason="benar")[0].get("error"), "unavailable", "no mail server")
    world.start_sink("-r", "RCPT")
    fields, _, _ = world.ask("rina", op="release", id=later, reason="benar")
    equal((fields["ok"], fields.get("error"), world.state(later)), (False, "unavailable", "baru"), fields)
    world.restart()
    deadline.until("both to be tried", lambda: all(len(world.audited("quarantine-resume", item)) >= 1 for item in (first, second)), seconds=60)
    equal([world.state(item) for item in (first, second)], ["dilepas-sedang"] * 2, "sent before, perhaps: tried until it is known")
    world.sink.kill()
    world.start_sink()
    world.restart()
    for item in (first, second):
        deadline.until("it to be sent", lambda item=item: world.state(item) == "dilepas", seconds=40)
    equal([len(world.arrived(word)) for word in ("later", "first", "second")], [0, 1, 1], "deliveries")


@test("a release that the mail server does not take: how it stands is shown, and who releases calls it back; it is not sent any more")
def _(world):
    away, quiet = world.held(world.plain("balik")), world.held(world.plain("bisu"))
    world.sink.kill()
    equal(world.ask("rina", op="release", id=away, reason="benar")[0].get("error"), "unavailable", "no mail server")
    [row] = world.ask("joko", op="list", state="dilepas-sedang")[1]
    standing = world.ask("joko", op="show", id=away)[0]["release"]
    equal(row["release"], standing, "in the list")
    equal((standing["login"], standing["tries"], standing["settled"], standing["doubtful"]), ("rina", 1, True, False), standing)
    check("refused" in standing["answer"], standing)
    for login, error in (("bagus", "denied"), ("sari", "denied"), ("umar", "denied")):
        equal(world.ask(login, op="recall", id=away, reason="uji")[0].get("error"), error, login)
    equal(world.ask("joko", op="recall", id=away)[0].get("error"), "reason", "no reason")
    equal(world.ask("joko", op="recall", id=quiet, reason="uji")[0].get("error"), "refused", "not on its way")
    world.start_sink("-q", ".")  # takes it, and says nothing
    equal(world.ask("rina", op="release", id=quiet, reason="benar")[0].get("error"), "unavailable", "no answer")
    refused = world.ask("joko", op="recall", id=quiet, reason="uji")[0]
    check(refused.get("error") == "refused" and "is not known" in refused["text"] and world.state(quiet) == "dilepas-sedang", refused)
    called = world.ask("joko", op="recall", id=away, reason="tidak jadi")[0]
    equal((called.get("state"), called.get("doubtful"), world.state(away)), ("baru", False, "baru"), called)
    equal(len(world.audited("quarantine-recall", away)), 1, "on record")
    # what was interrupted and is refused since
    world.sink.kill()
    world.start_sink("-r", "RCPT")
    world.restart(signal.SIGKILL)
    deadline.until("another try", lambda: world.ask("rina", op="show", id=quiet)[0]["release"]["settled"], seconds=40)
    listed = world.quarantine("rina", "list", "--state", "dilepas-sedang")
    check("tries" in listed.out and "answered RCPT with 4" in listed.out, listed)
    check("--state dilepas-sedang" in world.quarantine("rina", "list").err, "they are not forgotten")
    shown = world.quarantine("rina", "show", quiet)
    check(all(text in shown.out for text in ("tried 2 times", "answered RCPT with 4", "recall calls it back", "it may have arrived")), shown)
    called = world.quarantine("rina", "recall", quiet, "--reason", "sudah lama")
    check(called.code == 0 and "may have arrived" in called.out, called)
    equal(len(world.audited("quarantine-recall", quiet)), 1, "on record")
    # neither is sent now, and both may be again
    before = len(world.arrived("bisu"))
    world.sink.kill()
    world.start_sink()
    last = world.held(world.plain("sesudah"))
    world.restart()
    check(world.ask("rina", op="release", id=last, reason="benar")[0]["ok"], "it works")  # behind whatever the start took up
    equal((len(world.arrived("balik")), len(world.arrived("bisu"))), (0, before), "deliveries")
    equal([world.audited("quarantine-resume", away), world.state(away), world.state(quiet)], [[], "baru", "baru"], "states")
    check(world.ask("rina", op="release", id=away, reason="benar")[0]["ok"], "released after all")
    equal(len(world.arrived("balik")), 1, "deliveries")


@test("kill -9 in the middle of a release: sent at the next start, at most twice")
def _(world):
    world.sink.kill()
    world.start_sink("-w", "2")  # each answer to DATA takes two seconds
    item = world.held(world.plain("kill"))
    sock = world.review("rina")
    holder.send_json(sock, {"op": "release", "id": item, "reason": "benar"})
    deadline.until("its row", lambda: world.state(item) == "dilepas-sedang", seconds=60)
    world.restart(signal.SIGKILL)
    sock.close()
    deadline.until("it to be sent", lambda: world.state(item) == "dilepas", seconds=60)
    check(1 <= len(world.arrived("kill")) <= 2, "deliveries")
    world.sink.kill()
    world.start_sink()


def tries(world, item):
    """How often a release was taken up, and how it ended, by the log."""
    return len([line for line in world.reviewd.text().splitlines() if f"item {item}: " in line and ("once more" in line or "waits" in line)])


@test("the mail server has it and the disk is full: it is not sent again and again")
def _(world):
    item = None
    world.reviewd.stop()
    os.rename(world.path("quarantine"), world.path("quarantine-kept"))
    os.mkdir(world.path("quarantine"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=4m,nr_inodes=1000,mode=0750,uid={REVIEWD_UID},gid={REVIEWD_UID}", "none", world.path("quarantine")], check=True)
    world.sink.kill()
    world.start_sink("-w", "2")  # each answer to DATA takes two seconds
    try:
        world.start_reviewd()
        item = world.held(world.plain("brimful"))
        with world.review("rina") as sock:
            holder.send_json(sock, {"op": "release", "id": item, "reason": "benar"})
            deadline.until("its row", lambda: world.state(item) == "dilepas-sedang", seconds=60)
            fill(world.path("quarantine", "fill"))
            fields = holder.take_json(sock)
        equal((fields["ok"], fields.get("error")), (False, "unavailable"), fields)
        for _ in range(3):
            before = tries(world, item)
            world.restart(signal.SIGKILL)
            deadline.until("another try", lambda: tries(world, item) > before, seconds=60)
        check(len(world.arrived("brimful")) <= 2, f"{len(world.arrived('brimful'))} deliveries")
        os.unlink(world.path("quarantine", "fill"))
        world.restart(signal.SIGKILL)
        deadline.until("its end", lambda: world.state(item) == "dilepas", seconds=40)
        check(1 <= len(world.arrived("brimful")) <= 2, f"{len(world.arrived('brimful'))} deliveries")
    finally:
        world.reviewd.stop()
        subprocess.run(["umount", world.path("quarantine")], check=True)
        os.rmdir(world.path("quarantine"))
        os.rename(world.path("quarantine-kept"), world.path("quarantine"))
        world.start_reviewd()
        world.sink.kill()
        world.start_sink()


@test("revoked while a release was interrupted: it does not leave")
def _(world):
    world.sink.kill()
    leaf = world.issuing.issue("ketiga", [SENDER])
    world.must("cert", "import", leaf.cert, "--kind", "jabatan")
    world.must("bind", "add", leaf.sha256, "--purpose", "verify", "--address", SENDER)
    item = world.held(world.signed(leaf=leaf, token="interrupted"))
    equal(world.ask("rina", op="release", id=item, reason="benar")[0]["error"], "unavailable", "no mail server")
    world.must("cert", "revoke", leaf.sha256, "--reason", "KUNCI_BOCOR")
    world.start_sink()
    world.restart(signal.SIGKILL)
    deadline.until("it to be put back", lambda: world.state(item) == "baru", seconds=40)
    equal(world.arrived("interrupted"), [], "deliveries")


@test("kill -9 at random while mail is held: what the filter was told is there, whole")
def _(world):
    told = {}
    for round_ in range(6):
        threads = [threading.Thread(target=give_until_cut, args=(world, round_, n, told)) for n in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.3 + 0.17 * round_)  # at another moment each time; nothing is waited for
        world.reviewd.kill()
        for thread in threads:
            thread.join()
        world.start_reviewd()
    check(len(told) > 10, f"{len(told)} messages were held")
    kept, record = set(world.bodies()), world.audit()
    for item in told:
        check(item in kept and f"item={item} " in record and world.show(item)[0]["state"] == "baru", f"{item} has body, row and record")
    # The key agent gives so many content keys a minute: the last ones before each kill were the most at risk.
    for round_ in range(6):
        for item in [item for item, (when, _) in told.items() if when == round_][-8:]:
            fields, _, data = world.ask("rina", op="export", id=item, reason="uji")
            check(fields["ok"] and data == told[item][1], f"{item}: {fields}")


def give_until_cut(world, round_, number, told):
    try:
        for n in range(1000):
            message = world.plain(f"cut-{round_}-{number}-{n}", "x\r\n" * 3000)
            answer, _ = world.give(message)
            if answer["ok"]:
                told[answer["id"]] = (round_, message)
    except OSError:
        pass


# ---- the process that reads ----

@test("the process that reads held mail can open, start and reach nothing")
def _(world):
    program = world.path("bin", "segel-reviewd")
    for kind in ("view", "judge"):
        done = subprocess.run([program, "--child", "probe", kind], capture_output=True, timeout=30, stdin=subprocess.DEVNULL, env={})
        lines = dict(line.split("=") for line in done.stdout.decode().split())
        equal(set(lines), {"socket-inet", "socket-unix", "open-read", "open-write", "execve", "fork", "kill", "memfd", "mmap-exec"}, "what was tried")
        equal(set(lines.values()), {"EPERM"}, lines)


@test("a message that would take the reader apart costs one error")
def _(world):
    deep = "".join(f"--b{n}\r\nContent-Type: multipart/mixed; boundary=b{n + 1}\r\n\r\n" for n in range(20000))
    for token, message in (("deep", world.plain("deep", deep, extra="Content-Type: multipart/mixed; boundary=b0\r\n")),
                           ("nul", world.plain("nul", "\0" * 100000)), ("tiny", b"\r\n"), ("fields", b"X:y\r\n" * 50000 + b"\r\n")):
        item = world.held(message, findings=("PARSE_LIMIT",))
        fields, _, text = world.ask("rina", op="view", id=item, reason="uji")
        check(fields["ok"], f"{token}: {fields}")
        check(not re.search(rb"[\0-\x08\x0b-\x1f]", text), f"{token}: safe text")
        fields, _, _ = world.ask("rina", op="release", id=item, reason="uji")
        check(fields["ok"] or fields["error"] in ("refused", "unavailable"), f"{token}: {fields}")


@test("a bad file keeps the old settings; a good one counts")
def _(world):
    with open(world.config, encoding="utf-8") as file:
        good = file.read()
    try:
        with open(world.config, "w", encoding="utf-8") as file:
            file.write(good + "nonsense = 1;\n")
        world.reviewd.send(signal.SIGHUP)
        deadline.until("the refusal", lambda: "reload failed" in world.reviewd.text())
        check(world.held(world.plain("reload")), "mail is held")
    finally:
        with open(world.config, "w", encoding="utf-8") as file:
            file.write(good)
    world.reviewd.send(signal.SIGHUP)
    deadline.until("the reload", lambda: "reloaded " in world.reviewd.text())


@test("no canary of a held body is in log, audit record or database")
def _(world):
    item = world.held(world.plain("canary", "KENARI-EMAS-2209\r\n"))
    world.ask("rina", op="view", id=item, reason="uji")
    world.ask("rina", op="release", id=item, reason="uji")
    for folder, _, names in os.walk(world.path("quarantine")):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                check(b"KENARI-EMAS-2209" not in file.read(), f"{folder}/{name}")
    check("KENARI-EMAS-2209" not in world.reviewd.text() + world.audit(), "log and record")


@test("own mail, the registry's items, requests: roles that see a part")
def _(world):
    mine, foreign = world.held(world.plain("mine"), findings=("SIG_WEAK",)), world.held(world.plain("foreign"), recipients=(TWO,), findings=("REG_UNKNOWN",))
    world.must("address", "add", ONE, "--unit", "UMUM")
    world.must("login", "add", "tamu", "--address", ONE)
    world.appoint("tamu", "pegawai")
    _, rows, _ = world.ask("tamu", op="list", limit=1000)
    ids = [row["id"] for row in rows]
    check(mine in ids and foreign not in ids, "staff: own mail only")
    equal(world.ask("tamu", op="show", id=foreign)[0]["error"], "not-found", "staff: mail of others")
    fields, rows, _ = world.ask("tamu", op="show", id=mine)
    check(fields["ok"] and fields["own"] and rows == [], "staff: own mail, without the notes of others")
    check(world.ask("tamu", op="view", id=mine, reason="milik saya")[0]["ok"], "staff: own mail as text")
    equal(world.ask("tamu", op="export", id=mine, reason="milik saya")[0]["error"], "denied", "staff: export")
    check(world.ask("tamu", op="release", id=mine, reason="saya tunggu")[0]["ok"], "staff: a request")
    equal(world.ask("tamu", op="release", id=foreign, reason="saya tunggu")[0]["error"], "not-found", "staff: a request for mail of others")
    equal((world.show(mine)[0]["asked_for"], world.state(mine), world.arrived("mine")), (True, "ditinjau", []), "on record, and nothing else")
    for login, role in (("sari", "petugas-op"), ("umar", "pelindung-data")):
        world.must("reviewer", "end", login)
        world.must("reviewer", "add", login, "--person", f"Orang {login.capitalize()}", "--role", role, "--appointment", f"SK-{login}-2/2026")
    _, rows, _ = world.ask("sari", op="list", limit=1000)
    ids = [row["id"] for row in rows]
    check(foreign in ids and mine not in ids, "OP officer: items of the registry's findings")
    equal(world.ask("sari", op="release", id=mine, reason="uji")[0]["error"], "not-found", "OP officer: other items")
    equal(world.ask("sari", op="release", id=foreign, reason="terdaftar")[0]["state"], "menunggu persetujuan", "OP officer: a proposal")
    check(world.ask("wati", op="release", id=foreign, reason="setuju")[0]["ok"], "completed by a manager")
    check(world.ask("umar", op="delete", id=mine, reason="permintaan pemilik data")[0]["ok"], "data protection: a request")
    equal(world.bodies().count(mine), 1, "which deletes nothing")


@test("the record's chain holds")
def _(world):
    answer = world.segelctl("audit", "verify", world.path("audit-reviewd", "segel-reviewd.audit"))
    equal(answer.code, 0, str(answer))


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
