"""Mails invitations: choose whom in the list of those awaited, look at it, confirm."""

from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.enrolment import letters, mailing
from management.enrolment.mail_rules import AT_ONCE, MOST_AT_ONCE
from management.enrolment.mailing import Wanted
from management.personal import list_of, shows, tell_number
from management.rates import TooOftenError, take_mails
from management.reasons import reason
from management.texts import speech
from management.web import context, reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError

bp = Blueprint("reminders", __name__, url_prefix="/registrations/reminders")
SHOWN = 200
"""People named in the preview; the number is always whole."""


@bp.get("")
@requires(Permission.INVITE, in_groups=True)
@shows(list_of("reminders"))
def look() -> ResponseReturnValue:
    """Show who would get a mail, who would not and why, and what they would read."""
    wanted = _wanted(request.args)
    if not wanted.ids and request.args.get("all") != "yes":
        flash(_("Tick somebody in the list first."), "warn")
        return redirect(url_for("registrations.index", which="awaited"))
    with reading() as session:
        missing = mailing.why_not_set_up(session)
        chosen = mailing.choose(session, wanted, utc_now())
    tell_number(len(chosen.invitations[:SHOWN]))
    first = next(iter(chosen.invitations), None)
    here = context().settings.public_name
    return render_template(
        "enrolment/reminders.html",
        chosen=chosen,
        shown=chosen.invitations[:SHOWN],
        wanted=wanted,
        missing=missing,
        sample=letters.sample(first, here, speech().locale) if first else "",
    )


@bp.post("")
@requires(Permission.INVITE, in_groups=True)
def send() -> ResponseReturnValue:
    """Let the mails go out, if the choice is still the one that was shown."""
    because = request.form.get("reason", "").strip()
    if not because:
        abort(400, _("Give a reason; it goes into the audit trail."))
    wanted, by = _wanted(request.form), signed_in_name()
    expected = request.form.get("digest", "") or "-"
    try:
        with transaction("ask for mails") as session:
            chosen = mailing.ask(session, wanted, expected, by, because, utc_now())
            number = len(chosen.invitations)
            take_mails(number)
            about = {"people": number, "insists": wanted.insists, "text": wanted.text}
            note(session, "invitation.remind", chosen.job_id, because, **about)
    except (RefusedError, TooOftenError) as error:
        flash(reason(str(error)), "bad")
        return redirect(url_for("registrations.index", which="awaited", q=wanted.text), 303)
    flash(_("%(count)s mails go out now, one after the other. Under Jobs you see how far it is and "
            "can stop it.", count=number))  # fmt: skip
    return redirect(url_for("registrations.index", which="awaited", q=wanted.text), 303)


def _wanted(said: MultiDict[str, str]) -> Wanted:
    try:
        ids = tuple(UUID(text) for text in said.getlist("id"))
    except ValueError:
        raise MalformedMessageError("An invitation in the address is not valid.") from None
    if len(ids) > MOST_AT_ONCE:
        raise RefusedError(AT_ONCE)
    return Wanted(ids=ids, text=said.get("q", "")[:200], insists=said.get("insists") == "yes")
