#!/usr/bin/python3
"""A held message is let go: it arrives byte for byte, or not at all where it would be refused by now; and of what was held nothing is left where it
must not be.

Memory is measured in a build without sanitizers (SEGEL_BUILD=build/release), whose own would count otherwise.
"""

import os
import re
import sys

import client
import deadline
import suite
from outside import PARTNER, Outside, away
from suite import check, equal, test
from world import OTHER_DOMAIN

INBOX = f"siti@{OTHER_DOMAIN}"
# Whatever is not signed is held here, so that a message of any shape can be.
POLICY = "".join(f'{{ finding = "{finding}"; class = "inbound-official"; action = "hold"; }},'
                 for finding in ("SIG_MISSING", "SIG_PARTIAL", "MIME_AMBIGUOUS", "FROM_AMBIGUOUS")).rstrip(",")
CANARY = "burung-kenari-di-dalam-isi-9f3a71"


class Release(Outside):
    def settings(self):
        return {**super().settings(), "policy": f"policy = ( {POLICY} );"}


def make_world(place):
    return Release(place).make().start()


def hold_it(world, message, recipients, sender=PARTNER, options=("BODY=8BITMIME",), rcpt_options=()):
    """The item of a message that is held."""
    with world.session(tls=True, port="server") as session:
        check(session.mail(sender, options).good, session.replies[-1])
        for recipient in recipients:
            check(session.note("RCPT", session.smtp.rcpt(recipient, list(rcpt_options))).good, session.replies[-1])
        reply = session.data(message)
        equal(reply.code, 250, f"{reply}\n{world.verdicts()[-1].values}")
        session.quit()
    [row] = world.held(recipients[0])
    return row["id"]


def let_go(world, item, **more):
    """One says yes, and where two are needed another."""
    answer = world.desk("rina").ask(op="release", id=item, reason="dikenal", **more)
    if answer and answer.ok and answer.fields["state"] == "menunggu persetujuan":
        answer = world.desk("wati").ask(op="release", id=item, reason="sudah ditanyakan", **more)
    return answer


def original(delivered):
    """What was handed in: behind the mail server's own fields and our one field."""
    head = re.match(rb"(?:(?:Return-Path|X-Original-To|Delivered-To|Received):[^\n]*\n(?:[ \t][^\n]*\n)*)+", delivered)
    rest = delivered[head.end():]
    ours = re.match(rb"Authentication-Results: mail\.kota\.example;[^\n]*\n(?:[ \t][^\n]*\n)*", rest)
    check(ours, f"no field of ours on top: {rest[:400]!r}")
    return rest[ours.end():]


def arrives_unchanged(world, message, name, **how):
    recipient = f"{name}@{OTHER_DOMAIN}"
    item = hold_it(world, message, [recipient], **how)
    equal(world.mailbox(recipient), [], "delivered before")
    answer = let_go(world, item)
    check(answer and answer.ok and answer.fields["state"] == "dilepas", f"{answer}\n{world.reviewd.last_words(4)}")
    [copy] = world.wait_delivered(recipient)
    equal(original(copy) == client.with_crlf(message).replace(b"\r\n", b"\n"), True, f"the released message {name}: {copy[:3000]!r}")
    return copy


# --- the user's sentence ---

@test("a current officer's mail is delivered with its result; revoked: refused and held; forged: held, listed, looked at, released, and it arrives")
def _(world):
    good = world.signed("good", PARTNER, INBOX, "pejabat")
    check(world.arrive(PARTNER, [INBOX], good).accepted, "a current officer")
    [copy] = world.wait_delivered(INBOX, b"X-Token: pejabat")
    check(b"\nAuthentication-Results: mail.kota.example;\n\tsmime=pass" in copy, copy[:1500])
    refused = world.arrive(PARTNER, [f"cabut@{OTHER_DOMAIN}"], world.signed("revoked", PARTNER, f"cabut@{OTHER_DOMAIN}", "cabut"))
    check(refused.last.says("550"), refused)
    [row] = world.held(f"cabut@{OTHER_DOMAIN}")
    equal((row["action"], row["reason"]), ("reject+hold", "CERT_REVOKED"), "the copy")
    forged = world.signed("foreign", PARTNER, INBOX, "palsu")
    check(world.arrive(PARTNER, [INBOX], forged).accepted, "a forged one")
    listed = world.quarantine("rina", "list", json=True)
    [item] = [line["id"] for line in listed.data if "palsu" in line["subject"]]
    looked = world.quarantine("rina", "view", item, "--reason", "penerima menelepon")
    check(looked.code == 0 and "Rapat Senin pukul 09.00." in looked.out, looked)
    equal(world.mailbox(INBOX, b"X-Token: palsu"), [], "delivered before it was released")
    done = world.quarantine("rina", "release", item, "--reason", "pengirim dikenal")
    equal(done.code, 0, done)
    [copy] = world.wait_delivered(INBOX, b"X-Token: palsu")
    equal(original(copy), client.with_crlf(forged).replace(b"\r\n", b"\n"), "the released message")


