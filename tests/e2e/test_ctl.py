"""segelctl's config, policy, explain and seal, on a registry of their own; no mail server runs."""

import os
import subprocess
import sys

import judge
import mail
import suite
from gateway import TOP, Account, Gateway
from suite import test
from world import OTHER_DOMAIN, parsed

SITI = f"siti@{OTHER_DOMAIN}"
BUDI = Account("budi", "Kepala Bagian Umum", key="rsa2048")
DEWI = Account("dewi", "Bendahara", key="p256")


class Registered(Gateway):
    """A gateway that is made, but not started."""

    def stop(self):
        pass


def make_world(place):
    return Registered(place, [BUDI, DEWI]).make()


def file_with(world, name, content):
    path = world.path(name)
    with open(path, "wb") as out:
        out.write(content)
    return path


def explained(world, message, *options):
    return world.segelctl("explain", file_with(world, "letter.eml", message), *options)


def sealed(world, account, message, *options):
    """segelctl seal with a copy of the account's key that is root's; bytes are wanted here, not text."""
    return seal_command(world, file_with(world, "letter.eml", message), "--cert", account.issued.cert, "--key",
                        own_key(world, account), *options)


def seal_command(world, *options):
    command = [os.path.join(world.build, "segelctl"), "seal", *options, "--passphrase-file", world.authority.passphrase_file,
               "--chain-dir", world.authority.chain_folder]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)


def own_key(world, account):
    """segelctl refuses another user's key file."""
    with open(account.issued.key, "rb") as key:
        path = file_with(world, account.name + ".key", key.read())
    os.chmod(path, 0o600)
    return path


@test("config check: good, and every problem with file and line, exit 1")
def _(world):
    suite.equal(world.segelctl("config", "check", world.config).code, 0, "exit code")
    bad = file_with(world, "bad.conf", b"langauge = \"en\";\nlimits: { recipients = 0; };\n")
    answer = world.segelctl("config", "check", bad)
    suite.equal(answer.code, 1, "exit code")
    suite.check(f"{bad}:1: langauge: no such setting; did you mean 'language'?" in answer.err, answer)
    suite.check(f"{bad}:2: limits.recipients: wanted a number" in answer.err, answer)


@test("config dump: a settings file again, and JSON with the same values")
def _(world):
    text = world.must("config", "dump").out
    again = world.segelctl("config", "dump", file_with(world, "again.conf", text.encode()))
    suite.equal(again.out, text, "dump of the dump")
    data = world.segelctl("config", "dump", json=True).data
    suite.equal(data["registry.file"], world.registry, "registry.file")
    suite.equal(data["limits.recipients"], 100, "limits.recipients")


@test("config sample is the committed sample")
def _(world):
    with open(os.path.join(TOP, "contrib/segel.conf.sample"), encoding="utf-8") as file:
        suite.equal(world.must("config", "sample").out, file.read(), "sample")


