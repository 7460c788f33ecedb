"""What whoever owns a relay can do with the reports in its mailbox: the file is theirs."""

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Stored:
    """A sealed message that waits for management."""

    id: int
    kind: str
    sender: UUID
    epoch: int
    seq: int
    sealed: str


class MailboxThief:
    """Works on the relay's database while the relay runs."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "mailbox.db"

    def waiting(self, sender: UUID) -> list[Stored]:
        """Return what one sender left, oldest first."""
        rows = self._do(
            "SELECT id, kind, sender, epoch, seq, sealed FROM inbound WHERE sender=? ORDER BY id",
            sender.bytes,
        )
        return [
            Stored(id_, kind, UUID(bytes=by), epoch, seq, sealed)
            for id_, kind, by, epoch, seq, sealed in rows
        ]

    def remove(self, stored: Stored) -> None:
        self._do("DELETE FROM inbound WHERE id=?", stored.id)

    def add(self, stored: Stored, **changes: object) -> None:
        """Put a message into the mailbox, as it was or changed."""
        fields = {**vars(stored), **changes}
        sealed = str(fields["sealed"])
        sender = fields["sender"]
        assert isinstance(sender, UUID)
        self._do(
            "INSERT INTO inbound (kind, sender, epoch, seq, hash, received_at, size, sealed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            fields["kind"],
            sender.bytes,
            fields["epoch"],
            fields["seq"],
            hashlib.sha256(sealed.encode()).digest(),
            1_700_000_000_000_000,
            len(sealed),
            sealed,
        )

    def _do(self, statement: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(self.path, timeout=10)) as opened, opened:
            return opened.execute(statement, values).fetchall()
