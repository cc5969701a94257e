"""What an administrator sees: counters, the story of a message, the service manager's protocol, and
the Postfix lines of contrib/postfix as they stand there."""

import os
import re
import signal
import socket
import sys
import threading

import client
import deadline
import mail
import suite
from gateway import Account, Gateway
from place import KEYD_UID, MILTER_UID
from world import OTHER_DOMAIN

SITI = f"siti@{OTHER_DOMAIN}"
BUDI = Account("budi")
DEWI = Account("dewi")

SAMPLE = re.compile(r'(segel_[a-z_]+)(?:\{([a-z]+="[\w+.-]+"(?:,[a-z]+="[\w+.-]+")*)\})? (\d+(?:\.\d+)?)')


class AdminWorld(Gateway):
    """A Gateway that serves metrics."""

    def __init__(self, place):
        super().__init__(place, [BUDI, DEWI])
        self.metrics = self.path("metrics", "metrics.sock")

    def make(self):
        self.make_folder("metrics", MILTER_UID, MILTER_UID)
        return super().make()

    def write_config(self, path=None, **changed):
        path = super().write_config(path, **changed)
        with open(path, encoding="utf-8") as settings:
            text = settings.read()
        with open(path, "w", encoding="utf-8") as settings:
            settings.write(text.replace("submission: {", f'submission: {{ metrics = "{self.metrics}";', 1))
        return path


def make_world(place):
    return AdminWorld(place).make().start()


def test(name):
    def keep(function):
        def prepared(world):
            world.ensure_running()
            function(world)
        return suite.test(name)(prepared)
    return keep


def exchange(world, request, patience=30):
    """What the metrics socket says to these bytes, until it closes; b"" where it just closes."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(patience)
        sock.connect(world.metrics)
        answer = b""
        try:
            sock.sendall(request)
            while block := sock.recv(65536):
                answer += block
        except (BrokenPipeError, ConnectionResetError):
            pass
        return answer


def scraped(world):
    """Every sample, read strictly: {(name, labels): value}."""
    head, _, body = exchange(world, b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    suite.check(re.match(rb"HTTP/1\.[01] 200 ", head), head)
    suite.check(b"Content-Type: text/plain; version=0.0.4" in head, head)
    samples = {}
    for line in body.decode("ascii").splitlines():
        if line.startswith(("# HELP segel_", "# TYPE segel_")):
            continue
        found = SAMPLE.fullmatch(line)
        suite.check(found, f"no line of the format: {line!r}")
        key = (found[1], found[2] or "")
        suite.check(key not in samples, f"twice: {line}")
        samples[key] = float(found[3])
    return samples


def action(word):
    return ("segel_messages_total", f'class="submission",action="{word}"')


def grown(before, after, key):
    return after[key] - before[key]


def send(world, account, token, **options):
    return world.send_as(account, mail.plain(account.address, SITI, token), [SITI], **options)


def queue_id_of(world, token):
    """From the filter's own log; the Message-ID is <TOKEN.1@...>."""
    return world.wait_filter_log(rf"(?m)(\w+): action=\w+ .*msgid=<{token}\.1@")[1]


def explained(world, *words):
    answer = world.segelctl("explain", *words)
    suite.equal(answer.code, 0, str(answer))
    return answer.out


# --- counters ---

@test("counters grow by what happened, and nothing in them names anybody")
def _(world):
    before = scraped(world)
    suite.check(send(world, BUDI, "hitung-satu").accepted, "not accepted")
    suite.check(not send(world, BUDI, "hitung-dua", sender=DEWI.address).accepted, "accepted")
    after = scraped(world)
    suite.equal(grown(before, after, action("accept")), 1, "accepted")
    suite.equal(grown(before, after, action("reject")), 1, "refused")
    suite.equal(grown(before, after, ("segel_seals_total", 'form="clear"')), 1, "sealed")
    suite.equal(grown(before, after, ("segel_reason_total", 'reason="LOGIN_MISMATCH"')), 1, "LOGIN_MISMATCH")
    suite.equal(grown(before, after, ("segel_audit_records_total", "")), 2, "records")
    suite.equal(set(before), set(after), "samples")
    text = str(sorted(after))
    for word in ("budi", "@", "kota", "127.0.0.1"):
        suite.check(word not in text, f"'{word}' in a label")


