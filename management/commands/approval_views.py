"""Approval of commands above the signer's limits, by the code of an approver."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.commands import approving, queries
from management.devices.queries import get_device
from management.personal import list_of, shows, tell_number
from management.web import context, reading, transaction
from runtime.clock import utc_now

bp = Blueprint("command_approvals", __name__, url_prefix="/commands")
SHOWN = 200


@bp.get("/waiting")
@requires(Permission.VIEW, in_groups=True)
def waiting() -> ResponseReturnValue:
    """Answer htmx with how many commands wait for a person, and for what."""
    with reading() as session:
        counts = queries.count_waiting(session)
    return render_template("commands/waiting.html", waiting=counts)


@bp.get("/<uuid:command_id>/approve")
@requires(Permission.WIPE_DEVICES, in_groups=True)
@shows(list_of("commands that wait"))
def look(command_id: UUID) -> ResponseReturnValue:
    """Show exactly what an approval would cover, and who approved already."""
    with reading() as session:
        commands = approving.waiting_with(session, command_id)
        names = [get_device(session, one.device_id).name for one in commands[:SHOWN]]
    tell_number(len(names))
    found = approving.propose(context().signer, commands)
    return render_template(
        "commands/approve.html",
        command=commands[0],
        command_id=command_id,
        waiting=found,
        names=names,
        approvers=context().signer.status()["approvers"],
        me=signed_in_name(),
    )


@bp.post("/<uuid:command_id>/approve")
@requires(Permission.WIPE_DEVICES, in_groups=True)
def approve(command_id: UUID) -> ResponseReturnValue:
    """Prove to the signer that one wants this set, with a fresh code of one's own."""
    code, name = request.form.get("code", "").replace(" ", ""), signed_in_name()
    with reading() as session:
        commands = approving.waiting_with(session, command_id)
    signer = context().signer
    found = approving.propose(signer, commands)
    fingerprint = request.form.get("fingerprint", "")
    said = approving.approve(signer, found, fingerprint, name, code)
    with transaction("approve commands") as session:
        if said["approved"]:
            approving.send_approved(session, commands, utc_now())
        number = str(len(commands))
        note(session, "command.approve", command_id, set=fingerprint, commands=number)
    if said["approved"]:
        flash(_("The set is approved and goes out now."))
        return redirect(url_for("commands.index", by=commands[0].requested_by))
    flash(_("Your approval counts. Another approver must prove it too."))
    return redirect(url_for("command_approvals.look", command_id=command_id))
