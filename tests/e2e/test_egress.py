#!/usr/bin/python3
"""Role egress on the listener of contrib/postfix/egress.cf: mail that everything before it let pass, put straight into the listener.

The listener behind segel-split asks it as well (contrib/postfix/split-master.cf). Messages are signed and encrypted by openssl(1), or sealed by our own submission service. Each row has a token of its own, and its
message is found in exactly one place: with its recipients, in the quarantine, or back with its client.
"""

import contextlib
import os
import re
import sys

import chain
import client
import deadline
import suite
from mta import DOCUMENTED_SOCKETS, HOST, own_socket, snippet
from gateway import Gateway
from openssl_ca import run
from outside import BUDI, OTHER, OWN, PARTNER, SHARED, Outside, away
from place import EGRESS_UID, HOLD_GID, MILTER_UID, REVIEWD_UID, REVIEW_GID
from splitter import Splitter
from suite import check, equal, test
from world import free_port, parsed

EGRESS_PORT = 2594
LISTED = "MAILER-DAEMON@kota.example"

RULES = """
egress: {{ socket = "{socket}"; socket_group = "{gid}"; user = "{uid}"; audit_dir = "{audit}"; state_dir = "{state}"; drain = "10s";
	unsealed = [ "mailer-daemon@kota.example", "root@kota.example" ]; }};
encrypt: {{ use = true; rules = (
	{{ to = "terbuka@penerima.example"; level = "never"; }}, {{ to = "boleh@penerima.example"; level = "may"; }},
	{{ to = "larangan@penerima.example"; level = "forbid"; }}, {{ to = "rahasia@kota.example"; level = "must"; }},
	{{ to = "unit@penerima.example"; unit = "UMUM"; level = "must"; }}, {{ to = "unit@penerima.example"; level = "never"; }}{more} ); }};
"""


class Leaving(Splitter, Outside):
    """Only role egress and the quarantine have these rules: submission seals, it and segel-split encrypt nothing, as if they had failed to."""

    def __init__(self, place):
        super().__init__(place, [BUDI], roles=("submission", "egress"))
        self.egress_config = self.path("egress.conf")
        self.more_rules = ""
        self.milters["egress"] = self.daemon("segel-milter", EGRESS_UID, [self.mta.gid, MILTER_UID, HOLD_GID], "-r", "egress",
                                             config=self.egress_config, log=self.path("log", "segel-milter-egress.log"))
        self.reviewd = self.daemon("segel-reviewd", REVIEWD_UID, [MILTER_UID, HOLD_GID, REVIEW_GID], config=self.egress_config)
        self.mta.ports["egress"] = EGRESS_PORT if place.isolated else free_port()
        self.document_egress()

    def document_egress(self):
        """The documented service, with this world's port and socket and without chroot."""
        first, *options = snippet("egress.cf")
        if not first.startswith("127.0.0.1:10031 inet ") or sum(line.endswith(DOCUMENTED_SOCKETS["egress"]) for line in options) != 1:
            raise RuntimeError("contrib/postfix/egress.cf: wanted one service, 127.0.0.1:10031, with the socket of role egress")
        with open(os.path.join(self.mta.etc, "master.cf"), "a", encoding="ascii") as out:
            out.write("\n".join([f"127.0.0.1:{self.mta.ports['egress']} inet n - n - - smtpd",
                                 *[line.replace(DOCUMENTED_SOCKETS["egress"], own_socket("egress", self.mta.sockets)) for line in options]]) + "\n")

    def role_settings(self, role):
        return "" if role == "egress" else super().role_settings(role)

    def write_config(self, path=None, **changed):
        own = RULES.format(socket=self.mta.sockets["egress"], gid=self.mta.gid, uid=EGRESS_UID, audit=self.path("audit-egress"),
                           state=self.path("state-egress"), more=self.more_rules)
        Gateway.write_config(self, self.egress_config, policy=own, message_size="1MiB")
        return super().write_config(path, **changed)

    def verdicts(self, queue_id=None):
        return [record for record in chain.read_folder(self.path("audit-egress")) if record.event == "message"]

    def leave(self, sender, recipients, message):
        """Put into the listener by some program of this machine."""
        return self.arrive(sender, recipients, message, tls=False, port="egress")

    def encrypt(self, sender, recipient, token, *options, content=None, certs=("good",)):
        path = self.path("ca", f"clear-{token}")
        with open(path, "wb") as out:
            out.write(content or self.text(token))
        return self.head(sender, recipient, token) + run("openssl", "cms", "-encrypt", *(options or ["-aes-256-cbc"]), "-in", path,
                                                         *[self.certs[name].cert for name in certs])


