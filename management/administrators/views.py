"""Set-up link, sign-in and sign-out, one's own account, and the list of administrators."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, Role, public, requires, signed_in, who_asks
from management.administrators import queries, rules, service, sessions
from management.administrators.models import Administrator
from management.audit.notes import note
from management.audit.service import record
from management.shown import LANGUAGES, THEMES, own_path
from management.web import context, reading, transaction, visitor_address
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError

bp = Blueprint("administrators", __name__)

YEAR = 365 * 24 * 3600


# --- signing in and out ---


@bp.get("/sign-in")
@public("nobody is signed in yet")
def sign_in() -> ResponseReturnValue:
    """Show the form."""
    if who_asks() is not None:
        return redirect(own_path(request.args.get("next", "/")))
    return render_template("administrators/sign_in.html", next=request.args.get("next", "/"))


@bp.post("/sign-in")
@public("nobody is signed in yet")
def sign_in_now() -> ResponseReturnValue:
    """Check name, password and code; begin a session or say how long to wait."""
    name, address, now = request.form.get("name", "")[:100], visitor_address(), utc_now()
    with reading() as session:
        wait = service.wait_for(session, name, address, now)
        known = queries.find_administrator(session, name)
        right = service.password_matches(known, request.form.get("password", ""))
    allowed = right and not wait and known is not None and known.disabled_at is None
    if not _code_matches(known, allowed):
        return _failed(name, wait.total_seconds())
    with transaction("begin a session") as session:
        assert known is not None
        owner = queries.get_administrator(session, known.id)
        raw_id = service.begin_session(session, owner, address, now)
        record(session, context().keys, owner.name, "session.begin", owner.name, "", address)
    sessions.begin(raw_id)
    return redirect(own_path(request.form.get("next", "/")))


def _code_matches(known: Administrator | None, allowed: bool) -> bool:
    """Ask the signer in either case, so that time does not tell whether the password was right."""
    signer = context().signer
    if not allowed or known is None:
        signer.status()
        return False
    return signer.check_totp(known.id, request.form.get("code", "").replace(" ", ""))


def _failed(name: str, waited: float) -> ResponseReturnValue:
    address, now = visitor_address(), utc_now()
    with transaction("note a failed sign-in") as session:
        if waited <= 0:
            service.note_failure(session, name, address, now)
            record(session, context().keys, "visitor", "session.refused", name, "", address)
        wait = service.wait_for(session, name, address, now).total_seconds()
    sentence = _("Name, password or code is wrong, or the code was used already.")
    if wait > 0:
        sentence += " " + _(
            "Wait %(seconds)s seconds before the next attempt.", seconds=int(wait) + 1
        )
    answer = render_template(
        "administrators/sign_in.html",
        problem=sentence,
        name=name,
        next=request.form.get("next", "/"),
    )
    return answer, 429 if wait > 0 else 401


@bp.post("/sign-out")
@requires(Permission.VIEW)
def sign_out() -> ResponseReturnValue:
    """End this browser's session."""
    with transaction("sign out") as session:
        service.end_session(session, sessions.current_id_hash())
        note(session, "session.end", signed_in().name)
    sessions.end()
    return redirect(url_for("administrators.sign_in"))


# --- one-time links ---


@bp.get("/setup")
@public("the token in the link is the proof")
def setup() -> ResponseReturnValue:
    """Show the form behind a one-time link, or that the link is dead."""
    return _setup_page(request.args.get("token", ""), {}, "")


@bp.post("/setup")
@public("the token in the link is the proof")
def setup_now() -> ResponseReturnValue:
    """Set name, password and code; the link is dead from here on."""
    token, name = request.form.get("token", ""), request.form.get("name", "").strip()[:100]
    with reading() as session:
        link = queries.find_link(session, token, utc_now())
        if link is None:
            return _dead()
        owner_id = service.link_owner(link)
        if link.administrator_id is not None:
            name = queries.get_administrator(session, owner_id).name
    errors = _setup_errors(name)
    if not errors and not context().signer.check_totp(owner_id, _code()):
        errors["code"] = _("This code is wrong or too old. Enter the one your app shows now.")
    if errors:
        return _setup_page(token, errors, name)
    return _finish_setup(token, name)


def _finish_setup(token: str, name: str) -> ResponseReturnValue:
    address, now = visitor_address(), utc_now()
    with transaction("use a one-time link") as session:
        owner = service.use_link(session, token, name, request.form["password"], now)
        if owner is None:
            return _dead()
        raw_id = service.begin_session(session, owner, address, now)
        keys = context().keys
        record(session, keys, owner.name, "administrator.set_up", owner.name, "", address)
    sessions.begin(raw_id)
    return redirect(url_for("overview.dashboard"))


