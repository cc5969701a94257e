"""segelctl trust refresh and check against servers of every sort, on loopback.

Two authorities are configured. One of them is served well throughout, and must get its statements in every case; the
other's server behaves as the case says. What is stored is read by openssl, too.
"""

import glob
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import deadline
import suite
import webserver
from ca import DAY, Ca, moment, nonce_of, refusal
from cryptography import x509
from cryptography.x509 import ocsp
from cryptography.hazmat.primitives import hashes, serialization
from gateway import build_folder, must_be_built
from suite import check, equal, test

FETCHER = 64006
PORT, TLS_PORT, PROXY_PORT, OPENSSL_PORT, CLOSED_PORT = 8080, 8443, 3128, 8888, 8999
HOST = "crl.example"
HOSTS = """\
127.0.0.1 localhost crl.example other.example proxy.example
127.0.0.9 private.example
10.9.9.9 inside.example
"""
SECONDS = 1  # trust.timeout

CONFIG = """\
log: {{ target = "stderr"; }};
registry: {{ file = "{folder}/registry/registry.db"; timeout = "500ms"; }};
trust: {{
	dir = "{folder}/trust"; audit_dir = "{folder}/audit"; user = "{fetcher}"; grace = "1h";
	timeout = "{seconds}s"; total = "3s"; allow_private = [ "127.0.0.1" ]; https_ca = "{folder}/https.crt"; {more}
}};
"""


def url(path, host=HOST, port=PORT, scheme="http"):
    return f"{scheme}://{host}:{port}{path}"


class Done:
    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout.decode("utf-8", "replace")
        self.err = done.stderr.decode("utf-8", "replace")

    def __str__(self):
        return f"exit {self.code}\n{self.out}{self.err}"

    @property
    def rows(self):
        return json.loads(self.out)

    def row(self, kind, issued):
        found = [row for row in self.rows if row["kind"] == kind and row["id"] == issued.sha256]
        return found[0] if found else None


