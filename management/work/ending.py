"""Stops jobs and starts them anew, together with what they were about."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from management.handlers import resolve
from management.work import service
from management.work.kinds import Tidy, kind_of
from management.work.models import Job
from management.work.queries import get_job
from runtime.errors import RefusedError


def cancel(session: Session, job_id: UUID, by: str, now: datetime) -> Job:
    """Stop a job and end what it was about; RefusedError where that would leave a half."""
    kind = kind_of(get_job(session, job_id).kind)
    if not kind.tidy:
        raise RefusedError(
            "This work keeps things in step with what was decided, so it cannot be cancelled: "
            "half of it would be left. It ends by itself."
        )
    job = service.cancel(session, job_id, by, now)
    tidy: Tidy = resolve(kind.tidy)
    tidy(session, job.payload, by, now)
    return job


def retry(session: Session, job_id: UUID, now: datetime) -> Job:
    """Give a job new attempts; RefusedError where only its own page starts it anew."""
    job = get_job(session, job_id)
    if not kind_of(job.kind).again:
        raise RefusedError("Start it anew on its own page: what it was about has ended.")
    return service.retry(session, job_id, now)
