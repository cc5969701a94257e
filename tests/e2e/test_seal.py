"""Segel behind a real Postfix: what is sealed, what is refused, and what never happens.

Whether a seal is good is said by openssl, gpgsm and cmsutil, never by our own code.
"""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

import deadline
import judge
import mail
import suite
from gateway import SOON, Account, Gateway
from place import KEYD_UID, MILTER_UID, OTHER_UID
from world import FAR_DOMAIN, OTHER_DOMAIN, letter, parsed

SITI = f"siti@{OTHER_DOMAIN}"
FAR = f"ani@{FAR_DOMAIN}"

BUDI = Account("budi", "Kepala Bagian Umum", key="rsa2048")
DEWI = Account("dewi", "Bendahara", key="p256")
TONO = Account("tono", "Sekretaris", key="p384")
LAMA = Account("lama", "Pejabat Lama", start="-2y", end=SOON)
BESOK = Account("besok", "Pejabat Baru", start="+1d", end="+2y")
CABUT = Account("cabut", "Pejabat Diberhentikan")
CROWD = [Account(f"orang{number:02}") for number in range(20)]
HANTU = "hantu"  # Postfix knows this login, the registry does not

PARALLEL = 24
ROUNDS = 4
MESSAGES_A_ROUND = 3


def make_world(place):
    world = Gateway(place, [BUDI, DEWI, TONO, LAMA, BESOK, CABUT] + CROWD).make()
    world.add_user(f"{HANTU}@kota.example", "rahasia-hantu")
    return world.start()


def test(name):
    """A test that begins with everything running, whatever the one before did."""
    def keep(function):
        def prepared(world):
            world.ensure_running()
            function(world)
        return suite.test(name)(prepared)
    return keep


def refused(outcome, *words):
    suite.check(not outcome.accepted, f"it was accepted:\n{outcome}")
    suite.check(outcome.last.says(*words), f"the refusal does not say {words}:\n{outcome}")


def nothing_delivered(world, token, *addresses):
    world.wait_idle()
    for address in addresses or (SITI,):
        suite.equal(world.mailbox(address, f"<{token}.1@".encode()), [], f"delivered to {address}")


def delivered(world, token, address=SITI):
    [message] = world.wait_delivered(address, f"<{token}.1@".encode())
    return message


def send_letter(world, account, token, recipient=SITI, **options):
    return world.send_as(account, mail.plain(account.address, recipient, token), [recipient], **options)


def judged_good(world, message, account, judges=("openssl", "gpgsm", "cmsutil")):
    for name in judges:
        verdict = judge.JUDGES[name](message, world.authority.root_file)
        suite.check(verdict.ok, f"{name}: {verdict}\n--- the message:\n{message.decode('utf-8', 'replace')[:3000]}")
        suite.check(verdict.signer in (account.cert, None), f"{name}: signed with the certificate {verdict.signer}")


def same_content(sent, arrived_content):
    """Every leaf as it was sent; the protected header copies do not count."""
    suite.equal(list(mail.leaves(parsed(arrived_content))), list(mail.leaves(parsed(sent))), "content")


def content_of(world, message):
    """What the signature covers, as openssl gives it back."""
    source = judge.write(world.folder, "content-source.eml", message)
    target = world.path("content-target")
    subprocess.run(["openssl", "cms", "-verify", "-in", source, "-CAfile", world.authority.root_file, "-out", target],
                   check=True, capture_output=True, stdin=subprocess.DEVNULL)
    with open(target, "rb") as content:
        return content.read()


def sealed_and_judged(world, kind, recipient, account):
    token = f"{kind.replace(' ', '-').replace(',', '')}-{recipient.partition('@')[0]}-{account.name}"
    message = mail.KINDS[kind](account.address, recipient, token)
    outcome = world.send_as(account, message, [recipient])
    suite.check(outcome.accepted, outcome)
    arrived = delivered(world, token, recipient)
    judged_good(world, arrived, account)
    same_content(message, content_of(world, arrived))
    suite.equal(parsed(arrived)["From"], account.address, "From")