def make_world(place):
    return Leaving(place).make().start()


# --- messages ---

def plain(world, sender, recipient, token):
    return world.unsigned(sender, recipient, token)


def sealed(world, sender, recipient, token):
    return world.signed("good", sender, recipient, token)


def by(name, **how):
    return lambda world, *to: world.signed(name, *to, **how)


def encrypted(world, *to):
    return world.encrypt(*to)


def by_gcm(world, *to):
    return world.encrypt(*to, "-aes-256-gcm")


def by_3des(world, *to):
    return world.encrypt(*to, "-des3")


def sealed_inside(world, sender, recipient, token):
    return world.encrypt(sender, recipient, token, content=world.entity("good", token))


def signed_around(world, sender, recipient, token):
    inner = world.encrypt(sender, recipient, token).partition(b"\nMIME-Version: 1.0\n")[2]
    return world.signed("good", sender, recipient, token, content=inner)


def badly_signed_around(world, *to):
    """The first letters of the ciphertext in base64."""
    return signed_around(world, *to).replace(b"MII", b"MIJ", 1)


ENVELOPED = b"MIME-Version: 1.0\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n"


def claim(world, sender, recipient, token):
    return world.head(sender, recipient, token) + ENVELOPED + b"\nRahasia yang tidak dienkripsi.\n"


def claim_in_base64(world, sender, recipient, token):
    return (world.head(sender, recipient, token) + ENVELOPED
            + b"Content-Transfer-Encoding: base64\n\nUmFoYXNpYSB5YW5nIHRpZGFrIGRpZW5rcmlwc2kuCg==\n")


def claim_of_a_signature(world, *to):
    """A real object, opaque, under the name of another kind."""
    return world.signed("good", *to, options=["-nodetach"]).replace(b"smime-type=signed-data", b"smime-type=enveloped-data", 1)


def with_an_encrypted_part(world, sender, recipient, token):
    inner = world.encrypt(sender, recipient, token).partition(b"\nMIME-Version: 1.0\n")[2]
    return (world.head(sender, recipient, token) + b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="luar"\n\n--luar\n'
            + world.text(token) + b"\n--luar\n" + inner + b"\n--luar--\n")


def by_pgp(world, sender, recipient, token):
    return (world.head(sender, recipient, token) + b'MIME-Version: 1.0\nContent-Type: multipart/encrypted; boundary="luar";'
            b' protocol="application/pgp-encrypted"\n\n--luar\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n--luar\n'
            b"Content-Type: application/octet-stream\n\n-----BEGIN PGP MESSAGE-----\n\nhQ==\n-----END PGP MESSAGE-----\n--luar--\n")


def signed_by_pgp(world, sender, recipient, token):
    return (world.head(sender, recipient, token) + b'MIME-Version: 1.0\nContent-Type: multipart/signed; boundary="luar";'
            b' protocol="application/pgp-signature"; micalg=pgp-sha256\n\n--luar\n' + world.text(token)
            + b"\n--luar\nContent-Type: application/pgp-signature\n\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n--luar--\n")


def changed(world, *to):
    return sealed(world, *to).replace(b"09.00", b"10.00")


def another_subject(world, sender, recipient, token):
    inner = f'From: {sender}\nTo: {recipient}\nSubject: Lain\nContent-Type: text/plain; hp="clear"\n\nRapat. {token}\n'.encode()
    return world.signed("good", sender, recipient, token, content=inner)


def a_part_signed(world, sender, recipient, token):
    inside = world.entity("good", token).replace(b"MIME-Version: 1.0\n", b"", 1)
    return (world.head(sender, recipient, token) + b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="luar"\n\n--luar\n' + inside
            + b"\n--luar\nContent-Type: text/plain\n\nBayar sekarang.\n--luar--\n")


def two_mailboxes(world, sender, recipient, token):
    return plain(world, f"{sender}, camat@luar.example", recipient, token)


def two_types(world, *to):
    return plain(world, *to).replace(b"MIME-Version: 1.0", b"Content-Type: text/html\nMIME-Version: 1.0", 1)


