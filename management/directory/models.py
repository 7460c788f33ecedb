"""Accounts of people, as the last list from a directory said."""

from datetime import datetime

from sqlalchemy import Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base, code_points


class DirectoryAccount(Base):
    """One person's account; devices find it by the address of their owner."""

    __tablename__ = "directory_account"

    address: Mapped[str] = mapped_column(Unicode(254), primary_key=True)
    state: Mapped[str] = mapped_column(Unicode(20))
    """`directory.rules.AccountState`."""
    since: Mapped[datetime]
    """When a list said so first."""
    said_by: Mapped[str]
    person: Mapped[str] = mapped_column(default="", server_default="")
    reading: Mapped[str] = mapped_column(Unicode(100), default="", server_default="")
    """How the name is read, in kana (`readings.clean`)."""
    sort_key: Mapped[str] = mapped_column(
        code_points(255), default="", server_default="", index=True
    )
    """`readings.sort_key`."""
