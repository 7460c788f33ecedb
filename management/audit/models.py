"""The audit trail: who did what, when, from where and why; each entry seals the one before."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Unicode, UnicodeText, false
from sqlalchemy.orm import Mapped, mapped_column

from management.database import BIG, Base


class AuditEntry(Base):
    """One action. ``mac`` covers it and ``previous_mac``, under a key outside the database."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index(None, "is_look", "seq"),)

    seq: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]
    """An administrator's name, or ``system``, ``command line``, ``connector NAME``."""
    action: Mapped[str] = mapped_column(Unicode(100), index=True)
    """Verb and object, for example ``device.lock``."""
    subject: Mapped[str] = mapped_column(index=True)
    subject_id: Mapped[UUID | None] = mapped_column(index=True)
    """The subject, where it is the id of something: `service.subject_id`; for looking up."""
    is_look: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether *action* says so (`rules.is_look`): the trail is read without looks by default."""
    reason: Mapped[str] = mapped_column(Unicode(1000), default="")
    address: Mapped[str] = mapped_column(Unicode(64), default="")
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    previous_mac: Mapped[str] = mapped_column(Unicode(64))
    mac: Mapped[str] = mapped_column(Unicode(64))


class Checkpoint(Base):
    """Where the trail ended once, signed, and to whom outside this was told."""

    __tablename__ = "audit_checkpoint"

    seq: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=False)
    """The last entry then."""
    at: Mapped[datetime]
    token: Mapped[str] = mapped_column(UnicodeText)
    """An `AuditCheckpoint` as compact JWS of type ``sekisho-audit+jws``."""
    waiting: Mapped[bool] = mapped_column(default=True, index=True)
    """Some place outside has yet to be told."""
    told: Mapped[list[Any]] = mapped_column(default=list)
    """The places that have it: ``file PATH``, ``syslog HOST``, ``mail ADDRESS``."""
    begun: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """The places to which it was on its way when this server or the connection died: they may
    have it.
    """
    problem: Mapped[str] = mapped_column(Unicode(1000), default="")
    """Why a place does not have it yet."""
