"""Pattern sets on this server, and each attempt to fetch a newer one."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Unicode, UnicodeText
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base, RowId


class InstalledPatternSet(Base):
    """A verified pattern set in the data folder; at most one is active."""

    __tablename__ = "installed_pattern_set"

    version: Mapped[str] = mapped_column(Unicode(50), primary_key=True)
    sha256: Mapped[str] = mapped_column(Unicode(64))
    source: Mapped[str]
    """``shipped`` or the update source's address."""
    rules: Mapped[int]
    installed_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]
    active: Mapped[bool] = mapped_column(default=False)


class PatternActivation(Base):
    """When which pattern set became the active one, never changed: past judgements name it."""

    __tablename__ = "pattern_activation"

    id: Mapped[RowId]
    version: Mapped[str] = mapped_column(Unicode(50))
    activated_at: Mapped[datetime] = mapped_column(index=True)


class StoredRelease(Base):
    """The newest release of this program that the source offered; connectors fetch it from here."""

    __tablename__ = "stored_release"

    version: Mapped[str] = mapped_column(Unicode(50), primary_key=True)
    sha256: Mapped[str] = mapped_column(Unicode(64))
    length: Mapped[int]
    source: Mapped[str] = mapped_column(Unicode(1000))
    stored_at: Mapped[datetime]


class UpdateRun(Base):
    """One attempt, scheduled or by hand, with each step's words for the progress display."""

    __tablename__ = "update_run"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    started_at: Mapped[datetime] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]
    requested_by: Mapped[str]
    source: Mapped[str]
    state: Mapped[str] = mapped_column(Unicode(20))
    """`rules.RunState`."""
    from_version: Mapped[str] = mapped_column(Unicode(50), default="")
    to_version: Mapped[str] = mapped_column(Unicode(50), default="")
    detail: Mapped[str] = mapped_column(Unicode(4000), default="")


class UpdateSource(Base):
    """One row (id 1): where pattern sets come from, when to look, and what stays off."""

    __tablename__ = "update_source"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    address: Mapped[str] = mapped_column(Unicode(1000), default="")
    """Empty: no source was entered yet."""
    root: Mapped[str] = mapped_column(UnicodeText, default="")
    """The TUF root.json that an administrator entered: the start of all trust in the source."""
    schedule: Mapped[str] = mapped_column(Unicode(20), default="off")
    """`rules.Schedule`."""
    day: Mapped[int] = mapped_column(default=1)
    """Weekly: 1 Monday to 7 Sunday. Monthly: 1 to 28."""
    hour: Mapped[int] = mapped_column(default=3)
    """In UTC."""
    window_minutes: Mapped[int] = mapped_column(default=60)
    """A scheduled update starts at a moment within it that differs from server to server."""
    taken_at: Mapped[datetime | None]
    """The scheduled moment that was queued last."""
    held_version: Mapped[str] = mapped_column(Unicode(50), default="")
    """An administrator went back from it; nothing up to it is activated by itself."""
    held_because: Mapped[str] = mapped_column(Unicode(1000), default="")
    changed_at: Mapped[datetime | None]
    changed_by: Mapped[str] = mapped_column(default="")
