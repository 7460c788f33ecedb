"""Reads relays, the orders on their way, and what relays were caught at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from contracts.link import BATCH
from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.relays.models import (
    KnownDeviceChange,
    OutboundMessage,
    Relay,
    RelayIncident,
    RelayListing,
    TrustIssue,
)
from runtime.errors import NotFoundError

PAGE = 50
OLD_LIST = timedelta(minutes=15)
"""A relay in contact is told of a revocation within seconds."""


def get_relay(session: Session, relay_id: UUID) -> Relay:
    """Return the relay; NotFoundError when there is none with this id."""
    found = session.get(Relay, relay_id)
    if found is None:
        raise NotFoundError("There is no such communication server.")
    return found


def list_relays(session: Session) -> Sequence[Relay]:
    """Return all relays by name; there are few."""
    return session.scalars(select(Relay).order_by(Relay.name)).all()


def list_used(session: Session) -> Sequence[Relay]:
    """Return the relays that devices are sent to, by name."""
    return [relay for relay in list_relays(session) if relay.disabled_at is None]


def find_trust(session: Session) -> TrustIssue | None:
    """Return the newest trust statement; None before the first is signed."""
    return session.scalars(select(TrustIssue).order_by(TrustIssue.issue.desc()).limit(1)).first()


def list_incidents(
    session: Session,
    sender: UUID | None = None,
    relay_id: UUID | None = None,
    before_id: int | None = None,
    limit: int = PAGE,
    since: datetime | None = None,
) -> Sequence[RelayIncident]:
    """Return what an honest relay and network would not do, newest first."""
    query = select(RelayIncident).order_by(RelayIncident.id.desc()).limit(limit)
    if sender is not None:
        query = query.where(RelayIncident.sender == sender)
    if relay_id is not None:
        query = query.where(RelayIncident.relay_id == relay_id)
    if since is not None:
        query = query.where(RelayIncident.at >= since)
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


def list_listings(session: Session, relay_id: UUID, now: datetime) -> Sequence[RelayListing]:
    """Return the addresses and CAs of a relay that devices are told of now, the newest first."""
    return session.scalars(
        select(RelayListing)
        .where(
            RelayListing.relay_id == relay_id,
            or_(RelayListing.ends_at.is_(None), RelayListing.ends_at > now),
        )
        .order_by(RelayListing.id.desc())
    ).all()


@dataclass(frozen=True, slots=True)
class Waiting:
    """So many of something, the oldest since then."""

    count: int
    since: datetime


def list_behind(session: Session) -> dict[UUID, Waiting]:
    """Return for relays whose list of devices is behind: how many changes it lacks, since when."""
    found = session.execute(
        select(
            KnownDeviceChange.relay_id, func.count(), func.min(KnownDeviceChange.changed_at)
        ).group_by(KnownDeviceChange.relay_id)
    )
    return {relay_id: Waiting(count, since) for relay_id, count, since in found}


def list_age(relay: Relay, behind: Waiting | None, now: datetime) -> timedelta:
    """Return for how long the relay may let in a device that is revoked; Pure."""
    complete_at = relay.contact_at or relay.paired_at
    return now - min(complete_at, behind.since if behind else complete_at)


def is_list_old(relay: Relay, behind: Waiting | None, now: datetime) -> bool:
    """Tell whether somebody should look why a relay in use has no newer list of devices."""
    return relay.disabled_at is None and list_age(relay, behind, now) > OLD_LIST


@dataclass(frozen=True, slots=True)
class Standing:
    """A relay, what its list of devices lacks, and which of its devices are silent."""

    relay: Relay
    behind: Waiting | None
    silent: Waiting | None
    is_list_old: bool


def list_standing(session: Session, digest: timedelta, now: datetime) -> Sequence[Standing]:
    """Return how each relay stands, by name."""
    behind, silent = list_behind(session), list_silent(session, digest, now)
    return [
        Standing(relay, lacks, silent.get(relay.id), is_list_old(relay, lacks, now))
        for relay in list_relays(session)
        for lacks in (behind.get(relay.id),)
    ]


def list_silent(session: Session, digest: timedelta, now: datetime) -> dict[UUID, Waiting]:
    """Return for relays how many of their devices sent nothing signed for two digests' time."""
    found = session.execute(
        select(Device.relay_id, func.count(), func.min(Device.contact_at))
        .where(
            Device.relay_id.is_not(None),
            Device.enrolment_state == EnrolmentState.ENROLLED,
            Device.contact_at <= now - 2 * digest,
        )
        .group_by(Device.relay_id)
    )
    return {id_: Waiting(count, since) for id_, count, since in found if id_ and since}
