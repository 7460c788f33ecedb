"""What the signer may sign: pure decisions about limits, time and codes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from contracts.agent import CommandKind

HOUR, DAY = 3600.0, 86_400.0
FREE_FAILURES = 5
FIRST_DELAY, LONGEST_DELAY = 30.0, 3600.0
SET_UP_TIME = timedelta(hours=24)
"""Administrators who confirm while the signer is this young may approve at once."""

Count = Annotated[int, Field(ge=0, le=100_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Each field is ``SEKISHO_SIGNER_<NAME>``, or ``name`` in section ``[signer]``."""

    wipes_per_hour: Count = 5
    """Full wipes that need no approval."""
    wipes_per_day: Count = 20
    """The same for a day."""
    selective_wipes_per_hour: Count = 20
    """Wipes of company data only that need no approval."""
    selective_wipes_per_day: Count = 100
    """The same for a day."""
    passcode_resets_per_hour: Count = 20
    """Passcode resets that need no approval."""
    passcode_resets_per_day: Count = 100
    """The same for a day."""
    approval_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    """How long an approval waits for its command."""
    approver_hours: Annotated[int, Field(ge=0, le=720)] = 24
    """How long a new administrator waits before approving above the limits."""
    group: str = ""
    """The group that may ask, when the signer runs under its own user."""

    def of(self, kind: CommandKind) -> tuple[int, int] | None:
        """Return (per hour, per day) of a *kind* that has limits, None for any other."""
        if kind is CommandKind.WIPE:
            return self.wipes_per_hour, self.wipes_per_day
        if kind is CommandKind.SELECTIVE_WIPE:
            return self.selective_wipes_per_hour, self.selective_wipes_per_day
        if kind is CommandKind.RESET_PASSCODE:
            return self.passcode_resets_per_hour, self.passcode_resets_per_day
        return None


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

    *used* counts those signed within the last ``hour`` and ``day``.
    """
    allowed = limits.of(kind)
    if allowed is None:
        return None
    for span, most in zip(("hour", "day"), allowed, strict=True):
        if used[span] >= most:
            return f"no more than {most} {kind.value.replace('_', ' ')} commands in one {span}"
    return None


def delay_after(failures: int) -> float:
    """Return how many seconds nobody may try after so many wrong codes in a row."""
    if failures < FREE_FAILURES:
        return 0.0
    return min(FIRST_DELAY * float(1 << min(failures - FREE_FAILURES, 20)), LONGEST_DELAY)


def may_approve_from(confirmed_at: float, born_at: float, limits: Limits) -> float:
    """Return since when an administrator may approve.

    Whoever has taken over the web process could invent an administrator; the wait gives people
    time to see it. Those who confirmed while the signer was being set up need not wait.
    """
    if confirmed_at <= born_at + SET_UP_TIME.total_seconds():
        return confirmed_at
    return confirmed_at + limits.approver_hours * HOUR
