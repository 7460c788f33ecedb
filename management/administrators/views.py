"""Set-up link, sign-in and sign-out, and the list of administrators."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, Role, public, requires, signed_in, who_asks
from management.administrators import queries, rules, service, sessions
from management.administrators.models import Administrator
from management.administrators.sentences import password_sentence
from management.audit.notes import note
from management.audit.service import record
from management.shown import own_path
from management.web import context, reading, transaction, visitor_address
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError

bp = Blueprint("administrators", __name__)

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
    if sentence := password_sentence(request.form.get("password", ""), name):
        errors["password"] = sentence
    return errors


def _code() -> str:
    return request.form.get("code", "").replace(" ", "")


def _secret_of(uri: str) -> str:
    """Return the secret in an otpauth URI in groups of four, for typing."""
    secret = uri.partition("secret=")[2].partition("&")[0]
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))


def _dead() -> ResponseReturnValue:
    return render_template("administrators/link_dead.html"), 410


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
