#!/usr/bin/python3
"""hold_chaos [--kills N] [--seed S]: kill -9 of the inbound filter and of segel-reviewd at random moments, while mail is held and released.

Several clients send mail that is to be delivered, held, or refused and held, and try again as mail servers do until they have a
definite answer; two reviewers let go what is held. A hand with a seeded die kills the filter, segel-reviewd (which also is the
writer of the database) or both, sometimes again while they start. Afterwards answers, mailboxes, quarantine, audit files
and queue are compared as sets:

    nothing lost     a 250 is a copy in the mailbox or one item; a 550 of mail that is refused and held is one item
    nothing doubled  a copy more at most for each attempt that got no answer, or for each kill of segel-reviewd during its release
    nothing wrong    no copy of what was held unless its release is on record by two persons where two are needed; none ever of
                     what was refused; no item of what is to be delivered, unless it was in hand at two deaths (POISON)
    no half rows     each item has its file, and each file its row; nothing stays on its way

`make soak` calls it with 1,000 kills.
"""

import argparse
import os
import random
import re
import signal
import sys
import threading
import time

import chain
import client
import deadline
import place
from outside import PARTNER, Outside
from world import OTHER_DOMAIN

CONNECTIONS = 4
KINDS = ("accept", "hold", "hold-two", "reject+hold")
WEIGHTS = (3, 4, 3, 2)
VICTIMS = ("filter", "reviewd", "reviewd", "filter", "both")
AGAIN = 0.25        # chance that what was just started is killed once more before it serves
MOST_BETWEEN = 10   # definite answers between two faults
TAIL = 60           # seconds for the rest to arrive
ANSWERS = {"accept": 250, "hold": 250, "hold-two": 250, "reject+hold": 550}


class Letter:
    """One message, and what its sender knows about it."""

    def __init__(self, token, kind):
        self.token = token
        self.kind = kind
        self.recipient = f"{token}@{OTHER_DOMAIN}"
        self.began = time.monotonic()
        self.attempts = 0
        self.unknown = 0     # attempts that were sent whole and never answered
        self.answer = None   # the definite one

    def __str__(self):
        return f"{self.token} ({self.kind}; {self.attempts} attempts, {self.unknown} without an answer; answer: {self.answer})"


