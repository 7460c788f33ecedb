"""Files of apps that devices are asked to send."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ForeignKey, Index, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class AppRequest(Base):
    """One file that one device was asked to send."""

    __tablename__ = "app_request"
    __table_args__ = (Index(None, "sha256", "requested_at"), Index(None, "state", "expires_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    """The ``upload_id`` of the order."""
    sha256: Mapped[str] = mapped_column(Unicode(64))
    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), index=True)
    state: Mapped[str] = mapped_column(Unicode(20))
    """`rules.RequestState`."""
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """As the device says."""
    key: Mapped[str] = mapped_column(Unicode(43), default="")
    """With which the device encrypted the parts; forgotten when the file is here."""
    expected_by: Mapped[UUID | None]
    """The relay that was told to expect it."""
    detail: Mapped[str] = mapped_column(Unicode(1000), default="")


class CollectingSettings(Base):
    """One row (id 1): whose apps may be asked for."""

    __tablename__ = "collecting_settings"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    company: Mapped[bool] = mapped_column(default=True)
    """From devices of the company."""
    personal: Mapped[bool] = mapped_column(default=False)
    """From devices that belong to their users."""
    changed_at: Mapped[datetime | None]
    changed_by: Mapped[str] = mapped_column(default="")
