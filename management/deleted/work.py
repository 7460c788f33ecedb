"""Background work on what was deleted."""

from typing import Any

from management.context import Context
from management.deleted import service
from management.handlers import Progress
from runtime.clock import utc_now


def forget(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Delete for good what was deleted thirty days ago."""
    with context.database.transaction("forget what was deleted") as session:
        service.forget(session, utc_now())
