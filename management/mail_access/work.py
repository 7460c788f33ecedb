"""Background work of kind ``mail_access.decide``."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from management.context import Context
from management.mail_access import decisions
from runtime.clock import utc_now

Progress = Callable[[str], None]
LIMIT = 500


def decide(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Bring wanted mail access up to date; repeating it is harmless.

    *payload*: ``device_ids`` (texts) decides what these devices touch, ``everything`` all
    partnerships; whatever fell due is decided in any case.
    """
    if device_ids := payload.get("device_ids"):
        with context.database.transaction("decide mail access of devices") as session:
            ids = [UUID(str(one)) for one in device_ids]
            decisions.decide_for_devices(session, ids, utc_now())
    if payload.get("everything"):
        _decide_everything(context, progress)
    _decide_due(context, progress)


def _decide_everything(context: Context, progress: Progress) -> None:
    after: int | None = 0
    number = 0
    while after is not None:
        with context.database.transaction("decide all mail access") as session:
            after = decisions.decide_from(session, after, utc_now(), LIMIT)
        number += LIMIT if after is not None else 0
        progress(f"{number} partnerships")


def _decide_due(context: Context, progress: Progress) -> None:
    looked_at = LIMIT
    while looked_at == LIMIT:
        with context.database.transaction("decide mail access that is due") as session:
            looked_at = decisions.decide_due(session, utc_now(), LIMIT)
        progress(f"{looked_at} partnerships that were due")
