"""demo [MESSAGE.eml]: the gateway at work, step by step. Started by contrib/demo.

Every step announces what will happen, does it through the real Postfix, and then compares: what
the server answered, what lies in the mailbox, what a judge's exit code says. The exit status is
0 only where everything was as announced.
"""

import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import textwrap
import time

import client
import judge
import mail
import place
from gateway import Account, Gateway
from mta import BARE_DOMAIN
from openssl_ca import OpensslCA, run
from place import MILTER_UID
from region import DOMAIN, SecondRegion
from world import OTHER_DOMAIN, letter, parsed

SITI = f"siti@{OTHER_DOMAIN}"
BUDI = Account("budi", "Kepala Bagian Umum (Head of General Affairs)", key="rsa2048")
DEWI = Account("dewi", "Bendahara (Treasurer)")
LAMA = Account("lama", "Sekretaris (Secretary)", start="-2y", end="+7s")
PARTNER = "dinas@provinsi.example"
STRANGER = "warga@luar.example"
BARE = f"camat@{BARE_DOMAIN}"
CABUT = Account("cabut", "Kepala Gudang (Storekeeper)")
SEKDA = "sekda@provinsi.example"          # of a partner region, whose authority is another one
GUDANG = "gudang@provinsi.example"        # of the same, whose certificate is revoked
KECAMATAN = "camat@provinsi.example"      # of the same, but with a certificate of an authority that nobody recognised
ARSIP = f"arsip@{DOMAIN}"                 # of a second region, with a gateway of its own; without a certificate

SECRET = "kenari-7731"                    # stands in the confidential letter, and is looked for where it must not be
ENCRYPT = f"""encrypt: {{ use = true; rules = (
	{{ to = "{DOMAIN}"; level = "must"; }}, {{ to = ""; level = "may"; }}
); }};"""

SHOWN_FIELDS = ("From", "Sender", "To", "Subject", "Date", "Content-Type")
TRACE_FIELDS = rb"(?:Return-Path|X-Original-To|Delivered-To):[^\n]*\n(?:[ \t][^\n]*\n)*"
RECEIVED_FIELD = rb"Received:[^\n]*\n(?:[ \t][^\n]*\n)*"


class Story:
    """What is printed, and how often it was not as announced."""

    def __init__(self, n_steps):
        self.n_steps = n_steps
        self.step_number = 0
        self.differences = 0
        self.colours = sys.stdout.isatty()

    def say(self, text="", indent=2):
        text = " ".join(text.split())
        print(textwrap.fill(text, 100, initial_indent=" " * indent, subsequent_indent=" " * indent), flush=True)

    def paint(self, text, code):
        return f"\033[{code}m{text}\033[0m" if self.colours else text

    def step(self, title, what):
        self.step_number += 1
        print()
        print(self.paint(f"Step {self.step_number} of {self.n_steps}: {title}", "1"), flush=True)
        self.say(what)

    def quote(self, text, most=12):
        lines = printable(text).rstrip("\n").split("\n")
        for line in lines[:most]:
            print(f"    | {line}")
        if len(lines) > most:
            print(f"    | ... ({len(lines) - most} lines more)")
        sys.stdout.flush()

    def command(self, command):
        print("    $ " + printable(command), flush=True)

    def compare(self, announced, holds):
        if holds:
            print(self.paint("  -> as announced: ", "32") + announced, flush=True)
        else:
            self.differences += 1
            print(self.paint("  -> NOT as announced: ", "1;31") + announced, flush=True)


