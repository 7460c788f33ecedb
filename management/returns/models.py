"""Devices that say they are one we knew, and what somebody decided about it."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class IdentityClaim(Base):
    """A device with new keys names the serial number or IMEI of an earlier record.

    That proves nothing: anybody can read a number off a box. So both records stand beside each
    other until an administrator decides.
    """

    __tablename__ = "identity_claim"
    __table_args__ = (Index(None, "decision", "made_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), index=True)
    earlier_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), index=True)
    claims: Mapped[str] = mapped_column(Unicode(100))
    """What both have in common: ``serial``, ``imei`` or both."""
    made_at: Mapped[datetime]
    decision: Mapped[str] = mapped_column(Unicode(20), default="")
    """``same``, ``another``, or empty while nobody decided."""
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str] = mapped_column(default="")
    because: Mapped[str] = mapped_column(Unicode(1000), default="")
