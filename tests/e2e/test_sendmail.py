"""Segel behind a real Sendmail: sealed as behind Postfix, and refused as there.

The services have the documented lines of contrib/sendmail. What Sendmail takes is delivered from
behind two Postfix servers, of which the first offers no 8BITMIME; whether a seal is good is said
there by openssl, gpgsm and cmsutil.
"""

import os
import re
import signal
import sys

import client
import deadline
import judge
import mail
import partners
import sendmail
import suite
from gateway import Account
from mta import HOST
from openssl_ca import run
from place import INBOUND_UID
from sendmail import HOP_DOMAIN, SendmailGateway
from world import OTHER_DOMAIN, OWN_DOMAIN, letter, parsed

SITI = f"siti@{OTHER_DOMAIN}"
HOP = f"ani@{HOP_DOMAIN}"
PARTNER = "partner.example"
OFFICIAL = f"dinas@{PARTNER}"
STRANGER = "warga@luar.example"
DINAS = f"dinas@{OWN_DOMAIN}"
GAGAL = f"gagal@{OWN_DOMAIN}"  # whom Postfix refuses, behind Sendmail

BUDI = Account("budi", "Kepala Bagian Umum", key="rsa2048")
DEWI = Account("dewi", "Bendahara")
PIMPINAN = Account("pimpinan", "Kantor Dinas")  # whose certificate carries the office's address


class World(partners.Partners, SendmailGateway):
    opener = None  # certificate of the key that arriving mail is decrypted with

    def __init__(self, place):
        super().__init__(place, [BUDI, DEWI, PIMPINAN], roles=("submission", "inbound", "egress"))
        with open(os.path.join(self.mta.etc, "transport"), "a", encoding="utf-8") as out:
            out.write(f"{GAGAL} error:5.2.2 the mailbox is full\n")

    def make(self):
        super().make()
        self.opener = self.hand_to_keyd("buka", self.pki("buka", "--ca-of", self.authority.prefix("issuing"), "--cn", "Buka", "--email", DINAS,
                                                         "--from", "-1d", "--to", "+2y", "--usage", "encipher", "--passphrase-file", self.authority.passphrase_file))
        self.must("address", "add", GAGAL, "--unit", "UMUM")
        self.must("cert", "import", self.opener.cert, "--kind", "jabatan")
        self.must("bind", "add", self.opener.sha256, "--purpose", "encrypt", "--unit", "UMUM")
        self.write_config()
        return self

    def settings(self):
        settings = super().settings()
        if not self.opener:
            return settings
        row = (f'{{ file = "{self.opener.key}"; passphrase_file = "{self.path("keys", "passphrase")}"; purpose = "decrypt"; '
               f'unwrappers = [ "{INBOUND_UID}" ]; }}')
        return {**settings, "keys": settings["keys"] + ", " + row, "unwrappers": f'unwrappers = [ "{INBOUND_UID}" ];',
                "policy": "decrypt: { use = true; };"}

    def issue(self, account):
        address = DINAS if account is PIMPINAN else account.address
        issued = self.authority.issue(account.name, account.title, [address], account.start, account.end, account.key)
        return self.hand_to_keyd(account.name, issued)

    def register(self, account):
        super().register(account)
        if account is PIMPINAN:
            self.must("address", "add", DINAS, "--unit", "UMUM")
            self.must("login", "add", account.login, "--address", DINAS)


def make_world(place):
    world = World(place).make()
    world.must("domain", "add", PARTNER, "--kind", "partner")
    return world.start()


def test(name):
    """A test that begins with everything running, whatever the one before did."""
    def keep(function):
        def prepared(world):
            world.ensure_running()
            function(world)
        return suite.test(name)(prepared)
    return keep


def refused(world, outcome, token, *words):
    suite.check(not outcome.accepted, f"it was accepted:\n{outcome}")
    suite.check(outcome.last.says(*words), f"the refusal does not say {words}:\n{outcome}")
    world.wait_idle()
    suite.equal(world.mailbox(SITI, f"<{token}.1@".encode()), [], "delivered")


