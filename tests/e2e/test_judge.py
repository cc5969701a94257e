"""The judges themselves: each takes a good signature for good, and a bad one for bad.

The messages are signed by openssl, so that nothing of ours is between the judges and the truth.
"""

import os
import subprocess
import sys

import judge
import mail
import suite
from authority import Authority
from gateway import build_folder, must_be_built
from world import parsed

BUDI = "budi@kota.example"
SITI = "siti@penerima.example"


class Bench:
    """A CA, a certificate for each kind of key, and openssl as the signer."""

    def __init__(self, place):
        build = build_folder()
        must_be_built(build, ["tests/pki/mkpki"])
        self.folder = os.path.join(place.folder, "pki")
        os.makedirs(self.folder)
        self.authority = self.make_authority(build, "ours")
        self.other = self.make_authority(build, "other")
        self.issued = {key: self.authority.issue(key, f"Kantor {key}", [BUDI], key=key)
                       for key in ("rsa2048", "p256", "p384")}

    def make_authority(self, build, name):
        authority = Authority(os.path.join(build, "tests/pki/mkpki"), os.path.join(self.folder, name))
        authority.make()
        return authority

    def sign(self, key, *options):
        issued = self.issued[key]
        entity = mail.plain(BUDI, SITI, f"kunci-{key}").split(b"\r\n\r\n", 1)[1]
        command = ["openssl", "cms", "-sign", "-signer", issued.cert, "-inkey", issued.key, "-passin",
                   "file:" + self.authority.passphrase_file, "-certfile", self.authority.issuing_file, "-md",
                   "sha384" if key == "p384" else "sha256", "-from", BUDI, "-to", SITI, "-subject", "Uji", *options]
        return subprocess.run(command, input=b"Content-Type: text/plain\r\n\r\n" + entity, check=True,
                              capture_output=True).stdout.replace(b"\r\n", b"\n")

    def maillog(self):
        return ""

    def stop(self):
        pass


def verdicts(bench, message, root):
    return {name: verify(message, root) for name, verify in judge.JUDGES.items()}


def add_good(key, form, options):
    @suite.test(f"{form}, key {key}: good for every judge, and the signer is named")
    def _(bench):
        for name, verdict in verdicts(bench, bench.sign(key, *options), bench.authority.root_file).items():
            suite.check(verdict.ok, f"{name}: {verdict}")
            if name != "cmsutil":
                suite.equal(verdict.signer, bench.issued[key].sha256, f"{name}: signer")


def add_bad(key, form, options):
    @suite.test(f"{form}, key {key}: a root that is not trusted is bad for every judge")
    def _(bench):
        for name, verdict in verdicts(bench, bench.sign(key, *options), bench.other.root_file).items():
            suite.check(not verdict.ok, f"{name}: {verdict}")


FORMS = {"clear": [], "opaque": ["-nodetach"]}
for form_name, form_options in FORMS.items():
    for key_name in ("rsa2048", "p256", "p384"):
        add_good(key_name, form_name, form_options)
        add_bad(key_name, form_name, form_options)


@suite.test("one byte of the text changed: bad for every judge")
def _(bench):
    message = bench.sign("rsa2048")
    suite.check(b"09.00" in message, message)
    for name, verdict in verdicts(bench, message.replace(b"09.00", b"10.00"), bench.authority.root_file).items():
        suite.check(not verdict.ok, f"{name}: {verdict}")


@suite.test("a message that is not signed: bad for every judge")
def _(bench):
    for name, verdict in verdicts(bench, mail.plain(BUDI, SITI, "polos"), bench.authority.root_file).items():
        suite.check(not verdict.ok, f"{name}: {verdict}")


@suite.test("the leaves of a message are compared after decoding")
def _(_bench):
    original = mail.attachments(BUDI, SITI, "lampiran")
    kinds = [kind for kind, _content in mail.leaves(parsed(original))]
    suite.equal(kinds, ["text/plain", "application/pdf", "text/csv"], "leaves")
    changed = original.replace("Émile;3".encode(), "Émile;4".encode())
    suite.check(list(mail.leaves(parsed(original))) != list(mail.leaves(parsed(changed))), "a change went unseen")


if __name__ == "__main__":
    sys.exit(suite.main(Bench))
