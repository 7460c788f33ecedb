"""What a job's state may be, when a failed one is tried again, and what a job says of itself."""

import json
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

FIRST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(hours=1)
FIRST_WAIT_AFTER_DEATH = timedelta(seconds=1)
LONGEST_WORDS = 1000


class JobState(StrEnum):
    """Where a job stands; ``failed`` is the end after its last attempt (a dead letter)."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


GOING_ON = (JobState.QUEUED, JobState.RUNNING)


class Said(str):
    """An English sentence of a job that remembers its gaps, so that pages can translate it."""

    __slots__ = ("text", "values")

    text: str
    values: dict[str, str | int]

    def __new__(cls, text: str, **values: str | int) -> "Said":
        """Return *text* with its gaps ``%(name)s`` filled.

        The numbers ``done`` and ``total`` also make the progress bar.
        """
        made = super().__new__(cls, (text % values if values else text)[:LONGEST_WORDS])
        made.text, made.values = text, values
        return made

    def to_json(self) -> str:
        """Return it for a pipe between processes."""
        return json.dumps([self.text, self.values], ensure_ascii=False)

    @classmethod
    def from_json(cls, fields: str) -> "Said":
        """Return what `to_json` wrote."""
        text, values = json.loads(fields)
        return cls(text, **values)


def said(text: str, **values: str | int) -> Said:
    """Return a job's sentence; import it as ``_l`` for pybabel."""
    return Said(text, **values)


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
