"""Role submission, with encryption: what leaves, to whom, in which form. A real Postfix; openssl(1) decrypts, and verifies the seal inside."""

import os
import re
import signal
import sys

import deadline
import partners
import suite
from openssl_ca import run
from gateway import Account, Gateway
from suite import check, equal, test
from world import FAR_DOMAIN, OTHER_DOMAIN, OWN_DOMAIN, letter, parsed

CANARY = "kenari-7731-rahasia"
RULES = """\
encrypt: {{ use = true; {more} rules = (
	{{ to = "boleh@{domain}"; level = "may"; }}, {{ to = "biasa@{domain}"; level = "may"; }},
	{{ to = "polos@{domain}"; level = "never"; }}, {{ to = "terbuka@{domain}"; level = "never"; }},
	{{ to = "blokir@{domain}"; level = "forbid"; }}
); }};
"""
ORDINARY = ("Surat Nota", f"Isi: {CANARY}\r\n")


def rules(more=""):
    return RULES.format(more=more, domain=OTHER_DOMAIN)


class World(partners.Partners, Gateway):
    def make(self):
        super().make()
        self.make_partners(OTHER_DOMAIN)
        self.must("domain", "add", FAR_DOMAIN, "--kind", "partner", "--fold")
        self.leaves["lipat"] = self.make_leaf("lipat", "rsa", f"lipat@{FAR_DOMAIN}")
        self.write_config(policy=rules())
        return self

    def settings_are(self, more):
        """Other settings, from the next message on."""
        self.write_config(policy=rules(more))
        self.reload()

    def reload(self):
        said = self.filter_log().count("reloaded ")
        self.milter.send(signal.SIGHUP)
        deadline.until("the filter to reload", lambda: self.filter_log().count("reloaded ") > said)

    def submit(self, token, recipients, shown=None, extra="", subject=ORDINARY[0], body=ORDINARY[1]):
        """As the office sends it; `shown` are in To (all, where none are named)."""
        to = ", ".join(recipients if shown is None else shown) or "undisclosed-recipients:;"
        return self.send_as(self.accounts[0], letter(self.accounts[0].address, to, subject, body, extra, token), recipients)

    def copy(self, to, token):
        """The one message that arrived: told by the Message-ID, which stands outside."""
        one, = self.wait_delivered(to, f"Message-ID: <{token}.1@".encode())
        return one

    def record(self, outcome):
        """What the filter logged of it."""
        return self.wait_filter_log(re.escape(outcome.last.text.split()[-1]) + r":.* class=submission .*").group(0)


def make_world(place):
    return World(place, [Account("dinas")]).make().start()


def encrypted_for(world, message, names, count=None):
    """Nothing of it is in clear; each of them reads it, by openssl, and finds it sealed."""
    check(CANARY.encode() not in message and b"multipart/signed" not in message, "in clear")
    equal(parsed(message).get_content_type(), "application/pkcs7-mime", "what it is")
    equal(world.recipients_of(message), count or len(names), "recipients named in it")
    for name in names:
        entity = world.decrypt(message, world.leaves[name])
        check(entity and CANARY.encode() in world.verify(entity), f"openssl cannot decrypt and verify it for {name}")
    return entity


def in_clear(world, message):
    check(CANARY.encode() in world.verify(message), "not as it was sealed")


def refused(world, outcome, *words):
    check(not outcome.accepted and outcome.last.says("550", *words), str(outcome))


def gone(world, token, *recipients):
    world.wait_idle()
    for to in recipients:
        equal(world.mailbox(to, f"Message-ID: <{token}.1@".encode()), [], f"delivered to {to}")


