"""The devices of a filter as CSV that a spreadsheet can open without harm."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from io import StringIO

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.devices.models import Device, DeviceJudgement
from management.formulas import harmless
from management.listing.models import DeviceListing
from management.listing.plan import Place, make_plan
from management.listing.queries import list_places, sorted_places
from management.listing.rules import DeviceFilter

Reading = Callable[[], AbstractContextManager[Session]]
Columns = tuple[object, ...]
STEP = 1_000
"""Devices that are read at once: memory and read transactions stay small."""
HEAD = (
    "device id", "name", "owner", "address", "system", "manufacturer", "model", "serial number",
    "IMEI", "ownership", "group", "policy", "enrolment", "state", "since", "risk", "because",
    "last proof of contact",
)  # fmt: skip
_COLUMNS = (
    Device.id, Device.name, Device.owner_name, Device.owner_address, Device.platform,
    Device.manufacturer, Device.model, Device.serial, Device.imei, Device.ownership,
    Device.group_id, Device.policy_id, Device.enrolment_state, DeviceJudgement.state,
    DeviceJudgement.since, DeviceJudgement.risk, DeviceJudgement.violations, Device.contact_at,
)  # fmt: skip


def as_csv(
    open_reading: Reading,
    wanted: DeviceFilter,
    groups: Mapping[str, str],
    policies: Mapping[str, str],
    sort: str = "name",
) -> Iterator[str]:
    """Yield the file in parts, in the order of the list; *open_reading* gives each its session."""
    yield "\ufeff" + _lines([HEAD])
    for rows in _parts(open_reading, wanted, sort):
        yield _lines([_fields(row, groups, policies) for row in rows])


def _parts(open_reading: Reading, wanted: DeviceFilter, sort: str) -> Iterator[list[Columns]]:
    after: Place | None = None
    with open_reading() as session:
        plan = make_plan(session, wanted)
        known = sorted_places(session, plan, sort)
    for start in range(0, len(known or ()), STEP):
        with open_reading() as session:
            yield _read(session, (known or [])[start : start + STEP])
    while known is None:
        with open_reading() as session:
            places, after = list_places(session, plan, after, STEP)
            rows = _read(session, places)
        if rows:
            yield rows
        if after is None:
            return


def _read(session: Session, places: list[Place]) -> list[Columns]:
    wanted = (
        select(DeviceListing.id, *_COLUMNS)
        .join(Device, Device.id == DeviceListing.device_id)
        .join(DeviceJudgement, DeviceJudgement.device_id == Device.id)
        .where(DeviceListing.id.in_([place.id for place in places]))
    )
    found = {row[0]: tuple(row[1:]) for row in session.execute(wanted)}
    return [found[place.id] for place in places if place.id in found]


def _fields(row: Columns, groups: Mapping[str, str], policies: Mapping[str, str]) -> list[str]:
    named = list(row)
    named[10], named[11] = groups.get(str(row[10]), ""), policies.get(str(row[11]), "")
    named[16] = "; ".join(str(one["because"]) for one in row[16])  # type: ignore[attr-defined]
    return [harmless(_text(value)) for value in named]


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return "" if value is None else str(value)


def _lines(rows: Sequence[Sequence[str]]) -> str:
    out = StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()
