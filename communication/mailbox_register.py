"""Who may use the mailbox, what management said, and who was seen."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from communication.mailbox_store import Store, instant, microseconds
from contracts.link import KnownDevice, Seen
from runtime.errors import UnauthenticatedError

SEEN_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Known:
    """A device as the mailbox knows it; ``slot`` is never used again for another key."""

    slot: int
    signing_key: dict[str, str]
    active: bool
    next_key: dict[str, str] | None = None
    """The device may begin to sign with it at any moment."""


class Register(Store):
    """See the module."""

    def put_devices(self, devices: Iterable[KnownDevice], as_of: datetime) -> None:
        """Remember devices; one with a new key gets a new slot, which ends its old tokens."""
        for device in devices:
            key, following = _text(device.signing_key), _text(device.next_signing_key)
            self._writer.execute(
                "DELETE FROM device WHERE device_id=? AND signing_key != ?",
                (device.device_id.bytes, key),
            )
            self._writer.execute(
                "INSERT INTO device (device_id, signing_key, active, as_of, next_key)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET active=excluded.active,"
                " as_of=excluded.as_of, next_key=excluded.next_key",
                (device.device_id.bytes, key, device.active, microseconds(as_of), following),
            )
        self._say("devices_as_of", str(microseconds(as_of)))

    def find_device(self, device: UUID) -> Known | None:
        """Return what is known of the device."""
        rows = self._read(
            "SELECT slot, signing_key, active, next_key FROM device WHERE device_id=?", device.bytes
        )
        if not rows:
            return None
        slot, key, active, following = rows[0]
        return Known(slot, json.loads(key), bool(active), following and json.loads(following))

    def slots(self) -> list[tuple[int, UUID, bool]]:
        """Return (slot, device, active) of every device."""
        rows = self._read("SELECT slot, device_id, active FROM device")
        return [(slot, UUID(bytes=device), bool(active)) for slot, device, active in rows]

    def each_slot(self) -> Iterator[tuple[int, bytes, bool]]:
        """Yield (slot, device, active) of every device, without holding them all in memory."""
        found = self._writer.execute("SELECT slot, device_id, active FROM device")
        for slot, device, active in found:
            yield slot, device, bool(active)

    def use_nonce(self, key_id: str, nonce: str, until: datetime) -> None:
        """Raise UnauthenticatedError when this request was carried out before."""
        try:
            self._writer.execute(
                "INSERT INTO nonce VALUES (?, ?, ?)", (key_id, nonce, microseconds(until))
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
        return inbound, outbound, devices, instant(int(as_of)) if as_of else None

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
            *(microseconds(since), SEEN_BATCH),
        )
        return tuple(Seen(device_id=UUID(bytes=id_), polled_at=instant(at)) for id_, at in rows)


def _text(key: dict[str, str] | None) -> str | None:
    return None if key is None else json.dumps(key, sort_keys=True)
