"""Queues background work and hands each piece to one worker at a time.

The table is the truth: a worker that dies loses its lease and the job runs again, so handlers must
bear being run twice. An outside queue (dramatiq) would only deliver ids to `claim_one`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, CursorResult, Update, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from management.database import BEHALF, locked
from management.progress import Said
from management.work.models import Job, JobLine
from management.work.queries import find_by_key, get_job
from management.work.rules import (
    GOING_ON,
    JobState,
    wait_after_death,
    wait_before_retry,
)
from runtime.clock import utc_now
from runtime.errors import RefusedError

LEASE = timedelta(seconds=60)
KEEP_DONE = timedelta(days=7)
KEEP_FAILED = timedelta(days=90)
MOST_LINES = 200
"""Of a job's log; older ones are forgotten."""
READ_PAST = "WITH (UPDLOCK, READPAST, ROWLOCK, READCOMMITTEDLOCK)"
"""SQL Server's SKIP LOCKED; SQLAlchemy drops the standard words there without telling."""


def enqueue(
    session: Session,
    kind: str,
    key: str,
    payload: dict[str, Any] | None = None,
    priority: int = 5,
    run_after: datetime | None = None,
    now: datetime | None = None,
) -> Job | None:
    """Queue work of *kind* once; None when *key* was queued before, whatever became of it.

    It runs after this transaction commits. Keys are forgotten a week after the job is done, 90
    days after it failed.
    """
    if find_by_key(session, key) is not None:
        return None
    now = now or utc_now()
    job = _queued(session, kind, key, payload or {}, priority, now, run_after)
    try:
        with session.begin_nested():
            session.add(job)
    except IntegrityError:
        return None
    return job


def enqueue_anew(
    session: Session, kind: str, payload: dict[str, Any], priority: int, now: datetime
) -> None:
    """Queue work that no other can be the same as; nothing is looked up or flushed for it."""
    session.add(_queued(session, kind, f"{kind}:{uuid4()}", payload, priority, now))


def _queued(
    session: Session, kind: str, key: str, payload: dict[str, Any], priority: int, now: datetime,
    run_after: datetime | None = None,
) -> Job:  # fmt: skip
    job = Job(kind=kind, key=key, payload=payload, priority=priority, state=JobState.QUEUED)
    job.asked_by, job.queued_at = session.info.get(BEHALF, ""), now
    job.run_after = run_after or now
    return job


def claim(
    session: Session, owner: str, now: datetime | None = None, lease: timedelta = LEASE
) -> Job | None:
    """Take the most urgent job that is due, in one statement; None when there is none."""
    now = now or utc_now()
    return _taken(session, claim_statement(owner, now, lease))


def claim_one(
    session: Session,
    job_id: UUID,
    owner: str,
    now: datetime | None = None,
    lease: timedelta = LEASE,
) -> Job | None:
    """Take this very job if it is due and free: the seam for a queue that delivers ids."""
    now = now or utc_now()
    due = (Job.id == job_id) & (Job.state == JobState.QUEUED) & (Job.run_after <= now)
    return _taken(session, _take(owner, now, lease).where(due).returning(Job.id))


