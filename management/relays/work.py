"""Background work that watches what relays do, and tidies after them."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete

from management.context import Context
from management.handlers import Progress
from management.relays.models import OutboundMessage
from management.relays.service import ANSWER
from management.relays.withheld import note_withheld
from runtime.clock import utc_now

ANSWER_KEPT = timedelta(days=7)
"""As long as a relay keeps it; a refused device never acknowledges."""


def watch(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Note relays that withhold messages, and forget old answers to enrolments."""
    now = utc_now()
    digest = timedelta(seconds=context.settings.digest_seconds)
    with context.database.transaction("watch relays") as session:
        note_withheld(session, digest, now)
        session.execute(
            delete(OutboundMessage).where(
                OutboundMessage.kind == ANSWER, OutboundMessage.handed_at < now - ANSWER_KEPT
            )
        )
