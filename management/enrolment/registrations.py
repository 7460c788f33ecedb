"""Reads who is registered, who is awaited, and whose enrolment failed with which reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from management.devices.models import Device
from management.enrolment.models import ATTEMPTS, INVITATIONS, EnrolmentAttempt, Invitation
from management.enrolment.queries import PAGE, Cursor, newest
from management.enrolment.rules import ClientState, client_state
from management.groups.models import UNAUTHORIZED_GROUP
from management.listing.models import DeviceListing
from management.listing.plan import make_plan
from management.listing.rules import DeviceFilter


@dataclass(frozen=True, slots=True)
class Registration:
    """One line of the list; what does not apply to it is None or empty."""

    id: UUID
    """Of the device, the invitation or the attempt."""
    at: datetime
    """Registered, invited, or failed."""
    address: str
    person: str
    invited_at: datetime | None = None
    device_id: UUID | None = None
    device: str = ""
    state: ClientState | None = None
    reason: str = ""
    invitation_id: UUID | None = None
    mailed_at: datetime | None = None
    """When the newest mail of the invitation went out."""
    mails: int = 0
    """How many went out."""
    mail_next_at: datetime | None = None
    """A mail is on its way: when it is tried (again)."""
    mail_problem: str = ""
    """Why the last attempt failed."""
    mail_problem_at: datetime | None = None
    """Since when every attempt failed."""


def list_registered(
    session: Session, text: str = "", after: Cursor | None = None, limit: int = PAGE
) -> Sequence[Registration]:
    """Return devices that enrolled, the newest first, also those that left since.

    *text* is searched as in the list of devices; see `is_cut`.
    """
    query = select(Device).order_by(Device.enrolled_at.desc(), Device.id.desc()).limit(limit)
    if after is not None:
        query = query.where(_behind(after, Device.enrolled_at, Device.id))
    devices = _searched(session, query, text, limit)
    invited = _invitations(session, [device.id for device in devices])
    return [_registered(device, invited.get(device.id)) for device in devices]


def is_cut(session: Session, which: str, text: str) -> bool:
    """Tell whether so many have the words that only the first found are listed."""
    return which == "registered" and make_plan(session, DeviceFilter(text=text), bounded=True).cut


def _searched(session: Session, query: Select[Device], text: str, limit: int) -> Sequence[Device]:
    if not text.strip():
        return session.scalars(query).all()
    plan = make_plan(session, DeviceFilter(text=text), bounded=True)
    query = query.join(DeviceListing, DeviceListing.device_id == Device.id)
    found = [device for way in plan.ways() for device in session.scalars(query.where(*way))]
    return sorted(found, key=lambda one: (one.enrolled_at, one.id), reverse=True)[:limit]


def list_awaited(
    session: Session, text: str = "", after: Cursor | None = None, limit: int = PAGE
) -> Sequence[Registration]:
    """Return invitations of persons that no device used, the newest first."""
    row = Invitation
    query = select(row).where(row.address != "", row.devices == 0, row.cancelled_at.is_(None))
    if after is not None:
        query = query.where(_behind(after, row.created_at, row.id))
    query = query.order_by(row.created_at.desc(), row.id.desc()).limit(limit)
    found = newest(session, query, INVITATIONS, text, lambda one: (one[0].created_at, one[0].id))
    return [
        Registration(
            id=one.id,
            at=one.created_at,
            address=one.address,
            person=one.person,
            invited_at=one.created_at,
            invitation_id=one.id,
            **_mail(one),
        )
        for (one,) in found[:limit]
    ]


def list_failed(
    session: Session, text: str = "", after: Cursor | None = None, limit: int = PAGE
) -> Sequence[Registration]:
    """Return refused enrolments with their reason, the newest first."""
    one, key = EnrolmentAttempt, Invitation
    query = select(one, key).outerjoin(key, key.id == one.invitation_id)
    query = query.where(one.refused_because != "")
    if after is not None:
        query = query.where(_behind(after, one.at, one.enrolment_id))
    query = query.order_by(one.at.desc(), one.enrolment_id.desc()).limit(limit)
    found = newest(session, query, ATTEMPTS, text, lambda row: (row[0].at, row[0].enrolment_id))
    return [
        Registration(
            id=attempt.enrolment_id,
            at=attempt.at,
            address=invitation.address if invitation else "",
            person=invitation.person if invitation else "",
            invited_at=invitation.created_at if invitation else None,
            device=attempt.described,
            reason=attempt.refused_because,
            invitation_id=attempt.invitation_id,
            **_mail(invitation),
        )
        for attempt, invitation in found[:limit]
    ]


LISTS = {"registered": list_registered, "awaited": list_awaited, "failed": list_failed}


def _registered(device: Device, invitation: Invitation | None) -> Registration:
    return Registration(
        id=device.id,
        at=device.enrolled_at,
        address=device.owner_address,
        person=device.owner_name,
        invited_at=invitation.created_at if invitation and invitation.address else None,
        device_id=device.id,
        device=device.name,
        state=client_state(device.enrolment_state, device.group_id == UNAUTHORIZED_GROUP),
        invitation_id=invitation.id if invitation else None,
        **_mail(invitation),
    )


def _mail(invitation: Invitation | None) -> dict[str, Any]:
    if invitation is None:
        return {}
    names = ("mailed_at", "mails", "mail_next_at", "mail_problem", "mail_problem_at")
    return {name: getattr(invitation, name) for name in names}


def _invitations(session: Session, device_ids: Sequence[UUID]) -> dict[UUID, Invitation]:
    """Return by which key each device enrolled last."""
    attempt = EnrolmentAttempt
    newest = (
        select(attempt.device_id, func.max(attempt.at).label("at"))
        .where(attempt.device_id.in_(device_ids))
        .group_by(attempt.device_id)
        .subquery()
    )
    rows = session.execute(
        select(attempt.device_id, Invitation)
        .join(Invitation, Invitation.id == attempt.invitation_id)
        .join(newest, and_(newest.c.device_id == attempt.device_id, newest.c.at == attempt.at))
    )
    return {device_id: invitation for device_id, invitation in rows if device_id is not None}


def _behind(
    after: Cursor, at: InstrumentedAttribute[datetime], row_id: InstrumentedAttribute[UUID]
) -> ColumnElement[bool]:
    return and_(at <= after.at, or_(at < after.at, row_id < after.id))
