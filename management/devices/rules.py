"""What can be said of a device, by whom, and how an enrolment stands. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from contracts.plain_text import plain


class EnrolmentState(StrEnum):
    """How the enrolment of a device stands; only the first may use its mailbox."""

    ENROLLED = "enrolled"
    RETIRED = "retired"
    """It left, or an administrator ended it."""
    WIPED = "wiped"
    """It confirmed a full wipe."""
    RESET = "reset"
    """It was set back to the factory state without our order and must enrol again."""


class FactKind(StrEnum):
    """What can be said of a device."""

    ENROLMENT = "enrolment"
    """An `EnrolmentState`."""
    ASKED_POLICY = "asked_policy"
    """Id of the policy that an administrator gave it."""
    ASKED_SINCE = "asked_since"
    """What it was asked before it was given that policy: `policies.carrying.write_carried`."""
    CONTACT = "contact"
    """True, said at the device's latest signed and sequenced report."""
    OS_VERSION = "os_version"
    SECURITY_PATCH = "security_patch"
    ROOTED = "rooted"
    ENCRYPTED = "encrypted"
    PASSCODE_SET = "passcode_set"
    DEVELOPER_OPTIONS = "developer_options"
    USB_DEBUGGING = "usb_debugging"
    UNKNOWN_SOURCES = "unknown_sources"
    ROAMING = "roaming"
    SIMS = "sims"
    """List of {"mark", "operator", "country"}: the SIMs in it, never their numbers."""
    AGENT_VERSION = "agent_version"
    PATTERN_VERSION = "pattern_version"
    APPLIED_POLICY = "applied_policy"
    """{"policy_id": text, "version": number}."""
    NOT_APPLIED = "not_applied"
    """List of {"setting", "entry", "because"}: what of it the device could not apply."""
    ATTESTATION = "attestation"
    """{"passed": true or false, "because": text}: what the hardware proved of the system."""
    ATTESTED = "attested"
    """{"at", "hardware", "boot_state", "locked", "os_version", "patch_level"}: what the hardware
    said of the device, the latest that could be believed."""
    OWNER_ACCOUNT = "owner_account"
    """{"account", "state"}: how the account of the owner stands, `directory.rules.AccountState`."""
    MAIL_STATE = "mail_state"
    """{"mailbox", "state"}: what the mail server says it does, when that changed last."""
    PACKAGES = "packages"
    """Sorted names of the installed packages."""
    BAD_APPS = "bad_apps"
    """List of {"sha256", "package", "name", "verdict", "rule", "family", "pattern_version"}."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something said of a device by a source at a time; *value* None: it cannot or does not say."""

    value: Any
    source: str
    said_at: datetime
    before: "Fact | None" = None
    """What was said last before *value* None; what that broke stays known."""


Facts = Mapping[FactKind, Fact]

AGENT = "agent"
"""Source of what our agent says."""
APPLE_MDM = "apple_mdm"
"""Source of what Apple's device-management client says."""
EXCHANGE = "exchange"
"""Source of what a mail server says."""
DIRECTORY = "directory"
"""Source of what a directory says of people."""
ATTESTATION = "attestation"
"""Source of what secure hardware of a device says."""
LAST = "last"
"""Value of a `CONTACT` entry in the log: the last contact before a silence."""
BACK = "back"
"""Value of a `CONTACT` entry in the log: the first contact ever, or after a silence."""


def read_facts(row: Mapping[str, Any]) -> dict[FactKind, Fact]:
    """Return the facts of a `DeviceFacts` row; kinds of another release are left out."""
    return {_KINDS[kind]: read_fact(said) for kind, said in row.items() if kind in _KINDS}


class LazyFacts(Mapping[FactKind, Fact]):
    """The same as `read_facts`, for who looks at few of them: each is read when it is asked for."""

    __slots__ = ("_row",)

    def __init__(self, row: Mapping[str, Any]) -> None:
        """Take the row as it is stored."""
        self._row = row

    def __getitem__(self, kind: FactKind) -> Fact:
        return read_fact(self._row[kind.value])

    def __iter__(self) -> Iterator[FactKind]:
        return (_KINDS[kind] for kind in self._row if kind in _KINDS)

    def __len__(self) -> int:
        return sum(1 for _ in self)


_KINDS = {kind.value: kind for kind in FactKind}
"""Looked up in place of calling the enum: a dry run reads millions."""


def read_fact(said: Mapping[str, Any]) -> Fact:
    """Return what `write_fact` wrote."""
    return read_value(said, said["source"], datetime.fromisoformat(said["said_at"]))


def read_value(said: Mapping[str, Any], source: str, said_at: datetime) -> Fact:
    """Return what `write_value` wrote, said by *source* at *said_at*."""
    before = said.get("before")
    return Fact(said["value"], source, said_at, read_fact(before) if before else None)


def write_fact(fact: Fact) -> dict[str, Any]:
    """Return *fact* as JSON fields."""
    said = {"source": fact.source, "said_at": fact.said_at.isoformat()}
    return {**write_value(fact), **said}


def write_value(fact: Fact) -> dict[str, Any]:
    """Return what *fact* says as JSON fields; source and time stand beside it in the log."""
    before = {"before": write_fact(fact.before)} if fact.before else {}
    return {"value": fact.value, **before}


def fit(fact: Fact, now: datetime) -> Fact:
    """Return *fact* as it can be stored: text that every database takes, and not of the future."""
    return Fact(plain(fact.value), plain(fact.source)[:255], min(fact.said_at, now))


def take_fact(known: Fact | None, said: Fact, contact: Fact | None) -> tuple[Fact, list[Fact]]:
    """Return which fact holds after *said* arrived, and what goes into the log.

    Said again is no news: the first time it was said stays, because it tells since when it holds.
    What was said later holds, in whatever order it arrives; of the same time, what arrives later.
    One source is believed in the order in which it speaks, so its news is never older than what it
    said before. Each *contact* confirms what the same source said: a word of another source from
    before it goes into the log, and so does what was confirmed, which holds anew from then on.
    That a source cannot tell (any more) holds together with what was said last before.
    """
    if known is None:
        return said, [said]
    if said.value == known.value:
        return known, []
    if said.source == known.source:
        fresh = _after(known, replace(said, said_at=max(said.said_at, known.said_at)))
        return fresh, [fresh]
    if said.said_at < known.said_at:
        recalled = _recalling(known, said)
        return recalled, [said] if recalled is known else [said, recalled]
    said = _after(known, said)
    if contact is None or contact.source != known.source or said.said_at >= contact.said_at:
        return said, [said]
    confirmed = replace(known, said_at=contact.said_at)
    return confirmed, [said, confirmed]


def _after(known: Fact, said: Fact) -> Fact:
    return replace(said, before=known) if said.value is None else said


def _recalling(known: Fact, late: Fact) -> Fact:
    """Return *known* together with *late*, if that is what was said last before it says nothing."""
    if known.value is not None or (known.before and late.said_at < known.before.said_at):
        return known
    return replace(known, before=late)