@test("segelctl stats shows the same numbers, and without a filter says so")
def _(world):
    def as_keys(data):
        return {(row["name"], ",".join(f'{key}="{value}"' for key, value in row["labels"].items())): row["value"]
                for row in data}

    suite.check(send(world, BUDI, "statistik").accepted, "not accepted")
    deadline.until("no session", lambda: scraped(world)[("segel_sessions", "")] == 0)
    suite.equal(as_keys(world.segelctl("stats", json=True).data), scraped(world), "numbers")
    shown = world.segelctl("stats")
    suite.check(re.search(r"segel_messages_total +class=submission action=accept +\d", shown.out), shown.out)
    suite.check("POISON" not in shown.out and "POISON" in world.segelctl("stats", "--all").out, "zeros")
    world.milter.stop()
    answer = world.segelctl("stats")
    suite.equal(answer.code, 4, str(answer))
    suite.check("nobody answers" in answer.err, answer.err)


@test("records on disk are counted as the audit file counts them")
def _(world):
    suite.check(send(world, BUDI, "catatan").accepted, "not accepted")
    listed = world.segelctl("audit", "list", world.path("audit-submission", "segel-milter-submission.audit"), json=True)
    suite.equal(scraped(world)[("segel_audit_records_total", "")], listed.data[-1]["seq"], "records")


@test("a key agent that is not there is counted, and the message is not")
def _(world):
    before = scraped(world)
    world.keyd.stop()
    suite.check(not send(world, BUDI, "agen-mati").accepted, "accepted without a key agent")
    after = scraped(world)
    suite.equal(grown(before, after, ("segel_keyd_errors_total", "")), 1, "errors")
    suite.equal(grown(before, after, action("defer")), 1, "deferred")
    suite.equal(grown(before, after, ("segel_seals_total", 'form="clear"')), 0, "sealed")


@test("a faulty reload shows, and the next good one too")
def _(world):
    def last_reload_good():
        return scraped(world)[("segel_config_last_reload_successful", "")] == 1

    suite.check(last_reload_good(), "not good at the start")
    with open(world.config, "a", encoding="utf-8") as settings:
        settings.write("tidak_ada = 1;\n")
    world.milter.send(signal.SIGHUP)
    deadline.until("the failed reload to show", lambda: not last_reload_good())
    world.write_config()
    world.milter.send(signal.SIGHUP)
    deadline.until("the good reload to show", last_reload_good)


class Nuisance:
    """Clients of the metrics socket that nobody wants: silent, dripping, garbage, a megabyte."""

    def __init__(self, world):
        self.world = world
        self.over = threading.Event()
        self.rounds = 0
        self.silent = [self.connect() for _ in range(12)]
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(self.world.metrics)
        return sock

    def run(self):
        megabyte = b"A" * (1 << 20)
        while not self.over.is_set():
            for request in (os.urandom(4096), b"GET /" + megabyte, b"POST /metrics HTTP/1.1\r\nHost: x\r\n"
                            b"Content-Length: 1048576\r\n\r\n" + megabyte, b"\0\0\0\rO" + bytes(12)):
                try:
                    exchange(self.world, request, patience=2)
                except OSError:
                    pass  # no place left: the silent ones hold them
            for sock in self.silent:
                try:
                    sock.sendall(b"G")
                except OSError:
                    pass  # thrown out
            self.rounds += 1

    def end(self):
        self.over.set()
        self.thread.join()
        for sock in self.silent:
            sock.close()


@test("hostile clients of the metrics disturb no mail, and leave them readable")
def _(world):
    before = scraped(world)
    nuisance = Nuisance(world)
    try:
        for number in range(20):
            outcome = send(world, BUDI, f"gangguan-{number}")
            suite.check(outcome.accepted, outcome)
        deadline.until("the clients to have tried everything", lambda: nuisance.rounds > 0, seconds=60)
    finally:
        nuisance.end()
    for number in range(20):
        [message] = world.wait_delivered(SITI, f"<gangguan-{number}.1@".encode())
        suite.check(b"application/pkcs7-signature" in message, "not sealed")
    suite.equal(grown(before, scraped(world), action("accept")), 20, "accepted")


