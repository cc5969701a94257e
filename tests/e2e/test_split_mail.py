"""Encrypted mail on its whole way with segel-split: submission seals, Postfix queues and expands aliases, segel-split encrypts for each,
Postfix delivers. And the same without segel-split, where one body must do for all.

What becomes of each recipient is told here once more, beside the gateway's own rules, and mailboxes and reports of non-delivery
are counted: nothing lost, nothing twice, nothing in clear that must not be. openssl(1) reads what is encrypted.
"""

import concurrent.futures
import itertools
import os
import re
import subprocess
import sys
import tempfile

import partners
import splitter
import suite
from suite import check, equal, test
from world import FAR_DOMAIN, OTHER_DOMAIN, OWN_DOMAIN, letter, parsed

CANARY = b"kenari-5120-rahasia"
TRIGGER = "X-Segel-7c4a8d09ca3762af61e59520943dc264"
RULES = """\
encrypt: {{ use = true; split = {split}; hide_subject = {hidden}; rules = (
	{{ to = "boleh@{domain}"; level = "may"; }}, {{ to = "biasa@{domain}"; level = "may"; }},
	{{ to = "polos@{domain}"; level = "never"; }}, {{ to = "terbuka@{domain}"; level = "never"; }},
	{{ to = "blokir@{domain}"; level = "forbid"; }}
); }};
"""
ASKED = "X-Segel-Encrypt: yes\r\n"

# One recipient of each class: whose key reads the mail, CLEAR, or why there is none.
CLEAR = "clear"
KINDS = {
    "internal": (f"rekan@{OWN_DOMAIN}", CLEAR), "must": (f"rsa@{OTHER_DOMAIN}", "rsa"), "must-ec": (f"ec@{OTHER_DOMAIN}", "ec"),
    "must-none": (f"mentah@{OTHER_DOMAIN}", "ENC_NO_CERT"), "may": (f"boleh@{OTHER_DOMAIN}", "boleh"),
    "may-none": (f"biasa@{OTHER_DOMAIN}", CLEAR), "never": (f"polos@{OTHER_DOMAIN}", CLEAR),
    "forbid": (f"blokir@{OTHER_DOMAIN}", "RCPT_FORBIDDEN"), "stranger": (f"orang@{FAR_DOMAIN}", "ENC_NO_CERT"),
}
MATE = f"kawan@{OWN_DOMAIN}"  # internal; the other one whom an alias for two leads to


def is_refused(kind):
    return KINDS[kind][1].isupper()


GOOD = [kind for kind in KINDS if not is_refused(kind)]
BAD = [kind for kind in KINDS if is_refused(kind)]

SPELLINGS = {
    "plain": "{user}@{domain}", "case": "{user}@{DOMAIN}", "route": "@" + OWN_DOMAIN + ":{user}@{domain}",
    "percent": "{user}%{domain}@" + OWN_DOMAIN, "bang": "{domain}!{user}@" + OWN_DOMAIN,
}


def spelled(address, spelling):
    user, _, domain = address.partition("@")
    return SPELLINGS[spelling].format(user=user, domain=domain, DOMAIN=domain.upper())


def folded(address):
    """The domain's case is nobody's."""
    user, _, domain = address.rpartition("@")
    return f"{user}@{domain.lower()}"


def alias(kind):
    return f"ke-{kind}@{OWN_DOMAIN}"


def pair(kind):
    return f"dua-{kind}@{OWN_DOMAIN}"


def wanted(kinds):
    """Mailbox: how."""
    return {KINDS[kind][0]: KINDS[kind][1] for kind in kinds if not is_refused(kind)}


class Sent:
    def __init__(self, token, recipients, hidden, last):
        self.token, self.recipients, self.hidden, self.last = token, recipients, hidden, last
        self.delivered, self.reported, self.refusal = {}, set(), None  # what must become of it

    def __str__(self):
        return f"{self.token} to {', '.join(self.recipients)} (hidden: {', '.join(self.hidden) or 'nobody'}): {self.last}"


