"""Policies: list, edit what is asked as a form, history of versions."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.policies import queries, service
from management.policies.form import FORBIDDABLE, SWITCHES, changes, read_form
from management.policies.rules import Requirements, read_requirements
from management.web import reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

bp = Blueprint("policies", __name__, url_prefix="/policies")


@bp.get("")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """List the policies."""
    with reading() as session:
        policies = queries.list_policies(session)
        versions = {row.id: queries.current_version(session, row.id) for row in policies}
    return render_template("policies/index.html", policies=policies, versions=versions)


@bp.get("/new")
@requires(Permission.CHANGE_POLICIES)
def new() -> ResponseReturnValue:
    """Show the form of a new policy with the usual requirements."""
    return _form(None, "", Requirements(), {})


@bp.post("")
@requires(Permission.CHANGE_POLICIES)
def create() -> ResponseReturnValue:
    """Make a policy."""
    asked, errors = read_form(request.form)
    name, because = request.form.get("name", "").strip(), _because(errors)
    if not 1 <= len(name) <= 100:
        errors["name"] = _("Enter a name of 1 to 100 characters.")
    if errors:
        return _form(None, name, asked, errors)
    try:
        with transaction("create a policy") as session:
            policy = service.create_policy(
                session, name, asked, {}, signed_in_name(), because, utc_now()
            )
            note(session, "policy.create", policy.id, because, name=name)
    except RefusedError as error:
        return _form(None, name, asked, {"name": str(error)})
    flash(_("The policy is made. Give it to devices, or choose it in invitations."))
    return redirect(url_for("policies.show", policy_id=policy.id))


@bp.get("/<uuid:policy_id>")
@requires(Permission.VIEW)
def show(policy_id: UUID) -> ResponseReturnValue:
    """Show what a policy asks now, and what each version changed."""
    with reading() as session:
        policy = queries.get_policy(session, policy_id)
        versions = queries.list_versions(session, policy_id)
    asked = [read_requirements(row.requirements) for row in versions]
    history = [
        (row, changes(before, now))
        for row, now, before in zip(versions, asked, [*asked[1:], None], strict=True)
    ]
    return render_template(
        "policies/show.html",
        policy=policy,
        asked=asked[0],
        history=history,
        forbiddable=FORBIDDABLE,
    )


@bp.get("/<uuid:policy_id>/edit")
@requires(Permission.CHANGE_POLICIES)
def edit(policy_id: UUID) -> ResponseReturnValue:
    """Show the form filled with what holds now."""
    with reading() as session:
        policy = queries.get_policy(session, policy_id)
        version = queries.current_version(session, policy_id)
    return _form(policy_id, policy.name, read_requirements(version.requirements), {})


@bp.post("/<uuid:policy_id>")
@requires(Permission.CHANGE_POLICIES)
def change(policy_id: UUID) -> ResponseReturnValue:
    """Store a new version."""
    asked, errors = read_form(request.form)
    because = _because(errors)
    name = request.form.get("name", "").strip()
    if errors:
        return _form(policy_id, name, asked, errors)
    with transaction("change a policy") as session:
        settings = queries.current_version(session, policy_id).settings
        before = queries.get_policy(session, policy_id).current_version
        service.rename_policy(session, policy_id, name)
        version = service.change_policy(
            session, policy_id, asked, settings, signed_in_name(), because, utc_now()
        )
        note(session, "policy.change", policy_id, because, version=version.version, before=before)
    if version.version == before:
        flash(_("Nothing else is asked than before, so there is no new version."), "info")
    else:
        flash(_("Version %(version)s holds from now on.", version=version.version))
    return redirect(url_for("policies.show", policy_id=policy_id))


def _because(errors: dict[str, str]) -> str:
    because = request.form.get("because", "").strip()
    if not because:
        errors["because"] = _("Give a reason; it goes into the audit trail.")
    return because


def _form(
    policy_id: UUID | None, name: str, asked: Requirements, errors: dict[str, str]
) -> ResponseReturnValue:
    page = render_template(
        "policies/form.html",
        policy_id=policy_id,
        name=name,
        asked=asked,
        errors=errors,
        switches=SWITCHES,
        forbiddable=FORBIDDABLE,
        form=request.form,
    )
    return page, 422 if errors else 200
