"""segelctl verify: one good message, and each thing changed by one.

The authorities, CRLs and OCSP answers are openssl's own; the messages are signed by openssl, gpgsm and NSS, and
sealed by us. No mail server runs, and nothing but the files on the command line is asked.
"""

import base64
import datetime
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

import suite
from gateway import build_folder, must_be_built
from openssl_ca import OpensslCA, run, stamp
from suite import test

DINAS = "dinas@kota.example"
PARTNER = "sekda@provinsi.example"
PARTNER_SEAL = "segel@provinsi.example"
BODY = b"Content-Type: text/plain; charset=utf-8\n\nRapat Senin pukul 09.00.\n"
DATE = "Date: Mon, 02 Nov 2026 08:00:00 +0700"


class VerifyWorld:
    """Two authorities, their statements, a registry, and certificates that differ by one thing each."""

    def __init__(self, place):
        self.folder = place.folder
        self.segelctl = os.path.join(build_folder(), "segelctl")
        must_be_built(build_folder(), ("segelctl",))

    def stop(self):
        pass

    def maillog(self):
        return ""

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def make(self):
        for folder in ("trust/official", "trust/partner", "crl", "ocsp", "empty", "ca", "chain", "mail"):
            os.makedirs(self.path(*folder.split("/")))
        self.root = OpensslCA(self.path("ca"), "Root", None)
        self.issuing = OpensslCA(self.path("ca"), "Issuing", self.root)
        self.partner = OpensslCA(self.path("ca"), "Partner", None)
        self.stranger = OpensslCA(self.path("ca"), "Stranger", None)
        self.issue()
        shutil.copy(self.root.cert, self.path("trust", "official", "root.crt"))
        shutil.copy(self.partner.cert, self.path("trust", "partner", "partner.crt"))
        shutil.copy(self.issuing.cert, self.path("chain", "issuing.crt"))
        self.issuing.revoke(self.revoked)
        self.twin = self.issuing.issue_again("twin", self.good, [DINAS])
        for authority in (self.root, self.issuing, self.partner):
            authority.crl(self.path("crl", authority.name + ".crl"))
        self.root.ocsp(self.issuing.cert, self.path("ocsp", "issuing.der"))
        for name in ("good", "revoked", "soon"):
            self.issuing.ocsp(getattr(self, name).cert, self.path("ocsp", name + ".der"))
        self.make_registry()
        return self

    def issue(self):
        issue = self.issuing.issue
        self.good = issue("good", [DINAS])
        self.other = issue("other", ["budi@kota.example"])
        self.two = issue("two", ["budi@kota.example", DINAS])
        self.rsa = issue("rsa", [DINAS], usage="digitalSignature,keyEncipherment", algorithm="rsa2048")
        self.small = issue("small", [DINAS], algorithm="rsa1024")
        self.edwards = issue("edwards", [DINAS], algorithm="ed25519")
        self.revoked = issue("revoked", [DINAS])
        self.soon = issue("soon", [DINAS], end=stamp(days=3))
        self.later = issue("later", [DINAS], start=stamp(days=2))
        self.authority = issue("authority", [DINAS], usage="digitalSignature,keyCertSign", extended=None, ca="TRUE")
        self.server = issue("server", [DINAS], extended="serverAuth")
        self.encrypts = issue("encrypts", [DINAS], usage="keyEncipherment", algorithm="rsa2048")
        self.blank = issue("blank", ["dinas @kota.example"])
        self.umlaut = issue("umlaut", ["bü@xn--mnchen-3ya.example"])
        self.a_label = issue("a-label", ["budi@xn--mnchen-3ya.example"])
        self.subject = issue("subject", [], in_subject=DINAS)
        self.nameless = issue("nameless", [])
        self.unknown = issue("unknown", [DINAS])
        self.held = issue("held", [DINAS])
        self.ended = issue("ended", [DINAS])
        self.unbound = issue("unbound", [DINAS])
        self.dicabut = issue("dicabut", [DINAS])
        self.unit_seal = issue("unit-seal", ["umum@kota.example"])
        self.seal = self.partner.issue("seal", [PARTNER_SEAL])
        self.foreign = self.stranger.issue("foreign", [DINAS])

    def make_registry(self):
        self.registry = self.path("registry.db")
        self.op("init", "--name", "Siti", "--appointment", "SK 1")
        self.op("unit", "add", "UMUM", "Bagian Umum")
        self.op("domain", "add", "kota.example")
        self.op("domain", "add", "provinsi.example", "--kind", "partner")
        self.op("address", "add", DINAS, "--unit", "UMUM")
        for leaf in (self.good, self.held, self.ended, self.dicabut, self.soon, self.rsa, self.two):
            self.register(leaf, "--address", DINAS)
        self.register(self.unit_seal, "--unit", "UMUM")
        self.register(self.nameless, "--unit", "UMUM")
        self.register(self.seal, "--domain", "provinsi.example", kind="sistem")
        self.op("cert", "import", self.unbound.cert, "--kind", "jabatan")
        self.op("cert", "hold", self.held.sha256, "--reason", "laporan hilang")
        self.op("cert", "revoke", self.dicabut.sha256, "--reason", "MUTASI")
        self.op("bind", "end", self.binding_of(self.ended), "--reason", "mutasi")

    def register(self, leaf, *where, kind="jabatan"):
        self.op("cert", "import", leaf.cert, "--kind", kind)
        self.op("bind", "add", leaf.sha256, "--purpose", "verify", *where)

    def binding_of(self, leaf):
        rows = json.loads(self.op("bind", "list", "--json"))
        certs = json.loads(self.op("cert", "list", "--json"))
        [number] = [row["id"] for row in certs if row["sha256"] == leaf.sha256]
        [binding] = [row["id"] for row in rows if row["cert"] == number]
        return str(binding)

    def op(self, *words):
        return run(self.segelctl, "--registry", self.registry, *words)

    def call(self, message, *options, trust="trust", crl="crl", registry=False, json_wanted=True):
        """segelctl verify over these bytes; the process that ran."""
        path = self.path("mail", "message.eml")
        with open(path, "wb") as out:
            out.write(message)
        folders = (["--trust", self.path(trust)] if trust else []) + (["--crl", self.path(crl)] if crl else [])
        command = [self.segelctl, "verify", *folders, *(["--registry", self.registry] if registry else []), *options, path]
        return subprocess.run(command + (["--json"] if json_wanted else []), stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def verify(self, message, *options, **more):
        done = self.call(message, *options, **more)
        suite.equal(done.returncode, 0, f"exit code ({done.stderr.decode()})")
        return json.loads(done.stdout)


def in_days(days):
    return (datetime.datetime.utcnow() + datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def make_world(place):
    return VerifyWorld(place).make()


# --- messages ---


def head(sender=DINAS, *more):
    lines = [f"From: {sender}", "To: siti@penerima.example", "Subject: Undangan", DATE, "Message-ID: <1@kota.example>", *more]
    return ("\n".join(lines) + "\n").encode()


def entity(world, leaf, *options, content=BODY):
    """What openssl signs, without the fields of a message."""
    path = world.path("mail", "content")
    with open(path, "wb") as out:
        out.write(content)
    return run("openssl", "cms", "-sign", "-in", path, "-signer", leaf.cert, "-inkey", leaf.key, "-certfile", world.issuing.cert,
               *options)


def signed(world, leaf=None, sender=DINAS, more=(), options=()):
    return head(sender, *more) + entity(world, leaf or world.good, *options)


def multipart(content, signature):
    encoded = base64.encodebytes(signature)
    return (b'MIME-Version: 1.0\nContent-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256;'
            b' boundary="batas"\n\n--batas\n' + content + b'\n--batas\nContent-Type: application/pkcs7-signature; name="smime.p7s"\n'
            b"Content-Transfer-Encoding: base64\n\n" + encoded + b"--batas--\n")


def crlf(content):
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def by_gpgsm(world):
    home = world.path("gnupg")
    os.makedirs(home, mode=0o700, exist_ok=True)
    with open(os.path.join(home, "gpg-agent.conf"), "w", encoding="ascii") as out:
        out.write("allow-loopback-pinentry\n")
    base = ["gpgsm", "--homedir", home, "--batch", "--no-tty", "--disable-crl-checks", "--disable-dirmngr", "--pinentry-mode", "loopback"]
    try:
        with open(world.root.cert, "rb") as pem:
            root = subprocess.run(["openssl", "x509", "-outform", "DER"], stdin=pem, capture_output=True, check=True).stdout
        with open(os.path.join(home, "trustlist.txt"), "w", encoding="ascii") as out:
            out.write(hashlib.sha1(root).hexdigest().upper() + " S relax\n")
        for file in (world.root.cert, world.issuing.cert):
            run(*base, "--import", file)
        import_key(world, base)
        content = world.path("mail", "content.crlf")
        with open(content, "wb") as out:
            out.write(crlf(BODY).removesuffix(b"\r\n"))
        signature = with_passphrase(base + ["--passphrase-fd", "0", "--digest-algo", "SHA256", "--local-user", DINAS, "--detach-sign",
                                            content])
    finally:
        run("gpgconf", "--homedir", home, "--kill", "all")
    return head() + multipart(BODY.removesuffix(b"\n"), signature)


def import_key(world, base):
    """gpgsm 2.2 cannot decrypt every PKCS#12 file, by the salt that it happens to have: another one then."""
    pkcs12 = world.path("mail", "rsa.p12")
    for attempt in range(10):
        run("openssl", "pkcs12", "-export", "-in", world.rsa.cert, "-inkey", world.rsa.key, "-passout", "pass:kunci", "-out", pkcs12,
            "-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1")
        try:
            return with_passphrase(base + ["--passphrase-fd", "0", "--import", pkcs12])
        except RuntimeError:
            if attempt == 9:
                raise


def with_passphrase(command):
    done = subprocess.run(command, input=b"kunci\n", capture_output=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode('utf-8', 'replace')}")
    return done.stdout


def by_cmsutil(world):
    database = "sql:" + world.path("nss")
    os.makedirs(world.path("nss"), exist_ok=True)
    pkcs12 = world.path("mail", "nss.p12")
    run("openssl", "pkcs12", "-export", "-in", world.rsa.cert, "-inkey", world.rsa.key, "-name", "dinas", "-certfile", world.issuing.cert,
        "-passout", "pass:kunci", "-out", pkcs12)
    run("certutil", "-N", "-d", database, "--empty-password")
    run("certutil", "-A", "-d", database, "-n", "root", "-t", ",C,", "-i", world.root.cert)
    run("pk12util", "-i", pkcs12, "-d", database, "-W", "kunci")
    content = world.path("mail", "content.nss")
    with open(content, "wb") as out:
        out.write(crlf(BODY).removesuffix(b"\r\n"))
    signature = run("cmsutil", "-S", "-T", "-N", "dinas", "-H", "SHA256", "-d", database, "-i", content)
    return head() + multipart(BODY.removesuffix(b"\n"), signature)


def by_our_seal(world, *options, leaf=None):
    plain = world.path("mail", "plain.eml")
    with open(plain, "wb") as out:
        out.write(head() + b"MIME-Version: 1.0\n" + BODY)
    key = world.path("mail", "seal.key")
    leaf = leaf or world.good
    shutil.copy(leaf.key, key)
    os.chmod(key, 0o600)
    return run(world.segelctl, "seal", plain, "--cert", leaf.cert, "--key", protected(world, key), "--passphrase-file",
               passphrase(world), "--chain-dir", world.path("chain"), *options)


def passphrase(world):
    path = world.path("mail", "passphrase")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as out:
        out.write("kunci\n")
    return path


def protected(world, key):
    """The key agent's loader takes no key in clear."""
    path = world.path("mail", "protected.key")
    run("openssl", "pkcs8", "-topk8", "-in", key, "-out", path, "-passout", "pass:kunci")
    os.chmod(path, 0o600)
    return path


# --- what is wanted ---

GOOD = {"signature": "good", "coverage": "whole", "chain": "good", "revocation": "good", "identity": "match", "encryption": "none"}
ACTIONS = {"submission": "accept", "inbound-official": "accept", "inbound-other": "accept", "local": "accept", "egress": "accept"}


def codes(data):
    return sorted({finding["code"] for finding in data["findings"]})


def found(data, wanted, findings, **verdict):
    suite.equal({key: data[key] for key in {**GOOD, **wanted}}, {**GOOD, **wanted}, f"facts, of {json.dumps(data, indent=1)}")
    suite.equal(codes(data), sorted(findings), f"findings, of {json.dumps(data, indent=1)}")
    suite.check(all(finding["evidence"] for finding in data["findings"]), "a finding without evidence")
    suite.equal({**data["verdict"], **{key.replace("_", "-"): value for key, value in verdict.items()}}, data["verdict"], "verdict")


def good(data):
    found(data, {}, [])
    suite.equal(data["verdict"], ACTIONS, "verdict")


def case(name, message, wanted, findings, options=(), verdict=None, **more):
    """One thing differs from the good message: what is found, and nothing else."""
    @test(name)
    def _(world):
        words = [option(world) if callable(option) else option for option in options]
        found(world.verify(message(world), *words, **more), wanted, findings, **(verdict or {}))


@test("a good message: every fact is good, every class accepts, and the JSON has every key")
def _(world):
    data = world.verify(signed(world))
    good(data)
    keys = ["signature", "coverage", "chain", "revocation", "identity", "signer", "encryption", "registry", "findings", "verdict"]
    suite.equal([key for key in keys if key not in data], [], "missing keys")
    suite.equal(data["registry"], "not asked", "registry")
    signed_at = datetime.datetime.strptime(data["signing_time"], "%Y-%m-%dT%H:%M:%SZ")
    suite.check(abs((datetime.datetime.utcnow() - signed_at).total_seconds()) < 60, data["signing_time"])
    suite.equal(data["signer"]["sha256"], world.good.sha256, "SHA-256")
    suite.equal(data["signer"]["addresses"], [DINAS], "addresses")
    suite.equal((data["signer"]["subject"], data["signer"]["issuer"]), ("CN=good,O=Demo,C=ID", "CN=Issuing,O=Demo,C=ID"), "names")
    serial = run("openssl", "x509", "-in", world.good.cert, "-noout", "-serial").decode().strip().partition("=")[2]
    suite.equal(data["signer"]["serial"].upper(), serial, "serial number")


@test("good by gpgsm, by NSS, by openssl opaque, by our own seal clear and opaque")
def _(world):
    for maker in (by_gpgsm, by_cmsutil, lambda w: signed(w, options=["-nodetach"]), by_our_seal, lambda w: by_our_seal(w, "--opaque")):
        good(world.verify(maker(world)))


def renamed(message, media_type):
    """The same opaque message under another Content-Type."""
    said = re.search(rb'(?im)^Content-Type: application/(?:x-)?pkcs7-mime;[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*', message)
    suite.check(said, "an opaque message")
    return message[:said.start()] + b"Content-Type: " + media_type + message[said.end():]


@test("opaque mail that does not say in smime-type what it is counts as what it holds")
def _(world):
    message = signed(world, options=["-nodetach"])
    for media_type in (b'application/pkcs7-mime; name="smime.p7m"', b'application/octet-stream; name="smime.p7m"'):
        good(world.verify(renamed(message, media_type)))
        changed = bytearray(renamed(message, media_type))
        changed[-20] = ord("A") if changed[-20] != ord("A") else ord("B")  # within the signature's value
        suite.equal(world.verify(bytes(changed))["signature"], "bad", "a changed one")
    data = world.verify(renamed(message, b'application/pkcs7-mime; smime-type=compressed-data; name="smime.p7z"'))
    suite.equal(codes(data), ["SIG_MALFORMED"], "signed-data that says it is something else")


@test("our seal with the unit's certificate: Sender names it, and the registry's binding makes it a match")
def _(world):
    message = by_our_seal(world, leaf=world.unit_seal)
    suite.check(b"Sender: umum@kota.example" in message, message[:2000])
    data = world.verify(message, registry=True)
    found(data, {"registry": "found", "protection": "match"}, [])
    found(world.verify(message), {"identity": "mismatch", "protection": "match"}, ["SIGNER_MISMATCH"])
    other = message.replace(b"Sender: umum@", b"Sender: budi@")
    data = world.verify(other, registry=True)
    suite.equal((data["identity"], data["verdict"]["inbound-official"]), ("mismatch", "hold"), "another Sender")


@test("a field that our seal protects, changed outside: the signature is good, the message is not")
def _(world):
    message = by_our_seal(world)
    for field, other in ((b"Subject: Undangan", b"Subject: Pembatalan"), (b"To: siti@", b"To: mallory@"),
                         (b"Date: Mon, 02", b"Date: Tue, 03")):
        outer, separator, inner = message.partition(b"\r\n\r\n")
        suite.check(field in outer, outer)
        data = world.verify(outer.replace(field, other, 1) + separator + inner)
        found(data, {"protection": "mismatch"}, ["HEADER_MISMATCH"], **REJECTED)


@test("one byte of any of them changed: bad, and nothing else is judged")
def _(world):
    for maker in (signed, by_gpgsm, by_our_seal):
        data = world.verify(maker(world).replace(b"09.00", b"10.00"))
        found(data, {"signature": "bad", "chain": data["chain"], "revocation": data["revocation"]}, ["SIG_INVALID"],
              submission="reject", inbound_official="hold", inbound_other="tag", local="tag", egress="reject")


@test("with the registry: registered, in force, bound to the address")
def _(world):
    data = world.verify(signed(world), registry=True)
    good(data)
    suite.equal(data["registry"], "found", "registry")


REJECTED = {"submission": "reject", "inbound_official": "hold", "inbound_other": "tag", "egress": "reject"}
STOPPED = {"submission": "reject", "inbound_official": "reject+hold", "inbound_other": "hold", "egress": "reject"}
DEFERRED = {"submission": "defer", "inbound_official": "defer", "inbound_other": "tag", "egress": "defer"}
NO_SIGNER = {"signature": "none", "coverage": "none", "chain": "unknown", "revocation": "unknown", "identity": "none"}

# --- whose address it is ---

case("another From", lambda w: signed(w, sender="camat@kota.example"), {"identity": "mismatch"}, ["SIGNER_MISMATCH"], verdict=REJECTED)
case("From in capitals", lambda w: signed(w, sender="DINAS@kota.example"), {"identity": "mismatch"}, ["SIGNER_MISMATCH"])
case("From's domain in capitals", lambda w: signed(w, sender="dinas@KOTA.Example"), {}, [])
case("the second address of the certificate", lambda w: signed(w, w.two), {}, [])
case("two From", lambda w: signed(w, more=["From: camat@kota.example"]),
     {"signature": "malformed", "chain": "unknown", "revocation": "unknown", "identity": "ambiguous"}, ["FROM_AMBIGUOUS", "MIME_AMBIGUOUS"],
     verdict={"submission": "reject", "inbound_official": "hold"})
case("two mailboxes in From", lambda w: signed(w, sender=f"{DINAS}, camat@kota.example"), {"identity": "ambiguous"}, ["FROM_AMBIGUOUS"])
case("--from instead of two mailboxes in From", lambda w: signed(w, sender=f"{DINAS}, camat@kota.example"), {}, [],
     options=["--from", DINAS])
case("--from of somebody else", signed, {"identity": "mismatch"}, ["SIGNER_MISMATCH"], options=["--from", "camat@kota.example"])
case("an address with a blank in it (A14)", lambda w: signed(w, w.blank), {"identity": "mismatch"}, ["SIG_UNFIT", "SIGNER_MISMATCH"],
     verdict=REJECTED)
case("the address in the subject only (A16)", lambda w: signed(w, w.subject), {"identity": "mismatch"}, ["SIGNER_MISMATCH"])
case("an internationalised address (RFC 9598)", lambda w: signed(w, w.umlaut, "bü@münchen.example"), {}, [])
case("the same, its domain in A-labels", lambda w: signed(w, w.umlaut, "bü@xn--mnchen-3ya.example"), {}, [])
case("the same, decomposed", lambda w: signed(w, w.umlaut, "bu\u0308@münchen.example"), {"identity": "mismatch"}, ["SIGNER_MISMATCH"])
case("an internationalised domain", lambda w: signed(w, w.a_label, "budi@münchen.example"), {}, [])
case("one that looks like it", lambda w: signed(w, w.a_label, "budi@munchen.example"), {"identity": "mismatch"}, ["SIGNER_MISMATCH"])
case("no address in the certificate", lambda w: signed(w, w.nameless), {"identity": "none"}, ["SIGNER_MISMATCH"])
case("the unit's certificate, registry not asked", lambda w: signed(w, w.unit_seal, more=["Sender: umum@kota.example"]),
     {"identity": "mismatch"}, ["SIGNER_MISMATCH"])
case("the unit's certificate with Sender", lambda w: signed(w, w.unit_seal, more=["Sender: umum@kota.example"]), {"registry": "found"}, [],
     registry=True)
case("the unit's certificate without Sender", lambda w: signed(w, w.unit_seal), {"registry": "found"}, [], registry=True)
case("the unit's certificate with another Sender", lambda w: signed(w, w.unit_seal, more=["Sender: budi@kota.example"]),
     {"registry": "found", "identity": "mismatch"}, ["SIGNER_MISMATCH"], registry=True)
case("the unit's certificate for another unit's address", lambda w: signed(w, w.unit_seal, "camat@kota.example",
                                                                            ["Sender: umum@kota.example"]),
     {"registry": "unbound", "identity": "mismatch"}, ["SIGNER_MISMATCH", "REG_UNKNOWN"], registry=True)
case("the unit's certificate that names no address", lambda w: signed(w, w.nameless), {"registry": "found"}, [], registry=True)
case("another region's seal by its domain certificate, with Sender", lambda w: signed(w, w.seal, PARTNER, [f"Sender: {PARTNER_SEAL}"]),
     {"registry": "found", "anchor": "partner"}, [], registry=True)
case("another region's seal with a Sender that is not its own",
     lambda w: signed(w, w.seal, PARTNER, ["Sender: lain@provinsi.example"]), {"registry": "found", "identity": "mismatch"},
     ["SIGNER_MISMATCH"], registry=True)
case("another region's seal under our address", lambda w: signed(w, w.seal, DINAS, [f"Sender: {PARTNER_SEAL}"]),
     {"registry": "unbound", "identity": "mismatch"}, ["SIGNER_MISMATCH", "REG_ADDRESS_MISMATCH"], registry=True, verdict=REJECTED)

# --- what the OP says ---

case("held at the registry", lambda w: signed(w, w.held), {"registry": "held"}, ["REG_HELD"], registry=True, verdict=STOPPED)
case("held, but the registry is not asked", lambda w: signed(w, w.held), {"registry": "not asked"}, [])
case("its binding has ended", lambda w: signed(w, w.ended), {"registry": "ended"}, ["REG_ENDED"], registry=True, verdict=STOPPED)
case("revoked by the OP", lambda w: signed(w, w.dicabut), {"registry": "revoked"}, ["CERT_REVOKED"], registry=True, verdict=STOPPED)
case("not registered", lambda w: signed(w, w.unknown), {"registry": "none"}, ["REG_UNKNOWN"], registry=True,
     verdict={"submission": "reject", "inbound_official": "hold", "inbound_other": "accept"})
case("registered and not bound", lambda w: signed(w, w.unbound), {"registry": "unbound"}, ["REG_ADDRESS_MISMATCH"], registry=True)

# --- the path and its status ---

case("revoked, by the CRL", lambda w: signed(w, w.revoked), {"revocation": "revoked"}, ["CERT_REVOKED", "SIG_TIME"], verdict=STOPPED)
case("revoked, by OCSP", lambda w: signed(w, w.revoked), {"revocation": "revoked"}, ["CERT_REVOKED", "SIG_TIME"], crl=None,
     options=["--ocsp", lambda w: w.path("ocsp")])
case("good by OCSP alone", signed, {}, [], crl=None, options=["--ocsp", lambda w: w.path("ocsp")])
case("no CRL", signed, {"revocation": "unknown"}, ["STATUS_UNKNOWN"], crl=None, verdict=DEFERRED)
case("an empty folder of CRLs", signed, {"revocation": "unknown"}, ["STATUS_UNKNOWN"], crl="empty", verdict=DEFERRED)
case("within the grace of a CRL", signed, {}, [], options=["--at", lambda w: in_days(7.5)])
case("a stale CRL", signed, {"revocation": "unknown"}, ["STATUS_UNKNOWN"], options=["--at", lambda w: in_days(9)], verdict=DEFERRED)
case("expired at --at", lambda w: signed(w, w.soon), {"chain": "expired", "revocation": "unknown"}, ["CERT_EXPIRED"], options=["--at", lambda w: in_days(4)],
     verdict=STOPPED)
case("not expired at an earlier --at", lambda w: signed(w, w.soon), {}, [], options=["--at", lambda w: in_days(2)])
case("signed before its certificate's first day", lambda w: signed(w, w.later), {"chain": "not-yet", "revocation": "unknown"}, ["CERT_NOT_YET", "SIG_TIME"],
     verdict=REJECTED)
case("an untrusted root", lambda w: signed(w, w.foreign), {"chain": "untrusted", "revocation": "unknown"}, ["CERT_UNTRUSTED"],
     verdict=REJECTED)
case("no trust at all", signed, {"chain": "untrusted", "revocation": "unknown"}, ["CERT_UNTRUSTED"], trust=None)
case("an empty folder of trust", signed, {"chain": "untrusted", "revocation": "unknown"}, ["CERT_UNTRUSTED"], trust="empty")
case("signed ahead of our clock", signed, {}, ["SIG_TIME"], options=["--at", lambda w: in_days(-0.01)])

# --- strength and fitness ---

case("SHA-1", lambda w: signed(w, options=["-md", "sha1"]), {}, ["SIG_WEAK"], verdict=REJECTED)
case("SHA-1 with --no-algorithm-policy", lambda w: signed(w, options=["-md", "sha1"]), {}, [], options=["--no-algorithm-policy"])
case("RSA-1024", lambda w: signed(w, w.small), {"chain": "bad", "revocation": "unknown"}, ["SIG_WEAK", "CERT_UNTRUSTED"])
case("RSA-1024 with --no-algorithm-policy", lambda w: signed(w, w.small), {}, [], options=["--no-algorithm-policy"])
case("a CA's certificate as signer", lambda w: signed(w, w.authority), {}, ["SIG_UNFIT"], verdict=REJECTED)
case("a server's certificate", lambda w: signed(w, w.server), {}, ["SIG_UNFIT"])
case("a certificate for encryption only", lambda w: signed(w, w.encrypts), {}, ["SIG_UNFIT"])

# --- form ---

case("another certificate of the signer's issuer and serial number beside his", lambda w: signed(w, options=["-certfile", w.twin.cert]),
     {"signature": "malformed", "chain": "unknown", "revocation": "unknown", "identity": "none"}, ["SIG_MALFORMED"], verdict=REJECTED)
case("a certificate under the issuer and serial number of a registered one (A25)", lambda w: signed(w, w.twin), {"registry": "conflict"},
     ["REG_CONFLICT"], registry=True, verdict=REJECTED)

case("no signed attributes", lambda w: signed(w, options=["-noattr"]), {"signature": "malformed"}, ["SIG_MALFORMED"], verdict=REJECTED)
case("unsigned", lambda w: head() + BODY, NO_SIGNER, ["SIG_MISSING"],
     verdict={"submission": "accept", "inbound_official": "tag", "inbound_other": "accept"})
case("a signed part of an unsigned message", lambda w: head() + b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="luar"\n\n--luar\n'
     + entity(w, w.good).replace(b"MIME-Version: 1.0\n", b"", 1) + b"\n--luar\nContent-Type: text/plain\n\nBayar sekarang.\n--luar--\n",
     {**NO_SIGNER, "coverage": "partial"}, ["SIG_PARTIAL"], verdict={"submission": "tag", "inbound_official": "tag"})
case("a forwarded signed message", lambda w: head("mallory@example.org") + b"MIME-Version: 1.0\nContent-Type: message/rfc822\n\n" + signed(w),
     {**NO_SIGNER, "coverage": "partial"}, ["SIG_PARTIAL"])
case("encrypted", lambda w: head() + run("openssl", "cms", "-encrypt", "-aes256", "-in", w.path("mail", "content"), w.rsa.cert),
     {**NO_SIGNER, "encryption": "whole"}, ["ENC_UNREADABLE"])


@test("subject addresses count for the issuers that the settings name, and only there")
def _(world):
    settings = world.path("mail", "segel.conf")
    for issuer, wanted in (("CN=Issuing,O=Demo,C=ID", "match"), ("CN=Root,O=Demo,C=ID", "mismatch")):
        with open(settings, "w", encoding="ascii") as out:
            out.write(f'verify: {{ subject_address = [ "{issuer}" ]; }};\n')
        data = world.verify(signed(world, world.subject), "-c", settings)
        suite.equal(data["identity"], wanted, issuer)


@test("a region's own action table, by -c and by nothing else")
def _(world):
    settings = world.path("mail", "segel.conf")
    with open(settings, "w", encoding="ascii") as out:
        out.write('policy = ( { finding = "REG_HELD"; class = "submission"; action = "defer"; } );\n')
    message = signed(world, world.held)
    suite.equal(world.verify(message, "-c", settings, registry=True)["verdict"]["submission"], "defer", "with -c")
    suite.equal(world.verify(message, registry=True)["verdict"]["submission"], "reject", "without")


@test("a hold counts for the next question, and lapses")
def _(world):
    message = signed(world, world.two)
    good(world.verify(message, registry=True))
    world.op("cert", "hold", world.two.sha256, "--reason", "cuti", "--until", in_days(2))
    found(world.verify(message, registry=True), {"registry": "held"}, ["REG_HELD"], **STOPPED)
    good(world.verify(message, "--at", in_days(3), registry=True))
    world.op("cert", "unhold", world.two.sha256, "--reason", "kembali")
    good(world.verify(message, registry=True))


@test("a row that contradicts the certificate (A25)")
def _(world):
    damaged = world.path("mail", "damaged.db")
    message = signed(world)
    for column, value in (("issuer", "'CN=Lain'"), ("serial", "'beef'"), ("spki", "zeroblob(32)")):
        run("sqlite3", world.registry, f".backup {damaged}")
        run("sqlite3", damaged, "DROP TRIGGER cert_unchanging; DROP TRIGGER cert_update_by_officer; DROP TRIGGER cert_state_by_act;"
            f"UPDATE cert SET {column}={value} WHERE sha256=x'{world.good.sha256}'")
        data = world.verify(message, "--registry", damaged)
        found(data, {"registry": "conflict"}, ["REG_CONFLICT"], **REJECTED)


@test("the same inputs give the same output; many files give one object each, in their order")
def _(world):
    paths = []
    for name, content in (("a.eml", signed(world)), ("b.eml", signed(world, sender="camat@kota.example")), ("c.eml", head() + BODY)):
        paths.append(world.path("mail", name))
        with open(paths[-1], "wb") as out:
            out.write(content)
    command = [world.segelctl, "verify", "--json", "--at", in_days(0.01), "--trust", world.path("trust"), "--crl", world.path("crl"),
               "--registry", world.registry, *paths]
    outputs = {run(*command) for _ in range(3)}
    suite.equal(len(outputs), 1, "different outputs")
    [output] = outputs
    objects = [json.loads(line) for line in output.decode().splitlines()]
    suite.equal([data["file"] for data in objects], paths, "files")
    suite.equal([data["identity"] for data in objects], ["match", "mismatch", "none"], "identities")


def other_order(world, folder, name, change):
    """The same files under other names, so that they are listed in another order; another file system order, too."""
    os.makedirs(world.path(name))
    files = sorted(os.path.join(root, file) for root, _, found in os.walk(world.path(folder)) for file in found)
    for number, file in enumerate(reversed(files)):
        sub = os.path.relpath(os.path.dirname(file), world.path(folder))
        os.makedirs(os.path.join(world.path(name), sub), exist_ok=True)
        shutil.copy(file, os.path.join(world.path(name), sub, change(number)))


@test("nothing of the place counts: time zone, locale, working folder, names and order of the files in DIR")
def _(world):
    paths = []
    for number, content in enumerate((signed(world), signed(world, world.revoked), signed(world, world.foreign), signed(world, world.other),
                                      signed(world, world.soon), signed(world, sender="\u00fc@kota.example"), head() + BODY, b"hanya teks\n")):
        paths.append(world.path("mail", f"place{number}.eml"))
        with open(paths[-1], "wb") as out:
            out.write(content)
    for folder in ("trust", "crl", "ocsp"):
        other_order(world, folder, folder + "-z", lambda number: f"{99 - number:02}")
        other_order(world, folder, folder + "-a", lambda number: f"{number:02}.x")
    moments = [in_days(0.01), in_days(4), in_days(9)]
    outputs = {moment: set() for moment in moments}
    places = [("", {}, world.folder), ("-z", {"TZ": "Asia/Jakarta", "LC_ALL": "C.UTF-8", "LANG": "id_ID"}, "/"),
              ("-a", {"TZ": "America/St_Johns", "LC_ALL": "POSIX", "LANGUAGE": "id", "COLUMNS": "40"}, world.path("mail"))]
    for moment in moments:
        for suffix, more, folder in places:
            options = [word for name in ("trust", "crl", "ocsp") for word in ("--" + name, world.path(name + suffix))]
            done = subprocess.run([world.segelctl, "verify", "--json", "--at", moment, *options, "--registry", world.registry, *paths],
                                  cwd=folder, env={**os.environ, **more}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
            suite.equal(done.returncode, 1, done.stderr)
            outputs[moment].add(done.stdout)
    for moment in moments:
        suite.equal(len(outputs[moment]), 1, f"outputs at {moment}: {outputs[moment]}")
        suite.equal(len(decode_all(next(iter(outputs[moment])).decode())), len(paths), "objects")
    suite.equal(len({next(iter(found)) for found in outputs.values()}), len(moments), "the time counts")


@test("a folder of 300 messages in one command")
def _(world):
    os.makedirs(world.path("many"))
    paths = [world.path("many", f"{number}.eml") for number in range(300)]
    with open(paths[0], "wb") as out:
        out.write(signed(world))
    for path in paths[1:]:
        os.link(paths[0], path)
    lines = run(world.segelctl, "verify", "--json", "--trust", world.path("trust"), "--crl", world.path("crl"), *paths).splitlines()
    suite.equal([json.loads(line)["file"] for line in lines], paths, "files")


def decode_all(text):
    decoder, objects = json.JSONDecoder(), []
    while text.strip():
        data, end = decoder.raw_decode(text.lstrip())
        objects.append(data)
        text = text.lstrip()[end:]
    return objects


@test("what is no message: exit 1; and the others are judged all the same")
def _(world):
    for content in (b"", b"\n", b"\x30\x82\x01\x00", b"hanya teks\n"):
        suite.equal(world.call(content).returncode, 1, repr(content))
    with open(world.path("mail", "a.eml"), "wb") as out:
        out.write(signed(world))
    done = subprocess.run([world.segelctl, "verify", "--json", "--trust", world.path("trust"), "--crl", world.path("crl"), world.good.cert,
                           world.path("mail", "a.eml")], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    suite.equal(done.returncode, 1, "exit code")
    bad, fine = decode_all(done.stdout.decode())
    suite.check("no message" in bad["error"], bad)
    good(fine)


@test("wrong usage: exit 2; what is not there: exit 4")
def _(world):
    for options in (["--at", "kemarin"], ["--from", "Dinas <dinas@kota.example>"], ["--from", "dinas @kota.example"], ["--trusted", "x"]):
        done = world.call(signed(world), *options)
        suite.equal((done.returncode, done.stdout), (2, b""), options)
    for options in (["--trust", "/nowhere"], ["--crl", "/nowhere"], ["--ocsp", "/nowhere"], ["--registry", "/nowhere"], ["-c", "/nowhere"],
                    [world.path("mail", "missing.eml")]):
        done = world.call(signed(world), *options, trust=None, crl=None)
        suite.equal(done.returncode, 4, (options, done.stderr))


@test("files that are neither certificate nor CRL are named, and do not spoil the others")
def _(world):
    shutil.copytree(world.path("crl"), world.path("mixed"))
    with open(world.path("mixed", "sampah.crl"), "wb") as out:
        out.write(b"bukan CRL\n")
    done = world.call(signed(world), crl="mixed")
    suite.equal(done.returncode, 0, "exit code")
    good(json.loads(done.stdout))
    suite.check(b"sampah.crl" in done.stderr, done.stderr)


@test("DER is as good as PEM")
def _(world):
    for folder in ("der-trust", "der-crl"):
        os.makedirs(world.path(folder))
    run("openssl", "x509", "-in", world.root.cert, "-outform", "DER", "-out", world.path("der-trust", "root"))
    for authority in (world.root, world.issuing):
        run("openssl", "crl", "-in", world.path("crl", authority.name + ".crl"), "-outform", "DER", "-out",
            world.path("der-crl", authority.name))
    good(world.verify(signed(world), trust="der-trust", crl="der-crl"))


@test("line ends as a mail server has them are judged as they are; a file of this machine's as if they were so")
def _(world):
    received = crlf(signed(world))
    good(world.verify(received))
    good(world.verify(received.replace(b"\r\n", b"\n")))
    for place, finding in ((b"09.00.", "SIG_MALFORMED"), (b"Subject: Undangan", "MIME_AMBIGUOUS")):
        data = world.verify(received.replace(place + b"\r\n", place + b"\n"))
        suite.check(data["signature"] != "good" and finding in codes(data), data)


@test("for people: the same words, and no control character of a sender's reaches the terminal")
def _(world):
    done = world.call(signed(world, sender="camat@kota.example"), json_wanted=False)
    text = done.stdout.decode()
    for word in ("signature:  good", "identity:   mismatch", "registry:   not asked", "finding:    SIGNER_MISMATCH",
                 "inbound-official: hold"):
        suite.check(word in text, text)
    done = world.call(head("\x1b[31m\x9b" + DINAS) + BODY, json_wanted=False)
    suite.check(all(byte in b"\n" or 32 <= byte < 127 for byte in done.stdout), done.stdout)


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
