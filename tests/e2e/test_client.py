"""segelctl tls client-map with a real Postfix: who comes in with which client certificate.

The table is made by the very lines of contrib/systemd/segel-client-map.service.in, as root without
capabilities; openssl says what a fingerprint is, and postmap what Postfix finds in the table.
"""

import os
import re
import shlex
import subprocess
import sys

import client
import deadline
import suite
from gateway import TOP, Gateway
from place import MILTER_UID
from world import OWN_DOMAIN, World, free_port, letter

SENDER = "sistem@mitra.example"
SITI = f"siti@{OWN_DOMAIN}"
FAR = "orang@jauh.example"
UNIT = os.path.join(TOP, "contrib/systemd/segel-client-map.service.in")
UNIT_FOLDER = "/var/lib/segel/client-map"


class Clients(Gateway):
    """Registry and Postfix; no daemons of ours."""

    def __init__(self, place):
        super().__init__(place, [])
        for i, name in enumerate(("listed", "relay")):
            self.mta.ports[name] = 2801 + i if place.isolated else free_port()
        self.maps = self.path("client-map")
        os.makedirs(self.maps)

    def write_services(self):
        tls = "  -o smtpd_tls_security_level=encrypt\n  -o smtpd_tls_ask_ccert=yes\n  -o smtpd_tls_fingerprint_digest=sha256\n"
        with open(os.path.join(self.mta.etc, "master.cf"), "a", encoding="ascii") as out:
            out.write(f"127.0.0.1:{self.mta.ports['listed']} inet n - n - - smtpd\n{tls}"
                      f"  -o smtpd_client_restrictions=check_ccert_access,hash:{self.maps}/ccert,reject\n"
                      f"127.0.0.1:{self.mta.ports['relay']} inet n - n - - smtpd\n{tls}"
                      f"  -o relay_clientcerts=hash:{self.maps}/relay\n"
                      "  -o smtpd_relay_restrictions=permit_tls_clientcerts,reject_unauth_destination\n")

    def make(self):
        super().make()
        self.must("domain", "add", "mitra.example", "--kind", "partner")
        self.certs = {name: self.authority.issue(name, "server.mitra.example", [f"{name}@mitra.example"])
                      for name in ("first", "second", "stranger")}
        for name in ("first", "second"):
            self.must("cert", "import", self.certs[name].cert, "--kind", "sistem")
            self.must("bind", "add", self.certs[name].sha256, "--purpose", "client", "--domain", "mitra.example")
        self.write_services()
        self.make_maps()
        return self

    def start(self):
        return World.start(self)

    def stop(self):
        self.mta.stop()

    def run_unit(self):
        """The unit's ExecStart lines, one after the other as systemd does; what each ended with."""
        words = {"@BINDIR@": self.build, UNIT_FOLDER: self.maps, "/usr/sbin/postmap": self.mta.programs.command + "/postmap",
                 "segelctl tls": f"segelctl -c {self.config} tls"}
        with open(UNIT, encoding="ascii") as lines:
            commands = re.findall(r"^ExecStart=(.*)$", lines.read(), re.M)
        suite.equal(len(commands), 2, "ExecStart lines")
        done = []
        for command in commands:
            for old, new in words.items():
                command = command.replace(old, new)
            suite.check("$" not in command, f"systemd would put its own values in place of: {command}")
            done.append(subprocess.run(["setpriv", "--bounding-set=-all", "--inh-caps=-all", f"--groups={MILTER_UID}", "--", *shlex.split(command)],
                                       env={**self.mta.programs.env, "MAIL_CONFIG": self.mta.etc}, stdin=subprocess.DEVNULL,
                                       capture_output=True, timeout=60))
            if done[-1].returncode:
                break
        return done

    def make_maps(self):
        for done in self.run_unit():
            suite.equal(done.returncode, 0, f"the unit: {done.stderr.decode()}")
        self.must("tls", "client-map", "--format", "relay", "--output", self.maps + "/new")
        subprocess.run([self.mta.programs.command + "/postmap", "hash:" + self.maps + "/new"], check=True, stdin=subprocess.DEVNULL,
                       env={**self.mta.programs.env, "MAIL_CONFIG": self.mta.etc})
        os.rename(self.maps + "/new.db", self.maps + "/relay.db")

    def found(self, name, table="ccert"):
        """What Postfix's own tool finds behind openssl's fingerprint of a certificate."""
        shown = subprocess.run(["openssl", "x509", "-in", self.certs[name].cert, "-noout", "-fingerprint", "-sha256"], check=True,
                               capture_output=True, stdin=subprocess.DEVNULL).stdout.decode()
        asked = subprocess.run([self.mta.programs.command + "/postmap", "-q", shown.strip().partition("=")[2], f"hash:{self.maps}/{table}"],
                               env={**self.mta.programs.env, "MAIL_CONFIG": self.mta.etc}, stdin=subprocess.DEVNULL, capture_output=True)
        return asked.stdout.decode().strip()

    def post(self, name, to=SITI, port="listed"):
        """One message by a client with this certificate; None: without one."""
        context = client.any_server()
        if name:
            context.load_cert_chain(self.certs[name].cert, self.certs[name].key, self.passphrase)
        with self.session(port=port, context=context) as session:
            suite.check(session.good, [str(reply) for reply in session.replies])
            outcome = session.send(SENDER, [to], letter(SENDER, to, token="klien"))
            session.quit()
            return outcome

    @property
    def passphrase(self):
        with open(self.authority.passphrase_file, encoding="utf-8") as text:
            return text.read().strip()

    def wait_outcome(self, name, wanted, **options):
        """Postfix's processes notice a new table between two connections, each for itself."""
        def probe():
            outcome = self.post(name, **options)
            return outcome if wanted(outcome) else None
        return deadline.until(f"another answer to {name}", probe)


