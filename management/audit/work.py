"""Background work on the audit trail: checkpoints go outside, what is too old is forgotten."""

from datetime import datetime, timedelta
from typing import Any

from management.audit import checkpoints, from_signer, queries, service, waiting
from management.context import Context
from management.handlers import Progress
from management.progress import said as _l
from runtime.clock import utc_now
from runtime.errors import UnavailableError


def checkpoint(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Have the trail's end signed and told to every place outside; a place that failed: again."""
    made = checkpoints.make(context)
    progress(
        _l("Entry %(number)s is signed.", number=made.seq)
        if made
        else _l("Nothing was added since the last one.")
    )
    if problems := checkpoints.hand_out(context):
        raise UnavailableError(" ".join(problems))


def purge(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Forget entries older than the setting keeps them."""
    now = utc_now()
    before, gone = now - timedelta(days=context.settings.audit_days), 0
    while _is_due(context, before):
        with context.database.transaction("purge audit trail") as session:
            gone += service.purge(session, context.keys, before, now)
        progress(_l("%(count)s entries are forgotten.", count=gone))


def _is_due(context: Context, before: datetime) -> bool:
    with context.database.reading() as session:
        first = queries.first_entry(session)
        return first is not None and first.at < before


def take_looks_over(context: Context) -> None:
    """Put looks into the trail that waited on the disk while the database was busy."""
    waiting.take_over(context)


def take_notes_over(context: Context) -> None:
    """Put into the trail what the signer noted of itself."""
    from_signer.take_over(context)
