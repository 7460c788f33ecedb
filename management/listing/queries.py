"""Reads the list of devices: pages, counts, and the numbers of dashboard and groups.

However many devices there are, one page reads few rows. `listing.plan` says which way is short.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, load_only

from management.devices.models import Device, DeviceJudgement
from management.devices.rules import EnrolmentState
from management.listing.held import count_first
from management.listing.models import DeviceListing, DeviceTally, SystemTally
from management.listing.plan import CHUNK, Place, Plan, behind_place, make_plan
from management.listing.rules import CAP, Count, DeviceFilter
from management.listing.scan import count_stretch, scan

PAGE = 50
MOST = 1_000
"""Most rows in one page: as many as `rules.MOST_NUMBERS`."""
_OF_DEVICE = (
    Device.id, Device.name, Device.owner_name, Device.owner_address, Device.platform,
    Device.ownership, Device.management_mode, Device.manufacturer, Device.model, Device.serial,
    Device.enrolment_state, Device.group_id, Device.contact_at,
)  # fmt: skip
"""What lists, the API's list and bulk commands need of a device; keys are long and stay away."""
SOME = 1_000
"""Up to so many are counted where each must be looked at."""
STATES = ("healthy", "non_compliant", "out_of_sync", "inactive", "not_enrolled")


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """One row of the list: the device and how it stands."""

    device: Device
    state: str
    since: datetime
    violations: Sequence[Mapping[str, object]]
    """As `compliance.rules.write_violation` wrote them."""
    risk: str
    cursor: Place
    """Where the list goes on after this row."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows in order, where the list goes on, how many there are, and the sorts it offers."""

    rows: list[ListedDevice]
    more: Place | None
    """None: that was the last. A page that is not full and has more is a search that goes on."""
    count: Count
    sortable: bool
    """Whether other sorts than by name are offered: there are at most `rules.CAP`."""
    sort: str
    """The sort that was used."""
    cut: bool
    """Whether only the first of very many that a search found were looked at."""


def look(
    session: Session,
    wanted: DeviceFilter,
    sort: str = "name",
    after: Place | None = None,
    limit: int = PAGE,
) -> Page:
    """Return a page in bounded time: it may hold fewer rows than there are, and says so."""
    plan, limit = make_plan(session, wanted, bounded=True), min(limit, MOST)
    whole = _fitting(session, plan) if plan.is_driven and plan.exact is None else None
    count = _counted(session, plan) if whole is None else Count(len(whole), plan.cut)
    sortable = not count.more and count.number <= CAP
    sort = sort if sortable else "name"
    if sort != "name":
        places, more = _sorted(session, plan, sort, after, limit)
    elif whole is not None:
        places, more = _cut([one for one in whole if after is None or one > after], limit)
    else:
        places, more = (_driven if plan.is_driven else scan)(session, plan, after, limit)
    return Page(_load(session, places), more, count, sortable, sort, plan.cut)


def list_devices(
    session: Session,
    wanted: DeviceFilter | None = None,
    after: Place | None = None,
    limit: int = PAGE,
) -> list[ListedDevice]:
    """Return *limit* devices in the order of their names, those behind *after*, however long it
    takes; fewer only at the end.
    """
    plan = make_plan(session, wanted or DeviceFilter())
    places, _more = list_places(session, plan, after, min(limit, MOST))
    return _load(session, places)


def list_places(
    session: Session, plan: Plan, after: Place | None, limit: int
) -> tuple[list[Place], Place | None]:
    """Return the next *limit* places in the order of names, and where to go on; None: the end."""
    found: list[Place] = []
    read = _driven if plan.is_driven else scan
    while True:
        places, after = read(session, plan, after, limit - len(found))
        found += places
        if after is None or len(found) >= limit:
            return found, after


def sorted_places(session: Session, plan: Plan, sort: str) -> list[Place] | None:
    """Return all places in the order asked for; None: in that of the names, as of too many."""
    if sort == "name":
        return None
    count = _counted(session, plan)
    if count.more or count.number > CAP:
        return None
    return _sorted(session, plan, sort, None, CAP)[0]


def count_devices(session: Session, wanted: DeviceFilter | None = None) -> int:
    """Return how many devices the filter finds, exactly; it may take its time."""
    plan = make_plan(session, wanted or DeviceFilter())
    if plan.exact is not None:
        return plan.exact
    if plan.is_driven:
        return len(_fitting(session, plan))
    every = select(func.count()).select_from(DeviceListing)
    return session.scalar(every.where(*plan.conditions())) or 0


def count_some(session: Session, wanted: DeviceFilter) -> Count:
    """Return how many devices the filter finds, counted for a bounded time."""
    return _counted(session, make_plan(session, wanted, bounded=True))


def count_states(session: Session) -> dict[str, int]:
    """Return how many devices are in each state, all states named."""
    found = select(DeviceTally.state, func.sum(DeviceTally.number)).group_by(DeviceTally.state)
    return {**dict.fromkeys(STATES, 0), **_numbers(session, found)}


