"""Finds commands, newest first: pages, counts and files of one filter.

Where rows are compared (`ways.Way.stretch`), they are read in stretches of time, so that a
question that little fits ends soon and says where it goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from management.commands.filters import CommandFilter
from management.commands.models import Command
from management.commands.queries import PAGE, Cursor
from management.commands.ways import Condition, Way, find_way
from management.devices.models import Device
from management.limits import groups_of, seeing_all
from management.listing.held import count_first, ordered
from management.listing.queries import SOME, count_some
from management.listing.rules import CAP, Count, DeviceFilter

TURNS = 3
"""Stretches that are looked at for one page."""
LOWEST = UUID(int=0)
"""Before any command of the same instant."""


@dataclass(frozen=True, slots=True)
class ListedCommand:
    """One row of the list: the command, and whose device gets it."""

    command: Command
    device: str
    owner_name: str
    owner_address: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some commands, where the list goes on, and how many there are."""

    rows: list[ListedCommand]
    more: Cursor | None
    """None: that was the last. A page that is not full and has more is a search that goes on."""
    count: Count


def look(
    session: Session, wanted: CommandFilter, after: Cursor | None = None, limit: int = PAGE
) -> Page:
    """Return a page in bounded time: it may hold fewer than there are, and says so."""
    way = find_way(session, wanted)
    rows, more = read_on(session, way, after, limit)
    return Page(rows, more, _count(session, way))


def read_on(
    session: Session, way: Way, after: Cursor | None, limit: int
) -> tuple[list[ListedCommand], Cursor | None]:
    """Return the next commands and where to go on; there may be none and yet more."""
    places, more = _walk(session, way, after, limit)
    return _load(session, places), more


def count_all(session: Session, wanted: CommandFilter) -> int:
    """Return how many commands the filter finds, exactly; it may take its time."""
    way = find_way(session, wanted)
    return session.scalar(select(func.count(Command.id)).where(*way.conditions)) or 0


def count_devices(session: Session, which: str) -> Count | None:
    """Return how many devices have such a command (`DeviceFilter.command`), counted to `SOME`.

    None: there are many, and who asks sees only some of them; to count these takes long.
    """
    way = ordered(which)
    with seeing_all(session):
        first = way.limit(SOME + 1).subquery()
        number = session.scalar(select(func.count()).select_from(first)) or 0
    if number <= SOME:
        return count_some(session, DeviceFilter(command=which))
    return None if groups_of(session) is not None else Count(count_first(session, way, SOME), True)


def _walk(
    session: Session, way: Way, after: Cursor | None, limit: int
) -> tuple[list[Cursor], Cursor | None]:
    found: list[Cursor] = []
    for _turn in range(TURNS):
        end = _end(session, way, after)
        found += _hits(session, way, after, end, limit + 1 - len(found))
        if len(found) > limit:
            return found[:limit], found[limit - 1]
        if end is None:
            return found, None
        after = Cursor(end, LOWEST)
    return found, after


def _hits(
    session: Session, way: Way, after: Cursor | None, end: datetime | None, limit: int
) -> list[Cursor]:
    wanted = (
        select(Command.queued_at, Command.id)
        .where(*way.conditions, *_behind(after))
        .order_by(Command.queued_at.desc(), Command.id.desc())
        .limit(limit)
    )
    if end is not None:
        wanted = wanted.where(Command.queued_at >= end)
    return [Cursor(*row) for row in session.execute(wanted)]


def _end(session: Session, way: Way, after: Cursor | None) -> datetime | None:
    """Return the instant with which the stretch ends; None: the commands end before.

    An instant and no command: who is limited to groups learns of no other by where a page ends.
    """
    if not way.stretch:
        return None
    newest = (
        select(Command.queued_at)
        .where(*way.narrow, *way.times, *_behind(after))
        .order_by(Command.queued_at.desc(), Command.id.desc())
    )
    with seeing_all(session):  # the stretch is bounded by what is looked at, not by what fits
        return session.scalar(newest.offset(way.stretch - 1).limit(1))


def _behind(after: Cursor | None) -> list[Condition]:
    if after is None:
        return []
    earlier = or_(Command.queued_at < after.queued_at, Command.id < after.command_id)
    return [Command.queued_at <= after.queued_at, earlier]


def _count(session: Session, way: Way) -> Count:
    """Return how many there are: of a way that compares nothing up to `CAP`, else in a stretch."""
    end = _end(session, way, None)
    found = select(Command.id).where(*way.conditions)
    if end is not None:
        found = found.where(Command.queued_at >= end)
    first = found.limit(CAP + 1).subquery()
    number = session.scalar(select(func.count()).select_from(first)) or 0
    return Count(min(number, CAP), more=end is not None or number > CAP)


def _load(session: Session, places: Sequence[Cursor]) -> list[ListedCommand]:
    wanted = (
        select(Command, Device.name, Device.owner_name, Device.owner_address)
        .join(Device, Device.id == Command.device_id)
        .where(Command.id.in_([one.command_id for one in places]))
    )
    found = {row[0].id: ListedCommand(*row) for row in session.execute(wanted)}
    return [found[one.command_id] for one in places if one.command_id in found]
