"""The mail server by which mail of this server goes out."""

from datetime import datetime
from typing import Any

from sqlalchemy import Unicode, UnicodeText
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class OutgoingMail(Base):
    """One row (id 1), or none while nothing was entered."""

    __tablename__ = "outgoing_mail"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    host: Mapped[str]
    port: Mapped[int]
    encryption: Mapped[str] = mapped_column(Unicode(20))
    """`rules.Encryption`."""
    sender: Mapped[str]
    user_name: Mapped[str] = mapped_column(Unicode(500), default="")
    password: Mapped[str] = mapped_column(UnicodeText, default="")
    """Sealed under ``secret.key``; empty: the mail server asks for no sign-in."""
    ca: Mapped[str] = mapped_column(UnicodeText, default="")
    """PEM; empty: the CAs that this machine trusts."""
    checkpoints_to: Mapped[list[Any]] = mapped_column(default=list)
    """Addresses that get each checkpoint of the audit trail."""
    changed_at: Mapped[datetime]
    changed_by: Mapped[str]
