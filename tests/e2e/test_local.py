#!/usr/bin/python3
"""Mail that comes without SMTP: whose seal it gets, and that nobody else can have it."""

import os
import signal
import subprocess
import sys
import time

import chain
import deadline
import judge
import signature
import partners
import suite
from gateway import Account, Gateway
from mta import HOST
from place import LOCAL_UID, MAIL_UID, MILTER_UID, OTHER_UID
from suite import check, equal
from world import OTHER_DOMAIN, OWN_DOMAIN, letter, parsed

APP = Account("aplikasi", "Sistem Informasi Surat", kind="sistem")
HELD = Account("lama", "Sistem Lama", kind="sistem")
OFFICE = Account("kadis", "Kepala Dinas")
UNKNOWN = f"belum@{OWN_DOMAIN}"  # listed, but not registered
NAMESAKE = f"segel-other@{OWN_DOMAIN}"  # called like a UNIX login that is not its user
INBOX = f"siti@{OTHER_DOMAIN}"

WEB_UID = 33  # www-data of Debian
SENDERS = f"""{{ user = "www-data"; from = [ "{APP.address}", "{HELD.address}" ]; }},
	{{ user = "www-data"; from = [ "{OFFICE.address}", "{UNKNOWN}", "{NAMESAKE}" ]; }}"""


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "keyd_ask.py"), encoding="ascii") as script:
    ASK = script.read()


class LocalWorld(partners.Partners, Gateway):
    def __init__(self, place):
        super().__init__(place, [APP, HELD, OFFICE], roles=("submission", "local"), senders=SENDERS)

    def start(self):
        super().start()
        self.mta.own_etc()
        return self

    def command(self, uid, sender, envelope, body="Isi.\r\n", extra="", recipients=(INBOX,), token=None):
        """One message by the sendmail command; its token."""
        token = token or f"lokal{time.monotonic_ns()}"
        message = letter(sender, recipients[0], body=body, extra=extra, token=token).replace(b"\r\n", b"\n")
        options = ["-f", envelope] if envelope is not None else []
        done = self.mta.sendmail(uid, message, "-i", *options, "--", *recipients)
        return token, done

    def sent(self, *args, **options):
        token, done = self.command(*args, **options)
        equal((done.returncode, done.stderr), (0, b""), "sendmail")
        return token

    def arrived(self, token, address=INBOX):
        return self.wait_delivered(address, f"X-Token: {token}".encode())[0]

    def never_arrives(self, token):
        self.wait_idle()
        equal(self.mailbox(INBOX, f"X-Token: {token}".encode()), [], "delivered")

    def record_of(self, token):
        found = [record for record in chain.read_folder(self.path("audit-local"))
                 if record.event == "message" and token in record["msgid"]]
        check(found, f"no record of {token}")
        return found[-1]

    def record_of_arrived(self, token):
        self.arrived(token)
        return self.record_of(token)

    def poke(self):
        """What waits in the queue is tried now; maildrop is looked at every second in this world."""
        self.mta.command("postqueue", "-f")

    def passes_unsealed(self, token, *reasons, login=""):
        message = self.arrived(token)
        check(b"pkcs7" not in message and b"\n\nIsi.\n" in message, message)
        record = self.record_of(token)
        equal((record["action"], record["reason"], record["seal"], record["login"]), ("accept", ",".join(reasons), "none", login),
              "record")

    def sealed_by_app(self, token):
        message = self.arrived(token)
        verdict = judge.openssl_verify(message, self.authority.root_file)
        check(verdict.ok and verdict.signer == APP.cert, f"{verdict}\n{message}")
        return message


def make_world(place):
    world = LocalWorld(place).make()
    answer = world.must("local", "sender-map", "--also", f"@{OTHER_DOMAIN}")
    world.mta.write_file("segel-senders", answer.out)
    return world.start()


# --- who is sealed for ---