# --- byte for byte ---

HEAD = f"From: {PARTNER}\r\nTo: {INBOX}\r\nSubject: Bentuk\r\nDate: Mon, 02 Nov 2026 08:00:00 +0700\r\nMessage-ID: <bentuk@provinsi.example>\r\n".encode()
MIME = b"MIME-Version: 1.0\r\n"
SHAPES = {
    "plain": HEAD + b"\r\nHalo.\r\n",
    "dots": HEAD + b"\r\n.\r\n..\r\n.titik\r\n\r\n...\r\n",
    "empty": HEAD + b"\r\n",
    "unqualified": HEAD.replace(INBOX.encode(), b"budi, Wati <wati>, siti@kota") + b"Reply-To: dinas\r\n\r\nHalo.\r\n",
    "no-date": HEAD.replace(b"Date: Mon, 02 Nov 2026 08:00:00 +0700\r\nMessage-ID: <bentuk@provinsi.example>\r\n", b"") + b"\r\nHalo.\r\n",
    "blanks": HEAD + b"\r\n\r\n\r\n   \r\n\t\r\nisi \t \r\n\r\n\r\n",
    "8-bit": HEAD + MIME + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
             + "é ü ñ 漢字 ✓\r\n".encode() + bytes(range(128, 256)) + b"\r\n",
    "8-bit-head": HEAD + "X-Catatan: é 漢字\r\n".encode() + b"X-Rusak: \xff\xfe\r\n\r\nHalo.\r\n",
    "long": HEAD + MIME + b"Content-Type: text/plain\r\n\r\n" + b"x" * 990 + b"\r\n" + b"y" * 998 + b"\r\n" + b"z" * 2000 + b"\r\n" + b"w" * 40000 + b"\r\n",
    "long-head": HEAD + b"X-Panjang: " + b"kata " * 300 + b"x\r\nX-Padat: " + b"y" * 5000 + b"\r\nX-998: " + b"z" * 991 + b"\r\n\r\nHalo.\r\n",
    "binary": HEAD + MIME + b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
              + bytes(byte for byte in range(1, 256) if byte not in (10, 13)) * 20 + b"\r\n",
    "odd": HEAD + MIME + b'Content-Type: multipart/mixed; boundary="a"\r\n\r\npembukaan\r\n--a\r\n\r\nsatu\r\n--a\r\nContent-Type: multipart/alternative;'
           b' boundary="a"\r\n\r\ndua\r\n--a--\r\nsesudah\r\n--b\r\n',
    "folds": HEAD + b"X-Lipat: a\r\n\tb\r\n  c\r\nX-Kosong:\r\nX-Tanpa-Spasi:x\r\nx-Huruf: KeCil\r\nX-Sama: 1\r\nX-Sama: 2\r\n\r\nHalo.\r\n",
    "two-types": HEAD + MIME + b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n<b>Halo.</b>\r\n",
    "nobody": HEAD.replace(f"From: {PARTNER}\r\n".encode(), b"") + b"\r\nTanpa pengirim.\r\n",
    "mbox": HEAD + b"\r\nFrom siapa saja Mon Nov  2\r\n>From dan lagi\r\n",
    "controls": HEAD + b"\r\nbel \x07 lari \x1b[31m hapus \x7f\r\n",
}


def shape(name, message):
    @test(f"byte for byte: {name}")
    def _(world):
        arrives_unchanged(world, message, "bentuk-" + name)


for each, content in SHAPES.items():
    shape(each, content)


@test("header lines beyond 998 bytes of mail that passes: the result is added, and they stay as they are")
def _(world):
    recipient = f"garis@{OTHER_DOMAIN}"
    message = world.signed("good", PARTNER, recipient, "garis", "X-Panjang: " + "kata " * 300 + "x", "X-Padat: " + "y" * 5000)
    message = message.replace(b"Subject: Undangan garis", b"Subject: " + b"Undangan " * 200 + b"garis")
    check(world.arrive(PARTNER, [recipient], message).accepted, "accepted")
    [copy] = world.wait_delivered(recipient)
    check(b"\nAuthentication-Results: mail.kota.example;\n\tsmime=pass" in copy, copy[:1500])
    check(copy.endswith(b"\n" + client.with_crlf(message).replace(b"\r\n", b"\n")), copy[:9000])


