"""What the connector must not forget: its own SQLite file.

It holds the last wanted list, the entries that we made at the mail server, what we know to hold
there, and results that management has not heard yet. So the connector works on through an outage
of management, and after a crash it knows which entries are its own.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import cast

from contracts import codec
from contracts.connector import Access, Applied, AppliedBatch, WantedAccess
from exchange_connector.access_rules import Lists
from runtime.process import crash_point

Pair = tuple[str, str]
"""(mailbox, DeviceId)."""

_TABLES = """
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS entry (
    mailbox TEXT, device_id TEXT, list TEXT, PRIMARY KEY (mailbox, device_id, list)
);
CREATE TABLE IF NOT EXISTS settled (
    mailbox TEXT, device_id TEXT, access TEXT NOT NULL, PRIMARY KEY (mailbox, device_id)
);
CREATE TABLE IF NOT EXISTS result (seq INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
"""
NOTHING = WantedAccess(issue=0, paused=False, cycle_seconds=60, wanted=())


class Spool:
    """The open file; one process uses it."""

    def __init__(self, path: Path) -> None:
        """Open or make *path*."""
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_TABLES)
        path.chmod(0o600)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # --- the wanted list ---

    def wanted(self) -> tuple[WantedAccess, str]:
        """Return the last wanted list and its tag; nothing and no tag at the beginning."""
        body, tag = self._read("wanted"), self._read("tag")
        if body is None:
            return NOTHING, ""
        return codec.read(WantedAccess, body, len(body)), tag or ""

    def keep_wanted(self, wanted: WantedAccess, tag: str) -> None:
        """Remember a new wanted list."""
        with self._transaction("keep wanted access"):
            self._write("wanted", codec.write(wanted).decode())
            self._write("tag", tag)

    # --- what is at the mail server ---

    def ours(self) -> dict[str, Lists]:
        """Return the entries that we made or were about to make, by mailbox."""
        found: dict[str, dict[str, set[str]]] = {}
        for mailbox, device_id, name in self._db.execute("SELECT * FROM entry"):
            lists = found.setdefault(mailbox, {"allowed": set(), "blocked": set()})
            lists[name].add(device_id)
        return {
            mailbox: Lists(frozenset(lists["allowed"]), frozenset(lists["blocked"]))
            for mailbox, lists in found.items()
        }

    def settled(self) -> dict[Pair, Access]:
        """Return what held at the mail server when we last looked."""
        rows = self._db.execute("SELECT mailbox, device_id, access FROM settled")
        return {(mailbox, device_id): cast(Access, access) for mailbox, device_id, access in rows}

    def intend(self, mailbox: str, entries: Lists) -> None:
        """Write down, before the effect, which entries of *mailbox* will be ours."""
        with self._transaction("intend a change"):
            self._add_entries(mailbox, entries)

    def settle(
        self,
        mailbox: str,
        ours: Lists,
        settled: Mapping[str, Access],
        results: Iterable[Applied],
    ) -> None:
        """Write down, after the effect, what holds in *mailbox* and what to tell management."""
        with self._transaction("settle a change"):
            self._db.execute("DELETE FROM entry WHERE mailbox = ?", (mailbox,))
            self._add_entries(mailbox, ours)
            self._db.execute("DELETE FROM settled WHERE mailbox = ?", (mailbox,))
            self._db.executemany(
                "INSERT INTO settled VALUES (?, ?, ?)",
                [(mailbox, device_id, access) for device_id, access in settled.items()],
            )
            self._add_results(results)

    def _add_entries(self, mailbox: str, entries: Lists) -> None:
        rows = [(mailbox, one, "allowed") for one in entries.allowed]
        rows += [(mailbox, one, "blocked") for one in entries.blocked]
        self._db.executemany("INSERT OR IGNORE INTO entry VALUES (?, ?, ?)", rows)

    # --- results ---

    def add_results(self, results: Iterable[Applied]) -> None:
        """Keep results until management has heard them."""
        with self._transaction("keep results"):
            self._add_results(results)

    def _add_results(self, results: Iterable[Applied]) -> None:
        self._db.executemany(
            "INSERT INTO result (body) VALUES (?)",
            [(codec.write(AppliedBatch(applied=(one,))),) for one in results],
        )

    def results(self, limit: int) -> tuple[list[Applied], int]:
        """Return the oldest results not heard yet, and the number up to which they go."""
        rows = self._db.execute("SELECT seq, body FROM result ORDER BY seq LIMIT ?", (limit,))
        found = rows.fetchall()
        told = [codec.read(AppliedBatch, body).applied[0] for _, body in found]
        return told, found[-1][0] if found else 0

    def forget_results(self, up_to: int) -> None:
        """Drop results that management has heard."""
        self._db.execute("DELETE FROM result WHERE seq <= ?", (up_to,))

    # --- the session ---

    def open_session(self) -> str:
        """Return the name of the session that is open, or was when we died; empty when none."""
        return self._read("session") or ""

    def keep_session(self, name: str) -> None:
        """Remember the session that opens, or with an empty name that it is closed."""
        self._write("session", name)

    # --- when ---

    def discovered_at(self) -> datetime | None:
        """Return when everything was last read and reported."""
        said = self._read("discovered_at")
        return datetime.fromisoformat(said) if said else None

    def keep_discovered(self, at: datetime) -> None:
        """Remember that everything was read and reported."""
        self._write("discovered_at", at.isoformat())

    def _read(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

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
