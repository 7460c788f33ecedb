"""Notices relays that hold messages back: they say a device polls, and nothing comes of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.devices.models import Device, DevicePoll
from management.devices.rules import EnrolmentState
from management.relays.models import OutboundMessage, RelayIncident
from management.relays.service import ORDER, record_incident

WITHHELD = "withheld"


def note_withheld(session: Session, digest: timedelta, now: datetime) -> int:
    """Note each such device once for each silence; return how many are new.

    A device acknowledges with its next report, at the latest with its digest. So an order that lay
    with the relay for two digest times while the device is said to poll, or a device that is said
    to poll and sent no digest for as long, means that something is held back (or that the agent is
    broken, which deserves a look too).
    """
    found = {
        device.id: (device, since, f"Orders since {since:%Y-%m-%d %H:%M} UTC are not confirmed")
        for device, since in _unconfirmed(session, digest, now)
    }
    for device, since in _without_digest(session, digest, now):
        words = f"No signed report since {since:%Y-%m-%d %H:%M} UTC"
        found.setdefault(device.id, (device, since, words))
    return sum(_note(session, *one, now) for one in found.values())


def _unconfirmed(
    session: Session, digest: timedelta, now: datetime
) -> Sequence[tuple[Device, datetime]]:
    """Return devices with the time of their oldest order that lies unconfirmed."""
    oldest = (
        select(
            OutboundMessage.recipient.label("device_id"),
            func.min(OutboundMessage.handed_at).label("since"),
        )
        .where(
            OutboundMessage.handed_at <= now - 2 * digest,
            OutboundMessage.acknowledged_at.is_(None),
            OutboundMessage.kind == ORDER,
        )
        .group_by(OutboundMessage.recipient)
        .subquery()
    )
    found = (
        select(Device, oldest.c.since)
        .join(oldest, oldest.c.device_id == Device.id)
        .join(DevicePoll, DevicePoll.device_id == Device.id)
        .where(
            Device.enrolment_state == EnrolmentState.ENROLLED,
            DevicePoll.polled_at > now - digest,
        )
    )
    return [(device, since) for device, since in session.execute(found)]


def _without_digest(
    session: Session, digest: timedelta, now: datetime
) -> Sequence[tuple[Device, datetime]]:
    """Return devices that polled lately, as a relay says, and were not heard for long."""
    found = session.scalars(
        select(Device)
        .join(DevicePoll, DevicePoll.device_id == Device.id)
        .where(
            Device.contact_at <= now - 2 * digest,
            DevicePoll.polled_at > now - digest,
            Device.enrolment_state == EnrolmentState.ENROLLED,
        )
    )
    return [(device, device.contact_at) for device in found if device.contact_at is not None]


def _note(session: Session, device: Device, since: datetime, words: str, now: datetime) -> bool:
    noted = session.scalars(
        select(RelayIncident.id)
        .where(
            RelayIncident.sender == device.id,
            RelayIncident.problem == WITHHELD,
            RelayIncident.at >= since,
        )
        .limit(1)
    ).first()
    if noted is not None:
        return False
    detail = f"{words}, although the communication server says that the device polls."
    record_incident(session, WITHHELD, detail, now, relay_id=device.relay_id, sender=device.id)
    return True