@suite.test("a listed login, with its listed address in envelope and From: sealed with the system's certificate")
def _(world):
    token = world.sent(WEB_UID, APP.address, APP.address)
    message = world.sealed_by_app(token)
    for other in (judge.gpgsm_verify, judge.cmsutil_verify):
        verdict = other(message, world.authority.root_file)
        check(verdict.ok, verdict)
    record = world.record_of(token)
    equal((record["class"], record["seal"], record["login"], record["tls"]), ("local", "clear", "local:www-data", "none"), "record")
    intents = [intent for intent in chain.read_folder(world.path("audit-keyd")) if intent.event == "seal-intent"]
    check(any((intent["login"], intent["from"], intent["qid"]) == ("local:www-data", APP.address, record["qid"])
              for intent in intents), "the key agent's intent")


@suite.test("the same with 8-bit text, attachments of some size, several recipients, and recipients from the header (-t)")
def _(world):
    body = "Yang terhormat \u201cBapak\u201d\r\n" + "panjang " * 200 + "\r\n" + ("x" * 70 + "\r\n") * 3000
    token = world.sent(WEB_UID, APP.address, APP.address, body=body, recipients=(INBOX, f"rina@{OTHER_DOMAIN}"),
                       extra="MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n")
    world.sealed_by_app(token)
    world.arrived(token, f"rina@{OTHER_DOMAIN}")
    token = f"lokal{time.monotonic_ns()}"
    done = world.mta.sendmail(WEB_UID, letter(APP.address, INBOX, token=token).replace(b"\r\n", b"\n"), "-t", "-i", "-f", APP.address)
    equal(done.returncode, 0, done.stderr)
    world.sealed_by_app(token)


@suite.test("the same login without its envelope sender, or under another From: passes unsealed")
def _(world):
    world.passes_unsealed(world.sent(WEB_UID, APP.address, None), "SEAL_UNAVAILABLE")
    world.passes_unsealed(world.sent(WEB_UID, APP.address, HELD.address), "SEAL_UNAVAILABLE")
    world.passes_unsealed(world.sent(WEB_UID, f"bupati@{OWN_DOMAIN}", APP.address), "SEAL_UNAVAILABLE")


@suite.test("an office's certificate does not seal here, and a listed address that nobody registered has none")
def _(world):
    world.passes_unsealed(world.sent(WEB_UID, OFFICE.address, OFFICE.address), "SEAL_UNAVAILABLE", login="local:www-data")
    world.passes_unsealed(world.sent(WEB_UID, UNKNOWN, UNKNOWN), "REG_UNKNOWN", login="local:www-data")


@suite.test("another login, root too, cannot claim a listed envelope sender: the MTA refuses the command")
def _(world):
    for uid in (OTHER_UID, 0, MAIL_UID):
        for envelope in (APP.address, APP.address.upper(), f"aplikasi+x@{OWN_DOMAIN}", "aplikasi"):
            token, done = world.command(uid, APP.address, envelope)
            check(done.returncode != 0 and b"not authorized to use sender" in done.stderr, f"{uid} {envelope}: {done.stderr}")


@suite.test("a login called like a listed address cannot use its own name, which would be that address")
def _(world):
    postconf(world, "-e", f"myorigin={OWN_DOMAIN}")
    try:
        for envelope in (None, "segel-other", NAMESAKE):
            token, done = world.command(OTHER_UID, NAMESAKE, envelope)
            check(done.returncode != 0 and b"not authorized to use sender" in done.stderr, f"{envelope}: {done.stderr}")
        token = world.sent(MAIL_UID, NAMESAKE, None)  # its own name is nobody's
        world.passes_unsealed(token, "SEAL_UNAVAILABLE")
    finally:
        postconf(world, "-e", f"myorigin={HOST}")


def postconf(world, *words):
    world.mta.command("postconf", *words)
    world.mta.command("postfix", "reload")
    time.sleep(1)  # a process that is at work would go on with the old lines


@suite.test("mail that is not official passes as it is: cron's, root's, a stranger's")
def _(world):
    for uid, sender, envelope in ((0, f"root@{HOST}", None), (OTHER_UID, f"warga@{OTHER_DOMAIN}", f"warga@{OTHER_DOMAIN}")):
        token = world.sent(uid, sender, envelope)
        world.passes_unsealed(token)


