"""Bad surroundings, one named test each, with the real programs behind a real Postfix.

What must hold each time: the client gets a 4xx, or the program says at start what is wrong; the log
says what to do; nothing unsealed is delivered, nothing accepted is lost, nothing is signed without
its intent on record (what was delivered in the whole run is compared at the end); and when the
trouble is over, mail is sealed again.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time

import chain
import chaos
import client
import deadline
import judge
import mail
import shim
import signature
import suite
from gateway import Account, Gateway
from place import KEYD_UID, MILTER_UID
from world import OTHER_DOMAIN, World, letter

SITI = f"siti@{OTHER_DOMAIN}"
BUDI = Account("budi", "Kepala Bagian Umum")
BARU = Account("baru", "Pejabat Baru", start="-1h")         # not valid yet where the clock is a day behind
ASING = Account("asing", "Kunci di Tempat Lain")            # registered; the agent does not hold its key
AKUN = [BUDI, BARU, ASING]

DAY = 86400
HERE = os.path.dirname(os.path.abspath(__file__))


def make_world(place):
    world = Gateway(place, AKUN + chaos.ACCOUNTS).make()
    # Not in the agent's settings from now on, but everywhere else.
    world.accounts = [account for account in world.accounts if account is not ASING]
    world.write_config()
    world.accepted = {}
    world.shim = shim.build(world)
    return world.start()


def test(name):
    """A test that begins and ends with everything running, and mail being sealed."""
    def keep(function):
        def prepared(world):
            recover(world)
            function(world)
            recover(world)
            sealed(world, f"sesudah-{len(world.accepted)}")
        return suite.test(name)(prepared)
    return keep


def recover(world):
    """As an administrator would: the good settings, and a start of what does not run."""
    world.write_config()
    for daemon in (world.keyd, world.milter):
        if daemon.process is not None and daemon.ended():
            daemon.stop()
    world.ensure_running()


def send(world, token, account=BUDI, message=None):
    outcome = world.send_as(account, message or mail.plain(account.address, SITI, token), [SITI])
    if outcome.accepted:
        world.accepted[token] = account
    return outcome


def sealed(world, token, account=BUDI):
    outcome = send(world, token, account)
    suite.check(outcome.accepted, outcome)
    [message] = world.wait_delivered(SITI, f"<{token}.1@".encode())
    verdict = judge.openssl_verify(message, world.authority.root_file)
    suite.check(verdict.ok and verdict.signer == account.cert, verdict)


def deferred(world, token, *words, account=BUDI, message=None):
    """4xx, in these words where the filter could still speak; and nothing arrives."""
    outcome = send(world, token, account, message)
    suite.check(not outcome.accepted and 400 <= outcome.last.code < 500, f"wanted a 4xx:\n{outcome}")
    suite.check(outcome.last.says(*words), f"the reply does not say {words}:\n{outcome}")
    world.wait_idle()
    suite.equal(world.mailbox(SITI, f"<{token}.1@".encode()), [], "delivered")


@contextlib.contextmanager
def new_words(daemon):
    """What a daemon's log says from here on: a function that returns it."""
    start = len(daemon.text())
    yield lambda: daemon.text()[start:]


def logged(text, *words, seconds=45):
    """Waits until one line of the log holds all of the words; returns it."""
    def line():
        return next((line for line in text().splitlines() if all(word in line for word in words)), None)
    try:
        return deadline.until(f"{words} in one line of the log", line, seconds)
    except deadline.Late as late:
        raise suite.Failed(f"{late}; it says:\n{text()[-3000:]}") from None


def does_not_start(daemon, *words):
    """It ends by itself, with a status and a reason; a program that starts is a failure."""
    with new_words(daemon) as text:
        try:
            daemon.start(lambda: False, seconds=20)
        except RuntimeError:
            status = daemon.stop()
        else:
            raise suite.Failed(f"{daemon.name} started")
        suite.equal(status, 1, f"exit status of {daemon.name}: {text()}")
        logged(text, *words)


def replaced(world, old, new):
    """The settings with one thing changed."""
    with open(world.config, encoding="utf-8") as config:
        text = config.read()
    suite.check(old in text, f"'{old}' is not in the settings")
    with open(world.config, "w", encoding="utf-8") as config:
        config.write(text.replace(old, new))


# --- settings ---

BAD_SETTINGS = [
    # name, what is replaced by what, and the words of the complaint
    ("an unknown group", 'language = "en";', 'language = "en";\nsael: { form = "clear"; };', ("segel.conf:3", "sael", "seal")),
    ("an unknown setting", 'drain = "10s"', 'drian = "10s"', ("segel.conf", "drian", "drain")),
    ("a value of another type", "recipients = 100", 'recipients = "many"', ("segel.conf", "limits.recipients")),
    ("a value out of range", "recipients = 100", "recipients = 0", ("segel.conf", "limits.recipients")),
    ("a word that is none of those allowed", 'form = "clear"', 'form = "claer"', ("segel.conf", "seal.form", "clear", "opaque")),
    ("a size without a unit that can be read", '"35MiB"', '"35 potatoes"', ("segel.conf", "limits.message_size")),
    ("no libconfig at all", 'language = "en";', 'language = ', ("segel.conf",)),
]


