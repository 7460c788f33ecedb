"""The one switch that pauses all enforcement, and what the clock said last."""

from datetime import datetime

from sqlalchemy import Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class Enforcement(Base):
    """One row (id 1): whether mail blocks and wipes act."""

    __tablename__ = "enforcement"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    paused_at: Mapped[datetime | None]
    paused_by: Mapped[str] = mapped_column(default="")
    paused_because: Mapped[str] = mapped_column(Unicode(1000), default="")
    clock_seen_at: Mapped[datetime | None]
    """The wall clock when it was last compared; going back from here freezes enforcement."""


class Setting(Base):
    """One named setting of the console, as JSON text."""

    __tablename__ = "setting"

    name: Mapped[str] = mapped_column(Unicode(100), primary_key=True)
    value: Mapped[str] = mapped_column(Unicode(4000))
    changed_at: Mapped[datetime]
    changed_by: Mapped[str]
