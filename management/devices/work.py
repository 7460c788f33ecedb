"""Background work on the log of facts, and its check against the current rows."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from management.context import Context
from management.database import Database
from management.devices.fact_log import forget_facts, mend_facts
from management.devices.models import Device, DeviceFacts
from management.devices.queries import lock_device
from management.devices.replay import rebuild_facts
from management.devices.rules import read_facts
from management.handlers import Progress
from runtime.clock import utc_now

BATCH = 500


def forget(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Forget what was said longer ago than the setting keeps it, but for what still holds."""
    before = utc_now() - timedelta(days=context.settings.fact_days)
    done = gone = 0
    for device_ids in _batches(context.database):
        with context.database.transaction("forget old facts") as session:
            gone += forget_facts(session, device_ids, before)
        done += len(device_ids)
        progress(f"{done} devices looked at, {gone} entries forgotten.")


def differing(database: Database, mend: bool) -> Iterator[UUID]:
    """Yield the devices whose current facts are not what the log says; *mend* writes them anew."""
    for device_ids in _batches(database):
        for device_id in device_ids:
            if _differs(database, device_id):
                if mend:
                    with database.transaction("mend facts") as session:
                        mend_facts(session, lock_device(session, device_id), utc_now())
                yield device_id


def _differs(database: Database, device_id: UUID) -> bool:
    with database.reading() as session:
        device = session.get_one(Device, device_id)
        row = session.get(DeviceFacts, device_id)
        return (read_facts(row.facts) if row else {}) != rebuild_facts(session, device)


def _batches(database: Database) -> Iterator[Sequence[UUID]]:
    after = UUID(int=0)
    while True:
        with database.reading() as session:
            found = session.scalars(
                select(Device.id).where(Device.id > after).order_by(Device.id).limit(BATCH)
            ).all()
        if not found:
            return
        yield found
        after = found[-1]
