"""Background work: the table is the truth."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Index, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class Job(Base):
    """A piece of work that survives the process which does it."""

    __tablename__ = "job"
    __table_args__ = (Index(None, "state", "run_after", "priority"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    kind: Mapped[str] = mapped_column(Unicode(50))
    key: Mapped[str] = mapped_column(Unicode(200), unique=True)
    """Idempotency: the same key is never queued twice."""
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(Unicode(20))
    """``queued``, ``running``, ``done``, ``failed``."""
    priority: Mapped[int] = mapped_column(default=5)
    """1 first, 9 last."""
    attempts: Mapped[int] = mapped_column(default=0)
    maximum_attempts: Mapped[int] = mapped_column(default=5)
    run_after: Mapped[datetime]
    lease_owner: Mapped[str] = mapped_column(Unicode(100), default="")
    lease_until: Mapped[datetime | None]
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    progress: Mapped[str] = mapped_column(Unicode(1000), default="")
    error: Mapped[str] = mapped_column(Unicode(4000), default="")
