"""Exchange's cmdlets, whatever carries them: remote PowerShell, or the REST API of Online.

A backend gives `Call`: run one cmdlet with parameters and return what it wrote and its errors. It
raises ThrottledError, UnavailableError and ConfigurationError for what concerns the connection.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from contracts.connector import Door, Partnership, Right, Synced
from exchange_connector.access_rules import Change, Lists
from exchange_connector.rights import NEEDED, missing_right
from runtime.errors import RefusedError, UnavailableError
from runtime.process import crash_point

log = logging.getLogger(__name__)

PARTNERSHIPS = "/ExchangeActiveSyncDevices/"
BULK = 50
"""From so many mailboxes on, one call for all is quicker than one call each."""
DOORS: Mapping[Door, str] = {
    "activesync": "ActiveSyncEnabled",
    "imap": "ImapEnabled",
    "pop": "PopEnabled",
    "ews": "EwsEnabled",
    "owa": "OWAEnabled",
    "mapi": "MAPIEnabled",
}
_THROTTLED = ("throttl", "budget", "overbudget", "maximum number of connections", "serverbusy")
_NOT_FOUND = ("couldn't be found", "could not be found", "not found")

Row = Mapping[str, Any]


class ThrottledError(UnavailableError):
    """Exchange refuses more calls for now."""

    def __init__(self, text: str, wait_seconds: float = 0.0) -> None:
        """*wait_seconds*: so long it wants to be left alone, if it says so."""
        super().__init__(text)
        self.wait_seconds = wait_seconds


@dataclass(frozen=True, slots=True)
class Written:
    """What a cmdlet wrote, and its errors: a cmdlet may do half of its work."""

    rows: Sequence[Row]
    error: str = ""


Call = Callable[[str, Mapping[str, object]], Written]


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox as ``Get-CASMailbox`` shows it."""

    name: str
    """Its identity, a canonical name that changes when the user is renamed or moved."""
    guid: str
    address: str
    lists: Lists
    open_doors: tuple[Door, ...] = ()
    unset_doors: frozenset[Door] = frozenset()
    """Open because the mailbox itself says nothing about them."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a bulk read brought; *problem*: Exchange could not read all of it."""

    partnerships: list[Partnership]
    problem: str = ""


@dataclass(slots=True)
class Tally:
    """What was asked of Exchange since the process started."""

    calls: int = 0
    changes: int = 0
    waited_seconds: float = 0.0
    """Within calls, because Exchange asked for it."""
    rights: tuple[Right, ...] = field(default=())


class Exchange:
    """One open session."""

    def __init__(self, call: Call, tally: Tally | None = None) -> None:
        self._carry, self.tally = call, tally or Tally()

    # --- reading ---

    def list_partnerships(self, mailboxes: Mapping[str, Mailbox], only: str | None = None) -> Found:
        """Return every ActiveSync partnership, or those that the filter *only* names; one call.

        *mailboxes*: by name, for the users' addresses, see `list_mailboxes`.
        """
        parameters: dict[str, object] = {"ResultSize": "Unlimited"}
        written = self._written("Get-MobileDevice", parameters | ({"Filter": only} if only else {}))
        found = (_partnership(row, mailboxes) for row in written.rows)
        return Found([one for one in found if one is not None], written.error)

    def list_mailboxes(self) -> dict[str, Mailbox]:
        """Return all mailboxes with partnerships by name, with one call."""
        written = self._written(
            "Get-CASMailbox",
            {"ResultSize": "Unlimited", "Filter": "HasActiveSyncDevicePartnership -eq $true"},
        )
        if written.error:
            log.warning("Exchange could not read all mailboxes: %s", written.error)
        return {one.name: one for one in map(_mailbox, written.rows)}

    def read_mailbox(self, name: str) -> Mailbox:
        """Return one mailbox; RefusedError with Exchange's words if it cannot."""
        rows = self._call("Get-CASMailbox", Identity=name)
        if len(rows) != 1:
            raise RefusedError(f"Exchange knows {len(rows)} mailboxes by the name {name}.")
        return _mailbox(rows[0])

    def read_synced(self, mailbox: str) -> list[Synced]:
        """Return when the phones of one mailbox last synchronised: Exchange opens the mailbox."""
        rows = self._call("Get-MobileDeviceStatistics", Mailbox=mailbox)
        named = [(_text(row, "DeviceID") or _text(row, "DeviceId"), row) for row in rows]
        return [
            Synced(
                mailbox=mailbox, device_id=one, last_sync_at=_instant(row.get("LastSuccessSync"))
            )
            for one, row in named
            if 1 <= len(one) <= 64
        ]

    # --- changing ---

    def change(
        self, mailbox: str, change: Change, doors: Mapping[Door, bool | None] | None = None
    ) -> None:
        """Add and remove entries of one mailbox, and close or open doors, all in one call.

        Entries of others stay. A door set to None follows the organisation again.
        """
        said: dict[str, object] = {DOORS[door]: to for door, to in (doors or {}).items()}
        lists = {
            "ActiveSyncAllowedDeviceIDs": _entries(change.add.allowed, change.remove.allowed),
            "ActiveSyncBlockedDeviceIDs": _entries(change.add.blocked, change.remove.blocked),
        }
        crash_point("before effect exchange")
        self.tally.changes += 1
        said |= {name: entries for name, entries in lists.items() if entries}
        self._call("Set-CASMailbox", Identity=mailbox, **said)
        crash_point("after effect exchange")

    def read_back(self, guid: str) -> list[tuple[str, str]]:
        """Return (mailbox, DeviceId) of whatever Exchange finds under *guid*.

        An identity that it does not know may bring every device (Get-MobileDevice's reference).
        """
        try:
            rows = self._call("Get-MobileDevice", Identity=guid)
        except RefusedError as error:
            if any(word in str(error).casefold() for word in _NOT_FOUND):
                return []
            raise
        return [
            (_text(row, "Identity").rpartition(PARTNERSHIPS)[0], _text(row, "DeviceId"))
            for row in rows
        ]

    def wipe(self, guid: str, account_only: bool) -> None:
        """Order the wipe of one partnership, whose target was read back before."""
        crash_point("before effect wipe")
        self.tally.changes += 1
        only: dict[str, object] = {"AccountOnly": True} if account_only else {}
        self._call("Clear-MobileDevice", Identity=guid, Confirm=False, **only)
        crash_point("after effect wipe")

    def wipe_times(self, guid: str) -> tuple[datetime | None, datetime | None]:
        """Return when the wipe was asked for, and when the phone said that it obeyed."""
        for row in self._call("Get-MobileDeviceStatistics", Identity=guid):
            asked = row.get("DeviceWipeRequestTime") or row.get("DeviceWipeSentTime")
            return _instant(asked), _instant(row.get("DeviceWipeAckTime"))
        return None, None

    # --- rights ---

    def check_rights(self, close_doors: Iterable[Door] = ()) -> tuple[Right, ...]:
        """Return for each cmdlet that we use whether this account may run it as we need it."""
        doors = frozenset(DOORS[door] for door in close_doors)
        also = {"Set-CASMailbox": doors}
        self.tally.rights = tuple(
            self._right(cmdlet, also.get(cmdlet, frozenset())) for cmdlet in NEEDED
        )
        return self.tally.rights

    def _right(self, cmdlet: str, also: frozenset[str]) -> Right:
        try:
            rows = self._call("Get-Command", Name=cmdlet)
        except RefusedError:
            rows = []
        known = rows[0].get("Parameters") if rows else None
        parameters = {str(name) for name in known} if isinstance(known, dict | list) else None
        return Right(cmdlet=cmdlet, missing=missing_right(cmdlet, bool(rows), parameters, also))

    # --- calls ---

    def _call(self, cmdlet: str, **parameters: object) -> Sequence[Row]:
        """Return what *cmdlet* writes; RefusedError with its error."""
        written = self._written(cmdlet, parameters)
        if written.error:
            raise RefusedError(written.error)
        return written.rows

    def _written(self, cmdlet: str, parameters: Mapping[str, object]) -> Written:
        self.tally.calls += 1
        written = self._carry(cmdlet, parameters)
        if written.error and asks_for_pause(written.error):
            raise ThrottledError(f"Exchange asks for a pause: {written.error}")
        return written


