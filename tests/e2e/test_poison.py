#!/usr/bin/python3
"""A message that makes the filter die, wherever on its way: it dies once, and the message is held unread when it comes again."""

import sys

import deadline
import shim
import suite
from outside import OTHER, PARTNER, Outside
from suite import check, equal, test
from world import OTHER_DOMAIN


def make_world(place):
    world = Outside(place).make()
    world.shim = shim.build(world)
    return world.start()


def dies_once(world, sender, recipient, message):
    milter = world.milters["inbound"]
    with shim.shimmed(world, milter, lambda: world.start_milter("inbound")) as luck:
        luck.set("racun")
        outcome = world.arrive(sender, [recipient], message)
        check(outcome.last.says("451"), outcome)
        deadline.until("its end", lambda: not milter.running())
        milter.kill()
        world.start_milter("inbound")
        outcome = world.arrive(sender, [recipient], message)
        equal((milter.running(), outcome.last.code), (True, 250), f"the second time: {outcome}")
        items = world.held(recipient)
        equal([(item["reason"], item["subject"]) for item in items], [("POISON", "")], "held")
        luck.clear("racun")
    world.start_milter("inbound")


@test("a Subject that kills whoever decodes it for the list")
def _(world):
    recipient = f"perihal@{OTHER_DOMAIN}"
    message = world.signed("good", PARTNER, recipient, "perihal").replace(b"09.00", b"10.00").replace(b"\nSubject: ", b"\nSubject: racun ")
    check(b"Subject: racun" in message, message)
    dies_once(world, PARTNER, recipient, message)


@test("a result field that kills whoever looks whether it is forged")
def _(world):
    recipient = f"hasil@{OTHER_DOMAIN}"
    message = b"Authentication-Results: ; racun\r\n" + world.unsigned(OTHER, recipient, "hasil")
    dies_once(world, OTHER, recipient, message)


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