def add_bad_settings():
    for name, old, new, words in BAD_SETTINGS:
        def at_start(world, old=old, new=new, words=words):
            world.milter.stop()
            world.keyd.stop()
            replaced(world, old, new)
            does_not_start(world.keyd, *words)
            does_not_start(world.milter, *words)

        def on_reload(world, old=old, new=new, words=words):
            replaced(world, old, new)
            for daemon, kept in ((world.milter, "using the old settings"), (world.keyd, "using the old keys")):
                with new_words(daemon) as text:
                    daemon.send(signal.SIGHUP)
                    logged(text, kept)
                    logged(text, *words)
            sealed(world, f"setelan-lama-{len(world.accepted)}")
        test(f"{name}: at start, both programs say file, line and what was meant")(at_start)
        test(f"{name}: on reload, both keep the old settings and say so")(on_reload)


add_bad_settings()


@test("a file of settings that is not there: both programs name it")
def _(world):
    world.milter.stop()
    world.keyd.stop()
    os.rename(world.config, world.path("kept.conf"))
    try:
        does_not_start(world.keyd, world.config)
        does_not_start(world.milter, world.config)
    finally:
        os.rename(world.path("kept.conf"), world.config)


# --- certificates and keys ---

@test("a registered certificate whose key the agent does not hold: 451, and the log names keyd.keys")
def _(world):
    with new_words(world.milter) as text:
        deferred(world, "kunci-tiada", "451", "4.3.0", "KEY_UNAVAILABLE", account=ASING)
        logged(text, "KEY_UNAVAILABLE", "does not hold this key", "keyd.keys")


@test("a key that does not fit its certificate (renewed with a new key, the agent has the old): 451, keyd.keys named")
def _(world):
    account = Account("ganti", "Pejabat dengan Kunci Baru")
    world.make_account(account)
    os.unlink(account.issued.key)
    shutil.copy(BUDI.issued.key, account.issued.key)  # the file is there, the key in it is another one
    os.chown(account.issued.key, KEYD_UID, KEYD_UID)
    with new_words(world.milter) as text:
        deferred(world, "kunci-lain", "451", "KEY_UNAVAILABLE", account=account)
        logged(text, "KEY_UNAVAILABLE", "keyd.keys")
    world.keyd.stop()
    world.accounts.append(account)
    world.write_config()
    try:
        does_not_start(world.keyd, account.issued.key, "listed twice")
    finally:
        world.accounts.remove(account)


@test("a folder of issuing certificates that is not there: the filter names it at start, and on reload keeps the old")
def _(world):
    replaced(world, world.authority.chain_folder, world.path("no-such-folder"))
    with new_words(world.milter) as text:
        world.milter.send(signal.SIGHUP)
        logged(text, "seal.chain_dir", "no-such-folder")
        logged(text, "using the old settings")
    sealed(world, "rantai-lama")
    world.milter.stop()
    does_not_start(world.milter, "seal.chain_dir", "no-such-folder")


@test("a wrong passphrase: the agent names the key's file at start, and on reload keeps the old keys")
def _(world):
    path = world.path("keys", "passphrase")
    with open(path, encoding="utf-8") as right:
        passphrase = right.read()
    try:
        with open(path, "w", encoding="utf-8") as wrong:
            wrong.write("bukan-ini\n")
        with new_words(world.keyd) as text:
            world.keyd.send(signal.SIGHUP)
            logged(text, "using the old keys", "passphrase", ".key")
        sealed(world, "sandi-lama")
        world.keyd.stop()
        does_not_start(world.keyd, "passphrase", ".key")
        deferred(world, "sandi-salah", "451", "KEY_UNAVAILABLE")
    finally:
        with open(path, "w", encoding="utf-8") as right:
            right.write(passphrase)


@test("a key's file open to others: the agent refuses to start and says which chmod helps")
def _(world):
    world.keyd.stop()
    os.chmod(BUDI.issued.key, 0o644)
    try:
        does_not_start(world.keyd, BUDI.issued.key, "chmod 600")
    finally:
        os.chmod(BUDI.issued.key, 0o600)


# --- the key agent ---

@test("key agent down: 451, the log asks whether segel-keyd runs")
def _(world):
    world.keyd.stop()
    with new_words(world.milter) as text:
        deferred(world, "agen-berhenti", "451", "4.3.0", "KEY_UNAVAILABLE")
        logged(text, "KEY_UNAVAILABLE", "is segel-keyd running?")


