#!/usr/bin/python3
"""Role inbound on a real Postfix: official mail comes over TLS or not at all; other mail is left alone."""

import os
import re
import socket
import ssl
import subprocess
import sys
import time

import chain
import client
import deadline
import suite
from gateway import Account, Gateway
from mta import HOST
from suite import check, equal
from world import FAR_DOMAIN, OTHER_DOMAIN, OWN_DOMAIN, letter

BUDI = Account("budi")
INBOX = f"siti@{OTHER_DOMAIN}"
PARTNER = "partner.example"
SHARED = "bersama.example"
ENDED = "bubar.example"
IDN = "köta.example"
OFFICIAL = f"dinas@{PARTNER}"
STRANGER = "warga@luar.example"
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def make_world(place):
    world = Gateway(place, [BUDI], roles=("submission", "inbound")).make()
    world.more["inbound"] = f'metrics = "{world.path("milter-inbound", "metrics.sock")}";'
    world.write_config()
    for domain, kind in ((PARTNER, "partner"), (SHARED, "shared"), (ENDED, "partner"), (IDN, "partner")):
        world.must("domain", "add", domain, "--kind", kind)
    world.must("domain", "end", ENDED, "--reason", "digabung")
    return world.start()


def number():
    return f"tls{time.monotonic_ns()}"


def arrive(world, envelope, sender, tls=True, context=None, extra="", token=None):
    """One message from another server; its token and the outcome."""
    token = token or number()
    with world.session(tls=tls, port="server", context=context) as session:
        outcome = session.send(envelope, [INBOX], letter(sender, INBOX, extra=extra, token=token))
        session.quit()
    return token, outcome


def delivered(world, token):
    return world.wait_delivered(INBOX, f"X-Token: {token}".encode())[0]


def never_delivered(world, token):
    world.wait_idle()
    equal(world.mailbox(INBOX, f"X-Token: {token}".encode()), [], "delivered")


def refused_at_mail(world, token, outcome, *words):
    check(outcome.last.command == "MAIL" and outcome.last.says("530", "5.7.10", *words), outcome)
    never_delivered(world, token)


def refused_at_end(world, token, outcome, *words):
    check(outcome.last.command == "." and outcome.last.says("550", "5.7.10", *words), outcome)
    never_delivered(world, token)


def record_of(world, token):
    found = [record for record in chain.read_folder(world.path("audit-inbound"))
             if record.event == "message" and token in record["msgid"]]
    check(found, f"no record of {token}")
    return found[-1]


# --- who must use TLS ---

@suite.test("an official envelope sender without TLS is refused at MAIL, 530 5.7.10")
def _(world):
    for sender in (OFFICIAL, f"budi@{OWN_DOMAIN}", f"x@{SHARED}"):
        refused_at_mail(world, *arrive(world, sender, STRANGER, tls=False), "TLS_MISSING")


@suite.test("an official envelope is found however its address is written")
def _(world):
    for sender in (f"dinas@{PARTNER.upper()}", f'"d inas"@{PARTNER}', f'"x@luar.example"@{PARTNER}', "x@xn--kta-sna.example"):
        with world.session(tls=False, port="server") as session:
            answer = session.note("MAIL", session.smtp.docmd(f"MAIL FROM:<{sender}>"))
            check(answer.says("530", "5.7.10"), f"{sender}: {answer}")
    with world.session(tls=False, port="server") as session:
        answer = session.note("MAIL", session.smtp.docmd(f"MAIL FROM:<@relay.example:dinas@{PARTNER}>"))
        check(answer.says("530", "5.7.10"), answer)
        answer = session.note("MAIL", session.smtp.docmd(f"MAIL FROM:<{'x' * 400}@{PARTNER}>"))
        check(answer.says("530", "5.7.10") or answer.says("501"), answer)


@suite.test("what Postfix rewrites into an official envelope counts as one")
def _(world):
    for sender in (f'"{OFFICIAL}"', OFFICIAL.replace("@", "%"), f'"{OFFICIAL.replace("@", "%")}"', f"{PARTNER}!dinas", f"dinas@ {PARTNER}",
                   f"dinas@(x){PARTNER}", f"dinas@{PARTNER} (x)", 'dinas@"partner".example', "dinas@part\\ner.example"):
        with world.session(tls=False, port="server") as session:
            answer = session.note("MAIL", session.smtp.docmd(f"MAIL FROM:<{sender}>"))
            check(answer.says("530", "5.7.10") or answer.says("501"), f"{sender}: {answer}")


