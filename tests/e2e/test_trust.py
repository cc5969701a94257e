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
crl_case("an HTML page", lambda w: webserver.gives(b"<html>Welcome</html>", "application/pkix-crl"), "")
crl_case("nothing at all", lambda w: webserver.gives(b""), "")
crl_case("bytes that are no HTTP", lambda w: webserver.garbage, "")
crl_case("1 GB, announced", lambda w: webserver.promises(1 << 30), "more than the 20971520 bytes")
crl_case("1 GB, not announced", lambda w: webserver.pours(1 << 30), "more than the 20971520 bytes")
crl_case("a head without end", lambda w: webserver.endless_head, "header")
crl_case("HTTP 500", lambda w: webserver.fails(500), "HTTP status 500")
crl_case("HTTP 404", lambda w: webserver.fails(404), "HTTP status 404")
crl_case("HTTP 206", lambda w: lambda request: request.answer(newer(w), 206), "HTTP status 206")
crl_case("sent to another host", lambda w: elsewhere(w, "other.example"), "only the same host")
crl_case("sent to another port", lambda w: elsewhere(w, HOST, TLS_PORT), "only the same host")
crl_case("sent to a private host", lambda w: elsewhere(w, "private.example"), "only the same host")
crl_case("sent to a file", lambda w: webserver.sends_to("file:///etc/passwd"), "")
crl_case("sent in a circle", lambda w: webserver.sends_to("/tested.crl"), "3 times")
crl_case("cut, with a length", lambda w: webserver.says_more_than_it_gives(newer(w)), "")
crl_case("cut, in chunks", lambda w: webserver.chunked(newer(w), whole=False), "")
crl_case("cut, without a length", lambda w: webserver.ends_early(newer(w)), "")
crl_case("packed although nobody asked for it", lambda w: webserver.gzipped(newer(w)), "")
crl_case("bytes behind it", lambda w: webserver.gives(newer(w) + b"\n"), "")
crl_case("one bit changed", lambda w: webserver.gives(flipped(newer(w))), "")
crl_case("of another authority", lambda w: webserver.gives(w.good.crl(number=6)), "")
crl_case("in its name, by another key", lambda w: webserver.gives(newer(w, key=w.good.key)), "")
crl_case("an older number", lambda w: webserver.gives(newer(w, number=4)), "its number (hex) is '4', wanted at least '5'")
crl_case("an older number, by the number of digits", lambda w: webserver.gives(aged(w, 0x10, newer(w, number=0xf))), "its number (hex) is 'f'")
crl_case("without a number", lambda w: webserver.gives(newer(w, number=None)), "")
crl_case("thisUpdate goes back", lambda w: webserver.gives(newer(w, start=-8000)), "its thisUpdate lies before")
crl_case("the same number and time, other contents",
         lambda w: webserver.gives(w.ca.crl(number=5, start=began(w.old), revoked=[w.leaf])), "another CRL with the number")
crl_case("from the future", lambda w: webserver.gives(newer(w, start=900)), "from the future")
crl_case("out of date", lambda w: webserver.gives(newer(w, end=-3700, start=-7000)), "out of date")
crl_case("a delta CRL", lambda w: webserver.gives(newer(w, extension=(x509.DeltaCRLIndicator(5), True))), "")
crl_case("an indirect CRL", lambda w: webserver.gives(newer(w, extension=(scope(indirect_crl=True), True))), "")
crl_case("a critical extension that nobody knows",
         lambda w: webserver.gives(newer(w, extension=(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\5\0"), True))), "")
crl_case("signed over SHA-1", lambda w: webserver.gives(by_openssl(w, "-sha1")), "SHA-1")
crl_case("a private address by name", lambda w: webserver.fails(500), "127.0.0.9 is not of the public Internet",
         crl=(url("/tested.crl", "private.example"),))
crl_case("a private address by number", lambda w: webserver.fails(500), "10.9.9.9 is not of the public Internet", crl=(url("/tested.crl", "10.9.9.9"),))
crl_case("a private address in IPv6", lambda w: webserver.fails(500), "not of the public Internet", crl=(url("/tested.crl", "[::1]"),))
crl_case("a private IPv4 address in IPv6", lambda w: webserver.fails(500), "not of the public Internet", crl=(url("/tested.crl", "[::ffff:10.9.9.9]"),))
crl_case("a name that is not there", lambda w: webserver.fails(500), "resolve", crl=(url("/tested.crl", "nowhere.example"),))
crl_case("https by a server of another name", lambda w: secure(w, 1, newer(w)), "", crl=(f"https://{HOST}:{TLS_PORT + 1}/tested.crl",))
crl_case("https without an authority", lambda w: untrusted(w), "", crl=(f"https://{HOST}:{TLS_PORT + 2}/tested.crl",))
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


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
