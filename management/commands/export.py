"""The commands of a filter as CSV that a spreadsheet can open without harm."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from io import StringIO

from sqlalchemy.orm import Session

from management.commands.filters import CommandFilter
from management.commands.search import ListedCommand, read_on
from management.commands.ways import find_way
from management.formulas import harmless

Reading = Callable[[], AbstractContextManager[Session]]
STEP = 1_000
"""Commands that are read at once: memory and read transactions stay small."""
HEAD = (
    "command id", "device id", "device", "owner", "address", "command", "text", "package", "state",
    "waits for", "attempt", "asked for by", "reason", "detail", "queued", "sent", "acknowledged",
    "finished", "expires", "bulk command",
)  # fmt: skip


def as_csv(open_reading: Reading, wanted: CommandFilter) -> Iterator[str]:
    """Yield the file in parts, newest first; *open_reading* gives each its session."""
    yield "\ufeff" + _lines([HEAD])
    with open_reading() as session:
        way = find_way(session, wanted)
    after = None
    while True:
        with open_reading() as session:
            rows, after = read_on(session, way, after, STEP)
        if rows:
            yield _lines([_fields(row) for row in rows])
        if after is None:
            return


def _fields(row: ListedCommand) -> list[str]:
    one = row.command
    values = (
        one.id, one.device_id, row.device, row.owner_name, row.owner_address, one.kind,
        one.arguments.get("text"), one.arguments.get("package"), one.state, one.waiting_for,
        one.attempt, one.requested_by, one.reason, one.detail, one.queued_at, one.sent_at,
        one.acknowledged_at, one.finished_at, one.expires_at, one.batch_id,
    )  # fmt: skip
    return [harmless(_text(value)) for value in values]


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return "" if value is None else str(value)


def _lines(rows: Sequence[Sequence[str]]) -> str:
    out = StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()
