"""The fault matrix: a filter that is dead, hung or slow at each stage, on each way into each mail server.

What is dead or hung may cost time, never a judgement: the message is refused with 4xx or stays in
the queue, and nothing of it is delivered that the filter has not judged. What is slow is delivered
once. The ways: Postfix's smtpd, its sendmail command (pickup, non_smtpd_milters), Sendmail's SMTP,
its sendmail command. The filter of the matrix is the test's own (faulty.py) behind the documented
lines; a control without tempfail (without F=T) must be seen to fail by the same checker. Then the
real filter and the key agent are killed and stopped.
"""

import concurrent.futures
import contextlib
import os
import re
import signal
import smtplib
import sys
import threading

import client
import deadline
import faulty
import judge
import mail
import sendmail
import suite
from daemon import Daemon
from faulty import FAULTS, STAGES
from gateway import Account
from mta import documented_options
from place import OTHER_UID
from sendmail import SendmailGateway
from world import OTHER_DOMAIN, letter

BUDI = Account("budi", "Kepala Bagian Umum")
APP = Account("aplikasi", "Sistem Informasi Surat", kind="sistem")  # sends by Postfix's sendmail command
SITI = f"siti@{OTHER_DOMAIN}"
SENDER = f"warga@{OTHER_DOMAIN}"  # of the matrix

TIMEOUT = 3            # seconds that a mail server waits for a filter, at every stage
PICKUP_TIMEOUT = 1     # its messages wait for one another
AT_A_TIME = 24

TIMES = f"T=C:{TIMEOUT}s;S:{TIMEOUT}s;R:{TIMEOUT}s;E:{TIMEOUT}s"
ABSENT = ("absent", "-")
CELLS = [(fault, stage) for fault in FAULTS for stage in STAGES]
SMTP_WAYS = ("postfix", "sendmail")
WAYS = ("postfix", "pickup", "sendmail", "command")
ORIGINAL = "Isi surat asli."

PORTS = {"short": 2700, "postfix": 2701, "postfix-open": 2702, "postfix-absent": 2703,
         "sendmail": 2711, "sendmail-open": 2712, "sendmail-absent": 2713}


