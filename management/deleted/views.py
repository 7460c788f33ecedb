"""What was deleted in the last thirty days, and the way back."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in
from management.audit.notes import note
from management.deleted import service
from management.deleted.kinds import KINDS
from management.personal import list_of, shows, tell_number
from management.web import reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

bp = Blueprint("deleted", __name__, url_prefix="/deleted")


@bp.get("")
@requires(Permission.VIEW, in_groups=True)
@shows(list_of("deleted"))
def index() -> ResponseReturnValue:
    """List what whoever asks may bring back."""
    with reading() as session:
        things = service.list_deleted(session, signed_in(), utc_now())
    tell_number(len(things))
    return render_template("deleted/index.html", things=things, kinds=KINDS, kept=service.KEPT)


@bp.post("/<uuid:thing_id>/restore")
@requires(Permission.VIEW, in_groups=True)
def restore(thing_id: UUID) -> ResponseReturnValue:
    """Bring a thing back as it was."""
    reason = request.form.get("reason", "").strip()
    if not reason:
        raise MalformedMessageError(_("Give a reason; it goes into the audit trail."))
    with transaction("restore what was deleted") as session:
        thing = service.restore(session, thing_id, signed_in(), utc_now())
        note(session, f"{thing.kind}.restore", thing_id, reason, name=thing.name)
    flash(_("“%(name)s” is back.", name=thing.name))
    return redirect(url_for("deleted.index"))
