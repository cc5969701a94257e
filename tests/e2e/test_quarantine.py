#!/usr/bin/python3
"""`segelctl quarantine` as reviewers type it, each under a UNIX login of its own, against a real segel-reviewd and a real Postfix."""

import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time

import chain
import client
import deadline
import judge
import suite
from gateway import Account
from outside import OTHER, PARTNER, Outside
from place import OTHER_UID, PEOPLE, REVIEW_GID
from suite import check, equal
from world import OTHER_DOMAIN, OWN_DOMAIN, parsed

DIGEST = Account("karantina", "Karantina Surat", kind="sistem")
DIGEST_TO = [f"tim@{OWN_DOMAIN}", f"wati@{OWN_DOMAIN}"]


class QuarantineWorld(Outside):
    def __init__(self, place):
        super().__init__(place, accounts=(DIGEST,), roles=("submission", "inbound", "local"),
                         senders=f'{{ user = "sari"; from = [ "{DIGEST.address}" ]; }}')
        to = ", ".join(f'"{address}"' for address in DIGEST_TO)
        self.more["quarantine"] = (f'digest_from = "{DIGEST.address}"; digest_to = [ {to} ]; '
                                   f'sendmail = "{self.mta.programs.command}/sendmail";')

    def start(self):
        super().start()
        self.mta.own_etc()
        return self

    def hold_one(self, token, certificate="foreign", sender=PARTNER, recipients=None, message=None):
        """A message that is held, or refused with a copy kept; its item as list has it, and its bytes as they were sent."""
        recipients = recipients or [f"{token}@{OTHER_DOMAIN}"]
        message = client.with_crlf(message or self.signed(certificate, sender, recipients[0], token))
        self.arrive(sender, recipients, message)
        [row] = self.rows("wati", "--recipient", recipients[0])
        return row, message

    def rows(self, login, *words):
        answer = self.quarantine(login, "list", "--all", *words, json=True)
        equal(answer.code, 0, answer)
        return answer.data

    def must_say(self, login, *words, code=0, out="", err=""):
        answer = self.quarantine(login, *words)
        equal(answer.code, code, f"exit status of {answer}\n{answer.out}")
        for text in [out] if isinstance(out, str) else out:
            check(text in answer.out, f"{words}: wanted {text!r} in:\n{answer.out}")
        for text in [err] if isinstance(err, str) else err:
            check(text in answer.err, f"{words}: wanted {text!r} in:\n{answer.err}")
        return answer


def make_world(place):
    world = QuarantineWorld(place).make()
    answer = world.must("local", "sender-map", "--also", f"@{OTHER_DOMAIN}")
    world.mta.write_file("segel-senders", answer.out)
    return world.start()


# --- release ---

@suite.test("held for a forged certificate: listed, shown, viewed, released, and it arrives byte for byte")
def _(world):
    row, message = world.hold_one("lepas")
    equal((row["state"], row["reason"], row["action"], row["from"]), ("baru", "CERT_UNTRUSTED", "hold", PARTNER), "row")
    item = row["id"]
    world.must_say("rina", "list", out=[item[:12], "CERT_UNTRUSTED", PARTNER, "Undangan lepas"])
    world.must_say("rina", "view", item[:12], "--reason", "laporan penerima", out=["Rapat Senin pukul 09.00.", "Undangan lepas"])
    shown = world.must_say("rina", "show", item[:12], out=[
        "version 2", "state         ditinjau", "finding       CERT_UNTRUSTED", "that is", "what to do", f"From          {PARTNER}",
        "TLS           TLSv1.3", "leads to no authority that counts here", "rina looked into it, because: laporan penerima"])
    check(hashlib.sha256(message).hexdigest() in shown.out, f"the message's hash in:\n{shown.out}")
    world.must_say("rina", "release", item[:12], "--reason", "dikenal", "--version", "1", code=3, err="by now")
    world.must_say("rina", "release", item[:12], "--reason", "dikenal", "--version", "2", out="released")
    [arrived] = world.wait_delivered(row["recipient"])
    equal(body_behind_ours(arrived), message.replace(b"\r\n", b"\n"), "the released message, behind the fields that were put on top")
    equal(world.rows("rina", "--id", item)[0]["state"], "dilepas", "state")
    world.must_say("rina", "release", item[:12], "--reason", "lagi", code=3, err="already")
    world.wait_idle()
    equal(len(world.mailbox(row["recipient"])), 1, "copies")


