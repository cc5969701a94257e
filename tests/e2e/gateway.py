"""gateway: a World with Segel in it: key agent, filter and registry, each under its own user id.

    world = Gateway(place, [Account("budi"), Account("siti", key="rsa2048")])
    world.start()

The accounts are known to Postfix (login), to the OP's registry (address, certificate, binding)
and, with their keys, to the key agent.
"""

import json as jsonlib
import os
import re
import shutil
import ssl
import subprocess
import time

import deadline
import review
from authority import Authority
from daemon import Daemon
from place import EGRESS_UID, HOLD_GID, INBOUND_UID, KEYD_UID, LOCAL_UID, MILTER_UID, PEOPLE, REVIEW_GID, REVIEWD_UID, TLSPOL_UID
from world import OWN_DOMAIN, World

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

CONFIG = """\
# Made for one world; see the commented sample of all settings for what they mean.
language = "en";
log: {{ target = "stderr"; level = "info"; }};
registry: {{ file = "{registry}"; timeout = "2s"; }};
submission: {{
	socket = "{milter_socket}"; socket_group = "{mta_gid}"; user = "{milter_uid}";
	audit_dir = "{audit_submission}"; state_dir = "{state_submission}"; auth_types = [ "PLAIN", "LOGIN" ]; drain = "10s";
}};
{other_roles}
keyd: {{
	socket = "{keyd_socket}"; socket_group = "{milter_uid}"; user = "{keyd_uid}"; signers = [ {signers} ];
	audit_dir = "{audit_keyd}"; timeout = "10s"; {unwrappers}
	keys = ({keys});
}};
{quarantine}
trust: {{ dir = "{trust}"; }};
seal: {{ form = "{form}"; chain_dir = "{chain}"; }};
tls: {{ minimum = "TLSv1.2"; {tls} }};
limits: {{ message_size = "{message_size}"; recipients = 100; }};
{policy}
"""


ROLE_CONFIG = """\
{role}: {{ socket = "{socket}"; socket_group = "{mta_gid}"; user = "{uid}"; audit_dir = "{audit}"; state_dir = "{state}";
	drain = "10s"; {more} }};
"""

TLSPOL_CONFIG = """\
tlspol: {{ socket = "{socket}"; socket_group = "{mta_gid}"; user = "{uid}"; }};
"""

QUARANTINE_CONFIG = """\
quarantine: {{
	certificate = "{cert}"; dir = "{folder}"; user = "{uid}"; audit_dir = "{audit}";
	hold_socket = "{hold}"; hold_group = "{hold_gid}"; holders = [ "{inbound}", "{egress}" ];
	review_socket = "{review}"; review_group = "{review_gid}"; release_to = "127.0.0.1:{release}"; {more}
}};
"""

ROLE_UIDS = {"submission": MILTER_UID, "inbound": INBOUND_UID, "local": LOCAL_UID, "egress": EGRESS_UID}

# The registry binds no certificate that has expired, and none backwards in time: one that shall
# have expired is bound while it lives, and lives for this long.
SOON = "+10s"


class Account:
    """Somebody who may send official mail: an address, its login and its certificate."""

    def __init__(self, name, title=None, key="p256", start="-1d", end="+2y", address=None, kind="jabatan"):
        self.name = name
        self.address = address or f"{name}@{OWN_DOMAIN}"
        self.login = self.address
        self.password = f"rahasia-{name}"
        self.title = title or f"Kantor {name.capitalize()}"
        self.key = key
        self.start = start
        self.end = end
        self.kind = kind
        self.issued = None  # an Issued, once the world is made

    @property
    def cert(self):
        return self.issued.sha256


class Answer:
    """What segelctl said."""

    def __init__(self, command, done, data):
        self.command = command
        self.code = done.returncode
        self.out = done.stdout.decode("utf-8", "replace")
        self.err = done.stderr.decode("utf-8", "replace")
        self.data = data

    def __str__(self):
        return f"segelctl {' '.join(self.command)} ended with {self.code}: {(self.err or self.out).strip()}"


