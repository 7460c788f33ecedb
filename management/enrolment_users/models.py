"""People who enrol their devices with a name and a password."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base, code_points


class EnrolmentUser(Base):
    """Somebody of the local list; a directory takes its place later."""

    __tablename__ = "enrolment_user"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(unique=True)
    """As `rules.normal_name` writes it."""
    person: Mapped[str] = mapped_column(default="")
    reading: Mapped[str] = mapped_column(Unicode(100), default="", server_default="")
    """How the name is read, in kana (`readings.clean`)."""
    sort_key: Mapped[str] = mapped_column(
        code_points(255), default="", server_default="", index=True
    )
    """`readings.sort_key`."""
    address: Mapped[str] = mapped_column(Unicode(254))
    group_id: Mapped[UUID | None]
    """Where this person's devices come; None: where the enrolment key says."""
    password_hash: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    disabled_at: Mapped[datetime | None]


class UserTry(Base):
    """Wrong passwords for one name in a row; also for names that nobody has."""

    __tablename__ = "enrolment_user_try"

    name_hash: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    failures: Mapped[int]
    wait_until: Mapped[datetime | None]
    last_at: Mapped[datetime] = mapped_column(index=True)