def sealed(world, account, token, outcome, recipient=SITI):
    """Accepted, delivered once, and good for three judges. Returns the message as delivered."""
    suite.check(outcome.accepted, outcome)
    [message] = world.wait_delivered(recipient, f"<{token}.1@".encode())
    for name, verify in judge.JUDGES.items():
        verdict = verify(message, world.authority.root_file)
        suite.check(verdict.ok, f"{name}: {verdict}\n--- the message:\n{message.decode('utf-8', 'replace')[:3000]}")
        suite.check(verdict.signer in (account.cert, None), f"{name}: signed with the certificate {verdict.signer}")
    return message


def covered(world, message):
    """What the signature covers, as openssl gives it back."""
    source = judge.write(world.folder, "covered.eml", message)
    target = world.path("covered-content")
    status, text = judge.run(["openssl", "cms", "-verify", "-in", source, "-CAfile", world.authority.root_file, "-out", target])
    suite.equal(status, 0, text)
    with open(target, "rb") as content:
        return content.read()


def send(world, account, token, **options):
    message = mail.plain(account.address, SITI, token)
    return world.send(account.login, account.password, message, account.address, [SITI], **options)


def add_kinds():
    for kind in mail.KINDS:
        token = re.sub(r"[^a-z0-9]+", "-", kind)
        for way, port, recipient in (("by Sendmail", "submission", SITI), ("by Postfix, then through Sendmail", "postfix-submission", HOP)):
            def run(world, kind=kind, token=token, port=port, recipient=recipient):
                message = mail.KINDS[kind](BUDI.address, recipient, token)
                outcome = world.send(BUDI.login, BUDI.password, message, BUDI.address, [recipient], port=port)
                arrived = sealed(world, BUDI, token, outcome, recipient)
                suite.equal(list(mail.leaves(parsed(covered(world, arrived)))), list(mail.leaves(parsed(message))), "content")
            test(f"{kind}, sealed {way}: judged by three programs")(run)


add_kinds()


