"""Devices that two parts of a filter leave together, where each alone leaves many and both few.

What hangs together makes such filters: an old pattern set and a blocked mailbox, say. The list in
the order of names would be walked for them, stretch after stretch, and hardly a device found.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from management.limits import is_one_of, seeing_all
from management.listing.models import DeviceListing

WALK = 100_000
"""Most entries of an index that are read to find them: some hundredths of a second."""
CHUNK = 1_000
"""Shapes in one statement."""
_SHARED = ("platform", "enrolment", "group_id")
"""What both tallies know."""


class Part(NamedTuple):
    """A part of a filter that a tally knows: how many devices it leaves."""

    number: int
    column: Any
    tally: Any
    asked: list[ColumnElement[bool]]


def few_of_both(session: Session, parts: Sequence[Part], most: int) -> list[int] | None:
    """Return the rows that fulfil both parts; None when they are more than *most*, or when neither
    part is small enough to be walked.

    Only shapes count whose system, enrolment and group the other part has too: so parts that
    exclude each other (a policy of iPhones, a patch month) cost no walk at all.
    """
    for part, other in sorted(zip(parts, reversed(parts), strict=True), key=lambda one: one[0][0]):
        shapes = _shared_shapes(session, part, other)
        if sum(shapes.values()) <= WALK:
            return _walked(session, part, other, list(shapes), most)
    return None


def _shared_shapes(session: Session, part: Part, other: Part) -> dict[int, int]:
    """Return the shapes of a part that can go with one of the other, and how many devices each
    has.
    """
    same = [getattr(part.tally, name) == getattr(other.tally, name) for name in _SHARED]
    number = func.sum(part.tally.number)
    wanted = (
        select(part.tally.shape, number)
        .where(*part.asked, select(other.tally.id).where(*other.asked, *same).exists())
        .group_by(part.tally.shape)
        .having(number > 0)
    )
    return {shape: int(found) for shape, found in session.execute(wanted)}


def _walked(
    session: Session, part: Part, other: Part, shapes: list[int], most: int
) -> list[int] | None:
    found: list[int] = []
    theirs = other.column.in_(select(other.tally.shape).where(*other.asked))
    for start in range(0, len(shapes), CHUNK):
        one = is_one_of(part.column, shapes[start : start + CHUNK])
        wanted = select(DeviceListing.id).where(one, theirs).limit(most + 1 - len(found))
        with seeing_all(session):  # the shapes of a limited filter keep it to groups
            found += session.scalars(wanted)
        if len(found) > most:
            return None
    return found
