"""What a simulated fleet did and what it was answered, counted by many threads."""

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from agents.simulator.shares import Behaviour

MOST_TIMES = 200_000
"""Latencies kept of each kind of request; of more, the first ones."""
REASON_LENGTH = 120


@dataclass
class Done:
    """What the devices of one profile did."""

    devices: int = 0
    enrolled: int = 0
    check_ins: int = 0
    polls: int = 0
    reports: int = 0
    orders: int = 0
    told_later: int = 0
    """How often a relay asked them to come later."""
    unreachable: int = 0
    tried: int = 0
    """Hostile messages sent."""
    refused: int = 0
    """Hostile messages that were refused or had no effect."""
    clock_set: int = 0
    """Devices that learnt from the relay how wrong their clock is."""


@dataclass
class Tally:
    """All that is counted; every change holds the lock."""

    profiles: dict[Behaviour, Done] = field(default_factory=lambda: defaultdict(Done))
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(kind of request, status) -> how many."""
    refusals: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(who refused, what was sent, with which reason) -> how many."""
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Kind of request -> seconds until it was answered."""
    unexpected: Counter[str] = field(default_factory=Counter)
    """What ought not to have happened."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def add(self, profile: Behaviour, **counts: int) -> None:
        """Add to the numbers of a profile."""
        with self._lock:
            done = self.profiles[profile]
            for name, number in counts.items():
                setattr(done, name, getattr(done, name) + number)

    def answered(self, kind: str, status: int, seconds: float) -> None:
        """Count an answer of a relay."""
        with self._lock:
            self.answers[kind, status] += 1
            if len(self.times[kind]) < MOST_TIMES:
                self.times[kind].append(seconds)

    def refused(self, who: str, what: str, why: str) -> None:
        """Count a refusal with its reason."""
        with self._lock:
            self.refusals[who, what, why[:REASON_LENGTH]] += 1

    def strange(self, what: str) -> None:
        """Count something that ought not to have happened."""
        with self._lock:
            self.unexpected[what[:300]] += 1

    def sum_of(self, name: str) -> int:
        """Return a number over all profiles."""
        with self._lock:
            return sum(getattr(done, name) for done in self.profiles.values())

    def refusal_count(self) -> int:
        """Return how many refusals there were."""
        with self._lock:
            return sum(self.refusals.values())


def percentile(values: list[float], share: float) -> float:
    """Return the value below or at which *share* of *values* lie (nearest rank); 0 without any."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    return ordered[max(0, min(len(ordered) - 1, -(-int(share * 1000) * len(ordered) // 1000) - 1))]
