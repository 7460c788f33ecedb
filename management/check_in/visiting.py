"""Visits relays at the same time, each in its own thread: none keeps another waiting."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from uuid import UUID

from management.context import Context
from management.relays.link_client import VISIT_SECONDS
from management.relays.models import Relay

TROUBLED_SECONDS = 2.0
"""How long a round waits for relays that did not answer at the last one; their visits go on."""
PATIENCE_SECONDS = 15.0
"""How long it waits for one that was well, when others have to be visited again."""
LONGEST_SECONDS = VISIT_SECONDS + 60.0
"""A visit that takes longer is held up by the relay on purpose: a client gives up before."""
_lock = threading.Lock()
_under_way: dict[tuple[Path, UUID], "_Visit"] = {}


@dataclass(slots=True)
class _Visit:
    begun: float = field(default_factory=monotonic)
    end: "Future[None]" = field(default_factory=Future)


def visit_each(
    context: Context, relays: Sequence[Relay], visit: Callable[[Context, Relay], None]
) -> dict[UUID, float]:
    """Let *visit* run once for each relay; return which visits take how long already (seconds).

    A visit that is still under way from an earlier round is not begun a second time. What *visit*
    raises is raised here when it ends in this round. A lone relay is waited for to the end.
    """
    _forget_ended(context.settings.home, {relay.id for relay in relays})
    begun = {relay: _begin(context, relay, visit) for relay in relays}
    sure = [one.end for relay, one in begun.items() if not relay.problem]
    all_of_them = [one.end for one in begun.values()]
    start = monotonic()
    wait(sure or all_of_them, LONGEST_SECONDS if len(relays) == 1 else PATIENCE_SECONDS)
    wait(all_of_them, max(0.0, start + TROUBLED_SECONDS - monotonic()))
    for one in begun.values():
        if one.end.done():
            one.end.result()
    now = monotonic()
    return {relay.id: now - one.begun for relay, one in begun.items() if not one.end.done()}


def _forget_ended(home: Path, known: set[UUID]) -> None:
    """Drop visits that ended of relays which are gone; one that is under way ends by itself."""
    with _lock:
        gone = [key for key in _under_way if key[0] == home and key[1] not in known]
        for key in gone:
            if _under_way[key].end.done():
                del _under_way[key]


def _begin(context: Context, relay: Relay, visit: Callable[[Context, Relay], None]) -> _Visit:
    key = (context.settings.home, relay.id)
    with _lock:
        found = _under_way.get(key)
        if found is None or found.end.done():
            found = _under_way[key] = _Visit()
            about = (found.end, visit, context, relay)
            threading.Thread(target=_run, args=about, name="visit", daemon=True).start()
    return found


def _run(
    end: "Future[None]", visit: Callable[[Context, Relay], None], context: Context, relay: Relay
) -> None:
    try:
        visit(context, relay)
    except BaseException as error:  # noqa: BLE001  (whoever waits gets it)
        end.set_exception(error)
    else:
        end.set_result(None)
