"""Mail that goes out: segel-tlspol between the registry and a real Postfix, which hands it to servers with and without TLS.

Each server is a further smtpd of the same Postfix on a loopback address and port 25 of its own, so that the next hop is the
recipient's domain, as on the Internet. The names are in this world's /etc/hosts. The smtp client is in a chroot. Answers to single questions are postmap's.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import smtplib
import socket
import sqlite3
import subprocess
import sys
import threading

import deadline
import gateway
import suite
from authority import Authority
from daemon import Daemon
from mta import snippet
from place import OTHER_UID, REGISTRY_GID, TLSPOL_UID
from world import World, letter

DOCUMENTED_MAP = "socketmap:unix:segel-tlspol/tlspol.sock:tls"
DOCUMENTED_CA = "/etc/ssl/certs/ca-certificates.crt"
PLAIN, NAMED, OTHER_NAME = "127.0.1.1", "127.0.1.2", "127.0.1.3"  # no TLS; a certificate for many names; for one that nobody asks for

# Official ones are in the registry.
OFFICIAL = {"resmi.go.example": NAMED, "resmi-polos.go.example": PLAIN, "kelak.go.example": PLAIN, "aman.go.example": NAMED,
            "aman-salah.go.example": OTHER_NAME, "nama.go.example": OTHER_NAME, "sidik.go.example": NAMED,
            "sidik-salah.go.example": NAMED, "cek.go.example": NAMED, "dane.go.example": NAMED, "mati.go.example": NAMED,
            "sampah.go.example": NAMED, "pindah.go.example": NAMED, "kunci.go.example": NAMED, "berakhir.go.example": PLAIN}
OTHERS = {"asing.example": PLAIN, "asing-tls.example": NAMED, "asing-mati.example": NAMED, "biasa.example": PLAIN,
          "sub.ketat.example": PLAIN}

CONFIG = """\
log: {{ target = "stderr"; level = "debug"; }};
registry: {{ file = "{registry}"; timeout = "500ms"; }};
tlspol: {{ socket = "{socket}"; socket_group = "{group}"; user = "{user}"; {more} }};
tls: {{ minimum = "{minimum}"; }};
"""

MAIN_CF = """
# What follows is for mail that goes out.
{documented}
smtp_host_lookup = native
smtp_connect_timeout = 5s
"""

SERVER = """\
{address}:25 inet n - n - - smtpd
  -o syslog_name=postfix/peer
  -o myhostname=peer.example
  -o smtpd_tls_security_level={level}
  -o smtpd_tls_cert_file={cert}
  -o smtpd_tls_key_file={key}
  -o content_filter=virtual:
  -o smtpd_relay_restrictions=permit_mynetworks,reject
