"""What the gate must not forget: its own SQLite file.

It holds what management wants, which phones were seen, and what of both management has not heard.
So the gate decides on through an outage of management, and after a crash as before it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal, cast

from contracts import codec
from contracts.connector import Access, Applied, Wanted, WantedAccess
from exchange_connector.gate.identity import Key, key_of
from exchange_connector.spool import NOTHING
from exchange_connector.state_file import StateFile

Moment = Literal["heard_at", "since", "whole_at", "reported_at"]
"""``heard_at``: management answered; ``since``: management's time of the last list that was taken;
``whole_at``: the last whole list came; ``reported_at``: every phone was reported."""

_TABLES = """
CREATE TABLE IF NOT EXISTS wanted (
    user TEXT, device TEXT, mailbox TEXT NOT NULL, device_id TEXT NOT NULL, access TEXT NOT NULL,
    because TEXT NOT NULL, since TEXT NOT NULL, certificate TEXT NOT NULL, at TEXT NOT NULL,
    told INTEGER NOT NULL, PRIMARY KEY (user, device)
);
CREATE INDEX IF NOT EXISTS untold ON wanted (told) WHERE told = 0;
CREATE TABLE IF NOT EXISTS phone (
    user TEXT, device TEXT, device_id TEXT NOT NULL, device_type TEXT NOT NULL,
    user_agent TEXT NOT NULL, first_seen_at TEXT NOT NULL, last_seen_at TEXT NOT NULL,
    reported TEXT NOT NULL, PRIMARY KEY (user, device)
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """A phone that came to this gate, of a user that the mail server knows."""

    user: str
    device_id: str
    device_type: str
    user_agent: str
    first_seen_at: datetime
    last_seen_at: datetime
    reported: str = ""
    """The state that management was told last; empty: it does not know this phone."""

    @property
    def key(self) -> Key:
        """What decisions about it are kept for."""
        return key_of(self.user, self.device_id)


class Store(StateFile[Moment]):
    """The open file; one thread at a time uses it."""

    def __init__(self, path: Path) -> None:
        """Open or make *path*."""
        super().__init__(path, _TABLES, one_thread=False)

    # --- what management wants ---

    def head(self) -> tuple[WantedAccess, str]:
        """Return the last answer of management without its list, and its mark."""
        body = self._read("head")
        head = codec.read(WantedAccess, body, len(body)) if body else NOTHING
        return head, self._read("mark")

    def wanted(self) -> dict[Key, Wanted]:
        """Return what is wanted, by phone; what is left alone is not in it."""
        rows = self._db.execute(
            "SELECT user, device, mailbox, device_id, access, because, since, certificate "
            "FROM wanted WHERE access != 'leave'"
        )
        return {(user, device): _wanted(*rest) for user, device, *rest in rows}

    def keep(self, answer: WantedAccess, keys: Mapping[Key, Wanted], mark: str, now: str) -> None:
        """Remember an answer of management; while it is paused, only that it is.

        What changed by it is to be told to management once it holds.
        """
        with self._transaction("keep gate decisions"):
            head = codec.write(replace(answer, wanted=(), wipes=())).decode()
            self._write("head", head)
            self._write("mark", mark)
            if answer.paused:
                return
            for key, one in keys.items():
                self._merge(key, one, now)
            if answer.whole:
                self._drop_others(keys, now)
            if answer.at is not None:
                self._write("since", answer.at.isoformat())

    def _merge(self, key: Key, one: Wanted, now: str) -> None:
        since = one.since.isoformat() if one.since else ""
        if one.access == "leave":
            self._leave([(now, *key)])
            return
        self._db.execute(
            "INSERT INTO wanted VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0) "
            "ON CONFLICT (user, device) DO UPDATE SET "
            "told = CASE WHEN since = excluded.since AND access = excluded.access THEN told ELSE 0 "
            "END, at = CASE WHEN since = excluded.since AND access = excluded.access THEN at "
            "ELSE excluded.at END, access = excluded.access, because = excluded.because, "
            "since = excluded.since, certificate = excluded.certificate",
            (
                *key,
                one.mailbox,
                one.device_id,
                one.access,
                one.because,
                since,
                one.certificate,
                now,
            ),
        )

    def _drop_others(self, kept: Mapping[Key, Wanted], now: str) -> None:
        """Leave alone what a whole list does not name."""
        rows = self._db.execute("SELECT user, device FROM wanted WHERE access != 'leave'")
        self._leave([(now, *key) for key in rows.fetchall() if key not in kept])

    def _leave(self, rows: list[tuple[str, str, str]]) -> None:
        self._db.executemany(
            "UPDATE wanted SET access = 'leave', told = 0, at = ? "
            "WHERE user = ? AND device = ? AND access != 'leave'",
            rows,
        )

    def untold(self, limit: int) -> list[Applied]:
        """Return decisions that hold here and that management was not told so."""
        rows = self._db.execute(
            "SELECT mailbox, device_id, access, at FROM wanted WHERE told = 0 LIMIT ?", (limit,)
        )
        return [
            Applied(
                mailbox=mailbox,
                device_id=device_id,
                access=cast(Access, access),
                at=datetime.fromisoformat(at),
            )
            for mailbox, device_id, access, at in rows
        ]

    def note_told(self, told: Iterable[Applied]) -> None:
        """Remember that management heard these."""
        rows = [(one.mailbox, one.device_id, one.access, one.at.isoformat()) for one in told]
        with self._transaction("tell gate decisions"):
            self._db.executemany(
                "UPDATE wanted SET told = 1 "
                "WHERE mailbox = ? AND device_id = ? AND access = ? AND at = ?",
                rows,
            )
            self._db.execute("DELETE FROM wanted WHERE told = 1 AND access = 'leave'")

    def count_untold(self) -> int:
        """Return how many decisions management was not told."""
        return int(self._db.execute("SELECT count(*) FROM wanted WHERE told = 0").fetchone()[0])

    # --- phones ---

    def phones(self) -> dict[Key, Phone]:
        """Return every phone that was seen."""
        rows = self._db.execute(
            "SELECT user, device_id, device_type, user_agent, first_seen_at, last_seen_at, reported"
            " FROM phone"
        )
        return {phone.key: phone for phone in (_phone(*row) for row in rows)}

    def keep_phones(self, phones: Iterable[Phone]) -> None:
        """Remember phones, and what management was told about them."""
        with self._transaction("keep gate phones"):
            self._db.executemany(
                "INSERT OR REPLACE INTO phone VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *one.key,
                        one.device_id,
                        one.device_type,
                        one.user_agent,
                        one.first_seen_at.isoformat(),
                        one.last_seen_at.isoformat(),
                        one.reported,
                    )
                    for one in phones
                ],
            )

    def forget_phones(self, keys: Iterable[Key]) -> None:
        """Forget phones that were not seen for long."""
        with self._transaction("forget gate phones"):
            self._db.executemany("DELETE FROM phone WHERE user = ? AND device = ?", list(keys))


def _wanted(
    mailbox: str, device_id: str, access: str, because: str, since: str, certificate: str
) -> Wanted:
    return Wanted(
        mailbox=mailbox,
        device_id=device_id,
        access=cast(Access, access),
        because=because,
        since=datetime.fromisoformat(since) if since else None,
        certificate=certificate,
    )


def _phone(
    user: str, device_id: str, device_type: str, user_agent: str, first: str, last: str, said: str
) -> Phone:
    return Phone(
        user=user,
        device_id=device_id,
        device_type=device_type,
        user_agent=user_agent,
        first_seen_at=datetime.fromisoformat(first),
        last_seen_at=datetime.fromisoformat(last),
        reported=said,
    )