@test("key agent killed, its socket left behind: 451; it starts again over the stale socket")
def _(world):
    world.keyd.kill()
    suite.check(os.path.exists(world.keyd_socket), "no stale socket: nothing is tested here")
    with new_words(world.milter) as text:
        deferred(world, "agen-mati", "451", "4.3.0", "KEY_UNAVAILABLE")
        logged(text, "KEY_UNAVAILABLE", "is segel-keyd running?")


@test("key agent that does not answer (SIGSTOP): 451 within its timeout; going on, mail is sealed")
def _(world):
    replaced(world, 'timeout = "10s"', 'timeout = "1s"')
    with new_words(world.milter) as text:
        world.milter.send(signal.SIGHUP)
        logged(text, "reloaded")
    world.keyd.send(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with new_words(world.milter) as text:
            deferred(world, "agen-lambat", "451", "KEY_UNAVAILABLE")
            logged(text, "KEY_UNAVAILABLE", "timeout")
        suite.check(time.monotonic() - began < 20, f"took {time.monotonic() - began:.1f} s")
    finally:
        world.keyd.send(signal.SIGCONT)
    sealed(world, "agen-lanjut")
    world.write_config()
    world.milter.send(signal.SIGHUP)


class FalseAgent:
    """Something else on the agent's socket. answer(frame) returns the bytes sent back; None closes."""

    def __init__(self, world, answer):
        self.path = world.keyd_socket
        self.answer = answer
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.socket.bind(self.path)
        os.chown(self.path, KEYD_UID, MILTER_UID)
        os.chmod(self.path, 0o660)
        self.socket.listen(8)
        self.thread.start()
        return self

    def __exit__(self, *_failure):
        self.socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self.thread.join()
        self.socket.close()
        os.unlink(self.path)

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                with contextlib.suppress(OSError, struct.error):
                    head = connection.recv(4, socket.MSG_WAITALL)
                    frame = connection.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL)
                    answer = self.answer(frame)
                    if answer is not None:
                        connection.sendall(answer)
                        connection.recv(1)  # what the other side does with it


def framed(body):
    return struct.pack(">I", len(body)) + body


def signed_as(frame, signature_bytes, number_off=0, op=2, status=1):
    """An answer in the agent's protocol (milter/keyd/wire.h)."""
    number = (struct.unpack(">I", frame[2:6])[0] + number_off) & 0xffffffff
    return framed(struct.pack(">BBIBH", 1, op, number, status, len(signature_bytes)) + signature_bytes)


def field_of(frame, wanted):
    """Version, op, number, algorithm: then the fields, each behind its length. 0 is the key, 1 the digest."""
    at = 7
    for _ in range(wanted):
        at += 2 + struct.unpack(">H", frame[at:at + 2])[0]
    return frame[at + 2:at + 2 + struct.unpack(">H", frame[at:at + 2])[0]]


def made_by(key, digest):
    """A good ECDSA signature over the digest, by openssl."""
    with tempfile.NamedTemporaryFile() as source:
        source.write(digest)
        source.flush()
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", key, "-in", source.name], check=True,
                              capture_output=True, stdin=subprocess.DEVNULL).stdout


def a_new_key(world):
    path = world.path("other.key")
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path], check=True,
                   stdin=subprocess.DEVNULL, capture_output=True)
    return path


