"""The page of one device, which brings many features together."""

from uuid import UUID

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.commands.allowed import kinds_for
from management.commands.rules import OPEN
from management.commands.service import target_of
from management.devices import queries
from management.devices.rules import FactKind
from management.overview.list_views import bp
from management.overview.queries import read_device_page
from management.overview.service import retire_device
from management.overview.why_views import picked
from management.paging import PAGE, number_cursor, write_cursor
from management.personal import DEVICE, shows
from management.terms.queries import terms_of
from management.web import is_fragment, proofs, reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError


@bp.get("/<uuid:device_id>")
@requires(Permission.VIEW, in_groups=True)
@shows(DEVICE)
def show(device_id: UUID) -> ResponseReturnValue:
    """Show one device: state and reasons, facts, commands, apps, mail, activity, incidents."""
    with reading() as session:
        page = read_device_page(session, device_id)
        terms = terms_of(session, device_id)
    return render_template(
        "devices/show.html",
        p=page,
        terms=terms,
        w=page.why,
        picked=picked(page.why.at),
        device=page.device,
        commands=page.commands,
        open_states=OPEN,
        kinds=kinds_for(target_of(page.device)),
    )


@bp.get("/<uuid:device_id>/log")
@requires(Permission.VIEW, in_groups=True)
@shows(DEVICE)
def log(device_id: UUID) -> ResponseReturnValue:
    """List everything that was said of the device, or of one kind, newest first."""
    before, named = request.args.get("after"), request.args.get("kind", "")
    kind = FactKind(named) if named in set(FactKind) else None
    with reading() as session:
        device = queries.get_device(session, device_id)
        found = queries.list_log(
            session, device_id, kind, number_cursor(before) if before else None, PAGE + 1
        )
    entries = found[:PAGE]
    place = write_cursor(entries[-1].id) if len(found) > PAGE else ""
    more = url_for("devices.log", device_id=device_id, kind=kind, after=place) if place else ""
    page = "devices/log_rows.html" if is_fragment() else "devices/log.html"
    return render_template(page, device=device, kind=kind, entries=entries, more=more)


@bp.post("/<uuid:device_id>/retire")
@requires(Permission.SEND_COMMANDS, in_groups=True)
def retire(device_id: UUID) -> ResponseReturnValue:
    """End the enrolment, its name typed and proved again who asks: no mailbox, no mail.

    Its history stays.
    """
    reason = request.form.get("reason", "").strip()
    with reading() as session:
        name = queries.get_device(session, device_id).name
    if not reason:
        abort(400, _("Give a reason; it goes into the audit trail."))
    if request.form.get("confirm", "").strip() != name.strip():
        raise RefusedError(_("Type the name of the device exactly as shown to end its enrolment."))
    proofs().require_fresh()
    with transaction("retire a device") as session:
        retire_device(session, device_id, signed_in_name(), utc_now())
        note(session, "device.retire", device_id, reason)
    flash(_("The enrolment has ended. Invite the user again to bring the device back."))
    return redirect(url_for("devices.show", device_id=device_id))
