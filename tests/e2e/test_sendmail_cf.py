#!/usr/bin/python3
"""segelctl check mta --sendmail, against Sendmail itself: one line changed, what Sendmail then does, and what we say.

The file is made by m4 from the documented lines. Sendmail speaks SMTP on its standard input (-bs), so nobody
listens anywhere, and no filter runs: what a mail meets is what the file says of a filter that is away.
"""

import json
import os
import subprocess
import sys

import sendmail
import suite
from gateway import build_folder
from suite import check, equal, test

MC = """\
divert(0)dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `mail.kota.example')dnl
define(`QUEUE_DIR', `{folder}/queue')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
define(`confTO_IDENT', `0s')dnl
define(`confSERVICE_SWITCH_FILE', `{folder}/service.switch')dnl
{documented}
MAILER(`smtp')dnl
"""

FILTER = ", F=T, T=C:30s;S:30s;R:60s;E:5m"

# lines behind the socket of filter segel: (what Sendmail does while it is away, what we say of the file)
AWAY = {
    FILTER: ("defers", None),
    ", F=TR": ("defers", None),
    ",\n\tF=T": ("defers", None),
    ", Flags=T": ("defers", None),
    ", F=4": ("hangs up", "filter-drops"),
    ", F=R4": ("hangs up", "filter-drops"),
    ", F=R": ("refuses", "default-action"),
    ", T=R:60s": ("lets it pass", "default-action"),
    ", F=t": ("lets it pass", "default-action"),
    ", T=R:60s # , F=T": ("lets it pass", "default-action"),
    "#, F=T": ("lets it pass", "default-action"),
}

# changes of files of TLS: (is STARTTLS offered, what we say)
TLS = {
    "nothing": (lambda world: None, True, None),
    "a key that its group may read": (lambda world: os.chmod(world.path("tls/server.key"), 0o640), False, "tls-file"),
    "a key that everybody may read": (lambda world: os.chmod(world.path("tls/server.key"), 0o604), False, "tls-file"),
    "a certificate that everybody may change": (lambda world: os.chmod(world.path("tls/server.crt"), 0o646), False, "tls-file"),
    "a folder that its group may change": (lambda world: os.chmod(world.path("tls"), 0o775), False, "tls-file"),
    "no certificate": (lambda world: os.remove(world.path("tls/server.crt")), False, "tls-file"),
}


class World:
    def __init__(self, place):
        self.folder = place.folder
        for name in ("queue", "tls", "submission", "inbound"):
            os.makedirs(self.path(name), exist_ok=True)
            os.chmod(self.path(name), 0o755 if name == "tls" else 0o750)
        self.write("service.switch", "hosts files\naliases files\n")
        self.write("segel.conf", "".join(f'{role}: {{ socket = "{self.socket(role)}"; }};\n' for role in ("submission", "inbound")))
        documented = sendmail.documented_lines("segel.m4", {
            sendmail.DOCUMENTED_SOCKET: self.socket("submission"), sendmail.DOCUMENTED_TLS: self.path("tls/"),
            "/etc/ssl/certs/ca-certificates.crt": self.path("tls/server.crt"), "`/etc/ssl/certs'": f"`{self.path('tls')}'"})
        documented += sendmail.documented_lines("inbound.m4", {sendmail.DOCUMENTED_SERVER[0]: self.socket("inbound")})
        sendmail.make_cf(MC.format(folder=self.folder, documented=documented), self.path("made.cf"))
        self.made = sendmail.read(self.path("made.cf"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def socket(self, role):
        return self.path(f"{role}/milter.sock")

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)

    def make_tls(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
                        "-days", "2", "-keyout", self.path("tls/server.key"), "-out", self.path("tls/server.crt")],
                       check=True, capture_output=True)
        os.chmod(self.path("tls"), 0o755)
        os.chmod(self.path("tls/server.key"), 0o600)
        os.chmod(self.path("tls/server.crt"), 0o644)

    def write_cf(self, rest=FILTER):
        """The filter's line ends with `rest`. On its standard input Sendmail has the global filters."""
        line = f"Xsegel, S=local:{self.socket('submission')}"
        check(line + FILTER in self.made, "the documented filter is not in the file that m4 made")
        self.write("sendmail.cf", self.made.replace(line + FILTER, line + rest) + "O InputMailFilters=segel\n")

    def speak(self, *commands):
        """The replies: to the greeting, and to each command."""
        process = subprocess.Popen([*sendmail.program(), f"-C{self.path('sendmail.cf')}", "-bs"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=sendmail.environment(), cwd="/")
        replies = [reply(process.stdout)]
        for command in commands:
            if not replies[-1]:
                break
            try:
                process.stdin.write(command.encode() + b"\r\n")
                process.stdin.flush()
            except BrokenPipeError:
                break
            replies.append(reply(process.stdout))
        process.communicate(timeout=60)
        return replies

    def findings(self):
        done = subprocess.run([os.path.join(build_folder(), "segelctl"), "-c", self.path("segel.conf"), "check", "mta",
                               "--sendmail", self.path("sendmail.cf"), "--json"], capture_output=True, timeout=60)
        check(done.returncode in (0, 1), done)
        return json.loads(done.stdout)

    def stop(self):
        pass

    def maillog(self):
        return ""


def reply(stream):
    """One reply of all its lines; "" at the end."""
    lines = []
    for line in stream:
        lines.append(line.decode("utf-8", "replace"))
        if line[3:4] != b"-":
            break
    return "".join(lines)


def met(replies):
    """What mail meets, in a word."""
    if replies[0].startswith("421"):
        return "hangs up"
    codes = {text[:3] for text in replies[2:] if text}
    if "451" in codes:
        return "defers"
    if replies[0].startswith("554") and "550" in codes:
        return "refuses"
    return "lets it pass" if replies[2].startswith("250") else "".join(replies)


def add_away():
    for rest, (wanted, said) in AWAY.items():
        def run(world, rest=rest, wanted=wanted, said=said):
            world.make_tls()
            world.write_cf(rest)
            replies = world.speak("EHLO klien.example", "MAIL FROM:<budi@[127.0.0.1]>", "QUIT")
            equal(met(replies), wanted, "Sendmail")
            found = {finding["id"] for finding in world.findings()["findings"] if finding["where"] == "Xsegel"}
            equal(found & {"default-action", "filter-drops"}, {said} - {None}, "segelctl")
        test(f"the filter is away, its line ends with {rest!r}: Sendmail {wanted}")(run)


def add_tls():
    for name, (change, wanted, said) in TLS.items():
        def run(world, change=change, wanted=wanted, said=said):
            world.make_tls()
            world.write_cf()
            change(world)
            offered = "STARTTLS" in world.speak("EHLO klien.example", "QUIT")[1]
            equal(offered, wanted, "STARTTLS offered")
            found = {finding["id"] for finding in world.findings()["findings"] if finding["id"].startswith("tls-")}
            equal(found, {said} - {None}, "segelctl")
        test(f"TLS: {name}")(run)


add_away()
add_tls()


@test("the documented lines are not refused")
def _(world):
    world.make_tls()
    world.write_cf()
    report = world.findings()
    equal(report["refuse"], 0, json.dumps(report["findings"], indent=1))


if __name__ == "__main__":
    sys.exit(sendmail.main(World))
