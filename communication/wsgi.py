"""How a route waits without keeping its thread."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from communication.answer import Answer

LOOK_AGAIN = "sekisho.look_again"
"""A route that found nothing yet puts a `LookAgain` here instead of keeping its thread."""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """How to wait, in the event loop, and what to answer afterwards."""

    wait: Callable[[], Any]
    look: Callable[[], Answer]
