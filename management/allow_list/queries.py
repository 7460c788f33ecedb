"""Reads the allow-list."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from management.allow_list.models import AllowedDevice, AllowListSetting
from management.allow_list.rules import Identifiers, Unlisted
from management.work.models import Job
from management.work.queries import list_lines

PAGE = 50
LIST_CHANGED = "The list was changed after the devices were counted. Count them again."


def unlisted_setting(session: Session) -> Unlisted:
    """Return what becomes of devices that are not on the list."""
    row = session.get(AllowListSetting, 1)
    return Unlisted(row.unlisted) if row else Unlisted.ALLOWED


def find_setting(session: Session) -> AllowListSetting | None:
    """Return what was chosen and counted; None: nothing was ever chosen."""
    return session.get(AllowListSetting, 1)


def is_listed(session: Session, said: Identifiers) -> bool:
    """Return whether anything that a device says stands on the list; claims, never proof."""
    pairs = (
        (AllowedDevice.imei, said.imei),
        (AllowedDevice.wifi_mac, said.wifi_mac),
        (AllowedDevice.serial, said.serial),
        (AllowedDevice.enterprise_id, said.enterprise_id),
    )
    same = [column == value for column, value in pairs if value]
    if not same:
        return False
    return session.scalars(select(AllowedDevice.id).where(or_(*same)).limit(1)).first() is not None


def count_listed(session: Session) -> int:
    """Return how many devices the list has."""
    return session.scalar(select(func.count()).select_from(AllowedDevice)) or 0


def digest(session: Session) -> str:
    """Return what tells this list from any other: its entries are added and removed, never changed.

    Read from the list itself, so that no way to change it can forget to say so.
    """
    ids = session.scalars(select(AllowedDevice.id).order_by(AllowedDevice.id))
    return sha256(b"".join(sorted(one.bytes for one in ids))).hexdigest()


def why_ended(session: Session, setting: AllowListSetting) -> str:
    """Return why the last count or what was confirmed holds no more; empty: nothing ended it."""
    if setting.counted_at is not None and setting.counted_list != digest(session):
        return LIST_CHANGED
    return setting.ended_because


def enrolled_card(session: Session) -> dict[str, Any]:
    """Return what the page says of devices that are enrolled already."""
    setting = find_setting(session)
    ended = why_ended(session, setting) if setting else ""
    ours = select(Job).where(Job.kind.in_(("allow_list.count", "allow_list.apply")))
    job = session.scalars(ours.order_by(Job.queued_at.desc(), Job.id).limit(1)).first()
    return {
        "counted": setting if setting and setting.counted_at and not ended else None,
        "ended": ended,
        "left": setting.apply_left if setting else 0,
        "job": job,
        "applied": next(iter(list_lines(session, job.id, 1)), None) if job else None,
    }


def list_allowed(
    session: Session, text: str = "", after: UUID | None = None, limit: int = PAGE
) -> Sequence[AllowedDevice]:
    """Return devices of the list that contain *text*, in no meaning order, behind *after*."""
    one = AllowedDevice
    query = select(one).order_by(one.id)
    columns = (one.imei, one.wifi_mac, one.serial, one.enterprise_id, one.note)
    for word in text.split()[:8]:
        query = query.where(or_(*(column.icontains(word, autoescape=True) for column in columns)))
    if after is not None:
        query = query.where(one.id > after)
    return session.scalars(query.limit(limit)).all()


def everything(session: Session) -> Iterator[tuple[Identifiers, str]]:
    """Yield the whole list."""
    rows = session.scalars(
        select(AllowedDevice).order_by(AllowedDevice.added_at, AllowedDevice.id)
    ).yield_per(1000)
    for row in rows:
        yield Identifiers(row.imei, row.wifi_mac, row.serial, row.enterprise_id), row.note
