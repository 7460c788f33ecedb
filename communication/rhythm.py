"""When a device polls next: each at a place of its own in the interval. Pure.

Devices that come together, as after an outage, are told different times and do not meet again. A
device that comes when it was told finds itself at its own place, exactly one interval later.
"""

_GOLDEN = 0.618033988749894848
"""Multiples of it, without their whole part, fill the interval more evenly than chance does."""
LONGEST_SECONDS = 86_400
SHORTEST_SECONDS = 60
"""What an agent may ask for with ``every=``."""


def next_poll(slot: int, interval: int, now: float) -> int:
    """Return the seconds to the device's next place, from half to one and a half intervals."""
    wait = ((slot * _GOLDEN % 1.0) * interval - now) % interval
    return max(1, round(wait if 2 * wait >= interval else wait + interval))


def interval_for(wanted: int, usual: int) -> int:
    """Return the interval that holds for an agent that asks for *wanted* (0: for none)."""
    if not wanted:
        return usual
    return min(max(wanted, min(usual, SHORTEST_SECONDS)), LONGEST_SECONDS)
