#!/usr/bin/python3
"""bench.py [ROW...]: how fast it is, as ratios from one run on this machine; rows take turns, medians count.

    transform  CPU of a seal against bare CMS_sign, the key in the process
    verify     CPU of a verification with chain and a CRL of 100,000 entries against bare CMS_verify without CRL
    envelope   CPU of encrypting 4 KB and 10 MB to 1, 10 and 100 recipients, and of decrypting both (CBC with a signature inside,
               GCM), against bare CMS_encrypt and CMS_decrypt, keys in the process; memory for 30 MB
    opening    does the time of opening an RSA v1.5 block tell whether it was a good one?
    postfix    messages a second through a real Postfix with STARTTLS and AUTH: alone, with a milter
               that does nothing, with Segel sealing (RSA-2048, P-256)
    inbound    the same load as unsigned mail of a stranger through role inbound, against the milter that does nothing
    memory     a 35 MB message; 1,000 idle sessions
    hold       from segelctl's exit until it counts, on a session between MAIL and DATA
    registry   a lookup among 1,000,000 certificates
    replay     a signature looked for and kept among 1,000,000, against a bare SQLite insert
    quarantine lists of 10,000 held messages against the same questions to the sqlite3 library alone
    tlspol     policies of 100,000 domains, asked from another process on the same single core; against a
               socketmap server that looks nothing up
    signers    50,000 messages of 20 identities over 24 connections: each signed with its own key?

Build first: make bench does. ROUNDS, MESSAGES, CERTIFICATES, SIGNATURES, DOMAINS, BLOCKS, SIGNED in the environment change the sizes.
The exit status tells only whether everything could be measured, whether a signer was wrong, and whether blocks are told apart.
"""

import os
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/e2e"))
os.environ.setdefault("SEGEL_BUILD", "build/release")

import deadline  # noqa: E402
import place  # noqa: E402
from daemon import Daemon  # noqa: E402
from gateway import Account, Gateway, build_folder  # noqa: E402
from world import OTHER_DOMAIN, free_port  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", 7))
MESSAGES = int(os.environ.get("MESSAGES", 800))
CERTIFICATES = int(os.environ.get("CERTIFICATES", 1000000))
DOMAINS = int(os.environ.get("DOMAINS", 100000))
ITEMS = int(os.environ.get("ITEMS", 10000))
SIGNATURES = int(os.environ.get("SIGNATURES", 1000000))
BLOCKS = int(os.environ.get("BLOCKS", 40000))
SIGNED = int(os.environ.get("SIGNED", 50000))
SESSIONS = 8
WARGA = f"warga@{OTHER_DOMAIN}"

RSA = Account("rsa", key="rsa2048")
P256 = Account("kurva", key="p256")
STRANGER = Account("warga", address="warga@luar.example")  # not registered: a login that the load needs, and no more
CROWD = [Account(f"kantor{number:02}", key="rsa2048" if number % 4 == 0 else "p256") for number in range(20)]

LISTENER = """\
127.0.0.1:{port} inet n - n - - smtpd
  -o syslog_name=postfix/{name}
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject_unauth_destination
  -o mynetworks=192.0.2.255/32
  -o smtpd_milters={milter}
"""


