#!/usr/bin/python3
"""Encrypted mail that arrives: what is opened, what passes as it came, what is held; openssl(1) makes all of it.

Every text inside holds a word of its own. At the end that word is looked for in everything that the gateway and the mail server have written:
it stands in mailboxes only, and only in those of messages that were to be opened.
"""

import base64
import contextlib
import hashlib
import json as jsonlib
import os
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

import chain
import client
import deadline
import outside
import suite
from openssl_ca import run
from outside import BUDI, OTHER, OWN, PARTNER, Outside
from place import HOLD_GID, INBOUND_UID, KEYD_UID, MILTER_UID, REVIEWD_UID
from suite import check, equal
from world import OTHER_DOMAIN, OWN_DOMAIN, parsed

ARSIP = f"arsip@{OWN_DOMAIN}"   # of the same unit as OWN
CAMAT = f"camat@{OWN_DOMAIN}"   # of another one
BATAS = f"batas@{OWN_DOMAIN}"   # with a key of its own
GAGAL = f"gagal@{OWN_DOMAIN}"   # handed on to a listener that refuses it
SURAT = f"surat@{OTHER_DOMAIN}" # not in an own domain
FIELD = "Authentication-Results"
GCM = ("-aes-256-gcm",)
CBC = ("-aes256",)
OAEP = ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256")


class Decrypting(Outside):
    reviewers = {login: outside.REVIEWERS[login] for login in ("rina", "wati")}

    def __init__(self, place):
        super().__init__(place)
        self.opening = []  # private keys of the agent's, for role inbound
        self.clear = set() # tokens of messages that are delivered in clear

    def make_domains(self):
        self.must("domain", "add", "provinsi.example", "--kind", "partner")
        self.must("unit", "add", "CAMAT", "Kecamatan")
        for address, unit in ((OWN, "UMUM"), (ARSIP, "UMUM"), (GAGAL, "UMUM"), (PARTNER, "UMUM"), (CAMAT, "CAMAT"), (BATAS, "CAMAT")):
            self.must("address", "add", address, "--unit", unit)

    def make_certificates(self):
        issue, people = self.issuing.issue, [PARTNER, OTHER]
        self.certs = {"good": issue("good", people), "revoked": issue("revoked", people), "foreign": self.stranger.issue("foreign", people),
                      "silent": self.silent.issue("silent", people)}
        for name in ("good", "revoked"):
            self.must("cert", "import", self.certs[name].cert, "--kind", "jabatan")
            self.must("bind", "add", self.certs[name].sha256, "--purpose", "verify", "--address", PARTNER)
        self.issuing.revoke(self.certs["revoked"])
        self.make_opening("umum", "rsa2048", "jabatan", "--unit", "UMUM")
        self.make_opening("umum-ec", "ec", "jabatan", "--unit", "UMUM")
        self.make_opening("lama", "ec", "jabatan", "--address", OWN)
        self.make_opening("pribadi", "rsa2048", "individu", "--address", OWN)
        self.make_opening("batas", "rsa2048", "jabatan", "--address", BATAS)
        self.make_opening("tiada", "rsa2048", "jabatan", "--address", OWN)
        self.opening.pop()  # registered, and the agent does not hold it
        self.must("cert", "revoke", self.certs["lama"].sha256, "--reason", "MUTASI")
        with open(os.path.join(self.mta.etc, "transport"), "a", encoding="ascii") as out:
            out.write(f"{GAGAL} smtp:[127.0.0.1]:{self.mta.ports['documented']}\n")
        self.write_config()

    def make_opening(self, name, algorithm, kind, where, what):
        leaf = self.issuing.issue(name, [what if "@" in what else OWN], usage="keyEncipherment" if algorithm == "rsa2048" else "keyAgreement",
                                  algorithm=algorithm)
        self.certs[name] = leaf
        kept = self.path("keys", name + ".key")
        run("openssl", "pkcs8", "-topk8", "-in", leaf.key, "-out", kept, "-passout", "file:" + self.authority.passphrase_file)
        os.chown(kept, KEYD_UID, KEYD_UID)
        os.chmod(kept, 0o600)
        self.must("cert", "import", leaf.cert, "--kind", kind)
        self.must("bind", "add", leaf.sha256, "--purpose", "encrypt", where, what)
        self.opening.append(kept)

    def settings(self):
        rows = [f'{{ file = "{key}"; passphrase_file = "{self.path("keys", "passphrase")}"; limit = 6000; purpose = "decrypt"; '
                f'unwrappers = [ "{INBOUND_UID}" ]; }}' for key in self.opening]
        settings = super().settings()
        if not rows:
            return settings
        return {**settings, "keys": ", ".join([settings["keys"], *rows] if settings["keys"] else rows),
                "unwrappers": f'unwrappers = [ "{REVIEWD_UID}", "{INBOUND_UID}" ];', "policy": "decrypt: { use = true; };"}

    def reload(self):
        before = self.filter_log("inbound").count("reloaded ")
        self.milters["inbound"].send(signal.SIGHUP)
        deadline.until("the new settings", lambda: self.filter_log("inbound").count("reloaded ") > before, 45)

    # --- mail ---

    def secret(self, token, charset="us-ascii"):
        return (f"Content-Type: text/plain; charset={charset}\n\nKata sandi: kenari-{token}.\n").encode()

    def inside(self, token, signer="good", content=None):
        """What is encrypted: signed, or not."""
        content = content or self.secret(token)
        return self.entity(signer, token, content=content) if signer else content

    def encrypt(self, content, *certs, options=CBC):
        path = self.path("ca", "content")
        with open(path, "wb") as out:
            out.write(content)
        words = [word for name in certs for word in ("-recip", self.certs[name].cert, *(OAEP if options[-1] == OAEP[-1] else ()))]
        return run("openssl", "cms", "-encrypt", *[word for word in options if word not in OAEP], "-in", path, *words)

    def letter(self, token, *certs, sender=PARTNER, signer="good", content=None, options=CBC, more=()):
        """From, To, Subject outside; signed and encrypted inside."""
        return self.head(sender, OWN, token, *more) + self.encrypt(self.inside(token, signer, content), *certs or ("umum",), options=options)

    def opened(self, token, message, recipients=(OWN,), sender=PARTNER):
        """Sends it, and returns what lies in the mailbox of the first: decrypted, and one well-formed entity."""
        self.clear.add(token)
        [delivered] = self.passed(token, message, recipients, sender)[:1]
        check(f"kenari-{token}".encode() in delivered.replace(b"=\n", b""), f"not in clear:\n{delivered.decode(errors='replace')}")
        read = parsed(delivered)
        equal(read.defects + [defect for part in read.walk() for defect in part.defects], [], "defects, as Python reads it")
        for name in ("Content-Type", "MIME-Version", "Subject", "From", FIELD):
            equal(len(read.get_all(name, [])), 1, f"fields {name}")
        check("(decrypted)" in read[FIELD].replace("\n", ""), read[FIELD])
        equal(self.record(token)["decrypted"], "yes", "in the record")
        return delivered

    def passed(self, token, message, recipients=(OWN,), sender=PARTNER):
        outcome = self.arrive(sender, list(recipients), message)
        check(outcome.accepted, outcome)
        return [self.wait_delivered(address, f"<{token}.1@".encode())[0] for address in recipients]

    def untouched(self, token, message, recipients=(OWN,), sender=PARTNER):
        """Sends it, and looks at the mailbox: the same ciphertext, for each of them."""
        body = message.partition(b"\n\n")[2].replace(b"\r", b"").rstrip()
        for delivered in self.passed(token, message, recipients, sender):
            check(delivered.rstrip().endswith(body), f"{token}: not as it came:\n{delivered[-2000:].decode(errors='replace')}")
            check(b"(decrypted)" not in delivered, "the results say that it was decrypted")
        record = self.record(token)
        equal(record["decrypted"], "no", f"{token}: in the record")
        equal([key for key in record.values if key.startswith("decrypt-")], [], f"{token}: said of it")
        return record

    def record(self, token):
        return [record for record in self.verdicts() if token + ".1@" in record["msgid"]][-1]

    def kept(self, token, message, reason, recipient=OWN, sender=PARTNER):
        """Sends it; it is held (or refused, and held), and what is held is the ciphertext. The client's last reply."""
        outcome = self.arrive(sender, [recipient], message)
        self.wait_idle()
        equal(self.mailbox(recipient, f"<{token}.1@".encode()), [], f"{token}: delivered")
        record = self.record(token)
        check(record["action"] in ("hold", "reject+hold") and reason in record["reason"].split(","), record)
        equal(record["decrypted"], "no", "in the record")
        raw = self.quarantine("wati", "export", record["item"], "--reason", "periksa").raw
        check(message.partition(b"\n\n")[2].replace(b"\r", b"").strip() in raw.replace(b"\r", b""), f"{token}: not held as it came:\n{raw[:3000]}")
        return outcome.last


