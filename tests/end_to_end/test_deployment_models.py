"""The three ways to deploy: one machine, a relay in the DMZ, a relay in the cloud.

Each part runs as processes of its own; as root also in networks of their own, with a firewall that
lets only management dial out to the relay's link, and devices only to the ports for devices.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.client import Client
from tests.end_to_end.product import QUICK, free_ports, until
from tests.servers.networks import Machine, Networks, networks

pytestmark = [pytest.mark.alone, pytest.mark.servers, pytest.mark.timeout(600)]
FOUR = ("devices", "http", "link", "health")


class Site:
    """One deployment, with an administrator."""

    def __init__(self, wired: Networks, with_relay: bool) -> None:
        self.wired, self.with_relay = wired, with_relay
        self.management, self.phones = wired.machines["management"], wired.machines["phones"]
        self.relay = wired.machines["relay"] if with_relay else self.management
        self.ports = dict(zip(FOUR, free_ports(4), strict=True))
        self.own = free_ports(6)

    def start_management(self) -> None:
        console, jobs, signer, connector, link, devices = map(str, self.own)
        relay = {} if self.with_relay else self._relay_settings()
        self.management.environment = {
            **QUICK,
            "SEKISHO_HOST": "0.0.0.0",
            "SEKISHO_PUBLIC_NAME": self.relay.address,
            "SEKISHO_PORT": console,
            "SEKISHO_JOBS_HEALTH_PORT": jobs,
            "SEKISHO_SIGNER_HEALTH_PORT": signer,
            "SEKISHO_CONNECTOR_HEALTH_PORT": connector,
            "SEKISHO_LINK_PORT": link,
            "SEKISHO_DEVICES_PORT": devices,
            "SEKISHO_LOCAL_RELAY": str(not self.with_relay),
            **relay,
        }
        if not self.with_relay:
            self.management.environment |= {
                "SEKISHO_LINK_PORT": str(self.ports["link"]),
                "SEKISHO_DEVICES_PORT": str(self.ports["devices"]),
            }
        self.management.start("up")
        until("management runs", lambda: "Sekisho is running" in self.said(), 120)
        link_text = re.search(r"works once\): (\S+)", self.said())
        assert link_text, self.said()
        address = f"https://{self.wired.desk}:{console}"
        self.client = Client(address)
        path = link_text[1].split("/setup", 1)[1]
        self.client.set_up(f"{address}/setup{path}")
        self.client.token = self.management.run("admin", "token", "ada").strip()

    def said(self) -> str:
        log = self.management.log
        return log.read_text(encoding="utf-8") if log.exists() else ""

    def _relay_settings(self) -> dict[str, str]:
        said = {f"{name}_PORT": str(port) for name, port in self.ports.items()}
        said |= {"HOST": "0.0.0.0", "PUBLIC_NAME": self.relay.address, "POLL_SECONDS": "1"}
        return {f"SEKISHO_COMMUNICATION_{name.upper()}": value for name, value in said.items()}

    def start_relay(self) -> None:
        """Start the relay and pair it with the code on its screen."""
        self.relay.environment = self._relay_settings()
        self.relay.start("communication")
        code = self.relay.run("communication", "code").strip()
        form = {
            "name": "far away",
            "link_url": f"https://{self.relay.address}:{self.ports['link']}",
            "code": code,
        }

        def paired() -> bool:
            answer = self.client.fill("/relays/pair", "/relays/pair", **form)
            return answer.status_code == 303

        until("the relay is paired", paired)
        until("the relay is set up", self._relay_is_well)

    def _relay_is_well(self) -> bool:
        (row,) = self.client.get("/relays")["items"]
        return bool(row["contact_at"] and not row["problem"] and row["certificate_sha256"])

    # --- what has to work everywhere ---

    def works(self, typed: bool) -> None:
        """Enrol a phone, hear its report, lock it."""
        made = self.client.make("/invitations", {"address": "a@b.example"}, lambda: None)
        key = self._typed_key(made) if typed else made["link"]
        phone = ("--state", str(self.phones.home / "phone"))
        self.phones.run("simulate", "enrol", *phone, "--key", key)
        (device,) = self.client.get("/devices")["items"]
        self.phones.run("simulate", "set", *phone, "rooted=true")
        self._until_said(phone, "non_compliant")
        path = f"/devices/{device['id']}/commands"
        lock = self.client.make(path, {"kind": "lock", "reason": "lost"}, lambda: None)["id"]

        def locked() -> bool:
            self.phones.run("simulate", "check-in", *phone)
            return bool(self.client.get(f"/commands/{lock}")["state"] == "done")

        until("the lock is done", locked)

    def _typed_key(self, made: Any) -> str:
        page = self.client.ask("GET", f"/invitations/{made['invitation']['id']}").text
        shown = re.search(r'id="alone">([^<]+)<', page)
        assert shown, page
        return unescape(shown[1]).strip()

    def _until_said(self, phone: tuple[str, str], state: str) -> None:
        def so() -> bool:
            self.phones.run("simulate", "check-in", *phone)
            (device,) = self.client.get("/devices")["items"]
            return bool(device["state"] == state)

        until(f"the device is {state}", so)

    def is_shut(self) -> None:
        """Nobody but management dials the link, and nobody dials management."""
        if not self.wired.firewall:
            return
        assert self.wired.refused() == 0, "nobody even tried what is not allowed"
        inside = (*self.own, self.ports["health"])
        for port in inside:
            assert not self.phones.reaches(self.management.address, port)
        assert not self.phones.reaches(self.relay.address, self.ports["link"])
        assert self.phones.reaches(self.relay.address, self.ports["devices"])
        if self.with_relay:
            console = self.own[0]
            assert not self.relay.reaches(self.management.address, console)
            assert self.management.reaches(self.management.address, console), "it does listen"
        assert self.wired.refused() > 0


@contextmanager
def deployed(folder: Path, with_relay: bool, masquerade: bool = False) -> Iterator[Site]:
    with networks(folder) as wired:
        site = Site(wired, with_relay)
        phones = f"ip saddr {site.phones.address} ip daddr {site.relay.address}"
        rules = [f"{phones} tcp dport {{ {site.ports['devices']}, {site.ports['http']} }}"]
        if with_relay:
            link = f"ip saddr {site.management.address} ip daddr {site.relay.address}"
            rules.append(f"{link} tcp dport {site.ports['link']}")
        wired.let(*rules, masquerade=masquerade)
        try:
            site.start_management()
            if with_relay:
                site.start_relay()
            yield site
        except BaseException:
            for machine in wired.machines.values():
                print(_told(machine))
            raise
        finally:
            if hasattr(site, "client"):
                site.client.close()


def _told(machine: Machine) -> str:
    logs = [machine.log, *sorted((machine.home / "logs").glob("*.log"))]
    return "\n".join(
        f"--- {machine.name} {path.name}\n{path.read_text(errors='replace')[-3000:]}"
        for path in logs
        if path.exists()
    )


@pytest.mark.parametrize(
    ("with_relay", "masquerade", "typed"),
    [(False, False, False), (True, False, False), (True, True, True)],
    ids=["basic", "local", "cloud"],
)
def test_a_phone_enrols_reports_and_is_locked_and_nothing_else_passes(
    tmp_path: Path, with_relay: bool, masquerade: bool, typed: bool
) -> None:
    with deployed(tmp_path, with_relay, masquerade) as site:
        site.works(typed)
        site.is_shut()
