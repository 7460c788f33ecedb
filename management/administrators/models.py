"""Who works in the console."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base


class Administrator(Base):
    """A person with access to the console. The TOTP seed is kept by the signer, not here."""

    __tablename__ = "administrator"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Unicode(100), unique=True)
    """What they sign in with, normalised (NFKC, casefold)."""
    password_hash: Mapped[str]
    role: Mapped[str] = mapped_column(Unicode(20))
    language: Mapped[str] = mapped_column(Unicode(5), default="")
    theme: Mapped[str] = mapped_column(Unicode(5), default="")
    """``light``, ``dark``, or empty: as the browser asks."""
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    failed_sign_ins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]


class OneTimeLink(Base):
    """A link that works once: first set-up, recovery."""

    __tablename__ = "one_time_link"

    token_hash: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    purpose: Mapped[str] = mapped_column(Unicode(20))
    """``setup`` (the first owner), ``join`` (a further administrator) or ``recover``."""
    administrator_id: Mapped[UUID | None] = mapped_column(ForeignKey("administrator.id"))
    """Whose password and code are set; None for ``setup``, which makes the administrator."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SignInFailure(Base):
    """Failed sign-ins from one address, which make the next one wait."""

    __tablename__ = "sign_in_failure"

    address: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[datetime]
    locked_until: Mapped[datetime | None]


class AdminSession(Base):
    """A browser session; the cookie holds a random id, here is only its SHA-256."""

    __tablename__ = "admin_session"

    id_hash: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    administrator_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("administrator.id"), index=True
    )
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    address: Mapped[str] = mapped_column(Unicode(64), default="")
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ApiToken(Base):
    """A token for the API, with an administrator's permissions."""

    __tablename__ = "api_token"

    token_hash: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    administrator_id: Mapped[UUID] = mapped_column(ForeignKey("administrator.id"), index=True)
    name: Mapped[str] = mapped_column(Unicode(100))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
