"""Devices that claim to be one we knew, and the decision about each."""

from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.personal import DEVICE, list_of, shows, tell_number
from management.returns import queries, service
from management.web import proofs, reading, transaction
from runtime.clock import utc_now

bp = Blueprint("returns", __name__)


@bp.get("/returned")
@requires(Permission.VIEW)
@shows(list_of("returned devices"))
def index() -> ResponseReturnValue:
    """List what waits for a decision, and what was decided."""
    with reading() as session:
        open_claims = queries.list_claims(session, "")
        decided = [
            one for word in (service.SAME, service.ANOTHER)
            for one in queries.list_claims(session, word, limit=50)
        ]  # fmt: skip
        wipes = {
            one.earlier.id for one in open_claims if queries.open_wipes(session, one.earlier.id)
        }
    tell_number(len(open_claims) + len(decided))
    decided.sort(key=lambda one: one.claim.decided_at or one.claim.made_at, reverse=True)
    return render_template(
        "returns/index.html", open_claims=open_claims, decided=decided, wipes=wipes
    )


@bp.get("/devices/<uuid:device_id>/records")
@requires(Permission.VIEW)
@shows(DEVICE)
def of_device(device_id: UUID) -> ResponseReturnValue:
    """Answer htmx with the earlier and later records of one device."""
    with reading() as session:
        found = queries.list_claims(session, device_id=device_id)
    return render_template("returns/of_device.html", claims=found, device_id=device_id)


@bp.post("/returned/<uuid:claim_id>")
@requires(Permission.WIPE_DEVICES)
def decide(claim_id: UUID) -> ResponseReturnValue:
    """Decide whether it is the same device: then its wipes go out, so it is proved who asks."""
    because = request.form.get("reason", "").strip()
    if not because:
        abort(400, _("Give a reason; it goes into the audit trail."))
    same = request.form.get("decision") == service.SAME
    if same:
        proofs().require_fresh()
    with transaction("decide about a returned device") as session:
        claim = service.decide(session, claim_id, same, signed_in_name(), because, utc_now())
        earlier = str(claim.earlier_id)
        note(session, f"device.{claim.decision}", claim.device_id, because, earlier=earlier)
    flash(_("It is decided. Both records keep their history."))
    return redirect(url_for("returns.index"))