def with_key(world, sender, recipient, token):
    with open(world.certs["foreign"].key, "rb") as file:
        return world.head(sender, recipient, token) + b"MIME-Version: 1.0\nContent-Type: text/plain\n\n" + file.read()


def too_deep(world, sender, recipient, token):
    content = world.text(token)
    for depth in range(25):
        content = f'Content-Type: multipart/mixed; boundary="d{depth}"\n\n--d{depth}\n'.encode() + content + f"\n--d{depth}--\n".encode()
    return world.head(sender, recipient, token) + b"MIME-Version: 1.0\n" + content


US, MUST, CLEAR, MAY, NOBODY, SECRET = ("siti@kota.example", "warga@penerima.example", "terbuka@penerima.example", "boleh@penerima.example",
                                        "larangan@penerima.example", "rahasia@kota.example")
ANSWERS = {"accept": "250", "reject": "550", "defer": "451", "hold": "250", "tag": "250"}

# what, message, From, recipients, action, finding that decides (None: none), enhanced code
ROWS = (
    ("mail of strangers to us", plain, OTHER, [US], "accept", None),
    ("of a partner, of a shared domain", plain, PARTNER, [US], "accept", None),
    ("of a shared domain", plain, SHARED, [US], "accept", None),
    ("of ours, unsealed", plain, OWN, [US], "reject", "SEAL_REQUIRED 5.7.7"),
    ("of ours, sealed", sealed, OWN, [US], "accept", None),
    ("of ours, sealed, in clear to one who may get it so", sealed, OWN, [CLEAR], "accept", None),
    ("of ours, sealed, to one who may or may not", sealed, OWN, [MAY], "accept", None),
    ("of ours, sealed, in clear to one who must not get it so", sealed, OWN, [MUST], "reject", "ENC_REQUIRED 5.7.4"),
    ("of strangers, in clear to one who must not get it so", plain, OTHER, [MUST], "reject", "ENC_REQUIRED 5.7.4"),
    ("in clear to one of ours for whom a rule says must", sealed, OWN, [SECRET], "reject", "ENC_REQUIRED 5.7.4"),
    ("one of three must not get it in clear", sealed, OWN, [US, MUST, CLEAR], "reject", "ENC_REQUIRED 5.7.4"),
    ("all three may", sealed, OWN, [US, MAY, CLEAR], "accept", None),
    ("encrypted", encrypted, OWN, [MUST], "accept", None),
    ("encrypted, seal inside", sealed_inside, OWN, [MUST, US], "accept", None),
    ("encrypted by GCM", by_gcm, OWN, [MUST], "accept", None),
    ("encrypted, and signed around", signed_around, OWN, [MUST], "accept", None),
    ("encrypted, and a bad signature around", badly_signed_around, OWN, [MUST], "reject", None),
    ("encrypted by strangers", encrypted, OTHER, [MUST], "accept", None),
    ("a forged claim: text", claim, OWN, [MUST], "reject", "ENC_REQUIRED 5.7.4"),
    ("a forged claim: text in base64", claim_in_base64, OTHER, [MUST], "reject", "ENC_REQUIRED 5.7.4"),
    ("a forged claim: signed, opaque", claim_of_a_signature, OWN, [MUST], "reject", "ENC_REQUIRED 5.7.4"),
    ("a forged claim does not stand for a seal", claim, OWN, [US], "reject", "SEAL_REQUIRED 5.7.7"),
    ("a forged claim of strangers, to us", claim, OTHER, [US], "accept", None),
    ("3DES", by_3des, OWN, [MUST], "reject", "ENC_REQUIRED 5.7.4"),
    ("one part of it encrypted", with_an_encrypted_part, OTHER, [MUST], "reject", "ENC_REQUIRED 5.7.4"),
    ("PGP", by_pgp, OTHER, [MUST], "reject", "ENC_REQUIRED 5.7.4"),
    ("PGP, to us", by_pgp, OTHER, [US], "accept", None),
    ("to whom nothing may go", sealed, OWN, [NOBODY], "reject", "RCPT_FORBIDDEN 5.7.1"),
    ("to whom nothing may go, encrypted", encrypted, OWN, [US, NOBODY], "reject", "RCPT_FORBIDDEN 5.7.1"),
    ("a report of ours, of a listed sender", plain, LISTED, [US], "accept", None),
    ("cron's, of a listed sender", plain, "root@kota.example", [US], "accept", None),
    ("a listed sender, in clear to one who must not get it so", plain, LISTED, [MUST], "reject", "ENC_REQUIRED 5.7.4"),
    ("nearly a listed sender", plain, "toor@kota.example", [US], "reject", "SEAL_REQUIRED 5.7.7"),
    ("a domain that only begins like ours", plain, "dinas@kota.example.luar.example", [US], "accept", None),
    ("ours in capitals", plain, "dinas@KOTA.EXAMPLE", [US], "reject", "SEAL_REQUIRED 5.7.7"),
    ("changed after sealing", changed, OWN, [US], "reject", None),
    ("another Subject than was signed", another_subject, OWN, [US], "reject", "HEADER_MISMATCH 5.7.7"),
    ("a part of it signed", a_part_signed, OWN, [US], "reject", "SEAL_REQUIRED 5.7.7"),
    ("a part of it signed, of a partner", a_part_signed, PARTNER, [US], "tag", None),
    ("weak", by("good", options=["-md", "sha1"]), OWN, [US], "reject", "SIG_WEAK 5.7.7"),
    ("unfit", by("unfit"), OWN, [US], "reject", None),
    ("revoked", by("revoked"), OWN, [US], "reject", None),
    ("held", by("held"), OWN, [US], "reject", "REG_HELD 5.7.1"),
    ("not registered", by("unknown"), OWN, [US], "reject", "REG_UNKNOWN 5.7.1"),
    ("of another authority", by("foreign"), OWN, [US], "reject", "CERT_UNTRUSTED"),
    ("whose status nobody knows", by("silent"), OWN, [US], "defer", "STATUS_UNKNOWN 4.7.5"),
    ("signed by PGP, of strangers", signed_by_pgp, OTHER, [US], "hold", None),
    ("two mailboxes in From", two_mailboxes, OTHER, [US], "reject", "FROM_AMBIGUOUS 5.6.0"),
    ("two Content-Types", two_types, OTHER, [US], "reject", "MIME_AMBIGUOUS 5.6.0"),
    ("a private key", with_key, OTHER, [US], "reject", "KEY_MATERIAL 5.7.1"),
    ("too deep", too_deep, OTHER, [US], "reject", "PARSE_LIMIT 5.6.0"),
)


