#!/usr/bin/python3
"""Mail from other servers, class by class: what is delivered, held and refused, counted in mailboxes, quarantine and client answers.

Every message is made by openssl(1) or by hand. Each of the table's messages has a recipient of its own, and is found in exactly
one place: the mailbox, the quarantine, or back with its client.
"""

import base64
import contextlib
import os
import signal
import sqlite3
import ssl
import subprocess
import sys
import threading
import time

import chain
import client
import deadline
import mail
import suite
from mta import HOST
from openssl_ca import run
from outside import BUDI, COLUMNS, FORMER, OTHER, OWN, PARTNER, STRANGER_IN, Outside, away, smime_result
from place import INBOUND_UID, REVIEWD_UID
from suite import check, equal, test
from world import OTHER_DOMAIN, parsed

FIELD = "Authentication-Results"
SENT = []  # (recipient, message, action): everything the table sent


def make_world(place):
    world = Outside(place).make()
    world.early = {column: world.signed("expired", address, recipient_of("CERT_EXPIRED", column), f"CERT_EXPIRED-{column}")
                   for column, address in COLUMNS.items()}
    world.early["submission"] = world.signed("expired", OWN, f"siti@{OTHER_DOMAIN}", "CERT_EXPIRED-submission")
    world.born = time.monotonic()
    return world.start()


def recipient_of(finding, column):
    return f"{finding.lower().replace('_', '-')}-{column}@{OTHER_DOMAIN}"


# --- messages that differ from a good one in one thing ---

def good(world, *to):
    return world.signed("good", *to)


def by(name, **how):
    return lambda world, *to: world.signed(name, *to, **how)


def changed(world, *to):
    return good(world, *to).replace(b"09.00", b"10.00")


def two_mailboxes(world, sender, *rest):
    return world.signed("good", f"{sender}, {STRANGER_IN[sender]}", *rest)


def two_types(world, *to):
    return good(world, *to).replace(b"MIME-Version: 1.0", b"Content-Type: text/plain\nMIME-Version: 1.0", 1)


def another_from(world, sender, *rest):
    return world.signed("good", STRANGER_IN[sender], *rest)


def of_the_future(world, sender, recipient, token):
    return world.signed("good", sender, recipient, token, env=world.ahead)


def other_subject_inside(world, sender, recipient, token):
    inner = f'From: {sender}\nTo: {recipient}\nSubject: Lain\nContent-Type: text/plain; hp="clear"\n\nRapat. {token}\n'.encode()
    return world.signed("good", sender, recipient, token, content=inner)


def same_fields_inside(world, sender, recipient, token):
    """As our own seals are (RFC 9788)."""
    head = world.head(sender, recipient, token)
    inner = head + f'Content-Type: text/plain; hp="clear"\n\nRapat. {token}\n'.encode()
    return head + world.entity("good", token, content=inner)


def part_of_it(world, sender, recipient, token):
    inside = world.entity("good", token).replace(b"MIME-Version: 1.0\n", b"", 1)
    return (world.head(sender, recipient, token) + b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="luar"\n\n--luar\n' + inside
            + b"\n--luar\nContent-Type: text/plain\n\nBayar sekarang.\n--luar--\n")


def by_pgp(world, sender, recipient, token):
    return (world.head(sender, recipient, token) + b'MIME-Version: 1.0\nContent-Type: multipart/signed; boundary="luar";'
            b' protocol="application/pgp-signature"; micalg=pgp-sha256\n\n--luar\n' + world.text(token)
            + b"\n--luar\nContent-Type: application/pgp-signature\n\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n--luar--\n")


def encrypted(world, sender, recipient, token):
    path = world.path("ca", f"content-{token}")
    with open(path, "wb") as out:
        out.write(world.text(token))
    return world.head(sender, recipient, token) + run("openssl", "cms", "-encrypt", "-aes256", "-in", path, world.certs["good"].cert)


def with_key(world, sender, recipient, token):
    pkcs12 = world.path("ca", "key.p12")
    leaf = world.certs["foreign"]
    run("openssl", "pkcs12", "-export", "-in", leaf.cert, "-inkey", leaf.key, "-passout", "pass:kunci", "-out", pkcs12)
    with open(pkcs12, "rb") as file:
        attached = base64.encodebytes(file.read())
    content = (b'Content-Type: multipart/mixed; boundary="dalam"\n\n--dalam\n' + world.text(token)
               + b'\n--dalam\nContent-Type: application/octet-stream; name="cadangan.bin"\nContent-Transfer-Encoding: base64\n\n' + attached
               + b"--dalam--\n")
    return world.signed("good", sender, recipient, token, content=content)


