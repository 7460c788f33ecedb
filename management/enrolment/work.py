"""Background work on enrolments."""

from datetime import timedelta
from typing import Any

from management.context import Context
from management.enrolment.service import forget_refused
from management.enrolment_users.service import forget_tries
from management.handlers import Progress
from runtime.clock import utc_now

REFUSED_KEPT = timedelta(days=30)


def forget(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Forget old enrolments that came to nothing, and old wrong passwords: anybody makes them."""
    with context.database.transaction("forget wrong passwords") as session:
        forget_tries(session, utc_now())
    while True:
        with context.database.transaction("forget refused enrolments") as session:
            forgotten = forget_refused(session, utc_now() - REFUSED_KEPT)
        if not forgotten:
            return
