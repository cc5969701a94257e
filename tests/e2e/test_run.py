"""tests/run itself: what it counts, and what it must not take for a success."""

import contextlib
import importlib.machinery
import importlib.util
import io
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
        self.order = os.path.join(folder, "order")
        self.folder = folder
        self.committed_order = module.committed_order()
        module.MINIMUM = self.minimum
        module.ORDER = self.order

    def run(self, kind, program):
        count = {"cmocka": self.module.count_cmocka, "script": self.module.count_script}[kind]
        return self.module.run(self.module.Program("path", "name", ["bash", "-c", program], count, timeout=1))

    def program(self, name, script, cmocka=False):
        count = self.module.count_cmocka if cmocka else self.module.count_script
        return self.module.Program("path", name, ["bash", "-c", script], count, timeout=30)

    def in_order(self, programs):
        return [[program.name for program in group] for group in self.module.in_order(programs)]

    def write_order(self, text):
        with open(self.order, "w", encoding="ascii") as out:
            out.write(text)

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


@suite.test("listed programs come first, then scripts, then cmocka programs; those marked alone are apart")
def _(runner):
    runner.write_order("# why\nlong (tsan)\n\nlonger\nquiet alone\n")
    programs = [runner.program(name, "true", cmocka=name.startswith("c")) for name in ("c1", "longer", "s1", "quiet", "long (tsan)", "s2")]
    suite.equal(runner.in_order(programs), [["long (tsan)", "longer", "s1", "s2", "c1"], ["quiet"]], "side by side, and alone")


@suite.test("each name in tests/order is that of a test program")
def _(runner):
    listed, alone = runner.committed_order
    suite.check(len(listed) > 10, "hardly anything is listed")
    for name in [*listed, *alone]:
        source = name.removesuffix(" (tsan)")
        suite.check(any(os.path.exists(os.path.join(TOP, source + end)) for end in ("", ".c")), f"tests/order: no {name}")


@suite.test("two programs run at the same time, and one that is marked alone only after them")
def _(runner):
    own = runner.folder
    meet = "touch {0}/{1}; for i in $(seq 500); do [ -e {0}/{2} ] && break; sleep 0.02; done; [ -e {0}/{2} ] && touch {0}/met-{1}; echo 1 passed, 0 failed"
    both = [runner.program("a", meet.format(own, "a", "b")), runner.program("b", meet.format(own, "b", "a"))]
    last = runner.program("c", f"[ -e {own}/met-a ] && [ -e {own}/met-b ] && echo 1 passed, 0 failed")
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        results = runner.module.run_all(both, [last])
    suite.equal([(result.passed, result.why) for result in results], [(1, None)] * 3, "results")
    suite.equal(len(shown.getvalue().splitlines()), 3, "lines shown")


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