def plain_key(world):
    """Budi's own key, opened: the false agent of the control experiment."""
    path = world.path("budi-plain.key")
    subprocess.run(["openssl", "pkey", "-in", BUDI.issued.key, "-passin", "file:" + world.authority.passphrase_file,
                    "-out", path], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return path


# name, answer from (frame, somebody's key), and a word of the log
GARBAGE = [
    ("junk", lambda frame, key: b"HTTP/1.1 200 OK\r\n\r\n" + bytes(64), "key agent"),
    ("a frame of 4 GB", lambda frame, key: b"\xff\xff\xff\xff" + bytes(100), "key agent"),
    ("an empty frame", lambda frame, key: framed(b""), "key agent"),
    ("half an answer", lambda frame, key: signed_as(frame, bytes(70))[:30], "key agent"),
    ("an answer with bytes behind it", lambda frame, key: framed(signed_as(frame, bytes(70))[4:] + b"x"), "key agent"),
    ("another version", lambda frame, key: framed(b"\x09" + signed_as(frame, bytes(70))[5:]), "key agent"),
    ("a status without a name", lambda frame, key: signed_as(frame, bytes(70), status=77), "key agent"),
    ("no status at all", lambda frame, key: signed_as(frame, bytes(70), status=0), "key agent"),
    ("an answer to another number", lambda frame, key: signed_as(frame, made_by(key, field_of(frame, 1)), number_off=1), "to question"),
    ("an answer to another question", lambda frame, key: signed_as(frame, b"segel-keyd", op=1), "to question"),
    ("an empty signature", lambda frame, key: signed_as(frame, b""), "signature"),
    ("a signature of 7,000 bytes", lambda frame, key: signed_as(frame, bytes(7000)), "signature"),
    ("a signature of zeros", lambda frame, key: signed_as(frame, bytes(70)), "signature"),
    ("a good signature over another digest", lambda frame, key: signed_as(frame, made_by(key, bytes(32))), "signature"),
    ("nothing: it closes", lambda frame, key: None, "key agent"),
]


def add_garbage():
    for number, (name, answer, word) in enumerate(GARBAGE):
        def garbage(world, number=number, answer=answer, word=word):
            key = plain_key(world)
            world.keyd.stop()
            with FalseAgent(world, lambda frame: answer(frame, key)), new_words(world.milter) as text:
                deferred(world, f"agen-palsu-{number}", "451")
                logged(text, "action=defer", word)
        test(f"key agent that answers {name}: 451, nothing delivered")(garbage)


add_garbage()


@test("key agent that signs with another key: 451, nothing delivered; with the right one the same false agent is believed")
def _(world):
    world.keyd.stop()
    wrong, right = a_new_key(world), plain_key(world)
    with FalseAgent(world, lambda frame: signed_as(frame, made_by(wrong, field_of(frame, 1)))), \
            new_words(world.milter) as text:
        deferred(world, "kunci-palsu", "451")
        logged(text, "action=defer", "signature")
    # The control: the refusals above are not for want of a proper answer.
    with FalseAgent(world, lambda frame: signed_as(frame, made_by(right, field_of(frame, 1)))):
        outcome = world.send_as(BUDI, mail.plain(BUDI.address, SITI, "kunci-benar"), [SITI])
        suite.check(outcome.accepted, outcome)


# --- the records ---

def audit_folder(world, daemon):
    return world.path("audit-submission" if daemon is world.milter else "audit-keyd")


@contextlib.contextmanager
def small_disk(world, daemon, options="size=128k"):
    """A file system of its own over the daemon's records, which move there and back. Stops the daemon around it."""
    folder, kept = audit_folder(world, daemon), world.path("audit-kept")
    suite.check(world.place.isolated, "this test mounts, and needs mounts of its own")
    daemon.stop()
    uid = MILTER_UID if daemon is world.milter else KEYD_UID
    os.rename(folder, kept)
    os.mkdir(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options},uid={uid},gid={uid},mode=2750", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        daemon.stop()
        # Its records are part of what must hold: a chain of their own, under a name of their own.
        for number, name in enumerate(os.listdir(folder)):
            if name.endswith(".audit"):
                target = os.path.join(kept, f"small-{len(os.listdir(kept))}-{number}.audit")
                shutil.copy(os.path.join(folder, name), target)
                os.chown(target, uid, uid)
        subprocess.run(["umount", folder], check=True)
        os.rmdir(folder)
        os.rename(kept, folder)


def fill(folder):
    with open(os.path.join(folder, "ballast"), "wb", buffering=0) as ballast:
        with contextlib.suppress(OSError):
            while True:
                ballast.write(bytes(512))


def start(world, daemon):
    world.start_milter() if daemon is world.milter else world.start_keyd()


def hint_and_reply(world, daemon):
    """What the client reads, and whose log says what to do."""
    return ("STORE_UNAVAILABLE",) if daemon is world.milter else ("KEY_UNAVAILABLE",)


def for_both(name):
    """The same for the filter and the agent."""
    def keep(function):
        for program in ("milter", "keyd"):
            def one(world, program=program):
                function(world, getattr(world, program), program)
            test(name.format(who="filter" if program == "milter" else "key agent"))(one)
    return keep


@for_both("the {who}'s records on a full disk: 451 for everything; with room again and a restart, its chain goes on")
def _(world, daemon, program):
    with small_disk(world, daemon) as folder:
        start(world, daemon)
        sealed(world, f"penuh-sebelum-{program}")
        fill(folder)
        with new_words(daemon) as text:
            # What the last block of the file still holds is held.
            for number in range(20):
                if not send(world, f"penuh-sisa-{program}-{number}").accepted:
                    break
            deferred(world, f"penuh-{program}", "451", *hint_and_reply(world, daemon))
            logged(text, "audit file", "No space left on device")
        os.unlink(os.path.join(folder, "ballast"))
        # A disk that failed once is not believed again by itself.
        deferred(world, f"penuh-lagi-{program}", "451", *hint_and_reply(world, daemon))
        daemon.stop()
        start(world, daemon)
        sealed(world, f"penuh-sesudah-{program}")
        chain.read_folder(folder)


@for_both("the {who}'s records on a disk that is full from the start: it says so, or defers")
def _(world, daemon, program):
    with small_disk(world, daemon) as folder:
        fill(folder)
        if daemon is world.keyd:  # records its own start
            does_not_start(daemon, "keyd.audit_dir", "No space left on device")
        else:
            start(world, daemon)
            with new_words(daemon) as text:
                deferred(world, "penuh-awal", "451", "STORE_UNAVAILABLE")
                logged(text, "No space left on device")
        os.unlink(os.path.join(folder, "ballast"))


@for_both("the {who}'s records on a disk that is read-only: it does not start, and names the folder")
def _(world, daemon, program):
    with small_disk(world, daemon) as folder:
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        does_not_start(daemon, "audit_dir", folder, "Read-only file system")


@for_both("the {who}'s folder of records is not there, or writable for everybody: it does not start, and says what to do")
def _(world, daemon, program):
    folder = audit_folder(world, daemon)
    daemon.stop()
    os.chmod(folder, 0o2777)
    try:
        does_not_start(daemon, "audit_dir", folder, "chmod o-w")
    finally:
        os.chmod(folder, 0o2750)
    os.rename(folder, folder + "-away")
    try:
        does_not_start(daemon, "audit_dir", folder, "create it")
    finally:
        os.rename(folder + "-away", folder)


@for_both("the {who}'s file of records taken away while it runs: 451, and the log says that it is gone")
def _(world, daemon, program):
    folder = audit_folder(world, daemon)
    [name] = [name for name in os.listdir(folder) if name.startswith("segel-")]
    path = os.path.join(folder, name)
    os.rename(path, path + ".away")
    try:
        with new_words(daemon) as text:
            deferred(world, f"diambil-{program}", "451", *hint_and_reply(world, daemon))
            logged(text, "audit file", "is gone")
    finally:
        os.rename(path + ".away", path)
    daemon.stop()


# --- with a shim in the program ---

def shimmed(world, daemon):
    return shim.shimmed(world, daemon, lambda: start(world, daemon))


@for_both("fsync fails for the {who}: 451, and not one more record or signature until it is restarted")
def _(world, daemon, program):
    with shimmed(world, daemon) as luck:
        sealed(world, f"sync-sebelum-{program}")
        luck.set("sync")
        with new_words(daemon) as text:
            deferred(world, f"sync-{program}", "451", *hint_and_reply(world, daemon))
            logged(text, "cannot be synced", "Input/output error")
            luck.clear("sync")
            deferred(world, f"sync-lagi-{program}", "451", *hint_and_reply(world, daemon))
            if daemon is world.milter:
                logged(text, "restart after mending it")


@for_both("the clock of the {who} set back a day: 451 with a hint until it is right; nothing is judged by it")
def _(world, daemon, program):
    with shimmed(world, daemon) as luck:
        sealed(world, f"jam-sebelum-{program}", BARU)
        luck.set("clock", -DAY)
        with new_words(daemon) as text:
            deferred(world, f"jam-{program}", "451", account=BARU)
            deferred(world, f"jam-lama-{program}", "451", *hint_and_reply(world, daemon))
            logged(text, "the clock was set back", "set it right")
        luck.clear("clock")
        sealed(world, f"jam-benar-{program}", BARU)
        luck.set("clock", -1)  # what a time server may do (the registry was made seconds ago)
        sealed(world, f"jam-mundur-sedikit-{program}", BARU)
        luck.set("clock", -DAY)
        daemon.stop()
        does_not_start(daemon, "audit_dir", "the clock was set back")
    chain.read_folder(audit_folder(world, daemon))


@test("a clock a day behind, and no records yet that could tell: nothing is sealed before its certificate is valid")
def _(world):
    with small_disk(world, world.milter) as folder:
        with shimmed(world, world.milter) as luck:
            luck.set("clock", -DAY)
            world.milter.stop()
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))
            world.start_milter()
            outcome = send(world, "terlalu-dini", BARU)
            suite.check(not outcome.accepted, outcome)
            world.wait_idle()
            suite.equal(world.mailbox(SITI, b"<terlalu-dini.1@"), [], "delivered")
        # And the record that it left: right again, the clock is a day ahead of it, which is fine.
        world.start_milter()
        sealed(world, "jam-baru", BARU)
        chain.read_folder(folder)


