"""The API's view of background work."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from flask import Blueprint, request

from management.access import Permission, signed_in, signed_in_name
from management.api.operations import EventStream, Limit, PageQuery, Place, Words, operation
from management.audit.notes import note
from management.paging import cut, number_cursor, time_cursor
from management.web import reading, transaction
from management.work import ending, queries, visible
from management.work.following import FOLLOWED, Followed, opening
from management.work.models import Job
from runtime.clock import utc_now

bp = Blueprint("jobs_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsQuery:
    """Which jobs are wanted."""

    asked_by: Words = ""
    """Only those of this administrator."""
    upkeep: bool = False
    """The server's own work too, not only what somebody asked for or what failed."""
    state: Literal["", "queued", "running", "done", "failed", "cancelled"] = ""
    kind: Words = ""
    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAnswer:
    """A piece of work that goes on by itself."""

    VOLATILE: ClassVar = frozenset({"attempts", "said", "done", "total", "lines"})

    id: UUID
    kind: str
    state: str
    """``queued``, ``running``, ``done``, ``failed`` (given up after the last attempt) or
    ``cancelled``."""
    asked_by: str
    """Empty: the server's own upkeep."""
    attempts: int
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    said: str
    """The newest line of its log."""
    done: int | None
    total: int | None
    """How far it is, where it can tell."""
    lines: int
    """How many lines it has said; the log keeps the newest 200."""
    error: str
    """Why its last attempt failed."""
    cancelled_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Jobs, newest first."""

    items: tuple[JobAnswer, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAnswer:
    """What a job said at a time."""

    number: int
    at: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePage:
    """Lines of a job's log, the oldest first."""

    items: tuple[LineAnswer, ...]
    next: str | None


@operation(bp, "/jobs", Permission.VIEW, in_groups=True)
def list_jobs(query: JobsQuery) -> JobPage:
    """List background work, the newest first.

    An administrator who is limited to groups sees their own.
    """
    wanted = queries.Wanted(
        visible.only_of() or query.asked_by, query.upkeep, query.state, query.kind
    )
    place = time_cursor(query.after) if query.after else None
    with reading() as session:
        found = queries.list_page(session, wanted, place, query.limit + 1)
    shown, following = cut(found, query.limit, lambda job: (job.queued_at, job.id))
    return JobPage(items=tuple(map(_answer, shown)), next=following)


@operation(bp, "/jobs/<uuid:job_id>", Permission.VIEW, in_groups=True)
def get_job(job_id: UUID) -> JobAnswer:
    """Get one job: its state, how far it is and what it said last."""
    with reading() as session:
        return _answer(visible.seen(session, job_id))


@operation(bp, "/jobs/<uuid:job_id>/lines", Permission.VIEW, in_groups=True)
def list_job_lines(job_id: UUID, query: PageQuery) -> LinePage:
    """List the lines of a job's log, the oldest first."""
    after = number_cursor(query.after) if query.after else 0
    with reading() as session:
        visible.seen(session, job_id)
        found = queries.list_lines_after(session, job_id, after, query.limit + 1)
        lines = [LineAnswer(number=one.number, at=one.at, text=one.words) for one in found]
    shown, following = cut(lines, query.limit, lambda line: (line.number,))
    return LinePage(items=tuple(shown), next=following)


@operation(bp, "/jobs/<uuid:job_id>/events", Permission.VIEW, in_groups=True)
def follow_job(job_id: UUID) -> EventStream:
    """Follow a job: server-sent events, one whenever it changes.

    Each event is named `job`; its data is a JSON object with `id`, `state`, `done`, `total` and
    `lines`. The stream ends after a minute: ask again after the milliseconds in `retry`, until
    the state is an end. Four streams of one administrator stay open at once.
    """
    with reading() as session:
        visible.seen(session, job_id)
        seen = queries.list_seen(session, [job_id])
    request.environ[FOLLOWED] = Followed(signed_in().administrator_id, frozenset({job_id}))
    return EventStream(opening(seen))


@operation(
    bp, "/jobs/<uuid:job_id>/cancel", Permission.VIEW, "POST", refusals=(409,), in_groups=True
)
def cancel_job(job_id: UUID) -> JobAnswer:
    """Stop a job and end what it was about; needs the permission to start one of its kind."""
    with transaction("cancel a job") as session:
        kind = visible.changeable(session, job_id).kind
        job = ending.cancel(session, job_id, signed_in_name(), utc_now())
        note(session, "job.cancel", job_id, kind=kind)
        return _answer(job)


@operation(
    bp, "/jobs/<uuid:job_id>/retry", Permission.VIEW, "POST", refusals=(409,), in_groups=True
)
def retry_job(job_id: UUID) -> JobAnswer:
    """Give a job that failed or was cancelled new attempts; same permission as to start it."""
    with transaction("try a job again") as session:
        kind = visible.changeable(session, job_id).kind
        job = ending.retry(session, job_id, utc_now())
        note(session, "job.retry", job_id, kind=kind)
        return _answer(job)


def _answer(job: Job) -> JobAnswer:
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        state=job.state,
        asked_by=job.asked_by,
        attempts=job.attempts,
        queued_at=job.queued_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        said=job.progress,
        done=job.done,
        total=job.total,
        lines=job.lines,
        error=job.error,
        cancelled_by=job.cancelled_by,
    )
