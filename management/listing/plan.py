"""Which way to the devices of a filter is short: by their search words, their shapes, or in order.

`DRIVE` rows are read and sorted in a few hundredths of a second. When one part of the filter
leaves no more than that, the page is read from those rows. Otherwise every part leaves many, so
that the list in the order of names soon meets some (`listing.scan`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from management.devices.models import Device
from management.limits import groups_of, is_one_of, seeing_all
from management.listing import held
from management.listing.models import DeviceListing, DeviceTally, DeviceToken, SystemTally
from management.listing.rules import CAP, DeviceFilter, asked_words, behind
from management.listing.together import Part, few_of_both
from management.policies.models import Group

FEW = 5_000
"""Most rows that a search word may lead to and still be the way."""
CUT = 2_000
"""Rows that are looked at where a word leads to more than `FEW`."""
DRIVE = CAP
CHUNK = 1_000
"""Values in one statement; SQL Server takes 2,100."""
_OF_BOTH = ("platform", "enrolment")
_OF_DEVICES = ("state", "risk", "ownership", "policy_id", "mail")
_OF_SYSTEMS = ("os", "patch", "patterns")
Conditions = list[ColumnElement[bool]]


class Place(NamedTuple):
    """Where a page ended: what the list is sorted by, and the row."""

    value: str
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A filter with what is known of the ways to its devices."""

    words: Sequence[str]
    owner: str
    files: Sequence[str]
    """Hashes of an app, of which a device holds one; none: not asked."""
    command: str
    """See `DeviceFilter.command`; not asked again of those that it led to."""
    shapes: Conditions | None
    """What a `DeviceTally` must fulfil; None: not asked."""
    systems: Conditions | None
    """The same of a `SystemTally`."""
    exact: int | None
    """How many devices there are, when tallies alone say it."""
    driver: tuple[Any, Sequence[int]] | None
    """The column and all values by which the devices are few; None: no part leaves few."""
    cut: bool
    """Whether the driver holds only the first of many rows: what it finds is not all."""

    @property
    def is_driven(self) -> bool:
        """Whether some part of the filter leaves few devices."""
        return self.driver is not None

    @property
    def only(self) -> Select[Any] | None:
        """The way to devices by what they have, where that is the whole filter."""
        if any((self.words, self.owner, self.shapes, self.systems)):
            return None
        if bool(self.files) == bool(self.command):
            return None
        return held.holders(self.files) if self.files else held.ordered(self.command)

    def ways(self) -> Iterator[Conditions]:
        """Yield conditions that together find every device of a driven plan, each once."""
        assert self.driver is not None
        column, values = self.driver
        rest = self.conditions(but=column)
        for start in range(0, len(values), CHUNK):
            yield [is_one_of(column, values[start : start + CHUNK]), *rest]

    def conditions(self, but: Any = None, row: Any = DeviceListing) -> Conditions:
        """Return what a *row* of the list must fulfil, except for what the column *but* says."""
        found: Conditions = []
        if self.shapes is not None and but is not DeviceListing.shape:
            found.append(row.shape.in_(select(DeviceTally.shape).where(*self.shapes)))
        if self.systems is not None and but is not DeviceListing.system:
            found.append(row.system.in_(select(SystemTally.shape).where(*self.systems)))
        if self.owner:
            theirs = select(Device.id).where(Device.owner_address == self.owner)
            found.append(row.device_id.in_(theirs))
        if self.files:
            found.append(held.holds(row.device_id, self.files))
        if self.command:
            found.append(held.has_command(row.device_id, self.command))
        return [*found, *(has_word(row.words, word) for word in self.words)]


def has_word(column: Any, word: str) -> ColumnElement[bool]:
    """Return that a text of `rules.search_text` has a token that begins with *word*."""
    found: ColumnElement[bool] = column.contains(f"|{word}", autoescape=True)
    return found


