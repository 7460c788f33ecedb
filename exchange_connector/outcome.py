"""How a pass went."""

from dataclasses import dataclass


@dataclass(slots=True)
class Outcome:
    """An empty problem means well."""

    exchange_problem: str = ""
    exchange_refuses_us: bool = False
    """The password is wrong: asking again soon could lock the account."""
    throttled: bool = False
    """Exchange asked for a pause."""
    wait_seconds: float = 0.0
    """So long, if it said so."""
    management_problem: str = ""
    may_act: bool = True
    """False: management knows this connector no longer, or disabled it."""
    acted: bool = False
    """Exchange was asked for something."""
    changed: int = 0
    """Calls that changed something at Exchange."""
    discovered: int | None = None
    """Partnerships found, when everything was read."""
    waiting: int = 0
    crashed: bool = False
    """The pass ended by an error that nobody thought of."""
    unfinished: bool = False
    """More could be done at once."""
    paused_because: str = ""
    """Why nothing is changed at Exchange, or why less than management wanted."""
    cycle_seconds: int = 60
