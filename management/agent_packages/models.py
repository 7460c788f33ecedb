"""Agent packages: which one is handed out, and what each device was told of it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class AgentPackage(Base):
    """An uploaded agent package; its scan result is in `apps`."""

    __tablename__ = "agent_package"

    sha256: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    file_name: Mapped[str]
    uploaded_at: Mapped[datetime] = mapped_column(index=True)
    uploaded_by: Mapped[str]
    released_at: Mapped[datetime | None]
    released_by: Mapped[str] = mapped_column(default="")
    current: Mapped[bool] = mapped_column(default=False)
    """The one that relays hand out."""
    source: Mapped[str] = mapped_column(Unicode(1000), default="", server_default="")
    """The update source that offered it; empty: an administrator uploaded it."""
    version_code: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """As the source signed it; 0: not from a source."""


class AgentDownload(Base):
    """One row (id 1): the enrolment key in the package, and who says which package it is."""

    __tablename__ = "agent_download"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    invitation_id: Mapped[UUID | None] = mapped_column(ForeignKey("invitation.id"))
    """None: no key; whoever enrols scans or types one."""
    follows: Mapped[bool | None]
    """Whether the newest package of the update source is handed out by itself; None: nobody said,
    see `rules.follows_source`."""
    chosen_at: Mapped[datetime | None]
    """When an administrator said so, or said the contrary."""
    chosen_by: Mapped[str] = mapped_column(default="", server_default="")
    offered: Mapped[str] = mapped_column(default="", server_default="")
    """The version that the source offered when it was looked at last; empty: none."""
    offered_sha256: Mapped[str] = mapped_column(Unicode(64), default="", server_default="")
    problem: Mapped[str] = mapped_column(Unicode(4000), default="", server_default="")
    """Why that one was not taken or not handed out."""
    looked_at: Mapped[datetime | None]


class DeviceAgent(Base):
    """Which agent package a device was told of last."""

    __tablename__ = "device_agent"

    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
    sha256: Mapped[str] = mapped_column(Unicode(64))
    epoch: Mapped[int]
    told_at: Mapped[datetime]
