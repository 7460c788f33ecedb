"""Pauses and resumes enforcement, watches the clock, stores the console's settings."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.database import locked
from management.safety.models import Enforcement, Setting
from management.safety.rules import freeze_reason
from management.signer_client import SignerClient
from management.work.service import enqueue
from runtime.errors import SekishoError, TooLargeError

DISPATCH = "commands.dispatch"
"""Work that sends what waited for the pause to end (`handlers`)."""
CLOCK = "clock watch"
"""Who paused, when the clock jumped."""


def pause(session: Session, by: str, because: str, now: datetime) -> Enforcement:
    """Pause all enforcement; the first reason stays when it is paused already."""
    row = _locked_row(session)
    if row.paused_at is None:
        row.paused_at, row.paused_by, row.paused_because = now, by[:255], because[:1000]
        session.flush()
    return row


def resume(session: Session, by: str, now: datetime) -> Enforcement:
    """Let enforcement act again, and take the clock as it is now as right.

    *by* is for the audit entry that the caller writes.
    """
    row = _locked_row(session)
    row.paused_at, row.paused_by, row.paused_because = None, "", ""
    row.clock_seen_at = now
    enqueue(session, DISPATCH, f"{DISPATCH}:resumed:{now.isoformat()}", now=now)
    session.flush()
    return row


def tell_signer(signer: SignerClient, because: str) -> str:
    """Pause the signer too, or resume it when *because* is empty; after the commit.

    Returns why it was not told, or nothing. One that runs under its own user resumes only for
    whoever runs the machine.
    """
    try:
        if because:
            signer.pause(because)
        else:
            signer.resume()
    except SekishoError as error:
        return str(error)
    return ""


def note_clock(session: Session, now: datetime, jumped: str | None = None) -> str | None:
    """Remember the clock; pause enforcement if it *jumped* or is behind what was seen before.

    Returns why it was paused, or None. Only the first look at a clock that went back freezes; the
    following ones go on from there.
    """
    row = _locked_row(session)
    seen, row.clock_seen_at = row.clock_seen_at, now
    because = jumped or (freeze_reason(now - seen) if seen is not None and seen > now else None)
    if because is not None:
        pause(session, CLOCK, because, now)
    return because


def write_setting(session: Session, name: str, value: str, by: str, now: datetime) -> None:
    """Store *value* under *name*; TooLargeError above 4000 characters."""
    if len(value) > 4000:
        raise TooLargeError(f"The setting {name} is longer than 4000 characters.")
    row = session.get(Setting, name)
    if row is None:
        session.add(Setting(name=name, value=value, changed_at=now, changed_by=by[:255]))
    else:
        row.value, row.changed_at, row.changed_by = value, now, by[:255]
    session.flush()


def _locked_row(session: Session) -> Enforcement:
    wanted = select(Enforcement).where(Enforcement.id == 1)
    row = session.scalars(locked(wanted, Enforcement)).first()
    if row is None:
        row = Enforcement(id=1, paused_by="", paused_because="")
        session.add(row)
        session.flush()
    return row