def too_deep(world, sender, recipient, token):
    content = world.text(token)
    for depth in range(25):
        content = (f'Content-Type: multipart/mixed; boundary="d{depth}"\n\n--d{depth}\n'.encode() + content + f"\n--d{depth}--\n".encode())
    return world.signed("good", sender, recipient, token, content=content)


def expired(world, sender, recipient, token):
    deadline.until("the certificate to expire", lambda: time.monotonic() > world.born + 25, 60)
    return world.early[token.partition("-")[2]]


def sent_again(world, sender, recipient, token):
    """The signature of a message that was delivered before, under another Subject."""
    first = world.signed("good", sender, recipient, token, "X-Dulu: 1")
    outcome = world.arrive(sender, [f"dulu@{OTHER_DOMAIN}"], first)
    check(outcome.accepted, outcome)
    return first.replace(b"Subject: Undangan", b"Subject: Pembatalan").replace(b"X-Dulu: 1\n", b"")


# finding, message, action in column own, in shared and partner, in other; and what the field of ours says of it
# (None: of no interest here; a dictionary: "pass", but in that column). None as action: the column has no such message, since only
# registered addresses can be another's. Own mail that is not validly sealed is refused as DOMAIN_SPOOFED, unless something graver refuses it.
ROWS = (
    ("GOOD", good, "accept", "accept", "accept", {"other": "policy"}),
    ("GOOD-protected", same_fields_inside, "accept", "accept", "accept", {"other": "policy"}),
    ("FROM_AMBIGUOUS", two_mailboxes, "reject", "hold", "hold", None),
    ("SIG_MISSING", Outside.unsigned, "reject", "tag", "accept", "none"),
    ("SIG_INVALID", changed, "reject", "hold", "tag", "fail"),
    ("SIG_MALFORMED", by("good", options=["-noattr"]), "reject", "hold", "tag", "permerror"),
    ("SIG_WEAK", by("good", options=["-md", "sha1"]), "reject", "hold", "tag", "policy"),
    ("SIG_UNFIT", by("unfit"), "reject", "hold", "tag", "policy"),
    ("SIG_UNSUPPORTED", by_pgp, "reject", "hold", "tag", None),
    ("SIG_PARTIAL", part_of_it, "reject", "tag", "tag", None),
    ("SIG_TIME", of_the_future, "hold", "hold", "tag", None),
    ("MIME_AMBIGUOUS", two_types, "reject", "hold", "tag", None),
    ("HEADER_MISMATCH", other_subject_inside, "reject", "hold", "tag", None),
    ("SIGNER_MISMATCH", another_from, "reject", "hold", "tag", None),
    ("CERT_REVOKED", by("revoked"), "reject+hold", "reject+hold", "hold", None),
    ("CERT_EXPIRED", expired, "reject+hold", "reject+hold", "hold", None),
    ("CERT_NOT_YET", by("not-yet"), "reject", "hold", "tag", None),
    ("CERT_UNTRUSTED", by("foreign"), "reject", "hold", "tag", None),
    ("STATUS_UNKNOWN", by("silent"), "defer", "defer", "tag", None),
    ("REG_UNKNOWN", by("unknown"), "reject", "hold", "accept", None),
    ("REG_ADDRESS_MISMATCH", by("unbound"), "reject", "hold", None, None),
    ("REG_HELD", by("held"), "reject+hold", "reject+hold", "hold", None),
    ("REG_ENDED", by("ended"), "reject+hold", "reject+hold", "hold", None),
    ("REG_RETIRED", by("retired"), "reject+hold", "reject+hold", "hold", None),
    ("REG_CONFLICT", by("conflict"), "reject", "hold", "tag", None),
    ("ENC_UNREADABLE", encrypted, "reject", "accept", "accept", None),
    ("REPLAY", sent_again, "tag", "tag", "tag", None),
    ("KEY_MATERIAL", with_key, "hold", "hold", "tag", None),
    ("PARSE_LIMIT", too_deep, "hold", "hold", "hold", None),
)