class Bench(Gateway):
    """The tests' world with two more listeners, mail that is discarded once queued, and no limit on keys."""

    def __init__(self, where):
        super().__init__(where, [RSA, P256] + CROWD, roles=("submission", "inbound"))
        self.idle_socket = self.path("nothing.sock")
        self.nothing = Daemon("nothing", [program("nothing"), self.idle_socket], self.path("nothing.log"))

    def settings(self):
        settings = super().settings()
        return {**settings, "keys": settings["keys"].replace("limit = 6000", "limit = 1000000")}

    def make(self):
        super().make()
        self.ports = {"alone": free_port(), "nothing": free_port(), "segel": self.mta.ports["submission"], "inbound": free_port()}
        self.add_user(STRANGER.login, STRANGER.password)
        with open(self.mta.etc + "/master.cf", "a", encoding="utf-8") as master:
            master.write(LISTENER.format(name="alone", port=self.ports["alone"], milter=""))
            master.write(LISTENER.format(name="nothing", port=self.ports["nothing"], milter=f"unix:{self.idle_socket}"))
            master.write(LISTENER.format(name="inbound-bench", port=self.ports["inbound"], milter=f"unix:{self.mta.sockets['inbound']}"))
            master.write("discard unix - - n - - discard\n")
        with open(self.mta.etc + "/transport", "a", encoding="utf-8") as transport:
            transport.write(f"{OTHER_DOMAIN} discard:\n")
        return self

    def start(self):
        self.nothing.start(lambda: deadline.unix_socket_answers(self.idle_socket))
        return super().start()

    def stop(self):
        self.nothing.stop()
        super().stop()

    def load(self, port, account, messages, sessions=SESSIONS, size=4096, *more):
        out = ran(program("load"), port, account.login, account.password, WARGA, messages, sessions, size, *more)
        found = numbers(out)
        if found["refused"]:
            raise RuntimeError(f"{found['refused']:.0f} messages refused:\n{self.milter.last_words()}")
        return found


def program(name):
    return os.path.join(build_folder(), "tests/bench", name)


def ran(*command):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def numbers(line):
    """ "rate 10.5 refused 0" as a dictionary."""
    return {name: float(value) for name, value in re.findall(r"(\w+) (-?[\d.]+)", line)}


def say(what, found, wanted, notes=""):
    print(f"{what:52} {found:>12}   {wanted:14} {notes}", flush=True)


def spread(values):
    return f"{min(values):.2f} to {max(values):.2f}"


def transform():
    for line in ran(program("transform"), 3 * ROUNDS).splitlines():
        kind, found = line.split()[0], numbers(line.partition(" ")[2])
        limit = {"rsa2048": 1.3, "p256": 2.0}[kind]
        say(f"seal against bare CMS_sign, {kind}, CPU", f"{found['ratio']:.2f}", f"at most {limit}",
            f"{found['seal']:.0f} against {found['bare']:.0f} microseconds")


def verify():
    for line in ran(program("verify"), 3 * ROUNDS).splitlines():
        kind, found = line.split()[0], numbers(line.partition(" ")[2])
        say(f"verification against bare CMS_verify, {kind}, CPU", f"{found['ratio']:.2f}", "at most 2.0",
            f"{found['verify']:.0f} against {found['bare']:.0f} microseconds; structure before that: {found['inspect']:.0f}")


MEMORY_NOTES = {"encrypt": "the message itself is 1.00 of it", "decrypt": "the message in base64 is 1.00 of it, and becomes the plaintext"}


def envelope():
    for line in ran(program("envelope"), 3 * ROUNDS).splitlines():
        words, found = line.split(), numbers(line)
        if words[0] == "memory":
            say(f"memory above idle while 30 MB are {words[1]}ed, of the message", f"{found['ratio']:.2f}", "at most 1.2", MEMORY_NOTES[words[1]])
            continue
        what, cipher, size, recipients = words[:4]
        is_signed = (what, cipher) == ("decrypt", "cbc")
        say(f"{what}ing {int(size) // 1024} KB, {cipher.upper()}{' + signature' if is_signed else ''}, {recipients} recipients, CPU",
            f"{found['ratio']:.2f}", "at most 1.3",
            f"of bare CMS_{what}{' and CMS_verify' if is_signed else ''}: {found['ours']:.0f} against {found['bare']:.0f} microseconds")


