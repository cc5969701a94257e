"""Mail through segel-split: sealed by segel-milter, queued by a real Postfix, one recipient at a time, and back to Postfix.

What the next hop took is read from its mailbox or from nexthop.py's folder, never from what segel-split says.
"""

import contextlib
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import deadline
import nexthop
import splitter
import suite
from gateway import Account
from world import letter, parsed


def make_world(place):
    return splitter.Splitter(place, [Account("dinas"), Account("sekda")]).make().start()


def pending(world):
    """How many copies were handed on, and nobody knows more yet."""
    return rows(world).get(1, 0)


def rows(world):
    with contextlib.closing(sqlite3.connect(f"file:{world.state}/split.db?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT state, count(*) FROM copy GROUP BY state"))


@suite.test("sealed, one recipient: arrives through Postfix, still sealed")
def _(world):
    world.to_postfix()
    world.submit("satu", ["warga@penerima.example"])
    message, = world.wait_delivered("warga@penerima.example", b"X-Token: satu\n")
    suite.equal(parsed(message).get_content_type(), "multipart/signed", "what arrived")
    line, = world.lines_about("warga@penerima.example")
    suite.check(re.search(r": action=accept .*from=dinas@kota.example signer=[0-9a-f]{64} class=\w+ encrypted=no .*answer=\"250 ", line), line)


@suite.test("segel-split is away, and Postfix has a relay to fall back to: nothing goes there")
def _(world):
    world.to_next()
    world.mta.command("postconf", "-e", f"smtp_fallback_relay=[127.0.0.1]:{world.split_ports['next']}")
    world.mta.command("postfix", "reload")
    world.split.stop()
    try:
        world.submit("cadangan", ["cadangan@penerima.example"])
        line = world.wait_logged(r"segel-split/smtp\[.*to=<cadangan@penerima.example>.*status=(sent|deferred).*").group(0)
        suite.equal((world.taken("cadangan"), "status=deferred" in line), ([], True), f"past segel-split: {line}")
    finally:
        world.start_split()
        world.mta.command("postconf", "-X", "smtp_fallback_relay")
        world.mta.command("postfix", "reload")
        world.mta.command("postqueue", "-f")
    world.wait_taken("cadangan")


@suite.test("the envelope goes on as it came: parameters of reports, XFORWARD, the queue id")
def _(world):
    world.to_next()
    message = world.sealed("sampul")
    code, text = world.hand(message, "tujuan@penerima.example", sender="dinas@kota.example",
                            forward="NAME=pc.kota.example ADDR=192.0.2.7 IDENT=4XyZ1 SOURCE=LOCAL HELO=[UNAVAILABLE]",
                            options=["SIZE=5000", "BODY=8BITMIME", "RET=HDRS", "ENVID=a+2Bb"],
                            rcpt_options=["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;asli@penerima.example"])
    suite.equal((code, text), (250, "2.0.0 Taken"), "reply")
    one = world.taken("sampul")[-1]
    suite.check(re.fullmatch(r"MAIL FROM:<dinas@kota\.example> SIZE=\d+ BODY=8BITMIME RET=HDRS ENVID=a\+2Bb", one["mail"]), one["mail"])
    suite.equal(one["rcpt"], ["RCPT TO:<tujuan@penerima.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;asli@penerima.example"], "RCPT")
    suite.equal(one["xforward"], "XFORWARD NAME=pc.kota.example ADDR=192.0.2.7 HELO=[UNAVAILABLE] IDENT=4XyZ1 SOURCE=LOCAL", "XFORWARD")
    suite.equal(one["message"], message, "the message")
    suite.check(world.said("4XyZ1: action=accept "), "the queue id is missing in the log")


@suite.test("a real Postfix tells its queue id, and the next hop hears it")
def _(world):
    world.to_next()
    world.submit("antrean", ["warga@penerima.example"])
    one = world.wait_taken("antrean")[0]
    ident = re.search(r" IDENT=(\w+)", one["xforward"])
    suite.check(ident and f"{ident[1]}: from=<dinas@kota.example>" in world.maillog(), one["xforward"])
    deadline.until("the queue id in segel-split's log", lambda: world.said(ident[1] + ": action=accept "))


