"""One process at a time in a folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import UnavailableError


class BusyError(UnavailableError):
    """Somebody else is at it."""


@contextmanager
def exclusive(folder: Path, what: str) -> Iterator[None]:
    """Hold *folder* alone; BusyError at once, naming *what*, when somebody else does.

    The kernel gives the lock back when its process dies, so none is left over.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".lock").open("w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"{what} is going on already. Wait until it is over and try again."
            ) from None
        yield