def opening():
    """Four sorts of blocks; the program's exit status is its verdict."""
    with tempfile.TemporaryDirectory(prefix="segel-bench-") as folder:
        ran(os.path.join(build_folder(), "tests/pki/mkpki"), "--self", "--out", folder + "/key", "--cn", "Kunci", "--from", "-1d", "--to", "+1y",
            "--key", "rsa2048", "--usage", "encrypt")
        done = subprocess.run([program("opening"), folder + "/key.key", folder + "/key.crt", str(BLOCKS)], capture_output=True, text=True)
    for line in done.stdout.splitlines():
        sort, found = line.split()[1], numbers(line)
        if sort != "good":
            say(f"opening a v1.5 block, {sort}, against a good one", f"{found['difference']:+.0f} ns", "within 0.1%",
                f"median {found['median']:.0f} ns, t squared {found['squared']:.1f} (more than 100 and 0.1%: told apart)")
    if done.returncode != 0:
        raise RuntimeError(f"the time of opening a block tells what is in it: {done.stdout}{done.stderr}")


def postfix(world):
    kinds = [("alone", "alone", RSA), ("nothing", "nothing", RSA), ("rsa2048", "segel", RSA), ("p256", "segel", P256)]
    rates = {kind: [] for kind, _, _ in kinds}
    slowest = {kind: [] for kind, _, _ in kinds}
    for number in range(ROUNDS + 1):
        for kind, port, account in kinds if number % 2 else reversed(kinds):
            found = world.load(world.ports[port], account, MESSAGES if number else 80)
            world.wait_idle()
            if number:  # the first round warms up
                rates[kind].append(found["rate"])
                slowest[kind].append(found["p99"])
    medians = {kind: statistics.median(values) for kind, values in rates.items()}
    say("Postfix alone, 4 KB, 8 sessions, TLS and AUTH", f"{medians['alone']:.0f}/s", "", spread(rates["alone"]))
    say("with a milter that does nothing", f"{medians['nothing']:.0f}/s", "", spread(rates["nothing"]))
    for kind, limit in (("rsa2048", 0.75), ("p256", 0.85)):
        ratios = [mine / theirs for mine, theirs in zip(rates[kind], rates["nothing"])]
        say(f"Segel sealing with {kind} against that", f"{statistics.median(ratios):.2f}", f"at least {limit}",
            f"{medians[kind]:.0f}/s, rounds {spread(ratios)}, p99 {statistics.median(slowest[kind]):.0f} ms")


def inbound(world):
    """Mail of a stranger that nobody signed: judged, recorded, and its result added."""
    rates = {"nothing": [], "inbound": []}
    for number in range(ROUNDS + 1):
        for kind in rates if number % 2 else reversed(rates):
            found = world.load(world.ports[kind], STRANGER, MESSAGES if number else 80)
            world.wait_idle()
            if number:
                rates[kind].append(found["rate"])
    ratios = [mine / theirs for mine, theirs in zip(rates["inbound"], rates["nothing"])]
    say("judging unsigned inbound mail against that milter", f"{statistics.median(ratios):.2f}", "",
        f"{statistics.median(rates['inbound']):.0f}/s against {statistics.median(rates['nothing']):.0f}/s, rounds {spread(ratios)}")


