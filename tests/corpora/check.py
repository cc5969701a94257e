"""check.py FOLDER: our verdicts on other people's test data, set by set, as a table.

Each set is a function that yields cases (name, question for tests/corpora/judge, what must hold of the answer). A
case that comes out otherwise needs a line in exceptions.tsv (set, case, rule); a line that no case needs
fails as well. Where FOLDER or a set in it is not there, that is said and nothing fails: the data belongs to
others and is no part of the project. Each set's README says how it is to be used.
"""

import base64
import collections
import csv
import datetime
import glob
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
JUDGE = os.path.join(TOP, os.environ.get("SEGEL_BUILD", "build/asan"), "tests/corpora/judge")
SUPPRESSIONS = os.path.join(HERE, "lsan.supp")
SECONDS_FOR_A_SET = 600
SHOWN = 40

Case = collections.namedtuple("Case", "name words holds")


class World:
    """Where the sets lie, and a folder for what is put together from them."""

    def __init__(self, corpora, work):
        self.corpora = corpora
        self.work = work
        self.count = 0

    def path(self, *parts):
        return os.path.join(self.corpora, *parts)

    def table(self, *parts):
        with open(self.path(*parts), encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines, delimiter="\t"))

    def files(self, *parts):
        found = glob.glob(self.path(*parts), recursive=True)
        return sorted(file for file in found if os.path.isfile(file) and os.path.basename(file) not in ("README.md", "LICENSE", "MIT-LICENSE"))

    def folder(self, files=()):
        """A new folder with copies of the files."""
        self.count += 1
        path = os.path.join(self.work, str(self.count))
        os.mkdir(path)
        for file in files:
            shutil.copy(file, path)
        return path

    def write(self, content):
        self.count += 1
        path = os.path.join(self.work, f"{self.count}.bin")
        with open(path, "wb") as out:
            out.write(content)
        return path

    def read(self, *parts):
        with open(self.path(*parts), "rb") as file:
            return file.read()


# ---- answers ----

def says(**wanted):
    """Each of these words of the answer is this one (or one of these)."""
    def holds(answer):
        return all(answer.get(key.replace("_", "-")) in (value if isinstance(value, tuple) else (value,)) for key, value in wanted.items())
    return holds


def differs(**unwanted):
    def holds(answer):
        return all(key in answer and answer[key] != value for key, value in unwanted.items())
    return holds


def anything(answer):
    return bool(answer)


def path_is_good(answer):
    return answer.get("chain") == "good" and answer.get("revocation") == "good"


def path_is_not_good(answer):
    return "chain" in answer and not path_is_good(answer)


def mail_is_good(answer):
    return answer.get("signature") == "good" and path_is_good(answer)


def mail_is_not_good(answer):
    return "signature" in answer and not mail_is_good(answer)


def pkits_holds(row):
    """
    What PKITS expects of a path. Where its table says that an application without DSA may refuse a valid one, either is as
    expected: we verify no mail with DSA (smime/fit.h), and OpenSSL 3.0 cannot read a DSA key that inherits its parameters.
    """
    if row["expected"] != "valid":
        return path_is_not_good
    if "may reject" in row["note"]:
        return lambda answer: path_is_good(answer) or answer.get("chain") in ("untrusted", "bad")
    return path_is_good


# ---- questions ----

NOW = f"at={int(datetime.datetime.now().timestamp())}"