"""


class Outbound(World):
    """Postfix, its peers, the registry and segel-tlspol."""

    def __init__(self, place):
        if not place.isolated:
            raise RuntimeError("this needs namespaces of its own: addresses of 127.0.0.0/8 with port 25, and an /etc/hosts")
        super().__init__(place)
        self.build = gateway.build_folder()
        gateway.must_be_built(self.build, ("segel-tlspol", "segelctl", "tests/pki/mkpki"))
        self.authority = Authority(os.path.join(self.build, "tests/pki/mkpki"), self.path("pki"))
        self.config = self.path("segel.conf")
        self.registry = self.path("registry", "registry.db")
        self.socket_folder = os.path.join(self.mta.queue_folder, "segel-tlspol")
        self.socket = os.path.join(self.socket_folder, "tlspol.sock")
        self.tlspol = self.make_daemon()

    def make_daemon(self):
        program = self.path("segel-tlspol")
        with open(os.path.join(self.build, "segel-tlspol"), "rb") as built, open(program, "wb") as copy:
            copy.write(built.read())
        os.chmod(program, 0o755)
        return Daemon("segel-tlspol", ["setpriv", f"--reuid={TLSPOL_UID}", f"--regid={TLSPOL_UID}",
                                       f"--groups={self.mta.gid},{REGISTRY_GID}", "--", program, "-c", self.config, "-f"],
                      self.path("segel-tlspol.log"))

    def make(self):
        for folder, owner, group in ((self.path("registry"), 0, REGISTRY_GID), (self.socket_folder, TLSPOL_UID, self.mta.gid)):
            os.makedirs(folder)
            os.chown(folder, owner, group)
            os.chmod(folder, 0o2750)
        self.write_settings()
        self.authority.make()
        self.make_peers()
        self.must("init", "--name", "Petugas Contoh", "--appointment", "SK-1/2026")
        for name in OFFICIAL:
            if name != "kelak.go.example":
                self.must("domain", "add", name, "--kind", "partner")
        return self

    def write_settings(self, minimum="TLSv1.2", more=""):
        with open(self.config, "w", encoding="ascii") as out:
            out.write(CONFIG.format(registry=self.registry, socket=self.socket, group=self.mta.gid, user=TLSPOL_UID, minimum=minimum,
                                    more=more))

    def make_peers(self):
        self.named = self.make_server("named", [name for name in (*OFFICIAL, *OTHERS) if {**OFFICIAL, **OTHERS}[name] == NAMED])
        self.other = self.make_server("other", ["lain.example"])
        with open(os.path.join(self.mta.etc, "master.cf"), "a", encoding="ascii") as out:
            out.write(SERVER.format(address=PLAIN, level="none", cert="", key=""))
            out.write(SERVER.format(address=NAMED, level="may", cert=self.named + ".crt", key=self.named + ".key"))
            out.write(SERVER.format(address=OTHER_NAME, level="may", cert=self.other + ".crt", key=self.other + ".key"))
        documented = "\n".join(snippet("tls.cf"))
        if documented.count(DOCUMENTED_MAP) != 1 or documented.count(DOCUMENTED_CA) != 1:
            raise RuntimeError(f"contrib/postfix/tls.cf: wanted {DOCUMENTED_MAP} and {DOCUMENTED_CA}, once each")
        with open(os.path.join(self.mta.etc, "main.cf"), "a", encoding="ascii") as out:
            out.write(MAIN_CF.format(documented=documented.replace(DOCUMENTED_CA, self.path("ca.crt"))))
        with open(self.path("hosts"), "w", encoding="ascii") as out:
            out.write("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in {**OFFICIAL, **OTHERS}.items()))
        self.lock_up_smtp()
        subprocess.run(["mount", "--bind", self.path("hosts"), "/etc/hosts"], check=True, stdin=subprocess.DEVNULL)

    def lock_up_smtp(self):
        """The smtp client in a chroot, as on Debian; it finds the socket by the documented path, and the peers by this file."""
        master = os.path.join(self.mta.etc, "master.cf")
        with open(master, encoding="ascii") as text:
            services, n = re.subn(r"(?m)^smtp( +unix +- +- +)n( .*)$", r"smtp\1y\2", text.read())
        if n != 1:
            raise RuntimeError("master.cf: wanted one smtp client")
        with open(master, "w", encoding="ascii") as out:
            out.write(services)
        os.makedirs(os.path.join(self.mta.queue_folder, "etc"))
        shutil.copy(self.path("hosts"), os.path.join(self.mta.queue_folder, "etc/hosts"))

    def make_server(self, name, names):
        """A certificate of one authority for servers, by openssl."""
        prefix = self.path(name)
        if not os.path.exists(self.path("ca.crt")):
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.path("ca.key"),
                    "-out", self.path("ca.crt"), "-days", "30", "-subj", "/CN=CA of servers")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", prefix + ".key",
                "-out", prefix + ".csr", "-subj", f"/CN={name}")
        with open(prefix + ".ext", "w", encoding="ascii") as out:
            out.write("subjectAltName=" + ",".join("DNS:" + each for each in names))
        openssl("x509", "-req", "-in", prefix + ".csr", "-CA", self.path("ca.crt"), "-CAkey", self.path("ca.key"), "-CAcreateserial",
                "-out", prefix + ".crt", "-days", "30", "-extfile", prefix + ".ext")
        return prefix

    @property
    def map(self):
        return f"socketmap:unix:{self.socket}:tls"

    def segelctl(self, *args):
        env = {name: value for name, value in os.environ.items() if not name.startswith("SUDO_")}
        done = subprocess.run([os.path.join(self.build, "segelctl"), "-c", self.config, *args], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60, env=env)
        return gateway.Answer(args, done, None)

    def must(self, *args):
        answer = self.segelctl(*args)
        if answer.code != 0:
            raise RuntimeError(str(answer))
        return answer

    def set(self, *args):
        return self.must("tls", "policy", "set", *args)

    def start(self):
        self.start_tlspol()
        return super().start()

    def start_tlspol(self):
        self.tlspol.start(lambda: deadline.unix_socket_answers(self.socket))

    def restart_tlspol(self):
        """With a fresh count of complaints."""
        self.tlspol.stop()
        self.start_tlspol()

    def stop(self):
        super().stop()
        troubles = list(gateway.ended_badly(self.tlspol))
        if troubles:
            raise RuntimeError("\n".join(troubles))

    def ask(self, key):
        """What postmap is told: (exit status, answer, complaint)."""
        done = subprocess.run([self.mta.programs.command + "/postmap", "-c", self.mta.etc, "-q", key, self.map],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60, env=self.mta.programs.env)
        return done.returncode, done.stdout.decode().rstrip("\n"), done.stderr.decode()

    def submit(self, domain, subject="Surat keluar"):
        """A message for somebody in that domain; the queue id."""
        with smtplib.SMTP("127.0.0.1", self.mta.ports["inbound"], timeout=60) as smtp:
            smtp.ehlo("uji.example")
            smtp.mail("dinas@kota.example")
            smtp.rcpt(f"tujuan@{domain}")
            code, text = smtp.data(letter("dinas@kota.example", f"tujuan@{domain}", subject=subject))
            suite.equal(code, 250, "reply to the message")
            return re.search(rb"queued as (\w+)", text)[1].decode()

    def fate(self, queue_id, seconds=40):
        """The first line about what became of it."""
        return self.wait_logged(rf"postfix/smtp\[\d+\]: {queue_id}: to=<[^>]*>.* status=(\w+) \(.*", seconds)[0]

    def wait_sent(self, queue_id, seconds=60):
        self.wait_logged(rf"postfix/smtp\[\d+\]: {queue_id}: to=<.* status=sent ", seconds)

    def flush(self):
        subprocess.run([self.mta.programs.command + "/postqueue", "-c", self.mta.etc, "-f"], check=True, stdin=subprocess.DEVNULL,
                       env=self.mta.programs.env, timeout=30)

    def delay_reason(self, queue_id):
        item = next((item for item in self.queue() if item["queue_id"] == queue_id), {"recipients": [{}]})
        return item["recipients"][0].get("delay_reason", "")

    def log_of(self, domain):
        return [line for line in self.maillog().splitlines() if domain in line]

    def fingerprint(self, certificate):
        shown = openssl("x509", "-noout", "-fingerprint", "-sha256", "-in", certificate)
        return shown.partition("=")[2].strip()

    def ensure_running(self):
        if not self.tlspol.running():
            self.start_tlspol()

    def said(self, text=""):
        return [line for line in self.tlspol.text().splitlines() if text in line]

    def wait_said(self, pattern, start=0):
        return deadline.until(f"/{pattern}/ in segel-tlspol's log", lambda: re.search(pattern, self.tlspol.text()[start:]))

    @contextlib.contextmanager
    def without_registry(self):
        hidden = self.registry + ".hidden"
        os.rename(self.registry, hidden)
        try:
            yield
        finally:
            os.rename(hidden, self.registry)


def openssl(*words):
    return subprocess.run(["openssl", *words], check=True, stdin=subprocess.DEVNULL, capture_output=True).stdout.decode()


def make_world(place):
    return Outbound(place).make().start()


def sent(world, domain, pattern):
    """Delivered, over the connection that Postfix's log describes so."""
    line = world.fate(world.submit(domain))
    suite.check("status=sent" in line, line)
    established = [line for line in world.log_of(domain) if "TLS connection established to" in line]
    suite.check(any(re.search(pattern, line) for line in established), f"no /{pattern}/ among {established}")
    return line


