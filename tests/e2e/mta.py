"""mta: one private Postfix instance, from Debian's package or unpacked from it.

    submission   STARTTLS and SASL, with the filter under test; lenient, so that the filter must be strict
    documented   the submission service exactly as contrib/postfix/master.cf has it
    inbound      plain, without a filter
    server       for other servers, exactly as contrib/postfix/inbound.cf has it (a world without role inbound: no filter);
                 its clients are on this machine, and are treated as if they were not
    (no port)    the sendmail command, as contrib/postfix/local.cf has it where the world has role local
    release      what segel-reviewd lets go, exactly as contrib/postfix/release.cf has it
    bare         another server, without TLS
    hop1, hop2   two further servers in a row; hop1 does not offer 8BITMIME, so that
                 Postfix re-codes on the way to it whatever is not 7-bit

What concerns the filter is read from contrib/postfix, so that what is documented is what is
tested. Everything of it lies in one folder; nothing runs in a chroot; nothing asks the DNS.
"""

import glob
import grp
import json
import os
import pwd
import shutil
import subprocess

import deadline
from daemon import Daemon
from place import MAIL_UID

PRIVATE_ROOT = os.path.join(os.environ.get("SEGEL_POSTFIX_DIR", "/var/cache/segel-demo/postfix"), "root")
SNIPPETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../contrib/postfix")
DOCUMENTED_SOCKETS = {
    "submission": "unix:segel/milter.sock", "inbound": "unix:segel-inbound/milter.sock", "local": "unix:segel-local/milter.sock", "egress": "unix:segel-egress/milter.sock",
    "tlspol": "unix:segel-tlspol/tlspol.sock",
}
DOCUMENTED_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
HOST = "mail.kota.example"

BARE_DOMAIN = "tanpa-tls.example"  # whose server offers no TLS

QUEUE_FOLDERS = {
    # name: (owned by postfix's user, mode)
    "active": 0o700, "bounce": 0o700, "corrupt": 0o700, "defer": 0o700, "deferred": 0o700, "flush": 0o700,
    "hold": 0o700, "incoming": 0o700, "private": 0o700, "saved": 0o700, "trace": 0o700,
    "maildrop": 0o730, "public": 0o710,
}

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
command_directory = {command}
daemon_directory = {daemon}
shlib_directory = {lib}
meta_directory = {etc}
mail_owner = {owner}
setgid_group = {setgid}
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH
maillog_file = {log}
maillog_file_prefixes = {folder}

myhostname = {host}
mydomain = kota.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
local_recipient_maps =
alias_maps =
alias_database =
relay_domains =

# Every address of these domains has a mailbox: one Maildir holds them all, told apart by Delivered-To.
virtual_mailbox_domains = {domains}
virtual_mailbox_base = {mail}
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{mail_uid}
virtual_gid_maps = static:{mail_uid}
virtual_mailbox_limit = 0
transport_maps = texthash:{etc}/transport

smtpd_tls_security_level = may
smtpd_tls_cert_file = {tls}/server.crt
smtpd_tls_key_file = {tls}/server.key
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {sasl}
smtpd_sasl_local_domain =
smtpd_relay_restrictions = permit_sasl_authenticated, permit_mynetworks, reject_unauth_destination

{filter_lines}
# Tests do not wait for anybody's politeness.
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
in_flow_delay = 0
queue_run_delay = 3s
minimal_backoff_time = 3s
maximal_backoff_time = 6s
default_process_limit = 150
"""

MASTER_CF = """\
127.0.0.1:{documented} inet n - n - - smtpd
{documented_options}
127.0.0.1:{submission} inet n - n - - smtpd
{documented_options}
  -o smtpd_tls_security_level=may
  -o smtpd_tls_auth_only=no
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject_unauth_destination
  -o mynetworks=192.0.2.255/32
127.0.0.1:{inbound} inet n - n - - smtpd
  -o syslog_name=postfix/inbound