def printable(text):
    """Nothing from outside reaches a terminal as a control character."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text.replace("\t", "    "))


class Demo:
    """The steps, in order; each a method that tells its part of the story."""

    def __init__(self, world, story, own_message=None):
        self.world = world
        self.story = story
        self.own_message = own_message

    def play(self):
        self.sealed()
        self.other_from()
        self.without_tls()
        self.held()
        self.expired()
        self.revoked()
        self.arriving()
        self.partner()
        self.revoked_arrives()
        self.forged()
        self.reviewed()
        self.leaving()
        self.confidential()
        self.no_certificate()
        self.badly_set_up()
        if self.own_message:
            self.message_of_yours()

    def send(self, account, message, tls=True):
        outcome = self.world.send_as(account, message, [SITI], tls)
        self.story.quote(f"server: {outcome.last}")
        return outcome

    def arrived(self, token):
        """The message with this token in Siti's mailbox."""
        [message] = self.world.wait_delivered(SITI, token.encode())
        return message

    def refused(self, outcome, token, code, enhanced, reason, role="submission"):
        """Compares a refusal, and that nothing reached the mailbox."""
        self.world.wait_idle()
        self.story.compare(f"refused with {code} {enhanced}, reason {reason}",
                           not outcome.accepted and outcome.last.says(str(code), enhanced, reason))
        self.story.compare("nothing reached the recipient's mailbox", not self.world.mailbox(SITI, token.encode()))
        logged = re.findall(rf".*reason=\S*{reason}.*", self.world.filter_log(role))
        self.story.compare(f"the gateway's log holds the reason {reason}", bool(logged))

    def judged(self, message, account):
        """Verified by openssl, with nothing of ours between it and the message."""
        verdict = judge.openssl_verify(message, self.world.authority.root_file)
        self.story.command(verdict.command)
        self.story.quote(verdict.text)
        self.story.compare("openssl finds the signature good, up to the demo's root certificate", verdict.ok)
        self.story.compare(f"the signer is the certificate registered for {account.address}",
                           verdict.signer == account.cert)
        return verdict

    def sealed(self):
        self.story.step("An official letter is sealed", f"""Budi heads an office of a city. His mail program knows
            nothing of certificates: it logs in over TLS as {BUDI.login} and sends an ordinary letter to {SITI}. The
            gateway asks the registry which certificate seals for Budi's address, has the key agent sign, and replaces
            the letter by its sealed form.""")
        outcome = self.send(BUDI, mail.plain(BUDI.address, SITI, "letter-1"))
        self.story.compare("accepted", outcome.accepted)
        if not outcome.accepted:
            return
        message = self.arrived("letter-1")
        self.story.say("What arrived in Siti's mailbox:")
        self.story.quote(fields_of(message))
        self.story.compare("it arrived as multipart/signed", parsed(message).get_content_type() == "multipart/signed")
        self.judged(message, BUDI)
        self.story.say("Would the judge notice a change? The same message with 09.00 made 10.00:")
        changed = judge.openssl_verify(message.replace(b"09.00", b"10.00"), self.world.authority.root_file)
        self.story.quote(changed.text.split("\n")[0])
        self.story.compare("the changed message is no longer good", not changed.ok)

    def other_from(self):
        self.story.step("Somebody else's name is refused", f"""Budi logs in as himself, but his letter says
            "From: {DEWI.address}". A seal of Dewi's office would be a forgery with a stamp on it.""")
        outcome = self.send(BUDI, mail.plain(DEWI.address, SITI, "letter-2"))
        self.refused(outcome, "letter-2", 550, "5.7.1", "LOGIN_MISMATCH")

    def without_tls(self):
        self.story.step("Without encryption nothing goes out", """Budi's mail program logs in without STARTTLS, so that
            password and letter cross the network in the clear.""")
        outcome = self.send(BUDI, mail.plain(BUDI.address, SITI, "letter-3"), tls=False)
        self.refused(outcome, "letter-3", 530, "5.7.10", "TLS_MISSING")

    def held(self):
        self.story.step("A certificate on hold does not seal; released, it does again", """Dewi reports her office's
            token lost. An officer of the registration authority puts the certificate on hold while Dewi is in the
            middle of sending: her session is open, sender and recipient are already accepted.""")
        with self.world.session_of(DEWI) as session:
            session.mail(DEWI.address)
            session.rcpt(SITI)
            self.segelctl("cert", "hold", DEWI.cert, "--reason", "token reported lost")
            outcome = client.Outcome([session.data(mail.plain(DEWI.address, SITI, "letter-4a"))])
            self.story.quote(f"server: {outcome.last}")
            self.refused(outcome, "letter-4a", 550, "5.7.1", "REG_HELD")
            self.story.compare("the refusal gives the officer's reason", "token reported lost" in str(outcome.last))
            self.story.say("The token turns up. The officer releases the certificate; Dewi sends again, on the same session:")
            self.segelctl("cert", "unhold", DEWI.cert, "--reason", "token found")
            outcome = session.send(DEWI.address, [SITI], mail.plain(DEWI.address, SITI, "letter-4b"))
            self.story.quote(f"server: {outcome.last}")
        self.story.compare("accepted", outcome.accepted)
        if outcome.accepted:
            self.judged(self.arrived("letter-4b"), DEWI)

    def expired(self):
        self.story.step("An expired certificate does not seal", f"""The certificate of {LAMA.address} was good when it was
            registered; nobody renews it, and its last second passes (this may take a moment).""")
        self.world.wait_expired(LAMA)
        self.story.say(f"Its last second was {self.world.end_date(LAMA)}; now it is "
                       f"{time.strftime('%b %e %H:%M:%S %Y GMT', time.gmtime())}.")
        outcome = self.send(LAMA, mail.plain(LAMA.address, SITI, "letter-5"))
        self.refused(outcome, "letter-5", 550, "5.7.1", "CERT_EXPIRED")

    def revoked(self):
        self.story.step("A revoked certificate never seals again", f"""The key of {CABUT.address} has leaked. The officer
            revokes its certificate; unlike a hold, that is final.""")
        self.segelctl("cert", "revoke", CABUT.cert, "--reason", "KUNCI_BOCOR")
        outcome = self.send(CABUT, mail.plain(CABUT.address, SITI, "letter-6"))
        self.refused(outcome, "letter-6", 550, "5.7.1", "CERT_REVOKED")
        self.story.say("And nobody can take that back:")
        answer = self.segelctl("cert", "unhold", CABUT.cert, "--reason", "a mistake", must=False)
        self.story.compare("segelctl refuses to release a revoked certificate (exit code 3)", answer.code == 3)

    def arriving(self):
        self.story.step("Official mail from elsewhere comes encrypted, or not at all", f"""Another region's mail server
            delivers a letter from {PARTNER}, which the registry knows as a partner, to port 25. First without STARTTLS,
            then over TLS 1.2, then over TLS 1.3. A letter from anybody else may come as it likes.""")
        self.refused(self.deliver(PARTNER, "letter-7a", "no TLS", tls=False), "letter-7a", 530, "5.7.10", "TLS_MISSING",
                     role="inbound")
        for token, name, version in (("letter-7b", "TLS 1.2", ssl.TLSVersion.TLSv1_2), ("letter-7c", "TLS 1.3", ssl.TLSVersion.TLSv1_3)):
            outcome = self.deliver(PARTNER, token, name, context=client.any_server(version))
            self.story.compare(f"{name} is taken, and the letter arrives", outcome.accepted and bool(self.arrived(token)))
        outcome = self.deliver(STRANGER, "letter-7d", "no TLS", tls=False)
        self.story.compare("a citizen's letter arrives without TLS", outcome.accepted and bool(self.arrived("letter-7d")))

    def partner(self):
        self.story.step("A partner's officer writes, and readers are told whose seal it is", f"""{SEKDA} seals with the province's own
            certificate: another authority, another program (openssl). The gateway verifies it, asks what the authority says about
            revocation and what the registry says about the address, and adds one field with the result. A field that claims the same, written
            by somebody else, is taken away.""")
        forged = "Authentication-Results: mail.kota.example; smime=pass smime.id=presiden@negara.example\r\n"
        message = client.with_crlf(self.world.partners.sealed("sekda", SEKDA, "letter-8", extra=forged))
        outcome = self.from_partner(SEKDA, message)
        self.story.compare("accepted", outcome.accepted)
        arrived = self.arrived("letter-8")
        fields = [str(field) for field in parsed(arrived).get_all("Authentication-Results") or []]
        self.story.quote("\n".join(f"Authentication-Results: {field}" for field in fields))
        self.story.compare("one result field, and it says pass", len(fields) == 1 and "smime=pass" in fields[0] and "presiden" not in fields[0])
        verdict = judge.openssl_verify(arrived, self.world.partners.root.cert)
        self.story.command(verdict.command)
        self.story.compare("openssl finds the signature good, too", verdict.ok)

    def revoked_arrives(self):
        self.story.step("Mail with a revoked certificate is refused, and a copy is kept", f"""The certificate of {GUDANG} was revoked by the
            authority that issued it; its list of revoked certificates was fetched ahead of time.""")
        message = client.with_crlf(self.world.partners.sealed("gudang", GUDANG, "letter-9"))
        self.refused(self.from_partner(GUDANG, message), "letter-9", 550, "5.7.1", "CERT_REVOKED", role="inbound")
        [row] = self.rows("--finding", "CERT_REVOKED")
        answer = self.review("release", row["id"], "--reason", "mau lihat isinya", must=False)
        self.story.compare("a copy is held, and nobody can release it (exit code 3)", row["action"] == "reject+hold" and answer.code == 3)

    def forged(self):
        self.story.step("A forged letter is held", f"""A letter of {SEKDA} was changed on its way: the meeting is at 10.00 instead of 09.00, and the
            signature does not hold any more. Its client hears that it was taken, so that nobody learns how to do it better; the reader does
            not get it. The quarantine is encrypted: the filter that wrote it cannot read it again.""")
        message = client.with_crlf(self.world.partners.sealed("sekda", SEKDA, "letter-10").replace(b"09.00", b"10.00"))
        outcome = self.from_partner(SEKDA, message)
        self.world.wait_idle()
        self.story.compare("taken (250), and nothing reached the recipient's mailbox", outcome.accepted and not self.world.mailbox(SITI, b"letter-10"))
        [row] = self.rows("--finding", "SIG_INVALID")
        self.story.compare("it is held, with the finding SIG_INVALID", row["action"] == "hold" and row["from"] == SEKDA)
        boxes = [os.path.join(folder, name) for folder, _, names in os.walk(self.world.path("quarantine")) for name in names]
        self.story.compare("none of the quarantine's files holds a word of it in clear", not any(holds(box, b"Rapat diadakan") for box in boxes))
        self.review("release", row["id"], "--reason", "tampak asli")
        answer = self.review("release", row["id"], "--reason", "sungguh", must=False)
        self.story.compare("one reviewer alone cannot let it go: a second person must agree (exit code 3)",
                           answer.code == 3 and not self.world.mailbox(SITI, b"letter-10"))

    def reviewed(self):
        self.story.step("A reviewer looks, and lets a letter go", f"""{KECAMATAN} has a certificate of an authority that nobody has recognised yet: held,
            too. {self.reviewer} of the security team, a login of the mail server with the role analis in the registry, lists what waits, looks
            into it, and releases it. Each look is on record with its reason.""")
        message = client.with_crlf(self.world.partners.sealed("camat", KECAMATAN, "letter-11"))
        self.from_partner(KECAMATAN, message)
        [row] = self.rows("--from", KECAMATAN)
        self.review("list", lines=8)
        self.review("show", row["id"], lines=40)
        self.review("view", row["id"], "--reason", "penerima bertanya", lines=30)
        self.review("release", row["id"], "--reason", "pengirim dikenal, sudah ditelepon")
        arrived = self.arrived("letter-11")
        ours = arrived[arrived.index(b"From: "):]
        self.story.compare(f"it arrived byte for byte: the {len(ours)} bytes behind the fields that this server put on top are those that were sent (line ends as mailboxes keep them)",
                           ours == message.replace(b"\r\n", b"\n"))
        self.story.say("The whole story of that letter, from the records of filter, quarantine and key agent:")
        answer = self.segelctl("explain", row["id"], lines=6)
        told = [line for line in answer.out.splitlines() if re.match(r"\d{4}-", line)]
        self.story.quote("\n".join(told), most=20)
        self.story.compare("it names who looked and who released", all(f"{self.reviewer}: {text}" in answer.out for text in ("looked into it", "had it released")))

    @property
    def reviewer(self):
        return self.world.reviewer

    def rows(self, *words):
        answer = self.world.quarantine(self.reviewer, "list", *words, json=True)
        if answer.code != 0:
            raise RuntimeError(str(answer))
        return answer.data

    def review(self, *words, must=True, lines=4):
        """segelctl quarantine, as the reviewer types it."""
        self.story.command(f"segelctl quarantine {' '.join(short(word) for word in words)}      (as {self.reviewer})")
        answer = self.world.quarantine(self.reviewer, *words)
        if must and answer.code != 0:
            raise RuntimeError(str(answer))
        self.story.quote(answer.err.strip() or answer.out.strip() or "(done)", most=lines)
        return answer

    def from_partner(self, sender, message):
        with self.world.session(port="server") as session:
            outcome = session.send(sender, [SITI], message)
            session.quit()
        self.story.quote(f"{sender}, TLS; server: {outcome.last}")
        return outcome

    def leaving(self):
        hop = f"[127.0.0.1]:{self.world.mta.ports['bare']}"
        self.story.step("Official mail leaves encrypted, or waits", f"""Budi writes to {BARE}. The server that takes mail for
            that address, {hop}, is to be spoken to over TLS, says the registry; but it offers none. Postfix asks
            segel-tlspol before it delivers.""")
        self.segelctl("tls", "policy", "set", hop, "encrypt", "--decision", "SK 7/2026")
        self.segelctl("tls", "policy", "show", PARTNER.partition("@")[2])
        self.story.say("(A registered domain without a policy of its own: encrypted, always.)")
        outcome = self.world.send_as(BUDI, mail.plain(BUDI.address, BARE, "letter-12"), [BARE])
        self.story.compare("accepted and sealed; now it is Postfix's", outcome.accepted)
        logged = self.world.wait_logged(rf"to=<{BARE}>,.*status=deferred.*", 30)[0]
        self.story.quote(f"mail log: {logged}")
        self.story.compare("deferred with 4.7.4: TLS is required, but was not offered", "dsn=4.7.4" in logged and "TLS is required" in logged)
        self.story.compare("nothing went to that server in clear", not self.world.mailbox(BARE))
        self.report()
        self.world.discard_queue()

    def report(self):
        self.story.say("What an auditor sees of it:")
        log = self.world.mta.log
        answer = self.world.must("tls", "report", "--loopback", log)
        self.story.command("segelctl tls report --loopback mail.log")
        self.story.quote(answer.out, most=14)
        self.story.compare(f"the report names {BARE.partition('@')[2]}", BARE.partition("@")[2] in answer.out)

    @property
    def second(self):
        return self.world.second

    def confidential(self):
        office = self.second.office
        self.story.step("A confidential letter leaves encrypted, and is readable in a second region", f"""The regency {DOMAIN} has a mail server, a
            gateway, a key agent and a registry of its own, and each registry knows the other region as a partner: ours has the certificate
            that {office} wants mail encrypted to, theirs has Budi's. Our settings say that mail to that domain must be encrypted. Its
            mail server is not up yet, so that Budi's letter waits in our queue, as it will go to the other region.""")
        self.segelctl("encrypt", "check", office, "--from", BUDI.address, lines=8)
        outcome = self.world.send_as(BUDI, letter(BUDI.address, office, "Calon kepala dinas", f"Rahasia: {SECRET}.\r\n", token="letter-13"), [office])
        self.story.quote(f"server: {outcome.last}")
        self.story.compare("accepted", outcome.accepted)
        if not outcome.accepted:
            return
        self.on_its_way(outcome.last.text.split()[-1])
        self.story.say("The other region's gateway, key agent and mail server start, and the queue is tried again.")
        self.second.start()
        self.world.mta.command("postqueue", "-f")
        self.opened(self.second.wait_delivered(office, b"<letter-13.1@")[0])

    def on_its_way(self, queue_id):
        """What the queue has of it, shown by Postfix's own program, and judged by openssl."""
        self.world.wait_logged(rf"{queue_id}: to=<{self.second.office}>,.*status=deferred", 30)
        self.story.command(f"postcat -bh -q {queue_id}")
        waiting = self.world.mta.command("postcat", "-bh", "-q", queue_id).encode()
        self.story.quote(fields_of(waiting))
        self.story.compare("the Subject is hidden, and no word of the letter can be read", parsed(waiting)["Subject"] == "[...]"
                           and not any(word in waiting for word in (SECRET.encode(), b"Calon", b"Rahasia")))
        path = self.world.path("waiting.eml")
        with open(path, "wb") as out:
            out.write(waiting)
        self.story.command("openssl cms -cmsout -print -in waiting.eml")
        readers = recipients_in(run("openssl", "cms", "-cmsout", "-print", "-in", path).decode())
        self.story.quote(readers)
        serial = run("openssl", "x509", "-in", self.second.leaf.cert, "-noout", "-serial").decode().strip().partition("=")[2]
        self.story.compare(f"it is encrypted to one certificate, that of {self.second.office} (serial number 0x{serial})",
                           readers.count("serialNumber") == 1 and f"serialNumber: {int(serial, 16)}\n" in readers + "\n")
        self.logged(self.world, queue_id, "submission", "encrypt=aes-256-cbc")

    def opened(self, message):
        """What lies in the other office's mailbox."""
        self.story.say(f"What arrived in the mailbox of {self.second.office}:")
        field = str(parsed(message)["Authentication-Results"])
        self.story.quote(fields_of(message) + f"\nAuthentication-Results: {field}\n\n" + text_of(message))
        self.story.compare("it is readable, and its Subject is back", SECRET in text_of(message) and parsed(message)["Subject"] == "Calon kepala dinas")
        self.story.compare(f"the result field says: decrypted, and sealed by {BUDI.address}",
                           "smime=pass (decrypted)" in field and f"identifier={BUDI.address}" in field)
        self.judged(message, BUDI)
        self.logged(self.second, r"\w+", "inbound", "decrypted=yes")
        found = [path for path in self.second.files() if holds(path, SECRET.encode())]
        self.story.compare("on the other region's disk the letter stands in that mailbox and nowhere else", len(found) == 1 and found[0].startswith(self.second.mta.mail))

    def logged(self, world, queue_id, role, word):
        """Quotes the line on which the gateway says what it did."""
        line = world.wait_filter_log(rf"{queue_id}: action=.* {word}.*", role=role).group(0)
        self.story.quote(f"{world.hostname}: {line}")

    def no_certificate(self):
        office = self.second.office
        self.story.step("Who cannot be written to in confidence is named", f"""Budi writes to {office} again, and to {ARSIP}, for whom no certificate
            is registered. Nobody gets it in clear instead, and the one who could read it does not get it without the other.""")
        message = letter(BUDI.address, f"{office}, {ARSIP}", "Calon kepala dinas", f"Rahasia: {SECRET}.\r\n", token="letter-14")
        outcome = self.world.send_as(BUDI, message, [office, ARSIP])
        self.story.quote(f"server: {outcome.last}")
        self.story.compare("refused with 550 5.7.4, reason ENC_NO_CERT", not outcome.accepted and outcome.last.says("550", "5.7.4", "ENC_NO_CERT"))
        self.story.compare(f"it names {ARSIP}, and not {office}", ARSIP in str(outcome.last) and office not in str(outcome.last))
        self.world.wait_idle()
        self.second.wait_idle()
        self.story.compare("nothing reached either mailbox", not any(self.second.mailbox(to, b"letter-14") for to in (office, ARSIP)))

    def badly_set_up(self):
        self.story.step("A mail server that is set up badly is told so", """A filter is only as safe as the mail server that asks
            it. Here is a copy of this Postfix's settings as a server on the Internet might have them, port 25 open, in which two lines are
            worse: mail passes when the filter is away, and a message may be cut in two by a bare newline. segelctl reads what Postfix would really use, and changes nothing.""")
        folder = self.world.path("buruk")
        shutil.copytree(self.world.mta.etc, folder)
        worse = [("milter_default_action", "accept"), ("smtpd_forbid_bare_newline", "no")]
        with open(os.path.join(folder, "main.cf"), "a", encoding="ascii") as main_cf:
            main_cf.writelines(f"{name} = {value}\n" for name, value in [("inet_interfaces", "all"), *worse])
        with open(os.path.join(folder, "master.cf"), "a", encoding="ascii") as master_cf:
            master_cf.write("smtp inet n - y - - smtpd\n")
        before = self.check_mta(folder)
        self.story.compare("refused (exit status 1), and both lines are among the reasons",
                           before.code == 1 and all(self.finding(before, name, value) for name, value in worse))
        for name, value in worse:
            found = self.finding(before, name, value)
            self.story.quote(f"{found['severity']}: {found['id']}: {found['where']}\nfound  {found['found']}\nwhy    {found['why']}\n"
                             f"mend   {found['mend']}")
            subprocess.run(shlex.split(found["mend"].replace("postconf", self.world.mta.programs.command + "/postconf", 1)), check=True,
                           env=self.world.mta.programs.env, stdin=subprocess.DEVNULL, capture_output=True)
        after = self.check_mta(folder)
        self.story.compare("with the two commands that it names both are mended",
                           not any(self.finding(after, name, value) for name, value in worse))

    def check_mta(self, folder):
        self.story.command("segelctl check mta --postfix " + os.path.basename(folder))
        return self.world.check_mta(folder)

    def finding(self, answer, name, value):
        return next((found for found in answer.data["findings"] if f"{name} = {value}" in found["found"]), None)

    def deliver(self, sender, token, name, tls=True, context=None):
        """From another server, to the port that takes such mail."""
        with self.world.session(tls=tls, port="server", context=context) as session:
            outcome = session.send(sender, [SITI], mail.plain(sender, SITI, token))
            session.quit()
        self.story.quote(f"{sender}, {name}; server: {outcome.last}")
        return outcome

    def segelctl(self, *args, must=True, lines=4):
        self.story.command("segelctl " + " ".join(short(word) for word in args))
        answer = self.world.must(*args) if must else self.world.segelctl(*args)
        self.story.quote(answer.err.strip() or answer.out.strip() or "(done)", most=lines)
        return answer

    def message_of_yours(self):
        own = self.own_message
        signed = own.already_signed
        self.story.step("The message you gave", f"""{own.path}: the demo's registry knows its sender
            {own.account.address} and has a certificate for that address. """ + (
            "It is already signed or encrypted, so the gateway must let it pass untouched." if signed else
            "It is sent like any other letter."))
        outcome = self.send(own.account, own.content)
        self.story.compare("accepted", outcome.accepted)
        if not outcome.accepted:
            return
        [message] = self.world.wait_delivered(SITI, count=self.world_count(), seconds=60)[-1:]
        self.story.quote(fields_of(message))
        if signed:
            self.story.compare("its body is the one you gave", body_of(message) == body_of(own.content))
        written = own.write_sealed(message)
        self.story.say(f"Written to {own.sealed_path}")
        if not signed:
            self.judged(written, own.account)

    def world_count(self):
        """How many messages Siti has, with one that is on its way."""
        self.world.wait_idle()
        return len(self.world.mailbox(SITI))


