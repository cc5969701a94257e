#!/usr/bin/python3
"""Two thousand random acts of reviewers, stale versions and double clicks included, against a model of what may happen.

The model is written from policy/permit.h and milter/reviewd/ask.h; it says for each act the answer, the item's next state, and what is
on record. Of two acts at the same time some order must explain both answers. Afterwards each item's history, its audit records and
the mailboxes are compared with it.

Usual seed 1; SEGEL_SEED another, SEGEL_ACTS another number of acts.
"""

import dataclasses
import os
import random
import sys

import chain
import deadline
import suite
from outside import PARTNER, Outside
from suite import check, equal, test
from world import OTHER_DOMAIN

ACTS = int(os.environ.get("SEGEL_ACTS", "2000"))
SEED = int(os.environ.get("SEGEL_SEED", "1"))
DAY = 86400

# Who: role, person. tamu is a second login of rina's.
PEOPLE = {"rina": ("analis", 1), "joko": ("analis", 2), "wati": ("manajer", 3), "bagus": ("helpdesk", 4), "sari": ("auditor", 5),
          "tamu": ("analis", 1)}
WEIGHTS = {"rina": 5, "joko": 5, "wati": 5, "bagus": 2, "sari": 1, "tamu": 2}

# What each role may do; every other act is denied. yes; propose, approve, reasons: as in policy/permit.h
MAY = {
    "analis": {"view": "yes", "export": "yes", "release": "reasons", "delete": "propose", "note": "yes", "extend": "yes"},
    "manajer": {"view": "yes", "export": "yes", "release": "approve", "delete": "yes", "note": "yes", "extend": "yes", "hold": "yes"},
    "helpdesk": {"release": "propose", "note": "yes"},
    "auditor": {},
}
OPS = {"view": 5, "export": 2, "release": 12, "delete": 2, "note": 3, "extend": 2, "hold": 3}

SORTS = {
    # certificate, changed, needs two persons, is a copy of what was refused, number of items
    "one": ("foreign", False, False, False, 60),
    "two": ("good", True, True, False, 60),
    "copy": ("revoked", False, False, True, 20),
}


@dataclasses.dataclass(frozen=True)
class Item:
    """What the model knows of one item. Immutable: a step makes another."""
    id: str
    two: bool
    copy: bool
    recipients: tuple
    state: str = "baru"
    version: int = 1
    body: bool = True
    legal: bool = False
    proposer: int = 0      # person
    days: int = 30         # until the body goes
    released: tuple = ()
    events: tuple = ()     # (what, login), as in history and audit

    def did(self, what, login, **changes):
        return dataclasses.replace(self, version=self.version + 1, events=(*self.events, (what, login)), **changes)


class No(Exception):
    """The act is refused with this word."""


def ended(item):
    return item.state in ("dihapus", "kedaluwarsa")


def working(item):
    """Neither on its way nor without its body."""
    if item.state == "dilepas-sedang" or not item.body:
        raise No("refused")


def look(item, login, act):
    """Begins and often ends the act: the next item, and the second half of it, if there is one."""
    role, person = PEOPLE[login]
    may = MAY[role].get(act["op"])
    if may is None:
        raise No("denied")
    if not act["reason"]:
        raise No("reason")
    if act.get("version", item.version) != item.version:
        raise No("changed")
    return STEPS[act["op"]](item, login, person, may, act)


def view(item, login, _person, _may, act):
    if not item.body:
        raise No("refused")
    return item.did(act["op"], login, state="ditinjau" if item.state == "baru" else item.state)


def note(item, login, _person, _may, _act):
    return item.did("note", login)


def delete(item, login, _person, may, _act):
    working(item)
    if may == "propose":
        return item.did("propose-delete", login)
    if item.legal:
        raise No("refused")
    return item.did("delete", login, state="dihapus", body=False)


def extend(item, login, _person, _may, act):
    working(item)
    days = act["keep"] // DAY
    if days <= item.days:
        raise No("refused")
    return item.did("extend", login, days=days)


def hold(item, login, _person, _may, act):
    if item.legal == act["on"]:
        raise No("refused")
    return item.did("hold" if act["on"] else "unhold", login, legal=act["on"])


def release(item, login, person, may, act):
    working(item)
    left = tuple(address for address in item.recipients if address not in item.released)
    to = tuple(act.get("to", left))
    if not to or set(to) & set(item.released):
        raise No("refused")
    if waits(item, person, may):
        if item.copy:
            raise No("refused")
        if "to" in act:
            raise No("usage")
        return item.did("propose", login, state="menunggu persetujuan", proposer=person)
    if item.copy:
        raise No("refused")
    return item.did("release", login, state="dilepas-sedang", released=(*item.released, *to))


