#!/usr/bin/python3
"""segelctl check mta --live: what a real Postfix gives a client without TLS and without a login, and what odd servers get."""

import concurrent.futures
import contextlib
import functools
import json
import os
import socket
import ssl
import subprocess
import sys
import threading

import suite
from gateway import Account, Gateway
from mta import documented_options
from suite import check, equal, test
from world import OTHER_DOMAIN, free_port

BUDI = Account("budi")
PROBE = f"admin@{OTHER_DOMAIN}"
NOBODY = "192.0.2.255/32"  # a network that this machine is not in
FORMS = ["<LF>.<LF>", "<CR><LF>.<LF>", "<LF>.<CR><LF>"]

# name: (port, the service's lines; {documented}, {server} = those of contrib/postfix)
SERVICES = {
    "documented": (2649, "{documented}"),
    "strict": (2650, "{documented}\n{modern}"),
    "wrapped": (2651, "{documented}\n{modern}\n  -o smtpd_tls_security_level=\n  -o smtpd_tls_wrappermode=yes"),
    "lax": (2652, "{modern}\n  -o smtpd_tls_security_level=may\n  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_tls_auth_only=no"),
    "normalize": (2653, "{server}\n{modern}\n{outside}\n  -o smtpd_forbid_bare_newline=normalize"),
    "reject": (2654, "{server}\n{modern}\n{outside}\n  -o smtpd_forbid_bare_newline=reject"),
    "yes": (2655, "{server}\n{modern}\n{outside}\n  -o smtpd_forbid_bare_newline=yes"),
    "no": (2656, "{server}\n{modern}\n{outside}\n  -o smtpd_forbid_bare_newline=no"),
    "excluding": (2657, "{server}\n{modern}\n  -o smtpd_forbid_bare_newline=normalize"),
    "plain": (2658, "{server}\n{outside}\n  -o smtpd_tls_security_level=none"),
    "old": (2660, "{documented}\n  -o smtpd_tls_mandatory_protocols=>=TLSv1"),
    "open": (2659, "{server}\n{modern}\n{outside}\n  -o smtpd_relay_restrictions=permit_inet_interfaces,reject_unauth_destination"),
}
MODERN = "  -o smtpd_tls_protocols=>=TLSv1.2\n  -o smtpd_tls_mandatory_protocols=>=TLSv1.2"
OUTSIDE = f"  -o mynetworks={NOBODY}\n  -o smtpd_forbid_bare_newline_exclusions="


class Live(Gateway):
    def __init__(self, place):
        super().__init__(place, [BUDI], roles=("submission", "inbound"))
        lines = {"documented": documented_options("master.cf", "submission", "submission", self.mta.sockets),
                 "server": documented_options("inbound.cf", "smtp", "inbound", self.mta.sockets),
                 "modern": MODERN, "outside": OUTSIDE}
        self.services = {}
        for name, (port, options) in SERVICES.items():
            self.services[name] = port if place.isolated else free_port()
            with open(os.path.join(self.mta.etc, "master.cf"), "a", encoding="ascii") as master:
                master.write(f"127.0.0.1:{self.services[name]} inet n - n - - smtpd\n{options.format(**lines)}\n")

    def ask(self, *options):
        """Exit code and report."""
        answer = self.segelctl("check", "mta", "--postfix", self.mta.etc, "--postconf", self.postconf_program, "--live", *options, "--json")
        check(answer.code in (0, 1), answer)
        return answer.code, json.loads(answer.out)

    @functools.cached_property
    def postconf_program(self):
        """The unpacked one needs its library."""
        program = self.mta.programs.command + "/postconf"
        if not self.mta.programs.unpacked:
            return program
        path = self.path("postconf-live")
        with open(path, "w", encoding="ascii") as script:
            script.write(f'#!/bin/sh\nLD_LIBRARY_PATH={self.mta.programs.lib} exec {program} "$@"\n')
        os.chmod(path, 0o755)
        return path

    @functools.cached_property
    def quiet(self):
        """Every listener of the configuration, nothing sent."""
        return self.ask()[1]

    @functools.cached_property
    def probed(self):
        names = ("strict", "wrapped", "normalize", "reject", "yes", "no", "excluding")
        return self.ask("--at", *(f"127.0.0.1:{self.services[name]}" for name in names), "--probe", PROBE)[1]

    def at(self, port, *options):
        """The one listener on this port: what it said, and its findings by id."""
        code, report = self.ask("--at", f"127.0.0.1:{port}", *options)
        [view] = report["live"]
        return view, severities(report, port), code

    def view(self, report, name):
        [view] = [view for view in report["live"] if view["port"] == str(self.services[name])]
        return view

    def found(self, report, name):
        return severities(report, self.services[name])


