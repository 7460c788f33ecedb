"""Reads the audit trail."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from management.audit.models import AuditEntry, Checkpoint
from management.audit.rules import Looked

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


def first_entry(session: Session) -> AuditEntry | None:
    """Return the oldest entry that is kept."""
    return session.scalars(select(AuditEntry).order_by(AuditEntry.seq).limit(1)).first()


def last_entry(session: Session) -> AuditEntry | None:
    """Return the newest entry."""
    return session.scalars(select(AuditEntry).order_by(AuditEntry.seq.desc()).limit(1)).first()


def last_purge(session: Session, action: str) -> AuditEntry | None:
    """Return the entry that says what was forgotten last."""
    wanted = select(AuditEntry).where(AuditEntry.action == action)
    return session.scalars(wanted.order_by(AuditEntry.seq.desc()).limit(1)).first()


def last_before(session: Session, moment: datetime, most: int) -> AuditEntry | None:
    """Return the last of the oldest entries that were all made before *moment*, *most* at once."""
    oldest = select(func.min(AuditEntry.seq)).scalar_subquery()
    kept = select(func.min(AuditEntry.seq)).where(AuditEntry.at >= moment).scalar_subquery()
    wanted = (
        select(AuditEntry)
        .where(AuditEntry.seq < kept, AuditEntry.seq < oldest + most)
        .order_by(AuditEntry.seq.desc())
        .limit(1)
    )
    return session.scalars(wanted).first()


def delete_through(session: Session, seq: int) -> None:
    """Delete the entries up to *seq*, and the checkpoints that name one of them."""
    session.execute(delete(AuditEntry).where(AuditEntry.seq <= seq))
    session.execute(delete(Checkpoint).where(Checkpoint.seq <= seq))


def last_checkpoint(session: Session) -> Checkpoint | None:
    """Return the newest checkpoint."""
    return session.scalars(select(Checkpoint).order_by(Checkpoint.seq.desc()).limit(1)).first()


def count_checkpoints(session: Session) -> int:
    """Return how many checkpoints are kept."""
    return session.scalar(select(func.count()).select_from(Checkpoint)) or 0


def list_checkpoints(session: Session, most: int | None = None) -> list[Checkpoint]:
    """Return the checkpoints, newest first."""
    return list(session.scalars(select(Checkpoint).order_by(Checkpoint.seq.desc()).limit(most)))


def checkpoints_to_tell(session: Session, limit: int) -> list[Checkpoint]:
    """Return the oldest checkpoints that some place outside has yet to hear of."""
    wanted = select(Checkpoint).where(Checkpoint.waiting.is_(True)).order_by(Checkpoint.seq)
    return list(session.scalars(wanted.limit(limit)))


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
    looked: Looked = Looked.WITH_LOOKS,
) -> list[AuditEntry]:
    """Return entries, newest first, older than *before_seq*; empty filters match everything.

    *action* may be a prefix that ends in a dot (``device.``).
    """
    wanted = select(AuditEntry).order_by(AuditEntry.seq.desc()).limit(limit)
    if looked is not Looked.WITH_LOOKS:
        wanted = wanted.where(AuditEntry.is_look.is_(looked is Looked.ONLY_LOOKS))
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


def list_about(
    session: Session, subject: str, kinds: Sequence[str], limit: int
) -> list[AuditEntry]:
    """Return what was done last with *subject* (empty: with anything), newest first.

    *kinds*: actions, or beginnings of actions that end in a dot; none: all.
    """
    actions = select(AuditEntry).where(AuditEntry.is_look.is_(False))
    wanted = actions.order_by(AuditEntry.seq.desc()).limit(limit)
    if subject:
        wanted = wanted.where(AuditEntry.subject == subject)
    begun = (AuditEntry.action.startswith(one, autoescape=True) for one in kinds if one[-1] == ".")
    if kinds:
        wanted = wanted.where(or_(AuditEntry.action.in_(kinds), *begun))
    return list(session.scalars(wanted))


def list_looks(session: Session, subject: str, limit: int) -> list[AuditEntry]:
    """Return who looked at *subject* last, newest first."""
    looks = select(AuditEntry).where(AuditEntry.is_look.is_(True), AuditEntry.subject == subject)
    return list(session.scalars(looks.order_by(AuditEntry.seq.desc()).limit(limit)))