@suite.test("a bounce of a stranger's server, from the null sender, passes without TLS")
def _(world):
    token, outcome = arrive(world, "", "MAILER-DAEMON@luar.example", tls=False)
    check(outcome.accepted, outcome)
    delivered(world, token)


@suite.test("a bare envelope sender is what Postfix makes of it")
def _(world):
    def asked():
        with world.session(tls=False, port="server") as session:
            return session.note("MAIL", session.smtp.docmd("MAIL FROM:<budi>"))
    check(asked().good, "budi@mail.kota.example is not official")
    postconf(world, "-e", f"myorigin={OWN_DOMAIN}")
    try:
        check(asked().says("530", "5.7.10"), "budi@kota.example is")
    finally:
        postconf(world, "-e", f"myorigin={HOST}")


@suite.test("a domain in letters that look like an official one's, or that a mail program maps to it, does not escape")
def _(world):
    for sender in ("dinas@ｐartner.example", "dinas@partner。example", "x@kÖta.example", "dinas@𝐩artner.example"):
        token = number()
        message = letter(sender, INBOX, token=token)
        with world.session(tls=False, port="server") as session:
            outcome = session.send(STRANGER, [INBOX], message)
        refused_at_end(world, token, outcome, "TLS_MISSING")


@suite.test("an official From is refused at the end, 550 5.7.10, where envelope and connection say nothing")
def _(world):
    for sender in (OFFICIAL, f"Dinas <dinas@{PARTNER.upper()}>", f"budi@{OWN_DOMAIN}"):
        refused_at_end(world, *arrive(world, STRANGER, sender, tls=False), "TLS_MISSING")
    refused_at_end(world, *arrive(world, "", OFFICIAL, tls=False), "TLS_MISSING")


@suite.test("whoever blurs From does not escape: two addresses, two fields, a group, a comment")
def _(world):
    for sender in (f"{OFFICIAL}, {STRANGER}", f"Grup: {OFFICIAL};", f"dinas@{PARTNER} (x@luar.example)",
                   f"{STRANGER}\r\nFrom: {OFFICIAL}"):
        refused_at_end(world, *arrive(world, STRANGER, sender, tls=False), "TLS_MISSING")


@suite.test("TLS 1.2 and TLS 1.3 are taken; the record names version and cipher")
def _(world):
    for version, name, cipher in ((TLS12, "TLSv1.2", "ECDHE-"), (TLS13, "TLSv1.3", "TLS_")):
        token, outcome = arrive(world, OFFICIAL, OFFICIAL, context=client.any_server(version))
        check(outcome.accepted, outcome)
        delivered(world, token)
        record = record_of(world, token)
        equal((record["class"], record["tls"], record["action"]), ("inbound-official", name, "tag"), "record")
        check(record["cipher"].startswith(cipher), record["cipher"])


@suite.test("other mail passes with and without TLS, byte for byte; what claims to be ours goes, a result is added")
def _(world):
    for tls in (False, True):
        token = number()
        message = letter(STRANGER, INBOX, body="Isi\r\n.titik\r\n\r\nakhir \r\n", extra="X-Segel-Asing: 1\r\n", token=token)
        with world.session(tls=tls, port="server") as session:
            outcome = session.send(STRANGER, [INBOX], message)
        check(outcome.accepted, outcome)
        found = delivered(world, token)
        check(found.endswith(message.replace(b"X-Segel-Asing: 1\r\n", b"").replace(b"\r\n", b"\n")), found)
        equal(found.count(b"\nAuthentication-Results: "), 1, found)
        equal(record_of(world, token)["class"], "inbound-other", "class")


@suite.test("a domain that ended, a subdomain and a neighbour's name are not official")
def _(world):
    for domain in (ENDED, f"sub.{PARTNER}", f"x{PARTNER}", f"{PARTNER}.example"):
        token, outcome = arrive(world, f"a@{domain}", f"a@{domain}", tls=False)
        check(outcome.accepted, f"{domain}: {outcome}")


