"""Reads what was known of a device at any instant, from the log of facts alone."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.devices import models
from management.devices.models import Device
from management.devices.queries import get_device
from management.devices.rules import AGENT, LAST, Fact, FactKind, read_value


def replay_facts(session: Session, device_id: UUID, at: datetime) -> dict[FactKind, Fact]:
    """Return what was known of the device at a past instant.

    Of each kind that is, among the entries which had arrived, the one said last
    (`devices.rules.take_fact`). The log tells contact only where a silence began and ended. In
    between the device was heard at least as often as its policy asked, so it counts as heard at
    *at*, or at the end of that time.
    """
    known: dict[FactKind, Fact] = {}
    for kind in FactKind:
        if kind is not FactKind.CONTACT and (row := _said(session, device_id, kind, at)):
            known[kind] = read_value(row.value, row.source, row.said_at)
    if (contact := _contact_at(session, device_id, at)) is not None:
        known[FactKind.CONTACT] = contact
    return known


def rebuild_facts(session: Session, device: Device) -> dict[FactKind, Fact]:
    """Return the current facts from the log; equal to the stored row, see `DeviceFacts`."""
    end = datetime.max.replace(tzinfo=device.enrolled_at.tzinfo)
    known = replay_facts(session, device.id, end)
    if device.contact_at is not None:
        said = known.get(FactKind.CONTACT)
        source = said.source if said else AGENT
        known[FactKind.CONTACT] = Fact(True, source, device.contact_at)
    return known


def log_begins(device: Device) -> datetime:
    """Return from when on the past of the device can be told."""
    return max(device.enrolled_at, device.log_begins_at or device.enrolled_at)


def list_moments(session: Session, device_id: UUID, before: datetime, limit: int) -> list[datetime]:
    """Return when news of the device arrived, the latest first, up to *before*."""
    arrived = models.Fact.received_at
    return list(
        session.scalars(
            select(arrived)
            .where(models.Fact.device_id == device_id, arrived <= before)
            .group_by(arrived)
            .order_by(arrived.desc())
            .limit(limit)
        )
    )


def _said(session: Session, device_id: UUID, kind: FactKind, at: datetime) -> models.Fact | None:
    """Return the entry of *kind* that held at an instant."""
    return session.scalars(
        select(models.Fact)
        .where(
            models.Fact.device_id == device_id,
            models.Fact.kind == kind,
            models.Fact.received_at <= at,
        )
        .order_by(models.Fact.said_at.desc(), models.Fact.id.desc())
        .limit(1)
    ).first()


def _contact_at(session: Session, device_id: UUID, at: datetime) -> Fact | None:
    entry = _contact_entry(session, device_id, at, before=True)
    if entry is None:
        return None
    if entry.value["value"] == LAST:
        return Fact(True, entry.source, entry.said_at)
    following = _contact_entry(session, device_id, at, before=False)
    device = get_device(session, device_id)
    end = following.said_at if following is not None else device.contact_at or entry.said_at
    return Fact(True, entry.source, min(at, end))


def _contact_entry(
    session: Session, device_id: UUID, at: datetime, before: bool
) -> models.Fact | None:
    """Return the entry about contact next to an instant: its newest before, or the next after."""
    said = models.Fact.said_at
    return session.scalars(
        select(models.Fact)
        .where(
            models.Fact.device_id == device_id,
            models.Fact.kind == FactKind.CONTACT,
            said <= at if before else said > at,
        )
        .order_by(
            said.desc() if before else said, models.Fact.id.desc() if before else models.Fact.id
        )
        .limit(1)
    ).first()
