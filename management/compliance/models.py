"""The judgement of each device, stored so that lists and counts need no judging."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class DeviceJudgement(Base):
    """The latest `compliance.rules.Judgement` of one device."""

    __tablename__ = "device_judgement"

    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
    state: Mapped[str] = mapped_column(Unicode(20), index=True)
    since: Mapped[datetime]
    violations: Mapped[list[Any]]
    missing: Mapped[list[Any]]
    policy_id: Mapped[UUID]
    policy_version: Mapped[int]
    judged_at: Mapped[datetime]
    next_due_at: Mapped[datetime | None] = mapped_column(index=True)
    """When time alone may change the answer."""