# --- where the facts come from ---

@suite.test("STARTTLS without a second EHLO: TLS is seen, and mail is taken")
def _(world):
    token = number()
    with world.session(tls=False, port="server") as session:
        session.note("STARTTLS", session.smtp.docmd("STARTTLS"))
        session.smtp.sock = client.any_server().wrap_socket(session.smtp.sock)
        session.smtp.file = None
        outcome = session.send(OFFICIAL, [INBOX], letter(OFFICIAL, INBOX, token=token))
    check(outcome.accepted, outcome)
    delivered(world, token)
    equal(record_of(world, token)["tls"], "TLSv1.3", "tls")


@suite.test("a client that never says EHLO is judged like any other")
def _(world):
    with socket.create_connection(("127.0.0.1", world.mta.ports["server"]), 10) as raw:
        lines = raw.makefile("rb")
        lines.readline()
        raw.sendall(f"MAIL FROM:<{OFFICIAL}>\r\n".encode())
        answer = lines.readline()
    check(answer.startswith(b"530 5.7.10"), answer)


@suite.test("headers that tell of TLS are not believed")
def _(world):
    forged = ("Received: from mx.partner.example (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384) by mail.kota.example;"
              " Mon, 02 Nov 2026 08:00:00 +0700\r\nX-TLS-Version: TLSv1.3\r\n")
    refused_at_end(world, *arrive(world, STRANGER, OFFICIAL, tls=False, extra=forged), "TLS_MISSING")


@suite.test("plain, refused, then STARTTLS on the same connection: taken; each message on its own")
def _(world):
    first, second, third = number(), number(), number()
    with world.session(tls=False, port="server") as session:
        check(session.mail(OFFICIAL).says("530", "5.7.10"), session.replies[-1])
        check(session.send(STRANGER, [INBOX], letter(STRANGER, INBOX, token=first)).accepted, "other mail")
        session.start_tls()
        check(session.send(OFFICIAL, [INBOX], letter(OFFICIAL, INBOX, token=second)).accepted, "after STARTTLS")
        session.mail(STRANGER)
        session.reset()
        check(session.send(OFFICIAL, [INBOX], letter(OFFICIAL, INBOX, token=third)).accepted, "after RSET")
    for token, tls in ((first, "none"), (second, "TLSv1.3"), (third, "TLSv1.3")):
        delivered(world, token)
        equal(record_of(world, token)["tls"], tls, "tls")


@suite.test("a client's certificate goes on record: name, issuer, trusted; one of an unknown issuer does not")
def _(world):
    known = world.pki("gerbang", "--ca-of", world.authority.prefix("root"), "--cn", "gerbang.partner.example",
                      "--from", "-1d", "--to", "+1y", "--key", "p256", "--usage", "sign", "--eku", "client")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    world.path("asing.key"), "-out", world.path("asing.crt"), "-subj", "/CN=gerbang.partner.example"],
                   check=True, capture_output=True, stdin=subprocess.DEVNULL)
    service = f"127.0.0.1:{world.mta.ports['server']}/inet"
    postconf(world, "-P", f"{service}/smtpd_tls_ask_ccert=yes", f"{service}/smtpd_tls_CAfile={world.authority.root_file}")
    for cert, key, wanted in ((known.cert, known.key, ("trusted", "gerbang.partner.example", "Demo Root CA")),
                              (world.path("asing.crt"), world.path("asing.key"), ("", "", ""))):
        context = client.any_server()
        context.load_cert_chain(cert, key)
        token, outcome = arrive(world, OFFICIAL, OFFICIAL, context=context)
        check(outcome.accepted, outcome)
        delivered(world, token)
        record = record_of(world, token)
        equal(tuple(record[key] for key in ("ccert", "ccert-subject", "ccert-issuer")), wanted, "certificate")


def postconf(world, *words):
    world.mta.command("postconf", *words)
    world.mta.command("postfix", "reload")
    time.sleep(1)  # what was accepted by an old smtpd would be judged by the old lines


# --- what counts as TLS ---

