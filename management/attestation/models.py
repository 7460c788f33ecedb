"""What was asked of a device's secure hardware, which key it answered for, and what is revoked."""

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


class AttestedCertificate(Base):
    """A certificate above the leaf in a chain on which a device's proof rests."""

    __tablename__ = "attested_certificate"

    serial: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    """Hexadecimal without zeros in front."""
    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True, index=True)
    key_thumbprint: Mapped[str] = mapped_column(Unicode(64), primary_key=True, default="")
    """It vouches for this key, with which the device signs or will after a renewal; empty: for its
    last answer alone."""


class RevokedKey(Base):
    """A serial number on the list that the update source brought."""

    __tablename__ = "revoked_key"

    serial: Mapped[str] = mapped_column(Unicode(64), primary_key=True)


class RevocationList(Base):
    """One row (id 1): which list `RevokedKey` is, and what became of the last look for another."""

    __tablename__ = "revocation_list"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    issue: Mapped[int] = mapped_column(default=0)
    """0: none was taken yet."""
    keys: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str] = mapped_column(Unicode(64), default="")
    source: Mapped[str] = mapped_column(Unicode(1000), default="")
    published_at: Mapped[datetime | None]
    taken_at: Mapped[datetime | None]
    looked_at: Mapped[datetime | None]
    """When the source was asked last and had a list."""
    offered: Mapped[int] = mapped_column(default=0)
    """The issue that the source had then."""
    problem: Mapped[str] = mapped_column(Unicode(4000), default="")
    """Why that was not taken."""