@suite.test("fields of our own prefix are taken away, whoever wrote them")
def _(world):
    token = world.sent(WEB_UID, f"root@{HOST}", None, extra="X-Segel-Verdict: baik\r\n")
    check(b"X-Segel-Verdict" not in world.arrived(token), "still there")


@suite.test("this role's socket at an SMTP service, by mistake: a stranger's claim of a listed address is not sealed")
def _(world):
    service = f"127.0.0.1:{world.mta.ports['inbound']}/inet/smtpd_milters"
    postconf(world, "-P", f"{service}=unix:{world.mta.sockets['local']}")
    try:
        token = f"lokal{time.monotonic_ns()}"
        with world.session(tls=False, port="inbound") as session:
            check(session.send(APP.address, [INBOX], letter(APP.address, INBOX, body="Isi.\r\n", token=token)).accepted, session.replies[-1])
        world.passes_unsealed(token, "SEAL_UNAVAILABLE", login="local:www-data")
        check("came by SMTP" in world.record_of(token)["evidence"], world.record_of(token).values)
    finally:
        postconf(world, "-P", f"{service}=")


@suite.test("requeued mail (postsuper -r) is not sealed afterwards, and sealed mail not twice")
def _(world):
    postconf(world, "-e", "defer_transports=virtual")
    token = f"lokal{time.monotonic_ns()}"
    try:
        with world.session(tls=False, port="inbound") as session:
            check(session.send(APP.address, [INBOX], letter(APP.address, INBOX, body="Isi.\r\n", token=token)).accepted, session.replies[-1])
        sealed = world.sent(WEB_UID, APP.address, APP.address)
        deadline.until("two messages to be deferred", lambda: [entry["queue_name"] for entry in world.queue()].count("deferred") == 2)
        world.mta.command("postsuper", "-r", "ALL")
        deadline.until("both to be requeued", lambda: world.maillog().count(" orig_id=") == 2)
    finally:
        postconf(world, "-e", "defer_transports=")
    world.poke()
    check(b"pkcs7" not in world.arrived(token), "sealed although it came by SMTP")
    equal(parsed(world.sealed_by_app(sealed)).get_payload(0).get_content_type(), "text/plain", "what is inside the seal")


@suite.test("sendmail -bs, SMTP without a network: the same rules")
def _(world):
    token = f"lokal{time.monotonic_ns()}"
    lines = (f"EHLO x\nMAIL FROM:<{APP.address}>\nRCPT TO:<{INBOX}>\nDATA\n".encode()
             + letter(APP.address, INBOX, token=token).replace(b"\r\n", b"\n") + b".\nQUIT\n")
    world.mta.sendmail(OTHER_UID, lines, "-bs")
    world.wait_idle()
    time.sleep(1.5)  # longer than pickup's turn
    equal(world.mailbox(INBOX, f"X-Token: {token}".encode()), [], "delivered for another login")
    world.mta.sendmail(WEB_UID, lines, "-bs")
    world.sealed_by_app(token)


@suite.test("the key agent uses an office's key for role submission only, a system's for role local only, whatever they ask")
def _(world):
    for uid, account, good in ((LOCAL_UID, APP, True), (LOCAL_UID, OFFICE, False), (MILTER_UID, OFFICE, True), (MILTER_UID, APP, False)):
        asked = world.as_user(uid, [MILTER_UID], "/usr/bin/python3", "-c", ASK, world.keyd_socket, signature.spki_sha256(account.issued.cert))
        equal(asked.stdout.split()[:1], [b"ok" if good else b"unknown-key"], f"{uid} {account.name}: {asked.stdout} {asked.stderr}")


# --- what is refused ---

def bounced(world, address, word, since):
    def found():
        return [message for message in world.mailbox(address)[since:] if word in message]
    return deadline.until(f"a bounce to {address} that holds {word}", found)[0]


