"""Approval of wipes through mail servers above the limits, by the code of an approver."""

from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.mail_access import wipe_approving
from management.mail_access.pages import bp
from management.personal import list_of, shows, tell_number
from management.web import context, reading, transaction
from runtime.clock import utc_now

SHOWN = 200


@bp.get("/wipes/<uuid:wipe_id>/approve")
@requires(Permission.WIPE_DEVICES, in_groups=True)
@shows(list_of("mail wipes that wait"))
def look_at_wipes(wipe_id: UUID) -> ResponseReturnValue:
    """Show exactly what an approval would cover, and who approved already."""
    signer = context().signer
    with reading() as session:
        waiting = wipe_approving.waiting_with(session, wipe_id, utc_now())
    tell_number(len(waiting[:SHOWN]))
    return render_template(
        "mail_access/approve.html",
        wipe_id=wipe_id,
        waiting=wipe_approving.propose(signer, waiting, utc_now()),
        first=waiting[0][0],
        shown=waiting[:SHOWN],
        approvers=signer.status()["approvers"],
        me=signed_in_name(),
    )


@bp.post("/wipes/<uuid:wipe_id>/approve")
@requires(Permission.WIPE_DEVICES, in_groups=True)
def approve_wipes(wipe_id: UUID) -> ResponseReturnValue:
    """Prove to the signer that one wants this set, with a fresh code of one's own."""
    code, name = request.form.get("code", "").replace(" ", ""), signed_in_name()
    fingerprint, signer = request.form.get("fingerprint", ""), context().signer
    with reading() as session:
        waiting = wipe_approving.waiting_with(session, wipe_id, utc_now())
    found = wipe_approving.propose(signer, waiting, utc_now())
    said = wipe_approving.approve(signer, found, fingerprint, name, code)
    with transaction("approve wipes through the mail server") as session:
        if said["approved"]:
            wipe_approving.sign_now(session, utc_now())
        note(session, "mail.wipe_approve", wipe_id, set=fingerprint, wipes=str(len(waiting)))
    if not said["approved"]:
        flash(_("Your approval counts. Another approver must prove it too."))
        return redirect(url_for("mail_access.look_at_wipes", wipe_id=wipe_id))
    flash(_("The set is approved and goes out now."))
    return redirect(url_for("mail_access.show", partnership_id=waiting[0][1].id))
