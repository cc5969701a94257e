"""partners: recipients to encrypt to, as a mix-in for a Gateway: their authorities made by openssl, certificates of
every sort in the registry, and openssl(1) to read what they get.

    class World(partners.Partners, Gateway): ...        world.make_partners("provinsi.example")
"""

import os
import shutil
import subprocess

from openssl_ca import OpensslCA, run

# name: how its certificate is made, what makes it unusable
RECIPIENTS = {"rsa": "rsa", "ec": "ec", "boleh": "rsa", "terbuka": "ec", "sembunyi": "rsa", "dicabut": "revoked", "diam": "silent",
              "tahan": "held", "asing": "stranger"}


class Partners:
    def make_partners(self, domain):
        self.partner_domain = domain
        os.makedirs(self.path("ca"))
        self.root = OpensslCA(self.path("ca"), "Root", None)
        self.issuing = OpensslCA(self.path("ca"), "Issuing", self.root)
        self.silent = OpensslCA(self.path("ca"), "Silent", self.root)
        self.stranger = OpensslCA(self.path("ca"), "Stranger", None)
        self.must("domain", "add", domain, "--kind", "partner")
        self.leaves = {name: self.make_leaf(name, how) for name, how in RECIPIENTS.items()}
        self.organisation = self.issuing.issue("organisasi", ["arsip@kota.example"], usage="keyEncipherment", algorithm="rsa2048")
        self.issuing.revoke(self.leaves["dicabut"])
        self.make_trust()

    def partner(self, name):
        return f"{name}@{self.partner_domain}"

    def make_leaf(self, name, how, address=None):
        address = address or self.partner(name)
        authority = {"silent": self.silent, "stranger": self.stranger}.get(how, self.issuing)
        usage, algorithm = ("keyAgreement", "ec") if how == "ec" else ("keyEncipherment", "rsa2048")
        leaf = authority.issue(name, [address], usage=usage, algorithm=algorithm)
        self.must("address", "add", address, "--unit", "UMUM")
        self.must("cert", "import", leaf.cert, "--kind", "jabatan")
        self.must("bind", "add", leaf.sha256, "--purpose", "encrypt", "--address", address)
        if how == "held":
            self.must("cert", "hold", leaf.sha256, "--reason", "uji")
        return leaf

    def make_trust(self):
        """As `segelctl trust` leaves it."""
        official = self.path("trust", "anchors", "official")
        os.makedirs(official, exist_ok=True)
        for authority in (self.root, self.issuing, self.silent):
            shutil.copy(authority.cert, os.path.join(official, authority.name + ".crt"))
        for authority in (self.root, self.issuing):
            authority.crl(self.path("trust", "crl", authority.name + ".pem"))

    def decrypt(self, message, leaf):
        """By openssl, which finds the RecipientInfo by itself; None where it cannot."""
        path = self.received(message)
        done = subprocess.run(["openssl", "cms", "-decrypt", "-in", path, "-recip", leaf.cert, "-inkey", leaf.key], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60)
        return done.stdout if done.returncode == 0 else None

    def verify(self, entity):
        """The signed entity, by openssl; raises where the seal is not good."""
        path = self.path("entity.eml")
        with open(path, "wb") as out:
            out.write(entity)
        return run("openssl", "cms", "-verify", "-in", path, "-CAfile", self.authority.root_file, "-purpose", "any", "-crlfeol")

    def recipients_of(self, message):
        """How many RecipientInfos it has."""
        shown = run("openssl", "cms", "-cmsout", "-print", "-in", self.received(message)).decode()
        return shown.count("issuerAndSerialNumber:")

    def received(self, message):
        path = self.path("received.eml")
        with open(path, "wb") as out:
            out.write(message)
        return path
