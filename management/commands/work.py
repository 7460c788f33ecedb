"""Background work on commands."""

from typing import Any
from uuid import UUID

from management.commands import service
from management.commands.queries import list_expired, list_queued
from management.context import Context
from management.handlers import Progress
from runtime.clock import utc_now


def dispatch(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Send the command that *payload* names, or every queued one (those that waited)."""
    if "command_id" in payload:
        _dispatch(context, UUID(payload["command_id"]))
        return
    after: UUID | None = None
    while True:
        with context.database.reading() as session:
            found = list_queued(session, after)
        for command_id in found:
            _dispatch(context, command_id)
        if not found:
            return
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


def _dispatch(context: Context, command_id: UUID) -> None:
    with context.database.transaction("dispatch command") as session:
        service.dispatch(session, context.keys, context.signer, command_id, utc_now())
