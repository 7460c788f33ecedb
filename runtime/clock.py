"""The wall clock, read at the edges only; rules get the time as an argument."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the present instant, aware and in UTC, to the microsecond."""
    return datetime.now(UTC)