def count_in_groups(session: Session) -> dict[UUID, int]:
    """Return how many enrolled devices are in each group itself."""
    found = (
        select(DeviceTally.group_id, func.sum(DeviceTally.number))
        .where(DeviceTally.enrolment == EnrolmentState.ENROLLED)
        .group_by(DeviceTally.group_id)
    )
    return _numbers(session, found)


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many devices there are of each kind; each number is that of a list."""

    states: Mapping[str, int]
    """All devices."""
    platforms: Mapping[str, int]
    risks: Mapping[str, int]
    rules: Mapping[str, int]
    """Broken rule -> devices."""
    mail: Mapping[str, int]
    systems: Mapping[tuple[str, str], int]
    """(platform, main version) -> devices."""
    patches: Mapping[str, int]
    """Month -> Android devices."""
    patterns: Mapping[str, int]
    """The last four count enrolled devices, as do platforms, risks, rules and mail."""


def count_fleet(session: Session) -> Numbers:
    """Return the numbers of the dashboard."""
    t, s = DeviceTally, SystemTally
    parts = session.execute(
        select(
            t.state, t.enrolment, t.platform, t.risk, t.rules, t.mail, func.sum(t.number)
        ).group_by(t.state, t.enrolment, t.platform, t.risk, t.rules, t.mail)
    ).all()
    versions = session.execute(
        select(s.platform, s.os, s.patch, s.patterns, func.sum(s.number))
        .where(s.enrolment == EnrolmentState.ENROLLED)
        .group_by(s.platform, s.os, s.patch, s.patterns)
    ).all()
    here = [part for part in parts if part.enrolment == EnrolmentState.ENROLLED]
    android = [one for one in versions if one.platform == "android"]
    return Numbers(
        states={**dict.fromkeys(STATES, 0), **_summed((p.state, p[-1]) for p in parts)},
        platforms=_summed((part.platform, part[-1]) for part in here),
        risks=_summed((part.risk, part[-1]) for part in here),
        rules=_summed((rule, p[-1]) for p in here for rule in p.rules.split("|") if rule),
        mail=_summed((part.mail, part[-1]) for part in here),
        systems=_summed(((one.platform, one.os), one[-1]) for one in versions),
        patches=_summed((one.patch, one[-1]) for one in android),
        patterns=_summed((one.patterns, one[-1]) for one in versions),
    )


def _counted(session: Session, plan: Plan) -> Count:
    if plan.exact is not None:
        return Count(plan.exact)
    if plan.is_driven:
        return Count(len(_fitting(session, plan)), plan.cut)
    if (way := plan.only) is not None:
        return Count(count_first(session, way, SOME if plan.command else CAP), more=True)
    return count_stretch(session, plan)


def _fitting(session: Session, plan: Plan) -> list[Place]:
    """Return all that a driven plan finds: at most `CAP`."""
    name, row_id = DeviceListing.name, DeviceListing.id
    return sorted(
        Place(*row)
        for way in plan.ways()
        for row in session.execute(select(name, row_id).where(*way))
    )


def _driven(
    session: Session, plan: Plan, after: Place | None, limit: int
) -> tuple[list[Place], Place | None]:
    name, row_id = DeviceListing.name, DeviceListing.id
    found: list[Place] = []
    for way in plan.ways():
        part = (
            select(name, row_id)
            .where(*way, *behind_place(name, row_id, after))
            .order_by(name, row_id)
            .limit(limit + 1)
        )
        found += (Place(*row) for row in session.execute(part))
    return _cut(sorted(found), limit)


def _sorted(
    session: Session, plan: Plan, sort: str, after: Place | None, limit: int
) -> tuple[list[Place], Place | None]:
    """Sort all that fit, newest first: they are few."""
    column = Device.contact_at if sort == "contact" else DeviceJudgement.since
    found: list[Place] = []
    for way in plan.ways() if plan.is_driven else [plan.conditions()]:
        part = (
            select(column, DeviceListing.id)
            .join(Device, Device.id == DeviceListing.device_id)
            .join(DeviceJudgement, DeviceJudgement.device_id == Device.id)
            .where(*way)
        )
        found += (Place(at.isoformat() if at else "", row) for at, row in session.execute(part))
    found.sort(reverse=True)
    return _cut([one for one in found if after is None or one < after], limit)


def _cut(found: list[Place], limit: int) -> tuple[list[Place], Place | None]:
    return found[:limit], found[limit - 1] if len(found) > limit else None


def _load(session: Session, places: Sequence[Place]) -> list[ListedDevice]:
    rows: dict[int, tuple[Device, str, datetime, Any, str]] = {}
    j = DeviceJudgement
    for start in range(0, len(places), CHUNK):
        ids = [place.id for place in places[start : start + CHUNK]]
        found = session.execute(
            select(DeviceListing.id, Device, j.state, j.since, j.violations, j.risk)
            .join(Device, Device.id == DeviceListing.device_id)
            .join(j, j.device_id == Device.id)
            .where(DeviceListing.id.in_(ids))
            .options(load_only(*_OF_DEVICE))
        )
        rows |= {row_id: found_row for row_id, *found_row in found}
    # One may have left the groups of whoever asks since the list was read.
    return [ListedDevice(*rows[one.id], one) for one in places if one.id in rows]


def _numbers(session: Session, found: Any) -> dict[Any, int]:
    return {kind: int(number) for kind, number in session.execute(found) if number}


def _summed(parts: Iterable[tuple[Any, int]]) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for kind, number in parts:
        found[kind] = found.get(kind, 0) + int(number)
    return {kind: number for kind, number in found.items() if number}
