"""Policies: list, what is asked and where it comes from, one form for all, history of versions."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.policies import queries, removal, service
from management.policies.catalogue.all import CATEGORIES, NAMES
from management.policies.compliance_form import (
    FORBIDDABLE,
    SWITCHES,
    changes,
    read_form,
    shown_days,
    standing,
)
from management.policies.differences import differences, listed
from management.policies.inheritance import ALONE, Link
from management.policies.models import PolicyVersion
from management.policies.rules import Requirements, read_requirements
from management.policies.schema import Settings
from management.policies.service import ConflictError, StaleError
from management.policies.settings_form import read_settings_form
from management.policies.values import Reader, defaults, shown
from management.web import context, reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError

bp = Blueprint("policies", __name__, url_prefix="/policies")
VERSIONS_SHOWN = 30


@dataclass(slots=True)
class Draft:
    """What the form holds: read from a version, or from what was sent."""

    name: str
    asked: Requirements
    given: Settings
    """Without secrets; as a program would give it."""
    link: Link = ALONE
    based_on: int = 0
    because: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    """What to store, when there is no error."""
    meanwhile: list[tuple[PolicyVersion, Any, list[Any]]] = field(default_factory=list)
    """Versions that others made while this one was written."""


@bp.get("")
@requires(Permission.VIEW, in_groups=True)
def index() -> ResponseReturnValue:
    """List the policies."""
    with reading() as session:
        policies = queries.list_policies(session)
        versions = {row.id: queries.current_version(session, row.id) for row in policies}
        deleted = queries.list_deleted(session)
    names = {row.id: row.name for row in policies}
    return render_template(
        "policies/index.html", policies=policies, versions=versions, names=names, deleted=deleted
    )


@bp.get("/new")
@requires(Permission.CHANGE_POLICIES)
def new() -> ResponseReturnValue:
    """Show the form of a new policy with the usual settings and requirements."""
    return _form(None, Draft("", Requirements(), defaults()))


@bp.post("")
@requires(Permission.CHANGE_POLICIES)
def create() -> ResponseReturnValue:
    """Make a policy."""
    draft = _read_draft({})
    if draft.errors:
        return _form(None, draft)
    try:
        with transaction("create a policy") as session:
            policy = service.create_policy(
                session,
                draft.name,
                draft.asked,
                draft.settings,
                signed_in_name(),
                draft.because,
                utc_now(),
                draft.link,
            )
            note(session, "policy.create", policy.id, draft.because, name=policy.name)
    except RefusedError as error:
        return _refused(None, draft, error)
    flash(_("The policy is made. Give it to a group."))
    return redirect(url_for("policies.show", policy_id=policy.id))


@bp.get("/<uuid:policy_id>")
@requires(Permission.VIEW, in_groups=True)
def show(policy_id: UUID) -> ResponseReturnValue:
    """Show what a policy asks now, where each part comes from, and what each version changed."""
    with reading() as session:
        queries.require_seen(session, policy_id)
        policy = queries.get_policy(session, policy_id)
        versions = queries.list_versions(session, policy_id)
        origins = queries.origins(session, versions[0])
        names = {row.id: row.name for row in queries.list_policies(session)}
        children, seen = queries.list_children(session, policy_id), queries.seen_policies(session)
        used_by = removal.shown_uses(session, policy_id, utc_now())
    asked = [read_requirements(row.requirements) for row in versions[: VERSIONS_SHOWN + 1]]
    return render_template(
        "policies/show.html",
        policy=policy,
        version=versions[0],
        asked=asked[0],
        parts=_parts(versions[0]),
        origins=origins,
        names=names,
        children=[one for one in children if seen is None or one.id in seen],
        used_by=used_by,
        history=_history(versions[: VERSIONS_SHOWN + 1], asked)[:VERSIONS_SHOWN],
        older=len(versions) - VERSIONS_SHOWN,
        forbiddable=FORBIDDABLE,
    )


@bp.get("/<uuid:policy_id>/edit")
@requires(Permission.CHANGE_POLICIES)
def edit(policy_id: UUID) -> ResponseReturnValue:
    """Show the form filled with what holds now."""
    with reading() as session:
        policy = queries.get_policy(session, policy_id)
        version = queries.current_version(session, policy_id)
    draft = Draft(
        policy.name,
        read_requirements(version.requirements),
        shown(version.settings),
        Link(parent_id=version.parent_id, inherited=tuple(version.inherited)),
        version.version,
    )
    return _form(policy_id, draft)


@bp.post("/<uuid:policy_id>")
@requires(Permission.CHANGE_POLICIES)
def change(policy_id: UUID) -> ResponseReturnValue:
    """Store a new version."""
    with reading() as session:
        current = queries.current_version(session, policy_id)
    draft = _read_draft(current.settings)
    if draft.errors:
        return _form(policy_id, draft)
    try:
        with transaction("change a policy") as session:
            before = queries.get_policy(session, policy_id).current_version
            version = service.change_policy(
                session,
                policy_id,
                draft.asked,
                draft.settings,
                signed_in_name(),
                draft.because,
                utc_now(),
                draft.link,
                draft.based_on or None,
            )
            service.rename_policy(session, policy_id, draft.name)
            said = {"version": version.version, "before": before}
            note(session, "policy.change", policy_id, draft.because, **said)
    except RefusedError as error:
        return _refused(policy_id, draft, error)
    if version.version == before:
        flash(_("Nothing else is asked than before, so there is no new version."), "info")
    else:
        flash(_("Version %(version)s holds from now on.", version=version.version))
    return redirect(url_for("policies.show", policy_id=policy_id))


@bp.post("/<uuid:policy_id>/delete")
@requires(Permission.CHANGE_POLICIES)
def delete(policy_id: UUID) -> ResponseReturnValue:
    """Delete a policy that nothing uses; the list offers to restore it."""
    with transaction("delete a policy") as session:
        queries.require_seen(session, policy_id)
        policy = removal.delete_policy(session, policy_id, signed_in_name(), utc_now())
        note(session, "policy.delete", policy_id, _because(), name=policy.name)
    flash(_("The policy is deleted. You can restore it below."))
    return redirect(url_for("policies.index"))


@bp.post("/<uuid:policy_id>/restore")
@requires(Permission.CHANGE_POLICIES)
def restore(policy_id: UUID) -> ResponseReturnValue:
    """Bring a deleted policy back."""
    because = _because()
    with transaction("restore a policy") as session:
        queries.require_seen(session, policy_id)
        policy = removal.restore_policy(session, policy_id)
        note(session, "policy.restore", policy_id, because, name=policy.name)
    flash(_("The policy is back."))
    return redirect(url_for("policies.show", policy_id=policy_id))


def _because() -> str:
    reason = request.form.get("because", "").strip()
    if not reason:
        raise MalformedMessageError(_("Give a reason; it goes into the audit trail."))
    return reason[:1000]


def _read_draft(before: Settings) -> Draft:
    """Return what was sent, with everything that is wrong in it."""
    asked, errors = read_form(request.form)
    given = read_settings_form(request.form, before)
    reader = Reader(context().keys, before)
    settings = reader.read(given)
    draft = Draft(
        request.form.get("name", "").strip(),
        asked,
        given,
        _link(errors),
        request.form.get("based_on", 0, type=int),
        request.form.get("because", "").strip(),
        {**errors, **reader.errors},
        settings,
    )
    if not 1 <= len(draft.name) <= 100:
        draft.errors["name"] = _("Enter a name of 1 to 100 characters.")
    if not draft.because:
        draft.errors["because"] = _("Give a reason; it goes into the audit trail.")
    return draft


def _link(errors: dict[str, str]) -> Link:
    parent = request.form.get("parent", "")
    try:
        parent_id = UUID(parent) if parent else None
    except ValueError:
        errors["parent"] = _("Choose a policy.")
        return ALONE
    wanted = set(request.form.getlist("inherit")) if parent_id else set()
    return Link(parent_id=parent_id, inherited=tuple(sorted(wanted & set(NAMES))))


def _refused(policy_id: UUID | None, draft: Draft, error: RefusedError) -> ResponseReturnValue:
    """Show the form again: a contradiction at its place, anything else at the top."""
    problems = error.problems if isinstance(error, ConflictError) else {}
    draft.errors = problems or {"": str(error)}
    if isinstance(error, StaleError) and policy_id is not None:
        draft.meanwhile = _meanwhile(policy_id, draft.based_on)
        draft.based_on = draft.meanwhile[0][0].version
    return _form(policy_id, draft)


def _meanwhile(policy_id: UUID, based_on: int) -> list[tuple[PolicyVersion, Any, list[Any]]]:
    """Return the versions that others made since *based_on*, and what each changed."""
    with reading() as session:
        found = queries.list_versions(session, policy_id)
    since = [row for row in found if row.version >= based_on][: VERSIONS_SHOWN + 1]
    asked = [read_requirements(row.requirements) for row in since]
    return _history(since, asked)[: max(1, len(since) - 1)]


def _form(policy_id: UUID | None, draft: Draft) -> ResponseReturnValue:
    with reading() as session:
        policies = queries.list_policies(session)
        groups = queries.list_groups(session)
    page = render_template(
        "policies/form.html",
        policy_id=policy_id,
        draft=draft,
        asked=draft.asked,
        errors=draft.errors,
        categories=CATEGORIES,
        parents=[row for row in policies if row.id != policy_id],
        switches=SWITCHES,
        standing=standing,
        shown_days=shown_days,
        groups=groups,
        forbiddable=FORBIDDABLE,
        form=request.form,
    )
    return page, 422 if draft.errors else 200


def _parts(version: PolicyVersion) -> list[tuple[Any, list[Any]]]:
    """Return each category with what it asks."""
    asked = listed(version.settings)
    return [(one, [said for said in asked if said.category is one]) for one in CATEGORIES]


def _history(
    versions: Any, asked: list[Requirements]
) -> list[tuple[PolicyVersion, dict[str, Any], list[Any]]]:
    """Return each version, newest first, with what it changed of criteria and settings."""
    pairs = zip(versions, asked, [*versions[1:], None], [*asked[1:], None], strict=True)
    return [
        (row, dict(changes(was, now)), differences(older.settings, row.settings) if older else [])
        for row, now, older, was in pairs
    ]
