"""A stand-in for Exchange: a directory of mailboxes and phones behind the cmdlets we use.

It speaks remote PowerShell (see `exchange_wsman`) on loopback, with Basic authentication. What it
imitates was read in Microsoft's cmdlet reference: no-language mode, a role that knows exactly these
cmdlets and parameters, `@{Add;Remove}` on the device lists, errors in the error stream. It cannot
prove real serialisation, roles or throttling.

    python -m tests.servers.exchange --port 29985 --phone hanako:androidA1B2C3D4
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, RLock
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

import click
from psrpcore import types as ps

from tests.servers.exchange_wsman import CmdletError, Row, listening

USER, PASSWORD = "EXCH\\svc", "secret"
TYPE = "Deserialized.Microsoft.Exchange.Data.Directory."


@dataclass
class Mailbox:
    """A mailbox with its two lists of DeviceIds."""

    name: str
    address: str
    allowed: set[str] = field(default_factory=set)
    blocked: set[str] = field(default_factory=set)

    @property
    def identity(self) -> str:
        return f"corp.test/Users/{self.name}"


@dataclass
class Phone:
    """A phone that synchronises with a mailbox."""

    mailbox: str
    device_id: str
    model: str = "iPhone16C1"
    system: str = "iOS 18.1"
    first_sync_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    wiped: str = ""

    @property
    def identity(self) -> str:
        return f"corp.test/Users/{self.mailbox}/ExchangeActiveSyncDevices/iPhone§{self.device_id}"

    @property
    def guid(self) -> UUID:
        return uuid5(NAMESPACE_DNS, self.identity)


@dataclass
class Faults:
    """What goes wrong; a test sets it at any time."""

    outage: bool = False
    """The web server answers 503."""
    throttled_calls: int = 0
    """So many of the next cmdlets are refused for their number."""
    slow_seconds: float = 0
    """Each cmdlet takes so much longer."""
    refused_mailboxes: set[str] = field(default_factory=set)
    """``Set-CASMailbox`` says that rights are missing for these names."""


class Exchange:
    """The directory and its cmdlets. Tests read and change it under `lock`."""

    def __init__(self, default_access: str = "Allow") -> None:
        self.lock = RLock()
        self.default_access = default_access
        self.mailboxes: dict[str, Mailbox] = {}
        self.phones: dict[str, Phone] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults = Faults()

    def add_mailbox(self, name: str, address: str = "") -> Mailbox:
        """Add a mailbox; its address is NAME@corp.test."""
        with self.lock:
            return self.mailboxes.setdefault(name, Mailbox(name, address or f"{name}@corp.test"))

    def add_phone(self, mailbox: str, device_id: str, **said: Any) -> Phone:
        """Let a phone begin to synchronise with *mailbox*."""
        with self.lock:
            self.add_mailbox(mailbox)
            phone = Phone(mailbox, device_id, **said)
            self.phones[phone.identity] = phone
            return phone

    def fill(self, mailboxes: int, per_mailbox: int = 1) -> None:
        """Add mailboxes user0, user1, ... with phones of their own."""
        for number in range(mailboxes):
            for phone in range(per_mailbox):
                first = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
                self.add_phone(f"user{number}", f"ApplDNQ{number:05d}{phone}", first_sync_at=first)

    def access_of(self, mailbox: str, device_id: str) -> tuple[str, str]:
        """Return (state, reason): a personal block wins over a personal allow, then the default."""
        lists = self.mailboxes[mailbox]
        if device_id in lists.blocked:
            return "Blocked", "Individual"
        if device_id in lists.allowed:
            return "Allowed", "Individual"
        named = {"Allow": "Allowed", "Block": "Blocked", "Quarantine": "Quarantined"}
        return named[self.default_access], "Global"

    def blocked(self) -> set[tuple[str, str]]:
        """Return every (mailbox, DeviceId) on a block list."""
        with self.lock:
            return {(box.name, one) for box in self.mailboxes.values() for one in box.blocked}

    def allowed(self) -> set[tuple[str, str]]:
        """Return every (mailbox, DeviceId) on an allow list."""
        with self.lock:
            return {(box.name, one) for box in self.mailboxes.values() for one in box.allowed}

    def called(self, cmdlet: str) -> list[dict[str, Any]]:
        """Return the parameters of every call of *cmdlet* until now."""
        with self.lock:
            return [parameters for name, parameters in self.calls if name == cmdlet]

    # --- what the runspace calls ---

    def run(self, cmdlet: str, parameters: dict[str, Any]) -> Iterator[Row]:
        """Run one cmdlet of the role; CmdletError for anything else."""
        time.sleep(self.faults.slow_seconds)
        with self.lock:
            self.calls.append((cmdlet, dict(parameters)))
            if self.faults.throttled_calls > 0:
                self.faults.throttled_calls -= 1
                raise CmdletError(
                    "OverBudgetException",
                    "The request was throttled: the PowerShell cmdlet budget of this user is "
                    "exceeded. Retry after 5 seconds.",
                )
            handle, takes = self._role(cmdlet)
            for name in parameters:
                if name not in takes | {"ErrorAction", "WarningAction", "Confirm"}:
                    raise CmdletError(
                        "ParameterBindingException",
                        f"A parameter cannot be found that matches parameter name '{name}'.",
                    )
            yield from list(handle(parameters))

    def _role(self, cmdlet: str) -> tuple[Callable[[dict[str, Any]], Iterator[Row]], set[str]]:
        lists = {"ActiveSyncAllowedDeviceIDs", "ActiveSyncBlockedDeviceIDs"}
        role: dict[str, tuple[Callable[[dict[str, Any]], Iterator[Row]], set[str]]] = {
            "Get-MobileDevice": (
                self._get_mobile_device,
                {"ResultSize", "Mailbox", "Identity", "Filter", "ActiveSync"},
            ),
            "Get-CASMailbox": (self._get_cas_mailbox, {"Identity", "ResultSize", "Filter"}),
            "Set-CASMailbox": (self._set_cas_mailbox, {"Identity", *lists}),
        }
        if cmdlet not in role:
            raise CmdletError(
                "CommandNotFoundException",
                f"The term '{cmdlet}' is not recognized as the name of a cmdlet, function, script "
                "file, or operable program.",
            )
        return role[cmdlet]

    def _get_mobile_device(self, said: dict[str, Any]) -> Iterator[Row]:
        for phone in list(self.phones.values())[: _limit(said)]:
            if said.get("Mailbox") in (None, phone.mailbox):
                yield TYPE + "SystemConfiguration.MobileDevice", self._phone_properties(phone)

    def _phone_properties(self, phone: Phone) -> dict[str, Any]:
        state, reason = self.access_of(phone.mailbox, phone.device_id)
        return {
            "FriendlyName": "iPhone",
            "DeviceId": phone.device_id,
            "DeviceImei": "",
            "DeviceOS": phone.system,
            "DeviceType": "iPhone",
            "DeviceModel": phone.model,
            "DeviceUserAgent": f"Apple-{phone.model}/2201.100",
            "UserDisplayName": f"corp.test/Users/{phone.mailbox}",
            "DeviceAccessState": state,
            "DeviceAccessStateReason": reason,
            "DeviceAccessControlRule": None,
            "ClientVersion": "16.1",
            "ClientType": "EAS",
            "FirstSyncTime": ps.PSDateTime.fromtimestamp(phone.first_sync_at.timestamp(), UTC),
            "IsManaged": False,
            "IsCompliant": False,
            "IsDisabled": False,
            "Identity": phone.identity,
            "Guid": phone.guid,
            "WhenChangedUTC": ps.PSDateTime.fromtimestamp(phone.first_sync_at.timestamp(), UTC),
        }

    def _get_cas_mailbox(self, said: dict[str, Any]) -> Iterator[Row]:
        identity = said.get("Identity")
        found = list(self.mailboxes.values()) if identity is None else [self._find(identity)]
        for mailbox in found[: _limit(said)]:
            yield (
                TYPE + "Management.CASMailbox",
                {
                    "Name": mailbox.name,
                    "Identity": mailbox.identity,
                    "PrimarySmtpAddress": mailbox.address,
                    "ActiveSyncEnabled": True,
                    "HasActiveSyncDevicePartnership": True,
                    "ActiveSyncAllowedDeviceIDs": sorted(mailbox.allowed),
                    "ActiveSyncBlockedDeviceIDs": sorted(mailbox.blocked),
                },
            )

    def _set_cas_mailbox(self, said: dict[str, Any]) -> Iterator[Row]:
        mailbox = self._find(said["Identity"])
        if mailbox.name in self.faults.refused_mailboxes:
            raise CmdletError(
                "ADOperationException",
                f"Active Directory operation failed on dc.corp.test. Insufficient access rights "
                f"to perform the operation on '{mailbox.identity}'.",
            )
        _change(mailbox.allowed, said.get("ActiveSyncAllowedDeviceIDs"))
        _change(mailbox.blocked, said.get("ActiveSyncBlockedDeviceIDs"))
        return iter(())

    def _find(self, identity: str) -> Mailbox:
        for mailbox in self.mailboxes.values():
            if identity in (mailbox.name, mailbox.identity, mailbox.address):
                return mailbox
        raise CmdletError(
            "ManagementObjectNotFoundException",
            f"The operation couldn't be performed because object '{identity}' couldn't be found on "
            "'dc.corp.test'.",
        )


def _limit(said: dict[str, Any]) -> int:
    asked = str(said.get("ResultSize", 1000))
    return sys.maxsize if asked.lower() == "unlimited" else int(asked)


def _change(held: set[str], said: Any) -> None:
    """Apply @{Add=..; Remove=..}, or a plain list, which overwrites."""
    if said is None:
        return
    if not isinstance(said, dict):
        held.clear()
        said = {"Add": said}
    for word, ids in said.items():
        many = {str(one) for one in ids} if isinstance(ids, list) else {str(ids)}
        (held.update if word == "Add" else held.difference_update)(many)


@click.command()
@click.option("--port", default=29985)
@click.option("--mailboxes", default=0, help="So many made-up mailboxes, each with a phone.")
@click.option("--phone", "phones", multiple=True, metavar="MAILBOX:DEVICEID")
def main(port: int, mailboxes: int, phones: tuple[str, ...]) -> None:
    """Listen on loopback until the process is ended."""
    exchange = Exchange()
    exchange.fill(mailboxes)
    for phone in phones:
        mailbox, _, device_id = phone.partition(":")
        exchange.add_phone(mailbox, device_id)
    with listening(exchange, {USER: PASSWORD}, port=port) as url:
        click.echo(f"listening on {url}, user {USER}")
        Event().wait()


if __name__ == "__main__":
    main()