@test("policy show: the committed table, the settings' table, JSON")
def _(world):
    with open(os.path.join(TOP, "tests/snapshot/policy.txt"), encoding="utf-8") as file:
        suite.equal(world.must("policy", "show", "--defaults").out, file.read(), "table")
    with open(world.config, encoding="utf-8") as file:
        changed = file.read() + '\npolicy = ( { finding = "REG_HELD"; class = "submission"; action = "defer"; } );\n'
    path = file_with(world, "changed.conf", changed.encode())
    done = subprocess.run([os.path.join(world.build, "segelctl"), "-c", path, "policy", "show"], check=True,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    [row] = [line for line in done.stdout.split("\n") if line.startswith("REG_HELD ")]
    suite.equal(row.split()[1], "defer", "REG_HELD in submission")
    rows = {row["finding"]: row for row in world.segelctl("policy", "show", json=True).data}
    suite.equal(rows["REG_HELD"]["submission"], "reject", "REG_HELD in submission")
    suite.equal(rows["LOGIN_MISSING"]["egress"], None, "LOGIN_MISSING in egress")


@test("explain: what would be sealed, exit 0")
def _(world):
    answer = explained(world, mail.plain(BUDI.address, SITI, "baik"), "--login", BUDI.login)
    suite.equal(answer.code, 0, str(answer))
    suite.check("action:   accept" in answer.out and "sealed:   yes" in answer.out, answer.out)
    data = world.segelctl("explain", world.path("letter.eml"), "--login", BUDI.login, json=True).data
    suite.equal((data["action"], data["sealed"], data["findings"]), ("accept", True, []), "JSON")


@test("explain: what would be refused, with its reason, exit 1")
def _(world):
    message = mail.plain(BUDI.address, SITI, "buruk")
    for options, word in ((("--login", DEWI.login), "LOGIN_MISMATCH"), (("--login", BUDI.login, "--tls", "none"), "TLS_MISSING"),
                          (("--login", BUDI.login, "--auth-type", "XCLIENT"), "LOGIN_MISSING"),
                          (("--login", BUDI.login, "--sender", DEWI.address), "LOGIN_MISMATCH")):
        answer = explained(world, message, *options)
        suite.equal(answer.code, 1, str(answer))
        suite.check(f"finding:  {word} -> reject" in answer.out and "sealed:   no" in answer.out, answer.out)


@test("explain: a hold shows at once; released, it would seal again")
def _(world):
    message = mail.plain(DEWI.address, SITI, "ditahan")
    world.must("cert", "hold", DEWI.cert, "--reason", "laporan kehilangan")
    answer = explained(world, message, "--login", DEWI.login)
    suite.check(answer.code == 1 and "REG_HELD -> reject" in answer.out, answer.out)
    world.must("cert", "unhold", DEWI.cert, "--reason", "ditemukan")
    suite.equal(explained(world, message, "--login", DEWI.login).code, 0, "exit code")


@test("explain: no such file, no registry: exit 4 and the reason")
def _(world):
    answer = world.segelctl("explain", world.path("nothing.eml"))
    suite.check(answer.code == 4 and "nothing.eml" in answer.err, answer)
    answer = world.segelctl("explain", file_with(world, "letter.eml", b"From: a@b\r\n\r\n"), "--registry", "/nonexistent.db")
    suite.check(answer.code == 4 and "/nonexistent.db" in answer.err, answer)


@test("seal: judged good by three programs, clear and opaque")
def _(world):
    message = mail.plain(BUDI.address, SITI, "segel")
    for account, options, kind in ((BUDI, (), "multipart/signed"), (BUDI, ("--opaque",), "application/pkcs7-mime")):
        done = sealed(world, account, message, *options)
        suite.equal(done.returncode, 0, done.stderr)
        suite.equal(parsed(done.stdout).get_content_type(), kind, "form")
        for verify in (judge.openssl_verify, judge.gpgsm_verify, judge.cmsutil_verify):
            verdict = verify(done.stdout, world.authority.root_file)
            suite.check(verdict.ok, f"{verify.__name__}: {verdict.text}")


@test("seal: another's certificate names itself in Sender; the key must fit the certificate")
def _(world):
    message = mail.plain(DEWI.address, SITI, "atas-nama")
    done = sealed(world, BUDI, message)
    suite.equal((done.returncode, parsed(done.stdout)["Sender"]), (0, BUDI.address), "Sender")
    done = seal_command(world, world.path("letter.eml"), "--cert", DEWI.issued.cert, "--key", own_key(world, BUDI))
    suite.check(done.returncode == 4 and done.stdout == b"", done)


@test("seal: another user's key file is refused")
def _(world):
    done = seal_command(world, world.path("letter.eml"), "--cert", BUDI.issued.cert, "--key", BUDI.issued.key)
    suite.check(done.returncode == 4 and b"belongs to uid" in done.stderr, done)


@test("seal: what cannot be sealed without doubt is refused, exit 3")
def _(world):
    for message in (b"From: a@b\r\nFrom: c@d\r\n\r\nx\r\n", b"From: a@b\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
                    b"From: a@b\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nMIIB\r\n"):
        done = sealed(world, BUDI, message)
        suite.equal((done.returncode, done.stdout), (3, b""), done.stderr.decode())


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