def status(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def filter_pid(world):
    """setpriv becomes the program it starts."""
    return world.milter.process.pid


def restart(world):
    world.milter.stop()
    world.start_milter()
    world.load(world.ports["segel"], P256, 1, 1)
    return filter_pid(world)


def memory(world):
    size = 35 * 1000 * 1000
    for what, limit, more in (("7-bit", "at most 1.2", ()), ("8-bit, re-encoded", "", ("8bit",))):
        pid = restart(world)
        idle = status(pid, "VmRSS")
        world.load(world.ports["segel"], P256, 1, 1, size, *more)
        peak = status(pid, "VmHWM") - idle
        say(f"35 MB message, {what}: peak over idle", f"{peak / size:.2f}", limit, f"times the message; idle {idle / 1e6:.0f} MB")
    sessions(world)


def sessions(world, count=1000):
    pid = restart(world)
    idle = status(pid, "VmRSS")
    open_ones = [milter_session(world.mta.milter_socket) for _ in range(count)]
    used = status(pid, "VmRSS") - idle
    for one in open_ones:
        one.close()
    say(f"{count} idle sessions: memory over idle", f"{used / 1e6:.0f} MB", "at most 100 MB", f"{used / count / 1e3:.0f} KB each")


def milter_session(path):
    """A connection as Postfix leaves it between two messages: negotiated, the client's address told."""
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    one.settimeout(20)
    one.connect(path)
    one.sendall(frame(b"O", struct.pack("!III", 6, 0x1ff, 0x1fffff)))
    one.recv(4096)
    one.sendall(frame(b"C", b"klien\0004" + struct.pack("!H", 12345) + b"192.0.2.7\0"))
    return one


def frame(command, data):
    return struct.pack("!I", len(data) + 1) + command + data


def hold(world):
    waits = []
    account = CROWD[1]
    for _ in range(10):
        with world.session_of(account) as session:
            session.mail(account.address)
            session.rcpt(WARGA)
            world.must("cert", "hold", account.cert, "--reason", "laptop hilang")
            left = time.monotonic()
            reply = session.data(b"From: " + account.address.encode() + b"\r\nSubject: x\r\n\r\nIsi\r\n")
            waits.append(time.monotonic() - left)
            if reply.good or "REG_HELD" not in str(reply):
                raise RuntimeError(f"a held certificate sealed: {reply}")
        world.must("cert", "unhold", account.cert, "--reason", "ditemukan")
    say("hold enforced on an open session, from segelctl's exit", f"{max(waits) * 1000:.0f} ms", "at most 1 s",
        "the longest of 10, DATA and refusal included")


def registry():
    with tempfile.TemporaryDirectory(prefix="segel-bench-") as folder:
        found = numbers(ran(program("lookup"), folder, CERTIFICATES))
    say(f"lookup among {CERTIFICATES} certificates, p99", f"{found['p99']:.0f} us", "at most 100 us",
        f"p50 {found['p50']:.0f}, max {found['max']:.0f}, of {found['lookups']:.0f}")
    say(f"certificate to encrypt to among {CERTIFICATES}, p99", f"{found['encrypt_p99']:.0f} us", "at most 100 us",
        f"p50 {found['encrypt_p50']:.0f}, max {found['encrypt_max']:.0f}; without the CA's word on it")


def quarantine():
    with tempfile.TemporaryDirectory(prefix="segel-bench-") as folder:
        for line in ran(program("quarantine"), folder, ITEMS).splitlines():
            name, found = line.split()[0], numbers(line.partition(" ")[2])
            if name == "hold":
                say(f"hold of one more with {ITEMS} held, against an empty quarantine", f"{found['ratio']:.2f}", "at most 1.5",
                    f"median {found['store']:.2f} against {found['bare']:.2f} ms")
                continue
            say(f"list of {ITEMS} held messages, {name}", f"{found['store']:.1f} ms", "at most 100 ms",
                f"{found['ratio']:.2f} of the bare query ({found['bare']:.1f}); max {found['max']:.1f}")


def replay():
    with tempfile.TemporaryDirectory(prefix="segel-bench-") as folder:
        found = numbers(ran(program("replay"), folder, SIGNATURES))
    say(f"signature kept among {SIGNATURES}, against a bare insert", f"{found['p50'] / found['bare50']:.2f}", "",
        f"p50 {found['p50']:.0f} against {found['bare50']:.0f} us, p99 {found['p99']:.0f} against {found['bare99']:.0f}, one that is known "
        f"p50 {found['known50']:.0f}, p99 {found['known99']:.0f}")


TLSPOL = """\
log: {{ target = "stderr"; level = "info"; }};
registry: {{ file = "{folder}/registry/registry.db"; }};
tlspol: {{ socket = "{folder}/socket/tlspol.sock"; socket_group = "{uid}"; user = "{uid}"; }};
"""
QUERIES, ASKERS = 100000, 16


def tlspol():
    with tempfile.TemporaryDirectory(prefix="segel-bench-") as folder:
        os.chmod(folder, 0o755)
        for name in ("registry", "socket"):
            os.mkdir(os.path.join(folder, name))
            os.chown(os.path.join(folder, name), place.MILTER_UID, place.MILTER_UID)
            os.chmod(os.path.join(folder, name), 0o2750)
        ran(program("sockmap"), "make", folder + "/registry/registry.db", DOMAINS)
        with open(folder + "/segel.conf", "w", encoding="ascii") as out:
            out.write(TLSPOL.format(folder=folder, uid=place.MILTER_UID))
        real = folder + "/socket/tlspol.sock", Daemon("segel-tlspol", on_one_core(
            os.path.join(build_folder(), "segel-tlspol"), "-c", folder + "/segel.conf", "-f"), folder + "/log")
        bare = folder + "/nothing.sock", Daemon("a server of nothing", on_one_core(program("sockmap"), "nothing", folder + "/nothing.sock"),
                                                folder + "/log2")
        found, other = asked(*real), asked(*bare)
    say(f"TLS policies of {DOMAINS} domains, one core, a second", f"{median(found, 'rate'):.0f}", "at least 2000",
        f"{median(found, 'rate') / median(other, 'rate'):.2f} of a server that looks nothing up ({median(other, 'rate'):.0f})")
    say(f"the same, {ASKERS} at a time, p99", f"{median(found, 'p99') / 1000:.2f} ms", "at most 5 ms",
        f"p50 {median(found, 'p50') / 1000:.2f}, max {max(one['max'] for one in found) / 1000:.2f}; of nothing "
        f"{median(other, 'p99') / 1000:.2f}")


def on_one_core(*command):
    return ["taskset", "-c", str(min(os.sched_getaffinity(0))), *map(str, command)]


def asked(path, daemon):
    daemon.start(lambda: os.path.exists(path))
    try:
        return [numbers(ran(*on_one_core(program("sockmap"), "ask", path, DOMAINS, QUERIES, ASKERS))) for _ in range(ROUNDS)]
    finally:
        daemon.kill()


def median(rounds, name):
    return statistics.median(one[name] for one in rounds)


def signers(world):
    out = ran(program("signers"), world.mta.milter_socket, SIGNED, 24,
              *(f"{account.login}={account.issued.cert}" for account in CROWD))
    found = numbers(out)
    say(f"signed with another's key, of {found['sealed']:.0f}", f"{found['wrong']:.0f}", "0",
        f"{found['aborted']:.0f} aborted, {found['cut']:.0f} connections cut, {found['sealed'] / found['seconds']:.0f}/s")


ROWS = {"transform": transform, "verify": verify, "envelope": envelope, "opening": opening, "registry": registry, "quarantine": quarantine, "replay": replay, "tlspol": tlspol}
WORLD_ROWS = {"postfix": postfix, "inbound": inbound, "memory": memory, "hold": hold, "signers": signers}


def main(where):
    wanted = sys.argv[1:] or [*ROWS, *WORLD_ROWS]
    unknown = set(wanted) - {*ROWS, *WORLD_ROWS}
    if unknown:
        print(f"no row is called {' '.join(sorted(unknown))}; there are: {' '.join([*ROWS, *WORLD_ROWS])}", file=sys.stderr)
        return 2
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {ROUNDS} rounds", flush=True)
    for name in wanted:
        if name in ROWS:
            ROWS[name]()
    if set(wanted) & set(WORLD_ROWS):
        in_world(where, [name for name in wanted if name in WORLD_ROWS])
    print(f"load average after: {os.getloadavg()[0]:.1f}")
    return 0


def in_world(where, names):
    world = Bench(where)
    try:
        world.make().start()
        for name in names:
            WORLD_ROWS[name](world)
    finally:
        world.stop()


if __name__ == "__main__":
    if os.environ.get(place.INSIDE) is None and not os.access(program("load"), os.X_OK):
        sys.exit("build first: make bench")
    sys.exit(place.run(main))