def body_behind_ours(arrived):
    """Without trace fields of this delivery and the results field of ours, which stand on top."""
    return arrived[arrived.index(b"From: "):]


@suite.test("to one of its recipients, then to the others; to a stranger, or twice to the same: refused")
def _(world):
    names = [f"satu@{OTHER_DOMAIN}", f"dua@{OTHER_DOMAIN}", f"tiga@{OTHER_DOMAIN}"]
    row, _ = world.hold_one("sebagian", recipients=names)
    equal(row["n_recipients"], 3, "recipients")
    item = row["id"]
    world.must_say("rina", "release", item, "--to", f"lain@{OTHER_DOMAIN}", "--reason", "x", code=2, err="does not have")
    world.must_say("rina", "release", item, "--to", names[1], "--reason", "dikenal", out="released")
    world.wait_delivered(names[1])
    shown = world.must_say("rina", "show", item).out
    equal([bool(re.search(rf"to +<{name}>.*, released ", shown)) for name in names], [False, True, False], shown)
    world.must_say("rina", "release", item, "--to", names[1], "--reason", "x", code=3, err="already")
    world.must_say("rina", "release", item, "--to", names[0], names[2], "--reason", "dikenal", out="released")
    for name in names:
        world.wait_delivered(name)
    world.wait_idle()
    equal([len(world.mailbox(name)) for name in names], [1, 1, 1], "copies")


@suite.test("a finding for two persons: one proposes, the same one cannot be the second, another releases")
def _(world):
    row, _ = world.hold_one("berdua", message=world.signed("good", PARTNER, f"berdua@{OTHER_DOMAIN}", "berdua").replace(b"09.00", b"10.00"))
    equal(row["reason"], "SIG_INVALID", "reason")
    world.must_say("bagus", "release", row["id"], "--reason", "penerima menunggu", out="a second person must release it, too")
    world.must_say("rina", "show", row["id"], out=["menunggu persetujuan", "first of two: bagus", "does not hold: this is not what the signer signed"])
    world.must_say("bagus", "release", row["id"], "--reason", "cepat", code=3, err="not permitted")
    world.must_say("wati", "release", row["id"], "--reason", "diperiksa dengan pengirim", out="released")
    world.wait_delivered(row["recipient"])


@suite.test("a copy of what was refused is shown, viewed and exported, and never released")
def _(world):
    row, message = world.hold_one("dicabut", "revoked")
    equal((row["action"], row["reason"]), ("reject+hold", "CERT_REVOKED"), "row")
    world.must_say("rina", "show", row["id"], out=["revoked by the authority that issued it", "a copy was kept, which is never released"])
    world.must_say("rina", "view", row["id"], "--reason", "penyelidikan", out="Rapat Senin")
    world.must_say("rina", "release", row["id"], "--reason", "x", code=3, err="refused")
    world.must_say("wati", "release", row["id"], "--reason", "x", code=3)
    world.wait_idle()
    equal(world.mailbox(row["recipient"]), [], "delivered")


# --- bodies ---

@suite.test("export: to a new file of its own, or a pipe, byte for byte; never to a terminal, never over a file")
def _(world):
    row, message = world.hold_one("ekspor")
    folder = world.path("keluar")
    os.makedirs(folder)
    os.chown(folder, PEOPLE["rina"], PEOPLE["rina"])
    out = os.path.join(folder, "surat.eml")
    answer = world.must_say("rina", "export", row["id"], "--reason", "bukti", "--out", out, err=hashlib.sha256(message).hexdigest())
    with open(out, "rb") as file:
        equal(file.read(), message, "the file")
    equal(os.stat(out).st_mode & 0o777, 0o600, "its mode")
    world.must_say("rina", "export", row["id"], "--reason", "bukti", "--out", out, code=2, err="cannot be made")
    answer = world.quarantine("rina", "export", row["id"], "--reason", "bukti")
    equal((answer.code, answer.raw), (0, message), "a pipe")
    code, said = on_a_terminal(world, "rina", "export", row["id"], "--reason", "bukti")
    equal(code, 2, said)
    check(b"--out FILE" in said and b"Rapat" not in said, said)
    world.must_say("sari", "export", row["id"], "--reason", "bukti", "--out", os.path.join(folder, "lain.eml"), code=2)  # not her folder
    world.must_say("sari", "export", row["id"], "--reason", "bukti", code=3, err=["not permitted", "auditor"])
    equal(os.listdir(folder), ["surat.eml"], "files")


