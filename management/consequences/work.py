"""Background work: what follows from judgements, and what had to wait."""

import logging
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from management.consequences import queries, service
from management.context import Context
from management.handlers import Progress
from runtime.clock import utc_now
from runtime.errors import UnavailableError

BATCH = 500
BROKE = "What follows could not be worked out ({}); the log of the jobs process tells where."
log = logging.getLogger(__name__)


def follow(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Act on ``device_ids``; a transaction each, so repeating it after a death is harmless."""
    _act(context, [UUID(str(one)) for one in payload["device_ids"]])


def look_again(context: Context) -> None:
    """Act on the devices that had to wait, as soon as they may go on.

    Those that are still frozen are put off in bulk: after an outage there may be very many.
    """
    while True:
        with context.database.transaction("look at held devices") as session:
            now = utc_now()
            if queries.pause_sentence(session):
                return
            found = queries.list_held(session, now, BATCH)
            frozen = queries.holding(session, found, now)
            service.put_off(session, list(frozen), now)
        if not found:
            return
        _act(context, [one for one in found if one not in frozen])


def _act(context: Context, device_ids: Iterable[UUID]) -> None:
    """Act on each device; one that breaks waits, is told of, and keeps no other from its turn."""
    with context.database.reading() as session:
        concerned = queries.concerned(session, list(device_ids), utc_now())
        devices = queries.count_devices(session) if concerned else 0
    busy = None
    for device_id in concerned:
        try:
            with context.database.transaction("act on violations") as session:
                service.act(session, device_id, devices, utc_now())
        except UnavailableError as error:
            busy = error
        except Exception as error:
            log.exception("A consequence broke.", extra={"device": str(device_id)})
            with context.database.transaction("hold a broken device") as session:
                service.hold(session, device_id, BROKE.format(type(error).__name__), utc_now())
    if busy is not None:
        raise busy  # the whole job is tried again; what is done is not done twice
