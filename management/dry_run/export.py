"""The devices that a dry run names, as CSV that a spreadsheet can open without harm."""

import csv
from collections.abc import Iterator
from io import StringIO
from uuid import UUID

from management.database import Database
from management.dry_run.queries import EXPORT, Named, Wanted, look
from management.formulas import harmless

HEAD = ("device id", "name", "owner", "before", "after", "loses mail", "is wiped", "because")


def as_csv(database: Database, run_id: UUID, wanted: Wanted) -> Iterator[str]:
    """Yield the file in parts; each is read for itself, so memory and locks stay small."""
    yield "\ufeff" + _lines([HEAD])
    after: UUID | None = None
    while True:
        with database.reading() as session:
            found, after = look(session, run_id, wanted, after, EXPORT)
        yield _lines([_fields(one) for one in found])
        if after is None:
            return


def _fields(one: Named) -> tuple[str, ...]:
    row = one.found
    told = (one.name, one.owner, row.before, row.after, row.mail, row.wipe, row.because)
    return (str(row.device_id), *map(harmless, told))


def _lines(rows: list[tuple[str, ...]]) -> str:
    out = StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()