def deferred(world, domain, *patterns):
    """Not delivered, still in the queue, and why."""
    queue_id = world.submit(domain)
    line = world.fate(queue_id)
    suite.check("status=deferred" in line, line)
    for pattern in patterns:
        suite.check(re.search(pattern, line), f"{line!r} does not match {pattern!r}")
    deadline.until(f"{queue_id} in the queue, with {patterns[-1]!r}", lambda: re.search(patterns[-1], world.delay_reason(queue_id)))
    suite.equal(world.mailbox(f"tujuan@{domain}"), [], "messages in the mailbox")
    return queue_id


@suite.test("postmap: an official domain always has an answer, in each of its forms")
def _(world):
    least = (0, "encrypt protocols=>=TLSv1.2", "")
    for key in ("resmi.go.example", "RESMI.GO.example", "resmi.go.example:25", "[resmi.go.example]", "[resmi.go.example]:587"):
        suite.equal(world.ask(key), least, key)


@suite.test("postmap: what is neither official nor has a policy is not found")
def _(world):
    for key in ("asing.example", "sub.resmi.go.example", ".go.example", "[127.0.0.1]:25", "[mx.resmi.go.example]"):
        suite.equal(world.ask(key), (1, "", ""), key)


@suite.test("postmap: every level, as the registry has it")
def _(world):
    digest = world.fingerprint(world.named + ".crt")
    rows = {("may",): "may", ("dane",): "dane", ("encrypt",): "encrypt protocols=>=TLSv1.2",
            ("dane-only",): "dane-only protocols=>=TLSv1.2", ("verify",): "verify protocols=>=TLSv1.2",
            ("secure",): "secure protocols=>=TLSv1.2",
            ("fingerprint", "--fingerprint", digest): f"fingerprint match={digest} protocols=>=TLSv1.2",
            ("fingerprint", "--fingerprint", digest, digest.lower()): f"fingerprint match={digest}|{digest} protocols=>=TLSv1.2",
            ("secure", "--match", "mx.cek.example", ".cek.example", "nexthop"):
                "secure match=mx.cek.example:.cek.example:nexthop protocols=>=TLSv1.2"}
    for words, answer in rows.items():
        world.set("cek.example", *words)
        suite.equal(world.ask("cek.example"), (0, answer, ""), words)
        suite.equal(world.segelctl("tls", "policy", "test", "cek.example").code, 0, "tls policy test")
    world.must("tls", "policy", "end", "cek.example")
    suite.equal(world.ask("cek.example"), (1, "", ""), "after its end")