@test("encryption: to a certificate, internal in clear, refused by name; %-hack and a route are ambiguous")
def _(world):
    def submit(token, *recipients):
        message = letter(BUDI.address, ", ".join(recipients), body="Isi: kenari-7731\r\n", token=token)
        return world.send_as(BUDI, message, recipients)

    def arrived(token, to):
        one, = world.wait_delivered(to, f"<{token}.1@".encode())
        return one
    world.make_partners(OTHER_DOMAIN)
    world.write_config(policy="encrypt: { use = true; };")
    world.milter.stop()
    world.start_milter()
    try:
        suite.check(submit("sandi", world.partner("rsa"), world.partner("ec")).accepted, "encrypted")
        for name in ("rsa", "ec"):
            message = arrived("sandi", world.partner(name))
            suite.check(b"kenari" not in message and b"kenari-7731" in world.verify(world.decrypt(message, world.leaves[name])), f"not encrypted for {name}")
            suite.equal(parsed(message)["Subject"], "[...]", "Subject")
        suite.check(submit("dalam", DINAS).accepted, "internal")
        suite.check(b"kenari-7731" in world.verify(arrived("dalam", DINAS)), "internal: not in clear")
        suite.check(submit("mentah", world.partner("mentah")).last.says("550", "ENC_NO_CERT", "mentah@"), "without a certificate")
        for odd in (f"rsa%{OTHER_DOMAIN}@{HOST}", f"@{HOST}:rsa@{OTHER_DOMAIN}"):
            outcome = submit("aneh", odd)
            suite.check(not outcome.accepted and outcome.last.code // 100 == 5, f"{odd}: {outcome}")
        world.wait_idle()
        suite.equal(world.mailbox(world.partner("rsa"), b"<aneh.1@"), [], "delivered")
    finally:
        world.write_config()
        world.milter.stop()
        world.start_milter()


@test("on the way out: in clear to one who must not get it so, unsealed under our name, in two ways: refused; the filter away: 451")
def _(world):
    def leave(token, sender, recipient):
        return world.send(None, None, letter(sender, recipient, token=token), sender, [recipient], tls=False, port="egress")

    def reload(**changed):
        world.write_config(**changed)
        before = world.filter_log("egress").count("reloaded ")
        world.milters["egress"].send(signal.SIGHUP)
        deadline.until("the settings to be read", lambda: world.filter_log("egress").count("reloaded ") > before)
    reload(policy="encrypt: { use = true; };")
    try:
        suite.check(leave("keluar", STRANGER, DINAS).accepted, "strangers' mail to us")
        suite.equal(len(world.wait_delivered(DINAS, b"<keluar.1@")), 1, "copies")
        for sender, recipient, words in ((STRANGER, SITI, ("550", "5.7.4", "ENC_REQUIRED")), (DINAS, DINAS, ("550", "5.7.7", "SEAL_REQUIRED")),
                                         (STRANGER, f"siti%{OTHER_DOMAIN}@{HOST}", ("550", "5.1.3", "RCPT_AMBIGUOUS"))):
            outcome = leave("tidak", sender, recipient)
            suite.check(outcome.last.says(*words), f"{sender} to {recipient}: {outcome}")
        world.milters["egress"].stop()
        outcome = leave("tidak", STRANGER, DINAS)
        suite.check(not outcome.accepted and outcome.last.code == 451, outcome)
        world.start_milter("egress")
        world.wait_idle()
        suite.equal(world.mailbox(DINAS, b"<tidak.1@"), [], "delivered")
    finally:
        world.ensure_running()
        reload()


@test("one byte changed after sealing, and every judge says no")
def _(world):
    arrived = sealed(world, DEWI, "diubah", send(world, DEWI, "diubah")).replace(b"09.00", b"10.00")
    for name, verify in judge.JUDGES.items():
        suite.check(not verify(arrived, world.authority.root_file).ok, f"{name} took it for good")


@test("the record has Sendmail's TLS, login and queue id")
def _(world):
    outcome = send(world, BUDI, "tercatat")
    sealed(world, BUDI, "tercatat", outcome)
    queue_id = outcome.last.text.split()[1]
    line = world.wait_filter_log(r".*msgid=\S*tercatat.*").group(0)
    for word in (f" {queue_id}: action=accept", f"login={BUDI.login}", f"from={BUDI.address}", "tls=TLSv1.3", "auth=PLAIN",
                 "cipher=TLS_", f"cert={BUDI.cert}", "seal=clear"):
        suite.check(word in line, f"'{word}' is missing in: {line}")


@test("a client's certificate is on record as Sendmail verified it: trusted, untrusted, none")
def _(world):
    stranger = world.path("orang")
    status, text = judge.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                              stranger + ".key", "-out", stranger + ".crt", "-days", "30", "-subj", "/O=Asing/CN=orang"])
    suite.equal(status, 0, text)
    for word, shown in (("trusted", world.mta.tls + "/server"), ("untrusted", stranger), ("none", None)):
        context = client.any_server()
        if shown:
            context.load_cert_chain(shown + ".crt", shown + ".key")
        token = f"sertifikat-{word}"
        with world.session(BUDI.login, BUDI.password, context=context) as session:
            outcome = session.send(BUDI.address, [SITI], mail.plain(BUDI.address, SITI, token))
        sealed(world, BUDI, token, outcome)
        line = world.wait_filter_log(rf".*msgid=\S*{token}.*").group(0)
        suite.check((f" ccert={word}" in line) if shown else "ccert=" not in line, line)


# ---- refused ----

@test("no TLS: 530 5.7.10, nothing delivered")
def _(world):
    message = mail.plain(BUDI.address, SITI, "tanpa-tls")
    refused(world, world.send(None, None, message, BUDI.address, [SITI], tls=False), "tanpa-tls", "530", "5.7.10")


@test("no login: 550 5.7.1, nothing delivered")
def _(world):
    message = mail.plain(BUDI.address, SITI, "tanpa-login")
    refused(world, world.send(None, None, message, BUDI.address, [SITI]), "tanpa-login", "550", "5.7.1")


@test("somebody else's From: 550 5.7.1, nothing delivered")
def _(world):
    outcome = world.send_as(BUDI, mail.plain(DEWI.address, SITI, "orang-lain"), [SITI])
    refused(world, outcome, "orang-lain", "550", "5.7.1", "LOGIN_MISMATCH")


@test("somebody else's envelope sender: 550 5.7.1, nothing delivered")
def _(world):
    outcome = world.send_as(BUDI, mail.plain(BUDI.address, SITI, "amplop-lain"), [SITI], sender=DEWI.address)
    refused(world, outcome, "amplop-lain", "550", "5.7.1")


