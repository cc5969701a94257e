"""sendmail: one private Sendmail 8.17, unpacked from Debian's packages, beside the world's Postfix.

    submission   STARTTLS and SASL, with the filter under test; lenient, so that the filter must be strict
    documented   the submission service exactly as contrib/sendmail/segel.m4 has it
    server       the port for other servers as contrib/sendmail/inbound.m4 has it, where the world has role inbound
    egress       the way out as contrib/sendmail/egress.m4 has it, where the world has role egress
    relay        plain, without a filter

Where there is a client folder, command() is the sendmail command: its mail goes into a queue of
its own and from there by SMTP to a service of the daemon. Everything leaves for one Postfix
service, which delivers; Sendmail itself has no mailboxes and asks no DNS.
"""

import functools
import glob
import os
import pwd
import subprocess
import tempfile

import client
import deadline
import suite
from daemon import Daemon
from gateway import Gateway
from mta import HOST
from world import free_port

PRIVATE_ROOT = os.path.join(os.environ.get("SEGEL_SENDMAIL_DIR", "/var/cache/segel-demo/sendmail"), "root")
SNIPPETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../contrib/sendmail")
PROGRAM = PRIVATE_ROOT + "/usr/libexec/sendmail/sendmail"
MACROS = PRIVATE_ROOT + "/usr/share/sendmail/cf/"

PORTS = {"submission": 2687, "documented": 2688, "server": 2626, "egress": 2631, "relay": 2625}
HOP_DOMAIN = "lewat.example"  # Sendmail lies between Postfix and its mailboxes

# What the documented lines name, and a world has elsewhere.
DOCUMENTED_SOCKET = "/run/segel/submission/milter.sock"
DOCUMENTED_SERVER = "/run/segel/inbound/milter.sock", "Port=25, Name=MTA, "
DOCUMENTED_EGRESS = "/run/segel/egress/milter.sock", "Addr=127.0.0.1, Port=10031, Name=EGRESS, "
DOCUMENTED_SERVICE = "Port=587, Name=MSA, M=Ea, InputMailFilters=segel"
DOCUMENTED_TIMES = "T=C:30s;S:30s;R:60s;E:5m"
DOCUMENTED_TLS = "/etc/mail/tls/"

SENDMAIL_MC = """\
divert(0)dnl
VERSIONID(`a world of the tests')dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `{host}')dnl
define(`QUEUE_DIR', `{queue}')dnl
define(`confPID_FILE', `{folder}/sendmail.pid')dnl
define(`STATUS_FILE', `{folder}/statistics')dnl
define(`HELP_FILE', `')dnl
define(`ALIAS_FILE', `')dnl
define(`confFORWARD_PATH', `')dnl
define(`confDEF_USER_ID', `{user}')dnl
define(`confTRUSTED_USER', `{user}')dnl
define(`confSERVICE_SWITCH_FILE', `{folder}/service.switch')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
define(`confTO_IDENT', `0s')dnl
define(`confMIN_QUEUE_AGE', `0')dnl
define(`confBAD_RCPT_THROTTLE', `0')dnl
define(`confCONNECTION_RATE_THROTTLE', `0')dnl
define(`confMAX_DAEMON_CHILDREN', `0')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confDELAY_LA', `0')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
RELAY_DOMAIN(`127')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {onward}')dnl
{documented}
{services}
MAILER(`smtp')dnl
LOCAL_CONFIG
ESASL_CONF_PATH={sasl}
"""

SUBMIT_MC = """\
divert(0)dnl
VERSIONID(`a world of the tests')dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `{host}')dnl
define(`confRUN_AS_USER', `{user}')dnl
define(`MSP_QUEUE_DIR', `{queue}')dnl
define(`confPID_FILE', `{queue}/sm-client.pid')dnl
define(`STATUS_FILE', `')dnl
define(`HELP_FILE', `')dnl
define(`confSERVICE_SWITCH_FILE', `{folder}/service.switch')dnl
define(`confMIN_QUEUE_AGE', `0')dnl
define(`confTIME_ZONE', `USE_TZ')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {port}')dnl
FEATURE(`nocanonify')dnl
FEATURE(`msp', `[127.0.0.1]')dnl
"""


def documented_lines(name, replacements):
    """The documented lines, with a world's own places; each of them must be there."""
    with open(os.path.join(SNIPPETS, name), encoding="ascii") as lines:
        text = lines.read()
    for documented, own in replacements.items():
        if documented not in text:
            raise RuntimeError(f"contrib/sendmail/{name}: '{documented}' is not there any more")
        text = text.replace(documented, own)
    return text


