"""Reads devices, what is known of them, and the log of who said so."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.database import locked
from management.devices import models
from management.devices.models import Device, DeviceFacts
from management.devices.rules import Fact, FactKind, read_facts
from runtime.errors import NotFoundError

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
    session.flush()
    found = session.scalars(locked(select(Device).where(Device.id == device_id), Device)).first()
    if found is None:
        raise NotFoundError("There is no such device.")
    return found


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
