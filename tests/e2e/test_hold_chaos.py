#!/usr/bin/python3
"""Fifty kills while mail is held and released, disks that fail meanwhile, and the proof that the checker would have seen what it did not find."""

import copy
import os
import shutil
import subprocess
import sys

import hold_chaos
import shim
import suite
from outside import PARTNER
from place import REVIEWD_UID
from suite import check, equal, test
from world import OTHER_DOMAIN

KILLS = 50
SEED = int(os.environ.get("SEGEL_SEED", "20262"))


def make_world(place):
    world = hold_chaos.make_world(place)
    world.storm = hold_chaos.HoldChaos(world, KILLS, SEED)
    return world


@test(f"{KILLS} times kill -9 of filter and segel-reviewd while mail is held and released: answers, mailboxes, quarantine and records agree")
def _(world):
    violations = world.storm.run()
    print("      " + world.storm.summary(), flush=True)
    equal(violations, [], "violations")
    check(len(world.storm.letters) >= KILLS and world.storm.n_released >= KILLS // 5, "hardly any load")
    check(len(world.storm.faults) >= KILLS, "too few faults")


# --- the checker itself ---

def state_of(world):
    """What the checker compares; to be changed by hand."""
    storm = world.storm
    return storm.read_items(world.desk("wati")), storm.read_copies(), storm.read_records()


def named(world, letter, words, items, copies, records):
    """One message is judged, and these words are what stands against it."""
    storm = world.storm
    storm.violations = []
    storm.check_letter(letter, items.get(letter.recipient, []), len(copies.get(letter.recipient, [])), records)
    found, storm.violations = storm.violations, []
    check(bool(found) == bool(words) and all(words in text for text in found[:1]), f"wanted '{words}', found: {found}")


def one(world, kind, wanted=lambda _row: True):
    """A message of this kind whose item is so."""
    items, copies, records = state_of(world)
    for letter in world.storm.letters:
        rows = items.get(letter.recipient, [])
        if letter.kind == kind and not any(row["reason"] == "POISON" for row in rows) and (kind == "accept" or (len(rows) == 1 and wanted(rows[0]))):
            return letter, items, copies, records
    raise suite.Failed(f"no {kind} in {len(world.storm.letters)} messages")


@test("the checker has nothing against them as they are")
def _(world):
    for kind in hold_chaos.KINDS:
        letter, items, copies, records = one(world, kind)
        named(world, letter, "", items, copies, records)


@test("the checker names what was lost: a copy, an item, a released copy")
def _(world):
    letter, items, copies, records = one(world, "accept")
    named(world, letter, "LOST", items, {}, records)
    letter, items, copies, records = one(world, "reject+hold")
    named(world, letter, "LOST", {}, copies, records)
    letter, items, copies, records = one(world, "hold", lambda row: row["state"] == "dilepas")
    named(world, letter, "LOST: released", items, {}, records)


@test("the checker names what was doubled: a copy, an item, a released copy")
def _(world):
    letter, items, copies, records = one(world, "accept")
    named(world, letter, "delivered 2 times", items, {letter.recipient: ["x"] * 2}, records)
    letter, items, copies, records = one(world, "reject+hold")
    [row] = items[letter.recipient]
    named(world, letter, "held 2 times", {letter.recipient: [row, copy.copy(row)]}, copies, records)
    letter, items, copies, records = one(world, "hold", lambda row: row["state"] == "dilepas")
    named(world, letter, "delivered 9 times", items, {letter.recipient: ["x"] * 9}, records)


@test("the checker names what was delivered and must not be: held, refused, released by one person, without a record")
def _(world):
    letter, items, copies, records = one(world, "hold", lambda row: row["state"] != "dilepas")
    named(world, letter, "never released", items, {letter.recipient: ["x"]}, records)
    letter, items, copies, records = one(world, "reject+hold")
    named(world, letter, "never released", items, {letter.recipient: ["x"]}, records)
    letter, items, copies, records = one(world, "hold-two", lambda row: row["state"] == "dilepas")
    [row] = items[letter.recipient]
    alone = [record for record in records[row["id"]] if record.event != "quarantine-propose"]
    named(world, letter, "alone", items, copies, {row["id"]: alone})
    silent = [record for record in records[row["id"]] if not record.event.startswith("quarantine-release")]
    named(world, letter, "never released", items, copies, {row["id"]: silent})


@test("the checker names an item without its record, and one that is held although it is to be delivered")
def _(world):
    letter, items, copies, records = one(world, "reject+hold")
    named(world, letter, "without a record of its hold", items, copies, {})
    [row] = items[letter.recipient]
    letter, items, copies, records = one(world, "accept")
    named(world, letter, "held, although", {letter.recipient: [row]}, copies, records)


@test("the checker names a file without a row, and a row without its file")
def _(world):
    storm = world.storm
    folder = world.path("quarantine", "items")
    items = storm.read_items(world.desk("wati"))
    name = os.listdir(folder)[0]
    for break_it, mend in ((lambda: shutil.copy(os.path.join(folder, name), os.path.join(folder, "0" * 32)), lambda: os.remove(os.path.join(folder, "0" * 32))),
                           (lambda: os.rename(os.path.join(folder, name), world.path("kept")), lambda: os.rename(world.path("kept"), os.path.join(folder, name)))):
        storm.violations = []
        break_it()
        storm.check_files(items)
        mend()
        check(len(storm.violations) == 1 and "without a" in storm.violations[0], storm.violations)
    storm.violations = []
    storm.check_files(items)
    equal(storm.violations, [], "as they are")


# --- disks ---

def message_for(world, kind, name):
    if not world.storm.templates:
        world.storm.make_templates()
    recipient = f"{name}@{OTHER_DOMAIN}"
    return recipient, world.storm.templates[kind].replace(b"X-Token: TOKEN", b"X-Token: " + name.encode())


def answer_to(world, kind, name):
    recipient, message = message_for(world, kind, name)
    return world.arrive(PARTNER, [recipient], message).last


@test("fsync fails for segel-reviewd: nothing is held or released any more until it starts anew; then once, and the rest went on")
def _(world):
    equal(answer_to(world, "hold", "sebelum").code, 250, "before")
    [before] = world.held(f"sebelum@{OTHER_DOMAIN}")
    with shim.shimmed(world, world.reviewd, world.start_reviewd) as luck:
        luck.set("sync")
        for kind in ("hold", "hold-two", "reject+hold"):
            check(answer_to(world, kind, "sinkron-" + kind).says("451", "4.3.0"), kind)
        equal(answer_to(world, "accept", "sinkron-accept").code, 250, "what needs no quarantine")
        world.desk("rina").ask_again(op="ping")
        answer = world.desk("rina").ask(op="release", id=before["id"], reason="sudah dicek")
        check(answer is not None and answer.error == "unavailable", f"{answer}\n{world.reviewd.last_words()}")
        luck.clear("sync")
        check(answer_to(world, "hold", "sinkron-hold").says("451"), "a failed fsync is never forgotten")
    world.start_reviewd()
    world.wait_idle()
    equal(world.mailbox(f"sebelum@{OTHER_DOMAIN}"), [], "released")
    for kind in ("hold", "hold-two", "reject+hold"):
        equal(answer_to(world, kind, "sinkron-" + kind).code, hold_chaos.ANSWERS[kind], kind)
        equal(len(world.held(f"sinkron-{kind}@{OTHER_DOMAIN}")), 1, kind)
    answer = world.desk("rina").ask_again(op="release", id=before["id"], reason="sudah dicek")
    check(answer.ok, answer)
    equal(len(world.wait_delivered(f"sebelum@{OTHER_DOMAIN}")), 1, "released")


@test("fsync fails for the inbound filter: everything waits until it starts anew")
def _(world):
    with shim.shimmed(world, world.milters["inbound"], lambda: world.start_milter("inbound")) as luck:
        luck.set("sync")
        for kind in hold_chaos.KINDS:
            check(answer_to(world, kind, "saring-" + kind).says("451", "4.3.0"), kind)
        luck.clear("sync")
        check(answer_to(world, "accept", "saring-accept").says("451"), "a failed fsync is never forgotten")
    world.start_milter("inbound")
    world.wait_idle()
    for kind in hold_chaos.KINDS:
        recipient, _ = message_for(world, kind, "saring-" + kind)
        equal(world.mailbox(recipient), [], kind)
        equal(answer_to(world, kind, "saring-" + kind).code, hold_chaos.ANSWERS[kind], kind)
        copies = world.wait_delivered(recipient) if kind == "accept" else world.mailbox(recipient)
        equal((len(copies), len(world.held(recipient))), (int(kind == "accept"), int(kind != "accept")), kind)


@test("the audit folder of segel-reviewd is full: what is to be held waits, and is held once")
def _(world):
    folder = world.path("audit-reviewd")
    with full_disk(world, folder):
        name = "penuh"
        for _ in range(200):
            if answer_to(world, "hold", name).code != 250:
                break
            name += "x"
        check(answer_to(world, "hold", name).says("451"), "full")
        equal(world.held(f"{name}@{OTHER_DOMAIN}"), [], "what is not on record is not there to be decided on")
    equal(answer_to(world, "hold", name).code, 250, "room again")
    equal(len(world.held(f"{name}@{OTHER_DOMAIN}")), 1, "items")


class full_disk:
    """The folder on a file system of its own, with the records so far and hardly any room."""

    def __init__(self, world, folder):
        self.world = world
        self.folder = folder

    def __enter__(self):
        world, folder = self.world, self.folder
        world.reviewd.stop()
        size = sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))
        shutil.copytree(folder, world.path("catatan"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size // 1024 + 8}k,mode=2750", "none", folder], check=True)
        self.fill_from(world.path("catatan"))
        world.start_reviewd()

    def fill_from(self, source):
        for name in os.listdir(source):
            target = shutil.copy(os.path.join(source, name), os.path.join(self.folder, name))
            os.chown(target, REVIEWD_UID, REVIEWD_UID)
            os.chmod(target, os.stat(os.path.join(source, name)).st_mode & 0o777)
        os.chown(self.folder, REVIEWD_UID, REVIEWD_UID)
        os.chmod(self.folder, 0o2750)

    def __exit__(self, *_):
        self.world.reviewd.stop()
        shutil.rmtree(self.world.path("catatan"))
        shutil.copytree(self.folder, self.world.path("catatan"))
        subprocess.run(["umount", "-l", self.folder], check=True)
        self.fill_from(self.world.path("catatan"))
        shutil.rmtree(self.world.path("catatan"))
        self.world.start_reviewd()


@test("at the end: every chain holds, nothing waits, nothing is half")
def _(world):
    storm = world.storm
    storm.violations = []
    storm.settle()
    storm.check_files(storm.read_items(world.desk("wati")))
    check(storm.read_records() is not None, "records")
    equal(storm.violations, [], "violations")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
