"""Dry runs: what was tried, on what it rests, and what would become of whom."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class DryRun(Base):
    """One trial of a policy or of a pattern set on the fleet."""

    __tablename__ = "dry_run"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("policy.id"))
    """Whose criteria are tried; None: a pattern set is."""
    policy_version: Mapped[int] = mapped_column(default=0)
    """The version that held when it was asked for."""
    requirements: Mapped[dict[str, Any]] = mapped_column(default=dict)
    settings: Mapped[dict[str, Any] | None]
    """What devices would apply; None: only criteria are tried."""
    pattern_version: Mapped[str] = mapped_column(Unicode(50), default="")
    """The set on trial."""
    active_patterns: Mapped[str] = mapped_column(Unicode(50), default="")
    """The set that was active then."""
    verdicts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Hash -> `dry_run.rules.Candidate`, of the apps judged otherwise than now."""
    asked_by: Mapped[str]
    asked_at: Mapped[datetime] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(Unicode(20))
    """`dry_run.rules.RunState`."""
    cancelled_by: Mapped[str] = mapped_column(default="")
    judged_at: Mapped[datetime | None]
    """The instant at which every device is judged."""
    read_until: Mapped[datetime | None]
    """Until when facts were read; later ones are not in it."""
    finished_at: Mapped[datetime | None]
    total: Mapped[int] = mapped_column(default=0)
    """Devices there were at the start."""
    looked_at: Mapped[int] = mapped_column(default=0)
    last_id: Mapped[UUID | None]
    """Up to here it is done; a repetition goes on behind it."""
    tally: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """`dry_run.rules.Tally`."""
    words: Mapped[str] = mapped_column(Unicode(1000), default="")
    """What it does now, or why it failed."""


class DryRunDevice(Base):
    """One device that would change."""

    __tablename__ = "dry_run_device"
    __table_args__ = (
        Index(None, "dry_run_id", "mail", "device_id"),
        Index(None, "dry_run_id", "wipe", "device_id"),
    )

    dry_run_id: Mapped[UUID] = mapped_column(ForeignKey("dry_run.id"), primary_key=True)
    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
    before: Mapped[str] = mapped_column(Unicode(20))
    after: Mapped[str] = mapped_column(Unicode(20))
    mail: Mapped[str] = mapped_column(Unicode(10), default="")
    """`dry_run.rules.When`."""
    wipe: Mapped[str] = mapped_column(Unicode(10), default="")
    because: Mapped[str] = mapped_column(Unicode(4000), default="")