@suite.test("what nobody of ours sealed is refused: no seal, changed, another's certificate, a changed From, two Froms")
def _(world):
    message = world.sealed("segel")
    plain = letter("dinas@kota.example", "x@penerima.example", token="polos")
    cases = {
        "no seal": plain,
        "a changed word": message.replace(b"Isi surat", b"Isi suraT"),
        "a changed From": message.replace(b"From: dinas@kota.example\r\nTo", b"From: sekda@kota.example\r\nTo", 1),
        "a changed Subject": message.replace(b"\r\nSubject: Surat\r\n", b"\r\nSubject: Lain\r\n", 1),
        "two Froms": b"From: sekda@kota.example\r\n" + message,
        "text before it": message.replace(b"\r\n\r\n", b"\r\nContent-Description: x\r\nContent-Type: text/plain\r\n\r\n", 1),
    }
    for name, changed in cases.items():
        suite.check(changed != message, f"{name}: nothing changed")
        code, text = world.hand(changed, "korban@penerima.example")
        suite.check(code == 550 and text.startswith("5.") and "SEAL_REQUIRED" in text, f"{name}: {code} {text}")
    suite.equal([one for one in nexthop.taken(world.taken_folder) if "korban" in str(one["rcpt"])], [], "handed on")
    code, text = world.hand(message, "korban@penerima.example")
    suite.equal(code, 250, f"the sealed one: {text}")


@suite.test("split.unsealed = defer: it waits instead")
def _(world):
    world.to_next()
    world.configure(split_more='unsealed = "defer";')
    try:
        code, text = world.hand(letter("dinas@kota.example", "x@penerima.example"), "x@penerima.example")
        suite.check(code == 451 and "SEAL_REQUIRED" in text, f"{code} {text}")
    finally:
        world.configure(split_more="")


@suite.test("pretend: what comes goes on as it came, and the log says what would have been")
def _(world):
    world.to_next()
    plain = letter("dinas@kota.example", "x@penerima.example", token="pura")
    suite.equal(world.hand(plain, "pura@penerima.example")[0], 550, "before")
    world.configure(other="pretend = true;")
    try:
        suite.equal(world.hand(plain, "pura@penerima.example")[0], 250, "pretending")
        suite.equal([one["message"] for one in world.taken("pura")], [plain], "what went on")
        line = world.lines_about("pura@penerima.example")[-1]
        suite.check("action=accept reason=SEAL_REQUIRED " in line and " pretend=yes " in line, line)
    finally:
        world.configure(other="")
    suite.equal(world.hand(plain, "pura2@penerima.example")[0], 550, "afterwards")


@suite.test("a certificate that is held between seal and delivery counts at once, and no longer when the hold ends")
def _(world):
    message = world.sealed("tahan")
    cert = world.accounts[0].cert
    world.must("cert", "hold", cert, "--reason", "uji")
    try:
        code, text = world.hand(message, "a@penerima.example")
        suite.check(code == 550 and "not in force" in text, f"{code} {text}")
    finally:
        world.must("cert", "unhold", cert, "--reason", "selesai")
    suite.equal(world.hand(message, "a@penerima.example")[0], 250, "after the hold")


@suite.test("the same copy a second time: 250, and not sent again; another recipient, sender, queue id or byte is another copy")
def _(world):
    message = world.sealed("ulang")
    before = len(world.taken("ulang"))
    for n in range(3):
        code, text = world.hand(message, "dua@penerima.example", forward="IDENT=Q1")
        suite.equal(code, 250, f"time {n}: {text}")
    suite.equal(len(world.taken("ulang")) - before, 1, "copies at the next hop")
    suite.equal(len(world.said("Q1: action=repeat ")), 2, "repeats in the log")
    for what, options in {"recipient": {"recipient": "tiga@penerima.example", "forward": "IDENT=Q1"},
                          "queue id": {"recipient": "dua@penerima.example", "forward": "IDENT=Q2"},
                          "sender": {"recipient": "dua@penerima.example", "forward": "IDENT=Q1", "sender": "sekda@kota.example"}}.items():
        code, text = world.hand(message, **options)
        suite.equal(code, 250, f"another {what}: {text}")
    world.hand(b"Received: by x\r\n" + message, "dua@penerima.example", forward="IDENT=Q1")
    suite.equal(len(world.taken("ulang")) - before, 5, "copies at the next hop")