ANSWERS = {"accept": 250, "tag": 250, "hold": 250, "reject": 550, "reject+hold": 550, "defer": 451}
DELIVERED = ("accept", "tag")
HELD = ("hold", "reject+hold")


def exactly(world, recipient, outcome, action):
    """The client's answer, the mailbox and the quarantine; the copies in both."""
    equal(outcome.last.code, ANSWERS[action], f"answer:\n{outcome}\n{world.verdicts()[-1].values}")
    copies = world.wait_delivered(recipient) if action in DELIVERED else world.mailbox(recipient)
    items = world.held(recipient)
    equal((len(copies), len(items)), (int(action in DELIVERED), int(action in HELD)), f"copies in mailbox and quarantine ({items})")
    if items:
        equal(items[0]["action"], action, "the item's action")
    return copies, items


def cell(finding, maker, column, action, result):
    address = FORMER if (finding, column) == ("REG_ENDED", "other") else COLUMNS[column]

    @test(f"{finding}, {column}: {action}")
    def _(world):
        recipient = recipient_of(finding, column)
        message = maker(world, address, recipient, f"{finding}-{column}")
        sender = address
        outcome = world.arrive(sender, [recipient], message)
        SENT.append((recipient, message, action))
        copies, items = exactly(world, recipient, outcome, action)
        wanted = finding.partition("-")[0]
        record = world.verdicts()[-1]
        if wanted != "GOOD":
            check(wanted in record["reasons"] + record["reason"], f"findings: {record.values}")
        else:  # nobody registers addresses of strangers
            equal(record["reason"] + record["reasons"], "REG_UNKNOWN" if column == "other" else "", f"findings: {record.values}")
        if copies:
            of_ours(copies[0], result)
        if items:
            as_sent(world, items[0]["id"], message)


def of_ours(message, result=None):
    """One field of ours, above everything the sender wrote."""
    values = [" ".join(str(value).split()) for value in parsed(message).get_all(FIELD, [])]
    equal(len(values), 1, f"fields: {values}")
    said = smime_result(values[0])
    check(said.startswith(f"{HOST} smime="), said)
    if result:
        equal(said, f"{HOST} smime={result}", f"result, of {values[0]}")


def as_sent(world, item, message):
    """What the quarantine holds is what the client sent, byte for byte."""
    answer = world.desk("rina").ask_again(op="export", id=item, reason="pemeriksaan")
    check(answer.ok, answer)
    equal(answer.data == client.with_crlf(message), True, f"the exported message: {answer.data[:500]!r}")


for name, make, own, official, other, said in ROWS:
    for where, wanted_action in (("own", own), ("shared", official), ("partner", official), ("other", other)):
        if wanted_action:
            cell(name, make, where, wanted_action, said.get(where, "pass") if isinstance(said, dict) else said)


@test("TLS: official mail in clear is refused, whoever signed it; other mail passes")
def _(world):
    for column, address in COLUMNS.items():
        recipient = recipient_of("TLS_MISSING", column)
        message = good(world, address, recipient, f"TLS-{column}")
        outcome = world.arrive(address, [recipient], message, tls=False)
        action = "accept" if column == "other" else "reject"
        check(action == "accept" or outcome.last.says("5.7.10"), outcome)
        equal(outcome.accepted, action == "accept", outcome)
        world.wait_delivered(recipient) if outcome.accepted else None
        equal((len(world.mailbox(recipient)), len(world.held(recipient))), (int(outcome.accepted), 0), column)


def reload(world, *roles, **changed):
    """New settings for the filters that run."""
    world.write_config(**changed)
    for role in roles:
        before = world.filter_log(role).count("reloaded ")
        world.milters[role].send(signal.SIGHUP)
        deadline.until("the settings to be read", lambda: world.filter_log(role).count("reloaded ") > before)


