"""Reads devices, what is known of them, and the log of who said so."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.database import locked
from management.devices import models
from management.devices.models import Device, DeviceFacts, DeviceJudgement
from management.devices.rules import EnrolmentState, Fact, FactKind, read_facts
from runtime.errors import NotFoundError

Row = TypeVar("Row", Device, DeviceFacts, DeviceJudgement)
_HELD = "sekisho_held_devices"
PAGE = 50
MOST = 500
"""Most rows in one page."""


def get_device(session: Session, device_id: UUID) -> Device:
    """Return the device; NotFoundError when there is none with this id."""
    found = session.get(Device, device_id)
    if found is None:
        raise NotFoundError("There is no such device.")
    return found


def lock_device(session: Session, device_id: UUID) -> Device:
    """Return the device as it is now; nobody else writes it until this transaction ends."""
    if (held := find_held(session, Device, device_id)) is not None:
        return held
    session.flush()
    found = session.scalars(locked(select(Device).where(Device.id == device_id), Device)).first()
    if found is None:
        raise NotFoundError("There is no such device.")
    return found


def hold(session: Session, device_ids: Iterable[UUID]) -> None:
    """Lock these devices and all that is known of them until the transaction ends.

    So that nobody locks or reads them one by one, see `find_held`. Before any savepoint: going back
    to one would let go of what was locked after it.
    """
    wanted, held = list(dict.fromkeys(device_ids)), dict[tuple[type, UUID], object]()
    session.flush()
    for start in range(0, len(wanted), MOST):
        some = wanted[start : start + MOST]
        devices = locked(select(Device).where(Device.id.in_(some)).order_by(Device.id), Device)
        known = locked(
            select(DeviceFacts)
            .where(DeviceFacts.device_id.in_(some))
            .order_by(DeviceFacts.device_id),
            DeviceFacts,
        )
        judged = select(DeviceJudgement).where(DeviceJudgement.device_id.in_(some))
        held |= {(Device, one.id): one for one in session.scalars(devices)}
        held |= {(DeviceFacts, one.device_id): one for one in session.scalars(known)}
        # Who judges locks the facts first, so these are as they are now, too.
        held |= {(DeviceJudgement, one.device_id): one for one in session.scalars(judged)}
    session.info[_HELD] = session.get_transaction(), held


def find_held(session: Session, table: type[Row], device_id: UUID) -> Row | None:
    """Return the row if this transaction holds it, see `hold`."""
    transaction, held = session.info.get(_HELD, (None, {}))
    if transaction is not session.get_transaction():
        return None
    found: Row | None = held.get((table, device_id))
    return found


def find_all_held(
    session: Session, device_ids: Iterable[UUID]
) -> list[tuple[Device, DeviceFacts, DeviceJudgement]]:
    """Return what this transaction holds of these devices; nothing unless that is all of them."""
    found = []
    for one in device_ids:
        device, known = find_held(session, Device, one), find_held(session, DeviceFacts, one)
        judged = find_held(session, DeviceJudgement, one)
        if device is None or known is None or judged is None:
            return []
        found.append((device, known, judged))
    return found


def certificates_ending(session: Session, before: datetime) -> tuple[int, Device | None]:
    """Return how many enrolled devices have a certificate that ends before then, and the first."""
    ending = (Device.enrolment_state == EnrolmentState.ENROLLED) & (
        Device.certificate_until < before
    )
    first = select(Device).where(ending).order_by(Device.certificate_until, Device.id).limit(1)
    number = session.scalar(select(func.count()).select_from(Device).where(ending)) or 0
    return number, session.scalars(first).first()


def get_facts(session: Session, device_id: UUID) -> dict[FactKind, Fact]:
    """Return what is known of the device now; nothing said yet gives an empty answer."""
    row = session.get(DeviceFacts, device_id)
    return {} if row is None else read_facts(row.facts)


def list_log(
    session: Session,
    device_id: UUID,
    kind: FactKind | None = None,
    before_id: int | None = None,
    limit: int = PAGE,
) -> Sequence[models.Fact]:
    """Return what was said of the device, newest first, older than row *before_id*."""
    query = select(models.Fact).where(models.Fact.device_id == device_id)
    if kind is not None:
        query = query.where(models.Fact.kind == kind)
    if before_id is not None:
        query = query.where(models.Fact.id < before_id)
    return session.scalars(query.order_by(models.Fact.id.desc()).limit(min(limit, MOST))).all()
