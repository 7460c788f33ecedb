"""Reads administrators, their sessions, links and tokens."""

from datetime import datetime
from hashlib import sha256
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.administrators import rules, sources
from management.administrators.models import Administrator, AdminSession, ApiToken, OneTimeLink
from management.database import locked
from runtime.errors import NotFoundError


def hash_of(secret: str) -> str:
    """Return how a random id or token is stored: its SHA-256 in hex."""
    return sha256(secret.encode()).hexdigest()


def count_administrators(session: Session) -> int:
    """Return how many administrators there are, disabled ones included."""
    return session.scalar(select(func.count()).select_from(Administrator)) or 0


def get_administrator(session: Session, administrator_id: UUID) -> Administrator:
    """Return one administrator; NotFoundError when there is none with this id."""
    found = session.get(Administrator, administrator_id)
    if found is None:
        raise NotFoundError("There is no such administrator.")
    return found


def lock_administrator(session: Session, administrator_id: UUID) -> Administrator:
    """Return one administrator, whom nobody else changes before this transaction ends."""
    wanted = select(Administrator).where(Administrator.id == administrator_id)
    found = session.scalars(locked(wanted, Administrator)).one_or_none()
    if found is None:
        raise NotFoundError("There is no such administrator.")
    return found


def find_administrator(session: Session, name: str) -> Administrator | None:
    """Return the administrator who signs in as *name*."""
    wanted = select(Administrator).where(Administrator.name == rules.normal_name(name))
    return session.scalars(wanted).first()


def list_administrators(session: Session) -> list[Administrator]:
    """Return all administrators by name."""
    return list(session.scalars(select(Administrator).order_by(Administrator.name)))


def find_session(
    session: Session, raw_id: str, now: datetime
) -> tuple[AdminSession, Administrator] | None:
    """Return the live session behind a cookie, and whose it is."""
    found = session.get(AdminSession, hash_of(raw_id))
    if found is None or found.administrator_id is None:
        return None
    owner = session.get(Administrator, found.administrator_id)
    if owner is None or not sources.is_open(owner):
        return None
    return (found, owner) if rules.session_holds(found.created_at, found.seen_at, now) else None


def list_sessions(session: Session, administrator_id: UUID, now: datetime) -> list[AdminSession]:
    """Return the sessions in which somebody is signed in now, newest first."""
    wanted = (
        select(AdminSession)
        .where(AdminSession.administrator_id == administrator_id)
        .order_by(AdminSession.seen_at.desc())
    )
    return [
        row
        for row in session.scalars(wanted)
        if rules.session_holds(row.created_at, row.seen_at, now)
    ]


def find_token(
    session: Session, token: str, now: datetime
) -> tuple[ApiToken, Administrator] | None:
    """Return an API token and whose it is, while it holds."""
    found = session.get(ApiToken, hash_of(token))
    if found is None or found.revoked_at is not None or found.expires_at <= now:
        return None
    owner = session.get_one(Administrator, found.administrator_id)
    return (found, owner) if sources.is_open(owner) else None


def list_tokens(session: Session, administrator_id: UUID) -> list[ApiToken]:
    """Return one administrator's API tokens, newest first."""
    wanted = (
        select(ApiToken)
        .where(ApiToken.administrator_id == administrator_id)
        .order_by(ApiToken.created_at.desc())
    )
    return list(session.scalars(wanted))


def find_link(session: Session, token: str, now: datetime) -> OneTimeLink | None:
    """Return the one-time link behind *token* while it is unused and not expired."""
    found = session.get(OneTimeLink, hash_of(token))
    if found is None or found.used_at is not None or found.expires_at <= now:
        return None
    return found
