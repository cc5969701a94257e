"""The wrong-signer test: 24 connections, 20 identities, aborted messages and cut connections mixed in.

tests/bench/signers speaks to the filter as an MTA would and lets OpenSSL judge each sealed result.
"""

import os
import re
import subprocess
import sys

import suite
from gateway import Account, Gateway
from suite import test

MESSAGES = 2000
CONNECTIONS = 24
CROWD = [Account(f"kantor{number:02}", key="rsa2048" if number % 4 == 0 else "p256") for number in range(20)]


def make_world(place):
    return Gateway(place, CROWD).make().start()


def signed(world, messages, certificates):
    """What became of the messages, by name: sealed, wrong, unsealed, aborted, cut."""
    pairs = [f"{account.login}={certificate}" for account, certificate in zip(CROWD, certificates)]
    done = subprocess.run([os.path.join(world.build, "tests/bench/signers"), world.mta.milter_socket, str(messages),
                           str(CONNECTIONS), *pairs], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    counts = {name: int(number) for name, number in re.findall(r"(\w+) (\d+)\b", done.stdout)}
    suite.check("sealed" in counts, f"no counts: {done.stdout}{done.stderr}")
    return counts


@test("2,000 messages of 20 identities over 24 connections: each signed with its own login's key")
def _(world):
    counts = signed(world, MESSAGES, [account.issued.cert for account in CROWD])
    suite.equal((counts["wrong"], counts["unsealed"]), (0, 0), "signed with another's key, and unsealed")
    suite.check(counts["sealed"] >= MESSAGES, f"only {counts['sealed']} were sealed")
    suite.check(counts["aborted"] > 100 and counts["cut"] > 100, f"too few disturbances: {counts}")


@test("a wrong signer is noticed: two logins with each other's certificate")
def _(world):
    certificates = [account.issued.cert for account in CROWD]
    certificates[3], certificates[4] = certificates[4], certificates[3]
    counts = signed(world, 400, certificates)
    suite.check(counts["wrong"] > 0, f"not noticed: {counts}")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