def make_world(place):
    return Decrypting(place).make().start()


# --- what is opened ---

OPENED = (
    # what, certificates, signer inside, options, the record's cipher, what the results say
    ("v1.5 and CBC, signed inside", ("umum",), "good", CBC, "aes-256-cbc", "pass"),
    ("v1.5 and AES-128-CBC, signed inside", ("umum",), "good", ("-aes128",), "aes-128-cbc", "pass"),
    ("OAEP", ("umum",), "good", CBC + OAEP, "aes-256-cbc", "pass"),
    ("GCM, signed inside", ("umum",), "good", GCM, "aes-256-gcm", "pass"),
    ("GCM, not signed", ("umum",), None, GCM, "aes-256-gcm", "none"),
    ("ECDH on P-256", ("umum-ec",), "good", CBC, "aes-256-cbc", "pass"),
    ("ECDH and GCM", ("umum-ec",), None, GCM, "aes-256-gcm", "none"),
    ("to a certificate that was revoked since", ("lama",), "good", CBC, "aes-256-cbc", "pass"),
    ("also to somebody else's", ("foreign", "umum"), "good", CBC, "aes-256-cbc", "pass"),
)


@suite.test("v1.5, OAEP, ECDH, CBC signed inside, GCM with and without a signature: delivered in clear, and said so")
def _(world):
    for n, (what, certs, signer, options, cipher, result) in enumerate(OPENED):
        token = f"buka-{n}"
        delivered = world.opened(token, world.letter(token, *certs, signer=signer, options=options))
        check(f"smime={result}" in outside.smime_result(parsed(delivered)[FIELD]), f"{what}: {parsed(delivered)[FIELD]}")
        record = world.record(token)
        equal((record["decrypt-cipher"], record["signature"]), (cipher, "good" if signer else ""), f"{what}: in the record")
        clear_to_gmime(world, delivered, what)
        if signer:
            check(judged(world, delivered), f"{what}: openssl does not verify what was delivered")
            equal(record["decrypt-layers"], "encrypted/signed", what)
        equal(record["action"], "accept" if signer else "tag", f"{what}: action")


