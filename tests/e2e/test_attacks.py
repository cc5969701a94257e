"""The attacks of tests/pki/attacks.tsv: each made as a message by its recipe, and judged by segelctl and by openssl.

A row is refused as it says, for the reason that it says; its twin, which differs by what stands between [[ and ]], is
good, and openssl says so too. What openssl says of the attack is in the row: that is what the gate is for.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import time

import suite
from gateway import build_folder, must_be_built
from suite import test

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pki", "attacks.tsv")
COLUMNS = ["number", "name", "signature", "findings", "rule", "verdict", "openssl", "recipe"]
CLASSES = ["submission", "inbound-official", "inbound-other", "local", "egress"]
NUMBERS = [*range(1, 13), *range(14, 19), 20, 21, 24, 25, 26, 33, *range(40, 48)]
# What must not be released without; a word of a row's name for each.
BLOCKING = {
    "A20": ["an older CRL brought along"], "A5": ["signed attributes as the content"], "A4": ["eContent"],
    "A7": ["two signers"], "A6": ["no SignerInfo"], "A1": ["two From"], "A14": ["a blank before", "a blank behind"],
    "A24": ["RSA-1024", "MD5", "SHA-1", "a CA"], "A2": ["multipart/mixed"], "A3": ["attached", "forwarded"],
    "A33": ["two Content-Type", "two encodings", "two MIME-Version", "closing boundary", "71 characters", "begins as the one around",
            "encoded multipart", "preamble", "bare CR", "bare LF", "no header field", "blank before the colon", "opaque"],
}
CHOICE = re.compile(r"\[\[(.*?)\|\|(.*?)\]\]", re.S)
GOOD = {"signature": "good", "coverage": "whole", "chain": "good", "revocation": "good", "identity": "match"}


class Row:
    """One vector: what is wanted, and how it is made."""

    def __init__(self, line, place):
        values = line.split("\t")
        if len(values) != len(COLUMNS):
            raise ValueError(f"line {place} of attacks.tsv: {len(values)} columns, wanted {len(COLUMNS)}")
        self.__dict__.update(zip(COLUMNS, values))
        self.place = place
        self.title = f"{self.number} {self.name}"
        self.codes = self.findings.split("+")

    def words(self, side):
        """The words of the recipe for mkattack and those for segelctl verify: of the attack (1) or of its twin (2)."""
        words = shlex.split(CHOICE.sub(lambda match: match.group(side), self.recipe))
        at = words.index("--") if "--" in words else len(words)
        return words[:at], words[at + 1:]


def read_table():
    world, rows = [], []
    with open(TABLE, encoding="utf-8") as lines:
        for place, line in enumerate(lines, 1):
            line = line.rstrip("\n")
            if line.startswith("$ "):
                world.append(line[2:])
            elif line and not line.startswith("#") and line.split("\t") != COLUMNS:
                rows.append(Row(line, place))
    return world, rows


class AttackWorld:
    """The folder in which the recipes of the table were followed, and what was said about each message."""

    def __init__(self, place):
        self.folder = place.folder
        self.build = build_folder()
        must_be_built(self.build, ("segelctl", "tests/pki/mkattack", "tests/pki/mkpki", "tests/pki/mkx509"))
        tools = [self.build, os.path.join(self.build, "tests/pki")]
        self.environment = {**os.environ, "PATH": os.pathsep.join(tools + [os.environ["PATH"]])}
        self.attacks, self.twins = {}, {}

    def stop(self):
        pass

    def maillog(self):
        return ""

    def run(self, *command, wanted=0):
        done = subprocess.run(command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
        if wanted is not None and done.returncode != wanted:
            raise RuntimeError(f"{shlex.join(command)}: exit {done.returncode}: {done.stderr.decode('utf-8', 'replace')}")
        return done

    def make(self):
        commands, self.rows = read_table()
        self.run("sh", "-ec", "\n".join(commands))
        self.run("sh", "-ec", "cat trust/*.crt trust/*/*.crt >openssl.pem; for i in crl/*; do openssl crl -in $i >>openssl.pem; done")
        for row in self.rows:
            for side, prefix in ((1, "a"), (2, "t")):
                self.run("mkattack", "--out", f"{prefix}{row.place}", *row.words(side)[0])
        self.judge(1, "a", self.attacks)
        self.judge(2, "t", self.twins)
        return self

    def judge(self, side, prefix, ret):
        """segelctl's objects, by row; those that are judged by the same files in one command."""
        groups = {}
        for row in self.rows:
            groups.setdefault(tuple(row.words(side)[1]), []).append(row)
        for options, rows in groups.items():
            folders = ["--trust", "trust"] + ([] if "--crl" in options else ["--crl", "crl"])
            done = self.run("segelctl", "verify", "--json", *folders, *options, *[f"{prefix}{row.place}.eml" for row in rows])
            for row, line in zip(rows, done.stdout.decode().splitlines()):
                ret[row.title] = json.loads(line)

    def openssl(self, row, prefix, object_alone=False):
        """Whether openssl accepts the message, or its CMS object without a content beside it. It knows our CRLs."""
        form = ["-inform", "DER", "-in", f"{prefix}{row.place}.p7s"] if object_alone else ["-in", f"{prefix}{row.place}.eml"]
        done = self.run("openssl", "cms", "-verify", *form, "-CAfile", "openssl.pem", "-crl_check", "-out", "/dev/null",
                        wanted=None)
        return done.returncode == 0

    def openssl_word(self, row, prefix):
        if self.openssl(row, prefix):
            return "accepts"
        return "object" if self.openssl(row, prefix, True) else "refuses"