class World(SendmailGateway):
    def __init__(self, place):
        super().__init__(place, [BUDI, APP], roles=("submission", "local"),
                         senders=f'{{ user = "segel-other"; from = [ "{APP.address}" ]; }}')
        self.ways = dict(PORTS) if place.isolated else {name: sendmail.free_port() for name in PORTS}
        self.mta.ports["short"] = self.ways["short"]
        self.matrix = None
        self.filters = {name: self.faulty_filter(name) for name in ("smtp", "pickup")}
        self.sendmail.times = TIMES
        self.sendmail.services += self.sendmail_services()
        self.add_to_postfix()

    def socket(self, name):
        return self.path("faulty", name + ".sock")

    def faulty_log(self, name):
        return self.path("faulty", name + ".met")

    def faulty_filter(self, name):
        plan = [self.path("faulty", "plan")] if name == "pickup" else []
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "faulty.py")
        return Daemon("faulty-" + name, [sys.executable, script, self.socket(name), self.faulty_log(name), *plan],
                      self.path("faulty-" + name + ".log"))

    def sendmail_services(self):
        """The documented filter line with our socket; once as it is, once without F=T, once with nobody there."""
        line = re.search(r"^MAIL_FILTER\(`segel'.*$", self.sendmail.documented(), re.M).group(0)
        for name, socket, flag in (("sendmail", "smtp", "F=T, "), ("sendmail-open", "smtp", ""), ("sendmail-absent", "nobody", "F=T, ")):
            suite.equal(line.count("F=T, "), 1, "F=T in the documented line")
            own = line.replace("`segel'", f"`{name}'").replace(self.mta.milter_socket, self.socket(socket))
            yield own.replace("F=T, ", flag)
            yield self.sendmail.service(name, name, self.ways[name])

    def add_to_postfix(self):
        """The documented service for clients without TLS and login, with faulty filters; and as it is, with short timeouts."""
        short = "".join(f"\n  -o milter_{what}_timeout={TIMEOUT}s" for what in ("connect", "command", "content"))
        lenient = ("\n  -o smtpd_tls_security_level=may\n  -o smtpd_sasl_auth_enable=no"
                   "\n  -o smtpd_relay_restrictions=permit_mynetworks,reject" + short)
        own = {"postfix": self.socket("smtp"), "postfix-open": self.socket("smtp"), "postfix-absent": self.socket("nobody"),
               "short": self.mta.milter_socket}
        with open(os.path.join(self.mta.etc, "master.cf"), "a", encoding="utf-8") as out:
            for name, socket in own.items():
                options = documented_options("master.cf", "submission", "submission", {"submission": socket})
                more = short if name == "short" else lenient
                if name == "postfix-open":
                    more += "\n  -o milter_default_action=accept"
                out.write(f"127.0.0.1:{self.ways[name]} inet n - n - - smtpd\n{options}{more}\n")
        self.write_pickup()

    def write_pickup(self, filter_="pickup", action="tempfail"):
        """What comes by Postfix's sendmail command meets a faulty filter (None: the documented one), with short timeouts."""
        path = os.path.join(self.mta.etc, "main.cf")
        with open(path, encoding="utf-8") as config:
            text = config.read().partition("# pickup\n")[0]
        suite.check("milter_default_action = tempfail" in text, "contrib/postfix/main.cf without milter_default_action = tempfail")
        own = "".join(f"milter_{what}_timeout = {PICKUP_TIMEOUT}s\n" for what in ("connect", "command", "content"))
        if filter_:
            own += f"non_smtpd_milters = unix:{self.socket(filter_)}\n"
        if action != "tempfail":
            own += f"milter_default_action = {action}\n"
        with open(path, "w", encoding="utf-8") as config:
            config.write(f"{text}# pickup\n{own}")

    @contextlib.contextmanager
    def other_pickup(self, **options):
        """For a while; it is in main.cf, so an action counts for every service. (A reload would leave old cleanups.)"""
        self.mta.stop()
        self.write_pickup(**options)
        self.mta.start()
        try:
            yield
        finally:
            self.mta.stop()
            self.write_pickup()
            self.mta.start()

    def make(self):
        os.makedirs(self.path("faulty"))
        os.chown(self.path("faulty"), 0, self.mta.gid)
        os.chmod(self.path("faulty"), 0o750)
        super().make()
        self.sendmail.write_submit(self.ways["sendmail"])
        self.mta.write_file("segel-senders", self.must("local", "sender-map", "--also", f"@{OTHER_DOMAIN}").out)
        return self

    def start(self):
        self.mta.own_etc()
        self.start_faulty("smtp")
        return super().start()

    def start_faulty(self, name, plan=()):
        if os.path.exists(self.socket(name)):
            os.unlink(self.socket(name))
        with open(self.path("faulty", "plan"), "w", encoding="ascii") as out:
            out.writelines(f"{fault} {stage}\n" for fault, stage in plan)
        # No connection to see whether it answers: that would be the first of the plan.
        self.filters[name].start(lambda: os.path.exists(self.socket(name)))

    def stop(self):
        for filter_ in self.filters.values():
            filter_.stop()
        super().stop()

    def cell(self, way, fault, stage):
        """From the matrix, which is made once; what failed in making it fails every cell."""
        if self.matrix is None:
            self.matrix = {}
            self.matrix = self.make_matrix()
        suite.check(self.matrix, "the matrix could not be made")
        return self.matrix[way, fault, stage]

    def make_matrix(self):
        """Everything the faulty filter does, on all ways at once: {(way, fault, stage): Cell}."""
        with concurrent.futures.ThreadPoolExecutor(4) as ways:
            parts = [*(ways.submit(smtp_cells, self, way) for way in SMTP_WAYS), ways.submit(pickup_cells, self),
                     ways.submit(command_cells, self)]
            cells = [cell for part in parts for cell in part.result()]
        self.wait_idle()
        for cell in cells:
            cell.look_again(self)
        print(table(cells), flush=True)
        return {(cell.way, cell.fault, cell.stage): cell for cell in cells}