class Partners:
    """A partner region's authority and officers, made by openssl alone, and what the trust folder has of them."""

    def __init__(self, world):
        self.world = world
        folder = world.path("mitra")
        os.makedirs(folder)
        self.root = OpensslCA(folder, "Provinsi Root CA", None)
        self.stranger = OpensslCA(folder, "Unknown CA", None)
        self.leaves = {"sekda": self.root.issue("sekda", [SEKDA]), "gudang": self.root.issue("gudang", [GUDANG]),
                       "camat": self.stranger.issue("camat", [KECAMATAN])}
        self.register()
        self.root.revoke(self.leaves["gudang"])
        self.publish()

    def register(self):
        self.world.must("domain", "add", SEKDA.partition("@")[2], "--kind", "partner")
        for name, address in (("sekda", SEKDA), ("gudang", GUDANG)):
            self.world.must("address", "add", address, "--unit", "UMUM")
            self.world.must("cert", "import", self.leaves[name].cert, "--kind", "jabatan")
            self.world.must("bind", "add", self.leaves[name].sha256, "--purpose", "verify", "--address", address)

    def publish(self):
        """What `segelctl trust add` and the hourly `segelctl trust refresh` do with a network."""
        anchors = self.world.path("trust", "anchors", "partner")
        os.makedirs(anchors, exist_ok=True)
        shutil.copy(self.root.cert, os.path.join(anchors, "provinsi.crt"))
        self.root.crl(self.world.path("trust", "crl", "provinsi.crl"))
        os.chown(anchors, 0, MILTER_UID)
        os.chmod(anchors, 0o2750)

    def sealed(self, name, sender, token, extra=""):
        """A letter signed by openssl(1)."""
        leaf = self.leaves[name]
        content = self.world.path("mitra", "content")
        with open(content, "wb") as out:
            out.write(b"Content-Type: text/plain\n\n" + mail.TEXT.encode())
        entity = run("openssl", "cms", "-sign", "-in", content, "-signer", leaf.cert, "-inkey", leaf.key)
        head, _, _ = letter(sender, SITI, "Undangan rapat", token=token).partition(b"\r\n\r\n")
        return extra.encode() + head + b"\r\n" + entity


