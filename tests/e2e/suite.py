"""suite: named tests in a file of their own, and the summary that tests/run reads.

    @suite.test("a wrong password is refused")
    def _(world): ...

    if __name__ == "__main__":
        sys.exit(suite.main(make_world))
"""

import os
import sys
import time
import traceback

import place

TESTS = []


class Failed(AssertionError):
    """What was found is not what was wanted."""


def test(name):
    def keep(function):
        TESTS.append((name, function))
        return function
    return keep


def check(holds, text):
    if not holds:
        raise Failed(str(text))


def equal(found, wanted, what):
    if found != wanted:
        raise Failed(f"{what}: found {found!r}, wanted {wanted!r}")


def main(make_world):
    """Runs every test of the calling file, or those whose name holds the first argument."""
    return place.run(lambda where: run_all(where, make_world))


def run_all(where, make_world):
    chosen = [(name, function) for name, function in TESTS if not sys.argv[1:] or sys.argv[1] in name]
    passed = 0
    world = None
    try:
        world = make_world(where)
        passed = sum(run_one(world, name, function) for name, function in chosen)
    except Exception:  # the world could not be made: every test failed, and why is on the page
        traceback.print_exc()
    failed = len(chosen) - passed + (0 if stopped_well(world) else 1)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 0 if failed == 0 else 1


def run_one(world, name, function):
    began = time.monotonic()
    try:
        function(world)
    except Exception as failure:
        print(f"FAIL  {name}\n{indented(failure)}", flush=True)
        return False
    print(f"ok    {name} ({time.monotonic() - began:.1f} s)", flush=True)
    return True


def indented(failure):
    text = str(failure) if isinstance(failure, Failed) else "".join(traceback.format_exception(failure)[-6:])
    return "\n".join("      " + line for line in text.rstrip().split("\n"))


def stopped_well(world):
    """Ends the world; that it ends well is one test more."""
    if world is None:
        return True
    if os.environ.get("SEGEL_KEEP"):
        print(world.maillog())
    try:
        world.stop()
    except Exception as failure:
        print(f"FAIL  everything ends well\n{indented(failure)}", flush=True)
        return False
    return True