@suite.test("a policy that would let official mail go in clear is refused, and counts for nothing if it is older")
def _(world):
    for level in ("may", "dane"):
        answer = world.segelctl("tls", "policy", "set", "resmi.go.example", level)
        suite.equal((answer.code, "official" in answer.err), (3, True), answer)
    suite.equal(world.segelctl("tls", "policy", "set", "resmi.go.example", "none").code, 2, "level none")
    world.set("kelak.go.example", "may")
    suite.equal(world.ask("kelak.go.example"), (0, "may", ""), "before")
    world.must("domain", "add", "kelak.go.example", "--kind", "partner")
    suite.equal(world.ask("kelak.go.example"), (0, "encrypt protocols=>=TLSv1.2", ""), "after")
    world.wait_said(r"more than the registry says.*nexthop=kelak\.go\.example.*'may'")
    shown = world.segelctl("tls", "policy", "show", "kelak.go.example")
    suite.check(shown.code == 0 and re.search(r"raised +yes", shown.out) and "lets mail go in clear" in shown.out, shown.out)


@suite.test("an official domain whose server offers no TLS: deferred, with the reason")
def _(world):
    queue_id = deferred(world, "resmi-polos.go.example", r"dsn=4\.7\.4", "TLS is required, but was not offered")
    suite.check(world.delay_reason(queue_id), "it stays in the queue")


@suite.test("raised above an older policy: deferred too")
def _(world):
    deferred(world, "kelak.go.example", r"dsn=4\.7\.4", "TLS is required, but was not offered")


@suite.test("an official domain whose server offers TLS: delivered, and logged")
def _(world):
    sent(world, "resmi.go.example", r"(Trusted|Untrusted) TLS connection established to resmi\.go\.example\[127\.0\.1\.2\]:25: TLSv1\.3")


