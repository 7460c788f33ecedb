"""What followed from violations, what waits, and when consequences are frozen."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Unicode, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base, RowId


class CarriedOut(Base):
    """One consequence for one device, done once while its rule stays broken."""

    __tablename__ = "carried_out"
    __table_args__ = (
        UniqueConstraint("device_id", "rule", "kind", "at"),
        Index(None, "kind", "at"),
    )

    id: Mapped[RowId]
    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"))
    rule: Mapped[str] = mapped_column(Unicode(40))
    kind: Mapped[str] = mapped_column(Unicode(30))
    """`policies.treatment.ConsequenceKind`."""
    because: Mapped[str] = mapped_column(Unicode(4000))
    """The violation in words."""
    broken_since: Mapped[datetime]
    due_at: Mapped[datetime]
    at: Mapped[datetime]
    policy_id: Mapped[UUID]
    policy_version: Mapped[int]
    result: Mapped[str] = mapped_column(Unicode(20))
    """`consequences.rules.Result`."""
    words: Mapped[str] = mapped_column(Unicode(1000), default="")
    command_id: Mapped[UUID | None]
    group_before: Mapped[UUID | None]
    """Where the device was before it was moved."""
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the violation was seen to be mended; None: it stands."""
    seen_by: Mapped[str] = mapped_column(default="")
    """The administrator who put a notice away."""


class HeldDevice(Base):
    """A device for which something is due that may not happen yet."""

    __tablename__ = "held_device"

    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
    since: Mapped[datetime]
    because: Mapped[str] = mapped_column(Unicode(1000))
    look_at: Mapped[datetime] = mapped_column(index=True)
    """When to look again."""


class Freeze(Base):
    """A time in which consequences and new mail blocks wait."""

    __tablename__ = "freeze"
    __table_args__ = (Index(None, "released_at", "until"),)

    id: Mapped[RowId]
    cause: Mapped[str] = mapped_column(Unicode(20))
    """`consequences.rules.Cause`."""
    because: Mapped[str] = mapped_column(Unicode(1000))
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    """When it ends by itself."""
    relay_id: Mapped[UUID | None]
    heard_after: Mapped[datetime | None]
    """A device that proved itself after this instant is not frozen."""
    released_at: Mapped[datetime | None]
    released_by: Mapped[str] = mapped_column(default="")
    release_reason: Mapped[str] = mapped_column(Unicode(1000), default="")
    let_through: Mapped[int] = mapped_column(default=0)
    """How many devices waited when it was released: so many more may be cut off."""
