"""Registration status: who is registered, who is awaited, whose enrolment failed and why."""

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from management.access import Permission, requires
from management.enrolment.mailing import why_not_set_up
from management.enrolment.queries import Cursor
from management.enrolment.registrations import LISTS, is_cut
from management.paging import PAGE, time_cursor, write_cursor
from management.personal import list_of, shows, tell_number
from management.web import is_fragment, reading

bp = Blueprint("registrations", __name__, url_prefix="/registrations")


@bp.get("")
@requires(Permission.VIEW, in_groups=True)
@shows(list_of("registrations"))
def index() -> ResponseReturnValue:
    """Show one of the three lists, newest first; which one is in the address."""
    which, text = request.args.get("which", "registered"), request.args.get("q", "")[:200]
    which = which if which in LISTS else "registered"
    after = request.args.get("after")
    with reading() as session:
        place = Cursor(*time_cursor(after)) if after else None
        found = LISTS[which](session, text, place, PAGE + 1)
        cut, no_mail = is_cut(session, which, text), why_not_set_up(session)
    tell_number(len(found[:PAGE]))
    more = ""
    if len(found) > PAGE:
        word = write_cursor(found[PAGE - 1].at, found[PAGE - 1].id)
        more = url_for("registrations.index", which=which, q=text, after=word)
    page = "enrolment/registration_rows.html" if is_fragment() else "enrolment/registrations.html"
    return render_template(
        page, rows=found[:PAGE], which=which, text=text, more=more, cut=cut, no_mail=no_mail
    )
