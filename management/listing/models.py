"""What lists, searches and counts read at a million devices; `listing.service` keeps it.

Each device has one narrow row. The combination of all that it can be filtered by is a number, its
*shape*; how many devices have each shape is a sum of changes, so that writers never wait for each
other, and `service.fold` adds them up from time to time.
"""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ForeignKey, Index, Unicode, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from management.database import BIG, Base, RowId, code_points


class DeviceListing(Base):
    """One device as the list knows it."""

    __tablename__ = "device_listing"
    __table_args__ = (
        Index(None, "name", "id", "shape", "system"),
        Index(None, "shape", "name", "id", "system"),
        Index(None, "system", "name", "id", "shape"),
    )

    id: Mapped[RowId]
    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), unique=True)
    name: Mapped[str] = mapped_column(code_points(80))
    """`rules.sort_name`."""
    shape: Mapped[int] = mapped_column(BigInteger)
    """Of a `DeviceTally`."""
    system: Mapped[int] = mapped_column(BigInteger)
    """Of a `SystemTally`."""
    words: Mapped[str] = mapped_column(code_points(2600))
    """`rules.search_text` of its tokens."""


class DeviceToken(Base):
    """A word that a device is found by."""

    __tablename__ = "device_token"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    token: Mapped[str] = mapped_column(code_points(40), primary_key=True)
    listing_id: Mapped[int] = mapped_column(BIG, ForeignKey("device_listing.id"), primary_key=True)


class DeviceTally(Base):
    """So many devices more, or fewer, have this combination."""

    __tablename__ = "device_tally"

    id: Mapped[RowId]
    shape: Mapped[int] = mapped_column(BigInteger, index=True)
    number: Mapped[int]
    state: Mapped[str] = mapped_column(Unicode(20))
    risk: Mapped[str] = mapped_column(Unicode(10))
    platform: Mapped[str] = mapped_column(Unicode(20))
    enrolment: Mapped[str] = mapped_column(Unicode(20))
    ownership: Mapped[str] = mapped_column(Unicode(20))
    group_id: Mapped[UUID] = mapped_column(index=True)
    policy_id: Mapped[UUID]
    mail: Mapped[str] = mapped_column(Unicode(20))
    rules: Mapped[str] = mapped_column(Unicode(500))
    """`rules.rules_label`."""


class SystemTally(Base):
    """So many devices more, or fewer, run this combination of versions."""

    __tablename__ = "system_tally"

    id: Mapped[RowId]
    shape: Mapped[int] = mapped_column(BigInteger, index=True)
    number: Mapped[int]
    platform: Mapped[str] = mapped_column(Unicode(20))
    enrolment: Mapped[str] = mapped_column(Unicode(20))
    group_id: Mapped[UUID] = mapped_column(index=True)
    os: Mapped[str] = mapped_column(Unicode(10))
    patch: Mapped[str] = mapped_column(Unicode(10))
    patterns: Mapped[str] = mapped_column(Unicode(40))


class SavedView(Base):
    """A filter of the device list under a name."""

    __tablename__ = "saved_view"
    __table_args__ = (UniqueConstraint("owner", "name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    owner: Mapped[str] = mapped_column(Unicode(100))
    """Name of the administrator who saved it."""
    name: Mapped[str] = mapped_column(Unicode(100))
    query: Mapped[str] = mapped_column(Unicode(1000))
    """The address behind ``?``, as `listing.address.own_query` writes it."""
    shared: Mapped[bool] = mapped_column(default=False)
    """Whether every administrator sees it."""
    made_at: Mapped[datetime]


class ViewMark(Base):
    """What an administrator does with a view that they see."""

    __tablename__ = "view_mark"

    owner: Mapped[str] = mapped_column(Unicode(100), primary_key=True)
    """Name of the administrator."""
    view_id: Mapped[UUID] = mapped_column(ForeignKey("saved_view.id"), primary_key=True, index=True)
    pinned: Mapped[bool] = mapped_column(default=False)
    """It stands in the side bar."""
    opens: Mapped[bool] = mapped_column(default=False)
    """The menu opens the list of devices with it; at most one of each administrator's."""
