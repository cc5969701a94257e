"""daemon: one long-running program with its log file, started and ended by process id."""

import os
import signal
import subprocess

import deadline


class Daemon:
    """Leads a process group of its own, so that its children are known as well."""

    def __init__(self, name, command, log, env=None):
        self.name = name
        self.command = command
        self.log = log
        self.env = env
        self.process = None

    def start(self, ready, seconds=90.0):
        """Starts it and waits for ready(); an early end is reported with its last words."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.env, start_new_session=True)
        try:
            deadline.until(f"{self.name} to answer", lambda: self.ended() or ready(), seconds)
        except deadline.Late as late:
            raise deadline.Late(f"{late}; its log ends:\n{self.last_words()}") from None
        if self.ended():
            raise RuntimeError(f"{self.name} ended at start with status {self.process.returncode}:\n{self.last_words()}")

    def running(self):
        return self.process is not None and not self.ended()

    def ended(self):
        return self.process.poll() is not None

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, seconds=60.0):
        """Asks it to end, waits, and ends by force what is left. Returns its exit status."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.end_group(process.pid)
        return process.returncode

    def kill(self):
        process, self.process = self.process, None
        process.kill()
        process.wait()
        self.end_group(process.pid)

    def end_group(self, group):
        if deadline.living_in_group(group):
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                return
            deadline.until(f"the children of {self.name} to end", lambda: not deadline.living_in_group(group))

    def text(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def last_words(self, lines=15):
        return "\n".join("    " + line for line in self.text().splitlines()[-lines:])
