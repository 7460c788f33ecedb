"""What the signer remembers: a small SQLite file of its own, safe on disk before any answer."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from management.signer_rules import Anchor, advance
from runtime.errors import ConfigurationError
from runtime.process import crash_point

VERSION = 2
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE anchor (id INTEGER PRIMARY KEY CHECK (id = 1),
    at REAL NOT NULL, boot_id TEXT NOT NULL, booted REAL NOT NULL, born_at REAL NOT NULL);
CREATE TABLE counted (command_id TEXT PRIMARY KEY, kind TEXT NOT NULL,
    recipient TEXT NOT NULL, content TEXT NOT NULL, requested_by TEXT NOT NULL,
    signed_at REAL NOT NULL, approved_as TEXT NOT NULL);
CREATE INDEX counted_signed ON counted (kind, signed_at);
CREATE INDEX counted_approved ON counted (signed_at) WHERE approved_as <> '';
CREATE TABLE code_device (owner TEXT PRIMARY KEY, name TEXT NOT NULL, seed TEXT NOT NULL,
    confirmed_at REAL, last_step INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0, wait_until REAL NOT NULL DEFAULT 0);
CREATE TABLE proposal (fingerprint TEXT PRIMARY KEY, requested_by TEXT NOT NULL,
    because TEXT NOT NULL, proposed_at REAL NOT NULL);
CREATE TABLE proposed (fingerprint TEXT NOT NULL, command_id TEXT NOT NULL, kind TEXT NOT NULL,
    recipient TEXT NOT NULL, content TEXT NOT NULL, PRIMARY KEY (fingerprint, command_id))
    WITHOUT ROWID;
CREATE INDEX proposed_command ON proposed (command_id);
CREATE TABLE approval (fingerprint TEXT NOT NULL, approver TEXT NOT NULL, approved_at REAL NOT NULL,
    PRIMARY KEY (fingerprint, approver)) WITHOUT ROWID;
"""
_ADDED = """
CREATE TABLE IF NOT EXISTS note (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL,
    actor TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL,
    details TEXT NOT NULL);
"""
"""Came with a later release; earlier ones pass it over, so the version stays."""


def _machine() -> tuple[str, float]:
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    return boot_id.read_text("ascii").strip(), time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Clock:
    """The wall clock, and which boot of the machine this is with the seconds since."""

    wall: Callable[[], float] = time.time
    machine: Callable[[], tuple[str, float]] = _machine


class Store:
    """One connection, one transaction at a time."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open or make the file at *path*."""
        self.clock = clock
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        path.chmod(0o600)
        self._prepare(path)

    @contextmanager
    def transaction(self, name: str) -> Iterator["Books"]:
        """Open a transaction; it is on disk when the block ends, and undone on any error."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield Books(self._connection, self._now())
                crash_point(f"before commit {name}")
                self._connection.execute("COMMIT")
                crash_point(f"after commit {name}")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _now(self) -> float:
        """Move the anchor to this moment and return the signer's time."""
        row = self._connection.execute("SELECT * FROM anchor").fetchone()
        before = Anchor(row["at"], row["boot_id"], row["booted"]) if row else None
        after = advance(before, self.clock.wall(), *self.clock.machine())
        self._connection.execute(
            "INSERT INTO anchor (id, at, boot_id, booted, born_at) VALUES (1, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET "
            "at = excluded.at, boot_id = excluded.boot_id, booted = excluded.booted",
            (after.at, after.boot_id, after.booted, after.at),
        )
        return after.at

    def _prepare(self, path: Path) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise ConfigurationError(f"{path} was written by a newer release; run that one.")
        if 0 < version < VERSION:
            raise ConfigurationError(f"{path} was written before the first release; start anew.")
        if version < VERSION:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;"
            )
        self._connection.executescript(_ADDED)


@dataclass(frozen=True, slots=True)
class Books:
    """The store within one transaction, at the signer's time *now*."""

    rows: sqlite3.Connection
    now: float

    def read(self, name: str) -> str:
        """Return a remembered text, empty when there is none."""
        row = self.rows.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row["value"] if row else ""

    def write(self, name: str, value: str) -> None:
        """Remember a text."""
        self.rows.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))
