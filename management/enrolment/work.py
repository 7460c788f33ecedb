"""Background work on enrolments."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from management.allow_list.enrolled import look
from management.context import Context
from management.enrolment import unlisted
from management.enrolment.mail_steps import give_up_lost
from management.enrolment.service import forget_refused
from management.enrolment_users.service import forget_tries
from management.handlers import Progress
from management.progress import said as _l
from runtime.clock import utc_now

REFUSED_KEPT = timedelta(days=30)


def forget(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Forget old enrolments that came to nothing, and old wrong passwords: anybody makes them."""
    with context.database.transaction("forget wrong passwords") as session:
        forget_tries(session, utc_now())
    with context.database.transaction("give lost mails up") as session:
        give_up_lost(session, utc_now())
    while True:
        with context.database.transaction("forget refused enrolments") as session:
            forgotten = forget_refused(session, utc_now() - REFUSED_KEPT)
        if not forgotten:
            return


def count_unlisted(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Count the enrolled devices that are not on the allow-list."""
    after: UUID | None = UUID(int=0)
    devices = found = 0
    while after is not None:
        with context.database.reading() as session:
            page = look(session, after, unlisted.outside_of(payload["for"]))
        after, devices, found = page.after, devices + page.devices, found + len(page.unlisted)
        progress(_l("%(done)s devices are compared with the list.", done=devices))
    with context.database.transaction("note who is not on the list") as session:
        unlisted.note_count(session, payload, devices, found, utc_now())


def apply_list(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Apply the allow-list to enrolled devices, to no more than were confirmed."""
    after: UUID | None = UUID(int=0)
    done = 0
    while after is not None:
        with context.database.transaction("apply the allow-list") as session:
            after, reached = unlisted.apply_some(session, after, payload, utc_now())
        done += reached
        progress(_l("The list is applied to %(done)s devices.", done=done))


def apply_cancelled(session: Session, payload: dict[str, Any], by: str, now: datetime) -> None:
    """Apply a cancelled list to no more devices."""
    unlisted.forget_confirmation(session)
