"""Begins and ends the freezes of consequences."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from management.consequences.models import Freeze, HeldDevice
from management.consequences.queries import count_waiting_for, find_freeze, get_freeze
from management.consequences.rules import SILENT_AFTER, Cause, time_to_return
from runtime.errors import RefusedError


def note_contact(
    session: Session, relay_id: UUID, name: str, before: datetime | None, now: datetime
) -> Freeze | None:
    """Note that a relay was reached, last time *before*; after a silence devices get time.

    Until they proved themselves again, or that time is over, nothing follows from their silence or
    from what they could not report as mended.
    """
    if before is None or now - before < SILENT_AFTER:
        return None
    row = find_freeze(session, relay_id, before)
    if row is None:
        row = Freeze(cause=Cause.RELAY_SILENCE.value, since=before, relay_id=relay_id)
        session.add(row)
    row.heard_after, row.until = now, now + time_to_return(now - before)
    row.because = (
        f"The communication server {name} was not reached from {before:%Y-%m-%d %H:%M} to "
        f"{now:%Y-%m-%d %H:%M} UTC."
    )
    session.flush()
    return row


def freeze_after_mass_change(session: Session, cut: int, limit: int, now: datetime) -> Freeze:
    """Stop consequences, because they would cut off too many devices within an hour."""
    row = Freeze(
        cause=Cause.MASS_CHANGE.value,
        because=(
            f"Within an hour consequences cut off {cut} devices, and more are due; "
            f"{limit} need nobody's word."
        ),
        since=now,
    )
    session.add(row)
    session.flush()
    return row


def release(session: Session, freeze_id: int, by: str, because: str, now: datetime) -> Freeze:
    """Let consequences act again, because a person looked; RefusedError when it is over."""
    if not because.strip():
        raise RefusedError("Say why it is safe; the reason goes into the audit trail.")
    row = get_freeze(session, freeze_id)
    return _released(session, row, by, because, now)


def release_outage(
    session: Session, relay_id: UUID, since: datetime, by: str, because: str, now: datetime
) -> Freeze:
    """Let consequences act although a relay is silent since *since*."""
    if not because.strip():
        raise RefusedError("Say why it is safe; the reason goes into the audit trail.")
    row = find_freeze(session, relay_id, since)
    if row is None:
        row = Freeze(
            cause=Cause.RELAY_SILENCE.value,
            because=f"A communication server is silent since {since:%Y-%m-%d %H:%M} UTC.",
            since=since,
            relay_id=relay_id,
        )
        session.add(row)
    return _released(session, row, by, because, now)


def _released(session: Session, row: Freeze, by: str, because: str, now: datetime) -> Freeze:
    if row.released_at is not None:
        raise RefusedError("Somebody released it already.")
    row.released_at, row.released_by, row.release_reason = now, by[:255], because.strip()[:1000]
    if row.cause == Cause.MASS_CHANGE:
        row.let_through = count_waiting_for(session, row)
    session.execute(
        update(HeldDevice)
        .where(HeldDevice.look_at > now)
        .values(look_at=now)
        .execution_options(synchronize_session=False)
    )
    session.flush()
    return row
