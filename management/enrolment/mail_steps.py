"""What becomes of the mails of one request, step by step, as its job does them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, Update, func, literal, select, update
from sqlalchemy.orm import Session

from management.database import locked
from management.enrolment.mail_counts import IN_ONE
from management.enrolment.mail_rules import GIVEN_UP_AFTER
from management.enrolment.mailing import MAIL
from management.enrolment.models import Invitation
from management.work.service import enqueue

_OF_A_SHIFT = ("shift", "began", "problem", "silent")
LOST = "The job that had to send it ended without doing so. Remind again."


def list_waiting(session: Session, request: UUID, before: datetime | None = None) -> Sequence[UUID]:
    """Return the invitations whose mail belongs to a request and has not gone out; with *before*
    without those that failed since and are to be tried later.
    """
    mine = select(Invitation.id).where(Invitation.mail_ask == request)
    if before is not None:
        mine = mine.where(Invitation.mail_next_at <= before)
    return session.scalars(mine.order_by(Invitation.id)).all()


def find_waiting(session: Session, request: UUID, invitation_id: UUID) -> Invitation | None:
    """Return the invitation if its mail still belongs to the request."""
    mine = (Invitation.id == invitation_id) & (Invitation.mail_ask == request)
    return session.scalars(select(Invitation).where(mine)).first()


def note_sent(session: Session, request: UUID, invitation_id: UUID, now: datetime) -> None:
    """Write down that the mail server took the mail."""
    row = _lock(session, invitation_id)
    row.mailed_at, row.mails = now, row.mails + 1
    row.mail_problem, row.mail_problem_at = "", None
    if row.mail_ask == request:
        row.mail_ask = row.mail_next_at = None


def note_failed(
    session: Session, invitation_ids: Sequence[UUID], why: str, next_at: datetime | None,
    now: datetime,
) -> None:  # fmt: skip
    """Write down why mails did not go out; *next_at* None: they are given up."""
    since = Invitation.mail_problem_at
    for start in range(0, len(invitation_ids), IN_ONE):
        mine = Invitation.id.in_(invitation_ids[start : start + IN_ONE])
        values: dict[str, Any] = {
            "mail_problem": why[:1000],
            "mail_problem_at": func.coalesce(since, literal(now, since.type)),
            "mail_next_at": next_at,
        }
        if next_at is None:
            values["mail_ask"] = None
        _change(session, update(Invitation).where(mine).values(values))


def drop(session: Session, request: UUID, invitation_id: UUID | None = None) -> int:
    """Let one mail of a request, or all that are left, not go out; return how many."""
    mine = Invitation.mail_ask == request
    if invitation_id is not None:
        mine &= Invitation.id == invitation_id
    return _change(session, update(Invitation).where(mine).values(mail_ask=None, mail_next_at=None))


def give_up_lost(session: Session, now: datetime) -> int:
    """Tell of mails whose job died with all its attempts; return how many."""
    lost = (Invitation.mail_ask.is_not(None)) & (Invitation.mail_next_at < now - GIVEN_UP_AFTER)
    ids = session.scalars(select(Invitation.id).where(lost)).all()
    note_failed(session, ids, LOST, None, now)
    return len(ids)


def try_again(session: Session, payload: dict[str, Any], failures: int, at: datetime) -> None:
    """Queue the next round of a request."""
    key = f"{MAIL}:{payload['ask']}:{failures}"
    kept = {name: said for name, said in payload.items() if name not in _OF_A_SHIFT}
    enqueue(session, MAIL, key, kept | {"failures": failures}, 4, at)


def go_on(session: Session, payload: dict[str, Any], began: datetime, told: dict[str, Any]) -> None:
    """Queue the job that goes on with the round that began then, and what it is told of it."""
    shift = int(payload.get("shift", 0)) + 1
    key = f"{MAIL}:{payload['ask']}:{payload['failures']}:{shift}"
    enqueue(session, MAIL, key, payload | told | {"shift": shift, "began": began.isoformat()}, 4)


def _lock(session: Session, invitation_id: UUID) -> Invitation:
    wanted = select(Invitation).where(Invitation.id == invitation_id)
    return session.scalars(locked(wanted, Invitation)).one()


def _change(session: Session, statement: Update) -> int:
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return int(result.rowcount)