class Cell:
    """One message that met one fault on one way: what was answered, what was in the mailbox then, and in the end."""

    def __init__(self, way, fault, stage):
        self.way = way
        self.fault = fault
        self.stage = stage
        self.token = f"{way}-{fault}-{stage}"
        self.recipient = f"{self.token}@{OTHER_DOMAIN}"
        self.answer = None   # the last reply; None: there is no client that waits for one
        self.kept = False    # in a queue, after the fault
        self.at_fault = []   # in the mailbox, while the fault was there
        self.arrived = []    # in the mailbox, when nothing was on its way any more

    @property
    def message(self):
        return letter(SENDER, self.recipient, "Surat", ORIGINAL + "\r\n", token=self.token)

    @property
    def retried(self):
        """Somebody of the mail server's own still has the message."""
        return self.way in ("pickup", "command")

    def look(self, world):
        self.at_fault = world.mailbox(self.recipient)

    def look_again(self, world):
        self.arrived = world.mailbox(self.recipient)

    def trouble(self):
        """What is wrong; empty where all is as it must be."""
        unjudged = [message for message in self.arrived + self.at_fault if not judged(message)]
        if unjudged:
            return f"delivered as the filter has not judged it (answer: {self.answer}):\n{unjudged[0].decode('utf-8', 'replace')}"
        if self.fault != "slow" and self.at_fault:
            return "delivered while the filter was away"
        if self.answer is not None and self.fault == "slow" and not self.answer.good:
            return f"slow, and refused: {self.answer}"
        if self.answer is not None and self.fault != "slow" and not 400 <= self.answer.code < 500:
            return f"wanted 4xx, found {self.answer}"
        wanted = 1 if self.fault == "slow" or self.retried else 0
        if len(self.arrived) != wanted:
            return f"delivered {len(self.arrived)} times, wanted {wanted}"
        return ""

    def word(self):
        if self.trouble():
            return "WRONG"
        if self.fault == "slow":
            return "once"
        return "kept, once" if self.retried else str(self.answer.code)


def judged(message):
    return f"\n{faulty.MARK[0]}: {faulty.MARK[1]}\n".encode() in message and faulty.BODY.strip() in message \
        and ORIGINAL.encode() not in message


def table(cells):
    found = {(cell.way, cell.fault, cell.stage): cell.word() for cell in cells}
    lines = ["filter  at        " + "".join(f"{way:12}" for way in WAYS)]
    for fault, stage in [*CELLS, ABSENT]:
        lines.append(f"{fault:7} {stage:9} " + "".join(f"{found.get((way, fault, stage), ''):12}" for way in WAYS).rstrip())
    return "\n".join(lines)


# ---- the ways in ----

def smtp_cells(world, way):
    cells = [Cell(way, *cell) for cell in [*CELLS, ABSENT]]
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as clients:
        for cell, answer in zip(cells, clients.map(lambda cell: speak(world, cell), cells)):
            cell.answer = answer
            if cell.fault != "slow":
                cell.look(world)
    return cells


def speak(world, cell, open_=""):
    """One message by SMTP; the reply that decided."""
    absent = cell.fault == "absent"
    port = world.ways[cell.way + ("-absent" if absent else open_)]
    source = "127.0.0.1" if absent else faulty.address_of(cell.fault, cell.stage)
    session = None
    try:
        session = smtplib.SMTP("127.0.0.1", port, "client.kota.example", timeout=30, source_address=(source, 0))
        for command, say in (("EHLO", session.ehlo), ("MAIL", lambda: session.mail(SENDER)),
                             ("RCPT", lambda: session.rcpt(cell.recipient)), (".", lambda: session.data(cell.message))):
            reply = client.Reply(command, *say())
            if not reply.good:
                break
        return reply
    except smtplib.SMTPResponseException as refused:
        return client.Reply("DATA", refused.smtp_code, refused.smtp_error)
    except smtplib.SMTPServerDisconnected as lost:
        return client.Reply("", 421, f"connection lost: {lost}")
    finally:
        if session:
            session.close()


def submit(world, cells):
    for cell in cells:
        done = world.mta.sendmail(OTHER_UID, cell.message, "-i", "-f", SENDER, cell.recipient)
        suite.equal(done.returncode, 0, done.stderr)


def met(world, name):
    """The faults that the filter has met, each with the sender it knew by then."""
    return re.findall(r"^met (\S+) ", sendmail.read(world.faulty_log(name)), re.M)


def pickup_cells(world):
    """
    All at once: Postfix's pickup hands over one message at a time, and each meets the next fault of the
    plan. While the filter is not there at all, nothing goes out; then it starts.
    """
    cells = [Cell("pickup", *cell) for cell in [*CELLS, ABSENT]]
    submit(world, cells)
    world.wait_logged(rf"postfix/cleanup\S*: warning: connect to Milter service unix:{re.escape(world.socket('pickup'))}", 30)
    for cell in cells:
        cell.look(world)
        suite.equal(cell.at_fault, [], "delivered although nobody was there to judge")
    world.start_faulty("pickup", CELLS)
    # What was delivered is judged at the end; which fault a message met, only the filter's log knows.
    deadline.until("every fault on the way of pickup to be met", lambda: len(met(world, "pickup")) == len(CELLS), 60)
    suite.equal(sorted(met(world, "pickup")), sorted(f"{fault}-{stage}" for fault, stage in CELLS), "faults met")
    return cells


