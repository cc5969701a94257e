"""segelctl tls report against a real Postfix that sends to peers of every sort.

What the report says is compared with what the peers saw: the Received field that each peer's Postfix
wrote into the delivered message names the TLS version and cipher of its side of the connection.
"""

import collections
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading

import deadline
import suite
from gateway import build_folder
from mta import HOST
from world import World, free_port, letter

SENDER = "dinas@kota.example"

PEER_OPTIONS = {
    "new": ["smtpd_tls_protocols=>=TLSv1.3"],
    "old": ["smtpd_tls_protocols=>=TLSv1.2,<=TLSv1.2", "smtpd_tls_exclude_ciphers=aNULL"],
    "plain": ["smtpd_tls_security_level=none"],
    "nameless": ["smtpd_tls_cert_file=none", "smtpd_tls_key_file=", "smtpd_tls_protocols=>=TLSv1.2,<=TLSv1.2"],
    "known": ["smtpd_tls_chain_files={tls}/known.key,{tls}/known.crt", "smtpd_tls_cert_file=", "smtpd_tls_key_file="],
    "choosy": ["smtpd_recipient_restrictions=reject"],
}

CLIENT_OPTIONS = {
    "may": [],
    "must": ["smtp_tls_security_level=encrypt"],
    "sure": ["smtp_tls_security_level=secure", "smtp_tls_secure_cert_match=" + HOST],
    "asks": ["smtp_tls_policy_maps=socketmap:unix:{folder}/nobody.sock:policy"],
    "silent": ["smtp_tls_loglevel=0"],
    "reuses": ["smtp_tls_connection_reuse=yes", "smtp_connection_cache_on_demand=no",
               "smtp_connection_cache_destinations={host}", "smtp_destination_concurrency_limit=1"],
    "keeps": ["smtp_connection_cache_destinations={host}"],
}

# domain: (client, peer, how many recipients, what becomes of them)
ROUTES = {
    "new.example": ("may", "new", 5, "sent"),
    "old.example": ("may", "old", 4, "sent"),
    "plain.example": ("may", "plain", 3, "sent"),
    "nameless.example": ("may", "nameless", 2, "sent"),
    "known.example": ("may", "known", 2, "sent"),
    "sure.example": ("sure", "known", 2, "sent"),
    "reused.example": ("reuses", "new", 6, "sent"),
    "kept.example": ("keeps", "plain", 6, "sent"),
    "silent.example": ("silent", "new", 2, "sent"),
    "choosy.example": ("may", "choosy", 2, "bounced"),
    "demanded.example": ("must", "plain", 1, "deferred"),
    "stranger.example": ("sure", "new", 1, "deferred"),
    "unasked.example": ("asks", "new", 1, "deferred"),
}

# Sent before the others: from then on the services' silence says something.
FIRST = {"keeps": "keeps-first.example", "may": "new.example"}

FORGED = ("250 2.0.0 Ok) to=<x@forged.example>, relay=a.example[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, "
          "status=sent (Trusted TLS connection established to a.example[192.0.2.9]:25: TLSv1.3 with cipher X (256/256 bits)\r\n")


class Rude(threading.Thread):
    """A server that is no Postfix: speaks as told, and drops what is secured after MAIL."""

    def __init__(self, host, greeting, tls=None, final=FORGED):
        super().__init__(daemon=True)
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        self.greeting, self.tls, self.final = greeting, tls, final
        self.taken = []
        self.start()

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            try:
                self.serve(sock)
            except OSError:
                pass
            finally:
                sock.close()

    def serve(self, sock):
        secure, lines = False, sock.makefile("rb")
        sock.sendall(self.greeting)
        while command := lines.readline().strip().upper():
            if command.startswith(b"EHLO"):
                sock.sendall(b"250-rude.example\r\n" + (b"250-STARTTLS\r\n" if self.tls and not secure else b"") + b"250 8BITMIME\r\n")
            elif command == b"STARTTLS":
                sock.sendall(b"220 go\r\n")
                sock, secure = self.tls.wrap_socket(sock, server_side=True), True
                lines = sock.makefile("rb")
            elif command.startswith(b"MAIL") and secure:
                return
            elif command == b"DATA":
                sock.sendall(b"354 go\r\n")
                while lines.readline().rstrip(b"\r\n") != b".":
                    pass
                self.taken.append(secure)
                sock.sendall(self.final.encode())
            elif command == b"QUIT":
                sock.sendall(b"221 bye\r\n")
                return
            else:
                sock.sendall(b"250 ok\r\n")