def waits(item, person, may):
    """For a second person; otherwise it goes."""
    if may == "propose":
        if item.proposer:
            raise No("denied")
        return True
    if may == "approve":
        if not item.proposer or item.proposer == person:
            raise No("denied")
        return False
    if not item.two:
        return False
    if item.proposer == person:
        raise No("denied")
    return not item.proposer


STEPS = {"view": view, "export": view, "note": note, "delete": delete, "extend": extend, "hold": hold, "release": release}


def arrive(item, login):
    """A release that has begun: the mail server has it."""
    return item.did("released", login, state="dilepas") if item.state == "dilepas-sedang" else item


def answer_of(item):
    return ("ok", item.state, item.version)


def one(item, login, act):
    """The next item and the answer."""
    try:
        after = arrive(look(item, login, act), login)
        return after, answer_of(after)
    except No as no:
        return item, ("no", str(no))


def in_between(item, first, second):
    """The second act while the first, a release, is on its way. None: it is no release that begins."""
    try:
        begun = look(item, *first)
    except No:
        return None
    if begun.state != "dilepas-sedang" or second[1]["op"] == "release":
        return None
    try:
        middle = look(begun, *second)
        answer = answer_of(middle)
    except No as no:
        middle, answer = begun, ("no", str(no))
    after = arrive(middle, first[0])
    return after, answer_of(after), answer


def orders(item, first, second):
    """Every way in which two acts at the same time may have happened: the item, the answers of first and second."""
    after, a = one(item, *first)
    after, b = one(after, *second)
    yield after, a, b
    after, b = one(item, *second)
    after, a = one(after, *first)
    yield after, a, b
    between = in_between(item, first, second)
    if between:
        yield between
    between = in_between(item, second, first)
    if between:
        yield between[0], between[2], between[1]


class Play:
    def __init__(self, world):
        self.world = world
        self.die = random.Random(SEED)
        self.items = []
        self.counts = {"ok": 0, "pairs": 0}

    def fill(self):
        """Held mail of each sort: the signature is made once, what differs is outside it."""
        for sort, (name, changed, two, is_copy, number) in SORTS.items():
            message = self.world.signed(name, PARTNER, f"acak@{OTHER_DOMAIN}", "TOKEN")
            message = message.replace(b"09.00", b"10.00") if changed else message
            with self.world.session(tls=True, port="server") as session:
                for count in range(number):
                    token = f"{sort}-{count}"
                    recipients = tuple(f"{token}-{letter}@{OTHER_DOMAIN}" for letter in "abc"[:1 + count % 3])
                    outcome = session.send(PARTNER, recipients, message.replace(b"X-Token: TOKEN", b"X-Token: " + token.encode()))
                    equal(outcome.last.code, 550 if is_copy else 250, outcome)
                    session.reset()
                    [row] = self.world.desk("wati").list(recipient=recipients[0])
                    self.items.append(Item(row["id"], two, is_copy, recipients))

    def choose(self, item):
        login = self.die.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        op = self.die.choices(list(OPS), list(OPS.values()))[0]
        act = {"op": op, "reason": "" if self.die.random() < 0.03 else "uji acak"}
        if self.die.random() < 0.5:
            act["version"] = max(1, item.version - self.die.choice((0, 0, 0, 1, 2)))
        if op == "hold":
            act["on"] = self.die.random() < 0.4
        if op == "extend":
            # A day's difference: the seconds that pass do not count.
            act["keep"] = self.die.choice((1, item.days - 1, item.days + 1, item.days + 5)) * DAY
        if op == "release" and self.die.random() < 0.3:
            act["to"] = self.die.sample(item.recipients, self.die.randint(1, len(item.recipients)))
        return login, act

    def step(self, number):
        """One act, or two at the same time; the model must know an order that gives both answers."""
        at = self.die.randrange(len(self.items))
        item = self.items[at]
        first = self.choose(item)
        if self.die.random() < 0.75:
            after, wanted = one(item, *first)
            found = answer(self.world.desk(first[0]).ask(id=item.id, **first[1]))
            equal(found, wanted, f"act {number} by {first} on {item}")
            self.items[at] = after
            self.counts["ok"] += wanted[0] == "ok"
            return 1
        second = self.twin(item, first)
        self.items[at] = self.both(item, first, second, number)
        return 2

    def twin(self, item, first):
        """Often the very same again: a double click of somebody else, who saw the same page."""
        login = self.die.choice([login for login in PEOPLE if login != first[0]])
        return (login, first[1]) if self.die.random() < 0.6 else (login, self.choose(item)[1])

    def both(self, item, first, second, number):
        desks = [self.world.desk(login) for login, _ in (first, second)]
        for desk, (_, act) in zip(desks, (first, second)):
            desk.begin(id=item.id, **act)
        found = tuple(answer(desk.end()) for desk in desks)
        self.counts["pairs"] += 1
        possible = list(orders(item, first, second))
        fits = [after for after, *wanted in possible if tuple(wanted) == found]
        check(fits, f"acts {number} by {first} and {second} at the same time on {item}: no order explains {found}; "
                    f"wanted one of {[wanted for _, *wanted in possible]}")
        return fits[0] if len(set(fits)) == 1 else self.decide_order(item, fits)

    def decide_order(self, item, fits):
        """Two orders give the same answers: history says which it was, and must be one of them."""
        history = events_of(self.world, item.id)
        [fit] = {after for after in fits if list(after.events) == history}
        return fit