def add_matrix():
    for kind in mail.KINDS:
        for where, recipient in (("", SITI), (", after two further hops", FAR)):
            for account in (BUDI, DEWI, TONO) if kind == "plain" else (BUDI,):
                def sealed(world, kind=kind, recipient=recipient, account=account):
                    sealed_and_judged(world, kind, recipient, account)
                test(f"{kind}, key {account.key}: sealed, judged by three programs{where}")(sealed)


add_matrix()


@test("one byte changed after sealing, and every judge says no")
def _(world):
    suite.check(send_letter(world, BUDI, "diubah").accepted, "not accepted")
    arrived = delivered(world, "diubah").replace(b"09.00", b"10.00")
    for name, verify in judge.JUDGES.items():
        suite.check(not verify(arrived, world.authority.root_file).ok, f"{name} took it for good")


@test("a clean body stays as it is, byte for byte, and From, Subject and Date are protected")
def _(world):
    suite.check(send_letter(world, BUDI, "utuh").accepted, "not accepted")
    arrived = delivered(world, "utuh")
    suite.check(mail.TEXT.replace("\r\n", "\n").encode() in arrived, arrived.decode())
    covered = parsed(content_of(world, arrived))
    for field in ("From", "To", "Subject", "Date", "Message-ID"):
        suite.equal(covered[field], parsed(arrived)[field], f"protected {field}")
    suite.check("hp=\"clear\"" in str(covered["Content-Type"]), covered["Content-Type"])


@test("the decision is on record with login, From and certificate, and so is the agent's intent")
def _(world):
    suite.check(send_letter(world, BUDI, "tercatat").accepted, "not accepted")
    line = world.wait_filter_log(r".*msgid=\S*tercatat.*").group(0)
    for word in ("action=accept", f"login={BUDI.login}", f"from={BUDI.address}", f"cert={BUDI.cert}", "seal=clear"):
        suite.check(word in line, f"'{word}' is missing in: {line}")
    queue_id = re.search(r"(\S+): action=", line).group(1)
    intents = [text for text in audit_lines(world, "audit-keyd") if queue_id in text]
    suite.check(any(BUDI.login in text for text in intents), f"no intent for {queue_id} in the agent's record")


def audit_lines(world, folder):
    for name in os.listdir(world.path(folder)):
        with open(world.path(folder, name), encoding="ascii") as lines:
            yield from lines


@test("no TLS: 530 5.7.10, nothing delivered")
def _(world):
    refused(send_letter(world, BUDI, "tanpa-tls", tls=False), "530", "5.7.10")
    nothing_delivered(world, "tanpa-tls")


@test("no login: 550 5.7.1, nothing delivered")
def _(world):
    message = mail.plain(BUDI.address, SITI, "tanpa-login")
    refused(world.send(None, None, message, BUDI.address, [SITI]), "550", "5.7.1")
    nothing_delivered(world, "tanpa-login")


@test("somebody else's From: 550 5.7.1, nothing delivered")
def _(world):
    message = mail.plain(DEWI.address, SITI, "orang-lain")
    refused(world.send_as(BUDI, message, [SITI]), "550", "5.7.1", "LOGIN_MISMATCH")
    nothing_delivered(world, "orang-lain")


@test("somebody else's envelope sender: 550 5.7.1, nothing delivered")
def _(world):
    message = mail.plain(BUDI.address, SITI, "amplop-lain")
    refused(world.send_as(BUDI, message, [SITI], sender=DEWI.address), "550", "5.7.1")
    nothing_delivered(world, "amplop-lain")


@test("two From fields: 550 5.6.0, nothing delivered")
def _(world):
    message = f"From: {BUDI.address}\r\n".encode() + mail.plain(BUDI.address, SITI, "dua-from")
    refused(world.send_as(BUDI, message, [SITI]), "550", "5.6.0")
    nothing_delivered(world, "dua-from")


