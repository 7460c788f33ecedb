"""What the signer notes of itself, in the transaction of the act: nobody can have one unnoted.

Its user may not be able to open management's database, and an emergency waits for no database. So
the lines lie here until the jobs process puts them into the audit trail; the newest stay also
afterwards, where the web process cannot change them.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from management.signer_messages import NewestNotes, TakeNotes
from management.signer_store import Books

TAKEN = "notes taken"
AT_ONCE = 100
KEPT = 1000
"""Of the cheap ones that are in the trail."""
CHEAP = ("signer.pause", "signer.resume", "look.list")
"""What the web process can ask for without end. All else takes who runs the machine or an
approver's code, and is never dropped here: nobody pushes it out with these.
"""
MOST_WAITING = 1000
"""Of the cheap ones."""
log = logging.getLogger(__name__)


def keep(
    books: Books, actor: str, action: str, subject: str, reason: str = "", **details: Any
) -> None:
    """Keep a line for the audit trail; *details* are plain JSON."""
    books.rows.execute(
        "INSERT INTO note (at, actor, action, subject, reason, details) VALUES (?, ?, ?, ?, ?, ?)",
        (books.now, actor, action, subject, reason, json.dumps(details)),
    )


def keep_bounded(books: Books, actor: str, action: str, subject: str, **told: Any) -> None:
    """Keep a cheap line unless too many wait: then it stands in the log only; the act goes on."""
    (waiting,) = books.rows.execute(
        "SELECT count(*) FROM note WHERE action IN (?, ?, ?) AND number > ?",
        (*CHEAP, _taken(books)),
    ).fetchone()
    if waiting < MOST_WAITING:
        keep(books, actor, action, subject, **told)
    else:
        log.warning("Too many notes wait for the audit trail.", extra={"unnoted": action})


def asked_for(books: Books, asked: TakeNotes | NewestNotes) -> list[dict[str, Any]]:
    """Return the notes that are to go into the trail, or the newest."""
    return _hand_over(books, asked.through) if isinstance(asked, TakeNotes) else _newest(books)


def _hand_over(books: Books, through: int) -> list[dict[str, Any]]:
    """Take note that those up to number *through* are in the trail; return some that follow."""
    if through > _taken(books):
        (last,) = books.rows.execute("SELECT coalesce(max(number), 0) FROM note").fetchone()
        books.write(TAKEN, str(min(through, last)))
        books.rows.execute(
            "DELETE FROM note WHERE action IN (?, ?, ?) AND number <= ("
            "SELECT number FROM note WHERE action IN (?, ?, ?) AND number <= ?"
            " ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (*CHEAP, *CHEAP, _taken(books), KEPT),
        )
    return _read(
        books,
        "SELECT * FROM note WHERE number > ? ORDER BY number LIMIT ?",
        _taken(books),
    )


def _newest(books: Books) -> list[dict[str, Any]]:
    """Return the newest of both kinds, oldest first, also those that are in the trail: no flood of
    cheap ones hides the others.
    """
    which = "SELECT * FROM note WHERE action {} IN (?, ?, ?) ORDER BY number DESC LIMIT ?"
    found = [one for kind in ("", "NOT") for one in _read(books, which.format(kind), *CHEAP)]
    return sorted(found, key=lambda one: int(one["number"]))


def _read(books: Books, wanted: str, *of: Any) -> list[dict[str, Any]]:
    return [
        {
            **dict(row),
            "at": datetime.fromtimestamp(row["at"], UTC).isoformat(),
            "details": json.loads(row["details"]),
        }
        for row in books.rows.execute(wanted, (*of, AT_ONCE)).fetchall()
    ]


def _taken(books: Books) -> int:
    return int(books.read(TAKEN) or 0)
