"""Which devices try a change first, and when the trial stops. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

PARTS = 10_000
FEW = 20
"""While devices are still being given the trial, a share counts of so many at least."""


class CanaryState(StrEnum):
    """How a trial on some devices stands."""

    STARTING = "starting"
    """Its devices are given the trial policy."""
    RUNNING = "running"
    PROMOTED = "promoted"
    """Everybody has it now."""
    STOPPED = "stopped"
    """It stopped by itself; its devices have what they had."""
    ROLLED_BACK = "rolled_back"
    """A person stopped it; its devices have what they had."""


OPEN = (CanaryState.STARTING, CanaryState.RUNNING)


class Kind(StrEnum):
    """Which of the devices of a trial; each is a number and a list."""

    DEVICES = "devices"
    WORSE = "worse"
    """Not compliant, which they were not before."""
    MENDED = "mended"
    """Not compliant before, and no longer."""
    ORDERED = "ordered"
    """Were ordered to apply the trial policy."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many devices of a trial are of which `Kind`."""

    devices: int
    worse: int
    mended: int
    ordered: int

    @property
    def share(self) -> float:
        """Return the part that became worse, from 0 to 1."""
        return self.worse / self.devices if self.devices else 0.0


def is_chosen(device_id: UUID, percent: int) -> bool:
    """Tell whether the device is among the *percent* that go first; always the same ones.

    Whoever is among the first 5 % is also among the first 10 %.
    """
    place = int.from_bytes(sha256(device_id.bytes).digest()[:8]) % PARTS
    return place < percent * PARTS // 100


def why_stop(counts: Counts, limit_percent: int, starting: bool) -> str:
    """Return why the trial must stop, or nothing."""
    of = max(counts.devices, FEW) if starting else counts.devices
    if counts.worse * 100 <= limit_percent * of:
        return ""
    return (
        f"{counts.worse} of {counts.devices} devices became non-compliant, more than "
        f"{limit_percent} percent."
    )
