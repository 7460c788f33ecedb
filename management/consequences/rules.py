"""What follows from violations now, what is over, and when nothing may follow. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from management.compliance.judgement import (
    ConsequenceKind,
    DueConsequence,
    Judgement,
    Rule,
    Violation,
)

LONGEST_MESSAGE = 255
CUTTING = frozenset(
    {ConsequenceKind.BLOCK_MAIL, ConsequenceKind.MOVE_GROUP, ConsequenceKind.SELECTIVE_WIPE}
)
"""What takes something away; the brake counts the devices that it meets."""
BRAKE_PERIOD = timedelta(hours=1)
BRAKE_LEAST = 50
BRAKE_PERCENT = 5
MOST_WAITING_WIPES = 10
"""So many automatic wipes may wait to be signed or approved; then no more are ordered."""
MOST_MOVES = 3
"""So often within a day consequences move a device; policies may send it back and forth."""
MOVES_PERIOD = timedelta(days=1)
SILENT_AFTER = timedelta(minutes=15)
"""A communication server that was not reached for so long counts as silent."""
LEAST_RETURN = timedelta(hours=1)
MOST_RETURN = timedelta(hours=24)
"""Devices prove themselves at least daily."""
LOOK_AGAIN = timedelta(minutes=5)

Key = tuple[Rule, ConsequenceKind]


class Result(StrEnum):
    """What became of a consequence."""

    DONE = "done"
    REFUSED = "refused"
    """It cannot be done to this device; the words say why."""


class Cause(StrEnum):
    """Why consequences are frozen."""

    RELAY_SILENCE = "relay_silence"
    MASS_CHANGE = "mass_change"


@dataclass(frozen=True, slots=True)
class Frozen:
    """Consequences and new mail blocks wait: why, since when, until when, for whom."""

    cause: Cause
    because: str
    mend: str
    since: datetime
    until: datetime | None
    """When it ends by itself; None: see `mend`."""
    relay_id: UUID | None = None
    heard_after: datetime | None = None
    """A device that proved itself after this instant is not frozen; None: every device is."""
    freeze_id: int | None = None

    def holds(self, relay_id: UUID | None, contact_at: datetime | None) -> bool:
        """Tell whether this concerns a device of that relay which was heard last at that time."""
        if self.cause is Cause.MASS_CHANGE:
            return True
        if relay_id is not None and relay_id != self.relay_id:
            return False
        if self.heard_after is None or contact_at is None:
            return True
        return contact_at < self.heard_after


def time_to_return(outage: timedelta) -> timedelta:
    """Return how long devices have to come back after an *outage*: as long as it was itself.

    An hour at least, a day at most.
    """
    return max(LEAST_RETURN, min(outage, MOST_RETURN))


def brake_limit(devices: int) -> int:
    """Return how many of so many devices consequences may cut off within `BRAKE_PERIOD`."""
    return max(BRAKE_LEAST, -(-devices * BRAKE_PERCENT // 100))


def over(judged: Judgement, done: Iterable[Key]) -> set[Key]:
    """Return those of what was *done* whose violation is mended."""
    broken = {violation.rule for violation in judged.violations}
    return {key for key in done if key[0] not in broken}


def to_do(judged: Judgement, done: Collection[Key], now: datetime) -> list[DueConsequence]:
    """Return what is due and not *done* yet in this episode, the earliest first."""
    return [
        one for one in judged.consequences if one.due_at <= now and (one.rule, one.kind) not in done
    ]


def violation_of(judged: Judgement, rule: Rule) -> Violation:
    """Return the violation of *rule*, from which something follows."""
    return next(one for one in judged.violations if one.rule is rule)


def message(violations: Sequence[Violation]) -> str:
    """Return what the user is told: what is wrong and what mends it, cut where it gets too long."""
    text = " ".join(f"{_sentence(one.because)} {one.mend}" for one in violations)
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 1]}…"


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