@test("one recipient with a certificate: sealed, encrypted, the Subject hidden, and openssl reads it")
def _(world):
    outcome = world.submit("satu", [world.partner("rsa")], extra="Thread-Topic: Surat Nota\r\nKeywords: rahasia-sekali\r\nComments: soal\r\n tanah\r\nX-Original-Subject: Surat Nota\r\n")
    check(outcome.accepted, str(outcome))
    message = world.copy(world.partner("rsa"), "satu")
    entity = encrypted_for(world, message, ["rsa"])
    equal(parsed(message)["Subject"], "[...]", "Subject outside")
    equal(parsed(message)["From"], world.accounts[0].address, "From outside")
    inside = parsed(world.verify(entity))
    equal(inside["Subject"], ORDINARY[0], "Subject inside")
    for name, value in {"Thread-Topic": "Surat Nota", "Keywords": "rahasia-sekali", "Comments": "soal tanah", "X-Original-Subject": "Surat Nota"}.items():
        equal((parsed(message)[name], inside[name]), (None, value), f"{name} outside and inside")
    check("hp=cipher" in inside["Content-Type"].replace('"', "") or 'hp="cipher"' in inside["Content-Type"], inside["Content-Type"])
    check("Subject: [...]" in str(inside.get_all("HP-Outer")), "HP-Outer")
    world.wait_filter_log(r"encrypt=aes-256-cbc encrypt-certs=1 encrypt-to=" + world.leaves["rsa"].sha256[:16])
    told = world.must("explain", outcome.last.text.rpartition(" ")[2]).out
    check("encrypted (AES-256-CBC" in told and world.leaves["rsa"].sha256[:16] in told, told)


@test("several visible recipients, RSA and EC: one body, each reads it")
def _(world):
    names = ["rsa", "ec", "boleh"]
    check(world.submit("banyak", [world.partner(name) for name in names]).accepted, "sent")
    for name in names:
        encrypted_for(world, world.copy(world.partner(name), "banyak"), names)


# What is to be refused: recipients, who of them is shown, words of the reply.
REFUSALS = {
    "must, without a certificate: named, and nobody gets it": (["mentah", "rsa"], None, "5.7.4", "ENC_NO_CERT", "mentah@"),
    "revoked by its CA": (["dicabut"], None, "5.7.4", "ENC_NO_CERT", "dicabut@"),
    "held by the OP": (["tahan"], None, "5.7.4", "ENC_NO_CERT", "tahan@"),
    "of an authority nobody trusts": (["asing"], None, "5.7.4", "ENC_NO_CERT", "asing@"),
    "forbidden by a rule": (["blokir", "rsa"], None, "5.7.1", "RCPT_FORBIDDEN", "blokir@"),
    "one must get it encrypted, another never": (["rsa", "polos"], None, "5.5.3", "ENC_MIXED", "rsa@", "polos@"),
    "one must, an internal one reads clear only": (["rsa", f"rekan@{OWN_DOMAIN}"], None, "5.5.3", "ENC_MIXED", "rekan@"),
    "a hidden one would be named to the other": (["rsa", "sembunyi"], ["rsa"], "5.5.3", "ENC_MIXED", "sembunyi@"),
}


def addresses(world, names):
    return [name if "@" in name else world.partner(name) for name in names]


for title, (names, shown, *words) in REFUSALS.items():
    @test(f"refused: {title}")
    def _(world, names=names, shown=shown, words=words):
        token = "tolak" + str(abs(hash(words[-1])) % 10000) + names[0]
        recipients = addresses(world, names)
        refused(world, world.submit(token, recipients, None if shown is None else addresses(world, shown)), *words)
        gone(world, token, *recipients)


# What passes: recipients, who of them is shown, for whom it is encrypted ([] = in clear).
PASSES = {
    "internal: in clear, sealed": ([f"rekan@{OWN_DOMAIN}"], None, []),
    "never: in clear": (["polos"], None, []),
    "may, with a certificate": (["boleh"], None, ["boleh"]),
    "may, without a certificate: in clear": (["biasa"], None, []),
    "may beside never: in clear for both": (["boleh", "polos"], None, []),
    "may beside must: encrypted for both": (["boleh", "rsa"], None, ["boleh", "rsa"]),
    "one hidden recipient alone": (["sembunyi"], [], ["sembunyi"]),
}

for title, (names, shown, readers) in PASSES.items():
    @test(f"passes: {title}")
    def _(world, names=names, shown=shown, readers=readers):
        token = "lulus" + "".join(names).replace("@", "").replace(".", "")
        recipients = addresses(world, names)
        outcome = world.submit(token, recipients, None if shown is None else addresses(world, shown))
        check(outcome.accepted, str(outcome))
        for to in recipients:
            message = world.copy(to, token)
            if readers:
                encrypted_for(world, message, readers)
            else:
                in_clear(world, message)
                equal(parsed(message)["Subject"], ORDINARY[0], "Subject")


