"""What the signer may sign: pure decisions about limits, time and codes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.agent import CommandKind

HOUR, DAY = 3600.0, 86_400.0
FREE_FAILURES = 5
FIRST_DELAY, LONGEST_DELAY = 30.0, 3600.0
NAMES = {
    CommandKind.WIPE: "wipes",
    CommandKind.SELECTIVE_WIPE: "selective_wipes",
    CommandKind.RESET_PASSCODE: "passcode_resets",
    CommandKind.LOCK: "locks",
    CommandKind.UNLOCK: "locks",
    CommandKind.LOST_MODE: "locks",
    CommandKind.INSTALL_APP: "app_changes",
    CommandKind.REMOVE_APP: "app_changes",
}
"""The kinds that have limits, and what the limits of `Limits` begin with."""
SPANS = ("hour", "day", "administrator")

Count = Annotated[int, Field(ge=0, le=100_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Each field is ``SEKISHO_SIGNER_<NAME>``, or ``name`` in section ``[signer]``."""

    wipes_per_hour: Count = 5
    """Full wipes that need no approval."""
    wipes_per_day: Count = 20
    """The same for a day."""
    wipes_per_administrator: Count = 10
    """The same for a day and one administrator (or policy)."""
    selective_wipes_per_hour: Count = 20
    """Wipes of company data only that need no approval."""
    selective_wipes_per_day: Count = 100
    """The same for a day."""
    selective_wipes_per_administrator: Count = 50
    """The same for a day and one administrator (or policy)."""
    passcode_resets_per_hour: Count = 20
    """Passcode resets that need no approval."""
    passcode_resets_per_day: Count = 100
    """The same for a day."""
    passcode_resets_per_administrator: Count = 50
    """The same for a day and one administrator."""
    locks_per_hour: Count = 500
    """Locks that need no approval; unlocks and lost modes count by themselves, up to as many."""
    locks_per_day: Count = 2_000
    """The same for a day."""
    locks_per_administrator: Count = 1_000
    """The same for a day and one administrator."""
    app_changes_per_hour: Count = 5_000
    """App installs by command that need no approval; removals count by themselves, up to as
    many."""
    app_changes_per_day: Count = 20_000
    """The same for a day."""
    app_changes_per_administrator: Count = 20_000
    """The same for a day and one administrator."""
    approval_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    """How long an approval holds."""
    approvers_needed: Annotated[int, Field(ge=1, le=5)] = 2
    """How many approvers must prove themselves before a set of orders passes the limits."""
    approved_per_day: Count = 1000
    """Most commands with limits that approvals let pass in a day, of all kinds together."""
    group: str = ""
    """The group that may ask, when the signer runs under its own user."""

    def of(self, kind: CommandKind) -> dict[str, int] | None:
        """Return what is allowed in an hour, in a day, and in a day to one administrator.

        None for a *kind* without limits.
        """
        name = NAMES.get(kind)
        return {span: getattr(self, f"{name}_per_{span}") for span in SPANS} if name else None


@dataclass(frozen=True, slots=True, order=True)
class Wanted:
    """One order of a set that is to be approved: exactly this, to exactly this device."""

    command_id: UUID
    kind: str
    recipient: UUID
    content: str
    """`content_of` its arguments."""


def content_of(arguments: Mapping[str, str]) -> str:
    """Return a hash of a command's arguments."""
    return sha256(json.dumps(dict(arguments), sort_keys=True).encode()).hexdigest()


def fingerprint_of(wanted: Iterable[Wanted]) -> str:
    """Return a hash of exactly this set of orders, in whatever sequence they are given."""
    rows = [
        [str(one.command_id), one.kind, str(one.recipient), one.content] for one in sorted(wanted)
    ]
    return sha256(json.dumps(rows).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Anchor:
    """The signer's own time: *at* (seconds since 1970) when the machine had run *booted* s."""

    at: float
    boot_id: str
    booted: float


def advance(anchor: Anchor | None, wall: float, boot_id: str, booted: float) -> Anchor:
    """Return the anchor of this moment; its time never goes back.

    While the machine runs only the time it ran counts, so setting the wall clock in either
    direction frees no budget. Across a restart the wall clock is believed, but only forward.
    """
    if anchor is None:
        return Anchor(wall, boot_id, booted)
    if anchor.boot_id == boot_id and booted >= anchor.booted:
        return Anchor(anchor.at + booted - anchor.booted, boot_id, booted)
    return Anchor(max(anchor.at, wall), boot_id, booted)


def exceeded(kind: CommandKind, used: Mapping[str, int], limits: Limits) -> str | None:
    """Return the limit that one more command of *kind* would break, in words, or None.

    *used* counts those signed without approval within the last ``hour`` and ``day``, and within
    the day for the same ``administrator``.
    """
    words = kind.value.replace("_", " ")
    for span, most in (limits.of(kind) or {}).items():
        if used[span] >= most:
            whose = (
                "by one administrator in one day" if span == "administrator" else f"in one {span}"
            )
            return f"no more than {most} {words} commands {whose}"
    return None


def delay_after(failures: int) -> float:
    """Return how many seconds nobody may try after so many wrong codes in a row."""
    if failures < FREE_FAILURES:
        return 0.0
    return min(FIRST_DELAY * float(1 << min(failures - FREE_FAILURES, 20)), LONGEST_DELAY)