def clear_to_gmime(world, delivered, what):
    """Our own second reader: GMime and our scanner see the same parts (MIME_AMBIGUOUS otherwise)."""
    path = world.path("ca", "delivered")
    with open(path, "wb") as out:
        out.write(delivered)
    answer = world.segelctl("explain", "--role", "inbound", "--json", path)
    equal(jsonlib.loads(answer.out)["mime"], "clear", f"{what}: {answer}")


def judged(world, delivered):
    path = world.path("ca", "delivered")
    with open(path, "wb") as out:
        out.write(delivered)
    done = subprocess.run(["openssl", "cms", "-verify", "-in", path, "-CAfile", world.root.cert, "-out", os.devnull], capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60)
    return done.returncode == 0


@suite.test("segelctl explain says of a file that it would be opened on arrival")
def _(world):
    path = world.path("ca", "explained")
    for message, said in ((world.letter("jelas"), True), (world.unsigned(PARTNER, OWN, "jelas"), False)):
        with open(path, "wb") as out:
            out.write(message)
        answer = world.segelctl("explain", "--role", "inbound", path)
        equal("decrypt:  not tried here" in answer.out, said, str(answer) + answer.out)


@suite.test("layers: triple wrapped; encrypted, then signed; encrypted twice; an opaque signature inside")
def _(world):
    once = world.encrypt(world.inside("lapis-1"), "umum")
    delivered = world.opened("lapis-1", world.head(PARTNER, OWN, "lapis-1") + world.entity("good", "lapis-1", content=once))
    check(judged(world, delivered), "triple wrapped: the inner signature")
    equal(world.record("lapis-1")["decrypt-layers"], "signed/encrypted/signed", "layers")
    # The signature outside may be anybody's: of what is inside it says nothing.
    once = world.encrypt(world.secret("lapis-2"), "umum", options=GCM)
    delivered = world.opened("lapis-2", world.head(PARTNER, OWN, "lapis-2") + world.entity("good", "lapis-2", content=once))
    check("smime=none" in outside.smime_result(parsed(delivered)[FIELD]), parsed(delivered)[FIELD])
    once = world.encrypt(world.secret("lapis-3"), "umum", options=CBC)
    world.kept("lapis-3", world.head(PARTNER, OWN, "lapis-3") + world.entity("good", "lapis-3", content=once), "DEC_FAILED")
    twice = world.encrypt(world.encrypt(world.inside("lapis-4"), "umum"), "umum-ec")
    world.opened("lapis-4", world.head(PARTNER, OWN, "lapis-4") + twice)
    unnamed = world.letter("lapis-6").replace(b" smime-type=enveloped-data;", b"", 1)
    check(b"enveloped-data" not in unnamed, unnamed)
    world.opened("lapis-6", unnamed)
    opaque = world.entity("good", "lapis-5", content=world.secret("lapis-5"), options=["-nodetach"])
    outcome = world.passed("lapis-5", world.head(PARTNER, OWN, "lapis-5") + world.encrypt(opaque, "umum"))
    check(judged(world, outcome[0]) and parsed(outcome[0]).get_param("smime-type") == "signed-data", "an opaque signature")
    equal(world.record("lapis-5")["decrypted"], "yes", "in the record")


@suite.test("who gets it: two of one unit do; one who is not entitled, or of another domain, and it stays as it came for all")
def _(world):
    world.opened("dua", world.letter("dua"), [OWN, ARSIP])
    check(b"kenari-dua" in world.mailbox(ARSIP, b"<dua.1@")[0], "the second's copy")
    world.untouched("asing-1", world.letter("asing-1"), [OWN, CAMAT])
    world.untouched("asing-2", world.letter("asing-2"), [OWN, SURAT])
    world.untouched("asing-3", world.letter("asing-3", "umum", "batas"), [OWN, BATAS])  # each can read it, and no key is both's
    world.untouched("asing-4", world.letter("asing-4"), [CAMAT])
    world.untouched("asing-5", world.letter("asing-5", "foreign"))
    record = world.untouched("tiada", world.letter("tiada", "tiada"))
    equal((record["action"], record["reason"]), ("accept", "ENC_UNREADABLE"), "a key that the agent does not hold")
    hacked = f"dinas%{OWN_DOMAIN}@{OWN_DOMAIN}"  # the mail server makes OWN of it, and others may read it in another way
    outcome = world.arrive(PARTNER, [hacked], world.letter("rute"))
    check(outcome.accepted, outcome)
    world.wait_idle()
    check(not any(b"kenari" in message for message in world.mta.delivered() if b"<rute.1@" in message), "%-hack: opened")
    equal(world.record("rute")["decrypted"], "no", "%-hack: in the record")
    # An encrypted part of something else is nobody's whole message (EFAIL's direct exfiltration).
    around = (b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/html\n\n<img src="http://luar.example/\n--b\n'
              + world.encrypt(world.inside("gambar"), "umum").partition(b"\n")[2] + b'\n--b\nContent-Type: text/html\n\n">\n--b--\n')
    [delivered] = world.passed("gambar", world.head(PARTNER, OWN, "gambar") + around)
    check(b"kenari" not in delivered and world.record("gambar")["decrypted"] == "", "a part is opened")
    record = world.untouched("pribadi", world.letter("pribadi", "pribadi"))
    equal((record["action"], record["reason"]), ("accept", "ENC_UNREADABLE"), "a person's own")


