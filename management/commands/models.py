"""Orders to devices."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ForeignKey, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class Command(Base):
    """An order to one device; every step has its time."""

    __tablename__ = "command"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), index=True)
    kind: Mapped[str] = mapped_column(Unicode(30))
    """`contracts.agent.CommandKind`."""
    arguments: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(Unicode(20), index=True)
    """`commands.rules.CommandState`."""
    waiting_for: Mapped[str] = mapped_column(Unicode(20), default="")
    """Why a queued command is not sent yet: `commands.rules.Waiting`, or empty."""
    requested_by: Mapped[str]
    reason: Mapped[str] = mapped_column(Unicode(1000), default="")
    outbound_seq: Mapped[int | None] = mapped_column(BigInteger)
    """The order that carries it, within the device's epoch."""
    detail: Mapped[str] = mapped_column(Unicode(4000), default="")
    """The device's or the signer's words."""
    queued_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)
