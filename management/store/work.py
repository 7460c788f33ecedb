"""Background work of the store: tell devices what is offered, withdraw what turned bad."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from management.apps.approvals import approved_hashes
from management.context import Context
from management.progress import said as _l
from management.store import queries, service
from runtime.clock import utc_now

Progress = Callable[[str], None]
BATCH = 50
SYSTEM = "system"


def spread(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Withdraw what should not be offered any more, then tell every device that does not know.

    What a device was told stands in a row of its own, so after a crash the work goes on there.
    Runs after each change, and now and then for devices that enrolled or changed their group.
    """
    _withdraw_bad(context)
    with context.database.reading() as session:
        issue, offers = queries.current_issue(session), queries.read_offers(session)
    if issue == 0:
        return  # nothing was ever published
    after, told = UUID(int=0), 0
    while True:
        with context.database.reading() as session:
            if not queries.behind(session, issue, after, 1):
                return
        with context.database.transaction("tell of the store") as session:
            if queries.current_issue(session) != issue:
                return  # a newer change has queued its own work
            devices = queries.behind(session, issue, after, BATCH)
            told += service.tell(session, context, devices, offers, issue, utc_now())
        if not devices:
            return
        after = devices[-1].id
        progress(_l("Told %(count)s devices what the app store offers.", count=told))


def _withdraw_bad(context: Context) -> None:
    """Withdraw apps whose verdict turned bad and for which nobody answers."""
    with context.database.reading() as session:
        bad = queries.bad_on_offer(session)
        approved = approved_hashes(session, {sha256: signer for _, sha256, signer, _ in bad})
    for entry_id, sha256, _, verdict in bad:
        if sha256 in approved:
            continue
        with context.database.transaction("withdraw a bad app") as session:
            because = f"The scanner calls it {verdict} now."
            service.withdraw(session, context.keys, entry_id, because, SYSTEM, "", utc_now())
