"""What administrators ask of devices, and the groups for which they ask it."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, Unicode, text
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base

ROOT_GROUP = UUID("00000000-0000-4000-8000-000000000001")
"""The group above all others, made at set-up; a device that nobody put elsewhere is in it."""
UNAUTHORIZED_GROUP = UUID("00000000-0000-4000-8000-000000000002")
"""For devices that may not be here, made at set-up."""


class Policy(Base):
    """A named policy; its content is in its versions."""

    __tablename__ = "policy"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Unicode(120), unique=True)
    """Up to 100 characters; `policies.removal` adds 19 to a deleted one's."""
    current_version: Mapped[int] = mapped_column(default=1)
    is_default: Mapped[bool] = mapped_column(default=False)
    is_trial: Mapped[bool] = mapped_column(default=False)
    """Of `management.canary`, for some devices for a while; lists leave it out."""
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("policy.id"), index=True)
    """Whose content the inherited categories have; the current version says the same."""
    deleted_at: Mapped[datetime | None]
    """It keeps its versions, which the past rests on; see `policies.removal`."""
    deleted_by: Mapped[str] = mapped_column(default="")


class PolicyVersion(Base):
    """One version of a policy, never changed once written."""

    __tablename__ = "policy_version"

    policy_id: Mapped[UUID] = mapped_column(ForeignKey("policy.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    requirements: Mapped[dict[str, Any]]
    """`policies.rules.Requirements` as JSON, also when they are inherited."""
    settings: Mapped[dict[str, Any]]
    """What devices apply: category -> settings, see `policies.schema`; also what is inherited."""
    inherited: Mapped[list[Any]] = mapped_column(default=list)
    """Categories whose content is the parent's."""
    parent_id: Mapped[UUID | None]
    parent_version: Mapped[int | None]
    """The parent's version that this one follows."""
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    because: Mapped[str] = mapped_column(Unicode(1000), default="")


class Group(Base):
    """A node in the tree of groups. Each device is in exactly one.

    It stands here because every device and policy decision starts from it; `management.groups`
    changes it.
    """

    __tablename__ = "device_group"
    __table_args__ = (
        Index(None, "parent_id", "name", unique=True, mssql_where=text("parent_id IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Unicode(100))
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("device_group.id"), index=True)
    """None: the root."""
    android_policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("policy.id"), index=True)
    """None: the parent's; the root always has one."""
    ios_policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("policy.id"), index=True)
