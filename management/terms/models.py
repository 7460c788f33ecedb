"""Terms of use: their versions, and what each device said to them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Unicode, UnicodeText
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class TermsVersion(Base):
    """One version, sanitised; it never changes. The highest one holds until it is withdrawn."""

    __tablename__ = "terms_version"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    title: Mapped[str]
    html: Mapped[str] = mapped_column(UnicodeText)
    sha256: Mapped[str] = mapped_column(Unicode(64))
    """Of `html` in UTF-8."""
    ask_again: Mapped[bool]
    """Devices that are enrolled already are asked too."""
    published_at: Mapped[datetime]
    published_by: Mapped[str]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[str] = mapped_column(default="")


class DeviceTerms(Base):
    """What a device was asked last and what it answered."""

    __tablename__ = "device_terms"

    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
    asked_version: Mapped[int] = mapped_column(index=True)
    asked_at: Mapped[datetime]
    asked_epoch: Mapped[int]
    accepted_version: Mapped[int | None]
    accepted_at: Mapped[datetime | None]
    """As the device says."""
    refused_version: Mapped[int | None]
    refused_at: Mapped[datetime | None]