@test("TLS: a version below the setting")
def _(world):
    world.tls_minimum = "TLSv1.3"
    config = world.path("segel.conf")
    with open(config, encoding="utf-8") as file:
        text = file.read()
    with open(config, "w", encoding="utf-8") as file:
        file.write(text.replace('minimum = "TLSv1.2"', 'minimum = "TLSv1.3"'))
    before = world.filter_log("inbound").count("reloaded ")
    world.milters["inbound"].send(signal.SIGHUP)
    deadline.until("the settings to be read", lambda: world.filter_log("inbound").count("reloaded ") > before)
    try:
        for column, address in COLUMNS.items():
            recipient = recipient_of("TLS_WEAK", column)
            context = client.any_server(ssl.TLSVersion.TLSv1_2)
            outcome = world.arrive(address, [recipient], good(world, address, recipient, f"WEAK-{column}"), context=context)
            equal(outcome.accepted, column == "other", outcome)
            check(column == "other" or outcome.last.says("5.7.10", "TLS_WEAK"), outcome)
            equal(world.held(recipient), [], "held")
    finally:
        reload(world, "inbound")


# --- what readers see ---

FORGED = (f"{FIELD}: {HOST}; smime=pass", "X-Segel-Verdict: accept", f"{FIELD}: mx.luar.example; dkim=pass", "x-segel-nilai: baik",
          f"{FIELD}: (a) {HOST} 1;\n\tsmime=pass")


@test("forged results and fields of our prefix go, signed or not; others stay; our result is on top")
def _(world):
    for name, make, said in (("good", good, "pass"), ("bad", changed, "fail"), ("none", Outside.unsigned, "none")):
        address = OTHER if name == "bad" else PARTNER
        recipient = f"palsu-{name}@{OTHER_DOMAIN}"
        message = make(world, address, recipient, f"palsu-{name}", *FORGED) if make is Outside.unsigned else \
            "\n".join(FORGED).encode() + b"\n" + make(world, address, recipient, f"palsu-{name}")
        copies, _ = exactly(world, recipient, world.arrive(address, [recipient], message), "accept")
        values = [" ".join(str(value).split()) for value in parsed(copies[0]).get_all(FIELD)]
        equal(len(values), 2, values)
        equal((smime_result(values[0]), values[1]), (f"{HOST} smime={said}", "mx.luar.example; dkim=pass"), "fields")
        check(not [key for key in parsed(copies[0]).keys() if key.lower().startswith("x-segel")], copies[0])


@test("a signed message arrives as it was signed: openssl still finds it good")
def _(world):
    recipient = f"utuh@{OTHER_DOMAIN}"
    message = good(world, PARTNER, recipient, "utuh")
    copies, _ = exactly(world, recipient, world.arrive(PARTNER, [recipient], message), "accept")
    path = world.path("ca", "utuh.eml")
    with open(path, "wb") as out:
        out.write(copies[0])
    run("openssl", "cms", "-verify", "-in", path, "-CAfile", world.root.cert, "-purpose", "smimesign")


# --- the same signature again ---

@test("replay: the same message again is none; another Message-ID, From, Subject or Date is")
def _(world):
    first = world.signed("good", PARTNER, f"ulang@{OTHER_DOMAIN}", "ulang")
    for number, (found, message) in enumerate((
            (False, first), (False, first), (False, first.replace(b"X-Token: ulang", b"X-Token: ulang2")),
            (True, first.replace(b"<ulang.1@", b"<ulang.2@")), (True, first.replace(b"Undangan ulang", b"Undangan batal")),
            (True, first.replace(b"Date: Mon, 02", b"Date: Tue, 03")),
            (True, first.replace(b"From: sekda@", b"From: Sekda <sekda@").replace(b"provinsi.example\nTo:", b"provinsi.example>\nTo:")))):
        recipient = f"ulang{number}@{OTHER_DOMAIN}"
        exactly(world, recipient, world.arrive(PARTNER, [recipient], message), "accept")
        equal(world.verdicts()[-1]["reason"], "REPLAY" if found else "", f"number {number}")


@test("replay: where the fields are protected, a changed copy is HEADER_MISMATCH, and one that agrees is no replay")
def _(world):
    first = same_fields_inside(world, PARTNER, f"lindung@{OTHER_DOMAIN}", "lindung")
    for number, (action, reason, message) in enumerate((
            ("accept", "", first), ("hold", "REPLAY,HEADER_MISMATCH", first.replace(b"Subject: Undangan", b"Subject: Batal", 1)),
            ("accept", "", first.replace(b"X-Token: lindung\n", b"", 1)))):
        recipient = f"lindung{number}@{OTHER_DOMAIN}"
        exactly(world, recipient, world.arrive(PARTNER, [recipient], message), action)
        equal(world.verdicts()[-1]["reason"], reason, f"number {number}")