def make_world(place):
    world = AttackWorld(place)
    began = time.monotonic()
    world.make()
    print(f"{len(world.rows)} vectors and their twins made and judged in {time.monotonic() - began:.1f} s", flush=True)
    return world


def codes_of(data):
    return sorted({finding["code"] for finding in data["findings"]})


def evidence_of(data, code):
    return [finding["evidence"] for finding in data["findings"] if finding["code"] == code]


def shown(data):
    return json.dumps(data, indent=1)


def each_row(world, check):
    """Every row is looked at; what is wrong with any of them is in the one failure."""
    wrong = []
    for row in world.rows:
        try:
            check(row)
        except suite.Failed as failure:
            wrong.append(f"line {row.place}, {row.title}: {failure}")
    suite.check(not wrong, "\n".join(wrong))


@test("a row for each number, for each form that must not be released without, and no name twice")
def _(world):
    numbers = {row.number for row in world.rows}
    suite.equal(sorted({f"A{number}" for number in NUMBERS} ^ numbers), [], "numbers without a row, or rows without a number")
    titles = [row.title for row in world.rows]
    suite.equal(sorted({title for title in titles if titles.count(title) > 1}), [], "names that stand twice")
    for number, words in BLOCKING.items():
        for word in words:
            suite.check(any(row.number == number and word in row.name for row in world.rows), f"no row {number} '{word}'")


@test("every row differs from its twin by one thing")
def _(world):
    each_row(world, lambda row: suite.check(CHOICE.search(row.recipe) and row.words(1) != row.words(2), "no [[attack||twin]] in the recipe"))


@test("every attack is refused: signature, findings, the rule in the evidence, and the verdict of every class")
def _(world):
    def check(row):
        data = world.attacks[row.title]
        suite.equal((data["signature"], codes_of(data)), (row.signature, sorted(row.codes)), f"of {shown(data)}")
        evidence = evidence_of(data, row.codes[0])
        suite.check(row.rule and any(row.rule in text for text in evidence), f"{row.codes[0]} says {evidence}, wanted '{row.rule}'")
        suite.equal(" ".join(data["verdict"][name] for name in CLASSES), row.verdict, "verdict")
    each_row(world, check)


@test("every twin is good: each fact, no finding (but that what is encrypted cannot be read), accepted in every class")
def _(world):
    def check(row):
        data = world.twins[row.title]
        wanted = ["ENC_UNREADABLE"] if data["encryption"] == "inside" else []
        suite.equal(({key: data[key] for key in GOOD}, codes_of(data)), (GOOD, wanted), f"twin, of {shown(data)}")
        suite.equal({data["verdict"][name] for name in CLASSES}, {"accept"}, "verdict of the twin")
    each_row(world, check)


@test("two numbers never have the same finding: where the word is the same, the evidence names another rule")
def _(world):
    def check(row):
        for other in world.rows:
            if other.number == row.number or other.codes[0] != row.codes[0]:
                continue
            texts = evidence_of(world.attacks[other.title], row.codes[0])
            suite.check(not any(row.rule in text for text in texts), f"'{row.rule}' stands in the evidence of {other.title}, too: {texts}")
    each_row(world, check)


@test("openssl's own verdict on every attack is what the row says, and it accepts every twin")
def _(world):
    seen = world.run("openssl", "version").stdout.decode().startswith("OpenSSL 3.0.")  # another one may have other opinions

    def check(row):
        word = world.openssl_word(row, "a")
        suite.check(word == row.openssl or not seen, f"openssl on the attack: found {word}, wanted {row.openssl}")
        suite.check(world.openssl(row, "t"), "openssl refuses the twin")
    each_row(world, check)
    words = [row.openssl for row in world.rows]
    print(f"openssl accepts {words.count('accepts')} of {len(words)} attacks, and the object of {words.count('object')} more", flush=True)


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
