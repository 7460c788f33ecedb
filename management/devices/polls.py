"""When devices polled, as relays say, and which of them somebody waits for. Both narrow tables.

A poll never writes: what a relay noted in some seconds comes as one batch.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from management.devices.models import Device, DevicePoll, LiveDevice

LIVE_FOR = timedelta(minutes=10)
"""How long a device hurries after an administrator did something with it."""
CHUNK = 1000
"""Ids in one question; SQL Server takes at most 2,100 parameters."""


def find_polled_at(session: Session, device_id: UUID) -> datetime | None:
    """Return when a relay says that the device polled last: a hint, never proof of contact."""
    found = session.get(DevicePoll, device_id)
    return found.polled_at if found else None


def note_polls(session: Session, polls: Iterable[tuple[UUID, datetime]]) -> None:
    """Keep the newest poll of each device; unknown devices are left out."""
    newest: dict[UUID, datetime] = {}
    for device_id, at in polls:
        newest[device_id] = max(at, newest.get(device_id, at))
    ids = sorted(newest)
    for start in range(0, len(ids), CHUNK):
        some = ids[start : start + CHUNK]
        _note(session, {device_id: newest[device_id] for device_id in some})


def _note(session: Session, newest: dict[UUID, datetime]) -> None:
    rows = session.execute(
        select(Device.id, DevicePoll.device_id)
        .outerjoin(DevicePoll, DevicePoll.device_id == Device.id)
        .where(Device.id.in_(newest))
        .order_by(Device.id)
    ).all()
    again = [{"who": id_, "at": newest[id_]} for id_, known in rows if known is not None]
    first = [{"device_id": id_, "polled_at": newest[id_]} for id_, known in rows if known is None]
    connection = session.connection()
    if again:
        table = DevicePoll.__table__
        later = table.c.polled_at < bindparam("at")
        connection.execute(
            update(DevicePoll)
            .where(table.c.device_id == bindparam("who"), later)
            .values(polled_at=bindparam("at")),
            again,
        )
    if first:
        connection.execute(insert(DevicePoll), first)


def hurry(session: Session, device_id: UUID, now: datetime) -> None:
    """Let the device poll quickly for a while, because somebody waits for it."""
    session.merge(LiveDevice(device_id=device_id, until=now + LIVE_FOR, told_at=None))
    session.flush()


def list_to_hurry(
    session: Session, relay_id: UUID, now: datetime, most: int
) -> Sequence[LiveDevice]:
    """Return the live devices that this relay has not heard of yet."""
    wanted = (
        select(LiveDevice)
        .join(Device, Device.id == LiveDevice.device_id)
        .where(Device.relay_id == relay_id, LiveDevice.told_at.is_(None), LiveDevice.until > now)
        .order_by(LiveDevice.until)
        .limit(most)
    )
    return session.scalars(wanted).all()


def note_told(session: Session, told: Sequence[LiveDevice], now: datetime) -> None:
    """Note that the relay lets them hurry, and forget those whose time is over."""
    for live in told:
        session.execute(
            update(LiveDevice)
            .where(LiveDevice.device_id == live.device_id, LiveDevice.until == live.until)
            .values(told_at=now)
        )
    session.execute(delete(LiveDevice).where(LiveDevice.until <= now))
