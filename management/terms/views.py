"""Terms of use: sample, upload, preview in a frame that can do nothing, versions and answers."""

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.terms import queries, rules, service
from management.web import reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

bp = Blueprint("terms", __name__, url_prefix="/terms-of-use")
FRAME = (
    "sandbox; default-src 'none'; style-src 'none'; img-src 'none'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'"
)


@bp.get("")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """Show what holds, all versions, and how devices answered."""
    return _page("")


@bp.get("/sample.html")
@requires(Permission.VIEW)
def sample() -> ResponseReturnValue:
    """Return a document to begin with."""
    answer = Response(rules.SAMPLE, content_type="text/html; charset=utf-8")
    answer.headers["Content-Disposition"] = 'attachment; filename="terms-of-use.html"'
    return answer


@bp.get("/<int:version>/shown")
@requires(Permission.VIEW)
def shown(version: int) -> ResponseReturnValue:
    """Return one version as devices show it, for a sandboxed frame of our own pages only."""
    with reading() as session:
        found = queries.get_terms(session, version)
    answer = Response(rules.document(found.title, found.html), content_type="text/html")
    answer.headers["Content-Security-Policy"] = FRAME
    return answer


@bp.post("")
@requires(Permission.CHANGE_SETTINGS)
def publish() -> ResponseReturnValue:
    """Let an uploaded document hold."""
    file = request.files.get("file")
    body = file.stream.read(rules.LARGEST_BYTES + 1) if file else b""
    try:
        with transaction("publish terms of use") as session:
            made = service.publish(
                session,
                body,
                request.form.get("title", ""),
                "ask_again" in request.form,
                signed_in_name(),
                utc_now(),
            )
            note(session, "terms.publish", made.version, sha256=made.sha256, again=made.ask_again)
    except RefusedError as error:
        return _page(str(error)), 422
    flash(_("Version %(version)s holds now.", version=made.version))
    return redirect(url_for("terms.index"), 303)


@bp.post("/withdraw")
@requires(Permission.CHANGE_SETTINGS)
def withdraw() -> ResponseReturnValue:
    """Let whoever enrols accept nothing."""
    with transaction("withdraw terms of use") as session:
        found = service.withdraw(session, signed_in_name(), utc_now())
        note(session, "terms.withdraw", found.version)
    flash(_("Whoever enrols is asked for nothing now."))
    return redirect(url_for("terms.index"), 303)


def _page(problem: str) -> str:
    with reading() as session:
        current, versions = queries.current_terms(session), queries.list_terms(session)
        answers = queries.count_answers(session)
    return render_template(
        "enrolment/terms.html", current=current, versions=versions, answers=answers, problem=problem
    )
