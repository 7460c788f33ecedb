"""The list of devices and the page of one device, which bring many features together."""

from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.commands.allowed import kinds_for
from management.commands.rules import OPEN
from management.commands.service import target_of
from management.devices import queries, service
from management.devices.queries import Cursor, DeviceFilter
from management.groups.queries import read_tree
from management.groups.rules import full_name, ordered
from management.overview.queries import read_device_page
from management.overview.service import retire_device
from management.overview.why_views import picked
from management.paging import PAGE, name_cursor, number_cursor, write_cursor
from management.policies.queries import list_policies
from management.web import is_fragment, reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

bp = Blueprint("devices", __name__, url_prefix="/devices")


@bp.get("")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """List devices; every filter is in the address."""
    wanted = read_filter(request.args)
    after = request.args.get("after")
    with reading() as session:
        found = queries.list_devices(
            session, wanted, Cursor(*name_cursor(after)) if after else None, PAGE + 1
        )
        policies = [] if is_fragment() else list_policies(session)
        tree = read_tree(session)
    shown = found[:PAGE]
    page = "devices/rows.html" if is_fragment() else "devices/index.html"
    more = _page_after(shown[-1]) if len(found) > PAGE else ""
    groups = {node.id: full_name(tree, node.id) for _depth, node in ordered(tree)}
    return render_template(
        page, devices=shown, wanted=wanted, policies=policies, groups=groups, more=more
    )


def read_filter(fields: MultiDict[str, str]) -> DeviceFilter:
    """Return the filter that an address asks for; what is not known finds nothing."""
    return DeviceFilter(
        state=fields.get("state", ""),
        platform=fields.get("platform", ""),
        enrolment=fields.get("enrolment", ""),
        policy_id=_id(fields, "policy"),
        group_id=_id(fields, "group"),
        owner_address=fields.get("owner", ""),
        text=fields.get("q", "")[:200],
    )


def _id(fields: MultiDict[str, str], name: str) -> UUID | None:
    text = fields.get(name, "")
    try:
        return UUID(text) if text else None
    except ValueError:
        raise MalformedMessageError(f"The {name} in the address is not valid.") from None


def _page_after(last: queries.ListedDevice) -> str:
    kept = {name: value for name, value in request.args.items() if name != "after" and value}
    place = write_cursor(last.cursor.name, last.cursor.device_id)
    return url_for("devices.index", **kept, after=place)  # type: ignore[arg-type]


@bp.get("/<uuid:device_id>")
@requires(Permission.VIEW)
def show(device_id: UUID) -> ResponseReturnValue:
    """Show one device: state and reasons, facts, commands, apps, mail, activity, incidents."""
    with reading() as session:
        page = read_device_page(session, device_id)
    return render_template(
        "devices/show.html",
        p=page,
        w=page.why,
        picked=picked(page.why.at),
        device=page.device,
        commands=page.commands,
        open_states=OPEN,
        kinds=kinds_for(target_of(page.device)),
    )


@bp.get("/<uuid:device_id>/log")
@requires(Permission.VIEW)
def log(device_id: UUID) -> ResponseReturnValue:
    """List everything that was said of the device, newest first."""
    before = request.args.get("after")
    with reading() as session:
        device = queries.get_device(session, device_id)
        found = queries.list_log(
            session, device_id, None, number_cursor(before) if before else None, PAGE + 1
        )
    entries = found[:PAGE]
    place = write_cursor(entries[-1].id) if len(found) > PAGE else ""
    more = url_for("devices.log", device_id=device_id, after=place) if place else ""
    page = "devices/log_rows.html" if is_fragment() else "devices/log.html"
    return render_template(page, device=device, entries=entries, more=more)


@bp.post("/<uuid:device_id>/policy")
@requires(Permission.CHANGE_POLICIES)
def assign_policy(device_id: UUID) -> ResponseReturnValue:
    """Let another policy hold for the device."""
    try:
        policy_id = UUID(request.form.get("policy", ""))
    except ValueError:
        abort(400, _("Choose a policy."))
    with transaction("assign a policy") as session:
        service.assign_policy(session, device_id, policy_id, signed_in_name(), utc_now())
        note(session, "device.assign_policy", device_id, policy=str(policy_id))
    flash(_("The policy holds from now on; the device gets it at its next check-in."))
    return redirect(url_for("devices.show", device_id=device_id))


@bp.post("/<uuid:device_id>/retire")
@requires(Permission.SEND_COMMANDS)
def retire(device_id: UUID) -> ResponseReturnValue:
    """End the enrolment: no mailbox, no mail. Its history stays."""
    reason = request.form.get("reason", "").strip()
    if not reason:
        abort(400, _("Give a reason; it goes into the audit trail."))
    with transaction("retire a device") as session:
        retire_device(session, device_id, signed_in_name(), utc_now())
        note(session, "device.retire", device_id, reason)
    flash(_("The enrolment has ended. Invite the user again to bring the device back."))
    return redirect(url_for("devices.show", device_id=device_id))
