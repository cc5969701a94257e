"""world: a mail server with its logins and mailboxes, for one test file or one demonstration.

    world = World(place).start()    Postfix alone; gateway.Gateway adds Segel

Owner of everything it starts: stop() ends all of it, also what failed to start.
"""

import email
import email.policy
import os
import re
import socket

import client
import deadline
from mta import HOST, Mta

OWN_DOMAIN = "kota.example"
OTHER_DOMAIN = "penerima.example"
FAR_DOMAIN = "jauh.example"  # two more servers lie between us and its mailboxes

PORTS = {"submission": 2587, "documented": 2588, "inbound": 2525, "server": 2526, "bare": 2603, "hop1": 2601, "hop2": 2602,
         "release": 2527}


class World:
    """The mail server of a world. segel.py adds the gateway. What follows differs where two stand side by side."""

    hostname = HOST
    domains = (OWN_DOMAIN, OTHER_DOMAIN, FAR_DOMAIN)
    ports = PORTS

    def __init__(self, place, sockets=None):
        self.place = place
        self.folder = place.folder
        self.mta = Mta(os.path.join(place.folder, "postfix"), ports_for(place, self.ports), self.domains, FAR_DOMAIN, sockets, self.hostname)
        self.mta.write()

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def start(self):
        self.mta.start()
        return self

    def stop(self):
        self.mta.stop()

    def add_user(self, login, password):
        self.mta.add_user(login, password)

    def session(self, login=None, password=None, tls=True, port="submission", context=None):
        return client.Session(self.mta.ports[port], tls, login, password, context=context)

    def send(self, login, password, message, sender, recipients, tls=True, port="submission"):
        """One message on a connection of its own; the replies from MAIL on (or all up to a refused STARTTLS or AUTH)."""
        with self.session(login, password, tls, port) as session:
            if not session.good:
                return client.Outcome(session.replies)
            outcome = session.send(sender, recipients, message)
            session.quit()
            return outcome

    def mailbox(self, address, holding=b""):
        """The messages delivered to an address, oldest first; only those that hold these bytes."""
        to = f"\nDelivered-To: {address}\n".encode()
        return [message for message in self.mta.delivered() if to in b"\n" + message and holding in message]

    def wait_delivered(self, address, holding=b"", count=1, seconds=60):
        """Waits for `count` messages in a mailbox and returns them."""
        def arrived():
            messages = self.mailbox(address, holding)
            return messages if len(messages) >= count else None
        return deadline.until(f"{count} message(s) for {address}", arrived, seconds)

    def wait_idle(self, seconds=60):
        """Waits until nothing is on its way any more: what is not in a mailbox then never will be."""
        deadline.until("an empty mail queue", lambda: not self.mta.queue(), seconds)

    def maillog(self):
        return self.mta.maillog()

    def wait_logged(self, pattern, seconds=45):
        """The first match of the pattern in Postfix's log."""
        return deadline.until(f"/{pattern}/ in Postfix's log", lambda: re.search(pattern, self.maillog()), seconds)

    def discard_queue(self):
        """Throws away what waits."""
        self.mta.command("postsuper", "-d", "ALL")

    def queue(self):
        return self.mta.queue()


def ports_for(place, ports):
    return dict(ports) if place.isolated else {name: free_port() for name in ports}


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def parsed(message):
    """A delivered message as Python reads it."""
    return email.message_from_bytes(message, policy=email.policy.default)


def letter(sender, recipient, subject="Surat", body="Isi surat.\r\n", extra="", token=""):
    """A plain message as a mail program writes it; the token makes it findable in a mailbox."""
    token_field = f"X-Token: {token}\r\n" if token else ""
    return (f"From: {sender}\r\nTo: {recipient}\r\nSubject: {subject}\r\nDate: Mon, 02 Nov 2026 08:00:00 +0700\r\n"
            f"Message-ID: <{token or 'surat'}.1@{OWN_DOMAIN}>\r\n{token_field}{extra}\r\n{body}").encode()