class Sendmail:
    """write, start, stop; what it still has in its queues, and what was said on its connections."""

    def __init__(self, folder, ports, onward, sockets, tls, times="T=C:5s;S:5s;R:10s;E:30s"):
        self.folder = folder
        self.ports = {name: port for name, port in ports.items() if {"server": "inbound"}.get(name, name) in (*sockets, "documented", "relay")}
        self.onward = onward              # the port of the server that gets everything
        self.sockets = sockets            # of the filters, by role
        self.tls = tls                    # the folder of server.crt and server.key
        self.times = times
        self.services = []                # further m4 lines: filters and services of a test's own
        self.queue_folder = os.path.join(folder, "queue")
        self.client_queue = os.path.join(folder, "client-queue")
        self.sasl = os.path.join(folder, "sasl")
        self.config = os.path.join(folder, "sendmail.cf")
        self.submit = os.path.join(folder, "submit.cf")
        self.log = os.path.join(folder, "traffic.log")
        self.user, self.client = users()
        self.daemon = Daemon("Sendmail", [*program(), f"-C{self.config}", "-bD", "-q2s", "-X", self.log],
                             os.path.join(folder, "sendmail.log"), environment())

    def write(self):
        client = pwd.getpwnam(self.client)
        for path in (self.folder, self.queue_folder, self.client_queue, self.sasl):
            os.makedirs(path, exist_ok=True)
            os.chmod(path, 0o755)
        os.chmod(self.queue_folder, 0o700)
        os.chown(self.client_queue, client.pw_uid, client.pw_gid)
        os.chmod(self.client_queue, 0o770)
        with open(os.path.join(self.folder, "service.switch"), "w", encoding="ascii") as out:
            out.write("hosts files\naliases files\n")
        with open(os.path.join(self.sasl, "Sendmail.conf"), "w", encoding="ascii") as out:
            out.write("pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\n"
                      f"sasldb_path: {self.sasl}/sasldb2\n")
        make_cf(SENDMAIL_MC.format(
            host=HOST, queue=self.queue_folder, folder=self.folder, user=self.user, onward=self.onward,
            documented=self.documented(), services="\n".join([*self.own_services(), *self.services]),
            sasl=self.sasl), self.config)

    def documented(self):
        service = DOCUMENTED_SERVICE.replace("Port=587", f"Port={self.ports['documented']}, Addr=127.0.0.1")
        lines = documented_lines("segel.m4", {
            DOCUMENTED_SOCKET: self.sockets["submission"], DOCUMENTED_SERVICE: service, DOCUMENTED_TIMES: self.times,
            DOCUMENTED_TLS: self.tls + "/", "/etc/ssl/certs/ca-certificates.crt": self.tls + "/server.crt"})
        return lines + (self.documented_server() if "inbound" in self.sockets else "") + (self.documented_egress() if "egress" in self.sockets else "")

    def documented_server(self):
        socket, service = DOCUMENTED_SERVER
        return documented_lines("inbound.m4", {
            socket: self.sockets["inbound"], DOCUMENTED_TIMES: self.times,
            service: f"Port={self.ports['server']}, Addr=127.0.0.1, Name=MTA, "})

    def documented_egress(self):
        socket, service = DOCUMENTED_EGRESS
        return documented_lines("egress.m4", {
            socket: self.sockets["egress"], DOCUMENTED_TIMES: self.times,
            service: f"Addr=127.0.0.1, Port={self.ports['egress']}, Name=EGRESS, "})

    def own_services(self):
        yield self.service("submission", "segel")
        yield self.service("relay", "")

    def service(self, name, filters, port=None):
        return (f"DAEMON_OPTIONS(`Port={port or self.ports[name]}, Addr=127.0.0.1, Name={name}, M=E"
                + (f", InputMailFilters={filters}" if filters else "") + "')dnl")

    def write_submit(self, port):
        """The configuration of the sendmail command, whose mail goes to this port."""
        make_cf(SUBMIT_MC.format(host=HOST, user=self.client, queue=self.client_queue, folder=self.folder, port=port),
                self.submit)

    def command(self, *args, message=b""):
        """The sendmail command, as an ordinary user's program calls it; it tries to deliver before it ends."""
        return subprocess.run([*program(), f"-C{self.submit}", "-Ac", "-odi", *args], input=message,
                              capture_output=True, timeout=120, env=environment(), cwd="/")

    def add_user(self, login, password):
        """A login is user@realm, as PLAIN carries it."""
        user, _, realm = login.partition("@")
        subprocess.run(["saslpasswd2", "-p", "-c", "-f", self.sasl + "/sasldb2", "-u", realm or HOST, user],
                       input=password.encode(), check=True, capture_output=True)
        os.chmod(self.sasl + "/sasldb2", 0o600)

    def start(self):
        self.daemon.start(lambda: all(deadline.smtp_greets(port) for port in self.ports.values()), seconds=90)

    def stop(self):
        self.daemon.stop()

    def queue(self):
        """The control files of what waits: in the daemon's queue and in the command's."""
        return control_files(self.queue_folder) + self.command_queue()

    def command_queue(self):
        return control_files(self.client_queue)

    def traffic(self):
        return read(self.log)


