"""Names and waits of people who enrol devices. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from management.administrators.rules import normal_name, wait_after

FREE_FAILURES = 3
FORGET_FAILURES_AFTER = timedelta(days=1)
WRONG = (
    "User name or password is not right, or this name has to wait after wrong tries. Wait a "
    "quarter of an hour at most and try again."
)
"""One sentence for all of it: it tells nobody which names exist."""


@dataclass(frozen=True, slots=True)
class Proven:
    """Who proved to be whom."""

    name: str
    person: str
    address: str
    group_id: UUID | None


def name_hash(name: str) -> str:
    """Return what wrong tries are counted under; people also type passwords as names."""
    return sha256(normal_name(name).encode()).hexdigest()


def wait(failures: int) -> timedelta:
    """Return how long a name waits after so many wrong passwords in a row."""
    return wait_after(failures, FREE_FAILURES)
