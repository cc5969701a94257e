"""outside: a Gateway that mail arrives at from other servers, and the mail: signed by openssl(1) with certificates of openssl's making.

    world = Outside(place).make().start()
    letter = world.signed("good", sender, recipient, token)
    outcome = world.arrive(sender, [recipient], letter)

One certificate of each sort names the addresses of all columns (OWN, SHARED, PARTNER, OTHER), so that a message differs from the good one
in one thing only.
"""

import contextlib
import functools
import os
import shutil
import subprocess

import chain
import review
import shim
from gateway import Account, Gateway
from openssl_ca import OpensslCA, run, stamp
from place import MILTER_UID
from world import OWN_DOMAIN

OWN = f"dinas@{OWN_DOMAIN}"
SHARED = "dinas@bersama.example"
PARTNER = "sekda@provinsi.example"
OTHER = "warga@luar.example"
FORMER = "dinas@bubar.example"  # of a domain that was official and is not any more
COLUMNS = {"own": OWN, "shared": SHARED, "partner": PARTNER, "other": OTHER}
OFFICIAL = ("own", "shared", "partner")
STRANGER_IN = {address: "camat@" + address.partition("@")[2] for address in COLUMNS.values()}  # somebody else of the same domain

BUDI = Account("budi")

# UNIX login: role; who they are is the registry's business (gateway.appoint)
REVIEWERS = {"rina": "analis", "joko": "analis", "wati": "manajer", "bagus": "helpdesk", "sari": "auditor", "umar": "petugas-op",
             "nina": "administrator"}
SHORT = 20  # seconds that a certificate lives that shall expire