class HoldChaos:
    def __init__(self, world, kills, seed, say=print):
        self.world = world
        self.kills = kills
        self.seed = seed
        self.say = say
        self.die = random.Random(seed)
        self.lock = threading.Lock()
        self.letters = []
        self.n_answered = 0
        self.n_released = 0
        self.faults = []         # (time, victim)
        self.over = threading.Event()
        self.quiet = threading.Event()
        self.violations = []
        self.templates = {}

    def make_templates(self):
        """Signed once; what differs is outside the signature, and is none of the fields that tell a replay."""
        world = self.world
        made = {"accept": world.signed("good", PARTNER, f"badai@{OTHER_DOMAIN}", "TOKEN"),
                "hold": world.signed("foreign", PARTNER, f"badai@{OTHER_DOMAIN}", "TOKEN"),
                "hold-two": world.signed("good", PARTNER, f"badai@{OTHER_DOMAIN}", "TOKEN").replace(b"09.00", b"10.00"),
                "reject+hold": world.signed("revoked", PARTNER, f"badai@{OTHER_DOMAIN}", "TOKEN")}
        self.templates = {kind: client.with_crlf(message) for kind, message in made.items()}

    def run(self):
        """Returns the list of violations."""
        self.make_templates()
        threads = [threading.Thread(target=self.sender, args=(number,)) for number in range(CONNECTIONS)]
        threads += [threading.Thread(target=self.reviewer, args=("rina",)), threading.Thread(target=self.reviewer, args=("joko",))]
        for thread in threads:
            thread.start()
        try:
            while len(self.faults) < self.kills:
                self.strike()
        finally:
            self.over.set()
            for thread in threads[:CONNECTIONS]:
                thread.join()
            self.quiet.set()
            for thread in threads[CONNECTIONS:]:
                thread.join()
        self.world.ensure_running()
        self.check()
        return self.violations

    # --- load ---

    def sender(self, number):
        die = random.Random(f"{self.seed}-{number}")
        count = 0
        while not self.over.is_set():
            count += 1
            letter = Letter(f"badai-{self.seed}-{number}-{count}", die.choices(KINDS, WEIGHTS)[0])
            with self.lock:
                self.letters.append(letter)
            message = self.message_of(letter, die)
            while letter.answer is None:
                self.attempt(letter, message)
            with self.lock:
                self.n_answered += 1

    def message_of(self, letter, die):
        """Some are long enough that a fault hits in the middle of them: fields that nobody reads."""
        more = "".join(f"X-Isi-{number}: {die.getrandbits(3000):0750x}\r\n" for number in range(die.choice((0, 0, 3, 100))))
        return more.encode() + self.templates[letter.kind].replace(b"X-Token: TOKEN", b"X-Token: " + letter.token.encode())

    def attempt(self, letter, message):
        """A mail server would wait minutes before it tries again; we wait for the filter."""
        letter.attempts += 1
        sent = False
        try:
            with client.Session(self.world.mta.ports["server"], timeout=60) as session:
                if session.good and session.mail(PARTNER).good and session.rcpt(letter.recipient).good:
                    sent = True
                    reply = session.data(message)
                    if "connection lost" in reply.text:
                        letter.unknown += 1
                    elif reply.code >= 500 or reply.good:
                        letter.answer = reply
        except OSError:
            letter.unknown += sent
        if letter.answer is None:
            self.wait_for_filter()

    def wait_for_filter(self):
        deadline.until("the filter to come back", lambda: deadline.unix_socket_answers(self.world.mta.sockets["inbound"]), 60)

    def reviewer(self, login):
        """Releases what it finds, and looks at some of it first; both meet at the same items, on purpose."""
        die = random.Random(f"{self.seed}-{login}")
        desk = self.world.desk(login)
        while not self.quiet.is_set():
            answer = desk.ask(op="list", open=True, action="hold", limit=20)
            rows = answer.rows if answer is not None and answer.ok else []
            if len(rows) < 10 and not self.over.is_set():
                self.quiet.wait(deadline.STEP)
            elif not rows:
                return
            if rows and die.random() < 0.2:
                desk.ask(op="view", id=die.choice(rows)["id"], reason="pemeriksaan")
            if rows:
                row = die.choice(rows)
                answer = desk.ask(op="release", id=row["id"], reason="sudah dicek", **({"version": row["version"]} if die.random() < 0.5 else {}))
                with self.lock:
                    self.n_released += bool(answer and answer.ok)
            if self.over.is_set() and die.random() < 0.1:
                return

    # --- faults ---

    def strike(self):
        with self.lock:
            enough = self.n_answered + self.die.randint(0, MOST_BETWEEN)
        deadline.until("the load to go on", lambda: self.n_answered >= enough, 120)
        time.sleep(self.die.uniform(0, 0.05))
        victim = self.die.choice(VICTIMS)
        for name in ("reviewd", "filter") if victim == "both" else (victim,):
            self.kill(name)

    def kill(self, name):
        world = self.world
        daemon, start = ((world.milters["inbound"], lambda: world.start_milter("inbound")) if name == "filter"
                         else (world.reviewd, world.start_reviewd))
        self.end(daemon, name)
        while self.die.random() < AGAIN and len(self.faults) < self.kills:
            daemon.start(lambda: True)
            time.sleep(self.die.uniform(0, 0.3))
            self.end(daemon, name)
        start()

    def end(self, daemon, name):
        with self.lock:
            self.faults.append((time.monotonic(), name))
        if len(self.faults) % 100 == 0:
            self.say(f"{len(self.faults)} kills, {len(self.letters)} messages, {self.n_released} released", flush=True)
        if daemon.ended():
            self.violate(f"{name} had ended by itself with status {daemon.process.returncode}:\n{daemon.last_words()}")
        daemon.kill()

    # --- the checker ---

    def violate(self, text, letter=None):
        self.violations.append(f"{letter}: {text}" if letter else text)

    def check(self):
        self.settle()
        desk = self.world.desk("wati")
        items = self.read_items(desk)
        copies = self.read_copies()
        records = self.read_records()
        self.check_files(items)
        if records is None:
            return
        for letter in self.letters:
            self.check_letter(letter, items.pop(letter.recipient, []), len(copies.pop(letter.recipient, [])), records)
        for recipient, left in (*items.items(), *copies.items()):
            self.violate(f"nobody sent anything to {recipient}: {left}")

    def settle(self):
        """A last start takes up what is on its way; then nothing may be."""
        try:
            self.world.reviewd.send(signal.SIGTERM)
            status = self.world.reviewd.stop()
            if status != 0:
                self.violate(f"segel-reviewd ended with status {status}:\n{self.world.reviewd.last_words()}")
            self.world.start_reviewd()
            desk = self.world.desk("wati")
            deadline.until("all releases to end", lambda: not desk.list(state="dilepas-sedang"), TAIL)
            self.world.wait_idle(TAIL)
        except deadline.Late as late:
            self.violate(f"{late}; on its way: {self.world.desk('wati').list(state='dilepas-sedang')}, queue: {self.world.queue()}")

    def read_items(self, desk):
        """recipient -> items with their history."""
        found, offset = {}, 0
        while True:
            rows = desk.list(limit=1000, offset=offset)
            for row in rows:
                item, row["history"] = desk.show(row["id"])
                row["findings"] = [finding["reason"] for finding in item["findings"]]
                found.setdefault(row["recipient"], []).append(row)
            offset += len(rows)
            if len(rows) < 1000:
                return found

    def read_copies(self):
        found = {}
        for message in self.world.mta.delivered():
            to = re.search(rb"^Delivered-To: (\S+)", message, re.M)[1].decode()
            token = re.search(rb"^X-Token: (\S+)", message, re.M)
            found.setdefault(to, []).append(token[1].decode() if token else "(no token)")
        return found

    def read_records(self):
        """Of segel-reviewd, by item; None where a chain does not hold."""
        verified = self.world.segelctl("audit", "verify")
        if verified.code != 0:
            self.violate(f"audit chain: {verified}")
        try:
            records = chain.read_folder(self.world.path("audit-reviewd"))
            chain.read_folder(self.world.path("audit-inbound"))
        except AssertionError as broken:
            self.violate(f"audit chain: {broken}")
            return None
        self.resumed = sum(record.event == "resume" and "torn" in record.values for record in records)
        by_item = {}
        for record in records:
            if record["item"]:
                by_item.setdefault(record["item"], []).append(record)
        return by_item

    def check_files(self, items):
        rows = {row["id"] for many in items.values() for row in many if row["has_body"]}
        files = set(os.listdir(self.world.path("quarantine", "items")))
        left = os.listdir(self.world.path("quarantine", "incoming"))
        if rows != files or left:
            self.violate(f"rows without a file: {sorted(rows - files)}; files without a row: {sorted(files - rows)}; left in incoming: {left}")

    def check_letter(self, letter, items, copies, records):
        if letter.answer is None or letter.answer.code not in (ANSWERS[letter.kind], 250):
            self.violate("refused for ever because of a fault of ours", letter)
        poison = [row for row in items if row["reason"] == "POISON"]
        released = [row for row in items if self.releases(row, records)]
        if letter.kind == "accept":
            self.check_accepted(letter, items, copies, poison, released)
        else:
            self.check_held(letter, items, copies, poison, released)
        for row in items:
            self.check_item(letter, row, records.get(row["id"], []))

    def check_accepted(self, letter, items, copies, poison, released):
        if len(items) != len(poison):
            self.violate(f"held, although it is to be delivered: {items}", letter)
        if copies + len(items) == 0:
            self.violate("LOST: neither delivered nor held", letter)
        if copies > 1 + letter.unknown + len(released):
            self.violate(f"delivered {copies} times", letter)

    def check_held(self, letter, items, copies, poison, released):
        if not items:
            self.violate("LOST: answered, and not held", letter)
        if len(items) > 1 + len(poison) + len(released):
            self.violate(f"held {len(items)} times: {[row['id'] for row in items]}", letter)
        if copies and not released:
            self.violate(f"delivered {copies} times, and never released", letter)
        if copies and letter.kind == "reject+hold" and not poison:
            self.violate(f"delivered {copies} times, although it was refused", letter)
        if any(row["state"] == "dilepas" for row in items) and not copies:
            self.violate("LOST: released, and not delivered", letter)
        # each release begins once, and is sent once more at most for each kill of segel-reviewd that interrupted it
        most = sum(1 + resumed for row in released for resumed in (self.resumes.get(row["id"], 0),))
        if copies > most:
            self.violate(f"delivered {copies} times; released {len(released)} times, {most} sends on record", letter)

    def releases(self, row, records):
        events = [record.event for record in records.get(row["id"], [])]
        self.resumes[row["id"]] = events.count("quarantine-resume")
        return "quarantine-release" in events

    resumes = {}

    def check_item(self, letter, row, records):
        events = [record.event for record in records]
        if "hold" not in events:
            self.violate(f"item {row['id']} without a record of its hold", letter)
        if row["action"] == "reject+hold" and (row["state"] not in ("baru", "ditinjau") or "quarantine-release" in events):
            self.violate(f"item {row['id']} was refused, and is {row['state']}: {events}", letter)
        if row["state"] == "dilepas-sedang":
            self.violate(f"item {row['id']} is on its way for ever", letter)
        self.check_persons(letter, row, records)
        for what in {event["what"] for event in row["history"]}:
            done = sum(event["what"] == what for event in row["history"])
            recorded = events.count("hold" if what == "hold" and "quarantine-hold" not in events else "quarantine-" + what)
            if what in ("view", "propose", "release") and done > recorded:
                self.violate(f"item {row['id']}: {done} times {what}, {recorded} times on record", letter)

    def check_persons(self, letter, row, records):
        """Of two, where its findings need two: whoever released is not who proposed."""
        for number, record in enumerate(records):
            if record.event != "quarantine-release" or letter.kind != "hold-two":
                continue
            proposals = [before["login"] for before in records[:number] if before.event == "quarantine-propose"]
            if not proposals or proposals[-1] == record["login"]:
                self.violate(f"item {row['id']} was released by {record['login']} alone (proposed by {proposals})", letter)

    def summary(self):
        kinds = {kind: sum(letter.kind == kind for letter in self.letters) for kind in KINDS}
        victims = {name: sum(victim == name for _, victim in self.faults) for name in ("filter", "reviewd")}
        return (f"seed {self.seed}: {len(self.faults)} kills {victims}, {len(self.letters)} messages {kinds}, "
                f"{sum(letter.attempts for letter in self.letters)} attempts, {sum(letter.unknown for letter in self.letters)} without an answer, "
                f"{self.n_released} proposals and releases answered with yes, {sum(self.resumes.values())} releases taken up again, "
                f"{getattr(self, 'resumed', 0)} torn tails closed off")


def make_world(where):
    return Outside(where).make().start()


def play(where, kills, seed):
    world = make_world(where)
    try:
        storm = HoldChaos(world, kills, seed)
        violations = storm.run()
    finally:
        world.stop()
    for violation in violations:
        print(f"VIOLATION  {violation}")
    print(storm.summary())
    print(f"{len(violations)} violations", flush=True)
    return 1 if violations else 0


def main():
    parser = argparse.ArgumentParser(description="kill -9 while mail is held and released, and what must hold afterwards")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    return place.run(lambda where: play(where, given.kills, given.seed))


if __name__ == "__main__":
    sys.exit(main())
