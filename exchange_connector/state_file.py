"""An SQLite file that knows the same after a sudden death as before it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

from runtime.process import crash_point

_STATE = "CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL);"

Moment = TypeVar("Moment", bound=str)
"""The names of what happened last."""


class StateFile(Generic[Moment]):
    """The open file: single values by name, beside the tables of its owner."""

    def __init__(self, path: Path, tables: str, one_thread: bool = True) -> None:
        """Open or make *path* with *tables*.

        Without *one_thread* several may use it, one at a time.
        """
        self._db = sqlite3.connect(
            path, isolation_level=None, timeout=30, check_same_thread=one_thread
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_STATE + tables)
        path.chmod(0o600)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def is_undone(self) -> bool:
        """Tell whether somebody undid everything here, and nothing is to be enforced."""
        return bool(self._read("undone"))

    def keep_undone(self, undone: bool) -> None:
        """Remember it."""
        self._write("undone", "yes" if undone else "")

    def moment(self, name: Moment) -> datetime | None:
        """Return when something last happened."""
        said = self._read(name)
        return datetime.fromisoformat(said) if said else None

    def keep_moment(self, name: Moment, at: datetime) -> None:
        """Remember when it happened."""
        self._write(name, at.isoformat())

    def _read(self, name: str) -> str:
        row = self._db.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def _write(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))

    @contextmanager
    def _transaction(self, name: str) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        crash_point(f"before commit {name}")
        self._db.execute("COMMIT")
        crash_point(f"after commit {name}")
