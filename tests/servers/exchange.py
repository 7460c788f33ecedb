"""A stand-in for Exchange: a directory of mailboxes and phones behind the cmdlets we use.

It speaks remote PowerShell (see `exchange_wsman`) on loopback, with Basic authentication. What it
imitates was read in Microsoft's cmdlet reference: no-language mode, a role that knows exactly these
cmdlets and parameters, `@{Add;Remove}` on the device lists, errors in the error stream. It cannot
prove real serialisation, roles or throttling.

    python -m tests.servers.exchange --port 29985 --phone hanako:androidA1B2C3D4
"""

import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, RLock
from typing import Any
from uuid import UUID, uuid4

import click
from psrpcore import types as ps

from tests.servers.exchange_wsman import BrokenPipelineError, CmdletError, Row, listening

USER, PASSWORD = "EXCH\\svc", "secret"
TYPE = "Deserialized.Microsoft.Exchange.Data.Directory."
DOORS = (
    "ActiveSyncEnabled",
    "ImapEnabled",
    "PopEnabled",
    "EwsEnabled",
    "OWAEnabled",
    "MAPIEnabled",
)
FILTERABLE = {
    "ClientType",
    "DeviceAccessState",
    "DeviceAccessStateReason",
    "DeviceId",
    "DeviceModel",
    "DeviceOS",
    "DeviceType",
    "FirstSyncTime",
    "UserDisplayName",
}
"""By the cmdlet's reference; neither WhenChanged nor LastSuccessSync."""
ROLE = (
    "Get-MobileDevice",
    "Get-MobileDeviceStatistics",
    "Clear-MobileDevice",
    "Get-CASMailbox",
    "Set-CASMailbox",
)
"""What the recipe in docs/exchange.md leaves in the service account's role."""


@dataclass
class Mailbox:
    """A mailbox with its two lists of DeviceIds."""

    name: str
    address: str
    allowed: set[str] = field(default_factory=set)
    blocked: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    """Properties such as ``ImapEnabled`` that are off."""
    unset: set[str] = field(default_factory=set)
    """Those about which the mailbox says nothing: the organisation's setting holds."""
    container: str = "Users"

    @property
    def identity(self) -> str:
        return f"corp.test/{self.container}/{self.name}"

    guid: UUID = field(default_factory=uuid4)


@dataclass
class Phone:
    """A phone that synchronises with a mailbox."""

    mailbox: str
    device_id: str
    model: str = "iPhone16C1"
    system: str = "iOS 18.1"
    first_sync_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    wiped: str = ""
    """``device`` or ``account``, once a wipe was asked for."""
    wiped_at: datetime | None = None
    """When the phone obeyed."""
    synced_at: datetime | None = None
    container: str = "Users"
    guid: UUID = field(default_factory=uuid4)

    @property
    def identity(self) -> str:
        return (
            f"corp.test/{self.container}/{self.mailbox}/ExchangeActiveSyncDevices/"
            f"iPhone§{self.device_id}"
        )


