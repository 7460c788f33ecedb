"""Commands: the list, and what an administrator orders, takes back, repeats and approves."""

from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from contracts.agent import CommandKind
from management.access import Permission, requires, signed_in, signed_in_name
from management.administrators.queries import find_administrator
from management.audit.notes import note
from management.commands import queries, service
from management.commands.queries import Cursor
from management.commands.rules import ARGUMENTS, DESTRUCTIVE, OPEN, Waiting
from management.devices.queries import get_device
from management.paging import PAGE, time_cursor, write_cursor
from management.web import context, is_fragment, reading, transaction
from runtime.clock import utc_now
from runtime.errors import ForbiddenError, RefusedError

bp = Blueprint("commands", __name__)


@bp.get("/commands")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """List commands, newest first; the state is in the address."""
    state, waiting = request.args.get("state", ""), request.args.get("waiting", "")
    after = request.args.get("after")
    place = Cursor(*time_cursor(after)) if after else None
    with reading() as session:
        found = queries.list_commands(session, None, state, waiting, place, PAGE + 1)
        shown = found[:PAGE]
        names = {row.device_id: get_device(session, row.device_id).name for row in shown}
    more = ""
    if len(found) > PAGE:
        place_word = write_cursor(shown[-1].queued_at, shown[-1].id)
        more = url_for("commands.index", state=state, waiting=waiting, after=place_word)
    page = "commands/rows.html" if is_fragment() else "commands/index.html"
    return render_template(
        page, commands=shown, names=names, state=state, waiting=waiting, more=more
    )


@bp.get("/devices/<uuid:device_id>/commands")
@requires(Permission.VIEW)
def of_device(device_id: UUID) -> ResponseReturnValue:
    """Answer htmx with the commands of one device as they stand now."""
    with reading() as session:
        device = get_device(session, device_id)
        commands = queries.list_commands(session, device_id=device_id, limit=20)
    return render_template(
        "commands/of_device.html", device=device, commands=commands, open_states=OPEN
    )


@bp.post("/devices/<uuid:device_id>/commands")
@requires(Permission.SEND_COMMANDS)
def queue(device_id: UUID) -> ResponseReturnValue:
    """Queue a command that destroys nothing."""
    kind = _kind()
    if kind in DESTRUCTIVE:
        abort(400, _("A wipe is ordered from its own form."))
    return _queue(device_id, kind)


@bp.post("/devices/<uuid:device_id>/wipe")
@requires(Permission.WIPE_DEVICES)
def wipe(device_id: UUID) -> ResponseReturnValue:
    """Queue a wipe, after the device's name was typed and a reason given."""
    kind, reason = _kind(), request.form.get("reason", "").strip()
    if kind not in DESTRUCTIVE:
        abort(400, _("This form only orders wipes."))
    with reading() as session:
        name = get_device(session, device_id).name
    if request.form.get("confirm", "").strip() != name:
        raise RefusedError(_("Type the name of the device exactly as shown to confirm the wipe."))
    if not reason:
        raise RefusedError(_("Give a reason; it goes into the audit trail."))
    return _queue(device_id, kind)


def _queue(device_id: UUID, kind: CommandKind) -> ResponseReturnValue:
    reason = request.form.get("reason", "").strip()
    arguments = {
        name: request.form[name].strip()
        for name in ARGUMENTS.get(kind, ())
        if request.form.get(name, "").strip()
    }
    with transaction("queue a command") as session:
        command = service.queue_command(
            session, device_id, kind, arguments, signed_in_name(), reason, utc_now()
        )
        note(session, f"device.{kind.value}", device_id, reason, command=str(command.id))
    flash(_("The command is queued; the device gets it at its next check-in."))
    return redirect(url_for("devices.show", device_id=device_id, _anchor="commands"))


@bp.post("/commands/<uuid:command_id>/cancel")
@requires(Permission.SEND_COMMANDS)
def cancel(command_id: UUID) -> ResponseReturnValue:
    """Take a queued command back; a wipe only by who may order one."""
    with transaction("cancel a command") as session:
        kind = CommandKind(queries.get_command(session, command_id).kind)
        if kind in DESTRUCTIVE and not signed_in().may(Permission.WIPE_DEVICES):
            raise ForbiddenError(_("Your role may not take wipes back."))
        command = service.cancel_command(session, command_id, signed_in_name(), utc_now())
        note(session, "command.cancel", command.device_id, command=str(command_id))
    flash(_("The command is taken back."))
    return redirect(url_for("devices.show", device_id=command.device_id, _anchor="commands"))


@bp.post("/commands/<uuid:command_id>/retry")
@requires(Permission.SEND_COMMANDS)
def retry(command_id: UUID) -> ResponseReturnValue:
    """Queue an unsuccessful command again."""
    with transaction("retry a command") as session:
        old = queries.get_command(session, command_id)
        if CommandKind(old.kind) in DESTRUCTIVE and not signed_in().may(Permission.WIPE_DEVICES):
            raise RefusedError(_("Your role may not order wipes."))
        command = service.retry_command(session, command_id, signed_in_name(), utc_now())
        note(
            session,
            f"device.{command.kind}",
            command.device_id,
            old.reason,
            command=str(command.id),
            again=str(command_id),
        )
    flash(_("The command is queued again."))
    return redirect(url_for("devices.show", device_id=command.device_id, _anchor="commands"))


@bp.post("/commands/<uuid:command_id>/approve")
@requires(Permission.WIPE_DEVICES)
def approve(command_id: UUID) -> ResponseReturnValue:
    """Let a command pass the limit, proved by a fresh code of another administrator."""
    code = request.form.get("code", "").replace(" ", "")
    mine = signed_in()
    with reading() as session:
        command = queries.get_command(session, command_id)
        asker = find_administrator(session, command.requested_by)
    if command.waiting_for != Waiting.APPROVAL:
        raise RefusedError(_("This command does not wait for an approval."))
    context().signer.approve(command_id, mine.administrator_id, code, asker.id if asker else None)
    with transaction("approve a command") as session:
        service.try_again(session, command_id, utc_now())
        note(session, "command.approve", command.device_id, command=str(command_id))
    flash(_("The command is approved and goes out now."))
    return redirect(url_for("devices.show", device_id=command.device_id, _anchor="commands"))


def _kind() -> CommandKind:
    try:
        return CommandKind(request.form.get("kind", ""))
    except ValueError:
        abort(400, _("There is no such command."))