class World(partners.Partners, splitter.Splitter):
    def make(self):
        self.one_file = True
        self.other = RULES.format(split="true", hidden="false", domain=OTHER_DOMAIN)
        self.split_more = f'trigger = "{TRIGGER}";'
        self.next_port = self.split_ports["from-split"]
        super().make()
        self.make_partners(OTHER_DOMAIN)
        lines = [f"{alias(kind)} {address}\n{pair(kind)} {address}, {MATE}\n" for kind, (address, _) in KINDS.items()]
        self.mta.write_file("virtual", "".join(lines) + f"semua@{OWN_DOMAIN} {', '.join(address for address, _ in KINDS.values())}\n"
                            + f"minta@{OWN_DOMAIN} terbuka@{OTHER_DOMAIN}\n")
        self.sent = []
        return self

    def start(self):
        super().start()
        self.connect()
        return self

    def connect(self):
        self.line = self.session_of(self.accounts[0])

    def transact(self, recipients, hidden=(), extra=""):
        """One message, whose recipients are written as they are here; what the server said last."""
        token = f"campur{len(self.sent)}"
        shown = ",\r\n ".join(to for to in recipients if to not in hidden) or "undisclosed-recipients:;"
        line, sender = self.line, self.accounts[0].address
        line.mail(sender)
        for recipient in recipients:
            line.note("RCPT", line.smtp.docmd("RCPT", f"TO:<{recipient}>"))
            if not line.replies[-1].good:
                line.reset()
                break
        else:
            line.data(letter(sender, shown, body=CANARY.decode() + "\r\n", extra=extra, token=token))
        sent = Sent(token, recipients, hidden, line.replies[-1])
        self.sent.append(sent)
        return sent

    def delivers(self, recipients, delivered, hidden=(), reported=(), extra=""):
        """Accepted; then it is in these mailboxes, and in a report of non-delivery for those."""
        sent = self.transact(recipients, hidden, extra)
        sent.delivered, sent.reported = delivered, set(reported)

    def refuses(self, recipients, *words, hidden=()):
        self.transact(recipients, hidden).refusal = words

    # --- what became of it ---

    def arrived(self):
        """token: [(mailbox, message)], and token: [recipient of whom a report says that there is no delivery]."""
        mail, reports = {}, {}
        for message in self.mta.delivered():
            token = re.search(rb"(?m)^Message-ID: <(campur\d+)\.1@", message)
            if not token:
                continue
            token, head = token[1].decode(), message.partition(b"\n\n")[0]
            if b"\nContent-Type: multipart/report" in head:
                reports.setdefault(token, []).extend(to.decode() for to in re.findall(rb"(?m)^Final-Recipient: rfc822; *(\S+)", message))
            else:
                mail.setdefault(token, []).append((folded(re.search(rb"(?m)^Delivered-To: (\S+)", head)[1].decode()), message))
        return mail, reports

    def count(self):
        """Everything that was sent since the last time, all mail at its end; how many of what."""
        sent, self.judged = self.sent[getattr(self, "judged", 0):], len(self.sent)
        self.wait_idle()
        mail, reports = self.arrived()
        troubles = [trouble for one in sent for trouble in self.faults(one, mail.get(one.token, []), reports.get(one.token, []))]
        copies = [(one, to, message) for one in sent for to, message in mail.get(one.token, []) if to in one.delivered]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            troubles += [f"{one}: {to}: {fault}" for (one, to, _), fault in zip(copies, pool.map(lambda copy: self.unlike(*copy), copies)) if fault]
        print(f"      {len(sent)} messages, {sum(one.refusal is not None for one in sent)} refused; {len(copies)} copies, "
              f"{sum(one.delivered[to] != CLEAR for one, to, _ in copies)} of them encrypted; "
              f"{sum(len(reports.get(one.token, [])) for one in sent)} recipients reported", flush=True)
        check(not troubles, "\n".join(troubles[:20]) + f"\n{len(troubles)} troubles")

    def faults(self, one, copies, reported):
        if one.refusal is not None and not (one.last.code == 550 and one.last.says(*one.refusal)):
            yield f"{one}: wanted 550 with {one.refusal}"
        if one.refusal is None and not (one.last.command == "." and one.last.good):
            yield f"{one}: wanted it accepted"
        if sorted(to for to, _ in copies) != sorted(one.delivered):
            yield f"{one}: delivered to {sorted(to for to, _ in copies)}, wanted {sorted(one.delivered)}"
        if sorted(map(folded, reported)) != sorted(map(folded, one.reported)):
            yield f"{one}: reported {sorted(reported)}, wanted {sorted(one.reported)}"

    def unlike(self, one, to, message):
        """What a copy is, and should not be; None = as it should be."""
        how = one.delivered[to]
        entity = message
        others = [address for address in one.hidden if folded(address) != to and len(one.recipients) > 1]
        if (how == CLEAR) != (CANARY in message):
            return f"{'not ' if how == CLEAR else ''}in clear"
        if how != CLEAR:
            count = judge_count(message)
            if count != self.certificates(one):
                return f"{count} recipients named in it"
            entity = decrypted(message, self.leaves[how])
            if entity is None:
                return f"not for the key of {how}"
        text = verified(entity, self.authority.root_file)
        if text is None or CANARY not in text:
            return "not as it was sealed"
        for secret in (TRIGGER, "X-Segel-Encrypt", *others):
            if any(secret.encode().lower() in where.lower() for where in (message, entity)):
                return f"{secret} stands in it"
        return None

    def certificates(self, one):
        """How many RecipientInfos: segel-split makes one."""
        return 1


