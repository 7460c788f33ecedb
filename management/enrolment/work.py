"""Background work on enrolments."""

from datetime import timedelta
from typing import Any

from management.context import Context
from management.enrolment.service import forget_refused
from management.handlers import Progress
from runtime.clock import utc_now

REFUSED_KEPT = timedelta(days=30)


def forget(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Forget old refused enrolments: anybody can make them, and they open nothing."""
    while True:
        with context.database.transaction("forget refused enrolments") as session:
            forgotten = forget_refused(session, utc_now() - REFUSED_KEPT)
        if not forgotten:
            return
