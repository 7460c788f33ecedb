"""Commands: what an administrator orders, takes back, repeats and confirms."""

from datetime import timedelta
from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from contracts.agent import CommandKind
from management.access import Permission, requires, signed_in, signed_in_name
from management.audit.notes import note
from management.commands import queries, service
from management.commands.models import Command
from management.commands.rules import ARGUMENTS, DESTRUCTIVE, OPEN
from management.devices.queries import get_device
from management.personal import DEVICE, shows
from management.web import context, proofs, reading, transaction
from runtime.clock import utc_now
from runtime.errors import ForbiddenError, RefusedError

bp = Blueprint("commands", __name__)


@bp.get("/devices/<uuid:device_id>/commands")
@requires(Permission.VIEW, in_groups=True)
@shows(DEVICE)
def of_device(device_id: UUID) -> ResponseReturnValue:
    """Answer htmx with the commands of one device as they stand now."""
    with reading() as session:
        device = get_device(session, device_id)
        commands = queries.list_commands(session, device_id=device_id, limit=20)
    return render_template(
        "commands/of_device.html", device=device, commands=commands, open_states=OPEN
    )


@bp.post("/devices/<uuid:device_id>/commands")
@requires(Permission.SEND_COMMANDS, in_groups=True)
def queue(device_id: UUID) -> ResponseReturnValue:
    """Queue a command that destroys nothing."""
    kind = read_kind()
    if kind in DESTRUCTIVE:
        abort(400, _("A wipe is ordered from its own form."))
    return _queue(device_id, kind, service.NO_UNDO)


@bp.post("/devices/<uuid:device_id>/wipe")
@requires(Permission.WIPE_DEVICES, in_groups=True)
def wipe(device_id: UUID) -> ResponseReturnValue:
    """Queue a wipe: the device's name typed, a reason given, and proved again who orders it."""
    kind, reason = read_kind(), request.form.get("reason", "").strip()
    if kind not in DESTRUCTIVE:
        abort(400, _("This form only orders wipes."))
    with reading() as session:
        name = get_device(session, device_id).name
    if request.form.get("confirm", "").strip() != name.strip():
        raise RefusedError(_("Type the name of the device exactly as shown to confirm the wipe."))
    if not reason:
        raise RefusedError(_("Give a reason; it goes into the audit trail."))
    proofs().require_fresh()
    return _queue(device_id, kind, timedelta(seconds=context().settings.undo_seconds))


def _queue(device_id: UUID, kind: CommandKind, undo: timedelta) -> ResponseReturnValue:
    reason, now = request.form.get("reason", "").strip(), utc_now()
    with transaction("queue a command") as session:
        command = service.queue_command(
            session, device_id, kind, read_arguments(kind), signed_in_name(), reason, now, undo=undo
        )
        note(session, f"device.{kind.value}", device_id, reason, command=str(command.id))
    flash(_queued_words(command.queued_at == now, undo))
    return redirect(url_for("devices.show", device_id=device_id, _anchor="commands"))


def _queued_words(new: bool, undo: timedelta) -> str:
    if not new:
        return _("The same command is on its way already; it is not queued twice.")
    if undo:
        seconds = int(undo.total_seconds())
        return _("The command goes out in %(seconds)s seconds; until then take it back here.",
                 seconds=seconds)  # fmt: skip
    return _("The command is queued; the device gets it at its next check-in.")


@bp.post("/commands/<uuid:command_id>/cancel")
@requires(Permission.SEND_COMMANDS, in_groups=True)
def cancel(command_id: UUID) -> ResponseReturnValue:
    """Take a queued command back; a wipe only by who may order one."""
    with transaction("cancel a command") as session:
        kind = CommandKind(queries.get_command(session, command_id).kind)
        may_order(kind, _("Your role may not take wipes back."))
        command = service.cancel_command(session, command_id, signed_in_name(), utc_now())
        note(session, "command.cancel", command.device_id, command=str(command_id))
    flash(_("The command is taken back."))
    return _back(command)


@bp.post("/commands/<uuid:command_id>/retry")
@requires(Permission.SEND_COMMANDS, in_groups=True)
def retry(command_id: UUID) -> ResponseReturnValue:
    """Queue an unsuccessful command again; a wipe is ordered anew instead."""
    with transaction("retry a command") as session:
        old = queries.get_command(session, command_id)
        command = service.retry_command(session, command_id, signed_in_name(), utc_now())
        action, again = f"device.{command.kind}", str(command_id)
        note(session, action, command.device_id, old.reason, command=str(command.id), again=again)
    flash(_("The command is queued again."))
    return _back(command)


@bp.post("/commands/<uuid:command_id>/confirm")
@requires(Permission.SEND_COMMANDS, in_groups=True)
def confirm(command_id: UUID) -> ResponseReturnValue:
    """Say that a command is still wanted, after the database was restored from a backup."""
    with reading() as session:
        kind = CommandKind(queries.get_command(session, command_id).kind)
    may_order(kind, _("Your role may not order wipes."))
    if kind in DESTRUCTIVE:
        proofs().require_fresh()
    with transaction("confirm a command") as session:
        command = service.confirm_command(session, command_id, utc_now())
        note(session, "command.confirm", command.device_id, command=str(command_id))
    flash(_("The command goes out now."))
    return _back(command)


def may_order(kind: CommandKind, sentence: str) -> None:
    """Raise ForbiddenError for a wipe unless the role includes wipes."""
    if kind in DESTRUCTIVE and not signed_in().may(Permission.WIPE_DEVICES):
        raise ForbiddenError(sentence)


def read_kind() -> CommandKind:
    """Return the kind that a form asks for."""
    try:
        return CommandKind(request.form.get("kind", ""))
    except ValueError:
        abort(400, _("There is no such command."))


def read_arguments(kind: CommandKind) -> dict[str, str]:
    """Return what a form says about the command."""
    given = {name: request.form.get(name, "").strip() for name in sorted(ARGUMENTS.get(kind, ()))}
    return {name: value for name, value in given.items() if value}


def _back(command: Command) -> ResponseReturnValue:
    return redirect(url_for("devices.show", device_id=command.device_id, _anchor="commands"))