def since_filter(since: datetime, quarantined: bool) -> str:
    """Return the OPATH filter for phones that came after *since*, and for those in quarantine."""
    fresh = f"FirstSyncTime -gt '{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'"
    return f"({fresh}) -or (DeviceAccessState -eq 'Quarantined')" if quarantined else fresh


def asks_for_pause(text: str) -> bool:
    """Tell whether Exchange's words mean "too many"."""
    lower = text.casefold()
    return any(word in lower for word in _THROTTLED)


def _entries(add: Iterable[str], remove: Iterable[str]) -> dict[str, list[str]]:
    named = {"Add": sorted(add), "Remove": sorted(remove)}
    return {word: ids for word, ids in named.items() if ids}


def _mailbox(row: Row) -> Mailbox:
    return Mailbox(
        name=_text(row, "Identity"),
        guid=_text(row, "Guid"),
        address=_text(row, "PrimarySmtpAddress"),
        lists=Lists(
            _ids(row.get("ActiveSyncAllowedDeviceIDs")), _ids(row.get("ActiveSyncBlockedDeviceIDs"))
        ),
        # What is not set follows the organisation, where it is open unless somebody closed it.
        open_doors=tuple(
            door for door, name in DOORS.items() if _text(row, name).casefold() != "false"
        ),
        unset_doors=frozenset(door for door, name in DOORS.items() if not _text(row, name)),
    )


def _ids(value: object) -> frozenset[str]:
    if value is None:
        return frozenset()
    many: Sequence[object] = value if isinstance(value, list) else [value]
    return frozenset(str(one) for one in many)


def _partnership(row: Row, mailboxes: Mapping[str, Mailbox]) -> Partnership | None:
    """Return the row as our message; None for what is no ActiveSync partnership of a mailbox."""
    name, separator, _ = _text(row, "Identity").rpartition(PARTNERSHIPS)
    device_id = _text(row, "DeviceId")
    if not separator or not name or not 1 <= len(device_id) <= 64 or len(name) > 255:
        return None
    mailbox = mailboxes.get(name)
    return Partnership(
        mailbox=name,
        user_address=mailbox.address[:255] if mailbox else "",
        device_id=device_id,
        guid=_text(row, "Guid")[:64],
        device_type=_text(row, "DeviceType")[:255],
        device_model=_text(row, "DeviceModel")[:255],
        device_os=_text(row, "DeviceOS")[:255],
        user_agent=_text(row, "DeviceUserAgent")[:255],
        access_state=_text(row, "DeviceAccessState")[:255] or "Unknown",
        access_reason=_text(row, "DeviceAccessStateReason")[:255],
        first_sync_at=_instant(row.get("FirstSyncTime")),
        open_doors=mailbox.open_doors if mailbox else None,
    )


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value).replace("\x00", "")


def _instant(value: object) -> datetime | None:
    """Return an instant in UTC; real servers write dates in several ways, and some not at all."""
    if value is None:
        return None
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.year > 1900 else None
