#!/usr/bin/python3
"""What somebody whom nobody knows can cost: mail from servers without any standing."""

import re
import signal
import sqlite3
import sys

import client
import deadline
import suite
from outside import OTHER, PARTNER, Outside
from suite import check, equal, test
from world import OTHER_DOMAIN

SENDERS = {"inbound-official": PARTNER, "inbound-other": OTHER}


def make_world(place):
    return Outside(place).make().start()


def remembered(world):
    database = sqlite3.connect(f"file:{world.path('state-inbound', 'replay.db')}?mode=ro", uri=True)
    try:
        return database.execute("SELECT count(*) FROM seen").fetchone()[0]
    finally:
        database.close()


@test("certificates that anybody can make himself leave nothing in the memory of replays")
def _(world):
    before = remembered(world)
    for number in range(3):
        for column, sender in SENDERS.items():
            recipient = f"asing{number}-{column}@{OTHER_DOMAIN}"
            outcome = world.arrive(sender, [recipient], world.signed("foreign", sender, recipient, f"asing{number}-{column}"))
            check(outcome.accepted, outcome)
            equal(world.verdicts()[-1]["reason"].split(",").count("CERT_UNTRUSTED"), 1, world.verdicts()[-1]["reason"])
    equal(remembered(world) - before, 0, "rows of a stranger")
    recipient = f"kenal@{OTHER_DOMAIN}"
    check(world.arrive(PARTNER, [recipient], world.signed("good", PARTNER, recipient, "kenal")).accepted, "a good one")
    equal(remembered(world) - before, 1, "rows of a known sender")


# --- room in the quarantine ---

FLOOD = 300 * 1000


def limit(world, text):
    """Other limits of the quarantine, by SIGHUP."""
    world.more["quarantine"] = text
    world.write_config()
    before = world.reviewd.text().count("reloaded")
    world.reviewd.send(signal.SIGHUP)
    deadline.until("the settings to be read", lambda: world.reviewd.text().count("reloaded") > before)


def arrive_from(world, address, sender, recipient, message):
    with client.Session(world.mta.ports["server"], source=address) as session:
        return session.send(sender, [recipient], message)


def to_be_held(world, number, sender=OTHER, size=FLOOD):
    """Of an issuer that nobody knows, large: (recipient, message)."""
    recipient = f"banjir{number}@{OTHER_DOMAIN}"
    return recipient, world.signed("foreign", sender, recipient, f"banjir{number}", content=b"Content-Type: text/plain\n\n" + b"x" * 70 + b"\n"
                                   + (b"y" * 71 + b"\n") * (size // 72))


@test("a stranger fills his share of the quarantine, is deferred with the limit on record, and others go on being held")
def _(world):
    limit(world, 'max_size = "53MiB"; client_share = 1;')
    share = (53 << 20) // 100
    for number, (address, sender, held) in enumerate((("127.0.0.2", PARTNER, True), ("127.0.0.2", PARTNER, False), ("127.0.0.3", PARTNER, True),
                                                     ("127.0.0.4", PARTNER, True))):
        recipient, message = to_be_held(world, number, sender)
        outcome = arrive_from(world, address, sender, recipient, message)
        equal((outcome.last.code, len(world.held(recipient)), world.mailbox(recipient)), (250 if held else 451, int(held), []), f"{number}: {outcome}")
        if not held:
            check(outcome.last.says("4.3.0", "STORE_UNAVAILABLE"), outcome)
            refused = (recipient, message)
    [record] = [record for record in world.verdicts() if "STORE_UNAVAILABLE" in record["reason"]]
    said = f"full: client 127.0.0.2: 6[0-9]+ undecided bytes with this message; quarantine.client_share \\(1 percent of max_size\\) is {share}"
    deadline.until("its log line", lambda: re.search(f"not held: .*{said}", world.reviewd.text()), 45)
    world.wait_filter_log(f"STORE_UNAVAILABLE.*{said}", role="inbound")
    equal(record["action"], "defer", record.values)
    # a small one is not large; what is decided makes room
    recipient, message = to_be_held(world, "-kecil", PARTNER, size=1000)
    check(arrive_from(world, "127.0.0.2", PARTNER, recipient, message).accepted, "a small one of the same client")
    [row] = world.held("banjir0@")
    check(world.desk("wati").ask(op="delete", id=row["id"], reason="banjir").ok, "deleted")
    outcome = arrive_from(world, "127.0.0.2", PARTNER, *refused)
    check(outcome.accepted, outcome)
    equal(len(world.held(refused[0])), 1, "held once")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