def build_folder():
    return os.path.join(TOP, os.environ.get("SEGEL_BUILD", "build/asan"))


class Gateway(World):
    """Owner of the daemons; stop() ends them whatever happened."""

    def __init__(self, place, accounts, form="clear", roles=("submission",), senders="", tlspol=False, quarantine=False):
        """
        `senders`: rows of local.senders as the settings have them. `tlspol`: Postfix asks segel-tlspol about next hops.
        `quarantine`: segel-reviewd runs, and roles inbound and egress give it what is held.
        """
        self.build = build_folder()
        must_be_built(self.build)
        self.accounts = accounts
        self.form = form
        self.roles = roles
        self.senders = senders
        self.more = {"least": 'min_free = "1MiB";'}  # further settings of a role, of "quarantine", or ("policy") beside all groups, as text
        self.quarantine_key = None  # prefix of its files, once the world is made
        sockets = {role: os.path.join(place.folder, role_folder(role), "milter.sock") for role in roles}
        if tlspol:
            sockets["tlspol"] = os.path.join(place.folder, "tlspol", "tlspol.sock")
        super().__init__(place, sockets)
        self.config = self.path("segel.conf")
        self.authority = Authority(os.path.join(self.build, "tests/pki/mkpki"), self.path("pki"))
        self.keyd = self.daemon("segel-keyd", KEYD_UID, [MILTER_UID])
        self.milters = {role: self.role_daemon(role) for role in roles}
        self.milter = self.milters["submission"]
        self.tlspol = self.daemon("segel-tlspol", TLSPOL_UID, [self.mta.gid, MILTER_UID]) if tlspol else None
        self.reviewd = self.daemon("segel-reviewd", REVIEWD_UID, [MILTER_UID, HOLD_GID, REVIEW_GID]) if quarantine else None

    def role_daemon(self, role):
        """All but submission's also belong to its group, which may read the registry and ask the key agent."""
        log = None if role == "submission" else self.path("log", f"segel-milter-{role}.log")
        groups = [self.mta.gid, MILTER_UID] + ([HOLD_GID] if role in ("inbound", "egress") else [])
        return self.daemon("segel-milter", ROLE_UIDS[role], groups, "-r", role, log=log)

    def daemons(self):
        """In the order in which they end."""
        return [daemon for daemon in (*self.milters.values(), self.reviewd, self.keyd, self.tlspol) if daemon]

    def daemon(self, program, uid, groups, *options, config=None, log=None):
        """A program under its own user id; in the groups it hands its socket to."""
        os.makedirs(self.path("log"), exist_ok=True)
        command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", f"--groups={','.join(map(str, groups))}", "--",
                   os.path.join(self.build, program), "-c", config or self.config, *options, "-f"]
        return Daemon(program, command, log or self.path("log", program + ".log"))

    def make(self):
        """Folders, certificates, settings, registry, logins. Starts nothing."""
        make_copy_reachable(self)
        for name, owner, group in (("keyd", KEYD_UID, MILTER_UID), ("audit-keyd", KEYD_UID, KEYD_UID),
                                   ("keys", KEYD_UID, KEYD_UID), ("registry", 0, MILTER_UID)):
            self.make_folder(name, owner, group)
        for role in self.roles:
            self.make_folder(role_folder(role), ROLE_UIDS[role], self.mta.gid)
            self.make_folder("audit-" + role, ROLE_UIDS[role], ROLE_UIDS[role])
            self.make_folder("state-" + role, ROLE_UIDS[role], ROLE_UIDS[role])
        for name in ("trust", "trust/anchors", "trust/crl", "trust/ocsp"):
            self.make_folder(name, 0, MILTER_UID)
        if self.tlspol:
            self.make_folder("tlspol", TLSPOL_UID, self.mta.gid)
        self.authority.make()
        self.write_config()
        if self.reviewd:
            self.make_quarantine()
            self.write_config()
        self.make_registry()
        for account in self.accounts:
            self.make_account(account)
        self.write_config()
        return self

    def make_quarantine(self):
        for name, group in (("quarantine", REVIEWD_UID), ("audit-reviewd", REVIEWD_UID), ("hold", HOLD_GID), ("review", REVIEW_GID)):
            self.make_folder(name, REVIEWD_UID, group)
        folder = self.path("quarantine-key")
        os.makedirs(folder)
        os.chown(folder, KEYD_UID, KEYD_UID)  # whose the key becomes; the certificate is for all
        self.must("quarantine", "key", "--out", folder)
        self.quarantine_key = os.path.join(folder, "quarantine")

    def appoint(self, login, role, person=None):
        """A reviewer: a UNIX login, its role, and the person behind it (one of its own, if none is named)."""
        if not person:
            person = f"Orang {login.capitalize()}"
            self.must("person", "add", person)
        self.must("reviewer", "add", login, "--person", person, "--role", role, "--appointment", f"SK-{login}/2026")

    def quarantine(self, login, *args, json=False, groups=(REVIEW_GID,)):
        """segelctl quarantine, as somebody of PEOPLE (or a user id) types it. Answer.raw: what was printed, as bytes."""
        uid = PEOPLE.get(login, login)
        words = ["quarantine", *args] + (["--json"] if json else [])
        done = self.as_user(uid, groups, self.path("bin", "segelctl"), "-c", self.config, *words)
        lines = done.stdout.splitlines() if json and done.returncode == 0 else []
        answer = Answer(words, done, jsonlib.loads(done.stdout) if lines else None)
        answer.raw = done.stdout
        return answer

    def make_account(self, account):
        """Registered as soon as issued: one of them may live for seconds only (see SOON)."""
        account.issued = self.issue(account)
        self.register(account)
        self.add_user(account.login, account.password)

    def make_folder(self, name, owner, group):
        os.makedirs(self.path(name), exist_ok=True)
        os.chown(self.path(name), owner, group)
        os.chmod(self.path(name), 0o2750)

    def issue(self, account):
        issued = self.authority.issue(account.name, account.title, [account.address], account.start, account.end,
                                      account.key)
        return self.hand_to_keyd(account.name, issued)

    def hand_to_keyd(self, name, issued):
        """The key moves to the agent's folder; only the certificate stays where others read."""
        kept = self.path("keys", name + ".key")
        os.rename(issued.key, kept)
        passphrase = self.path("keys", "passphrase")
        if not os.path.exists(passphrase):
            shutil.copy(self.authority.passphrase_file, passphrase)
        for path in (kept, passphrase):
            os.chown(path, KEYD_UID, KEYD_UID)
            os.chmod(path, 0o600)
        issued.key = kept
        return issued

    def end_date(self, account):
        """The certificate's last second, as openssl prints it: it counts as valid still."""
        shown = subprocess.run(["openssl", "x509", "-in", account.issued.cert, "-noout", "-enddate"], check=True,
                               capture_output=True, stdin=subprocess.DEVNULL)
        return shown.stdout.decode().strip().partition("=")[2]

    def wait_expired(self, account):
        over = ssl.cert_time_to_seconds(self.end_date(account)) + 1
        deadline.until(f"the certificate of {account.address} to expire", lambda: time.time() >= over, seconds=60)

    def pki(self, name, *options):
        return self.authority.pki(name, *options)

    def settings(self):
        keys = [f'{{ file = "{account.issued.key}"; passphrase_file = "{self.path("keys", "passphrase")}"; limit = 6000;{self.key_signers(account)} }}'
                for account in self.accounts if account.issued]
        if self.quarantine_key:
            keys.append(f'{{ file = "{self.quarantine_key}.key"; passphrase_file = "{self.quarantine_key}.pass"; purpose = "decrypt"; }}')
        return {"quarantine": self.quarantine_settings(), "unwrappers": f'unwrappers = [ "{REVIEWD_UID}" ];' if self.reviewd else "",
                "other_roles": "".join(self.role_settings(role) for role in self.roles if role != "submission")
                               + self.tlspol_settings(),
                "signers": ", ".join(f'"{ROLE_UIDS[role]}"' for role in self.roles if role not in ("inbound", "egress")), "tls": "",
                "policy": self.more.get("policy", ""),
                "registry": self.registry, "milter_socket": self.mta.milter_socket, "mta_gid": self.mta.gid,
                "milter_uid": MILTER_UID, "keyd_uid": KEYD_UID, "audit_submission": self.path("audit-submission"),
                "state_submission": self.path("state-submission"), "trust": self.path("trust"), "audit_keyd": self.path("audit-keyd"), "keyd_socket": self.keyd_socket, "keys": ", ".join(keys),
                "chain": self.authority.chain_folder, "form": self.form, "message_size": "35MiB"}

    def role_settings(self, role):
        return ROLE_CONFIG.format(role=role, socket=self.mta.sockets[role], mta_gid=self.mta.gid, uid=ROLE_UIDS[role],
                                  audit=self.path("audit-" + role), state=self.path("state-" + role),
                                  more=self.more.get(role, "") + (f" senders = ( {self.senders} );" if role == "local" else ""))

    def tlspol_settings(self):
        return TLSPOL_CONFIG.format(socket=self.mta.sockets["tlspol"], mta_gid=self.mta.gid, uid=TLSPOL_UID) if self.tlspol else ""

    def quarantine_settings(self):
        if not self.quarantine_key:
            return ""
        return QUARANTINE_CONFIG.format(
            cert=self.quarantine_key + ".crt", folder=self.path("quarantine"), uid=REVIEWD_UID, audit=self.path("audit-reviewd"),
            hold=self.hold_socket, hold_gid=HOLD_GID, inbound=INBOUND_UID, egress=EGRESS_UID, review=self.review_socket, review_gid=REVIEW_GID,
            release=self.mta.ports["release"], more=" ".join(self.more.get(name, "") for name in ("quarantine", "least")))

    @property
    def hold_socket(self):
        return self.path("hold", "hold.sock")

    @property
    def review_socket(self):
        return self.path("review", "review.sock")

    def key_signers(self, account):
        """A system's key is for role local; an office's for nobody but the first of keyd.signers."""
        return f' signers = [ "{LOCAL_UID}" ];' if account.kind == "sistem" and "local" in self.roles else ""

    @property
    def registry(self):
        return self.path("registry", "registry.db")

    @property
    def keyd_socket(self):
        return self.path("keyd", "keyd.sock")

    def write_config(self, path=None, **changed):
        with open(path or self.config, "w", encoding="utf-8") as out:
            out.write(CONFIG.format(**{**self.settings(), **changed}))
        return path or self.config

    def make_registry(self):
        self.must("init", "--name", "Petugas Contoh", "--appointment", "SK-1/2026")
        self.must("unit", "add", "UMUM", "Bagian Umum")
        self.must("domain", "add", OWN_DOMAIN, "--kind", "own")

    def register(self, account):
        domain = account.address.partition("@")[2]
        if self.segelctl("domain", "add", domain, "--kind", "own").code not in (0, 1, 3):
            raise RuntimeError(f"cannot register the domain {domain}")
        self.must("address", "add", account.address, "--unit", "UMUM")
        self.must("login", "add", account.login, "--address", account.address)
        self.must("cert", "import", account.issued.cert, "--kind", account.kind)
        self.must("bind", "add", account.cert, "--purpose", "seal", "--address", account.address)

    def segelctl(self, *args, json=False):
        command = [os.path.join(self.build, "segelctl"), "-c", self.config, *args] + (["--json"] if json else [])
        env = {name: value for name, value in os.environ.items() if not name.startswith("SUDO_")}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, env=env)
        data = jsonlib.loads(done.stdout) if json and done.returncode == 0 else None
        return Answer(args, done, data)

    def check_mta(self, folder):
        """segelctl check mta, with its JSON whatever it found."""
        answer = self.segelctl("check", "mta", "--postfix", folder, "--postconf", self.mta.programs.command + "/postconf", "--json")
        answer.data = jsonlib.loads(answer.out)
        return answer

    def must(self, *args):
        answer = self.segelctl(*args)
        if answer.code != 0:
            raise RuntimeError(str(answer))
        return answer

    def start(self):
        self.start_keyd()
        if self.reviewd:
            self.start_reviewd()
        for role in self.roles:
            self.start_milter(role)
        if self.tlspol:
            self.tlspol.start(lambda: deadline.unix_socket_answers(self.mta.sockets["tlspol"]))
        return super().start()

    def start_keyd(self):
        self.keyd.start(lambda: deadline.unix_socket_answers(self.keyd_socket))

    def start_reviewd(self):
        """A connection is taken before anybody serves it, so an answer is waited for."""
        self.reviewd.start(lambda: review.serves(self.review_socket))

    def start_milter(self, role="submission"):
        self.milters[role].start(lambda: deadline.unix_socket_answers(self.mta.sockets[role]))

    def stop(self):
        """Ends everything; a daemon that did not end well, or that a sanitizer complained about, is a failure."""
        super().stop()
        troubles = [trouble for daemon in self.daemons() for trouble in ended_badly(daemon)]
        if troubles:
            raise RuntimeError("\n".join(troubles))

    def ensure_running(self):
        """After a test that stopped something on purpose."""
        if not self.keyd.running():
            self.start_keyd()
        if self.reviewd and not self.reviewd.running():
            self.start_reviewd()
        for role, milter in self.milters.items():
            if not milter.running():
                self.start_milter(role)
        if not self.mta.daemon.running():
            World.start(self)

    def send_as(self, account, message, recipients, tls=True, sender=None):
        return self.send(account.login, account.password, message, sender or account.address, recipients, tls)

    def session_of(self, account):
        return self.session(account.login, account.password)

    def filter_log(self, role="submission"):
        return self.milters[role].text()

    def wait_filter_log(self, pattern, seconds=45, role="submission"):
        return deadline.until(f"/{pattern}/ in the filter's log", lambda: re.search(pattern, self.filter_log(role)), seconds)

    def as_user(self, uid, groups, *command, stdin=None):
        """Runs a command as some other user of the machine."""
        return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={uid}",
                               f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups", "--", *command],
                              stdin=stdin or subprocess.DEVNULL, capture_output=True, timeout=60, cwd="/")