def control_files(folder):
    return [read(path) for path in glob.glob(os.path.join(folder, "qf*"))]


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as text:
            return text.read()
    except FileNotFoundError:
        return ""


def program():
    """Its command; a host name without a dot would make each start of it wait for a minute, whatever Dj says."""
    if "." in os.uname().nodename or not uts_permitted():
        return [PROGRAM]
    return ["unshare", "--uts", "sh", "-c", f'echo {HOST} >/proc/sys/kernel/hostname && exec "$0" "$@"', PROGRAM]


@functools.cache
def uts_permitted():
    return subprocess.run(["unshare", "--uts", "true"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def environment():
    [libraries] = {os.path.dirname(path) for path in glob.glob(PRIVATE_ROOT + "/usr/lib/*/libwrap.so.0")}
    return {**os.environ, "LD_LIBRARY_PATH": libraries}


def make_cf(source, target):
    with open(target + ".mc", "w", encoding="ascii") as out:
        out.write(source)
    made = subprocess.run(["m4", f"-D_CF_DIR_={MACROS}", MACROS + "m4/cf.m4", target + ".mc"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if made.returncode != 0 or made.stderr:
        raise RuntimeError(f"{target}.mc: m4 ended with {made.returncode}: {made.stderr}")
    with open(target, "w", encoding="ascii") as out:
        out.write(made.stdout)


def users():
    """Sendmail's own users as Debian calls them; where they are not, two that nobody uses."""
    try:
        pwd.getpwnam("smmta")
        pwd.getpwnam("smmsp")
        return "smmta", "smmsp"
    except KeyError:
        return "news", "uucp"


class SendmailGateway(Gateway):
    """
    A Gateway with Sendmail before it: sessions are Sendmail's ("postfix-" before a port's name: Postfix's, with
    the same filter), and everything Sendmail takes is delivered by the world's Postfix, from behind hop1,
    which offers no 8BITMIME. Mail to HOP_DOMAIN goes from Postfix through Sendmail to its mailbox.
    """

    def __init__(self, place, accounts, **options):
        super().__init__(place, accounts, **options)
        self.sendmail = Sendmail(self.path("sendmail"), ports_for(place), self.mta.ports["hop1"], self.mta.sockets,
                                 self.mta.tls)
        self.mta.domains = [*self.mta.domains, HOP_DOMAIN]
        self.mta.write_config()
        with open(os.path.join(self.mta.etc, "transport"), "a", encoding="utf-8") as out:
            out.write(f"{HOP_DOMAIN} smtp:[127.0.0.1]:{self.sendmail.ports['relay']}\n")

    def make(self):
        self.sendmail.write()
        return super().make()

    def add_user(self, login, password):
        super().add_user(login, password)
        self.sendmail.add_user(login, password)

    def start(self):
        super().start()
        self.sendmail.start()
        return self

    def stop(self):
        self.sendmail.stop()
        super().stop()

    def session(self, login=None, password=None, tls=True, port="submission", **options):
        if port.startswith("postfix-"):
            return super().session(login, password, tls, port.removeprefix("postfix-"), **options)
        return client.Session(self.sendmail.ports[port], tls, login, password, **options)

    def queue(self):
        return self.sendmail.queue() + super().queue()

    def wait_idle(self, seconds=60):
        deadline.until("empty mail queues", lambda: not self.queue(), seconds)


def ports_for(place):
    return dict(PORTS) if place.isolated else {name: free_port() for name in PORTS}


def main(make_world):
    """suite.main in a place that Sendmail takes for safe: no folder above it may be writable by everybody."""
    tempfile.tempdir = os.path.dirname(os.path.dirname(PRIVATE_ROOT))
    if not os.path.exists(PROGRAM):
        print(f"no Sendmail here ({PROGRAM} is missing); run contrib/check once, it fetches it\n0 passed, 1 failed")
        return 1
    return suite.main(make_world)
