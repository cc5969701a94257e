#!/usr/bin/python3
"""chaos [--kills N] [--seed S]: kill -9 of filter and key agent at random moments, under load.

Several connections send without pause; a hand with a seeded die kills the filter, the key agent or
both, sometimes again while they start, and starts them at once. Afterwards answers, mailbox, mail
queue and audit files are compared as sets:

    delivered = accepted, plus at most those whose answer the client did not get; nobody twice
    every delivered message is sealed by the certificate of its own login (openssl says so)
    the signature in it has an intent on record: its digest, key and queue id; the filter's record too
    audit chains hold, read by our own program and by chain.py; the queue is empty

A violation names the message and the fault before it. `make soak` calls it with 1,000 kills.
"""

import argparse
import concurrent.futures
import os
import random
import re
import sys
import tempfile
import threading
import time

import chain
import deadline
import judge
import place
import signature
from gateway import Account, Gateway
from world import OTHER_DOMAIN, letter

INBOX = f"badai@{OTHER_DOMAIN}"
CONNECTIONS = 6
ACCOUNTS = [Account(f"awan{number}", key="rsa2048" if number == 0 else "p256") for number in range(CONNECTIONS)]

VICTIMS = ("filter", "keyd", "filter", "keyd", "both")
AGAIN = 0.25         # chance that what was just started is killed once more before it serves
MOST_BETWEEN = 16    # messages that are accepted between two faults
TAIL = 60            # seconds for the rest to arrive


class Attempt:
    """One message handed to the server, and what the client knows about it."""

    def __init__(self, token, account):
        self.token = token
        self.account = account
        self.began = time.monotonic()
        self.ended = None
        self.sent = False     # all of it went out: from here on the server may have it
        self.answer = None    # to the final dot; None = the client never got one

    @property
    def accepted(self):
        return self.answer is not None and self.answer.good

    @property
    def unknown(self):
        return self.answer is None and self.sent


class Fault:
    def __init__(self, number, victim):
        self.number = number
        self.victim = victim
        self.at = time.monotonic()

    def __str__(self):
        return f"fault {self.number} (kill -9 of {self.victim})"


