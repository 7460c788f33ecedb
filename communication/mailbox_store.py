"""How the mailbox's SQLite file is read and written: durable, one writer at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from communication import mailbox_schema
from runtime.process import crash_point

JOURNAL_BYTES = 16 * 1024 * 1024
"""A burst may make the log longer; once it is in the file, the log is cut back to this."""


class Store:
    """What is written inside ``with store.writing(name):`` is on disk when that block ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._writer = mailbox_schema.connect(path)
        self._writer.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
        self._readers = threading.local()
        mailbox_schema.prepare(self._writer)

    @contextmanager
    def writing(self, name: str) -> Iterator[Self]:
        """Commit what the block writes at its end, all or nothing, and only one block at a time."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self
                crash_point(f"before commit {name}")
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:  # the block or the commit itself failed
                    self._writer.execute("ROLLBACK")
            crash_point(f"after commit {name}")

    def unused_bytes(self) -> int:
        """Return how much room there is inside the file."""
        ((pages,),) = self._read("PRAGMA freelist_count")
        ((size,),) = self._read("PRAGMA page_size")
        return int(pages * size)

    def close(self) -> None:
        """Let go of the file; readers of other threads close with their threads."""
        with self._lock:
            self._writer.close()

    def _read(self, statement: str, *values: Any) -> list[Any]:
        if not hasattr(self._readers, "connection"):
            self._readers.connection = mailbox_schema.connect(self.path, cache_kib=256)
        found: list[Any] = self._readers.connection.execute(statement, values).fetchall()
        return found

    def _one(self, statement: str, *values: Any) -> Any:
        return self._writer.execute(statement, values).fetchone()


_START = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(at: datetime) -> int:
    """Return *at* as the mailbox keeps it: microseconds since 1970."""
    return (at - _START) // timedelta(microseconds=1)


def instant(kept: int) -> datetime:
    """Return the instant that `microseconds` was given."""
    return _START + timedelta(microseconds=kept)
