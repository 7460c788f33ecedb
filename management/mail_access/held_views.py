"""Blocks that wait for confirmation: exactly those that were looked at are let act."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires
from management.mail_access import by_hand, queries
from management.mail_access.pages import bp, by, read_ids
from management.personal import list_of, shows, tell_number
from management.web import context, reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

SHOWN = 500
"""Looked at and confirmed at once; whatever waits longest comes first."""


@bp.get("/held")
@requires(Permission.MANAGE_MAIL_ACCESS, in_groups=True)
@shows(list_of("held blocks"))
def held() -> ResponseReturnValue:
    """Show whose mail would be blocked, and why, before it is confirmed."""
    with reading() as session:
        waiting = queries.list_held(session)
    rows = waiting[:SHOWN]
    tell_number(len(rows))
    return render_template("mail_access/held.html", rows=rows, waiting=len(waiting))


@bp.post("/held/confirm")
@requires(Permission.MANAGE_MAIL_ACCESS, in_groups=True)
def confirm() -> ResponseReturnValue:
    """Let the held blocks that are named act: one, or a list whose number was typed."""
    ids, reason = read_ids(request.form.getlist("partnership")), request.form.get("reason", "")
    if len(ids) > 1 and request.form.get("confirm", "").strip() != str(len(ids)):
        raise RefusedError(_("Type the number of phones, %(count)s, to confirm.", count=len(ids)))
    with transaction("confirm held blocks") as session:
        number = by_hand.confirm_held(session, context().keys, ids, by(), reason, utc_now())
    flash(_("Confirmed blocks: %(number)s. They act within a minute.", number=number))
    return redirect(url_for("mail_access.index"))