@suite.test("neither official nor a policy: Postfix's own level, in clear and with TLS")
def _(world):
    line = world.fate(world.submit("asing.example"))
    suite.check("status=sent" in line, line)
    sent(world, "asing-tls.example", "TLS connection established to asing-tls.example")


@suite.test("a policy for others: may in clear; .domain for its subdomains")
def _(world):
    world.set("biasa.example", "may")
    line = world.fate(world.submit("biasa.example"))
    suite.check("status=sent" in line, line)
    world.set(".ketat.example", "encrypt")
    deferred(world, "sub.ketat.example", r"dsn=4\.7\.4", "TLS is required, but was not offered")


@suite.test("secure: the next hop's name in the certificate, or another")
def _(world):
    world.set("aman.go.example", "secure")
    world.set("aman-salah.go.example", "secure")
    sent(world, "aman.go.example", r"Verified TLS connection established to aman\.go\.example")
    deferred(world, "aman-salah.go.example", r"dsn=4\.7\.5", "Server certificate not verified")


@suite.test("secure: a match name, right and wrong")
def _(world):
    world.set("nama.go.example", "secure", "--match", "lain2.example")
    queue_id = deferred(world, "nama.go.example", r"dsn=4\.7\.5", "Server certificate not verified")
    world.set("nama.go.example", "secure", "--match", "lain2.example", "lain.example")
    world.flush()
    world.wait_sent(queue_id)
    suite.check(any("Verified TLS connection" in line for line in world.log_of("nama.go.example")), "no verified connection")


@suite.test("fingerprint: right and wrong")
def _(world):
    world.set("sidik.go.example", "fingerprint", "--fingerprint", world.fingerprint(world.other + ".crt"), world.fingerprint(world.named + ".crt"))
    world.set("sidik-salah.go.example", "fingerprint", "--fingerprint", world.fingerprint(world.other + ".crt"))
    sent(world, "sidik.go.example", r"Verified TLS connection established to sidik\.go\.example")
    deferred(world, "sidik-salah.go.example", r"dsn=4\.7\.5", "Server certificate not verified")


@suite.test("dane-only without DNSSEC: deferred; dane is Postfix's own matter")
def _(world):
    world.set("dane.go.example", "dane-only")
    deferred(world, "dane.go.example", r"dsn=4\.7\.5", "client TLS configuration problem")


@suite.test("no answer made Postfix complain about its syntax")
def _(world):
    complaints = [line for line in world.maillog().splitlines()
                  if re.search(r"(invalid|illegal|malformed|unknown|unsupported|ignored|extra).*(attribute|policy|level|protocol|match)", line)]
    suite.equal(complaints, [], "complaints")


@suite.test("tls.minimum = TLSv1.3, reloaded")
def _(world):
    start = len(world.tlspol.text())
    world.write_settings(minimum="TLSv1.3")
    world.tlspol.send(signal.SIGHUP)
    world.wait_said(": reloaded ", start)
    suite.equal(world.ask("resmi.go.example"), (0, "encrypt protocols=>=TLSv1.3", ""), "answer")
    sent(world, "resmi.go.example", r"established to resmi\.go\.example.*TLSv1\.3")
    start = len(world.tlspol.text())
    world.write_settings(minimum="TLSv1.1")
    world.tlspol.send(signal.SIGHUP)
    world.wait_said("reload failed, using the old settings: .*tls.minimum", start)
    suite.equal(world.ask("resmi.go.example"), (0, "encrypt protocols=>=TLSv1.3", ""), "answer after a faulty file")
    start = len(world.tlspol.text())
    world.write_settings()
    world.tlspol.send(signal.SIGHUP)
    world.wait_said(": reloaded ", start)


@suite.test("segel-tlspol killed: deferred; started again: delivered")
def _(world):
    world.tlspol.kill()
    try:
        queue_id = deferred(world, "mati.go.example", r"dsn=4\.7\.5", "client TLS configuration problem")
        others = deferred(world, "asing-mati.example", r"dsn=4\.7\.5", "client TLS configuration problem")
    finally:
        world.ensure_running()
    world.flush()
    world.wait_sent(queue_id)
    world.wait_sent(others)
    suite.check(any("TLS connection established to mati.go.example" in line for line in world.log_of("mati.go.example")), "without TLS")


