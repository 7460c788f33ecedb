"""The phones whose user the mail server knows: noted in the event loop, taken by a thread."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock

from exchange_connector.gate.identity import Asked, Key, key_of
from exchange_connector.gate.store import Phone

log = logging.getLogger(__name__)

MOST_PHONES = 200_000
"""More are let through as decided, but not reported: somebody makes DeviceIds up."""
PRECISION = timedelta(seconds=30)
"""Of the last synchronisation."""


class Phones:
    """Every phone that was seen, by key."""

    def __init__(self, known: dict[Key, Phone]) -> None:
        self._known, self._fresh = known, dict[Key, Phone]()
        self._lock = Lock()
        self._told_full = False

    def knows(self, key: Key) -> bool:
        """Tell whether this phone was noted before."""
        return key in self._known

    def note(self, user: str, asked: Asked, user_agent: str, now: datetime) -> None:
        """Note that the mail server knows the user of this phone."""
        key = key_of(user, asked.device_id)
        with self._lock:
            before = self._known.get(key)
            if before is not None and now - before.last_seen_at < PRECISION:
                return
            if before is None and len(self._known) >= MOST_PHONES:
                self._tell_full()
                return
            found = Phone(
                user=user,
                device_id=before.device_id if before else asked.device_id,
                device_type=asked.device_type[:255],
                user_agent=user_agent[:255],
                first_seen_at=before.first_seen_at if before else now,
                last_seen_at=now,
                reported=before.reported if before else "",
            )
            self._known[key] = self._fresh[key] = found
        if before is None:
            log.info("A new phone came.", extra={"user": user, "device_id": asked.device_id})

    def _tell_full(self) -> None:
        if not self._told_full:
            log.warning("%s phones were seen; further ones are not reported.", MOST_PHONES)
        self._told_full = True

    def take_fresh(self) -> list[Phone]:
        """Return what was noted since the last time."""
        with self._lock:
            fresh, self._fresh = self._fresh, {}
        return list(fresh.values())

    def count(self) -> int:
        """Return how many phones there are."""
        return len(self._known)

    def all(self) -> list[Phone]:
        """Return every phone."""
        with self._lock:
            return list(self._known.values())

    def note_reported(self, reported: Iterable[tuple[Key, str]]) -> list[Phone]:
        """Remember what management was told of each; return them as they are now."""
        with self._lock:
            told = [
                replace(self._known[key], reported=state)
                for key, state in reported
                if key in self._known
            ]
            self._known.update((phone.key, phone) for phone in told)
        return told

    def forget(self, before: datetime) -> list[Key]:
        """Forget the phones last seen before then; return their keys."""
        with self._lock:
            old = [key for key, phone in self._known.items() if phone.last_seen_at < before]
            for key in old:
                del self._known[key]
        return old
