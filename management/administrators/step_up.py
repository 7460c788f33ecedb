"""Proving again who one is, before what opens doors (tokens, keys, administrators) or destroys.

Whoever signed in within the last ten minutes proved it just now. Everybody else adds the code that
their app shows to the form (`step_up` in `macros.html`), which then counts for ten minutes too. A
program with an API token proves nothing by itself: it sends such a code where an operation asks
for one.
"""

from datetime import timedelta

from flask import request
from flask import session as browser_session
from sqlalchemy.orm import Session

from management.access import Identity, UnprovedError, signed_in
from management.administrators import code_apps, passkey_again, queries, sessions, sources, waiting
from management.administrators.models import Administrator
from management.administrators.rules import FRESH
from management.audit.service import record
from management.web import context, reading, visitor_address
from runtime.clock import utc_now
from runtime.errors import NotFoundError

PROVED_AT = "proved_at"
"""In the browser's session: when its owner proved last who they are, in seconds."""


def is_fresh() -> bool:
    """Return whether the browser's owner proved just now who they are."""
    proved_at = browser_session.get(PROVED_AT, 0)
    return bool(timedelta(seconds=utc_now().timestamp() - proved_at) < FRESH)


def require_fresh(by_passkey: bool = True) -> None:
    """Let on who proved just now who they are, or sends a right code; UnprovedError else.

    Outside of transactions that write: a wrong code is counted in one of its own.

    *by_passkey*: the form's passkey may prove it too; not where it is the one to be registered.
    """
    if not is_fresh():
        said = request.form.get("credential", "")
        if said and by_passkey:
            passkey_again.prove(said)
        else:
            require_code(request.form.get("own_code", ""))
        browser_session[PROVED_AT] = int(utc_now().timestamp())


def require_code(code: str) -> None:
    """Let on who sends the code that their app shows now; UnprovedError else."""
    me, code = signed_in(), code.replace(" ", "")
    if not code:
        raise UnprovedError(
            "Prove again that it is you: enter the code that your app shows, or sign out and in "
            "again. Nothing was changed."
        )
    attempt = _attempt(me, "again")
    _require_no_wait(attempt, "Too many wrong codes.")
    if not _is_right(me, code):
        _note_failure(me, attempt)
        raise UnprovedError(
            "The code is wrong or was used already. Enter the one that your app shows now. "
            "Nothing was changed."
        )


def _is_right(me: Identity, code: str) -> bool:
    with reading() as session:
        mine = queries.get_administrator(session, me.administrator_id)
    try:
        return code_apps.check(context().signer, mine, code)
    except NotFoundError:  # no app was ever set up
        return False


def prove_password(password: str) -> Administrator | None:
    """Return who is signed in, if this is their password; ForbiddenError after many wrong ones.

    Outside of transactions that write: comparing takes long, and there is one of them at a time.
    """
    me = signed_in()
    attempt = _attempt(me, "password")
    _require_no_wait(attempt, "Too many wrong passwords.")
    with reading() as session:
        mine = queries.get_administrator(session, me.administrator_id)
    if sources.password_matches(mine, password):
        return mine
    _note_failure(me, attempt)
    return None


def is_still_proved(session: Session, by: Administrator) -> bool:
    """Return whether the account was neither recovered nor given another password meanwhile."""
    return queries.get_administrator(session, by.id).password_hash == by.password_hash


def _attempt(me: Identity, what: str) -> waiting.Attempt:
    """Count for this browser, or for this administrator's tokens; nobody else is kept waiting."""
    counted_for = f"{what} {sessions.current_id_hash()}{me.name}"
    return waiting.Attempt(me.name, visitor_address(), counted_for)


def _require_no_wait(attempt: waiting.Attempt, why: str) -> None:
    with reading() as session:
        wait = waiting.wait_for(session, attempt, utc_now())
    if wait > timedelta():
        seconds = int(wait.total_seconds()) + 1
        raise UnprovedError(f"{why} Wait {seconds} seconds, then try again.")


def _note_failure(me: Identity, attempt: waiting.Attempt) -> None:
    """Count a failure, in a transaction of its own: the request's is for what it asks for, and
    notes that it is done (`management.api.idempotency`).
    """
    with context().database.transaction("note a wrong code or password") as session:
        told = waiting.note_failure(session, attempt, utc_now())
        if told is not None:
            record(
                session,
                context().keys,
                me.name,
                "session.not_proved",
                me.name,
                "",
                visitor_address(),
                {"failures": told.failures, "path": request.path},
            )