class TrustWorld:
    def __init__(self, place):
        if not place.isolated:
            raise RuntimeError("this needs namespaces: it names hosts of its own")
        self.folder = place.folder
        self.build = build_folder()
        must_be_built(self.build, ("segelctl",))
        self.config = self.path("segel.conf")
        self.name_hosts()
        self.root, self.bad_root = Ca("Root"), Ca("Other Root")
        self.good, self.ca = Ca("Steady", self.root), Ca("Tested", self.root)
        self.leaf = self.ca.issue("Budi", urls={"crl": url("/named-by-a-certificate"), "ocsp": url("/named-by-a-certificate")})
        self.server = webserver.WebServer("127.0.0.1", PORT)
        self.make_registry()
        self.make_https()
        self.configure()

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def stop(self):
        self.server.stop()

    def maillog(self):
        return ""

    def name_hosts(self):
        subprocess.run(["ip", "address", "add", "10.9.9.9/32", "dev", "lo"], check=True, stdin=subprocess.DEVNULL)
        for name, text in (("hosts", HOSTS), ("resolv.conf", "nameserver 127.0.0.1\n"), ("nsswitch.conf", "hosts: files\n")):
            self.write(name, text.encode())
            if os.path.exists("/etc/" + name):
                subprocess.run(["mount", "--bind", self.path(name), "/etc/" + name], check=True, stdin=subprocess.DEVNULL)

    def write(self, name, data):
        with open(self.path(name), "wb") as out:
            out.write(data)
        return self.path(name)

    def configure(self, more=""):
        self.write("segel.conf", CONFIG.format(folder=self.folder, fetcher=FETCHER, seconds=SECONDS, more=more).encode())

    def make_registry(self):
        os.makedirs(self.path("registry"))
        os.chown(self.path("registry"), 0, FETCHER)
        os.chmod(self.path("registry"), 0o2770)
        os.makedirs(self.path("audit"), mode=0o750)
        self.configure()
        self.must("init", "--name", "Petugas", "--appointment", "SK-1")
        self.register(self.leaf)

    def register(self, issued):
        self.must("cert", "import", self.write("leaf.crt", issued.pem), "--kind", "individu")

    def make_https(self):
        """A server's certificate and the authority of it, which has nothing to do with those of mail."""
        authority = Ca("Transport")
        self.write("https.crt", authority.pem)
        self.tls = []
        for names, port in (([HOST], TLS_PORT), (["elsewhere.example"], TLS_PORT + 1)):
            key, cert = server_cert(authority, names)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.write("server.crt", cert), self.write("server.key", key))
            self.tls.append(webserver.WebServer("127.0.0.1", port, context))

    def command(self, *args):
        return [os.path.join(self.build, "segelctl"), "-c", self.config, *args]

    def environment(self, more=None):
        env = {name: value for name, value in os.environ.items() if not name.startswith("SUDO_")}
        return {**env, **(more or {})}

    def run(self, *args, env=None, timeout=60):
        return Done(subprocess.run(self.command(*args), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout,
                                   env=self.environment(env)))

    def as_user(self, uid, *command):
        return Done(subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *command], cwd="/",
                                   stdin=subprocess.DEVNULL, capture_output=True, timeout=60, env=self.environment()))

    def must(self, *args):
        done = self.run(*args)
        check(done.code == 0, f"segelctl {' '.join(args)}: {done}")
        return done

    def refresh(self, **more):
        return self.run("trust", "refresh", "--json", **more)

    def check_it(self):
        return self.run("trust", "check", "--json")

    # --- the folder, anew for each case ---

    def begin(self, crl=("/tested.crl",), ocsp=(), stored=True):
        """Three authorities; what they are to be asked at; with a good state already in the folder."""
        shutil.rmtree(self.path("trust"), ignore_errors=True)
        self.server.asked.clear()
        self.server.paths.clear()
        self.add(self.root, "official", ["/root.crl"])
        self.add(self.good, "issuer", ["/steady.crl"])
        self.add(self.ca, "issuer", crl, ocsp)
        steady = self.root.crl(number=1)
        self.server.paths["/root.crl"] = webserver.gives(steady)
        self.server.paths["/steady.crl"] = webserver.gives(self.good.crl(number=10))
        self.old = self.ca.crl(number=5, start=-7200)
        self.server.paths["/tested.crl"] = webserver.gives(self.old)
        if stored:
            self.put("crl", self.root, "crl", steady)
            self.put("crl", self.good, "crl", self.good.crl(number=10))
            self.put("crl", self.ca, "crl", self.old)
            self.server.paths["/steady.crl"] = webserver.gives(self.good.crl(number=11))

    def add(self, authority, purpose, crl=(), ocsp=()):
        words = ["--fingerprint", authority.sha256] if purpose != "issuer" else []
        for option, paths in (("--crl", crl), ("--ocsp", ocsp)):
            words += [option, *(path if "//" in path else url(path) for path in paths)] if paths else []
        self.must("trust", "add", self.write("authority.crt", authority.pem), "--purpose", purpose, *words)

    def stored(self, part, issued, extension):
        try:
            with open(self.path("trust", part, f"{issued.sha256}.{extension}"), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def crl(self, authority=None):
        return self.stored("crl", authority or self.ca, "crl")

    def answer(self, issued=None):
        return self.stored("ocsp", issued or self.leaf, "ors")

    def put(self, part, issued, extension, data):
        path = self.path("trust", part, f"{issued.sha256}.{extension}")
        with open(path, "wb") as out:
            out.write(data)
        os.chown(path, FETCHER, FETCHER)

    def no_leftovers(self):
        equal(glob.glob(self.path("trust", "*", ".new-*")), [], "leftovers")


def server_cert(authority, names):
    issued = authority.issue(names[0])
    builder = x509.CertificateBuilder().subject_name(issued.cert.subject).issuer_name(authority.name).public_key(issued.key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(moment(-DAY)).not_valid_after(moment(DAY))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
    cert = builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    key = issued.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key, cert


def make_world(place):
    return TrustWorld(place)


# --- CRLs ---

def crl_case(name, behaviour, wanted, crl=("/tested.crl",), least=0.0, most=8.0):
    """The server misbehaves: the old CRL stays, byte for byte; the other authority's new one comes all the same."""
    def run(world):
        world.begin(crl=crl)
        world.server.paths["/tested.crl"] = behaviour(world)
        before = world.crl()
        check(before, "a CRL is there")
        began = time.monotonic()
        done = world.refresh()
        took = time.monotonic() - began
        equal(done.code, 1, f"exit ({done})")
        row = done.row("crl", world.ca)
        equal(row["outcome"], "failed", done)
        check(wanted in row["detail"], f"'{wanted}' is not in: {row['detail']}")
        equal(row["age"], "fresh", "the old one's age")
        check(world.crl() == before, "the old CRL was changed")
        equal(done.row("crl", world.good)["outcome"], "new", "the other authority")
        check(least <= took <= most, f"it took {took:.1f} s, wanted {least} to {most}")
        world.no_leftovers()
    test(f"CRL refused: {name}")(run)


def taken_case(name, data, behaviour=None, crl=("/tested.crl",)):
    def run(world):
        world.begin(crl=crl)
        made = data(world)
        world.server.paths["/tested.crl"] = behaviour(world, made) if behaviour else webserver.gives(made)
        done = world.refresh()
        equal(done.code, 0, f"exit ({done})")
        equal(done.row("crl", world.ca)["outcome"], "new", done)
        check(world.crl() == made, "what is stored is not what was sent")
    test(f"CRL taken: {name}")(run)


def newer(world, **more):
    return world.ca.crl(**{"number": 6, "start": -60, **more})


crl_case("nobody listens", lambda w: webserver.fails(500), "connect", crl=(url("/tested.crl", port=CLOSED_PORT),))
crl_case("silence", lambda w: webserver.is_silent, "too slow", least=SECONDS)
crl_case("one byte a second", lambda w: webserver.drips(newer(w)), "too slow", least=SECONDS)
crl_case("an HTML page", lambda w: webserver.gives(b"<html>Welcome</html>", "application/pkix-crl"), "no CRL in the file")
crl_case("nothing at all", lambda w: webserver.gives(b""), "0 bytes")
crl_case("bytes that are no HTTP", lambda w: webserver.garbage, "HTTP/0.9")
crl_case("1 GB, announced", lambda w: webserver.promises(1 << 30), "more than the 20971520 bytes")
crl_case("1 GB, not announced", lambda w: webserver.pours(1 << 30), "more than the 20971520 bytes")
crl_case("a head without end", lambda w: webserver.endless_head, "header")
crl_case("HTTP 500", lambda w: webserver.fails(500), "HTTP status 500")
crl_case("HTTP 404", lambda w: webserver.fails(404), "HTTP status 404")
crl_case("HTTP 206", lambda w: lambda request: request.answer(newer(w), 206), "HTTP status 206")
crl_case("sent to another host", lambda w: elsewhere(w, "other.example"), "only the same host")
crl_case("sent to another port", lambda w: elsewhere(w, HOST, TLS_PORT), "only the same host")
crl_case("sent to a private host", lambda w: elsewhere(w, "private.example"), "only the same host")
crl_case("sent to a file", lambda w: webserver.sends_to("file:///etc/passwd"), "only the same host")
crl_case("sent in a circle", lambda w: webserver.sends_to("/tested.crl"), "3 times")
crl_case("cut, with a length", lambda w: webserver.says_more_than_it_gives(newer(w)), "remaining to read")
crl_case("cut, in chunks", lambda w: webserver.chunked(newer(w), whole=False), "outstanding read data")
crl_case("cut, without a length", lambda w: webserver.ends_early(newer(w)), "no CRL in DER")
crl_case("packed although nobody asked for it", lambda w: webserver.gzipped(newer(w)), "no CRL in the file")
crl_case("bytes behind it", lambda w: webserver.gives(newer(w) + b"\n"), "1 bytes behind the CRL")
crl_case("one bit changed", lambda w: webserver.gives(flipped(newer(w))), "not by the authority's key")
crl_case("of another authority", lambda w: webserver.gives(w.good.crl(number=6)), "the name differs")
crl_case("in its name, by another key", lambda w: webserver.gives(newer(w, key=w.good.key)), "not by the authority's key")
crl_case("an older number", lambda w: webserver.gives(newer(w, number=4)), "its number (hex) is '4', wanted at least '5'")
crl_case("an older number, by the number of digits", lambda w: webserver.gives(aged(w, 0x10, newer(w, number=0xf))), "its number (hex) is 'f'")
crl_case("without a number", lambda w: webserver.gives(newer(w, number=None)), "its number (hex) is ''")
crl_case("thisUpdate goes back", lambda w: webserver.gives(newer(w, start=-8000)), "its thisUpdate lies before")
crl_case("the same number and time, other contents",
         lambda w: webserver.gives(w.ca.crl(number=5, start=began(w.old), revoked=[w.leaf])), "another CRL with the number")
crl_case("from the future", lambda w: webserver.gives(newer(w, start=900)), "from the future")
crl_case("out of date", lambda w: webserver.gives(newer(w, end=-3700, start=-7000)), "out of date")
crl_case("a delta CRL", lambda w: webserver.gives(newer(w, extension=(x509.DeltaCRLIndicator(5), True))), "a delta CRL")
crl_case("an indirect CRL", lambda w: webserver.gives(newer(w, extension=(scope(indirect_crl=True), True))), "an indirect CRL")
crl_case("a critical extension that nobody knows",
         lambda w: webserver.gives(newer(w, extension=(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\5\0"), True))),
         "a critical CRL extension that is not known")
crl_case("signed over SHA-1", lambda w: webserver.gives(by_openssl(w, "-sha1")), "SHA-1")
crl_case("a private address by name", lambda w: webserver.fails(500), "127.0.0.9 is not of the public Internet",
         crl=(url("/tested.crl", "private.example"),))
crl_case("a private address by number", lambda w: webserver.fails(500), "10.9.9.9 is not of the public Internet", crl=(url("/tested.crl", "10.9.9.9"),))
crl_case("a private address in IPv6", lambda w: webserver.fails(500), "not of the public Internet", crl=(url("/tested.crl", "[::1]"),))
crl_case("a private IPv4 address in IPv6", lambda w: webserver.fails(500), "not of the public Internet", crl=(url("/tested.crl", "[::ffff:10.9.9.9]"),))
crl_case("a name that is not there", lambda w: webserver.fails(500), "resolve", crl=(url("/tested.crl", "nowhere.example"),))
crl_case("https by a server of another name", lambda w: secure(w, 1, newer(w)), "no alternative certificate subject name", crl=(f"https://{HOST}:{TLS_PORT + 1}/tested.crl",))
crl_case("https without an authority", lambda w: untrusted(w), "unable to get local issuer", crl=(f"https://{HOST}:{TLS_PORT + 2}/tested.crl",))
crl_case("https sends on to http", lambda w: secure(w, 0, None, webserver.sends_to(url("/tested.crl"))), "only the same host",
         crl=(f"https://{HOST}:{TLS_PORT}/tested.crl",))

taken_case("a newer one", newer)
taken_case("in chunks", newer, lambda w, data: webserver.chunked(data))
taken_case("under a wrong type", newer, lambda w, data: webserver.gives(data, "text/html"))
taken_case("as PEM", lambda w: pem(newer(w)))
taken_case("sent on within the host", newer, lambda w, data: moved(w, data, url("/moved.crl")))
taken_case("sent on by a path alone", newer, lambda w, data: moved(w, data, "/moved.crl"))
taken_case("by https", newer, lambda w, data: secure(w, 0, data), crl=(f"https://{HOST}:{TLS_PORT}/tested.crl",))
taken_case("by the second URL", newer, crl=("/first.crl", "/tested.crl"))


def elsewhere(world, host, port=PORT):
    world.server.paths["/stolen.crl"] = webserver.gives(newer(world))
    return webserver.sends_to(url("/stolen.crl", host, port))


def moved(world, data, target):
    world.server.paths["/moved.crl"] = webserver.gives(data)
    return webserver.sends_to(target)


def secure(world, i, data, behaviour=None):
    world.tls[i].paths["/tested.crl"] = behaviour or webserver.gives(data)
    return world.server.paths["/tested.crl"]


def untrusted(world):
    key, cert = server_cert(Ca("Nobody"), [HOST])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world.write("server.crt", cert), world.write("server.key", key))
    world.tls.append(webserver.WebServer("127.0.0.1", TLS_PORT + 2, context))
    world.tls[-1].paths["/tested.crl"] = webserver.gives(newer(world))
    return world.server.paths["/tested.crl"]


def flipped(data):
    changed = bytearray(data)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


def aged(world, number, data):
    """Another number is in the folder than usual; returns the data."""
    world.put("crl", world.ca, "crl", world.ca.crl(number=number, start=-7200))
    return data


def began(crl):
    return x509.load_der_x509_crl(crl).last_update


def scope(**more):
    return x509.IssuingDistributionPoint(**{"full_name": None, "relative_name": None, "only_contains_user_certs": False,
                                            "only_contains_ca_certs": False, "only_some_reasons": None, "indirect_crl": False,
                                            "only_contains_attribute_certs": False, **more})


def pem(crl):
    return x509.load_der_x509_crl(crl).public_bytes(serialization.Encoding.PEM)


def by_openssl(world, digest):
    """The other library refuses to sign over SHA-1."""
    key = world.ca.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    world.write("ca.key", key)
    world.write("ca.crt", world.ca.pem)
    world.write("index", b"")
    world.write("number", b"06\n")
    settings = "[ca]\ndefault_ca=c\n[c]\ndatabase=index\ncrlnumber=number\ndefault_md=sha256\npolicy=p\n[p]\n"
    world.write("ca.cnf", settings.encode())
    made = subprocess.run(["openssl", "ca", "-config", "ca.cnf", "-gencrl", "-md", digest.lstrip("-"), "-keyfile", "ca.key", "-cert", "ca.crt",
                           "-crldays", "1"], cwd=world.folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return x509.load_pem_x509_crl(made.stdout).public_bytes(serialization.Encoding.DER)


# --- OCSP ---

def answers(make):
    """make(nonce of the question or None) gives the answer's bytes."""
    def behave(request):
        request.answer(make(nonce_of(request.body) if request.method == "POST" else None), 200, "application/ocsp-response")
    return behave


def serve_ocsp(world, behaviour, by_get=None):
    world.server.paths["/ocsp"] = behaviour
    world.server.paths["/ocsp/"] = by_get or behaviour


def begin_ocsp(world, stored="good", crl=("/tested.crl",), service="/ocsp", **more):
    """An answer is there already, five minutes old."""
    world.begin(crl=crl, ocsp=[service])
    if stored:
        world.put("ocsp", world.leaf, "ors", world.ca.ocsp(world.leaf, **{"status": stored, "start": -300, "end": 7200, **more}))


def ocsp_refused(name, behaviour, wanted, by_get=None, stored="good", least=0.0, most=8.0, service="/ocsp"):
    """The old answer stays, byte for byte."""
    def run(world):
        begin_ocsp(world, stored, service=service)
        before = world.answer()
        serve_ocsp(world, behaviour(world), by_get(world) if by_get else None)
        began = time.monotonic()
        done = world.refresh()
        took = time.monotonic() - began
        equal(done.code, 1, f"exit ({done})")
        row = done.row("ocsp", world.leaf)
        equal(row["outcome"], "failed", done)
        check(wanted in row["detail"], f"'{wanted}' is not in: {row['detail']}")
        equal(row["detail"].count("http://"), 2 if "sends on" in row["detail"] else 1, f"URLs in: {row['detail']}")
        equal(row["age"], "fresh", "the old one's age")
        check(world.answer() == before, "the old answer was changed")
        equal(done.row("crl", world.good)["outcome"], "new", "the other authority")
        check(least <= took <= most, f"it took {took:.1f} s, wanted {least} to {most}")
        world.no_leftovers()
    test(f"OCSP refused: {name}")(run)


def ocsp_taken(name, behaviour, status="GOOD", by_get=None, stored="good", method="POST"):
    def run(world):
        begin_ocsp(world, stored)
        before = world.answer()
        serve_ocsp(world, behaviour(world), by_get(world) if by_get else None)
        done = world.refresh()
        equal(done.code, 0, f"exit ({done})")
        check(world.answer() != before, f"nothing new is stored ({done})")
        equal(read_ocsp(world.answer()), status, "the answer as another library reads it")
        equal([m for m, path, _, _ in world.server.asked if path.startswith("/ocsp")][-1], method, "asked by")
    test(f"OCSP taken: {name}")(run)


def read_ocsp(data):
    return ocsp.load_der_ocsp_response(data).certificate_status.name


def says(world, *args, **more):
    """An answer to the very question."""
    return answers(lambda nonce: world.ca.ocsp(world.leaf, *args, nonce=nonce, **more))


def fixed(data):
    return answers(lambda nonce: data)


def changed(data):
    """In the signature."""
    at = bytearray(data)
    at[-3] ^= 1
    return bytes(at)


ocsp_refused("nobody knows it", lambda w: says(w, "unknown"), "does not know this certificate")
ocsp_refused("nobody listens", lambda w: webserver.fails(500), "connect", service=url("/ocsp", port=CLOSED_PORT))
ocsp_refused("silence", lambda w: webserver.is_silent, "too slow", least=SECONDS)
ocsp_refused("one byte a second", lambda w: webserver.drips(b"0" * 100), "too slow")
ocsp_refused("HTTP 500", lambda w: webserver.fails(500), "HTTP status 500")
ocsp_refused("an HTML page", lambda w: webserver.gives(b"<html>", "application/ocsp-response"), "no OCSP response")
ocsp_refused("more than 64 KiB", lambda w: webserver.gives(b"0" * 65537), "more than the 65536 bytes")
ocsp_refused("1 GB, announced", lambda w: webserver.promises(1 << 30), "more than the 65536 bytes")
ocsp_refused("1 GB, not announced", lambda w: webserver.pours(1 << 30), "more than the 65536 bytes")
ocsp_refused("a CRL", lambda w: webserver.gives(newer(w)), "no OCSP response")
ocsp_refused("an answer that answers nothing", lambda w: fixed(refusal()), "'trylater'")
ocsp_refused("an answer to an earlier question", lambda w: fixed(w.ca.ocsp(w.leaf, nonce=b"e" * 32)), "another question")
ocsp_refused("older than the one that is there", lambda w: says(w, start=-600), "older than the answer that is here")
ocsp_refused("replayed, and without a nonce", lambda w: fixed(w.ca.ocsp(w.leaf, start=-600)), "older than the answer that is here")
ocsp_refused("replayed by GET", lambda w: webserver.fails(405), "older than the answer that is here",
             by_get=lambda w: fixed(w.ca.ocsp(w.leaf, start=-600)))
ocsp_refused("from the future", lambda w: says(w, start=900, end=1800), "from the future")
ocsp_refused("signed by nobody", lambda w: answers(lambda nonce: changed(w.ca.ocsp(w.leaf, nonce=nonce))), "signed neither by the issuer")
ocsp_refused("signed by another authority's key", lambda w: says(w, key=w.good.key), "signed neither by the issuer")
ocsp_refused("by another authority about its own", lambda w: answers(lambda nonce: w.good.ocsp(w.leaf, nonce=nonce)), "of another issuer")
ocsp_refused("about another certificate", lambda w: answers(lambda nonce: w.ca.ocsp(w.ca.issue("Other"), nonce=nonce)), "the serial number differs")
ocsp_refused("by a delegate who may not", lambda w: says(w, by=w.ca.issue("Not a responder")), "signed neither by the issuer")
ocsp_refused("by a delegate of another authority", lambda w: says(w, by=w.good.issue("Stranger", ocsp_signing=True)), "signed neither by the issuer")
ocsp_refused("by a delegate who has expired", lambda w: says(w, by=w.ca.issue("Late", ocsp_signing=True, end=-60)), "out of its dates")
ocsp_refused("cut", lambda w: answers(lambda nonce: w.ca.ocsp(w.leaf, nonce=nonce)[:-10]), "no OCSP response")
ocsp_refused("sent to another host", lambda w: webserver.sends_to(url("/ocsp", "other.example"), 307), "only the same host")
ocsp_refused("good after revoked, older", lambda w: says(w, start=-600), "older than", stored="revoked")

ocsp_taken("good", says)
ocsp_taken("under a wrong type", lambda w: lambda request: request.answer(w.ca.ocsp(w.leaf, nonce=nonce_of(request.body)), 200, "text/html"))
ocsp_taken("revoked after good", lambda w: says(w, "revoked"), status="REVOKED")
ocsp_taken("good after revoked, newer", says, stored="revoked")  # a hold that was lifted
ocsp_taken("by a delegate", lambda w: says(w, by=w.ca.issue("Responder", ocsp_signing=True)))
ocsp_taken("without the nonce", lambda w: answers(lambda nonce: w.ca.ocsp(w.leaf)))
ocsp_taken("by GET, where POST is refused", lambda w: webserver.fails(405), by_get=lambda w: fixed(w.ca.ocsp(w.leaf)), method="GET")
ocsp_taken("by GET, where a nonce is refused", lambda w: fixed(refusal()), by_get=lambda w: fixed(w.ca.ocsp(w.leaf)), method="GET")
ocsp_taken("without nextUpdate", lambda w: says(w, end=None))
ocsp_taken("sent on within the host", lambda w: sends_ocsp_on(w))


def sends_ocsp_on(world):
    world.server.paths["/ocsp/real"] = says(world)
    return webserver.sends_to("/ocsp/real", 307)


@test("an answer of the same second: revoked takes the place of good, good not that of revoked")
def _(world):
    begin_ocsp(world, None)
    when = moment(-100)
    good, bad = (world.ca.ocsp(world.leaf, status, start=when, end=moment(7200)) for status in ("good", "revoked"))
    world.put("ocsp", world.leaf, "ors", good)
    serve_ocsp(world, fixed(bad))
    equal(world.refresh().code, 0, "exit")
    equal(world.answer(), bad, "stored")
    serve_ocsp(world, fixed(good))
    done = world.refresh()
    equal(done.code, 1, f"exit ({done})")
    check("which says revoked" in done.row("ocsp", world.leaf)["detail"], done)
    equal(world.answer(), bad, "stored")


@test("OCSP refused: out of date")
def _(world):
    begin_ocsp(world, start=-20000)
    before = world.answer()
    serve_ocsp(world, says(world, start=-10000, end=-4000))
    done = world.refresh()
    check("out of date" in done.row("ocsp", world.leaf)["detail"], done)
    equal(world.answer(), before, "stored")


@test("a real responder: openssl ocsp asks and answers, openssl ocsp judges what is stored")
def _(world):
    world.begin(ocsp=[url("", port=OPENSSL_PORT)], stored=False)
    for name, data in (("ca.crt", world.ca.pem), ("leaf.crt", world.leaf.pem), ("root.crt", world.root.pem)):
        world.write(name, data)
    world.write("ca.key", world.ca.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                     serialization.NoEncryption()))
    serial = f"{world.leaf.cert.serial_number:X}"
    serial = serial if len(serial) % 2 == 0 else "0" + serial
    world.write("index", f"V\t350101000000Z\t\t{serial}\tunknown\t/CN=Budi\n".encode())
    log = world.write("responder.log", b"")
    with open(log, "wb") as out, subprocess.Popen(
            ["openssl", "ocsp", "-port", str(OPENSSL_PORT), "-index", "index", "-CA", "ca.crt", "-rsigner", "ca.crt", "-rkey", "ca.key",
             "-ndays", "1"], cwd=world.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out) as responder:
        try:
            deadline.until("openssl's responder", lambda: "waiting for" in open(log, encoding="utf-8").read())
            done = world.refresh()
        finally:
            responder.kill()
    equal(done.code, 0, f"exit ({done})")
    answer = world.write("answer", world.answer())
    judged = subprocess.run(["openssl", "ocsp", "-respin", answer, "-CAfile", "root.crt", "-verify_other", "ca.crt", "-issuer", "ca.crt",
                             "-cert", "leaf.crt", "-no_nonce"], cwd=world.folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    check(b"leaf.crt: good" in judged.stdout and b"Response verify OK" in judged.stderr, (judged.stdout, judged.stderr))
    crl = world.write("stored.crl", world.crl())
    judged = subprocess.run(["openssl", "crl", "-in", crl, "-inform", "DER", "-CAfile", "ca.crt", "-noout"], cwd=world.folder,
                            stdin=subprocess.DEVNULL, capture_output=True, check=False)
    check(b"verify OK" in judged.stderr, judged.stderr)


def listens_at(host, port):
    with socket.socket() as sock:
        return sock.connect_ex((host, port)) == 0


@test("a responder that is silent is asked twice, and not once for every certificate")
def _(world):
    begin_ocsp(world, None)
    extra = [world.ca.issue(f"Pegawai{i}") for i in range(5)]
    for issued in extra:
        world.register(issued)
    serve_ocsp(world, webserver.is_silent)
    began = time.monotonic()
    done = world.refresh()
    took = time.monotonic() - began
    for issued in extra:
        world.must("cert", "revoke", issued.sha256, "--reason", "MUTASI")
    equal(done.code, 1, f"exit ({done})")
    equal(world.server.n_asked("/ocsp"), 2, "times asked")
    check(took < 6 * SECONDS, f"took {took:.1f} s")
    check("not asked again in this run" in done.out, done)


@test("a responder that answers slowly has its share of a run, and does not keep the next one waiting")
def _(world):
    begin_ocsp(world, None)
    extra = [world.ca.issue(f"Pelan{i}") for i in range(5)]
    for issued in extra:
        world.register(issued)
    with open(world.path("segel.conf"), encoding="utf-8") as conf:
        settings = conf.read()
    world.write("segel.conf", settings.replace('total = "3s"', 'total = "1s"').encode())

    def is_slow(request):
        request.server.ended.wait(0.8)
        webserver.fails(503)(request)
    serve_ocsp(world, is_slow)
    began = time.monotonic()
    done = world.refresh()
    took = time.monotonic() - began
    for issued in extra:
        world.must("cert", "revoke", issued.sha256, "--reason", "MUTASI")
    world.write("segel.conf", settings.encode())
    equal(done.code, 1, f"exit ({done})")
    check(world.server.n_asked("/ocsp") < 10, f"asked {world.server.n_asked('/ocsp')} times, in {took:.1f} s")
    check("it has taken 5 s of it" in done.out or "it has taken 6 s of it" in done.out, done)


@test("an answer about a certificate that the registry has ended goes; one that nobody asks about stays away")
def _(world):
    begin_ocsp(world, None)
    issued = world.ca.issue("Sementara")
    world.register(issued)
    world.register(world.good.issue("Lain"))  # its authority has no OCSP
    serve_ocsp(world, answers(lambda nonce: world.ca.ocsp(issued, nonce=nonce)))
    done = world.refresh()
    equal(done.code, 1, f"exit, as there is no answer about the other ({done})")
    check(world.answer(issued), "an answer is there")
    equal(len(glob.glob(world.path("trust", "ocsp", "*"))), 1, "answers")
    world.must("cert", "revoke", issued.sha256, "--reason", "MUTASI")
    generation = os.stat(world.path("trust", "state", "generation")).st_ino
    serve_ocsp(world, says(world))
    world.refresh()
    equal(world.answer(issued), None, "the answer")
    check(world.answer(), "the other's is there")
    check(os.stat(world.path("trust", "state", "generation")).st_ino != generation, "readers are not told")


@test("no URL that a certificate names is asked")
def _(world):
    begin_ocsp(world)
    serve_ocsp(world, says(world))
    world.refresh()
    check(b"named-by-a-certificate" in world.leaf.der, "the certificate names one")
    equal(world.server.n_asked("/named-by-a-certificate"), 0, "times asked")
    check(world.server.n_asked("/ocsp") == 1, world.server.asked)


# --- what becomes of old statements; exit codes ---

def aged_case(name, end, code, age, crl=("/gone.crl",), ocsp=(), answer_end=None):
    def run(world):
        world.begin(crl=crl, ocsp=ocsp)
        os.unlink(world.path("trust", "crl", world.ca.sha256 + ".crl"))
        if end:
            world.put("crl", world.ca, "crl", world.ca.crl(number=5, start=-20000, end=end))
        if answer_end:
            world.put("ocsp", world.leaf, "ors", world.ca.ocsp(world.leaf, start=-20000, end=answer_end))
        done = world.refresh()
        equal(done.code, code, f"exit ({done})")
        if crl:
            equal(done.row("crl", world.ca)["age"], age, done)
        checked = world.check_it()
        equal(checked.code, code if age != "fresh" else 0, f"exit of check ({checked})")
        if crl:
            found = [row for row in checked.rows if row["what"] == "crl" and row["id"] == world.ca.sha256]
            equal([row["state"] for row in found], [age], checked)
    test(f"the age of what is there: {name}")(run)


aged_case("a CRL that is fresh; its server is down", 600, 1, "fresh")
aged_case("a CRL within the grace period", -600, 1, "grace")
aged_case("a CRL past the grace period", -3700, 4, "dead")
aged_case("no CRL at all", None, 4, "none")
aged_case("no CRL at all, but OCSP", None, 4, "none", ocsp=("/ocsp",), answer_end=600)
aged_case("OCSP alone, fresh", None, 1, "fresh", crl=(), ocsp=("/ocsp",), answer_end=600)
aged_case("OCSP alone, within the grace period", None, 1, "grace", crl=(), ocsp=("/ocsp",), answer_end=-600)
aged_case("OCSP alone, past the grace period", None, 4, "dead", crl=(), ocsp=("/ocsp",), answer_end=-3700)
aged_case("neither is configured", None, 4, "none", crl=(), ocsp=())


@test("a CRL within the grace period is taken where it is newer, and said so")
def _(world):
    world.begin()
    made = newer(world, start=-7000, end=-60)
    world.server.paths["/tested.crl"] = webserver.gives(made)
    done = world.refresh()
    equal((done.code, done.row("crl", world.ca)["age"]), (1, "grace"), done)
    equal(world.crl(), made, "stored")


@test("what is unchanged is not written again, and readers are not told")
def _(world):
    world.begin()
    equal(world.refresh().code, 0, "exit")
    before = [os.stat(path).st_ino for path in sorted(glob.glob(world.path("trust", "*", "*")))]
    done = world.refresh()
    equal((done.code, {row["outcome"] for row in done.rows}), (0, {"unchanged"}), done)
    equal([os.stat(path).st_ino for path in sorted(glob.glob(world.path("trust", "*", "*")))], before, "files")


@test("a stored CRL that was damaged is replaced")
def _(world):
    world.begin()
    world.put("crl", world.ca, "crl", flipped(world.old))
    checked = world.check_it()
    equal(checked.code, 4, f"check ({checked})")
    equal(world.refresh().code, 0, "exit")
    equal(world.crl(), world.old, "stored")


# --- check ---

@test("check: everything fresh")
def _(world):
    begin_ocsp(world)
    checked = world.check_it()
    equal(checked.code, 0, checked)
    equal({row["state"] for row in checked.rows}, {"good", "fresh"}, checked)


@test("check: a root that ends soon, and an empty folder")
def _(world):
    world.begin()
    soon = Ca("Ending", end=20 * DAY)
    world.add(soon, "partner", ["/soon.crl"])
    world.put("crl", soon, "crl", soon.crl())
    checked = world.check_it()
    equal(checked.code, 1, checked)
    equal([row["what"] for row in checked.rows if row["state"] == "expires"], ["partner"], checked)
    shutil.rmtree(world.path("trust"))
    checked = world.check_it()
    equal(checked.code, 4, checked)


@test("check: a file that no filter would take is named")
def _(world):
    world.begin()
    world.write("trust/crl/note.crl", b"no CRL")
    checked = world.check_it()
    equal(checked.code, 1, checked)
    check(any(row["state"] == "not-taken" and "note.crl" in row["detail"] for row in checked.rows), checked)


# --- what it is for ---

@test("mail is judged by what was fetched: good, then revoked by a CRL, then by OCSP")
def _(world):
    world.begin(ocsp=["/ocsp"], stored=False)
    serve_ocsp(world, says(world))
    letter = signed_letter(world)
    equal(judged(world, letter), ("good", "unknown"), "before anything was fetched")
    equal(world.refresh().code, 0, "exit")
    equal(judged(world, letter), ("good", "good"), "after it")
    world.server.paths["/tested.crl"] = webserver.gives(newer(world, revoked=[world.leaf]))
    equal(world.refresh().code, 0, "exit")
    equal(judged(world, letter), ("good", "revoked"), "by the CRL")
    world.server.paths["/tested.crl"] = webserver.gives(newer(world, number=7, start=-30))
    equal(world.refresh().code, 0, "exit")
    equal(judged(world, letter), ("good", "good"), "a hold that was lifted")
    serve_ocsp(world, says(world, "revoked", start=-10))
    equal(world.refresh().code, 0, "exit")
    equal(judged(world, letter), ("good", "revoked"), "by OCSP")


def signed_letter(world):
    world.write("body", b"Content-Type: text/plain\n\nIsi surat.\n")
    for name, data in (("leaf.crt", world.leaf.pem), ("ca.crt", world.ca.pem), ("leaf.key", world.leaf.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))):
        world.write(name, data)
    done = subprocess.run(["openssl", "cms", "-sign", "-in", "body", "-signer", "leaf.crt", "-inkey", "leaf.key", "-certfile", "ca.crt", "-md",
                           "sha256", "-from", "budi@kota.example", "-to", "siti@kota.example", "-subject", "Surat"],
                          cwd=world.folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return world.write("letter.eml", done.stdout.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def judged(world, letter):
    done = world.run("verify", "--json", "--trust", world.path("trust/anchors"), "--crl", world.path("trust/crl"), "--ocsp",
                     world.path("trust/ocsp"), letter)
    said = json.loads(done.out)
    check(said["signature"] == "good", done)
    return said["chain"], said["revocation"]


# --- this machine ---

@test("it gives up root: what it stores is the fetcher's, and the fetcher cannot make an anchor")
def _(world):
    world.begin(stored=False)
    equal(world.refresh().code, 0, "exit")
    equal({os.stat(path).st_uid for path in glob.glob(world.path("trust", "crl", "*.crl"))}, {FETCHER}, "owners")
    equal({os.stat(world.path("trust", *part)).st_uid for part in ([], ["anchors"], ["anchors", "official"])}, {0}, "owners of anchors")
    equal({os.stat(path).st_mode & 0o777 for path in glob.glob(world.path("trust", "*", "*.crl"))}, {0o644}, "modes")
    tried = subprocess.run(["setpriv", f"--reuid={FETCHER}", f"--regid={FETCHER}", "--clear-groups", "touch", world.path("trust/anchors/x.pem")],
                           stdin=subprocess.DEVNULL, capture_output=True, check=False)
    check(tried.returncode != 0, "the fetcher wrote among the anchors")


@test("started as the fetcher, as its unit does, it needs nothing of root's; anybody may check")
def _(world):
    begin_ocsp(world)
    serve_ocsp(world, says(world))
    program = shutil.copy(os.path.join(world.build, "segelctl"), world.path("segelctl"))
    done = world.as_user(FETCHER, program, "-c", world.config, "trust", "refresh", "--json")
    equal((done.code, done.row("crl", world.good)["outcome"], done.row("ocsp", world.ca)["outcome"]), (0, "new", "new"), done)
    checked = world.as_user(FETCHER + 1, program, "-c", world.config, "trust", "check", "--json")
    equal(checked.code, 1, f"without the registry ({checked})")
    equal({row["state"] for row in checked.rows}, {"good", "fresh", "unavailable"}, checked)
    done = world.as_user(FETCHER + 1, program, "-c", world.config, "trust", "refresh")
    equal(done.code, 4, f"somebody else ({done})")
    check("Permission denied" in done.err, done)
    equal(os.stat(world.path("trust", "state", "lock")).st_mode & 0o777, 0o600, "nobody else may hold the lock")


@test("proxies of the environment are not used; one of the settings is")
def _(world):
    world.begin()
    nowhere = f"http://127.0.0.1:{CLOSED_PORT}"
    env = {name: nowhere for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")}
    equal(world.refresh(env=env).code, 0, "exit")
    proxy = webserver.WebServer("127.0.0.1", PROXY_PORT)
    try:
        data = newer(world, number=7)
        proxy.paths[url("/tested.crl")] = webserver.gives(data)
        world.configure(f'proxy = "http://proxy.example:{PROXY_PORT}";')
        world.refresh(env={"no_proxy": "*", "NO_PROXY": "*"})
        equal(world.crl(), data, "what came through the proxy")
        world.configure(f'proxy = "http://private.example:{PROXY_PORT}";')
        done = world.refresh()
        check("127.0.0.9 is not of the public Internet" in done.row("crl", world.ca)["detail"], done)
    finally:
        world.configure()
        proxy.stop()


@test("a refused address is never connected to")
def _(world):
    world.begin(crl=[url("/tested.crl", "private.example")])
    there = webserver.WebServer("127.0.0.9", PORT)
    try:
        there.paths["/tested.crl"] = webserver.gives(newer(world))
        check(listens_at("127.0.0.9", PORT), "a server is there")
        equal(world.refresh().code, 1, "exit")
        equal(there.asked, [], "asked")
    finally:
        world.configure()
        there.stop()


@test("without a registry CRLs come all the same")
def _(world):
    begin_ocsp(world)
    serve_ocsp(world, says(world))
    done = world.run("--registry", world.path("nowhere.db"), "trust", "refresh", "--json")
    equal(done.code, 1, done)
    equal(done.row("crl", world.good)["outcome"], "new", done)
    check(any(row["kind"] == "registry" for row in done.rows), done)
    check(world.answer(), "the answer that was there stays")


@test("two at once: the second says so, and harms nothing")
def _(world):
    world.begin()
    free = threading.Event()
    data = newer(world)

    def waits(request):
        free.wait(20)
        request.answer(data)

    world.server.paths["/tested.crl"] = waits
    with subprocess.Popen(world.command("trust", "refresh", "--json"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=world.environment()) as first:
        deadline.until("the first to ask", lambda: world.server.n_asked("/tested.crl"))
        second = world.refresh()
        free.set()
        out, _ = first.communicate(timeout=30)
    equal(second.code, 4, second)
    check("another refresh is running" in second.err, second)
    equal(first.returncode, 0, out)
    equal(world.crl(), data, "stored")


@test("killed at any time: what is there is whole, the next one goes on, and leftovers go")
def _(world):
    begin_ocsp(world)
    serve_ocsp(world, says(world))
    stored = {world.crl(): 1}
    for i in range(15):
        data = newer(world, number=100 + i, start=-60 + i)
        stored[data] = 1
        world.server.paths["/tested.crl"] = webserver.gives(data)
        with subprocess.Popen(world.command("trust", "refresh"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env=world.environment()) as process:
            kill_after(process, i * 0.012)
        check(world.crl() in stored, "a CRL that nobody sent")
        x509.load_der_x509_crl(world.crl())
        read_ocsp(world.answer())
    world.write("trust/crl/.new-abcdef", b"half")
    world.write("trust/ocsp/.new-abcdef", b"half")
    world.server.paths["/tested.crl"] = webserver.gives(newer(world, number=1000, start=0))
    serve_ocsp(world, says(world))
    equal(world.refresh().code, 0, "the last one")
    world.no_leftovers()


@test("killed after it stored something: readers are told by the next run, although that finds nothing new")
def _(world):
    begin_ocsp(world)
    equal(world.must("trust", "check").code, 0, "the settings are good")
    told = world.path("trust", "state", "generation")
    world.server.paths["/tested.crl"] = webserver.gives(newer(world))
    serve_ocsp(world, webserver.is_silent)
    world.refresh()
    before = os.stat(told).st_ino
    world.server.paths["/tested.crl"] = webserver.gives(newer(world, number=7, start=-30))
    with subprocess.Popen(world.command("trust", "refresh"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, env=world.environment()) as process:
        n = world.server.n_asked("/ocsp")
        deadline.until("the question about the certificate", lambda: world.server.n_asked("/ocsp") > n)
        after_crls = os.stat(told).st_ino
        process.kill()
    check(after_crls != before, "what is known of CRLs does not wait for OCSP")
    world.put("ocsp", world.leaf, "ors", world.ca.ocsp(world.leaf, start=-200, end=7200))
    stored_unsaid(world)
    done = world.refresh()
    check(all(row["outcome"] != "new" for row in done.rows), done)
    check(os.stat(told).st_ino != after_crls, "readers are not told")


def stored_unsaid(world):
    """As a run leaves it that was killed between a file and the word about it."""
    path = world.path("trust", "ocsp", world.leaf.sha256 + ".ors")
    os.rename(path, path + ".moved")
    os.rename(path + ".moved", path)


def kill_after(process, seconds):
    """The time is the case: one kill at each point of a refresh."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


@test("a full disk: the old CRL stays, other folders go on")
def _(world):
    begin_ocsp(world)
    serve_ocsp(world, says(world))
    folder = world.path("trust", "crl")
    kept = {path: open(path, "rb").read() for path in glob.glob(folder + "/*.crl")}
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=16k,uid={FETCHER},gid={FETCHER},mode=755", "none", folder], check=True)
    try:
        for path, data in kept.items():
            with open(path, "wb") as out:
                out.write(data)
        fill(folder + "/filler")
        world.server.paths["/tested.crl"] = webserver.gives(newer(world))
        before = world.answer()
        done = world.refresh()
        equal(done.code, 1, done)
        check("No space left" in done.row("crl", world.ca)["detail"], done)
        equal(world.crl(), world.old, "the old CRL")
        check(world.answer() != before, "the OCSP answer is not new")
        equal(glob.glob(folder + "/.new-*"), [], "leftovers")
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(path):
    with open(path, "wb", buffering=0) as out:
        try:
            while out.write(b"0" * 512):
                pass
        except OSError:
            pass


@test("a folder that the fetcher may not write: said for each, and nothing else happens")
def _(world):
    begin_ocsp(world)
    serve_ocsp(world, says(world))
    os.chown(world.path("trust", "crl"), 0, 0)
    done = world.refresh()
    equal(done.code, 1, done)
    check("cannot be written" in done.row("crl", world.good)["detail"], done)
    equal(world.crl(), world.old, "the old CRL")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