@suite.test("a certificate on hold: not sent, and its sender is told why")
def _(world):
    world.must("cert", "hold", HELD.cert, "--reason", "server disita")
    since = len(world.mailbox(HELD.address))
    token = world.sent(WEB_UID, HELD.address, HELD.address)
    bounced(world, HELD.address, b"REG_HELD", since)
    world.never_arrives(token)
    equal((world.record_of(token)["action"], world.record_of(token)["reason"]), ("reject", "REG_HELD"), "record")


@suite.test("a private key, two From addresses: not sent")
def _(world):
    key = "-----BEGIN PRIVATE KEY-----\r\nMC4CAQAwBQYDK2VwBCIEIA==\r\n-----END PRIVATE KEY-----\r\n"
    for reason, options in (("KEY_MATERIAL", {"sender": APP.address, "body": key}),
                            ("FROM_AMBIGUOUS", {"sender": f"{APP.address}, x@{OWN_DOMAIN}"})):
        since = len(world.mailbox(APP.address))
        token = world.sent(WEB_UID, envelope=APP.address, **options)
        bounced(world, APP.address, reason.encode(), since)
        world.never_arrives(token)


@suite.test("the table decides: unlisted official mail refused instead of passed")
def _(world):
    reload(world, policy='policy = ( { finding = "SEAL_UNAVAILABLE"; class = "local"; action = "reject"; } );')
    since = len(world.mailbox(APP.address))
    token = world.sent(WEB_UID, f"bupati@{OWN_DOMAIN}", APP.address)
    bounced(world, APP.address, b"SEAL_UNAVAILABLE", since)
    world.never_arrives(token)
    reload(world)
    world.passes_unsealed(world.sent(WEB_UID, f"bupati@{OWN_DOMAIN}", APP.address), "SEAL_UNAVAILABLE")


def reload(world, **changed):
    before = world.filter_log("local").count("reloaded ")
    world.write_config(**changed)
    world.milters["local"].send(signal.SIGHUP)
    deadline.until("the filter to reload", lambda: world.filter_log("local").count("reloaded ") > before)


@suite.test("a setting that takes a login from the list counts from the next message on")
def _(world):
    senders, world.senders = world.senders, f'{{ user = "root"; from = [ "{APP.address}" ]; }}'
    reload(world)
    # The MTA's map is the old one still: www-data may claim the envelope sender, and the record names the listed user.
    token = world.sent(WEB_UID, APP.address, APP.address)
    equal(world.record_of_arrived(token)["login"], "local:root", "record")
    world.senders = '{ user = "root"; from = [ "lain@kota.example" ]; }'
    reload(world)
    world.passes_unsealed(world.sent(WEB_UID, APP.address, APP.address), "SEAL_UNAVAILABLE")
    world.senders = senders
    reload(world)


@suite.test("encryption in use: a listed program's mail is encrypted or comes back to it; what is no official mail is left alone")
def _(world):
    world.make_partners(OTHER_DOMAIN)
    reload(world, policy="encrypt: { use = true; };")
    try:
        token = world.sent(WEB_UID, APP.address, APP.address, recipients=(world.partner("rsa"),))
        message, = world.wait_delivered(world.partner("rsa"), f"X-Token: {token}".encode())
        check(b"Isi." not in message and b"Isi." in world.verify(world.decrypt(message, world.leaves["rsa"])), "not encrypted")
        equal(world.record_of(token)["encrypt"], "aes-256-cbc", "record")
        token = world.sent(WEB_UID, APP.address, APP.address, recipients=(world.partner("mentah"),))
        back, = world.wait_delivered(APP.address, token.encode())
        check(b"ENC_NO_CERT" in back and b"mentah@" in back, back.decode("utf-8", "replace"))
        token = world.sent(OTHER_UID, f"warga@{OTHER_DOMAIN}", f"warga@{OTHER_DOMAIN}", recipients=(world.partner("mentah"),))
        message, = world.wait_delivered(world.partner("mentah"), f"X-Token: {token}".encode())
        check(b"Isi." in message, "no official mail: changed")
    finally:
        reload(world)


# --- when something is missing: the mail waits, and goes out once ---