@test("two From fields: 550 5.6.0, nothing delivered")
def _(world):
    message = f"From: {BUDI.address}\r\n".encode() + mail.plain(BUDI.address, SITI, "dua-from")
    refused(world, world.send_as(BUDI, message, [SITI]), "dua-from", "550", "5.6.0")


@test("the documented service: no MAIL without TLS or without a login, and no login before TLS")
def _(world):
    for tls in (False, True):
        with world.session(tls=tls, port="documented") as session:
            reply = session.mail(BUDI.address)
            suite.check(reply.code == 530, f"TLS {tls}, no login: {reply}")
    with world.session(tls=False, port="documented") as session:
        suite.check("auth" not in session.smtp.esmtp_features, f"AUTH offered before TLS: {session.smtp.esmtp_features}")
        session.smtp.putcmd("AUTH", "PLAIN AGJ1ZGk=")
        suite.check(session.note("AUTH", session.smtp.getreply()).code >= 500, session.replies[-1])


@test("the documented service: sealed with TLS and a login, and not with a wrong password")
def _(world):
    sealed(world, BUDI, "terdokumentasi", send(world, BUDI, "terdokumentasi", port="documented"))
    with world.session(BUDI.login, "salah", port="documented") as session:
        suite.check(session.replies[-1].code == 535, session.replies[-1])
        suite.check(session.mail(BUDI.address).code == 530, session.replies[-1])


# ---- what a client claims ----

@test("STARTTLS without a second EHLO: still seen as TLS, and sealed")
def _(world):
    with world.session(tls=False) as session:
        greeted = dict(session.smtp.esmtp_features)
        suite.check(session.note("STARTTLS", session.smtp.starttls(context=session.context)).good, session.replies[-1])
        session.smtp.esmtp_features, session.smtp.does_esmtp = {**greeted, "auth": "PLAIN"}, True
        session.smtp.helo_resp = session.smtp.ehlo_resp = b"greeted before"
        session.log_in(BUDI.login, BUDI.password)
        outcome = session.send(BUDI.address, [SITI], mail.plain(BUDI.address, SITI, "tanpa-ehlo"))
    sealed(world, BUDI, "tanpa-ehlo", outcome)
    line = world.wait_filter_log(r".*msgid=\S*tanpa-ehlo.*").group(0)
    suite.check("tls=TLSv1" in line, line)


@test("XCLIENT and AUTH= claim a login: XCLIENT is unknown, AUTH= counts for nothing")
def _(world):
    with world.session() as session:
        session.smtp.putcmd("XCLIENT", f"LOGIN={BUDI.login} NAME=localhost")
        suite.check(session.note("XCLIENT", session.smtp.getreply()).code == 500, session.replies[-1])
        first = len(session.replies)
        if session.mail(BUDI.address, [f"AUTH={BUDI.login}"]).good and session.rcpt(SITI).good:
            session.data(mail.plain(BUDI.address, SITI, "mengaku"))
        refused(world, client.Outcome(session.replies[first:]), "mengaku", "550", "5.7.1")


@test("fields that claim TLS and a login: refused all the same")
def _(world):
    claims = ("Received: from x (authenticated bits=0) by mail.kota.example with ESMTPSA (version=TLSv1.3 verify=OK)\r\n"
              f"X-Segel-Login: {BUDI.login}\r\nAuthentication-Results: mail.kota.example; auth=pass\r\n")
    message = claims.encode() + mail.plain(BUDI.address, SITI, "mengaku-tls")
    refused(world, world.send(None, None, message, BUDI.address, [SITI]), "mengaku-tls", "550", "5.7.1")


@test("a message smuggled behind a dot between bare line ends stays text of the one around it, under its seal")
def _(world):
    inner = mail.plain(BUDI.address, SITI, "diselundupkan")
    for number, end in enumerate((b"\n.\n", b"\n.\r\n", b"\r.\r\n")):
        token = f"selundup-{number}"
        commands = f"MAIL FROM:<{BUDI.address}>\r\nRCPT TO:<{SITI}>\r\nDATA\r\n".encode()
        with world.session_of(BUDI) as session:
            suite.check(session.mail(BUDI.address).good and session.rcpt(SITI).good, session.replies[-1])
            session.smtp.putcmd("data")
            session.note("DATA", session.smtp.getreply())
            session.smtp.sock.sendall(mail.plain(BUDI.address, SITI, token).rstrip(b"\r\n") + end + commands + inner + b"\r\n.\r\n")
            outcome = client.Outcome([session.note(".", session.smtp.getreply())])
        if outcome.accepted:
            sealed(world, BUDI, token, outcome)
        else:
            refused(world, outcome, token)
    world.wait_idle()
    separate = [message for message in world.mailbox(SITI) if parsed(message)["X-Token"] == "diselundupkan"]
    suite.equal(separate, [], "delivered as a message of its own")