@dataclass
class Faults:
    """What goes wrong; a test sets it at any time."""

    outage: bool = False
    """The web server answers 503."""
    throttled_calls: int = 0
    """So many of the next cmdlets are refused for their number."""
    retry_after_seconds: int = 120
    """So long Online wants to be left alone then."""
    slow_seconds: float = 0
    """Each cmdlet takes so much longer."""
    refused_mailboxes: set[str] = field(default_factory=set)
    """``Set-CASMailbox`` says that rights are missing for these names."""
    half_done: set[str] = field(default_factory=set)
    """``Set-CASMailbox`` changes one list of these names and then fails."""
    poisonous: set[str] = field(default_factory=set)
    """The pipeline itself breaks when these names are read or changed."""
    missing_cmdlets: set[str] = field(default_factory=set)
    """The role lacks these."""
    missing_parameters: set[str] = field(default_factory=set)
    unreadable_devices: int = 0
    """``Get-MobileDevice`` without a name leaves so many out and says so."""
    finds_everything: bool = False
    """``Get-MobileDevice -Identity`` with an unknown value brings all (see its reference)."""


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
                common = {"ErrorAction", "WarningAction", "Confirm"}
                if name not in takes | common or name in self.faults.missing_parameters:
                    raise CmdletError(
                        "ParameterBindingException",
                        f"A parameter cannot be found that matches parameter name '{name}'.",
                    )
            self._poison(parameters)
            yield from handle(parameters)

    def cmdlets(self) -> list[str]:
        """Return the names of the cmdlets that the role holds."""
        return [name for name in ROLE if name not in self.faults.missing_cmdlets]

    def _poison(self, parameters: dict[str, Any]) -> None:
        named = {str(parameters.get(name, "")) for name in ("Identity", "Mailbox")}
        for name in self.faults.poisonous:
            if any(one.endswith(f"/{name}") or one == name for one in named):
                raise BrokenPipelineError("The pipeline has been stopped by an internal error.")

    def _role(self, cmdlet: str) -> tuple[Callable[[dict[str, Any]], Iterator[Row]], set[str]]:
        lists = {"ActiveSyncAllowedDeviceIDs", "ActiveSyncBlockedDeviceIDs"}
        role: dict[str, tuple[Callable[[dict[str, Any]], Iterator[Row]], set[str]]] = {
            "Get-MobileDevice": (
                self._get_mobile_device,
                {"ResultSize", "Mailbox", "Identity", "Filter", "ActiveSync"},
            ),
            "Get-MobileDeviceStatistics": (self._get_statistics, {"Mailbox", "Identity"}),
            "Clear-MobileDevice": (
                self._clear_mobile_device,
                {"Identity", "AccountOnly", "Cancel", "NotificationEmailAddresses"},
            ),
            "Get-Command": (self._get_command, {"Name"}),
            "Get-CASMailbox": (self._get_cas_mailbox, {"Identity", "ResultSize", "Filter"}),
            "Set-CASMailbox": (self._set_cas_mailbox, {"Identity", *lists, *DOORS}),
        }
        if cmdlet not in role or cmdlet in self.faults.missing_cmdlets:
            raise CmdletError(
                "CommandNotFoundException",
                f"The term '{cmdlet}' is not recognized as the name of a cmdlet, function, script "
                "file, or operable program.",
            )
        return role[cmdlet]

    def _get_mobile_device(self, said: dict[str, Any]) -> Iterator[Row]:
        found = list(self.phones.values())
        if said.get("Identity") is not None:
            found = self._find_phones(str(said["Identity"]))
        matches = opath(str(said.get("Filter", "")))
        number = 0
        for phone in found[: _limit(said)]:
            properties = self._phone_properties(phone)
            if said.get("Mailbox") in (None, phone.mailbox) and matches(properties):
                number += 1
                if number > self.faults.unreadable_devices or said.get("Identity"):
                    yield TYPE + "SystemConfiguration.MobileDevice", properties
        if self.faults.unreadable_devices and not said.get("Identity"):
            raise CmdletError("DataValidationException", "The object is corrupted.")

    def _find_phones(self, identity: str) -> list[Phone]:
        named = [one for one in self.phones.values() if identity in (one.identity, str(one.guid))]
        if not named and self.faults.finds_everything:
            return list(self.phones.values())
        if not named:
            raise _absent(identity)
        return named

    def _get_statistics(self, said: dict[str, Any]) -> Iterator[Row]:
        if said.get("Mailbox") is not None:
            name = self._find(str(said["Mailbox"])).name
            found = [one for one in self.phones.values() if one.mailbox == name]
        else:
            found = self._find_phones(str(said["Identity"]))
        for phone in found:
            yield (
                TYPE + "Storage.AirSync.MobileDeviceConfiguration",
                {
                    "Identity": phone.identity,
                    "Guid": phone.guid,
                    "DeviceID": phone.device_id,
                    "LastSuccessSync": _ps_date(phone.synced_at),
                    "Status": "DeviceWipePending" if phone.wiped else "DeviceOk",
                    "DeviceWipeRequestTime": _ps_date(phone.first_sync_at if phone.wiped else None),
                    "DeviceWipeAckTime": _ps_date(phone.wiped_at),
                },
            )

    def _clear_mobile_device(self, said: dict[str, Any]) -> Iterator[Row]:
        if said.get("Confirm") is not False:
            raise CmdletError(
                "HostException",
                "A command that prompts the user failed because the host program or the command "
                "type does not support user interaction.",
            )
        for phone in self._find_phones(str(said["Identity"])):
            phone.wiped = "account" if said.get("AccountOnly") else "device"
        return iter(())

    def _get_command(self, said: dict[str, Any]) -> Iterator[Row]:
        _, takes = self._role(str(said["Name"]))
        known = sorted((takes | {"Confirm"}) - self.faults.missing_parameters)
        yield "System.Management.Automation.CmdletInfo", {"Name": said["Name"], "Parameters": known}

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
            "FirstSyncTime": _ps_date(phone.first_sync_at),
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
                    "Guid": mailbox.guid,
                    "PrimarySmtpAddress": mailbox.address,
                    **{
                        name: None if name in mailbox.unset else name not in mailbox.closed
                        for name in DOORS
                    },
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
        if mailbox.name in self.faults.half_done:
            raise CmdletError("ADTransientException", "The domain controller went away.")
        _change(mailbox.blocked, said.get("ActiveSyncBlockedDeviceIDs"))
        for name in said.keys() & set(DOORS):
            (mailbox.closed.add if said[name] is False else mailbox.closed.discard)(name)
            (mailbox.unset.add if said[name] is None else mailbox.unset.discard)(name)
        return iter(())

    def _find(self, identity: str) -> Mailbox:
        named = self.mailboxes.get(identity.rpartition("/")[2].partition("@")[0])
        for mailbox in [named] if named else self.mailboxes.values():
            if identity in (mailbox.name, mailbox.identity, mailbox.address):
                return mailbox
        raise _absent(identity)

    def rename(self, old: str, new: str, container: str = "Users") -> None:
        """Give a user another name, or move them: identities change, Guids stay."""
        with self.lock:
            mailbox = self.mailboxes.pop(old)
            mailbox.name, mailbox.address, mailbox.container = new, f"{new}@corp.test", container
            self.mailboxes[new] = mailbox
            for identity, phone in list(self.phones.items()):
                if phone.mailbox == old:
                    del self.phones[identity]
                    phone.mailbox, phone.container = new, container
                    self.phones[phone.identity] = phone


