"""The work ``search.check``: once a day it is seen to that every row is found by its words."""

import logging
from typing import Any

from sqlalchemy import delete, select

from management.context import Context
from management.handlers import Progress
from management.progress import said as _l
from management.search.registry import REGISTRY, Searched
from management.search.upkeep import bring_up

BATCH = 500
log = logging.getLogger(__name__)


def check(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Give every row its tokens, those of an earlier release their first; drop those of none."""
    done = wrong = 0
    for searched in REGISTRY.values():
        after = None
        while keys := _next(context, searched, after):
            with context.database.transaction("check the words of a list") as session:
                wrong += bring_up(session, searched, keys)
            done, after = done + len(keys), keys[-1]
            progress(
                _l("%(done)s rows looked at, %(wrong)s had other words.", done=done, wrong=wrong)
            )
        _drop_lost(context, searched)
    if wrong:
        log.info("Words of lists were mended: %s of %s rows.", wrong, done)


def _next(context: Context, searched: Searched, after: Any) -> list[Any]:
    wanted = select(searched.key).order_by(searched.key).limit(BATCH)
    if after is not None:
        wanted = wanted.where(searched.key > after)
    with context.database.reading() as session:
        return list(session.scalars(wanted))


def _drop_lost(context: Context, searched: Searched) -> None:
    there = select(searched.key).where(searched.key == searched.token.row_id)
    with context.database.transaction("drop words of no row") as session:
        session.execute(
            delete(searched.token)
            .where(~there.exists())
            .execution_options(synchronize_session=False)
        )
