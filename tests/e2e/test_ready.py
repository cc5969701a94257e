"""What is not ready yet is said before mail is deferred: a sealing certificate whose key the agent lacks, an
authority that is not in seal.chain_dir. In `segel-milter -n`, at start and after a reload; never as an error.
"""

import contextlib
import functools
import os
import re
import signal
import socket
import subprocess
import sys
import time

import deadline
import suite
from gateway import Account, Gateway
from place import INBOUND_UID, MILTER_UID

BUDI = Account("budi", "Kepala Bagian Umum")
SERVING = "serves role submission"
RELOADED = ": reloaded "
ALL_THERE = "keys and issuing authorities of all certificates to seal with are there"


class Filter(Gateway):
    """Key agent and filter; no mail is sent, so there is no Postfix."""

    def start(self):
        self.start_keyd()
        self.start_milter()
        return self


def make_world(place):
    return Filter(place, [BUDI], roles=("submission", "inbound")).make().start()


def no_key(cert, name):
    return rf"certificate {cert} \([^)]*CN={name}[^)]*\): segel-keyd holds no key for it.*keyd\.keys.*restart segel-keyd"


def no_issuer(world, cert, name):
    return (rf"certificate {cert} \([^)]*CN={name}[^)]*\): no certificate of its issuer '[^']*CN=Demo Issuing CA[^']*' in "
            rf"seal\.chain_dir '{re.escape(world.authority.chain_folder)}'.*PEM")


