"""What segel-split gives each recipient: encrypted, in clear, or nothing. openssl(1) decrypts, and verifies the seal inside."""

import os
import re
import sys

import nexthop
import partners
import splitter
import suite
from openssl_ca import run

TRIGGER = "X-Segel-5d41402abc4b2a76b9719d911017c592"
RULES = """\
encrypt: {{ use = true; split = true; hide_subject = false; {copy} rules = (
	{{ to = "boleh@provinsi.example"; level = "may"; }}, {{ to = "biasa@penerima.example"; level = "may"; }},
	{{ to = "polos@penerima.example"; level = "never"; }}, {{ to = "terbuka@provinsi.example"; level = "never"; }},
	{{ to = "blokir.example"; level = "forbid"; }}
); }};
"""

def address(name):
    return f"{name}@provinsi.example"


class Encrypting(partners.Partners, splitter.Splitter):
    def make(self):
        self.other = RULES.format(copy="")
        self.split_more = f'trigger = "{TRIGGER}";'
        super().make()
        self.make_partners("provinsi.example")
        self.next_port = self.split_ports["next"]
        self.write_config()
        return self

    def copies(self, token, to):
        # The token is inside where it is encrypted: told by the Message-ID, which is outside too.
        mark = f"Message-ID: <{token}.1@".encode()
        return [one["message"] for one in nexthop.taken(self.taken_folder) if mark in one["message"] and f"<{to}>" in one["rcpt"][0]]


def make_world(place):
    return Encrypting(place).make().start()


def answer(world, message, to):
    code, text = world.hand(message, to)
    return f"{code} {text}"


@suite.test("no usable certificate: revoked by its CA, held, of a stranger: refused; a CA without CRL: deferred")
def _(world):
    message = world.sealed("cacat")
    for name, wanted in {"dicabut": "550 5.7.4 ENC_NO_CERT", "tahan": "550 5.7.4 ENC_NO_CERT",
                         "asing": "550 5.7.4 ENC_NO_CERT", "diam": "451 "}.items():
        found = answer(world, message, address(name))
        suite.check(found.startswith(wanted), f"{name}: found {found}, wanted {wanted}")
        suite.equal(world.copies("cacat", address(name)), [], f"{name}: sent")
    suite.check(answer(world, message, address("rsa")).startswith("250 "), "the good one")


@suite.test("forbidden, ambiguous, unknown recipients get nothing")
def _(world):
    message = world.sealed("larang")
    for to in ("x@blokir.example", "x%provinsi.example@kota.example", "provinsi.example!x@kota.example", "\"x y\"@kota.example",
               "@kota.example:x@provinsi.example", "x@tak-dikenal.example"):
        found = answer(world, message, to)
        suite.check(found.startswith("550 "), f"{to}: {found}")
    suite.equal([one for one in nexthop.taken(world.taken_folder) if b"larang.1@" in one["message"] and "larang@" not in one["rcpt"][0]], [], "sent")


@suite.test("the header by which the filter says that encryption was asked for: never becomes must; it never goes on")
def _(world):
    message = world.sealed("minta")
    asked = f"{TRIGGER}: yes\r\n".encode() + message
    twice = f"{TRIGGER.upper()}: no\r\n".encode() + message.replace(b"Subject:", TRIGGER.encode() + b":\r\nSubject:", 1)
    guessed = b"X-Segel-Encrypt: yes\r\n" + message
    suite.check(answer(world, asked, "polos@penerima.example").startswith("550 5.7.4 ENC_NO_CERT"), "asked for, without a certificate")
    for one in (asked, twice):
        suite.check(answer(world, one, address("terbuka")).startswith("250 "), "asked for, with a certificate")
        copy = world.copies("minta", address("terbuka"))[-1]
        suite.check(b"kenari" not in copy and TRIGGER.encode().lower() not in copy.lower(), "the field goes on")
        suite.check(TRIGGER.encode().lower() not in world.decrypt(copy, world.leaves["terbuka"]).lower(), "inside, too")
    suite.check(answer(world, asked, "rekan2@kota.example").startswith("250 "), "internal")
    copy = world.copies("minta", "rekan2@kota.example")[-1]
    suite.equal(copy, message, "internal stays in clear, without the field")
    suite.check(answer(world, guessed, address("terbuka")).startswith("250 "), "another name")
    suite.check(b"multipart/signed" in world.copies("minta", address("terbuka"))[-1], "another name asks for nothing")


@suite.test("what its author encrypted goes as it is; what only says so, or breaks the rules, does not")
def _(world):
    path = world.path("content.txt")
    with open(path, "wb") as out:
        out.write(b"Content-Type: text/plain\r\n\r\nkenari-7731\r\n")
    head = f"From: dinas@kota.example\r\nTo: {address('rsa')}\r\nSubject: x\r\nMessage-ID: <sendiri.1@kota.example>\r\n".encode()

    def by_openssl(cipher):
        made = run("openssl", "cms", "-encrypt", cipher, "-in", path, world.leaves["rsa"].cert)
        return head + made.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    good = by_openssl("-aes256")
    start, body = good.split(b"\r\n\r\n", 1)
    for to in (address("rsa"), address("mentah"), "biasa@penerima.example"):
        suite.check(answer(world, good, to).startswith("250 "), f"{to}: {answer(world, good, to)}")
        suite.equal(world.copies("sendiri", to), [good], to)
    for name, bad in {"3DES": by_openssl("-des3"), "no object": start + b"\r\n\r\nUmFoYXNpYQ==\r\n", "cut": start + b"\r\n\r\n" + body[:200] + b"\r\n",
                      "text": start + b"\r\n\r\nIsi surat rahasia.\r\n", "two Froms": b"From: sekda@kota.example\r\n" + good}.items():
        found = answer(world, bad, address("terbuka"))
        suite.check(found.startswith("550 5.7.7 SEAL_REQUIRED"), f"{name}: {found}")
    suite.equal(world.copies("sendiri", address("terbuka")), [], "sent")