def answer(given):
    if given is None:
        return ("lost",)
    if given.ok:
        return ("ok", given.fields["state"], given.fields["version"])
    return ("no", given.error)


def events_of(world, item):
    _, rows = world.desk("wati").show(item)
    return [(row["what"], row["login"]) for row in rows if row["what"] != "held"]


def make_world(place):
    world = Outside(place).make()
    world.appoint("tamu", "analis", person="Orang Rina")
    world.start()
    world.play = Play(world)
    world.play.fill()
    return world


@test(f"{ACTS} random acts of six logins, a quarter of them two at the same time: each answer is what the model says")
def _(world):
    play, number = world.play, 0
    while number < ACTS:
        number += play.step(number)
    states = {}
    for item in play.items:
        states[item.state] = states.get(item.state, 0) + 1
    print(f"      seed {SEED}: {number} acts, {play.counts['ok']} single ones done, {play.counts['pairs']} pairs; items: {states}", flush=True)
    check(all(states.get(state, 0) > 3 for state in ("dilepas", "dihapus", "menunggu persetujuan")) or ACTS < 1000, states)


@test("every item is as the model says, with this history")
def _(world):
    for item in world.play.items:
        found, _ = world.desk("wati").show(item.id)
        equal((found["state"], found["version"], found["has_body"], found["legal_hold"]), (item.state, item.version, item.body, item.legal), item)
        equal(events_of(world, item.id), list(item.events), f"history of {item}")
        equal(sorted(row["address"] for row in found["recipients"] if row["released_at"]), sorted(item.released), f"released to, of {item}")
        equal(os.path.exists(world.path("quarantine", "items", item.id)), item.body, f"file of {item}")


@test("audit is exact: what happened has its record, in this order and by this person, and there is no record of anything else")
def _(world):
    answer_given = world.segelctl("audit", "verify")
    equal(answer_given.code, 0, answer_given)
    records = {}
    for record in chain.read_folder(world.path("audit-reviewd")):
        if record.event.startswith("quarantine-") and record["item"]:
            records.setdefault(record["item"], []).append((record.event.removeprefix("quarantine-"), record["login"]))
    for item in world.play.items:
        equal(records.pop(item.id, []), list(item.events), f"records of {item}")
    equal(records, {}, "records of other items")


@test("two persons: nothing that needs two left on one person's word, whichever logins that person has; no copy ever left")
def _(world):
    for item in world.play.items:
        proposer = None
        for what, login in item.events:
            if what == "propose":
                proposer = PEOPLE[login][1]
            if what == "release" and item.two:
                check(proposer not in (None, PEOPLE[login][1]), f"{login} alone: {item}")
        check(not (item.copy and item.released), item)


@test("mailboxes: each recipient that it was released to has it once, nobody else has anything")
def _(world):
    wanted = sorted(address for item in world.play.items for address in item.released)
    deadline.until("the released mail to arrive", lambda: len(list(world.mta.delivered())) >= len(wanted))
    world.wait_idle()
    found = sorted(line.split(b": ")[1].decode() for message in world.mta.delivered() for line in message.split(b"\n\n")[0].split(b"\n")
                   if line.startswith(b"Delivered-To: "))
    equal(found, wanted, "delivered to")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