@suite.test("the next hop's answers: 4xx and 5xx as they are, anything else is 451; then it arrives")
def _(world):
    message = world.sealed("jawab")
    wanted = {"450": (450, "4.2.0 Mailbox busy"), "550": (550, "5.7.1 Not wanted here"), "rcpt550": (550, "5.1.1 Nobody here"),
              "many": (554, "5.7.1 Not wanted\n5.7.1 here\n5.7.1 at all"), "cut": (451, None), "421": (451, None), "bare": (451, None),
              "garbage": (451, None), "double": (451, None)}
    for mode, (code, text) in wanted.items():
        world.set_mode(mode)
        found = world.hand(message, f"{mode}@penerima.example", options=["BODY=8BITMIME", "RET=HDRS"])
        suite.equal(found[0], code, f"{mode}: {found}")
        suite.check(text is None or found[1] == text, f"{mode}: {found}")
        suite.equal([one for one in world.taken("jawab") if mode in one["rcpt"][0]], [], f"{mode}: taken")
        world.set_mode("good")
        suite.equal(world.hand(message, f"{mode}@penerima.example", options=["BODY=8BITMIME", "RET=HDRS"])[0], 250, f"{mode}: afterwards")
        suite.equal(len([one for one in world.taken("jawab") if mode in one["rcpt"][0]]), 1, f"{mode}: taken afterwards")


@suite.test("the next hop hangs: 451 in time; it is slow: 250 all the same; it takes it without a word: sent again, and said so")
def _(world):
    message = world.sealed("lambat")
    world.configure(next_timeout="3s")
    try:
        world.set_mode("hang")
        began = time.monotonic()
        code, _ = world.hand(message, "hang@penerima.example")
        suite.check(code == 451 and 2.5 < time.monotonic() - began < 8, f"{code} after {time.monotonic() - began:.1f} s")
        world.set_mode("slow")
        suite.equal(world.hand(message, "slow@penerima.example")[0], 250, "slow")
        world.set_mode("lost")
        suite.equal(world.hand(message, "lost@penerima.example")[0], 451, "lost")
        world.set_mode("good")
        suite.equal(world.hand(message, "lost@penerima.example")[0], 250, "lost, again")
        suite.equal(len([one for one in world.taken("lambat") if "lost@" in one["rcpt"][0]]), 2, "copies of the lost one")
        suite.check(any(" again=yes " in line for line in world.lines_about("lost@penerima.example")), "not said")
    finally:
        world.configure(next_timeout="10s")


@suite.test("asked for again while it is on its way: 451, and it arrives once")
def _(world):
    message = world.sealed("bersama")
    world.set_mode("slow")
    before = pending(world)
    answers = []
    first = threading.Thread(target=lambda: answers.append(world.hand(message, "b@penerima.example")[0]))
    first.start()
    deadline.until("the first to be pending", lambda: pending(world) > before)
    suite.equal(world.hand(message, "b@penerima.example")[0], 451, "the second")
    first.join()
    suite.equal(answers, [250], "the first")
    world.set_mode("good")
    suite.equal(world.hand(message, "b@penerima.example")[0], 250, "afterwards")
    suite.equal(len([one for one in world.taken("bersama") if "b@penerima" in one["rcpt"][0]]), 1, "copies")


@suite.test("the registry is away: deferred, and delivered when it is back")
def _(world):
    message = world.sealed("daftar")
    hidden = world.registry + ".hidden"
    os.rename(world.registry, hidden)
    try:
        code, text = world.hand(message, "c@penerima.example")
        suite.check(code == 451 and "REG_UNAVAILABLE" in text, f"{code} {text}")
    finally:
        os.rename(hidden, world.registry)
    suite.equal(world.hand(message, "c@penerima.example")[0], 250, "afterwards")


@suite.test("the memory was taken away: everything is deferred, nothing is sent, until it is back")
def _(world):
    message = world.sealed("ingatan")
    before = len(world.taken("ingatan"))
    database = os.path.join(world.state, "split.db")
    os.rename(database, database + ".away")
    try:
        code, text = world.hand(message, "d@penerima.example")
        suite.check(code == 451 and "memory" in text, f"{code} {text}")
        suite.equal(len(world.taken("ingatan")), before, "sent")
    finally:
        os.rename(database + ".away", database)
    suite.equal(world.hand(message, "d@penerima.example")[0], 250, "afterwards")


