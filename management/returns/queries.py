"""Reads claims of identity."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, aliased

from management.commands.models import Command
from management.commands.queries import list_open
from management.commands.rules import DESTRUCTIVE
from management.devices.models import Device
from management.returns.models import IdentityClaim
from runtime.errors import NotFoundError

MOST_EARLIER = 20


@dataclass(frozen=True, slots=True)
class ShownClaim:
    """A claim with both of its records."""

    claim: IdentityClaim
    device: Device
    earlier: Device


def get_claim(session: Session, claim_id: UUID) -> IdentityClaim:
    """Return the claim; NotFoundError when there is none with this id."""
    found = session.get(IdentityClaim, claim_id)
    if found is None:
        raise NotFoundError("There is no such claim.")
    return found


def list_claims(
    session: Session, decision: str | None = None, device_id: UUID | None = None, limit: int = 200
) -> list[ShownClaim]:
    """Return claims, newest first: undecided (""), decided, or all of one device."""
    earlier = aliased(Device)
    query = (
        select(IdentityClaim, Device, earlier)
        .join(Device, Device.id == IdentityClaim.device_id)
        .join(earlier, earlier.id == IdentityClaim.earlier_id)
    )
    if decision is not None:
        query = query.where(IdentityClaim.decision == decision)
    if device_id is not None:
        both = (IdentityClaim.device_id == device_id, IdentityClaim.earlier_id == device_id)
        query = query.where(or_(*both))
    query = query.order_by(IdentityClaim.made_at.desc(), IdentityClaim.id).limit(limit)
    return [ShownClaim(*row) for row in session.execute(query)]


def count_undecided(session: Session) -> int:
    """Return how many claims wait for a decision."""
    query = select(func.count()).where(IdentityClaim.decision == "")
    return session.scalar(query) or 0


def list_earlier(session: Session, device: Device) -> Sequence[Device]:
    """Return earlier records with the device's serial number or IMEI, newest first."""
    named = [
        column == value
        for column, value in ((Device.serial, device.serial), (Device.imei, device.imei))
        if value
    ]
    if not named:
        return []
    query = select(Device).where(or_(*named), Device.id != device.id)
    return session.scalars(query.order_by(Device.enrolled_at.desc()).limit(MOST_EARLIER)).all()


def open_wipes(session: Session, device_id: UUID) -> list[Command]:
    """Return the wipes of a device that nobody finished or took back."""
    return [one for one in list_open(session, device_id) if one.kind in DESTRUCTIVE]