def bytes_as_sent(message, delivered):
    """Of a delivered message, what was sent: everything behind the fields of delivery."""
    body = delivered.replace(b"\r\n", b"\n")
    return body.endswith(client.with_crlf(message).replace(b"\r\n", b"\n"))


def row(number, what, maker, sender, recipients, action, finding):
    @test(f"{what}: {action}")
    def _(world):
        token = f"baris-{number}"
        message = maker(world, sender, recipients[0], token)
        outcome = world.leave(sender, recipients, message)
        check(outcome.last.says(ANSWERS[action], *(finding or "").split()), f"answer:\n{outcome}")
        equal(outcome.last.command, ".", "answered at the end")
        record = world.verdicts()[-1]
        equal((record["class"], record["action"]), ("egress", action), record.values)
        EVERYTHING.append((token, recipients, action, message))
        if action == "hold":
            equal(len(world.held(recipients[0])), 1, "items")


EVERYTHING = []
for index, (name, make, by_whom, to_whom, wanted, said) in enumerate(ROWS):
    row(index, name, make, by_whom, to_whom, wanted, said)


@test("none of them was lost, doubled or changed, and what was refused is nowhere")
def _(world):
    world.wait_idle()
    for token, recipients, action, message in EVERYTHING:
        copies = {to: world.mailbox(to, f"X-Token: {token}\n".encode()) for to in recipients}
        equal({to: len(found) for to, found in copies.items()}, {to: int(action in ("accept", "tag")) for to in recipients}, token)
        for found in copies.values():
            check(not found or bytes_as_sent(message, found[0]), f"{token}: changed on the way: {found}")


@test("recipients that can be read in two ways are refused, whatever Postfix makes of them")
def _(world):
    for number, to in enumerate(('"warga%luar.example"@[127.0.0.1]', "warga%luar.example@kota.example", "luar.example!warga@kota.example",
                                 "@kota.example:siti@kota.example", "@luar.example,@kota.example:siti@kota.example",
                                 '"siti pratama"@kota.example')):
        token = f"ganda-{number}"
        outcome = world.leave(OWN, [to], sealed(world, OWN, US, token))
        check(outcome.last.says("550", "5.1.3", "RCPT_AMBIGUOUS"), f"{to}:\n{outcome}")
        outcome = world.leave(OWN, [US, to], sealed(world, OWN, US, token))
        check(outcome.last.says("550", "5.1.3", "RCPT_AMBIGUOUS"), f"with {to}:\n{outcome}")
        equal(world.mailbox(US, f"X-Token: {token}\n".encode()), [], to)
    for number, to in enumerate(("SITI@Kota.Example", "siti+arsip@kota.example", "siti@kota.example")):
        outcome = world.leave(OWN, [to], sealed(world, OWN, to, f"satu-{number}"))
        check(outcome.accepted, f"{to}:\n{outcome}")