class Peers(World):
    def __init__(self, place):
        super().__init__(place)
        self.host = "192.0.2.1" if place.isolated else "127.0.0.1"
        if place.isolated:
            subprocess.run(["ip", "address", "add", self.host + "/32", "dev", "lo"], check=True)
        self.peer_ports = {name: 2700 + i if place.isolated else free_port() for i, name in enumerate(PEER_OPTIONS)}
        self.loopback = [] if place.isolated else ["--loopback"]
        self.sent = False
        self.make_known()
        self.forger = Rude(self.host, b"220 rude.example\r\n")
        self.dropper = Rude(self.host, b"220 rude.example\r\n", self.server_context(), "250 2.0.0 taken\r\n")
        self.write_services()

    def make_known(self):
        """A CA, and a certificate of it; the other peers have one that nobody signed."""
        tls = self.mta.tls

        def openssl(*words):
            subprocess.run(["openssl", *words], check=True, stdin=subprocess.DEVNULL, capture_output=True)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", tls + "/ca.key", "-out",
                tls + "/ca.crt", "-days", "30", "-subj", "/CN=Report CA", "-addext", "keyUsage=critical,keyCertSign")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", tls + "/known.key",
                "-out", tls + "/known.csr", "-subj", "/CN=" + HOST)
        with open(tls + "/known.ext", "w", encoding="ascii") as out:
            out.write(f"subjectAltName=DNS:{HOST}\n")
        openssl("x509", "-req", "-in", tls + "/known.csr", "-CA", tls + "/ca.crt", "-CAkey", tls + "/ca.key", "-CAcreateserial", "-out",
                tls + "/known.crt", "-days", "30", "-extfile", tls + "/known.ext")

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.mta.tls + "/server.crt", self.mta.tls + "/server.key")
        return context

    def write_services(self):
        words = {"tls": self.mta.tls, "folder": self.folder, "host": self.host, **self.peer_ports}
        lines = ["tlsproxy unix - - n - 0 tlsproxy"]
        for name, options in PEER_OPTIONS.items():
            lines += [f"{self.host}:{self.peer_ports[name]} inet n - n - - smtpd", f"  -o syslog_name=postfix/{name}",
                      f"  -o myhostname={name}.example", "  -o content_filter=virtual:",
                      "  -o mynetworks=127.0.0.0/8,192.0.2.0/24"]
            lines += ["  -o " + option.format(**words) for option in options]
        for name, options in CLIENT_OPTIONS.items():
            lines += [f"{name} unix - - n - - smtp", f"  -o syslog_name=postfix-{name}"]
            lines += ["  -o " + option.format(**words) for option in options]
        with open(os.path.join(self.mta.etc, "master.cf"), "a", encoding="ascii") as out:
            out.write("\n".join(lines) + "\n")
        with open(os.path.join(self.mta.etc, "main.cf"), "a", encoding="ascii") as out:
            # Not as -o of each client: tlsproxy dies where its own settings are others than its client's.
            out.write(f"smtp_tls_security_level = may\nsmtp_tls_loglevel = 1\nsmtp_tls_CAfile = {self.mta.tls}/ca.crt\n")
        routes = [f"{domain} {client}:[{self.host}]:{self.peer_ports[peer]}" for domain, (client, peer, _, _) in ROUTES.items()]
        routes += [f"keeps-first.example keeps:[{self.host}]:{self.peer_ports['new']}",
                   f"rude.example may:[{self.host}]:{self.forger.port}", f"drops.example may:[{self.host}]:{self.dropper.port}"]
        with open(os.path.join(self.mta.etc, "transport"), "a", encoding="ascii") as out:
            out.write("\n".join(routes) + "\n")

    def post(self, *recipients):
        outcome = self.send(None, None, letter(SENDER, recipients[0], token="laporan"), SENDER, recipients, port="inbound")
        suite.check(outcome.accepted, outcome)

    def wait_status(self, domain, status, count, seconds=60):
        pattern = re.compile(rf"smtp\[\d+\]: \w+: to=<[^>]*@{re.escape(domain)}>, .*?, status={status} ")
        deadline.until(f"{count} of {domain} {status}", lambda: len(pattern.findall(self.maillog())) >= count, seconds)

    def send_everything(self):
        """Once; each test then asks for another thing."""
        if self.sent:
            return
        for domain in FIRST.values():
            self.post(f"first@{domain}")
            self.wait_status(domain, "sent", 1)
        for domain, (_, _, n, _) in ROUTES.items():
            self.post(f"dua-a@{domain}", *([f"dua-b@{domain}"] if n > 1 else []))
            for i in range(n - 2):
                self.post(f"nomor{i}@{domain}")
        self.post("orang@rude.example")
        self.post("orang@drops.example")
        for domain, (_, _, n, status) in ROUTES.items():
            self.wait_status(domain, status, n + (domain == FIRST["may"]))
        self.wait_status("rude.example", "sent", 1)
        self.wait_status("drops.example", "sent", 1)
        self.sent = True

    def report(self, *options, log=None):
        done = subprocess.run([os.path.join(build_folder(), "segelctl"), "tls", "report", *self.loopback, *options, log or self.mta.log],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        suite.equal(done.returncode, 0, f"exit of tls report: {done.stderr.decode()}")
        return done.stdout.decode()

    def figures(self, *options, log=None):
        return json.loads(self.report("--json", *options, log=log))

    def seen_by_peers(self):
        """(domain, version, cipher) of each delivered copy, by the field that the last server wrote; None = in clear."""
        seen = collections.Counter()
        for message in self.mta.delivered():
            to = re.search(rb"^Delivered-To: [^@\n]*@(\S+)", message, re.M)[1].decode()
            field = re.search(rb"^Received:.*?(?=^\S)", message, re.M | re.S)[0].decode()
            using = re.search(r"using (\S+) with cipher (\S+)", field)
            seen[(to, *(using.groups() if using else (None, None)))] += 1
        return seen


def make_world(place):
    return Peers(place).start()


def by_domain(data):
    return {row["domain"]: row for row in data["sent"]}


@suite.test("the figures are those of the servers that took the mail")
def _(world):
    world.send_everything()
    seen = deadline.until("every copy in its mailbox", lambda: (lambda got: got if sum(got.values()) >= 34 else None)(world.seen_by_peers()))
    rows = by_domain(world.figures())
    for domain, (_, _, n, status) in ROUTES.items():
        if status != "sent" or domain == "silent.example":
            continue
        row = rows[domain]
        n += domain == FIRST["may"]
        versions, ciphers, clear = collections.Counter(), collections.Counter(), 0
        for (to, version, cipher), count in seen.items():
            if to == domain and version:
                versions[version] += count
                ciphers[cipher] += count
            elif to == domain:
                clear += count
        suite.equal(sum(versions.values()) + clear, n, f"copies that the peer of {domain} saw")
        suite.equal((row["delivered"], row["tls"], row["clear"], row["unknown"]), (n, n - clear, clear, 0), domain)
        suite.equal(row["versions"], dict(versions), f"versions of {domain}")
        suite.equal(row["ciphers"], dict(ciphers), f"ciphers of {domain}")


@suite.test("connections that are used again")
def _(world):
    world.send_everything()
    lines = [line for line in world.maillog().splitlines() if re.search(r"to=<\w+@(reused|kept)\.example>.*conn_use=[2-9]", line)]
    suite.check(any("reused.example" in line for line in lines) and any("kept.example" in line for line in lines),
                "Postfix used no connection again")
    suite.check("TLS connection reused to" in world.maillog(), "no session was used again")


@suite.test("levels are Postfix's own words")
def _(world):
    world.send_everything()
    rows = by_domain(world.figures())
    for domain, level, n in (("new.example", "untrusted", 6), ("nameless.example", "anonymous", 2), ("known.example", "trusted", 2),
                             ("sure.example", "verified", 2), ("old.example", "untrusted", 4)):
        wanted = {name: n if name == level else 0 for name in ("verified", "trusted", "untrusted", "anonymous")}
        suite.equal(rows[domain]["levels"], wanted, domain)


@suite.test("put off for the want of TLS, with the reason; refused for something else")
def _(world):
    world.send_everything()
    rows = by_domain(world.figures())
    for domain, reason in (("demanded.example", "TLS is required, but was not offered by host"),
                           ("stranger.example", "Server certificate not verified"),
                           ("unasked.example", "client TLS configuration problem")):
        row = rows[domain]
        suite.check(row["deferred_tls"] >= 1 and row["delivered"] == row["deferred"] == row["refused"] == 0, row)
        suite.check(row["last_tls_reason"].startswith(reason), row)
    row = rows["choosy.example"]
    suite.equal((row["delivered"], row["refused"], row["refused_tls"], row["last_tls_reason"]), (0, 2, 0, None), "choosy.example")


@suite.test("a service that logs no session says nothing: unknown, neither TLS nor clear")
def _(world):
    world.send_everything()
    row = by_domain(world.figures())["silent.example"]
    suite.equal((row["delivered"], row["tls"], row["clear"], row["unknown"]), (2, 0, 0, 2), "silent.example")
    suite.check("postfix-silent/smtp on mail logs no TLS session" in world.report(), "the report does not say so")
    row = by_domain(world.figures("--logged"))["silent.example"]
    suite.equal((row["clear"], row["unknown"]), (2, 0), "silent.example with --logged")


@suite.test("a session that broke, and its mail that went in clear then, is not TLS")
def _(world):
    world.send_everything()
    suite.equal(world.dropper.taken, [False], "how the dropper took it: in clear")
    log = [line for line in world.maillog().splitlines() if f":{world.dropper.port}" in line]
    suite.check(any("TLS connection established to" in line for line in log), "no TLS session with the dropper was logged")
    row = by_domain(world.figures())["drops.example"]
    suite.equal((row["delivered"], row["tls"]), (1, 0), "drops.example")


@suite.test("a reply that looks like a log line counts for nothing")
def _(world):
    world.send_everything()
    data = world.figures()
    rows = by_domain(data)
    suite.check("forged.example" not in rows, rows.get("forged.example"))
    row = rows["rude.example"]
    suite.equal((row["delivered"], row["tls"], row["clear"]), (1, 0, 1), "rude.example")
    suite.check("X" not in data["total"]["ciphers"], data["total"]["ciphers"])
    suite.equal(data["lines"]["unreadable"], 0, "lines that could not be read")


@suite.test("loopback is counted apart; a period and a domain are obeyed")
def _(world):
    world.send_everything()
    if world.loopback:
        return
    suite.check(world.figures()["lines"]["loopback"] > 0, "messages taken in over loopback")
    suite.equal(world.figures("--to", "2001-01-01")["total"]["delivered"], 0, "delivered before 2001")
    suite.equal([row["domain"] for row in world.figures("--domain", "Old.Example")["sent"]], ["old.example"], "--domain")


@suite.test("mail taken in, by service")
def _(world):
    world.send_everything()
    services = {row["service"]: row for row in world.figures("--loopback")["services"] if row["direction"] == "in"}
    suite.equal(services["postfix/old/smtpd"]["versions"], {"TLSv1.2": services["postfix/old/smtpd"]["messages"]}, "peer old")
    suite.equal(services["postfix/plain/smtpd"]["unknown"], services["postfix/plain/smtpd"]["messages"],
                "peer plain has logged no session")


@suite.test("other stamps and names: the same figures")
def _(world):
    world.send_everything()
    wanted = world.figures()
    lines = world.maillog().splitlines()
    stamp = re.compile(r"^\w{3} [ \d]\d (\d\d:\d\d:\d\d) ")
    day = wanted["first"][:10]

    def rewritten(name, change):
        path = world.path(name)
        with open(path, "w", encoding="utf-8") as out:
            out.write("".join(change(line) + "\n" for line in lines))
        return world.figures(log=path)
    iso = rewritten("iso.log", lambda line: stamp.sub(lambda m: f"{day}T{m[1]}.123456+00:00 ", line))
    for key in ("sent", "total"):
        suite.equal(iso[key], wanted[key], f"{key} with RFC 3339 stamps")
    named = rewritten("named.log", lambda line: line.replace(" postfix", " mx-2/postfix", 1))
    suite.equal(named["total"], wanted["total"], "total with another syslog_name")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