def openssl(message, *words):
    done = subprocess.run(["openssl", "cms", *words], input=message, capture_output=True, timeout=60)
    return done.stdout if done.returncode == 0 else None


def decrypted(message, leaf):
    return openssl(message, "-decrypt", "-recip", leaf.cert, "-inkey", leaf.key)


def verified(entity, root):
    return openssl(entity, "-verify", "-CAfile", root, "-purpose", "any", "-crlfeol")


def judge_count(message):
    return (openssl(message, "-cmsout", "-print") or b"").count(b"issuerAndSerialNumber:")


def make_world(place):
    return World(place).make().start()


def by_kind(kinds, spelling="plain", of=None):
    return [spelled(of(kind) if of else KINDS[kind][0], spelling) for kind in kinds]


def in_turn(recipients):
    """Nobody hidden, everybody, each alone."""
    return [(), recipients, *((one,) for one in recipients)]


def refused_each(world, spelling, of, hidden, *words):
    for kind in KINDS:
        one = by_kind([kind], spelling, of)
        world.refuses(one, *words, hidden=one if hidden else ())


@test("split: class x visible or hidden x given directly, by an alias or by an alias to two x spelling")
def _(world):
    for spelling, everybody in itertools.product(("plain", "case"), (False, True)):
        for kind in BAD:
            one = by_kind([kind], spelling)
            world.refuses([*one, MATE], KINDS[kind][1], folded(one[0]), hidden=[one[0]] if everybody else ())
        names = by_kind(KINDS, spelling, alias)
        world.delivers(names, wanted(KINDS), hidden=names if everybody else (), reported=[KINDS[kind][0] for kind in BAD])
        for kind in KINDS:
            names = by_kind([kind], spelling, pair)
            world.delivers(names, {**wanted([kind]), MATE: CLEAR}, hidden=names if everybody else (), reported=[KINDS[kind][0]] if is_refused(kind) else ())
    for spelling in ("plain", "case"):
        names = by_kind(GOOD, spelling)
        for hidden in in_turn(names):
            world.delivers(names, wanted(GOOD), hidden=hidden)
    for of, everybody in itertools.product((None, alias, pair), (False, True)):
        refused_each(world, "route", of, everybody, "RCPT_AMBIGUOUS")
        for spelling in ("percent", "bang"):  # mailboxes of our own, says Postfix; some server might go on from them
            names = by_kind(KINDS, spelling, of)
            world.delivers(names, {}, hidden=names if everybody else (), reported=names)
    world.count()


@test("split: an alias to everybody beside some of them, once more in another spelling: each gets it once")
def _(world):
    everybody = f"semua@{OWN_DOMAIN}"
    world.delivers([everybody, *by_kind(["must", "internal"]), *by_kind(["must"], "plain", alias), MATE],
                   {**wanted(KINDS), MATE: CLEAR}, reported=[KINDS[kind][0] for kind in BAD])
    world.count()


@test("split: the sender's wish goes the whole way, through an alias, too")
def _(world):
    world.delivers([f"terbuka@{OTHER_DOMAIN}"], {f"terbuka@{OTHER_DOMAIN}": CLEAR})
    world.delivers([f"minta@{OWN_DOMAIN}"], {f"terbuka@{OTHER_DOMAIN}": CLEAR})
    world.delivers([f"terbuka@{OTHER_DOMAIN}"], {f"terbuka@{OTHER_DOMAIN}": "terbuka"}, extra=ASKED)
    world.delivers([f"minta@{OWN_DOMAIN}"], {f"terbuka@{OTHER_DOMAIN}": "terbuka"}, extra=ASKED)
    world.delivers([f"minta@{OWN_DOMAIN}", MATE], {f"terbuka@{OTHER_DOMAIN}": "terbuka", MATE: CLEAR}, extra=ASKED)
    world.delivers([alias("never"), MATE], {MATE: CLEAR}, reported=[KINDS["never"][0]], extra=ASKED)
    world.count()


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