def make_plan(session: Session, wanted: DeviceFilter, bounded: bool = False) -> Plan:
    """Return the short way to the devices of a filter.

    *bounded*: where every word and every part leads to many, the first rows that one word leads to
    are enough (`Plan.cut`); else such a plan is not driven.
    """
    words = asked_words(wanted.text)
    seen = _seen(session)
    shapes, systems = _of_devices(wanted, seen), _of_systems(wanted, seen)
    if systems is not None and shapes is not None and not _needs_devices(wanted):
        shapes = None  # the versions' tally knows system, enrolment and group too
    parts = [
        Part(_sum(session, tally, asked), column, tally, asked)
        for tally, column, asked in (
            (DeviceTally, DeviceListing.shape, shapes),
            (SystemTally, DeviceListing.system, systems),
        )
        if asked is not None
    ]
    files = held.reported_as(session, wanted.app) if wanted.app else []
    driver, cut = _driver(session, parts, list(_ways(session, wanted, words, files)), bounded)
    if len(parts) == 2 and (driver is None or cut) and not wanted.numbers:
        both = few_of_both(session, parts, FEW)
        if both is not None:  # they fulfil both parts, which are not asked again
            driver, cut, shapes, systems = (DeviceListing.id, both), False, None, None
    if wanted.numbers:
        driver, cut = (DeviceListing.id, held.rows_with_numbers(session, wanted.numbers)), False
    if wanted.text.strip() and not words:
        driver = DeviceListing.id, []  # only signs: nothing begins with them
    had = wanted.app or wanted.command or wanted.numbers
    by_command = driver is not None and driver[0] is DeviceListing.device_id and not files
    searched = bool(wanted.text.strip() or wanted.owner_address or had)
    return Plan(
        words=words,
        owner=wanted.owner_address,
        files=files,
        command="" if by_command else wanted.command,
        shapes=shapes,
        systems=systems,
        exact=None if searched or len(parts) > 1 else _exact(session, parts),
        driver=driver,
        cut=cut,
    )


def _exact(session: Session, parts: list[Part]) -> int:
    return parts[0].number if parts else _sum(session, SystemTally, [])


class _Way(NamedTuple):
    """Rows that a search word, an owner, an app or a command leads to."""

    number: int
    """At most one more than `most`."""
    most: int
    """So many rows are still few."""
    rows: Any
    may_be_cut: bool
    """Whether its first rows will do where there are more."""
    column: Any = DeviceListing.id
    """Of the list: what the rows say."""


def _driver(
    session: Session, parts: list[Part], ways: list[_Way], bounded: bool
) -> tuple[tuple[Any, Sequence[int]] | None, bool]:
    """Return the shortest way, and whether it was cut."""
    few = [one for one in ways if one.number <= one.most]
    way = min(few, key=lambda one: one.number, default=None)
    least = min(parts, key=lambda one: one.number, default=None)
    if least is not None and least.number <= min(DRIVE, way.number if way else DRIVE):
        return (least.column, _shapes(session, least)), False
    if way is not None:
        with seeing_all(session):  # the shapes of a limited filter keep it to groups
            # Told apart here: for DISTINCT a database walks another index, which has them in order.
            return (way.column, list(dict.fromkeys(session.scalars(way.rows)))), False
    long = next((one for one in ways if one.may_be_cut), None)
    if long is None or not bounded:
        return None, False
    return (DeviceListing.id, first_of(session, long.rows, CUT)), True


def first_of(session: Session, way: Select[Any], most: int) -> Sequence[Any]:
    """Return the first rows, at most *most*, of a way that leads to very many, by each word of a
    row that fits.

    Told apart here: for DISTINCT, PostgreSQL would sort a million rows to give the first 2,000.
    """
    return list(dict.fromkeys(session.scalars(way.limit(3 * most))))[:most]


def _shapes(session: Session, part: Part) -> Sequence[int]:
    wanted = select(part.tally.shape).where(*part.asked).group_by(part.tally.shape)
    return session.scalars(wanted.having(func.sum(part.tally.number) > 0)).all()