@test("replay: remembered across a restart of the filter")
def _(world):
    first = world.signed("good", PARTNER, f"lama@{OTHER_DOMAIN}", "lama")
    exactly(world, f"lama@{OTHER_DOMAIN}", world.arrive(PARTNER, [f"lama@{OTHER_DOMAIN}"], first), "accept")
    world.milters["inbound"].kill()
    world.start_milter("inbound")
    exactly(world, f"lama2@{OTHER_DOMAIN}", world.arrive(PARTNER, [f"lama2@{OTHER_DOMAIN}"], first.replace(b"<lama.1@", b"<lama.2@")), "tag")
    equal(world.verdicts()[-1]["reason"], "REPLAY", "finding")


def remembered(world):
    """When each signature was first seen, in days before now; for as long as the filter is stopped, it may be changed."""
    return sqlite3.connect(world.path("state-inbound", "replay.db"))


def days_remembered(world):
    database = remembered(world)
    days = sorted(round((time.time() - first) / 86400) for first, in database.execute("SELECT first FROM seen"))
    database.close()
    return days


@test("replay: forgotten after verify.replay, and not before")
def _(world):
    recipient, first = f"lupa@{OTHER_DOMAIN}", world.signed("good", PARTNER, f"lupa@{OTHER_DOMAIN}", "lupa")
    exactly(world, recipient, world.arrive(PARTNER, [recipient], first), "accept")
    milter = world.milters["inbound"]
    milter.kill()
    database = remembered(world)
    with database:
        database.execute("UPDATE seen SET first = first - 401 * 86400")
        database.executemany("INSERT INTO seen VALUES (randomblob(32), randomblob(32), ?)", [(int(time.time()) - days * 86400,) for days in (399, 2)])
    database.close()
    for name in os.listdir(world.path("state-inbound")):
        os.chown(world.path("state-inbound", name), INBOUND_UID, INBOUND_UID)
    world.start_milter("inbound")
    deadline.until("what is older than 400 days is forgotten", lambda: days_remembered(world) == [2, 399])
    exactly(world, f"lupa2@{OTHER_DOMAIN}", world.arrive(PARTNER, [f"lupa2@{OTHER_DOMAIN}"], first.replace(b"<lupa.1@", b"<lupa.2@")), "accept")
    equal(world.verdicts()[-1]["reason"], "", "finding")
    milter.kill()
    world.write_config(policy='verify: { replay = "3d"; };')
    try:
        world.start_milter("inbound")
        deadline.until("what is older than three days is forgotten", lambda: days_remembered(world) == [0, 2])
    finally:
        milter.kill()
        world.write_config()
        world.start_milter("inbound")


# --- our own mail, from outside ---

def sealed_by_us(world, token, recipient):
    """What left here under our seal, without the lines of its delivery."""
    equal(world.send_as(BUDI, mail.plain(BUDI.address, recipient, token), [recipient]).accepted, True, "sent")
    [message] = world.wait_delivered(recipient, f"<{token}.1@".encode())
    return message[message.index(b"\nFrom: ") + 1:]


@test("our own seal comes back over a mailing list: untouched it passes, with another Subject or none of the seal it is refused")
def _(world):
    seal = sealed_by_us(world, "milis", f"milis@{OTHER_DOMAIN}")
    envelope = "milis-bounces@luar.example"
    for number, (accepted, message) in enumerate((
            (True, b"List-Id: <milis.luar.example>\n" + seal), (False, seal.replace(b"Subject: ", b"Subject: [milis] ", 1)),
            (False, seal.replace(b"Rapat diadakan", b"Rapat ditiadakan", 1)))):
        recipient = f"milis{number}@{OTHER_DOMAIN}"
        outcome = world.arrive(envelope, [recipient], message)
        exactly(world, recipient, outcome, "accept" if accepted else "reject")
        if accepted:
            of_ours(world.mailbox(recipient)[0], "pass")
        else:
            check(outcome.last.says("5.7.1", "DOMAIN_SPOOFED"), outcome)


# --- what could not be found out, and later could ---

