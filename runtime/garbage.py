"""Keeps the longest pauses of Python's collector of circles out of answers.

A full collection looks through all that lives: 20 ms after a start, 180 ms once some hundred
statements are compiled (measured on the console), and everybody waits. Left alone it falls into
somebody's question; here a thread makes it while nobody asks.
"""

import gc
import threading
import time
from collections.abc import Callable

EVERY_SECONDS = 20
PATIENCE_SECONDS = 120
"""So long it waits for a quiet moment; then memory counts more than one slow answer."""
DUE_AFTER = 10
"""Collections of the middle generation, as Python has it."""
_LOOK_SECONDS = 0.02
_NEVER = 1_000_000_000


def collect_between(is_quiet: Callable[[], bool]) -> None:
    """From now on make full collections only while *is_quiet*, in a thread of this process."""
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    threading.Thread(target=_go_on, args=(is_quiet,), name="garbage", daemon=True).start()


def collect_if_due(is_quiet: Callable[[], bool], patience: float = PATIENCE_SECONDS) -> bool:
    """Make a full collection if one is due, at the first quiet moment; tell whether."""
    if gc.get_count()[2] < DUE_AFTER:
        return False
    give_up = time.monotonic() + patience
    while not is_quiet() and time.monotonic() < give_up:
        time.sleep(_LOOK_SECONDS)
    gc.collect()
    return True


def _go_on(is_quiet: Callable[[], bool]) -> None:
    while True:
        time.sleep(EVERY_SECONDS)
        collect_if_due(is_quiet)
