"""Encrypted mail on its whole way with segel-split: submission seals, Postfix queues and expands aliases, segel-split encrypts for each,
Postfix delivers. And the same without segel-split, where one body must do for all.

What becomes of each recipient is told here once more, beside the gateway's own rules, and mailboxes and reports of non-delivery
are counted: nothing lost, nothing twice, nothing in clear that must not be. openssl(1) reads what is encrypted.
"""

import concurrent.futures
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import client
import deadline
import nexthop
import partners
import splitter
import suite
from suite import check, equal, test
from gateway import Account
from mta import BARE_DOMAIN
from openssl_ca import run, stamp
from world import FAR_DOMAIN, OTHER_DOMAIN, OWN_DOMAIN, letter

SEED = int(os.environ.get("SEGEL_SEED", "20261121"))
MESSAGES = int(os.environ.get("SEGEL_SPLIT_MESSAGES", "200"))

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

# One recipient of each class: whose key reads the mail, CLEAR, or why there is none to be had.
CLEAR = "clear"
KINDS = {
    "internal": (f"rekan@{OWN_DOMAIN}", CLEAR), "must": (f"rsa@{OTHER_DOMAIN}", "rsa"), "must-ec": (f"ec@{OTHER_DOMAIN}", "ec"),
    "must-none": (f"mentah@{OTHER_DOMAIN}", "ENC_NO_CERT"), "may": (f"boleh@{OTHER_DOMAIN}", "boleh"),
    "may-none": (f"biasa@{OTHER_DOMAIN}", CLEAR), "never": (f"polos@{OTHER_DOMAIN}", CLEAR),
    "forbid": (f"blokir@{OTHER_DOMAIN}", "RCPT_FORBIDDEN"), "stranger": (f"orang@{BARE_DOMAIN}", "ENC_NO_CERT"),
}
MATE = f"kawan@{OWN_DOMAIN}"  # internal; the other one whom an alias for two leads to


def is_refused(kind):
    return KINDS[kind][1].isupper()


GOOD = [kind for kind in KINDS if not is_refused(kind)]
BAD = [kind for kind in KINDS if is_refused(kind)]
MUST = [kind for kind in KINDS if kind.startswith("must") or kind == "stranger"]

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


def few(addresses):
    addresses = sorted(addresses)
    return ", ".join(addresses[:12]) + (f" and {len(addresses) - 12} more" if len(addresses) > 12 else "") or "nobody"


class Sent:
    def __init__(self, token, recipients, hidden, last):
        self.token, self.recipients, self.hidden, self.last = token, recipients, hidden, last
        self.delivered, self.reported, self.refusal = {}, set(), None  # what must become of it

    def __str__(self):
        return f"{self.token} to {few(self.recipients)} (hidden: {few(self.hidden)}): {self.last}"


