"""How long a soak goes on."""

import os
import time
from collections.abc import Iterator

MINUTES = float(os.environ.get("SEKISHO_SOAK_MINUTES", "60"))
"""Of all soak tests together: half of it kills, a quarter is guided fuzzing,
and what else is fuzzed shares the last quarter."""


def rounds(minutes: float) -> Iterator[int]:
    """Count rounds, at least one, until the time is over."""
    end, number = time.monotonic() + minutes * 60, 0
    while number == 0 or time.monotonic() < end:
        number += 1
        yield number
