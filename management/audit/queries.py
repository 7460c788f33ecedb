"""Reads the audit trail."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.audit.models import AuditEntry

TRAIL_LOCK = 7_305_641_830_112
"""Names our advisory lock on PostgreSQL."""


def lock_trail(session: Session) -> AuditEntry | None:
    """Return the last entry, and keep others from appending until this transaction ends.

    SQLite writers are alone anyway (BEGIN IMMEDIATE). PostgreSQL re-reads after an advisory lock:
    locking the last row would return a row that is no longer the last. SQL Server locks the range.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(TRAIL_LOCK)))
    end = (
        select(AuditEntry)
        .order_by(AuditEntry.seq.desc())
        .limit(1)
        .with_hint(AuditEntry, "WITH (UPDLOCK, HOLDLOCK)", "mssql")
    )
    return session.scalars(end).first()


def list_following(session: Session, seq: int, limit: int = 500) -> list[AuditEntry]:
    """Return the entries after *seq*, oldest first."""
    wanted = select(AuditEntry).where(AuditEntry.seq > seq).order_by(AuditEntry.seq).limit(limit)
    return list(session.scalars(wanted))


def list_entries(
    session: Session,
    before_seq: int | None = None,
    limit: int = 100,
    actor: str = "",
    action: str = "",
    subject: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[AuditEntry]:
    """Return entries, newest first, older than *before_seq*; empty filters match everything.

    *action* may be a prefix that ends in a dot (``device.``).
    """
    wanted = select(AuditEntry).order_by(AuditEntry.seq.desc()).limit(limit)
    if before_seq is not None:
        wanted = wanted.where(AuditEntry.seq < before_seq)
    if actor:
        wanted = wanted.where(AuditEntry.actor == actor)
    if action.endswith("."):
        wanted = wanted.where(AuditEntry.action.startswith(action, autoescape=True))
    elif action:
        wanted = wanted.where(AuditEntry.action == action)
    if subject:
        wanted = wanted.where(AuditEntry.subject == subject)
    if since is not None:
        wanted = wanted.where(AuditEntry.at >= since)
    if until is not None:
        wanted = wanted.where(AuditEntry.at < until)
    return list(session.scalars(wanted))
