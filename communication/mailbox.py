"""Durable store-and-forward: what devices and management leave for each other. No rules.

Everything that a caller must not lose is written inside ``with mailbox.writing(name):`` and is on
disk when that block ends (SQLite, WAL, synchronous=FULL). This class is the one place that knows
how the mailbox is stored.
"""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from communication import mailbox_schema
from communication.limits import FullError, TooManyError
from contracts.link import Discard, Inbound, KnownDevice, Outbound, Seen
from runtime.errors import UnauthenticatedError
from runtime.process import crash_point

ENROLMENT_KEPT = timedelta(days=7)
"""How long an enrolment that was posted may be asked about."""
UNANSWERED_KEPT = timedelta(hours=1)
"""How long one that management took and did not answer is safe from making room for others."""
SEEN_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the mailbox holds."""

    device_messages: int
    device_bytes: int
    inbound_bytes: int
    outbound_bytes: int
    enrolments: int


@dataclass(frozen=True, slots=True)
class Known:
    """A device as the mailbox knows it; ``slot`` is never used again for another key."""

    slot: int
    signing_key: dict[str, str]
    active: bool


class Mailbox:
    """See the module."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path, self.limits = path, limits
        self._lock = threading.RLock()
        self._writer = mailbox_schema.connect(path)
        self._readers = threading.local()
        mailbox_schema.prepare(self._writer)

    @contextmanager
    def writing(self, name: str) -> Iterator["Mailbox"]:
        """Commit what the block writes at its end, all or nothing, and only one block at a time."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            crash_point(f"before commit {name}")
            self._writer.execute("COMMIT")
            crash_point(f"after commit {name}")

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

    # --- inbound: to management ---

    def put_report(self, device: UUID, epoch: int, seq: int, sealed: str, now: datetime) -> bool:
        """Keep a report for management; False when exactly this one waits already.

        Raises TooManyError when the device left too much, FullError when all together did.
        """
        key = ("report", device.bytes, epoch, seq, _hash(sealed))
        if self._waits(key):
            return False
        count, size = self._one(
            "SELECT count(*), coalesce(sum(size), 0) FROM inbound WHERE kind=? AND sender=?",
            *key[:2],
        )
        if count >= self.limits.device_messages or size + len(sealed) > self.limits.device_bytes:
            raise TooManyError(
                f"{count} reports of this device wait for management already; send this one "
                "again later."
            )
        self._put_inbound(key, sealed, now)
        return True

    def put_enrolment(
        self, enrolment: UUID, signing_key: dict[str, str], sealed: str, now: datetime
    ) -> bool:
        """Keep a request to enrol and the key of who asks; False when it waits already.

        Raises TooManyError, FullError; UnauthenticatedError when another key posted this id before.
        """
        known = self._one("SELECT signing_key FROM enrolment WHERE enrolment_id=?", enrolment.bytes)
        if known and json.loads(known[0]) != signing_key:
            raise UnauthenticatedError("This enrolment was begun with another key.")
        if not known:
            self._make_room(now)
            self._writer.execute(
                "INSERT INTO enrolment VALUES (?, ?, ?)",
                (enrolment.bytes, json.dumps(signing_key), _microseconds(now)),
            )
        key = ("enrolment", enrolment.bytes, 1, 0, _hash(sealed))
        if self._waits(key[:2]):
            return False
        self._put_inbound(key, sealed, now)
        return True

    def _waits(self, key: Sequence[Any]) -> bool:
        columns = ("kind", "sender", "epoch", "seq", "hash")[: len(key)]
        where = " AND ".join(f"{column}=?" for column in columns)
        return bool(self._one(f"SELECT 1 FROM inbound WHERE {where}", *key))  # noqa: S608

    def _put_inbound(self, key: Sequence[Any], sealed: str, now: datetime) -> None:
        (held,) = self._one("SELECT bytes FROM held WHERE name='inbound'")
        if held + len(sealed) > self.limits.inbound_bytes:
            raise FullError(
                "This server holds as much as it may until management collects it; "
                "send this again later."
            )
        self._writer.execute(
            "INSERT INTO inbound (kind, sender, epoch, seq, hash, received_at, size, sealed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, _microseconds(now), len(sealed), sealed),
        )

    def _make_room(self, now: datetime) -> None:
        (count,) = self._one("SELECT count(*) FROM enrolment")
        if count < self.limits.enrolments:
            return
        gone = self._one(
            "SELECT enrolment_id FROM enrolment AS e WHERE posted_at < ?"
            " AND NOT EXISTS (SELECT 1 FROM inbound"
            "   WHERE kind='enrolment' AND sender=e.enrolment_id)"
            " AND NOT EXISTS (SELECT 1 FROM outbound WHERE recipient=e.enrolment_id)"
            " ORDER BY posted_at LIMIT 1",
            _microseconds(now - UNANSWERED_KEPT),
        )
        if gone is None:
            raise TooManyError(
                f"{count} enrolments wait here already; try again when management has answered."
            )
        self._writer.execute("DELETE FROM enrolment WHERE enrolment_id=?", gone)

    def list_inbound(self, limit: int, maximum_bytes: int) -> tuple[Inbound, ...]:
        """Return the oldest messages for management, at least one if there is any."""
        found: list[int] = []
        size = 0
        for id_, item_size in self._read("SELECT id, size FROM inbound ORDER BY id LIMIT ?", limit):
            size += item_size + 300
            if found and size > maximum_bytes:
                break
            found.append(id_)
        rows = self._read(
            "SELECT id, kind, sender, received_at, sealed FROM inbound"
            " WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
            json.dumps(found),
        )
        return tuple(
            Inbound(
                id=id_, kind=kind, sender=UUID(bytes=sender), received_at=_instant(at), sealed=text
            )
            for id_, kind, sender, at, text in rows
        )

    def forget_inbound(self, ids: Iterable[int]) -> None:
        """Forget what management has taken."""
        self._writer.executemany(
            "DELETE FROM inbound WHERE id=?", ((id_,) for id_ in ids if 0 < id_ < 2**63)
        )

    # --- outbound: to devices ---

    def put_outbound(self, items: Iterable[Outbound]) -> None:
        """Keep orders; one that is here already stays, one that management changed is replaced.

        Raises FullError when devices left too much uncollected.
        """
        for item in items:
            self._writer.execute(
                "INSERT INTO outbound (recipient, epoch, seq, kind, size, sealed)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET kind=excluded.kind, size=excluded.size, sealed=excluded.sealed"
                " WHERE sealed != excluded.sealed",
                (
                    item.recipient.bytes,
                    item.epoch,
                    item.seq,
                    item.kind,
                    len(item.sealed),
                    item.sealed,
                ),
            )
        (held,) = self._one("SELECT bytes FROM held WHERE name='outbound'")
        if held > self.limits.outbound_bytes:
            raise FullError("The orders that wait for devices take too much room.")

    def discard(self, discards: Iterable[Discard]) -> None:
        """Forget orders up to ``seq`` of ``epoch``, and all of earlier epochs."""
        for gone in discards:
            self._writer.execute(
                "DELETE FROM outbound WHERE recipient=? AND (epoch, seq) <= (?, ?)",
                (gone.recipient.bytes, gone.epoch, gone.seq),
            )

    def list_orders(
        self, recipient: UUID, epoch: int, after: int, limit: int, maximum_bytes: int
    ) -> tuple[str, ...]:
        """Return the sealed orders above (*epoch*, *after*) in order, at least one if any."""
        rows = self._read(
            "SELECT size, sealed FROM outbound WHERE recipient=? AND (epoch, seq) > (?, ?)"
            " ORDER BY epoch, seq LIMIT ?",
            *(recipient.bytes, epoch, after, limit),
        )
        chosen: list[str] = []
        size = 0
        for item_size, sealed in rows:
            size += item_size
            if chosen and size > maximum_bytes:
                break
            chosen.append(sealed)
        return tuple(chosen)

    def count_orders(self, recipient: UUID, epoch: int, after: int) -> int:
        """Return how many orders wait above (*epoch*, *after*)."""
        ((count,),) = self._read(
            "SELECT count(*) FROM outbound WHERE recipient=? AND (epoch, seq) > (?, ?)",
            *(recipient.bytes, epoch, after),
        )
        return int(count)

    def highest_order(self, recipient: UUID) -> tuple[int, int] | None:
        """Return (epoch, seq) of the newest order that waits for *recipient*."""
        rows = self._read(
            "SELECT epoch, seq FROM outbound WHERE recipient=? ORDER BY epoch DESC, seq DESC"
            " LIMIT 1",
            recipient.bytes,
        )
        return (rows[0][0], rows[0][1]) if rows else None

    # --- who may use the mailbox ---

    def put_devices(self, devices: Iterable[KnownDevice], as_of: datetime) -> None:
        """Remember devices; one with a new key gets a new slot, which ends its old tokens."""
        for device in devices:
            key = json.dumps(device.signing_key, sort_keys=True)
            self._writer.execute(
                "DELETE FROM device WHERE device_id=? AND signing_key != ?",
                (device.device_id.bytes, key),
            )
            self._writer.execute(
                "INSERT INTO device (device_id, signing_key, active, as_of) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET active=excluded.active, as_of=excluded.as_of",
                (device.device_id.bytes, key, device.active, _microseconds(as_of)),
            )
        self._say("devices_as_of", str(_microseconds(as_of)))

    def find_device(self, device: UUID) -> Known | None:
        """Return what is known of the device."""
        rows = self._read(
            "SELECT slot, signing_key, active FROM device WHERE device_id=?", device.bytes
        )
        return Known(rows[0][0], json.loads(rows[0][1]), bool(rows[0][2])) if rows else None

    def slots(self) -> list[tuple[int, UUID, bool]]:
        """Return (slot, device, active) of every device."""
        rows = self._read("SELECT slot, device_id, active FROM device")
        return [(slot, UUID(bytes=device), bool(active)) for slot, device, active in rows]

    def find_enrolment_key(self, enrolment: UUID) -> dict[str, str] | None:
        """Return the key that began the enrolment."""
        rows = self._read("SELECT signing_key FROM enrolment WHERE enrolment_id=?", enrolment.bytes)
        return dict(json.loads(rows[0][0])) if rows else None

    def use_nonce(self, key_id: str, nonce: str, until: datetime) -> None:
        """Raise UnauthenticatedError when this request was carried out before."""
        try:
            self._writer.execute(
                "INSERT INTO nonce VALUES (?, ?, ?)", (key_id, nonce, _microseconds(until))
            )
        except sqlite3.IntegrityError:
            raise UnauthenticatedError("This request was made before; sign it anew.") from None

    # --- what management said, and what it may ask ---

    def put_trust(self, statement: str) -> None:
        """Keep management's signed statement about itself."""
        self._say("trust", statement)

    def find_trust(self) -> str | None:
        """Return the statement, or None before management left one."""
        rows = self._read("SELECT value FROM said WHERE name='trust'")
        return str(rows[0][0]) if rows else None

    def _say(self, name: str, value: str) -> None:
        self._writer.execute(
            "INSERT INTO said VALUES (?, ?) ON CONFLICT DO UPDATE SET value=excluded.value",
            (name, value),
        )

    def counts(self) -> tuple[int, int, int, datetime | None]:
        """Return how much waits inbound and outbound, how many devices are known, as of when."""
        ((inbound, outbound, devices, as_of),) = self._read(
            "SELECT (SELECT count(*) FROM inbound), (SELECT count(*) FROM outbound),"
            " (SELECT count(*) FROM device),"
            " (SELECT value FROM said WHERE name='devices_as_of')"
        )
        return inbound, outbound, devices, _instant(int(as_of)) if as_of else None

    def put_seen(self, beats: dict[int, int]) -> None:
        """Note when devices polled: slot to microseconds since 1970."""
        self._writer.executemany(
            "INSERT INTO seen VALUES (?, ?) ON CONFLICT DO UPDATE SET at=excluded.at",
            sorted(beats.items()),
        )

    def list_seen(self, since: datetime) -> tuple[Seen, ...]:
        """Return the devices that polled after *since*, oldest first, at most SEEN_BATCH."""
        rows = self._read(
            "SELECT device_id, at FROM seen JOIN device USING (slot) WHERE at > ?"
            " ORDER BY at LIMIT ?",
            *(_microseconds(since), SEEN_BATCH),
        )
        return tuple(Seen(device_id=UUID(bytes=id_), polled_at=_instant(at)) for id_, at in rows)

    def forget_old(self, now: datetime) -> None:
        """Forget nonces that are too old to matter and enrolments nobody asks about any more."""
        self._writer.execute("DELETE FROM nonce WHERE until < ?", (_microseconds(now),))
        self._writer.execute("DELETE FROM seen WHERE slot NOT IN (SELECT slot FROM device)")
        old = _microseconds(now - ENROLMENT_KEPT)
        gone = self._writer.execute(
            "DELETE FROM enrolment WHERE posted_at < ? RETURNING enrolment_id", (old,)
        ).fetchall()
        self._writer.executemany(
            "DELETE FROM outbound WHERE recipient=? AND kind='enrolment_answer'", gone
        )


def _hash(sealed: str) -> bytes:
    return hashlib.sha256(sealed.encode()).digest()


_START = datetime(1970, 1, 1, tzinfo=UTC)


def _microseconds(at: datetime) -> int:
    return (at - _START) // timedelta(microseconds=1)


def _instant(microseconds: int) -> datetime:
    return _START + timedelta(microseconds=microseconds)
