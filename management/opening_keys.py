"""The key that opens reports, those before it, and how the next one takes its place.

A former key opens for `FORMER_KEPT` what devices sealed before they heard of the new one.
"""

import json
import os
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from contracts import envelope
from contracts import keys as jwk
from management.key_files import SealedFolder, locked, write_private
from runtime.process import crash_point

FORMER_KEPT = timedelta(days=3 * 365)
PRESENT, NEXT, HISTORY = "encryption", "encryption-next", "encryption-former"


class OpeningKeys:
    """Read from the folder again whenever another process changed it."""

    def __init__(self, sealed: SealedFolder) -> None:
        self._sealed = sealed
        self._ring = lru_cache(maxsize=1)(self._read)
        self._watched = [str(self._path(name)) for name in (PRESENT, HISTORY)]

    def present(self) -> ECKey:
        """Return the key that messages are sealed to from now on."""
        return next(iter(self._ring(self._state()).values()))

    def for_message(self, sealed: str) -> ECKey:
        """Return the key, present or former, that *sealed* names; the present one if none."""
        ring = self._ring(self._state())
        named = envelope.recipient_of(sealed) if len(ring) > 1 else None
        return ring.get(named or "") or next(iter(ring.values()))

    def since(self) -> datetime | None:
        """Return since when the present key is used; None: it was never noted."""
        said = self._history()["since"].get(jwk.thumbprint(self.present()))
        return datetime.fromisoformat(said) if said else None

    def has_former(self) -> bool:
        """Tell whether the present key followed another one."""
        return bool(self._history()["former"])

    def note_since(self, now: datetime) -> None:
        """Let the present key's age count from *now* unless it is known."""
        with locked(self._sealed.folder):
            if self.since() is None:
                history = self._history()
                history["since"][jwk.thumbprint(self.present())] = now.isoformat()
                self._write(HISTORY, json.dumps(history))

    def is_under_way(self) -> bool:
        """Tell whether a change was begun that did not come to its end."""
        return self._path(NEXT).exists()

    def succeed(self, now: datetime) -> None:
        """Put a fresh key in the present one's place; a death anywhere is mended by a repetition.

        The former key is noted before it is replaced, so that it opens all the while.
        """
        with locked(self._sealed.folder):
            self._sealed.make_missing(NEXT, lambda: jwk.private_json(jwk.new_key()))
            crash_point("after effect next encryption key")
            following = self._sealed.read(NEXT)
            if self._sealed.read(PRESENT) != following:
                self._write(HISTORY, json.dumps(self._followed_by(following, now)))
                crash_point("after effect former encryption key")
                self._write(PRESENT, following)
                crash_point("after effect present encryption key")
            self._path(NEXT).unlink()

    def _followed_by(self, following: str, now: datetime) -> dict[str, Any]:
        before = self._sealed.read(PRESENT)
        kept = [
            one
            for one in self._history()["former"]
            if one["key"] != before and now - datetime.fromisoformat(one["ended_at"]) < FORMER_KEPT
        ]
        ended = {"key": before, "ended_at": now.isoformat()}
        since = {jwk.thumbprint(jwk.read_private(following)): now.isoformat()}
        return {"former": [ended, *kept], "since": since}

    def _history(self) -> dict[str, Any]:
        if not self._path(HISTORY).exists():
            return {"former": [], "since": {}}
        found: dict[str, Any] = json.loads(self._sealed.read(HISTORY))
        return found

    def _read(self, _: object) -> dict[str, ECKey]:
        """Return the keys by their thumbprints, the present one first."""
        former = [one["key"] for one in self._history()["former"]]
        ring = map(jwk.read_private, (self._sealed.read(PRESENT), *former))
        return {jwk.thumbprint(key): key for key in ring}

    def _state(self) -> tuple[tuple[int, int] | None, ...]:
        """Return what changes whenever one of the files is replaced; asked for each message."""
        return tuple(map(_mark, self._watched))

    def _path(self, name: str) -> Path:
        return self._sealed.folder / f"{name}.sealed"

    def _write(self, name: str, text: str) -> None:
        write_private(self._path(name), self._sealed.seal(text))


def _mark(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)  # noqa: PTH116  (a third of what a Path costs)
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns
