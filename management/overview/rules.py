"""The geometry of the dashboard's chart. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

RADIUS = 80


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of a ring: how it looks, what it says, where it leads."""

    tone: str
    icon: str
    label: object
    count: int
    share: float
    """Of the whole, 0 to 1."""
    path: str
    """SVG path; empty when there is nothing to draw."""
    href: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One number of many: what it says, how it looks, where it leads."""

    label: object
    tone: str
    count: int
    share: float
    """Of the greatest, 0 to 1."""
    href: str


def bars(rows: Sequence[tuple[object, str, int, str]]) -> list[Bar]:
    """Return (label, tone, count, address) as bars, as long as their counts."""
    greatest = max((count for _label, _tone, count, _href in rows), default=0)
    return [
        Bar(label, tone, count, count / greatest if greatest else 0.0, href)
        for label, tone, count, href in rows
    ]


def arcs(counts: Sequence[int]) -> list[tuple[float, str]]:
    """Return (share, SVG path) for each count, clockwise from the top."""
    total = sum(counts)
    drawn, at = [], 0.0
    for count in counts:
        share = count / total if total else 0.0
        drawn.append((share, _arc(at, share)))
        at += share
    return drawn


def _arc(start: float, share: float) -> str:
    if share <= 0:
        return ""
    # A full ring would begin where it ends and be drawn as nothing: stop just before.
    end = start + min(share, 0.9999)
    (x0, y0), (x1, y1) = _point(start), _point(end)
    large = int(share > 0.5)
    return f"M{x0:.2f} {y0:.2f}A{RADIUS} {RADIUS} 0 {large} 1 {x1:.2f} {y1:.2f}"


def _point(turn: float) -> tuple[float, float]:
    return RADIUS * sin(2 * pi * turn), -RADIUS * cos(2 * pi * turn)
