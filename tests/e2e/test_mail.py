"""Mail it must get right: every kind of message through the real Postfix and the filter.

What is sealed is judged by openssl, gpgsm and cmsutil as it comes out, and again behind two more
servers; what the seal covers must be the same bytes there, and hold what was sent as Python's email
package reads it. What is refused says why, and nothing of it is delivered. (Plain text, 8-bit text,
nested messages, two From, two mailboxes, RSET and lost connections: test_seal.py has more of them.)
"""

import base64
import glob
import os
import re
import subprocess
import sys

import client
import judge
import mail
import suite
from gateway import Account, Gateway
from world import FAR_DOMAIN, OTHER_DOMAIN, OWN_DOMAIN, free_port, letter, parsed

SITI = f"siti@{OTHER_DOMAIN}"
FAR = f"ani@{FAR_DOMAIN}"
UTF8_FAR_DOMAIN = "jauh-utf8.example"  # two more servers lie before it, which take internationalised mail
UTF8_DOMAIN = "köta.example"
UTF8_DOMAIN_ASCII = "xn--kta-sna.example"

DINAS = f"dinas@{OWN_DOMAIN}"

BUDI = Account("budi", "Kepala Bagian Umum", key="rsa2048")
DEWI = Account("dewi", "Bendahara")
PIMPINAN = Account("pimpinan", "Kantor Dinas")
HUMAS = Account("humas", "Hubungan Masyarakat", address=f"humas@{UTF8_DOMAIN}")
UDIN = Account("udin", "Kantor Kelurahan", address=f"üdin@{OWN_DOMAIN}")

# What the certificate names where that is not the account's own address.
CERT_ADDRESS = {PIMPINAN: DINAS, HUMAS: f"humas@{UTF8_DOMAIN_ASCII}", UDIN: f"kelurahan@{OWN_DOMAIN}"}

ACCEPTED = client.Outcome([client.Reply(".", 250, "sent before")])
JUDGES = ("openssl", "gpgsm", "cmsutil")
KIB = 1024
MIB = 1024 * 1024
CHUNK = 65535  # of a body, as the MTA hands it to the filter


class MailWorld(Gateway):
    """A gateway with offices' certificates, internationalised addresses and servers that take those."""

    def __init__(self, place):
        super().__init__(place, [BUDI, DEWI, PIMPINAN, HUMAS, UDIN])
        ports = {"utf1": 2611, "utf2": 2612} if place.isolated else {"utf1": free_port(), "utf2": free_port()}
        self.mta.ports.update(ports)
        self.mta.domains = [*self.mta.domains, UTF8_DOMAIN, UTF8_FAR_DOMAIN]
        self.mta.write_config()
        with open(os.path.join(self.mta.etc, "master.cf"), "a", encoding="utf-8") as out:
            for name, onward in (("utf1", f"smtp:[127.0.0.1]:{ports['utf2']}"), ("utf2", "virtual:")):
                out.write(f"127.0.0.1:{ports[name]} inet n - n - - smtpd\n  -o syslog_name=postfix/{name}\n"
                          f"  -o content_filter={onward}\n")
        with open(os.path.join(self.mta.etc, "main.cf"), "a", encoding="utf-8") as out:
            # As for clients on other machines: Postfix itself makes plain addresses of many odd ones from this one.
            out.write("local_header_rewrite_clients =\n")
        with open(os.path.join(self.mta.etc, "transport"), "a", encoding="utf-8") as out:
            out.write(f"{UTF8_FAR_DOMAIN} smtp:[127.0.0.1]:{ports['utf1']}\n")

    def settings(self):
        return {**super().settings(), "message_size": "44MiB"}

    def issue(self, account):
        issued = self.authority.issue(account.name, account.title, [CERT_ADDRESS.get(account, account.address)],
                                      account.start, account.end, account.key)
        return self.hand_to_keyd(account.name, issued)

    def register(self, account):
        super().register(account)
        if account in (PIMPINAN, UDIN):
            self.must("address", "add", CERT_ADDRESS[account], "--unit", "UMUM")
        if account is PIMPINAN:
            self.must("login", "add", account.login, "--address", DINAS)


def make_world(place):
    for account in (HUMAS, UDIN):
        account.login = f"{account.name}@{OWN_DOMAIN}"
    return MailWorld(place).make().start()


def test(name):
    """A test that begins with everything running, and leaves an empty mailbox behind."""
    def keep(function):
        def prepared(world):
            world.ensure_running()
            try:
                function(world)
            finally:
                for path in glob.glob(os.path.join(world.mta.mail, "all", "new", "*")):
                    os.unlink(path)
        return suite.test(name)(prepared)
    return keep


# ---- what must hold ----

def token_of(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:60].strip("-")


def delivered(world, token, address):
    [message] = world.wait_delivered(address, f"<{token}.1@".encode(), seconds=60)
    return message


def refused(world, outcome, token, *words):
    suite.check(not outcome.accepted, f"it was accepted:\n{outcome}")
    suite.check(outcome.last.says(*words), f"the refusal does not say {words}:\n{outcome}")
    world.wait_idle()
    for address in (SITI, FAR):
        suite.equal(world.mailbox(address, f"<{token}.1@".encode()), [], f"delivered to {address}")


def judged_good(world, message, account):
    for name in JUDGES:
        verdict = judge.JUDGES[name](message, world.authority.root_file)
        suite.check(verdict.ok, f"{name}: {verdict}\n--- the message:\n{message.decode('utf-8', 'replace')[:3000]}")
        suite.check(verdict.signer in (account.cert, None), f"{name}: signed with the certificate {verdict.signer}")


