"""Reads the list in the order of names, a bounded stretch at a time.

For filters of which no part leaves few devices: one in fifty or more fits, so a short stretch
holds a page. Where names and filter hang together (a group whose names all begin alike) the first
stretch may hold none; then the next name of each shape says where to go on.
"""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.listing.models import DeviceListing, DeviceTally, SystemTally
from management.listing.plan import Conditions, Place, Plan, behind_place
from management.listing.rules import Count

STRETCH = 10_000
"""Rows that are looked at in one turn; with search words or commands, fewer: they are read."""
TURNS = 6
FIRST = 1_000
_NAME, _ID = DeviceListing.name, DeviceListing.id


def scan(
    session: Session, plan: Plan, after: Place | None, limit: int
) -> tuple[list[Place], Place | None]:
    """Return at most *limit* places and where to go on; fewer when the stretches held fewer."""
    found: list[Place] = []
    at = after
    for turn in range(TURNS):
        length = _length(plan, turn, limit)
        found += _hits(session, plan, at, length, limit + 1 - len(found))
        if len(found) > limit:
            return found[:limit], found[limit - 1]
        at = _end(session, at, length)
        if at is not None and not found:
            at = _jump(session, plan, at)
        if at is None:
            return found, None
    return found, at


def count_stretch(session: Session, plan: Plan) -> Count:
    """Return how many devices of a stretch fit: the least that there are."""
    length = _length(plan, 1, 0)
    window = select(DeviceListing.id).order_by(_NAME, _ID).limit(length).subquery()
    total = session.scalar(select(func.count()).select_from(window)) or 0
    fitting = len(_hits(session, plan, None, length, length))
    return Count(fitting, more=total == length)


def _length(plan: Plan, turn: int, limit: int) -> int:
    most = STRETCH // 4 if plan.words or plan.command else STRETCH
    return max(FIRST, 4 * limit) if turn == 0 and limit else most


def _hits(
    session: Session, plan: Plan, after: Place | None, length: int, limit: int
) -> list[Place]:
    if not plan.conditions():
        return _places(session, _ordered(after).limit(limit))
    columns = [_NAME, _ID, DeviceListing.shape, DeviceListing.system]
    if plan.owner or plan.files or plan.command:  # not in the index: read only where asked
        columns.append(DeviceListing.device_id)
    if plan.words:
        columns.append(DeviceListing.words)
    row = _ordered(after).with_only_columns(*columns).limit(length).subquery().c
    fitting = select(row.name, row.id).where(*plan.conditions(row=row))
    return _places(session, fitting.order_by(row.name, row.id).limit(limit))


def _ordered(after: Place | None) -> Any:
    return select(_NAME, _ID).where(*behind_place(_NAME, _ID, after)).order_by(_NAME, _ID)


def _places(session: Session, wanted: Any) -> list[Place]:
    return [Place(*row) for row in session.execute(wanted)]


def _end(session: Session, after: Place | None, length: int) -> Place | None:
    """Return the last place of the stretch; None when the list ends before."""
    found = _places(session, _ordered(after).offset(length - 1).limit(1))
    return found[0] if found else None


def _jump(session: Session, plan: Plan, at: Place) -> Place | None:
    """Return where at the earliest the next device can stand; None: there is none any more."""
    asked = (
        (DeviceListing.shape, DeviceTally, plan.shapes),
        (DeviceListing.system, SystemTally, plan.systems),
    )
    for column, tally, conditions in asked:
        if conditions is not None:
            name = session.scalar(_first(column, tally, conditions, at))
            if name is None:
                return None
            at = max(at, Place(name, 0))
    return at


def _first(column: Any, tally: Any, conditions: Conditions, at: Place) -> Any:
    """Return the first name at or behind *at* of a device that has one of these shapes."""
    wanted = select(tally.shape).where(*conditions).distinct().subquery()
    name = (
        select(func.min(DeviceListing.name))
        .where(column == wanted.c.shape, DeviceListing.name >= at.value)
        .scalar_subquery()
    )
    names = select(name.label("name")).select_from(wanted).subquery()
    return select(func.min(names.c.name))
