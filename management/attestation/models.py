"""What was asked of a device's secure hardware, and which key it answered for."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class DeviceAttestation(Base):
    """One row for each device that ever proved its signing key; results are facts."""

    __tablename__ = "device_attestation"

    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
    key_thumbprint: Mapped[str] = mapped_column(Unicode(64), default="")
    """Of the signing key that hardware vouched for; empty: for none."""
    next_thumbprint: Mapped[str] = mapped_column(Unicode(64), default="")
    """Of the attested key of a renewal, which the device may use from its next report on."""
    challenge: Mapped[str] = mapped_column(Unicode(64), default="")
    """The open question, base64url; empty: none is open."""
    asked_at: Mapped[datetime | None]
    answered_at: Mapped[datetime]
