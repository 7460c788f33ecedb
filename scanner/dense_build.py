"""What is common to all who measure dense files. Pure."""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

MOST_PIECES = 200_000
"""Chunks, pages and blocks that are counted through; what follows is not explained."""


@dataclass
class Told:
    """What whoever measures a file notes beside its end."""

    holes: list[tuple[int, int]] = field(default_factory=list)
    """(start, end) of what the build has room for but does not explain."""
    is_unsure: bool = False
    """Whether some of it is believed that nobody can count out."""

    def hole(self, start: int, end: int) -> None:
        """Note bytes that the build leaves to whoever writes the file."""
        if end > start:
            self.holes.append((start, end))


Measure = Callable[[bytes, int, Told], int]
"""(data, beginning, notes) -> end; the beginning itself: it is not what it says.

May raise IndexError or struct.error for a file that ends before its header does.
"""


def number(shape: str, data: bytes, at: int) -> int:
    """Return one number."""
    return int(struct.unpack_from(shape, data, at)[0])


def not_covered(pieces: Iterable[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """Return what lies between *start* and *end* in none of the *pieces*: (start, end) each."""
    gaps, at = [], start
    for first, last in sorted(pieces):
        if first > at:
            gaps.append((at, min(first, end)))
        at = max(at, last)
    if at < end:
        gaps.append((at, end))
    return gaps
