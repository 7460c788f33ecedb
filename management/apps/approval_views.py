"""Pages of approvals: what somebody answers for, until when, and why."""

from datetime import UTC, datetime, time
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.apps import approvals
from management.apps.rules import Approved
from management.web import context, reading, transaction, visitor_address
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

bp = Blueprint("app_approvals", __name__, url_prefix="/apps/approvals")


@bp.get("/")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """List the approvals that stand."""
    with reading() as session:
        rows = approvals.list_approvals(session)
    return render_template("apps/approvals.html", rows=rows)


@bp.post("/of/<sha256>")
@requires(Permission.MANAGE_APPS)
def approve(sha256: str) -> ResponseReturnValue:
    """Answer for an app or its signer until the end of a day."""
    kind = Approved.SIGNER if request.form.get("kind") == "signer" else Approved.HASH
    reason, ends_at = request.form.get("reason", ""), _end_of(request.form.get("ends_on", ""))
    with transaction("approve an app") as session:
        approvals.approve(
            session,
            context().keys,
            kind,
            sha256,
            reason,
            ends_at,
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
    flash(_("It is approved. What the scanner says of it stays on show."))
    return redirect(url_for("apps.show", sha256=sha256), 303)


@bp.post("/<uuid:approval_id>/end")
@requires(Permission.MANAGE_APPS)
def end(approval_id: UUID) -> ResponseReturnValue:
    """No longer answer for it."""
    with transaction("end an approval") as session:
        approvals.end_approval(
            session, context().keys, approval_id, signed_in_name(), visitor_address(), utc_now()
        )
    flash(_("The approval has ended. The devices are judged again."))
    return redirect(url_for("app_approvals.index"), 303)


def _end_of(day: str) -> datetime:
    try:
        return datetime.combine(datetime.strptime(day, "%Y-%m-%d"), time(23, 59, 59), UTC)
    except ValueError:
        raise MalformedMessageError("Enter the last day of the approval as 2026-12-31.") from None
