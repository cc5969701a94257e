"""openssl_ca: authorities kept by openssl(1): certificates, CRLs and OCSP answers that are not of our own making.

    root = OpensslCA(folder, "root", None)
    issuing = OpensslCA(folder, "issuing", root)
    office = issuing.issue("dinas", ["dinas@kota.example"])
    issuing.revoke(office)
    issuing.crl("crls/issuing.crl")
    issuing.ocsp(office, "ocsp/dinas.der")

Everything they issue began two days ago, and their CRLs are of yesterday, so that a test may look back.
"""

import datetime
import hashlib
import os
import ssl
import subprocess

CONFIG = """\
[ca]
default_ca = here
[here]
dir = {folder}
database = {folder}/index.txt
serial = {folder}/serial
crlnumber = {folder}/crlnumber
new_certs_dir = {folder}
certificate = {folder}/ca.crt
private_key = {folder}/ca.key
default_md = sha256
policy = any
unique_subject = no
email_in_dn = yes
crl_extensions = crl
[any]
countryName = optional
organizationName = optional
commonName = optional
emailAddress = optional
[crl]
authorityKeyIdentifier = keyid
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""

LEAF = """\
[leaf]
basicConstraints = critical,CA:{ca}
keyUsage = critical,{usage}
{extended}subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
{names}
"""


def run(*command, **options):
    done = subprocess.run(command, stdin=options.pop("stdin", subprocess.DEVNULL), capture_output=True, timeout=60, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.decode('utf-8', 'replace')}")
    return done.stdout


def name_kind(address):
    """A line of an alternative name; RFC 9598 has a kind of its own for local parts that are not ASCII."""
    number = hashlib.sha1(address.encode()).hexdigest()[:6]
    if address.partition("@")[0].isascii():
        return f"email.{number} = {address}"
    return f"otherName.{number} = 1.3.6.1.5.5.7.8.9;FORMAT:UTF8,UTF8:{address}"


def stamp(**later):
    """A time from now, as openssl ca wants it."""
    return (datetime.datetime.utcnow() + datetime.timedelta(**later)).strftime("%Y%m%d%H%M%SZ")


class Leaf:
    def __init__(self, prefix):
        self.cert = prefix + ".crt"
        self.key = prefix + ".key"

    @property
    def sha256(self):
        with open(self.cert, encoding="ascii") as pem:
            text = pem.read()
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN"):])).hexdigest()


class OpensslCA:
    """The files of one authority; `parent` None makes a root."""

    def __init__(self, folder, name, parent, start=None, end=None):
        self.name = name
        self.folder = os.path.join(folder, name)
        self.cert = os.path.join(self.folder, "ca.crt")
        self.key = os.path.join(self.folder, "ca.key")
        self.config = os.path.join(self.folder, "ca.cnf")
        os.makedirs(self.folder)
        for file, text in (("index.txt", ""), ("serial", "1000\n"), ("crlnumber", "01\n"),
                           ("ca.cnf", CONFIG.format(folder=self.folder))):
            with open(os.path.join(self.folder, file), "w", encoding="ascii") as out:
                out.write(text)
        subject = f"/C=ID/O=Demo/CN={name}"
        issuer = parent or self
        issuer.sign_request(self.key, self.cert, subject, issuer.config, "authority", "ec", start, end,
                            *([] if parent else ["-selfsign"]))

    def sign_request(self, key, cert, subject, extensions, section, algorithm="ec", start=None, end=None, *more):
        request = cert + ".csr"
        how = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa2048": ["rsa:2048"], "rsa1024": ["rsa:1024"],
               "ed25519": ["ed25519"]}[algorithm]
        run("openssl", "req", "-new", "-newkey", *how, "-nodes", "-keyout", key, "-out", request, "-subj", subject)
        dates = ["-startdate", start or stamp(days=-2), "-enddate", end or stamp(days=700)]
        run("openssl", "ca", "-batch", "-notext", "-config", self.config, "-in", request, "-out", cert, "-extfile", extensions,
            "-extensions", section, *dates, *more)

    def issue(self, name, addresses, usage="digitalSignature", extended="emailProtection", ca="FALSE", algorithm="ec",
              in_subject=None, start=None, end=None):
        """A certificate for these addresses; every option is what one test changes."""
        prefix = os.path.join(self.folder, name)
        names = "".join(f"{name_kind(address)}\n" for address in addresses)
        with open(prefix + ".ext", "w", encoding="utf-8") as out:
            out.write(LEAF.format(ca=ca, usage=usage, extended=f"extendedKeyUsage = {extended}\n" if extended else "",
                                  names=f"subjectAltName = @names\n[names]\n{names}" if names else ""))
        subject = f"/C=ID/O=Demo/CN={name}" + (f"/emailAddress={in_subject}" if in_subject else "")
        self.sign_request(prefix + ".key", prefix + ".crt", subject, prefix + ".ext", "leaf", algorithm, start, end)
        return Leaf(prefix)

    def issue_again(self, name, leaf, addresses):
        """What no authority may do: another certificate under the serial number of an earlier one."""
        with open(leaf.cert + ".csr.serial", "wb") as out:
            out.write(run("openssl", "x509", "-in", leaf.cert, "-noout", "-serial").partition(b"=")[2])
        serial, index = os.path.join(self.folder, "serial"), os.path.join(self.folder, "index.txt")
        with open(serial, "rb") as numbers, open(index, "rb") as rows:
            kept = numbers.read(), rows.read()
        os.replace(leaf.cert + ".csr.serial", serial)
        with open(index, "wb"):
            pass
        try:
            return self.issue(name, addresses)
        finally:
            for path, content in zip((serial, index), kept):
                with open(path, "wb") as out:
                    out.write(content)

    def revoke(self, leaf):
        run("openssl", "ca", "-config", self.config, "-revoke", leaf.cert, "-crl_reason", "keyCompromise")

    def crl(self, path):
        run("openssl", "ca", "-config", self.config, "-gencrl", "-out", path, "-crl_lastupdate", stamp(days=-1), "-crl_nextupdate",
            stamp(days=7))

    def ocsp(self, cert, path, days=1):
        """What openssl's own responder says of it, signed by the authority itself."""
        request = path + ".req"
        run("openssl", "ocsp", "-sha256", "-no_nonce", "-issuer", self.cert, "-cert", cert, "-reqout", request)
        run("openssl", "ocsp", "-index", os.path.join(self.folder, "index.txt"), "-CA", self.cert, "-rsigner", self.cert, "-rkey",
            self.key, "-reqin", request, "-respout", path, "-ndays", str(days))
        os.remove(request)