def _ways(
    session: Session, wanted: DeviceFilter, words: Sequence[str], files: Sequence[str]
) -> Iterator[_Way]:
    """Yield for each word, the owner, the app, the command how many rows it leads to, and how."""
    for word in words:
        way = _begins_with(word)
        yield _Way(_capped(session, way, FEW), FEW, way, may_be_cut=True)
    if wanted.owner_address:
        way = (
            select(DeviceListing.id)
            .join(Device, Device.id == DeviceListing.device_id)
            .where(Device.owner_address == wanted.owner_address)
        )
        yield _Way(_capped(session, way, FEW), FEW, way, may_be_cut=True)
    had = [held.holders(files)] if files else []
    had += [held.ordered(wanted.command)] if wanted.command else []
    for way in had:
        # By their ids: joined, SQLite walks the whole list to have its rows without a sort.
        number, column = _capped(session, way, DRIVE), DeviceListing.device_id
        yield _Way(number, DRIVE, way, may_be_cut=False, column=column)


def _begins_with(word: str) -> Select[int]:
    return select(DeviceToken.listing_id).where(
        DeviceToken.token >= word, DeviceToken.token < behind(word)
    )


def _capped(session: Session, way: Select[Any], most: int) -> int:
    first = way.limit(most + 1).subquery()
    with seeing_all(session):  # else an app that many hold, none in the groups, is walked whole
        return session.scalar(select(func.count()).select_from(first)) or 0


def _sum(session: Session, tally: Any, asked: Conditions) -> int:
    return int(session.scalar(select(func.sum(tally.number)).where(*asked)) or 0)


def _needs_devices(wanted: DeviceFilter) -> bool:
    return bool(wanted.rule or any(getattr(wanted, name) for name in _OF_DEVICES))


def _seen(session: Session) -> Sequence[UUID] | None:
    """Return the groups that whoever asks may see, None for all: part of every filter."""
    groups = groups_of(session)
    return None if groups is None else sorted(groups)


def _of_devices(wanted: DeviceFilter, seen: Sequence[UUID] | None) -> Conditions | None:
    found = _equal(DeviceTally, wanted, (*_OF_BOTH, *_OF_DEVICES))
    found += _of_groups(DeviceTally, wanted, seen)
    if wanted.rule:
        found.append(DeviceTally.rules.contains(f"|{wanted.rule}|", autoescape=True))
    return found or None


def _of_systems(wanted: DeviceFilter, seen: Sequence[UUID] | None) -> Conditions | None:
    if not any(getattr(wanted, name) for name in _OF_SYSTEMS):
        return None
    found = _equal(SystemTally, wanted, (*_OF_BOTH, *_OF_SYSTEMS))
    return found + _of_groups(SystemTally, wanted, seen)


def _of_groups(tally: Any, wanted: DeviceFilter, seen: Sequence[UUID] | None) -> Conditions:
    found: Conditions = []
    if wanted.group_id is not None:
        found.append(tally.group_id.in_(groups_below(wanted)))
    if seen is not None:
        found.append(is_one_of(tally.group_id, seen))
    return found


def _equal(tally: Any, wanted: DeviceFilter, names: Sequence[str]) -> Conditions:
    given = ((name, getattr(wanted, name)) for name in names)
    return [getattr(tally, name) == value for name, value in given if value]


def groups_below(wanted: DeviceFilter) -> Select[Any]:
    """Return the ids of the wanted group and of all below it."""
    top = select(Group.id).where(Group.id == wanted.group_id).cte(recursive=True)
    children = select(Group.id).join(top, Group.parent_id == top.c.id)
    return select(top.union_all(children).c.id)


def behind_place(name: Any, row_id: Any, after: Place | None) -> Conditions:
    """Return that a row stands behind *after*; one index range, without comparing rows."""
    if after is None:
        return []
    return [and_(name >= after.value, or_(name > after.value, row_id > after.id))]