def covered(world, message):
    """The bytes under the seal, cut out of the message (clear) or taken out of the signature by openssl (opaque)."""
    head, body = judge.split_head(judge.crlf(message))
    kind = judge.field(head, "content-type").lower()
    if kind.startswith("multipart/signed"):
        boundary = re.search(r'boundary="([^"]+)"', judge.field(head, "content-type")).group(1).encode()
        return "clear", (b"\r\n" + body).split(b"\r\n--" + boundary)[1].split(b"\r\n", 1)[1]
    suite.check("smime-type=signed-data" in kind, f"not sealed: Content-Type is {kind!r}")
    source = judge.write(world.folder, "covered.eml", message)
    target = world.path("covered-content")
    subprocess.run(["openssl", "cms", "-verify", "-binary", "-in", source, "-CAfile", world.authority.root_file, "-out", target],
                   check=True, capture_output=True, stdin=subprocess.DEVNULL)
    with open(target, "rb") as content:
        return "opaque", content.read()


def lines(content):
    return content.replace(b"\r\n", b"\n")


def contents(entity):
    """Type, name and decoded content of every leaf."""
    for part in parsed(entity).walk():
        if not part.is_multipart():
            yield part.get_content_type(), part.get_filename(), lines(part.get_payload(decode=True) or b"")


def same_content(sent, entity):
    found, wanted = list(contents(entity)), list(contents(sent))
    suite.equal([leaf[:2] for leaf in found], [leaf[:2] for leaf in wanted], "parts")
    for number, (leaf, other) in enumerate(zip(found, wanted), 1):
        # A part's last line end belongs to the boundary or to the message's end.
        suite.check(leaf[2].rstrip(b"\n") == other[2].rstrip(b"\n"),
                    f"the content of part {number} differs: {leaf[2][:200]!r}, sent {other[2][:200]!r}")


def sealed(world, account, token, message, form="clean", far=FAR, outcome=None):
    """
    Sends it to a mailbox here and to one behind two more servers. form: clean (body byte for byte),
    recoded, opaque. Returns the message as delivered here, and what its seal covers.
    """
    sent = client.with_crlf(message)
    outcome = outcome or world.send_as(account, message, [SITI, far])
    suite.check(outcome.accepted, outcome)
    near = delivered(world, token, SITI)
    found, entity = covered(world, near)
    judged_good(world, near, account)
    suite.equal(found, "opaque" if form == "opaque" else "clear", "form of the seal")
    if form != "recoded":
        suite.check(entity.split(b"\r\n\r\n", 1)[-1] == sent.split(b"\r\n\r\n", 1)[-1], "the body differs")
    same_content(sent, entity)
    behind = delivered(world, token, far)
    judged_good(world, behind, account)
    suite.check(covered(world, behind)[1] == entity, "two servers further the seal covers other bytes")
    return near, entity


def fields(message, name):
    """The values of all fields of this name, unfolded."""
    head = re.sub(rb"\r\n[ \t]", b" ", judge.split_head(judge.crlf(message))[0])
    return [value.strip().decode() for value in re.findall(rb"^" + name.encode() + rb":(.*?)\r?$", head, re.I | re.M)]


# ---- messages ----

def multipart(parts, boundary="batas", kind="mixed", preamble="", epilogue=""):
    """Content-Type field and body of a multipart; parts are entities."""
    body = preamble + "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n" + epilogue
    return f"Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n", body


def text_part(text="Yth. Bapak\r\n", kind="text/plain", more=""):
    return f"Content-Type: {kind}; charset=utf-8\r\n{more}\r\n{text}"


def file_part(content, name="lampiran.bin", kind="application/octet-stream"):
    encoded = base64.encodebytes(content).decode().replace("\n", "\r\n")
    return (f"Content-Type: {kind}; name=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n"
            f"Content-Disposition: attachment; filename=\"{name}\"\r\n\r\n{encoded}")


def mixed(token, parts, sender=BUDI.address, **options):
    field, body = multipart(parts, **options)
    return letter(sender, SITI, "Surat", body, mail.MIME + field, token)


EIGHT = "Content-Transfer-Encoding: 8bit\r\n"
CALENDAR = ("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nSUMMARY:Rapat – lantai 2\r\n"
            "END:VEVENT\r\nEND:VCALENDAR\r\n")
FLOWED = "Paragraf pertama yang \r\nberlanjut di sini.\r\n\r\n> kutipan \r\n> lanjut\r\n-- \r\nBudi\r\n"
ALTERNATIVE = "\r\n".join(multipart([text_part(), text_part("<p>Yth. Bapak</p>\r\n", "text/html")], "dalam", "alternative"))


def inner_message(extra="", body="Isi.\r\n", sender="warga@example.org"):
    return letter(sender, BUDI.address, "Keluhan", body, extra, "di-dalam").decode()


def attached(message, more=""):
    return f"Content-Type: message/rfc822\r\n{more}\r\n{message}"


def plain(token, body="Isi.\r\n", extra="", sender=BUDI.address):
    return letter(sender, SITI, "Surat", body, extra, token)


