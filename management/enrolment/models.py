"""Enrolment keys (of invitations and for many devices), and enrolments on their way."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, Unicode, UnicodeText, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from management.database import Base, code_points
from management.policies.models import ROOT_GROUP
from management.search.registry import Searched, Words, register


class Invitation(Base):
    """An enrolment key, sealed and as a hash to look up: for one person, or for many devices."""

    __tablename__ = "invitation"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    address: Mapped[str] = mapped_column(Unicode(254), index=True)
    """Empty: the key is nobody's own."""
    person: Mapped[str] = mapped_column(default="")
    """Who is invited; what a key without an address is for."""
    reading: Mapped[str] = mapped_column(Unicode(100), default="", server_default="")
    """How the name is read, in kana (`readings.clean`)."""
    most_devices: Mapped[int | None]
    """None: any number, until it expires."""
    devices: Mapped[int] = mapped_column(default=0)
    """How many it let in."""
    asks_user: Mapped[bool] = mapped_column(default=False)
    """Opens only together with user name and password."""
    group_id: Mapped[UUID] = mapped_column(default=ROOT_GROUP)
    """Where the device comes; no foreign key, so that a used invitation keeps no group alive."""
    policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("policy.id"))
    """None: that of the group."""
    key_hash: Mapped[str] = mapped_column(Unicode(64), unique=True)
    key_sealed: Mapped[str] = mapped_column(UnicodeText)
    created_at: Mapped[datetime] = mapped_column(index=True)
    created_by: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    """When the last device came that it lets in."""
    cancelled_at: Mapped[datetime | None]
    device_id: Mapped[UUID | None] = mapped_column(ForeignKey("device.id"))
    """The newest one."""
    language: Mapped[str] = mapped_column(Unicode(5), default="", server_default="")
    """Of the mail; empty: English and Japanese."""
    mailed_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the mail server took the newest mail."""
    mails: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    """How many it took."""
    mail_ask: Mapped[UUID | None] = mapped_column(index=True)
    """A mail is on its way: which request it belongs to (`enrolment.mailing`)."""
    mail_next_at: Mapped[datetime | None]
    """When that mail is tried (again)."""
    mail_problem: Mapped[str] = mapped_column(Unicode(1000), default="", server_default="")
    """Why the last attempt failed; empty: it did not."""
    mail_problem_at: Mapped[datetime | None]
    """Since when every attempt failed."""


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
    described: Mapped[str] = mapped_column(default="")
    """What the device said of itself, for people."""
    user_name: Mapped[str] = mapped_column(default="")
    asked_terms: Mapped[int | None]
    """Not granted yet: it was shown this version of the terms of use first."""


class InvitationToken(Base):
    """A word that an invitation is found by."""

    __tablename__ = "invitation_token"
    __table_args__ = (Index(None, "row_id", "token"), {"sqlite_with_rowid": False})

    token: Mapped[str] = mapped_column(code_points(40), primary_key=True)
    row_id: Mapped[UUID] = mapped_column(primary_key=True)
    """Of an `Invitation`."""


class EnrolmentAttemptToken(Base):
    """A word that a refused enrolment is found by."""

    __tablename__ = "enrolment_attempt_token"
    __table_args__ = (Index(None, "row_id", "token"), {"sqlite_with_rowid": False})

    token: Mapped[str] = mapped_column(code_points(40), primary_key=True)
    row_id: Mapped[UUID] = mapped_column(primary_key=True)
    """Of an `EnrolmentAttempt`."""


def _words_of_attempt(session: Session, row: EnrolmentAttempt) -> Words:
    """The reason comes last: when there are too many words, it is not the names that are cut."""
    if not row.refused_because:
        return (), ()
    key = session.get(Invitation, row.invitation_id) if row.invitation_id else None
    known = (key.address, key.person, key.reading) if key else ()
    return (*known, row.refused_because), tuple(row.described.split())


INVITATIONS = register(
    Searched(
        row=Invitation,
        key=Invitation.id,
        token=InvitationToken,
        columns=frozenset({"address", "person", "reading"}),
        words=lambda session, row: ((row.address, row.person, row.reading), ()),
    )
)
ATTEMPTS = register(
    Searched(
        row=EnrolmentAttempt,
        key=EnrolmentAttempt.enrolment_id,
        token=EnrolmentAttemptToken,
        columns=frozenset({"refused_because"}),
        words=_words_of_attempt,
    )
)
