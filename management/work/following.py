"""What watchers of jobs are told: server-sent events (WHATWG HTML, section 9.2)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from management.work.rules import Seen

FOLLOWED = "sekisho.followed"
"""Where a view leaves in the WSGI environment what its answer may go on telling."""
AGAIN_MILLISECONDS = 3000
"""A browser whose stream ended asks again so soon: where no stream is held open, it polls."""
MOST_JOBS = 60
"""In one stream: a page of the list, and some."""


@dataclass(frozen=True, slots=True)
class Followed:
    """Who wants to be told of which jobs."""

    who: UUID
    jobs: frozenset[UUID]


def opening(seen: Iterable[Seen]) -> str:
    """Return how a stream begins: when to ask again, and how each job stands now."""
    return f"retry: {AGAIN_MILLISECONDS}\n\n" + "".join(event(one) for one in seen)


def event(seen: Seen) -> str:
    """Return one event: how a job stands."""
    fields = {
        "id": str(seen.job_id),
        "state": seen.state,
        "done": seen.done,
        "total": seen.total,
        "lines": seen.lines,
    }
    return f"event: job\ndata: {json.dumps(fields)}\n\n"
