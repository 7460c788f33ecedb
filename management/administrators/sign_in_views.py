"""Signing in with password and code (of the app, or a recovery code), password and passkey, or a
passkey alone; signing out."""

from datetime import timedelta
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, public, requires, signed_in, who_asks
from management.administrators import (
    challenges,
    code_apps,
    known_browsers,
    passkey_proofs,
    passkeys,
    queries,
    recovery_codes,
    service,
    sessions,
    sources,
    waiting,
)
from management.administrators.models import Administrator
from management.administrators.passkey_site import site
from management.audit.notes import note
from management.audit.service import record
from management.reasons import reason
from management.shown import own_path
from management.web import context, reading, transaction, visitor_address
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, NotFoundError, RefusedError

bp = Blueprint("sign_in", __name__)


@bp.get("/sign-in")
@public("nobody is signed in yet")
def show() -> ResponseReturnValue:
    """Show the form."""
    if who_asks() is not None:
        return redirect(own_path(request.args.get("next", "/")))
    return _page("", request.args.get("next", "/"))


def _page(problem: str, following: str) -> str:
    return render_template(
        "administrators/sign_in.html",
        problem=problem,
        name=request.form.get("name", "")[:100],
        next=following,
    )


@bp.post("/sign-in/passkey")
@public("nobody is signed in yet; a question tells nothing")
def ask_for_passkey() -> ResponseReturnValue:
    """Answer what the browser asks its passkeys; the same for everybody."""
    options = passkey_proofs.request_options(site(), challenges.ask("sign in", utc_now()))
    return Response(options, mimetype="application/json")


@bp.post("/sign-in")
@public("nobody is signed in yet")
def sign_in() -> ResponseReturnValue:
    """Check the proofs; begin a session or say how long to wait."""
    if said := request.form.get("credential", ""):
        return _by_passkey(said)
    return _by_code()


# --- password and code ---


def _by_code() -> ResponseReturnValue:
    now = utc_now()
    with reading() as session:
        known = queries.find_administrator(session, _name())
        attempt = _attempt(known)
        if waiting.wait_for(session, attempt, now):
            return _failed(attempt, waited=True)
        right = sources.password_matches(known, request.form.get("password", ""))
    allowed = known is not None and right and sources.is_open(known)
    if recovery_codes.looks_like_one(request.form.get("code", "")):
        return _by_recovery_code(known, allowed, attempt)
    if not _code_matches(known, allowed):
        return _failed(attempt)
    assert known is not None
    return _begin(known, attempt, {"by": "password and code"})


def _by_recovery_code(
    known: Administrator | None, allowed: bool, attempt: waiting.Attempt
) -> ResponseReturnValue:
    """Take a recovery code instead; who is in then sees how many are left.

    Codes are compared whether or not the password was right, so that time does not tell.
    """
    keys, said = context().keys, request.form.get("code", "")
    with reading() as session:
        mac = recovery_codes.find(session, keys, known.id if known else UUID(int=0), said)
    if known is None or not allowed or not mac or not _is_spent(known, mac):
        return _failed(attempt)
    left = url_for("recovery_codes.show", next=own_path(request.form.get("next", "/")))
    return _begin(known, attempt, {"by": "password and recovery code"}, left)


def _is_spent(known: Administrator, mac: str) -> bool:
    keys = context().keys
    with transaction("use a recovery code") as session:
        if not recovery_codes.spend(session, mac, utc_now()):
            return False
        left = {"left": recovery_codes.kept(session, known.id).left}
        address = visitor_address()
        record(session, keys, known.name, "recovery_code.use", known.name, "", address, left)
    return True


def _attempt(known: Administrator | None) -> waiting.Attempt:
    browser = known_browsers.known_as(context().keys, known.id, utc_now()) if known else ""
    return waiting.Attempt(known.name if known else _name(), visitor_address(), browser)


def _nobodys_attempt() -> waiting.Attempt:
    return waiting.Attempt("", visitor_address())


def _code_matches(known: Administrator | None, allowed: bool) -> bool:
    """Ask the signer in either case, so that time does not tell whether the password was right."""
    signer = context().signer
    if not allowed or known is None or not known.uses_codes:
        signer.status()
        return False
    try:
        return code_apps.check(signer, known, request.form.get("code", "").replace(" ", ""))
    except (RefusedError, NotFoundError):  # after many wrong ones; saying so betrays the password
        return False


