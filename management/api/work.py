"""Background work of the API."""

from typing import Any

from management.api import idempotency
from management.context import Context
from management.handlers import Progress


def forget(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Delete kept answers that are a day old."""
    with context.database.transaction("forget answers of the API") as session:
        idempotency.forget(session)