def make_world(place):
    return Clients(place).make().start()


def refused(*words):
    return lambda outcome: not outcome.accepted and outcome.last.says("554", *words)


@suite.test("a certificate on the map is let in")
def _(world):
    suite.equal(world.found("first"), "OK", "in the table")
    outcome = world.post("first")
    suite.check(outcome.accepted, outcome)


@suite.test("another certificate of the same name and the same authority is not")
def _(world):
    suite.equal(world.found("stranger"), "", "in the table")
    outcome = world.post("stranger")
    suite.check(refused()(outcome), outcome)


@suite.test("without a certificate nobody is")
def _(world):
    outcome = world.post(None)
    suite.check(refused()(outcome), outcome)


@suite.test("relaying: the same three")
def _(world):
    suite.check(world.post("first", to="x@example.org", port="relay").accepted, "the listed one may not relay")
    for name in ("stranger", None):
        outcome = world.post(name, to="x@example.org", port="relay")
        suite.check(refused("Relay access denied")(outcome), outcome)


@suite.test("held: refused with the next table, and told why; the other one still comes in")
def _(world):
    world.must("cert", "hold", world.certs["first"].sha256, "--reason", "dilaporkan hilang")
    suite.check(world.post("first").accepted, "refused before the table was made: by what?")
    world.make_maps()
    world.wait_outcome("first", refused("sedang ditahan oleh OP", "on hold"))
    suite.check("hilang" not in str(world.post("first")), "what was reported is the OP's business")
    suite.equal(world.found("first", "relay"), "", "in the relay table")
    world.wait_outcome("first", refused("Relay access denied"), to="x@example.org", port="relay")
    suite.check(world.post("second").accepted, "the other certificate")


@suite.test("the hold is lifted: let in again")
def _(world):
    world.must("cert", "unhold", world.certs["first"].sha256, "--reason", "ditemukan")
    world.make_maps()
    world.wait_outcome("first", lambda outcome: outcome.accepted)


@suite.test("changed twice within a second: each change counts with the next connection")
def _(world):
    for verb, wanted in (("hold", refused("on hold")), ("unhold", lambda outcome: outcome.accepted)) * 3:
        world.must("cert", verb, world.certs["second"].sha256, "--reason", "uji")
        world.make_maps()
        outcome = world.post("second")
        suite.check(wanted(outcome), f"after cert {verb}: {outcome}")


@suite.test("nothing has changed: neither table nor database is written")
def _(world):
    world.make_maps()
    before = [os.stat(f"{world.maps}/{name}").st_mtime_ns for name in ("ccert", "ccert.db")]
    done = world.run_unit()
    suite.check(b"unchanged" in done[0].stdout and done[1].returncode == 0, done)
    suite.equal([os.stat(f"{world.maps}/{name}").st_mtime_ns for name in ("ccert", "ccert.db")], before, "times")


@suite.test("postmap did not come to its end: it does the next time")
def _(world):
    os.unlink(world.maps + "/ccert.db")
    suite.equal([done.returncode for done in world.run_unit()], [0, 0], "exits")
    suite.equal(world.found("first"), "OK", "in the table")


@suite.test("the registry is gone: exit 4, the old table stays, postmap is not called")
def _(world):
    before = os.stat(world.maps + "/ccert.db").st_mtime_ns
    os.rename(world.registry, world.registry + ".gone")
    try:
        suite.equal([done.returncode for done in world.run_unit()], [4], "exits")
    finally:
        os.rename(world.registry + ".gone", world.registry)
    suite.equal(os.stat(world.maps + "/ccert.db").st_mtime_ns, before, "time of the database")
    suite.check(world.post("first").accepted, "let in by the old table")


@suite.test("revoked: refused for ever")
def _(world):
    world.must("cert", "revoke", world.certs["first"].sha256, "--reason", "KUNCI_BOCOR")
    world.make_maps()
    world.wait_outcome("first", refused("sudah dicabut", "revoked"))


@suite.test("the partner's registration ends: so does its client's")
def _(world):
    world.must("domain", "end", "mitra.example", "--reason", "kerja sama berakhir")
    world.make_maps()
    world.wait_outcome("second", refused("sudah berakhir", "no longer registered"))


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
