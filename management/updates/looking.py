"""Asks the update source what it offers, signed as it must be, and takes nothing."""

from dataclasses import replace

from management.context import Context
from management.updates import work
from management.updates.queries import find_source
from runtime.errors import RefusedError
from updater.trust import AgentOffer, Offer, open_source

QUICK = replace(work.LIMITS, total_seconds=20.0, gap_seconds=5.0)
"""For somebody who waits for the answer before a page."""


def is_entered(context: Context) -> bool:
    """Tell whether there is an update source."""
    with context.database.reading() as session:
        source = find_source(session)
    return source is not None and bool(source.address)


def ask(context: Context) -> tuple[list[Offer], list[AgentOffer]]:
    """Return the pattern sets and agent packages on offer, oldest first.

    What was verified is kept apart from what updates keep: neither waits for the other. Raises
    RefusedError without a source, BusyError while somebody else asks, and what `updater.trouble`
    names when the source is away or its metadata is not what must be believed.
    """
    with context.database.reading() as session:
        source = find_source(session)
        if source is None or not source.address:
            raise RefusedError("No update source is entered yet. Enter it in the console.")
        address, root = source.address, source.root.encode()
    folder = context.settings.home / "updates" / "asked"
    with open_source(address, root, folder, QUICK) as opened:
        opened.refresh()
        return opened.offers(), opened.agents()