def claim_statement(owner: str, now: datetime, lease: timedelta) -> Update:
    """Return the one statement that takes a job; no two takers ever get the same one."""
    next_due = (
        select(Job.id)
        .with_hint(Job, READ_PAST, "mssql")
        .where(Job.state == JobState.QUEUED, Job.run_after <= now)
        .order_by(Job.priority, Job.run_after)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    taken = _take(owner, now, lease).where(Job.id == next_due, Job.state == JobState.QUEUED)
    return taken.returning(Job.id)


def heartbeat(
    session: Session,
    job_id: UUID,
    owner: str,
    now: datetime | None = None,
    said: Sequence[str] = (),
    lease: timedelta = LEASE,
) -> bool:
    """Keep the lease and the lines that the job *said*; False when it is not *owner*'s any more."""
    now = now or utc_now()
    lines = [one if isinstance(one, Said) else Said(one) for one in said[-MOST_LINES:]]
    values: dict[str, Any] = {"lease_until": now + lease, "lines": Job.lines + len(lines)}
    if lines:
        values |= {"progress": str(lines[-1]), **_how_far(lines)}
    if not _changed(session, update(Job).where(_held(job_id, owner)).values(values)):
        return False
    if lines:
        _write_lines(session, job_id, lines, now)
    return True


def finish(session: Session, job_id: UUID, owner: str, now: datetime | None = None) -> bool:
    """Mark the job done; False when the lease is somebody else's."""
    values = {"state": JobState.DONE, "finished_at": now or utc_now(), **_FREE, "error": ""}
    return _changed(session, update(Job).where(_held(job_id, owner)).values(values))


def fail(
    session: Session,
    job_id: UUID,
    owner: str,
    error: str,
    now: datetime | None = None,
    died: bool = False,
    final: bool = False,
) -> bool:
    """Note *error*, and queue the job again later unless this was its last attempt.

    *died*: the process that did it died, so it is tried again soon. *final*: trying again would
    not help. False when the lease is somebody else's.
    """
    now = now or utc_now()
    job = session.scalars(locked(select(Job).where(_held(job_id, owner)), Job)).first()
    if job is None:
        return False
    wait = wait_after_death if died else wait_before_retry
    _put_back(job, error, now, wait(job.attempts), final)
    return True


def give_back(session: Session, job_id: UUID, owner: str, now: datetime | None = None) -> bool:
    """Queue the job again at once, as if it was never taken: this process is being stopped."""
    values = {
        "state": JobState.QUEUED,
        "run_after": now or utc_now(),
        "attempts": Job.attempts - 1,
        **_FREE,
    }
    return _changed(session, update(Job).where(_held(job_id, owner)).values(values))


def return_expired(session: Session, now: datetime | None = None) -> int:
    """Queue again the jobs whose worker went silent; return how many."""
    now = now or utc_now()
    wanted = (
        select(Job)
        .where(Job.state == JobState.RUNNING, Job.lease_until < now)
        .with_hint(Job, READ_PAST, "mssql")
        .with_for_update(skip_locked=True)
    )
    expired = session.scalars(wanted.execution_options(populate_existing=True)).all()
    for job in expired:
        silent = f"The worker {job.lease_owner} went silent."
        _put_back(job, silent, now, wait_before_retry(job.attempts))
    return len(expired)


def return_held_by_dead(
    session: Session, is_dead: Callable[[str], bool], now: datetime | None = None
) -> int:
    """Queue again, before their lease ends, the jobs whose worker is dead; return how many."""
    now = now or utc_now()
    running = (
        select(Job)
        .where(Job.state == JobState.RUNNING)
        .with_hint(Job, READ_PAST, "mssql")
        .with_for_update(skip_locked=True)
    )
    found = session.scalars(running.execution_options(populate_existing=True)).all()
    lost = [job for job in found if is_dead(job.lease_owner)]
    for job in lost:
        dead = f"The worker {job.lease_owner} died."
        _put_back(job, dead, now, wait_after_death(job.attempts))
    return len(lost)


def retry(session: Session, job_id: UUID, now: datetime | None = None) -> Job:
    """Give a failed job a new set of attempts; RefusedError when it has not failed."""
    job = get_job(session, job_id)
    if job.state not in (JobState.FAILED, JobState.CANCELLED):
        raise RefusedError("Only a job that failed or was stopped can be tried again.")
    job.state, job.attempts, job.finished_at = JobState.QUEUED, 0, None
    job.cancelled_by = ""
    job.run_after = now or utc_now()
    return job


def cancel(session: Session, job_id: UUID, by: str, now: datetime | None = None) -> Job:
    """Stop a job; whoever does it sees within a second that it lost the lease, and ends.

    RefusedError when it is over.
    """
    wanted = locked(select(Job).where(Job.id == job_id), Job)
    job = session.scalars(wanted).first() or get_job(session, job_id)
    if job.state not in GOING_ON:
        raise RefusedError("The job is over already.")
    job.state, job.finished_at = JobState.CANCELLED, now or utc_now()
    job.cancelled_by, job.lease_owner, job.lease_until = by[:255], "", None
    return job


def forget_old(session: Session, now: datetime | None = None) -> int:
    """Delete jobs done a week ago and jobs failed 90 days ago; return how many."""
    now = now or utc_now()
    number = 0
    for state, keep in (
        (JobState.DONE, KEEP_DONE),
        (JobState.CANCELLED, KEEP_DONE),
        (JobState.FAILED, KEEP_FAILED),
    ):
        old = (Job.state == state) & (Job.finished_at < now - keep)
        number += _count(session, delete(Job).where(old))
    return number


_FREE: dict[str, Any] = {"lease_owner": "", "lease_until": None}


def _take(owner: str, now: datetime, lease: timedelta) -> Update:
    return update(Job).values(
        state=JobState.RUNNING,
        attempts=Job.attempts + 1,
        lease_owner=owner,
        lease_until=now + lease,
        started_at=now,
        progress="",
        done=None,
        total=None,
    )


def _taken(session: Session, statement: Any) -> Job | None:
    job_id = session.execute(
        statement, execution_options={"synchronize_session": False}
    ).scalar_one_or_none()
    return None if job_id is None else session.get(Job, job_id, populate_existing=True)


def _how_far(lines: Sequence[Said]) -> dict[str, Any]:
    """Return the newest numbers that the lines say."""
    told: dict[str, Any] = {}
    for line in lines:
        told |= {name: line.values[name] for name in ("done", "total") if name in line.values}
    return told


def _write_lines(session: Session, job_id: UUID, lines: Sequence[Said], now: datetime) -> None:
    last = session.execute(select(Job.lines).where(Job.id == job_id)).scalar_one()
    for number, line in enumerate(lines, last - len(lines) + 1):
        session.add(
            JobLine(job_id=job_id, number=number, at=now, text=line.text[:1000], gaps=line.values)
        )
    old = (JobLine.job_id == job_id) & (JobLine.number <= last - MOST_LINES)
    session.execute(delete(JobLine).where(old))


def _held(job_id: UUID, owner: str) -> ColumnElement[bool]:
    return (Job.id == job_id) & (Job.lease_owner == owner) & (Job.state == JobState.RUNNING)


def _put_back(job: Job, error: str, now: datetime, wait: timedelta, final: bool = False) -> None:
    job.error, job.lease_owner, job.lease_until = error[:4000], "", None
    if final or job.attempts >= job.maximum_attempts:
        job.state, job.finished_at = JobState.FAILED, now
    else:
        job.state, job.run_after = JobState.QUEUED, now + wait


def _changed(session: Session, statement: Any) -> bool:
    return _count(session, statement) == 1


def _count(session: Session, statement: Any) -> int:
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    return int(result.rowcount)