def severities(report, port):
    return {finding["id"]: finding["severity"] for finding in report["findings"]
            if finding["id"].startswith("live-") and is_at(finding, port)}


def is_at(finding, port):
    """The same finding at several listeners is one."""
    return any(where.endswith(f"port {port}") for where in finding["where"].split(", "))


def make_world(place):
    return Live(place).make().start()


def codes(session, *names):
    return tuple((session[name] or "-")[:3] for name in names)


# --- a real Postfix ---

@test("the documented submission service: nothing without TLS, nobody outside without a login, nothing found")
def _(world):
    view = world.view(world.quiet, "strict")
    equal((view["clear"]["starttls"], view["clear"]["auth"]), (True, False), "keywords without TLS")
    equal(codes(view["clear"], "own_mail", "mail"), ("530", "530"), "without TLS")
    equal((view["version"], view["secure"]["auth"], view["old_tls"]), ("TLSv1.3", True, "no"), "TLS")
    check(view["secure"]["mail"][0] == "5" or view["secure"]["rcpt_outside"][0] == "5", view)
    equal((view["starttls_tail"], view["starttls_carried"], view["bare_newlines"]), (0, "no", "not tried"), "the rest")
    equal(world.found(world.quiet, "strict"), {}, "findings")


@test("TLS from the first byte: asked in TLS only, nothing found")
def _(world):
    view = world.view(world.quiet, "wrapped")
    equal((view["clear"], view["version"], view["secure"]["auth"], view["old_tls"]), (None, "TLSv1.3", True, "no"), "view")
    check(view["banner"].startswith("220 "), view)
    equal(world.found(world.quiet, "wrapped"), {}, "findings")


@test("the documented inbound service: our own domain is refused without TLS, others are not, nobody is relayed for")
def _(world):
    view = world.view(world.quiet, "normalize")
    equal(codes(view["clear"], "own_mail", "mail", "rcpt_outside"), ("530", "250", "554"), "without TLS")
    equal(codes(view["secure"], "own_mail", "own_rcpt_outside", "own_rcpt_own", "rcpt_outside"), ("250", "554", "250", "554"), "with TLS")
    equal(world.found(world.quiet, "normalize"), {}, "findings")


@test("the lax service: AUTH and MAIL without TLS, and relaying by address")
def _(world):
    equal(world.found(world.quiet, "lax"), {"live-clear-auth": "refuse", "live-clear-mail": "refuse", "live-clear-official": "refuse",
                                            "live-relay-here": "warn"}, world.view(world.quiet, "lax"))
    [mend] = [finding["mend"] for finding in world.quiet["findings"]
              if finding["id"] == "live-clear-auth" and is_at(finding, world.services["lax"])]
    check(f"127.0.0.1:{world.services['lax']}/inet/smtpd_tls_auth_only=yes" in mend, mend)


@test("no TLS at all")
def _(world):
    equal(world.found(world.quiet, "plain"), {"live-no-tls": "refuse"}, "findings")


@test("relaying without a login, for clients that the settings do not seem to let in")
def _(world):
    equal(world.found(world.quiet, "open"), {"live-relay": "refuse"}, world.view(world.quiet, "open"))


def takes_tls11(world, name):
    """By OpenSSL's own client."""
    done = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0",
                           "-connect", f"127.0.0.1:{world.services[name]}"], input=b"QUIT\r\n", capture_output=True, timeout=60)
    return b"Cipher is (NONE)" not in done.stdout and b"TLSv1.1" in done.stdout


@test("TLS 1.1: taken where the settings do not exclude it, as openssl s_client sees it too")
def _(world):
    for name, answer, found in (("old", "yes", {"live-old-tls": "warn"}), ("documented", "no", {}), ("strict", "no", {})):
        equal((world.view(world.quiet, name)["old_tls"], takes_tls11(world, name)), (answer, answer == "yes"), name)
        equal(world.found(world.quiet, name), found, name)


@test("without --probe nothing is sent: no queue file, nothing delivered")
def _(world):
    before = len(world.maillog())
    world.ask("--at", *(f"127.0.0.1:{port}" for port in world.services.values()))
    world.wait_idle()
    check("message-id=" not in world.maillog()[before:], world.maillog()[before:])
    equal(list(world.mta.delivered()), [], "delivered")


@test("bare newlines: yes, normalize and reject end nothing, in all three forms")
def _(world):
    for name in ("yes", "normalize", "reject"):
        view = world.view(world.probed, name)
        equal([(probe["bytes"], probe["ends_message"], probe["replies"]) for probe in view["probes"]],
              [(form, "no", 1) for form in FORMS], name)
        equal((view["bare_newlines"], world.found(world.probed, name)), ("end nothing", {}), name)


