"""The part of the spool that holds wipes: none is forgotten, none is ordered twice."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

WIPE_TABLE = """
CREATE TABLE IF NOT EXISTS wipe (
    command_id TEXT PRIMARY KEY, guid TEXT NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL,
    detail TEXT NOT NULL, told INTEGER NOT NULL
);
"""


class WipeBook:
    """Belongs to an open `spool.Spool`."""

    def __init__(
        self, db: sqlite3.Connection, transaction: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        self._db, self._transaction = db, transaction

    def state(self, command_id: str) -> str:
        """Return how far a wipe is, or nothing when it is new."""
        row = self._db.execute(
            "SELECT state FROM wipe WHERE command_id = ?", (command_id,)
        ).fetchone()
        return "" if row is None else str(row[0])

    def keep(self, command_id: str, guid: str, state: str, at: datetime, detail: str = "") -> None:
        """Write down how far a wipe is; *state* ``begun`` stands before the effect."""
        with self._transaction("keep a wipe"):
            self._db.execute(
                "INSERT OR REPLACE INTO wipe VALUES (?, ?, ?, ?, ?, 0)",
                (command_id, guid, state, at.isoformat(), detail[:4000]),
            )

    def to_follow(self) -> list[tuple[str, str]]:
        """Return (command id, guid) of the wipes that no phone has acknowledged yet."""
        rows = self._db.execute("SELECT command_id, guid FROM wipe WHERE state = 'done'")
        return [(command_id, guid) for command_id, guid in rows]

    def to_tell(self) -> list[tuple[str, str, datetime, str]]:
        """Return (command id, state, when, detail) that management has not heard."""
        rows = self._db.execute(
            "SELECT command_id, state, at, detail FROM wipe WHERE told = 0 AND state <> 'begun'"
        )
        return [
            (command_id, state, datetime.fromisoformat(at), detail)
            for command_id, state, at, detail in rows
        ]

    def note_told(self, command_id: str, state: str) -> None:
        """Remember that management heard this state."""
        self._db.execute(
            "UPDATE wipe SET told = 1 WHERE command_id = ? AND state = ?", (command_id, state)
        )