@test("a report of non-delivery: of a listed sender it passes, of others of ours not")
def _(world):
    for sender, good in ((LISTED, True), ("postmaster@kota.example", False), ("mailer-daemon@luar.example", True)):
        message = (world.head(sender, US, "laporan") + b'MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status;'
                   b' boundary="b"\n\n--b\n\nTidak sampai.\n--b\nContent-Type: message/delivery-status\n\n'
                   b"Reporting-MTA: dns; mail.kota.example\n\n--b--\n")
        outcome = world.leave("", [US], message)
        check(outcome.accepted == good and (good or outcome.last.says("SEAL_REQUIRED")), f"{sender}:\n{outcome}")


@test("what the submission service sealed passes; results and fields of others stay as they are")
def _(world):
    budi = world.accounts[0]
    outcome = world.send_as(budi, world.head(budi.address, US, "segel") + b"\nIsi surat.\n", [US])
    check(outcome.accepted, outcome)
    [delivered] = world.wait_delivered(US, b"X-Token: segel\n")
    message = re.sub(rb"(?m)\A((Return-Path|X-Original-To|Delivered-To): .*\n)+", b"", delivered).replace(b"X-Token: segel\n", b"X-Token: lagi\n")
    message = f"Authentication-Results: {HOST}; smime=pass\nX-Segel-Nilai: baik\n".encode() + message
    outcome = world.leave(budi.address, [US], message)
    check(outcome.accepted, outcome)
    [again] = world.wait_delivered(US, b"X-Token: lagi\n")
    check(bytes_as_sent(message, again), again)
    equal(parsed(again).get_content_type(), "multipart/signed", "type")
    unsealed = world.head(budi.address, US, "polos") + b"\nIsi surat.\n"
    check(world.leave(budi.address, [US], unsealed).last.says("550", "SEAL_REQUIRED"), "the same, unsealed")


@test("the sender's unit counts, by From")
def _(world):
    to = "unit@penerima.example"
    outcome = world.leave(OWN, [to], sealed(world, OWN, to, "unit-1"))
    check(outcome.last.says("550", "ENC_REQUIRED"), outcome)
    outcome = world.leave(OTHER, [to], plain(world, OTHER, to, "unit-2"))
    check(outcome.accepted, outcome)


