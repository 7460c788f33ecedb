"""Who works in the console."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ForeignKey, Unicode, UnicodeText, false
from sqlalchemy.orm import Mapped, mapped_column

from management.administrators.token_rules import ALL
from management.database import Base

NO_PASSWORD = "none"  # noqa: S105  (no argon2 hash: nothing matches it)
LOCAL = "local"
"""The source that keeps passwords here."""


class Administrator(Base):
    """A person with access to the console. The TOTP seed is kept by the signer, not here."""

    __tablename__ = "administrator"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Unicode(100), unique=True)
    """What they sign in with, normalised (NFKC, casefold)."""
    source: Mapped[str] = mapped_column(Unicode(20), default=LOCAL, server_default=LOCAL)
    """Who proves this name: a key of `sources.SOURCES`."""
    password_hash: Mapped[str]
    role: Mapped[str] = mapped_column(Unicode(20))
    """A built-in `access.Role`, or empty: the custom one."""
    custom_role_id: Mapped[UUID | None] = mapped_column(ForeignKey("custom_role.id"), index=True)
    limited: Mapped[bool] = mapped_column(default=False)
    """Sees only devices of the `AdministratorGroup`s; none of these: no device."""
    language: Mapped[str] = mapped_column(Unicode(5), default="")
    theme: Mapped[str] = mapped_column(Unicode(5), default="")
    """``light``, ``dark``, or empty: as the browser asks."""
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    uses_codes: Mapped[bool] = mapped_column(default=True)
    """Codes of an authenticator app are a second proof; off only while there are passkeys."""
    second_place: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Which of its two places at the signer holds the app that counts; see `code_apps`."""


class CustomRole(Base):
    """A set of permissions that was put together here."""

    __tablename__ = "custom_role"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Unicode(100))
    name_key: Mapped[str] = mapped_column(Unicode(100), unique=True)
    """`rules.normal_name`: no two roles look the same."""
    permissions: Mapped[list[Any]]
    """Values of `access.Permission`, sorted."""
    changed_at: Mapped[datetime]


class AdministratorGroup(Base):
    """A group whose devices, with those of all groups below it, an administrator sees."""

    __tablename__ = "administrator_group"

    administrator_id: Mapped[UUID] = mapped_column(ForeignKey("administrator.id"), primary_key=True)
    group_id: Mapped[UUID] = mapped_column(primary_key=True)
    """No foreign key, so that a group can be deleted: the administrator just sees less."""


class Passkey(Base):
    """A WebAuthn credential; its private key never leaves who made it."""

    __tablename__ = "passkey"

    id_hash: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    """SHA-256 of the credential id, which is too long for a key (up to 1023 bytes)."""
    administrator_id: Mapped[UUID] = mapped_column(ForeignKey("administrator.id"), index=True)
    name: Mapped[str] = mapped_column(Unicode(100))
    credential_id: Mapped[str] = mapped_column(UnicodeText)
    """Base64url."""
    public_key: Mapped[str] = mapped_column(UnicodeText)
    """COSE key (RFC 9052), base64url."""
    counter: Mapped[int] = mapped_column(BigInteger)
    """Of its last signature; many authenticators always say 0."""
    synced: Mapped[bool]
    """Its maker keeps copies, for example in an account at a phone's vendor."""
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class RecoveryCode(Base):
    """A code that signs in once instead of app or passkey; the set ends as a whole."""

    __tablename__ = "recovery_code"

    mac: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    """Under a key outside the database; see `recovery_codes`."""
    administrator_id: Mapped[UUID] = mapped_column(ForeignKey("administrator.id"), index=True)
    made_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class UsedChallenge(Base):
    """A question that a passkey answered; it counts once."""

    __tablename__ = "used_challenge"

    challenge_hash: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


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
    """Failed sign-ins of one kind, which make the next one wait; see `waiting`."""

    __tablename__ = "sign_in_failure"

    key: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    """SHA-256 of what they have in common: people type passwords as names."""
    failures: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[datetime] = mapped_column(index=True)
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
    browser: Mapped[str] = mapped_column(Unicode(300), default="", server_default="")
    """What it calls itself (``User-Agent``)."""
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ApiToken(Base):
    """A token for the API, with permissions that are never more than its maker's."""

    __tablename__ = "api_token"

    token_hash: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    administrator_id: Mapped[UUID] = mapped_column(ForeignKey("administrator.id"), index=True)
    name: Mapped[str] = mapped_column(Unicode(100))
    scope: Mapped[str] = mapped_column(Unicode(500), server_default=ALL)
    """Values of `access.Permission` with spaces between; or `ALL` that its maker may."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    """Last use, to the minute."""
    revoked_at: Mapped[datetime | None]