# --- passkey ---


def _by_passkey(said: str) -> ResponseReturnValue:
    """Nobody waits for a passkey: it cannot be guessed, and checking one costs little.

    Its failures count for the address only: a stranger types any name.
    """
    try:
        shown, owner = _accepted(said)
    except (RefusedError, MalformedMessageError) as error:
        return _failed(_nobodys_attempt(), why=str(error))
    attempt = _attempt(owner)
    if not shown.proof.knows_person:
        refused = _refused_password(owner, attempt)
        if refused is not None:
            return refused
    return _begin(owner, attempt, {"by": "passkey", "passkey": shown.passkey.name})


def _accepted(said: str) -> tuple[passkeys.Shown, Administrator]:
    """Return the passkey that answered and its owner, the question used up; RefusedError or
    MalformedMessageError else.
    """
    now = utc_now()
    challenge = challenges.take("sign in", now)
    with reading() as session:
        shown = passkeys.check(session, site(), challenge, said)
        owner = queries.get_administrator(session, shown.passkey.administrator_id)
    if owner.disabled_at is not None:
        raise RefusedError(passkeys.NOT_OURS)
    sources.require_known(owner)
    with transaction("use a passkey") as session:
        refused = passkeys.accept(session, context().keys, shown, challenge, visitor_address(), now)
    if refused:
        raise RefusedError(refused)
    return shown, owner


def _refused_password(owner: Administrator, attempt: waiting.Attempt) -> ResponseReturnValue | None:
    """Refuse who has no right password beside a passkey that asked for no PIN or finger.

    Passwords could be guessed with it, so here one waits as without a passkey.
    """
    password = request.form.get("password", "")
    with reading() as session:
        named = queries.find_administrator(session, _name())
        wait = waiting.wait_for(session, attempt, utc_now())
    if not password or named is None or named.id != owner.id:
        return _failed(_nobodys_attempt(), why=passkeys.NOT_ENOUGH)
    if wait:
        return _failed(attempt, waited=True)
    if not sources.password_matches(owner, password):
        return _failed(attempt, why=passkeys.NOT_ENOUGH)
    return None


# --- both ---


def _begin(
    owner: Administrator, attempt: waiting.Attempt, how: dict[str, str], first: str = ""
) -> ResponseReturnValue:
    now, keys, address = utc_now(), context().keys, visitor_address()
    with transaction("begin a session") as session:
        waiting.forgive(session, attempt, now)
        raw_id = service.begin_session(
            session,
            queries.get_administrator(session, owner.id),
            address,
            now,
            browser=sessions.browser_of_request(),
        )
        record(session, keys, owner.name, "session.begin", owner.name, "", address, how)
    sessions.begin(raw_id)
    if not attempt.browser:
        known_browsers.remember(keys, owner.id, now)
    return redirect(first or own_path(request.form.get("next", "/")))


def _failed(attempt: waiting.Attempt, waited: bool = False, why: str = "") -> ResponseReturnValue:
    address, now = visitor_address(), utc_now()
    with transaction("note a failed sign-in") as session:
        told = None if waited else waiting.note_failure(session, attempt, now)
        if told is not None:
            details = {"failures": told.failures}
            keys, said = context().keys, told.subject
            record(session, keys, "visitor", "session.refused", said, "", address, details)
        wait = waiting.wait_for(session, attempt, now)
    page = _page(_sentence(why, timedelta() if why else wait), request.form.get("next", "/"))
    return page, 429 if wait and not why else 401


def _sentence(why: str, wait: timedelta) -> str:
    if why:
        return reason(why)
    sentence = _("Name, password or code is wrong, or the code was used already.")
    if not wait:
        return sentence
    seconds = int(wait.total_seconds()) + 1
    return f"{sentence} " + _("Wait %(seconds)s seconds before the next attempt.", seconds=seconds)


def _name() -> str:
    return request.form.get("name", "")[:100]


@bp.post("/sign-out")
@requires(Permission.VIEW, in_groups=True)
def out() -> ResponseReturnValue:
    """End this browser's session."""
    with transaction("sign out") as session:
        service.end_session(session, sessions.current_id_hash())
        note(session, "session.end", signed_in().name)
    sessions.end()
    return redirect(url_for("sign_in.show"))
