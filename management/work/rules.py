"""What a job's state may be, and when a failed one is tried again."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

FIRST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(hours=1)
FIRST_WAIT_AFTER_DEATH = timedelta(seconds=1)


class JobState(StrEnum):
    """Where a job stands; ``failed`` is the end after its last attempt (a dead letter)."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


GOING_ON = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Seen:
    """How a job stands, as its watchers are told."""

    job_id: UUID
    state: str
    done: int | None
    total: int | None
    lines: int


def share_done(done: int | None, total: int | None) -> float | None:
    """Return how much of a job is done, 0 to 1; None when nobody can tell."""
    if done is None or not total:
        return None
    return min(max(done / total, 0.0), 1.0)


def wait_before_retry(attempts: int) -> timedelta:
    """Return how long to wait after *attempts* failures: 15 s, doubling, at most an hour."""
    return min(FIRST_WAIT * (1 << min(max(attempts - 1, 0), 20)), LONGEST_WAIT)


def wait_after_death(attempts: int) -> timedelta:
    """Return how long to wait after the worker died *attempts* times: 1 s, 4 s, 16 s ...

    Its death is seldom the job's fault, so the first wait is short; a job that kills its workers
    soon waits as long as one that fails.
    """
    return min(FIRST_WAIT_AFTER_DEATH * (1 << min(2 * max(attempts - 1, 0), 20)), LONGEST_WAIT)