def _setup_page(token: str, errors: dict[str, str], name: str) -> ResponseReturnValue:
    with reading() as session:
        link = queries.find_link(session, token, utc_now())
        if link is None:
            return _dead()
        owner_id = service.link_owner(link)
        if link.administrator_id is not None:
            name = queries.get_administrator(session, owner_id).name
    uri = context().signer.begin_totp(owner_id, name or "sekisho")
    page = render_template(
        "administrators/setup.html",
        token=token,
        purpose=link.purpose,
        name=name,
        errors=errors,
        uri=uri,
        secret=_secret_of(uri),
        shortest=rules.SHORTEST_PASSWORD,
    )
    return page, 422 if errors else 200


def _setup_errors(name: str) -> dict[str, str]:
    errors = {}
    if len(rules.normal_name(name)) < 2:
        errors["name"] = _("Enter a name of at least 2 characters.")
    if sentence := _password_sentence(request.form.get("password", ""), name):
        errors["password"] = sentence
    return errors


def _password_sentence(password: str, name: str) -> str:
    sentences = {
        "short": _("Use at least %(count)s characters.", count=rules.SHORTEST_PASSWORD),
        "long": _("Use at most %(count)s characters.", count=rules.LONGEST_PASSWORD),
        "simple": _("This is too simple: use more different characters."),
        "name": _("The password must not contain your name."),
        "common": _("This password is one of the first that attackers try. Choose another."),
    }
    problem = rules.password_problem(password, name)
    return sentences[problem] if problem else ""


def _code() -> str:
    return request.form.get("code", "").replace(" ", "")


def _secret_of(uri: str) -> str:
    """Return the secret in an otpauth URI in groups of four, for typing."""
    secret = uri.partition("secret=")[2].partition("&")[0]
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))


def _dead() -> ResponseReturnValue:
    return render_template("administrators/link_dead.html"), 410


# --- one's own account ---


@bp.post("/language")
@public("a visitor may choose it too; it is only a cookie then")
def choose_language() -> ResponseReturnValue:
    """Remember the language: in the account, and in a cookie for the sign-in page."""
    return _remember("language", request.form.get("language", ""), LANGUAGES)


@bp.post("/theme")
@public("a visitor may choose it too; it is only a cookie then")
def choose_theme() -> ResponseReturnValue:
    """Remember light or dark; nothing: as the browser asks."""
    return _remember("theme", request.form.get("theme", ""), ("", *THEMES))


def _remember(what: str, value: str, choices: tuple[str, ...]) -> ResponseReturnValue:
    if value not in choices:
        raise MalformedMessageError(f"There is no such {what}.")
    identity = who_asks()
    if identity is not None:
        with transaction(f"remember the {what}") as session:
            setattr(queries.get_administrator(session, identity.administrator_id), what, value)
    answer = redirect(own_path(request.form.get("next", "/")))
    answer.set_cookie(what, value, max_age=YEAR, secure=True, httponly=True, samesite="Strict")
    return answer


@bp.get("/account")
@requires(Permission.VIEW)
def account() -> ResponseReturnValue:
    """Show one's own account: password, language, theme, sessions, API tokens."""
    return _account_page({})


def _account_page(errors: dict[str, str], token: str = "") -> ResponseReturnValue:
    mine, now = signed_in().administrator_id, utc_now()
    with reading() as session:
        page = render_template(
            "administrators/account.html",
            me=queries.get_administrator(session, mine),
            sessions=queries.list_sessions(session, mine, now),
            this_session=sessions.current_id_hash(),
            tokens=queries.list_tokens(session, mine),
            now=now,
            errors=errors,
            new_token=token,
        )
    return page, 422 if errors else 200


@bp.post("/account/password")
@requires(Permission.VIEW)
def change_password() -> ResponseReturnValue:
    """Set a new password after the old one was given; other browsers are signed out."""
    mine = signed_in()
    with transaction("change a password") as session:
        me = queries.get_administrator(session, mine.administrator_id)
        if not service.password_matches(me, request.form.get("old_password", "")):
            return _account_page({"old_password": _("This is not your password.")})
        sentence = _password_sentence(request.form.get("password", ""), me.name)
        if sentence:
            return _account_page({"password": sentence})
        service.change_password(me, request.form["password"])
        service.end_sessions(session, me.id, but=sessions.current_id_hash())
        note(session, "administrator.change_password", me.name)
    flash(_("Your password is changed; your other browsers are signed out."))
    return redirect(url_for("administrators.account"))


