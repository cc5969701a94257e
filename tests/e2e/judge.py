"""judge: other people's programs say whether a message is signed well, and by whom.

Each judge takes a message as delivered and the file of the root certificate, and returns a
Verdict. None of them is ours; none runs with our libraries.
"""

import base64
import hashlib
import os
import re
import shlex
import shutil
import ssl
import subprocess
import tempfile

LAST_LINES = 15  # of what a judge printed


class Verdict:
    """ok, what the judge printed, and the SHA-256 of the signer's certificate (None: it does not say)."""

    def __init__(self, ok, text, signer=None, command=""):
        self.ok = ok
        self.text = "\n".join(text.strip().splitlines()[-LAST_LINES:])
        self.signer = signer
        self.command = command

    def __str__(self):
        return f"{self.command}\n{'good' if self.ok else 'NOT good'}: {self.text}"


def run(command, **options):
    done = subprocess.run(command, stdin=options.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, **options)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def write(folder, name, content):
    path = os.path.join(folder, name)
    with open(path, "wb") as out:
        out.write(content)
    return path


def sha256_of_pem(pem):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first_pem(pem))).hexdigest()


def first_pem(text):
    return re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.S).group(0) + "\n"


def openssl_verify(message, root):
    """`openssl cms -verify` with one root and nothing else to trust."""
    with tempfile.TemporaryDirectory(prefix="segel-judge-") as folder:
        write(folder, "message.eml", message)
        shutil.copy(root, os.path.join(folder, "root.crt"))
        command = ["openssl", "cms", "-verify", "-in", "message.eml", "-CAfile", "root.crt", "-no-CAstore", "-no-CApath",
                   "-purpose", "smimesign", "-signer", "signer.pem", "-out", "content.eml"]
        status, text = run(command, cwd=folder)
        return Verdict(status == 0, text, signer_of_file(os.path.join(folder, "signer.pem")), shlex.join(command))


def signer_of_file(path):
    try:
        with open(path, encoding="ascii") as pem:
            return sha256_of_pem(pem.read())
    except (FileNotFoundError, AttributeError):
        return None


def gpgsm_verify(message, root):
    """GnuPG, in a home of its own that trusts the one root."""
    with tempfile.TemporaryDirectory(prefix="segel-gpg-") as home:
        os.chmod(home, 0o700)
        base = ["gpgsm", "--homedir", home, "--batch", "--disable-crl-checks", "--disable-dirmngr", "--no-tty"]
        try:
            trust_in_gnupg(home, base, root)
            files, why = signature_files(home, message)
            if files is None:
                return Verdict(False, why)
            status, text = run(base + ["--status-fd", "1", "--verify"] + files)
            ok = status == 0 and "[GNUPG:] GOODSIG" in text and "[GNUPG:] TRUST_FULLY" in text
            return Verdict(ok, text, signer_in_gnupg(base, text), shlex.join(base + ["--verify"] + files))
        finally:
            run(["gpgconf", "--homedir", home, "--kill", "all"])


def trust_in_gnupg(home, base, root):
    with open(root, encoding="ascii") as pem:
        der = ssl.PEM_cert_to_DER_cert(first_pem(pem.read()))
    with open(os.path.join(home, "trustlist.txt"), "w", encoding="ascii") as trusted:
        trusted.write(hashlib.sha1(der).hexdigest().upper() + " S relax\n")
    run(base + ["--import", root])


def signer_in_gnupg(base, text):
    found = re.search(r"\[GNUPG:\] VALIDSIG ([0-9A-F]{40})", text)
    if not found:
        return None
    _status, exported = run(base + ["--armor", "--export", "0x" + found.group(1)])
    return sha256_of_pem(exported)


def cmsutil_verify(message, root):
    """NSS, with a certificate database of its own that trusts the one root for mail."""
    with tempfile.TemporaryDirectory(prefix="segel-nss-") as folder:
        database = "sql:" + folder
        run(["certutil", "-N", "-d", database, "--empty-password"])
        run(["certutil", "-A", "-d", database, "-n", "root", "-t", ",C,", "-i", root])
        files, why = signature_files(folder, message)
        if files is None:
            return Verdict(False, why)
        content = ["-c", files[1]] if len(files) == 2 else []
        command = ["cmsutil", "-D", "-d", database, "-u", "4", "-h", "0", "-i", files[0]] + content
        _status, text = run(command)
        return Verdict(found_good_by_nss(text), text, None, shlex.join(command))


def found_good_by_nss(text):
    """cmsutil ends with 0 whatever it found; its verdict is in the lines before the content."""
    heading = text.split("level=0.1;", 1)[0]
    return "nsigners=1;" in heading and re.findall(r"signer\d+\.status=(\w+);", heading) == ["GoodSignature"]


def signature_files(folder, message):
    """The signature, and for multipart/signed what it covers, as files; or why there are none."""
    head, body = split_head(crlf(message))
    kind = field(head, "content-type").lower()
    if kind.startswith("multipart/signed"):
        return detached_files(folder, head, body)
    if kind.startswith("application/pkcs7-mime"):
        return [write(folder, "opaque.p7m", base64.b64decode(body))], None
    return None, f"not a signed message: Content-Type is '{kind or 'missing'}'"


def detached_files(folder, head, body):
    boundary = re.search(r'boundary="?([^";\s]+)"?', field(head, "content-type"), re.I)
    if not boundary:
        return None, "multipart/signed without a boundary"
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary.group(1).encode())
    if len(parts) < 4 or not parts[3].startswith(b"--"):
        return None, f"multipart/signed with {len(parts) - 2} parts instead of 2"
    signed = parts[1].split(b"\r\n", 1)[1]
    signature = base64.b64decode(split_head(parts[2].split(b"\r\n", 1)[1])[1])
    return [write(folder, "signature.p7s", signature), write(folder, "signed", signed)], None


def crlf(message):
    return message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def split_head(entity):
    head, _empty, body = entity.partition(b"\r\n\r\n")
    return head, body


def field(head, name):
    """The value of the first field of this name, unfolded."""
    unfolded = re.sub(rb"\r\n[ \t]", b" ", head).decode("latin-1")
    found = re.search(rf"^{re.escape(name)}:[ \t]*(.*?)\r?$", unfolded, re.I | re.M)
    return found.group(1).strip() if found else ""


JUDGES = {"openssl": openssl_verify, "gpgsm": gpgsm_verify, "cmsutil": cmsutil_verify}