127.0.0.1:{server} inet n - n - - smtpd
  -o syslog_name=postfix/server
  -o local_header_rewrite_clients=
{server_options}
127.0.0.1:{release} inet n - n - - smtpd
{release_options}
127.0.0.1:{bare} inet n - n - - smtpd
  -o syslog_name=postfix/bare
  -o myhostname=bare.example
  -o smtpd_tls_security_level=none
  -o content_filter=virtual:
127.0.0.1:{hop1} inet n - n - - smtpd
  -o syslog_name=postfix/hop1
  -o myhostname=hop1.example
  -o smtpd_discard_ehlo_keywords=8bitmime,smtputf8,chunking
  -o content_filter=smtp:[127.0.0.1]:{hop2}
127.0.0.1:{hop2} inet n - n - - smtpd
  -o syslog_name=postfix/hop2
  -o myhostname=hop2.example
  -o content_filter=virtual:
pickup     unix n - n 1 1 pickup
cleanup    unix n - n - 0 cleanup
qmgr       unix n - n 300 1 qmgr
tlsmgr     unix - - n 1000? 1 tlsmgr
rewrite    unix - - n - - trivial-rewrite
bounce     unix - - n - 0 bounce
defer      unix - - n - 0 bounce
trace      unix - - n - 0 bounce
verify     unix - - n - 1 verify
flush      unix n - n 1000? 0 flush
proxymap   unix - - n - - proxymap
smtp       unix - - n - - smtp
relay      unix - - n - - smtp
showq      unix n - n - - showq
error      unix - - n - - error
retry      unix - - n - - error
virtual    unix - n n - - virtual
anvil      unix - - n - 1 anvil
scache     unix - - n - 1 scache
postlog    unix-dgram n - n - 1 postlogd
"""


def snippet(name):
    """The lines of contrib/postfix/NAME that are neither comments nor empty."""
    with open(os.path.join(SNIPPETS, name), encoding="ascii") as lines:
        return [line.rstrip() for line in lines if line.strip() and not line.startswith("#")]


def documented_options(name, service, role, sockets):
    """The -o lines of contrib/postfix/NAME's one service, with a world's own socket (or none) in place of the documented one."""
    first, *options = snippet(name)
    documented = DOCUMENTED_SOCKETS[role]
    if not first.startswith(service + " ") or sum(option.endswith("=" + documented) for option in options) != 1:
        raise RuntimeError(f"contrib/postfix/{name}: wanted one service, {service}, with {documented}")
    return "\n".join(option.replace(documented, own_socket(role, sockets)) for option in options)


def release_options():
    """The -o lines of contrib/postfix/release.cf's one service; a world has another port."""
    first, *options = snippet("release.cf")
    if not first.startswith("127.0.0.1:10027 inet ") or not all(option.startswith("  -o ") for option in options):
        raise RuntimeError("contrib/postfix/release.cf: wanted one service, 127.0.0.1:10027")
    return "\n".join(options)


def own_socket(role, sockets):
    return f"unix:{sockets[role]}" if role in sockets else ""


def local_lines(sockets, etc):
    """contrib/postfix/local.cf with a world's own socket and folder; nothing where it has no role local."""
    if "local" not in sockets:
        return ""
    text = "\n".join(snippet("local.cf"))
    if text.count(DOCUMENTED_SOCKETS["local"]) != 1 or text.count("/etc/postfix/") != 1:
        raise RuntimeError(f"contrib/postfix/local.cf: wanted {DOCUMENTED_SOCKETS['local']} and one file in /etc/postfix")
    return text.replace(DOCUMENTED_SOCKETS["local"], own_socket("local", sockets)).replace("/etc/postfix", etc)


def outgoing_lines(sockets, tls):
    """contrib/postfix/tls.cf with a world's own socket and authorities; nothing where segel-tlspol does not run."""
    if "tlspol" not in sockets:
        return ""
    text = "\n".join(snippet("tls.cf"))
    if text.count(DOCUMENTED_SOCKETS["tlspol"]) != 1 or text.count(DOCUMENTED_AUTHORITIES) != 1:
        raise RuntimeError(f"contrib/postfix/tls.cf: wanted {DOCUMENTED_SOCKETS['tlspol']} and {DOCUMENTED_AUTHORITIES}, once each")
    return text.replace(DOCUMENTED_SOCKETS["tlspol"], own_socket("tlspol", sockets)).replace(DOCUMENTED_AUTHORITIES, tls + "/server.crt")


