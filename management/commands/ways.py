"""Which way to the commands of a filter is short: every way is an index, in the order of time.

The part of the filter that leaves the fewest commands is the way, the others are compared row by
row. What is compared is said so that no database takes another index for it, whatever it guesses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, func, literal_column, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from management.commands.filters import CommandFilter
from management.commands.models import Command
from management.limits import groups_of, is_one_of, seeing_all
from management.listing.models import DeviceListing
from management.listing.plan import make_plan as plan_devices
from management.listing.rules import CAP, DeviceFilter

FEW = 1_000
"""Most devices whose commands are read device by device, in one statement."""
STRETCH = 5_000
"""Commands that are looked at in one turn; where words of devices are read, fewer."""
Condition = ColumnElement[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A filter with what is known of the way to its commands."""

    narrow: Sequence[Condition]
    """What an index answers; nothing: all commands."""
    rest: Sequence[Condition]
    """What is compared row by row."""
    times: Sequence[Condition]
    """Between which instants; every index has them."""
    stretch: int
    """So many commands are looked at in one turn; 0: all that it leads to."""

    @property
    def conditions(self) -> list[Condition]:
        """All that a command must fulfil."""
        return [*self.narrow, *self.times, *self.rest]


class _Part(NamedTuple):
    """One part of a filter: by its index, and compared without one."""

    narrow: Condition
    compared: Condition


class _Devices(NamedTuple):
    """What the filter asks of devices."""

    ids: Sequence[UUID] | None
    """All of them; None: too many, or nothing is asked."""
    compared: Sequence[Condition]


def find_way(session: Session, wanted: CommandFilter) -> Way:
    """Return the short way to the commands of a filter."""
    parts, times = list(_parts(wanted)), list(_times(wanted))
    devices = _devices(session, wanted)
    own = list(_own(wanted))
    if devices.ids is not None and not devices.ids:
        return _short([false()], [], times)
    if own:
        return _short(own, [*devices.compared, *(one.compared for one in parts)], times)
    best, number = _least(session, parts, times, counted=devices.ids is not None)
    rest = [one.compared for one in parts if one is not best]
    if devices.ids is not None and len(devices.ids) <= number:
        every = [one.compared for one in parts]
        return _short([is_one_of(Command.device_id, devices.ids)], every, times)
    rest += devices.compared
    whole = not rest and groups_of(session) is None
    length = STRETCH // 2 if devices.compared else STRETCH
    narrow = [best.narrow] if best else []
    return Way(narrow=narrow, rest=rest, times=times, stretch=0 if whole else length)


def _short(narrow: Sequence[Condition], rest: Sequence[Condition], times: list[Condition]) -> Way:
    return Way(narrow=narrow, rest=rest, times=times, stretch=0)


def _own(wanted: CommandFilter) -> Iterator[Condition]:
    """Yield the parts that always leave few: one device, one bulk command."""
    if wanted.device_id is not None:
        yield Command.device_id == wanted.device_id
    if wanted.batch_id is not None:
        yield Command.batch_id == wanted.batch_id


def _parts(wanted: CommandFilter) -> Iterator[_Part]:
    if wanted.waiting_for:
        part = _part(Command.waiting_for, wanted.waiting_for)
        waits = Command.waiting_for != literal_column("''")  # the index has only such commands
        yield _Part(and_(part.narrow, waits), part.compared)
    if wanted.state:
        yield _part(Command.state, wanted.state)
    if wanted.requested_by:
        yield _part(Command.requested_by, wanted.requested_by)
    if wanted.kind:
        yield _part(Command.kind, wanted.kind)


def _part(column: InstrumentedAttribute[str], value: str) -> _Part:
    return _Part(column == value, func.coalesce(column, "") == value)


def _times(wanted: CommandFilter) -> Iterator[Condition]:
    if wanted.since is not None:
        yield Command.queued_at >= wanted.since
    if wanted.until is not None:
        yield Command.queued_at < wanted.until


def _devices(session: Session, wanted: CommandFilter) -> _Devices:
    """Return which devices are meant; who is limited to groups means those of the groups."""
    asked = bool(wanted.text.strip() or wanted.owner_address)
    if not asked and groups_of(session) is None:
        return _Devices(None, [])
    plan = plan_devices(session, DeviceFilter(text=wanted.text, owner_address=wanted.owner_address))
    row = select(DeviceListing.id).where(DeviceListing.device_id == Command.device_id)
    compared = [row.where(*plan.conditions()).exists()] if asked else []
    if not plan.is_driven:
        return _Devices(None, compared)
    ids: list[UUID] = []
    for way in plan.ways():
        ids += session.scalars(select(DeviceListing.device_id).where(*way).limit(FEW + 1))
    return _Devices(ids if len(ids) <= FEW else None, compared)


def _least(
    session: Session, parts: Sequence[_Part], times: Sequence[Condition], counted: bool
) -> tuple[_Part | None, int]:
    """Return the part that leaves the fewest commands, and how many; counted only to compare."""
    if not counted and len(parts) < 2:
        return next(iter(parts), None), CAP
    sizes = [_capped(session, [one.narrow, *times]) for one in parts]
    number = min(sizes, default=CAP)
    return (parts[sizes.index(number)], number) if parts else (None, number)


def _capped(session: Session, conditions: Sequence[Condition]) -> int:
    first = select(Command.id).where(*conditions).limit(CAP + 1).subquery()
    with seeing_all(session):  # else a part of which nothing is in the groups is walked whole
        return session.scalar(select(func.count()).select_from(first)) or 0