@test("bare newlines: no is found, in all three forms")
def _(world):
    view = world.view(world.probed, "no")
    equal([(probe["ends_message"], probe["replies"] > 1) for probe in view["probes"]], [("yes", True)] * 3, "probes")
    equal(world.found(world.probed, "no"), {"live-bare-newline": "refuse"}, "findings")


@test("bare newlines: a client in the exclusions may, and that is said")
def _(world):
    equal(world.view(world.probed, "excluding")["bare_newlines"], "end a message", "view")
    found = world.found(world.probed, "excluding")
    check(found.get("live-bare-newline-here") == "warn" and "live-bare-newline" not in found, found)


@test("bare newlines: a service for users takes no message without a login, and needs no verdict")
def _(world):
    for name in ("strict", "wrapped"):
        view = world.view(world.probed, name)
        check(all(probe["first"][0] == "5" for probe in view["probes"]), view)
        equal((view["bare_newlines"], world.found(world.probed, name)), ("unknown", {}), name)


@test("what was delivered is what was announced: to the named mailbox, marked as a test, one a taken probe")
def _(world):
    taken = sum(bool(probe["first"]) and probe["first"].startswith("250") for view in world.probed["live"] for probe in view["probes"])
    check(taken >= 12, taken)
    world.wait_delivered(PROBE, b"Subject: Test by segelctl check mta", count=taken)
    world.wait_idle()
    messages = list(world.mta.delivered())
    equal(len(messages), taken, "delivered at all")
    for message in messages:
        check(b"\nDelivered-To: " + PROBE.encode() + b"\n" in b"\n" + message, message)
        check(b"Subject: Test by segelctl check mta" in message and b"It may be deleted." in message, message)
        check(b"\nFrom: segelctl <segelctl@check.invalid>" in message, message)


# --- odd servers ---

class Odd:
    """A listener that talks as it is told: serve(connection), once for each client."""

    def __init__(self, serve):
        self.serve = serve
        self.clients = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.clients += 1
                threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection):
        with contextlib.suppress(OSError), connection:
            connection.settimeout(60)
            self.serve(connection)

    def __enter__(self):
        return self

    def __exit__(self, *_failure):
        self.socket.close()


def dialogue(connection, answers, default=b"502 5.5.2 unknown\r\n"):
    """Answers each line by its first word until the client closes; returns after an answer that is None."""
    lines = connection.makefile("rb")
    while line := lines.readline():
        word = line.split()[0].upper().decode() if line.split() else ""
        answer = answers.get(word, default)
        if answer is None:
            return lines
        connection.sendall(answer)
        if word == "QUIT":
            return None
    return None


PLAIN = {"EHLO": b"250-odd\r\n250 8BITMIME\r\n", "MAIL": b"250 ok\r\n", "RCPT": b"554 no\r\n", "RSET": b"250 ok\r\n",
         "NOOP": b"250 ok\r\n", "QUIT": b"221 bye\r\n"}


def silent(world, serve, *words, clients=1):
    with Odd(serve) as odd:
        view, found, code = world.at(odd.port)
        equal((found.get("live-silent"), code), ("refuse", 1), "found")
        check(all(word in view["trouble"] for word in words), view["trouble"])
        equal(odd.clients, clients, "asked only once")


@test("nobody there, a server that never answers, closes, or is too busy; a banner that is endless, drips, or is none")
def _(world):
    def endless(connection):
        while True:
            connection.sendall(b"220-more\r\n" * 100)

    def dripping(connection):
        connection.settimeout(0.5)
        while True:
            connection.sendall(b"2")
            with contextlib.suppress(TimeoutError):
                if not connection.recv(1):
                    return

    view, found, code = world.at(free_port())
    check(found.get("live-silent") == "refuse" and code == 1 and "no connection" in view["trouble"], view)
    # Side by side: two of them are waited for until the time is over.
    servers = ((lambda connection: connection.recv(1), "no whole answer within 10000 ms"), (dripping, "no whole answer within 10000 ms"),
               (lambda connection: None, "closed the connection"),
               (lambda connection: connection.sendall(b"421 too busy\r\n"), "421", "wanted 220"),
               (endless, "more than 200 lines"), (lambda connection: connection.sendall(b"2" * 100000), "longer than 1024 bytes"),
               (lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "no reply code"),
               (lambda connection: connection.sendall(b"220 od\0d\r\n"), "control character"),
               (lambda connection: connection.sendall(b"220 odd\n220 odd\r\n"), "bare LF"))
    with concurrent.futures.ThreadPoolExecutor(len(servers)) as pool:
        for done in [pool.submit(silent, world, *server) for server in servers]:
            done.result()


