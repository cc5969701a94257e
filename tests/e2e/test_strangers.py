#!/usr/bin/python3
"""What somebody whom nobody knows can cost: mail from servers without any standing."""

import sqlite3
import sys

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


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