def _absent(identity: str) -> CmdletError:
    return CmdletError(
        "ManagementObjectNotFoundException",
        f"The operation couldn't be performed because object '{identity}' couldn't be found on "
        "'dc.corp.test'.",
    )


def _ps_date(moment: datetime | None) -> Any:
    return None if moment is None else ps.PSDateTime.fromtimestamp(moment.timestamp(), UTC)


_CLAUSE = re.compile(r"\(?\s*(\w+)\s+-(eq|ne|gt|lt)\s+(?:'([^']*)'|(\$\w+))\s*\)?")


def opath(text: str) -> Callable[[dict[str, Any]], bool]:
    """Return what an OPATH filter of clauses joined by -or or -and says of an object's properties.

    CmdletError for what Exchange would not take: other syntax, or a property it cannot filter by.
    """
    if not text:
        return lambda properties: True
    joined = "-and" if " -and " in text else "-or"
    clauses = [_clause(part, text) for part in text.split(f" {joined} ")]
    every = all if joined == "-and" else any
    return lambda properties: every(clause(properties) for clause in clauses)


def _clause(part: str, text: str) -> Callable[[dict[str, Any]], bool]:
    found = _CLAUSE.fullmatch(part.strip())
    if found is None or found[1] not in FILTERABLE:
        raise CmdletError(
            "InvalidFilterException", f"The filter {text!r} cannot be parsed or is not filterable."
        )
    name, word, said = found[1], found[2], found[3]

    def holds(properties: dict[str, Any]) -> bool:
        value = properties[name]
        if name == "FirstSyncTime" and value is not None:
            order = value.timestamp() - datetime.fromisoformat(said).timestamp()
            return bool({"gt": order > 0, "lt": order < 0, "eq": order == 0}.get(word, order != 0))
        same = bool(str(value) == said)
        return {"eq": same, "ne": not same}.get(word, False)

    return holds


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
