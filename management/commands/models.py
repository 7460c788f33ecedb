"""Orders to devices, one by one and for many at once."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ForeignKey, Index, Unicode, text
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base

WAITS = text("waiting_for <> ''")
"""Few commands wait for anything: only those are in the index."""


class Command(Base):
    """An order to one device; every step has its time."""

    __tablename__ = "command"
    __table_args__ = (
        Index(None, "state", "ready_at"),
        Index(None, "batch_id", "state"),
        Index(None, "queued_at", "id"),
        Index(None, "device_id", "queued_at", "id"),
        Index(None, "requested_by", "queued_at", "id"),
        Index(None, "state", "queued_at", "id"),
        Index(None, "kind", "queued_at", "id"),
        Index(
            None,
            "waiting_for",
            "queued_at",
            "id",
            sqlite_where=WAITS,
            postgresql_where=WAITS,
            mssql_where=WAITS,
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"))
    kind: Mapped[str] = mapped_column(Unicode(30))
    """`contracts.agent.CommandKind`."""
    arguments: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(Unicode(20))
    """`commands.rules.CommandState`."""
    waiting_for: Mapped[str] = mapped_column(Unicode(20), default="")
    """Why a queued command is not sent yet: `commands.rules.Waiting`, or empty."""
    requested_by: Mapped[str]
    reason: Mapped[str] = mapped_column(Unicode(1000), default="")
    batch_id: Mapped[UUID | None] = mapped_column(ForeignKey("command_batch.id"))
    """The bulk command that it is part of."""
    attempt: Mapped[int] = mapped_column(default=1)
    outbound_seq: Mapped[int | None] = mapped_column(BigInteger)
    """The order that carries it, within the device's epoch."""
    detail: Mapped[str] = mapped_column(Unicode(4000), default="")
    """The device's or the signer's words."""
    queued_at: Mapped[datetime]
    ready_at: Mapped[datetime]
    """Not sent before: the undo window's end, or when it is tried again."""
    sent_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class CommandBatch(Base):
    """One order for many devices, whose list was fixed when somebody looked at it."""

    __tablename__ = "command_batch"
    __table_args__ = (Index(None, "requested_by", "made_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    kind: Mapped[str] = mapped_column(Unicode(30))
    arguments: Mapped[dict[str, Any]] = mapped_column(default=dict)
    requested_by: Mapped[str]
    reason: Mapped[str] = mapped_column(Unicode(1000), default="")
    made_at: Mapped[datetime]
    devices: Mapped[int]
    """How many it is for; those that cannot get it are not among them."""
    left_out: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Why a device cannot get it -> how many."""
    confirmed_at: Mapped[datetime | None] = mapped_column(index=True)
    queued_at: Mapped[datetime | None]
    """When every device had its command."""


class CommandBatchDevice(Base):
    """A device of a bulk command, before its command is queued."""

    __tablename__ = "command_batch_device"

    batch_id: Mapped[UUID] = mapped_column(ForeignKey("command_batch.id"), primary_key=True)
    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