@test("two mailboxes in one From: 550 5.6.0, nothing delivered")
def _(world):
    message = mail.plain(f"{BUDI.address}, {DEWI.address}", SITI, "dua-nama")
    refused(world.send_as(BUDI, message, [SITI]), "550", "5.6.0")
    nothing_delivered(world, "dua-nama")


@test("a login that the registry does not know: 550 5.7.1, nothing delivered")
def _(world):
    message = mail.plain(BUDI.address, SITI, "login-hantu")
    outcome = world.send(f"{HANTU}@kota.example", "rahasia-hantu", message, BUDI.address, [SITI])
    refused(outcome, "550", "5.7.1")
    nothing_delivered(world, "login-hantu")


@test("an expired certificate: 550 5.7.1, nothing delivered")
def _(world):
    world.wait_expired(LAMA)
    refused(send_letter(world, LAMA, "kedaluwarsa"), "550", "5.7.1", "CERT_EXPIRED")
    nothing_delivered(world, "kedaluwarsa")


@test("a certificate not valid yet: 550 5.7.1, nothing delivered")
def _(world):
    refused(send_letter(world, BESOK, "belum-berlaku"), "550", "5.7.1", "CERT_NOT_YET")
    nothing_delivered(world, "belum-berlaku")


@test("held between MAIL and DATA on an open session: refused within 1 s; released, sealing again")
def _(world):
    with world.session_of(DEWI) as session:
        suite.check(session.send(DEWI.address, [SITI], mail.plain(DEWI.address, SITI, "sebelum")).accepted, "before")
        suite.check(session.mail(DEWI.address).good and session.rcpt(SITI).good, session.replies[-1])
        world.must("cert", "hold", DEWI.cert, "--reason", "laporan kehilangan")
        began = time.monotonic()
        reply = session.data(mail.plain(DEWI.address, SITI, "ditahan"))
        suite.check(reply.says("550", "5.7.1", "REG_HELD"), reply)
        suite.check(time.monotonic() - began < 1, f"took {time.monotonic() - began:.2f} s")
        world.must("cert", "unhold", DEWI.cert, "--reason", "ditemukan")
        outcome = session.send(DEWI.address, [SITI], mail.plain(DEWI.address, SITI, "dilepas"))
        suite.check(outcome.accepted, outcome)
    judged_good(world, delivered(world, "dilepas"), DEWI)
    nothing_delivered(world, "ditahan")


@test("a revoked certificate: 550 5.7.1 from the next message on, and it does not come back")
def _(world):
    suite.check(send_letter(world, CABUT, "belum-dicabut").accepted, "before")
    world.must("cert", "revoke", CABUT.cert, "--reason", "KUNCI_BOCOR")
    refused(send_letter(world, CABUT, "dicabut"), "550", "5.7.1", "CERT_REVOKED")
    nothing_delivered(world, "dicabut")
    suite.equal(world.segelctl("cert", "unhold", CABUT.cert, "--reason", "keliru").code, 3, "exit code of unhold")


@test("a message given up by RSET, another on the same connection: sealed for its own")
def _(world):
    with world.session_of(BUDI) as session:
        session.mail(BUDI.address)
        session.rcpt(FAR)
        suite.check(session.reset().good, session.replies[-1])
        outcome = session.send(BUDI.address, [SITI], mail.plain(BUDI.address, SITI, "sesudah-rset"))
        suite.check(outcome.accepted, outcome)
    judged_good(world, delivered(world, "sesudah-rset"), BUDI)


@test("a refused message, another on the same connection: sealed for its own")
def _(world):
    with world.session_of(BUDI) as session:
        outcome = session.send(BUDI.address, [SITI], mail.plain(DEWI.address, SITI, "ditolak-dulu"))
        refused(outcome, "550")
        outcome = session.send(BUDI.address, [SITI], mail.plain(BUDI.address, SITI, "sesudah-tolak"))
        suite.check(outcome.accepted, outcome)
    judged_good(world, delivered(world, "sesudah-tolak"), BUDI)