def opaque(der, head=b""):
    """A SignedData (DER) as a mail."""
    return (head + b"MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(der).replace(b"\n", b"\r\n"))


def clear(content, der):
    """A detached signature (DER) beside what it signs."""
    return (b"MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-1; boundary=batas\r\n\r\n"
            b"--batas\r\n" + content + b"\r\n--batas\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(der).replace(b"\n", b"\r\n") + b"--batas--\r\n")


def unarmored(text):
    """What stands in base64 between the first line of dashes and the next."""
    body = re.split(r"-----[^\n]*-----", text.decode("latin-1"))[1]
    body = re.sub(r"^(\S+: .*|=....)$", "", body, flags=re.M)
    digits = re.sub(r"[^A-Za-z0-9+/]", "", body)
    return base64.b64decode(digits + "=" * (-len(digits) % 4))


def openssl(*args):
    return subprocess.run(["openssl", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)


def unharmed(world, *pattern, holds=anything):
    """Every file as a message, and again as certificate, CRL and OCSP response."""
    for file in world.files(*pattern):
        name = os.path.relpath(file, world.corpora).split("/", 1)[1]
        yield Case(f"{name} as mail", ["message", f"file={file}", NOW], holds)
        yield Case(f"{name} as certificate", ["cert", f"file={file}"], anything)


# ---- the sets ----

def pkits_paths(world, version, *words_of_all):
    """Path validation with the CRLs of the folder."""
    for row in world.table("pkits-part-a", "expected.tsv"):
        certs = [world.path("pkits-part-a", version, "certs", name) for name in row["path_and_crl_issuer_certificates"].split(";")]
        crls = [world.path("pkits-part-a", version, "crls", name) for name in row["crls"].split(";")]
        words = ["chain", f"anchors={world.folder(certs[:1])}", f"crls={world.folder(crls)}", f"leaf={certs[-1]}", *words_of_all]
        yield Case(row["case"], words + [f"untrusted={cert}" for cert in certs[1:-1]], pkits_holds(row))


def pkits_old(world):
    """v1.0 at the time that its README gives, whatever its strength."""
    return pkits_paths(world, "v1.0", "at=1149120000", "any")


def pkits_new(world):
    return pkits_paths(world, "v1.0.1", "at=1325376000")


def pkits_dsa(world):
    """What becomes of valid DSA: a path where strength does not matter, none where it does, and none where parameters are inherited."""
    ca, leaf = "DSACACert.crt", "ValidDSASignaturesTest4EE.crt"
    inheriting, heir = "DSAParametersInheritedCACert.crt", "ValidDSAParameterInheritanceTest5EE.crt"
    crls = ["TrustAnchorRootCRL.crl", "DSACACRL.crl", "DSAParametersInheritedCACRL.crl"]
    for name, path, more, holds in (("DSA", [ca, leaf], ["any"], path_is_good), ("DSA, strength matters", [ca, leaf], [], says(chain="bad")),
                                    ("DSA, inherited", [ca, inheriting, heir], ["any"], says(chain="untrusted"))):
        certs = [world.path("pkits-part-a/v1.0/certs", file) for file in ["TrustAnchorRootCertificate.crt", *path]]
        words = ["chain", f"anchors={world.folder(certs[:1])}", "at=1149120000", f"leaf={certs[-1]}", *more]
        words += [f"crls={world.folder(world.path('pkits-part-a/v1.0/crls', crl) for crl in crls)}"]
        yield Case(name, words + [f"untrusted={cert}" for cert in certs[1:-1]], holds)


def pkits_mails(world):
    """The signed mails of v1.0, on their clock and on today's."""
    for row in world.table("pkits-part-a", "expected.tsv"):
        mail = world.path("pkits-part-a", "v1.0/smime", row["smime_message_v1.0"])
        root = world.folder([world.path("pkits-part-a", "v1.0/certs/TrustAnchorRootCertificate.crt")])
        crls = world.folder(world.path("pkits-part-a", "v1.0/crls", name) for name in row["crls"].split(";"))
        words = ["message", f"file={mail}", f"anchors={root}", f"crls={crls}"]
        # The path is judged apart from the signature: these mails have no signed attributes, which the gate refuses.
        yield Case(f"{row['case']} mail", words + ["at=1149120000", "any"], pkits_holds(row))
        yield Case(f"{row['case']} mail, signature", words + ["at=1149120000", "any"], differs(signature="good"))
        yield Case(f"{row['case']} mail today", words + [NOW, "any"], mail_is_not_good)
        yield Case(f"{row['case']} mail, strength matters", words + ["at=1149120000"], mail_is_not_good)


def openssl_ocsp(world):
    for number, row in enumerate(world.table("openssl-3.0", "ocsp-expected.tsv"), 1):
        # Files of several certificates: the issuer is one of them.
        blocks = world.read("openssl-3.0/ocsp-tests", row["untrusted_or_verify_other"]).split(b"-----BEGIN CERTIFICATE-----")[1:]
        issuers = [world.write(b"-----BEGIN CERTIFICATE-----" + block) for block in blocks]
        response = world.path("openssl-3.0/ocsp-tests", row["response_base64"])
        words = ["ocsp", f"file={response}", "at=1355875200", *[f"issuer={issuer}" for issuer in issuers]]
        yield Case(f"{number} {row['response_base64']} {row['untrusted_or_verify_other']}", words, says(ocsp=row["expected"]))


def openssl_cms(world):
    mail = world.path("openssl-3.0/smime-eml/SignedInvalidMappingFromanyPolicyTest7.eml")
    root = world.path("pkits-part-a/v1.0.1/certs/TrustAnchorRootCertificate.crt")
    yield Case("4.10.7 mail", ["message", f"file={mail}", "at=1325376000", f"anchors={world.folder([root])}"], says(chain=("bad", "untrusted")))
    for file in world.files("openssl-3.0/cms-data/*.cms"):
        body = world.read(file)
        holds = differs(signature="good") if "attr" in file or "multiple" in file else anything
        yield Case(f"{os.path.basename(file)} as opaque mail", ["message", f"file={world.write(opaque(body))}", NOW, "any"], holds)
    yield from unharmed(world, "openssl-3.0/**", holds=anything)


def limbo(world):
    """Paths, without purposes and names."""
    with open(world.path("x509-limbo-part-a/limbo.json"), encoding="utf-8") as file:
        cases = json.load(file)["testcases"]
    for case in cases:
        anchors = world.folder()
        for number, cert in enumerate(case["trusted_certs"]):
            with open(os.path.join(anchors, f"{number}.pem"), "w", encoding="ascii") as out:
                out.write(cert)
        at = datetime.datetime.fromisoformat(case["validation_time"]).timestamp() if case["validation_time"] else None
        words = ["chain", f"anchors={anchors}", f"leaf={world.write(case['peer_certificate'].encode())}", f"at={int(at)}" if at else NOW]
        words += [f"untrusted={world.write(cert.encode())}" for cert in case["untrusted_intermediates"]]
        yield Case(case["id"], words, says(chain="good") if case["expected_result"] == "SUCCESS" else differs(chain="good"))


def rfc4134(world):
    root = world.folder([world.path("rfc4134", name) for name in ("CarlRSASelf.cer", "CarlDSSSelf.cer")])
    at = "at=1000000000"
    for row in world.table("rfc4134", "expected.tsv"):
        file = world.path("rfc4134", row["file"])
        if not row["file"].endswith(".eml"):
            der = world.read("rfc4134", row["file"])
            file = world.write(opaque(der))
        if row["operation"].startswith("verify"):
            holds = says(signature="good", chain="good")
        else:
            holds = differs(signature="good")
        yield Case(row["file"], ["message", f"file={file}", f"anchors={root}", at, "any"], holds)
        yield Case(f"{row['file']}, strength matters", ["message", f"file={file}", f"anchors={root}", at], mail_is_not_good)
    # The CRLs have no nextUpdate, and are older than the certificates: they may revoke, and vouch for nobody.
    for crl, wanted in (("CarlRSACRLForAll", "revoked"), ("CarlRSACRLEmpty", "unknown")):
        crls = world.folder([world.path("rfc4134", f"{crl}.crl")])
        yield Case(crl, ["chain", f"anchors={root}", f"crls={crls}", "any", f"leaf={world.path('rfc4134/AliceRSASignByCarl.cer')}", at],
                   says(chain="good", revocation=wanted))
    yield from unharmed(world, "rfc4134/*")


def rfc9216(world):
    rsa, ed25519 = ([world.path("rfc9216", name)] for name in ("ca.rsa.crt", "ca.ed25519.crt"))
    for person in ("alice", "bob", "carlos", "dana"):
        own, other = (rsa, ed25519) if person in ("alice", "bob") else (ed25519, rsa)
        cross = world.path("rfc9216", "ca.rsa.cross.crt" if own is rsa else "ca.ed25519.cross.crt")
        for use in ("sign", "encrypt"):
            leaf = f"leaf={world.path('rfc9216', f'{person}.{use}.crt')}"
            yield Case(f"{person}.{use} by its root", ["chain", f"anchors={world.folder(own)}", leaf, NOW], says(chain="good", length="2"))
            yield Case(f"{person}.{use} by the other root", ["chain", f"anchors={world.folder(other)}", leaf, NOW], says(chain="untrusted"))
            yield Case(f"{person}.{use} across", ["chain", f"anchors={world.folder(other)}", leaf, f"untrusted={cross}", NOW], says(chain="good", length="3"))
    for person in ("alice", "bob"):
        text = world.write(b"Content-Type: text/plain\r\n\r\nSurat.\r\n")
        made = openssl("cms", "-sign", "-binary", "-in", text, "-signer", world.path("rfc9216", f"{person}.sign.crt"),
                       "-inkey", world.path("rfc9216", f"{person}.sign.key"), "-nodetach", "-outform", "DER").stdout
        head = f"From: {person}@smime.example\r\n".encode()
        words = [NOW, f"anchors={world.folder(rsa)}"]
        yield Case(f"{person} signs", ["message", f"file={world.write(opaque(made, head))}", *words], says(signature="good", chain="good"))
        altered = made.replace(b"Surat.", b"Surut.")
        yield Case(f"{person} signs, altered", ["message", f"file={world.write(opaque(altered, head))}", *words], says(signature="bad"))
    yield from unharmed(world, "rfc9216/*")


def der(tag, *parts):
    body = b"".join(parts)
    size = bytes([len(body)]) if len(body) < 128 else bytes([0x81, len(body)]) if len(body) < 256 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes([tag]) + size + body


def oid(dotted):
    first, second, *rest = (int(number) for number in dotted.split("."))
    out = bytes([40 * first + second])
    for number in rest:
        digits = [number & 127]
        while number := number >> 7:
            digits.append(128 | number & 127)
        out += bytes(reversed(digits))
    return der(6, out)


def encrypted_mail(der_object, person):
    return (f"From: alice@smime.example\r\nTo: {person}@smime.example\r\n".encode()
            + opaque(der_object).replace(b"signed-data", b"enveloped-data"))


def to_x25519(issuer_and_serial):
    """
    An EnvelopedData to a key for X25519 as RFC 8418 2 has it. No program at hand writes one; the wrapped key and the ciphertext are any
    bytes, as nothing that reads no further than the algorithm can tell.
    """
    originator = der(0xa0, der(0xa1, der(0x30, oid("1.3.101.110")), der(3, b"\0" + bytes(range(1, 33)))))
    wrap = der(0x30, oid("2.16.840.1.101.3.4.1.45"))
    scheme = der(0x30, oid("1.2.840.113549.1.9.16.3.19"), wrap)
    recipient = der(0xa1, der(2, b"\3"), originator, scheme, der(0x30, der(0x30, issuer_and_serial, der(4, bytes(40)))))
    content = der(0x30, oid("1.2.840.113549.1.7.1"), der(0x30, oid("2.16.840.1.101.3.4.1.42"), der(4, bytes(16))), der(0x80, bytes(32)))
    return der(0x30, oid("1.2.840.113549.1.7.3"), der(0xa0, der(0x30, der(2, b"\2"), der(0x31, recipient), content)))


def issuer_and_serial(cert):
    """Of a certificate in DER: what stands behind the version in its tbsCertificate is serial number, algorithm, issuer."""
    def element(at):
        size, head = cert[at + 1], 2
        if size & 128:
            head += size & 127
            size = int.from_bytes(cert[at + 2:at + head], "big")
        return at + head, at + head + size
    at = element(element(0)[0])[0]
    version_end = element(at)[1]
    serial_end = element(version_end)[1]
    algorithm_end = element(serial_end)[1]
    return der(0x30, cert[algorithm_end:element(algorithm_end)[1]], cert[version_end:serial_end])


CONTENT = b"Content-Type: text/plain\r\n\r\nRapat pukul sembilan.\r\n"
BODY = CONTENT.partition(b"\r\n\r\n")[2].hex()
WAYS = {"v1.5": [], "oaep": ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"]}


def plain_key(world, person):
    """A copy that only we may read: others are no private keys."""
    path = world.write(world.read(f"rfc9216/{person}.decrypt.key"))
    os.chmod(path, 0o600)
    return path


def opened_by_openssl(out, cert, key):
    def holds(answer):
        return answer.get("fit") == "fit" and openssl("cms", "-decrypt", "-binary", "-inform", "DER", "-in", out, "-recip", cert, "-inkey", key).stdout == CONTENT
    return holds


def altered_at_end(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def encrypted_to_rsa(world, person, other):
    """What openssl encrypts to a sample key opens here, and what we encrypt to it, openssl opens."""
    content, words = world.write(CONTENT), [NOW, f"anchors={world.folder([world.path('rfc9216/ca.rsa.crt')])}"]
    cert, key = world.path(f"rfc9216/{person}.encrypt.crt"), plain_key(world, person)
    other_cert, other_key = world.path(f"rfc9216/{other}.encrypt.crt"), plain_key(world, other)
    signed = openssl("cms", "-sign", "-binary", "-in", content, "-signer", world.path(f"rfc9216/{other}.sign.crt"),
                     "-inkey", world.path(f"rfc9216/{other}.sign.key"), "-nodetach", "-outform", "DER").stdout
    signed_entity = world.write(opaque(signed)[len(b"MIME-Version: 1.0\r\n"):])
    yield Case(f"{person}.decrypt.key loads", ["key", f"file={key}"], says(key="loaded"))
    for padding, (cipher, aead) in itertools.product(WAYS, (("cbc", False), ("gcm", True))):
        how = f"{cipher}, {padding}"
        for name, file, wanted in (("plain", content, says(state="opened", body=BODY, layers="encrypted") if aead else says(state="failed", body="")),
                                   ("signed", signed_entity, says(state="opened", layers="encrypted/signed", signature="good"))):
            made = openssl("cms", "-encrypt", "-binary", f"-aes-256-{cipher}", "-in", file, "-outform", "DER", "-recip", cert, *WAYS[padding]).stdout
            mail = world.write(encrypted_mail(made, person))
            yield Case(f"{name} to {person}, {how}", ["decrypt", f"file={mail}", f"cert={cert}", f"key={key}", *words], wanted)
            broken = world.write(encrypted_mail(altered_at_end(made), person))
            yield Case(f"{name} to {person}, {how}, altered", ["decrypt", f"file={broken}", f"cert={cert}", f"key={key}", *words],
                       says(state="failed", body=""))
            yield Case(f"{name} to {person}, {how}, read by {other}",
                       ["decrypt", f"file={mail}", f"cert={other_cert}", f"key={other_key}", *words], says(state="others", body=""))
        out = world.write(b"")
        yield Case(f"ours to {person}, {how}", ["encrypt", f"file={content}", f"cert={cert}", f"cipher={cipher}", f"padding={padding}", f"out={out}"],
                   opened_by_openssl(out, cert, key))
    for use, wanted in (("encrypt", "fit"), ("sign", "usage")):
        leaf = world.path(f"rfc9216/{person}.{use}.crt")
        yield Case(f"may mail be encrypted to {person}.{use}.crt", ["encrypt", f"file={content}", f"cert={leaf}", "cipher=gcm", "padding=oaep",
                                                                    f"out={world.write(b'')}"], says(fit=wanted))


def refused_naming(word):
    return lambda answer: answer.get("key") == "refused" and word in answer.get("why", "")


def encrypted_to_x25519(world, person):
    """X25519 and Ed25519 are not handled: each step says so, and none takes it for something else."""
    content = world.write(CONTENT)
    for use, wanted in (("encrypt", "key"), ("sign", ("key", "usage"))):
        leaf = world.path(f"rfc9216/{person}.{use}.crt")
        yield Case(f"may mail be encrypted to {person}.{use}.crt", ["encrypt", f"file={content}", f"cert={leaf}", "cipher=gcm", "padding=oaep",
                                                                    f"out={world.write(b'')}"], says(fit=wanted))
    yield Case(f"{person}.decrypt.key", ["key", f"file={plain_key(world, person)}"], refused_naming("X25519"))
    cert = world.path(f"rfc9216/{person}.encrypt.crt")
    ours = issuer_and_serial(openssl("x509", "-in", cert, "-outform", "DER").stdout)
    another = issuer_and_serial(openssl("x509", "-in", world.path("rfc9216/bob.encrypt.crt"), "-outform", "DER").stdout)
    for name, to, wanted in (("to it", ours, "unsupported"), ("to somebody else", another, "others")):
        mail = world.write(encrypted_mail(to_x25519(to), person))
        yield Case(f"{person}.encrypt.crt, mail {name}", ["decrypt", f"file={mail}", f"cert={cert}", NOW], says(state=wanted, body=""))


def rfc9216_encrypted(world):
    yield from encrypted_to_rsa(world, "bob", "alice")
    yield from encrypted_to_rsa(world, "alice", "bob")
    yield from encrypted_to_x25519(world, "dana")
    yield from encrypted_to_x25519(world, "carlos")


def rfc9788(world):
    root = world.folder([world.path("rfc9216/ca.rsa.crt")])
    mail = world.read("rfc9788-sample/smime-multipart-hp.eml")
    words = [NOW, f"anchors={root}"]
    yield Case("as it is", ["message", f"file={world.write(mail)}", *words],
               says(signature="good", chain="good", coverage="whole", protection="match", signer="alice@smime.example"))
    changes = {"From": (b"From: Alice <alice@smime.example>", b"From: Alice <mallory@smime.example>"),
               "Subject": (b"Subject: smime-multipart-hp", b"Subject: smime-multipart-HP")}
    for field, (old, new) in changes.items():
        changed = mail.replace(old, new, 1)
        yield Case(f"another outer {field}", ["message", f"file={world.write(changed)}", *words], says(signature="good", protection="mismatch"))
    yield Case("another text", ["message", f"file={world.write(mail.replace(b'signed-only', b'signed-ONLY'))}", *words], says(signature="bad"))


def protected_headers(world):
    words = [NOW, f"anchors={world.folder([world.path('protected-headers/sample-ca.pem')])}"]
    signed = says(signature="good", chain="good", signer="alice@smime.example")
    wanted = {"smime-multipart-signed.eml": signed, "smime-onepart-signed.eml": signed, "smime-sign+enc.inner": signed,
              "smime-sign+enc+legacy-disp.inner": signed}
    for file in world.files("protected-headers/*.eml") + world.files("protected-headers/*.inner"):
        name = os.path.basename(file)
        holds = wanted.get(name, differs(signature="good"))
        yield Case(name, ["message", f"file={file}", *words], holds)
    yield from unharmed(world, "protected-headers/*")


# OBJECT IDENTIFIERs of signatures, as AlgorithmIdentifiers.
ALGORITHMS = {
    ("RSASSA-PKCS1-v1_5", "SHA-256"): "300d06092a864886f70d01010b0500", ("RSASSA-PKCS1-v1_5", "SHA-512"): "300d06092a864886f70d01010d0500",
    ("ECDSA", "SHA-256"): "300a06082a8648ce3d040302", ("ECDSA", "SHA-384"): "300a06082a8648ce3d040303", ("ECDSA", "SHA-512"): "300a06082a8648ce3d040304",
    ("EDDSA", None): "300506032b6570",
}


def wycheproof(world):
    """The signatures of the kinds that certificates, CRLs and OCSP answers carry; an empty message is no item of X.509."""
    for file in world.files("wycheproof/*.json"):
        with open(file, encoding="utf-8") as source:
            data = json.load(source)
        for group in data["testGroups"]:
            alg = ALGORITHMS.get((data["algorithm"], group.get("sha")))
            for test in group["tests"] if alg else ():
                if not test["msg"] or test["result"] == "acceptable":
                    continue
                words = ["signature", f"key={group['publicKeyDer']}", f"alg={alg}", f"message={test['msg']}", f"signature={test['sig']}"]
                yield Case(f"{os.path.basename(file)} {test['tcId']}", words, says(signature="good" if test["result"] == "valid" else "bad"))


def openings(world):
    """Content keys: a block opens only at its own length and without a label; of v1.5 all else is some other key, and no refusal."""
    for file in world.files("wycheproof/rsa_pkcs1_*.json") + world.files("wycheproof/rsa_oaep_*.json"):
        with open(file, encoding="utf-8") as source:
            data = json.load(source)
        for group in data["testGroups"]:
            key = world.write(group["privateKeyPem"].encode())
            os.chmod(key, 0o600)
            hashed = [word.replace("SHA-", "sha") for word in (f"digest={group['sha']}", f"mask={group['mgfSha']}")] if "sha" in group else []
            for test, size in itertools.product(group["tests"], (16, 24, 32)):
                if test["result"] == "acceptable":
                    continue
                words = ["opening", f"key={key}", f"padding={'oaep' if hashed else 'v1.5'}", *hashed, f"length={size}", f"block={test['ct']}"]
                good = test["result"] == "valid" and not test.get("label") and len(test["msg"]) == 2 * size
                if good:
                    holds = says(opening="opened", content=test["msg"])
                else:
                    holds = says(opening="refused") if hashed else opened_otherwise(test["msg"])
                yield Case(f"{os.path.basename(file)} {test['tcId']}, {size} bytes", words, holds)


def opened_otherwise(content):
    return lambda answer: answer.get("opening") == "opened" and answer.get("content") != content


def gnupg(world):
    """Old gpgsm wrote no contentType among the signed attributes: what it signed is refused for that and nothing else."""
    anchors = f"anchors={world.folder([world.path('gnupg-cms/cert_g10code_test1.der')])}"
    words = ["at=1020000000", anchors, "any"]
    why = says(signature="malformed", why="no contentType among the signed attributes")
    for name, good in (("text-1.osig.pem", True), ("text-2.osig.pem", True), ("text-1.osig-bad.pem", False), ("text-2.osig-bad.pem", False),
                       ("text-1.osig-badusage.pem", False)):
        mail = world.write(opaque(unarmored(world.read("gnupg-cms", name))))
        yield Case(name, ["message", f"file={mail}", *words], says(signature="good") if good else differs(signature="good"))
        yield Case(f"{name}, why", ["message", f"file={mail}", *words], why)
    mail = world.write(clear(world.read("gnupg-cms/text-1.txt"), unarmored(world.read("gnupg-cms/text-1.dsig.pem"))))
    yield Case("text-1.dsig.pem", ["message", f"file={mail}", *words], says(signature="good"))
    for name in ("plain-1.cms.asc", "plain-2.cms.asc", "plain-3.cms.asc", "plain-large.cms.asc", "text-1.dsig.pem"):
        mail = world.write(opaque(unarmored(world.read("gnupg-cms", name))))
        yield Case(f"{name} as signed mail", ["message", f"file={mail}", *words], why if "dsig" in name else differs(signature="good"))
    mail = world.write(opaque(world.read("gnupg-cms/samplemsgs/webde-buenemann-signed.cms")))
    # Its ContentInfo is of type 1.2.840.113546.1.7.2, one digit off signedData.
    yield Case("webde-buenemann-signed.cms", ["message", f"file={mail}", *words], says(signature="malformed"))
    yield from unharmed(world, "gnupg-cms/**")


def gmime(world):
    # None of them is an S/MIME mail; some are no mail at all.
    yield from unharmed(world, "gmime-3.2/**", holds=differs(signature="good"))


def mime4j(world):
    yield from unharmed(world, "mime4j-testmsgs/*.msg", holds=says(signature="none"))


def ruby_mail(world):
    yield from unharmed(world, "ruby-mail/**", holds=differs(signature="good"))


def python_email(world):
    yield from unharmed(world, "python-email/*.txt", holds=differs(signature="good"))


SETS = [("pkits-part-a", "pkits v1.0", pkits_old), ("pkits-part-a", "pkits v1.0.1", pkits_new), ("pkits-part-a", "pkits dsa", pkits_dsa),
        ("pkits-part-a", "pkits mails", pkits_mails), ("openssl-3.0", "openssl ocsp", openssl_ocsp),
        ("openssl-3.0", "openssl cms", openssl_cms), ("rfc4134", "rfc4134", rfc4134), ("rfc9216", "rfc9216", rfc9216),
        ("rfc9216", "rfc9216 encrypted", rfc9216_encrypted),
        ("rfc9788-sample", "rfc9788", rfc9788), ("protected-headers", "protected-headers", protected_headers),
        ("x509-limbo-part-a", "limbo", limbo), ("wycheproof", "wycheproof", wycheproof), ("wycheproof", "openings", openings), ("gnupg-cms", "gnupg", gnupg),
        ("gmime-3.2", "gmime", gmime), ("mime4j-testmsgs", "mime4j", mime4j), ("ruby-mail", "ruby-mail", ruby_mail),
        ("python-email", "python-email", python_email)]


# ---- running ----

def environment(slow_stacks):
    """Which library leaked is seen only with stacks that take ten times as long."""
    return {**os.environ, "LC_ALL": "C.UTF-8", "UBSAN_OPTIONS": "print_stacktrace=1", "G_SLICE": "always-malloc",
            "ASAN_OPTIONS": f"detect_leaks=1:detect_stack_use_after_return=1:exitcode=9:fast_unwind_on_malloc={0 if slow_stacks else 1}",
            "LSAN_OPTIONS": f"suppressions={SUPPRESSIONS}:print_suppressions=0"}


def run_judge(questions, slow_stacks):
    """What it wrote, and what went wrong with it, or None."""
    try:
        process = subprocess.run([JUDGE], input=questions.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=environment(slow_stacks), timeout=SECONDS_FOR_A_SET, check=False)
        return process.stdout, process.stderr.decode("utf-8", "replace") if process.returncode else None
    except subprocess.TimeoutExpired as late:
        return late.stdout or b"", f"took longer than {SECONDS_FOR_A_SET} seconds"


def ask(cases):
    """The answers as dictionaries, {} for a case that has none; and what went wrong with the program, or None."""
    questions = "".join("\t".join(case.words) + "\n" for case in cases)
    output, wrong = run_judge(questions, False)
    if wrong and "LeakSanitizer" in wrong:
        output, wrong = run_judge(questions, True)
    lines = output.decode("utf-8", "replace").splitlines()
    answers = [dict(word.split("=", 1) for word in line.split("\t") if "=" in word) for line in lines]
    return answers + [{}] * (len(cases) - len(answers)), wrong


def read_exceptions():
    with open(os.path.join(HERE, "exceptions.tsv"), encoding="utf-8", newline="") as lines:
        return {(row["set"], row["case"]): row["rule"] for row in csv.DictReader(lines, delimiter="\t")}


def judge_set(world, name, cases, exceptions):
    """(cases, as expected, exceptions, lines about what is wrong)"""
    answers, crash = ask(cases)
    good = excepted = 0
    wrong = []
    for case, answer in zip(cases, answers):
        on_record = (name, case.name) in exceptions
        if case.holds(answer) and not on_record:
            good += 1
        elif not case.holds(answer) and on_record and answer:
            excepted += 1
        elif on_record and answer:
            wrong.append(f"{name}: {case.name}: is as expected; its line in exceptions.tsv is to go")
        else:
            wrong.append(f"{name}: {case.name}: {answer or 'no answer'}")
    for key in exceptions:
        if key[0] == name and key[1] not in {case.name for case in cases}:
            wrong.append(f"{name}: {key[1]}: exceptions.tsv names a case that is not there")
    if crash:
        wrong.insert(0, f"{name}: the program failed at its end or on the way: {crash[-6000:]}")
    return len(cases), good, excepted, wrong


def main(arguments):
    if not arguments or not os.path.isdir(arguments[0]):
        print(f"check-corpora: nothing to do: {'no folder ' + arguments[0] if arguments else 'name the folder with CORPORA='}")
        return 0
    failed = 0
    exceptions = read_exceptions()
    print(f"{'set':20} {'cases':>6} {'as expected':>12} {'exceptions':>11} {'wrong':>6}")
    with tempfile.TemporaryDirectory(prefix="segel-corpora.") as work:
        world = World(os.path.abspath(arguments[0]), work)
        for folder, name, cases_of in SETS:
            if len(arguments) > 1 and name not in arguments[1:]:
                continue
            if not os.path.isdir(world.path(folder)):
                print(f"{name:20} {'not there':>6}")
                continue
            n, good, excepted, wrong = judge_set(world, name, list(cases_of(world)), exceptions)
            print(f"{name:20} {n:6} {good:12} {excepted:11} {len(wrong):6}", flush=True)
            print("".join(f"    {line}\n" for line in wrong[:SHOWN]), end="")
            failed += len(wrong)
    print(f"{failed} without an exception on record")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
