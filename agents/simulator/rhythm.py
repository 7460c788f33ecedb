"""How often a device polls: as its policy and its place ask for, and as the relay says. Pure."""

import random

from agents.simulator.relay_client import Polled
from agents.simulator.state import DeviceState

LONGEST_BACKOFF_SECONDS = 900.0
FIRST_BACKOFF_SECONDS = 5.0


def interval(state: DeviceState) -> int:
    """Return the seconds between two polls that the policy asks for, or the enrolment said."""
    member = state.member()
    general = member.policy.settings.get("general")
    settings = general if isinstance(general, dict) else {}
    names = ("roaming_report_minutes", "poll_minutes")
    for name in names if state.phone.posture.roaming else names[1:]:
        minutes = settings.get(name)
        if isinstance(minutes, int) and 1 <= minutes <= 10_080:
            return min(minutes * 60, max(member.digest_seconds, 60))
    return member.poll_seconds


def next_poll(polled: Polled, every: int) -> float:
    """Return the seconds to the next poll; at least one, whatever the relay says."""
    return max(1.0, polled.poll_after_seconds or float(every))


def later(asked: float | None, backoff: float) -> float:
    """Return how long to wait after a failure: at least as the relay *asked*, never together."""
    spread = 1.0 + random.random() / 4  # noqa: S311  (spreads a crowd; not a secret)
    return (asked or backoff) * spread
