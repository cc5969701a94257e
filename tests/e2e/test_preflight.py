#!/usr/bin/python3
"""segelctl check mta on a running Postfix with its filters: what it says of them, and that a refusal is meant."""

import functools
import json
import os
import sys

import client
import suite
from gateway import Account, Gateway
from mta import documented_options
from suite import check, equal, test
from world import OTHER_DOMAIN, free_port, letter

BUDI = Account("budi")
INBOX = f"siti@{OTHER_DOMAIN}"

# name: (port, lines of its service; {documented} = those of contrib/postfix/master.cf)
SERVICES = {
    "lax": (2651, "  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_tls_auth_only=no"),
    "proxied": (2652, "{documented}\n  -o smtpd_proxy_filter=127.0.0.1:{inbound}"),
    "switched": (2653, "{documented}\n  -o receive_override_options=no_milters"),
}
SOCKET_IDS = {"filter-open", "filter-closed", "filter-silent", "filter-unseen", "filter-astray"}


class Preflight(Gateway):
    def __init__(self, place):
        super().__init__(place, [BUDI], roles=("submission", "inbound", "local"))
        documented = documented_options("master.cf", "submission", "submission", self.mta.sockets)
        with open(os.path.join(self.mta.etc, "master.cf"), "a", encoding="ascii") as master:
            for name, (port, options) in SERVICES.items():
                self.mta.ports[name] = port if place.isolated else free_port()
                text = options.format(documented=documented, inbound=self.mta.ports["inbound"])
                master.write(f"127.0.0.1:{self.mta.ports[name]} inet n - n - - smtpd\n{text}\n")

    @functools.cached_property
    def postconf(self):
        """The unpacked one needs its library."""
        program = self.mta.programs.command + "/postconf"
        if self.mta.programs.lib == "/usr/lib/postfix":
            return program
        path = self.path("postconf")
        with open(path, "w", encoding="ascii") as script:
            script.write(f'#!/bin/sh\nLD_LIBRARY_PATH={self.mta.programs.lib} exec {program} "$@"\n')
        os.chmod(path, 0o755)
        return path

    def preflight(self, *options, folder=None):
        return self.segelctl("check", "mta", "--postfix", folder or self.mta.etc, "--postconf", self.postconf, *options)

    def report(self):
        answer = self.preflight("--json")
        check(answer.code in (0, 1), answer)
        report = json.loads(answer.out)
        equal(answer.code, 1 if report["refuse"] else 0, "exit")
        return report

    def refused(self, name):
        """What stands against one service."""
        key = f"127.0.0.1:{self.mta.ports[name]}/inet"
        return {finding["id"] for finding in self.report()["findings"]
                if finding["severity"] == "refuse" and key in finding["where"].split(", ")}

    def passes(self, name, token):
        """A message of an official address through one service; sealed or not."""
        with client.Session(self.mta.ports[name], True, BUDI.login, BUDI.password) as session:
            outcome = session.send(BUDI.address, [INBOX], letter(BUDI.address, INBOX, token=token))
            check(outcome.accepted, outcome)
        return b"multipart/signed" in self.wait_delivered(INBOX, b"X-Token: " + token.encode())[0]


def make_world(place):
    return Preflight(place).make().start()


@test("the documented lines: no refusal, and each service with its filter")
def _(world):
    services = {service["service"]: service for service in world.report()["services"]}
    for name, filter_of, login in (("documented", "submission", True), ("server", "inbound", False)):
        service = services[f"127.0.0.1:{world.mta.ports[name]}/inet"]
        equal((service["filter"], service["login"]), (filter_of, login), name)
        equal(world.refused(name), set(), name)
    check(world.passes("documented", "tersegel"), "it seals")


@test("the text says the same as JSON, and exits with 1")
def _(world):
    answer = world.preflight()
    equal(answer.code, 1, str(answer))
    report = world.report()
    for finding in report["findings"]:
        check(f"\n{finding['severity']}: {finding['id']}: " in answer.out and finding["mend"] in answer.out, finding)
    check(answer.out.endswith(f"{report['refuse']} to refuse, {report['warn']} to warn of\n"), answer.out)


@test("logins without our filter: refused, and official mail leaves unsealed indeed")
def _(world):
    equal(world.refused("lax"), {"service-unfiltered"}, "refused")
    check(not world.passes("lax", "polos"), "sealed although no filter was asked")


@test("behind a before-queue proxy: refused, and official mail leaves unsealed indeed")
def _(world):
    equal(world.refused("proxied"), {"proxy-filter"}, "refused")
    check(not world.passes("proxied", "diwakili"), "sealed behind a proxy")


@test("filters switched off by no_milters: refused, and official mail leaves unsealed indeed")
def _(world):
    equal(world.refused("switched"), {"service-unfiltered"}, "refused")
    check(not world.passes("switched", "dimatikan"), "sealed although switched off")


@test("the sockets of running filters: Postfix's user reaches them, others do not")
def _(world):
    equal({finding["id"] for finding in world.report()["findings"]} & SOCKET_IDS, set(), "findings")


@test("a socket's folder opened to others: refused")
def _(world):
    folder = os.path.dirname(world.mta.sockets["inbound"])
    os.chmod(folder, 0o755)
    try:
        found = {finding["id"]: finding for finding in world.report()["findings"]}
    finally:
        os.chmod(folder, 0o2750)
    equal(found["filter-open"]["severity"], "refuse", "severity")
    check(folder in found["filter-open"]["mend"], found["filter-open"])


@test("a socket's folder that Postfix may not enter: said")
def _(world):
    folder = os.path.dirname(world.mta.sockets["inbound"])
    os.chmod(folder, 0o2700)
    try:
        found = {finding["id"]: finding for finding in world.report()["findings"]}
    finally:
        os.chmod(folder, 0o2750)
    equal(found["filter-closed"]["severity"], "warn", "severity")


@test("a filter that is stopped: nobody answers there; started, nothing is said")
def _(world):
    world.milters["inbound"].stop()
    found = [finding for finding in world.report()["findings"] if finding["id"] == "filter-silent"]
    world.start_milter("inbound")
    check(found and all(world.mta.sockets["inbound"] in finding["found"] for finding in found), found)
    check("filter-silent" not in {finding["id"] for finding in world.report()["findings"]}, "still silent")


@test("nothing is changed by looking")
def _(world):
    def state():
        paths = [os.path.join(world.mta.etc, name) for name in ("main.cf", "master.cf")]
        return [(open(path, "rb").read(), os.stat(path).st_mtime_ns) for path in paths] + sorted(os.listdir(world.mta.etc))
    before = state()
    world.report()
    equal(state(), before, "Postfix's folder")


@test("a broken master.cf is named with its line, exit 4")
def _(world):
    folder = world.path("broken")
    os.makedirs(folder)
    for name, more in (("main.cf", ""), ("master.cf", "broken line\n")):
        with open(os.path.join(world.mta.etc, name), encoding="ascii") as source, \
                open(os.path.join(folder, name), "w", encoding="ascii") as target:
            target.write(source.read() + more)
    answer = world.preflight(folder=folder)
    check(answer.code == 4 and "master.cf: line " in answer.err, answer)


@test("settings that cannot be read: exit 4, because sockets and limits are not known")
def _(world):
    settings, world.config = world.config, world.path("missing.conf")
    answer = world.preflight()
    world.config = settings
    check(answer.code == 4 and "missing.conf" in answer.err, answer)


if __name__ == "__main__":
    sys.exit(suite.main(make_world))