def deferred_then(world, trouble, sender, message, recipient, action):
    """4xx while it lasts, with nothing delivered and nothing held; afterwards exactly once what it would have been."""
    with trouble:
        for _ in range(2):
            outcome = world.arrive(sender, [recipient], message)
            check(outcome.last.code in (451, 452) and outcome.last.says("4."), outcome)
    world.wait_idle()
    equal(world.mailbox(recipient), [], "delivered")
    deadline.until("the message to be taken", lambda: world.arrive(sender, [recipient], message).last.code == ANSWERS[action])
    exactly_once(world, recipient, action)


def exactly_once(world, recipient, action):
    copies = world.wait_delivered(recipient) if action in DELIVERED else world.mailbox(recipient)
    equal((len(copies), len(world.held(recipient))), (int(action in DELIVERED), int(action in HELD)), "copies in mailbox and quarantine")


@test("registry away: deferred, whatever it is, and later judged")
def _(world):
    for column, address in COLUMNS.items():
        for maker, action in ((good, "accept"), (changed, {"own": "reject", "other": "tag"}.get(column, "hold"))):
            recipient = f"registri-{column}-{action}@{OTHER_DOMAIN}"
            deferred_then(world, away(world.registry), address, maker(world, address, recipient, recipient.partition("@")[0]), recipient, action)


@contextlib.contextmanager
def reviewd_away(world):
    world.reviewd.stop()
    try:
        yield
    finally:
        world.start_reviewd()


@test("quarantine away: what is to be held waits; the rest passes")
def _(world):
    recipient = f"tanpa-hold@{OTHER_DOMAIN}"
    deferred_then(world, reviewd_away(world), PARTNER, changed(world, PARTNER, recipient, "tanpa"), recipient, "hold")
    deferral = next(record for record in world.verdicts() if record["msgid"] == "<tanpa.1@luar.example>")
    check("STORE_UNAVAILABLE" in deferral["reason"] and world.hold_socket in deferral["evidence"], deferral.values)
    recipient = f"tanpa-revoked@{OTHER_DOMAIN}"
    deferred_then(world, reviewd_away(world), PARTNER, world.signed("revoked", PARTNER, recipient, "tanpa2"), recipient, "reject+hold")
    with reviewd_away(world):
        recipient = f"tanpa-baik@{OTHER_DOMAIN}"
        check(world.arrive(PARTNER, [recipient], good(world, PARTNER, recipient, "tanpa3")).accepted, "a good one")
        world.wait_delivered(recipient)


@contextlib.contextmanager
def quarantine_settings(world, more):
    """Other limits for a while, by SIGHUP."""
    def say(text):
        world.more["quarantine"] = text
        world.more["least"] = "" if "min_free" in text else 'min_free = "1MiB";'
        world.write_config()
        before = world.reviewd.text().count("reloaded")
        world.reviewd.send(signal.SIGHUP)
        deadline.until("the settings to be read", lambda: world.reviewd.text().count("reloaded") > before)
    say(more)
    try:
        yield
    finally:
        say("")


@test("quarantine full, by number, by size, and by what must stay free: deferred, and later held once")
def _(world):
    fill(world)
    for number, more in enumerate(("max_items = 1;", 'max_size = "53MiB";', 'min_free = "1000GiB";')):
        recipient = f"penuh{number}@{OTHER_DOMAIN}"
        deferred_then(world, quarantine_settings(world, more), PARTNER, changed(world, PARTNER, recipient, f"penuh{number}"), recipient, "hold")


def fill(world):
    """More than the least that quarantine.max_size may be is held."""
    for number in range(2):
        recipient = f"besar{number}@{OTHER_DOMAIN}"
        exactly(world, recipient, world.arrive(PARTNER, [recipient], large_held(world, recipient, 27)), "hold")


@contextlib.contextmanager
def small_disk(world, megabytes):
    """The quarantine on a file system of its own, empty."""
    folder = world.path("quarantine")
    world.reviewd.stop()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,uid={REVIEWD_UID},gid={REVIEWD_UID},mode=2750", "none", folder], check=True)
    try:
        world.start_reviewd()
        yield folder
    finally:
        world.reviewd.stop()
        subprocess.run(["umount", "-l", folder], check=True)
        world.start_reviewd()


