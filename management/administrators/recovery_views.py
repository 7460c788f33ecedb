"""One's own recovery codes: made, shown once, and how many are left."""

import json
from datetime import timedelta

from flask import Blueprint, redirect, render_template, request, url_for
from flask import session as browser_session
from flask.typing import ResponseReturnValue

from management.access import Permission, requires, signed_in
from management.administrators import recovery_codes, step_up
from management.audit.notes import note
from management.shown import own_path
from management.web import context, reading, transaction
from runtime.clock import utc_now

bp = Blueprint("recovery_codes", __name__, url_prefix="/account/recovery-codes")
JUST_NOW = timedelta(minutes=10)


@bp.get("")
@requires(Permission.VIEW, in_groups=True)
def show() -> ResponseReturnValue:
    """Show new codes, this once; else how many are left."""
    new = browser_session.pop(recovery_codes.SHOWN_ONCE, "")
    with reading() as session:
        kept = recovery_codes.kept(session, signed_in().administrator_id)
    return render_template(
        "administrators/recovery_codes.html",
        codes=json.loads(context().keys.unseal(new)) if new else [],
        kept=kept,
        just_made=kept.made_at is not None and utc_now() - kept.made_at < JUST_NOW,
        few=recovery_codes.FEW,
        next=own_path(request.args.get("next", "/")),
    )


@bp.post("")
@requires(Permission.VIEW, in_groups=True)
def make() -> ResponseReturnValue:
    """Make ten new codes; the old ones end."""
    step_up.require_fresh()
    with transaction("make recovery codes") as session:
        me, keys = signed_in(), context().keys
        codes = recovery_codes.make(session, keys, me.administrator_id, utc_now())
        note(session, "recovery_code.make", me.name, codes=len(codes))
    browser_session[recovery_codes.SHOWN_ONCE] = keys.seal(json.dumps(codes))
    return redirect(url_for("recovery_codes.show"))
