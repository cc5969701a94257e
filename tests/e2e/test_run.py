"""tests/run itself: what it counts, and what it must not take for a success."""

import importlib.machinery
import importlib.util
import os
import sys

import suite

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

PASSED = "[==========] 3 test(s) run.\n[  PASSED  ] 3 test(s).\n"
MIXED = "[==========] 3 test(s) run.\n[  PASSED  ] 2 test(s).\n[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] a\n"

# name, kind, program, passed, failed, a word of the reason ("" = a success)
ROWS = [
    ("all passed", "cmocka", f"printf '{PASSED}'", 3, 0, ""),
    ("two groups", "cmocka", f"printf '{PASSED}{PASSED}'", 6, 0, ""),
    ("one failed", "cmocka", f"printf '{MIXED}'; exit 1", 2, 1, "1 of 3 failed"),
    ("passed, then a sanitizer's exit status", "cmocka", f"printf '{PASSED}'; exit 23", 3, 1, "exit status 23"),
    ("passed, then a crash", "cmocka", f"printf '{PASSED}'; kill -SEGV $$", 3, 1, "SIGSEGV"),
    ("no count", "cmocka", "true", 0, 1, "no count"),
    ("a count of nothing", "script", "echo 0 passed, 0 failed", 0, 1, "ran no test"),
    ("never ends", "cmocka", f"printf '{PASSED}'; sleep 60 & wait", 3, 1, "took longer"),
    ("script passed", "script", "echo 5 passed, 0 failed", 5, 0, ""),
    ("script failed", "script", "echo 4 passed, 1 failed; exit 1", 4, 1, "1 of 5 failed"),
    ("script failed with status 0", "script", "echo 4 passed, 1 failed", 4, 1, "1 of 5 failed"),
    ("script without a summary", "script", "echo fine", 0, 1, "no count"),
    ("script whose summary is in mid-line", "script", "echo all 5 passed, 0 failed indeed", 0, 1, "no count"),
]


def make_world(place):
    loader = importlib.machinery.SourceFileLoader("run", os.path.join(TOP, "tests/run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
    loader.exec_module(module)
    return Runner(module, place.folder)


class Runner:
    """tests/run as a module; its name has no .py."""

    def __init__(self, module, folder):
        self.module = module
        self.minimum = os.path.join(folder, "minimum")
        module.MINIMUM = self.minimum

    def run(self, kind, program):
        count = {"cmocka": self.module.count_cmocka, "script": self.module.count_script}[kind]
        return self.module.run(self.module.Program("path", "name", ["bash", "-c", program], count, timeout=1))

    def write_minimum(self, text):
        with open(self.minimum, "w", encoding="ascii") as out:
            out.write(text)

    def stop(self):
        pass

    def maillog(self):
        return ""


def add_rows():
    for name, kind, program, passed, failed, why in ROWS:
        def counted(runner, kind=kind, program=program, wanted=(passed, failed), why=why):
            result = runner.run(kind, program)
            suite.equal((result.passed, result.failed), wanted, "passed and failed")
            suite.check(why in result.why if why else result.why is None, result.why)
        suite.test(f"{kind}: {name}")(counted)


add_rows()


@suite.test("fewer than the minimum is a failure that says so; the minimum itself is enough")
def _(runner):
    runner.write_minimum("# why\n12\n")
    suite.equal(runner.module.check_minimum(12), None, "12 of 12")
    suite.check("11 tests passed" in runner.module.check_minimum(11), "11 of 12")


@suite.test("a minimum that is missing or no number is a failure")
def _(runner):
    os.unlink(runner.minimum)
    suite.check("holds no number" in runner.module.check_minimum(1000), "missing")
    runner.write_minimum("many\n")
    suite.check("holds no number" in runner.module.check_minimum(1000), "no number")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
