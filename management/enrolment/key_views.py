"""Keys that are nobody's own: many devices enrol by one."""

from datetime import UTC, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.enrolment import service
from management.enrolment.rules import MOST_DEVICES
from management.groups.models import ROOT_GROUP
from management.groups.queries import read_tree, shown_tree
from management.groups.rules import full_name, ordered
from management.policies.queries import list_policies
from management.shown import zone
from management.web import context, reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

bp = Blueprint("enrolment_keys", __name__, url_prefix="/enrolment-keys")


@bp.get("/new")
@requires(Permission.INVITE, in_groups=True)
def new() -> ResponseReturnValue:
    """Show the form."""
    return _form({})


@bp.post("")
@requires(Permission.INVITE, in_groups=True)
def make() -> ResponseReturnValue:
    """Make a key and show it."""
    form = request.form
    if errors := _errors():
        return _form(errors)
    most = form.get("devices", type=int) if form.get("count") == "some" else None
    policy = form.get("policy", "")
    try:
        with transaction("make an enrolment key") as session:
            made, _key = service.make_key(
                session,
                context().keys,
                form["purpose"],
                form.get("preset", ""),
                UUID(policy) if policy else None,
                _end_of(form["until"]),
                signed_in_name(),
                utc_now(),
                UUID(form.get("group") or str(ROOT_GROUP)),
                most,
                "asks_user" in form,
            )
            note(session, "enrolment_key.make", made.person, invitation=str(made.id))
    except RefusedError as error:
        return _form({"preset" if form.get("preset") else "purpose": str(error)})
    return redirect(url_for("enrolment.show", invitation_id=made.id))


def _form(errors: dict[str, str]) -> ResponseReturnValue:
    with reading() as session:
        policies, tree = list_policies(session), read_tree(session)
        shown = shown_tree(session)
    page = render_template(
        "enrolment/new_key.html",
        policies=policies,
        groups=[(node.id, full_name(tree, node.id)) for _, node in ordered(shown)],
        form=request.form,
        errors=errors,
        until=(utc_now() + timedelta(days=365)).date().isoformat(),
    )
    return page, 422 if errors else 200


def _errors() -> dict[str, str]:
    form = request.form
    if not form.get("purpose", "").strip():
        return {"purpose": _("Say what the key is for.")}
    if form.get("count") == "some" and not 1 <= form.get("devices", 0, type=int) <= MOST_DEVICES:
        return {"devices": _("Enter how many devices it lets in.")}
    try:
        _end_of(form.get("until", ""))
    except ValueError:
        return {"until": _("Choose the last day of the key.")}
    for name, problem in (("policy", _("Choose a policy.")), ("group", _("Choose a group."))):
        try:
            UUID(form.get(name) or str(ROOT_GROUP))
        except ValueError:
            return {name: problem}
    return {}


def _end_of(day: str) -> datetime:
    """Return the end of a day where the administrator is; ValueError when it is none."""
    last = datetime.combine(datetime.fromisoformat(day).date(), time.max)
    return last.replace(tzinfo=ZoneInfo(zone())).astimezone(UTC)