def command_cells(world):
    """Sendmail's command: each from an address of its own, so that each meets its own fault; then a queue run."""
    cells = [Cell("command", *cell) for cell in CELLS]
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME // 2) as commands:
        list(commands.map(lambda cell: run_command(world, cell), cells))
    waiting = {cell.token for cell in cells if any(cell.recipient in control for control in world.sendmail.command_queue())}
    suite.equal(waiting, {cell.token for cell in cells if cell.fault != "slow"}, "messages in the command's queue")
    for cell in cells:
        if cell.fault != "slow":
            cell.look(world)
    world.sendmail.command("-q")
    return cells


def run_command(world, cell):
    source = faulty.address_of(cell.fault, cell.stage)
    return world.sendmail.command("-i", f"-OClientPortOptions=Family=inet,Addr={source}", "-f", SENDER, cell.recipient,
                                  message=cell.message.replace(b"\r\n", b"\n"))


# ---- the matrix ----

def make_world(place):
    return World(place).make().start()


def add_cells():
    for way in WAYS:
        for fault, stage in [*CELLS, ABSENT]:
            if (way, fault) == ("command", "absent"):
                continue
            def look(world, where=(way, fault, stage)):
                trouble = world.cell(*where).trouble()
                suite.check(not trouble, trouble)
            at = "" if fault == "absent" else f" at {stage}"
            suite.test(f"matrix, {way}: {fault}{at}")(look)


add_cells()


# ---- control: the same checker, where the default action lets mail through ----

def seen_unjudged(world, cells):
    world.wait_idle()
    for cell in cells:
        cell.look_again(world)
    missed = [cell.token for cell in cells if "has not judged it" not in cell.trouble()]
    suite.equal(missed, [], "messages without a judgement that the checker did not see")


def dead_cells(way):
    cells = [Cell(way, "dead", stage) for stage in STAGES]
    for cell in cells:
        cell.recipient = f"kontrol-{cell.recipient}"
    return cells


@suite.test("control: with milter_default_action=accept on smtpd every dead filter is seen to let mail through")
def _(world):
    cells = dead_cells("postfix")
    for cell in cells:
        cell.answer = speak(world, cell, "-open")
    seen_unjudged(world, cells)


@suite.test("control: with milter_default_action=accept on pickup every dead filter is seen to let mail through")
def _(world):
    world.filters["pickup"].stop()
    cells = dead_cells("pickup")
    world.start_faulty("pickup", [(cell.fault, cell.stage) for cell in cells])
    with world.other_pickup(action="accept"):
        submit(world, cells)
        seen_unjudged(world, cells)


@suite.test("control: without F=T on Sendmail every dead filter is seen to let mail through")
def _(world):
    cells = dead_cells("sendmail")
    for cell in cells:
        cell.answer = speak(world, cell, "-open")
    seen_unjudged(world, cells)


@suite.test("control: without F=T a dead filter is seen to let the mail of Sendmail's command through")
def _(world):
    world.sendmail.write_submit(world.ways["sendmail-open"])
    cells = dead_cells("command")
    for cell in cells:
        run_command(world, cell)
    seen_unjudged(world, cells)


# ---- the real filter ----

REAL_WAYS = {"postfix": "postfix-short", "sendmail": "documented"}
MOMENTS = ("connect", "MAIL", "DATA", "end of message")


def test(name):
    """A test that begins and ends with everything running."""
    def keep(function):
        def prepared(world):
            try:
                function(world)
            finally:
                for daemon in (*world.milters.values(), world.keyd):
                    if daemon.running():
                        daemon.send(signal.SIGCONT)
                world.ensure_running()
        return suite.test(name)(prepared)
    return keep


def begin(world, way, moment, token):
    """A session that stands right before the given moment, and what remains to be said on it."""
    message = mail.plain(BUDI.address, SITI, f"{token}-{way}")
    port = REAL_WAYS[way]
    if moment == "connect":
        return lambda: world.send(BUDI.login, BUDI.password, message, BUDI.address, [SITI], port=port)
    session = world.session(BUDI.login, BUDI.password, port=port)
    suite.check(session.good, client.Outcome(session.replies))
    if moment == "MAIL":
        return lambda: session.send(BUDI.address, [SITI], message)
    suite.check(session.mail(BUDI.address).good and session.rcpt(SITI).good, session.replies[-1])
    if moment == "DATA":
        return lambda: client.Outcome([session.data(message)])
    session.begin_data(message)
    return lambda: client.Outcome([end_data(session)])


