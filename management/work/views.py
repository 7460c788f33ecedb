"""Pages of background work: the list, one job with its log, and the stream that tells news."""

from collections.abc import Iterable
from uuid import UUID

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in, signed_in_name
from management.audit.notes import note
from management.paging import PAGE, cut, time_cursor
from management.web import is_fragment, reading, transaction
from management.work import ending, queries, visible
from management.work.following import FOLLOWED, MOST_JOBS, Followed, opening
from management.work.kinds import kind_of
from management.work.models import Job
from management.work.queries import Wanted
from management.work.rules import GOING_ON, JobState, share_done
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

bp = Blueprint("jobs", __name__, url_prefix="/jobs")
MOST_SHOWN = 200
STATES = [state.value for state in JobState]


@bp.get("")
@requires(Permission.VIEW, in_groups=True)
def index() -> ResponseReturnValue:
    """List jobs, the newest first: mine, everybody's, or also the server's own."""
    state = request.args.get("state", "")
    by = "me" if signed_in().is_limited else request.args.get("by", "me")
    wanted = Wanted(
        asked_by=signed_in_name() if by == "me" else "",
        upkeep=by == "server",
        state=state if state in STATES else "",
    )
    word = request.args.get("after", "")
    with reading() as session:
        found = queries.list_page(session, wanted, time_cursor(word) if word else None, PAGE + 1)
        jobs, after = cut(found, PAGE, lambda job: (job.queued_at, job.id))
        lines = queries.newest_lines(session, jobs)
    page = "work/rows.html" if is_fragment() else "work/index.html"
    more = url_for("jobs.index", by=by, state=state, after=after) if after else ""
    return render_template(
        page, jobs=jobs, lines=lines, by=by, state=state, more=more, **_helpers()
    )


@bp.get("/<uuid:job_id>")
@requires(Permission.VIEW, in_groups=True)
def show(job_id: UUID) -> ResponseReturnValue:
    """Show one job with its log; what follows it asks for the changing part only."""
    with reading() as session:
        job = visible.seen(session, job_id)
        lines = queries.list_lines(session, job_id, MOST_SHOWN)
    page = "work/one.html" if is_fragment() else "work/show.html"
    return render_template(page, job=job, lines=lines, **_helpers())


@bp.get("/<uuid:job_id>/row")
@requires(Permission.VIEW, in_groups=True)
def row(job_id: UUID) -> ResponseReturnValue:
    """Return one job's row of the list."""
    with reading() as session:
        job = visible.seen(session, job_id)
        lines = queries.newest_lines(session, [job])
    return render_template("work/rows.html", jobs=[job], lines=lines, more="", **_helpers())


@bp.get("/events")
@requires(Permission.VIEW, in_groups=True)
def events() -> ResponseReturnValue:
    """Tell how jobs stand; the server in front keeps the answer open and goes on telling."""
    ids = _ids(request.args.getlist("job"))
    with reading() as session:
        seen = queries.list_seen(session, ids, visible.only_of())
    followed = Followed(signed_in().administrator_id, frozenset(one.job_id for one in seen))
    request.environ[FOLLOWED] = followed
    return Response(opening(seen), mimetype="text/event-stream")


@bp.post("/<uuid:job_id>/cancel")
@requires(Permission.VIEW, in_groups=True)
def cancel(job_id: UUID) -> ResponseReturnValue:
    """Stop a job, if whoever asks may start one of its kind."""
    with transaction("cancel a job") as session:
        job = visible.changeable(session, job_id)
        ending.cancel(session, job_id, signed_in_name(), utc_now())
        note(session, "job.cancel", job_id, kind=job.kind)
    flash(_("The job is cancelled."))
    return redirect(url_for("jobs.show", job_id=job_id))


@bp.post("/<uuid:job_id>/retry")
@requires(Permission.VIEW, in_groups=True)
def retry(job_id: UUID) -> ResponseReturnValue:
    """Give a job that failed or was cancelled new attempts."""
    with transaction("try a job again") as session:
        job = visible.changeable(session, job_id)
        ending.retry(session, job_id, utc_now())
        note(session, "job.retry", job_id, kind=job.kind)
    flash(_("The job is queued again."))
    return redirect(url_for("jobs.show", job_id=job_id))


def _ids(words: Iterable[str]) -> list[UUID]:
    try:
        return [UUID(word) for word in list(words)[:MOST_JOBS]]
    except ValueError:
        raise MalformedMessageError("A job in the address is not valid.") from None


def _helpers() -> dict[str, object]:
    return {
        "kind_of": kind_of,
        "share": lambda job: share_done(job.done, job.total),
        "going_on": GOING_ON,
        "place": _place,
    }


def _place(job: Job) -> str:
    """Return the page that shows what a job is about, if there is one."""
    kind = kind_of(job.kind)
    if not kind.endpoint or (kind.takes and kind.takes not in job.payload):
        return ""
    return url_for(kind.endpoint, **({kind.takes: job.payload[kind.takes]} if kind.takes else {}))