def recipients_in(printed):
    """Of what openssl prints: whom a message is encrypted to, and how."""
    part = printed.partition("recipientInfos:")[2].partition("encryptedContentInfo:")[0]
    lines = [line.strip() for line in part.split("\n")]
    return "\n".join(line for line in lines if re.match(r"(issuer|serialNumber|algorithm):", line))


def text_of(message):
    """The first text in it, as a mail program shows it."""
    texts = [part.get_content() for part in parsed(message).walk() if part.get_content_type() == "text/plain"]
    return texts[0].strip() if texts else "(no text)"


def holds(path, text):
    with open(path, "rb") as file:
        return text in file.read()


class OwnMessage:
    """The file given on the command line."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as source:
            self.raw = source.read()
        self.content = client.with_crlf(re.sub(rb"\AFrom [^\n]*\n", b"", self.raw))
        self.account = Account("pengirim", "Sender of your message", address=self.sender())

    def sender(self):
        """The one address in From."""
        fields = parsed(self.content).get_all("From") or []
        addresses = [address for field in fields for address in field.addresses]
        if len(addresses) != 1 or not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+",
                                                   addresses[0].addr_spec):
            found = printable(", ".join(str(field) for field in fields)) or "none"
            raise SystemExit(f"contrib/demo: {self.path} must name exactly one sender with a plain address in From; "
                             f"found: {found}")
        return addresses[0].addr_spec

    @property
    def already_signed(self):
        return parsed(self.content).get_content_type() in (
            "multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")

    @property
    def sealed_path(self):
        return re.sub(r"\.eml\Z", "", self.path) + ".sealed.eml"

    def write_sealed(self, message):
        """Without the lines the demo's own delivery put on top; line ends and owner as in the original. Returns it."""
        message = re.sub(rb"\A(?:" + TRACE_FIELDS + rb")+(?:" + RECEIVED_FIELD + rb")?", b"", message)
        if b"\r\n" in self.raw:
            message = message.replace(b"\n", b"\r\n")
        with open(self.sealed_path, "wb") as out:
            out.write(message)
        owner = os.stat(self.path)
        os.chown(self.sealed_path, owner.st_uid, owner.st_gid)
        with open(self.sealed_path, "rb") as written:
            return written.read()


