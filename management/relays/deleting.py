"""Forgets a relay for good, after a look at what hangs on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, literal, or_, select, update
from sqlalchemy.orm import Session

from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.relays.models import (
    KnownDeviceChange,
    OutboundMessage,
    Relay,
    RelayIncident,
    RelayListing,
    RelayLog,
)
from management.relays.queries import get_relay, list_used
from runtime.errors import RefusedError

GONE = timedelta(days=1)
"""A relay that is not reached for so long may be deleted without being disabled first."""
NAMED = 50
MOST_DETAIL = 890
"""Of an incident, so that the name of its relay fits before it."""


@dataclass(frozen=True, slots=True)
class Hanging:
    """What is lost or must move when a relay is deleted."""

    devices: int
    """Those last heard through it."""
    lonely: int
    """Those of them that were not heard since another relay was listed: they know no other."""
    named: Sequence[Device]
    """The first of the lonely ones, by name."""
    reports: int
    """What the relay said at the last visit to hold for us."""
    orders: int
    """What devices have not confirmed; the other relays get it."""
    refusal: str
    """Why it may not be deleted now; empty: it may."""


def look(session: Session, relay_id: UUID, now: datetime) -> Hanging:
    """Return what hangs on the relay; NotFoundError when there is none."""
    relay = get_relay(session, relay_id)
    here = (Device.relay_id == relay_id, Device.enrolment_state == EnrolmentState.ENROLLED)
    lonely = (*here, _knows_no_other(_others_listed_at(session, relay_id, now)))
    waiting = (OutboundMessage.relay_id == relay_id, OutboundMessage.acknowledged_at.is_(None))
    return Hanging(
        devices=_count(session, Device, here),
        lonely=_count(session, Device, lonely),
        named=session.scalars(
            select(Device).where(*lonely).order_by(Device.name, Device.id).limit(NAMED)
        ).all(),
        reports=relay.inbound_waiting,
        orders=_count(session, OutboundMessage, waiting),
        refusal=_refusal(session, relay, now),
    )


def _others_listed_at(session: Session, relay_id: UUID, now: datetime) -> datetime | None:
    """Return since when devices are told of another relay that is still in use."""
    return session.scalar(
        select(func.min(RelayListing.since)).where(
            RelayListing.relay_id != relay_id,
            or_(RelayListing.ends_at.is_(None), RelayListing.ends_at > now),
        )
    )


def _knows_no_other(since: datetime | None) -> ColumnElement[bool]:
    if since is None:
        return Device.id.is_not(None)
    return or_(Device.contact_at.is_(None), Device.contact_at < since)


def _count(session: Session, table: type[Any], which: Sequence[ColumnElement[bool]]) -> int:
    return session.scalar(select(func.count()).select_from(table).where(*which)) or 0


def _refusal(session: Session, relay: Relay, now: datetime) -> str:
    if relay.disabled_at is not None:
        return ""
    if relay.problem_at is None or now - relay.problem_at < GONE:
        return "Disable the relay first: then its devices learn of the others while it still works."
    if all(one.id == relay.id for one in list_used(session)):
        return (
            "This is the only relay that is in use: no device could be reached any more. Pair "
            "another one first."
        )
    return ""


def delete_relay(
    session: Session, relay_id: UUID, typed: str, now: datetime
) -> tuple[str, Hanging]:
    """Forget the relay: its keys, what devices are told of it, its log. Return its name.

    What devices have not confirmed goes to another relay, and its devices speak through whichever
    they reach. RefusedError when it is in use or *typed* is not its name.
    """
    relay, hanging = get_relay(session, relay_id), look(session, relay_id, now)
    if hanging.refusal:
        raise RefusedError(hanging.refusal)
    if typed.strip() != relay.name:
        raise RefusedError("Type the name of the relay exactly as it stands here.")
    name = relay.name
    _move_orders(session, relay_id)
    _keep_incidents(session, relay)
    for table in (RelayListing, RelayLog, KnownDeviceChange):
        _run(session, delete(table).where(table.relay_id == relay_id))
    _run(session, update(Device).where(Device.relay_id == relay_id).values(relay_id=None))
    session.delete(relay)
    session.flush()
    return name, hanging


def _move_orders(session: Session, relay_id: UUID) -> None:
    here = OutboundMessage.relay_id == relay_id
    _run(session, delete(OutboundMessage).where(here, OutboundMessage.acknowledged_at.is_not(None)))
    other = next((one.id for one in list_used(session) if one.id != relay_id), None)
    _run(session, update(OutboundMessage).where(here).values(relay_id=other, handed_at=None))


def _keep_incidents(session: Session, relay: Relay) -> None:
    """What a relay was caught at outlives it, under its name."""
    shortened = func.substring(RelayIncident.detail, 1, MOST_DETAIL)
    told = literal(f"{relay.name}: ").concat(shortened)
    here = RelayIncident.relay_id == relay.id
    _run(session, update(RelayIncident).where(here).values(relay_id=None, detail=told))


def _run(session: Session, change: Any) -> None:
    session.execute(change.execution_options(synchronize_session=False))