class Programs:
    """Where Postfix's programs are: installed, or unpacked (SEGEL_POSTFIX=private, or another MTA is installed)."""

    def __init__(self):
        installed = os.path.exists("/usr/lib/postfix/sbin/master") and os.path.exists("/usr/sbin/postqueue")
        root = "" if installed and os.environ.get("SEGEL_POSTFIX") != "private" else PRIVATE_ROOT
        self.unpacked = bool(root)
        self.daemon = root + "/usr/lib/postfix/sbin"
        self.command = root + "/usr/sbin"
        self.lib = root + "/usr/lib/postfix"
        self.env = {**os.environ, "LD_LIBRARY_PATH": self.lib} if root else dict(os.environ)
        if not os.path.exists(self.daemon + "/master"):
            raise RuntimeError(f"no Postfix here ({self.daemon}/master is missing); "
                               "run contrib/check or contrib/demo once, they install it")


class Mta:
    """write, start, stop; what it logged and what it still has in its queue."""

    def __init__(self, folder, ports, domains, far_domain, sockets=None, host=HOST):
        self.folder = folder
        self.host = host
        self.ports = ports
        self.domains = domains
        self.far_domain = far_domain
        self.sockets = sockets or {}  # of the filters, by role
        self.etc = os.path.join(folder, "etc")
        self.queue_folder = os.path.join(folder, "queue")
        self.data = os.path.join(folder, "data")
        self.sasl = os.path.join(self.etc, "sasl")  # where Debian's Postfix looks, whatever cyrus_sasl_config_path says
        self.tls = os.path.join(folder, "tls")
        self.mail = os.path.join(folder, "mail")
        self.log = os.path.join(folder, "mail.log")
        self.programs = Programs()
        self.owner, self.setgid = owner_and_group()
        self.daemon = Daemon("Postfix", [self.programs.daemon + "/master", "-c", self.etc, "-d"],
                             os.path.join(folder, "master.log"), self.programs.env)

    @property
    def milter_socket(self):
        return self.sockets.get("submission")

    @property
    def gid(self):
        """The group of Postfix's daemons: the one that may enter the filter's socket folder."""
        return pwd.getpwnam(self.owner).pw_gid

    def write(self):
        os.makedirs(self.folder, exist_ok=True)
        self.make_folders()
        self.make_server_certificate()
        self.write_config()

    def make_folders(self):
        owner = pwd.getpwnam(self.owner)
        for path in (self.etc, self.queue_folder, os.path.join(self.queue_folder, "pid"), self.sasl, self.tls):
            os.makedirs(path, exist_ok=True)
        for name, mode in QUEUE_FOLDERS.items():
            path = os.path.join(self.queue_folder, name)
            os.makedirs(path, exist_ok=True)
            shared = name in ("maildrop", "public")
            os.chown(path, owner.pw_uid, grp.getgrnam(self.setgid).gr_gid if shared else 0)
            os.chmod(path, mode)
        os.makedirs(self.data, exist_ok=True)
        os.chown(self.data, owner.pw_uid, 0)
        os.makedirs(self.mail, exist_ok=True)
        os.chown(self.mail, MAIL_UID, MAIL_UID)

    def make_server_certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", self.tls + "/server.key", "-out", self.tls + "/server.crt", "-days", "30",
                        "-subj", f"/CN={self.host}", "-addext", f"subjectAltName=DNS:{self.host},DNS:localhost"],
                       check=True, stdin=subprocess.DEVNULL, capture_output=True)

    def write_config(self):
        programs = self.programs
        self.write_file("main.cf", MAIN_CF.format(
            queue=self.queue_folder, data=self.data, filter_lines="\n".join([*snippet("main.cf"), local_lines(self.sockets, self.etc),
                                                               outgoing_lines(self.sockets, self.tls)]),
            command=programs.command, daemon=programs.daemon, lib=programs.lib, etc=self.etc, owner=self.owner, setgid=self.setgid, log=self.log, folder=self.folder,
            host=self.host, domains=" ".join([*self.domains, BARE_DOMAIN]), mail=self.mail, mail_uid=MAIL_UID, tls=self.tls, sasl=self.sasl))
        self.write_file("master.cf", MASTER_CF.format(
            documented_options=documented_options("master.cf", "submission", "submission", self.sockets),
            server_options=documented_options("inbound.cf", "smtp", "inbound", self.sockets), release_options=release_options(), **self.ports))
        self.write_file("transport", f"{self.far_domain} smtp:[127.0.0.1]:{self.ports['hop1']}\n"
                                     f"{BARE_DOMAIN} smtp:[127.0.0.1]:{self.ports['bare']}\n")
        self.write_file("dynamicmaps.cf", "")
        with open(self.sasl + "/smtpd.conf", "w", encoding="ascii") as conf:
            conf.write("pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\n"
                       f"sasldb_path: {self.sasl}/sasldb2\n")

    def write_file(self, name, text):
        with open(os.path.join(self.etc, name), "w", encoding="utf-8") as out:
            out.write(text)

    def command(self, name, *words):
        """One of Postfix's commands about this instance; what it printed."""
        return subprocess.run([os.path.join(self.programs.command, name), "-c", self.etc, *words], check=True, env=self.programs.env,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60).stdout.decode("utf-8", "replace")

    def own_etc(self):
        """The set-group-ID commands of Postfix believe /etc/postfix only: in this mount namespace it is the world's."""
        bind(self.etc, "/etc/postfix")
        if self.programs.unpacked:
            # Unpacked it has nobody's group; with the right one the loader looks only where Postfix is installed.
            own = shutil.copy(self.programs.command + "/postdrop", os.path.join(self.folder, "postdrop"))
            os.chown(own, 0, grp.getgrnam(self.setgid).gr_gid)
            os.chmod(own, 0o2755)
            bind(own, self.programs.command + "/postdrop")
            bind(self.programs.lib, "/usr/lib/postfix")

    def sendmail(self, uid, message, *options):
        """The sendmail command, run by some user of the machine."""
        return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--",
                               self.programs.command + "/sendmail", *options], input=message, capture_output=True,
                              timeout=60, env=self.programs.env, cwd="/")

    def add_user(self, login, password):
        """A login is user@realm, as PLAIN carries it."""
        user, _, realm = login.partition("@")
        subprocess.run(["saslpasswd2", "-p", "-c", "-f", self.sasl + "/sasldb2", "-u", realm or self.host, user],
                       input=password.encode(), check=True, capture_output=True)
        os.chown(self.sasl + "/sasldb2", 0, self.gid)
        os.chmod(self.sasl + "/sasldb2", 0o640)

    def start(self):
        self.daemon.start(lambda: all(deadline.smtp_greets(port) for port in self.ports.values()))

    def stop(self):
        self.daemon.stop()

    def queue(self):
        """What waits in the queue: one dictionary a message."""
        shown = subprocess.run([self.programs.command + "/postqueue", "-c", self.etc, "-j"], env=self.programs.env,
                               check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
        return [json.loads(line) for line in shown.stdout.splitlines()]

    def maillog(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return self.daemon.text()

    def delivered(self):
        """The delivered messages, oldest first, as virtual(8) wrote them (line ends are LF)."""
        paths = glob.glob(os.path.join(self.mail, "all", "new", "*"))
        for path in sorted(paths, key=os.path.getmtime):
            with open(path, "rb") as message:
                yield message.read()


def bind(source, target):
    """In this mount namespace the target is the source; a folder that is missing is made."""
    if not os.path.exists(target):
        os.makedirs(target)
    subprocess.run(["mount", "--bind", source, target], check=True, stdin=subprocess.DEVNULL)


def owner_and_group():
    """Postfix's own user; where there is none and no private passwd file, one that nobody uses."""
    try:
        pwd.getpwnam("postfix")
        grp.getgrnam("postdrop")
        return "postfix", "postdrop"
    except KeyError:
        return "uucp", "news"
