"""Reports on their way into the mailbox, many at once: which of them are kept, and keeping them.

A batch is one SELECT and one INSERT, however many reports it has: each statement lets go of the
interpreter's lock, and whoever lets go of it waits for the thread that answers devices.
"""

import json
import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from communication.limits import FullError, TooManyError

_ASKED = """
WITH new (sender, epoch, seq, hash) AS (VALUES {rows})
SELECT (SELECT bytes FROM held WHERE name='inbound'), json_group_array(json((
    SELECT json_array(coalesce(max(i.epoch=new.epoch AND i.seq=new.seq AND i.hash=new.hash), 0),
                      count(*), coalesce(sum(i.size), 0))
    FROM inbound AS i WHERE i.kind='report' AND i.sender=new.sender)))
FROM new"""
_ADDED = (
    "INSERT INTO inbound (kind, sender, epoch, seq, hash, received_at, size, sealed) VALUES {rows}"
)
Kept = bool | TooManyError | FullError
"""Whether a report is new, or why it cannot be kept."""


class Report(NamedTuple):
    """One report, as it is kept."""

    sender: bytes
    epoch: int
    seq: int
    hash: bytes
    sealed: str


class Limits(NamedTuple):
    """How much may wait."""

    device_messages: int
    device_bytes: int
    inbound_bytes: int


def report(device: UUID, epoch: int, seq: int, sealed: str) -> Report:
    """Return a report as it is kept."""
    return Report(device.bytes, epoch, seq, sha256(sealed.encode()).digest(), sealed)


def put(
    store: sqlite3.Connection,
    reports: Sequence[Report],
    limits: Limits,
    full: FullError | None,
    at: int,
) -> list[Kept]:
    """Add what is new and fits, received *at*; say of each report what became of it.

    *full* is why nothing more can be kept, if that is so.
    """
    held, waiting = _ask(store, reports)
    added: dict[tuple[object, ...], Report] = {}
    found: list[Kept] = []
    for one, (itself, count, size) in zip(reports, waiting, strict=True):
        if itself or one[:4] in added:
            found.append(False)
            continue
        beside = [len(each.sealed) for each in added.values() if each.sender == one.sender]
        why = _refusal(one, count + len(beside), size + sum(beside), held, limits) or full
        found.append(why or True)
        if why is None:
            held += len(one.sealed)
            added[one[:4]] = one
    _add(store, list(added.values()), at)
    return found


def _refusal(
    one: Report, count: int, size: int, held: int, limits: Limits
) -> TooManyError | FullError | None:
    """Return why a report is too much: of its device, or of all."""
    if count >= limits.device_messages or size + len(one.sealed) > limits.device_bytes:
        return TooManyError(
            f"{count} reports of this device wait for management already; send this one again "
            "later."
        )
    if held + len(one.sealed) > limits.inbound_bytes:
        return FullError(
            "This server holds as much as it may until management collects it; send this again "
            "later."
        )
    return None


def _ask(store: sqlite3.Connection, reports: Sequence[Report]) -> tuple[int, list[list[int]]]:
    """Return how much waits in all; of each report: is it there, its device's count and size."""
    values = [value for one in reports for value in one[:4]]
    held, found = store.execute(_ASKED.format(rows=_rows(4, len(reports))), values).fetchone()
    return held, json.loads(found)


def _add(store: sqlite3.Connection, reports: Sequence[Report], at: int) -> None:
    if not reports:
        return
    values = [
        value for one in reports for value in ("report", *one[:4], at, len(one.sealed), one.sealed)
    ]
    store.execute(_ADDED.format(rows=_rows(8, len(reports))), values)


def _rows(columns: int, count: int) -> str:
    return ", ".join([f"({', '.join('?' * columns)})"] * count)
