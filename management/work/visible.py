"""Which jobs whoever asks may see, and which they may stop or try again."""

from uuid import UUID

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from management.access import signed_in, signed_in_name
from management.work import queries
from management.work.kinds import kind_of
from management.work.models import Job
from runtime.errors import ForbiddenError, NotFoundError


def only_of() -> str:
    """Return whose jobs are all that whoever asks may see; empty: everybody's.

    Words of other jobs tell of devices outside of the groups that an account is limited to.
    """
    return signed_in_name() if signed_in().is_limited else ""


def seen(session: Session, job_id: UUID) -> Job:
    """Return a job; NotFoundError when there is none that whoever asks may see."""
    job = queries.get_job(session, job_id)
    if only_of() not in ("", job.asked_by):
        raise NotFoundError("There is no such job.")
    return job


def changeable(session: Session, job_id: UUID) -> Job:
    """Return a job; ForbiddenError when whoever asks may not start one of its kind."""
    job = seen(session, job_id)
    if not signed_in().may(kind_of(job.kind).permission):
        raise ForbiddenError(_("Only who may start such work may stop it or try it again."))
    return job
