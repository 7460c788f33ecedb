"""Background work that watches what relays do, and tidies after them."""

import logging
from datetime import timedelta
from typing import Any

from sqlalchemy import delete

from management import own_renewal
from management.context import Context
from management.handlers import Progress
from management.relays.changes import days_left, renew_certificates, warn_of_expiry
from management.relays.models import OutboundMessage
from management.relays.service import ANSWER
from management.relays.withheld import note_withheld
from runtime.clock import utc_now

log = logging.getLogger(__name__)
ANSWER_KEPT = timedelta(days=7)
"""As long as a relay keeps it; a refused device never acknowledges."""


def watch(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Note relays that withhold messages; renew keys and certificates, warn; forget old answers."""
    now = utc_now()
    digest = timedelta(seconds=context.settings.digest_seconds)
    own_renewal.renew(context, now)
    with context.database.transaction("watch relays") as session:
        own_renewal.note_renewals(session, context.keys, now)
        note_withheld(session, digest, now)
        for relay in renew_certificates(session, context.keys, now):
            log.info("A relay gets a fresh certificate", extra={"relay": relay.name})
        for relay in warn_of_expiry(session, context.keys, now):
            left = days_left(relay, now)
            log.warning("A relay's certificate ends in %s days", left, extra={"relay": relay.name})
        session.execute(
            delete(OutboundMessage).where(
                OutboundMessage.kind == ANSWER, OutboundMessage.handed_at < now - ANSWER_KEPT
            )
        )