@test("a message that was within limits.message_size when it was handed in, and has grown by seal and encryption")
def _(world):
    to = "terbuka@penerima.example"
    for token, size, answer in (("tumbuh", 1900000, ("250",)), ("terlalu", 2200000, ("550", "PARSE_LIMIT", "message_size"))):
        content = b"Content-Type: text/plain\n\n" + (b"x" * 75 + b"\n") * (size // 76 * 73 // 100)
        message = world.encrypt(OWN, to, token, "-aes-256-gcm", content=content)
        check(abs(len(message) - size) < 60000, len(message))
        outcome = world.leave(OWN, [to], message)
        check(outcome.last.says(*answer), outcome)


@test("what is held goes out unchanged when reviewers let it go; what must be encrypted by then does not")
def _(world):
    [(token, _, _, message)] = [one for one in EVERYTHING if one[2] == "hold"]
    [item] = world.held(US)
    world.more_rules = f', {{ to = "{US}"; level = "must"; }}'
    world.write_config()
    answer = world.desk("rina").ask_again(op="release", id=item["id"], reason="pengirim benar")
    check(not answer.ok and "ENC_REQUIRED" in str(answer), answer)
    world.more_rules = ""
    world.write_config()
    answer = world.desk("rina").ask_again(op="release", id=item["id"], reason="pengirim benar")
    check(answer.ok, answer)
    [delivered] = world.wait_delivered(US, f"X-Token: {token}\n".encode())
    check(bytes_as_sent(message, delivered), delivered)


@test("segelctl explain --role egress tells the same")
def _(world):
    path = world.path("keluar.eml")
    for maker, sender, to, code, words in ((plain, OWN, [], 1, ("SEAL_REQUIRED", "internal siti@kota.example")),
                                           (sealed, OWN, [], 0, ("class:    egress", "internal siti@kota.example")),
                                           (sealed, OWN, ["--recipient", US, MUST], 1, ("ENC_REQUIRED", f"must {MUST}")),
                                           (encrypted, OWN, ["--recipient", MUST], 0, ("ENC_UNREADABLE", f"must {MUST}"))):
        with open(path, "wb") as out:
            out.write(maker(world, sender, US, "jelas"))
        done = world.as_user(0, [0], world.path("bin", "segelctl"), "-c", world.egress_config, "explain", path, "--role", "egress", *to)
        said = done.stdout.decode()
        check(done.returncode == code and all(word in said for word in words), f"{done.returncode} {said} {done.stderr}")


@test("the registry is away: deferred, strangers' mail too; and accepted when it is back")
def _(world):
    with away(world.registry):
        for maker, sender in ((sealed, OWN), (plain, OTHER)):
            outcome = world.leave(sender, [US], maker(world, sender, US, "tunda"))
            check(outcome.last.says("451", "4.3.0", "REG_UNAVAILABLE"), outcome)
    outcome = world.leave(OWN, [US], sealed(world, OWN, US, "kembali"))
    check(outcome.accepted, outcome)
    world.wait_delivered(US, b"X-Token: kembali\n")
    equal(world.mailbox(US, b"X-Token: tunda\n"), [], "delivered")


@test("the filter is away: 451, whatever it is; it comes back, and the same mail passes")
def _(world):
    message = sealed(world, OWN, US, "jeda")
    equal(world.milters["egress"].stop(), 0, "how it ended")
    outcome = world.leave(OWN, [US], message)
    check(not outcome.accepted and outcome.last.code == 451, outcome)
    world.start_milter("egress")
    check(world.leave(OWN, [US], message).accepted, "when it was back")
    equal(len(world.wait_delivered(US, b"X-Token: jeda\n")), 1, "copies")


@test("behind segel-split: what it did not encrypt goes back to its sender, and only what may goes on; while the filter is away, mail waits")
def _(world):
    budi = world.accounts[0]
    to = [US, MUST, CLEAR]
    outcome = world.send_as(budi, world.head(budi.address, ", ".join(to), "terpisah") + b"\nIsi surat.\n", to)
    check(outcome.accepted, outcome)
    world.wait_logged(r"segel-split/smtp.* to=<warga@penerima\.example>, .*status=bounced .*ENC_REQUIRED")
    world.wait_idle()
    equal([len(world.mailbox(address, b"X-Token: terpisah\n")) for address in to], [1, 0, 1], "copies")
    [report] = [letter for letter in world.mailbox(budi.address) if b"ENC_REQUIRED" in letter]
    equal(parsed(report).get_content_type(), "multipart/report", "what its sender got")
    equal(world.milters["egress"].stop(), 0, "how it ended")
    outcome = world.send_as(budi, world.head(budi.address, US, "menunggu") + b"\nIsi surat.\n", [US])
    check(outcome.accepted, outcome)
    world.wait_logged(r"segel-split/smtp.* to=<siti@kota\.example>, .*status=deferred")
    equal(world.mailbox(US, b"X-Token: menunggu\n"), [], "delivered")
    world.start_milter("egress")
    world.mta.command("postqueue", "-f")
    equal(len(world.wait_delivered(US, b"X-Token: menunggu\n")), 1, "copies")


@test("segel-milter -r egress -n is good without a key agent; its records are whole, and hold no body")
def _(world):
    program = world.path("bin", "segel-milter")
    good = world.as_user(EGRESS_UID, [world.mta.gid, MILTER_UID, HOLD_GID], program, "-r", "egress", "-n", "-c", world.egress_config)
    equal((good.returncode, good.stdout), (0, f"{world.egress_config}: good\n".encode()), good.stderr)
    answer = world.must("audit", "verify", world.path("audit-egress"))
    check("segel-milter-egress.audit" in answer.out, answer.out)
    with open(world.path("audit-egress", "segel-milter-egress.audit"), "rb") as file:
        check(b"Rapat" not in file.read(), "a body in the records")
    check("Rapat" not in world.filter_log("egress"), "a body in the log")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
