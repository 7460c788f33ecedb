"""Reads the job table."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.work.models import Job
from management.work.rules import JobState
from runtime.errors import NotFoundError


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
