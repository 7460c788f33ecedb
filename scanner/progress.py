"""A progress bar on standard error, for a person at a terminal and for nobody else."""

import shutil
import sys
import time

WIDTH = 24
EVERY_SECONDS = 0.1
_ERASE = "\r\x1b[2K"


class Progress:
    """Shows how many of *total* files are done; silent where nobody would see it."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._is_shown = total > 1 and sys.stderr.isatty()
        self._shown_at = 0.0

    def step(self, name: str) -> None:
        """One more file is done."""
        self._done += 1
        now = time.monotonic()
        if self._is_shown and (now - self._shown_at > EVERY_SECONDS or self._done == self._total):
            self._shown_at = now
            sys.stderr.write(_ERASE + self._line(name))
            sys.stderr.flush()

    def clear(self) -> None:
        """Make room for a line of text."""
        if self._is_shown:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()

    def _line(self, name: str) -> str:
        filled = WIDTH * self._done // self._total
        bar = "█" * filled + "░" * (WIDTH - filled)
        room = max(0, shutil.get_terminal_size().columns - WIDTH - 22)
        shown = name if len(name) <= room else f"…{name[len(name) - room + 1 :]}"
        return f"{bar} {self._done}/{self._total} {shown}"