@test("byte for byte: addresses beyond ASCII (SMTPUTF8), in the envelope too")
def _(world):
    message = HEAD.replace(INBOX.encode(), "sité@penerima.example".encode()) + "\r\nHalo é.\r\n".encode()
    recipient = f"sité@{OTHER_DOMAIN}"
    with world.session(tls=True, port="server") as session:
        session.smtp.putcmd(f"MAIL FROM:<{PARTNER}> SMTPUTF8 BODY=8BITMIME".encode().decode())
        equal(session.smtp.getreply()[0], 250, "MAIL")
        session.smtp.send(f"RCPT TO:<{recipient}>\r\n".encode())
        equal(session.smtp.getreply()[0], 250, "RCPT")
        equal(session.data(message).code, 250, "data")
    [row] = [line for line in world.desk("wati").list(open=True) if "sit" in line["recipient"] and "é" in line["recipient"]]
    equal(row["recipient"], recipient, "recipient")
    answer = let_go(world, row["id"])
    check(answer and answer.ok, answer)
    [copy] = deadline.until("the mail", lambda: [m for m in world.mta.delivered() if f"Delivered-To: {recipient}\n".encode() in m])
    equal(original(copy), message.replace(b"\r\n", b"\n"), "message")


@test("the envelope: null sender, every recipient once, and what the sender asked for of reports")
def _(world):
    names = [f"amplop-{letter}@{OTHER_DOMAIN}" for letter in "abc"]
    item = hold_it(world, HEAD + b"\r\nAmplop.\r\n", names, sender="")
    shown, _ = world.desk("wati").show(item)
    equal((shown["sender"], [row["address"] for row in shown["recipients"]]), ("", names), "the item")
    check(let_go(world, item).ok, "released")
    for name in names:
        [copy] = world.wait_delivered(name)
        check(copy.startswith(b"Return-Path: <>\n"), copy[:300])
    world.wait_idle()
    equal([len(world.mailbox(name)) for name in names], [1, 1, 1], "copies")
    item = hold_it(world, HEAD.replace(b"Bentuk", b"Laporan") + b"\r\nLaporan.\r\n", [f"lapor@{OTHER_DOMAIN}"], sender=PARTNER,
                   options=("BODY=8BITMIME", "RET=HDRS", "ENVID=amplop-7"), rcpt_options=("NOTIFY=NEVER", f"ORCPT=rfc822;lapor@{OTHER_DOMAIN}"))
    shown, _ = world.desk("wati").show(item)
    check("ENVID=amplop-7" in shown["sender_parameters"] and "NOTIFY=NEVER" in shown["recipients"][0]["parameters"], shown)
    check(let_go(world, item).ok, "released")
    world.wait_delivered(f"lapor@{OTHER_DOMAIN}")


def peak(daemon):
    """Most memory that the process ever had, MB."""
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024