# Spellings that some server reads as an address at the partner's: what Postfix itself makes of them decides.
@test("%-hack and bang path: Postfix takes them for mailboxes of our own, so they are internal, and the partner gets nothing")
def _(world):
    for token, odd in {"persen": f"rsa%{OTHER_DOMAIN}@{OWN_DOMAIN}", "seru": f"{OTHER_DOMAIN}!rsa@{OWN_DOMAIN}"}.items():
        outcome = world.submit(token, [odd], [world.partner("rsa")])
        check(outcome.accepted, f"{odd}: {outcome}")
        in_clear(world, world.copy(odd, token))
        gone(world, token, world.partner("rsa"))


for title, odd in {"a route": f"@{OWN_DOMAIN}:rsa@{OTHER_DOMAIN}", "quotes": f'"rsa x"@{OWN_DOMAIN}',
                   "%-hack at the partner's": f"x%jauh.example@{OTHER_DOMAIN}"}.items():
    @test(f"refused, by Postfix or by us: {title}")
    def _(world, odd=odd):
        outcome = world.submit("aneh", [odd], [world.partner("rsa")])
        check(not outcome.accepted and outcome.last.code in (550, 553, 554, 501, 503), str(outcome))
        gone(world, "aneh", world.partner("rsa"), odd)


@test("letters in another case: another mailbox, unless the OP registered the domain as one that folds them")
def _(world):
    refused(world, world.submit("besar1", [world.partner("RSA")], [world.partner("rsa")]), "5.7.4", "ENC_NO_CERT", "RSA@")
    check(world.submit("besar2", [f"LIPAT@{FAR_DOMAIN.upper()}"], [f"lipat@{FAR_DOMAIN}"]).accepted, "folded")
    encrypted_for(world, world.copy(f"LIPAT@{FAR_DOMAIN.upper()}", "besar2"), ["lipat"])


@test("the sender asks for encryption: never becomes must; the field is gone from what leaves")
def _(world):
    asked = "X-Segel-Encrypt: yes\r\n"
    check(world.submit("minta", [world.partner("terbuka")], extra=asked).accepted, "sent")
    message = world.copy(world.partner("terbuka"), "minta")
    entity = encrypted_for(world, message, ["terbuka"])
    check(b"x-segel-encrypt" not in (message + entity).lower(), "the field goes on")
    refused(world, world.submit("minta2", [world.partner("polos")], extra=asked), "5.7.4", "ENC_NO_CERT")
    check(world.submit("minta3", [world.partner("terbuka")], extra="X-Segel-Encrypted: yes\r\n").accepted, "another name")
    in_clear(world, world.copy(world.partner("terbuka"), "minta3"))


@test("another name for that field, and none at all")
def _(world):
    try:
        world.settings_are('trigger = "X-Rahasia";')
        check(world.submit("nama", [world.partner("terbuka")], extra="X-RAHASIA: ya\r\nX-Rahasia: ya\r\n").accepted, "sent")
        message = world.copy(world.partner("terbuka"), "nama")
        encrypted_for(world, message, ["terbuka"])
        check(b"x-rahasia" not in message.lower(), "the field goes on")
        world.settings_are('trigger = "";')
        check(world.submit("nama2", [world.partner("terbuka")], extra="X-Segel-Encrypt: yes\r\n").accepted, "sent")
        in_clear(world, world.copy(world.partner("terbuka"), "nama2"))
    finally:
        world.settings_are("")


@test("the Subject stays outside where the setting says so")
def _(world):
    try:
        world.settings_are("hide_subject = false;")
        check(world.submit("judul", [world.partner("rsa")]).accepted, "sent")
        message = world.copy(world.partner("rsa"), "judul")
        encrypted_for(world, message, ["rsa"])
        equal(parsed(message)["Subject"], ORDINARY[0], "Subject")
    finally:
        world.settings_are("")


@test("AES-256-GCM and OAEP for those who are known to read them, and only where all do")
def _(world):
    for name in ("rsa", "ec"):
        world.must("cert", "set-capability", world.leaves[name].sha256, "gcm", "oaep")
    try:
        check(world.submit("gcm", [world.partner("rsa"), world.partner("ec")]).accepted, "sent")
        message = world.copy(world.partner("rsa"), "gcm")
        encrypted_for(world, message, ["rsa", "ec"])
        equal(parsed(message).get_param("smime-type"), "authEnveloped-data", "what it is")
        check(b"rsaesOaep" in run("openssl", "cms", "-cmsout", "-print", "-in", world.received(message)), "not OAEP")
        check(world.submit("gcm2", [world.partner("rsa"), world.partner("boleh")]).accepted, "sent")
        message = world.copy(world.partner("rsa"), "gcm2")
        encrypted_for(world, message, ["rsa", "boleh"])
        equal(parsed(message).get_param("smime-type"), "enveloped-data", "what it is where one is not known to read GCM")
    finally:
        for name in ("rsa", "ec"):
            world.must("cert", "set-capability", world.leaves[name].sha256, "none")


