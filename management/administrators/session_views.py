"""Ending browsers' sessions: one of one's own, and those of other administrators."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in
from management.administrators import browsers, queries, roles, service, sessions, step_up
from management.audit.notes import note
from management.personal import SESSIONS, shows, tell_subject
from management.web import reading, transaction
from runtime.clock import utc_now

bp = Blueprint("sessions", __name__)
ALL = "all"


@bp.post("/account/sessions/<session_id>/end")
@requires(Permission.VIEW, in_groups=True)
def end_own(session_id: str) -> ResponseReturnValue:
    """Sign one of one's own browsers out; this one too."""
    me = signed_in()
    with transaction("end a session") as session:
        ended = service.end_session_of(session, me.administrator_id, session_id)
        note(session, "session.end", me.name, address=ended.address, browser=ended.browser)
    if session_id == sessions.current_id_hash():
        sessions.end()
        return redirect(url_for("sign_in.show"))
    flash(_("That browser is signed out."))
    return redirect(url_for("account.show"))


@bp.get("/administrators/<uuid:administrator_id>/sessions")
@requires(Permission.MANAGE_ADMINISTRATORS)
@shows(SESSIONS)
def of_administrator(administrator_id: UUID) -> ResponseReturnValue:
    """Show where an administrator is signed in."""
    with reading() as session:
        person = queries.get_administrator(session, administrator_id)
        tell_subject(person.name)
        return render_template(
            "administrators/sessions.html",
            person=person,
            sessions=queries.list_sessions(session, administrator_id, utc_now()),
            this_session=sessions.current_id_hash(),
            browser_of=browsers.shown,
        )


@bp.post("/administrators/<uuid:administrator_id>/sessions/end")
@requires(Permission.MANAGE_ADMINISTRATORS)
def end_of_administrator(administrator_id: UUID) -> ResponseReturnValue:
    """Sign an administrator out of one browser, or of all."""
    step_up.require_fresh()
    chosen, by = request.form.get("session", ""), signed_in()
    with transaction("end an administrator's sessions") as session:
        other = queries.get_administrator(session, administrator_id)
        roles.require_power(session, other, by)
        if chosen == ALL:
            service.end_sessions(session, other.id)
            note(session, "session.end_all", other.name)
        else:
            ended = service.end_session_of(session, other.id, chosen)
            note(session, "session.end", other.name, address=ended.address, browser=ended.browser)
    flash(_("%(name)s is signed out there. API tokens go on.", name=other.name))
    return redirect(url_for("sessions.of_administrator", administrator_id=administrator_id))
