"""What the API remembers: answers to requests that may come twice, and who changes something."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Unicode, UnicodeText
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class ApiAnswer(Base):
    """The answer to a POST with an ``Idempotency-Key``, for a day."""

    __tablename__ = "api_answer"

    administrator_id: Mapped[UUID] = mapped_column(primary_key=True)
    key_hash: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    request_hash: Mapped[str] = mapped_column(Unicode(64))
    """Of method, address and body: another request with the same key is a mistake."""
    made_at: Mapped[datetime] = mapped_column(index=True)
    status: Mapped[int] = mapped_column(default=0)
    """0: carried out, and the answer is not kept yet."""
    answer: Mapped[str] = mapped_column(UnicodeText, default="")
    """Sealed; empty: it holds a secret that is shown once, and is not kept."""


class ApiEdit(Base):
    """One row; who changes something on the condition that nobody else did holds it meanwhile."""

    __tablename__ = "api_edit"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
