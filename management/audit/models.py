"""The audit trail: who did what, when, from where and why; each entry seals the one before."""

from datetime import datetime
from typing import Any

from sqlalchemy import Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import BIG, Base


class AuditEntry(Base):
    """One action. ``mac`` covers it and ``previous_mac``, under a key outside the database."""

    __tablename__ = "audit_entry"

    seq: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]
    """An administrator's name, or ``system``, ``command line``, ``connector NAME``."""
    action: Mapped[str] = mapped_column(Unicode(100), index=True)
    """Verb and object, for example ``device.lock``."""
    subject: Mapped[str]
    reason: Mapped[str] = mapped_column(Unicode(1000), default="")
    address: Mapped[str] = mapped_column(Unicode(64), default="")
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    previous_mac: Mapped[str] = mapped_column(Unicode(64))
    mac: Mapped[str] = mapped_column(Unicode(64))
