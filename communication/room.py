"""Whether there is room on the disk for more messages, told once when that changes."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from communication.limits import FullError

log = logging.getLogger(__name__)
Inside = Callable[[], int]


class Room:
    """Keeps some bytes of the disk for emptying the mailbox: forgetting, too, writes first."""

    def __init__(self, folder: Path, least_bytes: int) -> None:
        self._folder, self._least = folder, least_bytes
        self._told = False

    def problem(self, inside: Inside = lambda: 0) -> str | None:
        """Return that the disk is (nearly) full, or None.

        *inside* returns how much room is inside files that are here, which counts as free.
        """
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        if free >= self._least or free + inside() >= self._least:
            return None
        return (
            f"Only {free} bytes are free on the disk of the communication server, it needs "
            f"{self._least} to work. Make room, or let management collect what waits here."
        )

    def check(self, inside: Inside = lambda: 0) -> None:
        """Raise FullError when there is no room for more; the log says when that begins or ends."""
        problem = self.problem(inside)
        if (problem is not None) is not self._told:
            self._told = not self._told
            if problem:
                log.error("%s Until then devices' messages are refused.", problem)
            else:
                log.info("There is room on the disk again; messages are taken.")
        if problem:
            raise FullError(
                "There is no room on this server's disk at the moment; try again later."
            )