class Babbler:
    """Answers every request on the same socket with the same bytes."""

    def __init__(self, path, gid, reply):
        self.path, self.reply = path, reply
        self.asked = 0
        self.peers = []
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.server.bind(path)
        os.chown(path, TLSPOL_UID, gid)
        os.chmod(path, 0o660)
        self.server.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.server.accept()
            except OSError:
                return
            self.peers.append(peer)
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        with peer, contextlib.suppress(OSError):
            while peer.recv(4096):
                self.asked += 1
                peer.sendall(self.reply)

    def close(self):
        for open_socket in (self.server, *self.peers):
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
        self.server.close()
        os.unlink(self.path)


@suite.test("garbage instead of an answer: deferred, never in clear")
def _(world):
    world.tlspol.stop()
    waiting = []
    try:
        for reply in (b"garbage", b"3:abc,", b"9:OK 7: may,", b"14:OK nonsense xx,", b"99999999:OK may,", b"8:OK may x,", b"3:OK ,"):
            babbler = Babbler(world.socket, world.mta.gid, reply)
            try:
                waiting.append(world.submit("sampah.go.example"))
                line = world.fate(waiting[-1])
                suite.check("status=deferred" in line and babbler.asked, f"{reply}: {line}")
            finally:
                babbler.close()
    finally:
        world.ensure_running()
    world.flush()
    for queue_id in waiting:  # one that is retried later would use up what the daemon says of the next trouble
        world.wait_sent(queue_id)


@suite.test("registry moved away: deferred, also for others; back: delivered")
def _(world):
    world.restart_tlspol()
    with world.without_registry():
        suite.equal(world.ask("pindah.go.example")[0], 1, "postmap's exit status")
        suite.check("cannot be asked now" in world.ask("asing.example")[2], world.ask("asing.example"))
        queue_id = deferred(world, "pindah.go.example", r"dsn=4\.7\.5", "client TLS configuration problem")
        world.wait_said(r"cannot answer, mail is deferred: nexthop=pindah\.go\.example: registry .* cannot be opened")
        suite.equal(world.segelctl("tls", "policy", "show", "pindah.go.example").code, 4, "tls policy show")
    world.flush()
    world.wait_sent(queue_id)


@suite.test("registry locked by another program: deferred")
def _(world):
    world.restart_tlspol()
    with world.without_registry():
        world.ask("kunci.go.example")  # lets go of its open connection, which keeps others out
    locker = sqlite3.connect(world.registry, isolation_level=None, timeout=10)
    try:
        locker.execute("PRAGMA locking_mode=EXCLUSIVE")
        locker.execute("BEGIN EXCLUSIVE")
        locker.execute("SELECT count(*) FROM cert").fetchone()
        queue_id = deferred(world, "kunci.go.example", r"dsn=4\.7\.5", "client TLS configuration problem")
        world.wait_said(r"mail is deferred: nexthop=kunci\.go\.example: .*locked")
        locker.execute("ROLLBACK")
    finally:
        locker.close()
    world.must("unit", "list")  # who locks so keeps no -shm that others can read: what the log says helps
    world.flush()
    world.wait_sent(queue_id)


@suite.test("a domain that is official no more: Postfix's own level again")
def _(world):
    queue_id = deferred(world, "berakhir.go.example", r"dsn=4\.7\.4", "TLS is required")
    world.must("domain", "end", "berakhir.go.example", "--reason", "pindah wilayah")
    suite.equal(world.ask("berakhir.go.example"), (1, "", ""), "answer")
    world.flush()
    world.wait_sent(queue_id)


@suite.test("tls policy test: the daemon that answers otherwise, or not at all")
def _(world):
    answer = world.segelctl("tls", "policy", "test", "resmi.go.example")
    suite.equal(answer.code, 0, answer)
    world.tlspol.stop()
    try:
        answer = world.segelctl("tls", "policy", "test", "resmi.go.example")
        suite.equal((answer.code, "does segel-tlspol run?" in answer.err), (4, True), answer)
        babbler = Babbler(world.socket, world.mta.gid, b"6:OK may,")
        try:
            answer = world.segelctl("tls", "policy", "test", "resmi.go.example")
            suite.equal((answer.code, "answers otherwise" in answer.err), (1, True), answer)
        finally:
            babbler.close()
    finally:
        world.ensure_running()


