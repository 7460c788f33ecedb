"""What was deleted and can be brought back; `deleted.service` keeps it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class DeletedThing(Base):
    """One thing that was deleted, with its rows as they were."""

    __tablename__ = "deleted_thing"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """The thing's own."""
    kind: Mapped[str] = mapped_column(Unicode(20))
    """Of `deleted.kinds.KINDS`."""
    name: Mapped[str]
    rows: Mapped[list[Any]]
    """The thing's row and then those that hang on it: ``[table, {column: value}]``."""
    deleted_at: Mapped[datetime] = mapped_column(index=True)
    deleted_by: Mapped[str]
