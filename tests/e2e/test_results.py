#!/usr/bin/python3
"""Authentication-Results on a real Postfix: one field of ours above all others, and none that claims to be it.

What is delivered is read by Python's email package; what our field says, by Mail::AuthenticationResults.
"""

import subprocess
import sys

import mail
import suite
from gateway import Account, Gateway
from mta import HOST
from suite import check, equal
from world import OTHER_DOMAIN, letter, parsed

BUDI = Account("budi")
INBOX = f"siti@{OTHER_DOMAIN}"
STRANGER = "warga@luar.example"
FIELD = "Authentication-Results"

# Spellings of a field that a reader may take for ours: how it is written from its name on.
FORGED = (
    f"{FIELD}: {HOST}; smime=pass",
    f"{FIELD}:{HOST}; smime=pass",
    f"AUTHENTICATION-RESULTS: {HOST.upper()}; smime=pass",
    f"{FIELD}: {HOST}.; smime=pass",
    f"{FIELD}: \"{HOST}\"; smime=pass",
    f"{FIELD}: (x (y)) {HOST} (z) 1; smime=pass",
    f"{FIELD}:\r\n {HOST};\r\n smime=pass",
    f"{FIELD}:\r\n\t(a)\r\n\t{HOST}\r\n\t; smime=pass",
    f"{FIELD}: {HOST} smime=pass",
    f"{FIELD}: {HOST}; none",
    f"{FIELD}: =?utf-8?q?{HOST}?=; smime=pass",
    f"{FIELD} : {HOST}; smime=pass",
    f"{FIELD}\t: {HOST}; smime=pass",
    f"{FIELD}: {HOST};" + " smime=pass (x)" * 60,
    f"{FIELD}: {HOST};" + "\r\n smime=pass (x)" * 60,
)
OTHERS = (
    f"{FIELD}: x.{HOST}; dkim=pass",
    f"{FIELD}: {HOST}.luar.example; dkim=pass",
    f"{FIELD}: mx.luar.example; dkim=pass header.d={HOST}",
    f"{FIELD}: mx.luar.example ({HOST}); spf=pass",
)
JUDGE = ("use Mail::AuthenticationResults::Parser; local $/; my $read = Mail::AuthenticationResults::Parser->new()->parse(<STDIN>);"
         "print $read->value->value; print ' ', $_->key, '=', $_->value for @{$read->children}")


def make_world(place):
    return Gateway(place, [BUDI], roles=("submission", "inbound")).make().start()


def read_by_perl(value):
    done = subprocess.run(["perl", "-e", JUDGE], input=str(value).encode(), capture_output=True, check=False)
    return done.stdout.decode() or done.stderr.decode()


def arrived(world, token, fields, sender=STRANGER):
    """What is delivered of a message from another server that begins with these fields."""
    message = "".join(field + "\r\n" for field in fields).encode() + letter(sender, INBOX, token=token)
    with world.session(tls=True, port="server") as session:
        outcome = session.send(sender, [INBOX], message)
        session.quit()
    check(outcome.accepted, outcome)
    [found] = world.wait_delivered(INBOX, f"X-Token: {token}".encode())
    return found


def results_of(message):
    return [" ".join(str(value).split()) for value in parsed(message).get_all(FIELD, [])]


def is_ours_alone(message, wanted="smime=none"):
    """One field with our id, above the mail server's own Received; the others."""
    ours, *others = results_of(message)
    equal(read_by_perl(ours), f"{HOST} {wanted}", "our field")
    names = [name.lower() for name in parsed(message).keys()]
    check(names.index(FIELD.lower()) < names.index("received"), names)
    raw = message.split(b"\n\n")[0].lower()
    equal(raw.count(HOST.encode() + b"; smime=pass"), 0, f"forged fields in {raw}")
    return others


@suite.test("every message gets one field of ours, above the mail server's own Received")
def _(world):
    equal(is_ours_alone(arrived(world, "satu", [])), [], "others")


def add_forged():
    for number, field in enumerate(FORGED):
        def gone(world, number=number, field=field):
            others = is_ours_alone(arrived(world, f"palsu-{number}", [field]))
            equal(others, [], "left of it")
        suite.test(f"forged: {field[:60]!r} is gone")(gone)


add_forged()


@suite.test("other servers' fields stay, in their order")
def _(world):
    others = is_ours_alone(arrived(world, "lain", OTHERS))
    equal(others, [field.partition(": ")[2] for field in OTHERS], "others")


@suite.test("sixty forged ones among sixty others: all forged are gone, all others stay in their order")
def _(world):
    fields = []
    for number in range(60):
        fields += [f"{FIELD}: {HOST}; smime=pass (no {number})", f"X-Segel-Nomor: {number}",
                   f"{FIELD}: mx{number}.luar.example; dkim=pass"]
    message = arrived(world, "banyak", fields)
    equal(is_ours_alone(message), [f"mx{number}.luar.example; dkim=pass" for number in range(60)], "others")
    check(b"x-segel-" not in message.lower(), "a field of our prefix is left")


@suite.test("nothing else of the message moves")
def _(world):
    message = arrived(world, "utuh", [f"X-Satu: 1\r\nX-Dua: 2\r\n{FORGED[0]}\r\nX-Tiga: 3"])
    head = [line for line in message.decode().split("\n\n")[0].split("\n") if line.startswith("X-")]
    equal([line for line in head if not line.startswith("X-Original-To")], ["X-Satu: 1", "X-Dua: 2", "X-Tiga: 3", "X-Token: utuh"], "fields")
    check(message.endswith(b"\n\nIsi surat.\n"), message)


@suite.test("what our own users claim is gone too, and what they send is sealed all the same")
def _(world):
    message = f"{FORGED[0]}\r\n{OTHERS[0]}\r\nX-Segel-A: 1\r\n{FORGED[3]}\r\n".encode() + mail.plain(BUDI.address, INBOX, "sendiri")
    outcome = world.send_as(BUDI, message, [INBOX])
    check(outcome.accepted, outcome)
    [found] = world.wait_delivered(INBOX, b"<sendiri.1@")
    equal(results_of(found), [OTHERS[0].partition(": ")[2]], "fields")
    check(b"x-segel-" not in found.lower() and b"multipart/signed" in found, found.decode())


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
