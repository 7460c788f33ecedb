"""Background work on commands."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from management.commands import bulk, sending, service
from management.commands.queries import get_batch, list_expired, list_ready
from management.context import Context
from management.handlers import Progress
from management.progress import said as _l
from management.signer_messages import MOST_ORDERS
from runtime.clock import utc_now


def dispatch(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Send the commands that *payload* names, or every queued one that may be sent."""
    if "command_ids" in payload:
        named = [UUID(text) for text in payload["command_ids"]]
        for start in range(0, len(named), MOST_ORDERS):
            sending.send(context, named[start : start + MOST_ORDERS], utc_now())
        return
    after: UUID | None = None
    while True:
        with context.database.reading() as session:
            found = list_ready(session, utc_now(), after, MOST_ORDERS)
        if not found:
            return
        sending.send(context, found, utc_now())
        after = found[-1]


def expire(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """End the commands whose time is over."""
    while True:
        with context.database.transaction("expire commands") as session:
            now = utc_now()
            found = list_expired(session, now)
            for command_id in found:
                service.expire(session, command_id, now)
        if not found:
            return


def queue_bulk(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Give every device of a confirmed bulk command its command, a chunk at a time."""
    batch_id, done = UUID(payload["batch_id"]), 0
    with context.database.reading() as session:
        total = get_batch(session, batch_id).devices
    undo = timedelta(seconds=context.settings.undo_seconds)
    while True:
        with context.database.transaction("queue a bulk command") as session:
            queued = bulk.queue_some(session, batch_id, undo, utc_now())
        if not queued:
            return
        done += queued
        progress(_l("%(done)s of %(total)s devices have their command.", done=done, total=total))


def bulk_cancelled(session: Session, payload: dict[str, Any], by: str, now: datetime) -> None:
    """Take back what a cancelled bulk command has not sent yet."""
    bulk.cancel(session, UUID(payload["batch_id"]), by, now)