def end_data(session):
    try:
        session.smtp.sock.sendall(b".\r\n")
        return session.note(".", session.smtp.getreply())
    except smtplib.SMTPServerDisconnected as lost:
        return session.note(".", (421, f"connection lost: {lost}"))


def outcomes(world, moment, token, fault):
    """Both mail servers at once: to the moment, the fault, and the rest."""
    rests = [begin(world, way, moment, token) for way in REAL_WAYS]
    fault()
    with concurrent.futures.ThreadPoolExecutor(len(rests)) as sessions:
        return [rest.result() for rest in [sessions.submit(rest) for rest in rests]]


def never_delivered(world, token, found):
    for outcome in found:
        suite.check(not outcome.accepted and 400 <= outcome.last.code < 500, f"wanted 4xx, found:\n{outcome}")
    world.wait_idle()
    suite.equal(world.mailbox(SITI, f"<{token}-".encode()), [], "delivered")


def sealed_on_both(world, token):
    for way, port in REAL_WAYS.items():
        message = mail.plain(BUDI.address, SITI, f"{token}-{way}")
        outcome = world.send(BUDI.login, BUDI.password, message, BUDI.address, [SITI], port=port)
        suite.check(outcome.accepted, outcome)
    sealed_once(world, token)


def sealed_once(world, token):
    world.wait_idle()
    arrived = world.mailbox(SITI, f"<{token}-".encode())
    suite.equal(len(arrived), len(REAL_WAYS), "messages delivered")
    for message in arrived:
        verdict = judge.openssl_verify(message, world.authority.root_file)
        suite.check(verdict.ok and verdict.signer == BUDI.cert, verdict)


def add_real():
    for word, fault in (("killed", lambda daemon: daemon.kill()), ("stopped", lambda daemon: daemon.send(signal.SIGSTOP))):
        for moment in MOMENTS:
            def run(world, word=word, fault=fault, moment=moment):
                token = f"{word}-{moment.replace(' ', '-')}"
                found = outcomes(world, moment, token, lambda: fault(world.milter))
                if word == "stopped":
                    world.milter.send(signal.SIGCONT)
                world.ensure_running()
                sealed_on_both(world, "after-" + token)
                never_delivered(world, token, found)
            test(f"the filter {word} before {moment}: refused by both servers, never delivered; back, both seal")(run)


add_real()


@test("the key agent stopped for longer than the mail servers wait: refused by both, never delivered, also when it goes on")
def _(world):
    found = outcomes(world, "end of message", "agen-diam", lambda: world.keyd.send(signal.SIGSTOP))
    world.keyd.send(signal.SIGCONT)
    sealed_on_both(world, "agen-jalan")
    never_delivered(world, "agen-diam", found)


@test("the key agent stopped for a moment: sealed by both, delivered once")
def _(world):
    def stop_and_go():
        world.keyd.send(signal.SIGSTOP)
        going_on.start()
    going_on = threading.Timer(0.5, lambda: world.keyd.send(signal.SIGCONT))
    for outcome in outcomes(world, "end of message", "agen-lambat", stop_and_go):
        suite.check(outcome.accepted, outcome)
    going_on.join()
    sealed_once(world, "agen-lambat")


@test("the local role's filter stopped: mail of Postfix's command waits, and goes out sealed, once")
def _(world):
    with world.other_pickup(filter_=None):
        local = world.milters["local"]
        local.send(signal.SIGSTOP)
        message = letter(APP.address, SITI, token="lokal-diam").replace(b"\r\n", b"\n")
        done = world.mta.sendmail(OTHER_UID, message, "-i", "-f", APP.address, SITI)
        suite.equal((done.returncode, done.stderr), (0, b""), "sendmail")
        world.wait_logged(rf"postfix/cleanup\S*: warning: milter unix:{re.escape(world.mta.sockets['local'])}: can't read")
        suite.equal(world.mailbox(SITI, b"<lokal-diam.1@"), [], "delivered while the filter was stopped")
        local.send(signal.SIGCONT)
        world.wait_delivered(SITI, b"<lokal-diam.1@")
        world.wait_idle()
    [arrived] = world.mailbox(SITI, b"<lokal-diam.1@")
    verdict = judge.openssl_verify(arrived, world.authority.root_file)
    suite.check(verdict.ok and verdict.signer == APP.cert, verdict)


if __name__ == "__main__":
    sys.exit(sendmail.main(make_world))
