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


class AgentDownload(Base):
    """One row (id 1): which enrolment key the download page puts into the package."""

    __tablename__ = "agent_download"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    invitation_id: Mapped[UUID | None] = mapped_column(ForeignKey("invitation.id"))
    """None: no key; whoever enrols scans or types one."""


class DeviceAgent(Base):
    """Which agent package a device was told of last."""

    __tablename__ = "device_agent"

    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
    sha256: Mapped[str] = mapped_column(Unicode(64))
    epoch: Mapped[int]
    told_at: Mapped[datetime]
