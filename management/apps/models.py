"""Apps: uploaded files, verdicts about them, and the devices that hold them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base, RowId


class StoredApp(Base):
    """An uploaded APK; the file lies in the data folder under its SHA-256."""

    __tablename__ = "stored_app"

    sha256: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    file_name: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    uploaded_at: Mapped[datetime] = mapped_column(index=True)
    uploaded_by: Mapped[str]


class AppVerdict(Base):
    """What one pattern set said of one app; the newest row of a hash is the current verdict."""

    __tablename__ = "app_verdict"
    __table_args__ = (Index(None, "sha256", "judged_at"),)

    id: Mapped[RowId]
    sha256: Mapped[str] = mapped_column(Unicode(64))
    pattern_version: Mapped[str] = mapped_column(Unicode(50))
    verdict: Mapped[str] = mapped_column(Unicode(20))
    """`contracts.scan.Verdict`."""
    package: Mapped[str] = mapped_column(default="")
    result: Mapped[dict[str, Any]]
    """`contracts.scan.ScanResult` as JSON."""
    judged_at: Mapped[datetime]


class DeviceApp(Base):
    """An app that a device says is installed."""

    __tablename__ = "device_app"
    __table_args__ = (Index(None, "sha256", "device_id"),)

    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
    package: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(Unicode(64))
    name: Mapped[str]
    version: Mapped[str]
    signer_sha256: Mapped[str] = mapped_column(Unicode(64), default="")
    first_seen_at: Mapped[datetime]
    said_at: Mapped[datetime]