class Chaos:
    """The load, the faults, and what is known afterwards."""

    def __init__(self, world, kills, seed, say=print):
        self.world = world
        self.kills = kills
        self.seed = seed
        self.say = say
        self.prefix = f"badai-{seed}-"
        self.die = random.Random(seed)
        self.lock = threading.Lock()
        self.attempts = []
        self.n_accepted = 0
        self.faults = []
        self.over = threading.Event()
        self.violations = []
        self.agent_records = []
        self.filter_records = []

    def run(self):
        """Returns the list of violations."""
        senders = [threading.Thread(target=self.sender, args=(number,)) for number in range(CONNECTIONS)]
        for sender in senders:
            sender.start()
        try:
            while len(self.faults) < self.kills:
                self.strike()
        finally:
            self.over.set()
            for sender in senders:
                sender.join()
        self.world.ensure_running()
        self.check()
        return self.violations

    # --- load ---

    def sender(self, number):
        die = random.Random(f"{self.seed}-{number}")
        account = ACCOUNTS[number]
        count = 0
        while not self.over.is_set():
            try:
                with self.world.session_of(account) as session:
                    while session.good and not self.over.is_set():
                        count += 1
                        self.transact(session, account, f"{self.prefix}{number}-{count}", die)
            except OSError:
                pass  # the connection went with a fault; smtplib's own errors are OSErrors too
            # A mail program would wait minutes; we wait for the filter.
            self.wait_for_filter()

    def wait_for_filter(self):
        while not self.over.is_set() and not deadline.unix_socket_answers(self.world.mta.milter_socket):
            self.over.wait(deadline.STEP)

    def transact(self, session, account, token, die):
        attempt = Attempt(token, account)
        with self.lock:
            self.attempts.append(attempt)
        try:
            if session.mail(account.address).good and session.rcpt(INBOX).good:
                attempt.sent = True
                reply = session.data(message_of(account, token, die))
                attempt.answer = None if "connection lost" in reply.text else reply
        finally:
            with self.lock:
                attempt.ended = time.monotonic()
                self.n_accepted += attempt.accepted

    # --- faults ---

    def strike(self):
        """After some more messages, at a moment that is no message's end."""
        with self.lock:
            enough = self.n_accepted + self.die.randint(0, MOST_BETWEEN)
        deadline.until("the load to go on", lambda: self.n_accepted >= enough, 60)
        time.sleep(self.die.uniform(0, 0.05))
        victim = self.die.choice(VICTIMS)
        for name in ("keyd", "filter") if victim == "both" else (victim,):
            self.kill(name)

    def kill(self, name):
        daemon, start = ((self.world.milter, self.world.start_milter) if name == "filter"
                         else (self.world.keyd, self.world.start_keyd))
        self.end(daemon, name)
        while self.die.random() < AGAIN and len(self.faults) < self.kills:
            daemon.start(lambda: True)
            time.sleep(self.die.uniform(0, 0.3))
            self.end(daemon, f"{name}, just started")
        start()

    def end(self, daemon, name):
        self.faults.append(Fault(len(self.faults) + 1, name))
        if len(self.faults) % 100 == 0:
            self.say(f"{len(self.faults)} kills, {len(self.attempts)} messages", flush=True)
        if daemon.ended():
            self.violate(None, f"{name} had ended by itself with status {daemon.process.returncode}:\n"
                               f"{daemon.last_words()}")
        daemon.kill()

    # --- the checker ---

    def violate(self, attempt, text):
        if attempt is None:
            self.violations.append(f"{text} (after {self.faults[-1]})")
            return
        during = [str(fault) for fault in self.faults if attempt.began <= fault.at <= (attempt.ended or fault.at)]
        before = [str(fault) for fault in self.faults if fault.at < attempt.began][-1:]
        self.violations.append(f"{attempt.token} of {attempt.account.login}: {text}\n  answer: {attempt.answer}; "
                               f"before it: {before}; during it: {during}")

    def check(self):
        self.wait_until_quiet()
        arrived = self.arrived()
        self.check_sets(arrived)
        if self.read_records():
            self.judge_all(arrived)

    def wait_until_quiet(self):
        try:
            self.world.wait_idle(TAIL)
        except deadline.Late:
            self.violate(None, f"mail is left in the queue: {self.world.queue()}")

    def arrived(self):
        """token -> the copies delivered."""
        found = {}
        for message in self.world.mailbox(INBOX, f"\nX-Token: {self.prefix}".encode()):
            token = re.search(rb"^X-Token: (\S+)", message, re.M)
            found.setdefault(token[1].decode() if token else "(no token)", []).append(message)
        return found

    def check_sets(self, arrived):
        known = {attempt.token: attempt for attempt in self.attempts}
        for token in sorted(set(arrived) - set(known)):
            self.violate(None, f"delivered, but nobody sent it: {token}")
        for token, attempt in known.items():
            copies = len(arrived.get(token, []))
            if copies > 1:
                self.violate(attempt, f"delivered {copies} times")
            if attempt.accepted and copies == 0:
                self.violate(attempt, "LOST: accepted, not delivered")
            if copies and not attempt.accepted and not attempt.unknown:
                self.violate(attempt, "delivered, although the client was told no")
            if attempt.answer is not None and attempt.answer.code >= 500:
                self.violate(attempt, "refused for ever because of a fault of ours")

    def read_records(self):
        """False where a chain does not hold: then the records prove nothing."""
        verified = self.world.segelctl("audit", "verify")
        if verified.code != 0:
            self.violate(None, f"audit chain: {verified}")
        try:
            self.filter_records = chain.read_folder(self.world.path("audit-submission"))
            self.agent_records = chain.read_folder(self.world.path("audit-keyd"))
        except AssertionError as broken:
            self.violate(None, f"audit chain: {broken}")
            return False
        return verified.code == 0

    def intents(self):
        return {(record["qid"], record["login"], record["key"], record["digest"])
                for record in self.agent_records if record.event == "seal-intent"}

    def accepts(self):
        return {(record["qid"], record["login"], record["cert"])
                for record in self.filter_records if record.event == "message" and record["action"] == "accept"}

    def judge_all(self, arrived):
        """Two at a time; each message by a process of its own."""
        known = {attempt.token: attempt for attempt in self.attempts}
        intents, accepts = self.intents(), self.accepts()
        jobs = [(known[token], message) for token, copies in arrived.items() if token in known for message in copies]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            judged = pool.map(lambda job: self.judge(*job, intents, accepts), jobs)
            for number, _none in enumerate(judged, 1):
                if number % 5000 == 0:
                    self.say(f"{number} of {len(jobs)} messages judged", flush=True)

    def judge(self, attempt, message, intents, accepts):
        account = attempt.account
        verdict = judge.openssl_verify(message, self.world.authority.root_file)
        if not verdict.ok or verdict.signer != account.cert:
            self.violate(attempt, f"delivered, not sealed by its login's certificate: {verdict}\n"
                                  f"{message[:2000].decode('utf-8', 'replace')}")
            return
        with tempfile.TemporaryDirectory(prefix="segel-chaos-") as folder:
            digests = signature.digests(message, folder)
        queue_id = re.search(rb"with ESMTPSA id (\w+)", message)[1].decode()
        key = signature.spki_sha256(account.issued.cert)
        if not any((queue_id, account.login, key, digest) in intents for digest in digests):
            self.violate(attempt, f"signed without an intent on record (queue id {queue_id}, digests {digests})")
        if (queue_id, account.login, account.cert) not in accepts:
            self.violate(attempt, f"delivered without the filter's record (queue id {queue_id})")

    def summary(self):
        count = {word: sum(bool(getattr(attempt, word)) for attempt in self.attempts) for word in ("accepted", "unknown")}
        refused = sum(attempt.answer is not None and not attempt.answer.good for attempt in self.attempts)
        resumed = sum(record.event == "resume" for record in self.agent_records + self.filter_records)
        return (f"seed {self.seed}: {len(self.faults)} kills, {len(self.attempts)} messages: {count['accepted']} accepted, "
                f"{refused} refused at the final dot, {count['unknown']} without an answer; {resumed} torn tails closed off")


def message_of(account, token, die):
    """Most are short; some are long enough that a fault hits in the middle of them."""
    size = die.choice((1, 1, 1, 10, 10, 600))
    return letter(account.address, INBOX, "Badai", "".join(f"{die.getrandbits(480):0120x}\r\n" for _ in range(8 * size)),
                  token=token)


def make_world(where):
    return Gateway(where, ACCOUNTS).make().start()


def play(where, kills, seed):
    world = make_world(where)
    try:
        chaos = Chaos(world, kills, seed)
        violations = chaos.run()
    finally:
        world.stop()
    for violation in violations:
        print(f"VIOLATION  {violation}")
    print(chaos.summary())
    print(f"{len(violations)} violations", flush=True)
    return 1 if violations else 0


def main():
    parser = argparse.ArgumentParser(description="kill -9 under load, and what must hold afterwards")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    return place.run(lambda where: play(where, given.kills, given.seed))


if __name__ == "__main__":
    sys.exit(main())
