"""Decides when the clock can no longer be trusted."""

from datetime import datetime, timedelta

MOST_BACK = timedelta(minutes=5)
MOST_FORWARD = timedelta(minutes=10)


def clock_jump(
    previous_wall: datetime,
    previous_monotonic: float,
    wall: datetime,
    monotonic: float,
    tolerance: timedelta,
) -> timedelta | None:
    """Return how far the wall clock moved beyond the time that passed, or None within *tolerance*.

    Positive: it jumped forward. *monotonic* counts seconds and never jumps.
    """
    passed = timedelta(seconds=monotonic - previous_monotonic)
    jump = (wall - previous_wall) - passed
    return jump if abs(jump) > tolerance else None


def freeze_reason(jump: timedelta) -> str | None:
    """Return why *jump* must pause enforcement, or None: back 5 minutes or forward 10 is allowed.

    Going back un-ages silence and grace periods; going forward ends them all at once.
    """
    if -MOST_BACK <= jump <= MOST_FORWARD:
        return None
    way = "forward" if jump > timedelta() else "back"
    return (
        f"The clock of this server jumped {way} by {_words(abs(jump))}. Check the date and time, "
        "then resume enforcement."
    )


def _words(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    if seconds >= 2 * 86_400:
        return f"{seconds // 86_400} days"
    if seconds >= 2 * 3600:
        return f"{seconds // 3600} hours"
    return f"{seconds // 60} minutes"
