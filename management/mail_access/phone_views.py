"""What administrators do to single phones and to many: exceptions, control, wipes."""

from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from contracts.connector import Access
from management.access import Permission, requires
from management.mail_access import by_hand, dry_run, queries, wiping, words
from management.mail_access.pages import bp, by, read_ids
from management.mail_access.rules import Exempt
from management.personal import list_of, shows, tell_number
from management.web import context, proofs, reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError

WORDS = ("allow", "block", "leave", "end", "choose", "unchoose")


@bp.get("/bulk")
@requires(Permission.MANAGE_MAIL_ACCESS, in_groups=True)
@shows(list_of("partnerships to decide"))
def bulk() -> ResponseReturnValue:
    """Show what a word about the ticked phones would do, before it is said."""
    ids, said = read_ids(request.args.getlist("partnership")), _word(request.args.get("word", ""))
    now = utc_now()
    with reading() as session:
        rows = queries.list_by_id(session, ids)
        tell_number(len(rows))
        cut_off = []
        if said in ("allow", "block", "leave"):
            until = now + timedelta(days=30)
            exempt = Exempt(cast(Access, said), "…", by().name, until)
            cut_off = dry_run.preview_word(session, ids, exempt, now)
    return render_template(
        "mail_access/bulk.html",
        rows=rows,
        said=said,
        losing={one.row.id: one.at for one in cut_off},
        losing_now=sum(one.at <= now for one in cut_off),
        now=now,
        until=(now + timedelta(days=30)).date().isoformat(),
        mail=words,
    )


@bp.post("/bulk")
@requires(Permission.MANAGE_MAIL_ACCESS, in_groups=True)
def say() -> ResponseReturnValue:
    """Let an administrator's word hold for phones: one, or those that were ticked."""
    form = request.form
    ids, said, reason = (
        read_ids(form.getlist("partnership")),
        _word(form.get("word", "")),
        form["reason"],
    )
    keys, now = context().keys, utc_now()
    with transaction("say a word about phones") as session:
        if said == "end":
            number = by_hand.end_exceptions(session, keys, ids, by(), reason, now)
        elif said in ("choose", "unchoose"):
            chosen = said == "choose"
            number = by_hand.control(session, keys, ids, chosen, by(), reason, now)
        else:
            word = by_hand.Word(cast(Access, said), reason, _until(form.get("until", "")))
            number = by_hand.make_exceptions(session, keys, ids, word, by(), now)
    flash(_("Phones decided anew: %(number)s. It acts within a minute.", number=number))
    if len(ids) == 1:
        return redirect(url_for("mail_access.show", partnership_id=ids[0]))
    return redirect(url_for("mail_access.index"))


@bp.post("/partnerships/<int:partnership_id>/again")
@requires(Permission.MANAGE_MAIL_ACCESS, in_groups=True)
def again(partnership_id: int) -> ResponseReturnValue:
    """Take control again of a phone that somebody overrode at the mail server."""
    reason = request.form.get("reason", "")
    with transaction("take control again") as session:
        by_hand.take_control_again(session, context().keys, partnership_id, by(), reason, utc_now())
    flash(_("It is decided anew and acts within a minute."))
    return redirect(url_for("mail_access.show", partnership_id=partnership_id))


@bp.post("/partnerships/<int:partnership_id>/wipe")
@requires(Permission.WIPE_DEVICES, in_groups=True)
def wipe(partnership_id: int) -> ResponseReturnValue:
    """Wipe this one phone through the mail server, after a proof of who asks."""
    form = request.form
    with reading() as session:
        queries.get_partnership(session, partnership_id)
    proofs().require_fresh()
    with transaction("order a wipe through the mail server") as session:
        wiping.order_wipe(
            session,
            context().keys,
            partnership_id,
            form.get("device_id", ""),
            form.get("kind") != "full",
            by(),
            form.get("reason", ""),
            utc_now(),
        )
    flash(_("The wipe is ordered. The phone obeys at its next synchronisation."))
    return redirect(url_for("mail_access.show", partnership_id=partnership_id))


@bp.post("/wipes/<uuid:wipe_id>/cancel")
@requires(Permission.WIPE_DEVICES, in_groups=True)
def cancel_wipe(wipe_id: UUID) -> ResponseReturnValue:
    """Take back a wipe that has not been signed yet."""
    with transaction("take back a wipe") as session:
        row = wiping.cancel_wipe(session, context().keys, wipe_id, by(), utc_now())
    flash(_("The wipe is taken back."))
    return redirect(url_for("mail_access.show", partnership_id=row.partnership_id))


def _word(said: str) -> str:
    if said not in WORDS:
        raise MalformedMessageError(_("Choose what to do."))
    return said


def _until(said: str) -> datetime:
    """Return the end of the day that was chosen, in UTC."""
    try:
        day = datetime.fromisoformat(said.strip())
    except ValueError:
        raise RefusedError(_("Choose the day on which the exception ends.")) from None
    return day.replace(hour=23, minute=59, second=59, microsecond=0, tzinfo=UTC)
