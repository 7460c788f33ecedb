"""Roles: what each holds, who has it; roles of one's own are put together here."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in
from management.administrators import roles, step_up
from management.audit.notes import note
from management.reasons import reason
from management.web import reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError

bp = Blueprint("roles", __name__, url_prefix="/roles")


@bp.get("")
@requires(Permission.MANAGE_ADMINISTRATORS)
def index() -> ResponseReturnValue:
    """Show what each role holds, and the form for a new one."""
    return _page("", frozenset({Permission.VIEW}), "")


def _page(name: str, chosen: roles.Permissions, problem: str) -> ResponseReturnValue:
    with reading() as session:
        found = roles.list_roles(session)
    page = render_template(
        "administrators/roles.html",
        roles=found,
        permissions=list(Permission),
        name=name,
        chosen=chosen,
        errors={"name": problem} if problem else {},
    )
    return page, 422 if problem else 200


@bp.post("")
@requires(Permission.MANAGE_ADMINISTRATORS)
def create() -> ResponseReturnValue:
    """Make a role."""
    step_up.require_fresh()
    name, chosen = request.form.get("name", "").strip(), _chosen()
    try:
        with transaction("make a role") as session:
            role = roles.create_role(session, name, chosen, signed_in(), utc_now())
            note(session, "role.create", role.id, name=role.name, permissions=role.permissions)
    except RefusedError as error:
        return _page(name, chosen, reason(str(error)))
    flash(_("The role %(name)s is made.", name=role.name))
    return redirect(url_for("roles.index"))


@bp.get("/<uuid:role_id>")
@requires(Permission.MANAGE_ADMINISTRATORS)
def show(role_id: UUID) -> ResponseReturnValue:
    """Show the form of one role."""
    with reading() as session:
        role = roles.get_role(session, role_id)
        return render_template(
            "administrators/role.html",
            role=role,
            chosen=roles.read_permissions(role),
            permissions=list(Permission),
        )


@bp.post("/<uuid:role_id>")
@requires(Permission.MANAGE_ADMINISTRATORS)
def change(role_id: UUID) -> ResponseReturnValue:
    """Give a role another name or other permissions."""
    step_up.require_fresh()
    name, chosen = request.form.get("name", ""), _chosen()
    with transaction("change a role") as session:
        before = roles.described(roles.get_role(session, role_id))
        role = roles.change_role(session, role_id, name, chosen, signed_in(), utc_now())
        note(session, "role.change", role.id, before=before, after=roles.described(role))
    flash(_("The role %(name)s is changed. It holds at once for all who have it.", name=role.name))
    return redirect(url_for("roles.index"))


@bp.post("/<uuid:role_id>/delete")
@requires(Permission.MANAGE_ADMINISTRATORS)
def delete(role_id: UUID) -> ResponseReturnValue:
    """Delete a role that nobody has."""
    step_up.require_fresh()
    with transaction("delete a role") as session:
        role = roles.delete_role(session, role_id, signed_in(), utc_now())
        note(session, "role.delete", role.id, name=role.name, permissions=role.permissions)
    flash(_("The role %(name)s is deleted. It can be brought back under Deleted.", name=role.name))
    return redirect(url_for("roles.index"))


def _chosen() -> roles.Permissions:
    try:
        return frozenset(Permission(one) for one in request.form.getlist("permission"))
    except ValueError:
        raise MalformedMessageError("There is no such permission.") from None
