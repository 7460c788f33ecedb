"""Reads relays, the orders on their way, and what relays were caught at."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts.link import BATCH
from management.devices.models import Device
from management.relays.models import (
    KnownDeviceChange,
    OutboundMessage,
    Relay,
    RelayIncident,
    TrustIssue,
)
from runtime.errors import NotFoundError

PAGE = 50


def get_relay(session: Session, relay_id: UUID) -> Relay:
    """Return the relay; NotFoundError when there is none with this id."""
    found = session.get(Relay, relay_id)
    if found is None:
        raise NotFoundError("There is no such communication server.")
    return found


def list_relays(session: Session) -> Sequence[Relay]:
    """Return all relays by name; there are few."""
    return session.scalars(select(Relay).order_by(Relay.name)).all()


def find_trust(session: Session) -> TrustIssue | None:
    """Return the newest trust statement; None before the first is signed."""
    return session.scalars(select(TrustIssue).order_by(TrustIssue.issue.desc()).limit(1)).first()


def list_incidents(
    session: Session,
    sender: UUID | None = None,
    relay_id: UUID | None = None,
    before_id: int | None = None,
    limit: int = PAGE,
) -> Sequence[RelayIncident]:
    """Return what an honest relay and network would not do, newest first."""
    query = select(RelayIncident).order_by(RelayIncident.id.desc()).limit(limit)
    if sender is not None:
        query = query.where(RelayIncident.sender == sender)
    if relay_id is not None:
        query = query.where(RelayIncident.relay_id == relay_id)
    if before_id is not None:
        query = query.where(RelayIncident.id < before_id)
    return session.scalars(query).all()


def count_incidents(session: Session, since: datetime) -> int:
    """Return how many different incidents there were since an instant."""
    found = select(func.count()).select_from(RelayIncident).where(RelayIncident.at >= since)
    return session.scalar(found) or 0


def to_hand(session: Session, relay_id: UUID, limit: int = BATCH) -> Sequence[OutboundMessage]:
    """Return the oldest orders that this relay must get."""
    return session.scalars(
        select(OutboundMessage)
        .where(
            OutboundMessage.handed_at.is_(None),
            OutboundMessage.acknowledged_at.is_(None),
            OutboundMessage.relay_id == relay_id,
        )
        .order_by(OutboundMessage.written_at, OutboundMessage.recipient, OutboundMessage.seq)
        .limit(limit)
    ).all()


def to_discard(session: Session, relay_id: UUID, limit: int = BATCH) -> Sequence[OutboundMessage]:
    """Return acknowledged orders that this relay may forget."""
    return session.scalars(
        select(OutboundMessage)
        .where(OutboundMessage.acknowledged_at.is_not(None), OutboundMessage.relay_id == relay_id)
        .limit(limit)
    ).all()


def known_changes(
    session: Session, relay_id: UUID, limit: int = BATCH
) -> Sequence[tuple[KnownDeviceChange, Device]]:
    """Return the devices whose entry in this relay's list must be sent, oldest change first."""
    found = (
        select(KnownDeviceChange, Device)
        .join(Device, Device.id == KnownDeviceChange.device_id)
        .where(KnownDeviceChange.relay_id == relay_id)
        .order_by(KnownDeviceChange.changed_at)
        .limit(limit)
    )
    return [(change, device) for change, device in session.execute(found)]


def list_orders(session: Session, recipient: UUID) -> Sequence[OutboundMessage]:
    """Return the orders to a device that it has not acknowledged, oldest first."""
    return session.scalars(
        select(OutboundMessage)
        .where(OutboundMessage.recipient == recipient, OutboundMessage.acknowledged_at.is_(None))
        .order_by(OutboundMessage.epoch, OutboundMessage.seq)
    ).all()