def fill_when_it_comes(folder, filler):
    """Takes all that is left of the disk as soon as a body is on its way in: it is there for milliseconds."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))  # this thread, however busy the machine is
    late = time.monotonic() + 30
    while not os.listdir(os.path.join(folder, "incoming")) and time.monotonic() < late:
        time.sleep(0.0002)
    with contextlib.suppress(OSError), open(filler, "wb") as out:
        for at in range(0, 1 << 30, 1 << 18):
            os.posix_fallocate(out.fileno(), at, 1 << 18)


@test("disk full in the middle of a body, or before: deferred; with room again held once, and no piece is left")
def _(world):
    with small_disk(world, 40) as folder:
        recipient = f"cakram@{OTHER_DOMAIN}"
        message = large_held(world, recipient, 20)
        filler = os.path.join(folder, "lain")
        other = threading.Thread(target=fill_when_it_comes, args=(folder, filler))
        other.start()
        for when in ("in the middle", "before"):
            outcome = world.arrive(PARTNER, [recipient], message)
            other.join()
            check(outcome.last.code in (451, 452), f"{when}: {outcome}")
            equal(files_below(folder, "incoming") + files_below(folder, "items"), [], f"{when}: files left")
        os.remove(filler)
        exactly(world, recipient, world.arrive(PARTNER, [recipient], message), "hold")
        as_sent(world, world.held(recipient)[0]["id"], message)


def large_held(world, recipient, megabytes):
    content = world.text("besar") + (b"z" * 75 + b"\n") * (megabytes * (1 << 20) // 76)
    return world.signed("good", PARTNER, recipient, "cakram", content=content).replace(b"09.00", b"10.00")


def files_below(*names):
    return [os.path.join(folder, name) for folder, _, files in os.walk(os.path.join(*names)) for name in files]


@test("a CRL that is too old: deferred, and judged again with a newer one")
def _(world):
    world.publish(world.issuing, days=-5)
    token = "crl"
    def answer(number):
        recipient = f"crl{number}@{OTHER_DOMAIN}"
        return world.arrive(PARTNER, [recipient], good(world, PARTNER, recipient, f"crl{number}")).last
    try:
        deadline.until("the old CRL to count", lambda: answer(1).says("451", "4.7.5", "STATUS_UNKNOWN"))
        recipient = f"crl2@{OTHER_DOMAIN}"
        check(world.arrive(OTHER, [recipient], good(world, OTHER, recipient, token)).accepted, "other mail")
    finally:
        world.publish(world.issuing)
    deadline.until("the new CRL to count", lambda: answer(3).code == 250)
    exactly_once(world, f"crl3@{OTHER_DOMAIN}", "accept")


@test("trust folder away: what is signed is deferred; back, it is judged")
def _(world):
    recipient = f"percaya@{OTHER_DOMAIN}"
    message = good(world, PARTNER, recipient, "percaya")
    with away(world.path("trust")):
        world.milters["inbound"].stop()
        world.start_milter("inbound")
        outcome = world.arrive(PARTNER, [recipient], message)
        check(outcome.last.says("451"), outcome)
    deadline.until("the folder to be read", lambda: world.arrive(PARTNER, [recipient], message).last.code == 250)
    exactly_once(world, recipient, "accept")


# --- poison ---

def in_hand(world):
    """Does the filter read a message at this moment? Its slots say so (poison.h)."""
    with open(world.path("state-inbound", "poison.slots"), "rb") as slots:
        slots.seek(32)
        state = slots.read()
    return any(state[at:at + 4] == b"\1\0\0\0" for at in range(0, len(state), 44))


def process_mark(world):
    with open(world.path("state-inbound", "poison.slots"), "rb") as slots:
        return slots.read(32)


def die_reading(world, message, recipient):
    """The client sends; the filter is killed while it reads."""
    done, mark = [], process_mark(world)
    sender = threading.Thread(target=lambda: done.append(world.arrive(PARTNER, [recipient], message)))
    sender.start()
    began = time.monotonic()
    while not in_hand(world):
        check(time.monotonic() < began + 30, "the filter never had it in hand")
    world.milters["inbound"].kill()
    sender.join()
    world.start_milter("inbound")
    deadline.until("the filter to look at what the last one left", lambda: process_mark(world) != mark)
    equal(done[0].last.code, 451, done[0])


@test("poison: what was in hand at two deaths is held unread, what was there once is judged")
def _(world):
    recipient = f"racun@{OTHER_DOMAIN}"
    message = large_held(world, recipient, 20)
    once = large_held(world, f"sekali@{OTHER_DOMAIN}", 20)
    die_reading(world, once, f"sekali@{OTHER_DOMAIN}")
    exactly(world, f"sekali@{OTHER_DOMAIN}", world.arrive(PARTNER, [f"sekali@{OTHER_DOMAIN}"], once), "hold")
    equal(world.verdicts()[-1]["reason"], "SIG_INVALID", "once")
    for _ in range(2):
        die_reading(world, message, recipient)
    _, items = exactly(world, recipient, world.arrive(PARTNER, [recipient], message), "hold")
    equal((items[0]["reason"], items[0]["subject"]), ("POISON", ""), "the item")
    item, _ = world.desk("wati").show(items[0]["id"])
    equal(item["unparsed"], True, "unread")
    as_sent(world, items[0]["id"], message)
    with open(world.path("state-inbound", "poison"), encoding="ascii") as lines:
        text = lines.read()
    check("poison" in text and "racun" not in text, text)


# --- mail that its author signed, from our own users ---

SUBMISSION = {
    "GOOD": "accept", "GOOD-protected": "accept", "SIG_INVALID": "reject", "SIG_MALFORMED": "reject", "SIG_WEAK": "reject",
    "SIG_UNFIT": "reject", "SIG_UNSUPPORTED": "reject", "SIG_TIME": "reject", "MIME_AMBIGUOUS": "reject", "HEADER_MISMATCH": "reject",
    "CERT_REVOKED": "reject", "CERT_EXPIRED": "reject", "CERT_NOT_YET": "reject", "CERT_UNTRUSTED": "reject", "STATUS_UNKNOWN": "defer",
    "REG_UNKNOWN": "reject", "REG_ADDRESS_MISMATCH": "reject", "REG_HELD": "reject", "REG_ENDED": "reject", "REG_RETIRED": "reject",
    "REG_CONFLICT": "reject", "KEY_MATERIAL": "reject", "ENC_UNREADABLE": "accept", "FROM_AMBIGUOUS": "reject",
}


def submission_cell(finding, maker, action):
    @test(f"{finding}, submission, signed by its author: {action}")
    def _(world):
        recipient = f"siti@{OTHER_DOMAIN}"
        token = f"{finding}-submission"
        message = maker(world, OWN, recipient, token)
        outcome = world.send(BUDI.login, BUDI.password, message, OWN, [recipient])
        equal(outcome.last.code, ANSWERS[action], outcome)
        wanted = finding.partition("-")[0]
        record = [record for record in chain.read_folder(world.path("audit-submission")) if record.event == "message"][-1]
        check(wanted == "GOOD" or action == "accept" or wanted in record["reason"], record.values)
        found = world.wait_delivered(recipient, f"X-Token: {token}".encode()) if action == "accept" else \
            world.mailbox(recipient, f"X-Token: {token}".encode())
        equal(len(found), int(action == "accept"), "copies")
        if found:
            body = client.with_crlf(message).replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]
            equal(found[0].split(b"\n\n", 1)[1], body, "the body, untouched")


for name, make, *_rest in ROWS:
    if name in SUBMISSION:
        submission_cell(name, make, SUBMISSION[name])


@test("all together: everything the table sent is in exactly one place, and nothing else is anywhere")
def _(world):
    world.wait_idle()
    check(sys.argv[1:] or len(SENT) == sum(row[index] is not None for row in ROWS for index in (2, 3, 3, 4)), f"{len(SENT)} were sent")
    for recipient, _message, action in SENT:
        equal((len(world.mailbox(recipient)), len(world.held(recipient))), (int(action in DELIVERED), int(action in HELD)), recipient)
    stats = world.desk("wati").ask(op="stats")
    everywhere = world.desk("wati").ask(op="list", limit=1000)
    equal(stats.fields["bodies"], everywhere.fields["total"], "bodies and rows")
    equal(len(files_below(world.path("quarantine", "items"))), stats.fields["bodies"], "files and rows")
    answer = world.segelctl("audit", "verify")
    equal(answer.code, 0, answer)


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