@test("30 MB: held, viewed, exported, released byte for byte; neither filter nor segel-reviewd ever has it twice in memory")
def _(world):
    size = 30
    message = HEAD + MIME + b"Content-Type: application/octet-stream\r\n\r\n" + (b"0123456789" * 7 + b"\r\n") * (size * (1 << 20) // 72)
    daemons = {"segel-milter": world.milters["inbound"], "segel-reviewd": world.reviewd}
    before = {name: peak(daemon) for name, daemon in daemons.items()}
    recipient = f"besar@{OTHER_DOMAIN}"
    item = hold_it(world, message, [recipient])
    held = {name: peak(daemon) - before[name] for name, daemon in daemons.items()}
    check(world.desk("rina").ask(op="view", id=item, reason="uji").ok, "view")
    exported = world.desk("rina").ask(op="export", id=item, reason="uji")
    equal(exported.data == message, True, "exported")
    looked = {name: peak(daemon) - before[name] for name, daemon in daemons.items()}
    check(let_go(world, item).ok, "released")
    [copy] = world.wait_delivered(recipient)
    equal(original(copy) == message.replace(b"\r\n", b"\n"), True, "the released message")
    after = {name: peak(daemon) - before[name] for name, daemon in daemons.items()}
    print("      " + "; ".join(f"{name}: {held[name]:.1f} MB over idle to hold, {looked[name]:.1f} to look, {after[name]:.1f} to release"
                               for name in daemons), flush=True)
    if "release" in world.build:
        check(held["segel-reviewd"] < 0.2 * size and looked["segel-reviewd"] < 0.2 * size, f"segel-reviewd: {held}, {looked}")
        check(all(value < 1.9 * size for value in after.values()), after)


# --- what has changed since ---

def waiting(world, token, certificate):
    """Held because its signing time is ahead of our clock, and for nothing else."""
    recipient = f"{token}@{OTHER_DOMAIN}"
    message = world.signed(certificate, PARTNER, recipient, token, env=world.ahead)
    item = hold_it(world, message, [recipient])
    shown, _ = world.desk("wati").show(item)
    equal([finding["reason"] for finding in shown["findings"]], ["SIG_TIME"], "findings")
    return item, recipient


@test("revoked between arrival and release: refused, with the reason; the same without a revocation goes")
def _(world):
    item, recipient = waiting(world, "nanti-dicabut", "later-revoked")
    twin, other = waiting(world, "tidak-dicabut", "good")
    world.issuing.revoke(world.certs["later-revoked"])
    world.publish(world.issuing)
    answer = let_go(world, item)
    check(answer.error == "refused" and "CERT_REVOKED" in answer.text, answer)
    check(let_go(world, twin).ok, "the twin")
    world.wait_delivered(other)
    world.wait_idle()
    equal(world.mailbox(recipient), [], "delivered")
    shown, history = world.desk("wati").show(item)
    check(shown["state"] in ("baru", "ditinjau"), shown["state"])
    check(any("CERT_REVOKED" in event["detail"] for event in history), history)
    check(any("CERT_REVOKED" in record["detail"] for record in world.hold_records("quarantine-refused")), "on record")
    again = let_go(world, item)
    equal(again.error, "refused", "a second try")


@test("held at the registry between arrival and release: refused, with the reason; lifted, it goes")
def _(world):
    item, recipient = waiting(world, "nanti-ditahan", "later-held")
    world.must("cert", "hold", world.certs["later-held"].sha256, "--reason", "laporan hilang")
    answer = let_go(world, item)
    check(answer.error == "refused" and "REG_HELD" in answer.text, answer)
    equal(world.mailbox(recipient), [], "delivered")
    world.must("cert", "unhold", world.certs["later-held"].sha256, "--reason", "ditemukan")
    check(let_go(world, item).ok, "released")
    world.wait_delivered(recipient)


@test("what cannot be found out at release stops it for now: registry, trust folder, key agent, mail server away")
def _(world):
    item, recipient = waiting(world, "belum-tahu", "good")
    for what, trouble in (("registry", away(world.registry)), ("key agent", stopped(world.keyd, world.start_keyd)),
                          ("trust", away(world.path("trust")))):
        with trouble:
            answer = world.desk("rina").ask_again(op="release", id=item, reason="dikenal")
            check(answer is not None and not answer.ok and answer.error in ("unavailable", "refused"), f"{what}: {answer}")
        equal(world.mailbox(recipient), [], what)
        deadline.until("it to be back", lambda: world.desk("wati").show(item)[0]["state"] != "dilepas-sedang")
    answer = world.desk("rina").ask_again(op="release", id=item, reason="dikenal")
    check(answer.ok, answer)
    equal(len(world.wait_delivered(recipient)), 1, "copies")


class stopped:
    def __init__(self, daemon, start):
        self.daemon, self.start = daemon, start

    def __enter__(self):
        self.daemon.stop()

    def __exit__(self, *_):
        self.start()


# --- the canary ---

def files_holding(needle, *folders):
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                try:
                    with open(os.path.join(parent, name), "rb") as file:
                        if needle in file.read():
                            yield os.path.join(parent, name)
                except OSError:
                    continue


def memory_holds(pid, needle):
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            begin, end = (int(number, 16) for number in line.split()[0].split("-"))
            if "rw" not in line or end - begin > 1 << 28:
                continue
            try:
                memory.seek(begin)
                if needle in memory.read(end - begin):
                    return True
            except OSError:
                continue
    return False


@test("what a held body says stands in no log, database, record or file, and not in the memory of segel-reviewd and segel-keyd")
def _(world):
    recipient = f"kenari@{OTHER_DOMAIN}"
    item = hold_it(world, HEAD + f"\r\n{CANARY}\r\n".encode() * 50, [recipient])
    viewed = world.desk("rina").ask(op="view", id=item, reason="uji")
    check(CANARY.encode() in viewed.data, "the view shows it")
    check(CANARY.encode() in world.desk("rina").ask(op="export", id=item, reason="uji").data, "so does the export")
    places = [world.path(name) for name in ("log", "quarantine", "audit-inbound", "audit-reviewd", "audit-keyd", "registry", "state-inbound", "hold", "review")]
    equal(list(files_holding(CANARY.encode(), *places)) + list(files_holding(CANARY.encode(), world.mta.folder)), [], "files")
    check(CANARY not in world.maillog(), "the mail server's log")
    equal([daemon.name for daemon in (world.reviewd, world.keyd) if "release" in world.build and memory_holds(daemon.process.pid, CANARY.encode())], [], "memory")
    check(let_go(world, item).ok, "released")
    world.wait_delivered(recipient)
    equal(list(files_holding(CANARY.encode(), *places)), [], "files, after its release")
    equal([daemon.name for daemon in (world.reviewd, world.keyd) if "release" in world.build and memory_holds(daemon.process.pid, CANARY.encode())], [], "memory, after its release")
    print(f"      in the filter's memory afterwards: {memory_holds(world.milters['inbound'].process.pid, CANARY.encode())}", flush=True)


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