def hidden(world, token, recipient):
    """Head outside and entity inside of a message that hides its Subject (RFC 9788), with what else no stranger may write."""
    outer = world.head(PARTNER, recipient, token).replace(f"Subject: Undangan {token}".encode(), b"Subject: [...]")
    rest = f"To: {recipient}\nDate: Mon, 02 Nov 2026 08:00:00 +0700\nMessage-ID: <{token}.1@luar.example>\n"
    outside_of_it = "".join(f"HP-Outer: {line}\n" for line in (f"From: {PARTNER}\n{rest}Subject: [...]").split("\n"))
    fields = (f"From: {PARTNER}\n{rest}Subject: Rahasia =?utf-8?q?n=C3=A9?=\nX-Segel-Palsu: ya\n"
              f"Authentication-Results: mail.kota.example; smime=pass\n{outside_of_it}")
    return outer, (fields + f'Content-Type: text/plain; charset=us-ascii; hp="cipher"\n\nKata sandi: kenari-{token}.\n').encode()


@suite.test("what the head inside says: a hidden Subject comes out; From, Sender and results do not")
def _(world):
    outer, content = hidden(world, "tajuk", OWN)
    read = parsed(world.opened("tajuk", outer + world.encrypt(world.inside("tajuk", content=content), "umum")))
    equal((str(read["Subject"]), str(read["From"])), ("Rahasia n\u00e9", PARTNER), "what comes out")
    equal((read["X-Segel-Palsu"], len(read.get_all(FIELD)), read["HP-Outer"]), (None, 1, None), "what does not")
    check("smime=pass" in outside.smime_result(read[FIELD]), read[FIELD])
    # The same, and another From inside: not what its sender protected.
    forged = content.replace(f"From: {PARTNER}".encode(), f"From: {OTHER}".encode()).replace(b"kenari-tajuk", b"kenari-palsu").replace(b"tajuk.1@", b"palsu.1@")
    world.kept("palsu", outer.replace(b"tajuk", b"palsu") + world.encrypt(world.inside("palsu", content=forged), "umum"), "HEADER_MISMATCH")
    # Not signed: nothing protects the fields, and the Subject stays as it is.
    plain = content.replace(b"kenari-tajuk", b"kenari-polos").replace(b"tajuk.1@", b"polos.1@")
    read = parsed(world.opened("polos", outer.replace(b"tajuk", b"polos") + world.encrypt(plain, "umum", options=GCM)))
    equal((str(read["Subject"]), read["X-Segel-Palsu"]), ("[...]", None), "without a signature")


@suite.test("a signer who does not count: revoked, of no authority, another's; what is held is the ciphertext")
def _(world):
    reply = world.kept("cabut", world.letter("cabut", signer="revoked"), "CERT_REVOKED")
    check(reply.says("550", "CERT_REVOKED"), reply)
    world.kept("cabut-gcm", world.letter("cabut-gcm", signer="revoked", options=GCM), "CERT_REVOKED")
    world.kept("luar", world.letter("luar", signer="foreign"), "CERT_UNTRUSTED")
    # Of mail that is not official the table lets such a signer pass, with a word: that proves nothing where the cipher does not.
    record = world.kept("warga", world.letter("warga", signer="foreign", sender=OTHER), "DEC_FAILED", sender=OTHER) and world.record("warga")
    check(record["signer"] == "" and "CERT_UNTRUSTED" not in record["reason"], record)
    counted = [one for one in chain.read_folder(world.path("audit-keyd")) if one.event == "decrypt-failed" and one["session"] == record["id"]]
    equal(len(counted), 1, "counted at the key agent like any other that does not open")
    check(int(record["ms"]) >= 100, f"answered before the end of the slot: {record['ms']} ms")
    # Nor is it a failure, nor anything of the sender's, that nobody knows a good signer's status.
    outcome = world.arrive(OTHER, [OWN], world.letter("warga-diam", signer="silent", sender=OTHER))
    check(outcome.last.says("451", "4.3.0", "KEY_UNAVAILABLE"), outcome)
    record = world.record("warga-diam")
    equal((record["action"], record["decrypted"], record["signer"]), ("defer", "no", ""), record)
    counted = [one for one in chain.read_folder(world.path("audit-keyd")) if one.event == "decrypt-failed" and one["session"] == record["id"]]
    equal(counted, [], "counted at the key agent")
    world.opened("warga-diam-gcm", world.letter("warga-diam-gcm", signer="silent", sender=OTHER, options=GCM), sender=OTHER)
    world.opened("warga-gcm", world.letter("warga-gcm", signer="foreign", sender=OTHER, options=GCM), sender=OTHER)
    equal(world.record("warga-gcm")["action"], "tag", "with GCM")


def tampered(message, where):
    head, _, body = message.partition(b"\n\n")
    der = bytearray(base64.b64decode(body))
    der[where if where >= 0 else len(der) + where] ^= 0x20
    return head + b"\n\n" + base64.encodebytes(bytes(der))


def key_at(message, leaf_serial=b""):
    """Somewhere in the encrypted key: behind the algorithm's name, rsaEncryption."""
    return base64.b64decode(message.partition(b"\n\n")[2]).index(bytes.fromhex("06092a864886f70d010101")) + 80


