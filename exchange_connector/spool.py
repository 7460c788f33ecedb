"""What the connector must not forget: its own SQLite file.

It holds the last wanted list, the entries that we made at the mail server, what we know to hold
there, what others overrode, the mailboxes, the wipes, and what management has not heard yet. So the
connector works on through an outage of management, and after a crash knows which entries are its
own and which wipes it has ordered.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, cast
from uuid import UUID

from contracts import codec
from contracts.connector import Access, Applied, AppliedBatch, Door, WantedAccess
from exchange_connector.access_rules import Lists
from exchange_connector.backends.cmdlets import Mailbox
from exchange_connector.door_book import DOOR_TABLE, DoorBook, intended
from exchange_connector.door_rules import DoorState
from exchange_connector.state_file import StateFile
from exchange_connector.wipe_book import WIPE_TABLE, WipeBook

Pair = tuple[str, str]
"""(mailbox, DeviceId)."""
Moment = Literal["discovered_at", "compared_at", "delta_at", "newest_at", "heard_at", "rights_at"]
"""``discovered_at``: everything was read and reported; ``compared_at``: and every list compared;
``newest_at``: the newest first sync that Exchange named; ``heard_at``: management answered."""

_TABLES = """
CREATE TABLE IF NOT EXISTS entry (
    mailbox TEXT, device_id TEXT, list TEXT, PRIMARY KEY (mailbox, device_id, list)
);
CREATE TABLE IF NOT EXISTS settled (
    mailbox TEXT, device_id TEXT, access TEXT NOT NULL, since TEXT NOT NULL, at TEXT NOT NULL,
    overridden INTEGER NOT NULL, PRIMARY KEY (mailbox, device_id)
);
CREATE TABLE IF NOT EXISTS result (seq INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS mailbox (
    name TEXT PRIMARY KEY, guid TEXT NOT NULL, address TEXT NOT NULL, doors TEXT NOT NULL,
    asked_at TEXT NOT NULL
);
"""
NOTHING = WantedAccess(issue=0, paused=False, cycle_seconds=60, wanted=())


@dataclass(frozen=True, slots=True)
class Known:
    """What we know of one partnership at the mail server."""

    access: Access
    since: str
    """Which decision it follows: `contracts.connector.Wanted.since` as text."""
    at: datetime
    """Since when we know."""
    overridden: bool = False
    """Somebody else changed it: the access does not hold, and we leave it so."""


class Spool(StateFile[Moment]):
    """The open file; one process uses it."""

    def __init__(self, path: Path) -> None:
        """Open or make *path*."""
        super().__init__(path, _TABLES + WIPE_TABLE + DOOR_TABLE)
        self.wipes = WipeBook(self._db, self._transaction)
        self.doors = DoorBook(self._db)

    # --- the wanted list ---

    def wanted(self) -> tuple[WantedAccess, str]:
        """Return the last wanted list and its tag; nothing and no tag at the beginning."""
        body, tag = self._read("wanted"), self._read("tag")
        if not body:
            return NOTHING, ""
        return codec.read(WantedAccess, body, len(body)), tag

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

    def known(self) -> dict[Pair, Known]:
        """Return what held, or was overridden, at the mail server when we last looked."""
        rows = self._db.execute(
            "SELECT mailbox, device_id, access, since, at, overridden FROM settled"
        )
        return {
            (mailbox, device_id): Known(
                cast(Access, access), since, datetime.fromisoformat(at), bool(overridden)
            )
            for mailbox, device_id, access, since, at, overridden in rows
        }

    def intend(self, mailbox: str, entries: Lists, before: DoorState, after: DoorState) -> None:
        """Write down, before the effect, which entries and doors of *mailbox* will be ours."""
        with self._transaction("intend a change"):
            self._add_entries(mailbox, entries)
            if before.ours != after.ours:
                self.doors.keep(mailbox, intended(before, after.ours))

    def settle(
        self,
        mailbox: str,
        ours: Lists,
        known: Mapping[str, Known],
        doors: DoorState,
        results: Iterable[Applied],
    ) -> None:
        """Write down, after the effect, what holds in *mailbox* and what to tell management."""
        with self._transaction("settle a change"):
            self._db.execute("DELETE FROM entry WHERE mailbox = ?", (mailbox,))
            self._add_entries(mailbox, ours)
            self._db.execute("DELETE FROM settled WHERE mailbox = ?", (mailbox,))
            self._db.executemany(
                "INSERT INTO settled VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (mailbox, one, had.access, had.since, had.at.isoformat(), had.overridden)
                    for one, had in known.items()
                ],
            )
            self.doors.keep(mailbox, doors)
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

    # --- mailboxes ---

    def mailboxes(self) -> dict[str, Mailbox]:
        """Return the mailboxes as they were last read, by name, without their lists."""
        rows = self._db.execute("SELECT name, guid, address, doors FROM mailbox")
        return {
            name: Mailbox(
                name, guid, address, Lists(), cast(tuple[Door, ...], tuple(doors.split()))
            )
            for name, guid, address, doors in rows
        }

    def keep_mailboxes(self, found: Iterable[Mailbox], everything: bool) -> None:
        """Remember mailboxes; with *everything*, forget those that are not among them.

        What belongs to a mailbox that is known by its Guid under another name moves along.
        """
        before = {one.guid: one.name for one in self.mailboxes().values() if one.guid}
        kept = list(found)
        with self._transaction("keep mailboxes"):
            if everything:
                self._db.execute("CREATE TEMP TABLE IF NOT EXISTS live (name TEXT PRIMARY KEY)")
                self._db.execute("DELETE FROM live")
            for one in kept:
                if (old := before.get(one.guid)) not in (None, one.name):
                    self._rename(str(old), one.name)
                self._db.execute(
                    "INSERT INTO mailbox VALUES (?, ?, ?, ?, '') ON CONFLICT (name) DO UPDATE SET "
                    "guid = excluded.guid, address = excluded.address, doors = excluded.doors",
                    (one.name, one.guid, one.address, " ".join(one.open_doors)),
                )
                if everything:
                    self._db.execute("INSERT OR IGNORE INTO live VALUES (?)", (one.name,))
            if everything:
                self._db.execute("DELETE FROM mailbox WHERE name NOT IN (SELECT name FROM live)")

    def _rename(self, old: str, new: str) -> None:
        for table in ("entry", "settled", "doors"):
            self._db.execute(
                f"UPDATE OR REPLACE {table} SET mailbox = ? WHERE mailbox = ?",  # noqa: S608
                (new, old),
            )
        self._db.execute("UPDATE OR REPLACE mailbox SET name = ? WHERE name = ?", (new, old))

    def mailboxes_to_ask(self, before: datetime, limit: int) -> list[str]:
        """Return mailboxes that were not asked for statistics since *before*, oldest first."""
        rows = self._db.execute(
            "SELECT name FROM mailbox WHERE asked_at < ? ORDER BY asked_at, name LIMIT ?",
            (before.isoformat(), limit),
        )
        return [name for (name,) in rows]

    def note_asked(self, mailbox: str, at: datetime) -> None:
        """Remember that *mailbox* was asked for statistics."""
        self._db.execute(
            "UPDATE mailbox SET asked_at = ? WHERE name = ?", (at.isoformat(), mailbox)
        )

    # --- the session ---

    def open_session(self) -> str:
        """Return the name of the session that is open, or was when we died; empty when none."""
        return self._read("session")

    def keep_session(self, name: str) -> None:
        """Remember the session that opens, or with an empty name that it is closed."""
        self._write("session", name)

    # --- whom to believe ---

    def trust(self, connector_id: UUID) -> str:
        """Return management's newest statement that this pairing took; empty when none came yet."""
        return self._read(f"trust {connector_id}")

    def keep_trust(self, connector_id: UUID, statement: str) -> None:
        """Remember it."""
        self._write(f"trust {connector_id}", statement)

    # --- what management has not heard ---

    def count_results(self) -> int:
        """Return how many results management has not heard."""
        return int(self._db.execute("SELECT count(*) FROM result").fetchone()[0])
