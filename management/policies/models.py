"""What administrators ask of devices."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class Policy(Base):
    """A named policy; its content is in its versions."""

    __tablename__ = "policy"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Unicode(100), unique=True)
    current_version: Mapped[int] = mapped_column(default=1)
    is_default: Mapped[bool] = mapped_column(default=False)


class PolicyVersion(Base):
    """One version of a policy, never changed once written."""

    __tablename__ = "policy_version"

    policy_id: Mapped[UUID] = mapped_column(ForeignKey("policy.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    requirements: Mapped[dict[str, Any]]
    """`policies.rules.Requirements` as JSON."""
    settings: Mapped[dict[str, Any]]
    """What the agent applies."""
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    because: Mapped[str] = mapped_column(Unicode(1000), default="")