def role_folder(role):
    """Of its socket."""
    return "milter" if role == "submission" else "milter-" + role


PROGRAMS = ("segel-milter", "segel-keyd", "segel-tlspol", "segelctl", "tests/pki/mkpki")


def must_be_built(build, programs=PROGRAMS):
    for program in programs:
        if not os.access(os.path.join(build, program), os.X_OK):
            raise RuntimeError(f"{build}/{program} is missing; build it first: make MODE={os.path.basename(build)} all tools")


def make_copy_reachable(gateway):
    """The daemons' user ids may not be able to enter the checkout (/root): they run copies from the world."""
    copies = gateway.path("bin")
    os.makedirs(copies, exist_ok=True)
    for daemon in gateway.daemons():
        target = os.path.join(copies, daemon.name)
        shutil.copy(os.path.join(gateway.build, daemon.name), target)
        os.chmod(target, 0o755)
        daemon.command[daemon.command.index(os.path.join(gateway.build, daemon.name))] = target
    if gateway.reviewd:  # people who are not root type it
        shutil.copy(os.path.join(gateway.build, "segelctl"), os.path.join(copies, "segelctl"))


def ended_badly(daemon):
    if daemon.process is None:
        return
    status = daemon.stop()
    if status != 0:
        yield f"{daemon.name} ended with status {status}; its log ends:\n{daemon.last_words()}"
    if re.search(r"ERROR: \w+Sanitizer|runtime error:", daemon.text()):
        yield f"a sanitizer found something in {daemon.name}:\n{daemon.last_words(40)}"