@test("kill -9 in the middle of a body replacement, at every one of its writes: 4xx, nothing delivered, sealed when sent again")
def _(world):
    body = "".join(f"{number:060d}\r\n" for number in range(20000))  # 1.2 MB: some 20 pieces on the socket
    killed = 0
    with shimmed(world, world.milter) as luck:
        for piece in range(200):
            token = f"tengah-{piece}"
            luck.set("body", piece)
            outcome = send(world, token, message=letter(BUDI.address, SITI, "Besar", body, token=token))
            if outcome.accepted:
                break
            suite.check(400 <= outcome.last.code < 500, outcome)
            deadline.until("the filter to end", world.milter.ended)
            killed += 1
            world.milter.stop()
            world.start_milter()
        world.wait_idle()
        suite.check(killed >= 10, f"killed {killed} times only")
        for piece in range(killed):
            suite.equal(world.mailbox(SITI, f"<tengah-{piece}.1@".encode()), [], f"delivered after {piece} writes")
        world.wait_delivered(SITI, f"<tengah-{killed}.1@".encode())


# --- the registry ---

@contextlib.contextmanager
def backed_up(world):
    """A copy of the registry, put back afterwards as an administrator would."""
    database = sqlite3.connect(world.registry, isolation_level=None)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(world.registry, world.path("registry-backup"))
    try:
        yield
    finally:
        database.close()
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(world.registry + suffix)
        restored = world.registry + ".restored"
        shutil.copy(world.path("registry-backup"), restored)
        os.chown(restored, 0, MILTER_UID)
        os.chmod(restored, 0o640)
        os.rename(restored, world.registry)
        world.must("unit", "list")  # as root: makes -wal and -shm anew