@suite.test("the disk is full: deferred, nothing is sent; then delivered")
def _(world):
    if not world.place.isolated:
        return
    message = world.sealed("penuh")
    world.split.stop()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=8m,mode=2750,uid={splitter.SPLIT_UID},gid={splitter.SPLIT_UID}", "tmpfs", world.state], check=True)
    try:
        world.start_split()
        suite.equal(world.hand(message, "e0@penerima.example")[0], 250, "before")
        with contextlib.suppress(OSError), open(os.path.join(world.state, "filler"), "wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
        replies = [world.hand(message, f"e{i}@penerima.example") for i in range(1, 40)]
        full = [i for i, (code, _) in enumerate(replies, 1) if code == 451]
        suite.check(full and replies[full[0] - 1][1].startswith("4.3.0"), f"never full: {replies[-1]}")
        sent = {one["rcpt"][0] for one in world.taken("penuh")}
        suite.equal([i for i in full if f"RCPT TO:<e{i}@penerima.example>" in sent], [], "deferred, but sent")
        os.unlink(os.path.join(world.state, "filler"))
        for i in full:
            suite.equal(world.hand(message, f"e{i}@penerima.example")[0], 250, f"e{i} afterwards")
        counts = [sum(f"<e{i}@" in one["rcpt"][0] for one in world.taken("penuh")) for i in range(0, 40)]
        suite.equal(counts, [1] * 40, "copies of each")
    finally:
        world.split.stop()
        subprocess.run(["umount", world.state], check=True)
        world.start_split()


@suite.test("smuggling through a real connection: nothing inside a message ever becomes a second one")
def _(world):
    message = world.sealed("selundup")
    inner = b"MAIL FROM:<jahat@x>\r\nRCPT TO:<korban@y>\r\nDATA\r\nFrom: a\r\n\r\njahat\r\n.\r\n"
    for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r\n\x00.\r\n"):
        with socket.create_connection(("127.0.0.1", world.split_ports["split"]), timeout=60) as sock:
            talk = sock.makefile("rwb")
            talk.readline()
            for line in (b"HELO x\r\n", b"MAIL FROM:<dinas@kota.example>\r\n", b"RCPT TO:<s@penerima.example>\r\n", b"DATA\r\n"):
                talk.write(line)
                talk.flush()
                said = talk.readline()
            suite.equal(said[:3], b"354", "DATA")
            talk.write(message + b"x" + end + inner)
            talk.flush()
            reply = talk.readline()
            suite.equal(reply[:9], b"554 5.6.0", f"{end!r}: {reply!r}")
            talk.write(b"QUIT\r\n")
            talk.flush()
            suite.equal(talk.readline()[:3], b"221", f"{end!r}: the connection is where it was")
    suite.equal([one for one in nexthop.taken(world.taken_folder) if "korban@y" in str(one["rcpt"]) or "jahat" in one["mail"]], [], "smuggled")


def drip(sock, piece):
    """One byte at a time, until something comes back: what, and after how many seconds."""
    began = time.monotonic()
    sock.settimeout(0.05)
    while time.monotonic() < began + 20:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(piece)
        with contextlib.suppress(TimeoutError):
            return sock.recv(4096), time.monotonic() - began
    return b"", 20.0


@suite.test("whoever drips is cut off in time, in a command, in a message and in silence")
def _(world):
    world.configure(timeout="2s")
    begin = [b"EHLO x\r\n", b"MAIL FROM:<dinas@kota.example>\r\n", b"RCPT TO:<s@penerima.example>\r\n", b"DATA\r\n"]
    try:
        for name, before, piece in (("a command", [], b"N"), ("a message", begin, b"x"), ("silence", begin[:1], b"")):
            with socket.create_connection(("127.0.0.1", world.split_ports["split"]), timeout=60) as sock:
                suite.equal(sock.recv(4096)[:4], b"220 ", "greeting")
                for line in before:
                    sock.sendall(line)
                    suite.check(sock.recv(4096)[:1] in (b"2", b"3"), line)
                said, seconds = drip(sock, piece)
                suite.check(said == b"421 4.4.2 Too slow\r\n" and 1 < seconds < 6, f"{name}: {said!r} after {seconds:.1f} s")
    finally:
        world.configure(timeout="60s")
    suite.equal(world.hand(world.sealed("pelan"), "s@penerima.example")[0], 250, "the next one")


@suite.test("TERM: an idle connection is told, a message in hand is finished")
def _(world):
    message = world.sealed("henti")
    world.set_mode("slow")
    idle = socket.create_connection(("127.0.0.1", world.split_ports["split"]), timeout=60)
    idle.recv(4096)
    before = pending(world)
    answers = []
    sender = threading.Thread(target=lambda: answers.append(world.hand(message, "t@penerima.example")[0]))
    sender.start()
    deadline.until("it to be pending", lambda: pending(world) > before)
    world.split.send(signal.SIGTERM)
    suite.equal(idle.recv(4096)[:9], b"421 4.3.2", "what the idle one hears")
    sender.join()
    suite.equal(answers, [250], "the message in hand")
    deadline.until("the end", world.split.ended)
    suite.equal(world.split.process.returncode, 0, "exit status")
    idle.close()
    world.set_mode("good")
    world.start_split()


@suite.test("more connections than split.max_connections: 421, and the others go on")
def _(world):
    held = []
    with contextlib.ExitStack() as stack:
        for _ in range(110):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", world.split_ports["split"]), timeout=60))
            held.append(sock.recv(4096)[:3])
        suite.equal((held.count(b"220"), held.count(b"421")), (100, 10), "greetings")
    message = world.sealed("batas")
    suite.check(message, "afterwards")


@suite.test("a UNIX socket instead of a port: Postfix hands over by LMTP")
def _(world):
    world.to_next()
    world.make_folder("split-socket", splitter.SPLIT_UID, world.mta.gid)
    path = world.path("split-socket", "split.sock")
    service = f"127.0.0.1:{world.mta.ports['submission']}/inet"
    smtp = world.mta.command("postconf", "-M", "segel-split/unix").strip()

    def through(content_filter, line):
        world.mta.command("postconf", "-P", f"{service}/content_filter={content_filter}")
        world.mta.command("postconf", "-M", f"segel-split/unix={line}")
        world.mta.daemon.send(signal.SIGHUP)
    world.split.stop()
    world.split_config_text(f'socket = "127.0.0.1:{world.split_ports["split"]}";', f'socket = "{path}"; socket_group = "{world.mta.gid}";')
    try:
        world.start_split_at(lambda: deadline.unix_socket_answers(path))
        suite.equal(oct(os.stat(path).st_mode & 0o777), "0o660", "mode of the socket")
        through(f"segel-split:unix:{path}", re.sub(r" smtp -o", " lmtp -o", re.sub(r"\s+", " ", smtp)).replace("smtp_", "lmtp_"))
        world.submit("soket", ["warga@penerima.example", "kawan@penerima.example"])
        letters = world.wait_taken("soket", 2)
        suite.equal(sorted(one["rcpt"][0].split(" ")[1] for one in letters), ["TO:<kawan@penerima.example>", "TO:<warga@penerima.example>"], "recipients")
        suite.check(all(" IDENT=" in one["xforward"] for one in letters), "XFORWARD")
        suite.check(f"relay=mail.kota.example[{path}]" in world.maillog(), "Postfix went another way")
    finally:
        world.split.stop()
        suite.check(not os.path.exists(path), "the socket stays behind")
        through(f"segel-split:[127.0.0.1]:{world.split_ports['split']}", smtp)
        world.write_config()
        world.start_split()


@suite.test("settings that cannot be: -n and HUP say so, and the old ones stay")
def _(world):
    good = open(world.split_config, encoding="utf-8").read()
    bad = world.path("bad.conf")
    for name, change in {"no loopback": ('next_hop = "127.0.0.1', 'next_hop = "192.0.2.1'), "another's field": ("split: {", 'split: { trigger = "Subject";'),
                         "no folder": (world.state, "/tidak/ada"), "not absolute": (f'state_dir = "{world.state}', 'state_dir = "state')}.items():
        suite.check(change[0] in good, name)
        with open(bad, "w", encoding="utf-8") as out:
            out.write(good.replace(*change))
        done = subprocess.run([*world.split.command[:world.split.command.index("-c")], "-c", bad, "-n"], capture_output=True, timeout=30)
        suite.check(done.returncode == 1 and b"split." in done.stderr, f"{name}: {done}")
    done = subprocess.run([*world.split.command[:world.split.command.index("-c")], "-c", world.split_config, "-n"], capture_output=True, timeout=30)
    suite.check(done.returncode == 0 and done.stdout.endswith(b": good\n"), str(done))


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
