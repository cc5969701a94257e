"""splitter: a Gateway whose submitted mail goes through segel-split, as contrib/postfix/split*.cf say it.

    submission -> segel-milter seals -> queue -> segel-split -> next hop

The next hop is Postfix's own listener (contrib/postfix/split-master.cf), or nexthop.py: world.to_postfix(), world.to_next().
"""

import contextlib
import os
import signal
import smtplib
import sys

import deadline
import gateway
import nexthop
from daemon import Daemon
from gateway import Account, Gateway
from mta import DOCUMENTED_SOCKETS, own_socket, snippet
from place import MILTER_UID
from world import free_port, letter

SPLIT_UID = 64009
SPLIT_PORTS = {"split": 2591, "from-split": 2592, "next": 2593}
DOCUMENTED = {"split": "127.0.0.1:10029", "from-split": "127.0.0.1:10030"}

CONFIG = """\
split: {{
	socket = "127.0.0.1:{split}"; user = "{uid}"; state_dir = "{state}"; next_hop = "127.0.0.1:{next}"; drain = "10s";
	timeout = "{timeout}"; next_timeout = "{next_timeout}"; {more}
}};
{other}
"""


class Splitter(Gateway):
    def __init__(self, place, accounts=None, **options):
        super().__init__(place, accounts or [Account("dinas")], **options)
        gateway.must_be_built(self.build, ("segel-split",))
        self.split_ports = dict(SPLIT_PORTS) if place.isolated else {name: free_port() for name in SPLIT_PORTS}
        self.state = self.path("state-split")
        self.taken_folder = self.path("taken")
        self.next_port = self.split_ports["from-split"]
        self.split_more = ""
        self.next_timeout = "10s"
        self.timeout = "60s"
        self.other = ""  # further groups of settings, segel-split's alone ...
        self.one_file = False  # ... or the filter's as well: both read the same, as on a real server
        self.split_config = self.path("split.conf")
        self.split = self.daemon("segel-split", SPLIT_UID, [MILTER_UID], config=self.split_config)
        self.next = Daemon("next hop", [sys.executable, nexthop.__file__, str(self.split_ports["next"]), self.taken_folder],
                           self.path("log", "nexthop.log"))
        self.document_split()

    def document_split(self):
        """The documented lines, with this world's ports and without chroot."""
        etc = self.mta.etc
        with open(os.path.join(etc, "master.cf"), encoding="ascii") as text:
            lines = text.read().split("\n")
        for name in ("submission", "documented"):
            at = next(i for i, line in enumerate(lines) if line.startswith(f"127.0.0.1:{self.mta.ports[name]} "))
            lines[at + 1:at + 1] = [f"  -o content_filter=segel-split:[127.0.0.1]:{self.split_ports['split']}",
                                    "  -o receive_override_options="]
        services = [line.replace(DOCUMENTED["from-split"], f"127.0.0.1:{self.split_ports['from-split']}")
                    .replace(DOCUMENTED_SOCKETS["egress"], own_socket("egress", self.mta.sockets))
                    for line in snippet("split-master.cf")]
        services = [" n ".join(line.split(" y ", 1)) if not line.startswith(" ") else line for line in services]
        with open(os.path.join(etc, "master.cf"), "w", encoding="ascii") as out:
            out.write("\n".join(lines + services) + "\n")
        with open(os.path.join(etc, "main.cf"), "a", encoding="ascii") as out:
            out.write("\n".join([*snippet("split.cf"), f"virtual_alias_maps = texthash:{etc}/virtual", "virtual_alias_domains =", ""]))
        self.mta.write_file("virtual", "semua@kota.example tim1@kota.example, tim2@kota.example\n")
        self.mta.ports["from-split"] = self.split_ports["from-split"]

    def write_config(self, path=None, **changed):
        """Those of all, and beside them segel-split's."""
        own = CONFIG.format(**{**self.split_ports, "next": self.next_port}, uid=SPLIT_UID, state=self.state, more=self.split_more,
                            other=self.other, next_timeout=self.next_timeout, timeout=self.timeout)
        super().write_config(self.split_config, policy=own)
        return super().write_config(path, **({"policy": own} if self.one_file else {}), **changed)

    def make(self):
        os.makedirs(self.taken_folder)
        self.make_folder("state-split", SPLIT_UID, SPLIT_UID)
        return super().make()

    def start(self):
        super().start()
        self.start_next()
        self.start_split()
        return self

    def start_split(self):
        self.start_split_at(lambda: deadline.smtp_greets(self.split_ports["split"]))

    def start_split_at(self, answers):
        self.split.start(answers)

    def split_config_text(self, before, after):
        """Other words in segel-split's settings, until they are written anew."""
        with open(self.split_config, encoding="utf-8") as text:
            settings = text.read()
        if settings.count(before) != 1:
            raise RuntimeError(f"{self.split_config}: wanted {before!r} once")
        with open(self.split_config, "w", encoding="utf-8") as out:
            out.write(settings.replace(before, after))

    def start_next(self):
        self.next.start(lambda: deadline.smtp_greets(self.split_ports["next"]))

    def daemons(self):
        return [self.split, *super().daemons()]

    def stop(self):
        self.next.stop()
        super().stop()

    def configure(self, next_port=None, **changed):
        """New settings, reloaded and in force."""
        self.next_port = next_port or self.next_port
        for name, value in changed.items():
            setattr(self, name, value)
        self.write_config()
        self.split_reloads()

    def split_reloads(self):
        before = self.split.text().count("reloaded ")
        self.split.send(signal.SIGHUP)
        deadline.until("the reload", lambda: self.split.text().count("reloaded ") > before)

    def to_next(self, mode="good"):
        self.set_mode(mode)
        if self.next_port != self.split_ports["next"]:
            self.configure(self.split_ports["next"])

    def to_postfix(self):
        if self.next_port != self.split_ports["from-split"]:
            self.configure(self.split_ports["from-split"])

    def set_mode(self, mode):
        path = os.path.join(self.taken_folder, "mode")
        with open(path + ".new", "w", encoding="ascii") as out:
            out.write(mode)
        os.rename(path + ".new", path)

    def taken(self, token):
        """What the next hop took of the message with this token."""
        mark = f"X-Token: {token}\r\n".encode()
        return [one for one in nexthop.taken(self.taken_folder) if mark in one["message"]]

    def wait_taken(self, token, count=1, seconds=40):
        return deadline.until(f"{count} of {token} at the next hop", lambda: len(self.taken(token)) >= count and self.taken(token), seconds)

    def submit(self, token, recipients, subject="Surat", shown=None, extra="", body="Isi surat.\r\n", account=None):
        """A letter of an account (the first) to these recipients; To shows `shown` (all of them)."""
        account = account or self.accounts[0]
        message = letter(account.address, ",\r\n ".join(shown or recipients), subject=subject, extra=extra, body=body, token=token)
        outcome = self.send(account.login, account.password, message, account.address, recipients)
        if not outcome.accepted:
            raise RuntimeError(f"not accepted:\n{outcome}")
        return message

    def sealed(self, token, **options):
        """A sealed message as the next hop took it (bytes)."""
        self.to_next()
        self.submit(token, [f"{token}@kota.example"], **options)
        message = self.wait_taken(token)[0]["message"]
        self.wait_idle()  # nothing but what a test hands over is on its way then
        return message

    def hand(self, message, recipient, sender=None, forward=None, options=(), rcpt_options=()):
        """One transaction with segel-split itself; the reply to the message, or the first that is not good."""
        with contextlib.closing(smtplib.SMTP("127.0.0.1", self.split_ports["split"], timeout=60)) as smtp:
            smtp.ehlo("postfix.example")
            if forward:
                smtp.docmd("XFORWARD", forward)
            code, text = smtp.mail(sender or self.accounts[0].address, list(options))
            if code == 250:
                code, text = smtp.rcpt(recipient, list(rcpt_options))
            if code == 250:
                try:
                    code, text = smtp.data(message)
                except smtplib.SMTPDataError as refused:
                    code, text = refused.smtp_code, refused.smtp_error
            return code, text.decode("utf-8", "replace")

    def said(self, text, start=0):
        return [line for line in self.split.text()[start:].splitlines() if text in line]

    def lines_about(self, recipient):
        return self.said(f" to={recipient} ")
