"""Reads enrolment keys (invitations are those of one person) and attempts to enrol."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from management.database import locked
from management.devices.models import Device
from management.enrolment.models import INVITATIONS, EnrolmentAttempt, Invitation
from management.enrolment.rules import InvitationState, invitation_state, key_hash
from management.search.queries import find_way
from management.search.registry import Searched
from runtime.errors import NotFoundError

PAGE = 50


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page of invitations or attempts ended."""

    at: datetime
    id: UUID


def get_invitation(session: Session, invitation_id: UUID) -> Invitation:
    """Return the invitation; NotFoundError when there is none with this id."""
    found = session.get(Invitation, invitation_id)
    if found is None:
        raise NotFoundError("There is no such invitation.")
    return found


def find_by_key(session: Session, key: str) -> Invitation | None:
    """Return the invitation that a typed enrolment key belongs to, locked until the commit."""
    wanted = select(Invitation).where(Invitation.key_hash == key_hash(key))
    return session.scalars(locked(wanted, Invitation)).first()


def state_of(invitation: Invitation, now: datetime) -> InvitationState:
    """Return how the invitation stands."""
    return invitation_state(invitation.expires_at, invitation.used_at, invitation.cancelled_at, now)


def list_invitations(
    session: Session,
    now: datetime,
    state: InvitationState | None = None,
    text: str = "",
    after: Cursor | None = None,
    limit: int = PAGE,
) -> Sequence[Invitation]:
    """Return invitations, newest first, those behind *after*."""
    query = select(Invitation).order_by(Invitation.created_at.desc(), Invitation.id.desc())
    if state is not None:
        query = query.where(_is(state, now))
    if after is not None:
        query = query.where(
            Invitation.created_at <= after.at,
            or_(Invitation.created_at < after.at, Invitation.id < after.id),
        )
    query = query.limit(limit)
    found = newest(session, query, INVITATIONS, text, lambda one: (one[0].created_at, one[0].id))
    return [one for (one,) in found[:limit]]


def newest(
    session: Session,
    query: Select[*tuple[Any, ...]],
    searched: Searched,
    text: str,
    place: Callable[[Any], tuple[datetime, UUID]],
) -> Sequence[Any]:
    """Return the rows of *query*, newest first, that have the words of *text*.

    *query* has an order and an end; *place* says by what it is ordered. There may be more rows than
    it asks for at most, as rows that few words lead to are read in pieces. Words that many have
    are looked up row by row in the order of *query*, so that its filters and limits count first.
    """
    way = find_way(session, searched, text)
    if way is None:
        return session.execute(query).all()
    found = [row for some in way.conditions() for row in session.execute(query.where(*some))]
    return sorted(found, key=place, reverse=True)


def count_invitations(session: Session, now: datetime) -> dict[InvitationState, int]:
    """Return how many invitations are in each state."""
    return {
        state: session.scalar(select(func.count()).select_from(Invitation).where(_is(state, now)))
        or 0
        for state in InvitationState
    }


def list_attempts(
    session: Session,
    invitation_id: UUID | None = None,
    refused: bool | None = None,
    after: Cursor | None = None,
    limit: int = PAGE,
) -> Sequence[EnrolmentAttempt]:
    """Return attempts to enrol, newest first; each refused one with its reason."""
    attempt = EnrolmentAttempt
    query = select(attempt).order_by(attempt.at.desc(), attempt.enrolment_id.desc())
    if invitation_id is not None:
        query = query.where(attempt.invitation_id == invitation_id)
    if refused is not None:
        query = query.where((attempt.refused_because != "") == refused)
    if after is not None:
        query = query.where(
            attempt.at <= after.at,
            or_(attempt.at < after.at, attempt.enrolment_id < after.id),
        )
    return session.scalars(query.limit(limit)).all()


def refused_before(session: Session, before: datetime, limit: int = 500) -> Sequence[UUID]:
    """Return the ids of some enrolments older than *before* that came to nothing."""
    attempt = EnrolmentAttempt
    return session.scalars(
        select(attempt.enrolment_id)
        .where(attempt.at < before, attempt.device_id.is_(None))
        .order_by(attempt.at)
        .limit(limit)
    ).all()


def find_device_by_key(session: Session, thumbprint: str) -> Device | None:
    """Return the device whose signing key this is, locked until the commit.

    One that it had before a renewal opens nothing: whoever still has it is not this device.
    """
    wanted = select(Device).where(Device.key_thumbprint == thumbprint).limit(1)
    return session.scalars(locked(wanted, Device)).first()


def was_let_in(session: Session, invitation_id: UUID, thumbprint: str) -> bool:
    """Return whether the device with this signing key enrolled by this enrolment key before."""
    attempt = EnrolmentAttempt
    wanted = select(attempt.enrolment_id).where(
        attempt.signing_key_thumbprint == thumbprint,
        attempt.invitation_id == invitation_id,
        attempt.device_id.is_not(None),
    )
    return session.scalars(wanted.limit(1)).first() is not None


def enrolment_ids(session: Session, device_id: UUID) -> Sequence[UUID]:
    """Return the enrolments of a device, whose answers it has when it acknowledges an order."""
    return session.scalars(
        select(EnrolmentAttempt.enrolment_id).where(EnrolmentAttempt.device_id == device_id)
    ).all()


def _is(state: InvitationState, now: datetime) -> ColumnElement[bool]:
    used, cancelled = Invitation.used_at.is_not(None), Invitation.cancelled_at.is_not(None)
    if state is InvitationState.USED:
        return used
    if state is InvitationState.CANCELLED:
        return ~used & cancelled
    over = Invitation.expires_at <= now
    return ~used & ~cancelled & (over if state is InvitationState.EXPIRED else ~over)