@test("registry missing: a running filter defers, one that starts names it; back, mail is sealed without a restart")
def _(world):
    moved = world.registry + ".away"
    os.rename(world.registry, moved)
    try:
        with new_words(world.milter) as text:
            deferred(world, "registry-hilang", "451", "4.3.0", "REG_UNAVAILABLE")
            logged(text, "REG_UNAVAILABLE", world.registry, "No such file", "registry.file")
    finally:
        os.rename(moved, world.registry)
    sealed(world, "registry-kembali")
    os.rename(world.registry, moved)
    world.milter.stop()
    try:
        does_not_start(world.milter, "registry", world.registry, "segelctl init")
    finally:
        os.rename(moved, world.registry)


@test("registry locked for 10 s by another process: 451 after registry.timeout, sealed again when it lets go")
def _(world):
    os.rename(world.registry, world.registry + ".away")
    deferred(world, "belum-terkunci", "451", "REG_UNAVAILABLE")  # lets go of its open connections: they keep others out
    os.rename(world.registry + ".away", world.registry)
    locker = sqlite3.connect(world.registry, isolation_level=None, timeout=10)
    try:
        locker.execute("PRAGMA locking_mode=EXCLUSIVE")
        locker.execute("BEGIN EXCLUSIVE")
        locker.execute("SELECT count(*) FROM cert").fetchone()
        began = time.monotonic()
        with new_words(world.milter) as text:
            attempts = 0
            while time.monotonic() - began < 10 or attempts < 2:
                attempts += 1
                deferred(world, f"terkunci-{attempts}", "451", "4.3.0", "REG_UNAVAILABLE")
            line = logged(text, "REG_UNAVAILABLE", "locked")
            suite.check("error=" in line, line)
        locker.execute("ROLLBACK")
    finally:
        locker.close()
    world.must("unit", "list")  # who locks so keeps no -shm that others can read: what the log says helps
    sealed(world, "tidak-terkunci")


@test("a writer in the middle of its transaction: readers go on, and see what was before")
def _(world):
    writer = sqlite3.connect(world.registry, isolation_level=None, timeout=10)
    try:
        writer.execute("BEGIN IMMEDIATE")
        sealed(world, "sambil-menulis")
        writer.execute("ROLLBACK")
    finally:
        writer.close()


def overwrite(path, at, content):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(content)


def ruin_pages(world):
    overwrite(world.registry, 4096, os.urandom(os.path.getsize(world.registry) - 4096))


def ruin_head(world):
    overwrite(world.registry, 0, b"this is no database. " * 40)


def cut_short(world):
    os.truncate(world.registry, 5000)


def empty(world):
    os.truncate(world.registry, 0)


RUINED = [("its pages overwritten", ruin_pages, False), ("its head overwritten", ruin_head, True),
          ("cut short", cut_short, True), ("empty", empty, True)]


def add_ruined():
    for number, (name, ruin, at_start) in enumerate(RUINED):
        def ruined(world, number=number, ruin=ruin, at_start=at_start):
            with backed_up(world):
                ruin(world)
                with new_words(world.milter) as text:
                    deferred(world, f"rusak-{number}", "451", "4.3.0", "REG_UNAVAILABLE")
                    logged(text, "action=defer", world.registry, "registry.file")
                world.milter.stop()
                if at_start:
                    does_not_start(world.milter, "registry", world.registry)
                else:  # its first page is whole: only a question meets the damage
                    world.start_milter()
                    deferred(world, f"rusak-lagi-{number}", "451", "4.3.0", "REG_UNAVAILABLE")
        test(f"registry corrupt ({name}): deferred; restored, mail is sealed")(ruined)


