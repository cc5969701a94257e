"""shim: bad luck for one daemon of a world: failing fsync, a wrong clock (shim.c)."""

import contextlib
import os
import re
import subprocess
import tempfile

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shim.c")


def build(world):
    os.makedirs(world.path("bin"), exist_ok=True)
    target = world.path("bin", "shim.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-o", target, SOURCE, "-ldl"], check=True, stdin=subprocess.DEVNULL)
    return target


def sanitizer_of(program):
    """A sanitizer's library wants to come first."""
    needed = subprocess.run(["ldd", program], capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout.decode()
    return re.findall(r"=> (/\S*lib[at]san\S*)", needed)


class Luck:
    """A folder whose files say what goes wrong in a program."""

    def __init__(self, folder):
        self.folder = folder

    def set(self, name, value=""):
        # Never a half-written number.
        with open(os.path.join(self.folder, name + ".new"), "w", encoding="ascii") as file:
            file.write(str(value))
        os.rename(os.path.join(self.folder, name + ".new"), os.path.join(self.folder, name))

    def clear(self, name):
        os.unlink(os.path.join(self.folder, name))


@contextlib.contextmanager
def shimmed(world, daemon, start):
    """The daemon, started anew with the shim (world.shim) in it; afterwards stopped, and as it was."""
    folder = tempfile.mkdtemp(prefix="shim-", dir=world.folder)
    os.chmod(folder, 0o755)
    before = list(daemon.command)
    program = before.index("--") + 1
    preload = ":".join(sanitizer_of(before[program]) + [world.shim])
    daemon.stop()
    daemon.command[program:program] = ["env", f"LD_PRELOAD={preload}", f"SEGEL_SHIM={folder}"]
    try:
        start()
        yield Luck(folder)
    finally:
        daemon.command[:] = before
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        if daemon.process is not None:
            daemon.stop()