@test("a connection cut in the middle of DATA: nothing delivered, and the next one is sealed")
def _(world):
    with world.session_of(BUDI) as session:
        session.mail(BUDI.address)
        session.rcpt(SITI)
        session.begin_data(mail.plain(BUDI.address, SITI, "terputus"))
        session.vanish()
    suite.check(send_letter(world, DEWI, "sesudah-putus").accepted, "after")
    judged_good(world, delivered(world, "sesudah-putus"), DEWI)
    nothing_delivered(world, "terputus")


@test("key agent stopped: 451, nothing delivered; started, sealing again")
def _(world):
    world.keyd.stop()
    refused(send_letter(world, BUDI, "tanpa-agen"), "451", "4.3.0", "KEY_UNAVAILABLE")
    nothing_delivered(world, "tanpa-agen")
    world.start_keyd()
    suite.check(send_letter(world, BUDI, "agen-kembali").accepted, "after")
    judged_good(world, delivered(world, "agen-kembali"), BUDI, ["openssl"])


@test("key agent killed: deferred, nothing delivered; started, sealing again")
def _(world):
    world.keyd.kill()
    refused(send_letter(world, BUDI, "agen-mati"), "451", "4.3.0")
    nothing_delivered(world, "agen-mati")
    world.start_keyd()
    suite.check(send_letter(world, BUDI, "agen-hidup").accepted, "after")


@test("filter killed: deferred by Postfix, nothing delivered unsealed")
def _(world):
    world.milter.kill()
    outcome = send_letter(world, BUDI, "filter-mati")
    suite.check(not outcome.accepted and 400 <= outcome.last.code < 500, outcome)
    nothing_delivered(world, "filter-mati")
    world.start_milter()
    suite.check(send_letter(world, BUDI, "filter-hidup").accepted, "after")
    judged_good(world, delivered(world, "filter-hidup"), BUDI, ["openssl"])


@test("registry gone: deferred, nothing delivered; back, sealing again")
def _(world):
    hidden = world.registry + ".gone"
    os.rename(world.registry, hidden)
    world.milter.stop()
    try:
        world.milter.start(lambda: deadline.unix_socket_answers(world.mta.milter_socket), seconds=10)
        refused(send_letter(world, BUDI, "tanpa-registry"), "4.3.0")
    except RuntimeError:
        suite.check("registry" in world.milter.last_words(5), world.milter.last_words(5))  # says why it does not start
    finally:
        os.rename(hidden, world.registry)
    nothing_delivered(world, "tanpa-registry")
    world.ensure_running()
    suite.check(send_letter(world, BUDI, "registry-kembali").accepted, "after")


@test("only the filter's user id gets a signature")
def _(world):
    spki = spki_of(BUDI.issued.cert)
    socket = world.keyd_socket
    suite.equal(ask(world, MILTER_UID, [MILTER_UID], socket, spki)[:3], "ok ", "the filter's own uid")
    other = ask(world, OTHER_UID, [MILTER_UID], socket, spki)
    suite.check(other.startswith(("denied", "closed")), f"a third uid that may open the socket: {other}")
    suite.check(ask(world, OTHER_UID, [], socket, spki).startswith("no connection"), "a third uid reaches the socket")
    root = ask(world, 0, [], socket, spki)
    suite.check(not root.startswith("ok"), f"root: {root}")


def ask(world, uid, groups, socket, spki):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "keyd_ask.py")
    with open(script, "rb") as source:  # read by us: the other uid may not be able to enter the checkout
        done = world.as_user(uid, groups, sys.executable, "-", socket, spki, stdin=source)
    return done.stdout.decode().strip() or done.stderr.decode().strip()


def spki_of(cert):
    public = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-pubkey"], check=True, capture_output=True)
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public.stdout, check=True,
                         capture_output=True)
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der.stdout, check=True, capture_output=True)
    return digest.stdout.split()[0].decode()


