"""place: where a world lives, so that nothing of it stays behind.

run(main) makes a temporary folder and starts the calling script again in namespaces of its
own (network, mounts, processes), where it becomes process 1: when it ends, or is killed,
the kernel ends everything it started. Where namespaces are not permitted the script runs
as it is, on free loopback ports, one script after the other; a World then ends its processes
by their ids. Either way the folder is removed at the end, unless SEGEL_KEEP is set.
"""

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

INSIDE = "SEGEL_PLACE"
UNSHARE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]

# Numbers of our own; Debian leaves 64000-64999 to be handed out one by one.
KEYD_UID = 64001
MILTER_UID = 64002
OTHER_UID = 64003
INBOUND_UID = 64004
LOCAL_UID = 64005
TLSPOL_UID = 64006
REGISTRY_GID = 64007
REVIEWD_UID = 64008
HOLD_GID = 64031    # filters that give mail to the quarantine
REVIEW_GID = 64032  # people who review it
MAIL_UID = 64010
EGRESS_UID = 64011

# People with a UNIX login on the mail server; what each may do is told by the registry.
PEOPLE = {"rina": 64041, "joko": 64042, "wati": 64043, "bagus": 64044, "sari": 64045, "umar": 64046, "nina": 64047, "tamu": 64048}

# Names that must exist in the passwd and group files the world sees.
PASSWD_LINES = {
    "postfix": "postfix:x:64020:64020::/nonexistent:/usr/sbin/nologin",
    "smmta": "smmta:x:64022:64022::/nonexistent:/usr/sbin/nologin",
    "smmsp": "smmsp:x:64023:64023::/nonexistent:/usr/sbin/nologin",
    "segel-keyd": f"segel-keyd:x:{KEYD_UID}:{KEYD_UID}::/nonexistent:/usr/sbin/nologin",
    "segel-milter": f"segel-milter:x:{MILTER_UID}:{MILTER_UID}::/nonexistent:/usr/sbin/nologin",
    "segel-other": f"segel-other:x:{OTHER_UID}:{OTHER_UID}::/nonexistent:/usr/sbin/nologin",
    "segel-mail": f"segel-mail:x:{MAIL_UID}:{MAIL_UID}::/nonexistent:/usr/sbin/nologin",
    "segel-inbound": f"segel-inbound:x:{INBOUND_UID}:{INBOUND_UID}::/nonexistent:/usr/sbin/nologin",
    "segel-local": f"segel-local:x:{LOCAL_UID}:{LOCAL_UID}::/nonexistent:/usr/sbin/nologin",
    "segel-egress": f"segel-egress:x:{EGRESS_UID}:{EGRESS_UID}::/nonexistent:/usr/sbin/nologin",
    "segel-tlspol": f"segel-tlspol:x:{TLSPOL_UID}:{TLSPOL_UID}::/nonexistent:/usr/sbin/nologin",
    "segel-reviewd": f"segel-reviewd:x:{REVIEWD_UID}:{REVIEWD_UID}::/nonexistent:/usr/sbin/nologin",
    **{name: f"{name}:x:{uid}:{uid}::/nonexistent:/bin/sh" for name, uid in PEOPLE.items()},
}
GROUP_LINES = {
    "postfix": "postfix:x:64020:",
    "postdrop": "postdrop:x:64021:",
    "smmta": "smmta:x:64022:",
    "smmsp": "smmsp:x:64023:",
    "segel-keyd": f"segel-keyd:x:{KEYD_UID}:",
    "segel-milter": f"segel-milter:x:{MILTER_UID}:",
    "segel-other": f"segel-other:x:{OTHER_UID}:",
    "segel-mail": f"segel-mail:x:{MAIL_UID}:",
    "segel-inbound": f"segel-inbound:x:{INBOUND_UID}:",
    "segel-local": f"segel-local:x:{LOCAL_UID}:",
    "segel-egress": f"segel-egress:x:{EGRESS_UID}:",
    "segel-tlspol": f"segel-tlspol:x:{TLSPOL_UID}:",
    "segel-registry": f"segel-registry:x:{REGISTRY_GID}:segel-tlspol",
    "segel-reviewd": f"segel-reviewd:x:{REVIEWD_UID}:",
    "segel-hold": f"segel-hold:x:{HOLD_GID}:segel-inbound,segel-egress",
    "segel-review": f"segel-review:x:{REVIEW_GID}:{','.join(PEOPLE)}",
    **{name: f"{name}:x:{uid}:" for name, uid in PEOPLE.items()},
}


class Place:
    """A folder, and whether the network, the mounts and the process ids are ours alone."""

    def __init__(self, folder, isolated):
        self.folder = folder
        self.isolated = isolated


def run(main):
    """Runs main(place) in a place of its own; returns its exit status."""
    if os.geteuid() != 0:
        print("this needs root: it starts a mail server and programs under several user ids", file=sys.stderr)
        return 2
    if INSIDE in os.environ:
        return inside(main, os.environ[INSIDE])
    return outside(main)


def inside(main, folder):
    raise_loopback()
    name_users(folder)
    return main(Place(folder, isolated=True))


def outside(main):
    folder = tempfile.mkdtemp(prefix="segel-world-")
    os.chmod(folder, 0o755)  # programs under other user ids walk through it
    signal.signal(signal.SIGTERM, leave_on_signal)
    try:
        if namespaces_permitted():
            return run_isolated(folder)
        print("no namespaces permitted here: using free loopback ports", file=sys.stderr)
        with open(__file__, "rb") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)  # a port is free only until another script takes it
            return main(Place(folder, isolated=False))
    except KeyboardInterrupt:
        return 130
    finally:
        leave_folder(folder)


def leave_on_signal(number, _frame):
    sys.exit(128 + number)


def leave_folder(folder):
    if os.environ.get("SEGEL_KEEP"):
        print(f"kept: {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def namespaces_permitted():
    if os.environ.get("SEGEL_NAMESPACES") == "no":
        return False
    try:
        probe = subprocess.run(UNSHARE + ["true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


def run_isolated(folder):
    again = [sys.executable, os.path.abspath(sys.argv[0])] + sys.argv[1:]
    child = subprocess.Popen(UNSHARE + again, env={**os.environ, INSIDE: folder})
    try:
        return child.wait()
    finally:
        child.kill()  # no-op after an orderly end; otherwise ends the whole namespace
        child.wait()


def raise_loopback():
    """ifconfig lo up, without needing ifconfig."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        up_and_running = struct.pack("16sh14x", b"lo", 0x1 | 0x40)
        fcntl.ioctl(sock, 0x8914, up_and_running)  # SIOCSIFFLAGS


def name_users(folder):
    """The world sees the system's users and its own; the system's files stay as they are."""
    for path, lines in (("/etc/passwd", PASSWD_LINES), ("/etc/group", GROUP_LINES)):
        private = os.path.join(folder, os.path.basename(path))
        write_with_names(path, private, lines)
        subprocess.run(["mount", "--bind", private, path], check=True, stdin=subprocess.DEVNULL)


def write_with_names(source, target, lines):
    with open(source, encoding="utf-8", errors="surrogateescape") as system:
        text = system.read()
    there = {line.split(":", 1)[0] for line in text.splitlines()}
    missing = [line for name, line in lines.items() if name not in there]
    with open(target, "w", encoding="utf-8", errors="surrogateescape") as private:
        private.write(text.rstrip("\n") + "\n" + "".join(line + "\n" for line in missing))
