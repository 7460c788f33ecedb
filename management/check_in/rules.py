"""Which report is taken, by its number. Pure."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

REMEMBERED = 8
"""How many of the last reports are compared when they come again.

A device sends a report again unchanged. One that comes with a number of the past and another
content was signed by a copy of the device's keys, or by a device set back to an old state; both
show within a few numbers of the present, so a few short hashes in the device's own row suffice.
"""


class Place(StrEnum):
    """Where a report stands in the row of numbers."""

    NEXT = "next"
    REPEATED = "repeated"
    ALTERED = "altered"
    GAP = "gap"
    OLD_EPOCH = "old_epoch"
    UNKNOWN_EPOCH = "unknown_epoch"


def digest(payload: bytes) -> str:
    """Return a short hash of a report's payload; 64 bits tell chance apart, not attackers."""
    return sha256(payload).hexdigest()[:16]


def place(
    epoch: int, seq: int, known_epoch: int, known_seq: int, recent: Mapping[str, Any], hashed: str
) -> Place:
    """Return where report *seq* of *epoch* stands for a device heard up to *known_seq*."""
    if epoch != known_epoch:
        return Place.OLD_EPOCH if epoch < known_epoch else Place.UNKNOWN_EPOCH
    if seq > known_seq:
        return Place.NEXT if seq == known_seq + 1 else Place.GAP
    return Place.ALTERED if recent.get(str(seq), hashed) != hashed else Place.REPEATED


def remember(recent: Mapping[str, Any], seq: int, hashed: str) -> dict[str, str]:
    """Return the hashes of the last reports with this one added."""
    return {number: kept for number, kept in recent.items() if int(number) > seq - REMEMBERED} | {
        str(seq): hashed
    }


def said_when(sent_at: datetime, not_before: datetime, now: datetime) -> datetime:
    """Return when the content of a report counts as said.

    A device's clock may be wrong, its numbers are not: never after the arrival *now*, and never
    before *not_before*, when the report ahead of it was said or the device enrolled. So a clock set
    back makes no news look old.
    """
    return min(max(sent_at, not_before), now)