@test("the keys are closed to the filter's user id, and the agent cannot be traced by it")
def _(world):
    suite.check(world.as_user(MILTER_UID, [], "cat", BUDI.issued.key).returncode != 0, "the filter reads a key")
    pid = world.keyd.process.pid
    suite.check(world.as_user(KEYD_UID, [], "head", "-c1", f"/proc/{pid}/mem").returncode != 0, "memory readable")
    suite.check(world.as_user(KEYD_UID, [], "ls", f"/proc/{pid}/fd").returncode != 0, "descriptors readable: dumpable")


@test("the registry is readable for the filter's user id while nobody writes, and not writable")
def _(world):
    count = world.as_user(MILTER_UID, [], "sqlite3", f"file:{world.registry}?mode=ro", "SELECT count(*) FROM login")
    suite.equal((count.returncode, count.stdout.decode().strip()), (0, str(len(world.accounts))), count.stderr)
    write = world.as_user(MILTER_UID, [], "sqlite3", world.registry, "DELETE FROM login")
    suite.check(write.returncode != 0, "the filter's user id can write")


@test("the submission role refuses a TCP socket")
def _(world):
    for number, socket in enumerate(("inet:2799@127.0.0.1", "inet6:2799@::1")):
        config = world.write_config(world.path(f"tcp-{number}.conf"), milter_socket=socket)
        milter = world.daemon("segel-milter", MILTER_UID, [world.mta.gid], "-r", "submission", config=config,
                              log=world.path("log", f"tcp-{number}.log"))
        try:
            milter.start(lambda: False, seconds=10)
            suite.check(False, f"{socket}: it started")
        except RuntimeError as failure:
            suite.check("UNIX" in str(failure), failure)
        finally:
            milter.stop()


@test("SIGHUP reloads; a bad file keeps the old settings and says so")
def _(world):
    with open(world.config, encoding="utf-8") as config:
        good = config.read()
    try:
        with open(world.config, "a", encoding="utf-8") as config:
            config.write("sael: { };\n")
        world.milter.send(signal.SIGHUP)
        world.wait_filter_log(r"sael")
        suite.check(send_letter(world, BUDI, "setelan-lama").accepted, "with the old settings")
    finally:
        with open(world.config, "w", encoding="utf-8") as config:
            config.write(good)
    judged_good(world, delivered(world, "setelan-lama"), BUDI, ["openssl"])


@test("held while the key agent keeps the filter waiting: refused, although the signature was made")
def _(world):
    world.keyd.send(signal.SIGSTOP)
    with world.session_of(DEWI) as session:
        sending = threading.Thread(target=lambda: replies.append(session.send(
            DEWI.address, [SITI], mail.plain(DEWI.address, SITI, "disusul"))))
        replies = []
        sending.start()
        try:
            deadline.until("the filter to wait for the agent", lambda: waits_for_agent(world), seconds=45)
            asked = time.monotonic()
            world.must("cert", "hold", DEWI.cert, "--reason", "laporan kehilangan")
            deadline.until("the registry's answer to age", lambda: time.monotonic() > asked + 0.5, seconds=45)
        finally:
            world.keyd.send(signal.SIGCONT)
        sending.join()
    world.must("cert", "unhold", DEWI.cert, "--reason", "ditemukan")
    refused(replies[0], "550", "5.7.1", "REG_HELD")
    nothing_delivered(world, "disusul")