# ---- one connection ----

@test("RSET, a refused message, several messages on one connection: each sealed for its own")
def _(world):
    tokens = [f"berturut-{number}" for number in range(4)]
    with world.session_of(DEWI) as session:
        for token in tokens:
            suite.check(session.mail(DEWI.address).good and session.rcpt(f"lain@{OTHER_DOMAIN}").good, session.replies[-1])
            suite.check(session.reset().good, session.replies[-1])
            refused(world, session.send(DEWI.address, [SITI], mail.plain(BUDI.address, SITI, "ditolak")), "ditolak", "550")
            outcome = session.send(DEWI.address, [SITI], mail.plain(DEWI.address, SITI, token))
            sealed(world, DEWI, token, outcome)
    suite.equal(world.mailbox(f"lain@{OTHER_DOMAIN}"), [], "delivered to the recipient of what was given up")


@test("a connection cut in the middle of DATA: nothing delivered, and the next one is sealed")
def _(world):
    with world.session_of(BUDI) as session:
        session.mail(BUDI.address)
        session.rcpt(SITI)
        session.begin_data(mail.plain(BUDI.address, SITI, "terputus"))
        session.vanish()
    sealed(world, DEWI, "sesudah-putus", send(world, DEWI, "sesudah-putus"))
    world.wait_idle()
    suite.equal(world.mailbox(SITI, b"<terputus.1@"), [], "delivered")


# ---- fields ----

def head_lines(message, *without):
    """The lines of the head as delivered, below what the servers added, without the fields of these names."""
    head = judge.split_head(judge.crlf(message))[0].decode("latin-1")
    fields = re.split(r"\r\n(?![ \t])", head)
    return [field for field in fields
            if field.partition(":")[0].lower() not in ("received", "return-path", "x-original-to", "delivered-to", *without)]


def odd_fields(token, more=""):
    """Spaces, tabs, folds and order as some mail programs write them; the long line is near what SMTP allows."""
    return letter(BUDI.address, SITI, "Surat", mail.TEXT, token=token, extra=(
        "X-Kosong:\r\nX-Rapat:tanpa spasi\r\nX-Tab:\tdengan tab\r\nX-Dua:  dua spasi  \r\nX-Lipat: satu\r\n\tdua\r\n   tiga\r\n"
        "X-Ulang: pertama\r\nX-Sela: x\r\nX-Ulang: kedua\r\n" + f"X-Panjang: {'p' * 980}\r\n"
        f"X-Panjang-Lipat: {(' ' + 'q' * 70 + chr(13) + chr(10)) * 60}" + more))


@test("fields that sealing does not touch come out as without a filter: same bytes, same order")
def _(world):
    changed = ("mime-version", "content-type", "content-transfer-encoding")
    plainly = world.send(None, None, odd_fields("tanpa-saringan"), BUDI.address, [SITI], tls=False, port="relay")
    suite.check(plainly.accepted, plainly)
    [wanted] = world.wait_delivered(SITI, b"<tanpa-saringan.1@")
    arrived = sealed(world, BUDI, "dengan-saringan", world.send_as(BUDI, odd_fields("dengan-saringan"), [SITI]))
    found = [line.replace("dengan-saringan", "tanpa-saringan") for line in head_lines(arrived, *changed)]
    suite.equal(found, head_lines(wanted, *changed), "fields")
    suite.equal(len(parsed(arrived).get_all("Content-Type")), 1, "Content-Type fields")


@test("a certificate of another address: Sender names it")
def _(world):
    arrived = sealed(world, PIMPINAN, "sender-baru", send(world, PIMPINAN, "sender-baru"))
    suite.equal(parsed(arrived).get_all("Sender"), [DINAS], "Sender")
    suite.equal(parsed(arrived)["From"], PIMPINAN.address, "From")


