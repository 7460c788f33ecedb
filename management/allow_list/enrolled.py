"""Finds enrolled devices that the allow-list does not name: a page of devices at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.allow_list.models import AllowedDevice
from management.allow_list.rules import Identifiers, refusal, told_as
from management.devices.models import Device
from management.devices.rules import EnrolmentState

PAGE = 500
_COLUMNS = ("imei", "wifi_mac", "serial", "enterprise_id")


@dataclass(frozen=True, slots=True)
class Look:
    """What one page of enrolled devices has."""

    after: UUID | None
    """Where the next page begins; None: this was the last one."""
    devices: int
    unlisted: tuple[UUID, ...]


def look(session: Session, after: UUID, outside: UUID | None = None) -> Look:
    """Return which of the next enrolled devices are not on the list.

    Those in the group *outside* are there already and are not looked at.
    """
    query = select(
        Device.id, Device.imei, Device.wifi_mac, Device.serial, Device.enterprise_id
    ).where(Device.enrolment_state == EnrolmentState.ENROLLED, Device.id > after)
    if outside is not None:
        query = query.where(Device.group_id != outside)
    rows = session.execute(query.order_by(Device.id).limit(PAGE)).all()
    said = {row.id: told_as(row.imei, row.wifi_mac, row.serial, row.enterprise_id) for row in rows}
    listed = _listed(session, list(said.values()))
    unlisted = tuple(
        device for device, one in said.items() if refusal(one, not listed.isdisjoint(one.marks))
    )
    return Look(rows[-1].id if len(rows) == PAGE else None, len(rows), unlisted)


def _listed(session: Session, said: Sequence[Identifiers]) -> set[tuple[str, str]]:
    """Return which of the marks stand on the list."""
    found: set[tuple[str, str]] = set()
    for name in _COLUMNS:
        values = {getattr(one, name) for one in said} - {""}
        column = getattr(AllowedDevice, name)
        if values:
            held = session.scalars(select(column).where(column.in_(sorted(values))))
            found |= {(name, value) for value in held}
    return found