def waits_for_agent(world):
    """A connection to the agent's socket holds bytes that it has not read."""
    shown = subprocess.run(["ss", "-xH"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True).stdout
    return any(world.keyd_socket in line and int(line.split()[2]) > 0 for line in shown.splitlines())


@test("SIGHUP in bursts: the filter stays, and seals")
def _(world):
    for _ in range(200):
        world.milter.send(signal.SIGHUP)
        time.sleep(random.random() * 0.002)
    # libmilter would notice within its 5 seconds of polling that it was told to stop.
    limit = time.monotonic() + 6
    while time.monotonic() < limit:
        suite.check(world.milter.running(), "the filter has ended")
        suite.check(send_letter(world, BUDI, "sesudah-hup").accepted, "a message was not sealed")


@test("SIGTERM: the message in hand is sealed, no new one begins, and the filter ends well")
def _(world):
    with world.session_of(BUDI) as session, world.session_of(DEWI) as other:
        suite.check(session.mail(BUDI.address).good and session.rcpt(SITI).good, session.replies[-1])
        world.milter.send(signal.SIGTERM)
        deadline.until("the socket to go", lambda: not os.path.exists(world.mta.milter_socket), seconds=45)
        late = other.mail(DEWI.address)
        suite.check(late.says("451"), late)
        reply = session.data(mail.plain(BUDI.address, SITI, "terakhir"))
        suite.check(reply.good, reply)
    judged_good(world, delivered(world, "terakhir"), BUDI)
    deadline.until("the filter to end", lambda: not world.milter.running(), seconds=45)
    suite.equal(world.milter.process.returncode, 0, "exit status")


@test("20 logins on 24 parallel connections, with aborts: every seal is its own login's")
def _(world):
    wanted = {}
    lock = threading.Lock()
    failures = []

    def connection(number):
        try:
            for round_number in range(ROUNDS):
                for token, account in talk(world, number, round_number):
                    with lock:
                        wanted[token] = account
        except Exception as failure:
            failures.append(f"connection {number}: {failure!r}")

    threads = [threading.Thread(target=connection, args=(number,)) for number in range(PARALLEL)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    suite.equal(failures, [], "connections that failed")
    suite.check(len(wanted) >= 240, f"only {len(wanted)} messages")
    arrived = world.wait_delivered(f"ramai@{OTHER_DOMAIN}", count=len(wanted), seconds=120)
    world.wait_idle()
    suite.equal(len(world.mailbox(f"ramai@{OTHER_DOMAIN}")), len(wanted), "messages delivered")
    suite.equal(wrong_signers(world, arrived, wanted), [], "messages not sealed by their own login's certificate")


def talk(world, number, round_number):
    """One connection: real messages with aborts between them. Yields what was accepted."""
    chance = random.Random(number * 1000 + round_number)
    place_in_crowd = number + 7 * round_number
    account, stranger = (CROWD[(place_in_crowd + next_one) % len(CROWD)] for next_one in (0, 1))
    to = f"ramai@{OTHER_DOMAIN}"
    with world.session_of(account) as session:
        for message_number in range(MESSAGES_A_ROUND):
            token = f"ramai-{number}-{round_number}-{message_number}"
            if chance.random() < 0.4:
                session.mail(account.address)
                session.rcpt(to)
                session.reset()
            if chance.random() < 0.2:
                refused(session.send(account.address, [to], letter(stranger.address, to, token="ditolak")), "550")
            outcome = session.send(account.address, [to], mail.plain(account.address, to, token))
            suite.check(outcome.accepted, outcome)
            yield token, account
        if chance.random() < 0.5:
            session.mail(account.address)
            session.rcpt(to)
            session.begin_data(mail.plain(account.address, to, "dibuang"))
            session.vanish()


def wrong_signers(world, arrived, wanted):
    wrong = []
    for message in arrived:
        token = parsed(message)["X-Token"]
        verdict = judge.openssl_verify(message, world.authority.root_file)
        account = wanted.pop(token, None)
        if not account or not verdict.ok or verdict.signer != account.cert or parsed(message)["From"] != account.address:
            wrong.append((token, str(verdict)))
    return wrong + [(token, "never arrived") for token in wanted]


@test("everything that was recorded holds together")
def _(world):
    answer = world.segelctl("audit", "list")
    suite.equal(answer.code, 0, f"segelctl audit list: {answer}")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