def on_a_terminal(world, login, *words):
    """Exit status, and what the terminal was sent."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(["setpriv", f"--reuid={PEOPLE[login]}", f"--regid={PEOPLE[login]}", f"--groups={REVIEW_GID}", "--",
                                world.path("bin", "segelctl"), "-c", world.config, "quarantine", *words],
                               stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, cwd="/", start_new_session=True)
    os.close(theirs)
    said = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:
            break
        if not more:
            break
        said += more
    os.close(ours)
    return process.wait(60), said


@suite.test("what a message says of itself does nothing to a terminal: in list, show and view")
def _(world):
    token = "kendali"
    evil = b"Subject: =?utf-8?q?Undangan_=E2=80=AEgnp.exe_=1B[2J=07_\xc2=9B?=\nX-Nama: \xe2\x80\xae\n"
    inner = b"Content-Type: text/plain; charset=utf-8\n\n\x1b[31mMerah\x1b[0m \xe2\x80\xaeterbalik\xe2\x80\xac \xe2\x80\x8btak terlihat\n"
    message = (f"From: {PARTNER}\nTo: {token}@{OTHER_DOMAIN}\nMessage-ID: <{token}.1@luar.example>\n".encode()
               + evil + world.entity("foreign", token, content=inner))
    row, _ = world.hold_one(token, message=message)
    for words in (["list"], ["show", row["id"]], ["view", row["id"], "--reason", "uji"]):
        code, said = on_a_terminal(world, "rina", *words)
        equal(code, 0, said)
        text = said.decode("utf-8", "strict")
        check(not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", text), f"{words}: {said!r}")
    check("Merah" in text and "terbalik" in text, text)
    long = world.signed("foreign", PARTNER, f"panjang@{OTHER_DOMAIN}", "panjang").replace(
        b"Subject: Undangan panjang", b"Subject: =?utf-8?q?" + "".join(f"={byte:02X}" for byte in ("x" + "\u00e9" * 40).encode()).encode() + b"?=")
    world.hold_one("panjang", message=long)
    _, said = on_a_terminal(world, "rina", "list")
    check("x" + "\u00e9" * 15 in said.decode("utf-8", "strict"), "a Subject was cut within a character")


# --- other acts ---

@suite.test("note, extend, legal hold on and off, delete: each with its reason, each in the history")
def _(world):
    row, _ = world.hold_one("riwayat")
    item = row["id"]
    world.must_say("bagus", "note", item, "--reason", "penerima menelepon", out="written down")
    world.must_say("rina", "extend", item, "--keep", "60d", "--reason", "penyelidikan", out="kept longer")
    world.must_say("rina", "extend", item, "--keep", "1d", "--reason", "x", code=3, err="longer than that already")
    world.must_say("rina", "extend", item, "--keep", "lama", "--reason", "x", code=2, err="30d")
    world.must_say("rina", "hold", item, "--reason", "x", code=3, err="not permitted")
    world.must_say("wati", "hold", item, "--reason", "perkara 7/2026", out="legal hold")
    equal([row["id"] for row in world.rows("sari", "--legal-hold")], [item], "under legal hold")
    world.must_say("wati", "delete", item, "--reason", "x", code=3, err="legal hold")
    world.must_say("wati", "hold", item, "--off", "--reason", "perkara selesai", out="legal hold")
    world.must_say("rina", "delete", item, "--reason", "sampah", out="a manager carries it out")
    world.must_say("wati", "delete", item, "--reason", "sampah", out="its body is gone")
    world.must_say("wati", "view", item, "--reason", "x", code=3, err="its body is gone")
    shown = world.must_say("sari", "show", item, out=["dihapus", "its body is gone", "(your role may not read it)", "because: perkara 7/2026"])
    check("Undangan" not in shown.out, shown.out)
    history = shown.out.partition("history\n")[2]
    for text in ("bagus noted", "rina has it kept longer", "wati put under legal hold", "wati taken off legal hold", "rina wants it deleted",
                 "wati deleted its body"):
        check(text in history, f"wanted {text!r} in:\n{history}")
    data = world.quarantine("sari", "show", item, json=True).data
    equal((data["item"]["state"], data["item"]["findings"][0]["reason"], "subject" in data["item"]), ("dihapus", "CERT_UNTRUSTED", False), "JSON")
    equal([event["what"] for event in data["history"]],
          ["held", "note", "extend", "hold", "unhold", "propose-delete", "delete"], "history as JSON")


@suite.test("a reason is asked for before anything is done, and must say something")
def _(world):
    row, _ = world.hold_one("alasan")
    for verb in (["view"], ["release"], ["export"], ["delete"], ["note"], ["hold"], ["extend", "--keep", "30d"]):
        answer = world.must_say("wati", verb[0], row["id"], *verb[1:], code=2, err="--reason TEXT is missing")
        check("goes on record" in answer.err, answer.err)
        world.must_say("wati", verb[0], row["id"], *verb[1:], "--reason", "  ", code=2, err="--reason is empty")
    equal(world.rows("wati", "--id", row["id"])[0]["version"], 1, "version")


@suite.test("every filter finds its own, and another value does not; the beginning of an id and a queue id name an item")
def _(world):
    row, message = world.hold_one("saring")
    item = world.quarantine("rina", "show", row["id"], json=True).data["item"]
    size = str(item["size"])
    filters = [("--state", "baru", "dihapus"), ("--finding", "CERT_UNTRUSTED", "POISON"), ("--class", "inbound-official", "local"),
               ("--action", "hold", "reject+hold"), ("--from", "SEKDA@", "camat@"), ("--sender", "sekda", "camat"),
               ("--recipient", "saring@", "kosong@"), ("--subject", "gan saring", "tak ada"), ("--signer", item["signer_serial"], "000000000"),
               ("--queue-id", row["queue_id"], "TIDAKADA"), ("--client", row["client"], "192.0.2.200"), ("--role", "inbound", "local"),
               ("--id", row["id"][:9], "fffffffff"), ("--tls", "TLSv1.3", "none"), ("--since", "1h", "2099-01-01"),
               ("--until", "2099-01-01", "2h"), ("--expires-before", "3000d", "1h"), ("--min-size", size, "34MiB"), ("--max-size", size, "10")]
    for option, good, bad in filters:
        found = [one["id"] for one in world.rows("rina", option, good, "--limit", "1000")]
        check(row["id"] in found, f"{option} {good}: {found}")
        found = [one["id"] for one in world.rows("rina", option, bad, "--limit", "1000")]
        check(row["id"] not in found, f"{option} {bad}: {found}")
    for option in ("--legal-hold", "--asked-for", "--unparsed"):
        check(row["id"] not in [one["id"] for one in world.rows("rina", option)], option)
    equal(world.rows("rina", "--by", "rina", "--id", row["id"]), [], "acts of hers on it")
    world.must_say("rina", "note", row["id"], "--reason", "x")
    equal([one["id"] for one in world.rows("rina", "--by", "rina", "--id", row["id"])], [row["id"]], "acts of hers on it")
    world.must_say("rina", "show", row["queue_id"], out=row["id"])
    world.must_say("rina", "show", row["id"][:8], out=row["id"])
    world.must_say("rina", "show", "f" * 32, code=1, err="no such item")
    world.must_say("rina", "show", "TIDAKADA", code=1, err="queue id")
    world.must_say("rina", "show", "x" * 40, code=2, err="is no item")
    for words, text in ((["--state", "sesuatu"], "state"), (["--limit", "1001"], "limit"), (["--since", "kemarin"], "--since"),
                        (["--min-size", "besar"], "--min-size")):
        world.must_say("rina", "list", *words, code=2, err=text)


@suite.test("what was cut off is said: --limit and --offset walk through all")
def _(world):
    for token in ("halaman1", "halaman2", "halaman3"):
        world.hold_one(token)
    everything = [row["id"] for row in world.rows("wati", "--limit", "1000")]
    answer = world.must_say("wati", "list", "--all", "--limit", "2", err=f"2 of {len(everything)} items shown")
    walked = []
    for offset in range(0, len(everything), 2):
        walked += [row["id"] for row in world.rows("wati", "--limit", "2", "--offset", str(offset))]
    equal(walked, everything, "ids")
    check(answer.out.count("\n") == 3, answer.out)


# --- who may not ---

@suite.test("no segel-reviewd, no group, no appointment, root, an ended one: each is told what to do")
def _(world):
    world.must_say("tamu", "list", code=3, err=["not permitted", "tamu is no reviewer", "segelctl reviewer"])
    answer = world.quarantine("rina", "list", groups=())
    equal(answer.code, 3, answer)
    check("segel-review" in answer.err or str(REVIEW_GID) in answer.err, answer.err)
    answer = world.segelctl("quarantine", "list")  # as root
    equal(answer.code, 3, answer)
    check("without sudo" in answer.err, answer.err)
    answer = world.quarantine(OTHER_UID, "list")
    equal(answer.code, 3, answer)
    world.must_say("umar", "release", "0" * 32, "--reason", "x", code=1)
    world.must_say("nina", "list", code=3, err=["not permitted", "administrator"])
    world.must_say("nina", "stats", out=["baru", "bytes", "oldest_open"])
    world.appoint("tamu", "helpdesk")
    world.must_say("tamu", "list")
    world.must("reviewer", "end", "tamu", "--reason", "pindah")
    world.must_say("tamu", "list", code=3, err="no reviewer")
    world.reviewd.stop()
    try:
        world.must_say("rina", "list", code=4, err=["segel-reviewd does not answer", "systemctl status segel-reviewd"])
    finally:
        world.start_reviewd()
    bare = world.write_config(world.path("tanpa.conf"), quarantine="")
    os.chmod(bare, 0o644)
    done = world.as_user(PEOPLE["rina"], (REVIEW_GID,), world.path("bin", "segelctl"), "-c", bare, "quarantine", "list")
    equal(done.returncode, 4, done)
    check(b"there is no quarantine" in done.stderr and b"segelctl quarantine key" in done.stderr, done.stderr)


@suite.test("whose role may not read Subjects or bodies is not shown any")
def _(world):
    world.must_say("bagus", "view", "0" * 32, "--reason", "x", code=3, err="not permitted")
    row, _ = world.hold_one("subjek")
    listed = world.quarantine("sari", "list", json=True).data
    check(all(row["subject"] is None for row in listed) and listed, listed)
    world.must_say("sari", "list", "--subject", "Undangan", code=3, err="subject")
    world.must_say("umar", "show", row["id"], out="CERT_UNTRUSTED")


@suite.test("staff see their own mail only, with its Subject, and ask for its release; the security team sees who asked")
def _(world):
    own = f"tamu@{OWN_DOMAIN}"
    if not any(row["name"] == "Orang Tamu" for row in world.segelctl("person", "list", json=True).data):
        world.must("person", "add", "Orang Tamu")
    world.must("address", "add", own, "--person", "Orang Tamu")
    world.must("reviewer", "add", "tamu", "--person", "Orang Tamu", "--role", "pegawai", "--appointment", "SK-pegawai/2026")
    other, _ = world.hold_one("milik-orang")
    row, _ = world.hold_one("milik-sendiri", recipients=[own])
    [seen] = world.quarantine("tamu", "list", json=True).data
    equal((seen["id"], seen["subject"]), (row["id"], "Undangan milik-sendiri"), "what tamu sees")
    world.must_say("tamu", "view", row["id"], "--reason", "surat saya", out="Rapat Senin")
    for verb in ("show", "view", "release", "export", "delete", "note"):
        reason = [] if verb == "show" else ["--reason", "x"]
        answer = world.quarantine("tamu", verb, other["id"], *reason)
        check(answer.code in (1, 3) and "CERT" not in answer.out, answer)
    world.must_say("tamu", "release", row["id"], "--reason", "saya menunggunya", out="your request is on record")
    world.wait_idle()
    equal(world.mailbox(own), [], "delivered")
    equal([one["id"] for one in world.rows("rina", "--asked-for")], [row["id"]], "asked for")
    world.must_say("rina", "show", row["id"], out=["its owner asked for its release", "tamu asked for its release, because: saya menunggunya"])
    check("Asked for by their owners: 1." in world.must_say("sari", "digest", "--print").out, "the digest does not say so")
    world.must_say("rina", "release", row["id"], "--reason", "diminta pemiliknya", out="released")
    world.wait_delivered(own)


@suite.test("purge and stats: counted, and as JSON")
def _(world):
    before = world.quarantine("wati", "stats", json=True).data
    world.hold_one("hitung")
    after = world.quarantine("wati", "stats", json=True).data
    equal((after["baru"] - before["baru"], after["bodies"] - before["bodies"]), (1, 1), f"{before} {after}")
    check(after["bytes"] > before["bytes"] and after["free"] > 0 and after["oldest_open"], after)
    world.must_say("wati", "purge", out="bodies  0")
    equal(world.quarantine("nina", "purge", json=True).data, {"bodies": 0, "rows": 0, "failed": 0}, "purge")
    world.must_say("rina", "purge", code=3, err="not permitted")


# --- digest ---

@suite.test("the digest arrives sealed, says what waits and why, and no Subject; nobody but its own login can send it")
def _(world):
    row, _ = world.hold_one("ringkasan")
    refused, _ = world.hold_one("ringkasan-dicabut", "revoked")
    waiting = world.quarantine("sari", "list", json=True).data
    world.must_say("sari", "digest")
    for address in DIGEST_TO:
        [message] = world.wait_delivered(address)
        verdict = judge.openssl_verify(message, world.root.cert)
        check(verdict.ok and verdict.signer == DIGEST.cert, f"{verdict}\n{message}")
    fields = parsed(message)
    equal((str(fields["From"]), str(fields["Auto-Submitted"])), (DIGEST.address, "auto-generated"), "fields")
    equal(str(fields["Subject"]), f"Mail quarantine: {len(waiting)} waiting for a decision", "Subject")
    text = message.decode("ascii")
    for one in (row, refused):
        check(f"{one['id'][:12]} {one['arrived']} {one['reason']}" in text and one["recipient"] in text, text)
    check("segelctl quarantine list" in text and "Undangan" not in text, text)
    counted = {word: int(number) for number, word in re.findall(r"^ +(\d+)  ([A-Z_]+) ", text, re.M)}
    equal(counted, {word: sum(one["reason"] == word for one in waiting) for word in {one["reason"] for one in waiting}}, "counts by finding")
    answer = world.must_say("wati", "digest", code=4, err=["did not take the digest", "local_login_sender_maps"])
    check("not authorized" in answer.err, answer.err)
    world.must_say("nina", "digest", code=3, err="not permitted")
    printed = world.must_say("rina", "digest", "--print").out
    check(printed.isascii() and "Subject: Mail quarantine" in printed and "Undangan" not in printed, printed)
    world.wait_idle()
    equal(len(world.mailbox(DIGEST_TO[0])), 1, "digests")


@suite.test("in Bahasa Indonesia where the settings say so; what is nearly over is marked; nothing waits: no mail")
def _(world):
    row, _ = world.hold_one("segera")
    world.must("config", "check")
    indonesian = world.path("indonesia.conf")
    with open(world.config, encoding="utf-8") as config, open(indonesian, "w", encoding="utf-8") as out:
        out.write(config.read().replace('language = "en"', 'language = "id"'))
    os.chmod(indonesian, 0o644)
    done = world.as_user(PEOPLE["sari"], (REVIEW_GID,), world.path("bin", "segelctl"), "-c", indonesian, "quarantine", "digest", "--print")
    check(b"menunggu keputusan" in done.stdout and b"sertifikat" in done.stdout.lower(), done)
    for one in world.rows("wati", "--state", "baru", "--limit", "1000") + world.rows("wati", "--state", "ditinjau", "--limit", "1000"):
        world.must_say("wati", "delete", one["id"], "--reason", "bersih")
    equal(world.quarantine("sari", "list", json=True).data, [], "what waits")
    before = len(world.mailbox(DIGEST_TO[0]))
    equal(world.must_say("sari", "digest").out, "", "said")
    world.wait_idle()
    equal(len(world.mailbox(DIGEST_TO[0])), before, "digests")


# --- the listener for what is released ---

@suite.test("check mta knows the listener for released mail, and refuses one that others than this machine reach")
def _(world):
    port = world.mta.ports["release"]
    name = f"127.0.0.1:{port}/inet"
    answer = world.check_mta(world.mta.etc)
    [service] = [one for one in answer.data["services"] if one["service"] == name]
    equal(service["takes"], "release", "what it takes")
    equal([(one["id"], one["severity"]) for one in answer.data["findings"] if name in one["where"] and "release" in one["id"]],
          [("service-release", "warn")], "findings about release")
    check(not any(one["id"] == "service-unfiltered" and name in one["where"] for one in answer.data["findings"]), answer.data["findings"])
    live = world.segelctl("check", "mta", "--live", "--postfix", world.mta.etc, "--postconf", world.mta.programs.command + "/postconf", "--json")
    found = [one for one in json.loads(live.out)["findings"] if f":{port}" in one["where"] and one["severity"] == "refuse"]
    equal(found, [], "refused after a visit")
    folder = world.path("terbuka")
    shutil.copytree(world.mta.etc, folder)
    with open(os.path.join(folder, "master.cf"), encoding="ascii") as master:
        lines = master.read().replace(f"127.0.0.1:{port} inet", f"0.0.0.0:{port} inet")
    with open(os.path.join(folder, "master.cf"), "w", encoding="ascii") as master:
        master.write(lines)
    found = [one for one in world.check_mta(folder).data["findings"] if one["id"] == "release-open"]
    equal([(one["severity"], one["where"]) for one in found], [("refuse", f"0.0.0.0:{port}/inet")], "open to the network")


@suite.test("8-bit mail, long lines and a sender's wish for reports go through a release unchanged")
def _(world):
    token = "delapan"
    content = ("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
               "Undangan \u00abrapat\u00bb \u2013 \u6f22\u5b57\n.titik\n" + "x" * 980 + "\n").encode()
    recipient = f"{token}@{OTHER_DOMAIN}"
    message = client.with_crlf(world.signed("foreign", PARTNER, recipient, token, content=content))
    with world.session(port="server") as session:
        session.mail(PARTNER, ["BODY=8BITMIME", "RET=HDRS", "ENVID=surat-7"])
        session.rcpt(recipient)
        reply = session.data(message)
        check(reply.says("250"), reply)
    [row] = world.rows("wati", "--recipient", recipient)
    world.must_say("rina", "release", row["id"], "--reason", "dikenal", out="released")
    [arrived] = world.wait_delivered(recipient)
    equal(body_behind_ours(arrived), message.replace(b"\r\n", b"\n"), "the released message")
    world.must_say("rina", "show", row["id"], out="BODY=8BITMIME RET=HDRS ENVID=surat-7")


# --- the whole story ---

@suite.test("explain tells the story of an inbound message, by queue id, session and item: held, viewed, unwrapped, released")
def _(world):
    row, _ = world.hold_one("cerita")
    item = row["id"]
    world.must_say("rina", "view", item, "--reason", "ada laporan")
    world.must_say("rina", "release", item, "--reason", "pengirim dikenal")
    session = world.quarantine("rina", "show", item, json=True).data["item"]["session"]
    stories = [world.must("explain", word).out for word in (row["queue_id"], item, session)]
    equal(stories[0], stories[1], "by queue id and by item")
    equal(stories[0], stories[2], "by queue id and by session")
    at = -1
    for text in ("the filter decided", "outcome      held for review", "finding      CERT_UNTRUSTED", "leads to no authority that counts here"):
        check(text in stories[0], f"wanted {text!r} in:\n{stories[0]}")
    for text in ("rina: looked into it", "because      ada laporan", "rina: had it released", "because      pengirim dikenal", "rina: the mail server has it"):
        check(text in stories[0], f"wanted {text!r} in:\n{stories[0]}")
        check(stories[0].index(text) > at, f"{text!r} stands too early in:\n{stories[0]}")
        at = stories[0].index(text)
    check(stories[0].count("the key agent recorded that it would unwrap") >= 3, stories[0])
    check("segel-reviewd took the message in" in stories[0], stories[0])
    data = world.segelctl("explain", item, json=True).data
    kinds = [record["event"] for record in data]
    for kind in ("message", "hold", "quarantine-view", "unwrap-intent", "quarantine-release", "quarantine-released"):
        check(kind in kinds, kinds)
    view = next(record for record in data if record["event"] == "quarantine-view")
    equal((view["findings"], view["values"]["reason"], view["good"]), ([], "ada laporan", True), "a reviewer's reason is no finding")
    hold = next(record for record in data if record["event"] == "message")
    equal(hold["findings"][0]["finding"], "CERT_UNTRUSTED", "finding")
    answer = world.segelctl("explain", "f" * 32)
    equal(answer.code, 1, answer)
    check("nor as an item" in answer.err, answer.err)


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
