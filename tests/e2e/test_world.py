"""The world alone: a Postfix with STARTTLS, logins and further hops works, and nothing of it stays."""

import os
import re
import sys

import deadline
import suite
from world import FAR_DOMAIN, OTHER_DOMAIN, OWN_DOMAIN, World, letter, parsed

BUDI = f"budi@{OWN_DOMAIN}"
SITI = f"siti@{OTHER_DOMAIN}"
SECRET = "rahasia-budi"


def make_world(place):
    world = World(place)
    world.add_user(BUDI, SECRET)
    return world.start()


def send(world, token, recipients, **options):
    message = letter(BUDI, recipients[0], token=token)
    return world.send(BUDI, SECRET, message, BUDI, recipients, **options)


@suite.test("STARTTLS, login and delivery")
def _(world):
    outcome = send(world, "lewat-tls", [SITI])
    suite.check(outcome.accepted, outcome)
    [message] = world.wait_delivered(SITI, b"lewat-tls")
    suite.equal(parsed(message)["From"], BUDI, "From")
    suite.check("using TLSv1.3" in str(parsed(message)["Received"]), parsed(message)["Received"])
    suite.check(f"sasl_username={BUDI}" in world.maillog(), "no login in Postfix's log")


@suite.test("a wrong password is refused")
def _(world):
    outcome = world.send(BUDI, "salah", letter(BUDI, SITI, token="salah"), BUDI, [SITI])
    suite.equal((outcome.last.command, outcome.last.code), ("AUTH", 535), "reply")


@suite.test("an unknown login is refused")
def _(world):
    outcome = world.send(f"hantu@{OWN_DOMAIN}", SECRET, letter(BUDI, SITI, token="hantu"), BUDI, [SITI])
    suite.equal((outcome.last.command, outcome.last.code), ("AUTH", 535), "reply")


@suite.test("login without TLS works here: refusing it is the filter's business")
def _(world):
    outcome = send(world, "tanpa-tls", [SITI], tls=False)
    suite.check(outcome.accepted, outcome)
    world.wait_delivered(SITI, b"tanpa-tls")


@suite.test("without a login only our own domains are reached")
def _(world):
    outcome = world.send(None, None, letter(BUDI, "x@example.org"), BUDI, ["x@example.org"])
    suite.check(outcome.last.says("554", "5.7.1"), outcome)
    accepted = world.send(None, None, letter(BUDI, SITI, token="tanpa-login"), BUDI, [SITI], port="inbound")
    suite.check(accepted.accepted, accepted)


@suite.test("a message passes two further hops, each of which leaves its Received line")
def _(world):
    far = f"ani@{FAR_DOMAIN}"
    outcome = send(world, "lewat-hop", [far])
    suite.check(outcome.accepted, outcome)
    [message] = world.wait_delivered(far, b"lewat-hop")
    hosts = [re.search(r"\bby (\S+)", str(field)).group(1) for field in parsed(message).get_all("Received")]
    suite.equal(hosts, ["hop2.example", "hop1.example", "mail.kota.example"], "servers passed")


@suite.test("the first hop re-codes 8-bit text, as some servers on the Internet do")
def _(world):
    far = f"ani@{FAR_DOMAIN}"
    extra = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    message = letter(BUDI, far, body="Kafé sörgé\r\n", extra=extra, token="delapan-bit")
    suite.check(world.send(BUDI, SECRET, message, BUDI, [far]).accepted, "not accepted")
    [arrived] = world.wait_delivered(far, b"delapan-bit")
    suite.equal(parsed(arrived)["Content-Transfer-Encoding"], "quoted-printable", "encoding")
    suite.equal(parsed(arrived).get_content().strip(), "Kafé sörgé", "text")


@suite.test("two recipients have a copy each, and mailboxes are told apart")
def _(world):
    suite.check(send(world, "dua", [SITI, BUDI]).accepted, "not accepted")
    world.wait_idle()
    for address, count in ((SITI, 1), (BUDI, 1), (f"ani@{OTHER_DOMAIN}", 0)):
        suite.equal(len(world.mailbox(address, b"dua.1@")), count, f"copies for {address}")


@suite.test("a connection cut in the middle of DATA delivers nothing, and one after RSET does")
def _(world):
    with world.session(BUDI, SECRET) as session:
        session.mail(BUDI)
        session.rcpt(SITI)
        session.begin_data(letter(BUDI, SITI, token="terputus"))
        session.vanish()
    with world.session(BUDI, SECRET) as session:
        session.mail(BUDI)
        session.rcpt(SITI)
        session.reset()
        suite.check(session.send(BUDI, [SITI], letter(BUDI, SITI, token="sesudah")).accepted, "not accepted")
    world.wait_delivered(SITI, b"sesudah")
    world.wait_idle()
    suite.equal(world.mailbox(SITI, b"terputus"), [], "delivered")


@suite.test("a filter that is not there: mail is deferred, not passed on")
def _(world):
    world.stop()
    world.mta.sockets = {"submission": world.path("nobody.sock")}
    world.mta.write_config()
    try:
        world.start()
        outcome = send(world, "tanpa-filter", [SITI])
        suite.check(400 <= outcome.last.code < 500, outcome)
    finally:
        world.stop()
        world.mta.sockets = {}
        world.mta.write_config()
        world.start()
    suite.equal(world.mailbox(SITI, b"tanpa-filter"), [], "delivered")


@suite.test("stop leaves no process, and start works again")
def _(world):
    group = world.mta.daemon.process.pid
    suite.check(len(deadline.living_in_group(group)) > 3, "a mail server of fewer than 4 processes?")
    world.stop()
    suite.equal(deadline.living_in_group(group), [], "processes left")
    names = [process_name(pid) for pid, state, _pgrp in deadline.processes() if state != "Z"]
    if world.place.isolated:
        suite.equal([name for name in names if not name.startswith("python3")], [], "processes left")
    world.start()
    suite.check(send(world, "lagi", [SITI]).accepted, "not accepted")


@suite.test("a program that cannot start says why")
def _(world):
    config = os.path.join(world.mta.etc, "master.cf")
    world.stop()
    with open(config, "a", encoding="ascii") as out:
        out.write("this is no service\n")
    try:
        world.mta.daemon.start(lambda: False, seconds=10)
        suite.check(False, "it started")
    except RuntimeError as failure:
        suite.check("Postfix ended at start" in str(failure), failure)
    finally:
        world.mta.write_config()
        world.start()


def process_name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as comm:
            return comm.read().strip()
    except OSError:
        return "python3 (ended)"


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
