"""Trials of a changed policy on some devices first."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class Canary(Base):
    """One trial.

    Its devices have `trial_id`, a policy of its own, so that which version is asked of a device
    stays a fact about the device, and every page, judgement and replay tells it.
    """

    __tablename__ = "canary"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    policy_id: Mapped[UUID] = mapped_column(ForeignKey("policy.id"), index=True)
    policy_version: Mapped[int]
    """The version that the others keep."""
    trial_id: Mapped[UUID] = mapped_column(ForeignKey("policy.id"))
    percent: Mapped[int]
    """Share of the devices of the policy; 0: by group."""
    group_id: Mapped[UUID | None]
    """Whose devices go first; no foreign key, so that an old trial keeps no group alive."""
    limit_percent: Mapped[int]
    """It stops when a larger share became non-compliant."""
    state: Mapped[str] = mapped_column(Unicode(20), index=True)
    """`canary.rules.CanaryState`."""
    started_at: Mapped[datetime]
    started_by: Mapped[str]
    because: Mapped[str] = mapped_column(Unicode(1000))
    given_at: Mapped[datetime | None]
    """When all its devices had been given the trial policy."""
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str] = mapped_column(default="")
    ended_because: Mapped[str] = mapped_column(Unicode(1000), default="")
    back_at: Mapped[datetime | None]
    """When all its devices had been given back to the policy that holds for them."""


class CanaryDevice(Base):
    """A device of a trial, and how it stood before."""

    __tablename__ = "canary_device"

    canary_id: Mapped[UUID] = mapped_column(ForeignKey("canary.id"), primary_key=True)
    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
    state_before: Mapped[str] = mapped_column(Unicode(20))
    own_policy: Mapped[bool]
    """Whether it had the policy by name, and not from its group."""
    given_at: Mapped[datetime]
