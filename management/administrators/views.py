"""Set-up link and the list of administrators."""

import json
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, Role, public, requires, signed_in
from management.administrators import (
    known_browsers,
    queries,
    recovery_codes,
    roles,
    rules,
    service,
    sessions,
    step_up,
)
from management.administrators.links import link_of
from management.administrators.models import NO_PASSWORD
from management.administrators.sentences import password_sentence, secret_of
from management.audit.notes import note
from management.audit.service import record
from management.groups.queries import read_tree
from management.groups.rules import Tree, full_name, ordered
from management.web import context, reading, transaction, visitor_address
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

bp = Blueprint("administrators", __name__)

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
        keys = context().keys
        codes = keys.seal(json.dumps(recovery_codes.make(session, keys, owner.id, now)))
        raw_id = service.begin_session(
            session, owner, address, now, codes, sessions.browser_of_request()
        )
        record(session, keys, owner.name, "administrator.set_up", owner.name, "", address)
    sessions.begin(raw_id)
    known_browsers.remember(keys, owner.id, now)
    return redirect(url_for("recovery_codes.show"))


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
        secret=secret_of(uri),
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


def _dead() -> ResponseReturnValue:
    return render_template("administrators/link_dead.html"), 410


# --- all administrators ---


@bp.get("/administrators")
@requires(Permission.MANAGE_ADMINISTRATORS)
def index() -> ResponseReturnValue:
    """List who may work here, with which role and for which devices."""
    return _index_page({}, None)


def _index_page(
    errors: dict[str, str], link: tuple[str, str] | None, name: str = ""
) -> ResponseReturnValue:
    with reading() as session:
        tree = read_tree(session)
        page = render_template(
            "administrators/index.html",
            administrators=[
                (one, roles.role_name(session, one), roles.grant_of(session, one))
                for one in queries.list_administrators(session)
            ],
            roles=roles.list_roles(session),
            groups=_choices(tree),
            names=_names(tree),
            grant=roles.Grant(Role.OPERATOR.value, None),
            errors=errors,
            link=link,
            name=name,
            no_password=NO_PASSWORD,
        )
    return page, 422 if errors else 200


@bp.post("/administrators")
@requires(Permission.MANAGE_ADMINISTRATORS)
def add() -> ResponseReturnValue:
    """Add an administrator and show the link with which they set password and code."""
    step_up.require_fresh()
    name, grant, by = request.form.get("name", "").strip()[:100], _grant(), signed_in()
    if len(rules.normal_name(name)) < 2:
        return _index_page({"name": _("Enter a name of at least 2 characters.")}, None, name)
    with transaction("add an administrator") as session:
        added = service.add_administrator(session, name, Role.READ_ONLY, utc_now())
        roles.set_grant(session, added, grant, by)
        token = service.make_join_link(session, added, utc_now())
        note(session, "administrator.add", added.name, **roles.told(session, added))
    return _index_page({}, (added.name, link_of(token)))


@bp.get("/administrators/<uuid:administrator_id>")
@requires(Permission.MANAGE_ADMINISTRATORS)
def show(administrator_id: UUID) -> ResponseReturnValue:
    """Show role and groups of one administrator, to be changed."""
    with reading() as session:
        person = queries.get_administrator(session, administrator_id)
        return render_template(
            "administrators/show.html",
            person=person,
            grant=roles.grant_of(session, person),
            roles=roles.list_roles(session),
            groups=_choices(read_tree(session)),
        )


@bp.post("/administrators/<uuid:administrator_id>/role")
@requires(Permission.MANAGE_ADMINISTRATORS)
def change_role(administrator_id: UUID) -> ResponseReturnValue:
    """Give somebody another role and other groups."""
    step_up.require_fresh()
    grant, by = _grant(), signed_in()
    with transaction("change a role") as session:
        other = queries.get_administrator(session, administrator_id)
        before = roles.told(session, other)
        roles.change_grant(session, other, grant, by)
        after = roles.told(session, other)
        note(session, "administrator.change_role", other.name, before=before, after=after)
    flash(_("The role of %(name)s is changed.", name=other.name))
    return redirect(url_for("administrators.index"))


@bp.post("/administrators/<uuid:administrator_id>/access")
@requires(Permission.MANAGE_ADMINISTRATORS)
def change_access(administrator_id: UUID) -> ResponseReturnValue:
    """Disable or enable somebody."""
    step_up.require_fresh()
    enable = request.form.get("enable") == "yes"
    with transaction("change an administrator's access") as session:
        other = queries.get_administrator(session, administrator_id)
        roles.require_power(session, other, signed_in())
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
    step_up.require_fresh()
    with transaction("recover an administrator") as session:
        other = queries.get_administrator(session, administrator_id)
        roles.require_power(session, other, signed_in())
        token = service.make_recovery_link(session, context().signer, other, utc_now())
        note(session, "administrator.recover", other.name)
    return _index_page({}, (other.name, link_of(token)))


def _grant() -> roles.Grant:
    """Return role and groups that the form chose."""
    limited = request.form.get("sees", "all") == "groups"
    try:
        groups = frozenset(UUID(one) for one in request.form.getlist("group"))
    except ValueError:
        raise MalformedMessageError(_("Choose a group.")) from None
    return roles.Grant(request.form.get("role", ""), groups if limited else None)


def _choices(tree: Tree) -> list[tuple[int, UUID, str]]:
    return [(depth, node.id, node.name) for depth, node in ordered(tree)]


def _names(tree: Tree) -> dict[UUID, str]:
    return {one: full_name(tree, one) for one in tree}