class World(partners.Partners, splitter.Splitter):
    def make(self):
        self.one_file = True
        self.splits = True
        self.other = RULES.format(split="true", hidden="false", domain=OTHER_DOMAIN)
        self.split_more = f'trigger = "{TRIGGER}";'
        self.next_port = self.split_ports["from-split"]
        super().make()
        self.make_partners(OTHER_DOMAIN)
        lines = [f"{alias(kind)} {address}\n{pair(kind)} {address}, {MATE}\n" for kind, (address, _) in KINDS.items()]
        self.mta.write_file("virtual", "".join(lines) + f"semua@{OWN_DOMAIN} {', '.join(address for address, _ in KINDS.values())}\n"
                            + f"minta@{OWN_DOMAIN} terbuka@{OTHER_DOMAIN}\n")
        self.sent, self.counted = [], 0
        self.trust_our_own()
        self.must("domain", "add", FAR_DOMAIN, "--kind", "partner")
        self.leaves["wilayah"] = self.make_leaf("wilayah", "ec", f"wilayah@{FAR_DOMAIN}")
        self.must("bind", "add", self.leaves["wilayah"].sha256, "--purpose", "encrypt", "--domain", FAR_DOMAIN)
        return self

    def trust_our_own(self):
        """Role egress judges our own seals, too: their authorities, with revocation lists that nobody is on."""
        ours = self.authority
        shutil.copy(ours.root_file, self.path("trust", "anchors", "official", "ours.crt"))
        for name, cert in (("root", ours.root_file), ("issuing", ours.issuing_file)):
            run("openssl", "ca", "-config", self.root.config, "-gencrl", "-cert", cert, "-keyfile", ours.prefix(name) + ".key", "-out",
                self.path("trust", "crl", f"ours-{name}.pem"), "-crl_lastupdate", stamp(days=-1), "-crl_nextupdate", stamp(days=7))

    def start(self):
        super().start()
        self.connect()
        return self

    def connect(self):
        self.line = self.session_of(self.accounts[0])

    def postfix_is(self, content_filter=None, **main):
        """Postfix, started anew with these settings."""
        self.mta.stop()
        for name, value in main.items():
            self.mta.command("postconf", "-e", f"{name}={value}")
        if content_filter:
            self.mta.command("postconf", "-P", f"127.0.0.1:{self.mta.ports['submission']}/inet/content_filter={content_filter}")
        self.mta.start()
        self.connect()

    def own_domain_is_local(self, yes):
        """Postfix reads %-hacks and bang paths in mydestination, and nowhere else."""
        own, others = OWN_DOMAIN if yes else "", [OTHER_DOMAIN, FAR_DOMAIN] + ([] if yes else [OWN_DOMAIN])
        self.postfix_is(mydestination=own, virtual_mailbox_domains=" ".join(others), local_transport="virtual:")

    def end_split(self):
        """No segel-split any more: the filter encrypts, and role egress looks at what aliases made of it."""
        self.splits = False
        self.other = RULES.format(split="false", hidden="true", domain=OTHER_DOMAIN)
        self.write_config()
        for role in self.roles:
            before = self.filter_log(role).count("reloaded ")
            self.milters[role].send(signal.SIGHUP)
            deadline.until("the filter to reload", lambda: self.filter_log(role).count("reloaded ") > before)
        self.split.stop()
        self.postfix_is(content_filter=f"smtp:[127.0.0.1]:{self.split_ports['from-split']}")

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

    def feed(self, message, to):
        """Past everything, into the listener behind segel-split."""
        with client.Session(self.split_ports["from-split"], tls=False) as session:
            return str(session.send(self.accounts[0].address, [to], message).last)

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
        sent, self.counted = self.sent[self.counted:], len(self.sent)
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
            yield f"{one}: delivered to {few(to for to, _ in copies)}; wanted {few(one.delivered)}"
        if sorted(map(folded, reported)) != sorted(map(folded, one.reported)):
            yield f"{one}: reported {few(reported)}; wanted {few(one.reported)}"

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
        if (b'hp="cipher"' in text) != (how != CLEAR and not self.splits) or (b'hp="clear"' in text) == (b'hp="cipher"' in text):
            return "what the seal says of its header fields is not so"
        if (b"\nSubject: Surat\n" in message) != (b'hp="clear"' in text) or b"\nSubject: Surat\r\n" not in text:
            return "Subject"
        for secret in (TRIGGER, "X-Segel-Encrypt", *others):
            if any(secret.encode().lower() in where.lower() for where in (message, entity)):
                return f"{secret} stands in it"
        return None

    def certificates(self, one):
        """How many RecipientInfos; segel-split makes one."""
        return 1 if self.splits else len(set(one.delivered.values()))


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
    return World(place, [Account("dinas")], roles=("submission", "egress")).make().start()


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


@test("split: 100 recipients, 20 of them hidden, with an alias to everybody: each as policy says, once")
def _(world):
    far = [f"warga{i}@{FAR_DOMAIN}" for i in range(50)]
    own = [f"pegawai{i}@{OWN_DOMAIN}" for i in range(43)]
    names = [*far, *own, *by_kind(GOOD), f"semua@{OWN_DOMAIN}"]
    equal(len(names), 100, "recipients")
    world.delivers(names, {**dict.fromkeys(far, "wilayah"), **dict.fromkeys(own, CLEAR), **wanted(KINDS)}, hidden=[*far[:10], *own[:8], *names[-2:]],
                   reported=[KINDS[kind][0] for kind in BAD])
    world.count()


