"""The devices that may enrol, and what becomes of the others."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Unicode, text
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class AllowedDevice(Base):
    """One device of the list, by whatever is known of it; each as `rules` writes it, or empty."""

    __tablename__ = "allowed_device"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    imei: Mapped[str] = mapped_column(Unicode(20), default="", index=True)
    """IMEI or MEID."""
    wifi_mac: Mapped[str] = mapped_column(Unicode(20), default="", index=True)
    serial: Mapped[str] = mapped_column(Unicode(64), default="", index=True)
    enterprise_id: Mapped[str] = mapped_column(Unicode(64), default="", index=True)
    note: Mapped[str] = mapped_column(default="")
    added_at: Mapped[datetime]
    added_by: Mapped[str]


class AllowListSetting(Base):
    """One row (id 1): what becomes of devices that are not on the list."""

    __tablename__ = "allow_list_setting"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    unlisted: Mapped[str] = mapped_column(Unicode(20))
    """`rules.Unlisted`."""
    changed_at: Mapped[datetime]
    changed_by: Mapped[str]
    counted_at: Mapped[datetime | None]
    """When enrolled devices were last compared with the list, by `unlisted` as it was then."""
    counted_for: Mapped[str] = mapped_column(Unicode(20), default="", server_default="")
    counted_list: Mapped[str] = mapped_column(Unicode(64), default="", server_default="")
    """`queries.digest` of the list that they were compared with."""
    counted_devices: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    counted_unlisted: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    apply_left: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    """To how many enrolled devices it may still be applied, of those that somebody confirmed."""
    ended_because: Mapped[str] = mapped_column(default="", server_default="")
    """Why the last count, or what was confirmed, holds no more; empty: it holds, or was done."""
