"""What the pages list: partnerships by filter, how many of which kind, devices to match by hand."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.limits import seeing_all
from management.listing.rules import Count
from management.mail_access.models import PARTNERSHIPS, MailWipe, Partnership
from management.mail_access.states import WipeState
from management.search.queries import Way, find_way

Found = TypeVar("Found", bound=Select[*tuple[Any, ...]])
STRETCH = 10_000
"""Ids that one page looks at."""
COUNTED = 10_000
LOOKED = 100_000
"""Ids that a count looks at where no index leads to what is counted."""
SHORT = frozenset({"held", "overridden", "grace", "doors"})
"""Ways of `Filter.only` for which there is an index."""
SUMMED = ("held", "exception", "grace", "not_done", "failed", "overridden", "doors")
"""What of `Filter.only` the list counts beside what is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which partnerships a list shows."""

    text: str = ""
    """Words that mailbox, address, DeviceId or model begin with; see `listing.rules.tokens`."""
    wanted: str = ""
    match: str = ""
    only: str = ""
    """A key of `ONLY`."""
    connector: str = ""
    with_gone: bool = False


def look(
    session: Session, shown: Filter, after: int = 0, limit: int = 50
) -> tuple[list[tuple[Partnership, str]], int | None]:
    """Return a page in bounded time, and the id behind which the list goes on; None: that was all.

    A word that few have leads to them. Else it looks at `STRETCH` ids at most, so that a page may
    hold fewer than *limit*, and even none.
    """
    way = find_way(session, PARTNERSHIPS, shown.text)
    if way is not None and way.ids is not None:
        return _driven(session, shown, replace(way, ids=[i for i in way.ids if i > after]), limit)
    with seeing_all(session):
        newest = session.scalar(select(func.max(Partnership.id))) or 0
    until = after + STRETCH
    wanted = _page(shown, limit).where(Partnership.id > after, Partnership.id <= until)
    rows = _rows(session, wanted.where(*way.rest) if way else wanted)
    if len(rows) > limit:
        return rows[:limit], rows[limit - 1][0].id
    return rows, until if until < newest else None


def _driven(
    session: Session, shown: Filter, way: Way, limit: int
) -> tuple[list[tuple[Partnership, str]], int | None]:
    rows: list[tuple[Partnership, str]] = []
    for some in way.conditions():
        rows += _rows(session, _page(shown, limit).where(*some))
        if len(rows) > limit:
            return rows[:limit], rows[limit - 1][0].id
    return rows, None


def _page(shown: Filter, limit: int) -> Select[Partnership, str]:
    wanted = (
        select(Partnership, func.coalesce(Device.name, ""))
        .outerjoin(Device, Device.id == Partnership.device_id)
        .order_by(Partnership.id)
        .limit(limit + 1)
    )
    return _filtered(wanted, shown)


def _rows(session: Session, wanted: Select[Partnership, str]) -> list[tuple[Partnership, str]]:
    return [(row, name) for row, name in session.execute(wanted)]


def list_candidates(session: Session, row: Partnership, limit: int = 20) -> list[Device]:
    """Return the enrolled devices that a person may match to *row*: of its user, or of its id."""
    names = {row.user_address.casefold(), row.mailbox.rsplit("/", 1)[-1].casefold()} - {""}
    local_parts = {name.partition("@")[0] for name in names}
    owner = func.lower(Device.owner_address)
    wanted = select(Device).where(
        Device.enrolment_state == EnrolmentState.ENROLLED,
        or_(
            Device.exchange_device_id == row.exchange_device_id,
            owner.in_(names),
            *(owner.startswith(part + "@", autoescape=True) for part in sorted(local_parts)),
        ),
    )
    return list(session.scalars(wanted.order_by(Device.name).limit(limit)))


def count_each(session: Session) -> dict[str, dict[str, Count]]:
    """Return filter -> value -> how many partnerships the list finds by it, for its summary."""
    accesses, kinds = ("allow", "block", "leave"), SUMMED
    return {
        "wanted": {one: count(session, Filter(wanted=one)) for one in accesses},
        "only": {one: count(session, Filter(only=one)) for one in kinds},
    }


def count(session: Session, shown: Filter) -> Count:
    """Return how many partnerships `look` finds in all, counted to `COUNTED`.

    Where no index leads to them only the newest `LOOKED` are looked at: at least so many then.
    """
    way, left, number = find_way(session, PARTNERSHIPS, shown.text), COUNTED + 1, 0
    bound, cut = ([], False) if _is_short(shown, way) else _bound(session)
    for some in way.conditions() if way else ([],):
        such = _filtered(select(Partnership.id), shown).where(*some, *bound)
        found = select(func.count()).select_from(such.limit(left).subquery())
        number += session.scalar(found) or 0
        left = COUNTED + 1 - number
        if left < 1:
            break
    return Count(min(number, COUNTED), more=cut or number > COUNTED)


def _is_short(shown: Filter, way: Way | None) -> bool:
    if way is not None:
        return way.ids is not None
    return shown.only in SHORT or not (shown.only or shown.match)


def _bound(session: Session) -> tuple[list[ColumnElement[bool]], bool]:
    """Return what keeps a count to the newest, and whether it leaves anything out."""
    beyond = select(Partnership.id).order_by(Partnership.id.desc()).offset(LOOKED).limit(1)
    with seeing_all(session):
        last = session.scalar(beyond)
    return ([], False) if last is None else ([Partnership.id > last], True)


def _filtered(wanted: Found, shown: Filter) -> Found:
    if shown.wanted:
        wanted = wanted.where(Partnership.wanted == shown.wanted)
    if shown.match:
        wanted = wanted.where(Partnership.match == shown.match)
    if shown.only in ONLY:
        wanted = wanted.where(ONLY[shown.only])
    if (connector_id := _read_id(shown.connector)) is not None:
        wanted = wanted.where(Partnership.connector_id == connector_id)
    return wanted if shown.with_gone else wanted.where(Partnership.gone_at.is_(None))


_WIPING = select(MailWipe.id).where(
    MailWipe.partnership_id == Partnership.id, MailWipe.state == WipeState.QUEUED
)
ONLY: dict[str, ColumnElement[bool]] = {
    "held": Partnership.held_at.is_not(None),
    "not_done": and_(
        Partnership.wanted != "leave",
        Partnership.applied != Partnership.wanted,
        Partnership.applied_error == "",
        Partnership.overridden_at.is_(None),
    ),
    "done_block": Partnership.applied == "block",
    "wiping": _WIPING.exists(),
    "failed": (Partnership.applied_error != "") & Partnership.overridden_at.is_(None),
    "overridden": Partnership.overridden_at.is_not(None),
    "exception": Partnership.exception != "",
    "grace": (Partnership.wanted != "block") & Partnership.next_due_at.is_not(None),
    "doors": (Partnership.wanted == "block") & Partnership.open_doors.contains(" "),
}
"""``doors``: blocked here, while more than one other way to the mailbox is open.
``done_block``: the connector blocked it. ``wiping``: a wipe of it is not over."""


def _read_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
