"""What followed from violations, and what keeps more from following, in the console."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.compliance.judgement import ConsequenceKind
from management.consequences import freezes, queries, service
from management.paging import PAGE, number_cursor, write_cursor
from management.personal import list_of, shows, tell_number
from management.relays.queries import get_relay
from management.web import is_fragment, reading, transaction
from runtime.clock import utc_now
from runtime.errors import NotFoundError, RefusedError

bp = Blueprint("consequences", __name__, url_prefix="/consequences")


@bp.get("")
@requires(Permission.VIEW)
@shows(list_of("consequences"))
def index() -> ResponseReturnValue:
    """Show freezes, what waits, and what followed, newest first."""
    kind, device, unseen = _kind(), _device(), request.args.get("unseen") == "yes"
    after = request.args.get("after", "")
    with reading() as session:
        place = number_cursor(after) if after else None
        found = queries.list_carried_out(session, kind, device, unseen, place, PAGE + 1)
        frozen = queries.active_freezes(session, utc_now())
        held = queries.count_held(session)
    tell_number(len(found[:PAGE]))
    more = write_cursor(found[PAGE - 1].row.id) if len(found) > PAGE else ""
    page = "consequences/rows.html" if is_fragment() else "consequences/index.html"
    return render_template(
        page,
        found=found[:PAGE],
        more=more,
        kind=kind,
        device=device or "",
        unseen=unseen,
        frozen=frozen,
        held=held,
    )


@bp.post("/<int:row_id>/seen")
@requires(Permission.SEND_COMMANDS)
def seen(row_id: int) -> ResponseReturnValue:
    """Put a notice away."""
    with transaction("put a notice away") as session:
        row = service.put_away(session, row_id, signed_in_name())
        note(session, "consequence.seen", row.device_id, rule=row.rule)
    return redirect(url_for("consequences.index"))


@bp.post("/freezes/<int:freeze_id>/release")
@requires(Permission.PAUSE_ENFORCEMENT)
def release(freeze_id: int) -> ResponseReturnValue:
    """Let consequences act again."""
    because = request.form.get("reason", "")[:1000]
    with transaction("release a freeze") as session:
        row = freezes.release(session, freeze_id, signed_in_name(), because, utc_now())
        note(session, "freeze.release", row.cause, because, since=row.since.isoformat())
    flash(_("Released. What is due follows within a minute."))
    return redirect(url_for("consequences.index"))


@bp.post("/outages/<uuid:relay_id>/release")
@requires(Permission.PAUSE_ENFORCEMENT)
def release_outage(relay_id: UUID) -> ResponseReturnValue:
    """Let consequences act although a communication server is silent."""
    because, by = request.form.get("reason", "")[:1000], signed_in_name()
    with transaction("release an outage") as session:
        since = get_relay(session, relay_id).contact_at
        if since is None:
            raise RefusedError(_("This communication server was never reached."))
        row = freezes.release_outage(session, relay_id, since, by, because, utc_now())
        note(session, "freeze.release", row.cause, because, since=row.since.isoformat())
    flash(_("Released. What is due follows within a minute."))
    return redirect(url_for("consequences.index"))


def _device() -> UUID | None:
    word = request.args.get("device", "")
    try:
        return UUID(word) if word else None
    except ValueError:
        raise NotFoundError(_("There is no such device.")) from None


def _kind() -> str:
    word = request.args.get("kind", "")
    return word if word in set(ConsequenceKind) else ""
