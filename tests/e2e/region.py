"""region: a second region beside a Gateway: its own mail server, key agent, filter, registry and authority, in a folder of its own.

    second = SecondRegion(world, "setda")       made, and each registry knows the other as a partner; nothing runs
    second.start()

It decrypts what arrives for its one office. Make it before the first region starts, whose settings say what is encrypted.
"""

import os
import shutil

from gateway import Gateway
from openssl_ca import CONFIG, OpensslCA, run, stamp
from place import INBOUND_UID, KEYD_UID, MILTER_UID, Place
from world import OWN_DOMAIN, PORTS

DOMAIN = "kabupaten.example"


class SecondRegion(Gateway):
    hostname = f"mail.{DOMAIN}"
    domains = (DOMAIN,)
    ports = {name: port + 100 for name, port in PORTS.items()}

    def __init__(self, first, office):
        """`office`: whose mail is encrypted. The first region writes with its first account."""
        folder = first.path("region-2")
        os.makedirs(folder)
        super().__init__(Place(folder, first.place.isolated), [], roles=("submission", "inbound"))
        self.more["policy"] = "decrypt: { use = true; };"
        self.first = first
        self.office = f"{office}@{DOMAIN}"
        self.root = OpensslCA(folder, "Kabupaten Root CA", None)
        self.leaf = self.root.issue(office, [self.office], usage="keyEncipherment", algorithm="rsa2048")
        self.make()
        self.give_key_to_agent()
        self.meet()
        self.route()

    @property
    def kept(self):
        return self.path("keys", "office.key")

    def settings(self):
        key = f'{{ file = "{self.kept}"; passphrase_file = "{self.path("keys", "passphrase")}"; purpose = "decrypt"; }}'
        return {**super().settings(), "keys": key, "unwrappers": f'unwrappers = [ "{INBOUND_UID}" ];'}

    def make_registry(self):
        self.must("init", "--name", "Petugas Kabupaten", "--appointment", "SK-2/2026")
        self.must("unit", "add", "SETDA", "Sekretariat Daerah")
        self.must("domain", "add", DOMAIN, "--kind", "own")
        know(self, self.office, "SETDA", self.leaf, "encrypt")

    def give_key_to_agent(self):
        """Unencrypted it stays with its authority as well: openssl(1) judges with it."""
        shutil.copy(self.authority.passphrase_file, self.path("keys", "passphrase"))
        run("openssl", "pkcs8", "-topk8", "-in", self.leaf.key, "-out", self.kept, "-passout", "file:" + self.authority.passphrase_file)
        for path in (self.kept, self.path("keys", "passphrase")):
            os.chown(path, KEYD_UID, KEYD_UID)
            os.chmod(path, 0o600)

    def meet(self):
        """What each registry and each trust folder has of the other region."""
        account = self.first.accounts[0]
        self.first.must("domain", "add", DOMAIN, "--kind", "partner")
        know(self.first, self.office, "UMUM", self.leaf, "encrypt")
        trust_partner(self.first, "kabupaten", self.root.cert)
        self.root.crl(self.first.path("trust", "crl", "kabupaten.crl"))
        self.must("domain", "add", OWN_DOMAIN, "--kind", "partner")
        know(self, account.address, "SETDA", account.issued, "verify")
        trust_partner(self, "kota", self.first.authority.root_file)
        for name in ("root", "issuing"):
            publish(self.first.authority.prefix(name), self.path("trust", "crl", f"kota-{name}.crl"))

    def files(self):
        """All that it has written; its programs and key files are none of that."""
        for top, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if os.path.join(top, name) not in (self.path("bin"), self.path("keys"))]
            yield from (path for path in (os.path.join(top, name) for name in names) if os.path.isfile(path))

    def route(self):
        """The first region's mail server has no DNS to find this one by."""
        hop = f"[127.0.0.1]:{self.mta.ports['server']}"
        with open(os.path.join(self.first.mta.etc, "transport"), "a", encoding="ascii") as out:
            out.write(f"{DOMAIN} smtp:{hop}\n")
        self.first.must("tls", "policy", "set", hop, "encrypt", "--decision", "SK 8/2026")


def know(world, address, unit, leaf, purpose):
    world.must("address", "add", address, "--unit", unit)
    world.must("cert", "import", leaf.cert, "--kind", "jabatan")
    world.must("bind", "add", leaf.sha256, "--purpose", purpose, "--address", address)


def trust_partner(world, name, cert):
    """As `segelctl trust add` leaves it."""
    anchors = world.path("trust", "anchors", "partner")
    os.makedirs(anchors, exist_ok=True)
    shutil.copy(cert, os.path.join(anchors, name + ".crt"))
    os.chown(anchors, 0, MILTER_UID)
    os.chmod(anchors, 0o2750)


def publish(prefix, path):
    """A list without entries of an authority that mkpki made, signed by openssl(1)."""
    folder = path + ".ca"
    os.makedirs(folder)
    for name, text in (("index.txt", ""), ("crlnumber", "01\n"), ("ca.cnf", CONFIG.format(folder=folder))):
        with open(os.path.join(folder, name), "w", encoding="ascii") as out:
            out.write(text)
    run("openssl", "ca", "-config", os.path.join(folder, "ca.cnf"), "-gencrl", "-cert", prefix + ".crt", "-keyfile", prefix + ".key", "-out", path,
        "-crl_lastupdate", stamp(days=-1), "-crl_nextupdate", stamp(days=7))
    shutil.rmtree(folder)
