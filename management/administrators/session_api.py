"""The API's view of browser sessions: who is signed in where, and how to end it.

Ending takes a code of the caller's own: a stolen token must not sign its owner out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flask import Blueprint
from sqlalchemy.orm import Session

from management.access import Permission, signed_in
from management.administrators import queries, roles, service, step_up
from management.administrators.models import AdminSession
from management.api.bodies import Proof
from management.api.operations import operation
from management.audit.notes import note
from management.personal import SESSIONS, tell_subject
from management.web import reading, transaction
from runtime.clock import utc_now

bp = Blueprint("session_api", __name__, url_prefix="/api/v1")
MANAGE = Permission.MANAGE_ADMINISTRATORS
OF = "/administrators/<uuid:administrator_id>/sessions"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAnswer:
    """A browser in which somebody is signed in."""

    id: str
    browser: str
    """What it calls itself."""
    address: str
    created_at: datetime
    seen_at: datetime
    """Last use, to the minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsAnswer:
    """The browsers in which somebody is signed in."""

    items: tuple[SessionAnswer, ...]
    next: str | None = None


@operation(bp, "/sessions", Permission.VIEW, paged_by="id", in_groups=True)
def list_own_sessions() -> SessionsAnswer:
    """List the browsers in which one is signed in oneself."""
    with reading() as session:
        return _all(queries.list_sessions(session, signed_in().administrator_id, utc_now()))


@operation(bp, "/sessions/<session_id>/end", Permission.VIEW, "POST", 200, (404,), in_groups=True)
def end_own_session(session_id: str, body: Proof) -> SessionAnswer:
    """Sign one of one's own browsers out."""
    step_up.require_code(body.code)
    with transaction("end a session") as session:
        return _ended(session_id, signed_in().administrator_id, signed_in().name, session)


@operation(bp, "/sessions/end", Permission.VIEW, "POST", 200, in_groups=True)
def end_own_sessions(body: Proof) -> SessionsAnswer:
    """Sign all browsers of one's own out; answers those that were signed in."""
    step_up.require_code(body.code)
    me = signed_in()
    with transaction("end all sessions") as session:
        found = _all(queries.list_sessions(session, me.administrator_id, utc_now()))
        service.end_sessions(session, me.administrator_id)
        note(session, "session.end_all", me.name)
        return found


@operation(bp, OF, MANAGE, paged_by="id", shows=SESSIONS)
def list_administrator_sessions(administrator_id: UUID) -> SessionsAnswer:
    """List the browsers in which an administrator is signed in."""
    with reading() as session:
        person = queries.get_administrator(session, administrator_id)
        tell_subject(person.name)
        return _all(queries.list_sessions(session, person.id, utc_now()))


@operation(bp, f"{OF}/<session_id>/end", MANAGE, "POST", 200, (404, 409))
def end_administrator_session(
    administrator_id: UUID, session_id: str, body: Proof
) -> SessionAnswer:
    """Sign somebody else out of one browser; who holds more than the caller is refused."""
    step_up.require_code(body.code)
    with transaction("end an administrator's session") as session:
        other = queries.get_administrator(session, administrator_id)
        roles.require_power(session, other, signed_in())
        return _ended(session_id, other.id, other.name, session)


@operation(bp, f"{OF}/end", MANAGE, "POST", 200, (404, 409))
def end_administrator_sessions(administrator_id: UUID, body: Proof) -> SessionsAnswer:
    """Sign somebody else out of all browsers; API tokens go on."""
    step_up.require_code(body.code)
    with transaction("end an administrator's sessions") as session:
        other = queries.get_administrator(session, administrator_id)
        roles.require_power(session, other, signed_in())
        found = _all(queries.list_sessions(session, other.id, utc_now()))
        service.end_sessions(session, other.id)
        note(session, "session.end_all", other.name)
        return found


def _ended(session_id: str, owner: UUID, name: str, session: Session) -> SessionAnswer:
    ended = service.end_session_of(session, owner, session_id)
    note(session, "session.end", name, address=ended.address, browser=ended.browser)
    return _one(ended)


def _all(found: Sequence[AdminSession]) -> SessionsAnswer:
    return SessionsAnswer(items=tuple(_one(row) for row in found))


def _one(row: AdminSession) -> SessionAnswer:
    return SessionAnswer(
        id=row.id_hash,
        browser=row.browser,
        address=row.address,
        created_at=row.created_at,
        seen_at=row.seen_at,
    )
