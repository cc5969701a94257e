"""Fifty kills under load, and the proof that the checker would have seen what it did not find.

The checker's own test: after the storm one thing is changed by hand, a message is taken away or
doubled, an answer or a record forged, and exactly that must be what it names.
"""

import os
import re
import shutil
import sys

import chaos
import suite

KILLS = 50
SEED = int(os.environ.get("SEGEL_SEED", "20261"))


def make_world(place):
    world = chaos.make_world(place)
    world.chaos = chaos.Chaos(world, KILLS, SEED)
    return world


@suite.test(f"{KILLS} times kill -9 of filter and key agent under load: answers, mailbox, queue and records agree")
def _(world):
    violations = world.chaos.run()
    print("      " + world.chaos.summary(), flush=True)
    suite.equal(violations, [], "violations")
    suite.check(sum(attempt.accepted for attempt in world.chaos.attempts) >= KILLS, "hardly any load")
    suite.check(len(world.chaos.faults) >= KILLS, "too few faults")


@suite.test("what the daemons said about their records while they were killed agrees with the records")
def _(world):
    for log in ("segel-milter.log", "segel-keyd.log"):
        world.wait_filter_log("audit-checkpoint")
        answer = world.segelctl("audit", "verify", world.path("audit-keyd" if "keyd" in log else "audit-submission"),
                                "--checkpoints", world.path("log", log))
        suite.equal(answer.code, 0, answer)


def mailbox_file(world, token):
    folder = os.path.join(world.mta.mail, "all", "new")
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with open(path, "rb") as message:
            if f"X-Token: {token}\n".encode() in message.read():
                return path
    raise suite.Failed(f"no message {token}")


def an_accepted(world, which):
    return [attempt for attempt in world.chaos.attempts if attempt.accepted][which]


def named(world, attempt, wanted, check):
    """One violation, of this message and in these words."""
    world.chaos.violations = []
    check()
    suite.equal(len(world.chaos.violations), 1, f"number of violations in {world.chaos.violations}")
    for words in (f"{attempt.token} of ", "before it:", wanted):
        suite.check(words in world.chaos.violations[0], f"'{words}' is missing in: {world.chaos.violations[0]}")


def named_in_sets(world, attempt, wanted):
    named(world, attempt, wanted, lambda: world.chaos.check_sets(world.chaos.arrived()))


def named_by_judge(world, attempt, wanted, message, intents=None, accepts=None):
    own = world.chaos
    named(world, attempt, wanted,
          lambda: own.judge(attempt, message, own.intents() if intents is None else intents,
                            own.accepts() if accepts is None else accepts))


def delivered(world, attempt):
    with open(mailbox_file(world, attempt.token), "rb") as message:
        return message.read()


@suite.test("the checker names a message that was lost")
def _(world):
    attempt = an_accepted(world, 0)
    path = mailbox_file(world, attempt.token)
    os.rename(path, world.path("kept"))
    try:
        named_in_sets(world, attempt, "LOST")
    finally:
        os.rename(world.path("kept"), path)


@suite.test("the checker names a message that was delivered twice")
def _(world):
    attempt = an_accepted(world, 1)
    path = mailbox_file(world, attempt.token)
    shutil.copy(path, path + ".again")
    try:
        named_in_sets(world, attempt, "delivered 2 times")
    finally:
        os.unlink(path + ".again")


@suite.test("the checker names a message that was delivered although the client was told no, or never sent it")
def _(world):
    attempt = an_accepted(world, 2)
    code, attempt.answer.code = attempt.answer.code, 451
    try:
        named_in_sets(world, attempt, "although the client was told no")
        answer, attempt.answer, attempt.sent = attempt.answer, None, False
        named_in_sets(world, attempt, "although the client was told no")
        attempt.answer, attempt.sent = answer, True
    finally:
        attempt.answer.code = code


@suite.test("the checker has nothing against a message that arrived while its client got no answer")
def _(world):
    attempt = an_accepted(world, 3)
    answer, attempt.answer = attempt.answer, None
    world.chaos.violations = []
    world.chaos.check_sets(world.chaos.arrived())
    attempt.answer = answer
    suite.equal(world.chaos.violations, [], "violations")


@suite.test("the checker names a message that arrived unsealed, or changed, or sealed by somebody else")
def _(world):
    attempt = an_accepted(world, 4)
    sealed = delivered(world, attempt)
    wanted = "not sealed by its login's certificate"
    named_by_judge(world, attempt, wanted, sealed.replace(b"multipart/signed", b"multipart/mixed"))
    named_by_judge(world, attempt, wanted, sealed.replace(b"Badai", b"Badat"))
    right = attempt.account
    attempt.account = next(account for account in chaos.ACCOUNTS if account is not right)
    try:
        named_by_judge(world, attempt, wanted, sealed)
    finally:
        attempt.account = right


@suite.test("the checker names a signature without its intent, or whose intent is of another digest, key or queue id")
def _(world):
    attempt = an_accepted(world, 5)
    sealed = delivered(world, attempt)
    queue_id = re.search(rb"with ESMTPSA id (\w+)", sealed)[1].decode()
    intents = world.chaos.intents()
    ours = {intent for intent in intents if intent[0] == queue_id and intent[1] == attempt.account.login}
    suite.check(ours, f"no intent for {queue_id}")
    for doctored in (set(), {(qid, login, key, "00" * 32) for qid, login, key, _digest in ours},
                     {(qid, login, "00" * 32, digest) for qid, login, _key, digest in ours},
                     {("NOQUEUE", login, key, digest) for _qid, login, key, digest in ours}):
        named_by_judge(world, attempt, "signed without an intent on record", sealed, intents=intents - ours | doctored)


@suite.test("the checker names a message without the filter's record")
def _(world):
    attempt = an_accepted(world, 6)
    named_by_judge(world, attempt, "delivered without the filter's record", delivered(world, attempt), accepts=set())


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