@bp.post("/account/tokens")
@requires(Permission.VIEW)
def make_token() -> ResponseReturnValue:
    """Make an API token and show it this once."""
    name = request.form.get("name", "").strip()
    if not name:
        return _account_page({"name": _("Say what the token is for.")})
    with transaction("make an API token") as session:
        me = queries.get_administrator(session, signed_in().administrator_id)
        token = service.make_token(session, me, name, utc_now())
        note(session, "token.make", name)
    return _account_page({}, token)


@bp.post("/account/tokens/<token_hash>/revoke")
@requires(Permission.VIEW)
def revoke_token(token_hash: str) -> ResponseReturnValue:
    """End one of one's own tokens."""
    with transaction("revoke an API token") as session:
        service.revoke_token(session, signed_in().administrator_id, token_hash, utc_now())
        note(session, "token.revoke", token_hash[:12])
    flash(_("The token does not work any more."))
    return redirect(url_for("administrators.account"))


@bp.post("/account/sign-out-others")
@requires(Permission.VIEW)
def sign_out_others() -> ResponseReturnValue:
    """Sign out every other browser of one's own."""
    with transaction("sign out other browsers") as session:
        mine = signed_in()
        service.end_sessions(session, mine.administrator_id, but=sessions.current_id_hash())
        note(session, "session.end_others", mine.name)
    flash(_("Your other browsers are signed out."))
    return redirect(url_for("administrators.account"))


# --- all administrators ---


@bp.get("/administrators")
@requires(Permission.MANAGE_ADMINISTRATORS)
def index() -> ResponseReturnValue:
    """List who may work here."""
    return _index_page({}, None)


def _index_page(
    errors: dict[str, str], link: tuple[str, str] | None, name: str = ""
) -> ResponseReturnValue:
    with reading() as session:
        page = render_template(
            "administrators/index.html",
            administrators=queries.list_administrators(session),
            errors=errors,
            link=link,
            name=name,
            no_password=service.NO_PASSWORD,
        )
    return page, 422 if errors else 200


@bp.post("/administrators")
@requires(Permission.MANAGE_ADMINISTRATORS)
def add() -> ResponseReturnValue:
    """Add an administrator and show the link with which they set password and code."""
    name, role = request.form.get("name", "").strip()[:100], _role()
    if len(rules.normal_name(name)) < 2:
        return _index_page({"name": _("Enter a name of at least 2 characters.")}, None, name)
    with transaction("add an administrator") as session:
        added = service.add_administrator(session, name, role, utc_now())
        token = service.make_join_link(session, added, utc_now())
        note(session, "administrator.add", added.name, role=role.value)
    return _index_page({}, (added.name, _link_of(token)))


@bp.post("/administrators/<uuid:administrator_id>/role")
@requires(Permission.MANAGE_ADMINISTRATORS)
def change_role(administrator_id: UUID) -> ResponseReturnValue:
    """Give somebody another role."""
    with transaction("change a role") as session:
        other = _somebody_else(queries.get_administrator(session, administrator_id))
        before = other.role
        service.change_role(session, other, _role())
        note(session, "administrator.change_role", other.name, before=before, after=other.role)
    flash(_("The role of %(name)s is changed.", name=other.name))
    return redirect(url_for("administrators.index"))


@bp.post("/administrators/<uuid:administrator_id>/access")
@requires(Permission.MANAGE_ADMINISTRATORS)
def change_access(administrator_id: UUID) -> ResponseReturnValue:
    """Disable or enable somebody."""
    enable = request.form.get("enable") == "yes"
    with transaction("change an administrator's access") as session:
        other = _somebody_else(queries.get_administrator(session, administrator_id))
        if enable:
            service.enable(other)
        else:
            service.disable(session, other, utc_now())
        note(session, "administrator.enable" if enable else "administrator.disable", other.name)
    flash(_("Saved."))
    return redirect(url_for("administrators.index"))


@bp.post("/administrators/<uuid:administrator_id>/recover")
@requires(Permission.MANAGE_ADMINISTRATORS)
def recover(administrator_id: UUID) -> ResponseReturnValue:
    """Take somebody's password and code away and show a link for new ones."""
    with transaction("recover an administrator") as session:
        other = _somebody_else(queries.get_administrator(session, administrator_id))
        token = service.make_recovery_link(session, context().signer, other, utc_now())
        note(session, "administrator.recover", other.name)
    return _index_page({}, (other.name, _link_of(token)))


def _somebody_else(administrator: Administrator) -> Administrator:
    if administrator.id == signed_in().administrator_id:
        raise RefusedError("You cannot do this to yourself; ask another owner.")
    return administrator


def _role() -> Role:
    try:
        return Role(request.form.get("role", ""))
    except ValueError:
        raise MalformedMessageError("There is no such role.") from None


def _link_of(token: str) -> str:
    return url_for("administrators.setup", token=token, _external=True)