add_ruined()


@test("registry restored without its -wal and -shm: deferred, and the log names the command that helps")
def _(world):
    with backed_up(world):
        world.milter.stop()
        for suffix in ("-wal", "-shm"):
            os.unlink(world.registry + suffix)
        does_not_start(world.milter, "registry", "segelctl unit list")


@test("registry with a newer schema: a running filter defers, one that starts says which program is wanted")
def _(world):
    database = sqlite3.connect(world.registry, isolation_level=None)  # outlives the filter's: keeps -wal and -shm
    [version] = database.execute("PRAGMA user_version").fetchone()
    try:
        database.execute(f"PRAGMA user_version={version + 1}")
        with new_words(world.milter) as text:
            deferred(world, "skema-baru", "451", "4.3.0", "REG_UNAVAILABLE")
            logged(text, "REG_UNAVAILABLE", f"schema {version + 1}")
        world.milter.stop()
        does_not_start(world.milter, "registry", f"schema {version + 1}")
        answer = world.segelctl("unit", "add", "BARU", "Bagian Baru")
        suite.check(answer.code == 4 and f"schema {version + 1}" in answer.err, answer)
    finally:
        database.execute(f"PRAGMA user_version={version}")
        world.start_milter()
        sealed(world, "skema-lama")  # it serves, so it has the registry open: our end takes no file away
        database.close()


# --- sockets and descriptors ---

@test("socket folder that the filter may not enter: it does not start, and names the folder")
def _(world):
    folder = os.path.dirname(world.mta.milter_socket)
    world.milter.stop()
    os.chown(folder, 0, 0)
    os.chmod(folder, 0o700)
    try:
        does_not_start(world.milter, "submission.socket", world.mta.milter_socket)
    finally:
        os.chown(folder, MILTER_UID, world.mta.gid)
        os.chmod(folder, 0o2750)


@test("socket folder open to others: neither program starts, and each says which chmod helps")
def _(world):
    for daemon, folder in ((world.milter, os.path.dirname(world.mta.milter_socket)), (world.keyd, world.path("keyd"))):
        daemon.stop()
        os.chmod(folder, 0o2755)
        try:
            does_not_start(daemon, ".socket", "folder of its own", folder)
        finally:
            os.chmod(folder, 0o2750)


@test("socket folder that Postfix may not enter: Postfix defers, nothing is delivered")
def _(world):
    folder = os.path.dirname(world.mta.milter_socket)
    os.chmod(folder, 0o700)
    try:
        deferred(world, "map-tertutup")
    finally:
        os.chmod(folder, 0o2750)


@test("stale socket of a killed filter: it starts over it; the socket of one that lives is left alone")
def _(world):
    world.milter.kill()
    suite.check(os.path.exists(world.mta.milter_socket), "no stale socket: nothing is tested here")
    deferred(world, "soket-basi")
    world.start_milter()
    second = world.daemon("segel-milter", MILTER_UID, [world.mta.gid], "-r", "submission", log=world.path("log", "second.log"))
    second.command = list(world.milter.command)
    does_not_start(second, "another process serves", world.mta.milter_socket)
    second = world.daemon("segel-keyd", KEYD_UID, [MILTER_UID], log=world.path("log", "second-keyd.log"))
    second.command = list(world.keyd.command)
    does_not_start(second, world.keyd_socket, "running already?")
    sealed(world, "soket-hidup")


@test("a file where the socket should be: neither program starts, and each names it")
def _(world):
    for daemon, path in ((world.milter, world.mta.milter_socket), (world.keyd, world.keyd_socket)):
        daemon.stop()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with open(path, "w", encoding="ascii") as file:
            file.write("notes\n")
        try:
            does_not_start(daemon, path)
            with open(path, encoding="ascii") as file:
                suite.equal(file.read(), "notes\n", "the file")
        finally:
            os.unlink(path)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def n_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def limit_descriptors(world, pid, uid, limits):
    """The soft limit, by the program's own user: root in a container may not be allowed to."""
    done = world.as_user(uid, [], "prlimit", f"--pid={pid}", f"--nofile={limits}")
    suite.equal(done.returncode, 0, done.stderr)


@contextlib.contextmanager
def no_descriptors_left(world, daemon, path, beyond):
    """Lowers its limit, and opens connections until it can accept no more."""
    pid = daemon.process.pid
    uid = MILTER_UID if daemon is world.milter else KEYD_UID
    limit = n_descriptors(pid) + beyond
    limit_descriptors(world, pid, uid, f"{limit}:")
    idle = []
    try:
        for _ in range(beyond + 5):
            idle.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            idle[-1].connect(path)
        deadline.until("its descriptors to be used up", lambda: n_descriptors(pid) >= limit)
        yield
    finally:
        for connection in idle:
            connection.close()
        limit_descriptors(world, pid, uid, "1024:")