@test("a rule for the sender's unit")
def _(world):
    try:
        world.write_config(policy=f'encrypt: {{ use = true; rules = ( {{ unit = "UMUM"; level = "must"; }}, {{ level = "never"; }} ); }};')
        world.reload()
        check(world.submit("bagian", [world.partner("rsa")]).accepted, "sent")
        encrypted_for(world, world.copy(world.partner("rsa"), "bagian"), ["rsa"])
        world.write_config(policy=f'encrypt: {{ use = true; rules = ( {{ unit = "LAIN"; level = "must"; }}, {{ level = "never"; }} ); }};')
        world.reload()
        check(world.submit("bagian2", [world.partner("rsa")]).accepted, "sent")
        in_clear(world, world.copy(world.partner("rsa"), "bagian2"))
    finally:
        world.settings_are("")


@test("pretending: sealed and encrypted is nothing, and the log says what would have been")
def _(world):
    try:
        world.write_config(policy=rules() + "pretend = true;")
        world.reload()
        check(world.submit("pura", [world.partner("mentah")]).accepted, "a recipient without a certificate")
        message = world.copy(world.partner("mentah"), "pura")
        check(CANARY.encode() in message and b"multipart/signed" not in message, "changed")
        world.wait_filter_log("reason=ENC_NO_CERT.* pretend=yes")
    finally:
        world.settings_are("")


@test("a copy for the organisation: its key reads it, too")
def _(world):
    try:
        world.settings_are(f'copy_certificate = "{world.organisation.cert}";')
        check(world.submit("arsip", [world.partner("rsa")]).accepted, "sent")
        message = world.copy(world.partner("rsa"), "arsip")
        encrypted_for(world, message, ["rsa"], count=2)
        check(CANARY.encode() in world.decrypt(message, world.organisation), "the organisation reads it")
    finally:
        world.settings_are("")


@test("a CA without revocation lists: what could not be found out is deferred")
def _(world):
    outcome = world.submit("diam", [world.partner("diam")])
    check(outcome.last.says("451", "4.7.5", "STATUS_UNKNOWN"), str(outcome))


def content_of(path, content=None):
    """What a file holds; then it holds this instead."""
    with open(path, "rb+") as file:
        kept = file.read()
        if content is not None:
            file.seek(0)
            file.truncate()
            file.write(content)
    return kept


@test("an authority's file that cannot be read: who would be untrusted for it is deferred, and not sent in clear where he may get it so")
def _(world):
    root = world.path("trust", "anchors", "official", world.root.name + ".crt")
    kept = content_of(root, b"sampah\n")
    try:
        world.reload()
        for token, to in (("akar-1", world.partner("rsa")), ("akar-2", world.partner("boleh"))):
            outcome = world.submit(token, [to])
            check(not outcome.accepted and outcome.last.says("451", "4.7.5", "STATUS_UNKNOWN"), str(outcome))
            identity = re.escape(outcome.last.text.split()[-1].strip("[]"))
            line = world.wait_filter_log(rf".*reason=STATUS_UNKNOWN.* id={identity}\b.*")[0]
            check(to in line and "segelctl trust check" in line and f"trust: not taken: {root}" in world.filter_log(), line)
        check(world.submit("akar-3", [world.partner("biasa")]).accepted, "who has no certificate gets it in clear")
    finally:
        content_of(root, kept)
        world.reload()
    check(world.submit("akar-4", [world.partner("boleh")]).accepted, "afterwards")
    encrypted_for(world, world.copy(world.partner("boleh"), "akar-4"), ["boleh"])


@test("the registry is away: deferred, and delivered encrypted afterwards")
def _(world):
    away = world.registry + ".away"
    os.rename(world.registry, away)
    try:
        outcome = world.submit("putus", [world.partner("rsa")])
        check(outcome.last.code == 451, str(outcome))
    finally:
        os.rename(away, world.registry)
    deadline.until("the registry to be back", lambda: world.submit("putus", [world.partner("rsa")]).accepted)
    encrypted_for(world, world.copy(world.partner("rsa"), "putus"), ["rsa"])


