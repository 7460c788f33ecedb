"""Durable store-and-forward: what devices and management leave for each other. No rules.

Everything that a caller must not lose is written inside ``with mailbox.writing(name):`` and is on
disk when that block ends (SQLite, WAL, synchronous=FULL). This class is the one place that knows
how the mailbox is stored.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from communication import report_batch
from communication.limits import FullError, TooManyError
from communication.mailbox_register import Register
from communication.mailbox_store import instant, microseconds
from communication.report_batch import Kept, Report
from communication.room import Room
from contracts.link import Discard, Inbound, Outbound
from runtime.errors import SekishoError, UnauthenticatedError

ENROLMENT_KEPT = timedelta(days=7)
"""How long an enrolment that was posted may be asked about."""
UNANSWERED_KEPT = timedelta(hours=1)
"""How long one that management took and did not answer is safe from making room for others."""
ORDER, ANSWER = "order", "enrolment_answer"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the mailbox holds."""

    device_messages: int
    device_bytes: int
    inbound_bytes: int
    outbound_bytes: int
    enrolments: int
    free_bytes: int = 0
    """What stays free on the disk."""


class Mailbox(Register):
    """See the module."""

    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(path)
        self.limits = limits
        self.room = Room(path.parent, limits.free_bytes)

    # --- inbound: to management ---

    def put_report(self, device: UUID, epoch: int, seq: int, sealed: str, now: datetime) -> bool:
        """Keep a report for management; False when exactly this one waits already.

        Raises TooManyError when the device left too much, FullError when all together did, or the
        disk is full.
        """
        (found,) = self.put_reports([report_batch.report(device, epoch, seq, sealed)], now)
        if isinstance(found, SekishoError):
            raise found
        return found

    def put_reports(self, reports: Sequence[Report], now: datetime) -> list[Kept]:
        """Keep reports for management; for each what `put_report` would return or raise."""
        most, full = self.limits, None
        try:
            self.room.check(self.unused_bytes)
        except FullError as error:
            full = error
        limits = report_batch.Limits(most.device_messages, most.device_bytes, most.inbound_bytes)
        return report_batch.put(self._writer, reports, limits, full, microseconds(now))

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
            if self.find_device(enrolment):
                raise UnauthenticatedError("An enrolment needs an id of its own, made at random.")
            self._make_room(now)
            self._writer.execute(
                "INSERT INTO enrolment VALUES (?, ?, ?)",
                (enrolment.bytes, json.dumps(signing_key), microseconds(now)),
            )
        key = ("enrolment", enrolment.bytes, 1, 0, _hash(sealed))
        if self._one("SELECT 1 FROM inbound WHERE kind=? AND sender=?", *key[:2]):
            return False
        self._put_inbound(key, sealed, now)
        return True

    def _put_inbound(self, key: Sequence[Any], sealed: str, now: datetime) -> None:
        (held,) = self._one("SELECT bytes FROM held WHERE name='inbound'")
        if held + len(sealed) > self.limits.inbound_bytes:
            raise FullError(
                "This server holds as much as it may until management collects it; "
                "send this again later."
            )
        self.room.check(self.unused_bytes)
        self._writer.execute(
            "INSERT INTO inbound (kind, sender, epoch, seq, hash, received_at, size, sealed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, microseconds(now), len(sealed), sealed),
        )

    def _make_room(self, now: datetime) -> None:
        (count,) = self._one("SELECT count(*) FROM enrolment")
        if count < self.limits.enrolments:
            return
        gone = self._one(
            "SELECT enrolment_id FROM enrolment AS e WHERE posted_at < ?"
            " AND NOT EXISTS (SELECT 1 FROM inbound"
            "   WHERE kind='enrolment' AND sender=e.enrolment_id)"
            " AND NOT EXISTS (SELECT 1 FROM outbound WHERE recipient=e.enrolment_id AND kind=?)"
            " ORDER BY posted_at LIMIT 1",
            *(microseconds(now - UNANSWERED_KEPT), ANSWER),
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
                id=id_, kind=kind, sender=UUID(bytes=sender), received_at=instant(at), sealed=text
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

        Raises FullError when devices left too much uncollected, or the disk is full.
        """
        self.room.check(self.unused_bytes)
        for item in items:
            self._writer.execute(
                "INSERT INTO outbound (recipient, kind, epoch, seq, size, sealed)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET size=excluded.size, sealed=excluded.sealed WHERE sealed != excluded.sealed",
                (
                    *(item.recipient.bytes, item.kind, item.epoch, item.seq),
                    *(len(item.sealed), item.sealed),
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
        """Return a device's sealed orders above (*epoch*, *after*), oldest first, at least one."""
        rows = self._read(
            "SELECT size, sealed FROM outbound WHERE recipient=? AND kind=?"
            " AND (epoch, seq) > (?, ?) ORDER BY epoch, seq LIMIT ?",
            *(recipient.bytes, ORDER, epoch, after, limit),
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
        """Return how many orders wait for a device above (*epoch*, *after*)."""
        ((count,),) = self._read(
            "SELECT count(*) FROM outbound WHERE recipient=? AND kind=? AND (epoch, seq) > (?, ?)",
            *(recipient.bytes, ORDER, epoch, after),
        )
        return int(count)

    def highest_order(self, recipient: UUID) -> tuple[int, int] | None:
        """Return (epoch, seq) of the newest order that waits for *recipient*."""
        rows = self._read(
            "SELECT epoch, seq FROM outbound WHERE recipient=? AND kind=?"
            " ORDER BY epoch DESC, seq DESC LIMIT 1",
            *(recipient.bytes, ORDER),
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def recipients(self) -> list[UUID]:
        """Return for whom orders wait."""
        rows = self._read("SELECT DISTINCT recipient FROM outbound WHERE kind=?", ORDER)
        return [UUID(bytes=recipient) for (recipient,) in rows]

    def list_answers(self, enrolment: UUID) -> tuple[str, ...]:
        """Return management's answer to an enrolment; never a device's orders under that id."""
        rows = self._read(
            "SELECT sealed FROM outbound WHERE recipient=? AND kind=?"
            " ORDER BY epoch DESC, seq DESC LIMIT 1",
            *(enrolment.bytes, ANSWER),
        )
        return tuple(sealed for (sealed,) in rows)

    # --- housekeeping ---

    def forget_everything(self) -> None:
        """Forget all messages, devices and what management said."""
        for table in ("inbound", "outbound", "device", "enrolment", "seen", "said"):
            self._writer.execute(f"DELETE FROM {table}")  # noqa: S608

    def find_enrolment_key(self, enrolment: UUID) -> dict[str, str] | None:
        """Return the key that began the enrolment."""
        rows = self._read("SELECT signing_key FROM enrolment WHERE enrolment_id=?", enrolment.bytes)
        return dict(json.loads(rows[0][0])) if rows else None

    def forget_old(self, now: datetime) -> None:
        """Forget nonces that are too old to matter and enrolments nobody asks about any more."""
        self._writer.execute("DELETE FROM nonce WHERE until < ?", (microseconds(now),))
        self._writer.execute("DELETE FROM seen WHERE slot NOT IN (SELECT slot FROM device)")
        old = microseconds(now - ENROLMENT_KEPT)
        gone = self._writer.execute(
            "DELETE FROM enrolment WHERE posted_at < ? RETURNING enrolment_id", (old,)
        ).fetchall()
        self._writer.executemany(
            f"DELETE FROM outbound WHERE recipient=? AND kind='{ANSWER}'",  # noqa: S608
            gone,
        )


def _hash(sealed: str) -> bytes:
    return hashlib.sha256(sealed.encode()).digest()
