"""Invitations, and enrolments on their way."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Unicode, UnicodeText
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base
from management.policies.models import ROOT_GROUP


class Invitation(Base):
    """Asks one person to enrol; holds the enrolment key, sealed and as a hash to look up."""

    __tablename__ = "invitation"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    address: Mapped[str] = mapped_column(Unicode(254), index=True)
    person: Mapped[str] = mapped_column(default="")
    group_id: Mapped[UUID] = mapped_column(default=ROOT_GROUP)
    """Where the device comes; no foreign key, so that a used invitation keeps no group alive."""
    policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("policy.id"))
    """None: that of the group."""
    key_hash: Mapped[str] = mapped_column(Unicode(64), unique=True)
    key_sealed: Mapped[str] = mapped_column(UnicodeText)
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    device_id: Mapped[UUID | None] = mapped_column(ForeignKey("device.id"))


class EnrolmentAttempt(Base):
    """One request to enrol and what became of it; a repeat of the same id changes nothing."""

    __tablename__ = "enrolment_attempt"

    enrolment_id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    invitation_id: Mapped[UUID | None] = mapped_column(ForeignKey("invitation.id"))
    device_id: Mapped[UUID | None] = mapped_column(ForeignKey("device.id"), index=True)
    signing_key_thumbprint: Mapped[str] = mapped_column(Unicode(64), index=True)
    refused_because: Mapped[str] = mapped_column(Unicode(1000), default="")
    """Empty when it was granted."""