class Outside(Gateway):
    """Roles submission and inbound, a quarantine with its reviewers, and other people's certificates."""

    reviewers = REVIEWERS

    def __init__(self, place, accounts=(BUDI,), **options):
        super().__init__(place, list(accounts), **{"roles": ("submission", "inbound"), "quarantine": True, **options})
        self.desks = {}

    def make(self):
        self.make_authorities()
        super().make()
        shutil.copy(self.issuing.cert, self.authority.chain_folder)
        self.make_domains()
        self.make_certificates()
        self.make_trust()
        for login, role in self.reviewers.items():
            self.appoint(login, role)
        return self

    def issue(self, account):
        """Our own users' certificates too are of the authority that publishes CRLs."""
        names = ["-topk8", "-in", None, "-out", None, "-passout", "file:" + self.authority.passphrase_file]
        issued = self.issuing.issue(account.name, [account.address], algorithm="rsa2048" if account.key.startswith("rsa") else "ec")
        names[2], names[4] = issued.key, issued.key + ".enc"
        run("openssl", "pkcs8", *names)
        os.rename(issued.key + ".enc", issued.key)
        return self.hand_to_keyd(account.name, issued)

    def make_authorities(self):
        os.makedirs(self.path("ca"))
        self.root = OpensslCA(self.path("ca"), "Root", None)
        self.issuing = OpensslCA(self.path("ca"), "Issuing", self.root)
        self.silent = OpensslCA(self.path("ca"), "Silent", self.root)  # which publishes no CRL
        self.stranger = OpensslCA(self.path("ca"), "Stranger", None)

    def make_domains(self):
        self.must("domain", "add", "bersama.example", "--kind", "shared")
        self.must("domain", "add", "provinsi.example", "--kind", "partner")
        self.must("domain", "add", "bubar.example", "--kind", "partner")
        for address in (OWN, SHARED, PARTNER, FORMER):
            self.must("address", "add", address, "--unit", "UMUM")
        for account in self.accounts:
            self.must("login", "add", account.login, "--address", OWN)

    def make_certificates(self):
        everybody = [*COLUMNS.values(), FORMER]
        issue = functools.partial(self.issuing.issue, addresses=everybody)
        self.certs = {
            "good": issue("good"),
            "revoked": issue("revoked"),
            "later-revoked": issue("later-revoked"),
            "later-held": issue("later-held"),
            "expired": issue("expired", end=stamp(seconds=SHORT)),
            "not-yet": issue("not-yet", start=stamp(days=2)),
            "weak": issue("weak", algorithm="rsa1024"),
            "unfit": issue("unfit", extended="serverAuth"),
            "held": issue("held"),
            "ended": issue("ended"),
            "retired": issue("retired"),
            "successor": issue("successor"),
            "unknown": issue("unknown"),
            "unbound": issue("unbound"),
            "other": self.issuing.issue("other", ["budi@kota.example"]),
            "silent": self.silent.issue("silent", everybody),
            "foreign": self.stranger.issue("foreign", everybody),
        }
        for name in ("good", "revoked", "later-revoked", "later-held", "expired", "held", "ended", "retired", "silent"):
            self.bind(self.certs[name])
        for name in ("unbound", "other", "successor"):
            self.must("cert", "import", self.certs[name].cert, "--kind", "jabatan")
        self.certs["conflict"] = self.issuing.issue_again("conflict", self.certs["good"], everybody)
        self.must("cert", "hold", self.certs["held"].sha256, "--reason", "laporan hilang")
        self.must("cert", "replace", self.certs["retired"].sha256, "--by", self.certs["successor"].sha256)
        self.must("bind", "add", self.certs["ended"].sha256, "--purpose", "verify", "--address", FORMER)
        for binding in self.bindings_of(self.certs["ended"]):
            self.must("bind", "end", binding, "--reason", "mutasi")
        self.must("address", "end", FORMER, "--reason", "digabung")
        self.must("domain", "end", "bubar.example", "--reason", "digabung")
        self.issuing.revoke(self.certs["revoked"])

    def bind(self, leaf):
        self.must("cert", "import", leaf.cert, "--kind", "jabatan")
        for address in (OWN, SHARED, PARTNER):
            self.must("bind", "add", leaf.sha256, "--purpose", "verify", "--address", address)

    def bindings_of(self, leaf):
        certs = self.segelctl("cert", "list", json=True).data
        [number] = [row["id"] for row in certs if row["sha256"] == leaf.sha256]
        return [str(row["id"]) for row in self.segelctl("bind", "list", json=True).data if row["cert"] == number]

    def make_trust(self):
        """Where segel-milter and segel-reviewd read it."""
        os.makedirs(self.path("trust", "anchors", "official"), exist_ok=True)
        shutil.copy(self.root.cert, self.path("trust", "anchors", "official", "root.crt"))
        for authority in (self.root, self.issuing):
            self.publish(authority)
        os.chown(self.path("trust", "anchors", "official"), 0, MILTER_UID)
        os.chmod(self.path("trust", "anchors", "official"), 0o2750)

    def publish(self, authority, **ages):
        """Its CRL as of now, in the trust folder at once and whole. `ages`: of openssl_ca.stamp(), its nextUpdate."""
        fresh = self.path("ca", authority.name + ".crl")
        if ages:
            run("openssl", "ca", "-config", authority.config, "-gencrl", "-out", fresh, "-crl_lastupdate", stamp(days=-9), "-crl_nextupdate",
                stamp(**ages))
        else:
            authority.crl(fresh)
        os.rename(shutil.copy(fresh, self.path("trust", ".new.crl")), self.path("trust", "crl", authority.name + ".crl"))
        self.trust_changed()

    def trust_changed(self):
        """As segelctl trust says it; whoever reads the folder looks once a second."""
        with open(self.path("trust", ".new.generation"), "w", encoding="ascii"):
            pass
        os.rename(self.path("trust", ".new.generation"), self.path("trust", "generation"))

    # --- mail ---

    def head(self, sender, recipient, token, *more):
        lines = [f"From: {sender}", f"To: {recipient}", f"Subject: Undangan {token}", "Date: Mon, 02 Nov 2026 08:00:00 +0700",
                 f"Message-ID: <{token}.1@luar.example>", f"X-Token: {token}", *more]
        return ("\n".join(lines) + "\n").encode()

    def text(self, token):
        return f"Content-Type: text/plain; charset=utf-8\n\nRapat Senin pukul 09.00. {token}\n".encode()

    def entity(self, name, token, content=None, options=(), env=None):
        """What openssl signs with that certificate, without the fields of a message."""
        path = self.path("ca", f"content-{token}")
        with open(path, "wb") as out:
            out.write(content or self.text(token))
        leaf = self.certs[name]
        try:
            return run("openssl", "cms", "-sign", "-in", path, "-signer", leaf.cert, "-inkey", leaf.key, "-certfile",
                       self.silent.cert if name == "silent" else self.issuing.cert, *options, env={**os.environ, **(env or {})})
        finally:
            os.remove(path)

    def signed(self, name, sender, recipient, token, *more, **how):
        return self.head(sender, recipient, token, *more) + self.entity(name, token, **how)

    def unsigned(self, sender, recipient, token, *more):
        return self.head(sender, recipient, token, *more) + b"MIME-Version: 1.0\n" + self.text(token)

    @functools.cached_property
    def shim(self):
        return shim.build(self)

    @functools.cached_property
    def ahead(self):
        """Environment of a program whose clock goes a day fast."""
        folder = self.path("ahead")
        os.makedirs(folder)
        with open(os.path.join(folder, "clock"), "w", encoding="ascii") as out:
            out.write("86400\n")
        return {"LD_PRELOAD": self.shim, "SEGEL_SHIM": folder}

    def arrive(self, sender, recipients, message, tls=True, context=None, port="server"):
        """From another server, on a connection of its own."""
        with self.session(tls=tls, port=port, context=context) as session:
            outcome = session.send(sender, recipients, message)
            with contextlib.suppress(OSError):
                session.quit()
            return outcome

    # --- what became of it ---

    def desk(self, login):
        """A reviewer's connection to segel-reviewd, kept for the test file."""
        if login not in self.desks:
            self.desks[login] = review.Desk(self.review_socket, login)
        return self.desks[login]

    def held(self, recipient, login="wati"):
        """Lines of the items to that recipient."""
        return self.desk(login).list(recipient=recipient)

    def hold_records(self, event="hold"):
        return [record for record in chain.read_folder(self.path("audit-reviewd")) if record.event == event]

    def verdicts(self, queue_id=None):
        """The inbound filter's records of messages."""
        return [record for record in chain.read_folder(self.path("audit-inbound"))
                if record.event == "message" and queue_id in (None, record["qid"])]

    def stop(self):
        for desk in self.desks.values():
            desk.close()
        super().stop()


@contextlib.contextmanager
def away(path):
    """What lies there is not there for a while."""
    os.rename(path, path + ".away")
    try:
        yield
    finally:
        os.rename(path + ".away", path)


def smime_result(value):
    """method=result pairs of an Authentication-Results value, and its authserv-id, as Mail::AuthenticationResults reads it."""
    program = ("use Mail::AuthenticationResults::Parser; local $/; my $read = Mail::AuthenticationResults::Parser->new()->parse(<STDIN>);"
               "print $read->value->value; print ' ', $_->key, '=', $_->value for @{$read->children}")
    done = subprocess.run(["perl", "-e", program], input=str(value).encode(), capture_output=True, timeout=60)
    return done.stdout.decode() or "unreadable: " + done.stderr.decode()
