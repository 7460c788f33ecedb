"""What is to hold at the mail server now: management's list, unless undone, paused or silent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.connector import Door, Wanted, WantedAccess

Pair = tuple[str, str]
"""(mailbox, DeviceId)."""
UNDONE = (
    "Everything that this connector did was taken back, and nothing is enforced until somebody "
    "lets it go on"
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What to bring about; *stopped*: write nothing at all; *because* says why it is not all."""

    by_pair: Mapping[Pair, Wanted]
    stopped: bool = False
    because: str = ""
    close_doors: frozenset[Door] = frozenset()
    """At mailboxes with a blocked phone."""


def wishes(
    wanted: WantedAccess, heard_at: datetime | None, undone_here: bool, now: datetime
) -> Wishes:
    """Return what holds now.

    Undoing wins over a pause, which stops everything else. *heard_at* is when management answered
    last; after ``silent_hours`` its blocks are taken back where ``when_silent`` is ``open``.
    """
    if wanted.undo or undone_here:
        where = "in the console" if wanted.undo else "with `exchange-connector resume`"
        return Wishes({}, because=f"{UNDONE} ({where}).")
    listed = {(one.mailbox, one.device_id): one for one in wanted.wanted if one.access != "leave"}
    doors = frozenset(wanted.close_doors) - {"activesync"}
    if wanted.paused:
        because = wanted.paused_because or "Paused."
        return Wishes(listed, stopped=True, because=because, close_doors=doors)
    silent = heard_at is not None and now - heard_at > timedelta(hours=wanted.silent_hours)
    if silent and wanted.when_silent == "open":
        kept = {pair: one for pair, one in listed.items() if one.access != "block"}
        because = f"Management is silent for over {wanted.silent_hours} h: blocks are taken back."
        return Wishes(kept, because=because)
    return Wishes(listed, close_doors=doors)
