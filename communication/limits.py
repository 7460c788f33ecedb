"""How often anybody may ask, and the answers to who asks too often or sends too much."""

import random
import threading
import time

from runtime.errors import SekishoError


class TooManyError(SekishoError):
    """Whoever asks has asked or left too much for now (429)."""

    def __init__(self, sentence: str, retry_after: int = 60) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class FullError(SekishoError):
    """There is no room on this server until what waits here was collected (507)."""


class Rate:
    """At most *allowed* calls a minute for each name, counted in fixed minutes."""

    def __init__(self, allowed: int, what: str) -> None:
        self.allowed, self.what = allowed, what
        self._minute = 0
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def count(self, name: str, seconds: float) -> None:
        """Count one call at *seconds*; raises TooManyError above the limit."""
        self._add(name, seconds, 1)

    def check(self, name: str, seconds: float) -> None:
        """Raise TooManyError when the limit has been passed, without counting."""
        self._add(name, seconds, 0)

    def _add(self, name: str, seconds: float, calls: int) -> None:
        minute = int(seconds // 60)
        with self._lock:
            if minute != self._minute:
                self._minute = minute
                self._counts.clear()
            count = self._counts.get(name, 0) + calls
            if calls:
                self._counts[name] = count
        if count > self.allowed:
            raise TooManyError(
                f"More than {self.allowed} {self.what} in a minute; try again in the next one.",
                retry_after=60 - int(seconds % 60),
            )


class Crowd:
    """Tells those who are sent away when to come back: the more there are, the wider spread."""

    def __init__(self, back_per_second: int) -> None:
        """Let at most about *back_per_second* come back at once."""
        self._back = back_per_second
        self._minute = 0
        self._counts = [0, 0]
        """Sent away in the last minute and in this one."""

    def retry_after(self, seconds: float | None = None) -> int:
        """Count one who is sent away at *seconds* and return its wait, 10 to 900 seconds."""
        minute = int((time.monotonic() if seconds is None else seconds) // 60)
        if minute != self._minute:
            self._counts = [self._counts[1] if minute == self._minute + 1 else 0, 0]
            self._minute = minute
        self._counts[1] += 1
        widest = min(max(120, sum(self._counts) // self._back), 900)
        return random.randint(10, widest)  # noqa: S311  (spreads a crowd; not a secret)