def attempt(world, token):
    """Postfix may close the connection when its filter does not answer: then the client keeps its message."""
    try:
        return send(world, token)
    except OSError as lost:
        return client.Outcome([client.Reply("EHLO", 421, f"connection lost: {lost}")])


@for_both("file descriptors of the {who} used up: no mail lost, no processor eaten; with some free again, mail is sealed")
def _(world, daemon, program):
    path = world.mta.milter_socket if daemon is world.milter else world.keyd_socket
    pid = daemon.process.pid
    with new_words(daemon) as text, no_descriptors_left(world, daemon, path, 6):
        began, used = time.monotonic(), cpu_seconds(pid)
        answer = {}
        sender = threading.Thread(target=lambda: answer.update(outcome=attempt(world, f"habis-{program}")))
        sender.start()
        deadline.until("three seconds of it", lambda: time.monotonic() - began >= 3)
        share = (cpu_seconds(pid) - used) / (time.monotonic() - began)
        suite.check(share < 0.25, f"it used {100 * share:.0f} % of a processor")
        logged(text, "accepted", "Too many open files")
    sender.join()
    suite.equal(daemon.process.pid, pid, "it was restarted")
    outcome = answer["outcome"]
    suite.check(outcome.accepted or 400 <= outcome.last.code < 500, outcome)
    # libmilter waits longer after each failure; Postfix says 4xx as long.
    deadline.until("mail to be accepted again", lambda: attempt(world, f"habis-{time.monotonic_ns()}").accepted, 60)


# --- signals under load ---

class Signals(chaos.Chaos):
    """The same load and the same checker, but what comes is a signal that has an answer."""

    def __init__(self, world, number, count):
        super().__init__(world, count, number.name)
        self.number = number

    def kill(self, name):
        daemon = self.world.milter if name == "filter" else self.world.keyd
        self.faults.append(chaos.Fault(len(self.faults) + 1, f"{name} ({self.number.name})"))
        if self.number == signal.SIGTERM:
            status = daemon.stop()
            if status != 0:
                self.violate(None, f"{name} ended with status {status}: {daemon.last_words()}")
            start(self.world, daemon)
            return
        with new_words(daemon) as text:
            daemon.send(self.number)
            logged(text, "reloaded")


@test("SIGHUP under load, 30 times: no message is refused, lost or sealed by another")
def _(world):
    load = Signals(world, signal.SIGHUP, 30)
    suite.equal(load.run(), [], "violations")
    suite.equal([str(attempt.answer) for attempt in load.attempts if attempt.sent and not attempt.accepted], [], "not accepted")


@test("SIGTERM under load, 12 times: what was in hand is finished or deferred; nothing lost, nothing unsealed")
def _(world):
    load = Signals(world, signal.SIGTERM, 12)
    suite.equal(load.run(), [], "violations")


# --- and after all of that ---

@test("what was delivered is what was accepted, each message sealed, each signature with its intent, all chains good")
def _(world):
    world.wait_idle()
    known = dict(world.accepted)
    arrived = {}
    for message in world.mailbox(SITI):
        arrived.setdefault(re.search(rb"^X-Token: (\S+)", message, re.M)[1].decode(), []).append(message)
    suite.equal(sorted(set(known) - set(arrived)), [], "accepted and lost")
    suite.equal(sorted(set(arrived) - set(known) - {"kunci-benar"}), [], "delivered, but not accepted")
    suite.equal([token for token, copies in arrived.items() if len(copies) != 1], [], "delivered twice")
    intents = {(record["qid"], record["key"], record["digest"])
               for record in chain.read_folder(world.path("audit-keyd")) if record.event == "seal-intent"}
    chain.read_folder(world.path("audit-submission"))
    arrived.pop("kunci-benar", None)  # of the one false agent that had the right key
    for token, [message] in arrived.items():
        check_delivered(world, token, known[token], message, intents)
    answer = world.segelctl("audit", "verify")
    suite.equal(answer.code, 0, answer)


def check_delivered(world, token, account, message, intents):
    verdict = judge.openssl_verify(message, world.authority.root_file)
    suite.check(verdict.ok and verdict.signer == account.cert, f"{token}: {verdict}")
    queue_id = re.search(rb"with ESMTPSA id (\w+)", message)[1].decode()
    key = signature.spki_sha256(account.issued.cert)
    with tempfile.TemporaryDirectory(prefix="segel-bad-") as folder:
        digests = signature.digests(message, folder)
    suite.check(any((queue_id, key, digest) in intents for digest in digests), f"{token}: no intent for its signature")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
