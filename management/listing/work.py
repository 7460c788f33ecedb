"""Background work on the list: counts are folded often, and everything is checked once a day."""

import logging
from typing import Any
from uuid import UUID

from sqlalchemy import select

from management.context import Context
from management.devices.models import DeviceJudgement
from management.handlers import Progress
from management.listing import service
from management.progress import said as _l

BATCH = 500
log = logging.getLogger(__name__)


def fold(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Add up the changes of counts, so that reading them stays short."""
    saved = 0
    while True:
        with context.database.transaction("fold counts") as session:
            done = service.fold(session)
        saved += done
        progress(_l("%(count)s rows of counts are folded.", count=saved))
        if not done:
            return


def check(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """List every device as it is now and count anew; what was wrong is mended and logged."""
    after, done, wrong = UUID(int=0), 0, 0
    while True:
        with context.database.reading() as session:
            ids = session.scalars(
                select(DeviceJudgement.device_id)
                .where(DeviceJudgement.device_id > after)
                .order_by(DeviceJudgement.device_id)
                .limit(BATCH)
            ).all()
        if not ids:
            break
        with context.database.transaction("check the list") as session:
            wrong += service.bring_up(session, ids)
        done, after = done + len(ids), ids[-1]
        progress(
            _l("%(done)s devices looked at, %(wrong)s were listed wrongly.", done=done, wrong=wrong)
        )
    with context.database.transaction("check counts") as session:
        shapes = service.recount(session)
    if wrong or shapes:
        log.warning("The device list was mended: %s devices, %s counts.", wrong, shapes)
    progress(
        _l(
            "%(done)s devices looked at, %(wrong)s were listed wrongly, "
            "%(counts)s counts were wrong.",
            done=done,
            wrong=wrong,
            counts=shapes,
        )
    )
