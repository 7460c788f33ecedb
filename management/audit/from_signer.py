"""Puts what the signer noted of itself into the trail (`management.signer_notes`).

Whoever dies between the commit and telling the signer leaves lines twice; each names its number.
"""

from datetime import datetime

from management.audit.service import record
from management.context import Context


def take_over(context: Context) -> None:
    """Take every note that is not in the trail yet; UnavailableError: the signer is away."""
    waiting = context.signer.take_notes()
    while waiting:
        with context.database.transaction("take over the signer's notes") as session:
            for one in waiting:
                details = {**one["details"], "by": "signer", "number": one["number"]}
                told = (one["actor"], one["action"], one["subject"], one["reason"])
                at = datetime.fromisoformat(one["at"])
                record(session, context.keys, *told, details=details, now=at)
        waiting = context.signer.take_notes(waiting[-1]["number"])
