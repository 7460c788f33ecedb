"""Browser sessions: of administrators in the database, of visitors in a signed cookie."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from flask import Flask, current_app, g, request
from flask import session as browser_session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask.wrappers import Request, Response
from sqlalchemy.orm import Session

from management.access import ASKED_BY, Identity, Permission
from management.administrators import known_browsers, queries, service, token_rules
from management.administrators.models import AdminSession
from management.administrators.roles import identity_of
from management.context import Context
from management.web import reading
from runtime.clock import utc_now
from runtime.errors import UnauthenticatedError, UnavailableError

COOKIE = "__Host-sekisho"
NOTE_EVERY = timedelta(minutes=1)
"""How often a request moves ``seen_at``: a read stays a read most of the time."""
BESIDE_SECONDS = 0.25
"""So long a note that the answer does not rest on waits for a busy database; then it is left out,
and the next request notes it.
"""
_KEEP = "keep the browser session"
_READS = ("GET", "HEAD", "OPTIONS")


class ConsoleSession(SecureCookieSession):
    """What Flask calls the session, and who is signed in by it."""

    def __init__(self, initial: Mapping[str, Any] | None = None) -> None:
        super().__init__(initial)
        self.identity: Identity | None = None
        self.id_hash = ""
        self.theme = ""
        self.seen_at: datetime | None = None
        self.stored: dict[str, Any] = {}


class ConsoleSessions(SecureCookieSessionInterface):
    """Opens and keeps sessions. Visitors (sign-in page) hold theirs in a cookie, so that nobody
    can fill a table without signing in.
    """

    session_class = ConsoleSession

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the administrator's session, else the visitor's."""
        raw_id = request.cookies.get(COOKIE, "")
        if raw_id and (found := _find(_context(app), raw_id)) is not None:
            return found
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Store what changed and send the cookie that belongs to it."""
        known_browsers.keep(response)
        if (began := g.get("began_session")) is not None:
            response.set_cookie(COOKIE, began, secure=True, httponly=True, samesite="Strict")
            self._drop_visitor(app, response)
            return
        current = cast(ConsoleSession, session)
        if g.get("ended_session"):
            response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="Strict")
            current.id_hash = ""
        if current.id_hash:
            _keep(_context(app), current, _rests_on_it(current, response))
            response.vary.add("Cookie")
            return
        super().save_session(app, session, response)

    def _drop_visitor(self, app: Flask, response: Response) -> None:
        response.delete_cookie(
            self.get_cookie_name(app), secure=True, httponly=True, samesite="Strict"
        )


def begin(raw_id: str) -> None:
    """Let the answer carry the cookie of a session that `service.begin_session` made."""
    g.began_session = raw_id


def end() -> None:
    """Let the answer take the cookie away."""
    g.ended_session = True


def identify() -> None:
    """Put who asks into ``g.identity``: by API token under /api/, else by session."""
    current = cast(ConsoleSession, browser_session)
    g.identity = _by_token() if request.path.startswith("/api/") else current.identity
    if g.identity is not None:
        request.environ[ASKED_BY] = g.identity.administrator_id
    g.theme = current.theme


def may(permission: Permission) -> bool:
    """Return whether who asks proved it and holds *permission*, before any view runs."""
    identify()
    identity: Identity | None = g.identity
    return identity is not None and identity.may(permission)


def identify_token() -> None:
    """Let an API token count on a path outside /api/."""
    g.identity = _by_token()


def current_id_hash() -> str:
    """Return the stored id of this request's session; empty for visitors."""
    return cast(ConsoleSession, browser_session).id_hash


def browser_of_request() -> str:
    """Return what the browser calls itself, without what cannot be shown or stored."""
    said = request.headers.get("User-Agent", "")[:300]
    return "".join(letter for letter in said if letter.isprintable())


def _context(app: Flask) -> Context:
    return cast(Context, app.extensions["sekisho"])


def _find(context: Context, raw_id: str) -> ConsoleSession | None:
    with context.database.reading() as session:
        found = queries.find_session(session, raw_id, utc_now())
        if found is None:
            return None
        row, administrator = found
        opened = ConsoleSession(row.data)
        opened.identity = identity_of(session, administrator)
        opened.theme = administrator.theme
        opened.id_hash, opened.seen_at, opened.stored = row.id_hash, row.seen_at, dict(row.data)
        return opened


def _rests_on_it(current: ConsoleSession, response: Response) -> bool:
    """Tell whether the session carries on what was done or shown; a message that is shown once
    more does no harm.
    """
    if response.status_code >= 500:
        return False
    return request.method not in _READS or _lasting(current) != _lasting(current.stored)


def _lasting(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: said for name, said in data.items() if name != "_flashes"}


def _keep(context: Context, current: ConsoleSession, is_needed: bool) -> None:
    """Keep what changed; when nothing is needed of it, only if the database is free for it."""
    now = utc_now()
    stale = current.seen_at is None or now - current.seen_at >= NOTE_EVERY
    if not (stale or current.modified):
        return
    if is_needed and current.modified:
        with context.database.transaction(_KEEP) as session:
            _store(session, current, now)
        return
    with suppress(UnavailableError), context.database.transaction(_KEEP, BESIDE_SECONDS) as session:
        _store(session, current, now)


def _store(session: Session, current: ConsoleSession, now: datetime) -> None:
    row = session.get(AdminSession, current.id_hash)
    if row is not None:  # else: signed out elsewhere meanwhile
        row.seen_at = now
        row.data = dict(current)


def _by_token() -> Identity | None:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        return None
    now = utc_now()
    with reading() as session:
        found = queries.find_token(session, token.strip(), now)
        if found is None:
            raise UnauthenticatedError("This API token is not valid (any more). Make a new one.")
        row, owner = found
        identity = _carried(identity_of(session, owner), row.scope)
    if row.used_at is None or now - row.used_at >= NOTE_EVERY:
        _note_use(row.token_hash, now)
    g.token_hash = row.token_hash
    g.token_label = f"{row.name} ({row.token_hash[:12]})"  # as `token.revoke` names it
    return identity


def _note_use(token_hash: str, now: datetime) -> None:
    database, name = _context(current_app).database, "note that a token is used"
    with suppress(UnavailableError), database.transaction(name, BESIDE_SECONDS) as session:
        service.note_use(session, token_hash, now)


def _carried(maker: Identity, scope: str) -> Identity:
    """Return the maker as far as their token goes."""
    carried = token_rules.carried(scope, maker.permissions)
    return replace(maker, permissions=carried, withheld=maker.permissions - carried)