KINDS = [
    ("plain", "clean", lambda t: plain(t, mail.TEXT)),
    ("8-bit UTF-8", "recoded", lambda t: plain(t, mail.ACCENTED, mail.EIGHT_BIT)),
    ("lines of 5,000 bytes", "recoded", lambda t: plain(t, ("y" * 5000 + "\r\n") * 3 + "pendek\r\n", mail.MIME)),
    ("a line of 5,000 bytes in a part", "recoded", lambda t: mixed(t, [text_part("z" * 5000 + "\r\n"), text_part()])),
    ("trailing blanks", "clean", lambda t: plain(t, "a \r\nb\t\r\n  \r\n \t \r\nc   \r\n", mail.MIME)),
    ("trailing blanks in 8-bit text", "recoded", lambda t: plain(t, "é \r\nb\t\r\n  \r\n", mail.EIGHT_BIT)),
    ("lines that begin 'From '", "recoded",
     lambda t: plain(t, "From awal\r\n>From kutip\r\nFrom\r\nx\r\nFrom akhir\r\n", mail.MIME)),
    ("lines that are dots", "clean", lambda t: plain(t, ".\r\n..\r\n.x\r\n", mail.MIME)),
    ("empty body", "clean", lambda t: plain(t, "")),
    ("a body of one empty line", "clean", lambda t: plain(t, "\r\n")),
    ("no final newline in a part", "clean", lambda t: mixed(t, [text_part("tanpa akhir baris"), text_part("juga")])),
    ("no final newline in an 8-bit part", "recoded", lambda t: mixed(t, [text_part("tanpa akhir – baris", more=EIGHT)])),
    ("an attachment of 1 MB", "clean", lambda t: mixed(t, [text_part(), file_part(os.urandom(MIB))])),
    ("multipart/alternative in mixed", "clean", lambda t: mixed(t, [ALTERNATIVE, file_part(mail.PDF)])),
    ("multipart/alternative in mixed, 8-bit", "recoded",
     lambda t: mixed(t, [ALTERNATIVE.replace("Bapak", "Bapák").replace("; charset=utf-8\r\n", "; charset=utf-8\r\n" + EIGHT)])),
    ("nested message/rfc822", "clean", lambda t: mixed(t, [text_part(), attached(inner_message())])),
    ("nested message/rfc822, 8-bit inside: sealed opaque", "opaque",
     lambda t: mixed(t, [text_part(), attached(inner_message(mail.EIGHT_BIT, mail.ACCENTED), EIGHT)])),
    ("message/rfc822 as the whole body, 8-bit: sealed opaque", "opaque",
     lambda t: plain(t, inner_message(mail.EIGHT_BIT, mail.ACCENTED), mail.MIME + "Content-Type: message/rfc822\r\n" + EIGHT)),
    ("preamble and epilogue", "clean",
     lambda t: mixed(t, [text_part(), text_part("dua\r\n")], preamble="Pembukaan.\r\n\r\n", epilogue="Penutup.\r\nHabis.\r\n")),
    ("8-bit preamble and epilogue: sealed opaque", "opaque",
     lambda t: mixed(t, [text_part()], preamble="Pembukaan – é.\r\n", epilogue="Penutup ✓\r\n")),
    ("content-type in lower case", "clean",
     lambda t: plain(t, multipart([text_part()])[1], "mime-version: 1.0\r\ncontent-type: multipart/mixed; boundary=batas\r\n")),
    ("Content-Type folded oddly", "clean",
     lambda t: plain(t, multipart([text_part(), text_part()])[1],
                     "MIME-Version:\r\n 1.0\r\n"
                     "CoNtEnT-tYpE:\r\n\tMultipart/MIXED\r\n ;\r\n\t boundary\r\n =\r\n\t\"batas\"\r\n ;x=y\r\n")),
    ("no MIME-Version", "clean", lambda t: plain(t, multipart([text_part(), file_part(mail.PDF)])[1], multipart([])[0])),
    ("no MIME-Version, 8-bit", "recoded", lambda t: plain(t, mail.ACCENTED, "Content-Type: text/plain; charset=utf-8\r\n")),
    ("no MIME fields at all, 8-bit", "recoded", lambda t: plain(t, mail.ACCENTED)),
    ("boundary not in the first body chunk: a preamble just below the limit", "clean",
     lambda t: mixed(t, [text_part()], preamble=("p" * 62 + "\r\n") * 16)),
    ("boundary not in the first body chunk: a first part of 200 KB", "clean",
     lambda t: mixed(t, [text_part("isi\r\n" * 40000), text_part("akhir\r\n")])),
    ("text/calendar", "clean",
     lambda t: plain(t, CALENDAR.replace("–", "-"),
                     mail.MIME + "Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n")),
    ("text/calendar, 8-bit, beside text", "recoded",
     lambda t: mixed(t, [text_part(), text_part(CALENDAR, "text/calendar; method=REQUEST", EIGHT)], kind="alternative")),
    ("format=flowed", "clean", lambda t: plain(t, FLOWED, mail.MIME + "Content-Type: text/plain; format=flowed; delsp=no\r\n")),
    ("format=flowed, 8-bit", "recoded", lambda t: plain(t, FLOWED.replace("kutipan", "kutipán"), mail.MIME +
                                                        "Content-Type: text/plain; charset=utf-8; format=flowed\r\n" + EIGHT)),
    ("a From of 600 characters", "clean", lambda t: plain(t, sender=f"\"{'n' * 600}\" <{BUDI.address}>")),
    ("a public certificate and a public key attached", "clean",
     lambda t: mixed(t, [file_part(read(BUDI.issued.cert), "budi.crt", "application/x-x509-user-cert"),
                         file_part(public_key(), "kunci.pem")])),
]


def read(path):
    with open(path, "rb") as content:
        return content.read()


def openssl(*args, stdin=None):
    return subprocess.run(["openssl", *args], input=stdin, check=True, capture_output=True).stdout


def public_key():
    return openssl("x509", "-in", BUDI.issued.cert, "-noout", "-pubkey")


def add_kinds():
    for name, form, build in KINDS:
        def run(world, name=name, form=form, build=build):
            token = token_of(name)
            sealed(world, BUDI, token, build(token), form)
        test(name if "sealed" in name else f"{name}: sealed")(run)


add_kinds()