class Settings:
    """The world's settings changed for a while; the filter has read them when the block begins."""

    def __init__(self, world, **changed):
        self.world = world
        self.changed = changed

    def __enter__(self):
        self.load(**self.changed)

    def __exit__(self, *_failure):
        self.load()

    def load(self, **changed):
        before = self.world.filter_log("inbound").count("reloaded ")
        self.world.write_config(**changed)
        self.world.milters["inbound"].send(1)
        deadline.until("the filter to reload", lambda: self.world.filter_log("inbound").count("reloaded ") > before)


@suite.test("an older version is refused as too weak, and its version is named")
def _(world):
    with Settings(world, tls='rules = ( { class = "inbound-official"; network = ""; minimum = "TLSv1.3"; } );'):
        refused_at_mail(world, *arrive(world, OFFICIAL, OFFICIAL, context=client.any_server(TLS12)), "TLS_WEAK", "TLSv1.2")
        token, outcome = arrive(world, OFFICIAL, OFFICIAL, context=client.any_server(TLS13))
        check(outcome.accepted, outcome)
        token, outcome = arrive(world, STRANGER, STRANGER, context=client.any_server(TLS12))
        check(outcome.accepted, outcome)


@suite.test("a cipher that is not on the list is refused, and named")
def _(world):
    with Settings(world, tls='ciphers = [ "TLS_*", "ECDHE-*-CHACHA20-*" ];'):
        weak = client.any_server(TLS12, "ECDHE-ECDSA-AES128-GCM-SHA256")
        refused_at_mail(world, *arrive(world, OFFICIAL, OFFICIAL, context=weak), "TLS_WEAK", "ECDHE-ECDSA-AES128-GCM-SHA256")
        refused_at_end(world, *arrive(world, STRANGER, OFFICIAL, context=weak), "TLS_WEAK")
        token, outcome = arrive(world, OFFICIAL, OFFICIAL, context=client.any_server(TLS12, "ECDHE-ECDSA-CHACHA20-POLY1305"))
        check(outcome.accepted, outcome)


@suite.test("a peer network may be exempt; another network is not, nor another class")
def _(world):
    rule = 'rules = ( {{ class = "inbound-official"; network = "{}"; minimum = "none"; }} );'
    with Settings(world, tls=rule.format("127.0.0.0/8")):
        token, outcome = arrive(world, OFFICIAL, OFFICIAL, tls=False)
        check(outcome.accepted, outcome)
        equal((record_of(world, token)["tls"], record_of(world, token)["class"]), ("none", "inbound-official"), "record")
    with Settings(world, tls=rule.format("127.0.0.0/32")):
        refused_at_mail(world, *arrive(world, OFFICIAL, OFFICIAL, tls=False), "TLS_MISSING")


@suite.test("the table decides: TLS demanded of everybody, or only noted")
def _(world):
    for row, sender, good in (('{ finding = "TLS_MISSING"; class = "inbound-other"; action = "reject"; }', STRANGER, False),
                              ('{ finding = "TLS_MISSING"; class = "inbound-official"; action = "accept"; }', OFFICIAL, True)):
        with Settings(world, policy=f"policy = ( {row} );"):
            token, outcome = arrive(world, sender, sender, tls=False)
            equal(outcome.accepted, good, outcome)
    token, outcome = arrive(world, STRANGER, STRANGER, tls=False)
    check(outcome.accepted, outcome)


# --- when something is missing ---

@suite.test("the registry cannot be asked: 451, nothing is taken for unofficial; it is back: taken")
def _(world):
    os.rename(world.registry, world.registry + ".away")
    try:
        token, outcome = arrive(world, STRANGER, STRANGER)
        check(outcome.last.command == "MAIL" and outcome.last.says("451", "4.3.0", "REG_UNAVAILABLE"), outcome)
        token, outcome = arrive(world, STRANGER, STRANGER, tls=False)
        check(outcome.last.says("451", "4.3.0", "REG_UNAVAILABLE"), outcome)
    finally:
        os.rename(world.registry + ".away", world.registry)
    never_delivered(world, token)
    token, outcome = arrive(world, STRANGER, STRANGER)
    check(outcome.accepted, outcome)


@suite.test("a domain registered on an open connection counts at its next message")
def _(world):
    with world.session(tls=False, port="server") as session:
        check(session.send("a@baru.example", [INBOX], letter("a@baru.example", INBOX)).accepted, session.replies[-1])
        world.must("domain", "add", "baru.example", "--kind", "partner")
        check(session.mail("a@baru.example").says("530", "5.7.10"), session.replies[-1])


