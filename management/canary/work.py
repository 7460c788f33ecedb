"""Background work on trials: give, watch, give back."""

from typing import Any
from uuid import UUID

from management.canary import service
from management.canary.queries import list_open
from management.context import Context
from management.handlers import Progress
from management.progress import said as _l
from runtime.clock import utc_now

CHUNK = 50


def give(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Give the trial policy to the chosen devices; those that have it are not looked at again."""
    canary_id, after, looked_at = UUID(payload["canary_id"]), None, 0
    while True:
        with context.database.transaction("give trial policy") as session:
            after = service.give_some(session, canary_id, after, CHUNK, utc_now())
        if after is None:
            return
        looked_at += CHUNK
        progress(_l("%(count)s devices are looked at.", count=looked_at))


def give_back(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Give the devices of an ended trial what holds for them."""
    canary_id, number = UUID(payload["canary_id"]), 0
    while True:
        with context.database.transaction("end trial") as session:
            done = service.give_back_some(session, canary_id, CHUNK, utc_now())
        if not done:
            return
        number += done
        progress(_l("%(count)s devices have what holds for them.", count=number))


def watch(context: Context) -> None:
    """Look at the trials that go on; one that does harm stops."""
    with context.database.reading() as session:
        going_on = [canary.id for canary in list_open(session)]
    for canary_id in going_on:
        with context.database.transaction("watch trial") as session:
            service.watch(session, context.keys, canary_id, utc_now())