@test("a certificate that was held a moment ago counts no longer")
def _(world):
    cert = world.leaves["ec"].sha256
    check(world.submit("tadi", [world.partner("ec")]).accepted, "before")
    world.must("cert", "hold", cert, "--reason", "uji")
    try:
        refused(world, world.submit("kini", [world.partner("ec")]), "ENC_NO_CERT")
    finally:
        world.must("cert", "unhold", cert, "--reason", "selesai")


@test("what its author encrypted goes as it is; what only says so does not")
def _(world):
    path = world.path("content.txt")
    with open(path, "wb") as out:
        out.write(b"Content-Type: text/plain\r\n\r\n" + CANARY.encode() + b"\r\n")
    made = run("openssl", "cms", "-encrypt", "-aes256", "-in", path, world.leaves["rsa"].cert).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    to = world.partner("rsa")
    head = f"From: {world.accounts[0].address}\r\nTo: {to}\r\nSubject: x\r\nDate: Mon, 02 Nov 2026 08:00:00 +0700\r\nMessage-ID: <sendiri.1@{OWN_DOMAIN}>\r\n".encode()
    outcome = world.send_as(world.accounts[0], head + made, [to])
    check(outcome.accepted, str(outcome))
    message = world.copy(to, "sendiri")
    check(made.split(b"\r\n\r\n", 1)[1].replace(b"\r\n", b"\n").strip() in message.replace(b"\r\n", b"\n"), "its body is another")
    claimed = head.replace(b"sendiri", b"klaim") + made.split(b"\r\n\r\n", 1)[0] + b"\r\n\r\n" + CANARY.encode() + b"\r\n"
    outcome = world.send_as(world.accounts[0], claimed, [to])
    check(not outcome.accepted and outcome.last.code == 550, str(outcome))
    gone(world, "klaim", to)


@test("a mail server of ours (encrypt.peers): a recipient of another kind is asked to come in a transaction of its own")
def _(world):
    try:
        world.settings_are('peers = [ "127.0.0.1" ];')
        message = letter(world.accounts[0].address, f"{world.partner('rsa')}, {world.partner('ec')}, rekan2@{OWN_DOMAIN}", body=ORDINARY[1], token="rekan")
        with world.session_of(world.accounts[0]) as session:
            session.mail(world.accounts[0].address)
            replies = [session.rcpt(to) for to in (world.partner("rsa"), f"rekan2@{OWN_DOMAIN}", world.partner("ec"))]
            equal([reply.code for reply in replies], [250, 452, 250], "answers to RCPT")
            check(replies[1].says("4.5.3", "ENC_MIXED"), str(replies[1]))
            check(session.data(message).good, str(session.replies[-1]))
        encrypted_for(world, world.copy(world.partner("rsa"), "rekan"), ["rsa", "ec"])
        gone(world, "rekan", f"rekan2@{OWN_DOMAIN}")
        check(world.submit("rekan3", [f"rekan2@{OWN_DOMAIN}"]).accepted, "by itself")
        in_clear(world, world.copy(f"rekan2@{OWN_DOMAIN}", "rekan3"))
    finally:
        world.settings_are("")


@test("5 MB, 8-bit and long lines: whole at the other end")
def _(world):
    body = ("Dengan hormat, é " + "x" * 2000 + "\r\n") * 2500 + ORDINARY[1]
    outcome = world.submit("besar", [world.partner("rsa")], body=body, extra="MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n")
    check(outcome.accepted, str(outcome))
    entity = encrypted_for(world, world.copy(world.partner("rsa"), "besar"), ["rsa"])
    equal(parsed(world.verify(entity)).get_content().replace("\r\n", "\n"), body.replace("\r\n", "\n"), "the body")


@test("the plaintext stands in no log, record, database or folder, and in no bounce")
def _(world):
    world.wait_idle()
    found = []
    for folder in ("log", "registry", "audit-submission", "state-submission", "audit-keyd", "keyd"):
        for top, _, names in os.walk(world.path(folder)):
            for name in names:
                path = os.path.join(top, name)
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        if CANARY.encode() in file.read():
                            found.append(path)
    equal(found, [], "files with the canary")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
