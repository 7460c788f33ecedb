"""Reads the job table."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.work.models import Job, JobLine
from management.work.rules import JobState, Seen
from runtime.errors import NotFoundError

IN_ONE = 500
"""Parameters of one statement; SQL Server takes 2,100."""


def get_job(session: Session, job_id: UUID) -> Job:
    """Return the job; NotFoundError when it is gone."""
    found = session.get(Job, job_id)
    if found is None:
        raise NotFoundError("There is no such job.")
    return found


def find_by_key(session: Session, key: str) -> Job | None:
    """Return the job queued under *key*, whatever became of it."""
    return session.scalars(select(Job).where(Job.key == key)).first()


def is_due(session: Session, now: datetime) -> bool:
    """Tell whether some job could be claimed now; asking takes no lock."""
    due = select(Job.id).where(Job.state == JobState.QUEUED, Job.run_after <= now).limit(1)
    return session.scalars(due).first() is not None


def has_expired(session: Session, now: datetime) -> bool:
    """Tell whether some worker went silent; asking takes no lock."""
    lost = select(Job.id).where(Job.state == JobState.RUNNING, Job.lease_until < now).limit(1)
    return session.scalars(lost).first() is not None


def is_held(session: Session, job_id: UUID, owner: str) -> bool:
    """Tell whether the job still runs under *owner*; asking takes no lock."""
    held = select(Job.id).where(
        Job.id == job_id, Job.lease_owner == owner, Job.state == JobState.RUNNING
    )
    return session.scalars(held).first() is not None


def list_lines(session: Session, job_id: UUID, limit: int) -> list[JobLine]:
    """Return the newest lines of a job's log, the oldest of them first."""
    newest = select(JobLine).where(JobLine.job_id == job_id).order_by(JobLine.number.desc())
    return list(session.scalars(newest.limit(limit)))[::-1]


def list_lines_after(session: Session, job_id: UUID, after: int, limit: int) -> list[JobLine]:
    """Return lines of a job's log behind number *after*, the oldest first."""
    wanted = select(JobLine).where(JobLine.job_id == job_id, JobLine.number > after)
    return list(session.scalars(wanted.order_by(JobLine.number).limit(limit)))


def newest_lines(session: Session, jobs: Iterable[Job]) -> dict[UUID, JobLine]:
    """Return the last line of each of *jobs* that said something."""
    ids = [job.id for job in jobs if job.lines]
    found = session.scalars(
        select(JobLine)
        .join(Job, JobLine.job_id == Job.id)
        .where(Job.id.in_(ids), JobLine.number == Job.lines)
    )
    return {line.job_id: line for line in found}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list of jobs shows."""

    asked_by: str = ""
    """Only those of this administrator; empty: all."""
    upkeep: bool = False
    """The server's own work too."""
    state: str = ""
    kind: str = ""


def list_page(
    session: Session, wanted: Wanted, after: tuple[datetime, UUID] | None, limit: int
) -> list[Job]:
    """Return jobs, the newest first, those behind *after*."""
    found = select(Job).order_by(Job.queued_at.desc(), Job.id.desc()).limit(limit)
    if wanted.asked_by:
        found = found.where(Job.asked_by == wanted.asked_by)
    elif not wanted.upkeep:
        found = found.where((Job.asked_by != "") | (Job.state == JobState.FAILED))
    if wanted.state:
        found = found.where(Job.state == wanted.state)
    if wanted.kind:
        found = found.where(Job.kind == wanted.kind)
    if after is not None:
        at, job_id = after
        found = found.where(Job.queued_at <= at, (Job.queued_at < at) | (Job.id < job_id))
    return list(session.scalars(found))


def list_seen(session: Session, ids: Collection[UUID], asked_by: str = "") -> list[Seen]:
    """Return how the jobs stand now, if *asked_by* only theirs; those that are gone are missing."""
    columns, wanted = (Job.id, Job.state, Job.done, Job.total, Job.lines), list(ids)
    found = select(*columns).where(Job.asked_by == asked_by) if asked_by else select(*columns)
    parts = (wanted[start : start + IN_ONE] for start in range(0, len(wanted), IN_ONE))
    return [Seen(*row) for part in parts for row in session.execute(found.where(Job.id.in_(part)))]


def count_states(session: Session) -> dict[str, int]:
    """Return how many jobs are in each state; states without jobs are 0."""
    counted = session.execute(select(Job.state, func.count()).group_by(Job.state)).all()
    return {state.value: 0 for state in JobState} | {row[0]: row[1] for row in counted}


def list_jobs(session: Session, state: str = "", kind: str = "", limit: int = 100) -> list[Job]:
    """Return the newest jobs; ``state="failed"`` shows the dead letters with their errors."""
    wanted = select(Job).order_by(Job.queued_at.desc(), Job.id).limit(limit)
    if state:
        wanted = wanted.where(Job.state == state)
    if kind:
        wanted = wanted.where(Job.kind == kind)
    return list(session.scalars(wanted))