@suite.test("the socket: Postfix's user may ask, nobody else, and nobody may take its place")
def _(world):
    def as_user(uid, gid, *command):
        return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--", *command], stdin=subprocess.DEVNULL,
                              capture_output=True, cwd="/", timeout=30)
    connect = ["/usr/bin/python3", "-c", f"import socket; socket.socket(socket.AF_UNIX).connect({world.socket!r})"]
    suite.equal(as_user(world_owner(world), world.mta.gid, *connect).returncode, 0, "Postfix connects")
    suite.check(b"PermissionError" in as_user(OTHER_UID, OTHER_UID, *connect).stderr, "another user connects")
    suite.check(as_user(world_owner(world), world.mta.gid, "rm", world.socket).returncode != 0, "Postfix removes it")
    suite.check(as_user(world_owner(world), world.mta.gid, "mv", world.socket, world.socket + "2").returncode != 0, "Postfix renames it")
    suite.check(as_user(world_owner(world), world.mta.gid, "cat", world.registry).returncode != 0, "Postfix reads the registry")


def world_owner(world):
    return os.stat(os.path.join(world.mta.data)).st_uid


@suite.test("-n: everything a start needs, as the user that will serve")
def _(world):
    check = [*world.tlspol.command[:-1], "-n"]

    def run():
        return subprocess.run(check, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    suite.equal(run().returncode, 0, run().stderr)
    with world.without_registry():
        done = run()
        suite.equal((done.returncode, b"registry.file" in done.stderr), (1, True), done)
    outsider = [word for word in check if not word.startswith("--groups=")]
    outsider.insert(outsider.index("--"), "--clear-groups")
    done = subprocess.run(outsider, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    suite.equal((done.returncode, b"must be in the folder's group (segel-registry" in done.stderr), (1, True), done)
    os.chmod(world.socket_folder, 0o2755)
    try:
        done = run()
        suite.equal((done.returncode, b"is open to others" in done.stderr), (1, True), done)
    finally:
        os.chmod(world.socket_folder, 0o2750)


@suite.test("started by root: in the background, without root; its socket for Postfix only; ends with TERM and leaves none")
def _(world):
    world.tlspol.stop()
    program = world.path("segel-tlspol")
    done = subprocess.run([program, "-c", world.config], stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    try:
        suite.equal(done.returncode, 0, f"start: {done.stderr}")
        pid = next(pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if executable(pid) == program)
        with open(f"/proc/{pid}/status", encoding="ascii") as text:
            status = dict(line.split(":", 1) for line in text.read().splitlines())
        suite.equal(set(status["Uid"].split()), {str(TLSPOL_UID)}, "user ids")
        suite.equal((status["Seccomp"].strip(), status["NoNewPrivs"].strip(), int(status["CapEff"], 16)), ("2", "1", 0), "powers")
        found = os.stat(world.socket)
        suite.equal((found.st_mode & 0o777, found.st_uid, found.st_gid), (0o660, TLSPOL_UID, world.mta.gid), "the socket")
        suite.equal(world.ask("resmi.go.example"), (0, "encrypt protocols=>=TLSv1.2", ""), "answer")
        os.kill(pid, signal.SIGTERM)
        deadline.until("its end", lambda: executable(pid) != program)
        suite.check(not os.path.exists(world.socket), "the socket stayed")
    finally:
        world.ensure_running()


def executable(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


@suite.test("history: who set which policy")
def _(world):
    acts = json.loads(world.must("act", "list", "--json").out)
    suite.check(any(act["verb"] == "tls policy set" and act["object"] == "aman.go.example" and act["detail"] == "secure" for act in acts), acts)
    listed = json.loads(world.must("tls", "policy", "list", "--json").out)
    suite.check(any(row["next_hop"] == ".ketat.example" and row["level"] == "encrypt" for row in listed), listed)


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