@test("the metrics' socket is closed to everybody else")
def _(world):
    suite.equal(os.stat(world.metrics).st_mode & 0o777, 0o660, "mode")
    suite.equal(os.stat(world.metrics).st_uid, MILTER_UID, "owner")


# --- the story of a message ---

@test("explain QUEUEID: a sealed message, told from the records of filter and key agent")
def _(world):
    suite.check(send(world, BUDI, "kisah").accepted, "not accepted")
    queue_id = queue_id_of(world, "kisah")
    told = explained(world, queue_id)
    for wanted in ("the key agent recorded that it would sign", "the filter decided", "outcome      accepted",
                   "sealed in clear", BUDI.login, BUDI.cert, "kisah.1@"):
        suite.check(wanted in told, f"no '{wanted}' in:\n{told}")
    suite.check(told.index("the key agent") < told.index("the filter decided"), told)
    answer = world.segelctl("explain", queue_id, json=True)
    suite.equal([row["event"] for row in answer.data], ["seal-intent", "message"], "events")
    suite.equal(answer.data[0]["values"]["login"], BUDI.login, "login of the intent")
    suite.check(all(row["good"] for row in answer.data), answer.data)


@test("explain QUEUEID: a refused message, with what to do; and by the id that its sender saw")
def _(world):
    outcome = send(world, BUDI, "ditolak", sender=DEWI.address)
    seen = re.search(r"\[([0-9a-f]+\.\d+)\]", outcome.last.text)
    suite.check(seen, f"no id in the reply: {outcome.last.text}")
    told = explained(world, seen[1])
    for wanted in ("outcome      refused", "finding      LOGIN_MISMATCH", "what to do", "login add", "not sealed"):
        suite.check(wanted in told, f"no '{wanted}' in:\n{told}")
    suite.equal(world.segelctl("explain", seen[1], json=True).data[0]["findings"][0]["finding"], "LOGIN_MISMATCH", "finding")


@test("explain: an id of no message is 'no'; a file is still a file; both at once are wrong usage")
def _(world):
    suite.check(send(world, BUDI, "ada").accepted, "not accepted")
    queue_id = queue_id_of(world, "ada")
    for unknown in ("4zzzzzzzzz", queue_id[:-1], queue_id + "A"):
        answer = world.segelctl("explain", unknown)
        suite.equal(answer.code, 1, str(answer))
        suite.check("no record names" in answer.err and not answer.out, str(answer))
    letter = world.path("surat.eml")
    with open(letter, "wb") as out:
        out.write(mail.plain(BUDI.address, SITI, "berkas"))
    suite.check("sealed:   yes" in explained(world, letter), "the file was not judged")
    suite.equal(world.segelctl("explain", world.path("tidak-ada.eml")).code, 4, "a path of no file")
    suite.equal(world.segelctl("explain", letter, "--queue-id", queue_id).code, 2, "both")
    suite.equal(world.segelctl("explain").code, 2, "neither")
    suite.check("accepted" in explained(world, "--queue-id", queue_id), "by option")


@test("explain: a record that was changed is shown, and not believed")
def _(world):
    suite.check(send(world, BUDI, "diubah").accepted, "not accepted")
    queue_id = queue_id_of(world, "diubah")
    world.milter.stop()
    path = world.path("audit-submission", "segel-milter-submission.audit")
    with open(path, "rb") as audit:
        original = audit.read()
    with open(path, "wb") as audit:
        audit.write(re.sub(rb"(\n[^\n]*qid=" + queue_id.encode() + rb"[^\n]*) tls=TLSv1.3", rb"\1 tls=TLSv1.2", original))
    answer = world.segelctl("explain", queue_id)
    with open(path, "wb") as audit:
        audit.write(original)
    suite.equal(answer.code, 1, str(answer))
    suite.check("cannot be trusted" in answer.out and "the filter decided" in answer.out, answer.out)
    suite.equal(world.segelctl("explain", queue_id).code, 0, "the original")