@test("split: where segel-split fails open, role egress does not: nothing that must be encrypted leaves in clear")
def _(world):
    open_to = dict.fromkeys(by_kind(["internal", "may", "may-none", "never"]), CLEAR)
    world.split_config_text("encrypt: { use = true;", "encrypt: { use = false;")
    world.split_reloads()
    try:
        world.delivers(by_kind(GOOD), open_to, reported=by_kind(["must", "must-ec"]))
        world.delivers(by_kind(KINDS, of=alias), open_to, reported=by_kind([*MUST, "forbid"]))
        world.count()
    finally:
        world.write_config()
        world.split_reloads()
    # The listener behind it, fed by some program of this machine.
    sealed = next(message for to, message in world.arrived()[0][world.sent[-2].token] if to == KINDS["internal"][0])
    for to, message, *words in ((KINDS["must"][0], sealed, "550", "ENC_REQUIRED"), (KINDS["must"][0], plain(world), "550"),
                                (MATE, plain(world), "550", "SEAL_REQUIRED"), (MATE, sealed, "250")):
        found = world.feed(message, to)
        check(all(word in found for word in words), f"{to}: {found}; wanted {words}")


class Killer(threading.Thread):
    """kill -9 of segel-split and of the next hop, one after the other at random times."""

    def __init__(self, world, rng):
        super().__init__()
        self.world, self.rng = world, rng
        self.over = threading.Event()
        self.kills = 0
        self.trouble = None

    def run(self):
        try:
            while not self.over.wait(self.rng.uniform(0.05, 0.6)):
                daemon, start = self.rng.choice([(self.world.split, self.world.start_split), (self.world.next, self.world.start_next)])
                daemon.kill()
                self.kills += 1
                self.over.wait(self.rng.uniform(0, 0.3))
                start()
        except Exception as trouble:
            self.trouble = trouble


# Whose turn it is: the message's number decides.
IN_TURN = ["must", "must-ec", "internal"]


def send_while(world, tokens):
    """Four at a time; until all are with their next hop, or for some time."""
    sender = world.accounts[0].address

    def send(part):
        with world.session_of(world.accounts[0]) as session:
            for token in part:
                to = KINDS[IN_TURN[int(token[5:]) % 3]][0]
                session.send(sender, [to], letter(sender, to, body=CANARY.decode() + "\r\n", token=token))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(send, (tokens[i::4] for i in range(4))))
    until = time.monotonic() + max(8.0, len(tokens) / 25)
    while time.monotonic() < until and world.queue():
        time.sleep(0.1)


def wrong_copy(world, token, one):
    """Encrypted for its recipient, or in clear, with a good seal; None = as it should be."""
    to, how = KINDS[IN_TURN[int(token[5:]) % 3]]
    message = one["message"]
    if not one["rcpt"][0].startswith(f"RCPT TO:<{to}>") or (how == CLEAR) != (CANARY in message):
        return f"{token}: {one['rcpt']}, {'in clear' if CANARY in message else 'encrypted'}"
    entity = message if how == CLEAR else decrypted(message, world.leaves[how])
    text = verified(entity, world.authority.root_file) if entity else None
    return None if text and CANARY in text else f"{token}: nobody can read it, or its seal is not good"


@test(f"{MESSAGES} messages, sealed and encrypted, while segel-split and the next hop are killed at random: none is lost, none in clear")
def _(world):
    world.to_next()
    bounces = world.maillog().count("status=bounced")
    killer = Killer(world, random.Random(SEED))
    killer.start()
    tokens = [f"badai{i}" for i in range(MESSAGES)]
    try:
        send_while(world, tokens)
    finally:
        killer.over.set()
        killer.join()
    if killer.trouble:
        raise killer.trouble
    world.wait_idle(180)
    copies = [(found[1].decode(), one) for one in nexthop.taken(world.taken_folder)
              for found in [re.search(rb"(?m)^Message-ID: <(badai\d+)\.1@", one["message"])] if found]
    came = {token for token, _ in copies}
    lost, doubled = [token for token in tokens if token not in came], len(copies) - len(came)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = [fault for fault in pool.map(lambda copy: wrong_copy(world, *copy), copies) if fault]
    print(f"      {killer.kills} kills, {len(tokens)} messages, {len(lost)} lost, {doubled} delivered a second time, {len(wrong)} wrong; "
          f"{sum(CANARY not in one['message'] for _, one in copies)} encrypted copies", flush=True)
    check(not lost, f"lost: {few(lost)}")
    check(not wrong, "\n".join(wrong[:10]))
    equal(world.maillog().count("status=bounced") - bounces, 0, "bounces")
    check(killer.kills >= 10, "hardly any kills")
    check(doubled <= 4 * killer.kills, "more doubles than kills explain")
    world.to_postfix()


