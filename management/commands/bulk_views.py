"""Bulk commands: choose devices in the list, look at what would happen, confirm, follow."""

from collections.abc import Iterable
from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from contracts.agent import CommandKind
from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.commands import bulk, queries, search
from management.commands.filters import CommandFilter
from management.commands.queries import Cursor
from management.commands.rules import ARGUMENTS, DESTRUCTIVE, REQUIRED
from management.commands.service import Wanted
from management.commands.views import may_order, read_arguments, read_kind
from management.devices.models import Device
from management.listing.address import NAMES, read_filter
from management.listing.queries import count_devices
from management.paging import time_cursor, write_cursor
from management.personal import list_of, shows, tell_number
from management.web import is_fragment, proofs, reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

bp = Blueprint("bulk", __name__, url_prefix="/commands/bulk")
SHOWN = 200
"""Devices listed in the preview; the number is always whole."""


@bp.route("/new", methods=["GET", "POST"])
@requires(Permission.SEND_COMMANDS, in_groups=True)
def new() -> ResponseReturnValue:
    """Show the form for the devices that were ticked, or for all that the filter finds.

    By POST too: a long list of numbers fits into no address.
    """
    ticked = _ticked(request.values.getlist("device"))
    if not ticked and request.values.get("all") != "yes":
        flash(_("Tick the devices in the list first."), "warn")
        return redirect(url_for("devices.index"))
    fields = {name: request.values.get(name, "") for name in NAMES}
    with reading() as session:
        count = len(ticked) or count_devices(session, read_filter(request.values))
    return render_template(
        "commands/bulk_new.html",
        ticked=ticked,
        fields=fields,
        count=count,
        arguments=ARGUMENTS,
        required=REQUIRED,
    )


@bp.post("")
@requires(Permission.SEND_COMMANDS, in_groups=True)
def draft() -> ResponseReturnValue:
    """Fix the list of devices and show what would happen."""
    kind, reason = read_kind(), request.form.get("reason", "").strip()
    may_order(kind, _("Your role may not order wipes."))
    if not reason:
        abort(400, _("Give a reason; it goes into the audit trail."))
    wanted = Wanted(kind, read_arguments(kind), signed_in_name(), reason)
    with transaction("draft a bulk command") as session:
        batch = bulk.draft(session, _chosen(session), wanted, utc_now())
    return redirect(url_for("bulk.show", batch_id=batch.id))


@bp.get("/<uuid:batch_id>")
@requires(Permission.VIEW, in_groups=True)
@shows(list_of("bulk command"))
def show(batch_id: UUID) -> ResponseReturnValue:
    """Show a draft to be confirmed, or how far a bulk command is."""
    after = request.args.get("after")
    place = Cursor(*time_cursor(after)) if after else None
    with reading() as session:
        batch = queries.get_batch(session, batch_id)
        devices = queries.list_batch_devices(session, batch_id, SHOWN)
        page = search.look(session, CommandFilter(batch_id=batch_id), place)
        counts = queries.count_states(session, [batch_id])[batch_id]
        waiting = queries.count_batch_waiting(session, batch_id)
    tell_number(len(devices) if batch.confirmed_at is None else len(page.rows))
    following = write_cursor(page.more.queued_at, page.more.command_id) if page.more else ""
    more = url_for("bulk.show", batch_id=batch_id, after=following) if following else ""
    return render_template(
        _page(batch.confirmed_at is not None),
        batch=batch,
        devices=devices,
        commands=page.rows,
        counts=counts,
        waiting=waiting,
        said={},
        more=more,
        destroys=CommandKind(batch.kind) in DESTRUCTIVE,
    )


def _page(confirmed: bool) -> str:
    if not confirmed:
        return "commands/bulk_draft.html"
    if not is_fragment():
        return "commands/bulk.html"
    return "commands/rows.html" if request.args.get("after") else "commands/bulk_progress.html"


@bp.post("/<uuid:batch_id>/confirm")
@requires(Permission.SEND_COMMANDS, in_groups=True)
def confirm(batch_id: UUID) -> ResponseReturnValue:
    """Let it go, after the number of devices was typed; a wipe, after a proof of who asks."""
    with reading() as session:
        kind = CommandKind(queries.get_batch(session, batch_id).kind)
    may_order(kind, _("Your role may not order wipes."))
    if kind in DESTRUCTIVE:
        proofs().require_fresh()
    with transaction("confirm a bulk command") as session:
        typed, by = request.form.get("confirm", ""), signed_in_name()
        batch = bulk.confirm(session, batch_id, typed, by, utc_now())
        number = str(batch.devices)
        note(session, f"bulk.{batch.kind}", batch_id, batch.reason, devices=number)
    flash(_("The commands are being queued; until they go out take them back here."))
    return redirect(url_for("bulk.show", batch_id=batch_id))


@bp.post("/<uuid:batch_id>/cancel")
@requires(Permission.SEND_COMMANDS, in_groups=True)
def cancel(batch_id: UUID) -> ResponseReturnValue:
    """Take back what is not sent yet."""
    with transaction("cancel a bulk command") as session:
        batch = queries.get_batch(session, batch_id)
        may_order(CommandKind(batch.kind), _("Your role may not take wipes back."))
        number = bulk.cancel(session, batch_id, signed_in_name(), utc_now())
        note(session, "bulk.cancel", batch_id, commands=str(number))
    flash(_("%(count)s commands are taken back; what was sent already goes on.", count=number))
    return redirect(url_for("bulk.show", batch_id=batch_id))


def _ticked(texts: Iterable[str]) -> list[UUID]:
    try:
        return [UUID(text) for text in texts]
    except ValueError:
        raise MalformedMessageError("A device in the address is not valid.") from None


def _chosen(session: Session) -> Iterable[Device]:
    ticked = _ticked(request.form.getlist("device"))
    if ticked:
        return bulk.chosen(session, ticked)
    return bulk.filtered(session, read_filter(request.form))