def short(word):
    """A fingerprint of 64 digits fills a line and tells nobody more than its beginning."""
    if re.fullmatch(r"[0-9a-f]{64}", word):
        return word[:16] + "..."
    return f'"{word}"' if " " in word else word


def body_of(message):
    return message.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1].rstrip(b"\n")


def fields_of(message):
    """The fields a reader looks at, as they stand in the message."""
    head = message.replace(b"\r\n", b"\n").split(b"\n\n", 1)[0].decode("utf-8", "replace")
    fields = re.findall(r"^[^\s:]+:[^\n]*(?:\n[ \t][^\n]*)*", head, re.M)
    return "\n".join(field for field in fields if field.split(":", 1)[0].title() in SHOWN_FIELDS)


def introduce(story):
    print(story.paint("Segel seals official mail without its users noticing.", "1"))
    story.say("This demonstration runs a real Postfix, the gateway (segel-milter), its key agent (segel-keyd), its "
              "quarantine (segel-reviewd) and a registry of its own, in a private network and a temporary folder. The mail server of this machine is "
              "not touched, and nothing is left running.", 0)
    print()


def set_up(where, story, own):
    accounts = [BUDI, DEWI, LAMA, CABUT] + ([own.account] if own else [])
    story.say("Making a demo certification authority, accounts, certificates, registry ...", 0)
    world = Gateway(where, accounts, roles=("submission", "inbound"), tlspol=True, quarantine=True)
    world.more["policy"] = ENCRYPT
    world.second = None
    world.reviewer = "rina" if where.isolated else "daemon"  # a login that this machine has
    try:
        world.make()
        world.partners = Partners(world)
        world.appoint(world.reviewer, "analis")
        world.second = SecondRegion(world, "setda")
        story.say("Starting the key agent, the quarantine, the filters and Postfix ...", 0)
        return world.start()
    except BaseException:
        end(world)
        raise


def end(world):
    try:
        if world.second:
            world.second.stop()
    finally:
        world.stop()


def run_story(where):
    own = OwnMessage(sys.argv[1]) if sys.argv[1:] else None
    story = Story(16 if own else 15)
    introduce(story)
    world = set_up(where, story, own)
    try:
        Demo(world, story, own).play()
    finally:
        end(world)
    return conclude(story)


def conclude(story):
    print()
    if story.differences == 0:
        print(story.paint("Everything was as announced. The demonstration's programs have ended.", "1;32"))
        return 0
    print(story.paint(f"{story.differences} results were NOT as announced; they are marked above.", "1;31"))
    return 1


def main(where):
    try:
        return run_story(where)
    except (RuntimeError, AssertionError, subprocess.SubprocessError) as failure:
        print(f"\nThe demonstration could not go on: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(place.run(main))
