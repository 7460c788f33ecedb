"""Background work of the terms of use: ask devices that are enrolled already."""

from typing import Any
from uuid import UUID

from management.context import Context
from management.handlers import Progress
from management.progress import said as _l
from management.terms.service import ask_some
from runtime.clock import utc_now

BATCH = 50


def ask(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Ask every enrolled device that was not asked about the version that holds.

    Which were asked stands in a row of each, so after a crash the work goes on there.
    """
    after, asked = UUID(int=0), 0
    while True:
        with context.database.transaction("ask for the terms of use") as session:
            last = ask_some(session, context, after, BATCH, utc_now())
        if last == after:
            return
        after, asked = last, asked + BATCH
        progress(_l("Asked about %(count)s devices.", count=asked))