@test("a Sender that is there is changed, not doubled, and stays where it is")
def _(world):
    message = letter(PIMPINAN.address, SITI, "Surat", mail.TEXT, token="sender-lama",
                     extra=f"X-Sebelum: a\r\nSender: {PIMPINAN.address}\r\nX-Sesudah: b\r\n")
    arrived = sealed(world, PIMPINAN, "sender-lama", world.send_as(PIMPINAN, message, [SITI]))
    suite.equal(parsed(arrived).get_all("Sender"), [DINAS], "Sender")
    names = [line.partition(":")[0] for line in head_lines(arrived)]
    suite.equal(names[names.index("X-Sebelum"):names.index("X-Sesudah") + 1], ["X-Sebelum", "Sender", "X-Sesudah"], "order")


@test("no Sender where the certificate is of the From address")
def _(world):
    arrived = sealed(world, BUDI, "tanpa-sender", send(world, BUDI, "tanpa-sender"))
    suite.equal(parsed(arrived).get_all("Sender"), None, "Sender")


# ---- from other servers: role inbound ----

def arrive(world, envelope, sender, token, tls):
    return world.send(None, None, letter(sender, SITI, body=mail.TEXT, token=token), envelope, [SITI], tls=tls, port="server")


def taken(world, token, outcome):
    suite.check(outcome.accepted, outcome)
    [message] = world.wait_delivered(SITI, f"<{token}.1@".encode())
    suite.check(mail.TEXT.replace("\r\n", "\n").encode() in message and b"pkcs7" not in message, message.decode())


@test("official mail without TLS: refused at MAIL by its envelope, 530 5.7.10, or at the end by its From, 550 5.7.10")
def _(world):
    outcome = arrive(world, OFFICIAL, OFFICIAL, "resmi-amplop", tls=False)
    suite.equal(outcome.last.command, "MAIL", "refused at")
    refused(world, outcome, "resmi-amplop", "530", "5.7.10", "TLS_MISSING")
    outcome = arrive(world, STRANGER, OFFICIAL, "resmi-from", tls=False)
    suite.equal(outcome.last.command, ".", "refused at")
    refused(world, outcome, "resmi-from", "550", "5.7.10", "TLS_MISSING")


@test("official mail with TLS is taken, and so is other mail with and without; the record says which")
def _(world):
    for sender, tls, word in ((OFFICIAL, True, "inbound-official"), (STRANGER, True, "inbound-other"), (STRANGER, False, "inbound-other")):
        token = f"datang-{word}-{tls}".lower()
        taken(world, token, arrive(world, sender, sender, token, tls))
        line = world.wait_filter_log(rf".*msgid=\S*{token}.*", role="inbound").group(0)
        for words in (f"class={word}", "tls=TLSv1.3" if tls else "tls=none", "action=tag" if word == "inbound-official" else "action=accept"):
            suite.check(f" {words} " in line, f"'{words}' is missing in: {line}")


def results_of(message):
    return [" ".join(str(value).split()) for value in parsed(message).get_all("Authentication-Results", [])]


@test("one results field of ours, above Sendmail's own Received; forged ones are gone, however they are written")
def _(world):
    forged = (f": {HOST}; smime=pass", f":{HOST.upper()}; smime=pass", f": \"{HOST}.\" 1; smime=pass", f":\r\n\t(x)\r\n\t{HOST};\r\n\tsmime=pass",
              f": {HOST} smime=pass", f" : {HOST}; smime=pass")
    for number, written in enumerate(forged):
        token = f"hasil-{number}"
        message = f"Authentication-Results{written}\r\n".encode() + letter(STRANGER, SITI, body=mail.TEXT, token=token)
        taken(world, token, world.send(None, None, message, STRANGER, [SITI], port="server"))
        [found] = world.wait_delivered(SITI, f"<{token}.1@".encode())
        suite.equal(results_of(found), [f"{HOST}; smime=none reason=SIG_MISSING"], written)
        names = [name.lower() for name in parsed(found).keys()]
        hops = [index for index, name in enumerate(names) if name == "received"]
        # Postfix delivers what Sendmail took: Sendmail's Received is the lowest.
        suite.check(hops[-2] < names.index("authentication-results") < hops[-1], names)