def checked(world, code=0, role="submission"):
    """The lines of `segel-milter -n` on standard error."""
    done = subprocess.run([*world.milters[role].command[:-1], "-n"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    suite.equal(done.returncode, code, f"exit status of -n: {done.stdout!r} {done.stderr!r}")
    suite.equal(done.stdout.decode().endswith(": good\n"), code == 0, "'good' on standard output")
    return done.stderr.decode().splitlines()


def without_reviewd(world):
    """The warnings of role inbound, where segel-reviewd, which does not run here, is an error."""
    lines = checked(world, code=1, role="inbound")
    suite.check(lines and re.fullmatch(r"quarantine\.hold_socket: segel-reviewd does not answer .* is it running\?", lines[-1]), lines)
    return lines[:-1]


def are_warnings(lines, *patterns):
    """One line for each pattern, in order, and no other."""
    suite.equal(len(lines), len(patterns), f"lines: {lines}")
    for line, pattern in zip(lines, patterns):
        suite.check(re.match(f"(.*: )?warning: {pattern}", line), f"{line!r} is not a warning that matches {pattern!r}")


def warned(text, after, *patterns):
    """Waits for as many warnings as patterns behind the line that says `after`, then compares. Without: that all is there."""
    def found():
        _, said, rest = text().partition(after)
        lines = [line for line in rest.splitlines() if "warning: " in line or ALL_THERE in line]
        return lines if said and len(lines) >= max(1, len(patterns)) else None
    try:
        lines = deadline.until(f"{len(patterns)} warnings", found)
        are_warnings([line for line in lines if patterns or ALL_THERE not in line], *patterns)
    except deadline.Late as late:
        raise suite.Failed(f"{late}; it says:\n{text()}") from None


def words_from_now(world):
    start = len(world.filter_log())
    return lambda: world.filter_log()[start:]


def restarted(world):
    world.milter.stop()
    text = words_from_now(world)
    world.start_milter()
    return text


def reloaded(world):
    text = words_from_now(world)
    world.milter.send(signal.SIGHUP)
    return text


@contextlib.contextmanager
def another(world, name, title):
    """A second account, whose key the agent does not get; the first one's settings stay."""
    account = Account(name, title)
    world.make_account(account)
    try:
        yield account
    finally:
        world.must("cert", "hold", account.cert, "--reason", "uji coba selesai")


@contextlib.contextmanager
def emptied(folder):
    names = os.listdir(folder)
    away = folder + ".away"
    os.mkdir(away)
    for name in names:
        os.rename(os.path.join(folder, name), os.path.join(away, name))
    try:
        yield
    finally:
        for name in names:
            os.rename(os.path.join(away, name), os.path.join(folder, name))
        os.rmdir(away)


@suite.test("a good setup has no warning: checked, at start, after a reload")
def _(world):
    are_warnings(checked(world))
    warned(restarted(world), SERVING)
    warned(reloaded(world), RELOADED)


@suite.test("a certificate bound without its key: checked, at start, after a reload; held, it is none of our worries")
def _(world):
    with another(world, "siti", "Bagian Hukum"):
        want = no_key(2, "Bagian Hukum")
        are_warnings(checked(world), want)
        warned(reloaded(world), RELOADED, want)
        warned(restarted(world), SERVING, want)
    are_warnings(checked(world))


@suite.test("role inbound without a quarantine, and with one that nobody here could open: checked; other roles say nothing")
def _(world):
    are_warnings(checked(world, role="inbound"), r"quarantine\.certificate is empty.*deferred instead.*segelctl quarantine key")
    are_warnings(checked(world))
    folder = world.path("new-quarantine")
    os.mkdir(folder, 0o755)
    world.must("quarantine", "key", "--out", folder)
    world.write_config(quarantine=f'quarantine: {{ certificate = "{folder}/quarantine.crt"; }};')
    try:
        are_warnings(without_reviewd(world), r"quarantine\.certificate is given.*none of keyd\.keys is of purpose decrypt")
        are_warnings(checked(world))
        keys = (f'{world.settings()["keys"]}, {{ file = "{folder}/quarantine.key"; passphrase_file = "{folder}/quarantine.pass"; '
                'purpose = "decrypt"; }')
        world.write_config(quarantine=f'quarantine: {{ certificate = "{folder}/quarantine.crt"; }};', keys=keys)
        are_warnings(without_reviewd(world))
    finally:
        world.write_config()


@suite.test("an authority missing from seal.chain_dir: checked, at start, after a reload")
def _(world):
    want = no_issuer(world, 1, "Kepala Bagian Umum")
    with emptied(world.authority.chain_folder):
        are_warnings(checked(world), want)
        warned(reloaded(world), RELOADED, want)
        warned(restarted(world), SERVING, want)
    are_warnings(checked(world))
    warned(reloaded(world), RELOADED)


@suite.test("another authority in seal.chain_dir is not the one")
def _(world):
    chain = world.authority.chain_folder
    other = os.path.join(chain, "root.crt")
    with emptied(chain):
        os.symlink(world.authority.root_file, other)
        try:
            are_warnings(checked(world), no_issuer(world, 1, "Kepala Bagian Umum"))
        finally:
            os.unlink(other)


@suite.test("both troubles of one certificate are two lines, and each certificate has its own")
def _(world):
    with another(world, "tono", "Dinas Pangan"), emptied(world.authority.chain_folder):
        are_warnings(checked(world), no_issuer(world, 1, "Kepala Bagian Umum"), no_key(3, "Dinas Pangan"),
                     no_issuer(world, 3, "Dinas Pangan"))


@suite.test("without the agent the filter starts all the same, and says so in one line; -n calls it an error")
def _(world):
    with another(world, "wati", "Dinas Air"):
        world.keyd.stop()
        try:
            warned(restarted(world), SERVING, r"cannot ask whether the keys.*is segel-keyd running\?")
            lines = checked(world, code=1)
            suite.check(any(line.startswith("keyd.socket: ") for line in lines), lines)
        finally:
            world.start_keyd()
    warned(reloaded(world), RELOADED)


@suite.test("role inbound wants the agent where it decrypts, and only there: checked, at start, after a reload")
def _(world):
    no_quarantine = r"quarantine\.certificate is empty"
    no_agent = r"decrypt\.use is on, and encrypted mail that arrives is deferred: .*is segel-keyd running\?"
    key = f'{{ file = "{world.path("keys", "surat.key")}"; passphrase_file = "{world.path("keys", "passphrase")}"; purpose = "decrypt"; }}'
    opening = {"keys": f'{world.settings()["keys"]}, {key}', "unwrappers": f'unwrappers = [ "{INBOUND_UID}" ];', "policy": "decrypt: { use = true; };"}
    inbound = world.milters["inbound"]
    said = functools.partial(world.filter_log, "inbound")
    try:
        world.write_config(**opening)
        are_warnings(checked(world, role="inbound"), no_quarantine)
        for folder, code in ((world.path("state-inbound", "originals"), 0), (world.path("originals"), 1), (world.path("tiada", "originals"), 1)):
            world.write_config(**{**opening, "policy": f'decrypt: {{ use = true; keep_dir = "{folder}"; }};'})
            lines = checked(world, code, role="inbound")
            suite.equal([line for line in lines if line.startswith(f"decrypt.keep_dir: '{folder}'")], lines[1:], f"{folder}: lines")
            suite.equal((len(lines), os.path.exists(folder)), (1 + code, False), f"{folder}: lines, and whether it was made")
        world.write_config(**opening)
        world.keyd.stop()
        lines = checked(world, code=1, role="inbound")
        are_warnings(lines[:-1], no_quarantine, no_agent)
        suite.check(lines[-1].startswith("keyd.socket: "), lines)
        world.start_milter("inbound")
        warned(said, "serves role inbound", no_quarantine, no_agent)
        world.write_config()
        are_warnings(checked(world, role="inbound"), no_quarantine)
        inbound.send(signal.SIGHUP)
        warned(said, RELOADED, no_quarantine)
    finally:
        world.write_config()
        inbound.stop()
        if not world.keyd.running():
            world.start_keyd()


def make_opening(world, name):
    ours = world.authority
    return ours.pki(name, "--ca-of", ours.prefix("issuing"), "--cn", name, "--email", BUDI.address, "--from", "-1d", "--to", "+2y",
                    "--key", "rsa2048", "--usage", "encrypt", "--passphrase-file", ours.passphrase_file)


@suite.test("a unit in encrypt.rules that the registry does not know, or knows no more, is named; one that it knows is not")
def _(world):
    world.must("unit", "add", "BAPPEDA", "Perencanaan")
    rule = 'encrypt: { use = true; rules = ( { to = "dinkes.example"; unit = "%s"; level = "must"; } ); };'
    try:
        world.write_config(policy=rule % "BAPPEDA")
        are_warnings(checked(world))
        world.write_config(policy=rule % "BAPEDA")
        are_warnings(checked(world), r"encrypt\.rules: row 1: the registry has no current unit 'BAPEDA', so this rule fits nobody")
        world.must("unit", "end", "BAPPEDA", "--reason", "digabung")
        world.write_config(policy=rule % "BAPPEDA")
        are_warnings(checked(world), r"encrypt\.rules: row 1: the registry has no current unit 'BAPPEDA', so this rule fits nobody")
    finally:
        world.write_config()


@suite.test("role inbound names the offices' certificates whose key the agent does not hold, and not those of others; or an agent that opens nothing for it")
def _(world):
    no_quarantine = r"quarantine\.certificate is empty"
    certs = {name: world.hand_to_keyd(name, make_opening(world, name)) for name in ("buka", "tutup", "pribadi", "mitra")}
    world.must("domain", "add", "mitra.example", "--kind", "partner")
    for name, kind, place in (("buka", "jabatan", BUDI.address), ("tutup", "sistem", BUDI.address), ("pribadi", "individu", BUDI.address),
                              ("mitra", "sistem", "mitra.example")):
        world.must("cert", "import", certs[name].cert, "--kind", kind)
        world.must("bind", "add", certs[name].sha256, "--purpose", "encrypt", "--address" if "@" in place else "--domain", place)
    key = f'{{ file = "{certs["buka"].key}"; passphrase_file = "{world.path("keys", "passphrase")}"; purpose = "decrypt"; }}'
    opening = {"keys": f'{world.settings()["keys"]}, {key}', "unwrappers": f'unwrappers = [ "{INBOUND_UID}" ];',
               "policy": "decrypt: { use = true; };"}
    shut = rf'certificate \d+ \([^)]*CN=tutup[^)]*\): segel-keyd holds no key for it.*delivered as it came.*keyd\.keys.*"{INBOUND_UID}".*restart segel-keyd'
    try:
        world.write_config(**opening)
        are_warnings(checked(world, role="inbound"), no_quarantine, r"decrypt\.use is on, and encrypted mail that arrives is deferred: .*keyd\.unwrappers")
        world.keyd.stop()
        world.start_keyd()
        are_warnings(checked(world, role="inbound"), no_quarantine, shut)
        before = len(world.filter_log("inbound"))
        world.start_milter("inbound")
        warned(lambda: world.filter_log("inbound")[before:], "serves role inbound", no_quarantine, shut)
        binding = next(row for row in world.segelctl("bind", "list", json=True).data if row["sha256"] == certs["tutup"].sha256)
        world.must("bind", "end", str(binding["id"]), "--reason", "uji coba selesai")
        are_warnings(checked(world, role="inbound"), no_quarantine)
    finally:
        world.write_config()
        world.milters["inbound"].stop()
        world.keyd.stop()
        world.start_keyd()


@contextlib.contextmanager
def silent_agent(world):
    """Takes connections, and answers nothing on them."""
    world.keyd.stop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        agent.bind(world.keyd_socket)
        os.chmod(world.keyd_socket, 0o666)
        agent.listen(16)
        try:
            yield
        finally:
            os.unlink(world.keyd_socket)
            world.start_keyd()


@suite.test("an agent that never answers keeps neither the start nor a reload nor the end waiting")
def _(world):
    timeout = 10  # keyd.timeout of this world
    with silent_agent(world):
        began = time.monotonic()
        text = restarted(world)
        deadline.until("the start", lambda: SERVING in text())
        world.milter.send(signal.SIGHUP)
        deadline.until("the reload", lambda: RELOADED in text())
        suite.equal(world.milter.stop(), 0, "exit status")
        took = time.monotonic() - began
        suite.check(took < timeout, f"start, reload and end took {took:.1f} s")
        suite.check("warning: " not in text() and ALL_THERE not in text(), text())
    world.start_milter()


@suite.test("more than twenty lines are cut in the log, and counted")
def _(world):
    many = [Account(f"akun{i:02}", f"Kantor Nomor {i:02}") for i in range(22)]
    for account in many:
        world.make_account(account)
    shown = [no_key(r"\d+", f"Kantor Nomor {i:02}") for i in range(20)]
    warned(reloaded(world), RELOADED, *shown, "and 2 more")
    suite.equal(len(checked(world)), 22, "warnings of -n")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