@suite.test("whatever does not open: one answer, one record, all held as it came")
def _(world):
    cases = {
        "cbc-polos": world.letter("gagal-cbc-polos", signer=None),
        "kunci": (lambda one: tampered(one, key_at(one)))(world.letter("gagal-kunci")),
        "isi": tampered(world.letter("gagal-isi"), -200),
        "padding": tampered(world.letter("gagal-padding"), -20),
        "gcm-isi": tampered(world.letter("gagal-gcm-isi", options=GCM), -60),
        "gcm-tanda": tampered(world.letter("gagal-gcm-tanda", options=GCM), -3),
        "bukan-surat": world.letter("gagal-bukan-surat", signer=None, content=b"\x00\x01 kenari-gagal\n" * 9, options=GCM),
    }
    seen = set()
    for name, message in cases.items():
        reply = world.kept("gagal-" + name, message, "DEC_FAILED")
        record = world.record("gagal-" + name)
        stays = {key: record[key] for key in record.values if key not in ("qid", "msgid", "id", "item", "ms", "size", "prev", "hash")}
        seen.add((re.sub(r"queued as \w+", "", str(reply)), tuple(sorted(stays.items()))))
    equal(len(seen), 1, f"answers and records: {seen}")
    check("evidence" in dict(next(iter(seen))[1]) and "DEC_FAILED" in dict(next(iter(seen))[1])["reason"], seen)
    failed = [record for record in chain.read_folder(world.path("audit-keyd")) if record.event == "decrypt-failed"]
    equal(len([record for record in failed if record["session"] == world.record("gagal-isi")["id"]]), 1, "counted at the key agent")
    item = world.record("gagal-isi")["item"]
    answer = world.quarantine("rina", "release", item, "--reason", "asli")
    check(answer.code == 0, answer)
    [released] = world.wait_delivered(OWN, b"<gagal-isi.1@")
    check(cases["isi"].partition(b"\n\n")[2].strip() in released, "what is released is what came")
    equal(len(failed), len({record["session"] for record in failed}), "counted, one for each message")


@suite.test("after twenty failures from one client none is tried, and it looks the same; other keys go on")
def _(world):
    broken = tampered(world.letter("batas", "batas"), -20).replace(f"To: {OWN}".encode(), f"To: {BATAS}".encode())
    replies, took = [], []
    with world.session(port="server") as session:
        for n in range(23):
            message = broken.replace(b"<batas.1@", f"<batas{n}.1@".encode())
            began = time.monotonic()
            outcome = session.send(PARTNER, [BATAS], message)
            took.append(time.monotonic() - began)
            replies.append(re.sub(r"queued as \w+", "", str(outcome.last)))
        session.quit()
    equal(len(set(replies)), 1, f"answers: {set(replies)}")
    tried, not_tried = statistics.median(took[5:20]), statistics.median(took[20:])
    check(abs(tried - not_tried) < 0.04, f"tried took {tried * 1000:.1f} ms, not tried {not_tried * 1000:.1f} ms")
    good = world.letter("batas-baik", "batas").replace(f"To: {OWN}".encode(), f"To: {BATAS}".encode())
    world.kept("batas-baik", good, "DEC_FAILED", BATAS)
    records = [world.record(token) for token in ("batas0", "batas19", "batas20", "batas-baik")]
    equal(len({(record["action"], record["reason"], record["evidence"], record["decrypted"]) for record in records}), 1, "records")
    world.opened("lain-kunci", world.letter("lain-kunci"))


@suite.test("the key agent down, the registry down: 4xx, and delivered in clear afterwards")
def _(world):
    message = world.letter("mati")
    world.keyd.stop()
    outcome = world.arrive(PARTNER, [OWN], message)
    check(400 <= outcome.last.code < 500 and outcome.last.says("KEY_UNAVAILABLE"), outcome)
    equal(world.record("mati")["decrypted"], "no", "in the record")
    looked = world.as_user(INBOUND_UID, [MILTER_UID, HOLD_GID], world.path("bin", "segel-milter"), "-c", world.config, "-r", "inbound", "-n")
    check(b"encrypted mail that arrives is deferred" in looked.stdout + looked.stderr, looked)
    world.start_keyd()
    world.opened("mati", message)
    message = world.letter("daftar", sender=OTHER, signer=None, options=GCM)
    with outside.away(world.registry):
        outcome = world.arrive(OTHER, [OWN], message)
    check(400 <= outcome.last.code < 500, outcome)
    world.opened("daftar", message, sender=OTHER)