@suite.test("the filter is killed: 451 until it is back, nothing passes unjudged")
def _(world):
    world.milters["inbound"].kill()
    token, outcome = arrive(world, OFFICIAL, OFFICIAL, tls=False)
    check(outcome.last.says("451"), outcome)
    never_delivered(world, token)
    world.start_milter("inbound")
    refused_at_mail(world, *arrive(world, OFFICIAL, OFFICIAL, tls=False), "TLS_MISSING")


@suite.test("a message above limits.message_size is refused, since nobody can judge it; its envelope and its From still speak")
def _(world):
    with Settings(world, message_size="1KiB"):
        token = number()
        large = letter(STRANGER, INBOX, body="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 40, token=token)
        with world.session(tls=False, port="server") as session:
            outcome = session.send(STRANGER, [INBOX], large)
        check(outcome.last.command == "." and outcome.last.says("550", "5.6.0", "PARSE_LIMIT", "message_size"), outcome)
        never_delivered(world, token)
        token = number()
        large = letter(OFFICIAL, INBOX, body=("y" * 70 + "\r\n") * 40, token=token)
        with world.session(tls=False, port="server") as session:
            refused_at_end(world, token, session.send(STRANGER, [INBOX], large), "TLS_MISSING")
        with world.session(tls=True, port="server") as session:
            outcome = session.send(STRANGER, [INBOX], large)
        check(outcome.last.command == "." and outcome.last.says("550", "5.6.0", "PARSE_LIMIT", "message_size"), outcome)
        never_delivered(world, token)


@suite.test("the inbound role holds no connection to the key agent")
def _(world):
    world.keyd.kill()
    try:
        token, outcome = arrive(world, OFFICIAL, OFFICIAL)
        check(outcome.accepted, outcome)
    finally:
        world.start_keyd()


@suite.test("segelctl explain --role inbound says the same beforehand")
def _(world):
    path = world.path("surat.eml")
    with open(path, "wb") as out:
        out.write(letter(OFFICIAL, INBOX))
    for words, code, finding in ((("--tls", "none"), 1, "TLS_MISSING"), (("--tls", "TLSv1.1"), 1, "TLS_WEAK"),
                                 (("--cipher", "AES256-SHA"), 1, "TLS_WEAK"), ((), 0, None)):
        answer = world.segelctl("explain", "--role", "inbound", *words, path)
        equal(answer.code, code, answer)
        check("class:    inbound-official" in answer.out and (finding is None or finding in answer.out), answer.out)
    equal(world.segelctl("explain", "--role", "keluar", path).code, 2, "an unknown role")


@suite.test("segel-milter -r inbound -n is good without a key agent or issuing authorities; an unknown role is usage")
def _(world):
    program = world.path("bin", "segel-milter")
    good = world.as_user(64004, [world.mta.gid, 64002], program, "-r", "inbound", "-n", "-c", world.config)
    equal((good.returncode, good.stdout), (0, f"{world.config}: good\n".encode()), good.stderr)
    bad = world.as_user(64004, [world.mta.gid], program, "-r", "keluar", "-n", "-c", world.config)
    check(bad.returncode == 2 and b"wanted -r submission, -r inbound, -r local or -r egress" in bad.stderr, bad.stderr)


@suite.test("segelctl stats inbound: what was refused and taken, by class")
def _(world):
    rows = world.segelctl("stats", "inbound", json=True).data
    counted = {(row["labels"].get("class"), row["labels"].get("action")): row["value"] for row in rows
               if row["name"] == "segel_messages_total"}
    check(counted[("inbound-official", "reject")] > 0 and counted[("inbound-official", "tag")] > 0, counted)
    equal(counted[("submission", "accept")], 0, "another class")
    for role, code in (("submission", 4), ("egress", 4), ("keluar", 2)):
        equal(world.segelctl("stats", role).code, code, role)


@suite.test("records of all roles are verified together")
def _(world):
    answer = world.must("audit", "verify")
    check("segel-milter-inbound.audit" in answer.out, answer.out)


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