def plain(world):
    return letter(world.accounts[0].address, KINDS["must"][0], body=CANARY.decode() + "\r\n")


def in_odd_spellings(world, words):
    for spelling, of, everybody in itertools.product(("percent", "bang", "route"), (None, alias, pair), (False, True)):
        refused_each(world, spelling, of, everybody, *words)


@test("split: where Postfix reads %-hacks and bang paths (mydestination), none gets past the filter")
def _(world):
    world.own_domain_is_local(True)
    world.delivers(by_kind(GOOD), wanted(GOOD))
    world.delivers(by_kind(KINDS, of=alias), wanted(KINDS), reported=by_kind(BAD))
    in_odd_spellings(world, ["RCPT_AMBIGUOUS"])
    world.count()


# --- without segel-split ---

def one_body(kinds, hidden):
    """What the recipients together get; or words of the refusal."""
    hows = {kind: KINDS[kind][1] for kind in kinds}
    if "forbid" in kinds:
        return None, ["RCPT_FORBIDDEN", KINDS["forbid"][0]]
    without = [KINDS[kind][0] for kind in kinds if hows[kind] == "ENC_NO_CERT"]
    if without:
        return None, ["ENC_NO_CERT", *without]
    alone = len(kinds) == 1
    in_one = CLEAR not in hows.values() and (alone or not hidden)
    if in_one:
        return wanted(kinds), None
    must = [KINDS[kind][0] for kind in kinds if kind.startswith("must")]
    if must:
        return None, ["ENC_MIXED"]
    return dict.fromkeys((KINDS[kind][0] for kind in kinds), CLEAR), None


def together(world, kinds, hidden, spelling="plain"):
    delivered, refusal = one_body(kinds, hidden)
    names, secret = by_kind(kinds, spelling), by_kind(hidden, spelling)
    if refusal:
        world.refuses(names, *refusal, hidden=secret)
    else:
        world.delivers(names, delivered, hidden=secret)


@test("one body: class x class x visible or hidden x spelling: delivered as planned, or refused by name")
def _(world):
    world.end_split()
    in_odd_spellings(world, ["RCPT_AMBIGUOUS"])
    world.own_domain_is_local(False)
    for kind, spelling, hidden in itertools.product(KINDS, ("plain", "case"), (False, True)):
        together(world, [kind], [kind] if hidden else [], spelling)
    for kinds in itertools.combinations(KINDS, 2):
        for hidden in ([], kinds[:1], kinds[1:], kinds):
            together(world, kinds, hidden)
    for kinds in itertools.combinations(GOOD, 3):
        for hidden in ([], kinds[:1], kinds):
            together(world, kinds, hidden)
    world.count()


@test("one body: an alias that leads to whom it must not go in clear: role egress refuses, and the sender hears of it")
def _(world):
    secret = [*MUST, "forbid"]
    for kind, spelling, everybody in itertools.product(KINDS, ("plain", "case"), (False, True)):
        for of, more in ((alias, []), (pair, [MATE])):
            names = by_kind([kind], spelling, of)
            all_of_it = [KINDS[kind][0], *more]
            world.delivers(names, {} if kind in secret else dict.fromkeys(all_of_it, CLEAR), hidden=names if everybody else (),
                           reported=all_of_it if kind in secret else ())
    for spelling, of, everybody in itertools.product(("percent", "bang"), (None, alias, pair), (False, True)):
        names = by_kind(KINDS, spelling, of)
        world.delivers(names, {}, hidden=names if everybody else (), reported=names)
    world.count()


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