@suite.test("key agent, registry or filter gone: the mail waits, nothing leaves unsealed; then it goes out, once")
def _(world):
    def registry_away():
        os.rename(world.registry, world.registry + ".away")

    def registry_back():
        os.rename(world.registry + ".away", world.registry)

    for name, away, back in (("key agent", world.keyd.kill, world.start_keyd), ("registry", registry_away, registry_back),
                             ("filter", world.milters["local"].kill, lambda: world.start_milter("local"))):
        away()
        token = world.sent(WEB_UID, APP.address, APP.address)
        world.wait_logged(rf"pickup\[\d+\]: \w+: uid=33 from=<{APP.address}>(?s:.*)(milter|4\.3\.0|4\.7\.1)")
        time.sleep(0.5)
        equal(world.mailbox(INBOX, f"X-Token: {token}".encode()), [], f"delivered without {name}")
        back()
        world.poke()
        world.sealed_by_app(token)
        world.wait_idle()
        equal(len(world.mailbox(INBOX, f"X-Token: {token}".encode())), 1, f"copies, {name}")


# --- the commands ---

@suite.test("segelctl local sender-map: refuses patterns that would give listed addresses away; nothing listed, no map")
def _(world):
    for pattern in ("*", f"@{OWN_DOMAIN}", f"@{OWN_DOMAIN.upper()}", APP.address, "aplikasi", f"@{OTHER_DOMAIN} *", "@",
                    f"@mail.{OWN_DOMAIN}", f"x@a.b.{OWN_DOMAIN}", f"@{OWN_DOMAIN}.", f"x+y@{OTHER_DOMAIN}"):
        equal(world.segelctl("local", "sender-map", "--also", pattern).code, 2, pattern)
    equal(world.segelctl("local", "sender-map", "--also", f"x@{OWN_DOMAIN}", f"@{OTHER_DOMAIN}", f"@x{OWN_DOMAIN}").code, 0, "others")
    empty = world.path("leer.conf")
    with open(empty, "w", encoding="ascii") as out:
        out.write("language = \"en\";\n")
    answer = subprocess.run([os.path.join(world.build, "segelctl"), "-c", empty, "local", "sender-map"], capture_output=True,
                            stdin=subprocess.DEVNULL)
    check(answer.returncode == 1 and not answer.stdout and b"local.senders is empty" in answer.stderr, answer)


@suite.test("segelctl local sender-map, as postmap reads it")
def _(world):
    def allowed(login):
        done = subprocess.run([world.mta.programs.command + "/postmap", "-c", world.mta.etc, "-q", login,
                               "regexp:" + os.path.join(world.mta.etc, "segel-senders")], capture_output=True,
                              env=world.mta.programs.env, stdin=subprocess.DEVNULL)
        return set(done.stdout.decode().split())
    listed = {APP.address, HELD.address, OFFICE.address, UNKNOWN, NAMESAKE}
    equal(allowed("www-data"), {"<>", "www-data", f"@{OTHER_DOMAIN}"} | listed, "www-data")
    equal(allowed("WWW-DATA"), {"<>", "WWW-DATA", f"@{OTHER_DOMAIN}"}, "another login in capitals")
    equal(allowed("xwww-data"), {"<>", "xwww-data", f"@{OTHER_DOMAIN}"}, "a longer login")
    for login in ("aplikasi", "Aplikasi", "segel-other", "kadis"):
        equal(allowed(login), {"<>", f"@{OTHER_DOMAIN}"}, login)


@suite.test("segelctl explain --role local says the same beforehand")
def _(world):
    path = world.path("surat.eml")
    with open(path, "wb") as out:
        out.write(letter(APP.address, INBOX))
    good = world.segelctl("explain", "--role", "local", path)
    check(good.code == 0 and "sealed:   yes" in good.out and "class:    local" in good.out, good.out)
    other = world.segelctl("explain", "--role", "local", "--sender", f"www-data@{HOST}", path)
    check(other.code == 0 and "sealed:   no" in other.out and "SEAL_UNAVAILABLE" in other.out, other.out)


@suite.test("everything that was recorded holds together")
def _(world):
    world.must("audit", "verify")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
