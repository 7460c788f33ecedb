"""Background work: the table is the truth."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class Job(Base):
    """A piece of work that survives the process which does it."""

    __tablename__ = "job"
    __table_args__ = (
        Index(None, "state", "run_after", "priority"),
        Index(None, "queued_at", "id"),
        Index(None, "asked_by", "queued_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    kind: Mapped[str] = mapped_column(Unicode(50))
    key: Mapped[str] = mapped_column(Unicode(200), unique=True)
    """Idempotency: the same key is never queued twice."""
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(Unicode(20))
    """As `JobState`."""
    asked_by: Mapped[str] = mapped_column(default="")
    """Name of the administrator on whose behalf it runs; empty: the server's own upkeep."""
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
    """The newest line of its log, in English."""
    done: Mapped[int | None]
    total: Mapped[int | None]
    """How far it is, where it can tell."""
    lines: Mapped[int] = mapped_column(default=0)
    """How many lines it said in all; changes with each, so a watcher sees that there is news."""
    cancelled_by: Mapped[str] = mapped_column(default="")
    error: Mapped[str] = mapped_column(Unicode(4000), default="")


class JobLine(Base):
    """A line of a job's log; the newest are kept."""

    __tablename__ = "job_line"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    text: Mapped[str] = mapped_column(Unicode(1000))
    """English, with gaps ``%(name)s``."""
    gaps: Mapped[dict[str, Any]]

    @property
    def words(self) -> str:
        """The line in English, its gaps filled."""
        return self.text % self.gaps if self.gaps else self.text