@suite.test("a copy for the organisation: two RecipientInfos, both can read")
def _(world):
    message = world.sealed("arsip", body="Isi: kenari-7731\r\n")
    world.configure(other=RULES.format(copy=f'copy_certificate = "{world.organisation.cert}";'))
    try:
        suite.check(answer(world, message, address("rsa")).startswith("250 "), "sent")
        copy = world.copies("arsip", address("rsa"))[-1]
        suite.equal(world.recipients_of(copy), 2, "recipients named in it")
        for leaf in (world.leaves["rsa"], world.organisation):
            suite.check(b"kenari-7731" in (world.decrypt(copy, leaf) or b""), leaf.cert)
    finally:
        world.configure(other=RULES.format(copy=""))


@suite.test("pretend: it goes in clear as it came, and the log says that it would have been encrypted")
def _(world):
    message = world.sealed("pura", body="Isi: kenari-7731\r\n")
    world.configure(other=RULES.format(copy="") + " pretend = true;")
    try:
        suite.check(answer(world, message, address("rsa")).startswith("250 "), "sent")
        suite.equal(world.copies("pura", address("rsa")), [message], "what went on")
        line = world.lines_about(address("rsa"))[-1]
        suite.check(" encrypted=yes " in line and " pretend=yes " in line, line)
        suite.check(answer(world, message, address("mentah")).startswith("250 "), "without a certificate")
    finally:
        world.configure(other=RULES.format(copy=""))


@suite.test("a certificate that is held a moment ago counts no longer, and its message waits in no queue")
def _(world):
    message = world.sealed("baru")
    cert = world.leaves["boleh"].sha256
    suite.check(answer(world, message, address("boleh")).startswith("250 "), "before")
    world.must("cert", "hold", cert, "--reason", "uji")
    try:
        world.hand(b"Received: x\r\n" + message, address("boleh"))
        suite.check(b"multipart/signed" in world.copies("baru", address("boleh"))[-1], "level may: in clear then")
    finally:
        world.must("cert", "unhold", cert, "--reason", "selesai")


@suite.test("the trusted authorities are away: what must be encrypted waits, what is internal goes")
def _(world):
    message = world.sealed("otoritas")
    world.split.stop()
    trust, hidden = world.path("trust", "crl"), world.path("trust", "crl.hidden")
    os.rename(trust, hidden)
    os.makedirs(trust)
    try:
        world.start_split()
        suite.check(answer(world, message, address("rsa")).startswith("451 "), "must")
        suite.check(answer(world, message, "rekan3@kota.example").startswith("250 "), "internal")
    finally:
        world.split.stop()
        os.rmdir(trust)
        os.rename(hidden, trust)
        world.start_split()
    suite.check(answer(world, message, address("rsa")).startswith("250 "), "afterwards")


@suite.test("20 MB, encrypted: whole at the other end, and how much memory it takes")
def _(world):
    line = "x" * 74 + "\r\n"
    message = world.sealed("besar", body=line * (20 * 1024 * 1024 // len(line)))
    world.split.stop()
    world.start_split()
    suite.check(answer(world, world.sealed("kecil"), address("rsa")).startswith("250 "), "a small one before")
    before = peak(world)
    suite.check(answer(world, message, address("rsa")).startswith("250 "), "sent")
    grown = (peak(world) - before) / len(message)
    copy = world.copies("besar", address("rsa"))[-1]
    entity = world.decrypt(copy, world.leaves["rsa"])
    suite.equal(entity.replace(b"\r\n", b"\n").partition(b"\n\n")[2], message.replace(b"\r\n", b"\n").partition(b"\n\n")[2], "the body inside")
    print(f"      {len(message)} bytes; peak memory over that of a small one: {grown:.2f} x message", flush=True)
    # A sanitizer keeps what is freed, for a while.
    suite.check("release" not in world.build or grown <= 1.2, f"{grown:.2f} x message, wanted at most 1.2")


def peak(world):
    """Most bytes that segel-split ever had in memory."""
    with open(f"/proc/{world.split.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) * 1024


@suite.test("a canary in what is encrypted stands in no file of segel-split, and in none of its logs")
def _(world):
    message = world.sealed("kenari", body="Isi: burung-kenari-7731-rahasia\r\n")
    suite.check(answer(world, message, address("rsa")).startswith("250 "), "sent")
    found = []
    for folder in (world.state, world.path("log")):
        for top, _, names in os.walk(folder):
            for name in names:
                with open(os.path.join(top, name), "rb") as file:
                    if b"burung-kenari" in file.read():
                        found.append(name)
    suite.equal(found, [], "files with the canary")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
