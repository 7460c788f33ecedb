"""Which management server speaks with this one: never two at once."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runtime.errors import RefusedError

LEASE = timedelta(seconds=60)
"""A management server that was silent for so long may be followed by another with its keys."""
INSTANCE = "Sekisho-Instance"


@dataclass(frozen=True, slots=True)
class Rival:
    """Somebody else who wanted to speak as management."""

    at: datetime
    address: str
    instance: str | None
    """None: it had another key."""


class Owner:
    """Two servers on copies of one data folder hold the same keys; so each names itself.

    Both would number the same device's orders, take half of the reports each, and lose them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._instance, self._address = "", ""
        self._at = datetime.fromtimestamp(0, UTC)
        self._rival: Rival | None = None

    def check(self, instance: str, address: str, now: datetime) -> None:
        """Note that *instance* calls; RefusedError while another one does.

        Who names itself not at all takes no lease: tools that look.
        """
        if not instance:
            return
        with self._lock:
            if instance != self._instance and now - self._at < LEASE:
                self._rival = Rival(now, address, instance)
                raise RefusedError(
                    "Another management server with the same keys speaks with this communication "
                    f"server (from {self._address}, last at {self._at:%H:%M:%S} UTC). Two servers "
                    "on copies of one data folder lose reports: end the one that is not meant."
                )
            self._instance, self._address, self._at = instance, address, now

    def note_stranger(self, address: str, now: datetime) -> None:
        """Note that somebody with another key called."""
        with self._lock:
            self._rival = Rival(now, address, None)

    def rival(self) -> Rival | None:
        """Return who else called last; never the one that speaks now."""
        with self._lock:
            rival = self._rival
            return None if rival and rival.instance == self._instance else rival