@suite.test("content: UTF-8 in 8 bits, SMTPUTF8, nothing at all, 5 MB, several parts")
def _(world):
    delivered = world.opened("bit8", world.letter("bit8", signer=None, options=GCM, content=(
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nn\u00e9 kenari-bit8 \u65e5\n").encode()))
    check("n\u00e9 kenari-bit8 \u65e5" in parsed(delivered).get_content(), "8 bits")
    world.opened("bit8-tanda", world.letter("bit8-tanda", content=(
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nn\u00e9 kenari-bit8-tanda\n").encode()))
    empty = world.passed("kosong", world.letter("kosong", signer=None, content=b"Content-Type: text/plain\n\n", options=GCM))[0]
    equal((world.record("kosong")["decrypted"], parsed(empty).get_content().strip()), ("yes", ""), "nothing inside")
    parts = (b'Content-Type: multipart/mixed; boundary="b"\n\n--b\n' + world.secret("bagian")
             + b'\n--b\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; '
             b'filename="a.bin"\n\n' + base64.encodebytes(bytes(range(256))) + b"--b--\n")
    read = parsed(world.opened("bagian", world.letter("bagian", signer=None, content=parts, options=GCM)))
    equal([part.get_content_type() for part in read.walk()], ["multipart/mixed", "text/plain", "application/octet-stream"], "parts")
    equal(list(read.iter_attachments())[0].get_content(), bytes(range(256)), "the attachment")
    lines = b"".join(b"%07d %s\n" % (n, b"x" * 64) for n in range(70000))
    big = world.opened("besar", world.letter("besar", content=world.secret("besar") + lines))
    clear_to_gmime(world, big, "5 MB")
    check(lines[-80:] in big and judged(world, big), "5 MB")
    with world.session(port="server") as session:
        session.mail("jos\u00e9@provinsi.example", ("SMTPUTF8", "BODY=8BITMIME"))
        session.rcpt(OWN)
        message = world.letter("utf8", sender=PARTNER)
        check(session.data(message).good, session.replies[-1])
        session.quit()
    check(b"kenari-utf8" in world.wait_delivered(OWN, b"<utf8.1@")[0], "SMTPUTF8")
    world.clear.add("utf8")


@suite.test("a bounce carries nothing of what was opened; of other mail it does")
def _(world):
    sender = f"pengirim@{OTHER_DOMAIN}"
    for token, options in (("pantul", ("RET=FULL", "ENVID=surat+2B7")), ("pantul-biasa", ())):
        message = world.letter(token, signer=None, options=GCM) if options else world.unsigned(PARTNER, GAGAL, token).replace(
            b"Rapat", b"kenari-pantul-biasa Rapat")
        with world.session(port="server") as session:
            session.mail(sender, options)
            session.rcpt(GAGAL)
            check(session.data(message).good, session.replies[-1])
            session.quit()
    bounces = world.wait_delivered(sender, b"530 5.7.0", count=2)
    [opened] = [bounce for bounce in bounces if b"<pantul.1@" in bounce]
    [plain] = [bounce for bounce in bounces if b"<pantul-biasa.1@" in bounce]
    equal(world.record("pantul")["decrypted"], "yes", "it was opened")
    check(b"kenari-pantul-biasa" in plain, f"what is not opened comes back whole:\n{plain.decode()}")
    check(b"kenari" not in opened and b"text/rfc822-headers" in opened, f"it carries what was opened:\n{opened.decode()}")
    told = world.segelctl("explain", world.record("pantul")["qid"]).out
    check("decrypted    yes" in told and "delivered in clear" in told and "aes-256-gcm" in told, told)
    check(b"Original-Envelope-Id: surat+7" in opened, f"ENVID is gone:\n{opened.decode()}")
    # Its header comes back: a Subject that was hidden comes out only where the bounce is its author's.
    outer, content = hidden(world, "pantul-tajuk", GAGAL)
    sealed = outer + world.encrypt(world.inside("pantul-tajuk", content=content), "umum")
    check(world.arrive(sender, [GAGAL], sealed).accepted, "a hidden Subject")
    [bounce] = world.wait_delivered(sender, b"<pantul-tajuk.1@")
    equal(world.record("pantul-tajuk")["decrypted"], "yes", "it was opened")
    check(b"Rahasia" not in bounce and b"Subject: [...]" in bounce, f"it carries what was hidden:\n{bounce.decode()}")
    # From nobody: the bounce is the postmaster's, where there is one at all.
    with world.session(port="server") as session:
        session.mail("", ())
        session.rcpt(OWN)
        check(session.data(world.letter("kosong-pengirim", signer=None, options=GCM)).good, session.replies[-1])
        session.quit()
    check(b"kenari-kosong-pengirim" in world.wait_delivered(OWN, b"<kosong-pengirim.1@")[0], "from nobody")
    world.clear.add("kosong-pengirim")


@suite.test("switched off it passes as it came; pretending, too")
def _(world):
    for changed in ({"policy": ""}, {"policy": "decrypt: { use = true; }; pretend = true;"}):
        world.write_config(**changed)
        world.reload()
        token = "mati-" + str(len(changed["policy"]))
        [delivered] = world.passed(token, world.letter(token))
        check(b"kenari" not in delivered and b"(decrypted)" not in delivered, delivered)
        equal(world.record(token)["decrypted"], "", "in the record")
    world.write_config()
    world.reload()
    world.opened("nyala", world.letter("nyala"))


@suite.test("originals: kept as they came, before they are delivered; not kept is not delivered; and not for ever")
def _(world):
    folder = world.path("state-inbound", "originals")

    def originals():
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    try:
        world.write_config(policy=f'decrypt: {{ use = true; keep_dir = "{folder}"; keep = "1h"; }};')
        world.reload()
        message = world.letter("asli")
        world.opened("asli", message)
        name, = originals()
        with open(os.path.join(folder, name), "rb") as file:
            kept = file.read()
        check(kept == client.with_crlf(message), "not the bytes that came")
        equal((os.stat(os.path.join(folder, name)).st_mode & 0o777, os.stat(folder).st_mode & 0o777), (0o600, 0o700), "who reads it")
        check(f"original={name}" in world.filter_log("inbound"), "not in the record")
        equal(world.arrive(OTHER, [OWN], world.unsigned(OTHER, OWN, "asli-polos")).accepted, True, "in clear")
        equal(originals(), [name], "of mail that came in clear")
        os.rename(folder, folder + ".away")
        with open(folder, "w", encoding="ascii"):
            pass
        tried = world.letter("asli-2")
        outcome = world.arrive(PARTNER, [OWN], tried)
        check(outcome.last.says("451", "4.3.0", "STORE_UNAVAILABLE"), outcome)
        os.unlink(folder)
        os.rename(folder + ".away", folder)
        world.opened("asli-2", tried)
        equal(len(originals()), 2, "originals")
        os.rename(os.path.join(folder, name), os.path.join(folder, f"{int(time.time()) - 3700}-{name.partition('-')[2]}"))
        with open(os.path.join(folder, "1-catatan.txt"), "w", encoding="ascii"):
            pass
        world.milters["inbound"].stop()
        world.start_milter("inbound")
        deadline.until("the old one to go", lambda: len(originals()) == 2 and "1-catatan.txt" in originals())
    finally:
        world.write_config()
        world.reload()


@suite.test("an MTA that lets nobody change the envelope's parameters gets it as it came, and the log says why")
def _(world):
    message = client.with_crlf(world.letter("tanpa"))
    for offers, opened in ((0x1FF, True), (0x1FF & ~CHGFROM, False)):
        edits = by_milter(world.mta.sockets["inbound"], offers, PARTNER, OWN, message)
        equal((b"kenari-tanpa" in edits.get(b"b", b""), b"e" in edits), (opened, opened), f"offering {offers:#x}: edits {sorted(edits)}")
    check("so a bounce could carry what was decrypted; nothing is" in world.filter_log("inbound"), "the log does not say so")
    world.clear.add("tanpa")


CHGFROM = 0x40
STEPS = 0x1FFFFF  # all that a filter may ask to be spared


def by_milter(path, offers, sender, recipient, message):
    """A mail server of ours, by the milter protocol: negotiates these actions, hands one message over. {command: its bytes} of the answer."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        stream = server.makefile("rb")

        def say(command, data=b""):
            server.sendall(struct.pack("!I", len(data) + 1) + command + data)

        def hear():
            [length] = struct.unpack("!I", stream.read(4))
            return stream.read(1), stream.read(length - 1)
        say(b"O", struct.pack("!III", 6, offers, STEPS))
        equal(hear()[0], b"O", "negotiation")
        say(b"C", b"luar.example\x004" + struct.pack("!H", 2525) + b"127.0.0.1\0")
        say(b"D", b"Mi\0TANPA1\0{tls_version}\0TLSv1.3\0{cipher}\0TLS_AES_256_GCM_SHA384\0")
        say(b"M", f"<{sender}>\0".encode())
        equal(hear()[0], b"c", "MAIL")
        say(b"D", f"R{{rcpt_addr}}\0{recipient}\0".encode())
        say(b"R", f"<{recipient}>\0".encode())
        head, _, body = message.partition(b"\r\n\r\n")
        for field in re.split(rb"\r\n(?![ \t])", head):
            name, _, value = field.partition(b":")
            say(b"L", name + b"\0" + value.replace(b"\r\n", b"\n") + b"\0")
        say(b"B", body)
        say(b"E")
        edits = {}
        while True:
            command, data = hear()
            edits[command] = edits.get(command, b"") + data
            if command in b"acrty":
                say(b"Q")
                return edits


# --- large mail: opened in its own memory, its bytes in a file without a name meanwhile ---

def large(token, megabytes):
    """An entity that makes a message of so many MB when openssl encrypts it: of its 66 bytes a line 48 are content."""
    begin = f"Content-Type: text/plain; charset=us-ascii\n\nKata sandi: kenari-{token}.\n".encode()
    return begin + b"".join(b"%07d %s\n" % (n, b"z" * 61) for n in range(megabytes * (1 << 20) * 48 // 66 // 71))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def status_of(daemon, name):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as status:
        return int(re.search(name + r":\s+(\d+) kB", status.read())[1]) * 1024


def nameless(world):
    """Files that the filter has open and that have no name."""
    folder = f"/proc/{world.milters['inbound'].process.pid}/fd"
    links = []
    for number in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(os.path.join(folder, number)))
    return [link for link in links if link.startswith(world.folder) and link.endswith("(deleted)")]


def inside_of(message):
    return message.partition(b"\n\n")[2].rstrip()


@suite.test("30 MB, opened: byte for byte, and the filter needs no more memory than 1.2 of the message; no file is left")
def _(world):
    megabytes = 30 if "release" in world.build else 3
    for what, signer, options in (("GCM", None, GCM), ("CBC, signed inside", "good", CBC)):
        token = "raya-" + what[:3].lower()
        content = large(token, megabytes)
        message = world.letter(token, signer=signer, content=content, options=options)
        size = len(client.with_crlf(message))
        world.milters["inbound"].stop()
        world.start_milter("inbound")
        world.opened(f"hangat-{token}", world.letter(f"hangat-{token}"))  # what the libraries take once is idle
        names, idle = sorted(os.listdir(world.path("state-inbound"))), status_of(world.milters["inbound"], "VmRSS")
        delivered = world.opened(token, message)
        above = (status_of(world.milters["inbound"], "VmHWM") - idle) / size
        print(f"      {what}: {size / 1e6:.1f} MB, {above:.2f} of it above idle", flush=True)
        check(judged(world, delivered) if signer else sha256(inside_of(delivered)) == sha256(inside_of(content)), f"{what}: not as it was written")
        equal((nameless(world), sorted(os.listdir(world.path("state-inbound")))), ([], names), f"{what}: files")
        check(above < 1.2 or "release" not in world.build, f"{what}: {above:.2f} of the message above idle; wanted at most 1.2")


@suite.test("3 MB that is held, kept, let through or not for us: byte for byte what came, whatever was made of its memory")
def _(world):
    def held(token, message, reason, sender=PARTNER):
        world.kept(token, message, reason, sender=sender)
        raw = world.quarantine("wati", "export", world.record(token)["item"], "--reason", "periksa").raw
        equal(sha256(raw), sha256(client.with_crlf(message)), f"{token}: what is held")

    def as_it_came(token, message):
        world.untouched(token, message)
        [delivered] = world.mailbox(OWN, f"<{token}.1@".encode())
        equal(sha256(inside_of(delivered)), sha256(inside_of(message)), f"{token}: what is delivered")
        return world.record(token)

    held("raya-cabut", world.letter("raya-cabut", signer="revoked", content=large("raya-cabut", 3), options=GCM), "CERT_REVOKED")
    held("raya-warga", world.letter("raya-warga", signer="foreign", sender=OTHER, content=large("raya-warga", 3)), "DEC_FAILED", OTHER)
    broken = tampered(world.letter("raya-isi", content=large("raya-isi", 3)), -200)
    held("raya-isi", broken, "DEC_FAILED")
    held("raya-tanda", tampered(world.letter("raya-tanda", content=large("raya-tanda", 3), options=GCM), -3), "DEC_FAILED")
    as_it_came("raya-asing", world.letter("raya-asing", "foreign", content=large("raya-asing", 3)))
    junk = world.letter("raya-rusak", content=large("raya-rusak", 3))
    as_it_came("raya-rusak", junk[:-2000] + b"%" + junk[-2000:])  # no base64
    folder = world.path("state-inbound", "originals")
    try:
        world.write_config(policy='decrypt: { use = true; keep_dir = "%s"; };\npolicy = ({ finding = "DEC_FAILED"; class = "inbound-official"; '
                                  'action = "tag"; });' % folder)
        world.reload()
        before = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        message = world.letter("raya-asli", content=large("raya-asli", 3))
        world.opened("raya-asli", message)
        [name] = set(os.listdir(folder)) - before
        with open(os.path.join(folder, name), "rb") as file:
            equal(sha256(file.read()), sha256(client.with_crlf(message)), "the original")
        record = as_it_came("raya-lewat", tampered(world.letter("raya-lewat", content=large("raya-lewat", 3)), -200))
        equal((record["action"], "DEC_FAILED" in record["reason"]), ("tag", True), "let through")
        equal(set(os.listdir(folder)) - before, {name}, "originals of what was not opened")
    finally:
        world.write_config()
        world.reload()


@suite.test("3 MB, and no room in the state folder: opened, held, and kept as before")
def _(world):
    check(world.place.isolated, "this test mounts, and needs mounts of its own")
    folder = world.path("state-inbound")
    world.milters["inbound"].stop()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=1500k,mode=0750,uid={INBOUND_UID},gid={INBOUND_UID}", "tmpfs", folder], check=True)
    try:
        with open(world.write_config(), "r+", encoding="utf-8") as file:
            text = file.read().replace('level = "info"', 'level = "debug"')
            file.seek(0)
            file.write(text)
        world.start_milter("inbound")
        content = large("sempit", 3)
        delivered = world.opened("sempit", world.letter("sempit", signer=None, content=content, options=GCM))
        equal(sha256(inside_of(delivered)), sha256(inside_of(content)), "what is delivered")
        message = tampered(world.letter("sempit-isi", content=large("sempit-isi", 3)), -200)
        world.kept("sempit-isi", message, "DEC_FAILED")
        raw = world.quarantine("wati", "export", world.record("sempit-isi")["item"], "--reason", "periksa").raw
        equal(sha256(raw), sha256(client.with_crlf(message)), "what is held")
        check("opened beside the message" in world.filter_log("inbound"), "there was room")
        equal(nameless(world), [], "files")
    finally:
        world.milters["inbound"].stop()
        subprocess.run(["umount", folder], check=True)
        world.write_config()
        world.start_milter("inbound")


@suite.test("the word stands in the mailboxes it was meant for, and nowhere else on the disk")
def _(world):
    world.wait_idle()
    for message in world.mta.delivered():
        if b"kenari-" in message:
            words = {word.decode() for word in re.findall(rb"kenari-([a-z0-9-]+)", message.replace(b"=\n", b""))}
            check(all(any(word.startswith(token) for token in world.clear) or word in ("pantul-biasa", "kosong-pengirim") for word in words), words)
    found, read = [], 0
    skipped = (world.path("ca"), os.path.join(world.mta.folder, "mail"))
    for folder, _, names in os.walk(world.folder):
        for name in names if not folder.startswith(skipped) else ():
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    content = file.read()
                read += 1
                if b"kenari" in content or base64.b64encode(b"kenari-")[:8] in content:
                    found.append(path)
    check(read > 30, f"{read} files were looked into")
    equal(found, [], "it stands in")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