# --- the service manager ---

class Manager:
    """The socket on which systemd hears its services."""

    def __init__(self, world, uid):
        self.path = world.path(f"notify-{uid}")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.sock.bind(self.path)
        os.chown(self.path, uid, uid)
        self.heard = []

    def hears(self, word):
        self.sock.setblocking(False)
        try:
            while True:
                self.heard.append(self.sock.recv(4096).decode())
        except BlockingIOError:
            pass
        return [message for message in self.heard if word in message.split("\n")]

    def wait(self, word, count=1):
        return deadline.until(f"{count} {word}; heard {self.heard}", lambda: len(self.hears(word)) >= count)

    def close(self):
        self.sock.close()
        os.unlink(self.path)


def notifies(world, daemon, start, uid):
    manager = Manager(world, uid)
    daemon.stop()
    # setpriv becomes the program, so its process id is the one that was started; systemd's is the same.
    daemon.env = {**os.environ, "NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "200000"}
    try:
        start()
        manager.wait("READY=1")
        manager.wait("WATCHDOG=1", 3)
        daemon.send(signal.SIGHUP)
        manager.wait("RELOADING=1")
        manager.wait("READY=1", 2)
        suite.check(re.search(r"MONOTONIC_USEC=\d+", manager.hears("RELOADING=1")[0]), manager.heard)
        suite.check(not manager.hears("STOPPING=1"), manager.heard)
        daemon.stop()
        manager.wait("STOPPING=1")
    finally:
        daemon.env = None
        manager.close()


@test("the filter tells systemd that it serves, lives, reloads and stops")
def _(world):
    notifies(world, world.milter, world.start_milter, MILTER_UID)


@test("the key agent tells systemd the same")
def _(world):
    notifies(world, world.keyd, world.start_keyd, KEYD_UID)


@test("a filter whose own socket is gone does not feed the watchdog")
def _(world):
    manager = Manager(world, MILTER_UID)
    world.milter.stop()
    world.milter.env = {**os.environ, "NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "200000"}
    try:
        world.start_milter()
        manager.wait("WATCHDOG=1")
        os.rename(world.mta.milter_socket, world.mta.milter_socket + ".away")
        world.wait_filter_log("no answer on our own socket")
        fed = len(manager.hears("WATCHDOG=1"))
        deadline.until("two more looks", lambda: world.filter_log().count("no answer on our own socket") >= 3)
        suite.equal(len(manager.hears("WATCHDOG=1")), fed, "signs of life")
        os.rename(world.mta.milter_socket + ".away", world.mta.milter_socket)
        manager.wait("WATCHDOG=1", fed + 1)
    finally:
        world.milter.env = None
        manager.close()
        world.milter.stop()


# --- Postfix as documented ---

@test("the submission service of contrib/postfix, as it stands there, seals")
def _(world):
    outcome = world.send(BUDI.login, BUDI.password, mail.plain(BUDI.address, SITI, "dokumen"), BUDI.address, [SITI],
                         port="documented")
    suite.check(outcome.accepted, outcome)
    [message] = world.wait_delivered(SITI, b"<dokumen.1@")
    suite.check(b"application/pkcs7-signature" in message, "not sealed")


@test("the submission service of contrib/postfix wants TLS and a login")
def _(world):
    with client.Session(world.mta.ports["documented"], False) as session:
        suite.check(session.mail(BUDI.address).says("530"), session.replies[-1])
    outcome = world.send(None, None, mail.plain(BUDI.address, SITI, "tanpa"), BUDI.address, [SITI], port="documented")
    suite.check(not outcome.accepted, outcome)


@test("with the filter gone, the documented lines have the client try again")
def _(world):
    world.milter.stop()
    outcome = world.send(BUDI.login, BUDI.password, mail.plain(BUDI.address, SITI, "hilang"), BUDI.address, [SITI],
                         port="documented")
    suite.check(not outcome.accepted and str(outcome.last.code).startswith("4"), outcome)


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
