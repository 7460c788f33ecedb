"""The app store: what is offered to whom, and what each device was told."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ForeignKey, Index, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class StoreEntry(Base):
    """An app in the store, or a link to one in another store."""

    __tablename__ = "store_entry"
    __table_args__ = (Index(None, "kind", "package"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    kind: Mapped[str] = mapped_column(Unicode(20))
    """`rules.Kind`."""
    package: Mapped[str]
    """Of the app; the number for the App Store."""
    name: Mapped[str]
    category: Mapped[str] = mapped_column(Unicode(100), default="")
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    withdrawn_at: Mapped[datetime | None] = mapped_column(index=True)
    withdrawn_by: Mapped[str] = mapped_column(default="")
    withdrawn_because: Mapped[str] = mapped_column(Unicode(1000), default="")


class StoreVersion(Base):
    """A version of a published app; the newest one is offered."""

    __tablename__ = "store_version"

    entry_id: Mapped[UUID] = mapped_column(ForeignKey("store_entry.id"), primary_key=True)
    sha256: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    version: Mapped[str]
    signer_sha256: Mapped[str] = mapped_column(Unicode(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    published_at: Mapped[datetime]
    published_by: Mapped[str]
    current: Mapped[bool] = mapped_column(default=True)


class StoreTarget(Base):
    """A group (and all below it) to which an entry is offered."""

    __tablename__ = "store_target"

    entry_id: Mapped[UUID] = mapped_column(ForeignKey("store_entry.id"), primary_key=True)
    group_id: Mapped[UUID] = mapped_column(ForeignKey("device_group.id"), primary_key=True)
    required: Mapped[bool] = mapped_column(default=False)


class StoreIssue(Base):
    """One row (id 1): counts the changes of the store."""

    __tablename__ = "store_issue"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    issue: Mapped[int] = mapped_column(BigInteger, default=0)


class DeviceOffer(Base):
    """What a device was told last of the store."""

    __tablename__ = "device_offer"

    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
    issue: Mapped[int] = mapped_column(BigInteger)
    group_id: Mapped[UUID]
    content_hash: Mapped[str] = mapped_column(Unicode(64))
    """SHA-256 of the offer: the same is not ordered twice."""
    epoch: Mapped[int]