@test("forty forged fields among forty others: all forged are gone, all others stay in their order")
def _(world):
    fields = "".join(f"Authentication-Results: {HOST}; smime=pass (no {number})\r\nX-Segel-Nomor: {number}\r\n"
                     f"Authentication-Results: mx{number}.luar.example; dkim=pass\r\n" for number in range(40))
    message = fields.encode() + letter(STRANGER, SITI, body=mail.TEXT, token="hasil-banyak")
    taken(world, "hasil-banyak", world.send(None, None, message, STRANGER, [SITI], port="server"))
    [found] = world.wait_delivered(SITI, b"<hasil-banyak.1@")
    ours, *others = results_of(found)
    suite.equal(ours, f"{HOST}; smime=none reason=SIG_MISSING", "ours")
    suite.equal(others, [f"mx{number}.luar.example; dkim=pass" for number in range(40)], "others")
    suite.check(b"x-segel-" not in found.lower(), found.decode())


def encrypted(world, recipient, token):
    """AuthEnvelopedData of openssl's making."""
    content = world.path("content")
    with open(content, "wb") as out:
        out.write(f"Content-Type: text/plain\n\nKata sandi: kenari-{token}.\n".encode())
    head = letter(STRANGER, recipient, token=token).partition(b"\r\n\r\n")[0].replace(b"\r\n", b"\n") + b"\n"
    return head + run("openssl", "cms", "-encrypt", "-aes-256-gcm", "-in", content, world.opener.cert)


@test("encrypted mail that arrives is decrypted, and a bounce of it, Sendmail's own, carries nothing of what was inside")
def _(world):
    outcome = world.send(None, None, encrypted(world, DINAS, "buka"), STRANGER, [DINAS], port="server")
    suite.check(outcome.accepted, outcome)
    [found] = world.wait_delivered(DINAS, b"<buka.1@")
    read = parsed(found)
    suite.equal((read.get_content_type(), read.get_content().strip()), ("text/plain", "Kata sandi: kenari-buka."), "what was inside")
    suite.check(any("(decrypted)" in value for value in results_of(found)), results_of(found))
    outcome = world.send(None, None, encrypted(world, GAGAL, "pantul"), SITI, [GAGAL], port="server")
    suite.check(outcome.accepted, outcome)
    outcome = world.send(None, None, letter(SITI, GAGAL, body="kenari-biasa\r\n", token="pantul-biasa"), SITI, [GAGAL], port="server")
    suite.check(outcome.accepted, outcome)
    [bounce] = world.wait_delivered(SITI, b"<pantul.1@")
    [other] = world.wait_delivered(SITI, b"<pantul-biasa.1@")
    suite.check(b"kenari-biasa" in other, f"of other mail it carries all:\n{other.decode()}")
    world.wait_filter_log(r"msgid=<pantul\.1@.* decrypted=yes ", role="inbound")
    suite.check(b"kenari" not in bounce and b"the mailbox is full" in bounce, bounce.decode())


@test("the inbound role's filter killed: 45x for everybody; back, mail is taken")
def _(world):
    world.milters["inbound"].kill()
    refused(world, arrive(world, STRANGER, STRANGER, "masuk-mati", tls=False), "masuk-mati", "451")
    world.ensure_running()
    taken(world, "masuk-hidup", arrive(world, STRANGER, STRANGER, "masuk-hidup", tls=False))


# ---- what is not there ----

@test("key agent stopped: 451, nothing delivered; started, sealing again")
def _(world):
    world.keyd.stop()
    refused(world, send(world, BUDI, "tanpa-agen"), "tanpa-agen", "451", "4.3.0", "KEY_UNAVAILABLE")
    world.start_keyd()
    sealed(world, BUDI, "agen-kembali", send(world, BUDI, "agen-kembali"))


@test("filter killed: 451 by Sendmail, nothing delivered unsealed; started, sealing again")
def _(world):
    world.milter.kill()
    refused(world, send(world, BUDI, "filter-mati"), "filter-mati", "45")  # at STARTTLS: Sendmail asks its filters from the start
    world.start_milter()
    sealed(world, BUDI, "filter-hidup", send(world, BUDI, "filter-hidup"))


if __name__ == "__main__":
    sys.exit(sendmail.main(make_world))