@test("one byte changed after sealing is seen by this file's comparisons and by every judge")
def _(world):
    token = "berubah"
    near, entity = sealed(world, BUDI, token, plain(token, mail.TEXT))
    changed = near.replace(b"09.00", b"10.00")
    suite.check(covered(world, changed)[1] != entity, "covered() sees no difference")
    for name, verify in judge.JUDGES.items():
        suite.check(not verify(changed, world.authority.root_file).ok, f"{name} took it for good")
    for wrong in (plain(token, mail.TEXT.replace("09", "10")), mixed(token, [text_part(mail.TEXT), text_part()])):
        try:
            same_content(wrong, entity)
        except suite.Failed:
            continue
        raise suite.Failed("same_content() sees no difference")


@test("a boundary cut by the border between two body chunks: sealed")
def _(world):
    for offset in (-8, -3, 0, 2):
        token = f"batas-potong-{offset + 10}"
        # "--batas", the part's head, and then text up to the border.
        before = len("--batas\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
        text = ("z" * 62 + "\r\n") * ((CHUNK - before) // 64 - 1)
        text += "q" * (CHUNK + offset - before - len(text) - len("\r\n"))
        message = mixed(token, [text_part(text), text_part("akhir\r\n")])
        suite.equal(message.split(b"\r\n\r\n", 1)[1].index(b"\r\n--batas\r\n", 9) + 2, CHUNK + offset, "place of the boundary")
        sealed(world, DEWI, token, message.replace(BUDI.address.encode(), DEWI.address.encode()))


@test("no final newline at all (BDAT): sealed")
def _(world):
    for text, form in ((b"tanpa akhir baris", "clean"), ("tanpa akhir – baris".encode(), "recoded")):
        token = f"bdat-{form}"
        message = plain(token, extra=mail.EIGHT_BIT if form == "recoded" else "").removesuffix(b"Isi.\r\n") + text
        with world.session_of(BUDI) as session:
            suite.check(session.mail(BUDI.address).good and all(session.rcpt(to).good for to in (SITI, FAR)), session.replies[-1])
            session.smtp.sock.sendall(b"BDAT %d LAST\r\n" % len(message) + message)
            reply = session.note(".", session.smtp.getreply())
        sealed(world, BUDI, token, message, form, outcome=client.Outcome([reply]))


@test("an 8-bit attachment that is itself a signed message: sealed opaque, and the signature inside is good still")
def _(world):
    token = "bertanda-tangan-di-dalam"
    inner = signed_message(world, mail.ACCENTED.encode())
    part = "Content-Type: message/rfc822\r\n" + EIGHT + "\r\n" + inner.decode()
    _message, entity = sealed(world, BUDI, token, mixed(token, [text_part(), part]), "opaque")
    found = entity.split(b"Content-Type: message/rfc822\r\n", 1)[1].split(b"\r\n\r\n", 1)[1].split(b"\r\n--batas--")[0]
    suite.check(judge.openssl_verify(found, world.authority.root_file).ok, "the signature inside does not hold any more")


@test("a signed message attached as a file in 8 bits: sealed, the file byte for byte")
def _(world):
    token = "berkas-bertanda-tangan"
    inner = signed_message(world, mail.ACCENTED.encode())
    part = f"Content-Type: application/octet-stream; name=\"surat.eml\"\r\n{EIGHT}\r\n" + inner.decode()
    _message, entity = sealed(world, BUDI, token, mixed(token, [part]), "recoded")
    [content] = [part.get_payload(decode=True) for part in parsed(entity).walk() if not part.is_multipart()]
    suite.check(judge.openssl_verify(content, world.authority.root_file).ok, "the signature inside does not hold any more")


def stranger(world, name):
    """A certificate and key that the gateway knows nothing of."""
    return world.pki(name, "--ca-of", world.authority.prefix("issuing"), "--cn", name, "--email", f"{name}@example.org",
                     "--from", "-1d", "--to", "+1y", "--key", "p256", "--usage", "sign")


def signed_message(world, text):
    """Somebody's multipart/signed, made by openssl with 8-bit text under the signature."""
    signer = stranger(world, "orang")
    entity = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text
    made = openssl("cms", "-sign", "-signer", signer.cert, "-inkey", signer.key, "-certfile", world.authority.issuing_file,
                   "-md", "sha256", "-binary", stdin=judge.crlf(entity))
    return judge.crlf(b"From: orang@example.org\nSubject: Asli\n" + made)


@test("several messages on one connection: each sealed")
def _(world):
    tokens = [f"berturut-{number}" for number in range(5)]
    with world.session_of(DEWI) as session:
        for number, token in enumerate(tokens):
            body = mail.ACCENTED if number % 2 else mail.TEXT
            extra = mail.EIGHT_BIT if number % 2 else ""
            outcome = session.send(DEWI.address, [SITI, FAR], plain(token, body, extra, DEWI.address))
            suite.check(outcome.accepted, outcome)
    for number, token in enumerate(tokens):
        body, extra, form = (mail.ACCENTED, mail.EIGHT_BIT, "recoded") if number % 2 else (mail.TEXT, "", "clean")
        sealed(world, DEWI, token, plain(token, body, extra, DEWI.address), form, outcome=ACCEPTED)


@test("RSET between messages on one connection: each sealed, the one given up not delivered")
def _(world):
    with world.session_of(DEWI) as session:
        for token in ("sebelum-rset", "sesudah-rset"):
            outcome = session.send(DEWI.address, [SITI, FAR], plain(token, sender=DEWI.address))
            suite.check(outcome.accepted, outcome)
            suite.check(session.mail(BUDI.address).good and session.rcpt(f"lain@{OTHER_DOMAIN}").good, session.replies[-1])
            suite.check(session.reset().good, session.replies[-1])
    for token in ("sebelum-rset", "sesudah-rset"):
        sealed(world, DEWI, token, plain(token, sender=DEWI.address), outcome=ACCEPTED)
    suite.equal(world.mailbox(f"lain@{OTHER_DOMAIN}"), [], "delivered to the recipient of what was given up")


# ---- envelope ----

@test("null sender: sealed for its login")
def _(world):
    token = "pengirim-kosong"
    outcome = world.send(BUDI.login, BUDI.password, plain(token), "", [SITI, FAR])
    near, _entity = sealed(world, BUDI, token, plain(token), outcome=outcome)
    suite.equal(fields(near, "Return-Path"), ["<>"], "Return-Path")


@test("100 recipients: sealed once, delivered to each")
def _(world):
    token = "seratus"
    recipients = [f"warga{number}@{OTHER_DOMAIN}" for number in range(98)] + [SITI, FAR]
    near, entity = sealed(world, BUDI, token, plain(token), outcome=world.send_as(BUDI, plain(token), recipients))
    for address in recipients[:98]:
        suite.equal(covered(world, delivered(world, token, address))[1], entity, f"what {address} got")
    suite.equal(len(signatures(near)), 1, "signatures")
    suite.equal(len(set(signatures(delivered(world, token, address))[0] for address in recipients)), 1, "different signatures")


def signatures(message):
    return re.findall(rb"\nContent-Type: application/pkcs7-signature.*?\n\n(.*?)\n--", message, re.S)


@test("101 recipients: 550 5.6.0 PARSE_LIMIT, nothing delivered")
def _(world):
    recipients = [f"warga{number}@{OTHER_DOMAIN}" for number in range(99)] + [SITI, FAR]
    outcome = world.send_as(BUDI, plain("seratus-satu"), recipients)
    refused(world, outcome, "seratus-satu", "550", "5.6.0", "PARSE_LIMIT", "limits.recipients")
    suite.equal(world.mailbox("warga0@" + OTHER_DOMAIN), [], "delivered")


@test("an envelope sender of 600 characters: refused, nothing delivered; the filter goes on")
def _(world):
    pid = world.milter.process.pid
    for local in ("s" * (600 - len(OWN_DOMAIN) - 1), "ü" * 290):
        token = f"pengirim-600-{len(local)}"
        with world.session_of(BUDI) as session:
            session.mail(f"{local}@{OWN_DOMAIN}", options=("SMTPUTF8",) if not local.isascii() else ())
            if session.replies[-1].good and session.rcpt(SITI).good:
                session.data(plain(token))
            refused(world, client.Outcome(session.replies), token, "5", "address_bytes")
    token = "sesudah-600"
    sealed(world, BUDI, token, plain(token))
    suite.equal(world.milter.process.pid, pid, "the filter's process")


@test("a From address of 600 characters: 550 5.6.0 FROM_AMBIGUOUS, nothing delivered")
def _(world):
    sender = "s" * (600 - len(OWN_DOMAIN) - 1) + "@" + OWN_DOMAIN
    refused(world, world.send_as(BUDI, plain("from-600", sender=sender), [SITI]), "from-600", "550", "5.6.0", "FROM_AMBIGUOUS")


# ---- internationalised addresses ----

def send_utf8(world, account, message, recipients, sender=None):
    with world.session_of(account) as session:
        session.mail(sender or account.address, options=("BODY=8BITMIME", "SMTPUTF8"))
        if session.replies[-1].good and all(session.rcpt(address).good for address in recipients):
            session.data(message)
        return client.Outcome(session.replies)


def utf8_sealed(world, account, token, message, form="opaque"):
    far = f"añi@{UTF8_FAR_DOMAIN}"
    outcome = send_utf8(world, account, message, [SITI, f"sïti@{UTF8_DOMAIN}", far])
    near, _entity = sealed(world, account, token, message, form, far=far, outcome=outcome)
    delivered(world, token, f"sïti@{UTF8_DOMAIN}")
    return near


@test("an internationalised domain as UTF-8 (SMTPUTF8): sealed with the certificate of its A-label form, no Sender")
def _(world):
    token = "domain-utf8"
    near = utf8_sealed(world, HUMAS, token, plain(token, sender=f"Húmas <{HUMAS.address}>"))
    suite.equal(fields(near, "From"), [f"Húmas <{HUMAS.address}>"], "From")
    suite.equal(fields(near, "Sender"), [], "Sender")


@test("the same domain in A-labels, without SMTPUTF8: sealed, no Sender")
def _(world):
    token = "domain-ascii"
    address = f"humas@{UTF8_DOMAIN_ASCII}"
    message = plain(token, sender=address)
    near, _entity = sealed(world, HUMAS, token, message, outcome=world.send_as(HUMAS, message, [SITI, FAR], sender=address))
    suite.equal(fields(near, "Sender"), [], "Sender")


@test("an internationalised local part (SMTPUTF8): sealed with the office's certificate, which Sender names")
def _(world):
    token = "lokal-utf8"
    near = utf8_sealed(world, UDIN, token, plain(token, mail.ACCENTED, mail.EIGHT_BIT, UDIN.address))
    suite.equal(fields(near, "From"), [UDIN.address], "From")
    suite.equal(fields(near, "Sender"), [CERT_ADDRESS[UDIN]], "Sender")


@test("an internationalised address in another spelling: 550 5.7.1 LOGIN_MISMATCH, nothing delivered")
def _(world):
    for number, address in enumerate((f"u\u0308din@{OWN_DOMAIN}", f"Üdin@{OWN_DOMAIN}", f"udin@{OWN_DOMAIN}",
                                      "üdin@ko\u0308ta.example", "üdin@кота.example")):
        token = f"ejaan-{number}"
        outcome = send_utf8(world, UDIN, plain(token, sender=address), [SITI], sender=UDIN.address)
        refused(world, outcome, token, "550", "5.7.1", "LOGIN_MISMATCH")


# ---- Sender ----

def sender_case(extra, want, account=PIMPINAN):
    def run(world):
        token = token_of(f"sender-{account.name}-{extra}")
        near, _entity = sealed(world, account, token, plain(token, extra=extra, sender=account.address))
        suite.equal(fields(near, "Sender"), want, "Sender")
    return run


test("no Sender, the office's certificate: Sender added")(sender_case("", [DINAS]))
test("an existing Sender: changed, never two")(sender_case(f"Sender: {PIMPINAN.address}\r\n", [DINAS]))
test("an existing Sender, folded, with a name, in capitals: changed, never two")(
    sender_case(f"SENDER:\r\n \"Pimpinan\"\r\n\t<{PIMPINAN.address}>\r\n", [DINAS]))
test("an existing Sender that names the certificate's address: one")(sender_case(f"Sender: {DINAS}\r\n", [DINAS]))
test("an existing Sender, the sender's own certificate: left as it is")(
    sender_case(f"Sender: {BUDI.address}\r\n", [BUDI.address], BUDI))


# ---- refused for their From ----

def refused_case(name, build, *words):
    @test(f"{name}: {' '.join(words)}, nothing delivered")
    def _(world):
        token = token_of(name)
        refused(world, world.send_as(BUDI, build(token), [SITI, FAR]), token, *words)


for what, odd in (("two mailboxes", f"{BUDI.address}, {DEWI.address}"),
                  ("group syntax", f"Tim: {BUDI.address};"),
                  ("an empty group", "undisclosed-recipients:;"),
                  ("a quoted local part", f"\"budi\"@{OWN_DOMAIN}"),
                  ("a quoted local part in brackets", f"Budi <\"budi\"@{OWN_DOMAIN}>"),
                  ("a comment behind the address", f"{BUDI.address} (Budi)"),
                  ("a comment before the address", f"(Budi) {BUDI.address}"),
                  ("a comment inside the address", f"budi(x)@{OWN_DOMAIN}"),
                  ("a comment inside brackets", f"Budi <{BUDI.address}(x)>"),
                  ("a route", f"<@lain.example:{BUDI.address}>"),
                  ("another address as its name", f"{DEWI.address} <{BUDI.address}>")):
    refused_case(f"From with {what}", lambda t, odd=odd: plain(t, sender=odd), "550", "5.6.0", "FROM_AMBIGUOUS")

refused_case("two From", lambda t: f"From: {BUDI.address}\r\n".encode() + plain(t), "550", "5.6.0")
refused_case("two Sender", lambda t: plain(t, extra=f"Sender: {BUDI.address}\r\n" * 2), "550", "5.6.0")
refused_case("somebody else's Sender", lambda t: plain(t, extra=f"Sender: {DEWI.address}\r\n"), "550", "5.7.1", "LOGIN_MISMATCH")


# ---- NUL and bare CR ----

def never_raw(world, token, *wrong):
    """Nothing that is sealed holds these bytes as they are."""
    for address in (SITI, FAR):
        message = delivered(world, token, address)
        judged_good(world, message, BUDI)
        for byte in wrong:
            suite.check(byte not in message and byte not in covered(world, message)[1], f"{byte!r} in what {address} got")


@test("NUL in a text: re-encoded, and still there when decoded")
def _(world):
    token = "nul-di-isi"
    message = plain(token, "awal\0akhir\r\nbaris\r\n", mail.EIGHT_BIT)
    _near, entity = sealed(world, BUDI, token, message, "recoded")
    never_raw(world, token, b"\0")
    suite.check(b"awal\0akhir" in parsed(entity).get_payload(decode=True), entity)


@test("NUL in a nested message: never sealed as it is (the whole goes into base64)")
def _(world):
    token = "nul-di-dalam"
    message = mixed(token, ["Content-Type: message/rfc822\r\n\r\n" + inner_message(body="a\0b\r\n")])
    near, entity = sealed(world, BUDI, token, message, "opaque")
    suite.check(b"\0" not in near and b"a\0b" in entity, "NUL")


@test("bare CR in a text: Postfix makes a blank of it before the filter, so none is sealed")
def _(world):
    token = "cr-di-isi"
    message = plain(token, "awal\rakhir\r\nbaris\r\n", mail.MIME)
    outcome = world.send_as(BUDI, message, [SITI, FAR])
    suite.check(outcome.accepted, outcome)
    never_raw(world, token, b"\ra")
    suite.check(b"awal akhir" in delivered(world, token, SITI), "what became of the bare CR")


@test("bare CR before a boundary: cannot hide a part")
def _(world):
    token = "cr-batas"
    message = mixed(token, [text_part("a\r--batas--\rb\r\n")])
    outcome = world.send_as(BUDI, message, [SITI, FAR])
    if outcome.accepted:
        never_raw(world, token, b"\r--batas")
    else:
        refused(world, outcome, token, "550", "5.6.0")


@test("NUL and bare CR in header fields: refused, or sealed without them")
def _(world):
    for number, value in enumerate((b"a\0b", b"a\rFrom: x@example.org", b"a\r\0b")):
        token = f"kepala-{number}"
        message = plain(token).replace(b"Subject: Surat", b"Subject: " + value)
        outcome = world.send_as(BUDI, message, [SITI, FAR])
        if outcome.accepted:
            never_raw(world, token, b"\0", b"\rF")
            near = delivered(world, token, SITI)
            suite.equal(fields(near, "Subject"), fields(covered(world, near)[1], "Subject"), "Subject and what is sealed of it")
            suite.equal(fields(near, "From"), [BUDI.address], "From")
        else:
            refused(world, outcome, token, "5")


# ---- private keys ----

def private_pem():
    return openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


def pkcs12(world):
    issued = stranger(world, "kunci")
    return openssl("pkcs12", "-export", "-in", issued.cert, "-inkey", issued.key, "-passout", "pass:x")


def key_case(name, build):
    @test(f"{name}: 550 5.7.1 KEY_MATERIAL, nothing delivered")
    def _(world):
        token = token_of(name)
        refused(world, world.send_as(BUDI, build(world, token), [SITI, FAR]), token, "550", "5.7.1", "KEY_MATERIAL")


key_case("PKCS#12 attached, of no telling name", lambda w, t: mixed(t, [text_part(), file_part(pkcs12(w))]))
key_case("PKCS#12 attached, by its name alone", lambda w, t: mixed(t, [text_part(), file_part(b"x", "kunci.P12")]))
key_case("PKCS#12 attached, by its media type alone", lambda w, t: mixed(t, [file_part(b"x", "x", "application/x-pkcs12")]))
key_case("a private key attached", lambda w, t: mixed(t, [text_part(), file_part(private_pem(), "berkas.txt")]))
key_case("a private key attached in DER",
         lambda w, t: mixed(t, [file_part(openssl("pkey", "-outform", "DER", stdin=private_pem()))]))
key_case("a private key in the text", lambda w, t: plain(t, "Ini:\r\n" + judge.crlf(private_pem()).decode()))
key_case("a private key in a forwarded message",
         lambda w, t: mixed(t, [text_part(), "Content-Type: message/rfc822\r\n\r\n" + inner_message(
             mail.MIME + multipart([])[0].replace("batas", "dalam"), multipart([file_part(private_pem())], "dalam")[1])]))
key_case("a private key in a signed message", lambda w, t: signed_by_author(w, t, private_pem()))
key_case("a private key behind 1 MB of other data", lambda w, t: mixed(t, [file_part(b"x" * MIB + b"\n" + private_pem())]))


def signed_by_author(world, token, content):
    entity = signed_message(world, content).split(b"Subject: Asli\r\n", 1)[1]
    return f"From: {BUDI.address}\r\nTo: {SITI}\r\nMessage-ID: <{token}.1@{OWN_DOMAIN}>\r\n".encode() + entity


@test("a public key in a signed message is no secret: only what is wrong with the signature is found")
def _(world):
    outcome = world.send_as(BUDI, signed_by_author(world, "kunci-publik-bertanda", public_key()), [SITI])
    suite.check(outcome.last.says("550", "SIGNER_MISMATCH"), outcome)
    line = world.wait_filter_log(r".*msgid=\S*kunci-publik-bertanda.*").group(0)
    suite.check("KEY_MATERIAL" not in line and "SIGNER_MISMATCH" in line, line)


# ---- limits: one below is sealed, one above is refused ----

def field_of(length):
    """One field of exactly so many bytes, its line ends included, in lines that nobody folds again."""
    text = "X-Panjang: "
    while len(text) + 2 < length - 900:
        text += "x" * (800 - len(text.rsplit("\n", 1)[-1])) + "\r\n "
    return text + "y" * (length - len(text) - 2) + "\r\n"


def nested_multiparts(depth):
    """A body of multiparts in one another, the outermost left to the message's head."""
    entity = text_part()
    for level in range(depth, 1, -1):
        field, body = multipart([entity], f"x{level:02}x")
        entity = field + "\r\n" + body
    return multipart([entity], "x01x")


def nested_messages(depth):
    message = inner_message()
    for _level in range(depth - 1):
        message = inner_message(mail.MIME + "Content-Type: message/rfc822\r\n", message)
    return message


OWN_FIELDS = 6  # of letter()

LIMITS = [
    # its name; a message that is at it with more = 0 and one above with more = 1
    ("header_fields", lambda t, more: plain(t, extra="X: y\r\n" * (500 - OWN_FIELDS + more))),
    ("field_bytes", lambda t, more: plain(t, extra=field_of(16 * KIB + more))),
    ("address_marks", lambda t, more: plain(t, extra=f"Cc: {'g:;' * (50 + more)}\r\n")),
    ("mime_depth", lambda t, more: plain(t, nested_multiparts(20 + more)[1], mail.MIME + nested_multiparts(20 + more)[0])),
    ("mime_parts", lambda t, more: mixed(t, ["\r\nx"] * (999 + more))),
    ("nested_messages", lambda t, more: plain(t, nested_messages(5 + more), mail.MIME + "Content-Type: message/rfc822\r\n")),
    ("boundary_bytes", lambda t, more: mixed(t, [text_part()], boundary="b" * (70 + more))),
    ("preamble_bytes", lambda t, more: mixed(t, [text_part()], preamble="p" * (1022 + more) + "\r\n")),
]


def add_limits():
    for limit, build in LIMITS:
        def at(world, limit=limit, build=build):
            token = token_of("batas-" + limit)
            # A preamble line that long could not stay as it is, and a preamble cannot be re-encoded.
            sealed(world, BUDI, token, build(token, 0), "opaque" if limit == "preamble_bytes" else "clean")

        def above(world, limit=limit, build=build):
            token = token_of("lewat-" + limit)
            outcome = world.send_as(BUDI, build(token, 1), [SITI, FAR])
            refused(world, outcome, token, "550", "5.6.0", "PARSE_LIMIT", f"limit={limit}")
        test(f"{limit}, at the limit: sealed")(at)
        test(f"{limit}, one above: 550 5.6.0 PARSE_LIMIT, nothing delivered")(above)


add_limits()


@test("from_bytes: a From of 1,024 bytes is sealed, one of 1,025 is PARSE_LIMIT")
def _(world):
    for more in (0, 1):
        token = f"from-1024-{more}"
        address = f" <{BUDI.address}>"
        value = "".join(f"{'n' * 498}\r\n " for _ in range(2))
        value += "n" * (1024 - 1 - len(value) - len(address) + more) + address  # and the blank behind the colon
        message = plain(token, sender=value)
        if more:
            refused(world, world.send_as(BUDI, message, [SITI, FAR]), token, "550", "5.6.0", "PARSE_LIMIT", "from_bytes")
        else:
            sealed(world, BUDI, token, message)


@test("line_bytes: a line of 990 bytes stays, one of 991 is re-encoded")
def _(world):
    for more, form in ((0, "clean"), (1, "recoded")):
        token = f"baris-{more}"
        sealed(world, BUDI, token, plain(token, "z" * (990 + more) + "\r\n", mail.MIME), form)


@test("address groups nested 200,000 deep in an attached message: PARSE_LIMIT, no crash")
def _(world):
    pid = world.milter.process.pid
    bomb = "g:" * 200000
    folded = "".join("g:" * 400 + "\r\n " for _ in range(500)) + "x"
    for number, field in enumerate((bomb, folded, "g:" * 7000, "(" * 200000)):
        for name in ("To", "From", "Reply-To"):
            token = f"bom-{number}-{name.lower()}"
            inner = inner_message(f"{name}: {field}\r\n")
            message = mixed(token, [text_part(), "Content-Type: message/rfc822\r\n\r\n" + inner])
            refused(world, world.send_as(BUDI, message, [SITI, FAR]), token, "550", "5.6.0", "PARSE_LIMIT")
    suite.check(world.milter.running() and world.milter.process.pid == pid, "the filter's process is another one")
    token = "sesudah-bom"
    sealed(world, BUDI, token, plain(token))


# ---- large ----

@test("an attachment of 30 MB: sealed")
def _(world):
    token = "besar"
    sealed(world, BUDI, token, mixed(token, [text_part(), file_part(os.urandom(30 * MIB))]))


@test("an 8-bit attachment of 30 MB: sealed, re-encoded")
def _(world):
    token = "besar-8-bit"
    line = "baris – é ✓ " * 6 + "\r\n"
    part = text_part(line * (30 * MIB // len(line.encode())), "text/csv; name=\"daftar.csv\"", EIGHT)
    sealed(world, DEWI, token, mixed(token, [text_part(), part], DEWI.address), "recoded")


@test("larger than limits.message_size: 550 5.6.0 PARSE_LIMIT, nothing delivered")
def _(world):
    token = "terlalu-besar"
    refused(world, world.send_as(BUDI, plain(token, ("x" * 998 + "\r\n") * (45 * MIB // 1000)), [SITI]), token, "550", "5.6.0",
            "PARSE_LIMIT", "message_size")


# ---- header lines that no mail program should send (RFC 5322 2.1.1: 998 bytes) ----

def in_one_line(name, length):
    """A field of so many bytes without a fold; blanks where it may be folded."""
    return (f"{name}: " + "kata panjang " * length)[:length - 1] + "x\r\n"


def unbroken_subject(token, length):
    return plain(token).replace(b"Subject: Surat\r\n", b"Subject: " + b"x" * (length - len("Subject: ")) + b"\r\n")


LONG_LINES = [  # what is long, form of the seal, message; each beyond Postfix's output limit (998) or its input buffer (2,048), too
    ("a field that is not sealed, 5000", "clean", lambda t: plain(t, extra=in_one_line("X-Panjang", 5000))),
    ("a field without blanks, 5000", "clean", lambda t: plain(t, extra="X-Panjang: " + "x" * 5000 + "\r\n")),
    ("Subject, 5000", "opaque", lambda t: plain(t).replace(b"Subject: Surat\r\n", in_one_line("Subject", 5000).encode())),
    ("Subject without blanks, 998", "opaque", lambda t: unbroken_subject(t, 998)),
    ("Cc, 3000", "opaque", lambda t: plain(t, extra="Cc: " + ", ".join(f"pegawai{i}@kota.example" for i in range(130)) + "\r\n")),
    ("References, 3000", "clean", lambda t: plain(t, extra="References: " + " ".join(f"<{i}.surat@kota.example>" for i in range(130)) + "\r\n")),
    ("Content-Type, 1500", "opaque", lambda t: plain(t, extra=mail.MIME + "Content-Type: text/plain; charset=utf-8; x=\"" + "y" * 1500 + "\"\r\n")),
    ("a field of a part, 1500", "opaque", lambda t: mixed(t, [text_part(), text_part(more="X-Bagian: " + "z " * 750 + "z\r\n")])),
    ("a field of a message in it, 1500", "opaque", lambda t: mixed(t, [text_part(), attached(inner_message(in_one_line("X-Dalam", 1500)))])),
]


PROTECTED = ("From", "To", "Cc", "Subject", "Date", "Message-ID")


@test("header lines of 998 bytes and more: sealed, and two servers further the seal holds and covers what stands outside; unbroken: refused")
def _(world):
    messages = [build(f"garis-{number}") for number, (_, _, build) in enumerate(LONG_LINES)]
    outcomes = [world.send_as(BUDI, message, [SITI, FAR]) for message in messages]
    for number, (what, form, _) in enumerate(LONG_LINES):
        token, message = f"garis-{number}", messages[number]
        near, entity = sealed(world, BUDI, token, message, form, outcome=outcomes[number])
        behind = delivered(world, token, FAR)
        for name in PROTECTED:
            for where, copy in (("here", near), ("two servers further", behind), ("inside", entity)):
                suite.equal(fields(copy, name), fields(message, name), f"{what}: {name} {where}")
        verdict = world.segelctl("verify", judge.write(world.folder, "far.eml", behind))
        suite.check("signature:  good" in verdict.out and "HEADER_MISMATCH" not in verdict.out, f"{what}: {verdict}")
    token = "garis-999"
    refused(world, world.send_as(BUDI, unbroken_subject(token, 999), [SITI, FAR]), token, "550", "5.6.0", "PARSE_LIMIT", "limit=field_line_bytes field=Subject")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
