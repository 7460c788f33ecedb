"""Machines in networks of their own with a firewall between them, or processes on one machine.

As root, with Debian's `nftables` and `iproute2`, each machine is a network namespace behind one
that forwards and filters. Otherwise each is an address of the loopback network, without a firewall.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import needs

NAMES = ("management", "relay", "phones")
PROBE = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"


@dataclass
class Machine:
    """Something that runs our commands at an address of its own."""

    name: str
    address: str
    home: Path
    prefix: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def _sekisho(self, words: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SEKISHO_")}
        environment = inherited | {"SEKISHO_HOME": str(self.home)} | self.environment
        return [*self.prefix, sys.executable, "-m", "sekisho", *words], environment

    @property
    def log(self) -> Path:
        return self.home.parent / f"{self.name}.out"

    def start(self, *words: str) -> None:
        """Start one of our commands; what it says goes into `log`."""
        command, environment = self._sekisho(words)
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self.processes.append(process)

    def run(self, *words: str) -> str:
        """Run one of our commands to its end and return what it printed."""
        command, environment = self._sekisho(words)
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=180
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def reaches(self, address: str, port: int) -> bool:
        """Tell whether a connection from here to there comes about."""
        command = [*self.prefix, sys.executable, "-c", PROBE, address, str(port)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=30)
        return done.returncode == 0

    def stop(self) -> None:
        """End what was started here."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(120)


@dataclass
class Networks:
    """The machines, and what the firewall between them let through."""

    machines: dict[str, Machine]
    desk: str
    """Management's address as an administrator on its network sees it."""
    firewall: str = ""
    """The namespace that filters; empty: there is none."""

    def let(self, *rules: str, masquerade: bool = False) -> None:
        """Let only *rules* (nft matches) through; with *masquerade* the way out hides senders."""
        if not self.firewall:
            return
        lines = [f"add rule inet sekisho forward {rule} accept" for rule in rules]
        table = [
            "add table inet sekisho",
            "add chain inet sekisho forward { type filter hook forward priority 0; policy drop; }",
            "add rule inet sekisho forward ct state established,related accept",
            *lines,
            "add rule inet sekisho forward counter reject with icmpx admin-prohibited",
        ]
        if masquerade:
            table += [
                "add chain inet sekisho out { type nat hook postrouting priority 100; }",
                f"add rule inet sekisho out ip saddr {self.machines['management'].address} "
                "masquerade",
            ]
        _run("ip", "netns", "exec", self.firewall, "nft", "-f", "-", given="\n".join(table))

    def refused(self) -> int:
        """Return how many packets the firewall refused."""
        said = _run(
            *("ip", "netns", "exec", self.firewall, "nft", "-j", "list"),
            *("chain", "inet", "sekisho", "forward"),
        )
        rules = [one["rule"]["expr"] for one in json.loads(said)["nftables"] if "rule" in one]
        steps = [step for expr in rules for step in expr if "counter" in step]
        return int(steps[0]["counter"]["packets"])


@contextmanager
def networks(folder: Path) -> Iterator[Networks]:
    """Make the machines `NAMES`; they are gone at the end, with all that runs there."""
    for name in NAMES:
        (folder / name).mkdir()
    made = _namespaces(folder) if os.geteuid() == 0 else _loopback(folder)
    try:
        yield made
    finally:
        for machine in made.machines.values():
            machine.stop()
        if made.firewall:
            for name in (*NAMES, "firewall"):
                _run("ip", "netns", "delete", _space(name))


def _loopback(folder: Path) -> Networks:
    machines = {
        name: Machine(name, f"127.0.0.{number}", folder / name)
        for number, name in enumerate(NAMES, 1)
    }
    return Networks(machines, desk="127.0.0.1")


def _namespaces(folder: Path) -> Networks:
    needs.program("nft", "nftables", "/usr/sbin")
    needs.program("ip", "iproute2", "/usr/sbin")
    _add_space("firewall")
    _run("ip", "netns", "exec", _space("firewall"), "sysctl", "-qw", "net.ipv4.ip_forward=1")
    machines = {}
    for number, name in enumerate(NAMES, 1):
        _add_space(name)
        _wire(_space("firewall"), f"to{number}", f"10.77.{number}.1", _space(name), "eth0",
              f"10.77.{number}.2")  # fmt: skip
        _in(name, "ip", "route", "add", "default", "via", f"10.77.{number}.1")
        prefix = ("ip", "netns", "exec", _space(name))
        machines[name] = Machine(name, f"10.77.{number}.2", folder / name, prefix)
    _wire("", f"sk{os.getpid()}", "10.77.9.1", _space("management"), "desk", "10.77.9.2")
    return Networks(machines, desk="10.77.9.2", firewall=_space("firewall"))


def _space(name: str) -> str:
    return f"sekisho-{os.getpid()}-{name}"


def _add_space(name: str) -> None:
    _run("ip", "netns", "add", _space(name))
    _in(name, "ip", "link", "set", "lo", "up")


def _in(name: str, *command: str) -> None:
    _run("ip", "netns", "exec", _space(name), *command)


def _wire(here: str, one: str, mine: str, there: str, other: str, theirs: str) -> None:
    """Join two namespaces (empty: ours) with a cable and give both ends an address."""
    prefix = ("ip", "netns", "exec", here) if here else ()
    _run(*prefix, "ip", "link", "add", one, "type", "veth", "peer", "name", other, "netns", there)
    for space, end, address in ((here, one, mine), (there, other, theirs)):
        inside = ("ip", "netns", "exec", space) if space else ()
        _run(*inside, "ip", "address", "add", f"{address}/24", "dev", end)
        _run(*inside, "ip", "link", "set", end, "up")


def _run(*command: str, given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