@test("control characters of a server never reach the terminal")
def _(world):
    def serve(connection):
        connection.sendall(b"220 odd\r\n")
        dialogue(connection, {**PLAIN, "RCPT": b"250 \xff\xfe\xc2\x9b31m\r\n"})
    with Odd(serve) as odd:
        answer = world.segelctl("check", "mta", "--postfix", world.mta.etc, "--postconf", world.postconf_program, "--live",
                                "--at", f"127.0.0.1:{odd.port}")
        equal(answer.code, 1, "exit")
        check("live-relay-here" in answer.out and "\\xFF" in answer.out and "\x9b" not in answer.out and "\ufffd" not in answer.out, answer.out)
        check("bare newlines were not tried: --probe" in answer.out, answer.out)


def secure(world, connection, answers, extra=b"", lenient=False):
    """STARTTLS with `extra` behind its reply; lenient: what came in clear behind STARTTLS is answered inside TLS."""
    connection.sendall(b"220 odd\r\n")
    received = b""
    while b"STARTTLS\r\n" not in received:
        block = connection.recv(1024)
        if not block:
            return
        received += block
        for word in ("EHLO", "MAIL", "RCPT", "RSET", "QUIT"):
            if block.startswith(word.encode()):
                connection.sendall(b"250-odd\r\n250 STARTTLS\r\n" if word == "EHLO" else answers[word])
    connection.sendall(b"220 go\r\n" + extra)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world.mta.tls + "/server.crt", world.mta.tls + "/server.key")
    with contextlib.suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as inside:
        if lenient and received.endswith(b"NOOP\r\n"):
            inside.sendall(b"250 ok\r\n")
        dialogue(inside, answers)


@test("STARTTLS: what comes in clear behind the reply is dropped, and found")
def _(world):
    with Odd(lambda connection: secure(world, connection, PLAIN)) as odd:
        view, found, _ = world.at(odd.port)
        equal((view["starttls_tail"], view["starttls_carried"], found), (0, "no", {}), "a good server")
    with Odd(lambda connection: secure(world, connection, PLAIN, extra=b"250-odd\r\n250 AUTH PLAIN\r\n")) as odd:
        view, found, _ = world.at(odd.port)
        equal((view["secure"]["auth"], view["version"]), (False, "TLSv1.3"), "believed")
        check(view["starttls_tail"] > 0 and found == {"live-starttls-tail": "refuse"}, (view, found))


@test("STARTTLS: a command in clear that is carried out inside TLS is found")
def _(world):
    with Odd(lambda connection: secure(world, connection, PLAIN, lenient=True)) as odd:
        view, found, _ = world.at(odd.port)
        equal((view["starttls_carried"], found), ("yes", {"live-starttls-carried": "refuse"}), "found")


@test("STARTTLS: offered, and no TLS behind it")
def _(world):
    def serve(connection):
        connection.sendall(b"220 odd\r\n")
        dialogue(connection, {**PLAIN, "EHLO": b"250-odd\r\n250 STARTTLS\r\n", "STARTTLS": b"454 not now\r\n"})
    with Odd(serve) as odd:
        view, found, _ = world.at(odd.port)
        check("454 not now" in view["tls_trouble"], view)
        equal(found, {"live-tls-fails": "refuse"}, "found")


# --- words ---

@test("--at and --probe that are none, or without --live")
def _(world):
    for options, said in ((("--live", "--at", "127.0.0.1"), "wanted HOST:PORT"), (("--live", "--at", ":25"), "wanted HOST:PORT"),
                          (("--live", "--at", "::1:25"), "brackets"), (("--live", "--at", "localhost:nosuchport"), "no port"),
                          (("--at", "127.0.0.1:25"), "only with --live"), (("--probe", PROBE), "only with --live"),
                          (("--live", "--probe", "siti> SIZE=1"), "plain address"), (("--live", "--probe", "a@b@c"), "plain address"),
                          (("--live", "--probe", "siti"), "plain address"), (("--live", "--probe", "a@b\r\nDATA"), "plain address")):
        answer = world.segelctl("check", "mta", "--postfix", world.mta.etc, "--postconf", world.postconf_program, *options)
        check(answer.code == 2 and said in answer.err, f"{options}: {answer}")


@test("a registry that cannot be read: the listeners are asked all the same, our own domain is not")
def _(world):
    answer = world.segelctl("--registry", world.path("none.db"), "check", "mta", "--postfix", world.mta.etc,
                            "--postconf", world.postconf_program, "--live", "--at", f"127.0.0.1:{world.services['plain']}", "--json")
    [view] = json.loads(answer.out)["live"]
    equal((view["clear"]["own_mail"], view["clear"]["mail"][:3]), (None, "250"), "asked")
    equal(view["clear"]["own_rcpt_own"], None, "asked")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
