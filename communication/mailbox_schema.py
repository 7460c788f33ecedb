"""The tables of the mailbox and how its SQLite file is opened."""

import sqlite3
from pathlib import Path

from runtime.errors import ConfigurationError

VERSION = 2
TABLES = """
CREATE TABLE inbound (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    sender BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    sealed TEXT NOT NULL,
    UNIQUE (kind, sender, epoch, seq, hash, size)  -- size: so that counting reads only this
) STRICT;
CREATE TABLE outbound (
    recipient BLOB NOT NULL,
    kind TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    size INTEGER NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (recipient, kind, epoch, seq)
) STRICT;
CREATE TABLE device (
    slot INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id BLOB NOT NULL UNIQUE,
    signing_key TEXT NOT NULL,
    active INTEGER NOT NULL,
    as_of INTEGER NOT NULL,
    next_key TEXT
) STRICT;
CREATE TABLE enrolment (
    enrolment_id BLOB PRIMARY KEY,
    signing_key TEXT NOT NULL,
    posted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX enrolment_posted_at ON enrolment (posted_at);
CREATE TABLE seen (slot INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
CREATE INDEX seen_at ON seen (at);
CREATE TABLE nonce (
    key_id TEXT NOT NULL,
    nonce TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (key_id, nonce)
) STRICT, WITHOUT ROWID;
CREATE INDEX nonce_until ON nonce (until);
CREATE TABLE said (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE held (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO held VALUES ('inbound', 0), ('outbound', 0);
CREATE TRIGGER inbound_added AFTER INSERT ON inbound BEGIN
    UPDATE held SET bytes = bytes + NEW.size WHERE name = 'inbound'; END;
CREATE TRIGGER inbound_removed AFTER DELETE ON inbound BEGIN
    UPDATE held SET bytes = bytes - OLD.size WHERE name = 'inbound'; END;
CREATE TRIGGER outbound_added AFTER INSERT ON outbound BEGIN
    UPDATE held SET bytes = bytes + NEW.size WHERE name = 'outbound'; END;
CREATE TRIGGER outbound_changed AFTER UPDATE ON outbound BEGIN
    UPDATE held SET bytes = bytes - OLD.size + NEW.size WHERE name = 'outbound'; END;
CREATE TRIGGER outbound_removed AFTER DELETE ON outbound BEGIN
    UPDATE held SET bytes = bytes - OLD.size WHERE name = 'outbound'; END;
"""


UPGRADES = {1: "ALTER TABLE device ADD COLUMN next_key TEXT;"}
"""What leads from a version to the next one."""
BUSY_SECONDS = 60.0
"""How long a writer waits for another, such as a backup; the queue before it is bounded."""


def connect(path: Path, cache_kib: int = 1024) -> sqlite3.Connection:
    """Return a connection that commits only when told to, durably."""
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables once; ConfigurationError when the file is of another version."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found == 0:
        connection.executescript(f"BEGIN IMMEDIATE;{TABLES}PRAGMA user_version={VERSION};COMMIT;")
    while found in UPGRADES:
        step = f"{UPGRADES[found]}PRAGMA user_version={found + 1};"
        connection.executescript(f"BEGIN IMMEDIATE;{step}COMMIT;")
        found += 1
    if found not in (0, VERSION):
        raise ConfigurationError(
            f"The mailbox is of version {found}; this release reads version {VERSION}. "
            "Start the release that wrote it, or remove the file: management sends all again."
        )
