"""Greets all relays at the same time, so that one that does not answer keeps no other waiting."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from time import monotonic
from uuid import UUID

from management.context import Context
from management.relays.bringing import Greeting, dial
from management.relays.models import Relay

TROUBLED_SECONDS = 2.0
"""How long a round waits for relays that did not answer at the last one; it goes on trying."""
_under_way: dict[tuple[Path, UUID], Future[Greeting]] = {}


def greeted(context: Context, relays: Sequence[Relay]) -> Iterator[tuple[Relay, Future[Greeting]]]:
    """Yield each relay as soon as it answered or failed to.

    One with a known problem that takes long is left out and still dialled: it comes in a later
    round. When all have problems, all are waited for.
    """
    dialled = {_dial(context, relay): relay for relay in relays}
    sure = {one for one, relay in dialled.items() if not relay.problem} or set(dialled)
    left, end = set(dialled), monotonic() + TROUBLED_SECONDS
    while left:
        patience = None if left & sure else max(0.0, end - monotonic())
        done, left = wait(left, patience, FIRST_COMPLETED)
        if not done:
            return
        for one in done:
            del _under_way[context.settings.home, dialled[one].id]
            yield dialled[one], one


def _dial(context: Context, relay: Relay) -> Future[Greeting]:
    key = (context.settings.home, relay.id)
    if key not in _under_way:
        _under_way[key] = Future()
        about = (_under_way[key], context, relay)
        threading.Thread(target=_run, args=about, name="dial", daemon=True).start()
    return _under_way[key]


def _run(answer: Future[Greeting], context: Context, relay: Relay) -> None:
    try:
        answer.set_result(dial(context, relay))
    except BaseException as error:  # noqa: BLE001  (whoever waits gets it)
        answer.set_exception(error)
